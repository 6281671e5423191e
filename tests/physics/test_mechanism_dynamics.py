"""Van Hove functions, scattering and vibration of processes that are known in closed form."""

import json

import numpy as np
import pytest
from scipy.signal import lfilter

from ionstride.errors import InputError, PhysicsError
from ionstride.mechanism import (
    attempt_frequency,
    green_kubo,
    incoherent_scattering,
    radial_distribution,
    summarise,
    van_hove_distinct,
    van_hove_self,
    velocity_autocorrelation,
    vibrational_spectrum,
)
from ionstride.mechanism.frames import frame_pairs
from ionstride.records import Trajectory
from ionstride.transport import displacements, displacements_from_arrays


def free_walk(rng, ions, frames, step_A=0.5):
    """Gaussian walk and its D in Å²/frame: step²/2."""
    return np.cumsum(rng.normal(0.0, step_A, (ions, frames, 3)), axis=1), step_A**2 / 2.0


def ions_alone(r, dt_ps=1.0, **more):
    return displacements_from_arrays(r, dt_ps=dt_ps, temperature_K=600.0, volume_A3=1000.0, **more)


def test_free_walk_is_gaussian():
    """Fault: a wrong shell volume or width: the distribution must integrate to 1 and be the Gaussian beside it."""
    r, D = free_walk(np.random.default_rng(1), 100, 2000)
    curves = van_hove_self(ions_alone(r), [1, 4, 16])
    width = curves.r_A[1] - curves.r_A[0]
    np.testing.assert_allclose(curves.value.sum(axis=1) * width, 1.0, rtol=1e-12)
    np.testing.assert_allclose(curves.beyond, 0.0, atol=1e-12)
    np.testing.assert_allclose(curves.lag_ps, [1.0, 4.0, 16.0])
    assert np.abs(curves.value - curves.gaussian).max() < 0.05 * curves.gaussian.max()
    mean_square = (curves.value * curves.r_A**2).sum(axis=1) * width
    np.testing.assert_allclose(mean_square, 6.0 * D * curves.lag_ps, rtol=0.03)


def test_hops_show_at_their_distance():
    """Fault: a blurred or shifted axis: hops of 3 Å must peak at 3 Å and not follow the Gaussian."""
    rng = np.random.default_rng(2)
    steps = (rng.random((40, 3000)) < 0.02)[..., None] * np.array([3.0, 0.0, 0.0]) * rng.choice([-1, 1], (40, 3000, 1))
    r = np.cumsum(steps, axis=1) + rng.normal(0.0, 0.15, steps.shape)
    curves = van_hove_self(ions_alone(r), [10], r_max_A=4.5)
    far = curves.r_A > 1.5
    assert curves.r_A[far][np.argmax(curves.value[0][far])] == pytest.approx(3.0, abs=0.15)
    assert curves.value[0][np.searchsorted(curves.r_A, 1.5)] < 0.1 * curves.gaussian[0].max()
    assert curves.beyond[0] > 0.0


def test_scattering_of_a_free_walk():
    """Fault: the wrong power of q, or sin(x)/x taken as NumPy's sinc without its π."""
    r, D = free_walk(np.random.default_rng(3), 200, 1500, 0.3)
    found = incoherent_scattering(ions_alone(r), [0.0, 0.5, 1.0, 2.0], [1, 5, 20])
    expected = np.exp(-(found.q_per_A[:, None] ** 2) * D * found.lag_ps)
    np.testing.assert_allclose(found.value, expected, atol=0.02)
    np.testing.assert_allclose(found.value[0], 1.0)


def test_pairs_of_frames_at_uneven_times():
    """Fault: lags taken as numbers of frames where times are uneven."""
    rng = np.random.default_rng(4)
    time = np.sort(rng.choice(400, 150, replace=False)) * 0.01
    step = (time[-1] - time[0]) / 149
    first, second, mean = frame_pairs(time, 7, 10**6)
    gap = time[None, :] - time[:, None]
    wanted = (gap >= 6.5 * step) & (gap < 7.5 * step)
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == set(map(tuple, np.argwhere(wanted).tolist()))
    assert mean == pytest.approx(gap[wanted].mean())


def gas(rng, frames=60, ions=30):
    cell = np.array([[8.0, 0.0, 0.0], [2.0, 7.0, 0.0], [-1.0, 1.5, 9.0]])
    path = rng.uniform(0.0, 1.0, (1, ions, 3)) @ cell + np.cumsum(rng.normal(0.0, 0.3, (frames, ions, 3)), axis=0)
    return Trajectory(("Li",) * ions, path, cell, np.arange(float(frames)), 600.0)


def test_distinct_part_starts_as_the_pair_distribution():
    """Fault: an ion's own path left in the distinct part, or an image of it taken out twice."""
    run = gas(np.random.default_rng(5))
    curves = van_hove_distinct(run, "Li", [0, 20], r_max_A=9.0, bins=45)
    pair = radial_distribution(run, "Li", "Li", r_max_A=9.0, bins=45, stride=1)
    np.testing.assert_allclose(curves.value[0], pair.g, atol=1e-12)
    assert (curves.value[1] >= 0.0).all()
    np.testing.assert_allclose(curves.value[1][30:], 1.0, atol=0.15)


def test_ions_that_follow_one_another_meet_at_zero():
    """Fault: distances to the ion's own start in place of the other ion's: a train of ions leaves no peak at r = 0."""
    ions, frames = 5, 12
    path = np.zeros((frames, ions, 3))
    path[:, :, 0] = 3.0 * (np.arange(ions)[None, :] + np.arange(frames)[:, None])
    run = Trajectory(("Li",) * ions, path, np.diag([15.0, 20.0, 20.0]), np.arange(float(frames)), 600.0)
    curves = van_hove_distinct(run, "Li", [0, 1], r_max_A=4.0, bins=40)
    assert curves.value[0][0] == 0.0 and curves.value[1][0] > 100.0


def oscillators(rng, frequencies_THz, dt_ps, frames, ions=20):
    """Harmonic vibration with equal velocity amplitude at each frequency, random phases."""
    time = np.arange(frames) * dt_ps
    r = np.zeros((ions, frames, 3))
    for nu in frequencies_THz:
        phase = rng.uniform(0.0, 2.0 * np.pi, (ions, 1, 3))
        r += np.sin(2.0 * np.pi * nu * time[None, :, None] + phase) / (2.0 * np.pi * nu)
    return r


@pytest.mark.parametrize("dt_ps", [0.002, 0.02])
def test_spectrum_of_oscillators(dt_ps):
    """Fault: rad/ps taken for THz; differences of coarse frames that weaken the higher of two equal lines."""
    moved = ions_alone(oscillators(np.random.default_rng(6), (5.0, 15.0), dt_ps, round(40.0 / dt_ps)), dt_ps)
    spectrum = vibrational_spectrum(moved)
    width = spectrum.frequency_THz[1]
    assert spectrum.density_per_THz.sum() * width == pytest.approx(1.0)
    low = spectrum.frequency_THz < 10.0
    assert spectrum.frequency_THz[low][np.argmax(spectrum.density_per_THz[low])] == pytest.approx(5.0, abs=width)
    assert spectrum.density_per_THz[low].sum() * width == pytest.approx(0.5, abs=0.02)
    found = attempt_frequency(spectrum)
    assert found.value == pytest.approx(10.0, rel=0.02)
    assert found.low <= found.value <= found.high


def test_autocorrelation_of_one_oscillator():
    """Fault: circular correlation (no padding), or origins counted wrongly at long lags."""
    moved = ions_alone(oscillators(np.random.default_rng(7), (4.0,), 0.002, 6000, ions=50), 0.002)
    found = velocity_autocorrelation(moved, longest_ps=2.0)
    cosine = np.cos(2.0 * np.pi * 4.0 * found.lag_ps)
    np.testing.assert_allclose(found.value_A2_ps2 / found.value_A2_ps2[0], cosine, atol=0.02)
    v = np.diff(moved.r_A, axis=1) / 0.002
    direct = np.mean(np.sum(v[:, 300:] * v[:, :-300], axis=-1))
    assert found.value_A2_ps2[300] == pytest.approx(direct, rel=1e-9)


def test_green_kubo_of_langevin_ions():
    """Fault: the factor 3, or Å²/ps to cm²/s: D of a Langevin ion is ⟨v_x²⟩/γ."""
    rng = np.random.default_rng(8)
    gamma, dt, speed = 10.0, 0.005, 3.0
    keep = np.exp(-gamma * dt)
    kick = rng.normal(0.0, speed * np.sqrt(1.0 - keep**2), (100, 6000, 3))
    kick[:, 0] = rng.normal(0.0, speed, (100, 3))
    v = lfilter([1.0], [1.0, -keep], kick, axis=1)
    r = np.cumsum(v, axis=1) * dt
    truth = speed**2 / gamma * 1e-4
    for velocities in (v, None):
        found = velocity_autocorrelation(ions_alone(r, dt), velocities, longest_ps=1.0)
        assert found.source == ("differences" if velocities is None else "velocities")
        assert green_kubo(found)[-1] == pytest.approx(truth, rel=0.06)


def test_coarse_or_uneven_frames_have_no_vibration():
    """Fault: an attempt frequency from frames that do not follow the vibration."""
    r = oscillators(np.random.default_rng(9), (5.0,), 0.1, 100)
    with pytest.raises(PhysicsError, match="100 fs apart"):
        velocity_autocorrelation(ions_alone(r, 0.1))
    time = np.cumsum(np.random.default_rng(10).uniform(0.001, 0.01, 100))
    with pytest.raises(PhysicsError, match="even in time"):
        vibrational_spectrum(displacements_from_arrays(r, time_ps=time, temperature_K=600.0, volume_A3=1000.0))
    with pytest.raises(PhysicsError, match="do not move"):
        vibrational_spectrum(ions_alone(np.ones((2, 50, 3)), 0.01))


@pytest.mark.parametrize("lags", [[], [0], [100], [1.5]])
def test_lags_out_of_range(lags):
    """Fault: an empty mean (NaN) for a lag that the run does not have."""
    with pytest.raises(InputError, match="lags"):
        van_hove_self(ions_alone(np.zeros((2, 100, 3))), lags)


def test_summary_is_json_and_says_why():
    """Fault: NaN or an array in the results, or a missing number without its reason."""
    run = gas(np.random.default_rng(11), frames=200)
    said = summarise(run, displacements([run], "Li"))
    again = json.loads(json.dumps(said, allow_nan=False))
    assert again["vibration"] is None and any("fs apart" in reason for reason in again["reasons"])
    assert again["jumps"]["n_jumps"] == len(again["jumps"]["list"]["ion"])
    assert sum(again["jumps"]["length_count"]) == again["jumps"]["n_jumps"]
    path = np.broadcast_to([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]], (30, 2, 3))
    frozen = Trajectory(("Li", "S"), path, 6.0 * np.eye(3), np.arange(30.0), 600.0)
    said = json.loads(json.dumps(summarise(frozen, displacements([frozen], "Li")), allow_nan=False))
    assert said["jumps"]["n_jumps"] == 0 and said["jumps"]["residence_ps"]["value"] is None
    assert any("too few" in reason for reason in said["reasons"])


def test_a_volume_is_no_cell():
    """Fault: a cube standing for an unknown cell makes neighbours, sites and percolation out of nothing."""
    run = gas(np.random.default_rng(12), frames=50)
    source = {"cell": "cube of volume_A3"}
    cube = Trajectory(run.symbols, run.positions_A, 8.0 * np.eye(3), run.time_ps, 600.0, source)
    with pytest.raises(PhysicsError, match="add cell_A"):
        radial_distribution(cube, "Li", "Li")
    said = summarise(cube, displacements([cube], "Li"))
    assert said["pairs"] == [] and said["sites"] is None and said["percolation"] is None
    assert said["van_hove_self"] is not None and any("cell_A" in reason for reason in said["reasons"])
