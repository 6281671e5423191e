"""Parts of one run made one: clocks, repeated frames, and whether each part goes on where the last one ended."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import InputError, PhysicsError
from .assemble import COARSEST_STEP, Raw

SAME_FRAME = 1e-6  # of a cell vector, for every atom
UNUSUAL = 3.0  # times the usual root-mean-square step, at a seam
_NEIGHBOURS = 20  # frames on each side of a seam that say what is usual


def join(parts: Sequence[Raw]) -> Raw:
    """Join the parts of one run, in the order given.

    Where a part's clock overlaps that of the one before, the later part's frames win, as in LAMMPS dumps after a
    restart.  Where it starts anew, it is set forward to go on after the part before.  A first frame that repeats the
    last of the part before is dropped.

    Raises
    ------
    InputError
        If the parts hold different atoms.
    """
    whole = parts[0]
    for part in parts[1:]:
        whole = _append(whole, part)
    return whole


def _append(first: Raw, later: Raw) -> Raw:
    names = first.notes["files"][-1], later.notes["files"][0]
    if later.symbols != first.symbols:
        raise InputError(f"{names[1]} holds other atoms than {names[0]}; give the parts of one run")
    keep, skip, later_time = len(first.positions_A), 0, later.time_ps
    if first.time_ps is not None and later_time is not None:
        if first.time_ps[0] < later_time[0] <= first.time_ps[-1]:
            keep = int(np.searchsorted(first.time_ps, later_time[0]))
        elif later_time[0] <= first.time_ps[0]:
            later_time = None  # its clock starts anew
    if keep == len(first.positions_A) and len(later.positions_A) > 1:
        change = _fractional(later, slice(0, 1)) - _fractional(first, slice(-1, None))
        skip = int(np.abs(change - np.rint(change)).max() < SAME_FRAME)
    time_ps = None
    if first.time_ps is not None and later.time_ps is not None:
        end = first.time_ps[:keep]
        if later_time is None:
            clock = later.time_ps if len(later.time_ps) > 1 else first.time_ps
            step = clock[1] - clock[0] if len(clock) > 1 else 1.0
            later_time = later.time_ps - later.time_ps[skip] + first.time_ps[-1] + step
        time_ps = np.concatenate([end, later_time[skip:]])
    notes: dict[str, Any] = {**first.notes, "files": first.notes["files"] + later.notes["files"]}
    for name in ("cut_last_frames_dropped", "repeated_frames_dropped"):
        notes[name] = first.notes.get(name, 0) + later.notes.get(name, 0)
    notes["repeated_frames_dropped"] += skip + len(first.positions_A) - keep
    return replace(
        first,
        positions_A=np.concatenate([first.positions_A[:keep], later.positions_A[skip:]]),
        cell_A=np.concatenate([first.cell_A[:keep], later.cell_A[skip:]]),
        origin_A=np.concatenate([first.origin_A[:keep], later.origin_A[skip:]]),
        time_ps=time_ps,
        unwrapped=first.unwrapped and later.unwrapped,
        seams=(*first.seams, (keep, *names)),
        notes=notes,
    )


def check_seams(raw: Raw, *, unwrapped: bool) -> list[str]:
    """Check that each part goes on where the one before ended; return notes on seams that look unlike the rest.

    Parameters
    ----------
    raw : the joined run.
    unwrapped : whether positions will be taken as unwrapped, so that whole cells count as a jump.

    Raises
    ------
    PhysicsError
        If an atom jumps by more than 0.4 of a cell vector over a seam (unwrapped positions: and by half as much
        again as in any step beside it).
    """
    notes = []
    for frame, before, after in raw.seams:
        if not 0 < frame < len(raw.positions_A):
            continue
        around = slice(max(frame - 1 - _NEIGHBOURS, 0), frame + 1 + _NEIGHBOURS)
        steps = np.diff(_fractional(raw, around), axis=0)
        if not unwrapped:
            steps -= np.rint(steps)
        seam = frame - 1 - around.start
        largest = np.abs(steps).max(axis=(1, 2))
        others = np.delete(np.arange(len(steps)), seam)
        usual = float(largest[others].max()) if len(others) else 0.0
        if largest[seam] > COARSEST_STEP and (not unwrapped or largest[seam] > 1.5 * usual):
            raise PhysicsError(
                f"from the last frame of {before} to the first of {after} an atom moves by {largest[seam]:.2f} of a "
                f"cell vector (above {COARSEST_STEP:g}), so they are not consecutive parts of one run: give the parts "
                "in order and without gaps, or as runs of their own"
            )
        size = np.sqrt(np.mean((steps @ raw.cell_A[frame]) ** 2, axis=(1, 2)) * 3.0)
        if len(others) and size[seam] > UNUSUAL * np.median(size[others]):
            notes.append(
                f"from {before} to {after} atoms move by {size[seam]:.2g} Å (root mean square), usually by "
                f"{np.median(size[others]):.2g} Å between frames: is a part missing, or the order wrong?"
            )
    return notes


def _fractional(raw: Raw, frames: slice) -> Array:
    relative = raw.positions_A[frames] - raw.origin_A[frames, None, :]
    return np.asarray(relative @ np.linalg.inv(raw.cell_A[frames]))
