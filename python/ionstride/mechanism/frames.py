"""Frames as the mechanism sees them: fractional coordinates without framework drift, pairs of frames, thinning."""

import numpy as np
import numpy.typing as npt

from ..checks import Array, check_mobile
from ..errors import PhysicsError
from ..records import IntArray, Trajectory


def check_cell(trajectory: Trajectory) -> None:
    """Raise `PhysicsError` if the cell is a stand-in: a cube of the right volume says nothing of periodic images."""
    if "volume" in str(trajectory.source.get("cell", "")):
        raise PhysicsError(
            "the file gives the cell's volume and not its vectors, so periodic images are unknown: no g(r), density, "
            "sites or jumps; add cell_A (3, 3) to the file"
        )


def position_cells(trajectory: Trajectory) -> Array:
    """Return the cell that the positions refer to, (3, 3) or (T, 3, 3).

    With a changing cell, solids are unwrapped in fractional coordinates × mean cell; only positions that were not
    (their `source` says so) belong to the cell of their own frame.
    """
    if trajectory.cell_A.ndim == 2 or "mean cell" in str(trajectory.source.get("unwrap", "")):
        return trajectory.mean_cell_A
    return trajectory.cell_A


def fractional_path(
    trajectory: Trajectory,
    atoms: npt.NDArray[np.bool_],
    framework: npt.NDArray[np.bool_] | None = None,
    frames: IntArray | None = None,
) -> Array:
    """Return unwrapped fractional coordinates of some atoms, (T, n, 3).

    Parameters
    ----------
    trajectory : the run.
    atoms : (N) mask of the wanted atoms.
    framework : (N) mask of the atoms whose mean displacement since the first of these frames is taken away;
        None or no atoms takes nothing away.
    frames : (F) numbers of the wanted frames; all if not given.
    """
    cell = position_cells(trajectory)
    positions = trajectory.positions_A
    if frames is not None:
        positions = positions[frames]
        cell = cell if cell.ndim == 2 else cell[frames]
    inverse = np.linalg.inv(cell)
    path: Array = positions[:, atoms] @ inverse
    if framework is not None and framework.any():
        mean = (positions[:, framework].mean(axis=1)[:, None, :] @ inverse)[:, 0]
        path -= (mean - mean[0])[:, None, :]
    return path


def mobile_path(trajectory: Trajectory, mobile: str) -> Array:
    """Return unwrapped fractional coordinates of the mobile ions, framework drift removed, (T, n, 3).

    Raises
    ------
    InputError
        If the mobile element is absent.
    PhysicsError
        If the cell's vectors are unknown.
    """
    check_cell(trajectory)
    check_mobile(trajectory.symbols, mobile)
    ions = np.array(trajectory.symbols) == mobile
    return fractional_path(trajectory, ions, ~ions)


def mean_positions(path: Array, cell_A: Array) -> Array:
    """Return the mean positions of atoms, (n, 3) in Å, wrapped into the cell."""
    mean = path.mean(axis=0)
    wrapped: Array = (mean - np.floor(mean)) @ cell_A
    return wrapped


def thin(count: int, most: int) -> IntArray:
    """Return at most `most` of `count` numbers, evenly spread."""
    step = max(1, -(-count // max(1, most)))
    return np.arange(0, count, step, dtype=np.int64)


def frame_pairs(time_ps: Array, lag: int, most: int) -> tuple[IntArray, IntArray, float]:
    """Return pairs of frames a lag apart: first frames, second frames and their mean distance in time.

    Parameters
    ----------
    time_ps : (T), even or not.
    lag : frames (mean steps where times are uneven: then all pairs within half a mean step of it count).
    most : pairs to keep at most, evenly spread.

    Raises
    ------
    PhysicsError
        If no two frames are that far apart.
    """
    frames = len(time_ps)
    step = float(time_ps[-1] - time_ps[0]) / (frames - 1)
    if np.abs(np.diff(time_ps) - step).max() <= 1e-6 * step + 1e-15 * float(np.abs(time_ps).max()) * 8:
        first = np.arange(frames - lag, dtype=np.int64)
        second = first + lag
    else:
        low = np.searchsorted(time_ps, time_ps + (lag - 0.5) * step)
        high = np.searchsorted(time_ps, time_ps + (lag + 0.5) * step)
        low = np.maximum(low, np.arange(frames))
        count = np.maximum(high - low, 0)
        first = np.repeat(np.arange(frames), count)
        second = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    if len(first) == 0:
        raise PhysicsError(f"no two frames are {lag * step:.4g} ps apart (to half a mean step); choose other lags")
    kept = thin(len(first), most)
    first, second = first[kept], second[kept]
    return first, second, float(np.mean(time_ps[second] - time_ps[first]))
