"""What kind of trajectory a file is, by its name and its first bytes."""

from pathlib import Path

from ..errors import InputError
from .compressed import PACKED, open_bytes, plain_name

_HEAD = 4096


def kind_of(path: Path) -> str:
    """Return the kind of a trajectory file or folder; 'other' is left to MDAnalysis.

    Raises
    ------
    InputError
        If the path is not there, or is a folder that is no DeePMD system.
    """
    if path.is_dir():
        if (path / "type.raw").is_file():
            return "DeePMD npy"
        raise InputError(f"'{path}' is a folder; wanted a trajectory file, or a DeePMD system (a folder with type.raw)")
    if not path.is_file():
        raise InputError(f"trajectory file '{path}' is not there")
    name = plain_name(path).lower()
    if "xdatcar" in name:
        return "XDATCAR"
    if "outcar" in name:
        return "OUTCAR"
    if name.endswith(".npz"):
        if path.suffix.lower() in PACKED:
            raise InputError(f"{path}: unpack it first; an .npz is packed already")
        return "npz"
    if name.endswith(".traj"):
        return "ASE traj"
    if name.endswith((".extxyz", ".xyz")):
        return "xyz"
    return _by_content(path)


def _by_content(path: Path) -> str:
    with open_bytes(path) as stream:
        head = stream.read(_HEAD)
    if head.lstrip().startswith(b"ITEM:"):
        return "LAMMPS dump"
    if b"<modeling>" in head:
        return "vasprun.xml"
    if b"Siesta Version" in head or b"WELCOME TO SIESTA" in head:
        return "SIESTA output"
    if head.startswith(b" vasp.") and b"executed on" in head:
        return "OUTCAR"
    if path.name.lower().endswith((".lammpstrj", ".dump")):
        return "LAMMPS dump"
    if path.name.lower().endswith(".xml") and b"vasp" in head:
        return "vasprun.xml"
    return "other"
