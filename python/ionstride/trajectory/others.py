"""Trajectories that ASE, NumPy or MDAnalysis read."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, InputError
from .assemble import Raw

_TIMED = ("XTC", "TRR", "TNG", "NCDF", "NC", "H5MD", "PDB", "GSD")  # formats whose times can be trusted, in ps


def read_ase(files: Sequence[Path]) -> Raw:
    """Read extxyz, .traj and what else ASE takes frame by frame.

    Raises
    ------
    FormatError
        If ASE cannot read a file.
    InputError
        If atoms change or a frame has no cell.
    """
    import ase.io

    frames: list[Any] = []
    for path in files:
        try:
            frames += ase.io.read(path, index=":")
        except Exception as error:
            raise FormatError(path, f"ASE cannot read it ({error})") from error
    symbols = tuple(frames[0].get_chemical_symbols())
    for number, atoms in enumerate(frames):
        if tuple(atoms.get_chemical_symbols()) != symbols:
            raise InputError(f"{files[0]}: frame {number} holds other atoms, or in another order, than frame 0")
    cell_A = np.array([atoms.cell.array for atoms in frames])
    if not (np.abs(np.linalg.det(cell_A)) > 0.0).all():
        raise InputError(f'{files[0]}: a frame has no cell; an extxyz needs Lattice="…" in its comment line')
    return Raw(
        symbols=symbols,
        positions_A=np.array([atoms.positions for atoms in frames]),
        cell_A=cell_A,
        origin_A=np.zeros((len(frames), 3)),
        time_ps=None,
        unwrapped=False,
        notes={"format": "read by ASE", "files": [str(path) for path in files]},
    )


def read_npz(path: Path, temperature_K: float) -> Raw:
    """Read unwrapped ions alone: r_A (ions, frames, 3), dt_ps, temperature_K, volume_A3 or cell_A, symbols.

    Raises
    ------
    FormatError
        If an array is missing or of the wrong shape.
    InputError
        If the file is of another temperature.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            data = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise FormatError(path, f"no readable .npz of plain arrays ({error})") from error
    for name in ("r_A", "dt_ps"):
        if name not in data:
            raise FormatError(path, f"holds no array '{name}'; it has {', '.join(sorted(data)) or 'none'}")
    r_A = np.asarray(data["r_A"], dtype=np.float64)
    if r_A.ndim != 3 or r_A.shape[-1] != 3:
        raise FormatError(path, f"r_A has shape {r_A.shape}, wanted (ions, frames, 3)")
    own = float(data.get("temperature_K", temperature_K))
    if abs(own - temperature_K) > 0.5:
        raise InputError(f"{path} is of {own:g} K, but {temperature_K:g} K was asked for")
    if "cell_A" in data:
        cell = np.asarray(data["cell_A"], dtype=np.float64).reshape(3, 3)
        cell_note = "cell_A"
    elif "volume_A3" in data:
        cell = np.eye(3) * float(data["volume_A3"]) ** (1.0 / 3.0)
        cell_note = "cube of volume_A3"
    else:
        raise FormatError(path, "holds neither 'cell_A' nor 'volume_A3'; a conductivity needs the volume")
    frames = r_A.shape[1]
    named = "symbols" in data
    symbols = tuple(str(s) for s in data["symbols"]) if named else ("Li",) * len(r_A)
    return Raw(
        symbols=symbols,
        positions_A=np.ascontiguousarray(r_A.transpose(1, 0, 2)),
        cell_A=np.broadcast_to(cell, (frames, 3, 3)),
        origin_A=np.zeros((frames, 3)),
        time_ps=np.arange(frames, dtype=np.float64) * float(data["dt_ps"]),
        unwrapped=True,
        notes={
            "format": "IonStride npz",
            "files": [str(path)],
            "cell": cell_note,
            "elements": "as given" if named else "not given: taken as Li",
            "ions_alone": len(set(symbols)) == 1,
        },
    )


def read_mdanalysis(
    files: Sequence[Path], topology: Path | None, types: Sequence[str] | None, have_frame_ps: bool
) -> Raw:
    """Read whatever MDAnalysis does (DCD, XTC, TRR, NetCDF, H5MD …).

    Times are the file's own for formats that hold them in ps; a DCD's are not trusted, since programs write them
    in their own units.

    Raises
    ------
    InputError
        If MDAnalysis cannot read the files, the topology is wanted, or elements or cells are missing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import MDAnalysis

        names = [str(path) for path in files]
        try:
            universe = MDAnalysis.Universe(*([str(topology)] if topology else []), names if topology else names[0])
        except Exception as error:
            hint = "" if topology else "; a trajectory of this kind wants --topology (a file with the atoms)"
            raise InputError(f"{names[0]}: MDAnalysis cannot read it ({error}){hint}") from error
        if topology is None and not (hasattr(universe.atoms, "names") or hasattr(universe.atoms, "elements")):
            raise InputError(f"{names[0]} holds positions alone; give a file with the atoms by --topology")
        symbols = _symbols(universe, names[0], types)
        positions, cells, times = [], [], []
        for step in universe.trajectory:
            if step.dimensions is None:
                raise InputError(f"{names[0]}: frame {step.frame} has no cell, so that it cannot be unwrapped")
            positions.append(np.array(step.positions, dtype=np.float64))
            cells.append(np.array(step.triclinic_dimensions, dtype=np.float64))
            times.append(float(step.time))
        format_name = str(getattr(universe.trajectory, "format", "several files"))
    known = isinstance(universe.trajectory.format, str) and universe.trajectory.format.upper() in _TIMED
    return Raw(
        symbols=symbols,
        positions_A=np.array(positions),
        cell_A=np.array(cells),
        origin_A=np.zeros((len(cells), 3)),
        time_ps=np.array(times) if known and not have_frame_ps else None,
        unwrapped=False,
        notes={"format": f"{format_name}, read by MDAnalysis", "files": names, "topology": str(topology or "")},
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
