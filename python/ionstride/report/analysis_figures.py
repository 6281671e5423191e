"""Figures of one analysed temperature, from the dictionary of `ionstride.stages.analysis.analyse`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..units import A2_PS_TO_CM2_S
from .arrhenius_figures import CHARGE
from .canvas import ACCENT, FAINT, INK, PALETTE, floats, has, log_axis, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..checks import Array

Row = Mapping[str, Any]

_WINDOW = "#eceff2"
_AXES = (("x", PALETTE[1], "-"), ("y", PALETTE[3], (0, (6, 2))), ("z", PALETTE[7], (0, (2, 2))))


def curves_figure(row: Row) -> "Figure":
    """Draw the self and the charge MSD on logarithmic axes, ±1 standard error, fit windows and fitted lines.

    A line has the slope 6 D of its fit and lies where the points of its window, weighed by their errors, have it; it
    is drawn for the verdict 'diffusive' only.

    Parameters
    ----------
    row : result of an analysis; ``msd.lag_ps`` and ``msd.self_A2`` must be there.

    Raises
    ------
    InputError
        If there is no mean squared displacement.
    """
    lag = _lags(row)
    with style():
        figure, (ax,) = new_figure()
        _shade(ax, row.get("fit_window_ps"))
        _curve(ax, row, lag, "self", ACCENT)
        _curve(ax, row, lag, "charge", CHARGE)
        ax.set_xlabel("lag τ (ps)")
        ax.set_ylabel("MSD(τ) (Å²)")
        log_axis(ax, "x")
        log_axis(ax, "y")
        ax.legend(loc="best", handlelength=1.8)
    return figure


def axes_figure(row: Row) -> "Figure":
    """Draw the self MSD, whole and along the Cartesian axes, on linear axes, up to three times the fit window.

    Parameters
    ----------
    row : as for `curves_figure`.

    Raises
    ------
    InputError
        If there is no mean squared displacement.
    """
    lag = _lags(row)
    window = row.get("fit_window_ps") or []
    seen = int(np.searchsorted(lag, 3.0 * window[1] * (1 + 1e-9))) if len(window) == 2 else len(lag)
    xyz = (row["msd"].get("self_xyz_A2") or [])[: len(lag)]
    if seen > 2:
        lag, xyz = lag[:seen], xyz[:seen]
    with style():
        figure, (ax,) = new_figure()
        _shade(ax, row.get("fit_window_ps"))
        _curve(ax, row, lag, "self", ACCENT, logarithmic=False)
        if len(xyz) == len(lag):
            for values, (name, colour, dash) in zip(np.array(xyz, dtype=np.float64).T, _AXES, strict=True):
                ax.plot(lag, values, color=colour, linewidth=1.2, linestyle=dash, label=f"along {name}")
        ax.set_xlabel("lag τ (ps)")
        ax.set_ylabel("MSD(τ) (Å²)")
        ax.set_xlim(left=0.0)
        ax.set_ylim(bottom=0.0)
        ax.legend(loc="best", handlelength=1.8)
    return figure


def slope_figure(row: Row) -> "Figure":
    """Draw d ln MSD / d ln τ against lag, with the line at 1, which is diffusion.

    Parameters
    ----------
    row : as for `curves_figure`, with ``msd.log_log_slope``.

    Raises
    ------
    InputError
        If there is no slope.
    """
    lag = _lags(row)
    slope = _column(row, "log_log_slope", lag)
    with style():
        figure, (ax,) = new_figure()
        _shade(ax, row.get("fit_window_ps"))
        ax.axhline(1.0, color=INK, linewidth=1.0, linestyle=(0, (5, 3)), label="1: diffusion")
        ax.plot(lag, slope, color=ACCENT, linewidth=1.6, marker="o", markersize=2.6, label="self")
        ax.set_xlabel("lag τ (ps)")
        ax.set_ylabel("d ln MSD / d ln τ")
        low, high = float(np.nanmin(slope)), float(np.nanmax(slope))
        ax.set_ylim(max(min(0.0, low - 0.1), -1.0), min(max(1.3, high + 0.1), 2.6))
        log_axis(ax, "x")
        ax.legend(loc="best", handlelength=1.8)
    return figure


def alpha2_figure(row: Row) -> "Figure":
    """Draw the non-Gaussian parameter α₂ against lag; it is zero where displacements are Gaussian.

    Parameters
    ----------
    row : as for `curves_figure`, with ``msd.alpha2``.

    Raises
    ------
    InputError
        If there is no α₂.
    """
    lag = _lags(row)
    alpha2 = _column(row, "alpha2", lag)
    with style():
        figure, (ax,) = new_figure()
        _shade(ax, row.get("fit_window_ps"))
        ax.axhline(0.0, color=INK, linewidth=1.0, linestyle=(0, (5, 3)), label="0: Gaussian")
        ax.plot(lag, alpha2, color=ACCENT, linewidth=1.6, label="α₂ of the ions")
        ax.set_xlabel("lag τ (ps)")
        ax.set_ylabel("α₂(τ)")
        log_axis(ax, "x")
        ax.legend(loc="best", handlelength=1.8)
    return figure


def cross_figure(row: Row) -> "Figure":
    """Draw the collective displacement of one species times that of another against lag.

    Parameters
    ----------
    row : result of an analysis with ``cross``: pair → ``lag_ps``, ``A2``.

    Raises
    ------
    InputError
        If there is no such curve.
    """
    pairs = {name: pair for name, pair in (row.get("cross") or {}).items() if has(pair, "lag_ps", "A2")}
    if not pairs:
        raise InputError("no cross displacement to draw: the result holds none")
    with style():
        figure, (ax,) = new_figure()
        ax.axhline(0.0, color=INK, linewidth=1.0, linestyle=(0, (5, 3)), label="0: independent")
        for (name, pair), colour in zip(pairs.items(), PALETTE * 8, strict=False):
            ax.plot(floats(pair["lag_ps"]), floats(pair["A2"]), color=colour, linewidth=1.6, label=name)
        ax.set_xlabel("lag τ (ps)")
        ax.set_ylabel("cross MSD(τ) (Å²)")
        log_axis(ax, "x")
        ax.legend(loc="best", handlelength=1.8)
    return figure


def _lags(row: Row) -> "Array":
    if not has(row.get("msd"), "lag_ps", "self_A2"):
        raise InputError("no mean squared displacement to draw: the result holds none")
    return floats(row["msd"]["lag_ps"])


def _column(row: Row, name: str, lag: "Array") -> "Array":
    values = floats(row["msd"].get(name))
    if len(values) != len(lag) or not np.isfinite(values).any():
        raise InputError(f"no '{name}' to draw: the result holds none, or not one for each lag")
    return values


def _shade(ax: "Axes", window: Any) -> None:
    if window and len(window) == 2:
        ax.axvspan(*window, facecolor=_WINDOW, edgecolor=FAINT, linewidth=0.5, zorder=0, label="fit window")


def _curve(ax: "Axes", row: Row, lag: "Array", kind: str, colour: str, *, logarithmic: bool = True) -> None:
    """Draw one MSD with its band, and the line of its fit."""
    values = floats(row["msd"].get(f"{kind}_A2"))[: len(lag)]
    if len(values) != len(lag):
        return
    stderr = floats(row["msd"].get(f"{kind}_stderr_A2"))[: len(lag)]
    stderr = np.nan_to_num(stderr) if len(stderr) == len(lag) else np.zeros(len(lag))
    keep = np.isfinite(values) & (lag > 0.0) & ((values > 0.0) | (not logarithmic))
    if not keep.any():
        return
    x, y, error = lag[keep], values[keep], stderr[keep]
    low = np.maximum(y - error, 0.05 * y) if logarithmic else y - error
    ax.fill_between(x, low, y + error, color=colour, alpha=0.22, linewidth=0)
    ax.plot(x, y, color=colour, linewidth=1.6, label=f"{kind}" if logarithmic else "all axes")
    self = kind == "self"
    window = row.get("fit_window_ps" if self else "charge_fit_window_ps") or []
    D = (row.get(f"D_{kind}_cm2_s") or {}).get("value")
    inside = (x >= window[0] * (1 - 1e-9)) & (x <= window[1] * (1 + 1e-9)) if len(window) == 2 else np.zeros(0, bool)
    if D is None or not inside.any() or row.get("verdict" if self else "charge_verdict") != "diffusive":
        return
    slope = 6.0 * D / A2_PS_TO_CM2_S
    # the precise short lags of the window say where the line lies, as they do in the fit
    weight = 1.0 / error[inside] ** 2 if (error[inside] > 0.0).all() else None
    offset = float(np.average(y[inside] - slope * x[inside], weights=weight))
    at = np.geomspace(window[0], window[1], 60)
    fitted = offset + slope * at
    ax.plot(
        at[fitted > 0.0],
        fitted[fitted > 0.0],
        color=INK if self else FAINT,
        linewidth=1.4,
        linestyle=(0, (4, 2)),
        zorder=4,
        label="fit" if self else "fit of the charge",
    )
