"""``ionstride learning-curve`` and ``ionstride sweep``: many trainings, one table."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError, MissingToolError
from .presets import ROUNDS_PRESET
from .ui import Screen

if TYPE_CHECKING:
    from .records import LabelledFrames
    from .trainings import HeldOut

CURVE_EXAMPLES = """\
examples:
  ionstride learning-curve set --sizes 50,100,200,400,800 --draws 3 --steps 4000 --target-force 60 --out curve
  ionstride learning-curve lips/frames.npz --frame-number lips/time_index.npy --sizes 50,200,800 --out curve
  ionstride learning-curve initial iteration_[012] --test iteration_3 --sizes 50,100,200,400,800,1500 --out curve
  ionstride learning-curve set --sizes 50,100,200 --set potential.neuron=[25,50,100] --out curve
  ionstride learning-curve set --sizes 100,400,800 --md-ps 100 --md-K 600 --md-set md.timestep_fs=2 --out curve    and D
Errors are those on one fixed set of frames that no training sees: --test, or whole runs or blocks of time held out of
FRAMES.  Writes curve.json, curve.html and figures.  Run again after a crash, or with further sizes: finished trainings
are kept, begun ones go on.
"""
SWEEP_EXAMPLES = """\
examples:
  ionstride sweep set --grid potential.descriptor=se_e2_a,se_e2_a+se_e3,se_atten_v2 --seeds 3 --steps 20000 --out sweep
  ionstride sweep set --grid potential.neuron=[8,16,32],[25,50,100] --grid potential.fitting=[50,50],[240,240,240] \\
      --steps 10000 --out sizes
  ionstride sweep set --test last --grid potential.rcut_A=5,6,7 --set potential.precision=float64 --out cutoffs
Every combination of the values is trained with every seed on the same frames.  Writes sweep.json, sweep.html and
figures: errors by force error, cost of an evaluation, and which choices cannot be told from the best.
"""


def add_parsers(commands: Any, command: Any) -> None:
    """Add both commands to the command line.

    Parameters
    ----------
    commands : what `add_subparsers` gave.
    command : (commands, name, text, examples) → parser.
    """
    curve = command(commands, "learning-curve", "error of a potential against the number of frames", CURVE_EXAMPLES)
    _frames(curve)
    curve.add_argument("--sizes", default="50,100,200,400,800", metavar="N,…", help="frames a training is given")
    curve.add_argument("--draws", type=int, default=3, metavar="N", help="independent draws a size (default 3)")
    curve.add_argument(
        "--target-force", type=float, metavar="X", help="force error wanted, meV/Å: frames needed for it"
    )
    curve.add_argument("--target-energy", type=float, metavar="X", help="energy error wanted, meV/atom")
    md = curve.add_argument_group("D against the number of frames (optional: MD with every potential)")
    md.add_argument("--md-ps", type=float, metavar="X", help="length of the MD of each potential, ps")
    md.add_argument("--md-K", type=float, metavar="K", help="its temperature")
    md.add_argument("--mobile", default="Li", metavar="EL", help="element whose D is wanted (default Li)")
    md.add_argument("--md-set", action="append", default=[], metavar="KEY=VALUE", help="such as md.timestep_fs=2")
    grid = command(commands, "sweep", "errors and cost of potentials over a grid of settings", SWEEP_EXAMPLES)
    _frames(grid)
    grid.add_argument(
        "--grid", action="append", default=[], metavar="KEY=V,V", help="a setting and its values, such as "
        "potential.rcut_A=5,6; lists in brackets",
    )  # fmt: skip
    grid.add_argument("--seeds", type=int, default=2, metavar="N", help="trainings a choice (default 2)")


def _frames(parser: argparse.ArgumentParser) -> None:
    """Add what both commands take."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FRAMES", help="a set, or files of labelled frames")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for trainings and results")
    parser.add_argument("--test", nargs="+", type=Path, default=[], metavar="FRAMES", help="frames to test on")
    parser.add_argument("--test-fraction", type=float, default=0.2, metavar="X", help="else held out (default 0.2)")
    parser.add_argument("--gap", type=int, metavar="N", help="frame numbers left out around blocks (default: found)")
    parser.add_argument("--frame-number", type=Path, metavar="F.npy", help="number of each frame in its run")
    parser.add_argument("--steps", type=int, metavar="N", help="training steps (default: potential.steps)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of [potential]")
    parser.add_argument(
        "--preset", default=ROUNDS_PRESET, metavar="NAME", help="preset of the net and its training (default fast)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of choice, draws and trainings (default 1)")
    parser.add_argument("--cores", type=int, default=0, metavar="N", help="trainings at once; 0 = one a core")


def run(args: argparse.Namespace) -> int:
    """Run ``ionstride learning-curve`` or ``ionstride sweep``."""
    return _curve(args) if args.command == "learning-curve" else _sweep(args)


def _curve(args: argparse.Namespace) -> int:
    from . import training_md, trainings
    from .runrecord import lock_folder
    from .settings import as_dict, load_study
    from .trainings.curve import planned
    from .trainings.grid import check_fresh

    settings = load_study(None, _fixed(args)).potential
    check_fresh(settings)
    training_md.check_md(args)
    targets = {"force": args.target_force, "energy": args.target_energy}
    for name, target in targets.items():
        if target is not None and not 0.0 < target < float("inf"):
            raise InputError(f"--target-{name} {target:g}, wanted an error above zero")
    plan = trainings.CurvePlan(
        _sizes(args.sizes), args.draws, args.seed, {k: v for k, v in targets.items() if v is not None}
    )
    _check(args)
    screen = Screen()
    parts, leak = _parts(args)
    planned(plan, parts, settings)  # what cannot be made is refused before anything is
    _tell(screen, parts, leak)
    with lock_folder(args.out):
        with screen.working():
            found = trainings.learning_curve(
                parts, plan, settings, args.out, cores=_cores(args), say=screen.say,
                progress=lambda done, of, text: screen.news("training steps", done, of, text),
            )  # fmt: skip
        if args.md_ps is not None:
            training_md.run_md(args, found["rows"], screen)
            found |= {"md_ps": args.md_ps, "md_K": args.md_K, "mobile": args.mobile}
    found |= {"settings": as_dict(settings), "notes": _leak_notes(leak) + found["notes"], **_about(args, parts, leak)}
    _write(screen, args.out, "curve", found)
    for line in [*curve_lines(found), *(training_md.md_lines(found) if args.md_ps is not None else [])]:
        screen.say(line)
    return 0


def curve_lines(found: dict[str, Any]) -> list[str]:
    """Return table and fits of a learning curve for the screen."""
    lines = ["frames   force (meV/Å)     energy (meV/atom)   on its own training frames (meV/Å)"]
    for row in found["by_size"]:
        lines.append(
            f"{row['size']:>6}   {_spread(row['force_test']):<17} {_spread(row['energy_test'], 2):<19} "
            f"{_spread(row['force_train'])}"
        )
    for name, fit in found["fits"].items():
        if fit["why"]:
            lines.append(f"{name}: no power law: {fit['why']}")
            continue
        a, b, c = ("{value:.3g} [{ci95[0]:.3g}, {ci95[1]:.3g}]".format(**fit[k]) for k in "abc")
        if fit["falls"]:
            lines.append(f"{name}: error = a N^-b + c, a {a}, b {b}, floor c {c} {fit['unit']} (95 %)")
        else:
            mean = "{value:.3g} [{ci95[0]:.3g}, {ci95[1]:.3g}]".format(**fit["mean"])
            lines.append(f"{name}: the error does not fall with the number of frames: {mean} {fit['unit']} throughout")
        if fit["target"]:
            lines.append(f"{name} error of {fit['target']['error']:g} {fit['unit']}: {fit['target']['words']}")
    return lines


def _sweep(args: argparse.Namespace) -> int:
    from . import trainings
    from .runrecord import lock_folder

    choices = trainings.grid_settings([trainings.parse_axis(text) for text in args.grid], _fixed(args))
    if args.seeds < 1:
        raise InputError(f"--seeds {args.seeds}, wanted one or more")
    _check(args)
    screen = Screen()
    parts, leak = _parts(args)
    _tell(screen, parts, leak)
    with lock_folder(args.out), screen.working():
        found = trainings.sweep(
            parts, choices, args.seeds, args.seed, args.out, cores=_cores(args), say=screen.say,
            progress=lambda done, of, text: screen.news("training steps", done, of, text),
        )  # fmt: skip
    from .settings import as_dict

    found |= {
        "settings": as_dict(choices[0][1]),
        "varied": list(choices[0][0]),
        "notes": _leak_notes(leak),
        **_about(args, parts, leak),
    }
    _write(screen, args.out, "sweep", found)
    for line in sweep_lines(found):
        screen.say(line)
    return 0


def sweep_lines(found: dict[str, Any]) -> list[str]:
    """Return the table of a sweep for the screen."""
    width = max(len(row["label"]) for row in found["choices"])
    lines = [
        f"{'settings':<{width}}   weights   force (meV/Å)     energy (meV/atom)   training (s)   atom-evaluations/s"
    ]
    for row in found["choices"]:
        alike = {True: "", False: "   not told from the best", None: ""}[row["told_from_best"]]
        speed = f"{row['atom_evaluations_per_s']:.0f}" if row["atom_evaluations_per_s"] else "–"
        lines.append(
            f"{row['label']:<{width}}   {row['weights'] or '–':>7}   {_spread(row['force_test']):<17} "
            f"{_spread(row['energy_test'], 2):<19} {row['train_s']:<14.0f} {speed}{alike}"
        )
    return [*lines, found["verdict"]["words"]]


def _spread(value: dict[str, Any], digits: int = 1) -> str:
    text = f"{value['mean']:.{digits}f}"
    return text if value["std"] is None else f"{text} ± {value['std']:.{digits}f}"


def _fixed(args: argparse.Namespace) -> list[str]:
    """Return the overrides of the settings of a potential."""
    for text in args.set:
        if not text.strip().startswith("potential."):
            raise InputError(f"--set {text}: wanted a setting of [potential], such as potential.rcut_A=7")
    if args.steps is not None and args.steps < 1:
        raise InputError(f"--steps {args.steps}, wanted one or more")
    return [
        f"potential.preset={args.preset}",
        *args.set,
        *([f"potential.steps={args.steps}"] if args.steps is not None else []),
    ]


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(",") if word.strip())
    except ValueError:
        raise InputError(f"--sizes '{text}', wanted whole numbers, such as 50,100,200") from None


def _check(args: argparse.Namespace) -> None:
    from .stages.asked import check_folder

    if args.seed < 0:
        raise InputError(f"--seed {args.seed}, wanted zero or more")
    if args.cores < 0:
        raise InputError(f"--cores {args.cores}, wanted 0 (all) or more")
    if args.gap is not None and args.gap < 0:
        raise InputError(f"--gap {args.gap}, wanted zero or more")
    check_folder(args.out)


def _cores(args: argparse.Namespace) -> int:
    from .runrecord import cores

    return min(args.cores, cores()) if args.cores else cores()


def _parts(args: argparse.Namespace) -> "tuple[HeldOut, dict[str, Any]]":
    """Return the frames to test on and to train on, and how near they come to each other."""
    from . import labels, trainings
    from .dataset.splitting import check_leak, memory_gap
    from .trainings.curve import check_one_composition

    frames = check_one_composition(labels.read_compositions(args.files, frame_number=args.frame_number))
    if args.test:
        if args.gap is not None:
            raise InputError("--gap parts blocks of FRAMES; with --test nothing is held out of them")
        test = check_one_composition(labels.read_compositions(args.test))
        if test.method and frames.method and test.method != frames.method:
            raise InputError(f"--test holds frames by {test.method}, FRAMES are by {frames.method}")
        test = trainings.in_order_of(test, frames.symbols)
        parts = trainings.HeldOut(test, frames, f"given: {', '.join(map(str, args.test))}")
        alone = _another_run(test)
    else:
        gap_of: Callable[[LabelledFrames], int] = memory_gap if args.gap is None else lambda _: args.gap
        parts = trainings.hold_out(frames, args.test_fraction, args.seed, gap_of)
        alone = parts.test
    leak = check_leak({"": parts.pool}, {"": alone})
    if args.test and leak["copies"] == leak["compared"]:
        raise InputError("the frames of --test are (nearly) all among FRAMES; give frames that are not trained on")
    return parts, leak


def _another_run(test: "LabelledFrames") -> "LabelledFrames":
    """Return frames as of other runs than any other: their frame numbers are not those of the training frames."""
    from dataclasses import replace

    return replace(test, group=test.group - int(test.group.max()) - 1)


def _tell(screen: Screen, parts: "HeldOut", leak: dict[str, Any]) -> None:
    near = leak["nearest_rms_A"]
    distance = f"; nearest training frame {near['min']:.3f} Å (rms) away, median {near['median']:.3f} Å" if near else ""
    left = f", {parts.left_out} left out between them" if parts.left_out else ""
    screen.say(f"test on {len(parts.test)} frames ({parts.rule}){distance}")
    screen.say(f"{len(parts.pool)} frames to train on{left}")
    for note in _leak_notes(leak):
        screen.warn(note)


def _leak_notes(leak: dict[str, Any]) -> list[str]:
    if not leak["copies"]:
        return []
    return [
        f"{leak['copies']} of {leak['compared']} tested frames have a training frame within 0.05 Å (rms): the errors "
        "on them say little; give --test, or a larger --gap."
    ]


def _about(args: argparse.Namespace, parts: "HeldOut", leak: dict[str, Any]) -> dict[str, Any]:
    """Return where the numbers come from."""
    from . import labels
    from .runrecord import command_line, machine, tree_hash, versions

    return {
        "formula": labels.formula(parts.pool.symbols),
        "method": parts.pool.method,
        "leak": leak,
        "seed": args.seed,
        "inputs": {str(path): tree_hash(path) for path in [*args.files, *args.test]},
        "command": command_line(),
        "machine": machine(),
        "versions": versions(),
    }


def _write(screen: Screen, out: Path, kind: str, found: dict[str, Any]) -> None:
    """Write JSON, figures and page."""
    from . import report
    from .runrecord import write_json

    write_json(out / f"{kind}.json", found)
    written = [f"{kind}.json"]
    try:
        written += report.write_trainings_page(kind, found, out)
    except MissingToolError as error:
        screen.warn(str(error))
    screen.say(f"written to {out}: {', '.join(written)}")
