"""The page of one analysed temperature and that of an Arrhenius line."""

import copy
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_report_page import parse

from ionstride import transport
from ionstride.errors import InputError
from ionstride.report import arrhenius_figure, to_svg, write_analysis_page, write_arrhenius_page
from ionstride.report.analysis_figures import axes_figure, cross_figure, curves_figure, slope_figure
from ionstride.report.analysis_words import next_steps, shown, tensor_table
from ionstride.report.estimate_figures import dots_figure
from ionstride.report.words import interval, number
from ionstride.settings import TransportSettings
from ionstride.stages.analysis import analyse, read_fit
from ionstride.stages.transport import through_temperatures

CELL = np.diag([17.4, 17.4, 25.2])


def analysed(
    D_cm2_s: float, *, ions: int = 24, frames: int = 3000, T: float = 800.0, seed: int = 1, alone: bool = False
) -> dict[str, Any]:
    """Return the analysis of a free walk with vibration about it."""
    rng = np.random.default_rng(seed)
    step = math.sqrt(2.0 * D_cm2_s * 1e4 * 0.1)
    r = np.cumsum(rng.normal(0.0, 1.0, (ions, frames, 3)) * step, axis=1) + rng.normal(0.0, 0.2, (ions, frames, 3))
    moved = transport.displacements_from_arrays(r, dt_ps=0.1, temperature_K=T, cell_A=CELL, independent_ions=alone)
    row, _, _ = analyse(moved, TransportSettings())
    row["inputs"] = {f"walk_{T:g}K.npz": "ab" * 32}
    row["versions"] = {"ionstride": "0.1.0", "numpy": "2.4.6"}
    return row


ROWS = {
    "diffusive": analysed(1e-5),
    "bound": analysed(2e-6, ions=4, frames=600),
    "not-diffusing": analysed(0.0, T=300.0),
}


def page_of(row: dict[str, Any], folder: Path, **more: Any) -> str:
    return write_analysis_page(row, folder, **more).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {name: page_of(row, tmp_path_factory.mktemp("page")) for name, row in ROWS.items()}


@pytest.fixture(scope="module")
def campaign() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a line and its rows: three temperatures of Ea = 0.4 eV and one too cold to see."""
    D = {T: 1e-3 * math.exp(-0.4 / 8.617e-5 / T) for T in (600.0, 800.0, 1000.0)}
    rows = [analysed(value, frames=4000, T=T, seed=int(T)) for T, value in D.items()]
    rows.insert(0, analysed(1e-9, T=400.0))
    fits = [fit for row in rows if (fit := read_fit(row)) is not None]
    charges = [fit for row in rows if (fit := read_fit(row, "charge")) is not None]
    return through_temperatures(fits, charges, 24, rows[0]["volume_A3"], TransportSettings()), rows


def opening(page: str) -> str:
    return page[page.index("<main>") : page.index('id="numbers"')]


@pytest.mark.parametrize("verdict", ROWS)
def test_the_rows_are_what_they_are_called(verdict: str) -> None:
    """Fault: tests of a verdict that run on rows of another one prove nothing."""
    assert ROWS[verdict]["verdict"] == verdict


@pytest.mark.parametrize("verdict", ROWS)
def test_page_stands_alone(verdict: str, pages: dict[str, str]) -> None:
    """Fault: a page that fetches from the network, or whose SVGs share an id, breaks when it is mailed."""
    page = pages[verdict]
    tags = parse(page).seen
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "img"}
    for _, attributes in tags:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "http://" not in page and "https://" not in page and "@import" not in page
    identifiers = [a["id"] for _, a in tags if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    used = set(re.findall(r"url\(#([^)]+)\)", page)) | set(re.findall(r'href="#([^"]+)"', page))
    assert used <= set(identifiers)
    pictures = [a for tag, a in tags if tag == "svg"]
    assert len(pictures) == 5 and all(a["aria-label"] for a in pictures)
    assert len(page) < 300_000


def test_estimate_opens_with_interval_and_unit(pages: dict[str, str]) -> None:
    """Fault: a D or σ that leaves the page without its interval or its unit."""
    row, first = ROWS["diffusive"], opening(pages["diffusive"])
    value, ci = shown(row["D_self_cm2_s"], "diffusive", "cm²/s")
    assert f"D = {value} cm²/s ({ci})" in first and ci.startswith("95 %: (") and ci.endswith("cm²/s")
    sigma = row["sigma_NE_mS_cm"]
    assert f"σ = {number(sigma['value'])} mS/cm (95 %: {interval(sigma)} mS/cm)" in first
    for key, unit in (("D_charge_cm2_s", "cm²/s"), ("sigma_charge_mS_cm", "mS/cm"), ("haven_ratio", "")):
        value, ci = shown(row[key], "diffusive", unit)
        assert value in first and ci in first
    assert "800 K" in first and "24 Li ions" in first and "diffusive" in first


@pytest.mark.parametrize("verdict", ["bound", "not-diffusing"])
def test_a_bound_is_never_a_number(verdict: str, pages: dict[str, str]) -> None:
    """Fault: the slope behind a bound printed as a value, which a reader would quote as D."""
    row, page = ROWS[verdict], re.sub(r"<svg.*?</svg>|<style>.*?</style>", "", pages[verdict], flags=re.S)
    for key in ("D_self_cm2_s", "sigma_NE_mS_cm"):
        high = row[key]["ci95"][1]
        assert f"&lt;\u00a0{number(high)}" in opening(page)
        if row[key]["value"] > 0.0:
            assert number(row[key]["value"]) not in page
    for component in row["D_tensor_cm2_s"]["along_cell_vectors"].values():
        assert number(component["value"]) not in page
    assert "one-sided 97.5 %" in page and row["reasons"][0] in page
    assert "What to do next" in opening(page)


@pytest.mark.parametrize("verdict", ["bound", "not-diffusing"])
def test_bound_along_a_direction_covers_the_bound_of_the_mean(verdict: str, pages: dict[str, str]) -> None:
    """Fault: D < b for the mean of three axes read as D < b along each, when all of it may be along one."""
    high = ROWS[verdict]["D_self_cm2_s"]["ci95"][1]
    assert f"along any, D self &lt;\u00a0{number(3 * high)} cm²/s" in pages[verdict]


def test_fitted_lines_have_the_slope_of_the_fit() -> None:
    """Fault: a wrong factor (6, or Å²/ps to cm²/s), or the charge drawn with the self's window or D."""
    row = ROWS["diffusive"]
    ax = curves_figure(row).axes[0]
    lines = {line.get_label(): line for line in ax.lines}
    for label, key, window in (
        ("fit", "D_self_cm2_s", "fit_window_ps"),
        ("fit of the charge", "D_charge_cm2_s", "charge_fit_window_ps"),
    ):
        x, y = (np.asarray(v) for v in lines[label].get_data())
        np.testing.assert_allclose((x[0], x[-1]), row[window])
        np.testing.assert_allclose((y[-1] - y[0]) / (x[-1] - x[0]), 6e4 * row[key]["value"], rtol=1e-9)
        curve = np.interp(x, row["msd"]["lag_ps"], row["msd"]["self_A2" if label == "fit" else "charge_A2"])
        np.testing.assert_allclose(y, curve, rtol=0.05 if label == "fit" else 0.25)
    shaded = ax.patches[0].get_window_extent().transformed(ax.transData.inverted())
    np.testing.assert_allclose((shaded.x0, shaded.x1), row["fit_window_ps"], rtol=1e-6)


@pytest.mark.parametrize("verdict", ["bound", "not-diffusing"])
def test_no_line_through_a_bound(verdict: str) -> None:
    """Fault: a line through an MSD that has no D suggests that it has one."""
    assert "fit" not in [line.get_label() for line in curves_figure(ROWS[verdict]).axes[0].lines]


def test_curves_are_those_of_the_result() -> None:
    """Fault: slope, axes or band taken from another column."""
    msd = ROWS["diffusive"]["msd"]
    ax = slope_figure(ROWS["diffusive"]).axes[0]
    by_label = {line.get_label(): line for line in ax.lines}
    assert by_label["self"].get_ydata().tolist() == msd["log_log_slope"]
    assert set(by_label["1: diffusion"].get_ydata()) == {1.0}
    along = {line.get_label(): line for line in axes_figure(ROWS["diffusive"]).axes[0].lines}
    total = sum(np.asarray(along[f"along {c}"].get_ydata()) for c in "xyz")
    np.testing.assert_allclose(total, along["all axes"].get_ydata(), rtol=1e-9)
    band = curves_figure(ROWS["diffusive"]).axes[0].collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(np.max(np.add(msd["self_A2"], msd["self_stderr_A2"])))


def test_dots_reach_over_their_intervals() -> None:
    """Fault: bars of another length than the 95 % interval misstate the certainty."""
    row = ROWS["diffusive"]
    ax = dots_figure(row).axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[:5] == ["self", "self, along a", "self, along b", "self, along c", "charge"]
    bars = {
        round(line.get_ydata()[0]): line.get_xdata()
        for line in ax.lines
        if len(line.get_xdata()) == 2 and line.get_ydata()[0] == line.get_ydata()[1]
    }
    np.testing.assert_allclose(bars[0], row["D_self_cm2_s"]["ci95"])
    np.testing.assert_allclose(bars[3], row["D_tensor_cm2_s"]["along_cell_vectors"]["c"]["ci95"])
    np.testing.assert_allclose(bars[4], row["D_charge_cm2_s"]["ci95"])


@pytest.mark.parametrize("verdict", ["bound", "not-diffusing"])
def test_dots_of_a_bound_are_arrows_from_the_bound(verdict: str) -> None:
    """Fault: a bound drawn as a dot is taken for a measured D."""
    ax = dots_figure(ROWS[verdict]).axes[0]
    own = [line for line in ax.lines if line.get_ydata()[0] == 0]
    assert max(max(line.get_xdata()) for line in own) == pytest.approx(ROWS[verdict]["D_self_cm2_s"]["ci95"][1])
    assert "<" in {line.get_marker() for line in own} and "o" not in {line.get_marker() for line in own}
    assert not any("along" in label.get_text() for label in ax.get_yticklabels())


def test_ions_made_one_by_one_have_no_charge(tmp_path: Path) -> None:
    """Fault: a page that fails, or shows a collective D, where correlations are gone."""
    row = analysed(1e-5, frames=1000, alone=True)
    page = page_of(row, tmp_path)
    parse(page)
    assert row["D_charge_cm2_s"] is None
    assert "made one by one" in opening(page) and "motion of all ions together" not in page


@pytest.mark.parametrize("verdict", ROWS)
@pytest.mark.parametrize("seed", range(3))
def test_keys_may_be_missing(verdict: str, seed: int, tmp_path: Path) -> None:
    """Fault: one number that was not measured, or an older file, ends in a traceback instead of a dash."""
    rng = np.random.default_rng(seed)

    def thin(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: thin(v) for k, v in value.items() if k == "lag_ps" or rng.random() > 0.3}
        return value

    parse(page_of(thin(ROWS[verdict]), tmp_path))


@pytest.mark.parametrize("key", sorted(ROWS["diffusive"]))
def test_each_key_may_be_absent_or_null(key: str, tmp_path: Path) -> None:
    """Fault: the page of a result without one part, or with null in its place, is not written."""
    row = {**ROWS["diffusive"], "msd": {}, "unwrap_schemes": {"TOR": None}, "cross": {"Li-S": {}}}
    parse(page_of({k: v for k, v in row.items() if k != key}, tmp_path))
    parse(page_of({**row, key: None}, tmp_path))


@pytest.mark.parametrize("key", sorted(ROWS["diffusive"]["msd"]))
def test_each_curve_may_be_absent(key: str, tmp_path: Path) -> None:
    """Fault: one curve that was not made takes the whole page with it."""
    msd = {k: v for k, v in ROWS["diffusive"]["msd"].items() if k != key}
    page = page_of({"msd": msd, "D_self_cm2_s": {}, "verdict": "diffusive"}, tmp_path)
    parse(page)
    assert page.count("<svg") == {"lag_ps": 0, "self_A2": 0, "log_log_slope": 3, "alpha2": 3}.get(key, 4)


def test_an_empty_result_renders(tmp_path: Path) -> None:
    """Fault: nothing to show ends in an error instead of a page that says so."""
    page = page_of({}, tmp_path)
    parse(page)
    assert "No diffusion coefficient is known" in page and "No curves were stored" in page


def test_everything_is_escaped(tmp_path: Path) -> None:
    """Fault: a file name, reason or title with markup becomes part of the page."""
    evil = '<script>alert("x")</script>&`<b>`'
    row = copy.deepcopy(ROWS["diffusive"])
    row.update(reasons=[evil], charge_reasons=[evil], drift=evil, mobile=evil, unwrap=evil, memory=evil, verdict=evil)
    row.update(inputs={evil: evil}, versions={evil: evil}, source={"runs": [{evil: evil, "unwrap": evil}]})
    row["unwrap_schemes"] = {evil: {"D_self_cm2_s": row["D_self_cm2_s"]}}
    page = page_of(row, tmp_path, title=evil, extra_figures=[(evil, "<svg></svg>", evil)])
    assert "<script" not in page and "<b>" not in page and "&lt;script&gt;" in page
    parse(page)


def test_extra_figures_stand_with_name_and_caption(tmp_path: Path) -> None:
    """Fault: figures that a caller hands in are lost, or bring scripts into the page."""
    svg = to_svg(arrhenius_figure(None, [ROWS["diffusive"]]), "extra")
    page = page_of({"verdict": "diffusive"}, tmp_path, extra_figures=[("Density", svg, "Where the ions are.")])
    assert svg in page and "<strong>Density.</strong> Where the ions are." in page
    for bad in ("<p>text</p>", "<svg><script>1</script></svg>", '<svg onload="x()"></svg>'):
        with pytest.raises(InputError, match="'x' is no plain SVG"):
            write_analysis_page(ROWS["diffusive"], tmp_path, extra_figures=[("x", bad, "")])


def test_page_is_the_same_each_time(pages: dict[str, str], tmp_path: Path) -> None:
    """Fault: a page that changes with every writing cannot be compared between two runs."""
    assert page_of(ROWS["diffusive"], tmp_path) == pages["diffusive"]
    assert [path.name for path in tmp_path.iterdir()] == ["analysis.html"]


def test_nan_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    """Fault: NaN printed as a result, or half a page left behind."""
    row = copy.deepcopy(ROWS["diffusive"])
    row["msd"]["alpha2"][2] = math.nan
    with pytest.raises(InputError, match=r"transport\.msd\.alpha2\[2\] is nan"):
        write_analysis_page(row, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unwrapping_that_matters_is_said(tmp_path: Path) -> None:
    """Fault: schemes that disagree in a cell that fluctuates stand side by side without a word."""
    D = ROWS["diffusive"]["D_self_cm2_s"]
    far = {"value": 4 * D["value"], "ci95": [3.9 * D["value"], 4.1 * D["value"]]}
    schemes = {"minimum-image": {"D_self_cm2_s": D}, "TOR": {"D_self_cm2_s": far}}
    row = {**ROWS["diffusive"], "unwrap_schemes": schemes, "msd": {}}
    assert "differ by more than their intervals" in page_of(row, tmp_path)
    row["unwrap_schemes"] = {"minimum-image": {"D_self_cm2_s": D}, "TOR": {"D_self_cm2_s": D}}
    page = page_of(row, tmp_path)
    assert "differ by more than their intervals" not in page and "unwrapped by TOR" in page


def test_cross_curves_keep_their_sign() -> None:
    """Fault: a negative cross displacement lost on a logarithmic axis."""
    lag = [1.0, 2.0, 4.0]
    ax = cross_figure({"cross": {"Li-S": {"lag_ps": lag, "A2": [-0.1, -0.2, -0.4]}}}).axes[0]
    assert ax.lines[1].get_ydata().tolist() == [-0.1, -0.2, -0.4] and ax.get_ylim()[0] < -0.4


def test_advice_follows_the_verdict() -> None:
    """Fault: 'run longer' said to a user whose ions cannot move, or no number of times said to one who needs ten."""
    few = next_steps({"verdict": "bound", "n_hops": 3.0, "time_ps": 100.0})
    assert "some 10 times, 1.0 ns" in few[0]
    msd = {"lag_ps": [1.0, 10.0], "log_log_slope": [0.8, 0.5]}
    bent = next_steps({"verdict": "bound", "n_hops": 500.0, "fit_window_ps": [1.0, 10.0], "msd": msd})
    assert "still grows more slowly than time" in bent[0] and "--fit-ps A:B" in bent[0]
    assert next_steps({"verdict": "not-diffusing"})[0].startswith("Run hotter")
    wide = next_steps({"verdict": "diffusive", "D_self_cm2_s": {"value": 1e-6, "ci95": [5e-7, 2e-6]}})
    assert "2.0 times the value" in wide[0]
    assert any("6.00 Å thick" in step for step in next_steps({"verdict": "diffusive", "cell_A": np.diag([6, 20, 20])}))


def test_thickness_is_that_between_faces() -> None:
    """Fault: the length of a vector taken for the thickness of an oblique cell."""
    oblique = [[20.0, 0.0, 0.0], [18.0, 8.0, 0.0], [0.0, 0.0, 20.0]]
    said = next(step for step in next_steps({"verdict": "diffusive", "cell_A": oblique}) if "thick" in step)
    assert "8.00 Å" in said


def test_value_and_interval_have_one_power_of_ten() -> None:
    """Fault: '9.96 × 10⁻⁶ (0.989 to 1.00) × 10⁻⁵' is misread by a factor of ten."""
    assert shown({"value": 9.96e-6, "ci95": [9.89e-6, 1.002e-5]}, "diffusive", "cm²/s") == (
        "9.96 × 10⁻⁶",
        "95 %: (9.89 to 10.0) × 10⁻⁶ cm²/s",
    )
    assert shown({"value": 1e-6, "ci95": None}, "diffusive", "cm²/s") == ("1.00 × 10⁻⁶", "no interval is known")
    assert shown({"value": 1e-6, "ci95": [0.0, 3e-6]}, "bound", "cm²/s")[0] == "<\u00a03.00 × 10⁻⁶"
    assert shown(None, "bound", "cm²/s") == ("–", "")


def test_tensor_has_errors_and_one_power_of_ten() -> None:
    """Fault: components in different powers of ten, or without errors, cannot be compared."""
    value = 1e-5 * np.array([[6.228, -1.27, 0.0], [-1.27, 7.7, 0.4], [0.0, 0.4, 0.51]])
    table = tensor_table({"value": value.tolist(), "stderr": (0.2 * np.abs(value) + 1e-6).tolist()}, "cm²/s")
    assert table is not None and table["unit"] == "10⁻⁵ cm²/s"
    assert table["cells"][0][:2] == ["6.2 ± 1.3", "−1.3 ± 0.4"]
    assert tensor_table(None, "cm²/s") is None


def test_arrhenius_page_has_line_bounds_and_charge(
    campaign: tuple[dict[str, Any], list[dict[str, Any]]], tmp_path: Path
) -> None:
    """Fault: the line shown without its interval, without the bound it rests on, or without the collective one."""
    line, rows = campaign
    page = write_arrhenius_page(line, rows, tmp_path).read_text(encoding="utf-8")
    parse(page)
    Ea = line["Ea_eV"]
    assert f"Ea = {number(Ea['value'])} eV (95 %: {interval(Ea)} eV)" in page
    assert Ea["ci95"][0] < 0.4 < Ea["ci95"][1]
    assert line["bounds_K"] == [400.0] and "counts as an upper bound" in page
    assert f"&lt;\u00a0{number(rows[0]['D_self_cm2_s']['ci95'][1])}" in page
    assert line["charge"] and "Ea of the charge" in page
    for row in rows:
        assert f"<td>{row['temperature_K']:g}</td>" in page and next(iter(row["inputs"])) in page
    assert "Extrapolat" in page or "extrapolat" in page


def test_arrhenius_figure_draws_bounds_and_charge(campaign: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    """Fault: a temperature that does not diffuse left out of the picture, or the charge drawn with the self's D."""
    line, rows = campaign
    ax = arrhenius_figure(line, rows).axes[0]
    handles, labels = ax.get_legend_handles_labels()
    drawn = dict(zip(labels, handles, strict=True))
    assert drawn["upper bound, 95 %"].lines[0].get_ydata().tolist() == line["bounds_cm2_s"]
    charge = {row["temperature_K"]: row["D_charge_cm2_s"]["value"] for row in rows}
    x, y = drawn["charge, 95 %"].lines[0].get_data()
    np.testing.assert_allclose(y, [charge[round(1e3 / v, 3)] for v in x])
    assert f"D charge, Ea = {line['charge']['Ea_eV']['value']:.3f} eV" in labels
    alone = arrhenius_figure({**line, "charge": None}, []).axes[0]
    assert "upper bound, 95 %" in alone.get_legend_handles_labels()[1]


@pytest.mark.parametrize("verdict", ["bound", "not-diffusing"])
def test_a_bound_is_an_arrow_in_the_arrhenius_plot(verdict: str) -> None:
    """Fault: a bound drawn as a point with a bar, or not at all."""
    ax = arrhenius_figure(None, [ROWS[verdict]]).axes[0]
    assert ax.get_legend_handles_labels()[1] == ["upper bound, 95 %"]
    np.testing.assert_allclose(ax.containers[0].lines[0].get_ydata(), [ROWS[verdict]["D_self_cm2_s"]["ci95"][1]])


def test_arrhenius_page_without_a_line(tmp_path: Path) -> None:
    """Fault: temperatures without a line get no page, or one that shows an Ea."""
    path = write_arrhenius_page(None, list(ROWS.values()), tmp_path / "new" / "a.html", "<Title>")
    page = path.read_text(encoding="utf-8")
    parse(page)
    assert path.name == "a.html" and "There is no Arrhenius line" in page and "&lt;Title&gt;" in page
    assert "Ea =" not in page
    parse(write_arrhenius_page({}, [], tmp_path).read_text(encoding="utf-8"))
    assert (tmp_path / "arrhenius.html").exists()
