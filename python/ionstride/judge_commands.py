"""``ionstride judge``: a potential judged for diffusion, against the reference's own numbers."""

import argparse
import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from .errors import InputError, MissingToolError
from .label_words import add_calculator
from .ui import Screen

EXAMPLES = """\
examples:
  ionstride judge lips-out --frame-step-ps 0.002 --out judged         a study: its potential, frames and MD
  ionstride judge model.pb --frames frames.npz --frame-number numbers.npy --frame-step-ps 0.002 --mobile Li \\
      --temperature 520 --md lips-out/md --out judged
  ionstride judge a.pb b.pb c.pb --frames set --mobile Li --temperature 600 --md runs/600K_r0 --out judged
  ionstride judge lgps-out --reference XDATCAR --frame-ps 0.1 --temperature 600 --out judged
  ionstride judge lgps-out --label-md 16 --out judged         label frames of its MD: was MD right where it went?
Looked at are errors, geometries with large errors, g(r), D of MD against the reference's own, the barriers of hops as
potential and reference see them on the same frames, frames of MD labelled afterwards, disagreement of an ensemble,
drift at constant energy, intactness.
A part that the data cannot tell says why.  Writes judge.json, judge.html and figures.
"""
_FIGURES = ("judge.html", "judge_msd.svg", "judge_barrier.svg", "judge_rdf.svg", "judge_residual.svg")


def add_parser(commands: Any, command: Any) -> None:
    """Add ``judge`` to the command line.

    Parameters
    ----------
    commands : what `add_subparsers` gave.
    command : (commands, name, text, examples) → parser.
    """
    judge = command(commands, "judge", "a potential judged for diffusion, not by its force error alone", EXAMPLES)
    judge.add_argument(
        "subject", nargs="+", type=Path, metavar="STUDY-OUT|MODEL", help="a study's folder, or frozen models (ensemble)"
    )
    judge.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for judge.json and judge.html")
    frames = judge.add_argument_group("labelled frames (with models; a study has its own)")
    frames.add_argument("--frames", nargs="+", type=Path, default=[], metavar="FRAMES", help="sets or files")
    frames.add_argument("--frame-number", type=Path, metavar="F.npy", help="number of each frame (one source)")
    frames.add_argument(
        "--frame-step-ps", type=float, metavar="X", help="ps between frame numbers, where the frames do not say it"
    )
    frames.add_argument(
        "--valid-fraction", type=float, metavar="X",
        help="the frames are those of training, of which `ionstride run` held out this part",
    )  # fmt: skip
    frames.add_argument("--seed", type=int, default=1, metavar="N", help="seed of that training (default 1)")
    physics = judge.add_argument_group("motion")
    physics.add_argument("--mobile", metavar="EL", help="the mobile element (a study says it)")
    physics.add_argument("--temperature", type=float, metavar="K", help="temperature of the reference")
    physics.add_argument(
        "--md",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="runs of MD, or a study's md folder",
    )
    physics.add_argument(
        "--reference", nargs="+", type=Path, default=[], metavar="TRAJ",
        help="trajectory of the reference method, parts in order, in place of the frames in order of time",
    )  # fmt: skip
    physics.add_argument("--frame-ps", type=float, metavar="X", help="ps between its frames, where it does not say")
    physics.add_argument(
        "--timestep-ps", type=float, metavar="X", help="ps of one of its MD steps, where it says steps"
    )
    physics.add_argument("--types", metavar="Li,P,S", help="elements of its LAMMPS types, where the dump has none")
    after = judge.add_argument_group("frames of MD labelled afterwards")
    after.add_argument(
        "--label-md",
        type=int,
        default=0,
        metavar="N",
        help="label N frames of the MD, drawn evenly; kept in DIR/labels",
    )
    add_calculator(after, "the study's")
    after.add_argument(
        "--fresh", nargs="+", type=Path, default=[], metavar="FRAMES", help="... or sets or files of such frames"
    )
    more = judge.add_argument_group("runs made for it")
    more.add_argument("--nve-ps", type=float, default=2.0, metavar="X", help="at constant energy; 0 = none (default 2)")
    more.add_argument("--lmp", default="lmp", metavar="PROGRAM", help="the LAMMPS program")
    more.add_argument("--threads", type=int, default=0, metavar="N", help="0 = all cores")


def run(args: argparse.Namespace) -> int:
    """Run ``ionstride judge``."""
    from .judge import How, judge, reference_given
    from .runrecord import command_line, cores
    from .stages import asked

    if args.temperature is not None:
        asked.check_kelvin("--temperature", args.temperature)
    for option, value in (("--frame-step-ps", args.frame_step_ps), ("--frame-ps", args.frame_ps)):
        if value is not None and not 0.0 < value < float("inf"):
            raise InputError(f"{option} {value:g}, wanted a time above zero")
    if args.seed < 0:
        raise InputError(f"--seed {args.seed}, wanted 0 or more")
    if not 0.0 <= args.nve_ps <= 1000.0:
        raise InputError(f"--nve-ps {args.nve_ps:g}, wanted a time from 0 (none) to 1000 ps")
    if args.label_md < 0 or (args.label_md and args.fresh):
        raise InputError(
            f"--label-md {args.label_md}, wanted a number of frames"
            if args.label_md < 0
            else "--label-md and --fresh are both given: label frames here, or give labelled ones"
        )
    asked.check_clock(args.frame_ps, args.timestep_ps)
    asked.check_folder(args.out)
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="ionstride-judge-") as place:
        scratch = Path(place)
        subject = _subject(args, scratch)
        if args.reference:
            kelvin = subject.temperature_K
            if kelvin is None:
                raise InputError("the temperature of the --reference trajectory is not known: give --temperature")
            given = reference_given(
                args.reference,
                temperature_K=kelvin,
                mobile=subject.mobile,
                frame_ps=args.frame_ps,
                timestep_ps=args.timestep_ps,
                types=asked.check_types(args.types.split(",") if args.types else None),
            )
            subject = replace(subject, series=given)
        labelled = _labelled(args, subject, screen)
        with screen.working():
            how = How(scratch, screen, args.threads or cores(), nve_ps=args.nve_ps, lmp=args.lmp)
            found = judge(subject, how, labelled)
    found["command"] = command_line()
    written = write(found, args.out)
    for part, text in found["verdicts"].items():
        screen.say(f"{part}: {text}")
    for note in found["notes"]:
        screen.warn(note)
    screen.say(f"written to {args.out}: {', '.join(written)}")
    return 0


def _subject(args: argparse.Namespace, scratch: Path) -> Any:
    from .judge import from_files, from_study

    first = args.subject[0]
    if not first.exists():
        raise InputError(f"'{first}' is not there; give a study's folder or a frozen model")
    if first.is_dir() and first.suffix != ".savedmodel":
        if len(args.subject) > 1 or args.frames or args.md:
            raise InputError(
                f"'{first}' is a study's folder, which has its own models, frames and MD; give models instead of it "
                "with --frames and --md"
            )
        return from_study(
            first, scratch, mobile=args.mobile, temperature_K=args.temperature, frame_ps=args.frame_step_ps
        )
    missing = [
        option
        for option, value in (("--frames", args.frames), ("--mobile", args.mobile), ("--temperature", args.temperature))
        if not value
    ]
    if missing:
        raise InputError(f"a model is judged on labelled frames: give {', '.join(missing)}")
    return from_files(
        args.subject,
        args.frames,
        scratch,
        mobile=args.mobile,
        temperature_K=args.temperature,
        frame_number=args.frame_number,
        frame_ps=args.frame_step_ps,
        md_folders=args.md,
        valid_fraction=args.valid_fraction,
        seed=args.seed,
    )


def _labelled(args: argparse.Namespace, subject: Any, screen: Screen) -> Any:
    """Return the frames of MD with labels of the reference, made here or given; None if neither was asked for."""
    from . import labels
    from .judge import fresh_of, pick

    if args.fresh:
        return fresh_of(labels.gather(args.fresh), {})
    if not args.label_md:
        return None
    calculator, settings = _calculator(args)
    with screen.working():
        found = labels.label_set(
            pick(subject.md, args.label_md),
            calculator,
            cache=args.out / "labels",
            settings=settings,
            workers=args.threads,
            progress=lambda done, of: screen.news("label frames of MD", done, of),
        )
    for failure in found.failures[:10]:
        screen.warn(f"no label: frame {failure['frame_number']} of {failure['source']}: {failure['reason']}")
    labels.write_set(found.gathered, args.out / "labelled")
    screen.say(f"           the labelled frames are kept as a set: {args.out / 'labelled'}")
    return fresh_of(found.gathered, {run.id: run.temperature_K for run in subject.md})


def _calculator(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Return the calculator and its settings: as asked for, else the study's own."""
    from .labels import read_settings
    from .runrecord import read_json

    of_study = ((read_json(args.subject[0] / "study.json") or {}).get("settings") or {}).get("reference") or {}
    calculator = args.calculator
    if calculator is None:
        if not of_study or of_study.get("frames"):
            raise InputError(
                "--label-md: the labelled frames were given, so what labels as they do is not known; give --calculator"
            )
        calculator = of_study["calculator"]
        if of_study.get("settings") and args.settings is None:
            raise InputError(
                f"the study's {calculator} had settings of its own: give --settings {of_study['settings']}"
            )
    return calculator, read_settings(calculator, args.settings)


def write(found: dict[str, Any], out: Path) -> list[str]:
    """Write ``judge.json`` last and, where matplotlib is installed, figures and ``judge.html``; return their names."""
    from . import report
    from .runrecord import write_json

    out.mkdir(parents=True, exist_ok=True)
    for name in (*_FIGURES, "judge.json"):  # of an earlier judgement: none may stand beside the numbers of this one
        (out / name).unlink(missing_ok=True)
    written = []
    with contextlib.suppress(MissingToolError):
        for name, figure, _ in report.judge_figures(found):
            written.append(report.save(figure, out / f"judge_{name}.svg").name)
        written.append(report.write_judge_page(found, out).name)
    write_json(out / "judge.json", found)
    return [*written, "judge.json"]
