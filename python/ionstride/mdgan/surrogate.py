"""Series with the right second moments and no network: filtered Gaussian noise, and filtered noise with rare shots.

Both are sources of series: ``draw(ions, records, rng)`` gives increments (ions, records, 3) in Å that are stationary
from the first record on.  A network may start from them; an evaluation must beat them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..errors import PhysicsError
from .windows import FloatArray, Windows, increment_covariance, msd_of_windows

_SPECTRUM = 8192  # points of the spectrum that is factorised
_FLOOR = 1e-3  # of C(0): the least the spectrum may be; noise of the data makes it negative in places
_LEAST_SHOT = 0.05  # of the variance of an increment at zero frequency: below it there are no shots worth having


@dataclass(frozen=True)
class GaussianSurrogate:
    r"""A Gaussian process with the increments' autocovariance: :math:`d(n) = \sum_{j<K} h_j ε(n-j)` on each axis.

    Attributes
    ----------
    taps : (K, 3) filter h in Å, causal and of minimum phase, the newest noise first.
    dt_ps : time between records.
    name : what tables call it.
    """

    taps: Array
    dt_ps: float
    name: str = "Gaussian surrogate"

    def draw(self, ions: int, records: int, rng: np.random.Generator) -> FloatArray:
        """Return increments (ions, records, 3) float32 in Å."""
        noise = rng.standard_normal((ions, records + len(self.taps) - 1, 3), dtype=np.float32)
        return filtered(noise, self.taps)

    def covariance(self) -> Array:
        """Return C(k) of the surrogate at k = 0 … K − 1, (K, 3) in Å²."""
        count = len(self.taps)
        return np.stack([(self.taps[: count - k] * self.taps[k:]).sum(axis=0) for k in range(count)])


@dataclass(frozen=True)
class ShotSurrogate:
    """The flat part of the increments' spectrum carried by rare ± shots, the rest by filtered Gaussian noise.

    Attributes
    ----------
    taps : (K, 3) filter of the Gaussian part in Å.
    shot_A : (3) length of a shot along each axis.
    probability : (3) of a shot in one record, along each axis; half of them go backwards.
    dt_ps : time between records.
    name : what tables call it.
    """

    taps: Array
    shot_A: Array
    probability: Array
    dt_ps: float
    name: str = "shot surrogate"

    def draw(self, ions: int, records: int, rng: np.random.Generator) -> FloatArray:
        """Return increments (ions, records, 3) float32 in Å."""
        noise = rng.standard_normal((ions, records + len(self.taps) - 1, 3), dtype=np.float32)
        uniform = rng.random((ions, records, 3), dtype=np.float32)
        half = 0.5 * self.probability
        sign = (uniform < half).astype(np.float32) - (uniform > 1.0 - half).astype(np.float32)
        return filtered(noise, self.taps) + sign * self.shot_A.astype(np.float32)


def filtered(noise: npt.NDArray[np.float32], taps: Array) -> FloatArray:
    """Return noise (ions, records + K − 1, 3) filtered by `taps` (K, 3): (ions, records, 3) float32."""
    from scipy.signal import oaconvolve

    out = oaconvolve(noise, taps[None].astype(np.float32), mode="valid", axes=1)
    return np.ascontiguousarray(out, dtype=np.float32)


def fit_gaussian(train: Windows, taps: int | None = None) -> GaussianSurrogate:
    """Return the Gaussian surrogate of the training windows.

    Its C(k) is that of the data at k < K, as far as noise leaves the spectrum of the data positive.

    Parameters
    ----------
    train : the windows; all frames count as origins.
    taps : length of the filter; L if None.

    Raises
    ------
    PhysicsError
        If the increments vanish, or no stretch of the data is as long as the filter.
    """
    spectrum = _spectrum(_covariance(train, taps or train.length))
    return GaussianSurrogate(taps=minimum_phase(spectrum, taps or train.length), dt_ps=train.dt_ps)


def fit_shot(train: Windows, taps: int | None = None) -> ShotSurrogate:
    r"""Return the shot surrogate of the training windows.

    White ternary noise, ±q with probability p in all, has the variance :math:`p q^2` and, where rare, adds
    :math:`p q^4 (1 - 3p)` a record to the fourth cumulant of the displacement.  Its variance is the least of the
    spectrum; q follows from the growth of the data's fourth cumulant up to a quarter of a window.

    Parameters
    ----------
    train, taps : as for `fit_gaussian`.

    Raises
    ------
    PhysicsError
        As `fit_gaussian`.
    """
    count = taps or train.length
    covariance = _covariance(train, count)
    spectrum = _spectrum(covariance)
    flat = np.min(spectrum, axis=0)
    lag = max(2, count // 4)
    growth = np.maximum(fourth_cumulant(train, lag) / lag, 0.0)
    flat = np.where((growth > 0.0) & (flat > _LEAST_SHOT * spectrum[0]), flat, 0.0)
    ratio = np.divide(growth, flat, out=np.zeros(3), where=flat > 0.0)  # q² (1 − 3p), p = flat / q²
    square = ratio + 3.0 * flat
    probability = np.divide(flat, square, out=np.zeros(3), where=square > 0.0)
    rest = np.maximum(spectrum - flat, _FLOOR * covariance[0])
    return ShotSurrogate(minimum_phase(rest, count), np.sqrt(square), probability, train.dt_ps)


def fourth_cumulant(train: Windows, lag: int) -> Array:
    """Return ⟨Δ⁴⟩ − 3⟨Δ²⟩² of each axis at a lag in records, (3) in Å⁴."""
    second, fourth, pairs = np.zeros(3), np.zeros(3), 0
    for path in train.paths():
        delta = path[:, lag * train.stride :] - path[:, : -lag * train.stride]
        square = delta * delta
        second += square.sum(axis=(0, 1))
        fourth += (square * square).sum(axis=(0, 1))
        pairs += delta.shape[0] * delta.shape[1]
    return np.asarray(fourth / pairs - 3.0 * (second / pairs) ** 2)


def minimum_phase(spectrum: Array, taps: int) -> Array:
    r"""Return the causal filter h with :math:`|H(ω)|^2 = S(ω)` and the shortest memory, cut to `taps`.

    The cepstrum of ln S, its part at negative times folded onto positive ones (Kolmogorov's factorisation).

    Parameters
    ----------
    spectrum : (n / 2 + 1, 3) S at even frequencies from zero to Nyquist, above zero.
    taps : length of the filter K.

    Returns
    -------
    (K, 3).
    """
    points = 2 * (len(spectrum) - 1)
    cepstrum = np.fft.irfft(0.5 * np.log(spectrum), points, axis=0)
    cepstrum[1 : points // 2] *= 2.0
    cepstrum[points // 2 + 1 :] = 0.0
    response = np.fft.irfft(np.exp(np.fft.rfft(cepstrum, axis=0)), points, axis=0)
    return np.ascontiguousarray(response[:taps])


def _covariance(train: Windows, count: int) -> Array:
    covariance = increment_covariance(msd_of_windows(train, count))
    if not (covariance[0] > 0.0).all():
        raise PhysicsError("the increments vanish along an axis: there is nothing to generate there")
    return covariance


def _spectrum(covariance: Array) -> Array:
    """Return S = C(0) + 2 Σ C(k) cos(ωk) at even frequencies, kept above a floor."""
    padded = np.zeros((_SPECTRUM, 3))
    padded[: len(covariance)] = covariance
    padded[-len(covariance) + 1 :] = covariance[:0:-1]
    spectrum = np.fft.rfft(padded, axis=0).real
    return np.asarray(np.maximum(spectrum, _FLOOR * covariance[0]))
