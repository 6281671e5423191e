"""Whether a trajectory stays what it began as: motion of the mobile ions and whole polyhedra, part by part."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import PhysicsError
from ..geometry import coordination
from ..mechanism.frames import frame_pairs, thin
from ..records import Polyhedron, Trajectory
from ..results import Estimate

PARTS = 10
"""Equal parts of each run; what is told of its halves has five of them in each."""
LAG_PS = 5.0
FRAMES = 20
"""Frames of a part in which ligands are counted."""


def lag_of(paths: Sequence[Trajectory]) -> float:
    """Return the lag in ps at which motion is compared: half of a part of the shortest run, at most 5 ps."""
    return min([LAG_PS, *(0.5 * _length(path) / PARTS for path in paths)])


def ageing(paths: Sequence[Trajectory], mobile: str, polyhedra: Sequence[Polyhedron], lag_ps: float) -> dict[str, Any]:
    r"""Return how the MSD at one lag and the ligands of the centres change in the course of some runs.

    The MSD of all mobile ions is taken for ten parts of each run.  Its mean over the second half against the first,

    .. math:: \ln\frac{m_2}{m_1} \pm t\,\sqrt{s_1^2 / (n_1 m_1^2) + s_2^2 / (n_2 m_2^2)}

    with the scatter s of the parts: ions that move together are one number there.  The parts count as independent.

    Parameters
    ----------
    paths : runs of the same atoms, each from its own start.
    mobile : element; the drift of all other atoms is taken off.
    polyhedra : whose ligands are counted.
    lag_ps : the lag, see `lag_of`.

    Returns
    -------
    "msd_A2" : (fifths) MSD at that lag, mean over the runs.
    "change" : second half over first, `Estimate`; None where a half has fewer than two parts with pairs of frames.
    "whole" : polyhedron → (fifths) part of the frames in which all are whole.
    "ligands" : polyhedron → (fifths) mean number of ligands of a centre.
    """
    parts = np.array([_msd_of_parts(path, mobile, lag_ps) for path in paths])
    whole: dict[str, list[float | None]] = {}
    ligands: dict[str, list[float | None]] = {}
    for kind in polyhedra:
        found = np.array([_ligands(path, kind) for path in paths])
        whole[str(kind)], ligands[str(kind)] = _fifths(found[..., 0]), _fifths(found[..., 1])
    return {"msd_A2": _fifths(parts), "change": _change(parts), "whole": whole, "ligands": ligands}


def _length(path: Trajectory) -> float:
    return float(path.time_ps[-1] - path.time_ps[0])


def _part_of(path: Trajectory, rows: Any) -> Any:
    """Return the part (0 to 9) that frames belong to."""
    share = (path.time_ps[rows] - path.time_ps[0]) / _length(path)
    return np.minimum((PARTS * share).astype(np.int64), PARTS - 1)


def _msd_of_parts(path: Trajectory, mobile: str, lag_ps: float) -> Array:
    names = np.array(path.symbols)
    r = path.positions_A[:, names == mobile]
    if (names != mobile).any():
        r = r - path.positions_A[:, names != mobile].mean(axis=1, keepdims=True)
    step = _length(path) / (len(path.time_ps) - 1)
    try:
        first, second, _ = frame_pairs(path.time_ps, max(1, round(lag_ps / step)), 4000)
    except PhysicsError:
        return np.full(PARTS, np.nan)
    moved = ((r[second] - r[first]) ** 2).sum(axis=-1).mean(axis=1)
    part = _part_of(path, first)
    inside = part == _part_of(path, second)  # a pair over the border would tie two parts together
    return np.array(
        [moved[inside & (part == k)].mean() if (inside & (part == k)).any() else np.nan for k in range(PARTS)]
    )


def _ligands(path: Trajectory, kind: Polyhedron) -> Array:
    """Return for each part the share of frames in which all are whole, and the mean number of ligands, (10, 2)."""
    part = _part_of(path, np.arange(len(path.time_ps)))
    found = np.full((PARTS, 2), np.nan)
    for k in np.unique(part):
        rows = np.flatnonzero(part == k)
        rows = rows[thin(len(rows), FRAMES)]
        cells = np.broadcast_to(path.cell_A, (len(path.time_ps), 3, 3))[rows]
        count = coordination(path.symbols, path.positions_A[rows], cells, kind.centre, kind.ligand, kind.cutoff_A)
        found[k] = (count == kind.count).all(axis=1).mean(), count.mean()
    return found


def _fifths(parts: Array) -> list[float | None]:
    """Return the mean over runs of two parts at a time; None where there is none."""
    pairs = parts.reshape(len(parts), PARTS // 2, 2)
    known = ~np.isnan(pairs)
    count = known.sum(axis=(0, 2))
    total = np.where(known, pairs, 0.0).sum(axis=(0, 2))
    return [float(v / n) if n else None for v, n in zip(total, count, strict=True)]


def _change(parts: Array) -> Estimate | None:
    from scipy.stats import t

    halves = [half[~np.isnan(half)] for half in (parts[:, : PARTS // 2].ravel(), parts[:, PARTS // 2 :].ravel())]
    if min(len(half) for half in halves) < 2 or min(half.mean() for half in halves) <= 0.0:
        return None
    terms = [half.var(ddof=1) / len(half) / half.mean() ** 2 for half in halves]
    dof = sum(terms) ** 2 / sum(term**2 / (len(half) - 1) for term, half in zip(terms, halves, strict=True))
    reach = float(t.ppf(0.975, dof) * np.sqrt(sum(terms))) if sum(terms) > 0.0 else 0.0
    ratio = float(halves[1].mean() / halves[0].mean())
    return Estimate(ratio, ratio * float(np.exp(-reach)), ratio * float(np.exp(reach)))


def energy_beyond(runs: Sequence[Array], reference_eV_atom: Sequence[Array]) -> dict[str, Any] | None:
    """Return how far the potential energy of MD lies from that of the reference's frames, by the same potential.

    At one temperature both are the same in equilibrium.  MD below the reference has found a structure that the
    potential likes better than the one it was taught.

    Parameters
    ----------
    runs : potential energy per atom in eV in the course of each production, (T) each.
    reference_eV_atom : for each run, that of the reference's frames in order of time by the potential that drove it,
        (F) each.

    Returns
    -------
    "meV_atom" : the difference; its interval is Student's t over the runs (over ten parts of a single run), with the
        scatter of ten parts of the reference.
    "fifths" : (5) the difference in the course of MD.
    "runs" : of each run.
    None with fewer than ten values of either.
    """
    from scipy.stats import t

    if not runs or min(len(row) for row in [*runs, *reference_eV_atom]) < PARTS:
        return None
    parts = np.array([
        [part.mean() - ref.mean() for part in np.array_split(run, PARTS)]
        for run, ref in zip(runs, reference_eV_atom, strict=True)
    ])  # fmt: skip
    units = parts.mean(axis=1) if len(runs) > 1 else parts[0]
    blocks = np.array([part.mean() for part in np.array_split(reference_eV_atom[0], PARTS)])
    error = np.sqrt(units.var(ddof=1) / len(units) + blocks.var(ddof=1) / PARTS)
    half = 1000.0 * float(t.ppf(0.975, len(units) - 1) * error)
    value = 1000.0 * float(parts.mean())
    return {
        "meV_atom": Estimate(value, value - half, value + half),
        "fifths": [1000.0 * float(v) for v in parts.reshape(len(parts), PARTS // 2, 2).mean(axis=(0, 2))],
        "runs": [1000.0 * float(v) for v in parts.mean(axis=1)],
    }
