"""Figures of the rounds of learning: errors, what was visited, and whether the deviation told the truth."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import ACCENT, FAINT, INK, floats, has, log_axis, new_figure, style, temperature_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

ERRORS = (
    ("force_rmse_new_meV_A", "all frames labelled in the round", FAINT, "s"),
    ("force_rmse_check_meV_A", "those drawn evenly from its MD", ACCENT, "o"),
    ("force_rmse_held_out_meV_A", "held out of the rounds before", INK, "^"),
)
SHARES = (("accurate", ACCENT), ("candidate", "#e69f00"), ("failed", "#8c564b"))


def rounds_figure(rounds: Sequence[Row]) -> "Figure":
    """Draw, against the number of labels, the errors on frames not yet trained on, and shares of the visited frames.

    Parameters
    ----------
    rounds : records of the rounds; errors that a round does not have are left out.
    """
    told = [r for r in rounds if r.get("shares")]
    with style():
        figure, axes = new_figure(2 if told else 1)
        _errors(axes[0], rounds)
        if told:
            _shares(axes[1], told)
    return figure


def _errors(ax: "Axes", rounds: Sequence[Row]) -> None:
    labels = floats([r.get("labels") for r in rounds])
    for key, name, colour, marker in ERRORS:
        error = floats([r.get(key) for r in rounds])
        if np.isfinite(error).any():
            ax.plot(labels, error, marker=marker, markersize=4, color=colour, linewidth=1.2, label=name)
    ax.set_xlabel("labels known to the round")
    ax.set_ylabel("force error, RMSE (meV/Å)")
    if ax.lines:
        log_axis(ax, "y")
        ax.legend(loc="best")


def _shares(ax: "Axes", rounds: Sequence[Row]) -> None:
    number = [str(r.get("round")) for r in rounds]
    below = np.zeros(len(rounds))
    for name, colour in SHARES:
        part = 100.0 * floats([r["shares"].get(name) for r in rounds])
        ax.bar(number, part, bottom=below, width=0.6, color=colour, label=name)
        below += np.nan_to_num(part)
    ax.set_ylim(0, 100)
    ax.set_xlabel("round")
    ax.set_ylabel("frames visited (%)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=3)


def deviation_figure(rounds: Sequence[Row]) -> "Figure":
    """Draw the error of newly labelled frames against their model deviation, both of the worst atom, with the levels.

    Parameters
    ----------
    rounds : records with ``deviation_eV_A`` and ``error_eV_A``; the lines are the levels and the factor of the last.
    """
    told = [r for r in rounds if has(r, "deviation_eV_A", "error_eV_A")]
    with style():
        figure, (ax,) = new_figure()
        for r, colour in zip(told, temperature_colours(len(told)), strict=True):
            deviation, error = floats(r["deviation_eV_A"]), floats(r["error_eV_A"])
            shown = (deviation > 0) & (error > 0)
            ax.plot(
                deviation[shown],
                error[shown],
                "o",
                color=colour,
                markersize=3,
                alpha=0.7,
                label=f"round {r.get('round')}",
            )
        if told:
            levels = told[-1].get("levels") or {}
            seen = np.concatenate([floats(r["deviation_eV_A"]) for r in told])
            ends = np.array([seen[seen > 0].min(), seen.max()]) if (seen > 0).any() else np.ones(2)
            if levels.get("factor"):
                ax.plot(ends, levels["factor"] * ends, color=INK, linewidth=0.8, label="error = factor × deviation")
            for name, dashes in (("low_eV_A", ":"), ("high_eV_A", "--")):
                if levels.get(name):
                    ax.axvline(levels[name], color=INK, linestyle=dashes, linewidth=0.8, label=f"{name[:-5]} level")
            log_axis(ax, "x")
            log_axis(ax, "y")
            figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        ax.set_xlabel("model deviation (eV/Å)")
        ax.set_ylabel("error against the calculator (eV/Å)")
    return figure
