"""Covariance of mean squared displacements that share their origins: what makes the error of D honest.

Squared displacements of overlapping windows are strongly correlated.  For a Gaussian process with stationary
increments their covariance follows from the MSD curve g itself (Wick's theorem); what real, discrete hops add is
the fourth cumulant, which grows linearly in time once hops are independent.
"""

import numpy as np
import numpy.typing as npt

from .. import _kernels
from ..checks import Array

_SAMPLES = 8  # frames kept within the shortest lag


def overlap_factor(lag: npt.NDArray[np.int64], n_frames: int) -> Array:
    r"""Return Var(MSD over all origins) / Var(one squared displacement) for a free walk.

    Parameters
    ----------
    lag : (M) lags in frames, 1 … n_frames − 1.
    n_frames : frames of the trajectory.

    Returns
    -------
    (M) factor; its inverse is the number of independent displacements of one ion.

    Notes
    -----
    With n = T − k origins, :math:`(4k^2n + 2n + k - k^3)/(6kn^2)` for k ≤ n, and
    :math:`1 + (n^3 - 4kn^2 + 4k - n)/(6k^2n)` beyond.  H. Qian, M. P. Sheetz, E. L. Elson,
    doi 10.1016/S0006-3495(91)82125-7.
    """
    k = np.asarray(lag, dtype=np.float64)
    n = n_frames - k
    short = (4 * k**2 * n + 2 * n + k - k**3) / (6 * k * n**2)
    long = 1 + (n**3 - 4 * k * n**2 + 4 * k - n) / (6 * k**2 * n)
    return np.where(k <= n, short, long)


def gaussian_covariance(lag: npt.NDArray[np.int64], curve_lag: Array, curve_A2: Array, n_frames: int) -> Array:
    r"""Return the covariance of MSD values of one ion, per unit of 2·tr(M²)/tr(M)².

    For windows of lengths k and l whose origins differ by d,

    .. math:: C_{kl}(d) = \tfrac12[g(|d+l|) + g(|d-k|) - g(|d|) - g(|d+l-k|)]

    and the covariance is the sum of C² over all pairs of origins, divided by the number of pairs.

    Parameters
    ----------
    lag : (M) lags in frames.
    curve_lag, curve_A2 : (P) the MSD curve g in frames and Å², from lag 0 (value 0); the last two points are
        continued as a straight line.
    n_frames : frames of the trajectory.

    Returns
    -------
    (M, M) in Å⁴; multiply by 2·tr(M²)/tr(M)² (2/3 if isotropic) and divide by the number of ions.

    Notes
    -----
    J. T. Bullerjahn, S. von Bülow, G. Hummer, doi 10.1063/5.0008312 give it for a walk with static noise; here g
    may have any short-time shape.
    """
    # Taking every s-th frame keeps the covariance that of a real estimator (so positive definite).
    s = int(np.gcd.reduce(lag))
    while s > 1 and lag.min() // s < _SAMPLES:
        s = _largest_divisor_below(s)
    frames = (n_frames - 1) // s + 1
    steps = lag // s
    t = s * np.arange(2.0 * steps.max())
    slope = (curve_A2[-1] - curve_A2[-2]) / (curve_lag[-1] - curve_lag[-2])
    g = np.interp(t, curve_lag, curve_A2) + slope * np.maximum(t - curve_lag[-1], 0.0)
    return _kernels.msd_covariance(g, steps, frames)


def _largest_divisor_below(n: int) -> int:
    return next(n // f for f in range(2, n + 1) if n % f == 0)


def slope_weights(lag_ps: Array, covariance: Array) -> Array:
    r"""Return the weights of the generalised least-squares slope with free intercept.

    Minimises :math:`w^T C w` under :math:`\sum w = 0`, :math:`\sum w t = 1`.

    Parameters
    ----------
    lag_ps : (M) lags.
    covariance : (M, M).

    Returns
    -------
    (M) weights in 1/ps; the slope is their product with the MSD.
    """
    scale = float(np.trace(covariance)) / len(lag_ps)
    stable = covariance / scale + 1e-10 * np.eye(len(lag_ps))
    design = np.stack([np.ones_like(lag_ps), lag_ps / lag_ps[0]], axis=1)
    solved = np.linalg.solve(stable, design)
    both = np.linalg.solve(design.T @ solved, solved.T)
    return np.asarray(both[1] / lag_ps[0])
