"""From raw frames to a `Trajectory`: which frames, which times, unwrapped how."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _kernels
from ..checks import Array
from ..errors import InputError, PhysicsError
from ..records import Trajectory

UNWRAP = ("auto", "minimum-image", "given")
COARSEST_STEP = 0.4  # of a cell vector, between two frames


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
    selection: slice | None = None
    notes: dict[str, Any] = field(default_factory=dict)


def frame_range(n_frames: int, start: int | None, stop: int | None, stride: int) -> range:
    """Return the chosen frames; negative numbers count from the end.

    Raises
    ------
    InputError
        If the stride is below one or fewer than two frames are left.
    """
    if stride < 1:
        raise InputError(f"stride = {stride}, wanted 1 or more")
    chosen = range(*slice(start, stop, stride).indices(n_frames))
    if len(chosen) < 2:
        raise InputError(
            f"start {start}, stop {stop}, stride {stride} leave {len(chosen)} of {n_frames} frames, wanted two or more"
        )
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
    × mean cell.

    Raises
    ------
    PhysicsError
        If an atom moves by more than 0.4 of a cell vector between two frames that are to be unwrapped.
    """
    constant = bool(np.abs(raw.cell_A - raw.cell_A[0]).max() <= 1e-9 * np.abs(raw.cell_A[0]).max())
    if scheme == "given":
        return raw.positions_A, "positions taken as given", None
    relative = raw.positions_A - raw.origin_A[:, None, :]
    if scheme == "auto" and raw.unwrapped:
        if constant:
            return raw.positions_A, "unwrapped in the file, constant cell: taken as given", None
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
    return path, "minimum-image steps in fractional coordinates x mean cell", float(largest)


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
    time_ps = raw.time_ps
    if time_ps is None:
        time_ps = even_times(len(raw.positions_A), frame_ps, why_no_time)
    path, scheme, largest = unwrap_positions(raw, unwrap)
    part = raw.selection
    if part is None:
        chosen = frame_range(len(path), start, stop, stride)
        part = slice(chosen.start, chosen.stop, chosen.step)
    cell = raw.cell_A[part]
    constant = bool(np.abs(cell - cell[0]).max() == 0.0)
    source: dict[str, Any] = {**raw.notes, "unwrap": scheme, "frames": len(cell)}
    if largest is not None:
        source["largest_step_in_cell_vectors"] = largest
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
