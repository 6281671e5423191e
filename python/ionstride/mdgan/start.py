"""Where the generator starts: filtered noise and sparse hops that have the data's second moments already."""

from dataclasses import dataclass

import numpy as np

from ..checks import Array
from ..errors import PhysicsError

_WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16)  # records a hop may take
_LAGS = (1, 2, 4, 8, 16, 32)  # lags at which the fourth cumulant is matched
_LEAST_GAUSSIAN = 0.02  # part of the spectrum that stays with the Gaussian noise


@dataclass(frozen=True)
class Start:
    """A series of increments as filtered Gaussian noise plus hops: what is known without training.

    Attributes
    ----------
    scale_A : (3) standard deviation of an increment.
    taps : (3, 2L − 1) filter of the Gaussian noise, scaled increments.
    hop_chance : (3) chance of a hop along an axis per record.
    hop_size : (3) its length in units of `scale_A`.
    hop_shape : (w) how a hop is spread over records; sums to one.
    """

    scale_A: Array
    taps: Array
    hop_chance: Array
    hop_size: Array
    hop_shape: Array


def make_start(second_A2: Array, fourth_A4: Array) -> Start:
    """Return the start that has the given moments.

    The increments' spectrum S(f) = Σ_k C(k) cos 2πfk, with C(k) from the second difference of the MSD.  Hops of shape h
    carry p a² |H(f)|² of it, where p a² is as large as leaves a positive rest, and p a⁴ follows from the fourth
    cumulant; Gaussian noise filtered by the root of the rest carries what is left.  C(k) and the MSD up to L records are
    then those of the data.

    Parameters
    ----------
    second_A2, fourth_A4 : (L + 1, 3) moments of the displacement at 0 … L records; the first row zero.

    Raises
    ------
    PhysicsError
        If an axis does not move.
    """
    variance = second_A2[1]
    if not (variance > 0.0).all():
        raise PhysicsError("the ions do not move along one of the axes, so there is nothing to learn there")
    spectrum = spectrum_of(autocovariance(second_A2 / variance))
    excess = (fourth_A4 - 3.0 * second_A2**2) / variance**2
    msd = second_A2 / variance
    best = min((_with_width(spectrum, excess, msd, width) for width in _WIDTHS), key=lambda found: found[0])
    _, shape, chance, size, rest = best
    taps = np.fft.fftshift(np.fft.irfft(np.sqrt(rest), n=_points(len(second_A2) - 1), axis=0), axes=0)
    middle, reach = len(taps) // 2, len(second_A2) - 2
    taps = taps[middle - reach : middle + reach + 1]
    # Cutting the taps loses a little power; each axis gets it back.
    taps = taps * np.sqrt(rest_power(rest) / np.maximum((taps**2).sum(axis=0), 1e-30))
    return Start(np.sqrt(variance), np.ascontiguousarray(taps.T), chance, size, shape)


def rest_power(rest: Array) -> Array:
    """Return the variance that a spectrum on the half circle stands for, (3)."""
    weights = np.full(len(rest), 2.0)
    weights[0] = weights[-1] = 1.0
    return np.asarray((weights[:, None] * rest).sum(axis=0) / weights.sum())


def autocovariance(msd: Array) -> Array:
    """Return C(k) per axis, k = 0 … L − 1, from the MSD at 0 … L: half its second difference, (L, 3)."""
    padded = np.concatenate([msd[1:2], msd])  # MSD(−1) = MSD(1)
    return np.asarray(0.5 * (padded[2:] - 2.0 * padded[1:-1] + padded[:-2]))


def spectrum_of(covariance: Array) -> Array:
    """Return S(f) on the half circle, (M, 3), not below a thousandth of its mean, from C(k)."""
    n = _points(len(covariance))
    circle = np.zeros((n, covariance.shape[1]))
    circle[: len(covariance)] = covariance
    circle[n - len(covariance) + 1 :] = covariance[:0:-1]
    spectrum = np.fft.rfft(circle, axis=0).real
    return np.maximum(spectrum, 1e-3 * covariance[0])


def _points(length: int) -> int:
    return int(2 ** np.ceil(np.log2(4 * length)))


def _with_width(
    spectrum: Array, excess: Array, msd: Array, width: int
) -> tuple[float, Array, Array, Array, Array]:
    shape = np.sin(np.pi * (np.arange(width) + 0.5) / width)
    shape /= shape.sum()
    transfer = np.abs(np.fft.rfft(shape, n=2 * (len(spectrum) - 1))) ** 2
    room = (1.0 - _LEAST_GAUSSIAN) * (spectrum / np.maximum(transfer, 1e-6)[:, None]).min(axis=0)
    lags = np.array([lag for lag in _LAGS if lag < len(excess)])
    # What one hop of unit size adds to the fourth cumulant at each lag.
    one = np.array([(np.convolve(shape, np.ones(lag)) ** 4).sum() for lag in lags])
    weight = 1.0 / msd[lags] ** 2
    fourth = (weight**2 * excess[lags] * one[:, None]).sum(axis=0) / (weight**2 * one[:, None] ** 2).sum(axis=0)
    fourth = np.maximum(fourth, 1e-12)
    chance = np.clip(room**2 / fourth, 1e-5, 0.3)
    size = np.minimum(np.sqrt(room / chance), (fourth / chance) ** 0.25)
    misfit = float((((chance * size**4) * one[:, None] - excess[lags]) * weight).__pow__(2).sum())
    rest = np.maximum(spectrum - chance * size**2 * transfer[:, None], 1e-4)
    return misfit, shape, chance, size, rest
