"""Models that PyTorch compiled (``.pt2``): they run on the kind of device and processor that they were frozen on."""

import json
import zipfile
from contextlib import suppress
from pathlib import Path

from ..errors import FormatError, InputError

_ABOUT = ".wrapper_metadata.json"
"""End of the name of the entry in which torch writes what it compiled for."""
_CPUINFO = Path("/proc/cpuinfo")
_FLAGS = {"avx2": "avx2", "avx512": "avx512f", "avx512_vnni": "avx512_vnni", "amx_tile": "amx_tile", "asimd": "asimd"}
"""torch's name of an instruction set → Linux's."""


def compiled_for(model: Path) -> str:
    """Return 'cpu' or 'cuda' for a compiled model; '' for any other, which runs on both.

    Raises
    ------
    FormatError
        If a ``.pt2`` file is no archive or does not say.
    """
    return _about(model).get("AOTI_DEVICE_KEY", "") if model.suffix == ".pt2" else ""


def _about(model: Path) -> dict[str, str]:
    """Return what torch wrote of the device it compiled for."""
    try:
        with zipfile.ZipFile(model) as archive:
            about = next(name for name in archive.namelist() if name.endswith(_ABOUT))
            found = {str(key): str(value) for key, value in json.loads(archive.read(about)).items()}
        if "AOTI_DEVICE_KEY" not in found:
            raise KeyError
        return found
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
    check_processor(model)


def fits(model: Path, gpus: int) -> bool:
    """Return whether a model can run here on the device meant."""
    try:
        check_device(model, gpus)
    except InputError:
        return False
    return True


def check_processor(model: Path) -> None:
    """Raise `InputError` if a model was compiled for a processor with instructions that this one lacks.

    Without it LAMMPS dies of an illegal instruction and says no more.
    """
    here = _instructions()
    if compiled_for(model) != "cpu" or not here:
        return
    wanted = _about(model).get("AOTI_CPU_ISA", "").lower().split()
    lacking = [name for name in wanted if name in _FLAGS and _FLAGS[name] not in here]
    if lacking:
        raise InputError(
            f"the model '{model}' was compiled for a processor with {', '.join(lacking)}, which this one has not; "
            "use it on the machine where it was frozen, or freeze its checkpoint again here: "
            "dp --pt freeze -c CHECKPOINT -o MODEL.pt2"
        )


def _instructions() -> set[str]:
    """Return the instruction sets of this processor as Linux names them; nothing where it cannot be told."""
    with suppress(OSError):
        for line in _CPUINFO.read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return set(line.partition(":")[2].split())
    return set()
