"""D against the number of frames: MD with each potential of a learning curve, each a study of its own."""

import argparse
import json
from pathlib import Path
from typing import Any

from .errors import InputError, PhysicsError
from .settings import Study, load_study
from .ui import Screen


def md_study(args: argparse.Namespace, model: Path, name: str) -> Study:
    """Return the study that runs MD with one potential of a learning curve.

    Parameters
    ----------
    args : of ``ionstride learning-curve``.
    model : the potential.
    name : of the study.
    """
    frames = json.dumps([str(file.absolute()) for file in args.files])
    number = [f"reference.frame_number={json.dumps(str(args.frame_number.absolute()))}"] if args.frame_number else []
    return load_study(
        None,
        [
            f"name={json.dumps(name)}",
            f"seed={args.seed}",
            f"cores={args.cores}",
            f"reference.frames={frames}",
            *number,
            f"structure.mobile={json.dumps(args.mobile)}",
            f"potential.model={json.dumps(str(model.absolute()))}",
            f"md.temperatures_K=[{args.md_K}]",
            f"md.production_ps={args.md_ps}",
            *(text for text in args.md_set),
        ],
    )


def check_md(args: argparse.Namespace) -> None:
    """Raise `InputError` if MD is wanted that cannot be run, before anything is trained."""
    if args.md_ps is None:
        if args.md_K is not None or args.md_set:
            raise InputError("--md-K and --md-set go with --md-ps, the length of the MD of each potential")
        return
    if args.md_K is None:
        raise InputError("--md-ps wants the temperature too: --md-K 600")
    for text in args.md_set:
        if not text.strip().startswith(("md.", "transport.", "structure.")):
            raise InputError(f"--md-set {text}: wanted a setting of [md], [transport] or [structure]")
    from .deck import check_md as check_settings

    check_settings(md_study(args, Path("model.pb"), "check").md)


def run_md(args: argparse.Namespace, rows: list[dict[str, Any]], screen: Screen) -> None:
    """Run MD with the potential of every row, and put its D there as ``md``; what is finished is kept.

    A potential whose runs do not stay in order has no D: ``md`` then says why.
    """
    from .study import run_study

    for row in rows:
        place = Path(row["folder"])
        study = md_study(args, place / row["model"], f"curve-{place.name}")
        out = args.out / "md" / place.name
        screen.say(f"MD with {row['name']}, in {out}")
        try:
            results = run_study(study, out, screen=screen)
        except PhysicsError as error:
            row["md"] = {"D_self_cm2_s": None, "verdict": "", "why": str(error)}
            continue
        told = results["transport"]["temperatures"][0]
        row["md"] = {"D_self_cm2_s": told["D_self_cm2_s"], "verdict": told["verdict"], "why": ""}


def md_lines(found: dict[str, Any]) -> list[str]:
    """Return D by number of frames for the screen."""
    from .stages.analysis import words

    lines = [f"D of {found['mobile']} in MD of {found['md_ps']:g} ps at {found['md_K']:g} K (95 % in brackets):"]
    for row in found["rows"]:
        told = row["md"]
        bound = told["verdict"] != "diffusive"
        said = told["why"] or f"{words(told['D_self_cm2_s'], 'cm²/s', bound)}   {told['verdict']}"
        lines.append(f"{row['name']:>24}   {said}")
    return lines
