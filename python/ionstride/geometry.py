"""Distances and coordination in periodic cells, small and triclinic ones included.

Pairs are counted over all periodic images that can matter: in a cell as small as the cut-off an atom may neighbour
several images of another, or of itself.  Cells may be left-handed; they only need a volume.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from .checks import Array
from .errors import InputError
from .records import Polyhedron

BLOCK_DISTANCES = 4_000_000
"""Distances held in memory at once when many frames are treated together."""
VIBRATION_PS = 1.0
"""Longer than any vibration of a bond: what is undone within half of it was not a reaction."""


def cell_heights(cell_A: npt.ArrayLike) -> Array:
    """Return the distances between opposite faces of a cell.

    Parameters
    ----------
    cell_A : (..., 3, 3) cell vectors as rows.

    Returns
    -------
    (..., 3) heights in Å: volume over the area of the face.

    Raises
    ------
    InputError
        If the cell has no volume.
    """
    cell = np.asarray(cell_A, dtype=np.float64)
    volume = np.abs(np.linalg.det(cell))
    if not (volume > 0.0).all():
        raise InputError("cell_A has no volume, wanted three vectors that span one")
    faces = np.cross(np.roll(cell, -1, axis=-2), np.roll(cell, -2, axis=-2))
    heights: Array = volume[..., None] / np.linalg.norm(faces, axis=-1)
    return heights


def image_shifts(cell_A: npt.ArrayLike, reach_A: float) -> npt.NDArray[np.int64]:
    """Return the cell shifts that can bring two atoms within `reach_A`, atoms wrapped into the cell.

    Parameters
    ----------
    cell_A : (3, 3), or (T, 3, 3): then the shifts serve every frame.
    reach_A : distance of interest.

    Returns
    -------
    (S, 3) whole numbers, the zero shift first.
    """
    heights = cell_heights(cell_A).reshape(-1, 3).min(axis=0)
    # Differences of wrapped fractional coordinates, taken to [-1/2, 1/2], leave at most 1/2 to make up.
    most = np.floor(reach_A / heights + 0.5).astype(np.int64)
    grid = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[np.argsort(np.abs(grid).sum(axis=1), kind="stable")]


def _rounded_difference(first: Array, second: Array, cell: Array) -> Array:
    """Return second − first for all pairs, (..., I, J, 3), taken to fractions in [-1/2, 1/2]."""
    inverse = np.linalg.inv(cell)
    difference = (second @ inverse)[..., None, :, :] - (first @ inverse)[..., :, None, :]
    difference -= np.rint(difference)
    vectors: Array = difference @ cell[..., None, :, :]
    return vectors


def pair_distances(
    first_A: npt.ArrayLike, second_A: npt.ArrayLike, cell_A: npt.ArrayLike, reach_A: float
) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return the distances of all pairs over all images that can lie within `reach_A`.

    Parameters
    ----------
    first_A : (..., I, 3) positions.
    second_A : (..., J, 3) positions.
    cell_A : (..., 3, 3) cell vectors as rows; leading axes as those of the positions, or none.
    reach_A : distances up to here are complete.

    Returns
    -------
    distances : (..., I, J, S) in Å.
    shifts : (S, 3) the images, relative to the rounded difference; the zero shift is first.
    """
    cell = np.asarray(cell_A, dtype=np.float64)
    vectors = _rounded_difference(np.asarray(first_A, np.float64), np.asarray(second_A, np.float64), cell)
    shifts = image_shifts(cell, reach_A)
    moves = shifts @ cell  # (..., S, 3)
    moves = moves[..., None, None, :, :] if cell.ndim > 2 else moves
    distances: Array = np.sqrt(((vectors[..., None, :] + moves) ** 2).sum(axis=-1))
    return distances, shifts


def _blocks(frames: int, per_frame: int) -> list[slice]:
    size = max(1, BLOCK_DISTANCES // max(1, per_frame))
    return [slice(start, start + size) for start in range(0, frames, size)]


def _as_frames(positions_A: npt.ArrayLike, cell_A: npt.ArrayLike) -> tuple[Array, Array, bool]:
    """Return positions (T, N, 3), cell (3, 3) or (T, 3, 3), and whether one frame alone was given."""
    positions = np.asarray(positions_A, dtype=np.float64)
    cell = np.asarray(cell_A, dtype=np.float64)
    single = positions.ndim == 2
    if positions.ndim not in (2, 3) or positions.shape[-1] != 3:
        raise InputError(f"positions_A has shape {positions.shape}, wanted (N, 3) or (T, N, 3)")
    positions = positions[None] if single else positions
    if cell.shape not in ((3, 3), (len(positions), 3, 3)):
        raise InputError(f"cell_A has shape {cell.shape}, wanted (3, 3) or ({len(positions)}, 3, 3)")
    return positions, cell, single


def _elements(symbols: Sequence[str], positions: Array) -> npt.NDArray[np.str_]:
    if len(symbols) != positions.shape[-2]:
        raise InputError(f"symbols names {len(symbols)} atoms, positions_A holds {positions.shape[-2]}")
    return np.asarray(symbols)


def shortest_distances(
    symbols: Sequence[str], positions_A: npt.ArrayLike, cell_A: npt.ArrayLike
) -> dict[tuple[str, str], float]:
    """Return the shortest distance of each pair of elements, periodic images of an atom among them.

    Parameters
    ----------
    symbols : (N) element names.
    positions_A : (N, 3), or (T, N, 3): then the shortest of all frames.
    cell_A : (3, 3), or (T, 3, 3); rows.

    Returns
    -------
    Distance in Å by pair of element names in alphabetical order.
    """
    positions, cell, _ = _as_frames(positions_A, cell_A)
    names = _elements(symbols, positions)
    present = sorted({str(s) for s in symbols})
    itself = _shortest_translation(cell)
    shortest = {(a, b): itself if a == b else np.inf for i, a in enumerate(present) for b in present[i:]}
    # Every rounded difference is shorter than half the sum of the cell vectors: beyond that nothing is new.
    most = 0.5 * float(np.linalg.norm(cell, axis=-1).sum(axis=-1).max())
    reach = min(0.499 * float(cell_heights(cell).min()), most)
    todo = [pair for pair in shortest if names.size > 1]
    while todo:
        for a, b in todo:
            shortest[a, b] = min(shortest[a, b], _nearest(positions, cell, names == a, names == b, reach))
        todo = [pair for pair in todo if shortest[pair] > reach and reach < most]
        reach = min(2.0 * reach, most)
    return shortest


def _shortest_translation(cell: Array) -> float:
    """Return the length of the shortest lattice vector."""
    cells = cell.reshape(-1, 3, 3)
    reach = float(np.linalg.norm(cells, axis=-1).min(axis=-1).max())
    shifts = image_shifts(cells, reach)[1:]
    return float(np.linalg.norm(shifts @ cells, axis=-1).min())


def _nearest(
    positions: Array, cell: Array, first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_], reach: float
) -> float:
    """Return the shortest distance between two sets of atoms, complete up to `reach`, an atom's own images left out."""
    same = bool((first & second).any())
    nearest = np.inf
    per_frame = int(first.sum()) * int(second.sum()) * len(image_shifts(cell, reach))
    for block in _blocks(len(positions), per_frame):
        here = cell if cell.ndim == 2 else cell[block]
        distances, _ = pair_distances(positions[block][:, first], positions[block][:, second], here, reach)
        if same:
            atom = np.arange(distances.shape[1])
            distances[:, atom, atom] = np.inf
        nearest = min(nearest, float(distances.min()))
    return nearest


def coordination(  # noqa: PLR0917  (the order is that of the sentence: of these atoms, how many ligands of a centre)
    symbols: Sequence[str],
    positions_A: npt.ArrayLike,
    cell_A: npt.ArrayLike,
    centre: str,
    ligand: str,
    cutoff_A: float,
) -> npt.NDArray[np.int64]:
    """Return the number of ligands nearer than `cutoff_A` to each centre.

    Parameters
    ----------
    symbols : (N) element names.
    positions_A : (N, 3), or (T, N, 3).
    cell_A : (3, 3), or (T, 3, 3); rows.
    centre, ligand : element names; the same element counts its neighbours, not itself.
    cutoff_A : largest distance.

    Returns
    -------
    (number of centres), or (T, number of centres).
    """
    positions, cell, single = _as_frames(positions_A, cell_A)
    names = _elements(symbols, positions)
    centres, ligands = positions[:, names == centre], positions[:, names == ligand]
    counts = np.zeros(centres.shape[:2], dtype=np.int64)
    per_frame = centres.shape[1] * ligands.shape[1] * len(image_shifts(cell, cutoff_A))
    for block in _blocks(len(positions), per_frame):
        here = cell if cell.ndim == 2 else cell[block]
        distances, _ = pair_distances(centres[block], ligands[block], here, cutoff_A)
        counts[block] = (distances < cutoff_A).sum(axis=(-2, -1))
    if centre == ligand:
        counts -= 1
    return counts[0] if single else counts


def intact_frames(
    polyhedra: Sequence[Polyhedron],
    symbols: Sequence[str],
    positions_A: npt.ArrayLike,
    cell_A: npt.ArrayLike,
    frame_ps: float | None = None,
) -> npt.NDArray[np.bool_]:
    """Return whether each kind of polyhedron is whole in each frame.

    A bond stretched beyond the cut-off by a vibration is not broken: with `frame_ps` the number of ligands of each
    centre is the running median over `VIBRATION_PS`, so that what lasts less than half of that does not count.

    Parameters
    ----------
    polyhedra : P kinds of polyhedra.
    symbols : (N) element names.
    positions_A : (T, N, 3).
    cell_A : (3, 3), or (T, 3, 3); rows.
    frame_ps : time between frames, of one run and evenly spaced; None where frames are looked at one by one.

    Returns
    -------
    (T, P): all centres of that element have exactly `count` ligands within `cutoff_A`.
    """
    positions, cell, _ = _as_frames(positions_A, cell_A)
    whole = np.ones((len(positions), len(polyhedra)), dtype=np.bool_)
    half = round(VIBRATION_PS / 2 / frame_ps) if frame_ps else 0
    for k, p in enumerate(polyhedra):
        counts = coordination(symbols, positions, cell, p.centre, p.ligand, p.cutoff_A)
        if half:
            counts = median_filter(counts, size=(2 * half + 1, 1), mode="nearest")
        whole[:, k] = (counts == p.count).all(axis=1)
    return whole


def intact(
    polyhedra: Sequence[Polyhedron], symbols: Sequence[str], positions_A: npt.ArrayLike, cell_A: npt.ArrayLike
) -> list[bool]:
    """Return whether each kind of polyhedron is whole in one frame.

    Parameters
    ----------
    polyhedra, symbols, cell_A : see `intact_frames`.
    positions_A : (N, 3).
    """
    positions = np.asarray(positions_A, dtype=np.float64)
    return [bool(whole) for whole in intact_frames(polyhedra, symbols, positions[None], cell_A)[0]]


def minimum_image(vectors_A: npt.ArrayLike, cell_A: npt.ArrayLike) -> Array:
    """Return vectors taken to their shortest periodic image.

    Parameters
    ----------
    vectors_A : (..., 3) differences of positions.
    cell_A : (3, 3) rows.

    Returns
    -------
    (..., 3), right for skewed cells too: the neighbours of the rounded image are tried.
    """
    cell = np.asarray(cell_A, dtype=np.float64)
    fractions = np.asarray(vectors_A, dtype=np.float64) @ np.linalg.inv(cell)
    rounded = (fractions - np.rint(fractions)) @ cell
    # A rounded vector is no longer than half the sum of the cell vectors, so no shorter image lies further than that.
    reach = 0.5 * float(np.linalg.norm(cell, axis=1).sum())
    if np.allclose(cell, np.diag(np.diag(cell))):
        return np.asarray(rounded)
    candidates = rounded[..., None, :] + image_shifts(cell, reach) @ cell
    best = (candidates**2).sum(axis=-1).argmin(axis=-1)
    nearest: Array = np.take_along_axis(candidates, best[..., None, None], axis=-2)[..., 0, :]
    return nearest
