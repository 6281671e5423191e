"""Bursts of hops seen in the training data: where they lead, and what comes after which."""

from dataclasses import dataclass

import numpy as np

from ..checks import Array
from .detect import HOP_A, SMOOTH, IntArray, Jumps, detect_jumps
from .windows import Windows

FEW_HOPS = 20
"""Fewer seen than this do not tell what comes after what."""

_SETTLED = 2 * SMOOTH  # records after a hop in which the ion settles
_STAY = 8 * SMOOTH  # records of a stay whose mean is a site
_SOONEST = SMOOTH + 3  # records within which two hops are seen as one
_FOLLOWERS = 12  # bursts seen that were most like the last, what came after one of which comes next
_SURE = 8.0  # log likelihood that waits of two kinds must gain over waits of one
_APART = 3.0  # times by which the two mean waits differ, at least
_MOST = 32  # moves of a burst; an ion that hops on and on is not copied for longer
_OFTEN = 0.7  # part of short waits up to which they make bursts; more are a state of the ion that lasts

_Burst = list[tuple[int, Array]]
_NO_PAIRS = np.zeros((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class Seen:
    """Bursts as seen: hops of an ion with short waits between them, a single hop, or an excursion: there and back.

    Number 2 v + 1 is number 2 v run backwards.

    Attributes
    ----------
    moves : (2 V, K, 3) of each burst, from site to site, Å; unit vectors of any direction where too few were seen.
    offset : (2 V, K) records of the moves after the first; −1 where there are no more.
    limit : records after a burst, at least, before the next one; a shorter wait would have made them one.
    enough : whether they were seen.
    follow : (2 V, M) numbers of bursts that may come after one of that number.
    """

    moves: Array
    offset: IntArray
    limit: int
    enough: bool
    follow: IntArray


def seen_bursts(train: Windows) -> Seen:
    """Return the bursts seen in the training data."""
    paths = [np.ascontiguousarray(path[:, :: train.stride]) for path in train.paths()]
    jumps = [detect_jumps(x, train.dt_ps) for x in paths]
    if sum(len(one.ion) for one in jumps) < FEW_HOPS:
        some = _directions(np.random.default_rng(0), 512)
        single = np.stack([some, -some], axis=1).reshape(-1, 1, 3)
        return Seen(single, np.zeros((1024, 1), dtype=np.int64), 0, False, _followers(some, _NO_PAIRS))
    limit = short_waits(
        np.concatenate([np.diff(one.record, append=0)[one.followed] for one in jumps]),
        np.concatenate([one.n_records - one.record[~one.followed] for one in jumps]),
    )
    bursts: list[_Burst] = []
    pairs = []
    for x, one in zip(paths, jumps, strict=True):
        pairs.append(len(bursts) + _bursts_of(x, one, limit, bursts))
    longest = max(len(burst) for burst in bursts)
    moves, offset = np.zeros((2 * len(bursts), longest, 3)), np.full((2 * len(bursts), longest), -1, dtype=np.int64)
    for number, burst in enumerate(bursts):
        end = max(record for record, _ in burst)
        backwards = sorted(((end - record, -vector) for record, vector in burst), key=lambda move: move[0])
        for row, way in ((2 * number, burst), (2 * number + 1, backwards)):
            for k, (record, vector) in enumerate(way):
                offset[row, k], moves[row, k] = record, vector
    return Seen(moves, offset, limit, True, _followers(moves[::2].sum(axis=1), np.concatenate(pairs)))


def _bursts_of(x_A: Array, jumps: Jumps, limit: int, bursts: list[_Burst]) -> IntArray:
    """Add the bursts of a run to a list; return which came after which, (P, 2), from 0."""
    sites = _sites(x_A, jumps)
    first, pairs, start = len(bursts), [], 0
    for k, (ion, record) in enumerate(zip(jumps.ion, jumps.record, strict=True)):
        same = k > 0 and jumps.ion[k - 1] == ion
        goes_on = same and record - jumps.record[k - 1] < limit and len(bursts[-1]) < _MOST
        # from where the last jump of a burst led, so that a burst leads from site to site whatever is between
        before = sites[k - 1][1] if goes_on else sites[k][0]
        until = jumps.record[k + 1] if k + 1 < len(sites) and jumps.ion[k + 1] == ion else x_A.shape[1]
        moves = _moves(x_A[ion, record : min(until, record + 2 * _SETTLED)], before, sites[k][1], jumps.threshold_A)
        if goes_on:
            bursts[-1].extend((int(record) - start + after, vector) for after, vector in moves)
            continue
        if same:
            pairs.append((len(bursts) - 1 - first, len(bursts) - first))
        start = int(record)
        bursts.append(moves)
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _sites(x_A: Array, jumps: Jumps) -> list[tuple[Array, Array]]:
    """Return the mean places before and after each jump.

    Positions at the few records in which a jump is seen hold the rattling: added at each hop it would blur the lattice.
    """
    found = []
    same = np.append(jumps.ion[1:] == jumps.ion[:-1], False)[: len(jumps.ion)]
    for k, (ion, record) in enumerate(zip(jumps.ion, jumps.record, strict=True)):
        begin = min(jumps.record[k - 1] + _SETTLED, record - 3) if k and same[k - 1] else 0
        end = jumps.record[k + 1] if same[k] else x_A.shape[1]
        settled = min(record + _SETTLED, end - 3)
        before = x_A[ion, max(begin, record - _STAY) : max(record, begin + 1)]
        after = x_A[ion, settled : min(end, settled + _STAY)]
        found.append((before.mean(axis=0), after.mean(axis=0)))
    return found


def _moves(path_A: Array, before: Array, after: Array, threshold_A: float) -> _Burst:
    """Return the moves of a jump, records after it: one, or there and back where the ion then is where it was.

    Parameters
    ----------
    path_A : (t, 3) from the jump on.
    before, after : (3) sites.
    threshold_A : a jump is longer than this.
    """
    between = after - before
    far = ((path_A - before) ** 2).sum(axis=1) > threshold_A**2
    if between @ between >= threshold_A**2 or not far.any():
        return [(0, between)]
    # It was away for long enough to be seen to jump.
    there = path_A[far].mean(axis=0) - before
    return [(0, there), (int(far.sum()), between - there)]


def short_waits(wait: Array, stay: Array) -> int:
    """Return the records below which a wait is more likely one of a burst; 0 where waits are of one kind.

    Waits are taken as a mixture of two exponentials from `_SOONEST` on, by maximum likelihood; a stay whose end was not
    seen counts as longer than what was seen of it.  One exponential does where two are not much likelier.  Where nearly
    all waits are short, ions hop on and on while they are mobile: that is for the law of hops to say.

    Parameters
    ----------
    wait : (P) records from a hop to the next of its ion.
    stay : (Q) records from an ion's last hop to the end of its run.
    """
    from scipy.optimize import minimize

    whole, cut = np.maximum(wait - _SOONEST, 0) + 0.5, np.maximum(stay - _SOONEST, 0) + 0.5
    if len(whole) < 2 * FEW_HOPS:
        return 0
    mean = float(whole.sum() + cut.sum()) / len(whole)
    single = -len(whole) * (np.log(mean) + 1.0)

    def parts(x: Array) -> tuple[float, float, float]:
        return 1.0 / (1.0 + np.exp(-x[0])), float(np.exp(x[1])), float(np.exp(x[2]))

    def loss(x: Array) -> float:
        part, short, long = parts(x)
        density = part / short * np.exp(-whole / short) + (1.0 - part) / long * np.exp(-whole / long)
        beyond = part * np.exp(-cut / short) + (1.0 - part) * np.exp(-cut / long)
        return float(-np.log(np.maximum(density, 1e-300)).sum() - np.log(np.maximum(beyond, 1e-300)).sum())

    fits = [
        minimize(loss, [0.0, np.log(mean * less), np.log(mean)], method="Nelder-Mead", options={"maxiter": 2000})
        for less in (0.03, 0.2)
    ]
    best = min(fits, key=lambda fit: fit.fun)
    part, short, long = parts(best.x)
    if short > long:
        part, short, long = 1.0 - part, long, short
    if -best.fun < single + _SURE or long < _APART * short or part > _OFTEN:
        return 0
    return _SOONEST + max(0, int(np.log(part / short / ((1.0 - part) / long)) / (1.0 / short - 1.0 / long)))


def _directions(rng: np.random.Generator, count: int) -> Array:
    """Return unit vectors of any direction."""
    direction = rng.standard_normal((count, 3))
    return np.asarray(direction / np.linalg.norm(direction, axis=1, keepdims=True))


def _followers(net: Array, pairs: IntArray) -> IntArray:
    """Return (2 V, M) numbers of bursts after a burst: what came after the M seen that were most like it.

    Pairs count backwards in time and turned round too, so that no direction is preferred.  Where the second
    took its ion back, what comes is the very reverse: it would not lead back after one that is only alike.  Without
    pairs, any.
    """
    from scipy.spatial import cKDTree

    signed = np.stack([net, -net], axis=1).reshape(-1, 3)
    if len(pairs) < FEW_HOPS:
        half = np.random.default_rng(0).integers(len(signed), size=(len(net), _FOLLOWERS))
        return np.stack([half, half ^ 1], axis=1).reshape(-1, _FOLLOWERS)
    one, two = 2 * pairs[:, 0], 2 * pairs[:, 1]
    first = np.concatenate([one, one ^ 1, two, two ^ 1])
    second = np.concatenate([two, two ^ 1, one, one ^ 1])
    near = cKDTree(signed[first]).query(net, k=_FOLLOWERS)[1]
    far = 0.25 * HOP_A**2
    back = (((signed[first] + signed[second]) ** 2).sum(axis=1) < far) & ((signed[first] ** 2).sum(axis=1) > far)
    half = np.where(back[near], 2 * np.arange(len(net))[:, None] + 1, second[near])
    return np.stack([half, half ^ 1], axis=1).reshape(-1, _FOLLOWERS)
