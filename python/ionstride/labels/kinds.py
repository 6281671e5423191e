"""What kind of labelled frames a file or folder holds, by its name and its first bytes."""

import gzip
from pathlib import Path

from ..errors import FormatError, InputError

_HEAD = 65536
SET_FILE = "set.json"


def kind_of(path: Path) -> str:
    """Return the kind of a file or of a folder that is one source; 'ASE' is left for ASE to find out.

    Raises
    ------
    InputError
        If the path is not there, or a folder holds nothing known.
    """
    if path.is_dir():
        return _kind_of_folder(path)
    if not path.is_file():
        raise InputError(f"file of labelled frames '{path}' is not there")
    name = path.name.lower().removesuffix(".gz")
    for suffix, kind in (
        (".npz", "npz"), (".extxyz", "extxyz"), (".traj", "ASE .traj"), (".db", "ASE .db"), (".h5", "DeePMD HDF5"),
        (".hdf5", "DeePMD HDF5"), (".hdf", "DeePMD HDF5"), (".evp", "Quantum ESPRESSO cp.x"),
    ):  # fmt: skip
        if name.endswith(suffix):
            return kind
    if name.startswith(("ml_ab",)):
        return "VASP ML_AB"
    return _by_content(path, name)


def _by_content(path: Path, name: str) -> str:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            head = stream.read(_HEAD)
    except (OSError, EOFError) as error:
        raise FormatError(path, "cannot be unpacked") from error
    if b"<modeling>" in head:
        return "VASP vasprun.xml"
    if head.lstrip().startswith(b"vasp.") or "outcar" in name:
        return "VASP OUTCAR"
    if b"The number of configurations" in head:
        return "VASP ML_AB"
    if b"Siesta Version" in head or b"WELCOME TO SIESTA" in head or b"SIESTA " in head[:2000]:
        return "SIESTA output"
    if b"Program PWSCF" in head:
        return "Quantum ESPRESSO pw.x"
    if b"CP2K| version string" in head or b"CP2K|" in head:
        return "CP2K output"
    if name.endswith(".xyz"):
        second = head.split(b"\n", 2)[1:2]
        return "CP2K trajectory" if second and b"i =" in second[0] and b"E =" in second[0] else "extxyz"
    return "ASE"


def _kind_of_folder(folder: Path) -> str:
    if (folder / SET_FILE).is_file():
        return "IonStride set"
    if (folder / "type.raw").is_file():
        if any(folder.glob("set.*/real_atom_types.npy")):
            return "DeePMD mixed"
        return "DeePMD npy" if any(p.is_dir() for p in folder.glob("set.*")) else "DeePMD raw"
    if (folder / "INPUT").is_file() and any(folder.glob("OUT.*")):
        return "ABACUS"
    raise InputError(f"'{folder}' is a folder that holds no labelled frames of a known kind")


def sources_in(path: Path) -> list[Path]:
    """Return the sources a path stands for: itself, or what lies in a folder.

    A folder is a source by itself (DeePMD system, ABACUS run, a set of IonStride), or a folder of one run
    (vasprun.xml, else OUTCAR; CP2K's output), or a folder with DeePMD systems somewhere below it.

    Raises
    ------
    InputError
        If the path is not there.
    FormatError
        If a folder holds nothing known.
    """
    if not path.exists():
        raise InputError(f"file of labelled frames '{path}' is not there")
    if path.is_file():
        return [path]
    if (folder_of_set(path)) is not None:
        return sorted(found.parent for found in path.rglob("type.raw"))
    try:
        kind_of(path)
    except InputError:
        pass
    else:
        return [path]
    for pattern in ("vasprun.xml*", "OUTCAR*", "ML_ABN*", "ML_AB*", "*-pos-*.xyz"):
        if found := sorted(p for p in path.glob(pattern) if p.is_file()):
            return found[:1] if pattern in ("vasprun.xml*", "OUTCAR*") else found
    systems = sorted(found.parent for found in path.rglob("type.raw"))
    if not systems:
        raise FormatError(
            path,
            "is a folder without type.raw in it or below it, and without output of a known code, wanted DeePMD "
            "systems or the folder of a run",
        )
    return systems


def folder_of_set(path: Path) -> Path | None:
    """Return the folder of the set that a path is or lies in, if any."""
    return next((place for place in (path, *list(path.absolute().parents)[:2]) if (place / SET_FILE).is_file()), None)
