"""Every diffusion coefficient of an analysis side by side, with the cross-checks."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .arrhenius_figures import CHARGE
from .canvas import ACCENT, INK, PALETTE, log_axis, new_figure, style, superscript

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]


def dots_figure(row: Row) -> "Figure":
    """Draw every D of the analysis as a dot with its 95 % interval, cross-checks below.

    Self and charge, along the cell vectors, of other ways to unwrap, of blocks of time and of replicas; what is only
    bounded is an arrow that points to lower values, and has no components and no cross-checks.

    Parameters
    ----------
    row : result of an analysis; what is not there is left out.

    Raises
    ------
    InputError
        If there is no D at all.
    """
    lines = _estimates(row)
    checks = (row.get("cross_check") or {}) if row.get("verdict") == "diffusive" else {}
    clouds = [
        (f"{label} ({len(values)})", values)
        for label, key in (("blocks of time", "D_of_blocks_cm2_s"), ("replicas", "D_of_replicas_cm2_s"))
        if (values := [v for v in checks.get(key) or [] if v is not None and v > 0.0])
    ]
    if not lines and not clouds:
        raise InputError("no diffusion coefficient to draw: the result holds none")
    shown = [v for _, D, _, _ in lines for v in (D.get("value"), *(D.get("ci95") or ()))] + [
        v for _, values in clouds for v in values
    ]
    positive = [v for v in shown if v is not None and v > 0.0]
    floor = 0.3 * min(positive, default=1.0)
    with style():
        figure, (ax,) = new_figure(height_in=1.1 + 0.3 * (len(lines) + len(clouds)))
        for place, (_, D, verdict, colour) in enumerate(lines):
            _dot(ax, place, D, verdict=verdict, colour=colour, floor=floor)
        for place, (_, values) in enumerate(clouds, start=len(lines)):
            ax.plot(values, [place] * len(values), "o", color=INK, markersize=4.5, markerfacecolor="none", zorder=4)
        value = (row.get("D_self_cm2_s") or {}).get("value")
        if value and row.get("verdict") == "diffusive":
            ax.axvline(value, color=ACCENT, linewidth=0.8, linestyle=(0, (5, 3)), zorder=1)
        ax.set_yticks(range(len(lines) + len(clouds)), [name for name, *_ in lines] + [name for name, _ in clouds])
        ax.set_ylim(len(lines) + len(clouds) - 0.4, -0.6)
        _axis_of_D(ax, positive)
    return figure


def _axis_of_D(ax: "Axes", shown: list[float]) -> None:
    """Make the axis logarithmic, or linear in a power of ten where a logarithmic one would have too few ticks."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if not shown or max(shown) > 4.0 * min(shown):
        ax.set_xlabel("D (cm²/s)")
        log_axis(ax, "x")
        return
    power = math.floor(math.log10(max(shown)))
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 10.0**power:.6g}"))
    ax.set_xlabel(f"D (10{superscript(power)} cm²/s)")


def _estimates(row: Row) -> list[tuple[str, Row, str, str]]:
    """Return name, estimate, verdict and colour of each D that has an interval."""
    verdict, charge = str(row.get("verdict") or ""), str(row.get("charge_verdict") or "")
    found: list[tuple[str, Any, str, str]] = [("self", row.get("D_self_cm2_s"), verdict, ACCENT)]
    along = (row.get("D_tensor_cm2_s") or {}).get("along_cell_vectors") or {} if verdict == "diffusive" else {}
    found += [(f"self, along {name}", D, verdict, PALETTE[0]) for name, D in along.items()]
    found.append(("charge", row.get("D_charge_cm2_s"), charge, CHARGE))
    for name, scheme in (row.get("unwrap_schemes") or {}).items():
        found.append((f"unwrapped: {name}", (scheme or {}).get("D_self_cm2_s"), verdict, PALETTE[2]))
    return [(name, D, said, colour) for name, D, said, colour in found if isinstance(D, Mapping) and D.get("ci95")]


def _dot(ax: "Axes", place: int, D: Row, *, verdict: str, colour: str, floor: float) -> None:
    low, high = D["ci95"]
    value = D.get("value")
    if verdict in ("bound", "not-diffusing"):
        if high:
            ax.plot([0.45 * high, high], [place, place], color=colour, linewidth=1.3, zorder=3)
            ax.plot([0.45 * high], [place], marker="<", color=colour, markersize=5, zorder=4)
            ax.plot([high], [place], marker="|", color=colour, markersize=10, markeredgewidth=1.6, zorder=4)
        return
    ends = [max(low or 0.0, floor), high or value or floor]
    ax.plot(ends, [place, place], color=colour, linewidth=1.3, zorder=3)
    for end, known in zip(ends, (low, high), strict=True):
        if known:
            ax.plot([end], [place], marker="|", color=colour, markersize=6, zorder=3)
    if value and value > 0.0:
        ax.plot([value], [place], "o", color=colour, markersize=5.5, zorder=4)
