"""Trajectories that ASE or MDAnalysis read."""

import contextlib
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, InputError
from .assemble import Raw

_TIMED = ("XTC", "TRR", "TNG", "NCDF", "NC", "H5MD", "PDB", "GSD")  # formats whose times can be trusted, in ps
_INDEXED = (".xtc", ".trr")  # MDAnalysis leaves an index beside them


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def read_ase_traj(path: Path) -> Raw:
    """Read an ASE .traj; a cut last frame is dropped.

    Raises
    ------
    FormatError
        If ASE cannot read the file, or atoms change in it.
    """
    from ase.io.trajectory import Trajectory

    positions, cells = [], []
    numbers: Any = None
    cut = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            frames: Any = Trajectory(str(path))  # type: ignore[no-untyped-call]
            count = len(frames)
        except Exception as error:  # ASE raises whatever its parsing runs into
            raise FormatError(path, f"ASE cannot read it as .traj ({_words(error)})") from error
        with contextlib.closing(frames):
            for number in range(count):
                try:
                    atoms = frames[number]
                    here = np.array(atoms.numbers)
                    positions.append(np.array(atoms.positions, dtype=np.float64).reshape(len(here), 3))
                    cells.append(np.array(atoms.cell.array, dtype=np.float64).reshape(3, 3))
                    symbols = tuple(atoms.get_chemical_symbols())
                except Exception as error:
                    if number == count - 1 and number > 0:
                        cut = 1
                        break
                    raise FormatError(path, f"ASE cannot read frame {number} ({_words(error)})") from error
                if numbers is not None and not np.array_equal(here, numbers):
                    raise FormatError(path, f"frame {number} holds other atoms, or in another order, than frame 0")
                numbers = here
    if not cells:
        raise FormatError(path, "holds no frame")
    return Raw(
        symbols=symbols,
        positions_A=np.array(positions[: len(cells)]),
        cell_A=np.array(cells),
        origin_A=np.zeros((len(cells), 3)),
        time_ps=None,
        unwrapped=False,
        notes={"format": "ASE .traj", "files": [str(path)], "cut_last_frames_dropped": cut},
    )


def read_mdanalysis(path: Path, topology: Path | None, types: Sequence[str] | None) -> Raw:
    """Read whatever MDAnalysis does (DCD, XTC, TRR, NetCDF, H5MD …); a last frame that cannot be read is dropped.

    Times are the file's own for formats that hold them in ps; a DCD's are not trusted, since programs write them
    in their own units.

    Raises
    ------
    FormatError
        If MDAnalysis cannot read the file.
    InputError
        If the topology is wanted, or elements or cells are missing.
    """
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="ionstride-") as folder:
        warnings.simplefilter("ignore")
        import MDAnalysis

        place = path
        if path.suffix.lower() in _INDEXED:
            place = Path(folder) / path.name
            place.symlink_to(path.resolve())
        try:
            universe = MDAnalysis.Universe(*([str(topology)] if topology else []), str(place))
            frames: Any = universe.trajectory
            count = len(frames)
        except Exception as error:  # its readers raise whatever their parsing runs into
            hint = "" if topology else "; a trajectory of this kind wants --topology (a file with the atoms)"
            said = _words(error).replace(str(place), path.name)
            raise FormatError(path, f"MDAnalysis cannot read it ({said}){hint}") from error
        with contextlib.closing(frames):
            if topology is None and not (hasattr(universe.atoms, "names") or hasattr(universe.atoms, "elements")):
                raise InputError(f"{path} holds positions alone; give a file with the atoms by --topology")
            symbols = _symbols(universe, str(path), types)
            positions, cells, times = [], [], []
            cut = 0
            for number in range(count):
                try:
                    step = frames[number]
                    cell = None if step.dimensions is None else np.array(step.triclinic_dimensions, dtype=np.float64)
                    here, time = np.array(step.positions, dtype=np.float64), float(step.time)
                except Exception as error:
                    if number == count - 1 and number > 0:
                        cut = 1
                        break
                    raise FormatError(path, f"MDAnalysis cannot read frame {number} ({_words(error)})") from error
                if cell is None:
                    raise InputError(f"{path}: frame {number} has no cell, so that it cannot be unwrapped")
                positions.append(here)
                cells.append(cell)
                times.append(time)
            format_name = str(frames.format)
            timed = format_name.upper() in _TIMED and len(set(times)) > 1  # all the same: its writer knew none
    return Raw(
        symbols=symbols,
        positions_A=np.array(positions).reshape(len(cells), len(symbols), 3),
        cell_A=np.array(cells).reshape(len(cells), 3, 3),
        origin_A=np.zeros((len(cells), 3)),
        time_ps=np.array(times) if timed else None,
        unwrapped=False,
        notes={
            "format": f"{format_name}, read by MDAnalysis",
            "files": [str(path)],
            "topology": str(topology or ""),
            "cut_last_frames_dropped": cut,
        },
    )


def _symbols(universe: Any, name: str, types: Sequence[str] | None) -> tuple[str, ...]:
    atoms = universe.atoms
    if types is not None:
        try:
            return tuple(types[int(t) - 1] for t in atoms.types)
        except (ValueError, IndexError) as error:
            raise InputError(f"{name}: --types {list(types)} does not fit the atom types of the topology") from error
    if hasattr(atoms, "elements") and all(atoms.elements):
        return tuple(str(e) for e in atoms.elements)
    from MDAnalysis.guesser.tables import masses

    for attribute in ("names", "types"):
        if hasattr(atoms, attribute):
            guessed = tuple("".join(c for c in str(n) if c.isalpha()).capitalize() for n in getattr(atoms, attribute))
            if all(g in masses for g in guessed):
                return guessed
    raise InputError(f"{name}: the topology names no elements; give them in type order with --types")
