"""The report's figures, one by one."""

import builtins
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ionstride.errors import InputError, MissingToolError
from ionstride.report import (
    arrhenius_figure,
    learning_curve_figure,
    md_figure,
    msd_figure,
    parity_figure,
    save,
    structure_figure,
    to_svg,
    write_report,
)
from ionstride.report.words import interval, number


def made_temperature(**changes: Any) -> dict[str, Any]:
    lag = np.linspace(0.1, 20.0, 400)
    row: dict[str, Any] = {
        "temperature_K": 600.0,
        "msd": {"lag_ps": lag.tolist(), "self_A2": (0.8 + 0.6 * lag).tolist(), "self_stderr_A2": [0.1] * 400},
        "D_self_cm2_s": {"value": 1.0e-5, "ci95": [0.8e-5, 1.2e-5]},
        "fit_window_ps": [2.0, 10.0],
        "verdict": "diffusive",
    }
    return row | changes


def test_fitted_line_lies_on_the_msd() -> None:
    """A wrong factor (6, or Å²/ps to cm²/s) would draw a line beside the data."""
    ax = msd_figure([made_temperature()], ["linear"]).axes[0]
    line = next(one for one in ax.lines if one.get_linestyle() == "--")
    x, y = line.get_xdata(), line.get_ydata()
    np.testing.assert_allclose(y, 0.8 + 0.6 * np.asarray(x), rtol=1e-3)
    assert (min(x), max(x)) == (2.0, 10.0)


@pytest.mark.parametrize("verdict", ["bound", "not-diffusing"])
def test_no_line_where_nothing_diffuses(verdict: str) -> None:
    """A line through a flat MSD would suggest a D that was not measured."""
    ax = msd_figure([made_temperature(verdict=verdict)], ["linear"]).axes[0]
    assert all(line.get_linestyle() != "--" for line in ax.lines)


def test_axes_carry_units() -> None:
    """An axis without its unit cannot be read."""
    figure = msd_figure([made_temperature(), made_temperature(temperature_K=800.0)])
    assert [ax.get_xlabel() for ax in figure.axes] == ["lag τ (ps)"] * 2
    assert [ax.get_xscale() for ax in figure.axes] == ["log", "linear"]
    ax = arrhenius_figure(None, [made_temperature()]).axes[0]
    assert ax.get_ylabel() == "D (cm²/s)" and ax.get_xlabel() == "1000 / T (1/K)"


def test_arrhenius_error_bars_are_the_interval() -> None:
    """Bars of another length than the 95 % interval would misstate the certainty."""
    ax = arrhenius_figure(None, [made_temperature()]).axes[0]
    (bar,) = ax.containers[0].lines[2]
    np.testing.assert_allclose(bar.get_segments()[0][:, 1], [0.8e-5, 1.2e-5])
    np.testing.assert_allclose(bar.get_segments()[0][:, 0], 1e3 / 600)


def test_bound_is_an_arrow_at_the_bound() -> None:
    """A bound drawn as a point would be taken for a measured D."""
    row = made_temperature(verdict="bound", D_self_cm2_s={"value": None, "ci95": [None, 3e-6]})
    ax = arrhenius_figure(None, [row]).axes[0]
    assert ax.get_legend_handles_labels()[1] == ["upper bound, 95 %"]
    np.testing.assert_allclose(ax.containers[0].lines[0].get_ydata(), [3e-6])


def test_learning_curve_takes_rows_columns_and_gaps() -> None:
    """DeePMD writes no validation error where there are no such frames: a gap, not a crash."""
    rows = [{"step": s, "rmse_f_train": 1.0 / (s + 1), "rmse_f_valid": None if s else 1.0} for s in range(5)]
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    for given in (rows, columns):
        ax = learning_curve_figure(given).axes[0]
        np.testing.assert_allclose(ax.lines[0].get_ydata(), 1e3 / np.arange(1, 6))
        assert ax.lines[1].get_xdata().tolist() == [0.0]
    assert "training step" in to_svg(learning_curve_figure({}))


def test_parity_pairs_must_match() -> None:
    """Forces of two different frame sets laid against each other would look like a bad potential."""
    with pytest.raises(InputError, match="3 reference and 2 predicted forces"):
        parity_figure([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(InputError, match="1 elements for 2"):
        parity_figure([1.0, 2.0], [1.0, 2.0], ["Li"])
    with pytest.raises(InputError, match="needs forces or energies"):
        parity_figure(None, None)
    with pytest.raises(InputError, match="no mean squared displacement"):
        msd_figure([{"temperature_K": 300.0}])


def test_dense_scatter_is_rasterised_and_text_is_text() -> None:
    """Thousands of vector dots make a slow page; text as outlines cannot be searched or read aloud."""
    rng = np.random.default_rng(0)
    force = rng.normal(size=20000)
    svg = to_svg(parity_figure(force, force + 0.1, ["Li", "S"] * 10000), "parity <of> forces")
    assert "data:image/png;base64," in svg and len(svg) < 300_000
    assert re.search(r"<text[^>]*>RMSE 100 meV/Å</text>", svg)
    assert svg.startswith("<svg ") and 'aria-label="parity &lt;of&gt; forces"' in svg and "http" not in svg


def test_svg_does_not_depend_on_the_users_settings() -> None:
    """A user's matplotlibrc must not change the page, nor the report the user's session."""
    import matplotlib as mpl

    plain = to_svg(arrhenius_figure(None, [made_temperature()]))
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert to_svg(arrhenius_figure(None, [made_temperature()])) == plain
        assert mpl.rcParams["font.size"] == 30


def test_pyplot_is_not_touched() -> None:
    """Figures held by pyplot leak memory and open windows in a user's session."""
    import subprocess
    import sys

    code = (
        "import sys; import ionstride.report as r; assert 'matplotlib' not in sys.modules and 'ase' not in sys.modules;"
        "r.to_svg(r.structure_figure(['Li','O'], [[0,0,0],[1,1,1]], [[3,0,0],[0,3,0],[0,0,3]], 'Li'));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_structure_shows_every_atom_inside_its_cell() -> None:
    """A wrong projection would put atoms outside the drawn cell."""
    from matplotlib.patches import Circle

    cell = np.array([[4.0, 0.0, 0.0], [1.0, 4.0, 0.0], [0.5, 0.5, 6.0]])
    positions = np.array([[0.5, 0.5, 0.5], [0.1, 0.9, 0.2]]) @ cell
    figure = structure_figure(["Li", "Cl"], positions, cell, "Li")
    for ax in figure.axes:
        circles = [p for p in ax.patches if isinstance(p, Circle)]
        corners = np.concatenate([line.get_xydata() for line in ax.lines if len(line.get_xydata())])
        assert len(circles) == 2
        for circle in circles:
            assert (corners.min(0) <= circle.center).all() and (circle.center <= corners.max(0)).all()


def test_md_figure_draws_only_runs_with_thermo() -> None:
    """Runs without stored thermodynamics must be left out, not crash the page."""
    thermo = {"time_ps": [0.0, 1.0], "temperature_K": [590.0, 610.0], "potential_eV_atom": [-4.0, -4.002]}
    above, below = md_figure([{"id": "a", "thermo": thermo}, {"id": "b"}]).axes
    assert len(above.lines) == len(below.lines) == 1
    np.testing.assert_allclose(below.lines[0].get_ydata(), [1.0, -1.0])


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_save_is_all_or_nothing(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture cut short by a crash must not replace the whole one, nor leave litter."""
    figure = arrhenius_figure(None, [made_temperature()])
    path = save(figure, tmp_path / "new" / f"a{suffix}")
    before = path.read_bytes()
    assert len(before) > 1000

    def broken(file: Path, **_: Any) -> None:
        Path(file).write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", broken)
    with pytest.raises(OSError, match="disk full"):
        save(figure, path)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == [path.name]


def test_missing_matplotlib_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback of ImportError does not tell the user what to install."""
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingToolError, match=r'pip install "ionstride\[report\]"'):
        write_report({}, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.25, "0.250"),
        (12, "12.0"),
        (1234.5, "1234"),
        (99999.0, "99999"),
        (0.9999, "1.00"),
        (1.234e-6, "1.23 × 10⁻⁶"),
        (-0.5, "−0.500"),
        (0, "0"),
        (None, "–"),
        (float("nan"), "–"),
        (True, "–"),
    ],
)
def test_numbers_have_three_digits(value: Any, text: str) -> None:
    """Digits that were not measured, or lost ones, mislead the reader."""
    assert number(value) == text


def test_intervals_share_one_power_of_ten_and_say_one_sided() -> None:
    """Ends in two different powers of ten are misread; a missing end is not zero."""
    assert interval({"ci95": [8.0e-7, 2.5e-6]}) == "(0.800 to 2.50) × 10⁻⁶"
    assert interval({"ci95": [None, 2.0]}) == "below 2.00"
    assert interval({"ci95": [2.0, None]}) == "above 2.00"
    assert interval({"value": 1.0}) == interval(None) == "–"
    assert interval({"ci95": [8.0e-7, 2.5e-6]}, html=False) == "8.00e-07 to 2.50e-06"
