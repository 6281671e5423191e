"""Where the generator starts: filtered noise and sparse hops that have the data's second moments already."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import PhysicsError
from .surrogate import fourth_cumulant
from .windows import Windows, increment_covariance, msd_of_windows

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


def make_start(train: Windows) -> Start:
    """Return the start that has the moments of the training windows.

    Hops of shape h carry p a² |H(f)|² of the increments' spectrum S(f), where p a² is as large as leaves a positive rest,
    and p a⁴ follows from the fourth cumulant; Gaussian noise filtered by the root of the rest carries what is left.  C(k)
    and the MSD up to L records are then those of the data.  The shape is the one whose fourth cumulants at short lags
    fit best: a hop may take many records.

    Raises
    ------
    PhysicsError
        If an axis does not move.
    """
    second_A2 = msd_of_windows(train)
    variance = second_A2[1]
    if not (variance > 0.0).all():
        raise PhysicsError("the ions do not move along one of the axes, so there is nothing to learn there")
    msd = second_A2 / variance
    spectrum = spectrum_of(increment_covariance(msd))
    lags = np.array([lag for lag in _LAGS if lag < train.length])
    excess = np.array([fourth_cumulant(train, lag) for lag in lags]) / variance**2
    best = min((_with_width(spectrum, lags, excess, msd, width) for width in _WIDTHS), key=lambda found: found[0])
    _, shape, chance, size, rest = best
    taps = np.fft.fftshift(np.fft.irfft(np.sqrt(rest), axis=0), axes=0)
    middle, reach = len(taps) // 2, train.length - 1
    taps = taps[middle - reach : middle + reach + 1]
    # Cutting the taps loses a little power; each axis gets it back.
    taps = taps * np.sqrt(rest_power(rest) / np.maximum((taps**2).sum(axis=0), 1e-30))
    return Start(np.sqrt(variance), np.ascontiguousarray(taps.T), chance, size, shape)


def rest_power(rest: Array) -> Array:
    """Return the variance that a spectrum on the half circle stands for, (3)."""
    weights = np.full(len(rest), 2.0)
    weights[0] = weights[-1] = 1.0
    return np.asarray((weights[:, None] * rest).sum(axis=0) / weights.sum())


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
    spectrum: Array, lags: Any, excess: Array, msd: Array, width: int
) -> tuple[float, Array, Array, Array, Array]:
    shape = np.sin(np.pi * (np.arange(width) + 0.5) / width)
    shape /= shape.sum()
    transfer = np.abs(np.fft.rfft(shape, n=2 * (len(spectrum) - 1))) ** 2
    room = (1.0 - _LEAST_GAUSSIAN) * (spectrum / np.maximum(transfer, 1e-6)[:, None]).min(axis=0)
    # What one hop of unit size adds to the fourth cumulant at each lag.
    one = np.array([(np.convolve(shape, np.ones(lag)) ** 4).sum() for lag in lags])[:, None]
    weight = 1.0 / msd[lags] ** 2
    fourth = (weight**2 * excess * one).sum(axis=0) / (weight * one).__pow__(2).sum(axis=0)
    fourth = np.maximum(fourth, 1e-12)
    chance = np.clip(room**2 / fourth, 1e-5, 0.3)
    size = np.minimum(np.sqrt(room / chance), (fourth / chance) ** 0.25)
    misfit = float((((chance * size**4) * one - excess) * weight).__pow__(2).sum())
    rest = np.maximum(spectrum - chance * size**2 * transfer[:, None], 1e-4)
    return misfit, shape, chance, size, rest
