"""Potentials: Deep Potentials trained and tested, models of the user's own, rigid ions."""

from .dataset import neighbours_needed, split_frames, write_dataset
from .model import backend_of, check_elements, read_type_map
from .quality import errors, force_rmse, predict
from .rigid_ions import RIGID_IONS, read_rigid_ions
from .train import BACKENDS, Trained, check_backend, frames_key, read_lcurve, train_potential

__all__ = [
    "BACKENDS",
    "RIGID_IONS",
    "Trained",
    "backend_of",
    "check_backend",
    "check_elements",
    "errors",
    "force_rmse",
    "frames_key",
    "neighbours_needed",
    "predict",
    "read_lcurve",
    "read_rigid_ions",
    "read_type_map",
    "split_frames",
    "train_potential",
    "write_dataset",
]
