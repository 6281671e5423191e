"""A grid of potential settings, from words on the command line."""

import itertools
from collections.abc import Sequence
from typing import Any

from ..errors import InputError
from ..settings import PotentialSettings, as_dict, load_study

Axis = tuple[str, tuple[str, ...]]


def parse_axis(text: str) -> Axis:
    """Return (key, values) of ``potential.neuron=[8,16],[25,50]``; commas within brackets or quotes part nothing.

    Raises
    ------
    InputError
        If it is no key of ``[potential]`` with values.
    """
    key, equals, rest = text.partition("=")
    key = key.strip()
    values = _parted(rest)
    if not equals or not key.startswith("potential.") or not all(values):
        raise InputError(f"--grid {text}: wanted potential.KEY=VALUE,VALUE, such as potential.rcut_A=5,6,7")
    if len(set(values)) < len(values):
        raise InputError(f"--grid {text}: a value is given twice")
    return key, tuple(values)


def _parted(text: str) -> list[str]:
    parts, depth, quoted = [""], 0, False
    for letter in text:
        if letter == '"':
            quoted = not quoted
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def check_grid(axes: Sequence[Axis]) -> None:
    """Raise `InputError` if a key is on two axes, or there is no axis."""
    keys = [key for key, _ in axes]
    if not keys:
        raise InputError("which settings? give --grid potential.KEY=VALUE,VALUE once or more")
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        raise InputError(f"--grid {twice} is given twice; give all its values in one")


def check_fresh(settings: PotentialSettings) -> None:
    """Raise `InputError` if settings name a model: learning curves and sweeps train from the beginning."""
    for name in ("model", "start_from"):
        if getattr(settings, name):
            raise InputError(
                f"potential.{name} names a model, but learning curves and sweeps train their own; leave it out"
            )


def grid_settings(axes: Sequence[Axis], fixed: Sequence[str]) -> list[tuple[dict[str, str], PotentialSettings]]:
    """Return each choice of the full grid with its settings.

    Parameters
    ----------
    axes : of `parse_axis`.
    fixed : overrides for all, ``potential.steps=4000``.

    Returns
    -------
    (key without ``potential.`` → value as given, settings), the last axis fastest.

    Raises
    ------
    InputError
        If a key or a value is wrong, or two choices come to the same settings.
    """
    check_grid(axes)
    found: list[tuple[dict[str, str], PotentialSettings]] = []
    seen: list[dict[str, Any]] = []
    for values in itertools.product(*(values for _, values in axes)):
        words = [f"{key}={value}" for (key, _), value in zip(axes, values, strict=True)]
        settings = load_study(None, [*fixed, *words]).potential
        check_fresh(settings)
        if settings.descriptor not in ("dpa3", "dpa4") and settings.axis_neuron > settings.neuron[-1]:
            raise InputError(
                f"potential.axis_neuron = {settings.axis_neuron} is more than the last of potential.neuron = "
                f"{list(settings.neuron)}; add --set potential.axis_neuron=4, or another that fits all choices"
            )
        if as_dict(settings) in seen:
            raise InputError(f"the grid holds the same settings twice: {', '.join(words)}")
        seen.append(as_dict(settings))
        names = [key.removeprefix("potential.") for key, _ in axes]
        found.append((dict(zip(names, values, strict=True)), settings))
    return found
