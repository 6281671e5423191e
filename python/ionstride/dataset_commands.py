"""``ionstride dataset``: import, inspect and split sets of labelled frames."""

import argparse
from pathlib import Path
from typing import Any

from .errors import InputError
from .ui import Screen

IMPORT_EXAMPLES = """\
examples:
  ionstride dataset import run*/vasprun.xml --out set
  ionstride dataset import lips/frames.npz --frame-number lips/time_index.npy --frame-ps 0.002 \\
      --temperature 520 --method 'VASP PBE' --out set
  ionstride dataset import md/lih-pos-1.xyz siesta.out pw.out abacus_run/ frames.extxyz old.db --out set
Read are VASP (vasprun.xml, OUTCAR, ML_AB), SIESTA, CP2K (output, or -pos-, -frc- and .cell files), Quantum ESPRESSO,
ABACUS, extxyz, ASE .traj and .db, DeePMD npy, raw, HDF5 and mixed, .npz, and what else ASE reads; .gz too.  Each file
is a run.  Units, convergence, repeats, method and the sign of virials are checked; `reference.frames = ["set"]`
takes the result.
"""
INSPECT_EXAMPLES = """\
examples:
  ionstride dataset inspect set --out look
  ionstride dataset inspect set --mobile Li --temperature 520 --frame-ps 0.002 --out look
Writes dataset.json and dataset.html: energies, forces, temperatures, volumes, pressures, distances, g(r), coverage,
redundancy, outliers and, where the runs are trajectories, their own MSD and D.
"""
SPLIT_EXAMPLES = """\
examples:
  ionstride dataset split set --by blocks --fraction 0.1 --out parts
  ionstride dataset split set --by run --fraction 0.2 --out parts
  ionstride dataset split set --by temperature --held-out 900 --out parts
Writes the sets parts/train and parts/valid, and split.json with the check for leaks.
"""


def add_parsers(commands: Any, command: Any) -> None:
    """Add ``dataset`` and its commands to the command line.

    Parameters
    ----------
    commands : what `add_subparsers` gave.
    command : (commands, name, text, examples) → parser.
    """
    dataset = command(commands, "dataset", "import, inspect and split sets of labelled frames", "")
    inner = dataset.add_subparsers(dest="action", metavar="ACTION", required=True)

    take = command(inner, "import", "labelled frames from any source into one checked set", IMPORT_EXAMPLES)
    take.add_argument("files", nargs="+", type=Path, metavar="FILE", help="files or folders, each a run")
    take.add_argument("--out", type=Path, required=True, metavar="SET", help="folder of the set")
    take.add_argument("--method", default="", metavar="TEXT", help="code and functional, where the files do not say it")
    take.add_argument("--frame-number", type=Path, metavar="F.npy", help="number of each frame in its run (one source)")
    take.add_argument("--frame-ps", type=float, metavar="X", help="ps between frame numbers, where files do not say it")
    take.add_argument("--temperature", type=float, metavar="K", help="temperature, where files do not say it")

    look = command(inner, "inspect", "what is in a set: numbers, figures, D of its trajectories", INSPECT_EXAMPLES)
    look.add_argument("set", type=Path, metavar="SET", help="a set (or files, which are read as import does)")
    look.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for dataset.json and dataset.html")
    look.add_argument("--mobile", default="Li", metavar="EL", help="element whose MSD is wanted (default Li)")
    look.add_argument(
        "--frame-ps", type=float, metavar="X", help="ps between frame numbers, if the set does not say it"
    )
    look.add_argument(
        "--temperature", type=float, metavar="K", help="temperature of the runs, if the set does not say it"
    )

    part = command(inner, "split", "a set into training and held-out frames, no leak between them", SPLIT_EXAMPLES)
    part.add_argument("set", type=Path, metavar="SET")
    part.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the sets train and valid")
    part.add_argument("--by", choices=("blocks", "run", "temperature"), default="blocks", help="default: blocks")
    part.add_argument("--fraction", type=float, default=0.1, metavar="X", help="part held out (default 0.1)")
    part.add_argument("--blocks", type=int, default=20, metavar="N", help="blocks a run is cut into (default 20)")
    part.add_argument(
        "--gap", type=int, metavar="N", help="frame numbers left out around held-out blocks (default: found)"
    )
    part.add_argument("--held-out", default="", metavar="K,…", help="temperatures held out, for --by temperature")
    part.add_argument("--seed", type=int, default=1, metavar="N", help="of the choice (default 1)")


def run(args: argparse.Namespace) -> int:
    """Run an action of ``ionstride dataset``."""
    actions = {"import": _import, "inspect": _inspect, "split": _split}
    return actions[args.action](args)


def _import(args: argparse.Namespace) -> int:
    from .labels import gather, write_set

    screen = Screen()
    found = gather(
        args.files,
        method=args.method,
        frame_number=args.frame_number,
        frame_ps=args.frame_ps,
        temperature_K=args.temperature,
    )
    about = write_set(found, args.out)
    for name, frames in found.compositions.items():
        runs = len(set(frames.group.tolist()))
        virials = int(frames.has_virial.sum())
        screen.say(f"{name}: {len(frames)} frames of {runs} run(s), {virials} with virials")
    screen.say(f"method: {found.method or 'not said'}")
    for reason, count in found.dropped.items():
        screen.say(f"left out: {count} frame(s): {reason}")
    for name, check in found.checks.items():
        for line in _check_lines(name, check):
            screen.say(line)
    for source in found.sources:
        for note in source.notes:
            screen.warn(f"{source.path}: {note}")
    for name, check in found.checks.items():
        for note in check["notes"]:
            screen.warn(f"{name}: {note}")
    for note in found.notes:
        screen.warn(note)
    screen.say(f'written to {args.out}: {about["n_frames"]} frames; use it as reference.frames = ["{args.out}"]')
    return 0


def _check_lines(name: str, check: dict[str, Any]) -> list[str]:
    """Return what the checks found, in words; long lists of what could not be checked are cut."""
    slopes = [g["slope"] for g in check["groups"].values() if g.get("slope") is not None]
    lines = []
    if slopes:
        span = f"{min(slopes):.3f}" + (f" to {max(slopes):.3f}" if len(slopes) > 1 else "")
        lines.append(f"{name}: units: energy changes by {span} times the work of the forces (1 is right)")
    virial = check["virial"]
    if virial["sign"] not in ("no virials", "not settled"):
        modulus = virial.get("bulk_modulus_GPa")
        lines.append(
            f"{name}: virials have the right sign, by {virial['sign']}"
            + (f"; bulk modulus about {modulus:.3g} GPa" if modulus and modulus > 0 else "")
        )
    left = check["unchecked"]
    lines += [f"{name}: not checked: {text}" for text in left[:4]]
    if len(left) > 4:
        lines.append(f"{name}: … and {len(left) - 4} more (set.json)")
    return lines


def _inspect(args: argparse.Namespace) -> int:
    from .dataset import inspect_set, write_inspection

    screen = Screen()
    found = inspect_set(args.set, mobile=args.mobile, frame_ps=args.frame_ps, temperature_K=args.temperature)
    written = write_inspection(found, args.out)
    for line in found["summary"]:
        screen.say(line)
    screen.say(f"written to {args.out}: {', '.join(written)}")
    return 0


def _split(args: argparse.Namespace) -> int:
    from .dataset import split_set

    try:
        held_out = tuple(float(t) for t in args.held_out.split(",") if t.strip())
    except ValueError:
        raise InputError(f"--held-out '{args.held_out}', wanted temperatures in K, such as 600,900") from None
    screen = Screen()
    found = split_set(
        args.set,
        args.out,
        by=args.by,
        fraction=args.fraction,
        blocks=args.blocks,
        gap=args.gap,
        held_out_K=held_out,
        seed=args.seed,
    )
    for line in found["summary"]:
        screen.say(line)
    return 0
