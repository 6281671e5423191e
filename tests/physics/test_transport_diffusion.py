"""D, its interval and its verdict on walks whose diffusion coefficient is known."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from ionstride.errors import InputError, PhysicsError
from ionstride.transport import conductivity, displacements_from_arrays, fit_diffusivity
from ionstride.units import nernst_einstein_mS_cm

# By its path: another package is called coverage too.
_spec = importlib.util.spec_from_file_location("ionstride_walks", Path(__file__).with_name("coverage.py"))
_walks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_walks)
anisotropic_walk, back_jumps, cage_and_hops = _walks.anisotropic_walk, _walks.back_jumps, _walks.cage_and_hops
free_walk, noisy_walk, vibration = _walks.free_walk, _walks.noisy_walk, _walks.vibration


def moved(r, dt_ps=1.0, **more):
    return displacements_from_arrays(r, dt_ps=dt_ps, temperature_K=600.0, volume_A3=1000.0, **more)


@pytest.mark.parametrize("walk", [free_walk, noisy_walk, anisotropic_walk, cage_and_hops, back_jumps])
def test_interval_holds_the_known_diffusivity(walk):
    """Faults: a wrong dimension factor, vibration or back-jumps counted as diffusion, too small an error bar."""
    rng = np.random.default_rng(11)
    inside = []
    for _ in range(20):
        r, D = walk(rng, 32, 800)
        fit = fit_diffusivity(moved(r))
        assert fit.verdict == "diffusive"
        assert fit.D_cm2_s.value == pytest.approx(D * 1e-4, rel=0.35)
        inside.append(fit.D_cm2_s.low < D * 1e-4 < fit.D_cm2_s.high)
    assert np.mean(inside) >= 0.8


def test_stderr_is_the_scatter_of_the_estimate():
    """Fault: error bars of overlapping windows taken as independent (tens of times too small)."""
    rng = np.random.default_rng(5)
    fits = [fit_diffusivity(moved(free_walk(rng, 8, 400)[0])) for _ in range(60)]
    scatter = np.std([np.log(f.D_cm2_s.value) for f in fits])
    assert 0.5 < np.median([f.ln_D_stderr for f in fits]) / scatter < 1.6


def test_few_hops_widen_the_interval():
    """Fault: a Gaussian error bar on a run of a few dozen discrete hops, which cannot know D better than 1/√hops."""
    rng = np.random.default_rng(3)
    r, _ = cage_and_hops(rng, 8, 2000, rate=0.004)
    fit = fit_diffusivity(moved(r))
    assert fit.ln_D_stderr > 0.7 / np.sqrt(0.004 * 8 * 2000)


def test_axes_of_an_anisotropic_walk():
    """Fault: axes mixed up, or each divided by 6 instead of 2."""
    rng = np.random.default_rng(7)
    scale = np.array([0.6, 0.3, 0.1])
    r = np.cumsum(rng.normal(0, 1, (200, 1500, 3)) * scale, axis=1)
    fit = fit_diffusivity(moved(r))
    assert np.diag(fit.tensor.value) == pytest.approx(scale**2 / 2 * 1e-4, rel=0.05)
    assert np.trace(fit.tensor.value) / 3 == pytest.approx(fit.D_cm2_s.value, rel=1e-9)


def test_far_from_the_origin_nothing_changes():
    """Fault: single precision, or squares of positions instead of displacements, 300 Å from the origin."""
    r, _ = free_walk(np.random.default_rng(2), 16, 500)
    near, far = fit_diffusivity(moved(r)), fit_diffusivity(moved(r + 300.0))
    assert far.D_cm2_s.value == pytest.approx(near.D_cm2_s.value, rel=1e-9)


def test_time_step_scales_the_diffusivity():
    """Fault: lags counted in frames where a time is meant."""
    r, _ = free_walk(np.random.default_rng(2), 16, 500)
    one, tenth = fit_diffusivity(moved(r)), fit_diffusivity(moved(r, dt_ps=0.1))
    assert tenth.D_cm2_s.value == pytest.approx(10 * one.D_cm2_s.value, rel=1e-9)
    assert tenth.fit_window_ps[0] == pytest.approx(0.1 * one.fit_window_ps[0], rel=1e-9)


def test_vibration_alone_is_not_diffusion():
    """Fault: a plateau divided by a time and called D."""
    r = vibration(np.random.default_rng(4), 32, 1000, 3.0, 0.5)
    fit = fit_diffusivity(moved(r))
    assert fit.verdict in ("not-diffusing", "bound")
    assert fit.D_cm2_s.low == 0.0 < fit.D_cm2_s.high
    assert any("MSD" in reason for reason in fit.reasons)


def test_a_handful_of_hops_gives_a_bound_above_the_truth():
    """Fault: an estimate with an interval from three hops."""
    rng = np.random.default_rng(8)
    r, D = cage_and_hops(rng, 4, 500, rate=0.001, memory=2.0)
    fit = fit_diffusivity(moved(r))
    assert fit.verdict != "diffusive"
    assert fit.D_cm2_s.high > D * 1e-4


def test_motion_that_ends_gives_an_upper_bound():
    """Fault: ions that rattle in a large cage with long memory reported as conducting."""
    rng = np.random.default_rng(9)
    r = vibration(rng, 200, 600, 80.0, 3.0)
    fit = fit_diffusivity(moved(r))
    assert fit.verdict != "diffusive"
    assert fit.D_cm2_s.low == 0.0


def test_ions_that_move_together_widen_the_interval():
    """Fault: N ions in lockstep counted as N independent samples."""
    rng = np.random.default_rng(10)
    one, _ = free_walk(rng, 1, 2000)
    together = np.repeat(one, 64, axis=0) + rng.normal(0, 0.01, (64, 2000, 3))
    apart, _ = free_walk(rng, 64, 2000)
    wide, narrow = fit_diffusivity(moved(together)), fit_diffusivity(moved(apart))
    assert wide.ln_D_stderr > 3 * narrow.ln_D_stderr
    assert any("together" in reason for reason in wide.reasons)


def test_given_window_is_respected():
    """Fault: the user's fit range replaced by the program's own."""
    r, D = free_walk(np.random.default_rng(1), 32, 1000)
    fit = fit_diffusivity(moved(r, dt_ps=0.5), fit_ps=(10.0, 60.0))
    assert fit.fit_window_ps == pytest.approx((10.0, 60.0))
    assert fit.D_cm2_s.low < 2 * D * 1e-4 < fit.D_cm2_s.high


@pytest.mark.parametrize("window", [(0.0, 5.0), (9.0, 3.0), (10.0, 900.0), (5.1, 5.9)])
def test_impossible_window_is_named(window):
    """Fault: an empty or reversed fit range that ends in an index error."""
    r, _ = free_walk(np.random.default_rng(1), 4, 500)
    with pytest.raises(InputError, match="fit"):
        fit_diffusivity(moved(r), fit_ps=window)


@pytest.mark.parametrize("r", [np.zeros((3, 50, 3)), np.zeros((3, 3, 3))])
def test_nothing_to_fit_is_said(r):
    """Fault: NaN from ions that do not move, or from a run of three frames."""
    with pytest.raises(PhysicsError):
        fit_diffusivity(moved(r))


def test_uneven_times_give_the_same_diffusivity():
    """Fault: uneven frames treated as even."""
    rng = np.random.default_rng(6)
    r, D = free_walk(rng, 64, 4000)
    kept = np.sort(rng.choice(4000, 500, replace=False))
    uneven = displacements_from_arrays(r[:, kept], time_ps=kept.astype(float), temperature_K=600.0, volume_A3=1000.0)
    fit = fit_diffusivity(uneven)
    assert fit.D_cm2_s.low < D * 1e-4 < fit.D_cm2_s.high
    assert fit.D_cm2_s.value == pytest.approx(D * 1e-4, rel=0.15)


def test_replicas_narrow_the_interval():
    """Fault: replicas joined end to end in time, or counted once."""
    rng = np.random.default_rng(12)
    r, D = free_walk(rng, 64, 600)
    pooled = fit_diffusivity(moved(r, run=np.repeat(np.arange(4), 16)))
    single = fit_diffusivity(moved(r[:16]))
    assert pooled.ln_D_stderr < 0.75 * single.ln_D_stderr
    assert pooled.D_cm2_s.low < D * 1e-4 < pooled.D_cm2_s.high


def test_conductivity_carries_the_interval():
    """Fault: a bare σ, or one by the number of ions of all replicas."""
    r, _ = free_walk(np.random.default_rng(1), 16, 400)
    fit = fit_diffusivity(moved(r))
    sigma = conductivity(fit, 16, 1000.0, 1.0)
    assert sigma.value == pytest.approx(nernst_einstein_mS_cm(fit.D_cm2_s.value, 16, 1000.0, 600.0))
    assert sigma.low / sigma.value == pytest.approx(fit.D_cm2_s.low / fit.D_cm2_s.value)
    assert sigma.high > sigma.value
    with pytest.raises(InputError, match="volume"):
        conductivity(fit, 16, 0.0)
