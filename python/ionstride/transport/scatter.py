"""The expected error of a slope held against the scatter between ions and between blocks of time."""

from dataclasses import dataclass

import numpy as np

from ..checks import Array
from .process import slope_weights
from .source import BLOCKS, Source, block_msd, frames_of
from .window import Curve, IntArray, Slope, ladder, model_covariance

THEORY_DOF = 20.0  # weight of the theory of one ion's process against the scatter between ions and blocks
THEORY_DOF_OF_SUMS = 100.0  # sums over many ions are Gaussian, so that the theory is nearly exact
_BLOCKS = 8


@dataclass(frozen=True)
class Scatter:
    """Measured over expected variance of the slope, its degrees of freedom, and what it says.

    Attributes
    ----------
    ratio, dof : measured over expected variance, and how well it is known.
    reasons : in words.
    blocks_A2_ps, runs_A2_ps : slope of each block of time (all series), and of each replica; empty if there is one.
    """

    ratio: float
    dof: float
    reasons: tuple[str, ...] = ()
    blocks_A2_ps: tuple[float, ...] = ()
    runs_A2_ps: tuple[float, ...] = ()


def concerted(source: Source, threads: int) -> float:
    """Return by how much the variance of the mean over ions exceeds that of independent ions; 1 if not significant.

    A short lag and 16 blocks tell whether squared displacements of different ions rise and fall together.
    """
    from scipy import stats

    blocks, length = 16, frames_of(source) // 16
    if length < 4 or len(source.species) < 2:
        return 1.0
    found = block_msd(source, blocks, ladder(length // 2)[-1:], threads)
    if found is None:
        return 1.0
    cells = found[..., 0]
    runs = [cells[source.run == run] for run in np.unique(source.run)]
    free = blocks * len(runs) - 1
    inner = cells.size - blocks * len(runs)
    within = sum(float(np.sum((run - run.mean(axis=0)) ** 2)) for run in runs) / max(inner, 1)
    if inner < 2:
        return 1.0
    between = _columns(cells, source.run)
    ions = len(cells) / len(runs)
    if ions <= 1.0 or not between > stats.f.ppf(0.999, free, inner) * within:
        return 1.0
    # within = σ²(1 − ρ) and between = σ²(1 + (ions − 1) ρ); the theory of one ion is held against σ² itself.
    # Ions that all do the same are one.
    return ions * between / (between + (ions - 1.0) * within)


def compare(
    source: Source, curve: Curve, fit: Slope, *, threads: int, together: float, theory_dof: float = THEORY_DOF
) -> Scatter:
    """Compare the expected variance of the slope with the scatter between series and blocks of time."""
    from scipy import stats

    tau = int(curve.lag[fit.first])
    longest = int(curve.lag[fit.lags[-1]])
    frames = curve.n_frames
    blocks = next((b for b in BLOCKS if 1 < b <= min(_BLOCKS, frames // (16 * tau))), 1)
    length = frames // blocks
    lags = curve.lag[fit.lags]
    lags = lags[lags <= min(longest, length // 2)]
    nothing = Scatter(1.0, theory_dof)
    if len(lags) < 2:
        return nothing
    least = 0.02 * float(curve.msd_A2[fit.first] / curve.lag_ps[fit.first])
    expected = model_covariance(curve, fit.first, lags, max(fit.slope, least), length)
    lag_ps = curve.lag_ps[fit.lags[: len(lags)]]
    weights = slope_weights(lag_ps, expected)
    duration_ratio = frames / length
    theory = float(weights @ expected @ weights) + fit.hops * curve.n_ions * duration_ratio
    found = block_msd(source, blocks, lags, threads)
    if found is None:
        return nothing
    n_ions = len(found)
    n_runs = len(np.unique(source.run))
    cells = found @ weights
    blocks_A2_ps = tuple(float(v) for v in cells.mean(axis=0)) if blocks > 1 else ()
    runs_A2_ps = tuple(float(cells[source.run == r].mean()) for r in np.unique(source.run)) if n_runs > 1 else ()
    if theory <= 0.0 or cells.size < 2:
        return nothing
    between = cells - cells.mean()
    square = float(np.sum(between**2)) / (cells.size - 1)
    kurtosis = float(np.mean(between**4)) / max(float(np.mean(between**2)) ** 2, 1e-300)
    weight = 2.0 * cells.size / (max(kurtosis, 1.8) - 1.0)
    ratio = max(0.8, (theory_dof + weight * square / theory) / (theory_dof + weight))
    dof = 0.5 * theory_dof + weight
    reasons: tuple[str, ...] = ()
    if together > 1.0:
        dof = 15.0 * n_runs  # it was learnt from 16 blocks a run
        reasons = (f"ions move together, like {curve.n_ions:.2g} independent ones: the interval says so",)
    groups = {
        "ions differ from one another for the whole run": blocks * np.var(cells.mean(axis=1), ddof=1)
        if min(cells.shape) > 1
        else 0.0,
        "ions move together": _columns(cells, source.run) / together,
    }
    dofs = (n_ions - 1, blocks * n_runs - 1)
    for (reason, mean_square), free in zip(groups.items(), dofs, strict=True):
        if free >= 3 and mean_square / theory > ratio * stats.f.ppf(0.995, free, dof):
            ratio, dof, reasons = float(mean_square / theory), float(free), (f"{reason}: the interval says so",)
    return Scatter(float(ratio), float(dof), reasons, blocks_A2_ps, runs_A2_ps)


def _columns(cells: Array, run: IntArray) -> float:
    """Return the variance between (run, block) means × the ions in each: that of a cell where ions are independent."""
    runs = np.unique(run)
    means = np.concatenate([cells[run == r].mean(axis=0) for r in runs])
    return 0.0 if len(means) < 2 else float(np.var(means, ddof=1)) * len(cells) / len(runs)
