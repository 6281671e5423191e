"""Records on disk: exact, whole or not at all, and the same bytes for the same record."""

from pathlib import Path
from typing import Any

import numpy as np

from .errors import FormatError
from .records import LabelledFrames, Structure
from .runrecord import atomic_path, read_json, write_json


def save_structure(structure: Structure, path: Path) -> None:
    """Write a structure as JSON with every digit."""
    write_json(
        path,
        {
            "symbols": list(structure.symbols),
            "positions_A": structure.positions_A.tolist(),
            "cell_A": structure.cell_A.tolist(),
        },
    )


def load_structure(path: Path) -> Structure:
    """Read what `save_structure` wrote."""
    data = read_json(path)
    if not data:
        raise FormatError(path, "is not a structure written by IonStride")
    return Structure(tuple(data["symbols"]), np.array(data["positions_A"]), np.array(data["cell_A"]))


def save_frames(frames: LabelledFrames, path: Path) -> None:
    """Write labelled frames as one .npz with every digit, which ``reference.frames`` takes too."""
    from ase.data import atomic_numbers

    arrays: dict[str, Any] = {
        "symbols": np.array(frames.symbols),
        "atomic_numbers": np.array([atomic_numbers[s] for s in frames.symbols]),
        "positions_A": frames.positions_A,
        "cell_A": frames.cell_A,
        "energy_eV": frames.energy_eV,
        "force_eV_A": frames.force_eV_A,
        "group": frames.group,
        "frame_number": frames.frame_number,
        "method": np.array(frames.method),
    }
    if frames.virial_eV is not None:
        arrays["virial_eV"] = frames.virial_eV
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)


def load_frames(path: Path) -> LabelledFrames:
    """Read what `save_frames` wrote."""
    with np.load(path) as data:
        return LabelledFrames(
            symbols=tuple(str(s) for s in data["symbols"]),
            positions_A=data["positions_A"],
            cell_A=data["cell_A"],
            energy_eV=data["energy_eV"],
            force_eV_A=data["force_eV_A"],
            group=data["group"],
            frame_number=data["frame_number"],
            method=str(data["method"]),
            virial_eV=data.get("virial_eV"),
        )
