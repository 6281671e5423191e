"""Arrhenius lines through synthetic diffusion coefficients of known Ea and D0."""

import numpy as np
import pytest

from ionstride.errors import InputError
from ionstride.results import Diffusivity, Estimate, Tensor
from ionstride.transport import fit_arrhenius
from ionstride.units import KB_EV_K, nernst_einstein_mS_cm

EA, LN_D0 = 0.30, np.log(2e-3)
CELL = {"n_ions": 20, "volume_A3": 1000.0, "charge_e": 1.0}


def truth(temperature_K):
    return LN_D0 - EA / (KB_EV_K * temperature_K)


def point(temperature_K, ln_D, stderr, verdict="diffusive"):
    D = float(np.exp(ln_D))
    interval = Estimate(D, D * np.exp(-1.96 * stderr), D * np.exp(1.96 * stderr))
    tensor = Tensor(D * np.eye(3), D * stderr * np.eye(3), {})
    return Diffusivity(interval, tensor, temperature_K, stderr, (1.0, 10.0), 100.0, verdict, ())


def noisy(rng, temperatures, stderr, hidden=1.0):
    return [point(T, truth(T) + hidden * stderr * rng.normal(), stderr) for T in temperatures]


def test_exact_points_give_the_line_back():
    """Fault: wrong Boltzmann constant, log10 for ln, σ at the wrong temperature."""
    line = fit_arrhenius([point(T, truth(T), 0.1) for T in (600, 800, 1000)], **CELL, at_K=300)
    assert line.Ea_eV.value == pytest.approx(EA)
    assert line.ln_D0.value == pytest.approx(LN_D0)
    assert line.D_at_cm2_s.value == pytest.approx(np.exp(truth(300)))
    assert line.sigma_at_mS_cm.value == pytest.approx(nernst_einstein_mS_cm(np.exp(truth(300)), 20, 1000.0, 300.0))
    assert line.D_at_cm2_s.low < line.D_at_cm2_s.value < line.D_at_cm2_s.high
    assert line.chi2_per_dof == pytest.approx(0.0, abs=1e-12)
    assert line.band_cm2_s.shape == (len(line.band_K), 3)


@pytest.mark.parametrize("temperatures", [(600, 900), (600, 800, 1000), (500, 600, 700, 800, 1000)])
def test_intervals_hold_ninety_five_times_in_a_hundred(temperatures):
    """Fault: intervals of the extrapolation that ignore the covariance of slope and intercept."""
    rng = np.random.default_rng(1)
    lines = [fit_arrhenius(noisy(rng, temperatures, 0.1), **CELL) for _ in range(400)]
    for name, value in (("Ea_eV", EA), ("ln_D0", LN_D0), ("D_at_cm2_s", np.exp(truth(300)))):
        inside = [getattr(line, name).low <= value <= getattr(line, name).high for line in lines]
        assert 0.92 <= np.mean(inside) <= 0.995, name


def test_scatter_beyond_the_errors_widens_the_intervals():
    """Fault: intervals that stay narrow though the points plainly miss the line."""
    rng = np.random.default_rng(2)
    lines = [fit_arrhenius(noisy(rng, (500, 600, 700, 800), 0.02, hidden=6.0), **CELL) for _ in range(300)]
    assert np.mean([line.Ea_eV.low <= EA <= line.Ea_eV.high for line in lines]) > 0.88
    assert any("scatter" in w for w in max(lines, key=lambda x: x.chi2_per_dof).warnings)


def test_weights_follow_the_errors():
    """Fault: a poor point at low temperature that pulls the line."""
    points = [point(500, truth(500) + 1.0, 2.0), *(point(T, truth(T), 0.05) for T in (700, 850, 1000))]
    assert fit_arrhenius(points, **CELL).Ea_eV.value == pytest.approx(EA, abs=0.01)


def test_one_temperature_is_refused_with_a_sentence():
    """Fault: a singular matrix in the user's face."""
    with pytest.raises(InputError, match="two temperatures"):
        fit_arrhenius([point(600, truth(600), 0.1), point(600, truth(600), 0.1)], **CELL)
    with pytest.raises(InputError, match="two temperatures"):
        fit_arrhenius([], **CELL)


def test_two_temperatures_work_and_warn():
    """Fault: a line through two points presented as tested."""
    line = fit_arrhenius([point(T, truth(T), 0.1) for T in (600, 900)], **CELL)
    assert line.chi2_per_dof is None
    assert any("two temperatures" in w for w in line.warnings)


def test_bounds_are_used_as_bounds():
    """Fault: an upper bound taken as a value, which lowers Ea; or thrown away though it says much."""
    points = [point(T, truth(T), 0.1) for T in (600, 800, 1000)]
    alone = fit_arrhenius(points, **CELL)
    far = fit_arrhenius([point(400, truth(400) + 5, 0.6, "bound"), *points], **CELL)
    assert far.temperatures_K == (600, 800, 1000) and far.bounds_K == (400,)
    assert any("400 K" in w for w in far.warnings)
    assert far.Ea_eV.value == pytest.approx(alone.Ea_eV.value, abs=1e-3)
    # A bound well below the line must pull it down there, by less than a value would.
    low = fit_arrhenius([point(400, truth(400) - 2.5, 0.6, "bound"), *points], **CELL)
    value = fit_arrhenius([point(400, truth(400) - 2.5, 0.6), *points], **CELL)
    assert alone.Ea_eV.value < low.Ea_eV.value <= value.Ea_eV.value + 0.01
    guess = fit_arrhenius([point(400, truth(400), 0.6, "bound"), points[0]], **CELL)
    assert any("guess" in w for w in guess.warnings)


def test_the_line_with_a_bound_is_the_maximum_of_its_likelihood():
    """Fault: Newton's method that stops elsewhere, or a wrong derivative."""
    from scipy import optimize, special

    points = [point(T, truth(T) + e, 0.2) for T, e in ((600, 0.1), (700, -0.2), (900, 0.1))]
    bound = point(450, truth(450) - 1.0, 0.7, "bound")
    line = fit_arrhenius([*points, bound], **CELL)

    def minus_log_likelihood(p):
        at = [p[0] - p[1] / (KB_EV_K * d.temperature_K) for d in (*points, bound)]
        plain = sum(((np.log(d.D_cm2_s.value) - a) / 0.2) ** 2 for d, a in zip(points, at[:3], strict=True)) / 2
        middle = np.log(bound.D_cm2_s.high) - 1.96 * 0.7
        return plain - special.log_ndtr((middle - at[3]) / 0.7)

    best = optimize.minimize(minus_log_likelihood, [LN_D0, EA], method="Nelder-Mead", options={"xatol": 1e-8}).x
    assert (line.ln_D0.value, line.Ea_eV.value) == pytest.approx(best, rel=1e-4)


def test_a_curved_plot_is_said():
    """Fault: one Ea through two regimes without a word."""
    curved = [point(T, truth(T) - 4e4 * (1 / T - 1 / 800) ** 2 * 1e2, 0.05) for T in (500, 650, 800, 1000)]
    assert any("curve" in w for w in fit_arrhenius(curved, **CELL).warnings)
    straight = [point(T, truth(T), 0.05) for T in (500, 650, 800, 1000)]
    assert not any("curve" in w for w in fit_arrhenius(straight, **CELL).warnings)
