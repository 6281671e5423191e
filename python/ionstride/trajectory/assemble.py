"""From raw frames to a `Trajectory`: which frames, which times, unwrapped how."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _kernels
from ..checks import Array
from ..errors import InputError, PhysicsError
from ..records import Trajectory
from .unwrap import constant_cell, in_scheme

UNWRAP = ("auto", "minimum-image", "given", "tor", "lattice")
COARSEST_STEP = 0.4  # of a cell vector, between two frames
_CELL_STEP = 0.2  # of a cell vector: what the cell may change by between two frames


@dataclass(frozen=True)
class Raw:
    """Frames as read.

    Attributes
    ----------
    symbols : (N) element names.
    positions_A : (T, N, 3), wrapped or not.
    cell_A : (T, 3, 3).
    origin_A : (T, 3) corner of the cell.
    time_ps : (T), or None if the file does not say.
    unwrapped : whether the file says that its positions are free of periodic wrapping.
    seams : for each later part of the run, its first frame and the names of the part before and of its own.
    selection : what is still to be taken of these frames once they are unwrapped, where the reader has applied
        `start` and `stop`; None where it has not.
    notes : format, dropped frames and the like, for `source`.
    """

    symbols: tuple[str, ...]
    positions_A: Array
    cell_A: Array
    origin_A: Array
    time_ps: Array | None
    unwrapped: bool
    seams: tuple[tuple[int, str, str], ...] = ()
    selection: slice | None = None
    notes: dict[str, Any] = field(default_factory=dict)


def later_wins(steps: Sequence[int | None]) -> list[int]:
    """Return the frames that count where a restart wrote some steps again; all if steps are unknown."""
    kept: list[int] = []
    for number, step in enumerate(steps):
        while step is not None and kept and (last := steps[kept[-1]]) is not None and last >= step:
            kept.pop()
        kept.append(number)
    return kept


def looks_cut(rows: Sequence[str]) -> bool:
    """Tell whether the last of a frame's lines seems to end within a number: no line end, and shorter than all."""
    if rows[-1].endswith("\n"):
        return False
    words = len(rows[-1].split()) < len(rows[0].split())
    return words or len(rows[-1].rstrip()) < min((len(row.rstrip()) for row in rows[:-1]), default=0)


def frame_range(n_frames: int, start: int | None, stop: int | None, stride: int) -> range:
    """Return the chosen frames; negative numbers count from the end.

    Raises
    ------
    InputError
        If the stride is below one or fewer than two frames are left.
    """
    if stride < 1:
        raise InputError(f"stride = {stride}, wanted 1 or more")
    if n_frames < 2:
        raise InputError(f"the trajectory holds {n_frames} frame, wanted two or more: nothing moves in one frame")
    chosen = range(*slice(start, stop, stride).indices(n_frames))
    if len(chosen) < 2:
        given = [("--start", start), ("--stop", stop), ("--stride", stride if stride != 1 else None)]
        said = " ".join(f"{name} {value}" for name, value in given if value is not None)
        raise InputError(f"{said}: {len(chosen)} of {n_frames} frames left, wanted two or more")
    return chosen


def even_times(n_frames: int, frame_ps: float | None, why: str) -> Array:
    """Return the times of evenly spaced frames, from 0.

    Raises
    ------
    InputError
        If `frame_ps` is not given or not positive.
    """
    if frame_ps is None:
        raise InputError(f"{why}: give the time between frames with --frame-ps (frame_ps=…)")
    if not frame_ps > 0.0:
        raise InputError(f"frame_ps = {frame_ps:g}, wanted a time above zero")
    return np.arange(n_frames, dtype=np.float64) * frame_ps


def unwrap_positions(raw: Raw, scheme: str) -> tuple[Array, str, float | None]:
    """Return unwrapped positions (T, N, 3), the scheme in words and the largest step in cell vectors.

    'auto' takes the positions as they are where the file says that they are unwrapped and the cell is constant.
    Where the cell changes, image counts are multiples of each frame's own cell, so positions are referred to the
    mean cell: fractional coordinates × mean cell (otherwise far ions would breathe with the box and seem to
    diffuse).  Wrapped positions, and all with 'minimum-image', go by minimum-image steps in fractional coordinates
    × mean cell.  'tor' and 'lattice' are those of `unwrap.py`; in a constant cell all schemes give the same path.

    Raises
    ------
    PhysicsError
        If an atom moves by more than 0.4 of a cell vector between two frames that are to be unwrapped, or the cell
        vectors are exchanged for others of the same lattice within the run.
    """
    if scheme == "given":
        return raw.positions_A, "positions taken as given", None
    constant = constant_cell(raw.cell_A)
    if not constant:
        _check_cell_steps(raw.cell_A)
    relative = raw.positions_A - raw.origin_A[:, None, :]
    if scheme in ("auto", "lattice") and raw.unwrapped:
        if constant:
            return raw.positions_A, "unwrapped in the file, constant cell: taken as given", None
        if scheme == "lattice":
            return relative, "lattice view: fractional coordinates x current cell, unwrapped in the file", None
        fractional = relative @ np.linalg.inv(raw.cell_A)
        path = fractional @ raw.cell_A.mean(axis=0)
        return path, "unwrapped in the file, changing cell: fractional coordinates x mean cell", None
    cell = raw.cell_A[0] if constant else raw.cell_A
    path, largest = _kernels.unwrap(np.ascontiguousarray(relative), np.ascontiguousarray(cell))
    if largest > COARSEST_STEP:
        raise PhysicsError(
            f"between two frames an atom moves by {largest:.2f} of a cell vector (above {COARSEST_STEP:g}), so its "
            "path cannot be unwrapped; record frames more often, write unwrapped positions (xu yu zu), or, if they are "
            "unwrapped already, say --unwrap given"
        )
    if constant or scheme in ("auto", "minimum-image"):
        return path, "minimum-image steps in fractional coordinates x mean cell", float(largest)
    return *in_scheme(path @ np.linalg.inv(raw.cell_A.mean(axis=0)), raw.cell_A, scheme), float(largest)


def _check_cell_steps(cell_A: Array) -> None:
    change = np.abs(np.diff(cell_A, axis=0)).max(axis=(1, 2)) / np.linalg.norm(cell_A[:-1], axis=2).max(axis=1)
    if change.max() > _CELL_STEP:
        frame = int(change.argmax()) + 1
        raise PhysicsError(
            f"the cell vectors change by {change.max():.0%} between frames {frame - 1} and {frame}: not breathing but "
            "other vectors (LAMMPS flips strongly tilted boxes, unless told flip no), so paths cannot be followed over "
            "it; analyse the frames before and after it as runs of their own (--start, --stop)"
        )


def assemble(
    raw: Raw,
    *,
    temperature_K: float,
    start: int | None,
    stop: int | None,
    stride: int,
    unwrap: str,
    why_no_time: str,
    frame_ps: float | None,
) -> Trajectory:
    """Return the trajectory of raw frames.

    Raises
    ------
    InputError
        If the time between frames is unknown, or too few frames are chosen.
    PhysicsError
        If frames are too coarse to unwrap.
    """
    part = raw.selection
    if part is None:
        chosen = frame_range(len(raw.positions_A), start, stop, stride)
        part = slice(chosen.start, chosen.stop, chosen.step)
    time_ps = raw.time_ps
    if time_ps is None:
        time_ps = even_times(len(raw.positions_A), frame_ps, why_no_time)
    path, scheme, largest = unwrap_positions(raw, unwrap)
    cell = raw.cell_A[part]
    constant = bool(np.abs(cell - cell[0]).max() == 0.0)
    source: dict[str, Any] = {**raw.notes, "unwrap": scheme, "frames": len(cell)}
    if not source.get("time"):
        source["time"] = "as in the file" if raw.time_ps is not None else f"{frame_ps:g} ps between frames, as given"
    if largest is not None:
        source["largest_step_in_cell_vectors"] = largest
    if unwrap in ("auto", "minimum-image") and not constant:
        # Positions are fractional coordinates x this cell.
        source["reference_cell_A"] = raw.cell_A.mean(axis=0).tolist()
    if (start, stop, stride) != (None, None, 1):
        source["selection"] = {"start": start, "stop": stop, "stride": stride}
    return Trajectory(
        symbols=raw.symbols,
        positions_A=path[part],
        cell_A=cell[0] if constant else cell,
        time_ps=time_ps[part],
        temperature_K=temperature_K,
        source=source,
    )
