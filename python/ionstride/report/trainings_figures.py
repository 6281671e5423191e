"""Figures of many trainings: error against frames, error against cost, error by iteration."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import ACCENT, FAINT, INK, PALETTE, floats, log_axis, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Table = Mapping[str, Any]
_AXIS = {"force": "force error, RMSE (meV/Å)", "energy": "energy error, RMSE (meV/atom)"}
_AXIS["virial"] = "virial error, RMSE (meV/atom)"
_MOST_LINES = 8


def error_figure(found: Table, name: str) -> "Figure":
    """Draw the error of a quantity on tested and on training frames against the number of frames, with the power law.

    Parameters
    ----------
    found : result of `ionstride.trainings.learning_curve`.
    name : ``force``, ``energy`` or ``virial``.
    """
    fit = found["fits"][name]
    with style():
        figure, (ax,) = new_figure()
        if not fit["why"] and not fit["falls"]:
            ax.axhspan(*fit["mean"]["ci95"], color=ACCENT, alpha=0.15, linewidth=0)
            ax.axhline(fit["mean"]["value"], color=ACCENT, linewidth=1.3, label="does not fall: mean, 95 %")
        elif not fit["why"]:
            curve = fit["curve"]
            ax.fill_between(curve["size"], curve["low"], curve["high"], color=ACCENT, alpha=0.15, linewidth=0)
            ax.plot(curve["size"], curve["error"], color=ACCENT, linewidth=1.3, label="a N⁻ᵇ + c, 95 % band")
        own = [(row["size"], row["train"].get(fit["column"])) for row in found["rows"]]
        own = [(size, error) for size, error in own if error is not None]
        if own:
            ax.plot(*zip(*own, strict=True), "o", color=FAINT, markersize=3.5, label="on frames trained on")
        ax.plot(fit["size"], fit["error"], "o", color=ACCENT, markersize=4.5, label="on frames never seen, a draw each")
        target = fit["target"]
        if target:
            ax.axhline(target["error"], color=INK, linewidth=1.0, linestyle=(0, (5, 3)))
            ax.annotate(
                f"wanted: {target['error']:g}", (0.01, target["error"]), xycoords=("axes fraction", "data"),
                va="bottom", fontsize=8,
            )  # fmt: skip
        shown = [*fit["error"], *(error for _, error in own), *([target["error"]] if target else [])]
        ax.set_ylim(0.85 * min(shown), 1.15 * max(shown))
        ax.set_xlabel("frames given to the training")
        ax.set_ylabel(_AXIS[name])
        log_axis(ax, "x")
        log_axis(ax, "y")
        _tick_sizes(ax, fit["size"])
        figure.legend(loc="outside upper left", ncols=2, handlelength=1.2, columnspacing=1.2)
    return figure


def diffusivity_figure(found: Table) -> "Figure":
    """Draw D of MD with each potential against the number of frames it was trained on, with 95 % intervals."""
    with style():
        figure, (ax,) = new_figure()
        for row in found["rows"]:
            told = row["md"]
            if not told["D_self_cm2_s"]:
                continue
            low, high = told["D_self_cm2_s"]["ci95"]
            if told["verdict"] != "diffusive":
                ax.plot(row["size"], high, "v", color=FAINT, markersize=5)
                continue
            value = told["D_self_cm2_s"]["value"]
            ax.errorbar(
                row["size"], value, yerr=[[value - low], [high - value]], fmt="o", color=ACCENT, markersize=4.5,
                linewidth=1.0, capsize=2,
            )  # fmt: skip
        ax.set_xlabel("frames given to the training")
        ax.set_ylabel(f"D of {found['mobile']} (cm²/s)")
        log_axis(ax, "x")
        log_axis(ax, "y")
        _tick_sizes(ax, [row["size"] for row in found["rows"]])
    return figure


def _tick_sizes(ax: "Axes", sizes: Sequence[float]) -> None:
    """Put the ticks where trainings are, those too near each other left out."""
    from matplotlib.ticker import FixedLocator, NullLocator

    ticks: list[float] = []
    for size in sorted(set(sizes)):
        if not ticks or size > 1.35 * ticks[-1]:
            ticks.append(size)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())


def cost_figure(choices: Sequence[Table]) -> "Figure":
    """Draw force error against the time of an evaluation, the front marked; scatter of seeds as bars."""
    shown = [row for row in choices if row["evaluation_s"]]
    colours, names = _kinds(shown)
    with style():
        figure, (ax,) = new_figure(1, 5.4, 3.8)
        front = sorted(
            (1e3 * row["evaluation_s"], row["force_test"]["mean"]) for row in shown if row.get("pareto")
        )  # fmt: skip
        if len(front) > 1:
            ax.step(*zip(*front, strict=True), where="post", color=FAINT, linewidth=1.2, zorder=1, label="front")
        for kind in names:
            here = [row for row in shown if row["kind"] == kind]
            x = np.array([1e3 * row["evaluation_s"] for row in here])
            y = np.array([row["force_test"]["mean"] for row in here])
            ax.errorbar(
                x, y, yerr=[row["force_test"]["std"] or 0.0 for row in here], fmt="o", color=colours[kind],
                markersize=5, linewidth=1.0, capsize=2, label=kind or None,
            )  # fmt: skip
        for row in shown:
            ax.annotate(
                str(row["rank"]), (1e3 * row["evaluation_s"], row["force_test"]["mean"]), textcoords="offset points",
                xytext=(6, 4), fontsize=8,
            )  # fmt: skip
        ax.set_xlabel("time of an evaluation of one frame, one core (ms)")
        ax.set_ylabel(_AXIS["force"])
        ax.margins(0.12)
        log_axis(ax, "x")
        log_axis(ax, "y")
        if any(names) or len(front) > 1:
            figure.legend(loc="outside upper left", ncols=3, handlelength=1.2)
    return figure


def _kinds(rows: Sequence[Table]) -> tuple[dict[str, str], list[str]]:
    names = list(dict.fromkeys(row["kind"] for row in rows))
    return {name: PALETTE[k % len(PALETTE)] for k, name in enumerate(names)}, names


def iterations_figure(choices: Sequence[Table]) -> "Figure":
    """Draw the force error on frames that a training watches itself, by iteration: a line a choice, its first seed."""
    shown = list(choices)[:_MOST_LINES]
    with style():
        figure, (ax,) = new_figure(1, 5.4, 3.4 + 0.18 * len(shown))
        for k, row in enumerate(shown):
            lcurve = row["seeds"][0]["lcurve"]
            step, error = floats(lcurve.get("step")), 1e3 * floats(lcurve.get("rmse_f_valid"))
            kept = np.isfinite(error) & (error > 0.0) & (step > 0)
            if not kept.any():
                continue
            step, error = _smoothed(step[kept], error[kept])
            ax.plot(step, error, color=PALETTE[k % len(PALETTE)], linewidth=1.2, label=f"{row['rank']}  {row['label']}")
        ax.set_xlabel("training step")
        ax.set_ylabel("force error on watched frames (meV/Å)")
        if ax.lines:
            log_axis(ax, "y")
            figure.legend(loc="outside upper left", ncols=1, fontsize=7.5)
    return figure


def _smoothed(step: Any, error: Any, pieces: int = 40) -> tuple[Any, Any]:
    """Return medians over pieces of a noisy curve: each point is the error of a few frames only."""
    count = min(pieces, len(step))
    parts = np.array_split(np.arange(len(step)), count)
    return np.array([step[p].mean() for p in parts]), np.array([np.median(error[p]) for p in parts])
