"""The Arrhenius plot: D of the ions and of their charge against 1000/T."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import ACCENT, INK, PALETTE, floats, has, log_axis, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

CHARGE = PALETTE[1]
"""Colour of the collective motion, beside `ACCENT` or ink for that of single ions."""


def arrhenius_figure(arrhenius: Row | None, temperatures: Sequence[Row] = ()) -> "Figure":
    """Draw D against 1000/T with 95 % intervals, the line, its 95 % band and the extrapolated point.

    Parameters
    ----------
    arrhenius : ``transport.arrhenius`` of the results; None draws the points alone.  ``charge`` in it, the line
        through the collective D, is drawn beside it, and so are the bounds that a line rests on (``bounds_K``).
    temperatures : ``transport.temperatures``; a D that is only bounded is drawn as an arrow down.
    """
    fit: Row = arrhenius or {}
    charge: Row = fit.get("charge") or {}
    marks: dict[float, float] = {}
    with style():
        figure, (ax,) = new_figure(width_in=5.2, height_in=4.0)
        _line(ax, fit, ACCENT, "D self, " if charge else "", "-")
        _line(ax, charge, CHARGE, "D charge, ", "--")
        _measured(ax, fit, temperatures, "self", marks, alone=not charge)
        if charge:
            _measured(ax, charge, temperatures, "charge", marks)
        for line, colour, name in ((fit, ACCENT, ""), (charge, CHARGE, "charge, ")):
            _extrapolated(ax, line, colour, name, marks)
        ax.set_xlabel("1000 / T (1/K)")
        ax.set_ylabel("D (cm²/s)")
        if ax.has_data():
            log_axis(ax, "y")
            ax.legend(loc="lower left")
            ax.margins(x=0.06)
        top = ax.secondary_xaxis("top")
        shown: list[float] = []
        low_x, high_x = ax.get_xlim()
        for x_mark in sorted(marks):
            if not shown or x_mark - shown[-1] > 0.07 * (high_x - low_x):
                shown.append(x_mark)
        top.set_xticks(shown, [f"{marks[x]:g}" for x in shown])
        top.tick_params(labelsize=8.5, length=3)
        top.set_xlabel("T (K)")
    return figure


def _line(ax: "Axes", fit: Row, colour: str, name: str, linestyle: str) -> None:
    if not has(fit, "band_K", "band_cm2_s"):
        return
    order = np.argsort(floats(fit["band_K"]))
    x = 1e3 / floats(fit["band_K"])[order]
    band = np.array(fit["band_cm2_s"], dtype=np.float64)[order]
    label = None if name else "95 % band"
    ax.fill_between(x, band[:, 0], band[:, 2], color=colour, alpha=0.16, linewidth=0, label=label)
    Ea = (fit.get("Ea_eV") or {}).get("value")
    said = f"{name}line" if Ea is None else f"{name}Ea = {Ea:.3f} eV"
    ax.plot(x, band[:, 1], color=colour, linewidth=1.5, linestyle=linestyle, label=said)


def _measured(
    ax: "Axes", fit: Row, rows: Sequence[Row], kind: str, marks: dict[float, float], *, alone: bool = False
) -> None:
    """Draw the D of one kind, with bars or as arrows, and note the temperatures in `marks`."""
    estimates: list[tuple[float, float, float, float]] = []
    bounds = dict(zip(fit.get("bounds_K") or (), fit.get("bounds_cm2_s") or (), strict=False))
    for row in rows:
        D, T = row.get(f"D_{kind}_cm2_s") or {}, float(row["temperature_K"])
        verdict = row.get("verdict" if kind == "self" else "charge_verdict")
        low, high = D.get("ci95") or (None, None)
        marks[1e3 / T] = T
        if verdict == "diffusive" and D.get("value"):
            value = D["value"]
            errors = (value - (value if low is None else low), (value if high is None else high) - value)
            estimates.append((1e3 / T, value, max(errors[0], 0.0), max(errors[1], 0.0)))
        elif verdict in ("bound", "not-diffusing") and high:
            bounds.setdefault(T, high)
    for T in bounds:
        marks[1e3 / T] = T
    arrows = [(1e3 / T, high, 0.6 * high, 0.0) for T, high in sorted(bounds.items())]
    charge = kind == "charge"
    colour = CHARGE if charge else INK
    arrow = PALETTE[1] if alone else colour
    order = 4.0 if charge else 5.0  # the ions' own points lie on those of the charge
    label, bound = ("charge, 95 %", "charge, upper bound") if charge else ("simulated, 95 %", "upper bound, 95 %")
    _points(ax, estimates, "s" if charge else "o", colour, label, bound=False, hollow=charge, zorder=order)
    _points(ax, arrows, "v", arrow, bound, bound=True, hollow=charge, zorder=order)


def _extrapolated(ax: "Axes", fit: Row, colour: str, name: str, marks: dict[float, float]) -> None:
    far = fit.get("D_at_cm2_s") or {}
    if not far.get("value"):
        return
    T = float(fit.get("at_K") or 300.0)
    low, high = far.get("ci95") or (far["value"], far["value"])
    marks[1e3 / T] = T
    point = (1e3 / T, far["value"], max(far["value"] - low, 0.0), max(high - far["value"], 0.0))
    _points(ax, [point], "D", colour, f"{name}extrapolated to {T:g} K", bound=False, hollow=True)


def _points(
    ax: "Axes",
    points: list[tuple[float, float, float, float]],
    marker: str,
    colour: str,
    label: str,
    *,
    bound: bool,
    hollow: bool = False,
    zorder: float = 5.0,
) -> None:
    if not points:
        return
    x, y, down, up = np.array(points).T
    ax.errorbar(
        x,
        y,
        yerr=[down, up],
        uplims=bound,
        fmt=marker,
        color=colour,
        markersize=5.5,
        markerfacecolor="white" if hollow else colour,
        capsize=2.5,
        elinewidth=1.1,
        label=label,
        zorder=zorder,
    )
