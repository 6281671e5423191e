"""Labelled frames: read from files, or made from a structure by a calculator."""

from .calculators import calculator_identity, calculator_note, check_calculator, read_settings
from .compare import compare
from .files import formula, read_compositions, read_frames
from .gather import Gathered, Source, gather
from .grid import JOB_FILE, Protocol, parse_strain, plan_grid
from .grid_collect import collect_grid
from .grid_run import run_grid
from .kinds import SET_FILE, folder_of_set
from .labelled import Cells, Labelled, label_set, write_code_inputs
from .md import run_job
from .pool import label, label_cells
from .sampling import rattled_cells
from .setfile import load_set, read_about, write_set
from .unitcheck import check_units, vibration_temperature

__all__ = [
    "JOB_FILE",
    "SET_FILE",
    "Cells",
    "Gathered",
    "Labelled",
    "Protocol",
    "Source",
    "calculator_identity",
    "calculator_note",
    "check_calculator",
    "check_units",
    "collect_grid",
    "compare",
    "folder_of_set",
    "formula",
    "gather",
    "label",
    "label_cells",
    "label_set",
    "load_set",
    "parse_strain",
    "plan_grid",
    "rattled_cells",
    "read_about",
    "read_compositions",
    "read_frames",
    "read_settings",
    "run_grid",
    "run_job",
    "vibration_temperature",
    "write_code_inputs",
    "write_set",
]
