"""``ionstride label``: labels from a calculator, and grids of short AIMD runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import grid_commands
from .errors import InputError
from .label_words import add_calculator, say_set, three
from .ui import Screen

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
    add_calculator(label)
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

    grid_commands.add_parsers(commands, command)


def run(args: argparse.Namespace) -> int:
    """Run ``ionstride label`` or one of its kin."""
    return _label(args) if args.command == "label" else grid_commands.run(args)


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
    say_set(screen, found.gathered, about, args.out)
    return 0


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    if not ordered:
        return {}
    return {"median": ordered[len(ordered) // 2], "least": ordered[0], "most": ordered[-1], "sum": sum(ordered)}


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
    repeats = three(args.supercell)
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
