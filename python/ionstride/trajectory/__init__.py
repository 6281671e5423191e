"""Trajectories of molecular dynamics, read and unwrapped for solids."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..checks import check_choice, check_mobile
from ..errors import InputError
from ..records import Trajectory
from .arrays import read_deepmd, read_npz
from .assemble import UNWRAP, Raw, assemble
from .compressed import unpacked
from .join import check_seams, join
from .kinds import kind_of
from .lammps import read_dumps, whole_segments
from .memory import MemoryEstimate, estimate_memory
from .others import read_ase_traj, read_mdanalysis
from .siesta import read_siesta
from .sound import check_frames
from .stream import STREAMED_UNWRAP, open_stream
from .unwrap import SCHEMES, rewrap
from .vasp import read_xdatcar
from .vasp_output import read_outcar, read_vasprun
from .xyz import read_xyz

__all__ = [
    "SCHEMES",
    "STREAMED_UNWRAP",
    "UNWRAP",
    "MemoryEstimate",
    "estimate_memory",
    "kind_of",
    "open_stream",
    "read_trajectory",
    "rewrap",
    "unpacked",
    "whole_segments",
]

_WHY_NO_TIME = {
    "XDATCAR": "an XDATCAR does not say the time of its frames (POTIM × NBLOCK)",
    "DeePMD npy": "a DeePMD system does not say the time of its frames",
    "ASE traj": "an ASE .traj does not say the time of its frames",
    "npz": "the .npz holds neither dt_ps nor time_ps",
    "SIESTA output": "the output does not say MD.LengthTimeStep (give --timestep-ps)",
    "xyz": "the comment lines say no time",
}


def read_trajectory(
    files: Sequence[Path | str],
    *,
    temperature_K: float,
    mobile: str | None = None,
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

    Known are LAMMPS text dumps (time = step × `timestep_ps`, or `ITEM: TIME`), VASP's XDATCAR, vasprun.xml and OUTCAR,
    SIESTA's output, CP2K's xyz and cell, extended xyz, ASE's .traj, .npz, DeePMD npy systems, and whatever
    MDAnalysis reads; all but .npz and folders also packed as .gz or .zst.

    Parameters
    ----------
    files : the parts of one run, in order.  Where parts overlap in time, from its first step on a later file's
        frames win; a first frame that repeats the last of the part before is dropped.
    temperature_K : nominal temperature.
    mobile : element whose diffusion is asked for: it must be there, and it names the ions of an .npz without symbols.
    frame_ps : time between frames as recorded (before `stride`); goes before what the files say.
    timestep_ps : MD time step, for files that number their steps (LAMMPS, SIESTA, CP2K).
    topology : file with the atoms, for formats that hold positions alone, or with the cell, for xyz without one.
    types : element of each LAMMPS type in type order, for files without element names.
    start, stop, stride : frames of the joined run, as in a Python slice.
    unwrap : 'auto', 'minimum-image', 'given', 'tor' or 'lattice'; 'auto' unwraps by minimum-image steps in
        fractional coordinates × mean cell unless the file says that its positions are unwrapped.  See `rewrap` to
        have the same run by several schemes.

    Returns
    -------
    Trajectory
        `source` says files, format, where times came from, how it was unwrapped, which frames were dropped, and, by
        `seam_notes`, which parts do not look like consecutive ones.

    Raises
    ------
    InputError
        If files are missing, of mixed formats, or do not say time, elements or cell.
    FormatError
        If a file does not hold what its format promises.
    PhysicsError
        If frames are too coarse to be unwrapped by minimum images, or parts do not go on where the one before ended.
    """
    check_choice("unwrap", unwrap, UNWRAP)
    for name, value in (("temperature_K", temperature_K), ("frame_ps", frame_ps), ("timestep_ps", timestep_ps)):
        if value is not None and not 0.0 < value < float("inf"):
            noun = "temperature" if name == "temperature_K" else "time"
            raise InputError(f"{name} = {value:g}, wanted a {noun} above zero")
    paths = [Path(file) for file in files]
    if not paths:
        raise InputError("no trajectory file was given")
    kinds = {kind_of(path): path for path in paths}
    if len(kinds) > 1:
        listed = ", ".join(f"{path.name}: {kind}" for kind, path in sorted(kinds.items()))
        raise InputError(f"the files are of several kinds ({listed}); give parts of one run")
    kind = next(iter(kinds))
    if kind == "LAMMPS dump":
        with unpacked(paths) as plain:
            raw = read_dumps(
                plain,
                types=types,
                timestep_ps=timestep_ps,
                frame_ps=frame_ps,
                start=start,
                stop=stop,
                stride=stride,
                keep_wrapped=unwrap in ("minimum-image", "tor"),
            )
        given = {str(place): str(path) for place, path in zip(plain, paths, strict=True)}
        raw = replace(
            raw,
            notes={
                **raw.notes,
                "files": [str(path) for path in paths],
                "superseded_files": [given[name] for name in raw.notes["superseded_files"]],
            },
            seams=tuple((frame, given[before], given[after]) for frame, before, after in raw.seams),
        )
        with np.errstate(all="ignore"):
            check_frames(raw, paths[0])
    else:
        if kind == "npz" and len(paths) > 1:
            raise InputError("several .npz are several runs: read them one by one and give them as replicas")
        place = Path(topology) if topology else None
        if place is not None and not place.is_file():
            raise InputError(f"topology file '{place}' is not there")
        parts = []
        for path in paths:
            with np.errstate(all="ignore"):  # what is not finite is refused by name
                part = _read_one(
                    path,
                    kind,
                    topology=place,
                    types=types,
                    timestep_ps=timestep_ps,
                    temperature_K=temperature_K,
                    mobile=mobile,
                )
                parts.append(check_frames(part, path))
        raw = join(parts)
        if frame_ps is not None:
            raw = replace(raw, time_ps=None, notes={**raw.notes, "time": ""})
    if mobile is not None:
        check_mobile(raw.symbols, mobile)
    seam_notes = check_seams(raw, unwrapped=unwrap == "given" or (raw.unwrapped and unwrap in ("auto", "lattice")))
    if seam_notes:
        raw = replace(raw, notes={**raw.notes, "seam_notes": seam_notes})
    return assemble(
        raw,
        temperature_K=temperature_K,
        start=start,
        stop=stop,
        stride=stride,
        unwrap=unwrap,
        why_no_time=_WHY_NO_TIME.get(kind, f"{paths[0]} does not say the time of its frames"),
        frame_ps=frame_ps,
    )


def _read_one(
    path: Path,
    kind: str,
    *,
    topology: Path | None,
    types: Sequence[str] | None,
    timestep_ps: float | None,
    temperature_K: float,
    mobile: str | None,
) -> Raw:
    if kind == "XDATCAR":
        return read_xdatcar(path)
    if kind == "OUTCAR":
        return read_outcar(path)
    if kind == "vasprun.xml":
        return read_vasprun(path)
    if kind == "SIESTA output":
        return read_siesta(path, timestep_ps)
    if kind == "xyz":
        return read_xyz(path, topology, timestep_ps)
    if kind == "npz":
        return read_npz(path, temperature_K, mobile)
    if kind == "DeePMD npy":
        return read_deepmd(path)
    with unpacked([path]) as plain:
        raw = read_ase_traj(plain[0]) if kind == "ASE traj" else read_mdanalysis(plain[0], topology, types)
    return replace(raw, notes={**raw.notes, "files": [str(path)]})
