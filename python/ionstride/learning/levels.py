"""Trust levels of the model deviation, set from labelled frames; and whether the deviation tells the truth.

A frame's deviation is the largest over its atoms of how far the forces of the ensemble scatter; its error the largest
over its atoms of |F of model 0 − F of the calculator|.  Both in eV/Å, so they can be compared atom for atom.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..records import LabelledFrames

LOW_PERCENTILE = 95.0
"""Of the deviation on labelled frames that no model was trained on."""
LEAST_APART = 2.0
"""The high level is this many times the low one at least: what sound labelled frames show is no sign of breaking."""
FEWEST_TO_RANK = 5


@dataclass(frozen=True)
class Levels:
    """Where frames are called accurate, candidates or failed.

    Attributes
    ----------
    low_eV_A : below, the models agree as on labelled frames that none of them was trained on.
    high_eV_A : above, the error is as large as the forces themselves.
    factor : error ≈ factor × deviation, by which the high level was set.
    n_frames : labelled frames the low level comes from.
    source : what these frames and those of the factor are, in words.
    """

    low_eV_A: float
    high_eV_A: float
    factor: float
    n_frames: int
    source: str


def newest(group: npt.NDArray[np.int64], least: int) -> npt.NDArray[np.bool_]:
    """Return which held-out frames of MD the low level comes from: those of the latest rounds, `least` or more.

    Frames that a poor potential visited long ago stay hard for ever: with them the level would stay high, and all
    that a better potential visits would be called accurate.

    Parameters
    ----------
    group : (F) 0 for the frames that came before MD, else the round + 1.
    least : frames wanted.

    Returns
    -------
    (F) mask; all frames where MD has fewer than `least`.
    """
    for first in sorted(set(group[group > 0].tolist()), reverse=True):
        chosen: npt.NDArray[np.bool_] = group >= first
        if chosen.sum() >= least:
            return chosen
    return np.ones(len(group), dtype=np.bool_)


def force_deviation(force_eV_A: Array) -> Array:
    """Return how far the forces of an ensemble scatter, atom by atom.

    Parameters
    ----------
    force_eV_A : (M, F, N, 3) forces of M models.

    Returns
    -------
    (F, N) √⟨|F_k − ⟨F⟩|²⟩ over the models, as DeePMD writes it (doi 10.1016/j.cpc.2020.107206).
    """
    apart = force_eV_A - force_eV_A.mean(axis=0)
    scatter: Array = np.sqrt((apart**2).sum(axis=-1).mean(axis=0))
    return scatter


def largest_error(frames: LabelledFrames, force_eV_A: Array) -> Array:
    """Return the error of the worst atom of each frame, (F) in eV/Å; `force_eV_A` is (F, N, 3)."""
    worst: Array = np.linalg.norm(force_eV_A - frames.force_eV_A, axis=-1).max(axis=-1)
    return worst


def typical_force(frames: LabelledFrames) -> float:
    """Return the median over frames of the largest force on an atom, eV/Å."""
    return float(np.median(np.linalg.norm(frames.force_eV_A, axis=-1).max(axis=-1)))


def calibrate(deviation_eV_A: Array, error_eV_A: Array) -> float:
    """Return the factor k of error ≈ k × deviation, the median of their ratios; both (F)."""
    return float(np.median(error_eV_A / np.maximum(deviation_eV_A, 1e-9)))


def set_levels(deviation_eV_A: Array, factor: float, force_eV_A: float, source: str) -> Levels:
    """Set both trust levels.

    Parameters
    ----------
    deviation_eV_A : (F) on labelled frames that no model was trained on.
    factor : of `calibrate`.
    force_eV_A : of `typical_force`: a frame whose worst atom is wrong by that much has failed.
    source : what the frames are, in words.
    """
    low = float(np.percentile(deviation_eV_A, LOW_PERCENTILE))
    high = max(force_eV_A / factor, LEAST_APART * low)
    return Levels(low, high, factor, len(deviation_eV_A), source)


def shares(deviation_eV_A: Array, levels: Levels) -> dict[str, float]:
    """Return the part of frames that are accurate, candidate and failed; `deviation_eV_A` is (F)."""
    count = max(1, len(deviation_eV_A))
    accurate = int((deviation_eV_A <= levels.low_eV_A).sum())
    failed = int((deviation_eV_A > levels.high_eV_A).sum())
    between = len(deviation_eV_A) - accurate - failed
    return {"accurate": accurate / count, "candidate": between / count, "failed": failed / count}


def rank_correlation(deviation_eV_A: Array, error_eV_A: Array) -> dict[str, Any] | None:
    """Return Spearman's rank correlation of deviation and error, with a 95 % interval.

    The interval is Fisher's with the variance 1.06/(n − 3) (doi 10.1093/biomet/44.3-4.470); frames of one run are not
    quite independent, so it is somewhat narrow.

    Parameters
    ----------
    deviation_eV_A, error_eV_A : (F).

    Returns
    -------
    ``value``, ``ci95``, ``n``; None for fewer than five frames, or where nothing differs.
    """
    from scipy.stats import rankdata

    count = len(deviation_eV_A)
    if count < FEWEST_TO_RANK or np.ptp(deviation_eV_A) == 0 or np.ptp(error_eV_A) == 0:
        return None
    value = float(np.corrcoef(rankdata(deviation_eV_A), rankdata(error_eV_A))[0, 1])
    middle, half = np.arctanh(np.clip(value, -0.9999, 0.9999)), 1.96 * np.sqrt(1.06 / (count - 3))
    return {"value": value, "ci95": [float(np.tanh(middle - half)), float(np.tanh(middle + half))], "n": count}


def usable(deviation_eV_A: Array, levels: Levels, wanted: int) -> npt.NDArray[np.bool_]:
    """Return which frames may be labelled: those not failed, or, if these are too few, up to twice the high level."""
    whole = deviation_eV_A <= levels.high_eV_A
    return whole if whole.sum() >= wanted else deviation_eV_A <= 2.0 * levels.high_eV_A
