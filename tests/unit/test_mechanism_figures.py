"""The mechanism's figures: what is drawn is what was measured."""

import numpy as np
import pytest

from ionstride.errors import InputError
from ionstride.mechanism import summarise
from ionstride.records import Trajectory
from ionstride.report import density_figure, jump_figure, pair_figure, save, to_svg, van_hove_figure, vibration_figure
from ionstride.transport import displacements


@pytest.fixture(scope="module")
def results():
    """Lithium that hops between two sites of a skewed cell and vibrates at 5 THz, beside still sulphur."""
    rng = np.random.default_rng(1)
    cell = np.array([[6.0, 0.0, 0.0], [1.5, 6.0, 0.0], [-1.0, 0.5, 7.0]])
    time = np.arange(800) * 0.01
    side = (np.arange(800) // 100) % 2
    r = np.zeros((800, 2, 3))
    r[:, 0, 0] = 3.0 * side
    r[:, 0] += 1.0 + 0.2 * np.sin(2.0 * np.pi * (5.0 * time[:, None] + rng.random(3)))
    r[:, 1] = [3.0, 3.0, 3.5]
    run = Trajectory(("Li", "S"), r, cell, time, 600.0)
    return summarise(run, displacements([run], "Li"))


def test_jump_bars_are_the_jumps(results):
    """Fault: bars at the wrong lengths; the seven hops of 3 Å must stand at 3 Å."""
    ax = jump_figure(results["jumps"]).axes[0]
    tall = [bar for bar in ax.patches if bar.get_height() > 0]
    assert sum(bar.get_height() for bar in tall) == 7
    assert all(abs(bar.get_x() + 0.05 - 3.0) < 0.25 for bar in tall)
    assert "7 jumps" in ax.get_title(loc="left")


def test_pairs_are_split_and_labelled(results):
    """Fault: a panel for pairs that are not there, or lines without their pair's name."""
    figure = pair_figure(results["pairs"], "Li")
    labels = [line.get_label() for ax in figure.axes for line in ax.lines if not line.get_label().startswith("_")]
    assert labels == ["Li–Li", "Li–S", "S–S"]
    assert {ax.get_xlabel() for ax in figure.axes} >= {"r (Å)"}


def test_van_hove_and_vibration(results):
    """Fault: Gaussian and measured curve confused; the mean frequency drawn in other units than the axis."""
    ax = van_hove_figure(results["van_hove_self"]).axes[0]
    first = results["van_hove_self"]["self_per_A"][0]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), first)
    assert ax.lines[1].get_linestyle() == "--"
    ax = vibration_figure(results["vibration"]).axes[0]
    mean = next(line for line in ax.lines if line.get_linestyle() == "--")
    assert mean.get_xdata()[0] == results["vibration"]["attempt_frequency_THz"]["value"]


def test_density_in_true_proportions(results):
    """Fault: a skewed cell drawn as a rectangle, or an axis taken for another one."""
    figure = density_figure(results["density"])
    maps = [ax for ax in figure.axes if ax.get_title().startswith("seen along")]
    assert [ax.get_title()[-1] for ax in maps] == ["a", "b", "c"]
    outline = maps[2].lines[0]
    corners = np.stack([outline.get_xdata(), outline.get_ydata()], axis=1)
    np.testing.assert_allclose(corners, [[0, 0], [6, 0], [7.5, 6], [1.5, 6], [0, 0]], atol=1e-9)


def test_all_are_written(results, tmp_path):
    """Fault: a figure that cannot be saved or put into a page."""
    assert save(jump_figure(results["jumps"]), tmp_path / "jumps.png").stat().st_size > 5000
    assert to_svg(density_figure(results["density"]), "density").startswith("<svg")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: pair_figure([]),
        lambda: jump_figure(None),
        lambda: jump_figure({"length_count": [0], "length_edges_A": [0.0, 0.1]}),
        lambda: van_hove_figure({}),
        lambda: vibration_figure(None),
        lambda: density_figure({}),
    ],
)
def test_nothing_to_draw_is_said(draw):
    """Fault: an empty picture, or a traceback, where there is nothing to draw."""
    with pytest.raises(InputError, match=r"no \w+"):
        draw()
