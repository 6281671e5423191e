"""Labelled frames → DeePMD data folders, split so that no near neighbour in time leaks."""

import math
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..records import LabelledFrames
from ..runrecord import scratch
from ..settings import PotentialSettings

BLOCKS_PER_RUN = 20
MIN_RUNS_TO_SPLIT_BY_RUN = 10
Room = dict[str, list[int]]
"""What `room_for_neighbours` returns."""


def split_frames(frames: LabelledFrames, valid_fraction: float, seed: int) -> tuple[npt.NDArray[np.bool_], str]:
    """Choose held-out frames: whole runs where there are many, else blocks of frame number.

    Frames of one run that follow one another are nearly copies; drawn at random they would let the
    training set tell the answers of the test.

    Parameters
    ----------
    frames : F labelled frames.
    valid_fraction : part to hold out, 0 < fraction < 0.5.
    seed : of the choice.

    Returns
    -------
    held_out : (F) mask.
    rule : how it was split, in words.
    """
    if not 0.0 < valid_fraction < 0.5:
        raise InputError(f"potential.valid_fraction = {valid_fraction}, wanted between 0 and 0.5")
    if len(frames) < 4:
        raise InputError(f"{len(frames)} labelled frame(s) cannot be split; give at least 4")
    rng = np.random.default_rng(seed)
    runs = np.unique(frames.group)
    held_out = np.zeros(len(frames), dtype=bool)
    if len(runs) >= MIN_RUNS_TO_SPLIT_BY_RUN:
        chosen = _choose(len(runs), max(valid_fraction, 1.0 / len(runs)), rng)
        held_out = np.isin(frames.group, runs[chosen])
        return held_out, f"{chosen.size} of {len(runs)} runs held out"
    n_blocks = 0
    for run in runs:
        members = np.flatnonzero(frames.group == run)
        members = members[np.argsort(frames.frame_number[members], kind="stable")]
        blocks = np.array_split(members, min(BLOCKS_PER_RUN, len(members)))
        for block in _choose(len(blocks), valid_fraction, rng):
            held_out[blocks[block]] = True
            n_blocks += 1
    if not held_out.any():
        held_out[-1] = True
    return held_out, f"{n_blocks} blocks of consecutive frame numbers held out ({len(runs)} run(s))"


def _choose(n: int, fraction: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return round(fraction·n) of n, evenly spread from a random phase."""
    count = round(fraction * n)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    return (np.floor((np.arange(count) + rng.random()) * n / count)).astype(np.int64)


def some_of(mask: npt.NDArray[np.bool_], count: int) -> npt.NDArray[np.int64]:
    """Return the indices of up to `count` evenly spread members of a mask."""
    members: npt.NDArray[np.int64] = np.flatnonzero(mask)
    chosen: npt.NDArray[np.int64] = members[
        np.unique(np.linspace(0, len(members) - 1, min(count, len(members))).astype(int))
    ]
    return chosen


def write_dataset(frames: LabelledFrames, type_map: tuple[str, ...], folder: Path) -> Path:
    """Write frames as a DeePMD npy system, whole or not at all.

    Where some frames have a virial and others none, the folder holds two systems, ``with_virial`` and
    ``without_virial``: a system has virials for all its frames or for none, and DeePMD fits those that are there.

    Parameters
    ----------
    frames : labelled frames.
    type_map : element names in the model's order; written beside the data.
    folder : the system's folder; replaced.

    Raises
    ------
    InputError
        If an element is not in `type_map`.
    """
    missing = sorted(set(frames.symbols) - set(type_map))
    if missing:
        raise InputError(f"element(s) {', '.join(missing)} are not in the type map {', '.join(type_map)}")
    new = scratch(folder.parent)
    known = frames.has_virial
    if known.any() and not known.all():
        _write_system(frames.take(known), type_map, new / "with_virial")
        _write_system(frames.take(~known), type_map, new / "without_virial")
    else:
        _write_system(frames, type_map, new)
    if folder.exists():
        shutil.rmtree(folder)
    new.rename(folder)
    return folder


def _write_system(frames: LabelledFrames, type_map: tuple[str, ...], folder: Path) -> None:
    data = folder / "set.000"
    data.mkdir(parents=True)
    count = len(frames)
    np.save(data / "coord.npy", frames.positions_A.reshape(count, -1))
    np.save(data / "force.npy", frames.force_eV_A.reshape(count, -1))
    np.save(data / "energy.npy", frames.energy_eV)
    np.save(data / "box.npy", frames.cell_A.reshape(count, 9))
    if frames.virial_eV is not None:
        np.save(data / "virial.npy", frames.virial_eV.reshape(count, 9))
    (folder / "type.raw").write_text("\n".join(str(type_map.index(s)) for s in frames.symbols) + "\n")
    (folder / "type_map.raw").write_text("\n".join(type_map) + "\n")


def neighbours_needed(frames: LabelledFrames, type_map: tuple[str, ...], rcut_A: float) -> tuple[list[int], int]:
    """Count the neighbours of an atom within the cut-off.

    Parameters
    ----------
    frames : labelled frames; up to 20 of them, evenly chosen, are counted.
    type_map : element names in the model's order.
    rcut_A : cut-off.

    Returns
    -------
    largest : largest number of each type around any atom.
    total : largest number of all types together.
    """
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    symbols = np.array(frames.symbols)
    index = np.array([type_map.index(s) for s in frames.symbols])
    largest, total = np.zeros(len(type_map), dtype=np.int64), 0
    for frame in np.linspace(0, len(frames) - 1, min(20, len(frames))).astype(int):
        atoms = Atoms(symbols, frames.positions_A[frame], cell=frames.cell_A[frame], pbc=True)
        i, j = neighbor_list("ij", atoms, rcut_A)  # type: ignore[no-untyped-call]
        counts = np.zeros((len(atoms), len(type_map)), dtype=np.int64)
        np.add.at(counts, (i, index[j]), 1)
        largest = np.maximum(largest, counts.max(axis=0))
        total = max(total, int(counts.sum(axis=1).max()))
    return largest.tolist(), total


def room_for_neighbours(
    frames: Iterable[LabelledFrames], type_map: tuple[str, ...], settings: PotentialSettings, margin: float
) -> Room:
    """Return how many neighbours a net makes room for: the most in any frame, with a margin.

    Fixed by us rather than left to DeePMD's 'auto', so that a model trained on more frames can start from an older
    one.  Steps of angular descriptors take time as the square of their room, so nothing is added there beyond the
    margin.

    Parameters
    ----------
    frames : sets of labelled frames.
    type_map : element names in the model's order.
    settings : the study's ``[potential]``, for its cut-offs.
    margin : factor over the largest number seen.

    Returns
    -------
    "far", "near" : by type, within the cut-off and the near cut-off (DeePMD's `sel`).
    "total" : of all types together, within the cut-off and the near cut-off.
    """
    room: Room = {}
    for some in frames:
        far, all_far = neighbours_needed(some, type_map, settings.rcut_A)
        near, all_near = neighbours_needed(some, type_map, min(settings.near_rcut_A, settings.rcut_A))
        needed = {
            "far": [4 * math.ceil(max(1.0, margin * n) / 4) for n in far],
            "near": [math.ceil(max(1.0, margin * n)) for n in near],
            "total": [math.ceil(max(1.0, margin * n)) for n in (all_far, all_near)],
        }
        room = {name: [*map(max, room[name], new)] for name, new in needed.items()} if room else needed
    return room
