"""Intervals by drawing again: frames in blocks that follow one another, or hops, one by one."""

import numpy as np

from ..checks import Array
from ..records import IntArray, LabelledFrames
from ..results import Estimate

RESAMPLES = 1000
MOST_BLOCKS = 60


def time_blocks(frames: LabelledFrames, most: int = MOST_BLOCKS) -> IntArray:
    """Return the number of the block of each frame, (F): frames that follow one another are drawn together.

    Parameters
    ----------
    frames : the frames, in any order.
    most : blocks at most; with fewer frames each is its own.
    """
    order = np.lexsort((frames.frame_number, frames.group))
    block = np.empty(len(frames), dtype=np.int64)
    for number, members in enumerate(np.array_split(order, min(most, len(frames)))):
        block[members] = number
    return block


def draws(count: int, seed: int = 1, resamples: int = RESAMPLES) -> Array:
    """Return how often each of `count` things is drawn in each resample, (R, count)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1.0 / count), size=resamples).astype(np.float64)


def summed(values: Array, block: IntArray) -> Array:
    """Return the sums of values (F) over blocks (F), (B)."""
    total: Array = np.bincount(block, weights=values, minlength=int(block.max()) + 1).astype(np.float64)
    return total


def mean_estimate(total: Array, count: Array, root: bool = False) -> Estimate:
    """Return Σ total / Σ count over blocks, or its root, with a 95 % interval: Student's t times the resampled scatter.

    One block alone has no interval: its ends are infinite.

    Parameters
    ----------
    total, count : (B) sums over each block and what they are divided by.
    root : the square root of the quotient is meant.
    """
    value = float(total.sum() / count.sum())
    drawn = draws(len(total))
    below = drawn @ count
    found = (drawn @ total)[below > 0] / below[below > 0]
    if root:
        value, found = float(np.sqrt(max(value, 0.0))), np.sqrt(np.maximum(found, 0.0))
    if len(total) < 2:
        return Estimate(value, -np.inf, np.inf)
    estimate = with_t(value, found, len(total) - 1)
    return Estimate(value, max(0.0, estimate.low), estimate.high) if root else estimate


def of_frames(square: Array, block: IntArray, root: bool = False) -> Estimate:
    """Return the mean of one number a frame (F), or its root, with its interval."""
    return mean_estimate(summed(square, block), summed(np.ones(len(square)), block), root)


def with_t(value: float, resampled: Array, dof: int) -> Estimate:
    """Return a value with a 95 % interval of Student's t times the scatter of its resamples.

    Parameters
    ----------
    value : from all.
    resampled : (R) from the resamples.
    dof : degrees of freedom, the number of things drawn less one.
    """
    from scipy.stats import t

    half = float(t.ppf(0.975, max(1, dof)) * np.std(resampled))
    return Estimate(value, value - half, value + half)
