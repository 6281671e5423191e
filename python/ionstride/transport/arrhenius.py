"""Arrhenius line through several temperatures, and what it says at another one."""

import numpy as np

from ..checks import Array
from ..errors import InputError
from ..results import Arrhenius, Diffusivity, Estimate
from ..units import KB_EV_K, nernst_einstein_mS_cm

_SIGNIFICANT = 0.05  # scatter about the line that chance makes this seldom is taken as real
_BAND_POINTS = 60
_LARGEST_SPREAD = 1.5  # of ln D behind a bound
_NEWTON_STEPS = 50
_DISTINCT = 1e-3  # relative difference of temperatures that still are two
_LARGEST_LN = 600.0  # keeps what is extrapolated from nearly equal temperatures a number
_CURVED = 2.5  # standard errors of the quadratic term that earn a warning


def fit_arrhenius(
    diffusivities: list[Diffusivity],
    *,
    n_ions: int,
    volume_A3: float,
    charge_e: float = 1.0,
    at_K: float = 300.0,
) -> Arrhenius:
    r"""Return activation energy, prefactor and the extrapolation of D and σ, with 95 % intervals.

    .. math:: \ln D = \ln D_0 - E_a / (k_B T)

    Weighted least squares by the errors of ln D.  A temperature at which only a bound of D is known enters as the
    probability that D lies below it (a normal distribution's, as in censored regression).  Errors are multiplied by
    max(1, √(χ²/dof)); a bound that the line passes above counts in χ².  They are taken as known (normal quantile),
    unless the scatter about the line is larger than they allow (p < 0.05): then it is estimated from the few points,
    and Student's t for their number holds.

    Parameters
    ----------
    diffusivities : at two temperatures or more; those without the verdict 'diffusive' count as upper bounds, unless
        fewer than two temperatures are diffusive: then bounds stand in for values, with a warning.
    n_ions, volume_A3 : mobile ions in the cell, and its volume, for σ.
    charge_e : charge of an ion.
    at_K : temperature of the extrapolation.

    Raises
    ------
    InputError
        If there are fewer than two temperatures, or `at_K` is not positive.
    """
    from scipy import stats

    if not at_K > 0.0:
        raise InputError(f"at_K = {at_K:g}, wanted a temperature above zero")
    points, bounds, warnings = _points(diffusivities)
    x = np.array([1.0 / (KB_EV_K * p.temperature_K) for p in points])
    if not all(p.D_cm2_s.value > 0.0 for p in points):
        raise InputError("a D that is called diffusive is not above zero: an Arrhenius line needs its logarithm")
    y = np.log([p.D_cm2_s.value for p in points])
    error = np.array([p.ln_D_stderr for p in points])
    if not (np.isfinite(error).all() and (error > 0.0).all()):
        raise InputError("every ln_D_stderr must be positive and finite: an Arrhenius line weighs points by it")
    design = np.stack([np.ones_like(x), -x], axis=1)
    weighted = design / error[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted)
    best = covariance @ weighted.T @ (y / error)
    if bounds:
        best, covariance = _with_bounds(best, np.linalg.inv(covariance), bounds)
    ln_D0, Ea = best
    dof = len(points) - 2
    quantile = float(stats.norm.ppf(0.975))
    chi2_per_dof = None
    chi2 = float(np.sum(((y - design @ [ln_D0, Ea]) / error) ** 2))
    missed, said = _missed_bounds(best, bounds)
    chi2, dof = chi2 + float(np.sum(missed**2)), dof + len(missed)
    warnings += said
    if dof >= 1:
        chi2_per_dof = chi2 / dof
        covariance = covariance * max(1.0, chi2_per_dof)
        if stats.chi2.sf(chi2, dof) < _SIGNIFICANT:
            quantile = float(stats.t.ppf(0.975, dof))
            warnings.append(
                f"the points scatter about the line by {np.sqrt(chi2_per_dof):.2g} times their errors: one line may "
                "not fit them (a change of mechanism or phase), and the intervals are widened"
            )
    else:
        warnings.append("two temperatures only: nothing tests whether D follows one Arrhenius line")
    warnings += _curvature(x, y, error)
    temperatures = [p.temperature_K for p in points]
    if not 0.999 * min(temperatures) <= at_K <= 1.001 * max(temperatures):
        warnings.append(
            f"{at_K:g} K lies outside {min(temperatures):g} to {max(temperatures):g} K: the value there is an "
            "extrapolation that holds only if the mechanism stays the same"
        )

    def line(temperature_K: float) -> Estimate:
        row = np.array([1.0, -1.0 / (KB_EV_K * temperature_K)])
        middle = float(row @ [ln_D0, Ea])
        half = quantile * float(np.sqrt(row @ covariance @ row))
        ends = np.clip([middle - half, middle + half], -_LARGEST_LN, _LARGEST_LN)
        return Estimate(*(float(np.exp(v)) for v in (middle, *ends)))

    half = quantile * np.sqrt(np.diag(covariance))
    D_at = line(at_K)
    sigma = [nernst_einstein_mS_cm(D, n_ions, volume_A3, at_K, charge_e) for D in (D_at.value, D_at.low, D_at.high)]
    inverse = np.linspace(1.0 / max([*temperatures, at_K]), 1.0 / min([*temperatures, at_K]), _BAND_POINTS)
    band = [line(float(1.0 / i)) for i in inverse]
    return Arrhenius(
        Ea_eV=Estimate(float(Ea), float(Ea - half[1]), float(Ea + half[1])),
        ln_D0=Estimate(float(ln_D0), float(ln_D0 - half[0]), float(ln_D0 + half[0])),
        D_at_cm2_s=D_at,
        sigma_at_mS_cm=Estimate(*sigma),
        at_K=at_K,
        chi2_per_dof=chi2_per_dof,
        temperatures_K=tuple(temperatures),
        D_cm2_s=tuple(p.D_cm2_s.value for p in points),
        band_K=1.0 / inverse,
        band_cm2_s=np.array([[b.low, b.value, b.high] for b in band]),
        warnings=tuple(warnings),
        bounds_K=tuple(b.temperature_K for b in bounds),
        bounds_cm2_s=tuple(b.D_cm2_s.high for b in bounds),
    )


def _normal(bounds: list[Diffusivity]) -> tuple[Array, Array, Array]:
    """Return spread and middle of the normal distribution of ln D behind each bound, and its row of the design."""
    spread = np.array([min(b.ln_D_stderr, _LARGEST_SPREAD) for b in bounds])
    middle = np.log([b.D_cm2_s.high for b in bounds]) - 1.96 * spread
    return spread, middle, np.array([[1.0, -1.0 / (KB_EV_K * b.temperature_K)] for b in bounds])


def _missed_bounds(best: Array, bounds: list[Diffusivity]) -> tuple[Array, list[str]]:
    """Return by how many spreads the line misses the bounds that it passes above, and a warning for each."""
    if not bounds:
        return np.empty(0), []
    spread, middle, rows = _normal(bounds)
    line = rows @ best
    missed = line > np.log([b.D_cm2_s.high for b in bounds])
    warnings = [
        f"at {b.temperature_K:g} K the line gives {np.exp(at):.2g} cm²/s, above the bound of {b.D_cm2_s.high:.2g}: one "
        "line does not fit both (a change of mechanism or phase, or a run that was too short)"
        for b, at, above in zip(bounds, line, missed, strict=True)
        if above
    ]
    return ((line - middle) / spread)[missed], warnings


def _with_bounds(start: Array, information: Array, bounds: list[Diffusivity]) -> tuple[Array, Array]:
    """Return ln D0 and Ea, and their covariance, with temperatures at which D is only known to be below a bound.

    Newton's method on the likelihood, which has one maximum.  A bound that D stays below with 97.5 % is the upper
    end of a normal distribution of ln D.

    Parameters
    ----------
    start : (2) ln D0 and Ea of the points alone.
    information : (2, 2) inverse covariance of `start`.
    bounds : results that are bounds.
    """
    from scipy import special

    spread, middle, rows = _normal(bounds)
    best = start.copy()
    hessian = information
    for _ in range(_NEWTON_STEPS):
        z = (middle - rows @ best) / spread
        mills = np.exp(-0.5 * z * z - 0.5 * np.log(2 * np.pi) - special.log_ndtr(z))
        gradient = information @ (best - start) + rows.T @ (mills / spread)
        hessian = information + (rows * (mills * (mills + z) / spread**2)[:, None]).T @ rows
        step = np.linalg.solve(hessian, gradient)
        best = best - step
        if np.abs(step).max() < 1e-10:
            break
    return best, np.asarray(np.linalg.inv(hessian), dtype=np.float64)


def _curvature(x: Array, y: Array, error: Array) -> list[str]:
    """Return a warning if a parabola fits four or more points significantly better than a line."""
    if len(np.unique(x)) < 4:
        return []
    centred = (x - x.mean()) / np.ptp(x)
    design = np.stack([np.ones_like(x), centred, centred**2], axis=1) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    bend = float((covariance @ design.T @ (y / error))[2])
    if abs(bend) < _CURVED * float(np.sqrt(covariance[2, 2])):
        return []
    way = "rises" if bend < 0 else "falls"
    return [
        f"the points curve by {abs(bend) / np.sqrt(covariance[2, 2]):.1f} standard errors (Ea {way} towards low "
        "temperature): one Ea does not hold over this range, and the extrapolation least of all"
    ]


def _two(given: list[Diffusivity]) -> bool:
    """Return whether there are two temperatures that differ by more than a thermostat does from itself."""
    T = [d.temperature_K for d in given]
    return len(T) > 1 and max(T) > (1.0 + _DISTINCT) * min(T)


def _points(diffusivities: list[Diffusivity]) -> tuple[list[Diffusivity], list[Diffusivity], list[str]]:
    """Return the points, the bounds beside them, and warnings."""
    given = sorted(diffusivities, key=lambda d: d.temperature_K)
    if not _two(given):
        said = f"{given[0].temperature_K:g} K alone" if given else "none"
        raise InputError(
            f"an Arrhenius line needs D at two temperatures or more (three to test it), got {said}; "
            "run another temperature"
        )
    good = [d for d in given if d.verdict == "diffusive"]
    if _two(good):
        bounds = [d for d in given if d.verdict != "diffusive" and d.D_cm2_s.high > 0.0]
        return (
            good,
            bounds,
            [
                f"{d.temperature_K:g} K counts as an upper bound of {d.D_cm2_s.high:.2g} cm²/s: "
                f"its verdict is '{d.verdict}'"
                for d in bounds
            ],
        )
    usable = [d for d in given if d.D_cm2_s.value > 0.0 and np.isfinite(d.ln_D_stderr)]
    if not _two(usable):
        raise InputError(
            "fewer than two temperatures have a diffusion coefficient above zero, so there is no Arrhenius line; "
            "run longer or hotter"
        )
    words = ", ".join(f"{d.temperature_K:g} K {d.verdict}" for d in given)
    return (
        usable,
        [],
        [f"fewer than two temperatures are diffusive: the line rests on bounds ({words}) and is a guess"],
    )
