"""Write the results: ``results.json`` for programs, ``report.html`` for people."""

import html
import importlib.resources
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from . import figures, simulation_figures, words
from .canvas import has, need_matplotlib, to_svg
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
    text = json.dumps(_plain(results, "results"), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return _write(Path(out) / "results.json", text + "\n")


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
    import jinja2

    plain = _plain(results, "results")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.ChainableUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(number=words.number, interval=words.interval, pretty=_pretty)
    template = importlib.resources.files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8")
    text = environment.from_string(template).render(
        r=plain,
        title=title or plain.get("name") or "IonStride study",
        headline=words.headline(plain),
        verdicts=words.verdicts(plain),
        cautions=words.cautions(plain),
        missing=words.missing_parts(plain),
        temperatures=words.temperatures(plain),
        verdict_words=words.VERDICTS,
        line=words.part(plain, "transport").get("arrhenius") or {},
        runs=words.runs(plain),
        pictures=_pictures(plain),
        chgnet="chgnet" in str(words.part(plain, "reference").get("method")).lower(),
    )
    return _write(Path(out) / "report.html", text)


def _plain(value: Any, where: str) -> Any:
    """Return JSON's own kinds; refuse NaN and infinity by the name of their place."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where} is {value}, wanted a finite number, or null where nothing was measured")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise InputError(f"{where} is of kind {type(value).__name__}, which JSON cannot hold")


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _pictures(results: Results) -> dict[str, list[str]]:
    """Return the page's figures as HTML, by the name of their place; those without data are absent."""
    pictures: dict[str, list[str]] = {}

    def add(place: str, figure: "Figure", caption: str) -> None:
        svg = to_svg(figure, caption)
        pictures.setdefault(place, []).append(
            f'<figure><div class="paper">{svg}</div><figcaption>{html.escape(caption)}</figcaption></figure>'
        )

    rows = words.temperatures(results)
    mobile = words.part(results, "structure").get("mobile") or ""
    line = words.part(results, "transport").get("arrhenius")
    if rows or line:
        caption = "Diffusion coefficient D (cm²/s, logarithmic) against 1000/T; bars and band are 95 % intervals."
        add("arrhenius", figures.arrhenius_figure(line, rows), caption)
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


def _potential_pictures(potential: Mapping[str, Any], mobile: str, add: Any) -> None:
    parity = potential.get("parity") or {}
    if has(parity, "force_ref_eV_A", "force_model_eV_A"):
        caption = "Force components (eV/Å) of the potential against the reference, on held-out frames, by element."
        figure = figures.parity_figure(
            parity["force_ref_eV_A"], parity["force_model_eV_A"], parity.get("element") or None, mobile=mobile
        )
        add("potential", figure, caption)
    if has(parity, "energy_ref_meV_atom", "energy_model_meV_atom"):
        caption = "Energies (meV/atom) of the potential against the reference, on held-out frames."
        figure = figures.parity_figure(
            None,
            None,
            reference_energy_meV_atom=parity["energy_ref_meV_atom"],
            predicted_energy_meV_atom=parity["energy_model_meV_atom"],
        )
        add("potential", figure, caption)
    if (potential.get("lcurve") or {}).get("step"):
        caption = "Error of the forces (meV/Å, logarithmic) against training step."
        add("potential", figures.learning_curve_figure(potential["lcurve"]), caption)
