"""From a file or folder of any known kind to its frames."""

import gzip
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import FormatError
from .by_dpdata import read_hdf5, read_mixed, read_raw
from .cp2k import read_cp2k_run
from .cp2k_point import read_cp2k_point
from .formats import Part, parts_of_images, read_ase, read_deepmd, read_extxyz, read_npz
from .kinds import kind_of
from .mlab import read_ml_ab
from .planewave import read_abacus, read_cp, read_pw
from .siesta import read_siesta
from .vasp import read_outcar, read_vasprun


def _one(read: Callable[[Path], Part]) -> Callable[[Path], list[Part]]:
    return lambda path: [read(path)]


def _read_db(file: Path) -> list[Part]:
    """Read an ASE database; rows without forces are an error as in any other file."""
    from ase.db import connect

    try:
        with connect(str(file)) as base:  # type: ignore[no-untyped-call]
            images: list[Any] = [row.toatoms() for row in base.select()]
    except Exception as error:  # sqlite3 and ASE raise each their own
        raise FormatError(file, f"cannot be read as an ASE database ({' '.join(str(error).split())[:100]})") from error
    return parts_of_images(file, images)


READERS: dict[str, Callable[[Path], list[Part]]] = {
    "DeePMD npy": _one(read_deepmd),
    "DeePMD raw": read_raw,
    "DeePMD mixed": read_mixed,
    "DeePMD HDF5": read_hdf5,
    "npz": _one(read_npz),
    "extxyz": read_extxyz,
    "ASE .traj": lambda file: read_ase(file, "traj"),
    "ASE .db": _read_db,
    "ASE": read_ase,
    "VASP vasprun.xml": read_vasprun,
    "VASP OUTCAR": read_outcar,
    "VASP ML_AB": read_ml_ab,
    "SIESTA output": read_siesta,
    "CP2K output": read_cp2k_point,
    "CP2K trajectory": read_cp2k_run,
    "Quantum ESPRESSO pw.x": read_pw,
    "Quantum ESPRESSO cp.x": read_cp,
    "ABACUS": read_abacus,
}


def read_source(path: Path) -> tuple[str, list[Part]]:
    """Return the kind of a source and its frames; files packed by gzip are unpacked on the way.

    Raises
    ------
    InputError, FormatError, MissingToolError
        As the reader of that kind says.
    """
    kind = kind_of(path)
    if path.suffix != ".gz" or path.is_dir():
        return kind, READERS[kind](path)
    with tempfile.TemporaryDirectory(prefix="ionstride-") as folder:
        plain = Path(folder) / path.name.removesuffix(".gz")
        with gzip.open(path, "rb") as packed, plain.open("wb") as stream:
            shutil.copyfileobj(packed, stream)
        try:
            return kind, [replace(part, source=path) for part in READERS[kind](plain)]
        except FormatError as error:
            raise FormatError(path, str(error).removeprefix(f"{plain}: ")) from error
