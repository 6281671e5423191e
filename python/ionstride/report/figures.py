"""Figures of the potential and of the transport numbers, from plain lists and dictionaries."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..units import A2_PS_TO_CM2_S
from .canvas import (
    ACCENT,
    FAINT,
    INK,
    PALETTE,
    element_colours,
    floats,
    has,
    log_axis,
    new_figure,
    style,
    temperature_colours,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..checks import Array

Row = Mapping[str, Any]


def parity_figure(
    reference_force_eV_A: Sequence[float] | None,
    predicted_force_eV_A: Sequence[float] | None,
    element: Sequence[str] | None = None,
    *,
    reference_energy_meV_atom: Sequence[float] | None = None,
    predicted_energy_meV_atom: Sequence[float] | None = None,
    mobile: str = "",
    force_rmse_meV_A: float | None = None,
    energy_rmse_meV_atom: float | None = None,
) -> "Figure":
    """Draw predicted against reference forces and energies on held-out frames.

    Parameters
    ----------
    reference_force_eV_A, predicted_force_eV_A : (n) force components in eV/Å, or None for no such panel.
    element : (n) element of the atom behind each component; colours the points.
    reference_energy_meV_atom, predicted_energy_meV_atom : (f) energies in meV/atom, or None.
    mobile : the mobile element, which is drawn in the accent colour.
    force_rmse_meV_A, energy_rmse_meV_atom : errors of all frames, where the points are only some; else of the points.

    Raises
    ------
    InputError
        If two lists that belong together differ in length, or there is nothing to draw.
    """
    force = (floats(reference_force_eV_A), floats(predicted_force_eV_A))
    energy = (floats(reference_energy_meV_atom), floats(predicted_energy_meV_atom))
    for name, (a, b) in (("forces", force), ("energies", energy)):
        if len(a) != len(b):
            raise InputError(f"{len(a)} reference and {len(b)} predicted {name} were given, wanted pairs")
    if element is not None and len(force[0]) and len(element) != len(force[0]):
        raise InputError(f"{len(element)} elements for {len(force[0])} force components, wanted one for each")
    panels = int(len(force[0]) > 0) + int(len(energy[0]) > 0)
    if panels == 0:
        raise InputError("a parity figure needs forces or energies, got neither")
    with style():
        figure, axes = new_figure(panels, height_in=3.8)
        if len(force[0]):
            ax = axes[0]
            _parity(ax, *force, None if element is None else list(element), mobile)
            ax.set_xlabel("reference force component (eV/Å)")
            ax.set_ylabel("force component of the potential (eV/Å)")
            rmse = 1e3 * _rmse(*force) if force_rmse_meV_A is None else force_rmse_meV_A
            _corner(ax, f"RMSE {rmse:.0f} meV/Å")
        if len(energy[0]):
            ax = axes[-1]
            middle = float(np.nanmean(energy[0]))
            _parity(ax, energy[0] - middle, energy[1] - middle, None, "")
            ax.set_xlabel("reference energy − its mean (meV/atom)")
            ax.set_ylabel("energy of the potential − that mean (meV/atom)")
            rmse = _rmse(*energy) if energy_rmse_meV_atom is None else energy_rmse_meV_atom
            _corner(ax, f"RMSE {rmse:.2f} meV/atom")
    return figure


def _rmse(a: "Array", b: "Array") -> float:
    return float(np.sqrt(np.nanmean((a - b) ** 2)))


def _corner(ax: "Axes", text: str) -> None:
    ax.text(0.97, 0.04, text, transform=ax.transAxes, ha="right", va="bottom")


def _parity(ax: "Axes", x: "Array", y: "Array", element: list[str] | None, mobile: str) -> None:
    from matplotlib.lines import Line2D

    both = np.concatenate([x, y])
    low, high = float(np.nanmin(both)), float(np.nanmax(both))
    margin = 0.04 * (high - low) or 1.0
    ends = (low - margin, high + margin)
    ax.plot(ends, ends, color=FAINT, linewidth=1.0, zorder=1)
    order = np.random.default_rng(0).permutation(len(x))
    colours = element_colours(sorted(set(element)), mobile) if element else {}
    colour: Any = [colours[element[i]] for i in order] if element else ACCENT
    dense = len(x) > 300
    ax.scatter(x[order], y[order], c=colour, s=4 if dense else 14, alpha=0.6, linewidths=0, rasterized=dense, zorder=2)
    if colours:
        marks = [Line2D([], [], marker="o", linestyle="", markersize=4, color=c) for c in colours.values()]
        ax.legend(marks, list(colours), loc="upper left", handletextpad=0.1)
    ax.set(xlim=ends, ylim=ends, aspect="equal")


def learning_curve_figure(lcurve: Mapping[str, Any] | Sequence[Row]) -> "Figure":
    """Draw training and validation force error against training step.

    Parameters
    ----------
    lcurve : columns ``step``, ``rmse_f_train``, ``rmse_f_valid`` (eV/Å) as lists, or rows with these names.
    """
    if not isinstance(lcurve, Mapping):
        names = dict.fromkeys(key for row in lcurve for key in row)
        lcurve = {name: [row.get(name) for row in lcurve] for name in names}
    step = floats(lcurve.get("step"))
    with style():
        figure, (ax,) = new_figure()
        for key, label, colour in (
            ("rmse_f_train", "training frames", FAINT),
            ("rmse_f_valid", "held-out frames", ACCENT),
        ):
            error = 1e3 * floats(lcurve.get(key))
            shown = np.isfinite(error) & (error > 0.0) if len(error) == len(step) else np.zeros(0, bool)
            if shown.any():
                thin = np.flatnonzero(shown)[:: max(1, int(shown.sum()) // 400)]
                ax.plot(step[thin], error[thin], color=colour, linewidth=1.2, label=label)
        ax.set_xlabel("training step")
        ax.set_ylabel("force error, RMSE (meV/Å)")
        if ax.lines:
            log_axis(ax, "y")
            ax.legend(loc="upper right")
    return figure


def msd_figure(temperatures: Sequence[Row], panels: Sequence[str] = ("log", "linear")) -> "Figure":
    """Draw mean squared displacements with ±1 standard error, fit windows and fitted lines.

    The line has the slope 6 D of the fit and passes through the mean of the window; it is drawn for
    the verdict 'diffusive' only.

    Parameters
    ----------
    temperatures : entries of ``transport.temperatures`` in the results.
    panels : ``'log'``, ``'linear'``, or both.
    """
    rows = sorted((t for t in temperatures if has(t.get("msd"), "lag_ps", "self_A2")), key=lambda t: t["temperature_K"])
    if not rows:
        raise InputError("no mean squared displacement to draw: none of the temperatures holds one")
    with style():
        figure, axes = new_figure(len(panels))
        for ax, panel in zip(axes, panels, strict=True):
            for row, colour in zip(rows, [ACCENT] if len(rows) == 1 else temperature_colours(len(rows)), strict=True):
                _msd(ax, row, colour, panel, alone=len(rows) == 1)
            ax.set_xlabel("lag τ (ps)")
            ax.set_ylabel("MSD(τ) (Å²)")
            if panel == "log":
                log_axis(ax, "x")
                log_axis(ax, "y")
            else:
                ax.set_xlim(left=0.0)
                ax.set_ylim(bottom=0.0)
            ax.legend(loc="upper left", handlelength=1.4)
    return figure


def _msd(ax: "Axes", row: Row, colour: Any, panel: str, alone: bool) -> None:
    lag, msd = floats(row["msd"]["lag_ps"]), floats(row["msd"]["self_A2"])
    stderr = floats(row["msd"].get("self_stderr_A2"))
    if len(stderr) != len(lag):
        stderr = np.zeros(len(lag))
    keep = np.isfinite(lag) & np.isfinite(msd) & (lag > 0.0) & ((msd > 0.0) | (panel != "log"))
    lag, msd, stderr = lag[keep], msd[keep], np.nan_to_num(stderr[keep])
    if not len(lag):
        return
    window = row.get("fit_window_ps") or []
    D = (row.get("D_self_cm2_s") or {}).get("value")
    if len(window) == 2:
        inside = (lag >= window[0]) & (lag <= window[1])
        if alone:
            ax.axvspan(*window, color="#eceff2", linewidth=0, zorder=0, label="fit window")
        if D is not None and row.get("verdict", "diffusive") == "diffusive" and inside.any():
            slope = 6.0 * D / A2_PS_TO_CM2_S
            offset = float(np.mean(msd[inside] - slope * lag[inside]))
            x = np.linspace(float(window[0]), float(window[1]), 40)
            line = offset + slope * x
            if not alone and panel == "linear":
                ax.fill_between(x, line, color=colour, alpha=0.12, linewidth=0)
            ink = PALETTE[1] if alone else INK
            ax.plot(x, line, color=ink, linewidth=1.3, linestyle="--", zorder=4, label="fit" if alone else None)
    # A log axis is thinned evenly in ln(lag), a linear one evenly in lag.
    grid = np.geomspace(1, len(lag), 150) if panel == "log" else np.linspace(1, len(lag), 150)
    thin = np.unique(grid.astype(int)) - 1
    lag, msd, stderr = lag[thin], msd[thin], stderr[thin]
    low = np.maximum(msd - stderr, 0.05 * msd) if panel == "log" else msd - stderr
    ax.fill_between(lag, low, msd + stderr, color=colour, alpha=0.25, linewidth=0)
    ax.plot(lag, msd, color=colour, linewidth=1.6, label=f"{row['temperature_K']:g} K")
