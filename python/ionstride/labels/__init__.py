"""Labelled frames: read from files, or made from a structure by a calculator."""

from .calculators import calculator_note
from .compare import compare
from .files import formula, read_compositions, read_frames
from .gather import Gathered, Source, gather
from .kinds import SET_FILE
from .pool import label
from .sampling import rattled_cells
from .setfile import load_set, read_about, write_set
from .unitcheck import check_units, vibration_temperature

__all__ = [
    "SET_FILE",
    "Gathered",
    "Source",
    "calculator_note",
    "check_units",
    "compare",
    "formula",
    "gather",
    "label",
    "load_set",
    "rattled_cells",
    "read_about",
    "read_compositions",
    "read_frames",
    "vibration_temperature",
    "write_set",
]
