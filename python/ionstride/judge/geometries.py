"""Geometries a potential gets wrong more than others, named in words; only where it is significant."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..geometry import coordination, pair_distances
from ..records import LabelledFrames, Polyhedron
from ..results import Estimate
from .resample import draws, summed, time_blocks

REACH_A = 4.5
BLOCK_FRAMES = 50
TAIL = 1.0
"""Per cent of the training atoms that lie beyond a limit."""

FEWEST_ATOMS = 15
FEWEST_BLOCKS = 5
WORST = 12


@dataclass(frozen=True)
class Feature:
    """Something unusual about atoms of an element.

    Attributes
    ----------
    words : what it is.
    element : whose atoms.
    has : (F, n) which atoms of that element have it.
    trained : atoms in the training frames that had it.
    """

    words: str
    element: str
    has: npt.NDArray[np.bool_]
    trained: int


def nearest(frames: LabelledFrames) -> dict[tuple[str, str], Array]:
    """Return (element, other) → (F, n) distance of each atom of the element to the nearest of the other, in Å.

    Periodic images count; beyond 4.5 Å not all are looked at.
    """
    names = np.array(frames.symbols)
    elements = list(dict.fromkeys(frames.symbols))
    found: dict[tuple[str, str], Array] = {}
    for a in elements:
        for b in elements:
            if a == b and frames.symbols.count(a) < 2:
                continue
            parts = []
            for start in range(0, len(frames), BLOCK_FRAMES):
                here = slice(start, start + BLOCK_FRAMES)
                p = frames.positions_A[here]
                distance, _ = pair_distances(p[:, names == a], p[:, names == b], frames.cell_A[here], REACH_A)
                if a == b:
                    itself = np.arange(distance.shape[1])
                    distance[:, itself, itself, 0] = np.inf
                parts.append(distance.min(axis=(-2, -1)))
            found[a, b] = np.concatenate(parts)
    return found


def features(
    looked: LabelledFrames, trained: LabelledFrames, polyhedra: Sequence[Polyhedron], mobile: str
) -> list[Feature]:
    """Return what is unusual about atoms of some frames, by the measure of the training frames.

    Looked at are distances to the nearest atom of each element below the 1st (and, for the mobile ion, above the
    99th) percentile of the training atoms, polyhedra with another number of ligands, and frames of high energy.

    Parameters
    ----------
    looked : frames whose errors are judged.
    trained : frames of training; of each composition the same.
    polyhedra : what is a polyhedron.
    mobile : element.
    """
    here, there = nearest(looked), nearest(trained)
    found = []
    for (a, b), distance in here.items():
        low, high = np.percentile(there[a, b], [TAIL, 100.0 - TAIL])
        if low < REACH_A:
            few = int((there[a, b] < low).sum())
            found.append(Feature(f"{a} with a {b} nearer than {low:.2f} Å", a, distance < low, few))
        if a == mobile and high < REACH_A:
            few = int((there[a, b] > high).sum())
            found.append(Feature(f"{a} whose nearest {b} is beyond {high:.2f} Å", a, distance > high, few))
    for p in polyhedra:
        if p.centre not in looked.symbols or p.ligand not in looked.symbols:
            continue
        of = [
            coordination(f.symbols, f.positions_A, f.cell_A, p.centre, p.ligand, p.cutoff_A) for f in (looked, trained)
        ]
        words = f"{p.centre} without its {p.count} {p.ligand} within {p.cutoff_A:g} Å"
        found.append(Feature(words, p.centre, of[0] != p.count, int((of[1] != p.count).sum())))
    energy = looked.energy_eV - trained.energy_eV.mean()
    level = float(np.percentile(trained.energy_eV - trained.energy_eV.mean(), 95.0))
    words = f"frames more than {1000 * level / len(looked.symbols):.1f} meV/atom above the mean energy of training"
    names = np.array(looked.symbols)
    for element in dict.fromkeys(looked.symbols):
        has = np.broadcast_to((energy > level)[:, None], (len(looked), int((names == element).sum())))
        found.append(Feature(f"{element} in {words}", element, has, 0))
    return found


def enrichment(frames: LabelledFrames, force_eV_A: Array, found: Sequence[Feature]) -> tuple[list[dict[str, Any]], int]:
    """Return the features whose atoms have larger force errors than others of their element, and how many were tried.

    The enrichment is the root mean square force error of the atoms that have it over that of the others of the same
    element.  Its interval is from resampled blocks of frames; named are those above one at 95 % after Bonferroni's
    correction for the number of features tried, so that in noise nothing is named.

    Parameters
    ----------
    frames : F frames.
    force_eV_A : (F, N, 3) of the potential.
    found : as from `features`.
    """
    from scipy.stats import norm

    names = np.array(frames.symbols)
    square = ((force_eV_A - frames.force_eV_A) ** 2).mean(axis=-1)
    block = time_blocks(frames)
    tried = [f for f in found if _enough(f, block)]
    rows = []
    for feature in tried:
        mine = square[:, names == feature.element]
        has = feature.has
        sums = np.array(
            [
                summed((mine * has).sum(axis=1), block),
                summed(has.sum(axis=1).astype(np.float64), block),
                summed((mine * ~has).sum(axis=1), block),
                summed((~has).sum(axis=1).astype(np.float64), block),
            ]
        )
        drawn = draws(sums.shape[1]) @ sums.T
        drawn = drawn[(drawn > 0).all(axis=1)]
        total = sums.sum(axis=1)
        if not (total > 0).all() or len(drawn) < 100:
            continue
        log = 0.5 * math.log(total[0] / total[1] / (total[2] / total[3]))
        logs = 0.5 * np.log(drawn[:, 0] / drawn[:, 1] / (drawn[:, 2] / drawn[:, 3]))
        error = float(logs.std())
        if log - float(norm.isf(0.025 / len(tried))) * error <= 0.0:
            continue
        low, high = (math.exp(log + sign * 1.96 * error) for sign in (-1, 1))
        rows.append(
            {
                "words": feature.words,
                "element": feature.element,
                "n_atoms": int(total[1]),
                "n_others": int(total[3]),
                "n_training_atoms": feature.trained or None,
                "force_rmse_meV_A": 1000.0 * math.sqrt(total[0] / total[1]),
                "others_force_rmse_meV_A": 1000.0 * math.sqrt(total[2] / total[3]),
                "enrichment": Estimate(math.exp(log), low, high),
            }
        )
    return sorted(rows, key=lambda row: -float(row["enrichment"].value)), len(tried)


def _enough(feature: Feature, block: npt.NDArray[np.int64]) -> bool:
    count = feature.has.sum(axis=1)
    return bool(feature.has.sum() >= FEWEST_ATOMS and len(np.unique(block[count > 0])) >= FEWEST_BLOCKS)


def worst_atoms(frames: LabelledFrames, force_eV_A: Array, found: Sequence[Feature]) -> list[dict[str, Any]]:
    """Return the atoms with the largest force errors, and what is unusual about them (often nothing).

    Parameters
    ----------
    frames, force_eV_A, found : as for `enrichment`.
    """
    names = np.array(frames.symbols)
    size = np.linalg.norm(force_eV_A - frames.force_eV_A, axis=-1)
    place = {element: np.cumsum(names == element) - 1 for element in set(frames.symbols)}
    rows = []
    for flat in np.argsort(size, axis=None)[::-1][:WORST]:
        frame, atom = (int(v) for v in np.unravel_index(flat, size.shape))
        element = str(names[atom])
        rows.append(
            {
                "group": int(frames.group[frame]),
                "frame_number": int(frames.frame_number[frame]),
                "atom": atom,
                "element": element,
                "error_meV_A": 1000.0 * float(size[frame, atom]),
                "force_meV_A": 1000.0 * float(np.linalg.norm(frames.force_eV_A[frame, atom])),
                "unusual": [f.words for f in found if f.element == element and f.has[frame, place[element][atom]]],
            }
        )
    return rows
