"""Potentials: Deep Potentials trained and tested, models of the user's own, rigid ions."""

from .checkpoints import checkpoint_key
from .compiled import check_device, compiled_for
from .dataset import Room, neighbours_needed, room_for_neighbours, some_of, split_frames, write_dataset
from .model import backend_of, check_elements, checked_type_map, model_sel, read_type_map
from .quality import errors, force_rmse, predict, predict_with_virial
from .rigid_ions import RIGID_IONS, read_rigid_ions
from .train import (
    BACKENDS,
    Trained,
    check_backend,
    frames_key,
    net_settings,
    read_lcurve,
    train_ensemble,
    train_potential,
)

__all__ = [
    "BACKENDS",
    "RIGID_IONS",
    "Room",
    "Trained",
    "backend_of",
    "check_backend",
    "check_device",
    "check_elements",
    "checked_type_map",
    "checkpoint_key",
    "compiled_for",
    "errors",
    "force_rmse",
    "frames_key",
    "model_sel",
    "neighbours_needed",
    "net_settings",
    "predict",
    "predict_with_virial",
    "read_lcurve",
    "read_rigid_ions",
    "read_type_map",
    "room_for_neighbours",
    "some_of",
    "split_frames",
    "train_ensemble",
    "train_potential",
    "write_dataset",
]
