"""The page of several temperatures: the Arrhenius line and the points it rests on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import analysis_words as words
from . import figures
from .arrhenius_figures import arrhenius_figure
from .canvas import has, need_matplotlib
from .rendering import picture, plain, render, write_page
from .words import DASH, interval, number

Row = Mapping[str, Any]


def write_arrhenius_page(line: Row | None, rows: Sequence[Row], out: Path, title: str = "") -> Path:
    """Write the page of several temperatures: the line, its extrapolation, and the points.

    Parameters
    ----------
    line : result of `ionstride.stages.transport.through_temperatures`; None where there is no line.
    rows : results of `ionstride.stages.analysis.analyse`, one a temperature.
    out : a file that ends in ``.html``, or a folder in which ``arrhenius.html`` is written.
    title : title of the page; empty: one made of the mobile ion.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    MissingToolError
        If matplotlib is not installed.
    InputError
        If a number is NaN or infinite.
    """
    need_matplotlib()
    fit = plain(line or {}, "arrhenius")
    points = plain([row for row in rows if row.get("temperature_K")], "transport")
    points.sort(key=lambda row: float(row["temperature_K"]))
    ion = words.ion(points[0]) if points else "the mobile ion"
    drawn = [row for row in points if has(row.get("msd"), "lag_ps", "self_A2")]
    path = Path(out)
    pictures = []
    if points or fit:
        caption = "Diffusion coefficient D (cm²/s, logarithmic) against 1000/T; bars and bands are 95 % intervals, "
        caption += "arrows upper bounds." + (" Squares and the dashed line: the charge." if fit.get("charge") else "")
        pictures.append(picture(arrhenius_figure(fit, points), caption))
    caption = "Mean squared displacement (Å²) against lag (ps), both logarithmic: slope 1 is diffusion. "
    caption += "Bands are ± one standard error, dashed lines the fits."
    text = render(
        "arrhenius.html.j2",
        title=title or f"Diffusion of {ion} against temperature",
        ion=ion,
        span=f"{words.kelvin(points[0])} to {words.kelvin(points[-1])}" if len(points) > 1 else "",
        sentence=_line_sentence(fit, ion),
        tiles=_line_tiles(fit),
        warnings=_line_warnings(fit),
        pictures=pictures,
        line_facts=_line_facts(fit),
        table=[_line_of_table(row) for row in points],
        msd=[picture(figures.msd_figure(drawn, ["log"]), caption)] if drawn else [],
        inputs={name: digest for row in points for name, digest in (row.get("inputs") or {}).items()},
        versions=next((row["versions"] for row in points if row.get("versions")), {}),
    )
    return write_page(path if path.suffix == ".html" else path / "arrhenius.html", text)


def _line_sentence(fit: Row, ion: str) -> str:
    if not fit:
        return "There is no Arrhenius line through these temperatures, so no activation energy and no extrapolation."
    at, Ea, sigma = number(fit.get("at_K")), fit.get("Ea_eV"), fit.get("sigma_at_mS_cm")
    text = f"The activation energy of {ion} is Ea = {number((Ea or {}).get('value'))} eV (95 %: {interval(Ea)} eV)"
    if sigma:
        text += f"; the line gives σ = {number(sigma.get('value'))} mS/cm at {at} K (95 %: {interval(sigma)} mS/cm)"
    return text + ", by Nernst-Einstein." if sigma else text + "."


def _line_tiles(fit: Row) -> list[dict[str, str]]:
    at = number(fit.get("at_K"))
    charge = fit.get("charge") or {}
    wanted = [
        ("Ea", fit.get("Ea_eV"), "eV", "slope of the Arrhenius line"),
        (f"σ({at} K)", fit.get("sigma_at_mS_cm"), "mS/cm", "Nernst-Einstein, from the line"),
        (f"D({at} K)", fit.get("D_at_cm2_s"), "cm²/s", "from the line"),
        ("Ea of the charge", charge.get("Ea_eV"), "eV", "slope of the line through D charge"),
        (f"σ charge({at} K)", charge.get("sigma_at_mS_cm"), "mS/cm", "correlations included, from the line"),
    ]
    tiles = []
    for label, estimate, unit, note in wanted:
        if estimate:
            value, ci = words.shown(estimate, "diffusive", unit)
            tiles.append({"label": label, "value": value, "unit": unit, "ci": ci, "note": note})
    return tiles


def _line_facts(fit: Row) -> list[tuple[str, str]]:
    facts = []
    for name, line in (("", fit), (" of the charge", fit.get("charge") or {})):
        if line.get("D0_cm2_s"):
            value = f"{number(line['D0_cm2_s'].get('value'))} ({interval(line['D0_cm2_s'])})"
            facts.append((f"D₀{name} (cm²/s), 95 %", value))
        for what, key in (("temperatures (K)", "temperatures_K"), ("bounds used, at (K)", "bounds_K")):
            if line.get(key):
                facts.append((f"{what}{name}", ", ".join(f"{T:g}" for T in line[key])))
        if line.get("chi2_per_dof") is not None:
            facts.append((f"χ² per degree of freedom{name}", number(line["chi2_per_dof"], 2)))
    return facts


def _line_warnings(fit: Row) -> list[str]:
    own = [str(warning) for warning in fit.get("warnings") or []]
    charge = [f"Charge: {warning}" for warning in (fit.get("charge") or {}).get("warnings") or [] if warning not in own]
    return [f"{text[:1].upper()}{text[1:]}." for text in own + charge]


def _line_of_table(row: Row) -> dict[str, Any]:
    self, charge = row.get("verdict"), row.get("charge_verdict")
    cells = [
        words.shown(row.get("D_self_cm2_s"), self, ""),
        words.shown(row.get("sigma_NE_mS_cm"), self, ""),
        words.shown(row.get("D_charge_cm2_s"), charge, ""),
        words.shown(row.get("sigma_charge_mS_cm"), charge, ""),
        words.shown(row.get("haven_ratio"), "diffusive", ""),
    ]
    short = [(value, "" if ci == words.ONE_SIDED else ci.removeprefix("95 %: ")) for value, ci in cells]
    return {"T": f"{row['temperature_K']:g}", "row": row, "verdict": words.verdict_word(self, DASH), "cells": short}
