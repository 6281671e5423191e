"""Windows of increments: what a generator of trajectories is trained on, split without leaks."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import _kernels
from ..checks import Array, as_array, check_choice
from ..errors import InputError, PhysicsError
from ..records import Displacements

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

LENGTH = 128
"""Records in a window, unless asked otherwise."""

_EVEN = 1e-4  # relative spread of the time steps that still counts as even


@dataclass(frozen=True)
class Records:
    """Paths of the mobile ions at the stride, a run each.

    Attributes
    ----------
    x_A : an array a run, (n_ions, n_records, 3) float64 positions in Å, unwrapped, drift removed.
    dt_ps : time between records.
    stride : frames between records.
    temperature_K : temperature.
    species : element of the mobile ions.
    source : provenance.
    """

    x_A: tuple[Array, ...]
    dt_ps: float
    stride: int
    temperature_K: float
    species: str
    source: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Windows:
    """Stretches of paths from which windows of increments are cut at any frame.

    Attributes
    ----------
    r_A : (n_ions, T, 3) float64 positions in Å at the full rate.
    run : (n_ions) number of the run of each ion.
    length : increments in a window, L.
    stride : frames between records.
    frame_ps : time between frames.
    ion, begin, end : (S) a stretch each: ion, first frame, frame after its last.
    temperature_K : temperature.
    """

    r_A: Array
    run: IntArray
    length: int
    stride: int
    frame_ps: float
    ion: IntArray
    begin: IntArray
    end: IntArray
    temperature_K: float

    @property
    def dt_ps(self) -> float:
        """Time between records in ps."""
        return self.frame_ps * self.stride

    @property
    def span(self) -> int:
        """Frames from the first record of a window to its last."""
        return self.length * self.stride

    @property
    def starts(self) -> IntArray:
        """(S) number of frames at which a window of the stretch may start."""
        return np.asarray(np.maximum(self.end - self.begin - self.span, 0), dtype=np.int64)

    @property
    def n_overlapping(self) -> int:
        """Windows that differ in their start."""
        return int(self.starts.sum())

    @property
    def n_independent(self) -> int:
        """Windows that do not overlap: the honest sample size."""
        return int(((self.end - self.begin - 1) // self.span).sum())

    @property
    def ion_ps(self) -> float:
        """Ion-picoseconds of the stretches."""
        return float((self.end - self.begin - 1).sum()) * self.frame_ps

    def sample(self, batch: int, rng: np.random.Generator, *, together: int = 1) -> FloatArray:
        """Return windows at random starts, (B, L, 3·together) increments in Å; every start is as likely.

        The array is new and C-contiguous, so that ``torch.from_numpy`` takes it without a copy.

        Parameters
        ----------
        batch : windows B.
        rng : source of randomness.
        together : ions of one run side by side in a window; their order is random.

        Raises
        ------
        InputError
            If a run has fewer ions than are wanted together.
        """
        cumulative = np.cumsum(self.starts)
        picked = rng.integers(cumulative[-1], size=batch)
        stretch = np.searchsorted(cumulative, picked, side="right")
        start = self.begin[stretch] + (picked - (cumulative[stretch] - self.starts[stretch]))
        if together == 1:
            return _kernels.gather_windows(self.r_A, self.ion[stretch], start, self.length, self.stride)
        ions = self._companions(stretch, together, rng)
        cut = _kernels.gather_windows(self.r_A, ions.ravel(), np.repeat(start, together), self.length, self.stride)
        cut = cut.reshape(batch, together, self.length, 3).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(cut).reshape(batch, self.length, 3 * together)

    def _companions(self, stretch: IntArray, together: int, rng: np.random.Generator) -> IntArray:
        """Return (B, together) different ions of the stretch's run and frames, its own ion first."""
        ions = np.empty((len(stretch), together), dtype=np.int64)
        group = np.stack([self.run[self.ion], self.begin, self.end], axis=1)
        for row, one in enumerate(stretch):
            others = self.ion[(group == group[one]).all(axis=1)]
            others = others[others != self.ion[one]]
            if len(others) < together - 1:
                raise InputError(
                    f"{together} ions together were asked for, but a run has {len(others) + 1}; take fewer together"
                )
            ions[row] = [self.ion[one], *rng.choice(others, together - 1, replace=False)]
        return ions

    def independent(self) -> FloatArray:
        """Return all windows of a tiling without overlaps, (n_independent, L, 3) increments in Å."""
        count = (self.end - self.begin - 1) // self.span
        ion = np.repeat(self.ion, count)
        tile = np.concatenate([np.arange(n) for n in count]) if len(count) else np.zeros(0, dtype=np.int64)
        start = np.repeat(self.begin, count) + tile * self.span
        return _kernels.gather_windows(self.r_A, ion, start.astype(np.int64), self.length, self.stride)

    def paths(self) -> Iterator[Array]:
        """Give the stretches as arrays of positions at the full rate, (ions, frames, 3), those of one run together."""
        keys = np.stack([self.run[self.ion], self.begin, self.end], axis=1)
        for key in np.unique(keys, axis=0):
            ions = self.ion[(keys == key).all(axis=1)]
            yield self.r_A[ions, key[1] : key[2]]


def frame_ps_of(displacements: Displacements) -> float:
    """Return the time between frames in ps.

    Raises
    ------
    InputError
        If the frames are not evenly spaced in time.
    """
    step = np.diff(displacements.time_ps)
    mean = float(displacements.time_ps[-1] - displacements.time_ps[0]) / len(step)
    if float(np.abs(step - mean).max()) > _EVEN * mean:
        raise InputError(
            f"the frames are not evenly spaced ({step.min():.4g} to {step.max():.4g} ps apart); a generator needs one "
            "time step: give a trajectory recorded evenly"
        )
    return mean


def check_moving(displacements: Displacements) -> None:
    """Raise `InputError` if an ion has the same position in all frames: it is no mobile ion, or its data are lost."""
    still = np.flatnonzero((displacements.r_A == displacements.r_A[:, :1]).all(axis=(1, 2)))
    if len(still):
        raise InputError(
            f"{len(still)} of {len(displacements.species)} mobile ions do not move at all (the first is ion "
            f"{still[0]} of run {displacements.run[still[0]]}); leave them out, or look at how they were recorded"
        )


def records(displacements: Displacements, stride: int = 1) -> Records:
    """Return the paths at every `stride`-th frame, a run each.

    Raises
    ------
    InputError
        If times are uneven, an ion does not move, or the stride leaves fewer than two records.
    """
    frame_ps = frame_ps_of(displacements)
    check_moving(displacements)
    _check_sizes(displacements, 1, stride)
    numbers = np.unique(displacements.run)
    return Records(
        x_A=tuple(displacements.r_A[displacements.run == number, ::stride] for number in numbers),
        dt_ps=frame_ps * stride,
        stride=stride,
        temperature_K=displacements.temperature_K,
        species=displacements.species[0],
        source=dict(displacements.source),
    )


def windows(displacements: Displacements, length: int = LENGTH, stride: int = 1) -> Windows:
    """Return all windows of `length` increments of `stride` frames.

    Raises
    ------
    InputError
        If times are uneven, an ion does not move, or the trajectory is shorter than a window.
    """
    frame_ps = frame_ps_of(displacements)
    check_moving(displacements)
    _check_sizes(displacements, length, stride)
    n, frames = displacements.r_A.shape[:2]
    return Windows(
        r_A=displacements.r_A,
        run=displacements.run,
        length=length,
        stride=stride,
        frame_ps=frame_ps,
        ion=np.arange(n),
        begin=np.zeros(n, dtype=np.int64),
        end=np.full(n, frames, dtype=np.int64),
        temperature_K=displacements.temperature_K,
    )


def split_windows(
    displacements: Displacements,
    length: int = LENGTH,
    stride: int = 1,
    validation: Literal["time", "run"] = "time",
    part: float = 0.2,
) -> tuple[Windows, Windows]:
    """Return windows for training and for validation that share no frame, nor frames less than a window apart.

    Parameters
    ----------
    displacements : the paths.
    length, stride : of the windows.
    validation : 'time': the last part of every run, after a gap of `length` × `stride` frames; 'run': whole runs,
        the last ones.
    part : part of the frames or runs that is held out.

    Raises
    ------
    InputError
        If a side is left without a window, or there is one run alone where runs are to be held out.
    """
    check_choice("validation", validation, ("time", "run"))
    if not 0.0 < part < 1.0:
        raise InputError(f"the part held out for validation is {part:g}, wanted between 0 and 1, such as 0.2")
    every = windows(displacements, length, stride)
    if validation == "run":
        numbers = np.unique(displacements.run)
        if len(numbers) < 2:
            raise InputError("there is one run, so none can be held out whole; hold out a part of its time instead")
        held = numbers[len(numbers) - min(max(1, round(part * len(numbers))), len(numbers) - 1) :]
        out = np.isin(displacements.run, held)
        return _of_ions(every, ~out), _of_ions(every, out)
    frames = displacements.r_A.shape[1]
    span = every.span
    kept = frames - max(round(part * frames), span + 1) - span
    if kept <= span:
        raise InputError(
            f"the runs have {frames} frames, too few to hold out a part of their time: windows of {length} records of "
            f"{stride} frames need {3 * span + 2}; take a shorter window or stride, or hold out whole runs"
        )
    train = replace(every, end=np.full_like(every.end, kept))
    held_out = replace(every, begin=np.full_like(every.begin, kept + span))
    return train, held_out


def _of_ions(every: Windows, chosen: npt.NDArray[np.bool_]) -> Windows:
    return replace(every, ion=every.ion[chosen], begin=every.begin[chosen], end=every.end[chosen])


def _check_sizes(displacements: Displacements, length: int, stride: int) -> None:
    frames = displacements.r_A.shape[1]
    if length < 1 or stride < 1:
        raise InputError(f"the window is {length} records of {stride} frames, wanted 1 or more of both")
    if length * stride >= frames:
        raise InputError(
            f"the trajectory has {frames} frames, shorter than a window of {length} records of {stride} frames, which "
            f"needs {length * stride + 1}; take a shorter window or stride, or a longer trajectory"
        )


def reverse(x: Any) -> Any:
    """Return increments (…, L, C) run backwards in time: d'(n) = −d(L − 1 − n), as exact as detailed balance."""
    return -x[..., ::-1, :]


def point_group(x: Any, operations: Any, rng: np.random.Generator) -> Any:
    """Return windows (B, L, 3·P) each turned by an operation of the crystal's point group, picked at random.

    Parameters
    ----------
    x : increments in Å.
    operations : (G, 3, 3) orthogonal Cartesian matrices; r' = R r.
    rng : source of randomness.

    Raises
    ------
    InputError
        If an operation is not orthogonal.
    """
    matrices = as_array("operations", operations, (None, 3, 3))
    if not np.allclose(matrices @ matrices.transpose(0, 2, 1), np.eye(3), atol=1e-6):
        raise InputError("a point-group operation is not orthogonal; give Cartesian matrices, not fractional ones")
    picked = matrices[rng.integers(len(matrices), size=len(x))].astype(x.dtype)
    vectors = x.reshape(len(x), -1, 3)
    return np.einsum("bij,bnj->bni", picked, vectors).reshape(x.shape)


def cubic_operations() -> Array:
    """Return the 48 operations of m-3m as matrices, (48, 3, 3)."""
    from itertools import permutations, product

    found = []
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[np.arange(3), order] = signs
            found.append(matrix)
    return np.array(found)


def msd_of_windows(train: Windows, last: int | None = None) -> Array:
    """Return the MSD per axis at 0 … `last` records from all frames as origins, (last + 1, 3) in Å².

    Parameters
    ----------
    train : the windows.
    last : longest lag in records; L if None.

    Raises
    ------
    PhysicsError
        If no stretch is as long as the longest lag.
    """
    last = train.length if last is None else last
    total, pairs = np.zeros((last + 1, 3)), np.zeros(last + 1)
    for path in train.paths():
        longest = min(last, (path.shape[1] - 1) // train.stride)
        lags = np.arange(1, longest + 1) * train.stride
        tensor, _ = _kernels.displacement_moments(np.ascontiguousarray(path), lags)
        count = len(path) * (path.shape[1] - lags)
        total[1 : longest + 1] += tensor[..., :3].mean(axis=0) * count[:, None]
        pairs[1 : longest + 1] += count
    if (pairs[1:] == 0).any():
        raise PhysicsError(f"no stretch of the training data is {last} records long; ask for a shorter lag")
    return total / np.maximum(pairs, 1.0)[:, None]


def increment_covariance(msd_A2: Array) -> Array:
    """Return C(k) = ⟨d(n) d(n + k)⟩ of each axis at k = 0 … M − 1 from the MSD at 0 … M records, (M, 3) in Å².

    C(k) is half the second difference of the MSD, and C(0) is the MSD of one record.

    Parameters
    ----------
    msd_A2 : (M + 1, 3) per axis, the first row zero.
    """
    inner = 0.5 * (msd_A2[2:] - 2.0 * msd_A2[1:-1] + msd_A2[:-2])
    return np.concatenate([msd_A2[1:2], inner])
