"""Figures of what was simulated: the cell, and the temperature and energy of the runs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import FAINT, element_colours, floats, has, new_figure, style, temperature_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..checks import Array

Row = Mapping[str, Any]

THERMO = ("time_ps", "temperature_K", "potential_eV_atom")


def md_figure(runs: Sequence[Row], panels: Sequence[str] = ("temperature", "energy")) -> "Figure":
    """Draw temperature and potential energy per atom of MD runs against time, in means over blocks.

    A run is cut into 80 blocks at most, so that a drift is seen through the thermal noise.

    Parameters
    ----------
    runs : runs of the results; those with ``thermo`` {``time_ps``, ``temperature_K``,
        ``potential_eV_atom``} are drawn, the energy from its own mean over the run.
    panels : ``'temperature'``, ``'energy'``, or both.
    """
    with style():
        figure, axes = new_figure(len(panels))
        drawn = [run for run in runs if has(run.get("thermo"), *THERMO)]
        for ax, panel in zip(axes, panels, strict=True):
            for run, colour in zip(drawn, temperature_colours(len(drawn)), strict=True):
                thermo = run["thermo"]
                if panel == "temperature":
                    value = floats(thermo["temperature_K"])
                else:
                    value = 1e3 * floats(thermo["potential_eV_atom"])
                    value = value - np.nanmean(value)
                time = _blocks(floats(thermo["time_ps"]))
                ax.plot(time, _blocks(value), color=colour, linewidth=1.0, label=str(run.get("id", "")))
            ax.set_xlabel("time (ps)")
            ax.set_ylabel("temperature (K)" if panel == "temperature" else "potential energy − mean (meV/atom)")
        if drawn:
            figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4 * len(panels))
    return figure


def _blocks(values: "Array", count: int = 80) -> "Array":
    return np.array([block.mean() for block in np.array_split(values, min(count, len(values)))])


def structure_figure(
    symbols: Sequence[str],
    positions_A: Sequence[Sequence[float]],
    cell_A: Sequence[Sequence[float]],
    mobile: str = "",
    along: str = "cb",
) -> "Figure":
    """Draw the cell seen along its vectors, atoms as discs of 0.45 covalent radii.

    Parameters
    ----------
    symbols : (N) element names.
    positions_A : (N, 3) Cartesian positions.
    cell_A : (3, 3) cell vectors as rows.
    mobile : the mobile element, which is drawn in the accent colour.
    along : the vectors to look along, one panel for each letter.
    """
    positions, cell = np.array(positions_A, dtype=np.float64), np.array(cell_A, dtype=np.float64)
    with style():
        figure, axes = new_figure(len(along), width_in=4.2, height_in=4.2)
        for ax, letter in zip(axes, along, strict=True):
            _project(ax, list(symbols), positions, cell, along=letter, mobile=mobile)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=8, handletextpad=0.1)
    return figure


def _project(ax: "Axes", symbols: list[str], positions: "Array", cell: "Array", *, along: str, mobile: str) -> None:
    from ase.data import atomic_numbers, covalent_radii
    from matplotlib.patches import Circle

    eye, across, upward = {"a": (0, 1, 2), "b": (1, 0, 2), "c": (2, 0, 1)}[along]
    view = cell[eye] / np.linalg.norm(cell[eye])
    right = cell[across] - (cell[across] @ view) * view
    right /= np.linalg.norm(right)
    up = np.cross(view, right)
    if up @ cell[upward] < 0.0:
        view, up = -view, -up
    plane = np.array([right, up])
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=np.float64)
    for a in range(8):
        for b in range(a):
            if np.abs(corners[a] - corners[b]).sum() == 1.0:
                ends = plane @ (corners[[a, b]] @ cell).T
                ax.plot(*ends, color=FAINT, linewidth=0.8, zorder=0)
    colours = element_colours(sorted(set(symbols)), mobile)
    xy = positions @ plane.T
    for n, i in enumerate(np.argsort(positions @ view)):
        radius = 0.45 * float(covalent_radii[atomic_numbers.get(symbols[i], 0)])
        face = colours[symbols[i]]
        ax.add_patch(Circle(tuple(xy[i]), radius, facecolor=face, edgecolor="white", linewidth=0.5, zorder=2 + n))
    for symbol, colour in colours.items():
        ax.plot([], [], "o", color=colour, markersize=6, label=symbol)
    ax.set_aspect("equal")
    ax.autoscale_view()
    ax.grid(visible=False)
    ax.set_xlabel(f"along {'abc'[across]} (Å)")
    ax.set_ylabel("Å")
    ax.set_title(f"seen along {along}", fontsize=9)
