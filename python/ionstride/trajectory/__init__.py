"""Trajectories of molecular dynamics, read and unwrapped for solids."""

from collections.abc import Sequence
from pathlib import Path

from ..checks import check_choice
from ..errors import InputError
from ..records import Trajectory
from .assemble import UNWRAP, Raw, assemble
from .lammps import read_dumps, whole_segments
from .others import read_ase, read_mdanalysis, read_npz
from .vasp import read_xdatcars

__all__ = ["read_trajectory", "whole_segments"]


def read_trajectory(
    files: Sequence[Path | str],
    *,
    temperature_K: float,
    frame_ps: float | None = None,
    timestep_ps: float | None = None,
    topology: Path | str | None = None,
    types: Sequence[str] | None = None,
    start: int | None = None,
    stop: int | None = None,
    stride: int = 1,
    unwrap: str = "auto",
) -> Trajectory:
    """Read one run and return the unwrapped positions of all its atoms.

    Known are LAMMPS text dumps (time = step × `timestep_ps`, or `ITEM: TIME`), VASP XDATCAR (also .gz), extxyz and
    .traj by ASE, .npz of ions alone, and whatever MDAnalysis reads.

    Parameters
    ----------
    files : the parts of one run, in order.  Dumps of restarted runs may overlap: from its first step on, a later
        file's frames win.
    temperature_K : nominal temperature.
    frame_ps : time between frames as recorded (before `stride`), for files that do not say.
    timestep_ps : MD time step, for LAMMPS dumps.
    topology : file with the atoms, for formats that hold positions alone.
    types : element of each LAMMPS type in type order, for files without element names.
    start, stop, stride : frames of the joined run, as in a Python slice.
    unwrap : 'auto', 'minimum-image' or 'given'; 'auto' unwraps by minimum-image steps in fractional coordinates ×
        mean cell unless the file says that its positions are unwrapped.

    Returns
    -------
    Trajectory
        `source` says files, format, how it was unwrapped and which frames were dropped.

    Raises
    ------
    InputError
        If files are missing, of mixed formats, or do not say time or elements.
    FormatError
        If a file does not hold what its format promises.
    PhysicsError
        If frames are too coarse to be unwrapped by minimum images.
    """
    check_choice("unwrap", unwrap, UNWRAP)
    if not temperature_K > 0.0:
        raise InputError(f"temperature_K = {temperature_K:g}, wanted a temperature above zero")
    paths = [Path(file) for file in files]
    if not paths:
        raise InputError("no trajectory file was given")
    for path in paths:
        if not path.is_file():
            raise InputError(f"trajectory file '{path}' is not there")
    kinds = {_kind(path) for path in paths}
    if len(kinds) > 1:
        raise InputError(f"the files are of several kinds ({', '.join(sorted(kinds))}); give parts of one run")
    kind = kinds.pop()
    raw: Raw
    why = "the file does not say the time of its frames"
    if kind == "LAMMPS dump":
        raw = read_dumps(
            paths,
            types=types,
            timestep_ps=timestep_ps,
            frame_ps=frame_ps,
            start=start,
            stop=stop,
            stride=stride,
            keep_wrapped=unwrap == "minimum-image",
        )
    elif kind == "XDATCAR":
        raw = read_xdatcars(paths)
        why = "an XDATCAR does not say the time of its frames (POTIM × NBLOCK)"
    elif kind == "npz":
        if len(paths) > 1:
            raise InputError("several .npz are several runs: read them one by one and give them as replicas")
        raw = read_npz(paths[0], temperature_K)
    elif kind == "ASE":
        raw = read_ase(paths)
    else:
        raw = read_mdanalysis(paths, Path(topology) if topology else None, types, frame_ps is not None)
    return assemble(
        raw,
        temperature_K=temperature_K,
        start=start,
        stop=stop,
        stride=stride,
        unwrap=unwrap,
        why_no_time=why,
        frame_ps=frame_ps,
    )


def _kind(path: Path) -> str:
    name = path.name.lower()
    if "xdatcar" in name:
        return "XDATCAR"
    if name.endswith(".npz"):
        return "npz"
    if name.endswith((".traj", ".extxyz", ".xyz")):
        return "ASE"
    with path.open("rb") as stream:
        if stream.read(64).lstrip().startswith(b"ITEM:"):
            return "LAMMPS dump"
    return "other"
