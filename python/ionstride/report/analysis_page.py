"""The page of one analysed temperature, ``analysis.html``."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from . import analysis_figures
from . import analysis_words as words
from .canvas import has, need_matplotlib
from .estimate_figures import dots_figure
from .rendering import framed, picture, plain, render, write_page
from .words import DASH, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

_TENSORS = (
    ("D self", "D_tensor_cm2_s", "cm²/s", "verdict"),
    ("D charge", "D_charge_tensor_cm2_s", "cm²/s", "charge_verdict"),
    ("σ charge", "sigma_tensor_mS_cm", "mS/cm", "charge_verdict"),
)

_NAMES = {
    "cut_last_frames_dropped": "last frames cut short, dropped",
    "repeated_frames_dropped": "repeated frames, dropped",
    "largest_step_in_cell_vectors": "largest step between frames (cell vectors)",
    "ions_alone": "file holds the ions alone",
    "unwrap": "unwrapped by",
    "files": "files, in order",
}


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
    for name, svg, _ in extra_figures:
        if not svg.lstrip().startswith("<svg") or re.search(r"<script|\son\w+\s*=", svg, re.I):
            raise InputError(f"extra figure '{name}' is no plain SVG, wanted an <svg> element without scripts")
    text = render(
        "analysis.html.j2",
        r=r,
        title=title or f"Transport of {words.ion(r)} at {words.kelvin(r)}",
        ion=words.ion(r),
        kelvin=words.kelvin(r),
        verdict=words.verdict_word(r.get("verdict")),
        charge_verdict=words.verdict_word(r.get("charge_verdict"), ""),
        sentence=words.verdict_sentence(r),
        tiles=words.tiles(r),
        next_steps=words.next_steps(r),
        cautions=words.cautions(r),
        pictures=_pictures(r) + [framed(svg, caption, name) for name, svg, caption in extra_figures],
        along=_along(r),
        undirected=[
            (label, words.any_direction(r, total))
            for (label, key, _, verdict), total in zip(_TENSORS, ("D_self_cm2_s", "D_charge_cm2_s"), strict=False)
            if r.get(key) and r.get(verdict) != "diffusive" and words.any_direction(r, total) != DASH
        ],
        tensors=_tensors(r),
        checks=_checks(r),
        checks_caption="D of single blocks and replicas carries no interval of its own: their scatter is the check.",
        readings=_readings(r),
    )
    return write_page(Path(out) / "analysis.html", text)


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
            f"MSD (Å²) of single ions against lag (ps), whole and along x, y and z, at short lags; {window}.",
        ),
        (
            curves and has(msd, "lag_ps", "alpha2"),
            analysis_figures.alpha2_figure,
            "Non-Gaussian parameter α₂ against lag (ps): 0 where displacements are Gaussian and alike in all "
            "directions, large where few ions have hopped and most have not.",
        ),
        (
            bool((row.get("D_self_cm2_s") or {}).get("ci95")),
            dots_figure,
            "Every D (cm²/s) with its 95 % interval; arrows are upper bounds, open circles blocks of time "
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


def _readings(row: Row) -> list[list[tuple[str, str]]]:
    """Return what was read, a list of name and value for each run: files, format, frames dropped, unwrapping."""
    source = row.get("source")
    runs = source.get("runs") if isinstance(source, Mapping) else None
    listed = bool(row.get("inputs"))  # with their hashes, so that here they need not stand again
    return [
        [
            (_NAMES.get(key, key.replace("_", " ")), _said(value))
            for key, value in run.items()
            if value not in (None, "") and not (listed and key == "files")
        ]
        for run in runs or []
        if isinstance(run, Mapping)
    ]


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_said(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_said(item) for item in value)
    return number(value) if isinstance(value, float) else str(value)
