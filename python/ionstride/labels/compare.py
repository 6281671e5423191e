"""A calculator against labelled frames: how soft it is."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import InputError
from ..records import LabelledFrames, Structure
from .calculators import calculator_note
from .pool import label


def compare(
    frames: LabelledFrames, calculator: str, *, n: int = 60, cache: Path | None = None, workers: int = 0
) -> dict[str, Any]:
    r"""Compare a calculator's forces with those of labelled frames.

    The slope is that of the line through zero, :math:`\sum F_{calc} F_{ref} / \sum F_{ref}^2`; below one the calculator
    is softer than the reference (Deng et al., npj Comput. Mater. 11, 9 (2025), doi 10.1038/s41524-024-01500-6).

    Parameters
    ----------
    frames : the reference.
    calculator : 'chgnet' or 'module:function' returning an ASE calculator.
    n : frames compared, chosen evenly.
    cache : folder that keeps the labels, see `label`; without it they are not kept.
    workers : processes; 0 = as many as there are cores.

    Returns
    -------
    calculator and reference in words, n_frames; slope, rmse_eV_A, reference_std_eV_A and correlation of the forces, in
    total and by element in ``elements``; energy_rmse_eV_atom after the mean difference is taken off.

    Raises
    ------
    InputError
        If `n` is below one.
    MissingToolError, ToolError
        If the calculator is not installed, or fails on every frame.
    """
    if n < 1:
        raise InputError(f"n = {n} frames to compare, wanted at least one")
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(n, len(frames))).round().astype(int))
    # A cell and all its vectors turned round is the same crystal, and right-handed.
    cells = [
        Structure(frames.symbols, frames.positions_A[f], frames.cell_A[f] * np.sign(np.linalg.det(frames.cell_A[f])))
        for f in chosen
    ]
    with tempfile.TemporaryDirectory() as folder:
        found = label(cells, calculator, cache=cache or Path(folder), workers=workers)
    chosen = chosen[found.frame_number]
    mine, reference = found.force_eV_A, frames.force_eV_A[chosen]
    names = np.asarray(frames.symbols)
    difference = found.energy_eV - frames.energy_eV[chosen]
    result: dict[str, Any] = {
        "calculator": calculator_note(calculator),
        "reference": frames.method,
        "n_frames": len(chosen),
        **_agreement(mine, reference),
        "elements": {
            element: _agreement(mine[:, names == element], reference[:, names == element])
            for element in dict.fromkeys(frames.symbols)
        },
        "energy_rmse_eV_atom": float(difference.std() / len(names)),
    }
    return result


def _agreement(mine: Array, reference: Array) -> dict[str, float]:
    square = float((reference**2).sum())
    sizes = float(np.sqrt((mine**2).sum() * square))
    return {
        "slope": float((mine * reference).sum() / square) if square > 0.0 else float("nan"),
        "rmse_eV_A": float(np.sqrt(((mine - reference) ** 2).mean())),
        "reference_std_eV_A": float(np.sqrt((reference**2).mean())),
        "correlation": float((mine * reference).sum() / sizes) if sizes > 0.0 else float("nan"),
    }
