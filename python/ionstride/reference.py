"""NumPy definition of every kernel: the specification the C++ is tested against.

Lengths are in Å, lags in frames.  Nothing here is fast; each function is its equation.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import Array

IntArray = npt.NDArray[np.int64]


def unwrap(positions_A: Array, cell_A: Array) -> tuple[Array, float]:
    r"""Unwrap periodic positions of a solid: minimum-image steps in fractional coordinates × the mean cell.

    .. math:: u(t) = s(0) + \sum_{k \le t} \left[ δ_k - \mathrm{round}(δ_k) \right],
              \quad δ_k = s(k) - s(k-1), \quad s = r h^{-1}, \quad r' = u \langle h \rangle

    Steps in fractional coordinates do not see the breathing of the box, so that atoms which vibrate across a
    boundary under constant pressure stay where they are; with schemes that sum Cartesian steps they diffuse.
    Unwrapping at constant pressure is discussed in doi 10.1063/5.0008316.

    Parameters
    ----------
    positions_A : (T, N, 3) positions in Å, wrapped or not.
    cell_A : (3, 3) or (T, 3, 3) cell vectors in Å, as rows.

    Returns
    -------
    unwrapped_A : (T, N, 3) positions in Å, from the fractional position of frame 0 in the mean cell.
    largest_step : largest fractional component of a minimum-image step; 0.5 at most.
    """
    cells = np.broadcast_to(cell_A, (len(positions_A), 3, 3))
    fractional = positions_A @ np.linalg.inv(cells)
    change = np.diff(fractional, axis=0)
    step = change - np.rint(change)
    path = np.cumsum(np.concatenate([fractional[:1], step]), axis=0)
    return path @ cells.mean(axis=0), float(np.abs(step).max(initial=0.0))


def displacement_moments(r_A: Array, lags: IntArray) -> tuple[Array, Array]:
    r"""Return the moments ⟨ΔΔᵀ⟩ and ⟨|Δ|⁴⟩ of each ion's displacement, averaged over all time origins.

    .. math:: Δ_t = r(t + m) - r(t), \quad \langle f \rangle = \frac{1}{T - m} \sum_{t=0}^{T-1-m} f(Δ_t)

    Parameters
    ----------
    r_A : (n, T, 3) unwrapped positions in Å.
    lags : (M) lags m in frames, each in 1 … T-1.

    Returns
    -------
    tensor : (n, M, 6) in Å², in the order xx, yy, zz, xy, xz, yz.
    fourth : (n, M) in Å⁴.
    """
    tensor = np.empty((len(r_A), len(lags), 6))
    fourth = np.empty((len(r_A), len(lags)))
    first, second = (0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)
    for k, lag in enumerate(lags):
        delta = r_A[:, lag:] - r_A[:, :-lag]
        tensor[:, k] = (delta[..., first] * delta[..., second]).mean(axis=1)
        fourth[:, k] = ((delta**2).sum(axis=-1) ** 2).mean(axis=1)
    return tensor, fourth


def msd_covariance(g_A2: Array, lags: IntArray, frames: int) -> Array:
    r"""Return the covariance of the MSD of one ion at some lags, its process being Gaussian with the MSD g.

    For windows of lengths k and l whose origins differ by d,

    .. math:: C_{kl}(d) = \tfrac12[g(|d+l|) + g(|d-k|) - g(|d|) - g(|d+l-k|)]

    and the covariance is the sum of C² over all pairs of origins with 1 − l ≤ d < k (the others' windows do not touch),
    divided by the number of pairs.

    Parameters
    ----------
    g_A2 : (P) MSD in Å² at 0, 1, … P-1 frames, P at least twice the longest lag.
    lags : (M) lags in frames.
    frames : frames of the trajectory.

    Returns
    -------
    (M, M) in Å⁴; times 2·tr(M²)/tr(M)² (2/3 if isotropic) it is that of the MSD.
    """
    covariance = np.zeros((len(lags), len(lags)))
    for a, k in enumerate(lags):
        for b, el in enumerate(lags):
            d = np.arange(frames - el)[None, :] - np.arange(frames - k)[:, None]  # of every pair of origins
            c = 0.5 * sum(
                s * g_A2[np.minimum(np.abs(t), len(g_A2) - 1)]
                for s, t in ((1, d + el), (1, d - k), (-1, d), (-1, d + el - k))
            )
            covariance[a, b] = np.mean(np.where((d > -el) & (d < k), c, 0.0) ** 2)
    return covariance


def multitau_lags(n_frames: int) -> tuple[IntArray, IntArray]:
    """Return lags (M) of 1 … 15, then (8 … 15)·2^l frames, up to half the run, and the steps 2^l of their origins (M).

    Parameters
    ----------
    n_frames : frames of the run.
    """
    ladder = [(m, 1) for m in range(1, 16)]
    ladder += [(m << level, 1 << level) for level in range(1, n_frames.bit_length()) for m in range(8, 16)]
    kept = np.array([pair for pair in ladder if 2 * pair[0] <= n_frames], dtype=np.int64).reshape(-1, 2)
    return kept[:, 0].copy(), kept[:, 1].copy()


def multitau(r_A: Array) -> dict[str, Any]:
    r"""Return moments of displacements at the lags of `multitau_lags`, with origins decimated as lags grow.

    .. math:: \langle f \rangle_m = \frac{1}{n_m} \sum_{t \in 2^l \mathbb{Z},\; t + m < T} f(r(t + m) - r(t))

    The run is cut into 16 blocks of T // 16 frames, the leaves of a binary tree (root 0, children of k: 2k + 1 and
    2k + 2, leaves 15 … 30).  A pair of frames inside the blocks counts for the smallest node that holds both, so
    that the sums of larger blocks are sums over subtrees.  Runs of fewer than 64 frames have no blocks.  Positions
    are decimated and not averaged (order-n algorithm without coarse graining).

    Parameters
    ----------
    r_A : (T, n, 3) unwrapped positions in Å, frame-major.

    Returns
    -------
    dict with `tensor_A2` (n, M, 6) and `fourth_A4` (n, M) as in `displacement_moments`, `origins` (M) number of
    pairs, `node_sum_A2` (n, 31, M) sums of |Δ|² and `node_count` (31, M) number of their pairs.
    """
    frames, n, _ = r_A.shape
    lags, steps = multitau_lags(frames)
    block = frames // 16 if frames >= 64 else 0
    parts = [
        displacement_moments(r_A[::step].transpose(1, 0, 2), np.array([lag // step]))
        for lag, step in zip(lags, steps, strict=True)
    ]
    node_sum = np.zeros((n, 31, len(lags)))
    node_count = np.zeros((31, len(lags)), dtype=np.int64)
    for m, (lag, step) in enumerate(zip(lags, steps, strict=True)):
        for t in range(0, 16 * block - lag, step):
            first, last = t // block, (t + lag) // block
            node = next(
                2**k - 1 + (first * 2**k) // 16 for k in (4, 3, 2, 1, 0) if first * 2**k // 16 == last * 2**k // 16
            )
            node_sum[:, node, m] += ((r_A[t + lag] - r_A[t]) ** 2).sum(axis=-1)
            node_count[node, m] += 1
    return {
        "tensor_A2": np.concatenate([tensor for tensor, _ in parts], axis=1),
        "fourth_A4": np.concatenate([fourth for _, fourth in parts], axis=1),
        "origins": (frames - 1) // steps - lags // steps + 1,
        "node_sum_A2": node_sum,
        "node_count": node_count,
    }


def gather_windows(r_A: Array, ion: IntArray, start: IntArray, length: int, stride: int) -> npt.NDArray[np.float32]:
    """Cut windows of increments: r[ion, start + (k + 1)·stride] − r[ion, start + k·stride], k = 0 … length − 1.

    Parameters
    ----------
    r_A : (n, T, 3) unwrapped positions in Å.
    ion, start : (B) numbers of the ion and of the first frame.
    length : increments in a window.
    stride : frames between records.

    Returns
    -------
    windows_A : (B, length, 3) float32 increments in Å, differences taken in float64.
    """
    frames = start[:, None] + stride * np.arange(length + 1)
    return np.asarray(np.diff(r_A[ion[:, None], frames], axis=1), dtype=np.float32)
