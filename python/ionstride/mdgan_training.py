"""``ionstride mdgan train`` and ``generate``: their options, and what they do."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import InputError, MissingToolError
from .ui import Screen

TRAIN_EXAMPLES = """\
examples:
  ionstride mdgan train run1.npz run2.npz run3.npz --mobile Li --temperature 1773 --stride 10 --out M
  ionstride mdgan train run1/XDATCAR run2/XDATCAR --mobile Li --temperature 900 --frame-ps 0.002 --stride 10 --out M
  ionstride mdgan train run?.npz --mobile Li --temperature 600 --members 5 --out M     D with the error of the data
  torchrun --nproc-per-node 4 -m ionstride mdgan train … --device cuda --out M         several GPUs
Each TRAJ is a run of its own; the parts of one run have a + between them.  Killed or interrupted, the same command
goes on where it was.
"""
GENERATE_EXAMPLES = """\
examples:
  ionstride mdgan generate M --ions 8192 --records 12800 --out G
  ionstride mdgan generate M --ions 64 --records 100000 --save npz --save dcd --out G
Writes generated.json and msd.csv; the series themselves only with --save.
"""


def add_train(train: argparse.ArgumentParser) -> None:
    """Add the options of ``train`` that are not about reading trajectories."""
    train.add_argument("--stride", type=int, default=1, metavar="N", help="frames a record (see 'mdgan inspect')")
    train.add_argument("--window", type=int, default=128, metavar="L", help="records in a window (default 128)")
    train.add_argument("--out", type=Path, required=True, metavar="M", help="folder of the model")
    how = train.add_argument_group("how to train")
    how.add_argument("--loss", metavar="NAME", help="swd (default), swd+critic, relativistic, wgan-gp, ar-mdn")
    how.add_argument(
        "--steps", type=int, metavar="N",
        help="steps of the generator (default: 2500, or none where the start is as near to the data as the data tell)",
    )  # fmt: skip
    how.add_argument("--batch", type=int, metavar="B", help="generated windows a step")
    how.add_argument("--rate", type=float, metavar="X", help="learning rate at the start")
    how.add_argument("--width", type=int, metavar="N", help="channels of the hidden layers")
    how.add_argument("--seed", type=int, metavar="N", help="of everything random")
    how.add_argument("--ions-together", type=int, metavar="P", help="ions generated as one (default 1)")
    how.add_argument("--validation", metavar="WAY", help="held out: the last 'time' of each run (default), or 'run's")
    how.add_argument("--held-out", type=float, metavar="X", help="part held out (default 0.15)")
    how.add_argument("--no-reverse", action="store_true", help="leave out windows run backwards")
    how.add_argument("--no-calibrate", action="store_true", help="leave the spectrum as trained")
    how.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda")
    how.add_argument("--threads", type=int, metavar="N", help="of the CPU; 0 = all cores")
    how.add_argument("--report-every", type=int, metavar="N", help="steps between looks at the held-out data")
    how.add_argument("--restart", action="store_true", help="throw away an unfinished training in M")
    many = train.add_argument_group("error of D")
    many.add_argument("--members", type=int, default=1, metavar="N", help="train N models on data drawn anew")
    many.add_argument("--no-resample", action="store_true", help="give all members the same data: seeds alone")


def add_generate(generate: argparse.ArgumentParser) -> None:
    """Add the options of ``generate``."""
    generate.add_argument("model", type=Path, metavar="M", help="folder of a trained model")
    generate.add_argument("--ions", type=int, default=8192, metavar="N", help="ions generated (default 8192)")
    generate.add_argument("--records", type=int, default=12800, metavar="N", help="records of each (default 12800)")
    generate.add_argument("--seed", type=int, default=0, metavar="N", help="of the noise")
    generate.add_argument("--save", action="append", default=[], metavar="FORM", help="npz or dcd; may be given twice")
    generate.add_argument("--save-ions", type=int, default=64, metavar="N", help="ions saved (default 64)")
    generate.add_argument("--device", default="cpu", metavar="NAME", help="cpu (default), cuda, auto")
    generate.add_argument("--threads", type=int, default=0, metavar="N", help="of the CPU; 0 = all cores")
    generate.add_argument("--out", type=Path, required=True, metavar="G", help="folder for the results")


def need_torch() -> None:
    """Raise `MissingToolError` before any work if torch is not installed."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingToolError(
            "MD-GAN needs torch, which is not installed; bring it with: pip install 'ionstride[mdgan]'"
        )


def train(args: argparse.Namespace, read: Callable[[argparse.Namespace], Any]) -> int:
    """``ionstride mdgan train``; `read` gives the `Displacements` of the arguments."""
    need_torch()
    from .mdgan.settings import train_settings
    from .stages.asked import notes

    asked = {
        name: getattr(args, name)
        for name in (
            "stride", "window", "loss", "steps", "batch", "rate", "width", "seed", "ions_together", "validation",
            "device", "threads", "report_every",
        )
        if getattr(args, name) is not None
    }  # fmt: skip
    if args.held_out is not None:
        asked["part"] = args.held_out
    settings = train_settings({**asked, "reverse": not args.no_reverse, "calibrate": not args.no_calibrate})
    _check_out(args.out, "checkpoint.pt", "model.json", "ensemble.json")
    data = read(args)
    screen = Screen()
    screen.console.quiet = os.environ.get("RANK", "0") != "0"  # of several processes the first one tells
    for note in notes(data.source):
        screen.warn(note)
    with screen.working():
        if args.members != 1:
            from .mdgan.ensemble import train_ensemble

            found = train_ensemble(
                data,
                settings,
                args.out,
                args.members,
                resample=not args.no_resample,
                screen=screen,
                restart=args.restart,
            )
            screen.say(f"D            {_words(found['D_cm2_s'])}   ({args.members} members: {found['holds']})")
            screen.say(f"-> {args.out}")
            return 0
        from .mdgan.trainer import train as train_model

        model = train_model(data, settings, args.out, screen=screen, restart=args.restart)
    about = model.about
    drift = about["drift"]
    screen.say(
        f"{about['windows_independent']} windows without overlap ({about['windows_overlapping']} in all), "
        f"{about['ion_ps']:g} ion-ps; weights of step {about['chosen_step']}, nearest to the held-out data"
    )
    screen.say(
        f"drift a record over {drift['records']:.2g} records: {_vector(drift['before_A'])} Å, "
        f"after it was subtracted {_vector(drift['after_A'])} Å"
    )
    screen.say(f"-> {args.out}; next: ionstride mdgan generate {args.out} --out G")
    return 0


def generate(args: argparse.Namespace) -> int:
    """``ionstride mdgan generate``."""
    need_torch()
    import torch

    from .checks import check_choice
    from .mdgan.model import load_model
    from .mdgan.rollout import generate as make
    from .mdgan.trainer import pick_device

    check_choice("--device", args.device, ("cpu", "cuda", "auto"))
    for name in ("seed", "threads"):
        if getattr(args, name) < 0:
            raise InputError(f"--{name} {getattr(args, name)}, wanted 0 or more")
    _check_out(args.out, "generated.json")
    if args.threads:
        torch.set_num_threads(args.threads)
    model = load_model(args.model, str(pick_device(args.device)))
    screen = Screen()
    try:
        with screen.working():
            made = make(
                model, args.out, ions=args.ions, records=args.records, seed=args.seed, save=args.save,
                save_ions=args.save_ions, threads=args.threads, screen=screen,
            )  # fmt: skip
    except torch.OutOfMemoryError as error:
        raise InputError("the GPU's memory does not hold the series; take --device cpu") from error
    screen.say(
        f"{args.ions} ions x {args.records} records of {model.dt_ps:g} ps ({args.records * model.dt_ps:g} ps, "
        f"{args.records * model.dt_ps / made['training_ps']:.3g} x the training data), "
        f"{made['ion_records_per_s']:.3g} ion-records/s"
    )
    screen.say(f"D            {_words(made['D_cm2_s'])}   (95 % of the generation alone, not of the training data)")
    drift = made["drift"]
    screen.say(f"drift a record {_vector(drift['before_A'])} Å, after it was subtracted {_vector(drift['after_A'])} Å")
    screen.say(f"-> {args.out}")
    return 0


def _check_out(out: Path, *own: str) -> None:
    """Raise `InputError` if results cannot go to a folder, or it is of something else."""
    from .stages.asked import check_folder, check_writable

    if any((out / name).exists() for name in own):
        check_writable(out)
    else:
        check_folder(out)


def _words(estimate: dict[str, Any]) -> str:
    if estimate["low"] is None:
        return f"{estimate['value']:.3g} cm²/s (no interval)"
    return f"{estimate['value']:.3g} [{estimate['low']:.3g}, {estimate['high']:.3g}] cm²/s"


def _vector(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:.1e}" for value in values) + ")"
