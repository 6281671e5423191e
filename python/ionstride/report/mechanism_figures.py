"""Figures of the mechanism: g(r), jump lengths, van Hove, vibration and the ions' density, from plain dictionaries."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .canvas import ACCENT, FAINT, INK, PALETTE, element_colours, floats, has, new_figure, style, temperature_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..checks import Array

Row = Mapping[str, Any]

_MOST_NEIGHBOURS = 12.0


def mechanism_figures(mechanism: Row) -> "list[tuple[str, Figure, str]]":
    """Return the figures that the results of the mechanism have data for: name, figure and caption."""
    mobile = str(mechanism.get("mobile") or "")
    drawn: list[tuple[str, Figure, str]] = []
    if mechanism.get("density"):
        caption = f"Density of {mobile} (ions/Å³): means along a, b and c, and its densest points in the cell."
        drawn.append(("density", density_figure(mechanism["density"]), caption))
    pairs = [pair for pair in mechanism.get("pairs") or [] if has(pair, "r_A", "g")]
    if pairs:
        caption = "Radial distribution g(r) (full) and running coordination number n(r) (dashed) against distance (Å)."
        drawn.append(("rdf", pair_figure(pairs, mobile), caption))
    if (mechanism.get("jumps") or {}).get("length_count"):
        caption = "Lengths of the jumps between sites (Å)."
        drawn.append(("jumps", jump_figure(mechanism["jumps"]), caption))
    if has(mechanism.get("van_hove_self"), "lag_ps", "self_per_A"):
        caption = "Self part of van Hove's function, 4πr²G(r, t) (1/Å); dashed: a Gaussian of the same MSD."
        drawn.append(("van_hove", van_hove_figure(mechanism["van_hove_self"]), caption))
    if has(mechanism.get("vibration"), "frequency_THz", "density_per_THz"):
        caption = "Vibrational density of states of the ions (1/THz) with the attempt frequency."
        drawn.append(("vibration", vibration_figure(mechanism["vibration"]), caption))
    return drawn


def pair_figure(pairs: Sequence[Row], mobile: str = "") -> "Figure":
    """Draw g(r) in full lines and the running coordination number n(r) in dashed ones.

    Pairs with the mobile ion have a panel of their own; a small circle marks the coordination number at the end of the
    first shell.

    Parameters
    ----------
    pairs : ``pairs`` of the mechanism's results: ``centre``, ``other``, ``r_A``, ``g``, ``upper_A``, ``coordination``,
        ``first_minimum_A``.
    mobile : the mobile element.

    Raises
    ------
    InputError
        If no pair holds a curve.
    """
    rows = [pair for pair in pairs if has(pair, "r_A", "g")]
    if not rows:
        raise InputError("no radial distribution function to draw: none of the pairs holds one")
    groups = [
        [row for row in rows if (mobile in (row["centre"], row["other"])) == with_mobile]
        for with_mobile in (True, False)
    ]
    groups = [group for group in groups if group]
    with style():
        figure, axes = new_figure(len(groups), width_in=5.0)
        for ax, group in zip(axes, groups, strict=True):
            _pairs(ax, group)
    return figure


def _pairs(ax: "Axes", rows: list[Row]) -> None:
    right = ax.twinx()
    right.spines["right"].set_visible(True)
    right.spines["right"].set_color(FAINT)
    right.tick_params(labelsize=8.5, length=3, colors="#6b757e")
    for row, colour in zip(rows, PALETTE * 8, strict=False):
        ax.plot(row["r_A"], row["g"], color=colour, linewidth=1.4, label=f"{row['centre']}–{row['other']}", zorder=3)
        if not has(row, "upper_A", "coordination"):
            continue
        radius, count = floats(row["upper_A"]), floats(row["coordination"])
        shown = count <= _MOST_NEIGHBOURS
        right.plot(radius[shown], count[shown], color=colour, linewidth=1.0, linestyle=(0, (4, 2)), alpha=0.8)
        shell = row.get("first_minimum_A")
        if shell is not None and np.interp(shell, radius, count) <= _MOST_NEIGHBOURS:
            right.plot(shell, np.interp(shell, radius, count), "o", color=colour, markersize=4, markerfacecolor="white")
    ax.set_ylim(bottom=0.0)
    ax.set_xlim(0.0, max(float(row["r_A"][-1]) for row in rows))
    right.set_ylim(0.0, _MOST_NEIGHBOURS)
    ax.set_xlabel("r (Å)")
    ax.set_ylabel("g(r), full lines")
    right.set_ylabel("n(r), dashed", color="#6b757e")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=6, handlelength=1.2, columnspacing=1.2)


def jump_figure(jumps: Row | None) -> "Figure":
    """Draw the histogram of jump lengths.

    Parameters
    ----------
    jumps : ``jumps`` of the mechanism's results: ``length_edges_A``, ``length_count``, ``back_fraction``.

    Raises
    ------
    InputError
        If there are no jumps.
    """
    row: Row = jumps or {}
    count, edges = floats(row.get("length_count")), floats(row.get("length_edges_A"))
    if not count.sum() > 0.0 or len(edges) != len(count) + 1:
        raise InputError("no jumps to draw: none was seen")
    with style():
        figure, (ax,) = new_figure()
        ax.bar(edges[:-1], count, width=np.diff(edges), align="edge", color=ACCENT, edgecolor="white", linewidth=0.4)
        first = float(edges[:-1][count > 0][0])
        ax.set_xlim(max(0.0, first - 0.5), float(edges[-1]) + 0.3)
        ax.set_xlabel("jump length (Å)")
        ax.set_ylabel(f"jumps in {edges[1] - edges[0]:.2g} Å")
        words = [f"{int(count.sum())} jumps"]
        back = (row.get("back_fraction") or {}).get("value")
        if back is not None:
            low, high = row["back_fraction"]["ci95"]
            words.append(f"{100 * back:.0f} % return at once ({100 * low:.0f} to {100 * high:.0f})")
        ax.set_title(", ".join(words), fontsize=9, loc="left")
    return figure


def van_hove_figure(van_hove: Row) -> "Figure":
    """Draw 4πr²G_s(r, t) at its lags, the Gaussian of the same MSD dashed.

    Parameters
    ----------
    van_hove : ``van_hove_self`` of the mechanism's results: ``lag_ps``, ``r_A``, ``self_per_A``, ``gaussian_per_A``.

    Raises
    ------
    InputError
        If there is no curve.
    """
    if not has(van_hove, "lag_ps", "self_per_A"):
        raise InputError("no van Hove function to draw")
    r = floats(van_hove["r_A"])
    gaussians = van_hove.get("gaussian_per_A") or [None] * len(van_hove["lag_ps"])
    with style():
        figure, (ax,) = new_figure(width_in=5.0)
        colours = temperature_colours(len(van_hove["lag_ps"]))
        far = 0.0
        for lag, curve, gaussian, colour in zip(
            van_hove["lag_ps"], van_hove["self_per_A"], gaussians, colours, strict=True
        ):
            value = floats(curve)
            ax.plot(r, value, color=colour, linewidth=1.5, label=f"{lag:.3g} ps")
            if gaussian is not None:
                ax.plot(r, floats(gaussian), color=colour, linewidth=0.9, linestyle=(0, (4, 2)), alpha=0.8)
            part = np.cumsum(value)
            far = max(far, float(r[np.searchsorted(part, 0.995 * part[-1])]))
        ax.plot([], [], color=INK, linewidth=0.9, linestyle=(0, (4, 2)), label="Gaussian of the same MSD")
        ax.set_xlim(0.0, 1.1 * far)
        ax.set_ylim(bottom=0.0)
        ax.set_xlabel("r (Å)")
        ax.set_ylabel("4πr² G$_s$(r, t) (1/Å)")
        ax.legend(loc="upper right")
    return figure


def vibration_figure(vibration: Row | None) -> "Figure":
    """Draw the vibrational density of states of the ions with the attempt frequency.

    Parameters
    ----------
    vibration : ``vibration`` of the mechanism's results: ``frequency_THz``, ``density_per_THz``,
        ``attempt_frequency_THz``.

    Raises
    ------
    InputError
        If there is no spectrum.
    """
    row: Row = vibration or {}
    if not has(row, "frequency_THz", "density_per_THz"):
        raise InputError("no vibrational spectrum to draw: frames were too coarse, or velocities missing")
    frequency, density = floats(row["frequency_THz"]), floats(row["density_per_THz"])
    part = np.cumsum(density)
    top = float(frequency[np.searchsorted(part, 0.998 * part[-1])])
    with style():
        figure, (ax,) = new_figure()
        ax.fill_between(frequency, density, color=ACCENT, alpha=0.16, linewidth=0)
        ax.plot(frequency, density, color=ACCENT, linewidth=1.4)
        found = row.get("attempt_frequency_THz") or {}
        if found.get("value") is not None:
            low, high = found.get("ci95") or (None, None)
            if low is not None and high is not None:
                ax.axvspan(low, high, color=PALETTE[1], alpha=0.2, linewidth=0)
            label = f"mean: {found['value']:.3g} THz"
            ax.axvline(found["value"], color=PALETTE[1], linewidth=1.2, linestyle="--", label=label)
            ax.legend(loc="upper right")
        ax.set_xlim(0.0, 1.15 * top)
        ax.set_ylim(bottom=0.0)
        ax.set_xlabel("frequency (THz)")
        ax.set_ylabel("density of states (1/THz)")
    return figure


def density_figure(density: Row) -> "Figure":
    """Draw the ions' density: its means along a, b and c in true proportions, and its densest points in the cell.

    Parameters
    ----------
    density : ``density`` of the mechanism's results: ``cell_A``, ``projection`` {a, b, c}, ``points_A``,
        ``point_density_A3``, ``level_A3``, ``atoms`` {symbols, positions_A}, ``mobile``.

    Raises
    ------
    InputError
        If there is no density.
    """
    if not (density or {}).get("projection"):
        raise InputError("no density to draw")
    from matplotlib.figure import Figure

    cell = np.array(density["cell_A"], dtype=np.float64)
    symbols = list(density["atoms"]["symbols"])
    colours = element_colours([*sorted(set(symbols)), density["mobile"]], density["mobile"])
    with style():
        figure = Figure(figsize=(9.2, 8.6), layout="constrained")
        grid = figure.add_gridspec(2, 2)
        top = max(float(np.max(density["projection"][name])) for name in "abc")
        maps = []
        for k, name in enumerate("abc"):
            ax = figure.add_subplot(grid[k // 2, k % 2])
            maps.append(_density_map(ax, density, cell, along=name, top=top))
        bar = figure.colorbar(maps[-1], ax=figure.axes, location="bottom", fraction=0.04, pad=0.02, aspect=50)
        bar.set_label(f"mean density of {density['mobile']} along the view (ions/Å³)")
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8.5, length=3)
        _density_points(figure.add_subplot(grid[1, 1], projection="3d"), density, cell, colours)
    return figure


def _density_map(ax: "Axes", density: Row, cell: "Array", *, along: str, top: float) -> Any:
    across, upward = {"a": (1, 2), "b": (0, 2), "c": (0, 1)}[along]
    u, v = cell[across], cell[upward]
    right = u / np.linalg.norm(u)
    lean = float(v @ right)
    height = float(np.linalg.norm(v - lean * right))
    values = np.array(density["projection"][along], dtype=np.float64)
    n, m = values.shape
    values = np.pad(values, ((0, 1), (0, 1)), mode="wrap")  # the far edges are the near ones again
    i, j = np.meshgrid(np.arange(n + 1) / n, np.arange(m + 1) / m, indexing="ij")
    x, y = i * np.linalg.norm(u) + j * lean, j * height
    mesh = ax.pcolormesh(x, y, values, cmap="magma_r", vmin=0.0, vmax=top, shading="gouraud", rasterized=True)
    outline = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) @ np.array([[np.linalg.norm(u), 0.0], [lean, height]])
    ax.plot(*outline.T, color=INK, linewidth=0.8)
    ax.set_aspect("equal")
    ax.grid(visible=False)
    ax.tick_params(labelsize=8.5, length=3)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.set_xlabel(f"along {'abc'[across]} (Å)")
    ax.set_ylabel(f"towards {'abc'[upward]} (Å)")
    ax.set_title(f"seen along {along}", fontsize=9)
    return mesh


def _density_points(ax: Any, density: Row, cell: "Array", colours: dict[str, str]) -> None:
    corners = np.array(list(product((0, 1), repeat=3)), dtype=np.float64)
    for a, b in product(range(8), repeat=2):
        if a < b and np.abs(corners[a] - corners[b]).sum() == 1.0:
            ax.plot(*(corners[[a, b]] @ cell).T, color=FAINT, linewidth=0.8)
    points = np.array(density["points_A"], dtype=np.float64).reshape(-1, 3)
    value = floats(density["point_density_A3"])
    shade = 0.15 + 0.5 * value / value.max() if len(value) else value
    ax.scatter(
        *points.T, s=5.0, c=colours[density["mobile"]], alpha=shade, linewidths=0, depthshade=False, rasterized=True
    )
    symbols = np.array(density["atoms"]["symbols"])
    positions = np.array(density["atoms"]["positions_A"], dtype=np.float64).reshape(-1, 3)
    for symbol, colour in colours.items():
        if symbol == density["mobile"]:
            ax.plot([], [], [], "o", color=colour, markersize=5, label=f"{symbol} ≥ {density['level_A3']:.2g} Å⁻³")
        elif (symbols == symbol).any():
            ax.scatter(*positions[symbols == symbol].T, s=14.0, color=colour, alpha=0.9, linewidths=0, label=symbol)
    ax.set_axis_off()
    ax.set_box_aspect(np.ptp(corners @ cell, axis=0), zoom=1.3)
    ax.view_init(elev=14.0, azim=-62.0)
    ax.legend(loc="lower center", ncols=4, handletextpad=0.1, bbox_to_anchor=(0.5, -0.08))
