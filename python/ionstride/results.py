"""Results of the transport analysis: never a bare number, always with its interval.

Frozen, arrays read-only; cm²/s, mS/cm and eV, with the unit in the field's name.
"""

from dataclasses import dataclass
from typing import Any, Literal

from .checks import Array

Kind = Literal["self", "charge", "cross"]


@dataclass(frozen=True)
class Msd:
    """Mean squared displacement against lag (lag 0 excluded).

    Attributes
    ----------
    lag_ps : (M) lags, a time and not an index.
    value_A2 : (M) total over the three axes.
    xyz_A2 : (M, 3) per Cartesian axis.
    stderr_A2 : (M) standard error.
    n_independent : (M) number of independent displacements behind each value.
    kind : 'self', 'charge' (collective, per ion) or 'cross' (collective, between two species).
    alpha2 : (M) non-Gaussian parameter, or None.
    tensor_A2 : (M, 3, 3) ⟨ΔΔᵀ⟩ in Cartesian axes.
    """

    lag_ps: Array
    value_A2: Array
    xyz_A2: Array
    stderr_A2: Array
    n_independent: Array
    kind: Kind = "self"
    alpha2: Array | None = None
    tensor_A2: Array | None = None


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; never a bare float.

    Attributes
    ----------
    value : the estimate.
    low, high : ends of the 95 % interval.
    """

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """Return ``{'value': …, 'ci95': [low, high]}``."""
        return {"value": self.value, "ci95": [self.low, self.high]}


@dataclass(frozen=True)
class Tensor:
    """Symmetric tensor with its errors, in Cartesian axes and along those of the crystal.

    Attributes
    ----------
    value, stderr : (3, 3) in Cartesian axes.
    axes : 'a', 'b', 'c' → component along that cell vector, with 95 % interval.
    """

    value: Array
    stderr: Array
    axes: dict[str, Estimate]

    def as_dict(self) -> dict[str, Any]:
        """Return nested lists and dictionaries for JSON."""
        return {
            "value": self.value.tolist(),
            "stderr": self.stderr.tolist(),
            "along_cell_vectors": {name: value.as_dict() for name, value in self.axes.items()},
        }


Verdict = Literal["diffusive", "bound", "not-diffusing"]


@dataclass(frozen=True)
class Diffusivity:
    """Diffusion coefficient of the mobile ions at one temperature.

    Attributes
    ----------
    D_cm2_s : estimate with 95 % interval; for the verdict 'bound' `high` is the bound.
    tensor : 3×3 D.
    temperature_K : temperature.
    ln_D_stderr : standard error of ln D, what Arrhenius weighs by.
    fit_window_ps : first and last lag of the fit.
    n_hops : He-Zhu-Mo count N·MSD_max/a².
    verdict, reasons : whether the ions diffuse, in words.
    kind : 'self', or 'charge' for the collective motion of all ions.
    blocks_cm2_s, runs_cm2_s : D of equal blocks of time and of each replica, as a cross-check; empty if one.
    """

    D_cm2_s: Estimate
    tensor: Tensor
    temperature_K: float
    ln_D_stderr: float
    fit_window_ps: tuple[float, float]
    n_hops: float
    verdict: Verdict
    reasons: tuple[str, ...]
    kind: Kind = "self"
    blocks_cm2_s: tuple[float, ...] = ()
    runs_cm2_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Arrhenius:
    """D(T) = D0 exp(−Ea/kT) through several temperatures.

    Attributes
    ----------
    Ea_eV : activation energy with 95 % interval.
    ln_D0 : ln of D0 in cm²/s with 95 % interval.
    D_at_cm2_s, sigma_at_mS_cm : extrapolated to `at_K`.
    at_K : temperature of the extrapolation.
    chi2_per_dof : scatter of the points about the line over their own errors; None at two points.
    temperatures_K, D_cm2_s : the points used.
    bounds_K, bounds_cm2_s : temperatures at which D is only known to lie below a bound, and these.
    band_K, band_cm2_s : (B), (B, 3) line with 95 % band (low, line, high), for the picture.
    warnings : in words.
    """

    Ea_eV: Estimate
    ln_D0: Estimate
    D_at_cm2_s: Estimate
    sigma_at_mS_cm: Estimate
    at_K: float
    chi2_per_dof: float | None
    temperatures_K: tuple[float, ...]
    D_cm2_s: tuple[float, ...]
    band_K: Array
    band_cm2_s: Array
    warnings: tuple[str, ...]
    bounds_K: tuple[float, ...] = ()
    bounds_cm2_s: tuple[float, ...] = ()
