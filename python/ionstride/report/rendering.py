"""What all pages share: their templates, values fit for JSON, and figures set in HTML."""

import html
import importlib.resources
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..runrecord import atomic_path
from . import words
from .canvas import to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render(template: str, **values: Any) -> str:
    """Return a page of this room as text, everything in it escaped.

    Parameters
    ----------
    template : name of a template, such as ``page.html.j2``.
    values : what the template shows.
    """
    import jinja2

    folder = importlib.resources.files(__package__)
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=words.number, interval=words.interval, pretty=_pretty, coded=_coded)
    return environment.get_template(template).render(values)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)


def _coded(sentence: Any) -> Any:
    """Return a sentence escaped, with what stands between backticks set as code."""
    import markupsafe

    return markupsafe.Markup(re.sub(r"`([^`<>]+)`", r"<code>\1</code>", str(markupsafe.escape(sentence))))


def plain(value: Any, where: str) -> Any:
    """Return JSON's own kinds of a value made of dictionaries, lists, NumPy arrays and numbers.

    Raises
    ------
    InputError
        If a number is NaN or infinite, or a value is of a kind JSON cannot hold; its place is named.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where} is {value}, wanted a finite number, or null where nothing was measured")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise InputError(f"{where} is of kind {type(value).__name__}, which JSON cannot hold")


def write_page(path: Path, text: str) -> Path:
    """Write a text file, all or nothing, in UTF-8 whatever the user's locale is; return its path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


_VIEW = re.compile(r'viewBox="\S+ \S+ (\S+) (\S+)"')


def framed(svg: str, caption: str, name: str = "") -> str:
    """Return an SVG set as a figure of a page.

    Parameters
    ----------
    svg : an ``<svg>`` element, as `to_svg` makes it; it is not escaped.
    caption : what it shows.
    name : a short name, set before the caption.
    """
    said = f"<strong>{html.escape(name.replace('_', ' '))}.</strong> " if name else ""
    view = _VIEW.search(svg)
    width, height = (float(view[1]), float(view[2])) if view else (1.0, 1.0)
    side_by_side = width > (1.7 if name else 2.2) * height  # two panels in half a page cannot be read
    wide = ' class="wide"' if side_by_side or name == "density" else ""
    return f'<figure{wide}><div class="paper">{svg}</div><figcaption>{said}{html.escape(caption)}</figcaption></figure>'


def picture(figure: "Figure", caption: str) -> str:
    """Return a figure as HTML, labelled with its caption for those who cannot see it."""
    return framed(to_svg(figure, caption), caption)
