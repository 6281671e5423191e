"""A calculator against labelled frames: how soft it is."""

from typing import Any

import numpy as np

from ..checks import Array
from ..errors import InputError
from ..records import LabelledFrames
from .calculators import calculator_note, make_calculator, quiet
from .worker import evaluate


def compare(frames: LabelledFrames, calculator: str, *, n: int = 60) -> dict[str, Any]:
    r"""Compare a calculator's forces with those of labelled frames.

    The slope is that of the line through zero, :math:`\sum F_{calc} F_{ref} / \sum F_{ref}^2`; below one the calculator
    is softer than the reference (Deng et al., npj Comput. Mater. 11, 9 (2025), doi 10.1038/s41524-024-01500-6).

    Parameters
    ----------
    frames : the reference.
    calculator : 'chgnet' or 'module:function' returning an ASE calculator.
    n : frames compared, chosen evenly.

    Returns
    -------
    calculator and reference in words, n_frames; slope, rmse_eV_A, reference_std_eV_A and correlation of the forces, in
    total and by element in ``elements``; energy_rmse_eV_atom after the mean difference is taken off.

    Raises
    ------
    InputError
        If `n` is below one.
    MissingToolError
        If the calculator is not installed.
    """
    if n < 1:
        raise InputError(f"n = {n} frames to compare, wanted at least one")
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(n, len(frames))).round().astype(int))
    engine = make_calculator(calculator)
    force, energy = [], []
    for f in chosen:
        with quiet():
            found = evaluate(engine, frames.symbols, frames.positions_A[f], frames.cell_A[f])
        force.append(found["force_eV_A"])
        energy.append(float(found["energy_eV"]))
    mine, reference = np.stack(force), frames.force_eV_A[chosen]
    names = np.asarray(frames.symbols)
    difference = np.array(energy) - frames.energy_eV[chosen]
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
