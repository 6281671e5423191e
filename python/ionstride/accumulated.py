"""What is left of a trajectory that was too big for memory: moments of displacements at a ladder of lags.

Lags are 1 … 15 frames with every frame as origin, then (8 … 15)·2^l frames with every 2^l-th frame as origin.  Sums
over blocks of frames come along, for the scatter between parts of the run.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import Array, as_array
from .errors import InputError
from .records import IntArray

BLOCKS = 16
"""Blocks of frames, the leaves of a binary tree of 31 nodes."""

_NODES = 2 * BLOCKS - 1
_SAME = 1e-6  # relative tolerance of times and temperatures of replicas


@dataclass(frozen=True)
class Accumulated:
    """Moments of the displacements of the mobile ions, drift removed: `Displacements` without the paths.

    A pair of frames counts for the smallest node of a binary tree over 16 blocks of n_frames // 16 frames that
    holds both its frames (root 0, children of k: 2k + 1 and 2k + 2, leaves 15 … 30).

    Attributes
    ----------
    lag : (M) lags in frames, increasing.
    lag_ps : (M) lags.
    origin_step : (M) frames between time origins.
    n_frames : frames of a run.
    frame_ps : time between frames.
    tensor_A2 : (n, M, 6) <ΔΔᵀ> of each ion, in the order xx, yy, zz, xy, xz, yz.
    fourth_A4 : (n, M) <|Δ|⁴> of each ion.
    node_sum_A2 : (n, 31, M) Σ |Δ|² of each ion over the pairs of a node.
    node_count : (31, M) number of these pairs; all zero for runs of fewer than 64 frames.
    collective_tensor : (R, M, 6) <ΔΔᵀ> of the path Σ q r of each run, in e²·Å².
    collective_fourth : (R, M) <|Δ|⁴> of that path, in e⁴·Å⁴.
    collective_node_sum : (R, 31, M) Σ |Δ|² of that path over the pairs of a node, in e²·Å².
    charge2 : Σ q² of a run, in e².
    run : (n) number of the run (replica) each ion belongs to, 0 … R − 1.
    species : (n) element names.
    charge_e : (n) charges.
    cell_A : (3, 3) mean cell, rows.
    volume_A3 : mean volume of one run's cell.
    temperature_K : temperature.
    drift : what the drift was removed against: an element list such as 'P, S', 'all' or 'none'.
    source : provenance.
    """

    lag: IntArray
    lag_ps: Array
    origin_step: IntArray
    n_frames: int
    frame_ps: float
    tensor_A2: Array
    fourth_A4: Array
    node_sum_A2: Array
    node_count: IntArray
    collective_tensor: Array
    collective_fourth: Array
    collective_node_sum: Array
    charge2: float
    run: IntArray
    species: tuple[str, ...]
    charge_e: Array
    cell_A: Array
    volume_A3: float
    temperature_K: float
    drift: str
    source: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, lags = len(self.species), len(self.lag)
        if n == 0 or lags == 0:
            raise InputError(f"accumulated displacements need ions and lags, got {n} and {lags}")
        runs = len(self.collective_tensor)
        shapes: dict[str, tuple[int, ...]] = {
            "lag_ps": (lags,),
            "tensor_A2": (n, lags, 6),
            "fourth_A4": (n, lags),
            "node_sum_A2": (n, _NODES, lags),
            "collective_tensor": (runs, lags, 6),
            "collective_fourth": (runs, lags),
            "collective_node_sum": (runs, _NODES, lags),
            "charge_e": (n,),
            "cell_A": (3, 3),
        }
        whole: dict[str, tuple[int, ...]] = {
            "lag": (lags,),
            "origin_step": (lags,),
            "node_count": (_NODES, lags),
            "run": (n,),
        }
        for names, dtype in ((shapes, np.float64), (whole, np.int64)):
            for name, shape in names.items():
                object.__setattr__(self, name, as_array(name, getattr(self, name), shape, dtype))
        object.__setattr__(self, "species", tuple(self.species))
        if not np.array_equal(np.unique(self.run), np.arange(runs)):
            raise InputError(f"run numbers {np.unique(self.run)} do not fit {runs} collective paths, wanted 0, 1, …")

    @property
    def n_runs(self) -> int:
        """Number of runs (replicas)."""
        return len(self.collective_tensor)

    @property
    def n_ions_per_run(self) -> int:
        """Mobile ions in one cell."""
        return len(self.species) // self.n_runs

    @property
    def n_origins(self) -> IntArray:
        """(M) number of time origins of each lag, in one run."""
        origins: IntArray = (self.n_frames - 1 - self.lag) // self.origin_step + 1
        return origins

    @property
    def block_frames(self) -> int:
        """Frames in one of the 16 blocks; 0 where the run is too short for them."""
        return self.n_frames // BLOCKS if self.node_count.any() else 0


def block_msd(accumulated: Accumulated, n_blocks: int, lags: npt.ArrayLike) -> Array:
    """Return the mean squared displacement of each ion in consecutive blocks of the run.

    Parameters
    ----------
    accumulated : the sums.
    n_blocks : 1, 2, 4, 8 or 16; a block holds 16 / n_blocks · (n_frames // 16) frames.
    lags : (L) places in `accumulated.lag`.

    Returns
    -------
    (n, n_blocks, L) in Å², over the pairs of frames that both lie in the block; NaN where a block has none.

    Raises
    ------
    InputError
        If `n_blocks` is none of these or a place is out of range.
    """
    return _block_mean(accumulated.node_sum_A2, accumulated.node_count, n_blocks, lags)


def collective_block_msd(accumulated: Accumulated, n_blocks: int, lags: npt.ArrayLike) -> Array:
    """Return <|Δ|²> of the collective path Σ q r in consecutive blocks: as `block_msd`, (R, n_blocks, L) in e²·Å².

    Raises
    ------
    InputError
        If `n_blocks` is not 1, 2, 4, 8 or 16 or a place is out of range.
    """
    return _block_mean(accumulated.collective_node_sum, accumulated.node_count, n_blocks, lags)


def join(parts: list[Accumulated]) -> Accumulated:
    """Lay the ions of replicas side by side, as `displacements` does for trajectories.

    Parameters
    ----------
    parts : runs of the same cell, length and time step at one temperature; each may hold several runs already.

    Raises
    ------
    InputError
        If there is none, or they differ in frames, time step, temperature, ions, charges or drift reference.
    """
    if not parts:
        raise InputError("no run was given, wanted at least one")
    first = parts[0]
    for number, part in enumerate(parts[1:], start=1):
        for what, same, unit in (("n_frames", 0.0, "frames"), ("frame_ps", _SAME, "ps"), ("temperature_K", _SAME, "K")):
            here, there = getattr(part, what), getattr(first, what)
            if abs(here - there) > same * abs(there):
                raise InputError(
                    f"run {number} has {what} = {here:.10g} {unit}, run 0 {there:.10g} {unit}; replicas that are "
                    "streamed must have the same: cut them with --stop, or analyse them one by one"
                )
        if part.species[: part.n_ions_per_run] != first.species[: first.n_ions_per_run]:
            raise InputError(f"run {number} holds other mobile ions than run 0; replicas must be of the same cell")
        if part.drift != first.drift:
            raise InputError(
                f"run {number} has the drift '{part.drift}' removed, run 0 '{first.drift}'; use one of them"
            )
        if not np.isclose(part.charge2, first.charge2, rtol=_SAME, atol=0.0):
            raise InputError(f"run {number} has other charges than run 0: {part.charge2:g} and {first.charge2:g} e²")
    runs = np.cumsum([0] + [part.n_runs for part in parts])
    weight = np.diff(runs) / runs[-1]
    sources = [source for part in parts for source in part.source.get("runs", [part.source])]

    def side_by_side(name: str) -> Array:
        return np.concatenate([getattr(part, name) for part in parts])

    return Accumulated(
        lag=first.lag,
        lag_ps=first.lag_ps,
        origin_step=first.origin_step,
        n_frames=first.n_frames,
        frame_ps=first.frame_ps,
        tensor_A2=side_by_side("tensor_A2"),
        fourth_A4=side_by_side("fourth_A4"),
        node_sum_A2=side_by_side("node_sum_A2"),
        node_count=first.node_count,
        collective_tensor=side_by_side("collective_tensor"),
        collective_fourth=side_by_side("collective_fourth"),
        collective_node_sum=side_by_side("collective_node_sum"),
        charge2=first.charge2,
        run=np.concatenate([part.run + offset for part, offset in zip(parts, runs[:-1], strict=True)]),
        species=sum((part.species for part in parts), ()),
        charge_e=side_by_side("charge_e"),
        cell_A=np.tensordot(weight, np.stack([part.cell_A for part in parts]), axes=1),
        volume_A3=float(weight @ np.array([part.volume_A3 for part in parts])),
        temperature_K=first.temperature_K,
        drift=first.drift,
        source={**first.source, "runs": sources},
    )


def _block_mean(node_sum: Array, node_count: IntArray, n_blocks: int, lags: npt.ArrayLike) -> Array:
    if n_blocks not in (1, 2, 4, 8, 16):
        raise InputError(f"n_blocks = {n_blocks}, wanted 1, 2, 4, 8 or 16")
    places = np.asarray(lags, dtype=np.int64)
    if places.ndim != 1 or (len(places) and (places.min() < 0 or places.max() >= node_sum.shape[-1])):
        raise InputError(f"lags holds places outside 0 to {node_sum.shape[-1] - 1}")
    total = np.zeros((len(node_sum), n_blocks, len(places)))
    count = np.zeros((n_blocks, len(places)))
    first, width = n_blocks - 1, 1  # the nodes of one depth below the blocks: `width` of them a block
    while first < _NODES:
        rows = slice(first, first + n_blocks * width)
        total += node_sum[:, rows][..., places].reshape(len(node_sum), n_blocks, width, -1).sum(axis=2)
        count += node_count[rows][:, places].reshape(n_blocks, width, -1).sum(axis=1)
        first, width = 2 * first + 1, 2 * width
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
