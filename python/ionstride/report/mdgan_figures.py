"""Figures of MD-GAN: what the data can teach, and what was generated beside what is true."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import ACCENT, FAINT, INK, PALETTE, floats, log_axis, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..checks import Array

Row = Mapping[str, Any]

_SHADE = "#e2ecf0"
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (2, 1.5)), (0, (6, 2, 1, 2)), (0, (1, 1)))


def plateau_figure(found: Row) -> "Figure":
    """Draw D_K against lag for each stride, and the cancellation A and the window against stride.

    Parameters
    ----------
    found : result of `ionstride.mdgan.advice.inspect`.
    """
    rows = found["strides"]
    chosen = (found.get("recommended") or {}).get("stride")
    with style():
        figure, (left, right) = new_figure(2)
        for row, colour in zip(rows, PALETTE * 4, strict=False):
            lag, value, error = (floats(row[k]) for k in ("lag_ps", "D_K_A2_ps", "D_K_error_A2_ps"))
            best = row["stride"] == chosen
            left.fill_between(lag, value - error, value + error, color=colour, alpha=0.18, linewidth=0)
            label = f"stride {row['stride']}" + (" (recommended)" if best else "")
            left.plot(lag, value, color=colour, linewidth=2.2 if best else 1.1, label=label)
        D = found.get("D_A2_ps") or 0.0
        if D > 0.0:
            left.axhline(D, color=INK, linewidth=1.0, linestyle=(0, (5, 3)), label="D of the MSD")
            top = max(float(np.nanmax(floats(row["D_K_A2_ps"]))) for row in rows)
            left.set_ylim(min(0.0, -0.2 * D), min(1.05 * top, 6.0 * D))
        left.set_xlabel("lag (K + 1) dt (ps)")
        left.set_ylabel("D_K (Å²/ps)")
        log_axis(left, "x")
        left.legend(loc="best", handlelength=1.8)
        stride = np.array([row["stride"] for row in rows], dtype=np.float64)
        right.plot(stride, floats([row["cancellation"] for row in rows]), color=ACCENT, marker="o", markersize=4)
        right.axhline(5.0, color=INK, linewidth=1.0, linestyle=(0, (5, 3)), label="5: an error is magnified fivefold")
        for row in rows:
            if row["cancellation"] is not None and row["plateau"]:
                right.plot(row["stride"], row["cancellation"], "o", markersize=9, markerfacecolor="none", color=INK)
        right.plot([], [], "o", markersize=9, markerfacecolor="none", color=INK, label="D_K has a plateau")
        right.set_xlabel("stride (frames)")
        right.set_ylabel("cancellation A = C(0) / (6 D dt)")
        right.set_ylim(bottom=0.0)
        log_axis(right, "x")
        right.legend(loc="best", handlelength=1.8)
    return figure


def evaluation_figures(found: Row) -> "list[tuple[str, Figure, str]]":
    """Return the figures of an evaluation: name, figure, caption.

    Parameters
    ----------
    found : result of `ionstride.mdgan.quality.evaluate`.
    """
    drawn = [
        ("msd", _msd_figure(found), "Mean squared displacement (Å²) against lag (ps), both logarithmic. Shaded: the "
         "length of the training runs. Band: ± 2 standard errors of the reference."),
        ("ratio", _ratio_figure(found), f"MSD over that of the {found['judged_by']}. Bands: ± 2 standard errors of the "
         "training data (wide, pale) and of the reference. Dotted: the windows at which it is judged."),
        ("axes", _axes_figure(found), f"MSD along x, y and z over that of the {found['judged_by']}."),
        ("alpha2", _alpha2_figure(found), "Non-Gaussian parameter α₂ against lag (ps): zero for a Gaussian process."),
        ("van_hove", _shape_figure(found), "Self van Hove function of one component at some lags; displacement in "
         "units of its rms, density logarithmic."),
        ("covariance", _covariance_figure(found), "Autocovariance of the increments, C(k) / C(0), axes together."),
        ("waits", _waits_figure(found), "Probability that the time between two jumps of an ion is longer than t."),
    ]  # fmt: skip
    return [(name, figure, caption) for name, figure, caption in drawn if figure is not None]


def _series(found: Row) -> list[tuple[str, str, Any, float]]:
    """Return name, colour, dash and width of every curve: truth first, then models, then baselines."""
    made: list[tuple[str, str, Any, float]] = []
    if found["reference"] is not None:
        made.append(("reference", INK, "-", 2.2))
    made.append(("training data", FAINT, "-", 2.2))
    models = list(found["models"])
    for i, name in enumerate(models):
        made.append((name, ACCENT if i == 0 else PALETTE[(i + 4) % 8], _DASHES[i % 2], 2.0))
    for i, name in enumerate(found["baselines"]):
        made.append((name, PALETTE[1 + i % 6], _DASHES[1 + i % 4], 1.2))
    return made


def _marks(ax: "Axes", found: Row) -> None:
    window = found["settings"]["window_ps"]
    last = found["lag_ps"][-1]
    for factor in (1, 3, 10, 30, 100):
        if factor * window <= last * 1.001:
            ax.axvline(factor * window, color=FAINT, linewidth=0.7, linestyle=(0, (1, 2)), zorder=0)


def _span(ax: "Axes", found: Row) -> None:
    ax.axvspan(found["lag_ps"][0], found["train"]["run_ps"], color=_SHADE, zorder=-2, label="length of a training run")


def _end(ax: "Axes", found: Row, ylabel: str) -> None:
    ax.set_xlabel("lag (ps)")
    ax.set_ylabel(ylabel)
    ax.set_xlim(found["lag_ps"][0], found["lag_ps"][-1])
    log_axis(ax, "x")
    ax.legend(loc="best", handlelength=2.2, fontsize=7)


def _msd_figure(found: Row) -> "Figure":
    lag = floats(found["lag_ps"])
    with style():
        figure, (ax,) = new_figure(width_in=5.4, height_in=4.0)
        _span(ax, found)
        for name, colour, dash, width in _series(found):
            value = floats(found["curves"][name]["msd_A2"])
            ax.plot(lag, value, color=colour, linestyle=dash, linewidth=width, label=name)
            if name == "reference":
                error = 2.0 * _axis(found["curves"][name]["msd_relative_error"], 3) * value
                ax.fill_between(lag, np.maximum(value - error, 0.1 * value), value + error, color=INK, alpha=0.15)
        _marks(ax, found)
        log_axis(ax, "y")
        _end(ax, found, "MSD (Å²)")
    return figure


def _axis(rows: Any, column: int) -> "Array":
    return floats([None if row is None else row[column] for row in rows])


def _bands(ax: "Axes", found: Row, column: int) -> None:
    lag = floats(found["lag_ps"])
    judge = found["curves"][found["judged_by"]]["msd_relative_error"]
    for sigma, alpha, label in ((found["sigma_train"], 0.10, "training ± 2σ"), (judge, 0.18, "reference ± 2σ")):
        if label.startswith("reference") and found["reference"] is None:
            continue
        band = 2.0 * _axis(sigma, column)
        ax.fill_between(lag, 1.0 - band, 1.0 + band, color=INK, alpha=alpha, linewidth=0, label=label)


def _ratio_figure(found: Row) -> "Figure":
    lag = floats(found["lag_ps"])
    with style():
        figure, (ax,) = new_figure(width_in=5.4, height_in=4.0)
        _bands(ax, found, 3)
        ax.axhline(1.0, color=INK, linewidth=1.0)
        for name, colour, dash, width in _series(found):
            if name in found["errors"]:
                ratio = _axis(found["errors"][name]["msd_ratio"], 3)
                ax.plot(lag, ratio, color=colour, linestyle=dash, linewidth=width, label=name)
        _marks(ax, found)
        ax.set_ylim(0.4, 1.8)
        _end(ax, found, f"MSD / MSD of the {found['judged_by']}")
    return figure


def _axes_figure(found: Row) -> "Figure":
    lag = floats(found["lag_ps"])
    with style():
        figure, axes = new_figure(3, width_in=3.4, height_in=3.2)
        for column, (ax, letter) in enumerate(zip(axes, "xyz", strict=True)):
            _bands(ax, found, column)
            ax.axhline(1.0, color=INK, linewidth=1.0)
            for name, colour, dash, width in _series(found):
                if name in found["errors"]:
                    ratio = _axis(found["errors"][name]["msd_ratio"], column)
                    ax.plot(lag, ratio, color=colour, linestyle=dash, linewidth=width, label=name)
            _marks(ax, found)
            ax.set_ylim(0.4, 1.8)
            _end(ax, found, f"MSD ratio along {letter}" if column == 0 else f"along {letter}")
            if column > 0 and ax.get_legend() is not None:
                ax.get_legend().remove()  # type: ignore[union-attr]
    return figure


def _alpha2_figure(found: Row) -> "Figure":
    lag = floats(found["lag_ps"])
    with style():
        figure, (ax,) = new_figure(width_in=5.4, height_in=4.0)
        ax.axhline(0.0, color=INK, linewidth=1.0)
        for name, colour, dash, width in _series(found):
            if "alpha2" in found["curves"][name]:
                value = floats(found["curves"][name]["alpha2"])
                ax.plot(lag, value, color=colour, linestyle=dash, linewidth=width, label=name)
                if name == "reference":
                    error = 2.0 * floats(found["curves"][name]["alpha2_error"])
                    ax.fill_between(lag, value - error, value + error, color=INK, alpha=0.15)
        _marks(ax, found)
        judge = floats(found["curves"][found["judged_by"]]["alpha2"])
        top = float(np.nanmax(judge)) if np.isfinite(judge).any() else 1.0
        ax.set_ylim(-0.3, 1.25 * max(top, 0.5))
        _end(ax, found, "α₂")
    return figure


def _shape_figure(found: Row) -> "Figure":
    u = floats(found["shapes"]["u"])
    lags = found["shape_lag_ps"]
    wanted = sorted({0, min(2, len(lags) - 1), min(4, len(lags) - 1)})
    with style():
        figure, axes = new_figure(len(wanted), width_in=3.4, height_in=3.2)
        for ax, at in zip(axes, wanted, strict=True):
            for name, colour, dash, width in _series(found):
                table = found["shapes"]["components"].get(name)
                if table is not None:
                    density = floats(table[at])
                    density[density <= 0.0] = np.nan
                    ax.plot(u, density, color=colour, linestyle=dash, linewidth=width, label=name)
            ax.set_yscale("log")
            ax.set_ylim(1e-5, 5.0)
            ax.set_xlabel(f"Δ / rms at {lags[at]:.3g} ps")
        axes[0].set_ylabel("density")
        axes[0].legend(loc="lower center", fontsize=6, handlelength=1.6)
    return figure


def _covariance_figure(found: Row) -> "Figure":
    dt_ps = found["settings"]["dt_ps"]
    with style():
        figure, (ax,) = new_figure(width_in=5.4, height_in=4.0)
        ax.axhline(0.0, color=INK, linewidth=1.0)
        for name, colour, dash, width in _series(found):
            if "covariance_A2" in found["curves"][name]:
                value = np.array(found["curves"][name]["covariance_A2"], dtype=np.float64).sum(axis=1)
                k = np.arange(1, len(value))
                ax.plot(k * dt_ps, value[1:] / value[0], color=colour, linestyle=dash, linewidth=width, label=name)
        ax.set_xlabel("lag (ps)")
        ax.set_ylabel("C(k) / C(0)")
        log_axis(ax, "x")
        ax.legend(loc="best", handlelength=2.2, fontsize=7)
    return figure


def _waits_figure(found: Row) -> "Figure | None":
    with style():
        figure, (ax,) = new_figure(width_in=5.4, height_in=4.0)
        drawn = False
        for name, colour, dash, width in _series(found):
            curve = found["curves"][name]
            if "wait_cdf" not in curve or curve["wait_cdf"][-1] is None:
                continue
            left = 1.0 - floats(curve["wait_cdf"])
            left[left < 1e-4] = np.nan
            ax.plot(floats(curve["wait_edges_ps"])[1:], left, color=colour, linestyle=dash, linewidth=width, label=name)
            drawn = True
        if not drawn:
            return None
        ax.set_xlabel("t (ps)")
        ax.set_ylabel("probability to wait longer")
        ax.set_ylim(1e-3, 1.1)
        ax.set_yscale("log")
        log_axis(ax, "x")
        ax.legend(loc="best", handlelength=2.2, fontsize=7)
    return figure
