"""What each command does, once its arguments are read."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError, PhysicsError
from .runrecord import read_json, write_json
from .settings import TransportSettings, as_toml, load_study
from .ui import Screen


def run(args: argparse.Namespace) -> int:
    """``ionstride run``."""
    if args.print_defaults:
        print(as_toml(load_study(args.study, args.set)), end="")
        return 0
    if args.study is None:
        raise InputError("which study? give a STUDY.toml; 'ionstride run --print-defaults > study.toml' makes one")
    from .study import run_study

    study = load_study(args.study, args.set)
    run_study(study, args.out or Path(f"{study.name}-out"), first=args.first, last=args.last, dry_run=args.dry_run)
    return 0


def analyze(args: argparse.Namespace) -> int:
    """``ionstride analyze``."""
    from .analyze import analyze as analyse_files
    from .stages.analysis import words

    screen = Screen()
    row = analyse_files(
        args.files,
        mobile=args.mobile,
        temperature_K=args.temperature,
        out=args.out,
        replicas=args.replica,
        frame_ps=args.frame_ps,
        timestep_ps=args.timestep_ps,
        topology=args.topology,
        types=args.types.split(",") if args.types else None,
        charge_e=args.charge,
        unwrap=args.unwrap,
        drift=args.drift,
        fit_ps=_window(args.fit_ps),
        lags=args.lags,
        start=args.start,
        stop=args.stop,
        stride=args.stride,
        cross=args.cross.split(",") if args.cross else (),
        mechanism=args.mechanism,
        memory_GB=args.memory_GB,
        threads=args.threads,
        screen=screen,
    )
    of = f" x {row['n_replicas']} runs" if row["n_replicas"] > 1 else ""
    screen.say(
        f"{row['n_ions']} {args.mobile} ions, {row['time_ps']:g} ps{of} at {args.temperature:g} K; "
        f"drift removed: {row['drift']}; {row['unwrap']}"
    )
    bound = row["verdict"] != "diffusive"
    said = "upper bound at 95 %" if bound else "95 % interval in brackets"
    screen.say(f"D self       {words(row['D_self_cm2_s'], 'cm²/s', bound)}   ({said})")
    screen.say(
        f"sigma        {words(row['sigma_NE_mS_cm'], 'mS/cm', bound)}   Nernst-Einstein, charge {args.charge:g} e"
    )
    bound = row["charge_verdict"] != "diffusive"
    screen.say(f"D charge     {words(row['D_charge_cm2_s'], 'cm²/s', bound)}   all ions together")
    screen.say(f"sigma charge {words(row['sigma_charge_mS_cm'], 'mS/cm', bound)}")
    screen.say(f"Haven ratio  {words(row['haven_ratio'], '')}")
    for scheme, found in row["unwrap_schemes"].items():
        framework = found.get("framework_msd_A2")
        note = "" if framework is None else f"   framework MSD {framework:.2g} Å²"
        screen.say(f"  unwrapped by {scheme:<14} D {words(found['D_self_cm2_s'], 'cm²/s')}{note}")
    for line in _mechanism_lines(row["mechanism"] or {}):
        screen.say(line)
    screen.say(f"{row['verdict']}: {'; '.join(row['reasons'])}")
    if row["charge_verdict"] != row["verdict"]:
        screen.say(f"charge {row['charge_verdict'] or 'not known'}: {'; '.join(row['charge_reasons'])}")
    screen.say(f"written to {args.out}: {', '.join(row['written'])}")
    return 0


def arrhenius(args: argparse.Namespace) -> int:
    """``ionstride arrhenius``."""
    from .stages import asked
    from .stages.analysis import read_fit, words
    from .stages.transport import through_temperatures

    rows: list[dict[str, Any]] = []
    files = [folder / "transport.json" if folder.is_dir() else folder for folder in args.folders]
    asked.check_kelvin("--at", args.at)
    asked.check_twice([files])
    asked.check_file(args.out, files)
    for file in files:
        found = read_json(file)
        if not isinstance(found, dict) or not ("temperatures" in found or "D_self_cm2_s" in found):
            raise InputError(f"'{file}' holds no result of 'ionstride analyze' or of a study; give folders that do")
        rows += found.get("temperatures", [found])
    if not rows:
        raise InputError(f"'{files[0]}' holds no temperature; give folders with results")
    asked.check_one_ion(rows)
    charge_e = asked.charge_of(rows) if args.charge is None else args.charge
    asked.check_charge(charge_e)
    per_ion = [row["volume_A3"] / row["n_ions"] for row in rows]
    if max(per_ion) > 1.1 * min(per_ion):
        Screen().warn(
            f"the cells hold {min(per_ion):.3g} to {max(per_ion):.3g} Å³ per ion: are all of one material? "
            f"Conductivity takes the first one's, {per_ion[0]:.3g}"
        )
    settings = TransportSettings(at_K=args.at, charge_e=charge_e)
    fits = [fit for row in rows if (fit := read_fit(row)) is not None]
    charges = [fit for row in rows if (fit := read_fit(row, "charge")) is not None]
    with np.errstate(all="ignore"):
        line = through_temperatures(fits, charges, rows[0]["n_ions"], rows[0]["volume_A3"], settings)
    if not 0.0 < line["D_at_cm2_s"]["value"] < float("inf"):
        raise PhysicsError(
            f"--at {args.at:g}: D there is too small or large for a number; give a temperature nearer the data"
        )
    write_json(args.out, line)
    screen = Screen()
    page = _arrhenius_page(line, rows, args.out)
    screen.say(f"Ea           {words(line['Ea_eV'], 'eV')}   (95 % interval in brackets)")
    screen.say(f"D({args.at:g} K)     {words(line['D_at_cm2_s'], 'cm²/s')}")
    screen.say(
        f"sigma({args.at:g} K) {words(line['sigma_at_mS_cm'], 'mS/cm')}   Nernst-Einstein, charge {charge_e:g} e"
    )
    if line["charge"] is not None:
        screen.say(f"sigma({args.at:g} K) {words(line['charge']['sigma_at_mS_cm'], 'mS/cm')}   of all ions together")
    for warning in line["warnings"]:
        screen.warn(warning)
    screen.say(f"written to {args.out}{page}")
    return 0


def _arrhenius_page(line: dict[str, Any], rows: list[dict[str, Any]], out: Path) -> str:
    """Write the page beside the JSON; return ' and its name' for the screen."""
    from . import report
    from .errors import MissingToolError

    try:
        return f" and {report.write_arrhenius_page(line, rows, out.with_suffix('.html'))}"
    except MissingToolError:
        return ""


def _mechanism_lines(found: dict[str, Any]) -> list[str]:
    """Return coordination numbers, sites, jumps, percolation and attempt frequency in words."""
    from .stages.analysis import words

    if not found:
        return []
    mobile = found["mobile"]
    near = [p for p in found["pairs"] if mobile in (p["centre"], p["other"]) and p["coordination_number"] is not None]
    lines = [
        f"  {p['centre']}-{p['other']}: {words(p['coordination_number'], '')} neighbours "
        f"within {p['first_minimum_A']:.2f} Å"
        for p in near
    ]
    if found["sites"]:
        lines.append(f"  {found['sites']['n_sites']} sites for {found['sites']['n_ions']} {mobile}")
    jumps = found["jumps"] or {}
    if jumps.get("n_jumps"):
        lines.append(
            f"  {jumps['n_jumps']} jumps; rate {words(jumps['rate_per_ion_per_ps'], 'a ps and ion')}; "
            f"back at once {words(jumps['back_fraction'], '')}"
        )
    if found["percolation"]:
        along = [axis for axis in "abc" if found["percolation"][axis]]
        lines.append(f"  visited sites connect through the cell along {', '.join(along) or 'no axis'}")
    vibration = found["vibration"] or {}
    if vibration.get("attempt_frequency_THz"):
        lines.append(f"  attempt frequency {words(vibration['attempt_frequency_THz'], 'THz')}")
    return lines + [f"  {reason}" for reason in found["reasons"]]


def _window(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        first, last = (float(v) for v in text.split(":"))
    except ValueError:
        raise InputError(f"--fit-ps '{text}', wanted A:B in ps, such as 2:20") from None
    return (first, last)


def deck(args: argparse.Namespace) -> int:
    """``ionstride deck``."""
    from . import potential, structure
    from .campaign import choose_layout, write_deck
    from .deck.typecheck import check_deck_types
    from .runrecord import cores
    from .stages.md import planned_runs, study_deck

    study = load_study(args.study, args.set)
    if not study.structure.file:
        raise InputError("'ionstride deck' needs structure.file in the study")
    model = args.model or (study.path(study.potential.model) if study.potential.model else None)
    if model is None:
        raise InputError("which potential? give --model FILE, or potential.model in the study")
    cell = structure.read_structure(study.path(study.structure.file))
    repeats = study.structure.supercell
    cell = structure.make_supercell(cell, (repeats[0], repeats[1], repeats[2]))
    with tempfile.TemporaryDirectory(prefix="ionstride-deck-") as logs:
        type_map = potential.checked_type_map(
            model, study.potential.model_type_map, Path(logs), "potential.model_type_map"
        )
    potential.check_elements(cell.symbols, type_map, model)
    if study.md.cell == "npt":
        raise InputError(
            'md.cell = "npt" needs the runs that find the cell: use \'ionstride run\', or md.cell = "given"'
        )
    runs = planned_runs(study, cell)
    layout = choose_layout(
        study.cores or cores(), len(runs), ranks=study.md.ranks, threads=study.md.threads, gpus=study.md.gpus,
        deterministic=study.deterministic,
    )  # fmt: skip
    screen = Screen()
    for one in runs:
        rendered = study_deck(study, one, model.absolute(), ranks=layout.ranks, threads=layout.threads)
        check_deck_types(rendered.files, type_map, str(model))
        write_deck(rendered, args.out / rendered.id)
        screen.say(f"{args.out / rendered.id}: {', '.join(rendered.files)}")
    return 0


def compare(args: argparse.Namespace) -> int:
    """``ionstride compare``."""
    from . import labels

    screen = Screen()
    frames = labels.read_frames(args.files)
    found = labels.compare(frames, args.calculator, n=args.frames)
    screen.say(f"{found['calculator']}, against {found['n_frames']} of {len(frames)} frames")
    screen.say("element   slope of forces   RMSE (eV/Å)   spread of the frames' forces (eV/Å)")
    for element, row in {**found["elements"], "all": found}.items():
        screen.say(
            f"{element:<9} {row['slope']:>15.3f}   {row['rmse_eV_A']:>11.3f}   {row['reference_std_eV_A']:>35.3f}"
        )
    screen.say("a slope below 1 means too soft: barriers too low, D too high")
    return 0
