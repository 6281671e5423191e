"""Structure of MD beside the reference's: g(r) of each pair of elements, and how far atoms rattle."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import PhysicsError
from ..mechanism.frames import check_cell, fractional_path, frame_pairs, thin
from ..mechanism.pairs import first_shell, pair_histogram, shell_edges
from ..records import LabelledFrames, Trajectory
from ..results import Estimate

FRAMES = 120
BLOCKS = 8
REACH_A = 7.0
BIN_A = 0.05
PEAK_A = 0.25
RATTLE_PS = 1.0


def frames_as_path(frames: LabelledFrames) -> Trajectory:
    """Return labelled frames as if they were a run, for what needs no order of time."""
    return Trajectory(
        frames.symbols, frames.positions_A, frames.cell_A, np.arange(len(frames), dtype=np.float64), 1.0, {}
    )


def pair_curves(paths: Sequence[Trajectory], first: str, second: str, frames: int = FRAMES) -> tuple[Array, Array]:
    """Return middles of shells (B) and g(r) of one pair of elements in equal blocks of the runs' frames, (b, B).

    Parameters
    ----------
    paths : runs of the same atoms.
    first, second : elements.
    frames : looked at in all, evenly chosen.
    """
    edges = shell_edges(REACH_A, round(REACH_A / BIN_A))
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    rows = []
    for path in paths:
        check_cell(path)
        names = np.array(path.symbols)
        chosen = thin(len(path.time_ps), max(BLOCKS, frames // len(paths)))
        a = fractional_path(path, names == first, frames=chosen)
        b = a if first == second else fractional_path(path, names == second, frames=chosen)
        cells = np.broadcast_to(path.cell_A, (len(path.time_ps), 3, 3))[chosen]
        for one, other, cell in zip(a, b, cells, strict=True):
            count = pair_histogram(one, other, cell, edges, same=first == second)
            rows.append(count * abs(np.linalg.det(cell)) / (one.shape[0] * other.shape[0] * shells))
    blocks = np.array([part.mean(axis=0) for part in np.array_split(np.array(rows), min(BLOCKS, len(rows)))])
    return 0.5 * (edges[1:] + edges[:-1]), blocks


def compare_pairs(md: Sequence[Trajectory], reference: Sequence[Trajectory]) -> list[dict[str, Any]]:
    """Return g(r) of MD beside that of the reference for each pair of elements.

    One number a pair: the largest difference over all distances, and the largest that two runs of the reference alone
    would show: each of eight blocks of the reference is set against the rest, scaled to the lengths compared, and
    Student's t gives what one more would stay below at 95 % for all pairs together.  Beyond it MD is another
    structure, and only then.  Where the first peak lies is given beside.

    Parameters
    ----------
    md, reference : runs, or frames that stand for one.
    """
    elements = list(dict.fromkeys(reference[0].symbols))
    chosen = [
        (first, second)
        for i, first in enumerate(elements)
        for second in elements[i:]
        if first != second or reference[0].symbols.count(first) > 1
    ]
    found = []
    for first, second in chosen:
        r, ref = pair_curves(reference, first, second)
        _, mine = pair_curves(md, first, second)
        found.append(_compared(f"{first}-{second}", r, mine, ref, alpha=0.05 / len(chosen)))
    return found


def _compared(pair: str, r: Array, md: Array, ref: Array, *, alpha: float) -> dict[str, Any]:
    from scipy.stats import t

    a, b = md.mean(axis=0), ref.mean(axis=0)
    difference = a - b
    at = int(np.argmax(np.abs(difference)))
    noise = None
    if len(ref) >= 3:
        rest = (ref.sum(axis=0) - ref) / (len(ref) - 1)
        scale = np.sqrt((1.0 / len(ref) + 1.0 / len(md)) / (1.0 + 1.0 / (len(ref) - 1)))
        alone = scale * np.abs(ref - rest).max(axis=1)
        noise = float(alone.mean() + t.ppf(1 - alpha, len(ref) - 1) * np.sqrt(1 + 1 / len(ref)) * alone.std(ddof=1))
    expected = np.full(len(r), 100.0)
    peaks = [first_shell(g, BIN_A, expected)[0] for g in (a, b)]
    return {
        "pair": pair,
        "r_A": np.round(r, 4).tolist(),
        "md": np.round(a, 5).tolist(),
        "reference": np.round(b, 5).tolist(),
        "reference_stderr": np.round(ref.std(axis=0, ddof=1) / np.sqrt(len(ref)), 5).tolist() if len(ref) > 1 else None,
        "largest_difference": float(difference[at]),
        "at_A": float(r[at]),
        "within_reference": noise,
        "differs": None if noise is None else bool(abs(difference[at]) > noise),
        "peak_md_A": None if peaks[0] is None else _top(r, a, peaks[0]),
        "peak_reference_A": None if peaks[1] is None else _top(r, b, peaks[1]),
    }


def _top(r: Array, g: Array, at: int) -> float:
    """Return the middle of a peak in Å: the mean distance within 0.25 Å of it, weighed by g, found again from there."""
    middle = float(r[at])
    for _ in range(5):
        near = np.abs(r - middle) <= PEAK_A
        if not g[near].sum() > 0.0:
            break
        middle = float(r[near] @ g[near] / g[near].sum())
    return middle


def rattle(paths: Sequence[Trajectory], element: str, mobile: str) -> Estimate | None:
    r"""Return the mean-square vibration amplitude of an element in Å², half of its MSD at 1 ps.

    .. math:: u^2 = \tfrac{1}{2} \langle |r(t + 1\,\mathrm{ps}) - r(t)|^2 \rangle

    which is the mean square distance from the mean place for atoms that forget their vibration within 1 ps and stay;
    for the mobile ions it holds their hops too.  The interval is from blocks of time (Student's t); None where no two
    frames are 1 ps apart.

    Parameters
    ----------
    paths : runs.
    element : whose atoms.
    mobile : the drift of all other atoms is taken off.
    """
    from scipy.stats import t

    values: list[Array] = []
    for path in paths:
        names = np.array(path.symbols)
        framework = names != mobile
        step = float(path.time_ps[-1] - path.time_ps[0]) / (len(path.time_ps) - 1)
        if step > RATTLE_PS:
            return None
        try:
            first, second, _ = frame_pairs(path.time_ps, max(1, round(RATTLE_PS / step)), 2000)
        except PhysicsError:
            return None
        r = path.positions_A[:, names == element]
        if framework.any():
            r = r - path.positions_A[:, framework].mean(axis=1, keepdims=True)
        moved = ((r[second] - r[first]) ** 2).sum(axis=-1).mean(axis=1)
        parts = max(2, 2 * BLOCKS // len(paths))
        values += [part for part in np.array_split(moved, parts) if len(part)]
    means = np.array([0.5 * v.mean() for v in values])
    weight = np.array([len(v) for v in values])
    mean = float(weight @ means / weight.sum())
    if len(means) < 3:
        return None
    half = float(t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means)))
    return Estimate(mean, mean - half, mean + half)
