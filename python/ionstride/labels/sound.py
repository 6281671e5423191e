"""Checks of single frames: net force, atoms held still, frames that are there twice."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..errors import InputError
from ..records import IntArray, LabelledFrames

SAME_PLACE_A = 1e-4
"""Atoms of two frames all nearer than this: the same frame (outputs print five digits)."""

SAME_ENERGY_EV_ATOM = 2e-4
NET_FORCE_EV_A = 0.02
"""Net force divided by the number of atoms; converged plane-wave codes stay below 0.001."""

_PROJECTIONS = 6


def check_net_force(frames: LabelledFrames) -> tuple[float, list[str]]:
    """Return the largest net force over the number of atoms (eV/Å), and what should be known of forces, in sentences.

    Forces that are exactly zero on some atoms in every frame are those of atoms held still (selective dynamics,
    constraints): a potential would learn that nothing pulls at them.
    """
    net = np.linalg.norm(frames.force_eV_A.sum(axis=1), axis=1) / len(frames.symbols)
    notes = []
    many = int((net > NET_FORCE_EV_A).sum())
    if many:
        notes.append(
            f"{many} of {len(frames)} frames have a net force above {NET_FORCE_EV_A:g} eV/Å an atom (largest "
            f"{net.max():.3f}): a coarse grid, an outer field or atoms left out?"
        )
    still = (frames.force_eV_A == 0.0).all(axis=(0, 2))
    if still.any() and not still.all() and len(frames) > 1 and not _by_symmetry(frames, still):
        notes.append(
            f"{int(still.sum())} atoms have a force of exactly zero in every frame: held still by a constraint? The "
            "potential would learn that nothing pulls at them"
        )
    return float(net.max()), notes


def _by_symmetry(frames: LabelledFrames, still: npt.NDArray[np.bool_]) -> bool:
    """Tell whether nothing moves at all, so that zero forces may be those of a perfect crystal."""
    return bool(np.allclose(frames.positions_A, frames.positions_A[0], atol=1e-6))


def repeated_frames(frames: LabelledFrames, names: Sequence[str]) -> tuple[IntArray, list[str]]:
    """Return the frames that repeat an earlier one, and sentences that say how many between which sources.

    Parameters
    ----------
    frames : frames of one composition.
    names : (F) source of each frame, for messages.

    Raises
    ------
    InputError
        If the same geometry stands there with two energies: two methods, or two units.
    """
    pairs = _same_geometry(frames)
    repeated: set[int] = set()
    counts: dict[tuple[str, str], int] = {}
    for first, second in pairs:
        difference = abs(frames.energy_eV[first] - frames.energy_eV[second]) / len(frames.symbols)
        if difference > SAME_ENERGY_EV_ATOM:
            raise InputError(
                f"the same geometry has two energies, {frames.energy_eV[first]:.4f} eV in {names[first]} (frame "
                f"{frames.frame_number[first]}) and {frames.energy_eV[second]:.4f} eV in {names[second]} (frame "
                f"{frames.frame_number[second]}): the sources differ in method, settings or units; give those of one"
            )
        if second not in repeated:
            repeated.add(second)
            counts[names[first], names[second]] = counts.get((names[first], names[second]), 0) + 1
    said = [
        f"{count} frame(s) of {b} repeat {'earlier ones' if a == b else f'frames of {a}'}"
        for (a, b), count in counts.items()
    ]
    return np.array(sorted(repeated), dtype=np.int64), said


def _same_geometry(frames: LabelledFrames) -> list[tuple[int, int]]:
    """Return pairs of frames, earlier first, whose atoms and cells agree within `SAME_PLACE_A`.

    Frames are told apart by a few random projections of their phases, which periodic wrapping does not change, and
    only those that agree are compared atom by atom.
    """
    from scipy.spatial import cKDTree

    if len(frames) < 2:
        return []
    marks = marks_of(frames)
    atoms = len(frames.symbols)
    reach = SAME_PLACE_A * 2.0 * np.pi / float(np.linalg.norm(frames.cell_A, axis=2).min()) * np.sqrt(3.0 * atoms) * 3.0
    found = cKDTree(marks).query_pairs(reach + 1e-9, output_type="ndarray")
    same = []
    for a, b in np.sort(found, axis=1):
        if np.abs(frames.cell_A[a] - frames.cell_A[b]).max() > SAME_PLACE_A:
            continue
        step = (frames.positions_A[b] - frames.positions_A[a]) @ np.linalg.inv(frames.cell_A[a])
        step -= np.rint(step)
        if np.abs(step @ frames.cell_A[a]).max() <= SAME_PLACE_A:
            same.append((int(a), int(b)))
    return sorted(same)


def marks_of(frames: LabelledFrames) -> Array:
    """Return a few random projections of the phases of each frame, (F, 12): frames that are near have near marks."""
    rng: Any = np.random.default_rng(1)
    weights = rng.choice([-1.0, 1.0], size=(3 * len(frames.symbols), _PROJECTIONS))
    marks = np.empty((len(frames), 2 * _PROJECTIONS))
    inverse = np.linalg.inv(frames.cell_A)
    for f in range(len(frames)):
        phase = 2.0 * np.pi * (frames.positions_A[f] @ inverse[f]).ravel()
        marks[f] = np.concatenate([np.cos(phase) @ weights, np.sin(phase) @ weights])
    return marks
