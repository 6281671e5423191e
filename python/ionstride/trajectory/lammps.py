"""LAMMPS text dumps of one run, in one file or in the segments that restarts leave."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import _kernels
from ..checks import Array
from ..errors import FormatError, InputError
from ..records import IntArray
from .assemble import Raw, even_times, frame_range


@dataclass(frozen=True)
class DumpPiece:
    """The frames that one segment gives to the run.

    Attributes
    ----------
    path : the dump.
    scan : what `_kernels.scan_dump` says of it.
    frames : (t) evenly spaced numbers of frames in this file.
    """

    path: Path
    scan: dict[str, Any]
    frames: IntArray

    def read(self, first: int, stop: int, threads: int = 0) -> dict[str, Any]:
        """Return `_kernels.read_dump` of `frames[first:stop]`."""
        mine = self.frames[first:stop]
        step = int(mine[1] - mine[0]) if len(mine) > 1 else 1
        return _kernels.read_dump(self.path, int(mine[0]), int(mine[-1]) + 1, step, threads, self.scan["index"])


@dataclass(frozen=True)
class DumpPlan:
    """Which frames of which segments make a run.

    Attributes
    ----------
    pieces : in the order of the run; segments that give no frame are left out.
    wanted : (T) numbers of the frames in the joined run.
    unwrapped : whether the positions of the file are unwrapped and will be taken so.
    selection : what is still to be taken of the frames once they are unwrapped.
    notes : format, files and dropped frames.
    """

    pieces: list[DumpPiece]
    wanted: IntArray
    unwrapped: bool
    selection: slice
    notes: dict[str, Any]


def plan_dumps(
    files: Sequence[Path], *, start: int | None, stop: int | None, stride: int, keep_wrapped: bool
) -> DumpPlan:
    """Choose the frames of a run; from its first step on, a later file's frames win.

    Parameters
    ----------
    files : dumps in the order of the run.
    start, stop, stride : frames of the joined run.
    keep_wrapped : whether positions will be unwrapped by minimum images even if the file has them unwrapped.

    Returns
    -------
    DumpPlan
        The chosen frames only where the file's positions are unwrapped; else all from start to stop, since steps
        over a stride may be too coarse to unwrap.
    """
    scans = [_kernels.scan_dump(path) for path in files]
    kept = [np.arange(len(scan["step"])) for scan in scans]
    for segment in range(len(scans) - 1):
        first = min(int(later["step"][0]) for later in scans[segment + 1 :])
        kept[segment] = np.flatnonzero(np.asarray(scans[segment]["step"]) < first)
    total = sum(len(k) for k in kept)
    chosen = frame_range(total, start, stop, stride)
    unwrapped = _unwrapped_columns(scans[0]["columns"]) and not keep_wrapped
    wanted = np.array(chosen if unwrapped else range(chosen.start, chosen[-1] + 1), dtype=np.int64)
    pieces = []
    offset = 0
    for path, scan, frames in zip(files, scans, kept, strict=True):
        mine = wanted[(wanted >= offset) & (wanted < offset + len(frames))] - offset
        offset += len(frames)
        if len(mine) > 0:
            pieces.append(DumpPiece(path, scan, mine))
    return DumpPlan(
        pieces=pieces,
        wanted=wanted,
        unwrapped=unwrapped,
        selection=slice(None) if unwrapped else slice(None, None, stride),
        notes={
            "format": "LAMMPS text dump",
            "files": [str(path) for path in files],
            "superseded_files": [str(path) for path, frames in zip(files, kept, strict=True) if len(frames) == 0],
            "cut_last_frames_dropped": sum(0 if scan["complete"] else 1 for scan in scans),
            "repeated_frames_dropped": sum(int(scan["repeats"]) for scan in scans)
            + sum(len(scan["step"]) - len(k) for scan, k in zip(scans, kept, strict=True)),
        },
    )


def read_dumps(
    files: Sequence[Path],
    *,
    types: Sequence[str] | None,
    timestep_ps: float | None,
    frame_ps: float | None,
    start: int | None,
    stop: int | None,
    stride: int,
    keep_wrapped: bool,
) -> Raw:
    """Read the segments of one run; from its first step on, a later file's frames win.

    Parameters
    ----------
    files : dumps in the order of the run.
    types : element of each LAMMPS type, in type order, for dumps without an element column.
    timestep_ps, frame_ps : MD time step, or time between frames; `ITEM: TIME` serves where neither is given.
    start, stop, stride : frames of the joined run.
    keep_wrapped : whether positions will be unwrapped by minimum images even if the file has them unwrapped.

    Returns
    -------
    Raw
        The frames that `plan_dumps` chooses.

    Raises
    ------
    InputError
        If the segments hold different atoms, elements are unknown, or the time between frames is.
    """
    plan = plan_dumps(files, start=start, stop=stop, stride=stride, keep_wrapped=keep_wrapped)
    time_ps = times_of(plan, timestep_ps, frame_ps)
    parts = [piece.read(0, len(piece.frames)) for piece in plan.pieces]
    for part in parts[1:]:
        check_same_atoms(files, part, parts[0])
    ends = np.cumsum([len(piece.frames) for piece in plan.pieces])
    seams = tuple(
        (int(at), str(before.path), str(after.path))
        for at, before, after in zip(ends, plan.pieces, plan.pieces[1:], strict=False)
    )
    return Raw(
        symbols=elements_of(files[0], parts[0], types),
        positions_A=np.concatenate([p["positions_A"] for p in parts]),
        cell_A=np.concatenate([p["cell_A"] for p in parts]),
        origin_A=np.concatenate([p["origin_A"] for p in parts]),
        time_ps=time_ps,
        unwrapped=plan.unwrapped,
        seams=seams,
        selection=plan.selection,
        notes={**plan.notes, "columns": str(parts[0]["kind"])},
    )


def whole_segments(files: Sequence[Path]) -> list[Path]:
    """Return those of a run's dumps that hold a whole frame; a run killed early leaves one that does not."""
    kept = []
    for path in files:
        try:
            _kernels.scan_dump(path)
        except FormatError:
            continue
        kept.append(path)
    return kept


def _unwrapped_columns(columns: Sequence[str]) -> bool:
    names = set(columns)
    images = {"ix", "iy", "iz"} <= names
    return "xu" in names or "xsu" in names or (images and ("x" in names or "xs" in names))


def check_same_atoms(files: Sequence[Path], part: dict[str, Any], first: dict[str, Any]) -> None:
    """Raise `InputError` if two parts of a run do not hold the same atoms, by id, type and element."""
    listed = ", ".join(map(str, files))
    if not np.array_equal(part["id"], first["id"]):
        raise InputError(f"the dumps {listed} hold different atoms; give segments of one run")
    for column in ("type", "element"):
        if part[column] is not None and first[column] is not None:
            differs = np.flatnonzero(np.asarray(part[column]) != np.asarray(first[column]))
            if len(differs):
                k = int(differs[0])
                raise InputError(
                    f"the dumps {listed} disagree: atom {int(first['id'][k])} is of {column} {first[column][k]} in one "
                    f"and {part[column][k]} in another; give segments of one run"
                )


def elements_of(path: Path, part: dict[str, Any], types: Sequence[str] | None) -> tuple[str, ...]:
    """Return the element of each atom (N), by its type or as the dump names it.

    Raises
    ------
    InputError
        If the dump names no elements and `types` does not name those of all types, or names others than the dump.
    """
    named = None if part["element"] is None else tuple(part["element"])
    if named is not None and part["type"] is not None and _unnamed(part["type"], named, types):
        named = None
    if types is not None and part["type"] is not None:
        largest = int(np.max(part["type"]))
        if largest > len(types):
            raise InputError(f"{path}: atoms have types up to {largest}, but --types names {len(types)}: {list(types)}")
        given = tuple(types[int(t) - 1] for t in part["type"])
        wrong = next((k for k, name in enumerate(named or ()) if name != given[k]), None)
        if named is not None and wrong is not None:
            raise InputError(
                f"{path}: --types says type {int(part['type'][wrong])} is {given[wrong]}, but the dump's own element "
                f"column says {named[wrong]}; leave --types out, or correct it"
            )
        return given
    if named is not None:
        return named
    raise InputError(
        f"{path} names no elements: give them in type order with --types (types=['Li', 'P', 'S']), "
        "or write the dump with an element column and dump_modify element"
    )


def _unnamed(types: Any, named: tuple[str, ...], given: Sequence[str] | None) -> bool:
    """Return whether all are called C, as LAMMPS does where ``dump_modify element`` is missing.

    A single type may be carbon indeed, unless the user says otherwise.
    """
    return set(named) == {"C"} and (given is not None or len(np.unique(types)) > 1)


def times_of(plan: DumpPlan, timestep_ps: float | None, frame_ps: float | None) -> Array:
    """Return the times of the wanted frames (T) in ps.

    Raises
    ------
    InputError
        If neither the caller nor the dump says the time, or the time given is not positive.
    """
    if timestep_ps is not None:
        if not timestep_ps > 0.0:
            raise InputError(f"timestep_ps = {timestep_ps:g}, wanted a time above zero")
        steps = np.concatenate([piece.scan["step"][piece.frames] for piece in plan.pieces])
        return np.asarray(steps * timestep_ps, dtype=np.float64)
    if frame_ps is None and all(piece.scan["time"] is not None for piece in plan.pieces):
        times = np.concatenate([piece.scan["time"][piece.frames] for piece in plan.pieces])
        return np.asarray(times, dtype=np.float64)
    if frame_ps is None:
        raise InputError(
            f"{plan.pieces[0].path} gives steps but no time (no ITEM: TIME): give the MD time step with --timestep-ps "
            "(timestep_ps=…), or the time between frames with --frame-ps"
        )
    return np.asarray(even_times(int(plan.wanted[-1]) + 1, frame_ps, "")[plan.wanted])
