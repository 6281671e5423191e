"""Diffusion coefficient with an interval that holds, and the Nernst-Einstein conductivity."""

from dataclasses import replace

import numpy as np

from ..errors import InputError, PhysicsError
from ..records import Diffusivity, Displacements, Estimate, Verdict
from ..units import A2_PS_TO_CM2_S, nernst_einstein_mS_cm
from .msd import is_even, mean_step_ps, moments
from .scatter import Scatter, compare, concerted
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

HOP_A = 3.0  # He, Zhu, Mo: the usual distance between sites of a lithium conductor
FEWEST_HOPS = 10.0  # below it the interval is a bound
_LARGEST_STDERR = 0.6  # of ln D; beyond it the interval is a bound
_SMALLEST_RISE_A2 = 1.0  # diffusive part of the MSD over the whole run; below it no ion has changed its site
_BENT = 3.0  # standard errors by which the slope may change towards longer lags


def fit_diffusivity(
    displacements: Displacements, fit_ps: tuple[float, float] | None = None, threads: int = 0
) -> Diffusivity:
    r"""Return the self-diffusion coefficient of the mobile ions.

    .. math:: D = \frac{1}{6} \frac{d\,\mathrm{MSD}}{dt}

    The slope is a generalised least-squares one with free intercept (vibration, back-jumps) over lags beyond the
    start τ of the diffusive regime, which is found (see `choose_tau`) or given.  Its variance has two parts: that
    of a Gaussian process with the measured MSD, overlapping origins included, and that of discrete hops, κ/(N T),
    with κ the growth rate of the fourth cumulant of the displacement: for independent hops of length a it makes a
    relative error of 1/√(number of hops).  The sum is corrected by the scatter between ions × blocks of time
    (mixed by degrees of freedom), and replaced by the scatter between ions or between blocks where that is
    significantly larger (ions that differ for good; ions that move together, which count as fewer).

    Parameters
    ----------
    displacements : the ions' paths; runs are pooled.
    fit_ps : first and last lag of the fit; found if not given.  A window over which the MSD bends is fitted by
        plain least squares, whose slope is the mean one, and a reason says so.
    threads : threads of the kernel.

    Returns
    -------
    Diffusivity
        `D_cm2_s` is the estimate with a 95 % interval, symmetric in ln D.  `n_hops` is N·6DT/a², a = 3 Å: the
        count of He, Zhu and Mo (doi 10.1038/s41524-018-0074-y) for the diffusive part of the MSD at the length of
        the run, so that vibration does not count as hops.  Verdicts: 'diffusive'; 'bound': too few hops for an
        estimate, and `high` is a bound that D stays below (one-sided 97.5 %); 'not-diffusing': the MSD has a
        plateau, the value is at most noise, and `high` is again a bound.

    Raises
    ------
    InputError
        If the fit window is not within the trajectory or holds fewer than two lags.
    PhysicsError
        If there are too few frames for any fit, or the ions do not move at all.

    Notes
    -----
    Bullerjahn, von Bülow, Hummer, doi 10.1063/5.0008312; McCluskey et al., doi 10.1021/acs.jctc.4c01249.
    """
    frames = len(displacements.time_ps)
    even = is_even(displacements)
    step_ps = mean_step_ps(displacements)
    if frames < 4:
        raise PhysicsError(f"{frames} frames are too few to fit a diffusion coefficient; record more often or longer")
    lag = ladder(frames) if fit_ps is None else _given_lags(fit_ps, step_ps, frames)
    lag_ps, tensor, fourth = moments(displacements.r_A, displacements.time_ps, lag, even, threads)
    curve = make_curve(lag, lag_ps, tensor, fourth, frames)
    if curve.msd_A2[0] <= 0.0:
        raise PhysicsError("the mobile ions do not move at all: every displacement is zero")
    together = concerted(displacements, even, threads)
    curve = replace(curve, n_ions=curve.n_ions / together)
    if fit_ps is None:
        try:
            fit, compared, bend = choose_tau(curve)
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
        if later is not None and abs(bend) > _BENT:
            fit, compared = plain_slope(curve, given), later
    scatter = compare(displacements, curve, fit, even=even, threads=threads, together=together)
    hidden = 0.3 * (fit.slope - compared.slope) ** 2  # what memory may be left, judged by the step from τ to 2τ
    variance = fit.variance * scatter.ratio + hidden
    return _verdict(
        displacements, curve, fit, stderr=float(np.sqrt(variance)), scatter=scatter, bend=bend, given=fit_ps is not None
    )


def conductivity(diffusivity: Diffusivity, n_ions: int, volume_A3: float, charge_e: float = 1.0) -> Estimate:
    """Return the Nernst-Einstein conductivity in mS/cm, with the interval of D.

    Parameters
    ----------
    diffusivity : D and its temperature.
    n_ions, volume_A3 : mobile ions in the cell, and its volume.
    charge_e : charge of an ion.

    Raises
    ------
    InputError
        If the number of ions or the volume is not positive.
    """
    if not (n_ions > 0 and volume_A3 > 0.0):
        raise InputError(f"n_ions = {n_ions} and volume_A3 = {volume_A3:g}, wanted both positive")
    d = diffusivity.D_cm2_s
    value, low, high = (
        nernst_einstein_mS_cm(x, n_ions, volume_A3, diffusivity.temperature_K, charge_e)
        for x in (d.value, d.low, d.high)
    )
    return Estimate(value, low, high)


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


def _verdict(
    displacements: Displacements,
    curve: Curve,
    fit: Slope,
    *,
    stderr: float,
    scatter: Scatter,
    bend: float,
    given: bool,
) -> Diffusivity:
    from scipy import stats

    to_D = A2_PS_TO_CM2_S / 6.0
    duration = float(displacements.time_ps[-1] - displacements.time_ps[0])
    rise = max(fit.slope, 0.0) * duration
    n_hops = len(displacements.r_A) * rise / HOP_A**2
    t = float(stats.t.ppf(0.975, scatter.dof))
    relative = stderr / fit.slope if fit.slope > 0.0 else np.inf
    first_ps, last_ps = float(curve.lag_ps[fit.lags[0]]), float(curve.lag_ps[fit.lags[-1]])
    local = float(np.log(curve.msd_A2[fit.lags[-1]] / curve.msd_A2[fit.lags[0]]) / np.log(last_ps / first_ps))
    reasons = [f"MSD grows as t^{local:.2f} from {first_ps:.3g} to {last_ps:.3g} ps"]
    verdict: Verdict = "diffusive"
    if abs(bend) > _BENT:
        reasons.append(
            f"the MSD is no straight line: its slope changes by {abs(bend):.2g} standard errors towards longer lags"
        )
    if fit.slope - 1.645 * stderr <= 0.0:
        verdict = "not-diffusing"
        reasons.append(
            f"the slope of the MSD is not above zero by its own error: ions vibrate with an MSD of "
            f"{curve.msd_A2[fit.lags[-1]]:.2g} Å²"
        )
    elif bend > _BENT and not given:
        verdict = "bound"
        reasons.append(
            "it still falls, as of ions that return: the slope is an upper bound of that of long-range motion"
        )
    elif rise < _SMALLEST_RISE_A2:
        verdict = "bound"
        reasons.append(f"the MSD would rise by {rise:.2g} Å² in the whole run, less than a hop to the next site")
    elif n_hops < FEWEST_HOPS:
        verdict = "bound"
        reasons.append(f"about {n_hops:.2g} hops of {HOP_A:g} Å were seen, wanted {FEWEST_HOPS:g} or more")
    elif relative > _LARGEST_STDERR:
        verdict = "bound"
        reasons.append(f"the standard error of ln D is {relative:.2f}, wanted {_LARGEST_STDERR:g} or less")
    else:
        reasons.append(f"about {n_hops:.3g} hops of {HOP_A:g} Å; standard error of ln D {relative:.2g}")
    reasons += scatter.reasons
    if verdict == "diffusive":
        low, high = fit.slope * np.exp(-t * relative), fit.slope * np.exp(t * relative)
        ln_stderr = relative
    else:
        # Where no hop at all is a fair guess, three hops of 3 Å are the Poisson bound at 95 %.
        poisson = 3.7 * HOP_A**2 / (len(displacements.r_A) * duration)
        multiplied = fit.slope * np.exp(t * min(relative, 1.5)) if fit.slope > 0.0 else 0.0
        low = 0.0
        high = max(fit.slope + t * stderr, poisson, multiplied)
        ln_stderr = float(max(relative, _LARGEST_STDERR)) if fit.slope > 0.0 else float("inf")
        reasons.append(f"D is below {high * to_D:.2g} cm²/s; run longer or hotter for an estimate")
    xyz = np.einsum("l,laa->a", fit.weights, curve.tensor_A2[fit.lags]) * 3.0 * to_D
    return Diffusivity(
        D_cm2_s=Estimate(max(fit.slope, 0.0) * to_D, float(low) * to_D, float(high) * to_D),
        xyz_cm2_s=(float(xyz[0]), float(xyz[1]), float(xyz[2])),
        temperature_K=displacements.temperature_K,
        ln_D_stderr=float(ln_stderr),
        fit_window_ps=(first_ps, last_ps),
        n_hops=float(n_hops),
        verdict=verdict,
        reasons=tuple(reasons),
    )
