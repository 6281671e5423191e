"""Errors of energies, forces and virials on labelled frames, by element and by group, with intervals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..potential import errors
from ..records import IntArray, LabelledFrames
from ..results import Estimate
from .resample import mean_estimate, of_frames, summed, time_blocks

MOST_POINTS = 3000


@dataclass(frozen=True)
class Predicted:
    """What a potential says of frames: energies (F) in eV, forces (F, N, 3) in eV/Å, virials (F, 3, 3) in eV."""

    energy_eV: Array
    force_eV_A: Array
    virial_eV: Array | None


def accuracy(
    frames: LabelledFrames, predicted: Predicted, groups: Mapping[int, tuple[str, float | None]]
) -> dict[str, Any]:
    """Return the errors of a potential on frames.

    Energies are per atom, forces and virials per component; the mean energy shift is what a constant would mend.
    Intervals are from resampled blocks of frames that follow one another.

    Parameters
    ----------
    frames : F frames.
    predicted : of the same frames.
    groups : number of a group → its name and temperature.
    """
    atoms = len(frames.symbols)
    block = time_blocks(frames)
    de = 1000.0 * (predicted.energy_eV - frames.energy_eV) / atoms
    shift = of_frames(de, block)
    square = (1000.0 * (predicted.force_eV_A - frames.force_eV_A)) ** 2
    size = np.abs(1000.0 * (predicted.force_eV_A - frames.force_eV_A))
    names = np.array(frames.symbols)
    found: dict[str, Any] = {
        "n_frames": len(frames),
        "energy_meV_atom": {
            "rmse": of_frames(de**2, block, root=True),
            "mae": of_frames(np.abs(de), block),
            "shift": shift,
            "rmse_shifted": of_frames((de - shift.value) ** 2, block, root=True),
        },
        "force_meV_A": {
            "rmse": of_frames(square.mean(axis=(1, 2)), block, root=True),
            "mae": of_frames(size.mean(axis=(1, 2)), block),
            "by_element": {
                str(name): of_frames(square[:, names == name].mean(axis=(1, 2)), block, root=True)
                for name in dict.fromkeys(frames.symbols)
            },
            "scatter_of_reference": float(1000.0 * frames.force_eV_A.std()),
        },
        "virial_meV_atom": _virial(frames, predicted),
        "by_group": _by_group(frames, de, square.mean(axis=(1, 2)), groups),
        "parity": _thinner(errors(frames, predicted.energy_eV, predicted.force_eV_A)["parity"]),
        "residual": _residual(frames, de, square.mean(axis=(1, 2))),
    }
    found["by_temperature"] = _by_temperature(frames, de, square.mean(axis=(1, 2)), groups)
    return found


def _thinner(parity: dict[str, Any]) -> dict[str, Any]:
    for name in ("energy_ref_meV_atom", "energy_model_meV_atom"):
        parity[name] = parity[name][:: max(1, len(parity[name]) // MOST_POINTS)]
    return parity


def _virial(frames: LabelledFrames, predicted: Predicted) -> dict[str, Any] | None:
    known = frames.has_virial
    if not known.any() or frames.virial_eV is None or predicted.virial_eV is None:
        return None
    error = 1000.0 * (predicted.virial_eV[known] - frames.virial_eV[known]) / len(frames.symbols)
    block = time_blocks(frames.take(known))
    return {"n_frames": int(known.sum()), "rmse": of_frames((error**2).mean(axis=(1, 2)), block, root=True)}


def _residual(frames: LabelledFrames, de: Array, square: Array) -> dict[str, list[float]]:
    """Return for each frame its energy from the mean and what the potential gets wrong, for the picture."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(MOST_POINTS, len(frames))).astype(int))
    energy = 1000.0 * (frames.energy_eV - frames.energy_eV.mean()) / len(frames.symbols)
    return {
        "energy_meV_atom": np.round(energy[chosen], 3).tolist(),
        "energy_error_meV_atom": np.round(de[chosen], 4).tolist(),
        "force_rmse_meV_A": np.round(np.sqrt(square[chosen]), 3).tolist(),
    }


def _row(de: Array, square: Array, block: IntArray) -> dict[str, Any]:
    block = np.unique(block, return_inverse=True)[1].astype(np.int64)
    energy: Estimate = of_frames(de**2, block, root=True)
    return {
        "n_frames": len(de),
        "energy_meV_atom": energy,
        "shift_meV_atom": float(de.mean()),
        "force_meV_A": of_frames(square, block, root=True),
    }


def _by_group(
    frames: LabelledFrames, de: Array, square: Array, groups: Mapping[int, tuple[str, float | None]]
) -> list[dict[str, Any]]:
    rows = []
    for group in np.unique(frames.group):
        here = frames.group == group
        name, kelvin = groups.get(int(group), (f"run {group}", None))
        block = time_blocks(frames.take(here))
        rows.append({"name": name, "temperature_K": kelvin, **_row(de[here], square[here], block)})
    return rows


def _by_temperature(
    frames: LabelledFrames, de: Array, square: Array, groups: Mapping[int, tuple[str, float | None]]
) -> list[dict[str, Any]]:
    """Return errors by nominal temperature where the runs have more than one."""
    kelvin = np.array([groups.get(int(g), ("", None))[1] or math.nan for g in frames.group])
    known = np.unique(kelvin[np.isfinite(kelvin)])
    if len(known) < 2:
        return []
    rows = []
    for T in known:
        here: npt.NDArray[np.bool_] = kelvin == T
        rows.append({"temperature_K": float(T), **_row(de[here], square[here], time_blocks(frames.take(here)))})
    return rows


def mobile_slope(frames: LabelledFrames, predicted: Predicted, mobile: str) -> Estimate:
    r"""Return the slope of the potential's forces on the mobile ions against the reference's.

    .. math:: \sum F_\mathrm{model} \cdot F_\mathrm{ref} / \sum F_\mathrm{ref}^2

    Below one the potential is softer than the reference (doi 10.1038/s41524-024-01500-6).

    Parameters
    ----------
    frames, predicted : as for `accuracy`.
    mobile : element.
    """
    ions = np.array(frames.symbols) == mobile
    a, b = frames.force_eV_A[:, ions], predicted.force_eV_A[:, ions]
    block = time_blocks(frames)
    return mean_estimate(summed((a * b).sum(axis=(1, 2)), block), summed((a * a).sum(axis=(1, 2)), block))
