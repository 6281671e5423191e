"""Statistics of series of records, the same for molecular dynamics, baselines and models; summed batch by batch.

Everything is kept as sums over groups of ions, so that batches add up and groups can be resampled for errors.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .. import _kernels
from ..checks import Array
from ..errors import PhysicsError
from ..records import Displacements
from ..transport import all_lags_msd
from .detect import HOP_A, detect_jumps
from .windows import FloatArray, frame_ps_of

IntArray = npt.NDArray[np.int64]

WINDOWS = (1, 3, 10, 30, 100)
"""Multiples of the window at which a model is judged."""

RUNS = (1, 3, 10, 30)
"""Multiples of a training run at which its MSD is looked at beside."""

GROUPS = 16  # of ions: what is resampled
BIN = 0.01  # of the van Hove functions, in units of the rms displacement
RANGE = 20.0  # to both sides, in the same units
N_BINS = round(2 * RANGE / BIN)
WAIT_EDGES = np.geomspace(1.0, 1e5, 61)  # of waiting times, in records
_ORIGINS = 500_000  # displacements that a van Hove function of a batch is made of
_PHASES = 4  # of the stride that the jumps of data are looked for in


class Source(Protocol):
    """A source of series: draws increments (ions, records, 3) in Å, stationary from the first record on."""

    @property
    def dt_ps(self) -> float:
        """Time between records."""
        ...

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def draw(self, ions: int, records: int, rng: np.random.Generator) -> FloatArray:
        """Return increments (ions, records, 3) float32."""
        ...


@dataclass(frozen=True)
class Plan:
    """What is asked of every series.

    Attributes
    ----------
    length : records of a window, L.
    dt_ps : time between records.
    lags : (M) lags in records.
    shape_lags : (V) those at which the van Hove function is made.
    scale_A : (V, 4) unit of displacement along x, y, z and of |Δ| at these.
    hop_A : distance of sites, for jumps.
    """

    length: int
    dt_ps: float
    lags: IntArray
    shape_lags: IntArray
    scale_A: Array
    hop_A: float = HOP_A


@dataclass
class Sums:
    """Sums over groups of ions; G groups, M lags, V lags of the van Hove function.

    Attributes
    ----------
    pairs : (G, M) displacements seen at each lag.
    second : (G, M, 3) Σ Δ² of each axis in Å².
    fourth : (G, M) Σ |Δ|⁴ in Å⁴.
    shapes : (G, V, 4, bins) histograms of Δx, Δy, Δz and |Δ|.
    jumps : (G, 4) jumps, observed ps, jumps followed by another, jumps straight back.
    waits : (G, bins) histogram of the times between jumps.
    dense : (L + 1) × 3 Σ Δ² at all lags to L, and its pairs in the last column.
    drift : (3) Σ of increments in Å, and their number.
    """

    pairs: Array
    second: Array
    fourth: Array
    shapes: Array
    jumps: Array
    waits: Array
    dense: Array
    drift: Array
    ions: int = 0
    together: float = 1.0  # ions that move together count like 1 / together of their number
    notes: list[str] = field(default_factory=list)


def empty_sums(plan: Plan) -> Sums:
    """Return sums of nothing."""
    many, shaped = len(plan.lags), len(plan.shape_lags)
    return Sums(
        pairs=np.zeros((GROUPS, many)),
        second=np.zeros((GROUPS, many, 3)),
        fourth=np.zeros((GROUPS, many)),
        shapes=np.zeros((GROUPS, shaped, 4, N_BINS)),
        jumps=np.zeros((GROUPS, 4)),
        waits=np.zeros((GROUPS, len(WAIT_EDGES) - 1)),
        dense=np.zeros((plan.length + 2, 4)),
        drift=np.zeros(4),
    )


def choose_lags(length: int, longest: int, run: int = 0) -> tuple[IntArray, IntArray]:
    """Return the lags (M) to look at, up to `longest` records, and those (V) of the van Hove function.

    Parameters
    ----------
    length : records of a window.
    longest : longest lag.
    run : records of a training run, multiples of which are looked at too.
    """
    powers = 2 ** np.arange(int(np.log2(max(longest, 2))) + 1)
    multiples, runs = length * np.array(WINDOWS), run * np.array(RUNS if run else ())
    every = np.unique(np.concatenate([powers, 3 * powers, multiples, runs.astype(np.int64)]))
    shapes = np.unique(np.concatenate([[1, 4, 8, 32], multiples]))
    return every[every <= longest], shapes[shapes <= longest]


def add(sums: Sums, plan: Plan, x_A: Array, group: IntArray, *, jumps: bool = True) -> None:
    """Add paths to the sums.

    Parameters
    ----------
    sums : what is added to.
    plan : what is asked.
    x_A : (n, T, 3) float64 positions at the records.
    group : (n) group of each ion.
    jumps : whether jumps are looked for too.
    """
    records = x_A.shape[1]
    reached = np.flatnonzero(plan.lags < records)
    lags = np.ascontiguousarray(plan.lags[reached])
    tensor, fourth = _kernels.displacement_moments(np.ascontiguousarray(x_A), lags)
    origins = (records - lags).astype(np.float64)
    for g in np.unique(group):
        mine = group == g
        sums.pairs[g, reached] += mine.sum() * origins
        sums.second[g, reached] += tensor[mine, :, :3].sum(axis=0) * origins[:, None]
        sums.fourth[g, reached] += fourth[mine].sum(axis=0) * origins
    dense = min(plan.length + 2, records)
    msd = all_lags_msd(x_A)[:dense]
    pairs = len(x_A) * (records - np.arange(dense, dtype=np.float64))
    sums.dense[:dense] += np.column_stack([msd * pairs[:, None], pairs])
    sums.drift += np.append((x_A[:, -1] - x_A[:, 0]).sum(axis=0), len(x_A) * (records - 1.0))
    for v, lag in enumerate(plan.shape_lags):
        if lag < records:
            _add_shape(sums, plan, x_A, group, v)
    if jumps:
        _add_jumps(sums, plan, x_A, group)


def _add_shape(sums: Sums, plan: Plan, x_A: Array, group: IntArray, v: int) -> None:
    lag = int(plan.shape_lags[v])
    free = x_A.shape[1] - lag
    step = max(1, lag // 8, -(-len(x_A) * free // _ORIGINS))
    delta = x_A[:, lag::step][:, : -(-free // step)] - x_A[:, :free:step]
    values = np.concatenate([delta, np.sqrt((delta * delta).sum(axis=-1, keepdims=True))], axis=-1)
    place = np.floor(values / (plan.scale_A[v] * BIN) + N_BINS / 2)
    place = np.clip(place, 0, N_BINS - 1).astype(np.int64)
    for g in np.unique(group):
        for c in range(4):
            sums.shapes[g, v, c] += np.bincount(place[group == g, :, c].ravel(), minlength=N_BINS)


def _add_jumps(sums: Sums, plan: Plan, x_A: Array, group: IntArray) -> None:
    found = detect_jumps(x_A, plan.dt_ps, plan.hop_A)
    if found.n_records < 2:
        return
    of = group[found.ion]
    sums.jumps[:, 0] += np.bincount(of, minlength=GROUPS)
    sums.jumps[:, 1] += np.bincount(group, minlength=GROUPS) * found.n_records * found.dt_ps
    sums.jumps[:, 2] += np.bincount(of, found.followed, minlength=GROUPS)
    sums.jumps[:, 3] += np.bincount(of, found.back, minlength=GROUPS)
    place = np.clip(np.searchsorted(WAIT_EDGES, found.waits_ps / plan.dt_ps) - 1, 0, len(WAIT_EDGES) - 2)
    np.add.at(sums.waits, (of[found.followed], place), 1.0)


def sums_of_data(displacements: Displacements, plan: Plan, stride: int) -> Sums:
    """Return the sums of trajectories, from all phases of the stride.

    Where there are eight runs or more, a run is what is resampled; else an ion is, and ions that move together are
    counted as fewer.
    """
    from ..transport.scatter import concerted

    sums = empty_sums(plan)
    numbers, of_run = np.unique(displacements.run, return_inverse=True)
    by_run = len(numbers) >= 8
    rank = np.arange(len(of_run)) if not by_run else of_run
    group = (rank % GROUPS).astype(np.int64)
    for phase in range(stride):
        path = np.ascontiguousarray(displacements.r_A[:, phase::stride])
        add(sums, plan, path, group, jumps=phase % max(1, stride // _PHASES) == 0)
    sums.ions = len(of_run)
    sums.together = 1.0 if by_run else concerted(displacements, 0)
    return sums


def sums_of_source(
    source: Source,
    plan: Plan,
    *,
    ions: int,
    records: int,
    rng: np.random.Generator,
    batch: int = 256,
) -> Sums:
    """Return the sums of generated series, drawn in batches of ions so that they are never all held.

    Parameters
    ----------
    source : what draws.
    plan : what is asked.
    ions, records : size of the series.
    rng : source of randomness.
    batch : ions drawn at once.

    Raises
    ------
    PhysicsError
        If the source draws numbers that are not finite.
    """
    sums = empty_sums(plan)
    unit = int(getattr(source, "ions_together", 1))
    batch = max(min(batch, ions) // unit, 1) * unit
    while sums.ions < ions:
        increments = source.draw(batch, records, rng)
        if not np.isfinite(increments).all():
            raise PhysicsError(f"{source.name} draws numbers that are not finite: its training went astray")
        x_A = np.zeros((batch, records + 1, 3))
        np.cumsum(increments, axis=1, dtype=np.float64, out=x_A[:, 1:])
        group = (np.arange(sums.ions, sums.ions + batch) // unit) % GROUPS
        add(sums, plan, x_A, group)
        sums.ions += batch
    return sums


def scales(displacements: Displacements, lags: IntArray, stride: int) -> Array:
    """Return the rms displacement along x, y, z and in all at some lags in records, (V, 4) in Å."""
    tensor, _ = _kernels.displacement_moments(displacements.r_A, np.ascontiguousarray(lags * stride))
    squares = tensor[..., :3].mean(axis=0)
    return np.asarray(np.sqrt(np.column_stack([squares, squares.sum(axis=1)])))


def make_plan(
    train: Displacements, reference: Displacements | None, length: int, stride: int, hop_A: float = HOP_A
) -> Plan:
    """Return what to ask of each series: lags as far as the reference reaches, or 100 windows without one.

    A reference reaches to half its length; more than 100 windows and 30 lengths of a training run are not asked for.
    """
    longest, run = WINDOWS[-1] * length, 0
    if reference is not None:
        train_ps = frame_ps_of(train) * (train.r_A.shape[1] - 1)
        run = round(train_ps / (frame_ps_of(reference) * stride))
        longest = min(max(longest, RUNS[-1] * run), max(length, (reference.r_A.shape[1] - 1) // stride // 2))
    lags, shapes = choose_lags(length, longest, run)
    judge = train if reference is None else reference
    here = shapes[shapes * stride < judge.r_A.shape[1]]
    scale = scales(judge, here, stride)
    # Beyond the data a displacement grows as the root of time.
    grown = np.sqrt(shapes[len(here) :] / here[-1])[:, None] * scale[-1]
    return Plan(length, frame_ps_of(judge) * stride, lags, shapes, np.concatenate([scale, grown]), hop_A)


# --- what the sums say; `weight` (…, G) resamples the groups ---------------------------------------------------------


def resamples(count: int, rng: np.random.Generator, used: npt.NDArray[np.bool_], together: float = 1.0) -> Array:
    """Return how often each group is drawn in bootstrap resamples, (count, G); unused groups never.

    One less than there are is drawn, for groups are off the mean that they make themselves; fewer still where ions
    move together.
    """
    here = np.flatnonzero(used)
    drawn = rng.choice(here, size=(count, max(1, round((len(here) - 1) / together))))
    weight = np.zeros((count, len(used)))
    np.add.at(weight, (np.arange(count)[:, None], drawn), 1.0)
    return weight


def msd(sums: Sums, weight: Array | None = None) -> Array:
    """Return the MSD of x, y, z and in all, (…, M, 4) in Å²; NaN where no pair was seen."""
    w = np.ones(GROUPS) if weight is None else weight
    with np.errstate(all="ignore"):
        axes = np.einsum("...g,gmx->...mx", w, sums.second) / (w @ sums.pairs)[..., None]
    return np.concatenate([axes, axes.sum(axis=-1, keepdims=True)], axis=-1)


def alpha2(sums: Sums, weight: Array | None = None) -> Array:
    """Return the non-Gaussian parameter 3⟨Δ⁴⟩/(5⟨Δ²⟩²) − 1, (…, M)."""
    w = np.ones(GROUPS) if weight is None else weight
    with np.errstate(all="ignore"):
        pairs = w @ sums.pairs
        square = np.einsum("...g,gmx->...m", w, sums.second) / pairs
        return np.asarray(0.6 * (w @ sums.fourth) / pairs / square**2 - 1.0)


def shape_cdf(sums: Sums, weight: Array | None = None) -> Array:
    """Return the cumulative van Hove functions of Δx, Δy, Δz and |Δ|, (…, V, 4, bins)."""
    w = np.ones(GROUPS) if weight is None else weight
    total = np.cumsum(np.tensordot(w, sums.shapes, axes=([-1], [0])), axis=-1)
    with np.errstate(all="ignore"):
        return np.asarray(total / total[..., -1:])


def wasserstein(one: Array, other: Array) -> Array:
    """Return the Wasserstein-1 distance of cumulative functions (…, bins), in units of the rms."""
    return np.asarray(np.abs(one - other).sum(axis=-1) * BIN)


def jump_numbers(sums: Sums, weight: Array | None = None) -> tuple[Array, Array, Array]:
    """Return the jump rate in 1/ps, the back-jump probability, and the cumulative waiting times (…, bins)."""
    w = np.ones(GROUPS) if weight is None else weight
    number, observed, followed, back = np.moveaxis(w @ sums.jumps, -1, 0)
    waits = np.cumsum(w @ sums.waits, axis=-1)
    with np.errstate(all="ignore"):
        return number / observed, back / followed, np.asarray(waits / waits[..., -1:])


def covariance(sums: Sums) -> Array:
    """Return C(k) of each axis at k = 0 … L, (≤ L + 1, 3) in Å²."""
    from .windows import increment_covariance

    seen = sums.dense[:, 3] > 0
    return increment_covariance(sums.dense[seen, :3] / sums.dense[seen, 3:])


def slopes(sums: Sums, plan: Plan) -> Array:
    """Return d ln MSD / d ln t at the lags, from their neighbours, (M)."""
    value = msd(sums)[:, 3]
    with np.errstate(all="ignore"):
        return np.asarray(np.gradient(np.log(value), np.log(plan.lags.astype(np.float64))))
