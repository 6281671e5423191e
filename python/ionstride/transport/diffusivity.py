"""Diffusion coefficient with an interval that holds, and the Nernst-Einstein conductivity."""

from dataclasses import replace

import numpy as np

from ..errors import InputError
from ..results import Diffusivity, Estimate, Verdict
from ..units import A2_PS_TO_CM2_S, nernst_einstein_mS_cm
from .fit import BENT, Line, fit_line
from .source import Source, frames_of, step_ps_of
from .tensor import diffusion_tensor

HOP_A = 3.0  # He, Zhu, Mo: the usual distance between sites of a lithium conductor
FEWEST_HOPS = 10.0  # below it the interval is a bound
_WIDEST = 1.5  # error of ln D that a bound counts with at most
_LARGEST_STDERR = 0.6  # of ln D; beyond it the interval is a bound
FASTER = (
    "it grows faster than time, as of a crystal that drifts or of ions in flight: its slope is no diffusion "
    "coefficient; remove the drift, or run longer"
)
_FLIGHT = 1.3  # power of t beyond which an MSD whose slope still rises is no diffusion's
_RISING = 1.0  # standard errors of that rise
_SMALLEST_RISE_A2 = 1.0  # diffusive part of the MSD over the whole run; below it no ion has changed its site


def fit_diffusivity(source: Source, fit_ps: tuple[float, float] | None = None, threads: int = 0) -> Diffusivity:
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
    source : the ions' paths (`Displacements`), or sums of them that were streamed (`Accumulated`); runs are pooled.
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
    line = fit_line(source, fit_ps, threads)
    duration = step_ps_of(source) * (frames_of(source) - 1)
    ions = len(source.species)
    rise = max(line.slope.slope, 0.0) * duration
    n_hops = ions * rise / HOP_A**2
    verdict, reasons = growth(line)
    relative = relative_error(line)
    fit = line.slope
    if verdict == "not-diffusing":
        reasons.append(
            f"the slope of the MSD is not above zero by its own error: ions vibrate with an MSD of "
            f"{line.curve.msd_A2[fit.lags[-1]]:.2g} Å²"
        )
    elif verdict == "bound":
        pass
    elif line.bend > BENT and fit_ps is None:
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
    return finished(
        source,
        line,
        verdict,
        [*reasons, *line.scatter.reasons],
        n_hops=n_hops,
        least=slope_of_no_hop(ions, duration),
        kind="self",
    )


def slope_of_no_hop(ions: int, duration_ps: float) -> float:
    """Return the slope in Å²/ps that no hop at all in the run allows for: 3.7 hops of 3 Å, Poisson's 97.5 %.

    It holds for the charge per ion too, whose path a hop of one ion moves by as much.
    """
    return 3.7 * HOP_A**2 / (ions * duration_ps)


def growth(line: Line) -> tuple[Verdict, list[str]]:
    """Return the verdict from the slope and its error alone, and how the MSD grows, in words."""
    curve, fit = line.curve, line.slope
    first_ps, last_ps = float(curve.lag_ps[fit.lags[0]]), float(curve.lag_ps[fit.lags[-1]])
    local = _power(line)
    reasons = [f"MSD grows as t^{local:.2f} from {first_ps:.3g} to {last_ps:.3g} ps"]
    if abs(line.bend) > BENT:
        reasons.append(
            f"the MSD is no straight line: its slope changes by {abs(line.bend):.2g} standard errors towards longer "
            "lags"
        )
    if fit.slope - 1.645 * line.stderr <= 0.0:
        return "not-diffusing", reasons
    if not flies(line):
        return "diffusive", reasons
    reasons.append(FASTER)
    return "bound", reasons


def flies(line: Line) -> bool:
    """Return whether the MSD grows faster than time to the end of what could be looked at."""
    return line.bend < -_RISING and _power(line) > _FLIGHT


def _power(line: Line) -> float:
    """Return the mean power of t by which the MSD grows over the fitted lags."""
    ends = line.slope.lags[[0, -1]]
    growth, span = (np.log(v[ends[1]] / v[ends[0]]) for v in (line.curve.msd_A2, line.curve.lag_ps))
    return float(growth / span)


def relative_error(line: Line) -> float:
    """Return the standard error of ln D; infinite where the slope is not above zero."""
    return line.stderr / line.slope.slope if line.slope.slope > 0.0 else float(np.inf)


def finished(
    source: Source,
    line: Line,
    verdict: Verdict,
    reasons: list[str],
    *,
    n_hops: float,
    least: float,
    kind: str,
) -> Diffusivity:
    """Return the record of a fitted line: interval or bound, tensor, cross-checks.

    Parameters
    ----------
    source : what was fitted.
    line : the fit.
    verdict, reasons : as far as known.
    n_hops : hops seen.
    least : slope in Å²/ps below which a bound does not go.
    kind : 'self' or 'charge'.
    """
    from scipy import stats

    to_D = A2_PS_TO_CM2_S / 6.0
    fit, stderr, relative = line.slope, line.stderr, relative_error(line)
    t = float(stats.t.ppf(0.975, line.scatter.dof))
    tensor = diffusion_tensor(line, source.cell_A, t)
    if verdict == "diffusive":
        low, high = fit.slope * np.exp(-t * relative), fit.slope * np.exp(t * relative)
        ln_stderr = relative
    else:
        reach = _WIDEST if flies(line) else min(relative, _WIDEST)
        multiplied = fit.slope * np.exp(t * reach) if fit.slope > 0.0 else 0.0
        low = 0.0
        high = max(fit.slope + t * stderr, least, multiplied)
        ln_stderr = float(max(relative, _LARGEST_STDERR)) if fit.slope > 0.0 else float("inf")
        reasons.append(f"D is below {high * to_D:.2g} cm²/s; run longer or hotter for an estimate")
        # A third of the trace is D: no direction can have more than three times the bound.
        most = 3.0 * float(high) * to_D
        tensor = replace(tensor, axes={a: Estimate(v.value, 0.0, most) for a, v in tensor.axes.items()})
    return Diffusivity(
        D_cm2_s=Estimate(max(fit.slope, 0.0) * to_D, float(low) * to_D, float(high) * to_D),
        tensor=tensor,
        temperature_K=source.temperature_K,
        ln_D_stderr=float(ln_stderr),
        fit_window_ps=(float(line.curve.lag_ps[fit.lags[0]]), float(line.curve.lag_ps[fit.lags[-1]])),
        n_hops=float(n_hops),
        verdict=verdict,
        reasons=tuple(reasons),
        kind="charge" if kind == "charge" else "self",
        blocks_cm2_s=tuple(v * to_D for v in line.scatter.blocks_A2_ps),
        runs_cm2_s=tuple(v * to_D for v in line.scatter.runs_A2_ps),
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
