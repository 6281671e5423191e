"""Models that PyTorch compiled (``.pt2``): they run on the kind of device that they were frozen on."""

import json
import zipfile
from pathlib import Path

from ..errors import FormatError, InputError

_ABOUT = ".wrapper_metadata.json"
"""End of the name of the entry in which torch writes what it compiled for."""


def compiled_for(model: Path) -> str:
    """Return 'cpu' or 'cuda' for a compiled model; '' for any other, which runs on both.

    Raises
    ------
    FormatError
        If a ``.pt2`` file is no archive or does not say.
    """
    if model.suffix != ".pt2":
        return ""
    try:
        with zipfile.ZipFile(model) as archive:
            about = next(name for name in archive.namelist() if name.endswith(_ABOUT))
            return str(json.loads(archive.read(about))["AOTI_DEVICE_KEY"])
    except (zipfile.BadZipFile, StopIteration, KeyError, ValueError) as error:
        raise FormatError(model, "no model that PyTorch compiled whole; freeze it again: dp --pt freeze") from error


def check_device(model: Path, gpus: int) -> None:
    """Raise `InputError` if a compiled model cannot run on the device that MD is to use (`gpus` of ``[md]``)."""
    device = compiled_for(model)
    if device and (device == "cuda") != (gpus > 0):
        wanted = "set md.gpus = 1" if device == "cuda" else "set md.gpus = 0"
        raise InputError(
            f"the model '{model}' was compiled for {'a GPU' if device == 'cuda' else 'the CPU'} and md.gpus = {gpus}; "
            f"{wanted}, or freeze it on the other device"
        )
