"""Calculators by name: 'chgnet', or 'module:function' of the user's own."""

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import io
import sys
import warnings
from pathlib import Path
from typing import Any

from ..errors import InputError, MissingToolError


def _split(name: str) -> tuple[str, str]:
    module, colon, function = name.partition(":")
    if not colon or not module or not function:
        raise InputError(f"calculator = '{name}', wanted 'chgnet' or 'module:function' that returns an ASE calculator")
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


def check_calculator(name: str) -> None:
    """Raise before any work if a calculator cannot be had.

    Raises
    ------
    MissingToolError
        If CHGNet is not installed.
    InputError
        If the name is not of the right form or its module is not found.
    """
    if name != "chgnet":
        _module_file(name)
    elif importlib.util.find_spec("chgnet") is None:
        raise MissingToolError(
            'CHGNet is not installed: pip install "ionstride[reference]", or name your own as module:function'
        )


def calculator_identity(name: str) -> str:
    """Return what the labels depend on besides the atoms: name and version, or the module's contents."""
    check_calculator(name)
    if name == "chgnet":
        return f"chgnet {importlib.metadata.version('chgnet')}"
    return f"{name} {hashlib.sha256(_module_file(name).read_bytes()).hexdigest()}"


def calculator_note(name: str) -> str:
    """Return a calculator in words, for reports and as the method of its labels."""
    check_calculator(name)
    if name == "chgnet":
        return f"CHGNet {importlib.metadata.version('chgnet')}, a universal potential standing in for DFT"
    return f"ASE calculator {name}"


def make_calculator(name: str) -> Any:
    """Return the ASE calculator; its greetings and warnings are kept from the user.

    Raises
    ------
    InputError
        If the function is missing or fails.
    """
    check_calculator(name)
    if name == "chgnet":
        with quiet():
            from chgnet.model.dynamics import CHGNetCalculator

            return CHGNetCalculator(use_device="cpu")
    module, function = _split(name)
    try:
        return getattr(importlib.import_module(module), function)()
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
