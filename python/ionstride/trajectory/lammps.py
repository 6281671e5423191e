"""LAMMPS text dumps of one run, in one file or in the segments that restarts leave."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import _kernels
from ..checks import Array
from ..errors import FormatError, InputError
from .assemble import Raw, even_times, frame_range


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
        The chosen frames only where the file's positions are unwrapped; else all from start to stop, since steps
        over a stride may be too coarse to unwrap.

    Raises
    ------
    InputError
        If the segments hold different atoms, elements are unknown, or the time between frames is.
    """
    scans = [_kernels.scan_dump(path) for path in files]
    kept = [np.arange(len(scan["step"])) for scan in scans]
    for segment in range(len(scans) - 1):
        first = min(int(later["step"][0]) for later in scans[segment + 1 :])
        kept[segment] = np.flatnonzero(np.asarray(scans[segment]["step"]) < first)
    total = sum(len(k) for k in kept)
    chosen = frame_range(total, start, stop, stride)
    unwrapped = _unwrapped_columns(scans[0]["columns"]) and not keep_wrapped
    wanted = np.array(chosen if unwrapped else range(chosen.start, chosen[-1] + 1))
    parts: list[dict[str, Any]] = []
    seams: list[tuple[int, str, str]] = []
    taken = offset = 0
    before = ""
    for path, scan, frames in zip(files, scans, kept, strict=True):
        mine = wanted[(wanted >= offset) & (wanted < offset + len(frames))] - offset
        offset += len(frames)
        if len(mine) > 0:
            step = int(mine[1] - mine[0]) if len(mine) > 1 else 1
            parts.append(_kernels.read_dump(path, int(mine[0]), int(mine[-1]) + 1, step, 0, scan["index"]))
            if before:
                seams.append((taken, before, str(path)))
            before = str(path)
            taken += len(mine)
    _check_same_atoms(files, parts)
    return Raw(
        symbols=_elements(files[0], parts[0], types),
        positions_A=np.concatenate([p["positions_A"] for p in parts]),
        cell_A=np.concatenate([p["cell_A"] for p in parts]),
        origin_A=np.concatenate([p["origin_A"] for p in parts]),
        time_ps=_times(parts, wanted, timestep_ps, frame_ps),
        unwrapped=unwrapped,
        seams=tuple(seams),
        selection=slice(None) if unwrapped else slice(None, None, stride),
        notes={
            "format": "LAMMPS text dump",
            "files": [str(path) for path in files],
            "columns": str(parts[0]["kind"]),
            "superseded_files": [str(path) for path, frames in zip(files, kept, strict=True) if len(frames) == 0],
            "cut_last_frames_dropped": sum(0 if scan["complete"] else 1 for scan in scans),
            "repeated_frames_dropped": sum(int(scan["repeats"]) for scan in scans)
            + sum(len(scan["step"]) - len(k) for scan, k in zip(scans, kept, strict=True)),
        },
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


def _check_same_atoms(files: Sequence[Path], parts: list[dict[str, Any]]) -> None:
    for part in parts[1:]:
        if not np.array_equal(part["id"], parts[0]["id"]):
            raise InputError(f"the dumps {', '.join(map(str, files))} hold different atoms; give segments of one run")


def _elements(path: Path, part: dict[str, Any], types: Sequence[str] | None) -> tuple[str, ...]:
    if types is not None and part["type"] is not None:
        largest = int(np.max(part["type"]))
        if largest > len(types):
            raise InputError(f"{path}: atoms have types up to {largest}, but --types names {len(types)}: {list(types)}")
        return tuple(types[int(t) - 1] for t in part["type"])
    if part["element"] is not None:
        return tuple(part["element"])
    raise InputError(
        f"{path} names no elements: give them in type order with --types (types=['Li', 'P', 'S']), "
        "or write the dump with an element column and dump_modify element"
    )


def _times(
    parts: list[dict[str, Any]], frame_number: np.ndarray[Any, Any], timestep_ps: float | None, frame_ps: float | None
) -> Array:
    if timestep_ps is not None:
        if not timestep_ps > 0.0:
            raise InputError(f"timestep_ps = {timestep_ps:g}, wanted a time above zero")
        return np.asarray(np.concatenate([p["step"] for p in parts]) * timestep_ps, dtype=np.float64)
    if frame_ps is None and all(p["time"] is not None for p in parts):
        return np.asarray(np.concatenate([p["time"] for p in parts]), dtype=np.float64)
    why = "the dump gives steps but no time (no ITEM: TIME, and no --timestep-ps)"
    return np.asarray(even_times(int(frame_number[-1]) + 1, frame_ps, why)[frame_number])
