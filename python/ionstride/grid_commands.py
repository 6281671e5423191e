"""``ionstride label plan``, ``run`` and ``collect``: grids of short AIMD runs."""

import argparse
from pathlib import Path
from typing import Any

from .errors import InputError
from .label_words import add_calculator, numbers, say_set, three
from .ui import Screen, time_words

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


def add_parsers(commands: Any, command: Any) -> None:
    """Add the commands of grids to the command line; see `label_commands.add_parsers`."""
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
    add_calculator(plan)

    run = command(commands, "label run", "run a grid of AIMD runs, several at once", RUN_EXAMPLES)
    run.add_argument("grid", type=Path, metavar="GRID", help="folder of the grid, or of one run")
    run.add_argument("--workers", type=int, default=0, metavar="N", help="runs at once (default: one a core)")
    run.add_argument("--threads", type=int, default=1, metavar="N", help="threads of each (default 1)")

    collect = command(commands, "label collect", "the frames of a grid as one set", COLLECT_EXAMPLES)
    collect.add_argument("grid", type=Path, metavar="GRID")
    collect.add_argument("--out", type=Path, required=True, metavar="SET", help="folder of the set")
    collect.add_argument("--every", type=int, default=1, metavar="N", help="every Nth step (default 1)")
    collect.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N steps of each run")


def run(args: argparse.Namespace) -> int:
    """Run ``ionstride label plan``, ``run`` or ``collect``."""
    actions = {"label plan": _plan, "label run": _run, "label collect": _collect}
    return actions[args.command](args)


def _plan(args: argparse.Namespace) -> int:
    from .doping import doped, parse_doping
    from .labels import Protocol, formula, parse_strain, plan_grid, read_settings
    from .settings import load_study
    from .structure import make_supercell, read_structure

    study = load_study(args.study) if args.study else None
    files = list(args.structures)
    repeats = three(args.supercell)
    temperatures = numbers("--temperatures", args.temperatures) if args.temperatures else []
    calculator = args.calculator or "chgnet"
    if study is not None:
        if not files and study.structure.file:
            files = [study.path(study.structure.file)]
        if args.supercell is None:
            repeats = three(",".join(map(str, study.structure.supercell)))
        temperatures = temperatures or list(study.md.temperatures_K)
        calculator = args.calculator or study.reference.calculator
        if study.reference.settings and args.settings is None and calculator == study.reference.calculator:
            args.settings = study.path(study.reference.settings)
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
        volumes=numbers("--volumes", args.volumes),
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
    say_set(screen, gathered, about, args.out)
    return 0
