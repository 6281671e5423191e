"""The house: imports go down only, and importing the package stays cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "python" / "ionstride"
FOUNDATIONS = {
    "errors", "units", "checks", "records", "results", "accumulated", "settings", "runrecord", "store", "process",
    "geometry", "reference", "ui", "presets", "together", "_kernels", "__init__", "",
}  # fmt: skip
ROOMS = {"structure", "labels", "potential", "deck", "campaign", "trajectory", "transport", "mechanism", "doping"}
LEVEL = {
    **dict.fromkeys(FOUNDATIONS, 0),
    **dict.fromkeys(ROOMS, 1),
    "learning": 2,
    "mdgan": 2,
    "trainings": 2,
    "report": 2,
    "judge": 3,
    "stages": 3,
    "study": 4,
    "doctor": 4,
    "analyze": 4,
    "dataset": 4,
    "dataset_commands": 5,
    "judge_commands": 6,
    "label_words": 5,
    "grid_commands": 6,
    "label_commands": 7,
    "commands": 5,
    "mdgan_commands": 5,
    "mdgan_training": 5,
    "training_md": 5,
    "training_commands": 6,
    "cli": 8,
    "__main__": 9,
}


def room_of(path: Path) -> str:
    """The top-level module or folder a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_rooms(source: str, depth: int) -> set[str]:
    """Rooms that a file imports; `depth` is how many folders below the package it lies."""
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == depth + 1:
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            rooms |= {name if name != "__version__" else "" for name in names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith("ionstride"):
            parts = (node.module or "").split(".")
            rooms.add(parts[1] if len(parts) > 1 else "")
    return rooms


def wrong_arrows(room: str, imported: set[str]) -> list[str]:
    """Arrows that go up or sideways; the foundations and rooms of one level keep apart."""
    return [
        f"{room} -> {other}"
        for other in sorted(imported)
        if other != room and (LEVEL[other] > LEVEL[room] or (LEVEL[other] == LEVEL[room] > 0))
    ]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    """A room that reaches up or sideways ties the house into a knot."""
    depth = len(path.relative_to(PACKAGE).parts) - 1
    assert wrong_arrows(room_of(path), imported_rooms(path.read_text(), depth)) == []


def test_a_wrong_arrow_is_seen():
    """The check itself must be able to fail."""
    assert wrong_arrows("transport", imported_rooms("from ..deck import render_deck", 1)) == ["transport -> deck"]
    assert wrong_arrows("records", imported_rooms("from . import study", 0)) == ["records -> study"]


HEAVY = ("torch", "tensorflow", "deepmd", "MDAnalysis", "ase", "scipy", "matplotlib", "rich", "jinja2", "chgnet")


@pytest.mark.parametrize(
    "module", ["ionstride", "ionstride.cli", "ionstride.records", "ionstride.settings", "ionstride.mdgan"]
)
def test_importing_is_cheap(module):
    """A heavy import at start-up makes every command, --help included, take seconds."""
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
