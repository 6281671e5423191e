"""Formats that dpdata reads, with what it says of frames it left out."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, MissingToolError
from .formats import Part

_ELEMENT = re.compile(r"[A-Z][a-z]?")


def load(path: Path | str, kind: str, fmt: str, **options: Any) -> tuple[Any, list[str]]:
    """Return dpdata's labelled system, and the sentences it warned with.

    Parameters
    ----------
    path : file, folder or prefix.
    kind : what the file is, in words.
    fmt : dpdata's name of the format.
    options : of dpdata's reader.

    Raises
    ------
    MissingToolError
        If dpdata is not installed.
    FormatError
        If dpdata cannot read it, or finds no frame.
    """
    try:
        import dpdata
    except ImportError as error:
        raise MissingToolError(
            f'reading {kind} needs dpdata, which is not installed: pip install "ionstride[md]"'
        ) from error
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            system = dpdata.LabeledSystem(str(path), fmt=fmt, **options)
            frames = system.get_nframes()
        except Exception as error:  # dpdata raises whatever its parsing runs into, assertions among it
            words = " ".join(str(error).split())[:120] or type(error).__name__
            raise FormatError(path, f"cannot be read as {kind} ({words})") from error
    if frames == 0 or "forces" not in system.data:
        raise FormatError(path, f"holds no frame with energy and forces, wanted {kind} of a whole calculation")
    return system, [" ".join(str(w.message).split()) for w in said]


def as_part(source: Path, system: Any, method: str = "", **more: Any) -> Part:
    """Return a part of a dpdata system; names such as Ti_pv or O1 are taken for their elements.

    Raises
    ------
    FormatError
        If a name is no element, the system is not periodic, or the lengths of the arrays differ.
    """
    data = system.data
    if data.get("nopbc"):
        raise FormatError(source, "is marked as not periodic (nopbc), wanted a periodic crystal")
    names = [element(source, str(name)) for name in data["atom_names"]]
    virial = data.get("virials")
    frames = len(data["energies"])
    if virial is not None and len(virial) != frames:
        virial = None
    return Part(
        source,
        tuple(names[int(t)] for t in data["atom_types"]),
        np.asarray(data["coords"], dtype=np.float64),
        np.asarray(data["cells"], dtype=np.float64).reshape(-1, 3, 3),
        np.asarray(data["energies"], dtype=np.float64).reshape(-1),
        np.asarray(data["forces"], dtype=np.float64),
        None if virial is None else np.asarray(virial, dtype=np.float64).reshape(-1, 3, 3),
        method,
        **more,
    )


def element(source: Path, name: str) -> str:
    """Return the element a species is named after.

    Raises
    ------
    FormatError
        If it is named after none.
    """
    from ase.data import atomic_numbers

    found = _ELEMENT.match(name)
    letters = found.group(0) if found else ""
    known = next((s for s in (letters, letters[:1]) if atomic_numbers.get(s, 0) > 0), None)
    if known is None:
        raise FormatError(source, f"a species is named '{name}', wanted the name of an element")
    return known


def read_raw(folder: Path) -> list[Part]:
    """Read a DeePMD raw folder: coord.raw, box.raw, energy.raw, force.raw, type.raw, type_map.raw."""
    if not (folder / "type_map.raw").is_file():
        raise FormatError(folder, "type_map.raw is missing; it names the element of each type")
    system, _ = load(folder, "a DeePMD raw folder", "deepmd/raw")
    return [as_part(folder, system)]


def read_mixed(folder: Path) -> list[Part]:
    """Read a DeePMD npy system of mixed types: one part a composition."""
    return _several(folder, "deepmd/npy/mixed")


def read_hdf5(file: Path) -> list[Part]:
    """Read a DeePMD HDF5 file: one system, several, or mixed types."""
    try:
        import h5py
    except ImportError as error:
        raise MissingToolError(
            'reading HDF5 needs h5py, which is not installed: pip install "ionstride[md]"'
        ) from error
    try:
        with h5py.File(file, "r") as tree:
            places: list[str] = []
            mixed: list[bool] = []

            def visit(name: str, item: Any) -> None:
                if name.rpartition("/")[2] == "type.raw":
                    places.append(name.rpartition("/")[0])

            tree.visititems(visit)
            for place in places:
                group = tree[place] if place else tree
                mixed.append(any("real_atom_types.npy" in group[k] for k in group if k.startswith("set.")))
                if "type_map.raw" not in group:
                    raise FormatError(file, f"type_map.raw is missing in '/{place}'; it names the element of each type")
    except (OSError, RuntimeError, KeyError) as error:  # h5py's own, for damaged files
        raise FormatError(file, "is no HDF5 file, or not a whole one") from error
    if not places:
        raise FormatError(file, "holds no DeePMD system (a group with type.raw)")
    if any(mixed):
        return _several(file, "deepmd/hdf5/mixed")
    parts = []
    for place in sorted(places):
        name = f"{file}#/{place}" if place else str(file)
        system, _ = load(name, "a DeePMD HDF5 system", "deepmd/hdf5")
        parts.append(as_part(file, system))
    return parts


def _several(path: Path, fmt: str) -> list[Part]:
    try:
        import dpdata
    except ImportError as error:
        raise MissingToolError(
            'reading it needs dpdata, which is not installed: pip install "ionstride[md]"'
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Any = dpdata.MultiSystems()  # type: ignore[no-untyped-call]
            found.load_systems_from_file(str(path), fmt=fmt)
            systems = list(found)
    except Exception as error:
        words = " ".join(str(error).split())[:120] or type(error).__name__
        raise FormatError(path, f"cannot be read as DeePMD data of mixed types ({words})") from error
    if not systems:
        raise FormatError(path, "holds no frames")
    return [as_part(path, system) for system in systems]
