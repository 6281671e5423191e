"""Labelled frames: read from files, or made from a structure by a calculator."""

from .calculators import calculator_note
from .compare import compare
from .files import read_frames
from .pool import label
from .sampling import rattled_cells
from .unitcheck import check_units

__all__ = ["calculator_note", "check_units", "compare", "label", "rattled_cells", "read_frames"]
