"""Displacements and mean squared displacements: drift, lags, replicas, charge."""

import numpy as np
import pytest

from ionstride.errors import InputError, PhysicsError
from ionstride.records import Trajectory
from ionstride.transport import (
    charge_msd,
    choose_lags,
    displacements,
    displacements_from_arrays,
    fit_diffusivity,
    log_log_slope,
    self_msd,
)


def walk(seed, ions, frames, step=0.3):
    return np.cumsum(np.random.default_rng(seed).normal(0, step, (ions, frames, 3)), axis=1)


def moved(r, **more):
    return displacements_from_arrays(r, dt_ps=1.0, temperature_K=600.0, volume_A3=1000.0, **more)


def crystal(seed=1, ions=8, framework=16, frames=200, dt_ps=0.5, cell=None, symbols=None):
    rng = np.random.default_rng(seed)
    r = np.concatenate([walk(seed, ions, frames), rng.normal(0, 0.1, (framework, frames, 3))]) + 5.0
    return Trajectory(
        symbols=symbols or ("Li",) * ions + ("S",) * framework,
        positions_A=r.transpose(1, 0, 2),
        cell_A=np.eye(3) * 20.0 if cell is None else cell,
        time_ps=np.arange(frames) * dt_ps,
        temperature_K=600.0,
    )


def shifted(run, shift):
    return Trajectory(run.symbols, run.positions_A + shift, run.cell_A, run.time_ps, run.temperature_K)


def test_framework_drift_is_removed():
    """Fault: a crystal that floats as a whole adds v²t² to the MSD."""
    run = crystal()
    drifting = shifted(run, 0.2 * np.arange(200)[:, None, None] * np.array([1.0, 0.5, -1.0]))
    still, floating = displacements([run], "Li"), displacements([drifting], "Li")
    assert still.drift == "S" and "mean" in still.source["drift"]
    assert floating.r_A == pytest.approx(still.r_A, abs=1e-9)
    kept = displacements([drifting], "Li", drift="none")
    assert self_msd(kept).value_A2[-1] > 10 * self_msd(still).value_A2[-1]


def test_ions_alone_lose_nothing():
    """Fault: a single species crashes, or loses 1/N of D and all collective motion to its own mean."""
    run = crystal(framework=0, symbols=("Li",) * 8)
    alone = displacements([run], "Li")
    assert alone.drift == "none"
    assert alone.r_A == pytest.approx(run.positions_A.transpose(1, 0, 2))
    with pytest.raises(PhysicsError, match="alone"):
        displacements([run], "Li", drift="all")


def test_mean_of_all_atoms_is_removed():
    """Fault: drift 'all' that takes the framework only."""
    run = crystal()
    assert displacements([run], "Li", drift="all").r_A[:, -1].mean() == pytest.approx(
        run.positions_A[-1, :8].mean() - (run.positions_A[-1] - run.positions_A[0]).mean(), abs=1e-9
    )


def test_unknown_names_are_answered():
    """Fault: a typing error in an element or a word that ends in an empty result."""
    with pytest.raises(InputError, match=r"'Na'.*Li, S"):
        displacements([crystal()], "Na")
    with pytest.raises(InputError, match="framework"):
        displacements([crystal()], "Li", drift="frame")
    with pytest.raises(InputError, match="no trajectory"):
        displacements([], "Li")


def test_volume_of_a_primitive_cell():
    """Fault: the product of the diagonal as volume (zero for primitive fcc)."""
    primitive = 10.0 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    assert displacements([crystal(cell=primitive)], "Li").volume_A3 == pytest.approx(2000.0)


def test_replicas_are_laid_side_by_side_and_cut():
    """Fault: a step from the end of one replica to the start of the next counted as motion."""
    both = displacements([crystal(1), crystal(2, frames=150)], "Li")
    assert both.r_A.shape == (16, 150, 3)
    assert both.n_runs == 2 and both.n_ions_per_run == 8
    assert both.source["frames_cut_to_the_shortest_run"] == [50, 0]
    single = self_msd(displacements([crystal(2, frames=150)], "Li"), [1, 10]).value_A2
    other = self_msd(displacements([crystal(1, frames=200)], "Li"), [1, 10]).value_A2
    assert self_msd(both, [1, 10]).value_A2 == pytest.approx((single + other) / 2, rel=0.1)


def test_replicas_of_other_kind_are_refused():
    """Fault: replicas of another time step, temperature or composition silently pooled."""
    with pytest.raises(InputError, match="times"):
        displacements([crystal(), crystal(2, dt_ps=0.25)], "Li")
    hot = crystal(2)
    hot = Trajectory(hot.symbols, hot.positions_A, hot.cell_A, hot.time_ps, 700.0)
    with pytest.raises(InputError, match="700 K"):
        displacements([crystal(), hot], "Li")
    with pytest.raises(InputError, match="atoms"):
        displacements([crystal(), crystal(2, framework=8)], "Li")


def test_a_lag_is_a_time():
    """Fault: the index into a sparse list of lags taken for the lag."""
    line = np.zeros((2, 500, 3))
    line[..., 0] = 0.01 * np.arange(500)
    msd = self_msd(displacements_from_arrays(line, dt_ps=0.2, temperature_K=1.0, volume_A3=1.0), [1, 7, 50, 200])
    assert msd.lag_ps == pytest.approx([0.2, 1.4, 10.0, 40.0])
    assert msd.value_A2 == pytest.approx((0.05 * msd.lag_ps) ** 2)
    assert log_log_slope(msd) == pytest.approx([2.0] * 4)


def test_far_from_the_origin():
    """Fault: single precision loses the MSD of ions 300 Å away."""
    r = walk(3, 4, 300)
    assert self_msd(moved(r + 300.0)).value_A2 == pytest.approx(self_msd(moved(r)).value_A2, rel=1e-9)


def test_stderr_of_a_walk_is_its_scatter():
    """Fault: all overlapping origins counted as independent."""
    msd = [self_msd(moved(walk(seed, 8, 400)), [1, 10, 100]) for seed in range(200)]
    scatter = np.std([m.value_A2 for m in msd], axis=0)
    assert np.mean([m.stderr_A2 for m in msd], axis=0) / scatter == pytest.approx([1.0] * 3, abs=0.3)
    assert np.mean([m.alpha2 for m in msd], axis=0) == pytest.approx([0.0] * 3, abs=0.1)


def test_lags_are_checked_and_chosen():
    """Fault: a lag of zero or of the whole run reaches the kernel; the list leaves out short lags."""
    lags = choose_lags(2001)
    assert list(lags[:10]) == list(range(1, 11)) and lags[-1] == 1000
    assert (np.diff(lags) > 0).all() and len(lags) < 50
    assert list(choose_lags(2)) == [1]
    for bad in ([0, 1], [300], [1.5], []):
        with pytest.raises(InputError, match="lags"):
            self_msd(moved(walk(1, 2, 300)), bad)


def test_charge_msd_of_independent_and_concerted_ions():
    """Fault: a Haven ratio wrong by the number of ions."""
    free = moved(walk(5, 64, 4000), charge_e=2.0)
    ratio = charge_msd(free, [1]).value_A2 / self_msd(free, [1]).value_A2
    assert ratio == pytest.approx([1.0], abs=0.1)
    concerted = moved(np.repeat(walk(5, 1, 4000), 10, axis=0))
    assert charge_msd(concerted, [5]).value_A2 == pytest.approx(10 * self_msd(concerted, [5]).value_A2)


def test_charge_msd_of_replicas_does_not_mix_runs():
    """Fault: ions of different runs summed into one charge path."""
    run = np.repeat([0, 1], 5)
    r = np.concatenate([np.repeat(walk(1, 1, 800), 5, axis=0), np.repeat(walk(2, 1, 800), 5, axis=0)])
    both = moved(r, run=run)
    assert charge_msd(both, [3]).value_A2 == pytest.approx(5 * self_msd(both, [3]).value_A2)


def test_charge_msd_without_correlations_is_refused():
    """Fault: a Haven ratio from ions that a single-ion generator made one by one."""
    with pytest.raises(PhysicsError, match="one by one"):
        charge_msd(moved(walk(1, 4, 100), independent_ions=True))


def test_uneven_times_are_binned_by_time():
    """Fault: frame numbers for times where frames were drawn at random."""
    rng = np.random.default_rng(4)
    kept = np.sort(rng.choice(2000, 400, replace=False)).astype(float)
    line = np.zeros((1, 400, 3))
    line[0, :, 2] = kept
    msd = self_msd(displacements_from_arrays(line, time_ps=kept, temperature_K=1.0, volume_A3=1.0), [1, 20, 100])
    assert msd.value_A2 == pytest.approx(msd.lag_ps**2, rel=0.15)
    assert msd.value_A2[1:] == pytest.approx(msd.lag_ps[1:] ** 2, rel=0.01)


def test_arrays_are_checked():
    """Fault: time or volume forgotten, and units guessed."""
    r = walk(1, 2, 10)
    for bad in (
        {"temperature_K": 1.0, "volume_A3": 1.0},
        {"temperature_K": 1.0, "dt_ps": 1.0},
        {"temperature_K": 1.0, "dt_ps": -1.0, "volume_A3": 1.0},
        {"temperature_K": 1.0, "dt_ps": 1.0, "volume_A3": -1.0},
        {"temperature_K": 1.0, "time_ps": [0, 1], "volume_A3": 1.0},
    ):
        with pytest.raises(InputError):
            displacements_from_arrays(r, **bad)


def test_breathing_framework_does_not_diffuse():
    """Fault: Li of an NPT run that breathes with the box; positions are referred to the mean cell, so it must not."""
    fit = fit_diffusivity(displacements([crystal(ions=16, frames=400)], "Li"))
    assert fit.D_cm2_s.low < 0.3**2 / 2 / 0.5 * 1e-4 < fit.D_cm2_s.high


def test_all_lags_by_transforms_equal_the_direct_sum():
    """Fault: wrap-around of a transform that is too short; digits lost where ions are far from the origin."""
    rng = np.random.default_rng(21)
    r = np.cumsum(rng.normal(0, [0.2, 0.5, 1.0], (7, 501, 3)), axis=1) + 3000.0
    record = displacements_from_arrays(r, dt_ps=0.1, temperature_K=600.0, volume_A3=1000.0)
    every = self_msd(record, "all")
    direct = self_msd(record, np.arange(1, 251))
    assert every.lag_ps == pytest.approx(direct.lag_ps)
    assert every.xyz_A2 == pytest.approx(direct.xyz_A2, rel=1e-9)
    assert every.value_A2 == pytest.approx(direct.value_A2, rel=1e-9)
    assert np.array_equal(every.value_A2, self_msd(record, "all", threads=1).value_A2)
    charge = charge_msd(record, "all")
    assert charge.value_A2 == pytest.approx(charge_msd(record, np.arange(1, 251)).value_A2, rel=1e-9)
