"""``ionstride label``: labels from a calculator, and grids of short AIMD runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import InputError
from .ui import Screen, time_words

LABEL_EXAMPLES = """\
examples:
  ionstride label frames.extxyz --calculator chgnet --workers 4 --out set
  ionstride label Li3PS4.cif --rattle 100 --strain 0.03 --calculator chgnet --out set
  ionstride label --print-settings cp2k > my_cp2k.toml
  ionstride label Li2S.vasp --rattle 30 --calculator cp2k --settings my_cp2k.toml --workers 2 --out set
  ionstride label frames.extxyz --calculator vasp --write-inputs inputs      write INCAR, KPOINTS, POSCAR, run nothing
  ionstride label frames.extxyz --calculator my_module:my_function --out set
  ionstride label plan Li3PS4.vasp --dope S:O:1 --temperatures 600,900 --volumes 0.97,1.03 --out grid
  ionstride label run grid --workers 4
  ionstride label collect grid --out set
Labels are kept in SET.labels as they come: run the same command again after a crash, and it goes on.
"""
PLAN_EXAMPLES = """\
examples:
  ionstride label plan Li3PS4.vasp --supercell 1,1,2 --dope S:O:1 --temperatures 600,900 --volumes 0.97,1.03 \\
      --steps 2000 --timestep-fs 2 --calculator cp2k --settings my_cp2k.toml --out grid
  ionstride label plan --study study.toml --volumes 0.96,1,1.04 --strain xx=0.02 --strain xy=0.02 --out grid
Every temperature with every cell of every composition: independent runs, each in a folder with all that it needs.
"""
RUN_EXAMPLES = """\
examples:
  ionstride label run grid --workers 4        all runs that are not done, four at once
  sh grid/jobs/Li3PS4_600K_v1.000/run.sh      one of them, anywhere
"""
COLLECT_EXAMPLES = """\
examples:
  ionstride label collect grid --skip 100 --every 5 --out set
Each run becomes a group of the set, its MD steps the frame numbers.  Runs may still be going on.
"""
SAMPLING = ("supercell", "every", "at_most", "rattle", "rattle_A", "strain")
WORDS = ("plan", "run", "collect")


def joined(argv: Sequence[str]) -> list[str]:
    """Return the arguments with ``label plan`` and its like as one word; a file called plan is given as ./plan."""
    if len(argv) > 1 and argv[0] == "label" and argv[1] in WORDS:
        return [f"label {argv[1]}", *argv[2:]]
    return list(argv)


def add_parsers(commands: Any, command: Any) -> None:
    """Add ``label`` and its kin to the command line.

    Parameters
    ----------
    commands : what `add_subparsers` gave.
    command : (commands, name, text, examples) → parser.
    """
    label = command(commands, "label", "label cells with a calculator: CHGNet, CP2K, VASP, ...", LABEL_EXAMPLES)
    label.add_argument("structures", nargs="*", type=Path, metavar="STRUCTURE", help="files of cells, or a set")
    label.add_argument("--out", type=Path, metavar="SET", help="folder of the set")
    _calculator(label)
    label.add_argument("--workers", type=int, default=0, metavar="N", help="processes (default: one a core)")
    label.add_argument("--threads", type=int, default=1, metavar="N", help="threads of each (default 1)")
    label.add_argument("--cache", type=Path, metavar="DIR", help="where labels are kept (default SET.labels)")
    choice = label.add_argument_group("which cells")
    choice.add_argument("--supercell", metavar="A,B,C", help="repeat along a, b, c first")
    choice.add_argument("--every", type=int, default=1, metavar="N", help="every Nth frame of a file")
    choice.add_argument("--at-most", type=int, metavar="N", help="so many frames of a file, evenly chosen")
    choice.add_argument("--rattle", type=int, default=0, metavar="N", help="N rattled and strained copies of each cell")
    choice.add_argument("--rattle-A", type=float, default=0.12, metavar="X", help="largest rattle, Å (default 0.12)")
    choice.add_argument("--strain", type=float, default=0.03, metavar="X", help="largest strain (default 0.03)")
    choice.add_argument("--seed", type=int, default=1, metavar="N", help="of rattles and of the calculator (default 1)")
    other = label.add_argument_group("instead of labelling")
    other.add_argument("--print-settings", metavar="CODE", help="print documented settings of cp2k, vasp, ...")
    other.add_argument("--write-inputs", type=Path, metavar="DIR", help="write the code's inputs, a folder a cell")

    plan = command(commands, "label plan", "plan a grid of short AIMD runs", PLAN_EXAMPLES)
    plan.add_argument("structures", nargs="*", type=Path, metavar="STRUCTURE", help="a composition each")
    plan.add_argument("--study", type=Path, metavar="STUDY.toml", help="structure, temperatures, calculator of a study")
    plan.add_argument("--out", type=Path, required=True, metavar="GRID", help="folder of the grid")
    plan.add_argument("--temperatures", metavar="K,...", help="temperatures")
    plan.add_argument("--volumes", default="1", metavar="X,...", help="factors on the volume (default 1)")
    plan.add_argument("--strain", action="append", default=[], metavar="xx=0.02", help="a strained cell more; repeat")
    plan.add_argument("--dope", action="append", default=[], metavar="S:O:1", help="a doped composition more; repeat")
    plan.add_argument("--supercell", metavar="A,B,C", help="repeat along a, b, c before doping")
    plan.add_argument("--steps", type=int, default=1000, metavar="N", help="MD steps of a run (default 1000)")
    plan.add_argument("--timestep-fs", type=float, default=1.0, metavar="X", help="(default 1)")
    plan.add_argument("--thermostat", default="langevin", metavar="NAME", help="langevin (default) or nve")
    plan.add_argument("--friction-per-ps", type=float, default=10.0, metavar="X", help="of Langevin (default 10)")
    plan.add_argument(
        "--start-factor", type=float, default=2.0, metavar="X", help="first velocities at X times T (default 2)"
    )
    plan.add_argument("--seed", type=int, default=1, metavar="N", help="of doping, velocities, noise (default 1)")
    _calculator(plan)

    run = command(commands, "label run", "run a grid of AIMD runs, several at once", RUN_EXAMPLES)
    run.add_argument("grid", type=Path, metavar="GRID", help="folder of the grid, or of one run")
    run.add_argument("--workers", type=int, default=0, metavar="N", help="runs at once (default: one a core)")
    run.add_argument("--threads", type=int, default=1, metavar="N", help="threads of each (default 1)")

    collect = command(commands, "label collect", "the frames of a grid as one set", COLLECT_EXAMPLES)
    collect.add_argument("grid", type=Path, metavar="GRID")
    collect.add_argument("--out", type=Path, required=True, metavar="SET", help="folder of the set")
    collect.add_argument("--every", type=int, default=1, metavar="N", help="every Nth step (default 1)")
    collect.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N steps of each run")


def _calculator(parser: Any) -> None:
    parser.add_argument(
        "--calculator", metavar="NAME", help="chgnet (default), cp2k, vasp, siesta, espresso or module:function"
    )
    parser.add_argument(
        "--settings", type=Path, metavar="F.toml", help="changes to a code's settings, or a function's arguments"
    )


def run(args: argparse.Namespace) -> int:
    """Run ``ionstride label`` or one of its kin."""
    actions = {"label": _label, "label plan": _plan, "label run": _run, "label collect": _collect}
    return actions[args.command](args)


def _label(args: argparse.Namespace) -> int:
    from .labels import label_set, read_settings, write_code_inputs, write_set
    from .labels.codes import code_defaults_text
    from .runrecord import write_json

    if args.print_settings:
        print(code_defaults_text(args.print_settings), end="")
        return 0
    calculator = args.calculator or "chgnet"
    settings = read_settings(calculator, args.settings)
    sources = _cells(args)
    screen = Screen()
    if args.write_inputs:
        made = write_code_inputs(sources, calculator, args.write_inputs, settings)
        screen.say(f"written to {args.write_inputs}: inputs of {len(made)} cells; read the outputs with dataset import")
        return 0
    if args.out is None:
        raise InputError("--out SET is wanted, the folder of the labelled set")
    cache = args.cache or args.out.with_name(f"{args.out.name}.labels")
    with screen.working():
        found = label_set(
            sources,
            calculator,
            cache=cache,
            settings=settings,
            workers=args.workers,
            threads_per_worker=args.threads,
            seed=args.seed,
            progress=lambda done, of: screen.news("labels", done, of),
        )
    write_json(cache / "failed.json", list(found.failures))
    about = write_set(
        found.gathered,
        args.out,
        {
            "label": {
                "calculator": calculator,
                "settings": settings,
                "sampling": {name: getattr(args, name) for name in SAMPLING},
                "seed": args.seed,
                "seconds_per_frame": _spread(found.seconds),
                "failed": list(found.failures),
            }
        },
    )  # fmt: skip
    for failure in found.failures[:10]:
        screen.warn(f"no label: frame {failure['frame_number']} of {failure['source']}: {failure['reason']}")
    if len(found.failures) > 10:
        screen.warn(f"... and {len(found.failures) - 10} more without label: {cache / 'failed.json'}")
    if found.seconds:
        spread = _spread(found.seconds)
        screen.say(f"a label took {spread['median']:.3g} s (median; {spread['least']:.3g} to {spread['most']:.3g})")
    _say_set(screen, found.gathered, about, args.out)
    return 0


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    if not ordered:
        return {}
    return {"median": ordered[len(ordered) // 2], "least": ordered[0], "most": ordered[-1], "sum": sum(ordered)}


def _say_set(screen: Screen, gathered: Any, about: dict[str, Any], out: Path) -> None:
    screen.say(f"method: {gathered.method}")
    for name, check in gathered.checks.items():
        slopes = [g["slope"] for g in check["groups"].values() if g.get("slope") is not None]
        if slopes:
            said = f"{min(slopes):.3f}" + (f" to {max(slopes):.3f}" if len(slopes) > 1 else "")
            screen.say(f"{name}: the energy changes by {said} times the work of the forces (1 is right)")
        for note in check["notes"]:
            screen.warn(f"{name}: {note}")
    screen.say(f'written to {out}: {about["n_frames"]} frames; use it as reference.frames = ["{out}"]')


def _cells(args: argparse.Namespace) -> Any:
    """Return the cells to label, by source."""
    import numpy as np

    from .labels import Cells, rattled_cells
    from .runrecord import tree_hash
    from .structure import make_supercell

    if not args.structures:
        raise InputError("no structures to label were given, wanted files of cells or a set")
    if args.every < 1 or (args.at_most is not None and args.at_most < 1):
        raise InputError("--every and --at-most, wanted whole numbers from 1")
    repeats = _three(args.supercell)
    sources = []
    for file in args.structures:
        cells = _read(file)
        chosen = np.arange(0, len(cells), args.every)
        if args.at_most is not None and args.at_most < len(chosen):
            chosen = chosen[np.linspace(0, len(chosen) - 1, args.at_most).round().astype(int)]
        taken = [make_supercell(cells[k], repeats) for k in chosen]
        numbers = [int(k) for k in chosen]
        notes = []
        if args.rattle:
            taken = [c for one in taken for c in rattled_cells(one, args.rattle, args.rattle_A, args.strain, args.seed)]
            numbers = list(range(len(taken)))
            notes.append(
                f"{args.rattle} copies of each of {len(chosen)} cell(s), rattled by up to {args.rattle_A:g} Å and "
                f"strained by up to {args.strain:g}, seed {args.seed}"
            )
        sources.append(Cells(str(file), tree_hash(file), tuple(taken), tuple(numbers), tuple(notes)))
    return sources


def _read(file: Path) -> Any:
    from .labels import read_frames
    from .records import Structure
    from .structure import read_structures

    if not file.is_dir():
        return read_structures(file)
    frames = read_frames([file])
    return [Structure(frames.symbols, frames.positions_A[k], frames.cell_A[k]) for k in range(len(frames))]


def _three(text: str | None) -> tuple[int, int, int]:
    if text is None:
        return 1, 1, 1
    try:
        a, b, c = (int(word) for word in text.split(","))
    except ValueError:
        raise InputError(f"--supercell {text}, wanted three whole numbers, such as 2,2,1") from None
    return a, b, c


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise InputError(f"{option} {text}, wanted numbers with commas, such as 0.97,1,1.03") from None


def _plan(args: argparse.Namespace) -> int:
    from .doping import doped, parse_doping
    from .labels import Protocol, formula, parse_strain, plan_grid, read_settings
    from .settings import load_study
    from .structure import make_supercell, read_structure

    study = load_study(args.study) if args.study else None
    files = list(args.structures)
    repeats = _three(args.supercell)
    temperatures = _numbers("--temperatures", args.temperatures) if args.temperatures else []
    calculator = args.calculator or "chgnet"
    if study is not None:
        if not files and study.structure.file:
            files = [study.path(study.structure.file)]
        if args.supercell is None:
            repeats = _three(",".join(map(str, study.structure.supercell)))
        temperatures = temperatures or list(study.md.temperatures_K)
        calculator = args.calculator or study.reference.calculator
    if not files:
        raise InputError("no structures were given, wanted files of cells, or --study with structure.file")
    if not temperatures:
        raise InputError("no temperatures were given, wanted --temperatures 600,900 or --study")
    compositions: dict[str, Any] = {}
    for file in files:
        pure = make_supercell(read_structure(file), repeats)
        for cell in [pure, *(doped(pure, parse_doping(text), args.seed) for text in args.dope)]:
            name = formula(cell.symbols)
            if name in compositions:
                name = f"{name}-{file.stem}"
            if name in compositions:
                raise InputError(f"two compositions are both called {name}: give each once")
            compositions[name] = cell
    screen = Screen()
    names = plan_grid(
        compositions,
        args.out,
        temperatures_K=temperatures,
        volumes=_numbers("--volumes", args.volumes),
        strains=dict(parse_strain(text) for text in args.strain),
        calculator=calculator,
        settings=read_settings(calculator, args.settings),
        protocol=Protocol(
            args.steps, args.timestep_fs, args.thermostat, args.friction_per_ps, args.start_factor
        ),
        seed=args.seed,
    )  # fmt: skip
    for name, cell in compositions.items():
        screen.say(f"{name}: {len(cell.symbols)} atoms, {cell.volume_A3:.1f} Å³")
    screen.say(
        f"written to {args.out}: {len(names)} runs of {args.steps} steps; run them: ionstride label run {args.out}"
    )
    return 0


def _run(args: argparse.Namespace) -> int:
    from .labels import JOB_FILE, run_grid, run_job

    screen = Screen()
    if (args.grid / JOB_FILE).is_file():
        reason = run_job(args.grid)
        screen.say(f"stopped: {reason}" if reason else "done")
        return 2 if reason else 0
    with screen.working():
        failures = run_grid(
            args.grid,
            workers=args.workers,
            threads=args.threads,
            progress=lambda done, of: screen.news("MD steps", done, of),
        )
    for name, reason in failures.items():
        screen.warn(f"{name} stopped: {reason}")
    what = f"{len(failures)} run(s) stopped, the others are done" if failures else "all runs are done"
    screen.say(f"{what}; collect the frames: ionstride label collect {args.grid} --out SET")
    return 2 if failures else 0


def _collect(args: argparse.Namespace) -> int:
    from .labels import collect_grid, write_set

    screen = Screen()
    gathered, runs = collect_grid(args.grid, every=args.every, skip=args.skip)
    about = write_set(gathered, args.out, {"grid": {"runs": runs, "every": args.every, "skip": args.skip}})
    for entry in runs:
        pace = f", {time_words(entry['seconds_per_step'])} a step" if (entry["seconds_per_step"] or 0) >= 1 else ""
        screen.say(f"{entry['name']}: {entry['frames']} frames, {entry['state']}{pace}")
    _say_set(screen, gathered, about, args.out)
    return 0
