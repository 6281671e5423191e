"""Arrhenius line through several temperatures, and what it says at another one."""

import numpy as np

from ..errors import InputError
from ..records import Arrhenius, Diffusivity, Estimate
from ..units import KB_EV_K, nernst_einstein_mS_cm

_SIGNIFICANT = 0.05  # scatter about the line that chance makes this seldom is taken as real
_BAND_POINTS = 60


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

    Weighted least squares by the errors of ln D.  Errors are multiplied by max(1, √(χ²/dof)).  They are taken as
    known (normal quantile), unless the scatter about the line is larger than they allow (p < 0.05): then it is
    estimated from the few points, and Student's t for their number holds.

    Parameters
    ----------
    diffusivities : at two temperatures or more; those without the verdict 'diffusive' are left out with a
        warning, unless fewer than two temperatures remain.
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
    points, warnings = _points(diffusivities)
    x = np.array([1.0 / (KB_EV_K * p.temperature_K) for p in points])
    y = np.log([p.D_cm2_s.value for p in points])
    error = np.array([p.ln_D_stderr for p in points])
    if not (np.isfinite(error).all() and (error > 0.0).all()):
        raise InputError("every ln_D_stderr must be positive and finite: an Arrhenius line weighs points by it")
    design = np.stack([np.ones_like(x), -x], axis=1)
    weighted = design / error[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted)
    ln_D0, Ea = covariance @ weighted.T @ (y / error)
    dof = len(points) - 2
    quantile = float(stats.norm.ppf(0.975))
    chi2_per_dof = None
    if dof >= 1:
        chi2 = float(np.sum(((y - design @ [ln_D0, Ea]) / error) ** 2))
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
        return Estimate(*(float(np.exp(middle + s * half)) for s in (0, -1, 1)))

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
    )


def _points(diffusivities: list[Diffusivity]) -> tuple[list[Diffusivity], list[str]]:
    given = sorted(diffusivities, key=lambda d: d.temperature_K)
    if len({d.temperature_K for d in given}) < 2:
        said = f"{given[0].temperature_K:g} K alone" if given else "none"
        raise InputError(
            f"an Arrhenius line needs D at two temperatures or more (three to test it), got {said}; "
            "run another temperature"
        )
    good = [d for d in given if d.verdict == "diffusive"]
    warnings = []
    if len({d.temperature_K for d in good}) >= 2:
        warnings += [
            f"{d.temperature_K:g} K is left out: its verdict is '{d.verdict}'"
            for d in given
            if d.verdict != "diffusive"
        ]
        return good, warnings
    usable = [d for d in given if d.D_cm2_s.value > 0.0 and np.isfinite(d.ln_D_stderr)]
    if len({d.temperature_K for d in usable}) < 2:
        raise InputError(
            "fewer than two temperatures have a diffusion coefficient above zero, so there is no Arrhenius line; "
            "run longer or hotter"
        )
    warnings.append(
        "fewer than two temperatures are diffusive: the line rests on bounds ("
        + ", ".join(f"{d.temperature_K:g} K {d.verdict}" for d in given)
        + ") and is a guess"
    )
    return usable, warnings
