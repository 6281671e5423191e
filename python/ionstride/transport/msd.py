"""Mean squared displacement over all time origins: self, charge and cross."""

from typing import Any

import numpy as np

from ..checks import Array
from ..errors import InputError
from ..records import Displacements
from ..results import Kind, Msd
from .all_lags import all_lags_msd
from .moments import IntArray, choose_lags, is_even, mean_step_ps, moments
from .process import overlap_factor
from .source import Source, collective_path, collective_source, frames_of, lag_moments, possible_lags


def self_msd(source: Source, lags: Any = None, threads: int = 0) -> Msd:
    r"""Return the self mean squared displacement, averaged over ions and time origins.

    .. math:: \mathrm{MSD}(t) = \langle |r_i(t_0 + t) - r_i(t_0)|^2 \rangle_{i, t_0}, \quad
              α_2 = \frac{3 \langle Δ^4 \rangle}{5 \langle Δ^2 \rangle^2} - 1

    Parameters
    ----------
    source : the ions' paths (`Displacements`), or streamed sums of them (`Accumulated`).
    lags : (M) lags in frames (in mean steps where times are uneven); 'all' for all up to half the run by fast Fourier
        transforms; if not given `choose_lags`, or the lags of the sums.
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
    if isinstance(lags, str):
        return _all_lags(source, lags, "self", threads)
    chosen = _check_lags(lags, source)
    lag_ps, tensor, fourth = lag_moments(source, chosen, threads)
    return _record(lag_ps, tensor, fourth, chosen, frames_of(source), kind="self")


def charge_msd(source: Source, lags: Any = None, threads: int = 0) -> Msd:
    r"""Return the collective mean squared displacement of the charge, per ion.

    .. math:: \mathrm{MSD}_q(t) = \frac{\langle |\sum_i q_i Δr_i(t)|^2 \rangle}{\sum_i q_i^2}

    It equals the self MSD where ions move independently; their ratio at long lags is the Haven ratio.

    Parameters
    ----------
    source : the ions' paths, or streamed sums of them; the sum runs over the ions of one run, the mean over runs.
    lags : (M) lags in frames; as for `self_msd` if not given.
    threads : threads of the kernel.

    Raises
    ------
    PhysicsError
        If the ions were made one by one: their correlations are gone.
    """
    if isinstance(lags, str):
        return _all_lags(collective_source(source), lags, "charge", threads)
    chosen = _check_lags(lags, source)
    lag_ps, tensor, fourth = lag_moments(collective_source(source), chosen, threads)
    return _record(lag_ps, tensor, fourth, chosen, frames_of(source), kind="charge")


def cross_msd(first: Displacements, second: Displacements, lags: Any = None, threads: int = 0) -> Msd:
    r"""Return the collective displacement of one species times that of another, per geometric mean of their charges.

    .. math:: \mathrm{MSD}_{ab}(t) = \frac{\langle \sum_{i \in a} q_i Δr_i \cdot \sum_{j \in b} q_j Δr_j \rangle}
              {\sqrt{\sum_{i \in a} q_i^2 \sum_{j \in b} q_j^2}}

    Positive where charges move along with one another, negative where they move apart; zero for species that do not
    know of each other.  The polarisation identity makes it from three collective MSDs.

    Parameters
    ----------
    first, second : paths of two species from the same runs.
    lags : (M) lags in frames; `choose_lags` if not given.
    threads : threads of the kernel.

    Raises
    ------
    InputError
        If the two are not of the same runs and times.
    """
    if not np.array_equal(first.time_ps, second.time_ps) or first.n_runs != second.n_runs:
        raise InputError("a cross MSD needs two species of the same runs, got different times or numbers of runs")
    frames = len(first.time_ps)
    chosen = _check_lags(lags, first)
    (a, qa), (b, qb) = collective_path(first), collective_path(second)
    both, apart = (moments(path, first.time_ps, chosen, is_even(first), threads) for path in (a + b, a - b))
    scale = 4.0 * np.sqrt(qa * qb)
    tensor = (both[1] - apart[1]) / scale
    value = tensor[..., :3].sum(axis=-1)
    own = [moments(path, first.time_ps, chosen, is_even(first), threads)[1][..., :3].sum(axis=-1) for path in (a, b)]
    n_independent = len(a) / overlap_factor(chosen, frames)
    # of a product of two Gaussian paths
    spread = np.mean(own[0] * own[1], axis=0) / (qa * qb) + value.mean(axis=0) ** 2
    return Msd(
        lag_ps=both[0],
        value_A2=value.mean(axis=0),
        xyz_A2=tensor[..., :3].mean(axis=0),
        stderr_A2=np.sqrt(spread / (3.0 * n_independent)),
        n_independent=n_independent,
        kind="cross",
        tensor_A2=tensor.mean(axis=0)[:, [0, 3, 4, 3, 1, 5, 4, 5, 2]].reshape(-1, 3, 3),
    )


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


def _all_lags(source: Source, word: str, kind: Kind, threads: int) -> Msd:
    if word != "all":
        raise InputError(f"lags = '{word}', wanted 'all' or whole numbers of frames")
    if not isinstance(source, Displacements) or not is_even(source):
        raise InputError("all lags need evenly spaced frames in memory; choose lags, or leave them to IonStride")
    frames = frames_of(source)
    lags = np.arange(1, frames // 2 + 1)
    xyz = all_lags_msd(source.r_A, threads)[lags]
    n_independent = len(source.r_A) / overlap_factor(lags, frames)
    return Msd(
        lag_ps=np.asarray(lags * mean_step_ps(source), dtype=np.float64),
        value_A2=xyz.sum(axis=1),
        xyz_A2=xyz,
        stderr_A2=np.sqrt(2.0 * np.sum(xyz**2, axis=1) / n_independent),  # as of Gaussian displacements
        n_independent=n_independent,
        kind=kind,
    )


def _check_lags(lags: Any, source: Source) -> IntArray:
    n_frames = frames_of(source)
    if lags is None:
        return possible_lags(source, choose_lags(n_frames)) if isinstance(source, Displacements) else source.lag
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
        tensor_A2=tensor.mean(axis=0)[:, [0, 3, 4, 3, 1, 5, 4, 5, 2]].reshape(-1, 3, 3),
    )
