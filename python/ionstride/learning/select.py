"""Which visited frames are labelled: some drawn evenly to tell the truth, the rest far from all that is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..geometry import pair_distances
from ..records import IntArray, LabelledFrames, Structure
from .explore import Visited
from .levels import Levels, usable

CHECK_SHARE = 0.2
FEWEST_CHECKS = 2
CHECK_GAP = 2
"""Frames this near to a check frame of their run are nearly its copies and are not trained on."""
REACH_A = 6.0
CENTRES_A = np.arange(1.5, REACH_A + 0.01, 0.5)
WIDTH_A = 0.5
MOST = 400
"""Candidates, and labelled frames they are held against: of more, so many evenly chosen."""


@dataclass(frozen=True)
class Chosen:
    """Frames to be labelled.

    Attributes
    ----------
    structures : F cells.
    is_check : (F) drawn evenly from what was visited, and never trained on.
    deviation_eV_A : (F) the largest of each frame's atoms; None with one model.
    """

    structures: list[Structure]
    is_check: npt.NDArray[np.bool_]
    deviation_eV_A: Array | None


def choose_evenly(visited: Sequence[Visited], count: int) -> Chosen:
    """Choose frames evenly along each run, its cold beginning left out; none is a check frame.

    Parameters
    ----------
    visited : what each run visited.
    count : frames in all.
    """
    chosen: list[Structure] = []
    for run in visited:
        share = min(max(1, round(count / len(visited))), len(run.step) - run.first_news)
        if share > 0:
            index = np.unique(np.linspace(run.first_news, len(run.step) - 1, share).astype(int))
            chosen += [_frame(run, i) for i in index]
    return Chosen(chosen, np.zeros(len(chosen), dtype=np.bool_), None)


def choose(visited: Sequence[Visited], levels: Levels, labelled: LabelledFrames, count: int) -> Chosen:
    """Choose check frames evenly, and of the candidates those that lie farthest from what is labelled and chosen.

    A fifth of the frames are check frames: drawn evenly from all that did not fail, whatever their deviation, and never
    trained on, so that errors on them are those of MD itself.  The rest are candidates; where these are too few, the
    accurate frames that lie farthest, since an ensemble may agree and be wrong.

    Parameters
    ----------
    visited : what each run of an ensemble visited.
    levels : trust levels; where nearly all frames failed, those up to twice the high level may be taken.
    labelled : frames that have labels.
    count : frames in all.
    """
    place = [(r, i) for r, run in enumerate(visited) for i in range(run.first_news, len(run.step))]
    if not place:
        return Chosen([], np.zeros(0, np.bool_), np.zeros(0))
    deviation = np.array([visited[r].deviation_eV_A[i].max() for r, i in place])  # type: ignore[index]
    pool = np.flatnonzero(usable(deviation, levels, count))
    checks = pool[_evenly(len(pool), _checks(count, len(pool)))]
    near = np.zeros(len(place), dtype=np.bool_)
    for c in checks:
        r, i = place[c]
        near |= np.array([a == r and abs(b - i) <= CHECK_GAP for a, b in place])
    cells = known_cells(labelled)

    def farthest(numbers: IntArray, wanted: int) -> IntArray:
        """Return those `wanted` of the visited frames that lie farthest from `cells`."""
        numbers = numbers[_evenly(len(numbers), MOST)]
        if not 0 < wanted < len(numbers):
            return numbers[: max(0, wanted)]
        frames = [_frame(visited[r], i) for r, i in (place[n] for n in numbers)]
        worst = [int(visited[r].deviation_eV_A[i].argmax()) for r, i in (place[n] for n in numbers)]
        return numbers[farthest_points(frames, worst, cells, wanted)]

    uncertain = deviation[pool] > levels.low_eV_A
    candidates = farthest(pool[uncertain & ~near[pool]], count - len(checks))
    cells = cells + [_frame(visited[r], i) for r, i in (place[c] for c in candidates)]
    others = farthest(pool[~uncertain & ~near[pool]], count - len(checks) - len(candidates))
    taken = np.concatenate([checks, candidates, others])
    return Chosen(
        [_frame(visited[place[c][0]], place[c][1]) for c in taken],
        np.arange(len(taken)) < len(checks),
        deviation[taken],
    )


def _checks(count: int, pool: int) -> int:
    return min(pool, count, max(FEWEST_CHECKS, round(CHECK_SHARE * count)))


def _frame(run: Visited, index: int) -> Structure:
    return Structure(run.structure.symbols, run.positions_A[index], run.structure.cell_A)


def known_cells(frames: LabelledFrames) -> list[Structure]:
    """Return up to `MOST` evenly chosen labelled frames as structures."""
    index = _evenly(len(frames), MOST)
    return [Structure(frames.symbols, frames.positions_A[i], frames.cell_A[i]) for i in index]


def _evenly(of: int, most: int) -> IntArray:
    """Return up to `most` of the numbers below `of`, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, of - 1, min(of, most)).astype(np.int64))


def surroundings(structure: Structure, elements: Sequence[str]) -> Array:
    """Return what stands around each atom: neighbours of each element in smooth shells.

    Parameters
    ----------
    structure : N atoms.
    elements : E element names.

    Returns
    -------
    (N, E · B) sums of Gaussians of 0.5 Å at B distances from 1.5 to 6 Å, each divided by its distance squared, as a
    smoothed g(r) is.
    """
    distances, _ = pair_distances(structure.positions_A, structure.positions_A, structure.cell_A, REACH_A + WIDTH_A)
    near = (distances < REACH_A + WIDTH_A) & (distances > 1e-6)
    atom, other, _ = np.nonzero(near)
    shells = np.exp(-0.5 * ((distances[near][:, None] - CENTRES_A) / WIDTH_A) ** 2) * (CENTRES_A[0] / CENTRES_A) ** 2
    kind = np.array([elements.index(s) for s in structure.symbols])[other]
    found = np.zeros((len(structure.symbols), len(elements), len(CENTRES_A)))
    np.add.at(found, (atom, kind), shells)
    return found.reshape(len(structure.symbols), -1)


def farthest_points(
    candidates: Sequence[Structure], worst: Sequence[int], known: Sequence[Structure], count: int
) -> IntArray:
    """Choose candidates one after another, each the farthest from all that is known or chosen.

    The distance of a candidate from a frame has two parts, each in units of its own standard deviation over all frames:
    between the frames' mean surroundings of each element, and between the surroundings of the candidate's worst atom
    and the nearest of any atom of its element in the frame.  So an odd place of one atom counts in a common crystal.

    Parameters
    ----------
    candidates : C frames of the same atoms.
    worst : (C) the atom of each whose forces scatter most.
    known : frames that are labelled.
    count : how many to choose.

    Returns
    -------
    (count) numbers of the chosen, in the order of choice.
    """
    symbols = np.array(candidates[0].symbols)
    elements = list(dict.fromkeys(symbols))
    around = np.array([surroundings(s, elements) for s in (*candidates, *known)])  # (C + K, N, E·B)
    whole = np.concatenate([around[:, symbols == e].mean(axis=1) for e in elements], axis=1)
    whole /= max(float(np.sqrt(whole.var(axis=0).sum())), 1e-12)
    for e in elements:
        mine = around[:, symbols == e]
        around[:, symbols == e] = mine / max(float(np.sqrt(mine.var(axis=(0, 1)).sum())), 1e-12)
    number = np.arange(len(candidates))
    worst_of = np.asarray(worst)
    spot = around[number, worst_of]

    def squared(frame: int) -> Array:
        """Return the squared distance of every candidate from a frame, (C)."""
        total = ((whole[number] - whole[frame]) ** 2).sum(axis=1)
        for e in elements:
            here = symbols[worst_of] == e
            apart = ((spot[here][:, None] - around[frame][symbols == e]) ** 2).sum(axis=2)
            total[here] += apart.min(axis=1) if here.any() else 0.0
        return np.asarray(total)

    distance = np.full(len(candidates), np.inf)
    for frame in range(len(candidates), len(around)):
        distance = np.minimum(distance, squared(frame))
    chosen: list[int] = []
    for _ in range(min(count, len(candidates))):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, squared(chosen[-1]))
        distance[chosen] = -1.0
    return np.array(chosen, dtype=np.int64)
