"""Motion of the charge of all ions together: its D, and the Haven ratio."""

from ..results import Diffusivity, Estimate
from .diffusivity import FASTER, finished, growth, relative_error, slope_of_no_hop
from .fit import BENT, fit_line
from .scatter import THEORY_DOF_OF_SUMS
from .source import Source, collective_source, frames_of, step_ps_of

_LARGEST_STDERR = 0.6  # of ln D, as for one ion's


def fit_charge_diffusivity(
    source: Source, self_diffusivity: Diffusivity, fit_ps: tuple[float, float] | None = None, threads: int = 0
) -> Diffusivity:
    r"""Return the diffusion coefficient of the charge, D_σ, per ion.

    .. math:: D_\sigma = \frac{1}{6} \frac{d}{dt} \frac{\langle |\sum_i q_i Δr_i|^2 \rangle}{\sum_i q_i^2}

    There is one such path a run, so its error is larger than that of the self D by about √N.

    Parameters
    ----------
    source : paths or streamed sums.
    self_diffusivity : the fit of the self MSD: the charge does not forget sooner than its ions, so the fit starts
        no earlier.
    fit_ps : first and last lag, found if not given.
    threads : threads of the kernel.

    Raises
    ------
    PhysicsError
        If the ions were made one by one, carry no charge, or there are too few frames.
    """
    charge = collective_source(source)
    not_before = round(self_diffusivity.fit_window_ps[0] / step_ps_of(source))
    line = fit_line(charge, fit_ps, threads, not_before, THEORY_DOF_OF_SUMS)
    verdict, reasons = growth(line)
    relative = relative_error(line)
    if verdict == "diffusive" and FASTER in self_diffusivity.reasons:  # one path alone is too noisy to show it
        verdict = "bound"
        reasons.append("the ions' own MSD grows faster than time")
    if verdict == "not-diffusing":
        reasons.append("the slope of the charge MSD is not above zero by its own error")
    elif verdict == "bound":
        pass
    elif line.bend > BENT and fit_ps is None:
        verdict = "bound"
        reasons.append("it still falls: the slope is an upper bound of that of long-range motion")
    elif relative > _LARGEST_STDERR:
        verdict = "bound"
        reasons.append(f"the standard error of ln D is {relative:.2f}, wanted {_LARGEST_STDERR:g} or less")
    elif self_diffusivity.verdict != "diffusive":
        verdict = "bound"
        reasons.append("single ions are not seen to diffuse, so neither is their sum")
    least = slope_of_no_hop(len(source.species), step_ps_of(source) * (frames_of(source) - 1))
    return finished(charge, line, verdict, reasons, n_hops=self_diffusivity.n_hops, least=least, kind="charge")


def haven_ratio(self_diffusivity: Diffusivity, charge_diffusivity: Diffusivity) -> Estimate | None:
    """Return D_self / D_σ with its 95 % interval, or None where one of the two is not diffusive.

    The error is the larger of the two.  For N independent ions the errors are correlated so that the variance of
    ln(D_self / D_σ) is (1 − 1/N) of that of ln D_σ; adding the two as if independent would be (1 + 1/N).
    """
    if {self_diffusivity.verdict, charge_diffusivity.verdict} != {"diffusive"}:
        return None
    both = (self_diffusivity, charge_diffusivity)
    value = both[0].D_cm2_s.value / both[1].D_cm2_s.value
    reach = max(d.D_cm2_s.high / d.D_cm2_s.value for d in both)
    return Estimate(value, value / reach, value * reach)
