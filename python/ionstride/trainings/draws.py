"""Which frames are tested on, and which are drawn to train on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..potential import split_frames
from ..records import LabelledFrames


@dataclass(frozen=True)
class HeldOut:
    """Frames parted for good: those never trained on, and those that trainings may draw from.

    Attributes
    ----------
    test, pool : frames to test on, and to draw from.
    rule : how they were parted, in words.
    left_out : frames in neither, too near in time to the tested ones.
    """

    test: LabelledFrames
    pool: LabelledFrames
    rule: str
    left_out: int = 0


def hold_out(frames: LabelledFrames, fraction: float, seed: int, gap_of: Callable[[LabelledFrames], int]) -> HeldOut:
    """Hold out whole runs, or blocks of frame number with a gap around them in which nothing is trained on.

    Parameters
    ----------
    frames : F labelled frames.
    fraction : part to test on, 0 < fraction < 0.5.
    seed : of the choice.
    gap_of : frames of one run → frame numbers to leave out on either side of a block.

    Raises
    ------
    InputError
        If nothing is left to train on.
    """
    if not 0.0 < fraction < 0.5:
        raise InputError(f"--test-fraction {fraction:g}, wanted above 0 and below 0.5")
    tested, rule = split_frames(frames, fraction, seed)
    near = np.zeros(len(frames), dtype=np.bool_)
    gaps: list[int] = []
    for run in np.unique(frames.group):
        members = np.flatnonzero(frames.group == run)
        held = np.sort(frames.frame_number[members[tested[members]]])
        if len(held) in (0, len(members)):
            continue
        gap = gap_of(frames.take(members))
        gaps.append(gap)
        number = frames.frame_number[members]
        place = np.searchsorted(held, number)
        after = np.abs(held[np.minimum(place, len(held) - 1)] - number)
        before = np.abs(number - held[np.maximum(place - 1, 0)])
        near[members] = np.minimum(after, before) <= gap
    pool = ~tested & ~near
    if not pool.any():
        raise InputError(
            f"holding out {fraction:g} of {len(frames)} frames leaves none to train on: their runs are too short; "
            "give other frames to test on with --test"
        )
    if gaps:
        span = f"{min(gaps)}" if min(gaps) == max(gaps) else f"{min(gaps)} to {max(gaps)}"
        rule += f", with a gap of {span} frame numbers on either side"
    left_out = int((near & ~tested).sum())
    return HeldOut(frames.take(tested), frames.take(pool), rule, left_out)


def draw_frames(group: npt.NDArray[np.int64], count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw frames without replacement, from each run in proportion to its frames.

    Parameters
    ----------
    group : (F) run of each frame.
    count : frames to draw, at most F.
    rng : where chance comes from.

    Returns
    -------
    (count) indices, ascending.
    """
    if not 0 < count <= len(group):
        raise InputError(f"{count} frames cannot be drawn from {len(group)}; take smaller --sizes")
    runs, sizes = np.unique(group, return_counts=True)
    share = count * sizes / len(group)
    quota = np.floor(share).astype(np.int64)
    # What is left over goes to runs at random, by the size of their remainders.
    missing = count - int(quota.sum())
    if missing:
        weight = share - quota
        chosen = rng.choice(len(runs), missing, replace=False, p=weight / weight.sum())
        quota[chosen] += 1
    drawn = [rng.choice(np.flatnonzero(group == run), n, replace=False) for run, n in zip(runs, quota, strict=True)]
    return np.sort(np.concatenate(drawn))


def in_order_of(frames: LabelledFrames, symbols: tuple[str, ...]) -> LabelledFrames:
    """Return frames with their atoms in another order of elements.

    Raises
    ------
    InputError
        If the composition is another one.
    """
    from dataclasses import replace

    if frames.symbols == symbols:
        return frames
    if sorted(frames.symbols) != sorted(symbols):
        raise InputError("the frames to test on are of another composition than those to train on")
    theirs = np.argsort(np.array(frames.symbols), kind="stable")
    ours = np.argsort(np.array(symbols), kind="stable")
    order = np.empty(len(symbols), dtype=np.int64)
    order[ours] = theirs
    return replace(
        frames,
        symbols=symbols,
        positions_A=frames.positions_A[:, order],
        force_eV_A=frames.force_eV_A[:, order],
    )
