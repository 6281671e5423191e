"""Settings of a code: a documented TOML file in this folder, and what the user's copy changes of it."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from ...checks import nearest_name
from ...errors import FormatError, InputError

CODES = ("cp2k", "vasp", "siesta", "espresso")

OPEN = {"incar", "fdf", "pseudopotentials", "control", "system", "electrons", "input"}
"""Tables in the code's own words: keys may be added."""


def code_defaults_text(code: str) -> str:
    """Return the documented settings of a code, a file to copy and edit.

    Raises
    ------
    InputError
        If the code is not known.
    """
    if code not in CODES:
        raise InputError(f"code '{code}' has no settings here; wanted one of {', '.join(CODES)}")
    return resources.files(__package__).joinpath(f"{code}.toml").read_text()


def read_code_settings(code: str, file: Path | None = None) -> dict[str, Any]:
    """Return the settings of a code: its defaults, and what the user's file changes.

    Raises
    ------
    InputError
        If the file is missing, or holds a key that the code has not (the nearest is named), or one of another kind.
    FormatError
        If the file is no TOML.
    """
    settings = tomllib.loads(code_defaults_text(code))
    if file is None:
        return settings
    if not file.is_file():
        raise InputError(f"settings '{file}' are not there; 'ionstride label --print-settings {code}' writes some")
    try:
        given = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(file, f"not valid TOML: {error}") from error
    return _merged(settings, given, code, file, "")


def _merged(defaults: dict[str, Any], given: dict[str, Any], code: str, file: Path, table: str) -> dict[str, Any]:
    merged = dict(defaults)
    for key, value in given.items():
        name = f"{table}.{key}" if table else key
        if key not in defaults:
            if table.rpartition(".")[2] not in OPEN:
                raise InputError(f"{file}: {code} has no setting '{name}'{nearest_name(key, list(defaults))}")
            merged[key] = value
            continue
        wanted = defaults[key]
        if isinstance(wanted, dict):
            if not isinstance(value, dict):
                raise InputError(f"{file}: {name} = {value!r}, wanted a table")
            merged[key] = _merged(wanted, value, code, file, name)
            continue
        number = isinstance(wanted, (int, float)) and not isinstance(wanted, bool)
        same = isinstance(value, type(wanted)) and isinstance(value, bool) == isinstance(wanted, bool)
        same = same or (number and isinstance(value, (int, float)) and not isinstance(value, bool))
        if not same and table.rpartition(".")[2] not in OPEN:
            raise InputError(f"{file}: {name} = {value!r}, wanted something like {wanted!r}")
        merged[key] = float(value) if isinstance(wanted, float) and number and isinstance(value, int) else value
    return merged
