"""Fit of a straight line to an MSD, with the error that its covariance and its scatter allow."""

from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError, PhysicsError
from ..records import Displacements
from .scatter import THEORY_DOF, Scatter, compare, concerted
from .source import Source, covered_frames, fit_moments, frames_of, possible_lags, step_ps_of
from .window import (
    Curve,
    IntArray,
    Slope,
    choose_tau,
    fall,
    fit_beyond,
    ladder,
    make_curve,
    plain_slope,
)

BENT = 3.0  # standard errors by which the slope may change towards longer lags


@dataclass(frozen=True)
class Line:
    """A fitted slope and what is known of its error.

    Attributes
    ----------
    curve : the MSD at the lags looked at.
    slope : the fit.
    stderr : standard error of the slope in Å²/ps, all parts together.
    scatter : between series, blocks and replicas.
    bend : by how many standard errors the slope falls towards longer lags.
    """

    curve: Curve
    slope: Slope
    stderr: float
    scatter: Scatter
    bend: float


def fit_line(
    source: Source,
    fit_ps: tuple[float, float] | None,
    threads: int,
    not_before: int = 0,
    theory_dof: float = THEORY_DOF,
) -> Line:
    """Fit the MSD of the series of a source beyond the start of its diffusive regime, found or given.

    Parameters
    ----------
    source : paths, or sums of them.
    fit_ps : first and last lag; found if None.
    threads : of the kernel.
    not_before : earliest start in frames, where it is found.
    theory_dof : degrees of freedom that the theory of the process counts for, beside the measured scatter.

    Raises
    ------
    InputError
        If the window is not within the trajectory or holds fewer than two lags.
    PhysicsError
        If there are too few frames for any fit, or nothing moves.
    """
    frames = frames_of(source)
    step_ps = step_ps_of(source)
    if frames < 4:
        raise PhysicsError(f"{frames} frames are too few to fit a diffusion coefficient; record more often or longer")
    covered = covered_frames(source)
    lag = _given_lags(fit_ps, step_ps, frames) if fit_ps is not None else ladder(covered)
    if fit_ps is not None or isinstance(source, Displacements):
        lag = possible_lags(source, lag)
    if len(lag) < 2:
        raise PhysicsError("fewer than two lags have frames that far apart, so there is nothing to fit")
    lag_ps, tensor, fourth = fit_moments(source, lag, threads)
    curve = make_curve(lag, lag_ps, tensor, fourth, covered)
    if curve.msd_A2[0] <= 0.0:
        raise PhysicsError("the mobile ions do not move at all: every displacement is zero")
    together = concerted(source, threads)
    curve = replace(curve, n_ions=curve.n_ions / together)
    if fit_ps is None:
        try:
            fit, compared, bend = choose_tau(curve, not_before)
        except ValueError as error:
            raise PhysicsError(f"{frames} frames are too few to fit a diffusion coefficient") from error
    else:
        given = fit_beyond(curve, int(np.searchsorted(lag_ps, fit_ps[0] - 1e-9 * step_ps)), len(lag) - 1)
        if given is None:
            raise InputError(f"fit window {fit_ps[0]:g} to {fit_ps[1]:g} ps holds fewer than two lags; widen it")
        fit = compared = given
        middle = (len(lag) - 1 + given.first) // 2
        later = fit_beyond(curve, middle, len(lag) - 1) if middle > given.first else None
        bend = 0.0 if later is None else fall(given, later)
        if later is not None and abs(bend) > BENT:
            fit, compared = plain_slope(curve, given), later
    scatter = compare(source, curve, fit, threads=threads, together=together, theory_dof=theory_dof)
    hidden = 0.3 * (fit.slope - compared.slope) ** 2  # what memory may be left, judged by the step from τ to 2τ
    variance = fit.variance * scatter.ratio + hidden
    return Line(curve, fit, float(np.sqrt(variance)), scatter, bend)


def _given_lags(fit_ps: tuple[float, float], step_ps: float, frames: int) -> IntArray:
    first, last = fit_ps
    if not 0.0 < first < last:
        raise InputError(f"fit_ps = {first:g}, {last:g}: wanted a first lag above zero and a later last lag")
    low = max(1, int(np.ceil(first / step_ps - 1e-6)))
    high = int(np.floor(last / step_ps + 1e-6))
    if high >= frames:
        raise InputError(f"fit_ps ends at {last:g} ps, but the trajectory is {(frames - 1) * step_ps:.4g} ps long")
    if high <= low:
        raise InputError(
            f"fit window {first:g} to {last:g} ps holds fewer than two lags at {step_ps:.4g} ps a frame; widen it"
        )
    # Lags below the window say how the ions vibrate (for the covariance); they are not fitted.
    # Even spacing says whether the MSD is straight; even spacing of the logarithm keeps the precise short lags.
    inside = np.concatenate([np.linspace(low, high, 9), np.geomspace(low, high, 9)])
    inside = np.unique(np.rint(inside).astype(np.int64))
    before = ladder(frames)
    return np.unique(np.concatenate([before[before < inside[0]], inside])).astype(np.int64)
