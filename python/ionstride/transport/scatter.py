"""The expected error of a slope held against the scatter between ions and between blocks of time."""

from dataclasses import dataclass

import numpy as np

from ..checks import Array
from ..errors import PhysicsError
from ..records import Displacements
from .msd import moments
from .process import slope_weights
from .window import Curve, IntArray, Slope, model_covariance

_THEORY_DOF = 20.0  # weight of the theory of the process against the scatter between ions and blocks
_BLOCKS = 8


@dataclass(frozen=True)
class Scatter:
    """Measured over expected variance of the slope, its degrees of freedom, and what it says."""

    ratio: float
    dof: float
    reasons: tuple[str, ...] = ()


def concerted(displacements: Displacements, even: bool, threads: int) -> float:
    """Return by how much the scatter between blocks of time exceeds that of independent ions; 1 if not significant.

    A short lag and 16 blocks tell whether squared displacements of different ions rise and fall together.
    """
    from scipy import stats

    frames = len(displacements.time_ps)
    blocks, length = 16, frames // 16
    lag = np.array([max(1, length // 4)])
    if length < 4 or len(displacements.r_A) < 2:
        return 1.0
    cells = np.empty((len(displacements.r_A), blocks))
    for b in range(blocks):
        part = slice(b * length, (b + 1) * length)
        try:
            tensor = moments(displacements.r_A[:, part], displacements.time_ps[part], lag, even, threads)[1]
        except PhysicsError:  # uneven times may leave a block without pairs
            return 1.0
        cells[:, b] = tensor[:, 0, :3].sum(axis=-1)
    runs = [cells[displacements.run == run] for run in np.unique(displacements.run)]
    free = blocks * len(runs) - 1
    inner = cells.size - blocks * len(runs)
    within = sum(float(np.sum((run - run.mean(axis=0)) ** 2)) for run in runs) / max(inner, 1)
    if within <= 0.0 or inner < 2:
        return 1.0
    ratio = _columns(cells, displacements.run) / within
    return ratio if ratio > stats.f.ppf(0.999, free, inner) else 1.0


def compare(
    displacements: Displacements, curve: Curve, fit: Slope, *, even: bool, threads: int, together: float
) -> Scatter:
    """Compare the expected variance of the slope with the scatter between ions and blocks of time."""
    from scipy import stats

    tau = int(curve.lag[fit.first])
    longest = int(curve.lag[fit.lags[-1]])
    frames = curve.n_frames
    blocks = int(np.clip(frames // (16 * tau), 1, _BLOCKS))
    length = frames // blocks
    lags = curve.lag[fit.lags]
    lags = lags[lags <= min(longest, length // 2)]
    if len(lags) < 2:
        return Scatter(1.0, _THEORY_DOF)
    least = 0.02 * float(curve.msd_A2[fit.first] / curve.lag_ps[fit.first])
    expected = model_covariance(curve, fit.first, lags, max(fit.slope, least), length)
    lag_ps = curve.lag_ps[fit.lags[: len(lags)]]
    weights = slope_weights(lag_ps, expected)
    duration_ratio = frames / length
    theory = float(weights @ expected @ weights) + fit.hops * curve.n_ions * duration_ratio
    n_ions = len(displacements.r_A)
    cells = np.empty((n_ions, blocks))
    for b in range(blocks):
        part = slice(b * length, (b + 1) * length)
        times = displacements.time_ps[part]
        try:
            tensor = moments(displacements.r_A[:, part], times, lags, even, threads)[1]
        except PhysicsError:  # uneven times may leave a block without pairs at some lag
            return Scatter(1.0, _THEORY_DOF)
        cells[:, b] = tensor[..., :3].sum(axis=-1) @ weights
    if theory <= 0.0 or cells.size < 2:
        return Scatter(1.0, _THEORY_DOF)
    between = cells - cells.mean()
    square = float(np.sum(between**2)) / (cells.size - 1)
    kurtosis = float(np.mean(between**4)) / max(float(np.mean(between**2)) ** 2, 1e-300)
    weight = 2.0 * cells.size / (max(kurtosis, 1.8) - 1.0)
    ratio = max(0.8, (_THEORY_DOF + weight * square / theory) / (_THEORY_DOF + weight))
    dof = 0.5 * _THEORY_DOF + weight
    reasons: tuple[str, ...] = ()
    if together > 1.0:
        dof = 15.0 * displacements.n_runs  # it was learnt from 16 blocks a run
        reasons = (f"ions move together, like {curve.n_ions:.2g} independent ones: the interval says so",)
    groups = {
        "ions differ from one another for the whole run": blocks * np.var(cells.mean(axis=1), ddof=1)
        if min(cells.shape) > 1
        else 0.0,
        "ions move together": _columns(cells, displacements.run) / together,
    }
    dofs = (n_ions - 1, blocks * displacements.n_runs - 1)
    for (reason, mean_square), free in zip(groups.items(), dofs, strict=True):
        if free >= 3 and mean_square / theory > ratio * stats.f.ppf(0.995, free, dof):
            ratio, dof, reasons = float(mean_square / theory), float(free), (f"{reason}: the interval says so",)
    return Scatter(float(ratio), float(dof), reasons)


def _columns(cells: Array, run: IntArray) -> float:
    """Return the variance between (run, block) means × the ions in each: that of a cell where ions are independent."""
    runs = np.unique(run)
    means = np.concatenate([cells[run == r].mean(axis=0) for r in runs])
    return 0.0 if len(means) < 2 else float(np.var(means, ddof=1)) * len(cells) / len(runs)
