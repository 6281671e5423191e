"""Hops of the mobile ions in labelled frames that are in order of time, and how far along a hop each frame is."""

from dataclasses import dataclass

import numpy as np

from .. import transport
from ..checks import Array
from ..errors import PhysicsError
from ..mdgan.detect import HOP_A, SMOOTH, detect_jumps
from ..records import IntArray, Trajectory

RECORD_PS = 0.05
"""Frames nearer in time than this are thinned before hops are looked for: the mean of five is then a place."""

COARSEST_PS = 0.25
"""Frames further apart than this (on average) pass over hops."""

STAY_PS = 2.0
"""What is looked at before and after a hop, at most."""

FEWEST_FRAMES = 4
LONGEST = 1.5
"""Of the distance of sites: a longer hop is two in one, whose middle is a site and no saddle."""
ASIDE = 0.5


@dataclass(frozen=True)
class Hop:
    """One hop of one ion from the place where it was to the place where it stays.

    Attributes
    ----------
    atom : number of the ion among all atoms.
    rows : (F) frames of the run from the stay before to the stay after.
    u : (F) how far along the hop the ion is: −½ at the place before, ½ at the place after, 0 half-way.
    direction : (3) unit vector from the place before to the place after.
    length_A : between the two places.
    time_ps : when the ion left.
    """

    atom: int
    rows: IntArray
    u: Array
    direction: Array
    length_A: float
    time_ps: float


def find_hops(path: Trajectory, mobile: str, hop_A: float = HOP_A) -> list[Hop]:
    """Return the hops of a run, frames even in time or not.

    Jumps are those of `mdgan.detect`: the mean of five records leaves its cage by half of `hop_A` and stays away.  The
    two places are the medians of what was seen up to 2 ps before and after, between the jumps before and after.

    Parameters
    ----------
    path : the run, unwrapped.
    mobile : element.
    hop_A : distance of sites.

    Raises
    ------
    PhysicsError
        If frames are too far apart in time to see a hop.
    """
    moved = transport.displacements([path], mobile)
    time = np.asarray(moved.time_ps)
    step = float(time[-1] - time[0]) / (len(time) - 1)
    if step > COARSEST_PS:
        raise PhysicsError(
            f"frames are {step:.3g} ps apart, above {COARSEST_PS:g} ps: an ion crosses from site to site between two"
        )
    records = _thinned(time, RECORD_PS)
    record_ps = float(time[records[-1]] - time[records[0]]) / max(1, len(records) - 1)
    jumps = detect_jumps(moved.r_A[:, records], record_ps, hop_A)
    atoms = np.flatnonzero(np.array(path.symbols) == mobile)
    found = []
    for k in range(len(jumps.ion)):
        ion = int(jumps.ion[k])
        left, settled = records[jumps.record[k]], records[min(jumps.record[k] + SMOOTH, len(records) - 1)]
        begin, end = time[0], time[-1]
        if k > 0 and jumps.ion[k - 1] == ion:
            begin = time[records[min(jumps.record[k - 1] + SMOOTH, len(records) - 1)]]
        if k + 1 < len(jumps.ion) and jumps.ion[k + 1] == ion:
            end = time[records[jumps.record[k + 1]]]
        before = (time >= max(begin, time[left] - STAY_PS)) & (time <= time[left])
        after = (time >= time[settled]) & (time <= min(end, time[settled] + STAY_PS))
        if before.sum() < FEWEST_FRAMES or after.sum() < FEWEST_FRAMES:
            continue
        hop = _hop(moved.r_A[ion], before, after, hop_A)
        if hop is not None:
            rows, u, direction, length = hop
            found.append(Hop(int(atoms[ion]), rows, u, direction, length, float(time[left])))
    return found


def _thinned(time_ps: Array, step_ps: float) -> IntArray:
    kept, last = [0], time_ps[0]
    for row in range(1, len(time_ps)):
        if time_ps[row] - last >= step_ps * (1.0 - 1e-9):
            kept.append(row)
            last = time_ps[row]
    return np.array(kept, dtype=np.int64)


def _hop(r_A: Array, before: Array, after: Array, hop_A: float) -> tuple[IntArray, Array, Array, float] | None:
    here, there = np.median(r_A[before], axis=0), np.median(r_A[after], axis=0)
    length = float(np.linalg.norm(there - here))
    if not 0.5 * hop_A <= length <= LONGEST * hop_A:
        return None
    direction = (there - here) / length
    rows = np.arange(np.flatnonzero(before)[0], np.flatnonzero(after)[-1] + 1, dtype=np.int64)
    away = r_A[rows] - 0.5 * (here + there)
    u = away @ direction / length
    aside = np.linalg.norm(away - np.outer(u * length, direction), axis=1) / length
    near = aside <= ASIDE
    return rows[near], u[near], direction, length
