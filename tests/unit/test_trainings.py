"""Learning curves and sweeps: the fit, the frames, the grid."""

import numpy as np
import pytest

from ionstride.errors import InputError
from ionstride.records import LabelledFrames
from ionstride.trainings import (
    compare_settings,
    draw_frames,
    fit_power_law,
    frames_needed,
    grid_settings,
    hold_out,
    in_order_of,
    parse_axis,
)
from ionstride.trainings.sweep import pareto

SIZES = np.repeat([50.0, 100.0, 200.0, 400.0, 800.0], 3)


def errors(a, b, c, scatter, seed, size=SIZES):
    return (a * size**-b + c) * np.exp(scatter * np.random.default_rng(seed).standard_normal(len(size)))


def frames(counts=(60, 30), symbols=("Li", "S", "Li")):
    """Frames of some runs whose positions say which they are."""
    rng = np.random.default_rng(0)
    n = sum(counts)
    return LabelledFrames(
        symbols=symbols,
        positions_A=rng.uniform(0, 5, (n, len(symbols), 3)),
        cell_A=np.repeat(np.diag([5.0, 6.0, 7.0])[None], n, axis=0),
        energy_eV=rng.normal(size=n),
        force_eV_A=rng.normal(size=(n, len(symbols), 3)),
        group=np.repeat(np.arange(len(counts)), counts),
        frame_number=np.concatenate([np.arange(k) * 10 for k in counts]),
        method="toy",
    )


@pytest.mark.parametrize(("b", "c"), [(0.5, 30.0), (0.7, 10.0), (0.35, 0.0)])
def test_intervals_cover_the_true_power_law(b, c):
    """Fault: intervals too narrow make a number of frames a promise; of 24 curves 19 must be covered."""
    covered = np.zeros(3)
    for seed in range(24):
        law = fit_power_law(SIZES, errors(1000.0, b, c, 0.04, seed), seed)
        for k, truth in enumerate((1000.0, b, c)):
            low, high = law.interval(k)
            covered[k] += low <= truth <= high
    assert covered.min() >= 19


def test_frames_needed_cover_the_truth():
    """Fault: the number of frames for a target without an interval that holds the truth."""
    held, told = 0, 0
    for seed in range(24):
        law = fit_power_law(SIZES, errors(1000.0, 0.5, 20.0, 0.03, seed), seed)
        found = frames_needed(law, 50.0)
        assert found["verdict"] in ("interval", "at least")
        low, high = found["ci95"]
        truth = (1000.0 / 30.0) ** 2
        told += 1
        held += low <= truth <= (high or np.inf)
    assert held >= 0.8 * told


def test_a_flat_curve_never_reaches_less():
    """Fault: a curve that does not fall, extrapolated to a target by a power of 0.001."""
    for seed in range(10):
        law = fit_power_law(SIZES, errors(0.0, 0.5, 60.0, 0.03, seed), seed)
        if law.falls:  # one in forty does by chance
            continue
        found = frames_needed(law, 40.0)
        assert found["verdict"] == "never"
        assert "never" in found["words"] and "floor" in found["words"]
        assert frames_needed(law, 90.0)["verdict"] == "reached"
    exact = fit_power_law(SIZES, np.full(len(SIZES), 60.0))
    assert frames_needed(exact, 50.0)["verdict"] == "never"


def test_a_target_below_a_clear_floor_is_never():
    """Fault: a target below the floor of a curve that falls and has flattened out is promised at some size."""
    size = np.repeat([25.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0], 4)
    law = fit_power_law(size, errors(8000.0, 1.0, 60.0, 0.01, 3, size))
    assert law.falls
    assert law.interval(2)[0] > 50.0
    assert frames_needed(law, 45.0)["verdict"] == "never"
    assert frames_needed(law, 100.0)["verdict"] == "interval"


def test_too_little_for_a_power_law():
    """Fault: three numbers fitted to two sizes."""
    with pytest.raises(InputError, match="three sizes"):
        fit_power_law(np.array([50.0, 50.0, 100.0, 100.0]), np.array([3.0, 3.1, 2.0, 2.1]))
    with pytest.raises(InputError, match="zero"):
        fit_power_law(SIZES, np.zeros(len(SIZES)))


def test_no_tested_frame_is_trained_on_nor_its_neighbours():
    """Fault: frames next to the tested ones in time tell their answers."""
    given = frames()
    parts = hold_out(given, 0.2, 1, lambda run: 10)
    tested = {(g, n) for g, n in zip(parts.test.group, parts.test.frame_number, strict=True)}
    pool = [(g, n) for g, n in zip(parts.pool.group, parts.pool.frame_number, strict=True)]
    assert len(tested) + len(pool) + parts.left_out == len(given)
    assert parts.left_out > 0
    assert all(abs(n - m) > 10 for g, n in pool for h, m in tested if g == h)
    with pytest.raises(InputError, match="leaves none"):
        hold_out(given, 0.2, 1, lambda run: 10_000)


def test_draws_take_from_every_run_in_proportion_and_no_frame_twice():
    """Fault: a small draw that misses a run, or a frame counted twice."""
    group = np.repeat([0, 1, 2], [60, 30, 10])
    for size in (10, 37, 100):
        drawn = draw_frames(group, size, np.random.default_rng(size))
        assert len(set(drawn.tolist())) == size
        counts = np.bincount(group[drawn], minlength=3)
        assert np.all(np.abs(counts - size * np.array([0.6, 0.3, 0.1])) < 1.0)
    first, second = (draw_frames(group, 20, np.random.default_rng([1, 20, k])) for k in range(2))
    assert not np.array_equal(first, second)
    with pytest.raises(InputError, match="cannot be drawn"):
        draw_frames(group, 101, np.random.default_rng(0))


def test_frames_to_test_on_come_in_another_order_of_atoms():
    """Fault: Li's forces compared with S's, because the files list the atoms differently."""
    given = frames((5,), ("Li", "S", "Li"))
    other = in_order_of(given, ("S", "Li", "Li"))
    assert other.symbols == ("S", "Li", "Li")
    assert np.array_equal(other.positions_A, given.positions_A[:, [1, 0, 2]])
    assert np.array_equal(other.force_eV_A, given.force_eV_A[:, [1, 0, 2]])
    with pytest.raises(InputError, match="another composition"):
        in_order_of(given, ("S", "S", "Li"))


def test_grid_of_settings():
    """Fault: a comma within a list parts a value, or a choice of the grid is left out."""
    assert parse_axis("potential.neuron=[8,16,32],[25,50,100]") == ("potential.neuron", ("[8,16,32]", "[25,50,100]"))
    axes = [parse_axis("potential.neuron=[8,16],[25,50]"), parse_axis("potential.rcut_A=5,6,7")]
    choices = grid_settings(axes, ["potential.steps=77", "potential.axis_neuron=4"])
    assert len(choices) == 6
    assert {(s.neuron, s.rcut_A, s.steps) for _, s in choices} == {
        (n, r, 77) for n in ((8, 16), (25, 50)) for r in (5.0, 6.0, 7.0)
    }
    assert choices[1][0] == {"neuron": "[8,16]", "rcut_A": "6"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["md.temperatures_K=300,400"], "potential.KEY"),
        (["potential.rcut_A=5,"], "potential.KEY"),
        (["potential.rcut_A=5,5"], "twice"),
        (["potential.rcut_A=5,5.0"], "same settings twice"),
        (["potential.rcut=5,6"], "rcut_A"),
        (["potential.rcut_A=5,6", "potential.rcut_A=7,8"], "given twice"),
        (["potential.neuron=[4,8],[8,16]"], "axis_neuron"),
        ([], "--grid"),
    ],
)
def test_wrong_grids_are_refused(words, said):
    """Fault: hours of training for a grid that is not the one that was meant."""
    with pytest.raises(InputError, match=said):
        grid_settings([parse_axis(text) for text in words], [])


def test_choices_are_told_apart_by_the_scatter_of_their_seeds():
    """Fault: a winner by chance.  Two alike must not be told apart, one that is twice as wrong must."""
    rng = np.random.default_rng(4)
    close = [100.0 * np.exp(0.02 * rng.standard_normal(3)) for _ in range(2)]
    far = 200.0 * np.exp(0.02 * rng.standard_normal(3))
    found = compare_settings(sorted([*close, far], key=np.mean))
    assert found["told"] == [None, False, True]
    assert compare_settings([[100.0], [300.0]])["told"] == [None, None]
    wrongly = sum(
        any(compare_settings(sorted(np.exp(0.05 * rng.standard_normal((4, 3))), key=np.mean))["told"][1:])
        for _ in range(200)
    )
    assert wrongly <= 30


def test_the_front_of_cost_and_error():
    """Fault: a choice on the front that another beats in both."""
    assert pareto([(1.0, 9.0), (2.0, 5.0), (3.0, 6.0), (4.0, 1.0), (None, 0.5)]) == [0, 1, 3]
