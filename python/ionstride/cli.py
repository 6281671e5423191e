"""The command line: every wrong input ends in one sentence and exit code 2."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from . import __version__, dataset_commands, judge_commands, label_commands, training_commands
from .errors import IonstrideError
from .settings import STAGES

RUN_EXAMPLES = """\
examples:
  ionstride run study.toml                          everything, into <name>-out/
  ionstride run study.toml --set md.production_ps=50 --set md.temperatures_K=[600,800]
  ionstride run study.toml --until potential        train, look at potential/quality.json, go on later
  ionstride run study.toml --from md                redo MD and what follows
  ionstride run study.toml --dry-run                what would be redone
  ionstride run --print-defaults > study.toml       all settings, explained
Run again after a crash or a change: only what changed is redone.
"""
ANALYZE_EXAMPLES = """\
examples:
  ionstride analyze production.*.lammpstrj --mobile Li --temperature 800 --timestep-ps 0.001 --out a
  ionstride analyze run1/XDATCAR.gz run2/XDATCAR.gz --mobile Li --temperature 500 --frame-ps 0.1 --out a
  ionstride analyze vasprun.xml --mobile Li --temperature 900 --mechanism --out a
  ionstride analyze seed1.dump --replica seed2.dump --replica seed3.dump --mobile Na --temperature 700 \\
      --timestep-ps 0.002 --fit-ps 5:50 --out a
  ionstride analyze traj.dcd --topology data.lammps --types Li,P,S --frame-ps 0.1 --mobile Li --temperature 600 --out a
  ionstride analyze huge.lammpstrj --memory-GB 1 --mobile Li --temperature 600 --timestep-ps 0.001 --out a
Several files are the parts of one run, in order; --replica adds a further run.  Read are LAMMPS dumps (also .gz, .zst),
XDATCAR, vasprun.xml, OUTCAR, SIESTA output, CP2K xyz + cell, extxyz, ASE .traj, DeePMD npy, .npz and what MDAnalysis
reads.  Writes transport.json, msd.csv, figures and analysis.html.
"""
ARRHENIUS_EXAMPLES = """\
examples:
  ionstride arrhenius 600K 750K 900K --at 300 --out arrhenius.json
  ionstride arrhenius lgps-out/transport --at 350 --out at350.json
Each DIR holds a transport.json, of 'ionstride analyze' or of a study.
"""
DECK_EXAMPLES = """\
examples:
  ionstride deck study.toml --model model.pb --out decks     write all runs, start none
  cd decks/600K_r0 && bash run.sh                            or: sbatch run.sh
"""
COMPARE_EXAMPLES = """\
examples:
  ionstride compare lgps_dft_frames --calculator chgnet --frames 100
How soft or hard a calculator's forces are against those of labelled frames: slope and RMSE.
"""


class Parser(argparse.ArgumentParser):
    """A parser that says in one sentence what is wrong, without pages of usage before it."""

    def error(self, message: str) -> NoReturn:
        """Print the sentence and exit with 2."""
        if message.startswith("unrecognized arguments") and " -" not in message:
            message += " (lists have commas and no blanks, such as --types Li,P,S)"
        print(f"ionstride: {message}; see '{self.prog} --help'", file=sys.stderr)
        raise SystemExit(2)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = Parser(
        prog="ionstride",
        description="From picoseconds of first-principles data to ion diffusion, conductivity and activation energy.",
    )
    top.add_argument("--version", action="version", version=f"ionstride {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    run = _command(commands, "run", "run a study from one file, end to end", RUN_EXAMPLES)
    run.add_argument("study", nargs="?", type=Path, metavar="STUDY.toml", help="the study file")
    run.add_argument("--out", type=Path, metavar="DIR", help="its folder (default: NAME-out)")
    run.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting, e.g. md.replicas=4"
    )
    run.add_argument("--from", dest="first", default="", metavar="STAGE", help=f"redo from: {', '.join(STAGES)}")
    run.add_argument("--until", dest="last", default="", metavar="STAGE", help="stop after a stage")
    run.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    run.add_argument("--print-defaults", action="store_true", help="print all settings with their meaning, and stop")

    analyze = _command(commands, "analyze", "D and conductivity from trajectories alone", ANALYZE_EXAMPLES)
    analyze.add_argument("files", nargs="+", type=Path, metavar="TRAJ", help="the parts of one run, in order")
    analyze.add_argument("--mobile", required=True, metavar="EL", help="the mobile element")
    analyze.add_argument("--temperature", required=True, type=float, metavar="K", help="temperature of the run")
    analyze.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    time = analyze.add_argument_group("frames and time")
    time.add_argument("--frame-ps", type=float, metavar="X", help="ps between frames, where the file does not say")
    time.add_argument("--timestep-ps", type=float, metavar="X", help="ps of one MD step (LAMMPS, CP2K, SIESTA)")
    time.add_argument("--start", type=int, metavar="N", help="first frame")
    time.add_argument("--stop", type=int, metavar="N", help="frame to stop before")
    time.add_argument("--stride", type=int, default=1, metavar="N", help="every Nth frame")
    time.add_argument(
        "--replica", nargs="+", action="append", default=[], type=Path, metavar="TRAJ",
        help="a further run of the same cell and temperature; may be given several times",
    )  # fmt: skip
    atoms = analyze.add_argument_group("atoms and cell")
    atoms.add_argument("--topology", type=Path, metavar="F", help="for formats without elements (DCD, XTC) or cell")
    atoms.add_argument("--types", metavar="Li,P,S", help="elements of LAMMPS types 1, 2, … where the dump has none")
    atoms.add_argument("--charge", type=float, default=1.0, metavar="E", help="charge of the ion (default 1)")
    atoms.add_argument(
        "--unwrap", choices=("auto", "minimum-image", "given", "tor", "lattice"), default="auto",
        help="auto: as the file says, else minimum-image steps of fractional coordinates x mean cell",
    )  # fmt: skip
    atoms.add_argument(
        "--drift", choices=("framework", "all", "none"), default="framework",
        help="what is held still (default: the atoms of all other elements; ions alone: none)",
    )  # fmt: skip
    fit = analyze.add_argument_group("analysis")
    fit.add_argument("--fit-ps", metavar="A:B", help="first and last lag of the fit in ps (default: found)")
    fit.add_argument("--lags", default="auto", metavar="L", help="lags of the curves in frames: auto, all, or 1,2,5,10")
    fit.add_argument("--cross", metavar="EL,…", help="collective motion of other elements against the ion's too")
    fit.add_argument("--mechanism", action="store_true", help="also g(r), density, sites, jumps, vibration")
    fit.add_argument("--threads", type=int, default=0, metavar="N", help="0 = all cores")
    fit.add_argument("--memory-GB", type=float, metavar="X", help="stream what needs more (default: 80 %% of the free)")

    arrhenius = _command(commands, "arrhenius", "activation energy from several temperatures", ARRHENIUS_EXAMPLES)
    arrhenius.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="folders with a transport.json")
    arrhenius.add_argument("--at", type=float, default=300.0, metavar="K", help="extrapolate to (default 300)")
    arrhenius.add_argument("--charge", type=float, metavar="E", help="charge of the ion (default: as analysed)")
    arrhenius.add_argument("--out", type=Path, required=True, metavar="FILE.json")

    deck = _command(commands, "deck", "write LAMMPS decks without running them", DECK_EXAMPLES)
    deck.add_argument("study", type=Path, metavar="STUDY.toml")
    deck.add_argument(
        "--model", type=Path, metavar="FILE", help="frozen potential (default: the study's potential.model)"
    )
    deck.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    deck.add_argument("--out", type=Path, required=True, metavar="DIR")

    compare = _command(commands, "compare", "a calculator's forces against labelled frames", COMPARE_EXAMPLES)
    compare.add_argument("files", nargs="+", type=Path, metavar="FRAMES", help="DeePMD npy folder, extxyz, .npz")
    compare.add_argument("--calculator", default="chgnet", metavar="NAME", help="'chgnet' or 'module:function'")
    compare.add_argument("--frames", type=int, default=100, metavar="N", help="frames used, evenly chosen")

    dataset_commands.add_parsers(commands, _command)
    label_commands.add_parsers(commands, _command)
    training_commands.add_parsers(commands, _command)
    judge_commands.add_parser(commands, _command)

    _mdgan(commands)
    _command(commands, "doctor", "what is installed, what runs, what is missing", "")
    return top


def _mdgan(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add ``mdgan`` and what it can do."""
    from . import mdgan_commands as mdgan

    top = _command(commands, "mdgan", "long ion trajectories from short ones, with evidence", "")
    parts: argparse._SubParsersAction[Parser] = top.add_subparsers(
        dest="part", metavar="PART", required=True, parser_class=Parser
    )
    mdgan.add_inspect(
        _command(parts, "inspect", "what the data can teach, before any training", mdgan.INSPECT_EXAMPLES)
    )
    mdgan.add_evaluate(_command(parts, "evaluate", "models against reference and baselines", mdgan.EVALUATE_EXAMPLES))
    from . import mdgan_training as training

    train = _command(parts, "train", "a generator on short trajectories", training.TRAIN_EXAMPLES)
    train.add_argument("files", nargs="+", type=Path, metavar="TRAJ", help="a run each")
    mdgan.add_reading(train)
    training.add_train(train)
    training.add_generate(
        _command(parts, "generate", "long series and their statistics from a model", training.GENERATE_EXAMPLES)
    )


def _command(
    commands: "argparse._SubParsersAction[Parser]", name: str, text: str, examples: str
) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return 0, 2 for an error of input, 130 when interrupted.

    Parameters
    ----------
    argv : arguments without the program's name; those of the process by default.
    """
    top = parser()
    args = top.parse_args(label_commands.joined(sys.argv[1:] if argv is None else argv))
    if args.command is None:
        top.print_help()
        return 2
    warnings.formatwarning = lambda message, *_, **__: f"ionstride: note: {message}\n"
    try:
        return _dispatch(args)
    except IonstrideError as error:
        print(f"ionstride: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ionstride: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno is None:
            raise
        what = f" '{error.filename}'" if error.filename else ""
        kept = "finished stages are kept" if args.command == "run" else "give another path, or see to its permissions"
        print(f"ionstride: {error.strerror}{what}; {kept}", file=sys.stderr)
        return 2


def _dispatch(args: argparse.Namespace) -> int:
    from . import commands

    if args.command == "dataset":
        return dataset_commands.run(args)
    if args.command.startswith("label"):
        return label_commands.run(args)
    if args.command in ("learning-curve", "sweep"):
        return training_commands.run(args)
    if args.command == "judge":
        return judge_commands.run(args)
    if args.command == "run":
        return commands.run(args)
    if args.command == "analyze":
        return commands.analyze(args)
    if args.command == "arrhenius":
        return commands.arrhenius(args)
    if args.command == "deck":
        return commands.deck(args)
    if args.command == "compare":
        return commands.compare(args)
    if args.command == "mdgan":
        from . import mdgan_commands, mdgan_training

        if args.part == "train":
            return mdgan_training.train(args, mdgan_commands.read)
        if args.part == "generate":
            return mdgan_training.generate(args)
        return {"inspect": mdgan_commands.inspect, "evaluate": mdgan_commands.evaluate}[args.part](args)
    from .doctor import doctor

    return doctor()
