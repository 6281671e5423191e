"""What each command does, once its arguments are read."""

import argparse
from pathlib import Path
from typing import Any

from .errors import InputError
from .runrecord import read_json, tree_hash, versions, write_json, write_text
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
    from . import trajectory, transport
    from .stages.analysis import analyse, msd_csv, words

    screen = Screen()
    if args.temperature <= 0:
        raise InputError(f"--temperature {args.temperature:g}, wanted above 0 K")
    path = trajectory.read_trajectory(
        args.files,
        temperature_K=args.temperature,
        frame_ps=args.frame_ps,
        timestep_ps=args.timestep_ps,
        topology=args.topology,
        types=args.types.split(",") if args.types else None,
        start=args.start,
        stop=args.stop,
        stride=args.stride,
        unwrap=args.unwrap,
    )
    moved = transport.displacements([path], args.mobile, charge_e=args.charge, drift=args.drift)
    settings = TransportSettings(fit_ps=_window(args.fit_ps), charge_e=args.charge)
    row, _, _ = analyse(moved, settings, args.threads)
    out: Path = args.out
    row["inputs"] = {str(f): tree_hash(f) for f in args.files}
    row["versions"] = versions()
    write_json(out / "transport.json", row)
    write_text(out / "msd.csv", msd_csv(row["msd"]))
    written = ["transport.json", "msd.csv", *_msd_picture(row, out)]
    screen.say(
        f"{row['n_ions']} {args.mobile} ions, {row['time_ps']:g} ps at {args.temperature:g} K, drift: {row['drift']}"
    )
    screen.say(f"D      {words(row['D_self_cm2_s'], 'cm²/s')}   (95 % interval in brackets)")
    screen.say(f"sigma  {words(row['sigma_NE_mS_cm'], 'mS/cm')}   Nernst-Einstein, charge {args.charge:g} e")
    screen.say(f"{row['verdict']}: {'; '.join(row['reasons'])}")
    screen.say(f"written to {out}: {', '.join(written)}")
    return 0


def arrhenius(args: argparse.Namespace) -> int:
    """``ionstride arrhenius``."""
    from .stages.analysis import read_fit, words
    from .stages.transport import through_temperatures

    rows: list[dict[str, Any]] = []
    for folder in args.folders:
        file = folder / "transport.json" if folder.is_dir() else folder
        found = read_json(file)
        if not isinstance(found, dict) or not ("temperatures" in found or "D_self_cm2_s" in found):
            raise InputError(f"'{file}' holds no result of 'ionstride analyze' or of a study; give folders that do")
        rows += found.get("temperatures", [found])
    sizes = {(row["n_ions"], round(row["volume_A3"] / row["n_ions"], 1)) for row in rows}
    if len({round(per_ion, 0) for _, per_ion in sizes}) > 1:
        Screen().warn("the cells differ in volume per ion by more than a little; conductivity takes the first one's")
    settings = TransportSettings(at_K=args.at, charge_e=args.charge)
    fits = [fit for row in rows if (fit := read_fit(row)) is not None]
    charges = [fit for row in rows if (fit := read_fit(row, "charge")) is not None]
    line = through_temperatures(fits, charges, rows[0]["n_ions"], rows[0]["volume_A3"], settings)
    write_json(args.out, line)
    screen = Screen()
    screen.say(f"Ea           {words(line['Ea_eV'], 'eV')}   (95 % interval in brackets)")
    screen.say(f"D({args.at:g} K)     {words(line['D_at_cm2_s'], 'cm²/s')}")
    screen.say(f"sigma({args.at:g} K) {words(line['sigma_at_mS_cm'], 'mS/cm')}   Nernst-Einstein")
    for warning in line["warnings"]:
        screen.warn(warning)
    screen.say(f"written to {args.out}")
    return 0


def _window(text: str | None) -> tuple[float, ...]:
    if not text:
        return ()
    try:
        first, last = (float(v) for v in text.split(":"))
    except ValueError:
        raise InputError(f"--fit-ps {text}, wanted A:B in ps, such as 2:20") from None
    if not 0 <= first < last:
        raise InputError(f"--fit-ps {text}: the first lag must be before the last")
    return (first, last)


def _msd_picture(row: dict[str, Any], out: Path) -> list[str]:
    from . import report
    from .errors import MissingToolError

    try:
        report.save(report.msd_figure([row]), out / "msd.svg")
    except MissingToolError:
        return []
    return ["msd.svg"]


def deck(args: argparse.Namespace) -> int:
    """``ionstride deck``."""
    from . import potential, structure
    from .campaign import choose_layout, write_deck
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
    potential.backend_of(model)
    if study.potential.model_type_map:
        potential.check_elements(cell.symbols, study.potential.model_type_map, model)
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
