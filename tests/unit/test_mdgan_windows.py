"""Windows for training: no leak, every start as likely, exact augmentations."""

import numpy as np
import pytest
from hopping import Hopping, hopping

from ionstride import reference
from ionstride.errors import InputError
from ionstride.mdgan.surrogate import fit_gaussian, fit_shot
from ionstride.mdgan.windows import (
    cubic_operations,
    increment_covariance,
    msd_of_windows,
    point_group,
    records,
    reverse,
    split_windows,
    windows,
)
from ionstride.transport import displacements_from_arrays


def coded(ions=3, frames=400, runs=2):
    """Paths whose every increment says which ion and frame it is from."""
    frame = np.arange(frames)
    r = np.zeros((ions * runs, frames, 3))
    r[..., 0] = frame**2 / 2.0  # an increment of one frame is frame + 1/2
    r[..., 1] = frame * (1.0 + np.arange(ions * runs))[:, None]
    return displacements_from_arrays(
        r, dt_ps=0.004, temperature_K=300.0, volume_A3=100.0, run=np.repeat(np.arange(runs), ions)
    )


@pytest.mark.parametrize("validation", ["time", "run"])
def test_splits_do_not_leak(validation):
    """Fault: windows of both sides that share frames make a network that copies look like one that learned."""
    length, stride = 16, 3
    train, held = split_windows(coded(), length, stride, validation, 0.3)
    seen = []
    for side in (train, held):
        x = side.sample(4000, np.random.default_rng(0)).astype(np.float64)
        run = (np.rint(x[:, 0, 1] / stride) - 1) // 3
        first = x[:, 0, 0] / stride - stride / 2.0
        seen.append(set(zip(run.astype(int), np.rint(first).astype(int), strict=True)))
    frames = [{(run, f) for run, first in side for f in range(first, first + length * stride + 1)} for side in seen]
    assert not frames[0] & frames[1]
    if validation == "time":
        for run in (0, 1):
            last = max(f for r, f in frames[0] if r == run)
            assert min(f for r, f in frames[1] if r == run) - last >= length * stride
    else:
        assert not {r for r, _ in frames[0]} & {r for r, _ in frames[1]}


def test_all_phases_are_used_and_as_likely():
    """Fault: starts at multiples of the stride only would throw away all but 1/stride of the windows."""
    every = windows(coded(ions=2, frames=60, runs=1), 5, 8)
    assert every.n_overlapping == 2 * 20
    assert every.n_independent == 2 * 1
    x = every.sample(40000, np.random.default_rng(1))
    assert x.dtype == np.float32 and x.flags.c_contiguous and x.shape == (40000, 5, 3)
    start = np.rint(x[:, 0, 0] / 8 - 4).astype(int)
    count = np.bincount(start, minlength=20)
    assert len(count) == 20
    assert abs(count - 2000).max() < 6 * np.sqrt(2000)


def test_windows_are_those_of_the_reference_definition():
    """Fault: increments between wrong frames look plausible and train a wrong dynamics."""
    data = hopping(4, 300)
    every = windows(data, 7, 11)
    tiles = every.independent()
    assert len(tiles) == every.n_independent == 4 * (299 // 77)
    ion = np.repeat(np.arange(4), 3)
    start = np.tile(np.arange(3) * 77, 4)
    np.testing.assert_array_equal(tiles, reference.gather_windows(data.r_A, ion, start, 7, 11))


def test_ions_together_are_of_one_run_and_time():
    """Fault: ions of different runs or times side by side teach correlations that do not exist."""
    x = windows(coded(ions=3, runs=2), 8, 2).sample(500, np.random.default_rng(2), together=3)
    assert x.shape == (500, 8, 9)
    assert (x[..., 0] == x[..., 3]).all() and (x[..., 0] == x[..., 6]).all()  # the same frames
    ions = np.rint(x[:, 0, 1::3] / 2).astype(int) - 1
    assert (ions // 3 == ions[:, :1] // 3).all()
    assert all(len(set(row)) == 3 for row in ions)
    assert len({tuple(row) for row in ions}) == 12  # all orders of both runs
    with pytest.raises(InputError, match="a run has 3"):
        windows(coded(ions=3, runs=2), 8, 2).sample(5, np.random.default_rng(2), together=4)


def test_augmentations_are_exact():
    """Fault: reversal without the sign turns every trap into a source; a wrong matrix changes the MSD."""
    x = windows(hopping(4, 500), 64, 1).sample(50, np.random.default_rng(3))
    walk = np.concatenate([np.zeros((50, 1, 3)), np.cumsum(x, axis=1)], axis=1)
    back = np.concatenate([np.zeros((50, 1, 3)), np.cumsum(reverse(x), axis=1)], axis=1)
    np.testing.assert_allclose(back, walk[:, ::-1] - walk[:, -1:], atol=1e-4)
    turned = point_group(x, cubic_operations(), np.random.default_rng(4))
    np.testing.assert_allclose((turned**2).sum(-1), (x**2).sum(-1), rtol=1e-5)
    assert not np.allclose(turned, x)
    both = point_group(np.concatenate([x, 2 * x], axis=2), cubic_operations(), np.random.default_rng(5))
    np.testing.assert_allclose(both[..., 3:], 2 * both[..., :3], rtol=1e-5)
    assert len(np.unique(cubic_operations().reshape(48, 9), axis=0)) == 48
    with pytest.raises(InputError, match="not orthogonal"):
        point_group(x, [np.diag([1.0, 1.0, 2.0])], np.random.default_rng(0))


def test_bad_data_are_refused_in_a_sentence():
    """Fault: a trajectory shorter than a window, or an ion that lies still, ended in a crash deep in training."""
    data = coded(frames=100)
    with pytest.raises(InputError, match="100 frames, shorter than a window of 128 records of 2"):
        windows(data, 128, 2)
    with pytest.raises(InputError, match="too few to hold out"):
        split_windows(data, 30, 2)
    with pytest.raises(InputError, match="one run"):
        split_windows(coded(runs=1), 8, 1, "run")
    with pytest.raises(InputError, match="validation"):
        split_windows(data, 8, 1, "times")
    r = np.array(data.r_A)
    r[2] = r[2, :1]
    with pytest.raises(InputError, match="do not move at all"):
        windows(displacements_from_arrays(r, dt_ps=1.0, temperature_K=300, volume_A3=1.0), 8, 1)
    time = np.arange(100.0)
    time[50:] += 0.5
    with pytest.raises(InputError, match="not evenly spaced"):
        records(displacements_from_arrays(data.r_A, time_ps=time, temperature_K=300, volume_A3=1.0), 1)
    r[0, 5, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        displacements_from_arrays(r, dt_ps=1.0, temperature_K=300, volume_A3=1.0)


def test_records_are_every_strideth_frame_of_each_run():
    """Fault: records of two runs on one path would hold a jump between them."""
    data = coded(frames=101)
    found = records(data, 10)
    assert len(found.x_A) == 2 and found.dt_ps == pytest.approx(0.04)
    np.testing.assert_array_equal(found.x_A[1], data.r_A[3:, ::10])


def test_msd_of_windows_stays_within_the_split():
    """Fault: statistics over a gap or over held-out frames leak the answer into the surrogate."""
    data = hopping(6, 1200)
    train, held = split_windows(data, 32, 2)
    k = 20
    part = data.r_A[:, : int(train.end[0])]
    np.testing.assert_allclose(
        msd_of_windows(train)[k], ((part[:, 2 * k :] - part[:, : -2 * k]) ** 2).mean(axis=(0, 1)), rtol=1e-10
    )
    assert held.begin[0] - train.end[0] >= 64


def covariance_of(x, lags):
    return np.stack([(x[:, : x.shape[1] - k] * x[:, k:]).mean(axis=(0, 1)) for k in lags])


def test_gaussian_surrogate_has_the_covariance_of_the_data_and_nothing_else():
    """Fault: a surrogate with wrong second moments is a baseline that is easy to beat."""
    train = windows(hopping(60, 4001, seed=7), 128, 1)
    target = increment_covariance(msd_of_windows(train))
    made = fit_gaussian(train)
    np.testing.assert_allclose(made.covariance()[:30], target[:30], atol=0.02 * target[0].max())
    x = made.draw(800, 2000, np.random.default_rng(8)).astype(np.float64)
    assert x.shape == (800, 2000, 3)
    np.testing.assert_allclose(covariance_of(x, range(12)), target[:12], atol=0.01 * target[0].max())
    walk = np.cumsum(x, axis=1)
    for k in (1, 32, 127):
        square = ((walk[:, k:] - walk[:, :-k]) ** 2).sum(axis=-1)
        assert square.mean() == pytest.approx(msd_of_windows(train)[k].sum(), rel=0.05)
        assert abs(0.6 * (square**2).mean() / square.mean() ** 2 - 1.0) < 0.06


def test_surrogates_are_stationary_from_the_first_record():
    """Fault: a filter that starts from zeros makes the first window too quiet."""
    train = windows(hopping(20, 1001, seed=9), 64, 1)
    for made in (fit_gaussian(train), fit_shot(train)):
        x = made.draw(20000, 70, np.random.default_rng(10)).astype(np.float64)
        first, last = (x[:, :6].sum(axis=1) ** 2).mean(), (x[:, -6:].sum(axis=1) ** 2).mean()
        assert first == pytest.approx(last, rel=0.05)


def test_shot_surrogate_is_not_gaussian_where_the_data_are_not():
    """Fault: a start without jumps leaves the network to find rare events by itself."""
    toy = Hopping()
    train = windows(hopping(100, 4001, seed=11), 128, 1)
    made = fit_shot(train)
    walk = np.cumsum(made.draw(1000, 1000, np.random.default_rng(12)).astype(np.float64), axis=1)
    for k in (32, 100):
        square = ((walk[:, k:] - walk[:, :-k]) ** 2).sum(axis=-1)
        assert square.mean() == pytest.approx(toy.msd_A2(k * 0.1)[0], rel=0.15)
        assert 0.6 * (square**2).mean() / square.mean() ** 2 - 1.0 == pytest.approx(toy.alpha2(k * 0.1)[0], rel=0.25)


def test_the_toy_is_what_its_formulas_say():
    """Fault: an 'exact' reference that is wrong makes every verdict of the evaluation wrong."""
    toy = Hopping()
    x = toy.paths(3000, 1001, 0.1, 13)
    for k in (1, 8, 32, 127, 512):
        square = ((x[:, k:] - x[:, :-k]) ** 2).sum(axis=-1)
        assert square.mean() == pytest.approx(toy.msd_A2(k * 0.1)[0], rel=0.04)
        assert 0.6 * (square**2).mean() / square.mean() ** 2 - 1.0 == pytest.approx(
            toy.alpha2(k * 0.1)[0], rel=0.06, abs=0.05
        )
    long = np.array([5000.0, 5100.0])
    assert np.diff(toy.msd_A2(long))[0] / 600.0 == pytest.approx(toy.D_A2_ps, rel=1e-6)
