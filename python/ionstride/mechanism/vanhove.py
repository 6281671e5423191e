"""Van Hove functions, self and distinct, and the incoherent scattering function."""

from collections.abc import Sequence

import numpy as np

from ..checks import Array
from ..errors import InputError
from ..records import Displacements, IntArray, Trajectory
from .frames import frame_pairs, mobile_path
from .pairs import REACH_A, count_distances, pair_histogram, shell_edges
from .records import Scattering, VanHove

_MOST_DISPLACEMENTS = 5_000_000


def van_hove_self(
    displacements: Displacements, lags: Sequence[int], *, r_max_A: float | None = None, bins: int | None = None
) -> VanHove:
    r"""Return the distribution of the distances that ions travel in a time.

    .. math:: 4πr^2 G_s(r, t) = \langle δ(r - |r_i(t_0 + t) - r_i(t_0)|) \rangle_{i, t_0}

    Beside it stands the Gaussian of the same mean squared displacement, which it is for free diffusion; hops between
    sites show as peaks at their distance.

    Parameters
    ----------
    displacements : the ions' paths.
    lags : (M) lags in frames (in mean steps where times are uneven).
    r_max_A : largest distance; the largest that is found if not given.
    bins : number of shells; of 0.05 Å each if not given.

    Raises
    ------
    InputError
        If a lag is not in 1 … T−1.
    """
    frames = len(displacements.time_ps)
    chosen = check_lags(lags, frames)
    lengths = [travelled(displacements, lag) for lag in chosen]
    reach = max(float(length.max()) for _, length in lengths) * (1 + 1e-9) if r_max_A is None else r_max_A
    edges = shell_edges(max(reach, 1e-3) if r_max_A is None else reach, bins)
    width = float(edges[1])
    value, gaussian, beyond = [], [], []
    for _, length in lengths:
        count = count_distances(length, edges)
        value.append(count / (length.size * width))
        beyond.append(1.0 - count.sum() / length.size)
        gaussian.append(np.diff(_maxwell(edges, float(np.mean(length**2)) / 3.0)) / width)
    return VanHove(
        kind="self",
        lag_ps=np.array([lag_ps for lag_ps, _ in lengths]),
        r_A=0.5 * (edges[1:] + edges[:-1]),
        value=np.array(value),
        gaussian=np.array(gaussian),
        beyond=np.array(beyond),
    )


def van_hove_distinct(
    trajectory: Trajectory,
    mobile: str,
    lags: Sequence[int],
    *,
    r_max_A: float | None = None,
    bins: int | None = None,
    most_origins: int = 100,
) -> VanHove:
    r"""Return where other ions are after a time, seen from where an ion was: G_d(r, t)/ρ.

    .. math:: G_d(r, t) = \frac{1}{N} \langle \sum_{i \ne j} δ(r - r_j(t_0 + t) + r_i(t_0)) \rangle

    At t = 0 it is g(r) of the ions; a peak that grows at r = 0 says that ions follow one another.  Periodic images
    count as other ions.  Framework drift is removed.

    Parameters
    ----------
    trajectory : the run.
    mobile : element of the mobile ion.
    lags : (M) lags in frames; 0 may be among them.
    r_max_A : largest distance; 8 Å if not given.
    bins : number of shells; of 0.05 Å each if not given.
    most_origins : pairs of frames that are used for each lag, evenly spread.

    Raises
    ------
    InputError
        If the mobile element is absent or a lag is not in 0 … T−1.
    PhysicsError
        If the cell's vectors are unknown.
    """
    chosen = check_lags(lags, len(trajectory.time_ps), lowest=0)
    path = mobile_path(trajectory, mobile)
    cell = trajectory.mean_cell_A
    edges = shell_edges(REACH_A if r_max_A is None else r_max_A, bins)
    volumes = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    n = path.shape[1]
    lag_ps, value = [], []
    for lag in chosen:
        first, second, time = frame_pairs(trajectory.time_ps, int(lag), most_origins)
        count = np.zeros(len(volumes))
        for a, b in zip(first, second, strict=True):
            count += pair_histogram(path[a], path[b], cell, edges)
            count -= count_distances(np.linalg.norm((path[b] - path[a]) @ cell, axis=-1), edges)
        lag_ps.append(time)
        value.append(count / (len(first) * n * volumes * n / trajectory.volume_A3))
    middle = 0.5 * (edges[1:] + edges[:-1])
    return VanHove(kind="distinct", lag_ps=np.array(lag_ps), r_A=middle, value=np.array(value))


def incoherent_scattering(displacements: Displacements, q_per_A: Sequence[float], lags: Sequence[int]) -> Scattering:
    r"""Return the incoherent intermediate scattering function, averaged over directions of q.

    .. math:: F_s(q, t) = \left\langle \frac{\sin(q Δ)}{q Δ} \right\rangle, \quad Δ = |r_i(t_0 + t) - r_i(t_0)|

    For free diffusion it is exp(−q²Dt).

    Parameters
    ----------
    displacements : the ions' paths.
    q_per_A : (Q) wave numbers in 1/Å.
    lags : (M) lags in frames.

    Raises
    ------
    InputError
        If a lag is not in 1 … T−1 or a wave number is below zero.
    """
    q = np.asarray(q_per_A, dtype=np.float64)
    if q.ndim != 1 or len(q) == 0 or not (q >= 0.0).all():
        raise InputError("q_per_A must hold wave numbers of zero or more, at least one")
    chosen = check_lags(lags, len(displacements.time_ps))
    lag_ps = np.empty(len(chosen))
    value = np.empty((len(q), len(chosen)))
    for m, lag in enumerate(chosen):
        lag_ps[m], length = travelled(displacements, lag)
        value[:, m] = [float(np.mean(np.sinc(length * (k / np.pi)))) for k in q]
    return Scattering(lag_ps=lag_ps, q_per_A=q, value=value)


def travelled(displacements: Displacements, lag: int) -> tuple[float, Array]:
    """Return the lag in ps and the distances (n_ions, origins) that ions travel in it; origins are thinned if many."""
    most = max(1, _MOST_DISPLACEMENTS // len(displacements.r_A))
    first, second, lag_ps = frame_pairs(displacements.time_ps, int(lag), most)
    moved = displacements.r_A[:, second] - displacements.r_A[:, first]
    return lag_ps, np.sqrt(np.einsum("itx,itx->it", moved, moved))


def check_lags(lags: Sequence[int], n_frames: int, lowest: int = 1) -> IntArray:
    """Return lags as whole numbers of frames.

    Raises
    ------
    InputError
        If one is not in `lowest` … T−1, or there is none.
    """
    chosen = np.asarray(lags)
    if chosen.ndim != 1 or len(chosen) == 0 or not (chosen == np.rint(chosen)).all():
        raise InputError("lags must be whole numbers of frames, at least one")
    if chosen.min() < lowest or chosen.max() >= n_frames:
        raise InputError(f"lags run from {chosen.min()} to {chosen.max()}, wanted {lowest} to {n_frames - 1} frames")
    return chosen.astype(np.int64)


def _maxwell(r_A: Array, variance_A2: float) -> Array:
    """Return the part of a three-dimensional Gaussian within r."""
    from scipy.special import erf

    x = r_A / np.sqrt(2.0 * max(variance_A2, 1e-300))
    part: Array = erf(x) - 2.0 / np.sqrt(np.pi) * x * np.exp(-np.minimum(x**2, 700.0))
    return part
