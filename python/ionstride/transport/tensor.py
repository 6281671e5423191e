"""The slope of ⟨ΔΔᵀ⟩: D as a tensor, its errors, and its components along the cell vectors."""

import numpy as np

from ..checks import Array
from ..results import Estimate, Tensor
from ..units import A2_PS_TO_CM2_S
from .fit import Line


def diffusion_tensor(line: Line, cell_A: Array, quantile: float) -> Tensor:
    r"""Return the tensor D of a fitted line, in cm²/s.

    .. math:: D_{ab} = \frac{1}{2} \frac{d}{dt} \langle \Delta_a \Delta_b \rangle

    The weights over lags are those of the total.  Its Gaussian variance is shared out by Wick's theorem,
    :math:`(M_{aa} M_{bb} + M_{ab}^2) / 2\,\mathrm{tr} M^2`; that of discrete hops as for hops along one axis each.

    Parameters
    ----------
    line : the fit of the total MSD.
    cell_A : (3, 3) cell vectors as rows.
    quantile : standard errors of a 95 % interval.
    """
    weights, lags = line.slope.weights, line.slope.lags
    slope = np.einsum("l,lab->ab", weights, line.curve.tensor_A2[lags])
    stderr = np.empty((3, 3))
    unit = np.eye(3)
    for a in range(3):
        for b in range(3):
            stderr[a, b] = _stderr(line, unit[a], unit[b])
    axes = {}
    for name, vector in zip("abc", cell_A / np.linalg.norm(cell_A, axis=1)[:, None], strict=True):
        value, error = float(vector @ slope @ vector), _stderr(line, vector, vector)
        low, high = value - quantile * error, value + quantile * error
        if value > 0.0 and error < 0.6 * value:
            low, high = (value * float(np.exp(s * quantile * error / value)) for s in (-1, 1))
        axes[name] = Estimate(*(0.5 * A2_PS_TO_CM2_S * v for v in (value, max(low, 0.0), max(high, 0.0))))
    return Tensor(0.5 * A2_PS_TO_CM2_S * slope, 0.5 * A2_PS_TO_CM2_S * stderr, axes)


def _stderr(line: Line, u: Array, v: Array) -> float:
    """Return the standard error of the slope of ⟨(Δ·u)(Δ·v)⟩ in Å²/ps."""
    moment = line.curve.tensor_A2[line.slope.first]
    uu, vv, uv = float(u @ moment @ u), float(v @ moment @ v), float(u @ moment @ v)
    trace, squares = max(float(np.trace(moment)), 1e-300), float(np.sum(moment * moment))
    share = (uu * vv + uv * uv) / (2.0 * squares)
    # Hops along an axis are seen in its slope; vibration, part of the moment at τ, says nothing of them.
    slope = np.einsum("l,lab->ab", line.slope.weights, line.curve.tensor_A2[line.slope.lags])
    total = max(float(np.trace(slope)), 1e-300)
    along = [min(max(float(w @ slope @ w) / total, 0.1 * float(w @ moment @ w) / trace), 1.0) for w in (u, v)]
    both = float(np.sqrt(along[0] * along[1]))
    cross = min(abs(float(u @ slope @ v)) / total, both)
    hops = (both * both + cross * cross) / (2.0 * max(both, 1e-300))
    own = line.slope.gaussian * share + line.slope.hops * hops
    # What else the total's error holds (scatter between ions, memory) is taken to touch all components alike.
    return float(np.sqrt(own * line.stderr**2 / max(line.slope.variance, 1e-300)))
