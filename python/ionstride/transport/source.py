"""Where the fits get their averages from: paths in memory, or sums that were gathered while frames streamed by."""

from dataclasses import replace
from typing import Any

import numpy as np

from .. import _kernels
from ..accumulated import Accumulated
from ..accumulated import block_msd as accumulated_block_msd
from ..checks import Array
from ..errors import InputError, PhysicsError
from ..records import Displacements
from .moments import IntArray, is_even, mean_step_ps, moments, possible_pairs

Source = Displacements | Accumulated
_GAP = 4.0  # mean steps between frames beyond which time counts as not looked at
_BATCH = 64 * 1024 * 1024  # bytes of paths that are thinned at a time
LEAST_FRAMES = 64  # shorter runs have no sums over blocks when streamed
BLOCKS = (16, 8, 4, 2, 1)  # equal stretches of time that a run is cut into, for the scatter between them


def frames_of(source: Source) -> int:
    """Return the number of frames of each run."""
    return len(source.time_ps) if isinstance(source, Displacements) else source.n_frames


def covered_frames(source: Source) -> int:
    """Return the frames of a run of even steps that says as much: all, less what gaps of uneven times leave out."""
    if not isinstance(source, Displacements) or is_even(source):
        return frames_of(source)
    steps = np.diff(source.time_ps) / mean_step_ps(source)
    return 1 + int(np.sum(np.minimum(steps, _GAP)))


def step_ps_of(source: Source) -> float:
    """Return the mean time between frames in ps."""
    if isinstance(source, Displacements):
        return mean_step_ps(source)
    return source.frame_ps


def possible_lags(source: Source, wanted: IntArray) -> IntArray:
    """Return the wanted lags that have pairs of frames; of sums, those within their range that were gathered."""
    if isinstance(source, Displacements):
        return possible_pairs(source, wanted)
    inside: IntArray = source.lag[(source.lag >= wanted.min()) & (source.lag <= wanted.max())]
    return inside


def origin_steps(lags: IntArray) -> IntArray:
    """Return the frames between the time origins of a fit at some lags, (M): those of the multiple-tau sums.

    An eighth of the lag at most, a power of two, and a divisor of the lag: origins closer than that say the same
    again.  Fits in memory use them too, so that streaming changes neither the window nor the interval.
    """
    coarse = 2 ** np.maximum(np.floor(np.log2(lags)).astype(np.int64) - 3, 0)
    return np.asarray(np.gcd(coarse, lags), dtype=np.int64)


def fit_moments(source: Source, lags: IntArray, threads: int = 0) -> tuple[Array, Array, Array]:
    """Return what `lag_moments` does, from the time origins that streamed sums have too.

    Raises
    ------
    InputError, PhysicsError
        As `lag_moments`.
    """
    if not isinstance(source, Displacements) or not is_even(source):
        return lag_moments(source, lags, threads)
    tensor, fourth = _thinned(source.r_A, 0, frames_of(source), lags, threads)
    return np.asarray(lags * mean_step_ps(source), dtype=np.float64), tensor, fourth


def _thinned(r_A: Array, begin: int, end: int, lags: IntArray, threads: int) -> tuple[Array, Array]:
    """Return the moments over the frames begin … end − 1; origins are multiples of `origin_steps`."""
    tensor, fourth = np.empty((len(r_A), len(lags), 6)), np.empty((len(r_A), len(lags)))
    steps = origin_steps(lags)
    for step in np.unique(steps):
        at = np.flatnonzero(steps == step)
        frames = slice(-(-begin // step) * step, end, step)
        batch = max(1, _BATCH // (24 * max(1, (end - begin) // int(step))))
        for ions in (slice(i, i + batch) for i in range(0, len(r_A), batch)):
            part = np.ascontiguousarray(r_A[ions, frames])
            tensor[ions, at], fourth[ions, at] = _kernels.displacement_moments(part, lags[at] // step, threads)
    return tensor, fourth


def lag_moments(source: Source, lags: IntArray, threads: int = 0) -> tuple[Array, Array, Array]:
    """Return lag times (M), ⟨ΔΔᵀ⟩ (n, M, 6) in Å² and ⟨|Δ|⁴⟩ (n, M) in Å⁴ of each series.

    Raises
    ------
    InputError
        If sums do not hold one of the lags.
    PhysicsError
        If uneven times leave a lag without pairs.
    """
    if isinstance(source, Displacements):
        return moments(source.r_A, source.time_ps, lags, is_even(source), threads)
    at = _places(source, lags)
    return source.lag_ps[at], source.tensor_A2[:, at], source.fourth_A4[:, at]


def block_msd(source: Source, blocks: int, lags: IntArray, threads: int = 0) -> Array | None:
    """Return the MSD of each series within each of some equal blocks of time, (n, blocks, M) in Å².

    None where a block has no pair of frames at some lag (uneven times, or lags too long).

    Parameters
    ----------
    source : the paths, or the sums of them.
    blocks : 1, 2, 4, 8 or 16.
    lags : (M) lags in frames.
    threads : threads of the kernel.
    """
    length = frames_of(source) // blocks
    if length <= lags.max():
        return None
    if not isinstance(source, Displacements):
        found = accumulated_block_msd(source, blocks, _places(source, lags))
        return None if np.isnan(found).any() else found
    cells = np.empty((len(source.r_A), blocks, len(lags)))
    even = is_even(source)
    if even and frames_of(source) >= LEAST_FRAMES:  # the blocks of streamed sums
        length = BLOCKS[0] // blocks * (frames_of(source) // BLOCKS[0])
        if length <= (lags + origin_steps(lags)).max():
            return None
        for b in range(blocks):
            cells[:, b] = _thinned(source.r_A, b * length, (b + 1) * length, lags, threads)[0][..., :3].sum(axis=-1)
        return cells
    for b in range(blocks):
        part = slice(b * length, (b + 1) * length)
        try:
            step_ps = mean_step_ps(source)
            tensor = moments(source.r_A[:, part], source.time_ps[part], lags, even, threads, step_ps=step_ps)[1]
        except PhysicsError:
            return None
        cells[:, b] = tensor[..., :3].sum(axis=-1)
    return cells


def collective_source(source: Source) -> Source:
    """Return Σ q r of each run as if it were one ion, scaled so that independent ions have the MSD of one.

    Raises
    ------
    PhysicsError
        If the ions were made one by one, or carry no charge.
    """
    runs = np.unique(source.run)
    record: dict[str, Any] = {
        "run": np.arange(len(runs)),
        "species": ("charge",) * len(runs),
        "charge_e": np.ones(len(runs)),
    }
    if isinstance(source, Displacements):
        path, charge2 = collective_path(source)
        return replace(source, r_A=path / np.sqrt(charge2), **record)
    if source.charge2 == 0.0:
        raise PhysicsError("the mobile ions carry no charge, so there is no charge MSD; set charge_e")
    return replace(
        source,
        tensor_A2=source.collective_tensor / source.charge2,
        fourth_A4=source.collective_fourth / source.charge2**2,
        node_sum_A2=source.collective_node_sum / source.charge2,
        **record,
    )


def collective_path(displacements: Displacements) -> tuple[Array, float]:
    """Return Σ q r of each run, (runs, T, 3) in e·Å from its first frame, and the mean Σ q² of a run.

    Raises
    ------
    PhysicsError
        If the ions were made one by one, or carry no charge.
    """
    if displacements.independent_ions:
        raise PhysicsError(
            "these ions were made one by one, so their correlations are gone: the charge MSD, the Haven ratio and "
            "the collective conductivity have no meaning here; use the self-diffusion and Nernst-Einstein"
        )
    runs = np.unique(displacements.run)
    q = displacements.charge_e
    charge2 = float(np.sum(q * q)) / len(runs)
    if charge2 == 0.0:
        raise PhysicsError("the mobile ions carry no charge, so there is no charge MSD; set charge_e")
    r = displacements.r_A - displacements.r_A[:, :1]
    paths = [np.einsum("i,itx->tx", q[displacements.run == run], r[displacements.run == run]) for run in runs]
    return np.stack(paths), charge2


def _places(source: Accumulated, lags: IntArray) -> IntArray:
    at = np.searchsorted(source.lag, lags)
    if (at >= len(source.lag)).any() or not np.array_equal(source.lag[np.minimum(at, len(source.lag) - 1)], lags):
        raise InputError(
            f"the streamed sums hold lags {source.lag[0]} to {source.lag[-1]} of a ladder, not all of those asked for; "
            "take lags from it"
        )
    return np.asarray(at, dtype=np.int64)
