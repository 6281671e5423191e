"""Moments of displacement averaged over time origins, for even and uneven times."""

import numpy as np
import numpy.typing as npt

from .. import _kernels
from ..checks import Array
from ..errors import PhysicsError
from ..records import Displacements

IntArray = npt.NDArray[np.int64]

_EVEN = 1e-6  # relative spread of the time steps that still counts as even
_DENSE = 10  # lags 1 … 10 frames are all taken


def choose_lags(n_frames: int, *, per_decade: int = 12, longest: float = 0.5) -> IntArray:
    """Return lags that are dense at short times and evenly spaced in the logarithm beyond.

    Parameters
    ----------
    n_frames : frames of the trajectory.
    per_decade : lags a decade beyond the first ten.
    longest : the longest lag as a part of the trajectory; beyond a half, origins are few and shared.

    Returns
    -------
    (M) lags in frames, increasing.
    """
    last = max(1, min(n_frames - 1, int(longest * n_frames)))
    dense = np.arange(1, min(_DENSE, last) + 1)
    decades = max(0.0, float(np.log10(last / _DENSE)))
    sparse = np.geomspace(_DENSE, last, int(per_decade * decades) + 2) if decades > 0 else dense
    return np.unique(np.concatenate([dense, np.rint(sparse)]).astype(np.int64))


def mean_step_ps(displacements: Displacements) -> float:
    """Return the mean time between frames in ps."""
    time = displacements.time_ps
    return float(time[-1] - time[0]) / (len(time) - 1)


def is_even(displacements: Displacements) -> bool:
    """Return whether the frames are evenly spaced in time (to 1e-6)."""
    step = np.diff(displacements.time_ps)
    mean = mean_step_ps(displacements)
    # A step is the difference of two large times: its rounding must not count as unevenness.
    rounding = 8 * np.finfo(np.float64).eps * float(np.abs(displacements.time_ps).max())
    return bool(np.abs(step - mean).max() <= _EVEN * mean + rounding)


def possible_pairs(displacements: Displacements, lags: IntArray) -> IntArray:
    """Return the lags that some pair of frames is apart by, to half a mean step; all of them at even times."""
    if is_even(displacements):
        return lags
    time, step = displacements.time_ps, mean_step_ps(displacements)
    found = [
        bool(np.any(np.searchsorted(time, time + (lag + 0.5) * step) > _first_after(time, lag, step))) for lag in lags
    ]
    return lags[np.array(found, dtype=np.bool_)]


def _first_after(time_ps: Array, lag: int, step_ps: float) -> IntArray:
    first = np.searchsorted(time_ps, time_ps + (lag - 0.5) * step_ps)
    return np.asarray(np.maximum(first, np.arange(len(time_ps)) + 1), dtype=np.int64)


def moments(
    r_A: Array, time_ps: Array, lags: IntArray, even: bool, threads: int = 0, *, step_ps: float | None = None
) -> tuple[Array, Array, Array]:
    """Return lag times and the per-ion moments of the displacement.

    Parameters
    ----------
    r_A : (n, T, 3) in Å.
    time_ps : (T).
    lags : (M) lags in (mean) frames.
    even : whether frames are evenly spaced.  If not, all pairs of frames whose distance in time is within half
        a mean step of the lag are averaged.
    step_ps : what the lags are counted in; the mean step of these frames if None (a part of a run has another one).

    Returns
    -------
    lag_ps : (M) mean distance in time of the pairs.
    tensor : (n, M, 6) ⟨ΔΔᵀ⟩ in Å², in the order xx, yy, zz, xy, xz, yz.
    fourth : (n, M) ⟨|Δ|⁴⟩ in Å⁴.

    Raises
    ------
    PhysicsError
        If uneven times leave a lag without pairs.
    """
    step = float(time_ps[-1] - time_ps[0]) / (len(time_ps) - 1) if step_ps is None else step_ps
    lags = np.ascontiguousarray(lags, dtype=np.int64)
    if even:
        tensor, fourth = _kernels.displacement_moments(np.ascontiguousarray(r_A), lags, threads)
        return np.asarray(lags * step, dtype=np.float64), tensor, fourth
    lag_ps = np.empty(len(lags))
    tensor = np.empty((len(r_A), len(lags), 6))
    fourth = np.empty((len(r_A), len(lags)))
    for m, lag in enumerate(lags):
        first = _first_after(time_ps, int(lag), step)
        last = np.searchsorted(time_ps, time_ps + (lag + 0.5) * step)
        count = np.maximum(last - first, 0)
        origin = np.repeat(np.arange(len(time_ps)), count)
        if len(origin) == 0:
            raise PhysicsError(f"no two frames are {lag * step:.4g} ps apart (to half a mean step); choose other lags")
        end = np.arange(len(origin)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
        lag_ps[m] = float(np.mean(time_ps[end] - time_ps[origin]))
        delta = r_A[:, end] - r_A[:, origin]
        x, y, z = delta[..., 0], delta[..., 1], delta[..., 2]
        products = (x * x, y * y, z * z, x * y, x * z, y * z)
        tensor[:, m] = np.stack([product.mean(axis=1) for product in products], axis=1)
        fourth[:, m] = ((x * x + y * y + z * z) ** 2).mean(axis=1)
    return lag_ps, tensor, fourth
