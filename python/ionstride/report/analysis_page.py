"""Pages of trajectories alone: ``analysis.html`` of one temperature, ``arrhenius.html`` of several."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from . import analysis_figures, figures
from . import analysis_words as words
from .arrhenius_figures import arrhenius_figure
from .canvas import has, need_matplotlib
from .rendering import framed, picture, plain, render, write_page
from .words import DASH, VERDICTS, interval, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

_TENSORS = (
    ("D self", "D_tensor_cm2_s", "cm²/s", "verdict"),
    ("D charge", "D_charge_tensor_cm2_s", "cm²/s", "charge_verdict"),
    ("σ charge", "sigma_tensor_mS_cm", "mS/cm", "charge_verdict"),
)


def write_analysis_page(
    row: Row, out: Path, title: str = "", extra_figures: Sequence[tuple[str, str, str]] = ()
) -> Path:
    """Write ``analysis.html``: one file with its figures inside, which loads nothing.

    Parameters
    ----------
    row : result of `ionstride.stages.analysis.analyse`, or what ``transport.json`` holds; a part that is missing is
        left out or said to be missing.
    out : folder; it is made if it is not there.
    title : title of the page; empty: the mobile ion and the temperature.
    extra_figures : name, SVG (as `to_svg` makes it) and caption of figures to set after the page's own.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    MissingToolError
        If matplotlib is not installed.
    InputError
        If a number is NaN or infinite, or an extra figure is no SVG.
    """
    need_matplotlib()
    r = plain(row, "transport")
    pictures = _pictures(r)
    for name, svg, caption in extra_figures:
        if not svg.lstrip().startswith("<svg") or re.search(r"<script|\son\w+\s*=", svg, re.I):
            raise InputError(f"extra figure '{name}' is no plain SVG, wanted an <svg> element without scripts")
        pictures.append(framed(svg, caption, name))
    checks = _checks(r)
    text = render(
        "analysis.html.j2",
        r=r,
        title=title or f"Transport of {words.ion(r)} at {words.kelvin(r)}",
        ion=words.ion(r),
        kelvin=words.kelvin(r),
        verdict=_verdict(r.get("verdict")),
        charge_verdict=_verdict(r.get("charge_verdict"), ""),
        sentence=words.verdict_sentence(r),
        tiles=words.tiles(r),
        next_steps=words.next_steps(r),
        cautions=words.cautions(r),
        pictures=pictures,
        along=_along(r),
        undirected=[
            (label, words.any_direction(r, total))
            for (label, key, _, verdict), total in zip(_TENSORS, ("D_self_cm2_s", "D_charge_cm2_s"), strict=False)
            if r.get(key) and r.get(verdict) != "diffusive" and words.any_direction(r, total) != DASH
        ],
        tensors=_tensors(r),
        checks=checks,
        checks_caption="D of single blocks and replicas carries no interval of its own: their scatter is the check.",
        readings=words.readings(r),
    )
    return write_page(Path(out) / "analysis.html", text)


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


def _verdict(verdict: Any, unknown: str = "no verdict") -> str:
    return VERDICTS.get(str(verdict), str(verdict)) if verdict else unknown


def _pictures(row: Row) -> list[str]:
    """Return the page's figures as HTML; those without data are left out."""
    msd = row.get("msd") or {}
    curves = has(msd, "lag_ps", "self_A2")
    window = "shaded: the fit window" if row.get("fit_window_ps") else "no fit window is known"
    drawn: list[tuple[bool, Callable[[Row], Figure], str]] = [
        (
            curves,
            analysis_figures.curves_figure,
            "MSD (Å²) of single ions" + (" and of the charge of all" if msd.get("charge_A2") else "") + " against lag "
            f"(ps), both logarithmic; bands are ± one standard error, {window}; fitted lines where the verdict is "
            "diffusive.",
        ),
        (
            curves and has(msd, "lag_ps", "log_log_slope"),
            analysis_figures.slope_figure,
            f"Slope d ln MSD / d ln τ against lag (ps): 1 is diffusion, 0 vibration, 2 free flight; {window}.",
        ),
        (
            curves,
            analysis_figures.axes_figure,
            f"MSD (Å²) of single ions against lag (ps), whole and along x, y and z; {window}.",
        ),
        (
            curves and has(msd, "lag_ps", "alpha2"),
            analysis_figures.alpha2_figure,
            "Non-Gaussian parameter α₂ against lag (ps): 0 where displacements are Gaussian and alike in all "
            "directions, large where few ions have hopped and most have not.",
        ),
        (
            bool((row.get("D_self_cm2_s") or {}).get("ci95")),
            analysis_figures.dots_figure,
            "Every D (cm²/s, logarithmic) with its 95 % interval; arrows are upper bounds, open circles blocks of time "
            "or replicas, which carry no interval.",
        ),
        (
            any(has(pair, "lag_ps", "A2") for pair in (row.get("cross") or {}).values()),
            analysis_figures.cross_figure,
            "Cross MSD (Å²) of two species against lag (ps): positive where their charges move along, negative where "
            "they move apart, 0 where they do not know of each other.",
        ),
    ]
    return [picture(draw(row), caption) for there, draw, caption in drawn if there]


def _along(row: Row) -> list[dict[str, Any]]:
    """Return D along the cell vectors as text, for single ions and for the charge."""
    lines = []
    for label, key, _, verdict in _TENSORS[:2]:
        axes = (row.get(key) or {}).get("along_cell_vectors") or {}
        if axes and row.get(verdict) == "diffusive":
            found = {name: words.shown(D, "diffusive", "") for name, D in axes.items()}
            cells = {name: (value, ci.removeprefix("95 %: ")) for name, (value, ci) in found.items()}
            lines.append({"label": label, "cells": cells})
    return lines


def _tensors(row: Row) -> list[dict[str, Any]]:
    tables = []
    for label, key, unit, verdict in _TENSORS:
        table = words.tensor_table(row.get(key), unit) if row.get(verdict) == "diffusive" else None
        if table:
            tables.append({"label": f"{label} tensor", **table})
    return tables


def _checks(row: Row) -> list[tuple[str, str]]:
    """Return the cross-checks of an estimate as name and finding; a bound has only those that are bounds too."""
    found = (row.get("cross_check") or {}) if row.get("verdict") == "diffusive" else {}
    lines = []
    own, rule = found.get("relative_error"), found.get("relative_error_by_hop_count")
    if own is not None:
        lines.append(("relative standard error of D self", f"{100 * own:.2g} %"))
    if rule is not None:
        lines.append(("the same by the number of hops alone (He, Zhu, Mo)", f"{100 * rule:.2g} %"))
    for name, key in (("blocks of time", "D_of_blocks_cm2_s"), ("replicas", "D_of_replicas_cm2_s")):
        values = [value for value in found.get(key) or [] if value is not None]
        if values:
            lines.append((f"D self of {len(values)} {name} (cm²/s)", ", ".join(number(value) for value in values)))
    for name, scheme in (row.get("unwrap_schemes") or {}).items():
        value, ci = words.shown((scheme or {}).get("D_self_cm2_s"), row.get("verdict"), "cm²/s")
        lines.append((f"D self, unwrapped by {name} (cm²/s)", f"{value} ({ci})" if ci else value))
    return lines


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
    return {"T": f"{row['temperature_K']:g}", "row": row, "verdict": _verdict(self, DASH), "cells": short}
