"""A model the user brings: which elements it knows, and whether they suffice."""

import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, MissingToolError, ToolError
from ..process import environment, find_program, run_program
from .compiled import compiled_for
from .rigid_ions import RIGID_IONS, read_rigid_ions
from .train import BACKENDS

TYPE_MAP_NODE = b"model_attr/tmap"
"""A frozen TensorFlow model without this says nothing of its elements, and need not be asked."""
CHECKPOINT = ".pt"
"""Suffix of a checkpoint of PyTorch, from which a training starts."""
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
        If the model does not say, or names what is no element; the study then gives ``potential.model_type_map``.
    """
    names = own_type_map(model, folder)
    if not names:
        raise InputError(
            f"the model '{model}' does not name its elements; set potential.model_type_map, in its type order"
        )
    return names


def own_type_map(model: Path, folder: Path) -> tuple[str, ...]:
    """Return what a model itself says of its types; nothing if it does not say or cannot be asked."""
    backend = "pytorch" if model.suffix == CHECKPOINT else backend_of(model)
    if backend == RIGID_IONS:
        return tuple(read_rigid_ions(model).charge_e)
    if model.suffix == ".pb" and TYPE_MAP_NODE not in model.read_bytes():
        return ()
    log = folder / "show.log"
    log.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        command = [str(find_program("dp")), BACKENDS[backend][0], "show", str(model.absolute()), "type-map"]
        run_program(command, folder=folder, log=log.absolute(), env=environment(1, int(compiled_for(model) == "cuda")))
    except ToolError:
        return ()
    found = re.search(r"[Tt]ype[ _]map.*?\[([^\]]*)\]", log.read_text(errors="replace"))
    return tuple(re.findall(r"['\"]([^'\"]+)['\"]", found.group(1))) if found else ()


def checked_type_map(model: Path, given: Sequence[str], folder: Path, who: str) -> tuple[str, ...]:
    """Return the elements of a model in its type order: what it says itself, which must be what it is said to be.

    Parameters
    ----------
    model : frozen model or rigid-ion file.
    given : elements that it should have, in type order (of rigid ions in any); empty: not said.
    folder : where the log of ``dp`` goes.
    who : who says so, for the message.

    Raises
    ------
    InputError
        If the two differ, or neither says.
    """
    try:
        own = own_type_map(model, folder) if given else read_type_map(model, folder)
    except MissingToolError:  # without DeePMD here, what is given cannot be checked
        if not given:
            raise
        own = ()
    if not own:
        return tuple(given)
    alike = set(own) == set(given) if backend_of(model) == RIGID_IONS else own == tuple(given)
    if given and not alike:
        raise InputError(
            f"the potential '{model}' says its types are {', '.join(own)}, but {who} says {', '.join(given)}; "
            "the potential is right about itself: correct the other, or leave it out"
        )
    return own


def model_sel(model: Path, folder: Path) -> list[list[int]]:
    """Return the room for neighbours of each type in a frozen model, by ``dp show``; one list a descriptor in it.

    Parameters
    ----------
    model : frozen model.
    folder : where the log of ``dp`` goes.
    """
    log = folder / "show-descriptor.log"
    log.unlink(missing_ok=True)
    command = [str(find_program("dp")), BACKENDS[backend_of(model)][0], "show", str(model.absolute()), "descriptor"]
    run_program(command, folder=folder, log=log, env=environment(1, int(compiled_for(model) == "cuda")))
    found = re.findall(r"['\"]sel['\"]: *(\[[^\]]*\]|\d+)", log.read_text(errors="replace"))
    return [[int(n) for n in re.findall(r"\d+", numbers)] for numbers in found]


def check_elements(symbols: tuple[str, ...], type_map: tuple[str, ...], model: Path) -> None:
    """Raise `InputError` if a structure has an element that the potential lacks."""
    missing = sorted(set(symbols) - set(type_map))
    if missing:
        raise InputError(
            f"the potential '{model}' knows {', '.join(type_map)} but the structure also has "
            f"{', '.join(missing)}; use a potential trained with {'it' if len(missing) == 1 else 'them'}"
        )
