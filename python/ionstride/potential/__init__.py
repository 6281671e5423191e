"""Deep Potentials: data set, training, errors, models of the user's own."""

from .dataset import neighbours_needed, split_frames, write_dataset
from .model import backend_of, check_elements, read_type_map
from .quality import errors, force_rmse, predict
from .train import BACKENDS, Trained, check_backend, read_lcurve, train_potential

__all__ = [
    "BACKENDS",
    "Trained",
    "backend_of",
    "check_backend",
    "check_elements",
    "errors",
    "force_rmse",
    "neighbours_needed",
    "predict",
    "read_lcurve",
    "read_type_map",
    "split_frames",
    "train_potential",
    "write_dataset",
]
