"""Mean squared displacement over all time origins, self and charge, for even and uneven times."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _kernels
from ..checks import Array
from ..errors import InputError, PhysicsError
from ..records import Displacements, Msd
from .process import overlap_factor

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


def moments(r_A: Array, time_ps: Array, lags: IntArray, even: bool, threads: int = 0) -> tuple[Array, Array, Array]:
    """Return lag times and the per-ion moments of the displacement.

    Parameters
    ----------
    r_A : (n, T, 3) in Å.
    time_ps : (T).
    lags : (M) lags in (mean) frames.
    even : whether frames are evenly spaced.  If not, all pairs of frames whose distance in time is within half
        a mean step of the lag are averaged.

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
    step = float(time_ps[-1] - time_ps[0]) / (len(time_ps) - 1)
    lags = np.ascontiguousarray(lags, dtype=np.int64)
    if even:
        tensor, fourth = _kernels.displacement_moments(np.ascontiguousarray(r_A), lags, threads)
        return np.asarray(lags * step, dtype=np.float64), tensor, fourth
    lag_ps = np.empty(len(lags))
    tensor = np.empty((len(r_A), len(lags), 6))
    fourth = np.empty((len(r_A), len(lags)))
    for m, lag in enumerate(lags):
        first = np.searchsorted(time_ps, time_ps + (lag - 0.5) * step)
        last = np.searchsorted(time_ps, time_ps + (lag + 0.5) * step)
        first = np.maximum(first, np.arange(len(time_ps)) + 1)
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


def self_msd(displacements: Displacements, lags: Any = None, threads: int = 0) -> Msd:
    r"""Return the self mean squared displacement, averaged over ions and time origins.

    .. math:: \mathrm{MSD}(t) = \langle |r_i(t_0 + t) - r_i(t_0)|^2 \rangle_{i, t_0}, \quad
              α_2 = \frac{3 \langle Δ^4 \rangle}{5 \langle Δ^2 \rangle^2} - 1

    Parameters
    ----------
    displacements : the ions' paths.
    lags : (M) lags in frames (in mean steps where times are uneven); `choose_lags` if not given.
    threads : threads of the kernel, 0 for all cores.

    Returns
    -------
    Msd
        `stderr_A2` is the larger of two: the fourth moment over the independent displacements of a free walk
        (doi 10.1016/S0006-3495(91)82125-7), and the scatter between ions.

    Raises
    ------
    InputError
        If a lag is not in 1 … T−1.
    """
    frames = len(displacements.time_ps)
    chosen = _check_lags(lags, frames)
    lag_ps, tensor, fourth = moments(displacements.r_A, displacements.time_ps, chosen, is_even(displacements), threads)
    return _record(lag_ps, tensor, fourth, chosen, frames, kind="self")


def charge_msd(displacements: Displacements, lags: Any = None, threads: int = 0) -> Msd:
    r"""Return the collective mean squared displacement of the charge, per ion.

    .. math:: \mathrm{MSD}_q(t) = \frac{\langle |\sum_i q_i Δr_i(t)|^2 \rangle}{\sum_i q_i^2}

    It equals the self MSD where ions move independently; their ratio at long lags is the Haven ratio.

    Parameters
    ----------
    displacements : the ions' paths; the sum runs over the ions of one run, the mean over runs.
    lags : (M) lags in frames; `choose_lags` if not given.
    threads : threads of the kernel.

    Raises
    ------
    PhysicsError
        If the ions were made one by one: their correlations are gone.
    """
    collective, charge2 = collective_path(displacements)
    frames = len(displacements.time_ps)
    chosen = _check_lags(lags, frames)
    lag_ps, tensor, fourth = moments(collective, displacements.time_ps, chosen, is_even(displacements), threads)
    return _record(lag_ps, tensor / charge2, fourth / charge2**2, chosen, frames, kind="charge")


def collective_path(displacements: Displacements) -> tuple[Array, float]:
    """Return Σ q r of each run, (runs, T, 3) in e·Å from its first frame, and the mean Σ q² of a run.

    Raises
    ------
    PhysicsError
        If the ions were made one by one, or carry no charge.
    """
    if displacements.independent_ions:
        raise PhysicsError(
            "these ions were made one by one, so their correlations are gone: the charge MSD, the Haven ratio and "
            "the collective conductivity have no meaning here; use the self-diffusion and Nernst-Einstein"
        )
    runs = np.unique(displacements.run)
    q = displacements.charge_e
    charge2 = float(np.sum(q * q)) / len(runs)
    if charge2 == 0.0:
        raise PhysicsError("the mobile ions carry no charge, so there is no charge MSD; set charge_e")
    r = displacements.r_A - displacements.r_A[:, :1]
    paths = [np.einsum("i,itx->tx", q[displacements.run == run], r[displacements.run == run]) for run in runs]
    return np.stack(paths), charge2


def log_log_slope(msd: Msd) -> Array:
    """Return d ln MSD / d ln t at every lag, (M): 1 where ions diffuse, 0 where they only vibrate.

    Taken over neighbouring lags about a factor of two apart, so that noise of single lags does not count.

    Raises
    ------
    InputError
        If there are fewer than two lags.
    """
    if len(msd.lag_ps) < 2:
        raise InputError("a log-log slope needs the MSD at two lags or more")
    log_lag = np.log(msd.lag_ps)
    log_msd = np.log(np.maximum(msd.value_A2, np.finfo(np.float64).tiny))
    slope = np.empty(len(log_lag))
    reach = 0.5 * np.log(2.0)
    for m, here in enumerate(log_lag):
        near = np.flatnonzero(np.abs(log_lag - here) <= reach * (1 + 1e-9))
        low, high = max(0, min(near[0], m - 1)), min(len(log_lag) - 1, max(near[-1], m + 1))
        slope[m] = np.polyfit(log_lag[low : high + 1], log_msd[low : high + 1], 1)[0]
    return slope


def _check_lags(lags: Any, n_frames: int) -> IntArray:
    if lags is None:
        return choose_lags(n_frames)
    chosen = np.asarray(lags)
    if chosen.ndim != 1 or len(chosen) == 0 or not (chosen == np.rint(chosen)).all():
        raise InputError("lags must be whole numbers of frames, at least one")
    if chosen.min() < 1 or chosen.max() >= n_frames:
        raise InputError(f"lags run from {chosen.min()} to {chosen.max()}, wanted 1 to {n_frames - 1} frames")
    return chosen.astype(np.int64)


def _record(lag_ps: Array, tensor: Array, fourth: Array, lags: IntArray, frames: int, *, kind: Any) -> Msd:
    each = tensor[..., :3].sum(axis=-1)
    value = each.mean(axis=0)
    n_independent = len(each) / overlap_factor(lags, frames)
    spread = np.maximum(fourth.mean(axis=0) - value**2, 0.0)
    stderr = np.sqrt(spread / n_independent)
    if len(each) >= 8:  # fewer ions say too little about their own scatter
        stderr = np.maximum(stderr, each.std(axis=0, ddof=1) / np.sqrt(len(each)))
    alpha2 = 3.0 * fourth.mean(axis=0) / (5.0 * np.maximum(value, 1e-300) ** 2) - 1.0
    return Msd(
        lag_ps=lag_ps,
        value_A2=value,
        xyz_A2=tensor[..., :3].mean(axis=0),
        stderr_A2=stderr,
        n_independent=n_independent,
        kind=kind,
        alpha2=alpha2,
    )
