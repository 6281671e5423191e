"""Neighbours of atoms in periodic cells, and the radial distribution function."""

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..errors import InputError
from ..geometry import cell_heights
from ..records import IntArray, Trajectory
from ..results import Estimate
from .frames import check_cell, fractional_path, thin
from .records import PairDistribution

SHELL_A = 0.05
REACH_A = 8.0
_FRAMES = 100
_BLOCKS = 5
_PROMINENCE = 0.2  # of g: what rises less is no shell
_SIGMAS = 4.0
_INDEPENDENT = 10  # frames that are taken as independent when noise is told from peaks


def with_images(fractional: Array, cell_A: Array, reach_A: float) -> tuple[Array, IntArray, IntArray]:
    """Return points and all their periodic images within `reach_A` of the cell.

    Parameters
    ----------
    fractional : (N, 3) in [0, 1).
    cell_A : (3, 3) rows, of any shape.
    reach_A : distance from the cell up to which images are complete; may exceed the cell.

    Returns
    -------
    positions_A : (G, 3) Cartesian, the points themselves first.
    index : (G) number of the point.
    shift : (G, 3) whole cell vectors it was moved by.
    """
    pad = reach_A / cell_heights(cell_A)
    most = np.ceil(pad).astype(np.int64)
    shifts = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = shifts[np.argsort(np.abs(shifts).sum(axis=1), kind="stable")]
    moved = fractional[None] + shifts[:, None]
    near = ((moved >= -pad) & (moved <= 1.0 + pad)).all(axis=-1)
    near[0] = True
    which, index = np.nonzero(near)
    positions: Array = moved[near] @ cell_A
    return positions, index.astype(np.int64), shifts[which]


def pair_histogram(
    first: Array, second: Array, cell_A: Array, edges_A: Array, *, same: bool = False
) -> npt.NDArray[np.int64]:
    """Return the number of pairs by distance, periodic images included, (B).

    Parameters
    ----------
    first, second : (I, 3), (J, 3) fractional coordinates.
    cell_A : (3, 3) rows.
    edges_A : (B + 1) evenly spaced radii from 0.
    same : whether both are the same atoms: then an atom does not pair with itself (with its images it does).
    """
    from scipy.spatial import cKDTree

    reach = float(edges_A[-1])
    images, index, shift = with_images(second - np.floor(second), cell_A, reach)
    centres = cKDTree((first - np.floor(first)) @ cell_A)
    found = centres.sparse_distance_matrix(cKDTree(images), reach, output_type="ndarray")
    distance = found["v"]
    if same:
        itself = (index[found["j"]] == found["i"]) & ~shift[found["j"]].any(axis=1)
        distance = distance[~itself]
    return count_distances(distance, edges_A)


def count_distances(distance_A: Array, edges_A: Array) -> npt.NDArray[np.int64]:
    """Return the histogram of distances over evenly spaced edges from 0; what lies beyond is left out."""
    bins = len(edges_A) - 1
    number = (distance_A.ravel() * (bins / float(edges_A[-1]))).astype(np.int64)
    return np.bincount(number[number < bins], minlength=bins)


def shell_edges(reach_A: float, bins: int | None) -> Array:
    """Return evenly spaced radii from 0 to `reach_A`; shells of about 0.05 Å if their number is not given.

    Raises
    ------
    InputError
        If the reach or the number is not above zero.
    """
    if not reach_A > 0.0:
        raise InputError(f"the largest distance is {reach_A:g} Å, wanted one above zero")
    if bins is not None and bins < 1:
        raise InputError(f"bins = {bins}, wanted one or more")
    return np.linspace(0.0, reach_A, (bins or max(1, round(reach_A / SHELL_A))) + 1)


def radial_distribution(
    trajectory: Trajectory,
    centre: str,
    other: str,
    *,
    r_max_A: float | None = None,
    bins: int | None = None,
    stride: int | None = None,
) -> PairDistribution:
    r"""Return the radial distribution function of one pair of elements and its coordination number.

    .. math:: g(r) = \frac{\langle n(r, r + δ) \rangle}{\frac{4π}{3}[(r + δ)^3 - r^3]\, N_o / \langle V \rangle}

    All periodic images count, in float64 and for any cell shape, so that `r_max_A` may exceed half the cell (beyond it
    an image repeats what is already known: nothing new is learnt there, but nothing is wrong).  For a pair of the same
    element an atom's own images count and it itself does not.  The first shell ends at the lowest g between its
    first two peaks (rises of less than 0.2, or within noise, are no peaks), in the middle of a gap where there is one.

    Parameters
    ----------
    trajectory : the run.
    centre, other : element names.
    r_max_A : largest distance; 8 Å if not given.
    bins : number of shells; of 0.05 Å each if not given.
    stride : every how many frames are used; as many as leave about 100 frames if not given.

    Raises
    ------
    InputError
        If an element is absent or a number is not above zero.
    PhysicsError
        If the cell's vectors are unknown.
    """
    check_cell(trajectory)
    symbols = np.array(trajectory.symbols)
    for name in (centre, other):
        if name not in trajectory.symbols:
            raise InputError(f"element '{name}' is not in the data; present: {', '.join(sorted(set(symbols)))}")
    if stride is not None and stride < 1:
        raise InputError(f"stride = {stride}, wanted 1 or more")
    edges = shell_edges(REACH_A if r_max_A is None else r_max_A, bins)
    n_frames = len(trajectory.time_ps)
    frames = thin(n_frames, _FRAMES) if stride is None else np.arange(0, n_frames, stride)
    first = fractional_path(trajectory, symbols == centre, frames=frames)
    second = first if centre == other else fractional_path(trajectory, symbols == other, frames=frames)
    cells = np.broadcast_to(trajectory.cell_A, (n_frames, 3, 3))[frames]
    counts = (
        np.array(
            [
                pair_histogram(a, b, cell, edges, same=centre == other)
                for a, b, cell in zip(first, second, cells, strict=True)
            ]
        )
        / first.shape[1]
    )
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    expected = shells * second.shape[1] / trajectory.volume_A3
    g = counts.mean(axis=0) / expected
    expected = expected * first.shape[1]
    running = np.cumsum(counts, axis=1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    peak, minimum = first_shell(g, float(edges[1]), expected * min(len(frames), _INDEPENDENT))
    return PairDistribution(
        centre=centre,
        other=other,
        r_A=middle,
        g=g,
        upper_A=edges[1:],
        coordination=running.mean(axis=0),
        first_peak_A=None if peak is None else float(middle[peak]),
        first_minimum_A=None if minimum is None else float(edges[minimum + 1]),
        coordination_number=None if minimum is None else block_mean(running[:, minimum]),
        n_frames=len(frames),
    )


def first_shell(g: Array, width_A: float, expected: Array) -> tuple[int | None, int | None]:
    """Return the numbers of the shells at the first peak of g and at the minimum behind it, None where there is none.

    Parameters
    ----------
    g : (B) radial distribution function in even shells.
    width_A : width of a shell; g is smoothed by a Gaussian of 0.1 Å before peaks are sought.
    expected : (B) pairs in each shell if g were 1, of independent frames: a peak must stand out of their noise.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    smooth = gaussian_filter1d(g, 0.1 / width_A, mode="nearest")
    noise = np.sqrt(smooth / (expected * max(1.0, 3.5 * 0.1 / width_A)))
    peaks, found = find_peaks(smooth, prominence=_PROMINENCE)
    peaks = peaks[found["prominences"] > _SIGMAS * noise[peaks]]
    if len(peaks) == 0:
        return None, None
    peak = int(peaks[0])
    near = slice(max(0, peak - round(0.15 / width_A)), peak + round(0.15 / width_A) + 1)
    sharp = int(near.start + np.argmax(g[near]))
    end = int(peaks[1]) if len(peaks) > 1 else len(g)
    valley = smooth[peak:end]
    lowest = np.flatnonzero(valley <= valley.min() + 1e-3)
    if len(peaks) == 1 and lowest[-1] == len(valley) - 1 and valley.min() > 1e-3:
        return sharp, None  # still falling where the data end
    return sharp, peak + int(lowest[len(lowest) // 2])


def block_mean(values: Array, blocks: int = _BLOCKS) -> Estimate:
    """Return the mean of a time series with a 95 % interval from the scatter of blocks (Student's t)."""
    from scipy.stats import t

    mean = float(values.mean())
    blocks = min(blocks, len(values))
    if blocks < 2:
        return Estimate(mean, -np.inf, np.inf)
    parts = np.array([part.mean() for part in np.array_split(values, blocks)])
    half = float(t.ppf(0.975, blocks - 1) * parts.std(ddof=1) / np.sqrt(blocks))
    return Estimate(mean, mean - half, mean + half)
