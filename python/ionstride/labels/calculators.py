"""Calculators by name: 'chgnet', a code of first principles, or 'module:function' of the user's own."""

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import io
import json
import sys
import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import FormatError, InputError, MissingToolError
from .codes import CODES, check_code, code_identity, code_note, read_code_settings

Settings = Mapping[str, Any] | None


def _split(name: str) -> tuple[str, str]:
    module, colon, function = name.partition(":")
    if not colon or not module or not function:
        raise InputError(
            f"calculator = '{name}', wanted 'chgnet', {', '.join(CODES)}, or 'module:function' that returns an ASE "
            "calculator"
        )
    return module, function


def _module_file(name: str) -> Path:
    module, _ = _split(name)
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise InputError(f"calculator = '{name}': Python finds no module '{module}'; put its folder on PYTHONPATH")
    return Path(spec.origin)


def read_settings(name: str, file: Path | None = None) -> dict[str, Any]:
    """Return the settings of a calculator.

    Parameters
    ----------
    name : the calculator.
    file : TOML; for a code it changes the documented settings, for 'module:function' it holds the keyword arguments of
        the function.

    Raises
    ------
    InputError
        If the file is missing or holds what the calculator does not know.
    FormatError
        If the file is no TOML.
    """
    if name in CODES:
        return read_code_settings(name, file)
    if file is None:
        return {}
    if name == "chgnet":
        raise InputError(f"settings '{file}': chgnet has none; leave them out, or name another calculator")
    if not file.is_file():
        raise InputError(f"settings '{file}' are not there")
    try:
        return tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(file, f"not valid TOML: {error}") from error


def check_calculator(name: str, settings: Settings = None) -> None:
    """Raise before any work if a calculator cannot be had.

    Raises
    ------
    MissingToolError
        If CHGNet, or the program of a code, is not installed.
    InputError
        If the name is not of the right form or its module is not found.
    """
    if name in CODES:
        check_code(name, read_code_settings(name) if settings is None else settings)
    elif name != "chgnet":
        _module_file(name)
    elif importlib.util.find_spec("chgnet") is None:
        raise MissingToolError(
            'CHGNet is not installed: pip install "ionstride[reference]", or name your own as module:function'
        )


def calculator_identity(name: str, settings: Settings = None) -> str:
    """Return what the labels depend on besides the atoms: name, version and settings, or the module's contents."""
    check_calculator(name, settings)
    if name in CODES:
        return code_identity(name, read_code_settings(name) if settings is None else settings)
    if name == "chgnet":
        return f"chgnet {importlib.metadata.version('chgnet')}"
    given = f" {json.dumps(settings, sort_keys=True, default=str)}" if settings else ""
    return f"{name} {hashlib.sha256(_module_file(name).read_bytes()).hexdigest()}{given}"


def calculator_note(name: str, settings: Settings = None) -> str:
    """Return a calculator in words, for reports and as the method of its labels."""
    check_calculator(name, settings)
    if name in CODES:
        return code_note(name, read_code_settings(name) if settings is None else settings)
    if name == "chgnet":
        return f"CHGNet {importlib.metadata.version('chgnet')}, a universal potential standing in for DFT"
    given = ", ".join(f"{key} = {value}" for key, value in sorted((settings or {}).items()))
    return f"ASE calculator {name}" + (f", {given}" if given else "")


def make_calculator(name: str, settings: Settings = None) -> Any:
    """Return the ASE calculator; its greetings and warnings are kept from the user.

    A code works in the folder where it is called.

    Raises
    ------
    InputError
        If the function is missing or fails.
    """
    check_calculator(name, settings)
    if name in CODES:
        from .codes.checked import CheckedCalculator

        return CheckedCalculator(name, read_code_settings(name) if settings is None else settings)
    if name == "chgnet":
        with quiet():
            from chgnet.model.dynamics import CHGNetCalculator

            return CHGNetCalculator(use_device="cpu")
    module, function = _split(name)
    try:
        return getattr(importlib.import_module(module), function)(**(settings or {}))
    except Exception as error:
        raise InputError(f"calculator = '{name}' failed to start: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def quiet() -> Any:
    """Keep what libraries print, and their warnings, from the user."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def set_threads(threads: int) -> None:
    """Limit torch's threads in this process, where the calculator has loaded torch."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
