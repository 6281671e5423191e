"""Mean squared displacement at every lag by fast Fourier transforms."""

import numpy as np

from ..checks import Array
from ..errors import InputError
from ..runrecord import cores

_CHUNK = 4 * 1024 * 1024  # bytes of one batch of spectra: bounds what is needed beside the paths
_LEAST_IONS = 8  # in a batch, so that the transforms fill vector registers and threads


def all_lags_msd(r_A: Array, threads: int = 0) -> Array:
    r"""Return the MSD of each axis, averaged over ions and all time origins, at the lags 0 … T−1 frames.

    .. math:: \mathrm{MSD}(k) = \frac{1}{T-k} \left[ S_1(k) - 2 \sum_t r(t) \cdot r(t+k) \right]

    The correlation is one inverse transform an axis of the power spectra summed over ions.  In float64, with each
    path taken from its own mean, so that ions far from the origin keep their digits.

    Parameters
    ----------
    r_A : (n, T, 3) evenly spaced positions in Å.
    threads : 0 for all cores.

    Returns
    -------
    (T, 3) in Å²; their sum over the axes is the MSD.

    Raises
    ------
    InputError
        If the shape is not (n, T, 3) with at least one ion and two frames.

    Notes
    -----
    V. Calandrini et al., doi 10.1051/sfn/201112010.
    """
    from scipy import fft

    if r_A.ndim != 3 or r_A.shape[2] != 3 or r_A.shape[0] < 1 or r_A.shape[1] < 2:
        raise InputError(f"r_A has shape {r_A.shape}, wanted (ions, frames, 3) with two frames or more")
    n, frames, _ = r_A.shape
    length = fft.next_fast_len(2 * frames - 1, real=True)
    power = np.zeros((3, length // 2 + 1))
    squares = np.zeros((3, frames))
    batch = max(_LEAST_IONS, _CHUNK // (8 * 3 * length))
    workers = threads or cores()
    for first in range(0, n, batch):
        path = np.ascontiguousarray(r_A[first : first + batch].transpose(2, 0, 1))
        path -= path.mean(axis=2, keepdims=True)
        squares += np.einsum("ait,ait->at", path, path)
        spectrum = fft.rfft(path, length, axis=2, workers=workers).view(np.float64)
        flat = np.einsum("aik,aik->ak", spectrum, spectrum)
        power += flat[:, 0::2] + flat[:, 1::2]
    correlation = fft.irfft(power, length, axis=1)[:, :frames]
    # Σ over origins of r(t)² + r(t+k)²: all squares twice, less those at both ends that no pair reaches
    cumulative = np.concatenate([np.zeros((3, 1)), np.cumsum(squares, axis=1)], axis=1)
    k = np.arange(frames)
    both = cumulative[:, frames - k] + (cumulative[:, -1:] - cumulative[:, k])
    msd = ((both - 2.0 * correlation) / ((frames - k) * n)).T
    msd[0] = 0.0
    return np.asarray(msd)
