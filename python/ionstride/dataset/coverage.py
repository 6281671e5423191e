"""How much of configuration space a set covers, and how much of it says the same twice."""

from typing import Any

import numpy as np

from ..checks import Array
from ..mechanism.pairs import with_images
from ..records import IntArray, LabelledFrames
from .quantities import even_choice

REACH_A = 6.0
SHELLS = 24
MOST_FRAMES = 300
COVERED = 0.5


def fingerprints(frames: LabelledFrames, chosen: IntArray) -> Array:
    """Return a fingerprint of each chosen frame: neighbours of each pair of elements by distance, per atom, (C, P).

    Distances go to 6 Å in shells of 0.25 Å, weighted by a smooth cut-off; the order of atoms does not matter.
    """
    from scipy.spatial import cKDTree

    elements = sorted(set(frames.symbols))
    kind = np.array([elements.index(s) for s in frames.symbols])
    count = len(elements)
    rows = []
    for frame in chosen:
        cell = frames.cell_A[frame]
        fractional = frames.positions_A[frame] @ np.linalg.inv(cell)
        fractional -= np.floor(fractional)
        images, index, _ = with_images(fractional, cell, REACH_A)
        found = cKDTree(fractional @ cell).sparse_distance_matrix(cKDTree(images), REACH_A, output_type="ndarray")
        found = found[found["v"] > 1e-6]
        i, j, d = found["i"], index[found["j"]], found["v"]
        pair = np.minimum(kind[i], kind[j]) * count + np.maximum(kind[i], kind[j])
        # Each distance is shared out between the two nearest shells, so that the fingerprint has no jumps.
        place = d / REACH_A * SHELLS - 0.5
        low = np.floor(place).astype(np.int64)
        share = place - low
        weight = (1.0 - (d / REACH_A) ** 2) ** 2
        row = np.zeros((count * count, SHELLS + 2))
        np.add.at(row, (pair, low + 1), weight * (1.0 - share))
        np.add.at(row, (pair, low + 2), weight * share)
        rows.append(row.ravel() / len(frames.symbols))
    return np.array(rows)


def farthest_points(points: Array) -> tuple[IntArray, Array]:
    """Return an order of points, each the farthest from those before it, and that distance, (C).

    The first is the one nearest the mean; its distance is that of the second, the radius of the whole.
    """
    start = int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())
    order, radius = [start], []
    nearest = np.linalg.norm(points - points[start], axis=1)
    for _ in range(len(points) - 1):
        far = int(nearest.argmax())
        radius.append(float(nearest[far]))
        order.append(far)
        nearest = np.minimum(nearest, np.linalg.norm(points - points[far], axis=1))
    return np.array(order, dtype=np.int64), np.array([radius[0] if radius else 0.0, *radius])


def cover(frames: LabelledFrames) -> dict[str, Any] | None:
    """Return the map of a set (two principal components), and how few frames cover it to within some distance.

    Looked at are up to 300 frames, evenly chosen.

    Returns
    -------
    ``frame`` (indices), ``map`` (C, 2), ``explained`` (shares of the variance), ``radius`` against number of frames in
    the order of farthest points (relative to the whole), ``needed``: frames that cover all to half the radius, and
    ``looked_at``; None with fewer than four frames.
    """
    if len(frames) < 4:
        return None
    chosen = even_choice(len(frames), MOST_FRAMES)
    points = fingerprints(frames, chosen)
    centred = points - points.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    total = float((sizes**2).sum())
    if not total > 0.0:
        return None
    _, radius = farthest_points(points)
    relative = radius / radius[0] if radius[0] > 0 else radius
    below = np.flatnonzero(relative < COVERED)
    return {
        "frame": chosen.tolist(),
        "map": (centred @ axes[:2].T).tolist(),
        "explained": (sizes[:2] ** 2 / total).tolist(),
        "radius": relative.tolist(),
        "needed": int(below[0]) if len(below) else len(chosen),
        "looked_at": len(chosen),
    }
