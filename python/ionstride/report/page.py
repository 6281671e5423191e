"""Write the results: ``results.json`` for programs, ``report.html`` for people."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import figures, learning_figures, simulation_figures, words
from .arrhenius_figures import arrhenius_figure
from .canvas import has, need_matplotlib
from .rendering import picture, plain, render, write_page
from .words import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_results(results: Results, out: Path) -> Path:
    """Write ``results.json``, keys sorted, all or nothing.

    Parameters
    ----------
    results : plain dictionaries, lists and numbers; NumPy arrays and numbers are taken too.
    out : folder; it is made if it is not there.

    Raises
    ------
    InputError
        If a number is NaN or infinite, or a value is of a kind JSON cannot hold; its place is named.
    """
    text = json.dumps(plain(results, "results"), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return write_page(Path(out) / "results.json", text + "\n")


def write_report(results: Results, out: Path, title: str = "") -> Path:
    """Write ``report.html``: one file with its figures inside, which loads nothing.

    Parameters
    ----------
    results : as for `write_results`; a part that is missing is said to be missing.
    out : folder; it is made if it is not there.
    title : title of the page; empty: the study's name.

    Raises
    ------
    MissingToolError
        If matplotlib is not installed.
    InputError
        As in `write_results`.
    """
    need_matplotlib()
    checked = plain(results, "results")
    text = render(
        "page.html.j2",
        r=checked,
        title=title or checked.get("name") or "IonStride study",
        headline=words.headline(checked),
        verdicts=words.verdicts(checked),
        cautions=words.cautions(checked),
        missing=words.missing_parts(checked),
        temperatures=words.temperatures(checked),
        verdict_words=words.VERDICTS,
        line=words.part(checked, "transport").get("arrhenius") or {},
        runs=words.runs(checked),
        pictures=_pictures(checked),
        chgnet="chgnet" in str(words.part(checked, "reference").get("method")).lower(),
    )
    return write_page(Path(out) / "report.html", text)


def _pictures(results: Results) -> dict[str, list[str]]:
    """Return the page's figures as HTML, by the name of their place; those without data are absent."""
    pictures: dict[str, list[str]] = {}

    def add(place: str, figure: "Figure", caption: str) -> None:
        pictures.setdefault(place, []).append(picture(figure, caption))

    rows = words.temperatures(results)
    mobile = words.part(results, "structure").get("mobile") or ""
    line = words.part(results, "transport").get("arrhenius")
    if rows or line:
        caption = "Diffusion coefficient D (cm²/s, logarithmic) against 1000/T; bars and band are 95 % intervals."
        add("arrhenius", arrhenius_figure(line, rows), caption)
    drawn = [row for row in rows if has(row.get("msd"), "lag_ps", "self_A2")]
    if drawn:
        caption = "Mean squared displacement (Å²) against lag (ps), both logarithmic: slope 1 is diffusion."
        caption += " Bands are ± one standard error, dashed lines the fits."
        add("msd", figures.msd_figure(drawn, ["log"]), caption)
    for row in drawn:
        caption = f"{row['temperature_K']:g} K: mean squared displacement (Å²) against lag (ps), fit window shaded."
        add("msd", figures.msd_figure([row], ["linear"]), caption)
    potential = words.part(results, "potential")
    _potential_pictures(potential, mobile, add)
    _learning_pictures(words.part(results, "learning").get("rounds") or [], add)
    told = [run for run in words.runs(results) if has(run.get("thermo"), *simulation_figures.THERMO)]
    if told:
        caption = "Temperature (K) against time (ps), in means over 1/80 of a run."
        add("md", simulation_figures.md_figure(told, ["temperature"]), caption)
        caption = "Potential energy (meV/atom, from its mean) against time (ps), in the same means."
        add("md", simulation_figures.md_figure(told, ["energy"]), caption)
    structure = words.part(results, "structure")
    if has(structure, "symbols", "positions_A") and structure.get("cell_A"):
        for letter in "cb":
            figure = simulation_figures.structure_figure(
                structure["symbols"], structure["positions_A"], structure["cell_A"], mobile, letter
            )
            add("structure", figure, f"The simulated cell, {structure.get('formula') or ''}, seen along {letter} (Å).")
    return pictures


def _learning_pictures(rounds: list[dict[str, Any]], add: Any) -> None:
    if not rounds:
        return
    caption = "Force error (meV/Å, logarithmic) on frames not yet trained on, against the labels known to a round"
    shares = any(r.get("shares") for r in rounds)
    caption += "; and what each round's MD visited: accurate, candidate and failed frames (%)." if shares else "."
    add("learning", learning_figures.rounds_figure(rounds), caption)
    if any(has(r, "deviation_eV_A", "error_eV_A") for r in rounds):
        caption = (
            "Error against model deviation (eV/Å) of the worst atom in each newly labelled frame; dotted and dashed:"
        )
        caption += " the last round's trust levels. A deviation that tells the truth rises with the error."
        add("learning", learning_figures.deviation_figure(rounds), caption)


def _potential_pictures(potential: Mapping[str, Any], mobile: str, add: Any) -> None:
    parity = potential.get("parity") or {}
    if has(parity, "force_ref_eV_A", "force_model_eV_A"):
        caption = "Force components (eV/Å) of the potential against the reference, on held-out frames, by element."
        figure = figures.parity_figure(
            parity["force_ref_eV_A"],
            parity["force_model_eV_A"],
            parity.get("element") or None,
            mobile=mobile,
            force_rmse_meV_A=potential.get("force_rmse_meV_A"),
        )
        add("potential", figure, caption)
    if has(parity, "energy_ref_meV_atom", "energy_model_meV_atom"):
        caption = "Energies (meV/atom) of the potential against the reference, on held-out frames."
        figure = figures.parity_figure(
            None,
            None,
            reference_energy_meV_atom=parity["energy_ref_meV_atom"],
            predicted_energy_meV_atom=parity["energy_model_meV_atom"],
            energy_rmse_meV_atom=potential.get("energy_rmse_meV_atom"),
        )
        add("potential", figure, caption)
    if (potential.get("lcurve") or {}).get("step"):
        caption = "Error of the forces (meV/Å, logarithmic) against training step."
        add("potential", figures.learning_curve_figure(potential["lcurve"]), caption)
