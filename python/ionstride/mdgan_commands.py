"""``ionstride mdgan inspect`` and ``evaluate``: their options, and what they do."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError, MissingToolError
from .ui import Screen

if TYPE_CHECKING:
    from .records import Displacements

INSPECT_EXAMPLES = """\
examples:
  ionstride mdgan inspect run1.npz run2.npz run3.npz --mobile Li --out look
  ionstride mdgan inspect run1/XDATCAR.gz+run2/XDATCAR.gz --mobile Li --temperature 500 --frame-ps 0.1
  ionstride mdgan inspect traj.lammpstrj --mobile Li --temperature 900 --timestep-ps 0.002 --window 64
Each TRAJ is a run of its own; the parts of one run have a + between them.  Says what stride and window can know D,
and what these data cannot teach any model; writes inspect.json and inspect.svg.
"""
EVALUATE_EXAMPLES = """\
examples:
  ionstride mdgan evaluate M --train run1.npz run2.npz --reference long.npz --mobile Li --out E
  ionstride mdgan evaluate M0 M1 M2 --train run1.npz run2.npz --reference long.npz --mobile Li --out E
  ionstride mdgan evaluate baseline --train run1.npz run2.npz --reference long.npz --mobile Li --stride 10 --out E
Writes evaluation.json and evaluation.html: every quantity against the reference and against baselines without a
network, made from the same training data.  The reference must be of runs that were not trained on; without one it
says what can't be known.  The word 'baseline' for a model, or no model, evaluates the baselines alone.
"""


def add_reading(command: argparse.ArgumentParser) -> None:
    """Add the options about reading trajectories, the same for all commands."""
    command.add_argument("--mobile", required=True, metavar="EL", help="the mobile element")
    command.add_argument("--temperature", type=float, metavar="K", help="of the runs, where the files do not say it")
    files = command.add_argument_group("frames and time")
    files.add_argument("--frame-ps", type=float, metavar="X", help="ps between frames, where the file does not say")
    files.add_argument("--timestep-ps", type=float, metavar="X", help="ps of one MD step (LAMMPS, CP2K, SIESTA)")
    files.add_argument("--start", type=int, metavar="N", help="first frame of each run")
    files.add_argument("--stop", type=int, metavar="N", help="frame of each run to stop before")
    files.add_argument("--topology", type=Path, metavar="F", help="for formats without elements (DCD, XTC) or cell")
    files.add_argument("--types", metavar="Li,P,S", help="elements of LAMMPS types 1, 2, … where the dump has none")
    files.add_argument("--charge", type=float, default=1.0, metavar="E", help="charge of the ion (default 1)")
    files.add_argument(
        "--drift", choices=("framework", "all", "none"), default="framework",
        help="what is held still (default: the atoms of all other elements; ions alone: none)",
    )  # fmt: skip


def read(args: argparse.Namespace, files: list[Path] | None = None) -> "Displacements":
    """Return the paths of the runs that the arguments name.

    Parameters
    ----------
    args : parsed options of `add_reading`, and `files` if none are given here.
    files : the runs.
    """
    from .mdgan.data import read_runs
    from .stages import asked

    if args.temperature is not None:
        asked.check_kelvin("--temperature", args.temperature)
    asked.check_charge(args.charge)
    asked.check_clock(args.frame_ps, args.timestep_ps)
    return read_runs(
        args.files if files is None else files,
        mobile=args.mobile,
        temperature_K=args.temperature,
        charge_e=args.charge,
        drift=args.drift,
        frame_ps=args.frame_ps,
        timestep_ps=args.timestep_ps,
        topology=args.topology,
        types=asked.check_types(args.types.split(",") if args.types else None),
        start=args.start,
        stop=args.stop,
    )


def add_inspect(inspect: argparse.ArgumentParser) -> None:
    """Add the options of ``inspect``."""
    inspect.add_argument("files", nargs="+", type=Path, metavar="TRAJ", help="a run each")
    add_reading(inspect)
    inspect.add_argument("--window", type=int, default=128, metavar="L", help="records in a window (default 128)")
    inspect.add_argument("--strides", metavar="1,2,5", help="strides looked at (default 1,2,5,10,20,50,100)")
    inspect.add_argument("--hop-A", type=float, default=3.0, metavar="X", help="distance of sites (default 3)")
    inspect.add_argument("--out", type=Path, metavar="DIR", help="folder for inspect.json and inspect.svg")


def add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    """Add the options of ``evaluate``."""
    evaluate.add_argument("models", nargs="*", metavar="M", help="folders of trained models; 'baseline' for none")
    evaluate.add_argument("--train", nargs="+", type=Path, required=True, metavar="TRAJ", help="runs trained on")
    evaluate.add_argument("--reference", nargs="+", type=Path, metavar="TRAJ", help="runs no model has seen")
    add_reading(evaluate)
    evaluate.add_argument("--stride", type=int, metavar="N", help="frames a record (default: the model's, or 1)")
    evaluate.add_argument("--window", type=int, metavar="L", help="records in a window (default: the model's, or 128)")
    evaluate.add_argument("--baselines", metavar="A,B", help="line,gaussian,bootstrap,ctrw,shot (default: all)")
    evaluate.add_argument("--ions", type=int, default=1024, metavar="N", help="ions generated of each (default 1024)")
    evaluate.add_argument("--hop-A", type=float, default=3.0, metavar="X", help="distance of sites (default 3)")
    evaluate.add_argument("--seed", type=int, default=1, metavar="N", help="of the evaluation")
    evaluate.add_argument("--device", default="cpu", metavar="NAME", help="of the models: cpu (default), cuda")
    evaluate.add_argument("--out", type=Path, required=True, metavar="E", help="folder for the results")


def inspect(args: argparse.Namespace) -> int:
    """``ionstride mdgan inspect``."""
    from .mdgan import advice
    from .runrecord import write_json
    from .stages import asked

    _check_sizes(args)
    strides = _strides(args.strides)
    if args.out is not None:
        asked.check_folder(args.out)
    data = read(args)
    screen = Screen()
    for note in asked.notes(data.source):
        screen.warn(note)
    found = advice.inspect(data, length=args.window, strides=strides, hop_A=args.hop_A)
    train, D = found["train"], found["D"]
    screen.say(
        f"{train['n_ions']} {train['species']} ions of {train['n_runs']} runs of {train['run_ps']:g} ps at "
        f"{train['temperature_K']:g} K, a frame every {train['frame_ps']:g} ps; drift removed: {train['drift']}"
    )
    if D is not None:
        low, high = (f"{v:.3g}" if v is not None else "-" for v in D["ci95"])
        bound = D["verdict"] != "diffusive"
        number = f"below {high}" if bound else f"{D['value']:.3g} [{low}, {high}]"
        screen.say(f"D {number} cm²/s (95 %) by the MSD of these data: {D['verdict']}")
    screen.say("stride   record   window  cancel-  plateau: D_K over later slope  windows without")
    screen.say("         (ps)     (ps)    lation A                                overlap (in all)")
    for row in found["strides"]:
        word = "seen" if row["plateau_sure"] else "within the error" if row["plateau"] else "not reached"
        screen.say(
            f"{row['stride']:<8} {row['dt_ps']:<8.3g} {row['window_ps']:<7.3g} {_number(row['cancellation']):<8} "
            f"{word:<16} {_percent(row['excess'])} ± {_percent(row['excess_error'])} "
            f"      {row['windows_independent']} ({row['windows_overlapping']})"
        )
    chosen = found["recommended"]
    if chosen is None:
        screen.say("no stride is recommended")
    else:
        screen.say(f"recommended: --stride {chosen['stride']} --window {chosen['length']}")
    for reason in found["reasons"]:
        screen.say(f"  {reason}")
    screen.say("what these data cannot teach:")
    for reason in found["cannot"]:
        screen.say(f"  {reason}")
    if args.out is not None:
        write_json(args.out / "inspect.json", {**found, **_provenance(args.files)})
        written = [str(args.out / "inspect.json")]
        try:
            from . import report

            written.append(str(report.save(report.plateau_figure(found), args.out / "inspect.svg")))
        except MissingToolError:
            pass
        screen.say(f"written to {', '.join(written)}")
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """``ionstride mdgan evaluate``."""
    from .mdgan import baselines
    from .mdgan.data import overlap
    from .mdgan.quality import evaluate as judge
    from .runrecord import write_json
    from .stages import asked

    _check_sizes(args)
    asked.check_folder(args.out)
    only = tuple(args.baselines.split(",")) if args.baselines else baselines.BASELINES
    for name in only:
        from .checks import check_choice

        check_choice("--baselines", name, baselines.BASELINES)
    models = _models(args)
    train = read(args, args.train)
    reference = None
    if args.reference:
        same = overlap(args.train, args.reference)
        if same is not None:
            raise InputError(
                f"the reference '{same}' is also trained on, so it cannot judge; give runs that no model has seen"
            )
        reference = read(args, args.reference)
        _check_unseen(models, reference)
    length, stride = _sizes(args, models, train)
    screen = Screen()
    for note in [*asked.notes(train.source), *(asked.notes(reference.source) if reference is not None else [])]:
        screen.warn(note)
    with screen.working():
        found = judge(
            train, reference, models, length=length, stride=stride, only=only, ions=args.ions, hop_A=args.hop_A,
            seed=args.seed, tell=lambda what, done, of: screen.news("evaluation", done, of, what),
        )  # fmt: skip
    found.update(_provenance([*args.train, *(args.reference or [])]))
    found["models_from"] = [str(name) for name in args.models]
    for line in [*found["verdicts"], *(f"Not known: {text}" for text in found["unknown"])]:
        screen.say(line)
    written = ["evaluation.json"]
    try:
        from . import report

        written.append(report.write_evaluation_page(found, args.out).name)
    except MissingToolError:
        pass
    write_json(args.out / "evaluation.json", found)  # last: where it is, all is
    screen.say(f"written to {args.out}: {', '.join(written)}")
    return 0


def _models(args: argparse.Namespace) -> list[Any]:
    folders = [Path(name) for name in args.models if name != "baseline"]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"the model '{folder}' is not there; give the folder that 'ionstride mdgan train' made")
    if not folders:
        return []
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingToolError(
            "MD-GAN needs torch, which is not installed; bring it with: pip install 'ionstride[mdgan]'"
        )
    from .checks import check_choice
    from .mdgan.model import load_model
    from .mdgan.trainer import pick_device

    check_choice("--device", args.device, ("cpu", "cuda", "auto"))
    device = str(pick_device(args.device))
    models: list[Any] = []
    for folder in folders:
        model = load_model(folder, device)
        if len(folders) > 1:
            model.name = f"{model.name} {folder.name}"
        if model.name in [other.name for other in models]:
            raise InputError(f"two of the models are called '{model.name}'; give folders of different names")
        models.append(model)
    return models


def _check_unseen(models: list[Any], reference: "Displacements") -> None:
    """Raise `InputError` if a model was trained on ions of the reference."""
    from .mdgan.data import fingerprints

    known = set(fingerprints(reference))
    for model in models:
        seen = known.intersection(model.about.get("ions_seen", ()))
        if seen:
            raise InputError(
                f"the {model.name} was trained on {len(seen)} of the {len(known)} ions of the reference, which cannot "
                "judge it; give runs that no model has seen"
            )


def _sizes(args: argparse.Namespace, models: list[Any], train: "Displacements") -> tuple[int, int]:
    """Return length and stride of the windows: as asked for, or as the models were trained with."""
    from .mdgan.windows import frame_ps_of

    if not models:
        return args.window or 128, args.stride or 1
    about = models[0].about
    if abs(about["temperature_K"] - train.temperature_K) > 1e-6 * train.temperature_K:
        raise InputError(
            f"the model was trained at {about['temperature_K']:g} K, and these training data are at "
            f"{train.temperature_K:g} K; give the trajectories it was trained on"
        )
    if about["species"] != train.species[0]:
        raise InputError(f"the model makes {about['species']}, and --mobile is {train.species[0]}")
    frame_ps = frame_ps_of(train)
    return args.window or int(about["settings"]["window"]), args.stride or max(1, round(models[0].dt_ps / frame_ps))


def _check_sizes(args: argparse.Namespace) -> None:
    for name in ("window", "stride", "ions", "hop_A"):
        value = getattr(args, name, None)
        if value is not None and not value > 0:
            raise InputError(f"--{name.replace('_', '-')} {value:g}, wanted above zero")
    if getattr(args, "seed", 0) < 0:
        raise InputError(f"--seed {args.seed}, wanted 0 or more")
    if args.window is not None and args.window < 16:
        raise InputError(f"--window {args.window}, wanted 16 records or more")


def _strides(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        found = tuple(sorted({int(word) for word in text.split(",")}))
    except ValueError:
        found = (0,)
    if found[0] < 1:
        raise InputError(f"--strides '{text}', wanted whole numbers of frames, such as 1,2,5,10")
    return found


def _provenance(files: list[Path]) -> dict[str, Any]:
    from .mdgan.data import PARTS
    from .runrecord import command_line, tree_hash, versions

    parts = [part for file in files for part in str(file).split(PARTS)]
    return {
        "inputs": {part: tree_hash(Path(part)) for part in parts},
        "versions": versions(),
        "command": command_line(),
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.0f} %"
