r"""Error against number of frames: :math:`e(N) = a N^{-b} + c`, with intervals."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import InputError

REPLICAS = 2000
FLATTEST, STEEPEST = 0.02, 4.0
FARTHEST = 1000.0
"""Farther than so many times the largest size nothing is extrapolated: it counts as never."""
FAR = 3.0


@dataclass(frozen=True)
class PowerLaw:
    """A fitted power law.

    Attributes
    ----------
    a, b, c : of :math:`a N^{-b} + c`, in the unit of the errors; c is the floor.
    scatter : standard deviation of ln(error) between draws.
    dof : degrees of freedom of the scatter.
    falls : whether the error falls with the number of frames beyond the scatter of the draws (95 %).
    replicas : (R, 3) a, b, c of resampled draws.
    largest, smallest : sizes that were trained.
    mean, mean_low, mean_high : mean error over all sizes with its interval: the floor where the curve is flat.
    """

    a: float
    b: float
    c: float
    scatter: float
    dof: int
    falls: bool
    replicas: Array
    smallest: float
    largest: float
    mean: float
    mean_low: float
    mean_high: float

    def interval(self, column: int) -> tuple[float, float]:
        """Return the 95 % interval of a, b or c."""
        low, high = np.quantile(self.replicas[:, column], [0.025, 0.975])
        return float(low), float(high)

    def band(self, size: Array) -> tuple[Array, Array, Array]:
        """Return the curve at sizes (M), and its 95 % band."""
        a, b, c = (self.replicas[:, k, None] for k in range(3))
        low, high = np.quantile(a * size ** (-b) + c, [0.025, 0.975], axis=0)
        return self.a * size ** (-self.b) + self.c, low, high


def fit_power_law(size: Array, error: Array, seed: int = 0) -> PowerLaw:
    r"""Fit :math:`e = a N^{-b} + c` with :math:`a, b, c \ge 0` to errors of several draws at several sizes.

    Relative errors are fitted by least squares.  The intervals are those of a bootstrap over the draws:
    the residuals of the draws from the mean of their size, widened for the means they lost, are put on the fitted
    curve again, and for the few draws there are their size is drawn anew as well (Student's t).

    Parameters
    ----------
    size : (M) frames of each training.
    error : (M) its error, above zero.
    seed : of the resampling.

    Raises
    ------
    InputError
        If there are fewer than three sizes, fewer than four trainings, or an error is not above zero.
    """
    size, error = np.asarray(size, dtype=np.float64), np.asarray(error, dtype=np.float64)
    sizes = np.unique(size)
    if len(sizes) < 3 or len(size) < 4:
        raise InputError(
            f"{len(size)} training(s) of {len(sizes)} size(s), wanted at least four of three sizes for a power law"
        )
    if not (np.isfinite(error).all() and (error > 0).all()):
        raise InputError("an error is zero or not finite; a power law cannot be fitted")
    told = np.log(error)
    theta = _fit(size, told[None])[0]
    residual, dof = _residuals(size, told, theta)
    scatter = float(np.sqrt((residual**2).sum() / dof))
    rng = np.random.default_rng(seed)
    noise = rng.choice(residual * math.sqrt(len(residual) / dof), (REPLICAS, len(size)))
    noise *= np.sqrt(dof / rng.chisquare(dof, REPLICAS))[:, None]
    replicas = _fit(size, np.log(_curve(theta, size)) + noise)
    mean, mean_low, mean_high = _mean(told)
    return PowerLaw(
        a=float(theta[0]),
        b=float(theta[1]),
        c=float(theta[2]),
        scatter=scatter,
        dof=dof,
        falls=_falls(size, told),
        replicas=replicas,
        smallest=float(sizes[0]),
        largest=float(sizes[-1]),
        mean=mean,
        mean_low=mean_low,
        mean_high=mean_high,
    )


def _curve(theta: Array, size: Array) -> Array:
    found: Array = theta[0] * size ** (-theta[1]) + theta[2]
    return found


def _fit(size: Array, told: Array) -> Array:
    """Return a, b, c (R, 3) of R curves from their ln(error) `told` (R, M) at sizes (M).

    For a given b the curve is linear in a and c, which are solved for with neither below zero; b is searched, first
    on a grid over all its range, then finer around the best.  Errors are relative, those of a size averaged first.
    """
    sizes, place, count = np.unique(size, return_inverse=True, return_counts=True)
    mean = np.zeros((len(told), len(sizes)))
    np.add.at(mean.T, place, told.T)
    level = np.exp(mean / count)
    middle = math.exp(float(np.log(sizes).mean()))
    weight = count / level**2
    coarse = np.broadcast_to(np.geomspace(FLATTEST, STEEPEST, 60), (len(told), 60))
    best = _best(coarse, sizes / middle, level, weight)
    step = (STEEPEST / FLATTEST) ** (1.0 / 59.0)
    for _ in range(3):
        fine = np.clip(best[:, 1, None] * step ** np.linspace(-1.0, 1.0, 21), FLATTEST, STEEPEST)
        best = _best(fine, sizes / middle, level, weight)
        step **= 0.1
    best[:, 0] *= middle ** best[:, 1]
    return best


def _best(b: Array, ratio: Array, level: Array, weight: Array) -> Array:
    """Return a, b, c (R, 3) with the least misfit out of b (R, B), for errors `level` (R, S) with weights (R, S)."""
    x = ratio ** (-b[:, :, None])
    w, y = weight[:, None, :], level[:, None, :]
    sw, sx, sy = w.sum(-1), (w * x).sum(-1), (w * y).sum(-1)
    sxx, sxy = (w * x * x).sum(-1), (w * x * y).sum(-1)
    free = sw * sxx - sx**2
    a = (sw * sxy - sx * sy) / np.maximum(free, 1e-12 * sw * sxx)
    c = (sy - a * sx) / sw
    a, c = np.where(c < 0.0, sxy / sxx, a), np.maximum(c, 0.0)
    a, c = np.where(a < 0.0, 0.0, a), np.where(a < 0.0, sy / sw, c)
    misfit = (w * (a[:, :, None] * x + c[:, :, None] - y) ** 2).sum(-1)
    chosen = (np.arange(len(b)), misfit.argmin(axis=1))
    return np.stack([a[chosen], b[chosen], c[chosen]], axis=1)


def _residuals(size: Array, told: Array, theta: Array) -> tuple[Array, int]:
    """Return residuals between draws of one size and their degrees of freedom; without draws those of the fit."""
    sizes, place, count = np.unique(size, return_inverse=True, return_counts=True)
    dof = len(size) - len(sizes)
    if dof >= len(sizes):
        mean = np.bincount(place, told) / count
        return told - mean[place], dof
    residual: Array = told - np.log(_curve(theta, size))
    return residual, max(1, len(size) - 3)


def _falls(size: Array, told: Array) -> bool:
    """Return whether the slope of ln(error) on ln(size) is below zero, one-sided at 97.5 %."""
    from scipy.stats import linregress, t

    line = linregress(np.log(size), told)
    return bool(line.slope + t.ppf(0.975, len(size) - 2) * line.stderr < 0.0)


def _mean(told: Array) -> tuple[float, float, float]:
    """Return the mean error over all sizes (geometric) with its interval."""
    from scipy.stats import t

    half = float(t.ppf(0.975, len(told) - 1) * told.std(ddof=1) / math.sqrt(len(told)))
    centre = float(told.mean())
    return math.exp(centre), math.exp(centre - half), math.exp(centre + half)


def frames_needed(law: PowerLaw, target: float) -> dict[str, Any]:
    r"""Return how many frames bring the error down to a target, :math:`N = (a / (t - c))^{1/b}`.

    Parameters
    ----------
    law : a fitted curve.
    target : error wanted, in the unit of the fit.

    Returns
    -------
    ``verdict``: 'reached' (at the smallest size already), 'interval', 'at least' (no upper end can be told) or
    'never'; ``frames`` and ``ci95`` (ends may be None); ``words``, a sentence; ``extrapolated``, whether the number
    lies beyond 3 times the largest size.

    Raises
    ------
    InputError
        If the target is not above zero.
    """
    if not 0.0 < target < math.inf:
        raise InputError(f"a target error of {target:g}, wanted above zero")
    never = {"verdict": "never", "frames": None, "ci95": [None, None], "extrapolated": False}
    if not law.falls:
        if target >= law.mean_high:
            return {**never, "verdict": "reached", "words": f"reached with {law.smallest:g} frames already"}
        return {
            **never,
            "words": f"never by this curve, which does not fall from {law.smallest:g} to {law.largest:g} frames: the "
            f"floor is {law.mean:.3g} [{law.mean_low:.3g}, {law.mean_high:.3g}]",
        }
    wanted = np.array([_solve(row, target, law.largest) for row in law.replicas])
    best = _solve(np.array([law.a, law.b, law.c]), target, law.largest)
    low, high = np.quantile(wanted, [0.025, 0.975], method="inverted_cdf")
    ends = [float(low) if np.isfinite(low) else None, float(high) if np.isfinite(high) else None]
    floor = f"the floor is {law.c:.3g} [{law.interval(2)[0]:.3g}, {law.interval(2)[1]:.3g}]"
    if ends[0] is None:
        return {**never, "words": f"never by this curve: {floor}"}
    if ends[1] is not None and ends[1] <= law.smallest:
        return {
            "verdict": "reached",
            "frames": None,
            "ci95": ends,
            "extrapolated": False,
            "words": f"reached with {law.smallest:g} frames already",
        }
    value = float(best) if np.isfinite(best) else None
    far = max(v for v in (value, ends[1], ends[0]) if v is not None) > FAR * law.largest
    if ends[1] is None:
        about = f"about {_round(value)} by the fit, but " if value is not None else ""
        words = f"cannot be told: {about}at least {_round(ends[0])} frames and no upper end ({floor})"
        return {"verdict": "at least", "frames": value, "ci95": ends, "extrapolated": far, "words": words}
    words = f"{_round(value)} frames [{_round(ends[0])}, {_round(ends[1])}]"
    if far:
        words += f", beyond what was trained ({law.largest:g})"
    return {"verdict": "interval", "frames": value, "ci95": ends, "extrapolated": far, "words": words}


def _solve(theta: Array, target: float, largest: float) -> float:
    """Return the size at which a curve meets the target; infinite if it never does, or only out of all reach."""
    a, b, c = (float(v) for v in theta)
    if target <= c:
        return math.inf
    told = math.log(a / (target - c)) / b if a > 0.0 else -math.inf
    return math.exp(told) if told < math.log(FARTHEST * largest) else math.inf


def _round(value: float | None) -> str:
    """Return a number of frames with two digits."""
    if value is None:
        return "?"
    return f"{float(f'{value:.2g}'):.0f}" if value >= 1 else "1"
