"""The paper the figures are drawn on: colours, axes, and SVG small enough to stand in a page.

Figures are `matplotlib.figure.Figure` objects; pyplot and its global state are never touched.
"""

import contextlib
import hashlib
import html
import io
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MissingToolError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..checks import Array

ACCENT = "#0b7285"
"""The one accent colour, of the page and of single-series figures."""

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#595959")
"""Okabe and Ito's colours, told apart by colour-blind readers (doi 10.1038/nmeth.1618)."""

INK, FAINT = "#20262c", "#98a2ab"

_STYLE: dict[str, Any] = {
    "font.size": 9.0,
    "axes.labelsize": 9.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "ionstride",
}

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def need_matplotlib() -> None:
    """Raise `MissingToolError` if matplotlib cannot be imported."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingToolError(
            'the report\'s figures need matplotlib, which is not installed: pip install "ionstride[report]"'
        ) from error


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw with the report's settings, whatever the user's own matplotlibrc says."""
    need_matplotlib()
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        parameters: Any = mpl.rcParams
        parameters.update(_STYLE)
        yield


def new_figure(panels: int = 1, width_in: float = 4.6, height_in: float = 3.4) -> "tuple[Figure, list[Axes]]":
    """Return a figure with panels side by side; call inside `style`.

    Parameters
    ----------
    panels : number of panels.
    width_in, height_in : size of one panel in inches; at one panel 9 pt text is readable on a phone.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in * panels, height_in), layout="constrained")
    axes = list(figure.subplots(1, panels, squeeze=False)[0])
    for ax in axes:
        ax.tick_params(labelsize=8.5, length=3)
        ax.grid(color="#e6e9ec", linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


def superscript(number: int) -> str:
    """Return a whole number in superscript digits."""
    return str(number).translate(_SUPERSCRIPT)


_SHORT = 0.5  # decades


def tick_text(value: float, _position: int = 0) -> str:
    """Return a logarithmic axis's tick as plain text, such as ``0.2`` or ``5×10⁻⁷``."""
    if value <= 0.0:
        return ""
    if 1e-2 <= value < 1e4:
        return f"{value:g}"
    exponent = math.floor(math.log10(value) + 1e-9)
    mantissa = value / 10.0**exponent
    return ("" if abs(mantissa - 1.0) < 1e-6 else f"{mantissa:.3g}×") + "10" + superscript(exponent)


def log_axis(ax: "Axes", which: str) -> None:
    """Make the ``'x'`` or ``'y'`` axis logarithmic, labelled at 2 and 5 too where it is short."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    low, high = ax.get_xlim() if which == "x" else ax.get_ylim()
    decades = abs(math.log10(high / low))
    axis = ax.xaxis if which == "x" else ax.yaxis
    short = decades < _SHORT  # may hold none of 1, 2 and 5: a few round numbers instead
    axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]) if short else LogLocator(numticks=8))
    axis.set_minor_locator(NullLocator() if short else LogLocator(subs=(2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(tick_text))
    axis.set_minor_formatter(FuncFormatter(tick_text) if decades < 1.6 else NullFormatter())
    ax.tick_params(axis="both", which="minor", labelsize=8.5, length=2)


def floats(values: Any) -> "Array":
    """Return a float array where ``None`` (nothing measured) is a gap."""
    items = [] if values is None else values
    return np.array([np.nan if v is None else v for v in items], dtype=np.float64)


def has(table: Any, *columns: str) -> bool:
    """Return whether a table holds these columns, of one length and not empty."""
    lengths = {len((table or {}).get(column) or ()) for column in columns}
    return len(lengths) == 1 and lengths != {0}


def element_colours(symbols: Sequence[str], mobile: str = "") -> dict[str, str]:
    """Return a colour for each element: the mobile ion has the accent, the others the palette."""
    colours = {mobile: ACCENT} if mobile in symbols else {}
    others = (c for c in PALETTE[1:] * 16)
    for symbol in dict.fromkeys(symbols):
        if symbol not in colours:
            colours[symbol] = next(others)
    return colours


def temperature_colours(count: int) -> list[Any]:
    """Return colours from cold (dark) to hot (bright) out of a perceptually uniform map."""
    from matplotlib import colormaps

    return [colormaps["plasma"](0.05 + 0.75 * i / max(count - 1, 1)) for i in range(count)]


def to_svg(figure: "Figure", label: str = "") -> str:
    """Return a figure as an ``<svg>`` element to stand inside a page.

    Text stays text; identifiers are made unique to the picture; the same figure gives the same text.

    Parameters
    ----------
    figure : a figure of this room.
    label : what the picture shows, for those who cannot see it.
    """
    buffer = io.StringIO()
    with style():
        empty = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", dpi=170, metadata=empty)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    svg = svg.replace("xlink:href", "href").replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif")
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    prefix = "f" + hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}", svg)
    view = re.search(r'viewBox="[^"]+"', svg)
    head = f'<svg {view[0] if view else ""} role="img" aria-label="{html.escape(label)}">'
    return head + svg[svg.index(">") + 1 :]


def save(figure: "Figure", path: Path) -> Path:
    """Write a figure to a file whose suffix names the format (.svg, .png, .pdf), all or nothing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with style():
            figure.savefig(temporary, dpi=200)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
