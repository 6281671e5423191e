"""Tables of a compressed model: room for angular ones, and a search for broken intervals.

DeePMD-kit (3.2.0) tabulates the net of `se_e3` with one interval wrong at each end of its fine part: a spline of
the fine step over an interval of the coarse one.  Forces there are wrong by hundreds of eV/Å, and since the range of a
table follows from the element it is named after and not from the atom it is used for, ordinary distances meet it, some
0.003 Å wide.  Tests on frames do not find it; MD runs into it within picoseconds.  So such tables are made with a range
that no atom comes to, and three atoms at a time are moved through all distances to see that it is so.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..checks import Array
from ..geometry import minimum_image, shortest_distances
from ..records import LabelledFrames
from ..runrecord import read_json, write_json
from .dataset import write_dataset

APART_A = 20.0
"""Between clusters; more than twice any cut-off."""
SCAN_FROM, SCAN_TO, SCAN_STEPS = 0.85, 1.4, 600
"""Distances looked at, in units of the shortest one in the frames: walls keep MD above 0.95 of it."""
ANGLES = (180.0, 60.0)
WRONG_EV_A, WRONG_SHARE = 0.1, 0.01
"""A force wrong by more than this, and this part of it, is a broken table and no rounding."""


def wide_input(folder: Path, frames: LabelledFrames, type_map: tuple[str, ...], share: float) -> str:
    """Write the input of ``dp compress`` for tables that reach to distances no atom comes to; return its name.

    DeePMD takes the range from the shortest distance in the training data it is shown.  It is shown one frame in
    which the two nearest atoms are pushed together.

    Parameters
    ----------
    folder : of the training, with its input.json.
    frames : labelled frames; the first is used.
    type_map : element names in the model's order.
    share : the shortest distance shown, over the one there is.
    """
    one = frames.take(slice(0, 1))
    r, cell = one.positions_A[0], one.cell_A[0]
    apart = minimum_image(r[:, None] - r[None], cell)
    distance = np.linalg.norm(apart, axis=-1) + np.where(np.eye(len(r), dtype=bool), np.inf, 0.0)
    first, second = np.unravel_index(int(distance.argmin()), distance.shape)
    positions = r.copy()
    positions[first] = r[second] + share * apart[first, second]
    data = write_dataset(replace(one, positions_A=positions[None], virial_eV=None), type_map, folder / "data" / "range")
    given = read_json(folder / "input.json") or {}
    given["training"]["training_data"]["systems"] = str(data.relative_to(folder))
    write_json(folder / "compress-input.json", given)
    return "compress-input.json"


def clusters(frames: LabelledFrames, type_map: tuple[str, ...]) -> tuple[LabelledFrames, list[str]]:
    """Return clusters of three atoms far from one another, which widen from frame to frame, and their names.

    Each element stands between each two; the distance to both is that of the nearer, from 0.85 to 1.4 of the shortest
    one in the frames, and the angle 180° and 60°.

    Parameters
    ----------
    frames : labelled frames, for the shortest distances.
    type_map : element names in the model's order.
    """
    shortest = shortest_distances(frames.symbols, frames.positions_A, frames.cell_A)
    present = [s for s in type_map if s in frames.symbols]
    kinds = [
        (centre, a, b, angle)
        for centre in present
        for i, a in enumerate(present)
        for b in present[i:]
        for angle in ANGLES
    ]
    side = int(np.ceil(len(kinds) ** (1 / 3)))
    grid = APART_A * (0.5 + np.array([np.unravel_index(k, (side, side, side)) for k in range(len(kinds))]))
    scale = np.linspace(SCAN_FROM, SCAN_TO, SCAN_STEPS)
    positions = np.empty((SCAN_STEPS, 3 * len(kinds), 3))
    for k, (centre, a, b, angle) in enumerate(kinds):
        reach = scale[:, None] * min(shortest[min(centre, s), max(centre, s)] for s in (a, b))
        turned = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle)), 0.0])
        positions[:, 3 * k] = grid[k]
        positions[:, 3 * k + 1] = grid[k] + reach * np.array([1.0, 0.0, 0.0])
        positions[:, 3 * k + 2] = grid[k] + reach * turned
    made = LabelledFrames(
        symbols=tuple(s for kind in kinds for s in (kind[0], kind[1], kind[2])),
        positions_A=positions,
        cell_A=np.tile(APART_A * side * np.eye(3), (SCAN_STEPS, 1, 1)),
        energy_eV=np.zeros(SCAN_STEPS),
        force_eV_A=np.zeros_like(positions),
        group=np.zeros(SCAN_STEPS, dtype=np.int64),
        frame_number=np.arange(SCAN_STEPS),
        method="clusters without labels",
    )
    return made, [f"{a}-{centre}-{b}" for centre, a, b, _ in kinds]


def broken(plain_eV_A: Array, table_eV_A: Array, scanned: LabelledFrames, names: list[str]) -> list[str]:
    """Return where the forces of a tabulated model are wrong, in words, the worst first.

    Parameters
    ----------
    plain_eV_A, table_eV_A : (F, N, 3) forces of the model and of its tabulated form on `clusters`.
    scanned, names : the clusters.
    """
    off = np.linalg.norm(table_eV_A - plain_eV_A, axis=-1)
    allowed = WRONG_EV_A + WRONG_SHARE * np.linalg.norm(plain_eV_A, axis=-1)
    off = np.where(np.isfinite(off), off, np.inf)
    bad = (off > allowed).reshape(len(off), -1, 3).any(axis=2)
    worst = off.reshape(len(off), -1, 3).max(axis=2)
    found = []
    for k in np.flatnonzero(bad.any(axis=0)):
        frame = int(np.argmax(np.where(bad[:, k], worst[:, k], -1.0)))
        arm = scanned.positions_A[frame, 3 * k + 1] - scanned.positions_A[frame, 3 * k]
        found.append(
            (float(worst[frame, k]), f"{names[k]} at {np.linalg.norm(arm):.3f} Å by {worst[frame, k]:.3g} eV/Å")
        )
    return [words for _, words in sorted(found, reverse=True)]
