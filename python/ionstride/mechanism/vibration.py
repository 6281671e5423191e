"""Velocities of the ions: autocorrelation, vibrational spectrum, attempt frequency."""

from typing import Literal

import numpy as np

from ..checks import Array, as_array
from ..errors import PhysicsError
from ..records import Displacements
from ..results import Estimate
from ..units import A2_PS_TO_CM2_S
from .records import VelocityCorrelation, VibrationalSpectrum

COARSEST_PS = 0.020
"""Frames further apart than this do not follow the vibration of light ions (10 to 20 THz)."""

_EVEN = 1e-6
_CHUNK = 2_000_000


def velocity_autocorrelation(
    displacements: Displacements, velocities_A_ps: Array | None = None, *, longest_ps: float | None = None
) -> VelocityCorrelation:
    r"""Return the velocity autocorrelation, averaged over ions and all time origins, by FFT.

    .. math:: C(t) = \langle v_i(t_0) \cdot v_i(t_0 + t) \rangle_{i, t_0}

    Parameters
    ----------
    displacements : the ions' paths.
    velocities_A_ps : (n, T, 3) velocities of the same frames; differences of positions if not given.
    longest_ps : longest lag; half of the run if not given.

    Raises
    ------
    PhysicsError
        If frames are uneven in time, or more than 20 fs apart.
    """
    v, dt, source = _velocities(displacements, velocities_A_ps)
    frames = v.shape[1]
    longest = frames // 2 if longest_ps is None else min(frames - 1, round(longest_ps / dt))
    size = 2 ** int(np.ceil(np.log2(2 * frames)))
    power = np.zeros(size // 2 + 1)
    for part in _ion_chunks(v):
        transform = np.fft.rfft(part, size, axis=1)
        power += np.einsum("ifx,ifx->f", transform.real, transform.real)
        power += np.einsum("ifx,ifx->f", transform.imag, transform.imag)
    lags = np.arange(longest + 1)
    value = np.fft.irfft(power, size)[: longest + 1] / ((frames - lags) * len(v))
    return VelocityCorrelation(lag_ps=lags * dt, value_A2_ps2=value, source=source)


def green_kubo(correlation: VelocityCorrelation) -> Array:
    r"""Return the running Green-Kubo integral in cm²/s, (M): where it is level, it is D.

    .. math:: D(t) = \frac{1}{3} \int_0^t C(t')\,dt'

    Parameters
    ----------
    correlation : as from `velocity_autocorrelation`.
    """
    from scipy.integrate import cumulative_trapezoid

    integral = cumulative_trapezoid(correlation.value_A2_ps2, correlation.lag_ps, initial=0)
    return np.asarray(integral / 3.0 * A2_PS_TO_CM2_S, dtype=np.float64)


def vibrational_spectrum(
    displacements: Displacements, velocities_A_ps: Array | None = None, *, resolution_THz: float = 0.25
) -> VibrationalSpectrum:
    r"""Return the spectrum of the ions' velocities, the vibrational density of states, by Welch's method.

    .. math:: g(ν) \propto \sum_i \left| \int v_i(t) e^{-2πiνt} dt \right|^2, \qquad \int_0^\infty g\,dν = 1

    Velocities from differences of positions lose high frequencies by sinc²(ν δt); that is undone.

    Parameters
    ----------
    displacements : the ions' paths.
    velocities_A_ps : (n, T, 3) velocities of the same frames; differences of positions if not given.
    resolution_THz : width of a frequency bin; coarser where the run is too short for it.

    Raises
    ------
    PhysicsError
        If frames are uneven in time or more than 20 fs apart, or nothing moves.
    """
    from scipy.signal import welch

    v, dt, source = _velocities(displacements, velocities_A_ps)
    length = max(2, min(v.shape[1], round(1.0 / (resolution_THz * dt))))
    parts = [welch(part, 1.0 / dt, nperseg=length, detrend=False, axis=1)[1].sum(axis=-1) for part in _ion_chunks(v)]
    power = np.concatenate(parts)  # (n, F)
    frequency = np.asarray(np.fft.rfftfreq(length, dt), dtype=np.float64)
    if source == "differences":
        power = power / np.sinc(frequency * dt) ** 2
    total = power.sum(axis=1)
    if not total.sum() > 0.0:
        raise PhysicsError("the ions do not move at all, so they have no vibrational spectrum")
    spectrum = power.sum(axis=0)
    return VibrationalSpectrum(
        frequency_THz=frequency,
        density_per_THz=spectrum / (spectrum.sum() * frequency[1]),
        ion_mean_THz=(power @ frequency) / np.where(total > 0.0, total, 1.0),
        ion_power=total,
        source=source,
    )


def attempt_frequency(spectrum: VibrationalSpectrum) -> Estimate:
    r"""Return the attempt frequency in THz: the mean frequency of the ions' vibrational spectrum.

    .. math:: ν_0 = \int_0^\infty ν\, g(ν)\, dν

    The attempt frequency as the mean frequency of vibration is that of de Klerk, van der Maas and Wagemaker,
    doi 10.1021/acsaem.8b00457.  The 95 % interval is from the scatter among the ions (Student's t); with one ion it
    has no end.

    Parameters
    ----------
    spectrum : as from `vibrational_spectrum`.
    """
    from scipy.stats import t

    weight = spectrum.ion_power / spectrum.ion_power.sum()
    mean = float(weight @ spectrum.ion_mean_THz)
    n = len(weight)
    if n < 2:
        return Estimate(mean, 0.0, np.inf)
    # Error of a ratio of sums over independent ions.
    spread = float(np.sum(weight**2 * (spectrum.ion_mean_THz - mean) ** 2))
    half = float(t.ppf(0.975, n - 1) * np.sqrt(spread * n / (n - 1)))
    return Estimate(mean, mean - half, mean + half)


def _velocities(
    displacements: Displacements, velocities_A_ps: Array | None
) -> tuple[Array, float, Literal["velocities", "differences"]]:
    """Return velocities (n, T, 3) in Å/ps, the time between them, and where they are from."""
    time = displacements.time_ps
    dt = float(time[-1] - time[0]) / (len(time) - 1)
    rounding = 8 * np.finfo(np.float64).eps * float(np.abs(time).max())
    if np.abs(np.diff(time) - dt).max() > _EVEN * dt + rounding:
        raise PhysicsError("velocities need frames that are even in time; these are not")
    if dt > COARSEST_PS * (1 + 1e-9):
        raise PhysicsError(
            f"frames are {1000 * dt:g} fs apart, above {1000 * COARSEST_PS:g} fs: they do not follow the vibration, so "
            "there is no velocity autocorrelation and no attempt frequency; record frames more often"
        )
    if velocities_A_ps is not None:
        return as_array("velocities_A_ps", velocities_A_ps, displacements.r_A.shape), dt, "velocities"
    return np.diff(displacements.r_A, axis=1) / dt, dt, "differences"


def _ion_chunks(v: Array) -> list[Array]:
    size = max(1, _CHUNK // (3 * v.shape[1]))
    return [v[start : start + size] for start in range(0, len(v), size)]
