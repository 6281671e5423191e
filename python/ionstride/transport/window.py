"""Slope of the MSD beyond a lag τ by generalised least squares, and the choice of τ."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..checks import Array
from .process import gaussian_covariance, slope_weights

IntArray = npt.NDArray[np.int64]

_SPAN = 16  # lags from τ to 16 τ enter one fit
_AGREE = 1.2  # slopes beyond τ, 2τ, 4τ must agree to this many standard errors of their difference
_LEAST_SLOPE = 0.02  # of MSD(τ)/τ: keeps the model of the covariance that of a diffusing ion


@dataclass(frozen=True)
class Curve:
    """The MSD at the lags of a ladder, with what its covariance needs.

    Attributes
    ----------
    lag : (M) lags in frames.
    lag_ps : (M).
    msd_A2 : (M).
    tensor_A2 : (M, 3, 3) mean ⟨ΔΔᵀ⟩.
    cumulant_A4 : (M) fourth cumulant of Δ, ⟨Δ⁴⟩ − tr(M)² − 2 tr(M²): zero for a Gaussian, Γ a⁴ t for hops.
    n_ions : independent ions (of all runs): fewer than there are where ions move together.
    n_frames : frames.
    """

    lag: IntArray
    lag_ps: Array
    msd_A2: Array
    tensor_A2: Array
    cumulant_A4: Array
    n_ions: float
    n_frames: int


@dataclass(frozen=True)
class Slope:
    """One fit of a straight line with free intercept.

    Attributes
    ----------
    first : index of τ among the lags of the curve.
    lags : (L) indices of the lags used.
    weights : (L) 1/ps; slope = weights · MSD.
    slope : in Å²/ps.
    gaussian, hops : its variance, in (Å²/ps)²: that of a Gaussian process, and what discrete hops add.
    """

    first: int
    lags: IntArray
    weights: Array
    slope: float
    gaussian: float
    hops: float

    @property
    def variance(self) -> float:
        """Total variance in (Å²/ps)²."""
        return self.gaussian + self.hops


def ladder(n_frames: int) -> IntArray:
    """Return lags 1, 2, 3, 4, 6, 8, 12, 16 … up to half the trajectory: a τ, 2τ and 4τ are all on it."""
    powers = 2 ** np.arange(int(np.log2(max(n_frames, 2))) + 1)
    both = np.unique(np.concatenate([powers, 3 * powers]))
    return np.asarray(both[both <= max(2, n_frames // 2)], dtype=np.int64)


def make_curve(lag: IntArray, lag_ps: Array, tensor: Array, fourth: Array, n_frames: int) -> Curve:
    """Return the curve of per-ion moments `tensor` (n, M, 6) and `fourth` (n, M)."""
    mean = tensor.mean(axis=0)
    full = mean[:, [0, 3, 4, 3, 1, 5, 4, 5, 2]].reshape(-1, 3, 3)
    msd = np.trace(full, axis1=1, axis2=2)
    squares = np.einsum("mij,mij->m", full, full)
    return Curve(
        lag=lag,
        lag_ps=lag_ps,
        msd_A2=msd,
        tensor_A2=full,
        cumulant_A4=fourth.mean(axis=0) - msd**2 - 2.0 * squares,
        n_ions=len(tensor),
        n_frames=n_frames,
    )


def model_covariance(curve: Curve, first: int, lags: IntArray, slope: float, n_frames: int) -> Array:
    """Return the Gaussian covariance, for one ion, of the MSD at some lags of a stretch of frames.

    The process has the measured MSD up to τ and a straight line of the given slope beyond.

    Parameters
    ----------
    curve : the measured curve.
    first : index of τ.
    lags : (L) lags in frames.
    slope : Å²/ps.
    n_frames : frames of the stretch.

    Returns
    -------
    (L, L) in Å⁴.
    """
    tau, tau_ps, at_tau = curve.lag[first], curve.lag_ps[first], curve.msd_A2[first]
    known_lag = np.concatenate([[0], curve.lag[: first + 1], [2 * tau]]).astype(np.float64)
    known = np.concatenate([[0.0], curve.msd_A2[: first + 1], [at_tau + slope * tau_ps]])
    full = curve.tensor_A2[first]
    isotropy = float(np.sum(full * full)) / float(at_tau) ** 2
    return 2.0 * isotropy * gaussian_covariance(lags, known_lag, known, n_frames)


def fit_beyond(curve: Curve, first: int, last: int | None = None) -> Slope | None:
    """Return the slope from the lags beyond τ, or None where fewer than two lags are left.

    Parameters
    ----------
    curve : MSD at a ladder of lags.
    first : index of τ.
    last : index of the longest lag; 16 τ or half the trajectory if not given.
    """
    tau = int(curve.lag[first])
    longest = min(_SPAN * tau, curve.n_frames // 2) if last is None else int(curve.lag[last])
    lags = np.flatnonzero((curve.lag >= tau) & (curve.lag <= longest))
    if len(lags) < 2 or curve.msd_A2[first] <= 0.0:
        return None
    t, msd = curve.lag_ps[lags], curve.msd_A2[lags]
    least = _LEAST_SLOPE * float(msd[0] / t[0])
    far = min(2, len(lags) - 1)
    slope = float((msd[far] - msd[0]) / (t[far] - t[0]))
    for _ in range(2):
        covariance = model_covariance(curve, first, curve.lag[lags], max(slope, least), curve.n_frames)
        covariance /= curve.n_ions
        weights = slope_weights(t, covariance)
        slope = float(weights @ msd)
    duration = curve.n_frames * float(curve.lag_ps[first]) / tau
    hops = max(float(curve.cumulant_A4[first]), 0.0) / float(curve.lag_ps[first]) / (curve.n_ions * duration)
    return Slope(first, lags, weights, slope, float(weights @ covariance @ weights), hops)


def plain_slope(curve: Curve, fit: Slope) -> Slope:
    """Return the same fit by ordinary least squares: the mean slope, where the MSD is no straight line."""
    t = curve.lag_ps[fit.lags]
    density = np.gradient(t)  # each lag stands for the stretch of time about it
    centred = t - np.average(t, weights=density)
    weights = density * centred / float(np.sum(density * centred**2))
    least = _LEAST_SLOPE * float(curve.msd_A2[fit.first] / curve.lag_ps[fit.first])
    slope = float(weights @ curve.msd_A2[fit.lags])
    covariance = model_covariance(curve, fit.first, curve.lag[fit.lags], max(slope, least), curve.n_frames)
    gaussian = float(weights @ covariance @ weights) / curve.n_ions
    return Slope(fit.first, fit.lags, weights, slope, gaussian, fit.hops)


def choose_tau(curve: Curve, not_before: int = 0) -> tuple[Slope, Slope, float]:
    """Return the fit beyond the start of the diffusive regime, the fit it was compared with, and what bends.

    The third value is 0 where a start was found; else by how many standard errors the slope still falls at the
    end of the ladder.

    τ is the shortest lag whose slope agrees with those beyond 2τ and 4τ, within 1.2 standard errors of the
    difference (that of nested efficient estimates: the difference of their Gaussian variances; what hops add is
    common to both).  The fit then starts at 2τ, since a bias that hides in the noise at τ is much smaller there.

    Parameters
    ----------
    curve : MSD at a ladder of lags.
    not_before : earliest lag in frames to start from, as far as there are any as late.

    Raises
    ------
    ValueError
        If no fit is possible at all (fewer than about eight frames, or ions that do not move).
    """
    long_enough = [i for i, k in enumerate(curve.lag) if i == 0 or 3 * int(k) <= curve.n_frames]
    fits = [fit for i in long_enough if (fit := fit_beyond(curve, i)) is not None]
    if not fits:
        raise ValueError("no lag to fit")
    late = [fit for fit in fits if int(curve.lag[fit.first]) >= not_before]
    fits = late or fits[-1:]
    lag = [int(curve.lag[fit.first]) for fit in fits]
    last = max((i for i, k in enumerate(lag) if 6 * k <= curve.n_frames), default=0)  # longer ones only compare
    for number, fit in enumerate(fits[: last + 1]):
        others = [fits[lag.index(m * lag[number])] for m in (2, 4) if m * lag[number] in lag]
        if others and all(abs(fall(fit, other)) <= _AGREE for other in others):
            start = min((i for i, k in enumerate(lag) if k >= 2 * lag[number]), default=last)
            return fits[min(start, last)], fit, 0.0
    falls = [fall(fits[last], fits[i]) for i in range(last + 1, len(fits))]
    falls += [fall(fits[i], fits[last]) for i in range(last) if 2 * lag[i] == lag[last]]
    return fits[last], fits[last], max(falls, default=0.0)


def fall(near: Slope, far: Slope) -> float:
    """Return by how many standard errors of their difference the slope beyond a longer lag is the smaller one."""
    spread = max(far.gaussian - near.gaussian, 0.1 * far.gaussian)
    return (near.slope - far.slope) / float(np.sqrt(spread))
