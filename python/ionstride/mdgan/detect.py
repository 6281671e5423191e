"""Jumps seen in paths alone: the same rule for molecular dynamics, a generator and every baseline."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..checks import Array

IntArray = npt.NDArray[np.int64]

HOP_A = 3.0
"""The usual distance between sites of a lithium conductor; half of it is a jump's threshold."""

SMOOTH = 5
"""Records whose mean is a position: the rattling in a cage is averaged away."""

_CAP = 8  # the cage's centre is the mean of the last 8 × SMOOTH records at most, so that it may follow a slow drift


@dataclass(frozen=True)
class Jumps:
    """Jumps of ions, in the order of the ions and of time.

    Attributes
    ----------
    ion : (J) number of the ion.
    record : (J) record at which it left its cage.
    vector_A : (J, 3) from the centre of the old cage to that of the new one.
    n_ions : ions looked at.
    n_records : records looked at, of each ion.
    dt_ps : time between records.
    threshold_A : a jump is longer than this.
    """

    ion: IntArray
    record: IntArray
    vector_A: Array
    n_ions: int
    n_records: int
    dt_ps: float
    threshold_A: float

    @property
    def observed_ps(self) -> float:
        """Ion-picoseconds looked at."""
        return self.n_ions * self.n_records * self.dt_ps

    @property
    def followed(self) -> npt.NDArray[np.bool_]:
        """(J) whether another jump of the same ion was seen after it."""
        return np.append(self.ion[1:] == self.ion[:-1], False)[: len(self.ion)]

    @property
    def back(self) -> npt.NDArray[np.bool_]:
        """(J) whether the ion's next jump takes it back to where this one started."""
        both = np.zeros(len(self.ion), dtype=np.bool_)
        if len(both) > 1:
            together = self.vector_A[:-1] + self.vector_A[1:]
            both[:-1] = (together * together).sum(axis=1) < self.threshold_A**2
        return both & self.followed

    @property
    def waits_ps(self) -> Array:
        """Times between two jumps of an ion, both of them seen."""
        ahead = np.diff(self.record, append=0) * self.dt_ps
        return np.asarray(ahead[self.followed])


def detect_jumps(x_A: Array, dt_ps: float, hop_A: float = HOP_A) -> Jumps:
    """Return the jumps of ions from cage to cage.

    An ion jumps when the mean of its last `SMOOTH` records is further than half of `hop_A` from the centre of its
    cage, and is still that far `SMOOTH` records later; the new cage begins there.  The centre is the running mean of
    what was seen since the last jump.

    Parameters
    ----------
    x_A : (n, T, 3) positions at the records.
    dt_ps : time between records.
    hop_A : distance of sites.
    """
    ions, count = x_A.shape[0], x_A.shape[1] - SMOOTH + 1
    threshold = 0.5 * hop_A
    if count < 2:
        empty = np.zeros(0, dtype=np.int64)
        return Jumps(empty, empty, np.zeros((0, 3)), ions, max(count, 0), dt_ps, threshold)
    summed = np.concatenate([np.zeros((1, ions, 3)), np.cumsum(x_A.transpose(1, 0, 2), axis=0)])
    mean = (summed[SMOOTH:] - summed[:-SMOOTH]) / SMOOTH
    centre, age = mean[0].copy(), np.ones(ions)
    settle = np.zeros(ions, dtype=np.int64)
    left = np.zeros(ions, dtype=np.int64)
    found: list[tuple[IntArray, IntArray, Array]] = []
    for t in range(1, count):
        away = mean[t] - centre
        far = np.einsum("ij,ij->i", away, away) > threshold**2
        settling = settle > 0
        if settling.any():
            settle[settling] -= 1
            now = settling & (settle == 0)
            jumped = np.flatnonzero(now & far)
            if len(jumped):
                found.append((jumped, left[jumped].copy(), away[jumped]))
                centre[jumped] = mean[t, jumped]
                age[jumped] = 0.0
        leaving = far & ~settling
        settle[leaving] = SMOOTH
        left[leaving] = t
        calm = ~(far | settling)
        age[calm] += 1.0
        centre[calm] += away[calm] / np.minimum(age[calm], _CAP * SMOOTH)[:, None]
    if not found:
        empty = np.zeros(0, dtype=np.int64)
        return Jumps(empty, empty, np.zeros((0, 3)), ions, count, dt_ps, threshold)
    ion, record = np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])
    order = np.lexsort((record, ion))
    return Jumps(
        ion[order].astype(np.int64), record[order], np.concatenate([f[2] for f in found])[order], ions, count, dt_ps,
        threshold,
    )  # fmt: skip
