"""Figures of a set of labelled frames, from the dictionary of `ionstride.dataset.inspect_set`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import ACCENT, FAINT, INK, PALETTE, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..checks import Array

Table = Mapping[str, Any]

_LABEL = {"energy_eV_atom": "energy − mean (meV/atom)", "force_eV_A": "|F| of an atom (eV/Å)"}
_MOST_LINES = 8
_MOST_POINTS = 4000


def histogram_figure(compositions: Sequence[Table], what: str) -> "Figure":
    """Draw how energies per atom (from each composition's mean) or forces of atoms are spread.

    Parameters
    ----------
    compositions : those of an inspection.
    what : ``energy_eV_atom`` or ``force_eV_A``; of the latter counts are logarithmic.
    """
    with style():
        figure, (ax,) = new_figure()
        for k, one in enumerate(compositions[:_MOST_LINES]):
            table = one["histograms"][what]
            edges = np.array(table["edges"])
            if what == "energy_eV_atom":
                edges = 1000.0 * (edges - one[what]["mean"])
            colour = ACCENT if len(compositions) == 1 else PALETTE[k % len(PALETTE)]
            ax.stairs(np.array(table["counts"]), edges, color=colour, linewidth=1.3, label=one["formula"])
        ax.set_xlabel(_LABEL[what])
        ax.set_ylabel("frames" if what == "energy_eV_atom" else "atoms")
        if what == "force_eV_A":
            ax.set_yscale("log")
            ax.set_xlim(left=0.0)
        if len(compositions) > 1:
            ax.legend(loc="best", handlelength=1.2)
    return figure


def energy_figure(one: Table, names: Mapping[str, str]) -> "Figure":
    """Draw energy per atom against volume per atom where that varies, else against the number of the frame, by run."""
    points = one["points"]
    volume, energy = np.array(points["volume_A3_atom"]), np.array(points["energy_eV_atom"])
    group = np.array(points["group"])
    varies = float(volume.std()) > 1e-3 * float(volume.mean())
    with style():
        figure, (ax,) = new_figure()
        x = volume if varies else np.arange(len(volume), dtype=np.float64)
        _by_run(ax, np.column_stack([x, 1000.0 * (energy - energy.mean())]), group, names)
        ax.set_xlabel("volume (Å³/atom)" if varies else "frame of the set, in order")
        ax.set_ylabel("energy − mean (meV/atom)")
    return figure


def map_figure(one: Table, names: Mapping[str, str]) -> "Figure":
    """Draw the map of a composition's frames by run, and how few of them cover it."""
    coverage = one["coverage"]
    group = np.array(one["points"]["group"])[np.array(coverage["frame"])]
    first, second = (100.0 * share for share in coverage["explained"])
    with style():
        figure, (left, right) = new_figure(2)
        _by_run(left, np.array(coverage["map"]), group, names)
        left.set_xlabel(f"first component ({first:.0f} % of the spread)")
        left.set_ylabel(f"second component ({second:.0f} %)")
        left.set_xticklabels([])
        left.set_yticklabels([])
        radius = np.array(coverage["radius"])
        right.plot(np.arange(1, len(radius) + 1), radius, color=ACCENT, linewidth=1.6)
        right.axhline(0.5, color=INK, linewidth=1.0, linestyle=(0, (5, 3)))
        right.axvline(coverage["needed"], color=FAINT, linewidth=1.0)
        right.set_xlabel("frames taken, each the farthest from those before")
        right.set_ylabel("farthest frame left (relative)")
        right.set_ylim(0.0, 1.05)
        right.set_xlim(left=0.0)
    return figure


def pairs_figure(one: Table) -> "Figure":
    """Draw g(r) of all pairs of elements of a composition, one above another."""
    curves = one["rdf"]
    with style():
        figure, (ax,) = new_figure(1, 4.6, max(3.4, 0.55 * len(curves) + 1.2))
        for k, (name, curve) in enumerate(curves.items()):
            g = np.array(curve["g"])
            top = float(g.max()) or 1.0
            ax.axhline(float(k), color="#e6e9ec", linewidth=0.8)
            ax.plot(curve["r_A"], k + 0.92 * g / top, color=PALETTE[k % len(PALETTE)], linewidth=1.3)
            ax.annotate(
                f"{name}  (largest {top:.3g})", (0.985, k + 0.5), xycoords=("axes fraction", "data"), ha="right",
                va="center", color=PALETTE[k % len(PALETTE)], fontsize=8,
            )  # fmt: skip
        ax.set_yticks([])
        ax.set_xlabel("distance (Å)")
        ax.set_ylabel("g(r), each to its own largest")
        ax.set_xlim(0.0, 1.35 * max((max(c["r_A"]) for c in curves.values()), default=8.0))
        ax.set_ylim(-0.1, len(curves) + 0.05)
    return figure


def memory_figure(runs: Sequence[Table]) -> "Figure":
    """Draw how the forces of the runs forget themselves, by difference of frame number."""
    with style():
        figure, (ax,) = new_figure()
        ax.axhline(1.0 / np.e, color=INK, linewidth=1.0, linestyle=(0, (5, 3)), label="1/e")
        ax.axhline(0.0, color=FAINT, linewidth=0.8)
        for k, run in enumerate(runs[:_MOST_LINES]):
            memory = run["memory"]
            colour = ACCENT if len(runs) == 1 else PALETTE[k % len(PALETTE)]
            ax.plot(
                memory["lag"], memory["correlation"], color=colour, linewidth=1.3, marker="o", markersize=2.6,
                label=_short(run["name"]) if len(runs) > 1 else None,
            )  # fmt: skip
        ax.set_xscale("log")
        ax.set_xlabel("difference of frame number")
        ax.set_ylabel("correlation of the forces")
        ax.legend(loc="best", handlelength=1.2)
    return figure


def _by_run(ax: "Axes", points: "Array", group: Any, names: Mapping[str, str]) -> None:
    """Draw points in the colour of their run; many runs go by a colour scale."""
    order = np.random.default_rng(0).permutation(len(points))[:_MOST_POINTS]
    runs = np.unique(group)
    if len(runs) > _MOST_LINES:
        from matplotlib import colormaps

        shade = np.searchsorted(runs, group[order]) / (len(runs) - 1)
        ax.scatter(
            points[order, 0], points[order, 1], c=colormaps["viridis"](shade), s=5, linewidths=0, rasterized=True
        )
        ax.set_title(f"{len(runs)} runs, first (dark) to last (bright)", fontsize=8.5, color=INK)
        return
    for k, run in enumerate(runs):
        here = order[group[order] == run]
        colour = ACCENT if len(runs) == 1 else PALETTE[k % len(PALETTE)]
        ax.scatter(
            points[here, 0], points[here, 1], color=colour, s=5, linewidths=0, alpha=0.7, rasterized=True,
            label=_short(names[str(run)]),
        )  # fmt: skip
    if len(runs) > 1:
        ax.legend(loc="best", markerscale=2.5, handletextpad=0.2)


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"…{name[-23:]}"
