"""A rigid-ion potential from a TOML file: published numbers instead of a trained network."""

import math
import tomllib
from pathlib import Path
from typing import Any

from ..checks import nearest_name
from ..errors import FormatError
from ..records import RigidIons

RIGID_IONS = "rigid ions"
"""What stands for a back end where the potential is a rigid-ion file."""

KEYS = ("source", "cutoff_A", "coulomb_cutoff_A", "kspace_accuracy", "charge_e", "pairs")


def read_rigid_ions(path: Path) -> RigidIons:
    """Read a rigid-ion potential.

    Parameters
    ----------
    path : TOML with ``source`` (text), ``cutoff_A``, ``coulomb_cutoff_A``, ``kspace_accuracy``, a table ``charge_e``
        (element = charge) and a table ``pairs`` (``Li-O = [D0 in eV, a in 1/Å, r0 in Å, C in eV Å¹²]``).

    Raises
    ------
    FormatError
        If the file cannot be read, a key is missing or unknown, or a number is not what it should be.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(path, f"no readable rigid-ion file: {error}") from error
    for key in table:
        if key not in KEYS:
            raise FormatError(path, f"unknown key '{key}'{nearest_name(key, list(KEYS))}")
    for key in KEYS:
        if key not in table:
            raise FormatError(path, f"'{key}' is missing; a rigid-ion file has {', '.join(KEYS)}")
    charges, pairs = table["charge_e"], table["pairs"]
    if not isinstance(charges, dict) or not isinstance(pairs, dict) or not charges:
        raise FormatError(path, "charge_e and pairs are tables: write [charge_e] and [pairs] and their keys below")
    return RigidIons(
        charge_e={element: _number(path, f"charge_e.{element}", q) for element, q in charges.items()},
        pairs=tuple(_pair(path, name, numbers, charges) for name, numbers in pairs.items()),
        cutoff_A=_positive(path, "cutoff_A", table["cutoff_A"]),
        coulomb_cutoff_A=_positive(path, "coulomb_cutoff_A", table["coulomb_cutoff_A"]),
        kspace_accuracy=_positive(path, "kspace_accuracy", table["kspace_accuracy"]),
        source=str(table["source"]),
    )


def _pair(path: Path, name: str, numbers: Any, charges: dict[str, Any]) -> tuple[str, str, float, float, float, float]:
    a, _, b = name.partition("-")
    for element in (a, b):
        if element not in charges:
            raise FormatError(path, f"pairs.{name}: '{element}' has no charge_e; name pairs as Li-O")
    if not isinstance(numbers, list) or len(numbers) != 4:
        raise FormatError(path, f"pairs.{name} wants four numbers: D0 in eV, a in 1/Å, r0 in Å, C in eV Å^12")
    depth, slope, place, wall = (_number(path, f"pairs.{name}", x) for x in numbers)
    return a, b, depth, slope, place, wall


def _number(path: Path, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FormatError(path, f"{name} = {value!r}, wanted a finite number")
    return float(value)


def _positive(path: Path, name: str, value: Any) -> float:
    number = _number(path, name, value)
    if number <= 0:
        raise FormatError(path, f"{name} = {number:g}, wanted more than 0")
    return number
