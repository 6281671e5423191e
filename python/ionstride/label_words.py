"""What the commands of ``ionstride label`` share: options, their reading, and what is said of a set."""

from pathlib import Path
from typing import Any

from .errors import InputError
from .ui import Screen


def add_calculator(parser: Any, default: str = "chgnet") -> None:
    """Add ``--calculator`` and ``--settings`` to a parser; `default` is what is taken if it is not given, in words."""
    parser.add_argument(
        "--calculator",
        metavar="NAME",
        help=f"chgnet, cp2k, vasp, siesta, espresso or module:function (default: {default})",
    )
    parser.add_argument(
        "--settings", type=Path, metavar="F.toml", help="changes to a code's settings, or a function's arguments"
    )


def say_set(screen: Screen, gathered: Any, about: dict[str, Any], out: Path) -> None:
    """Print method, units and notes of a set, and where it was written."""
    screen.say(f"method: {gathered.method}")
    for name, check in gathered.checks.items():
        slopes = [g["slope"] for g in check["groups"].values() if g.get("slope") is not None]
        if slopes:
            said = f"{min(slopes):.3f}" + (f" to {max(slopes):.3f}" if len(slopes) > 1 else "")
            screen.say(f"{name}: the energy changes by {said} times the work of the forces (1 is right)")
        for note in check["notes"]:
            screen.warn(f"{name}: {note}")
    screen.say(f'written to {out}: {about["n_frames"]} frames; use it as reference.frames = ["{out}"]')


def three(text: str | None) -> tuple[int, int, int]:
    """Read ``--supercell``; (1, 1, 1) if it was not given."""
    if text is None:
        return 1, 1, 1
    try:
        a, b, c = (int(word) for word in text.split(","))
    except ValueError:
        raise InputError(f"--supercell {text}, wanted three whole numbers, such as 2,2,1") from None
    return a, b, c


def numbers(option: str, text: str) -> list[float]:
    """Read numbers with commas between them."""
    try:
        return [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise InputError(f"{option} {text}, wanted numbers with commas, such as 0.97,1,1.03") from None
