"""A model the user brings: which elements it knows, and whether they suffice."""

import re
from pathlib import Path

from ..errors import InputError
from ..process import environment, find_program, run_program
from .rigid_ions import RIGID_IONS, read_rigid_ions
from .train import BACKENDS

SUFFIXES = {".pb": "tensorflow", ".pth": "pytorch", ".pt2": "pytorch", ".savedmodel": "jax", ".toml": RIGID_IONS}


def backend_of(model: Path) -> str:
    """Return the back end that a model's suffix names.

    Raises
    ------
    InputError
        If the file is not there or its suffix is no model's.
    """
    if not model.exists():
        raise InputError(f"potential.model = '{model}' is not there")
    if model.suffix not in SUFFIXES:
        raise InputError(
            f"potential.model = '{model}': a model ends in {', '.join(SUFFIXES)}; freeze it with 'dp freeze' "
            "(.toml is a rigid-ion potential)"
        )
    return SUFFIXES[model.suffix]


def read_type_map(model: Path, folder: Path) -> tuple[str, ...]:
    """Return the element names of a frozen model in its type order, by ``dp show``; of a rigid-ion file in its order.

    Parameters
    ----------
    model : frozen model.
    folder : where the log of ``dp`` goes.

    Raises
    ------
    InputError
        If the model does not say; the study then gives ``potential.model_type_map``.
    """
    backend = backend_of(model)
    if backend == RIGID_IONS:
        return tuple(read_rigid_ions(model).charge_e)
    log = folder / "show.log"
    log.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(find_program("dp")), BACKENDS[backend][0], "show", str(model.absolute()), "type-map"]
    run_program(command, folder=folder, log=log, env=environment(1))
    found = re.search(r"[Tt]ype[ _]map.*?\[([^\]]*)\]", log.read_text(errors="replace"))
    names = tuple(re.findall(r"[A-Z][a-z]?", found.group(1))) if found else ()
    if not names:
        raise InputError(
            f"the model '{model}' does not name its elements; set potential.model_type_map, in its type order"
        )
    return names


def check_elements(symbols: tuple[str, ...], type_map: tuple[str, ...], model: Path) -> None:
    """Raise `InputError` if a structure has an element that the potential lacks."""
    missing = sorted(set(symbols) - set(type_map))
    if missing:
        raise InputError(
            f"the potential '{model}' knows {', '.join(type_map)} but the structure also has "
            f"{', '.join(missing)}; use a potential trained with {'it' if len(missing) == 1 else 'them'}"
        )
