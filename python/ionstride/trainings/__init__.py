"""Many trainings of one kind: error against the number of frames, error against settings and cost."""

from .curve import CurvePlan, learning_curve
from .draws import HeldOut, draw_frames, hold_out, in_order_of
from .grid import check_grid, grid_settings, parse_axis
from .jobs import Training, run_trainings
from .powerlaw import PowerLaw, fit_power_law, frames_needed
from .sweep import compare_settings, sweep

__all__ = [
    "CurvePlan",
    "HeldOut",
    "PowerLaw",
    "Training",
    "check_grid",
    "compare_settings",
    "draw_frames",
    "fit_power_law",
    "frames_needed",
    "grid_settings",
    "hold_out",
    "in_order_of",
    "learning_curve",
    "parse_axis",
    "run_trainings",
    "sweep",
]
