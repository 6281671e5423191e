"""NumPy definition of every kernel: the specification the C++ is tested against.

Lengths are in Å, lags in frames.  Nothing here is fast; each function is its equation.
"""

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
