"""Where the generator starts, without training: rattling as filtered noise, and bursts of hops as they were seen."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..checks import Array
from ..errors import PhysicsError
from .cumulants import EARNED, SHORTEST, burst_square, fit_law, fourth_cumulants
from .detect import IntArray
from .hops import Law, draw_hops, mobility
from .seen import Seen, seen_bursts
from .windows import Windows, increment_covariance, msd_of_windows

_BACK = np.linspace(0.0, 0.8, 17)  # chance that a hop is undone
_DELAY = np.geomspace(1.5, 64.0, 14)  # mean records until then
_CAGE = 10  # records after which the rattling in a cage is forgotten
_DRAWS = 32  # of 256 ions over four windows, for the memory of hops
_MIXED = 200  # hops after which all are as likely as they ever will be
_ALIKE = 0.004  # relative error by which fits of the MSD may differ and be alike
_TRIES = 3  # delays of returns, shortest first, that are held against the fourth cumulants
_POINTS = 4096


@dataclass(frozen=True)
class Start:
    """Increments as filtered Gaussian noise plus hops: what is known of the ions without training.

    Attributes
    ----------
    scale_A : (3) standard deviation of an increment.
    taps : (3, 2L − 1) filter of the Gaussian noise, scaled increments.
    law : of the hops, scaled.
    hop_shape : (w) how a hop is spread over records; sums to one.
    """

    scale_A: Array
    taps: Array
    law: Law
    hop_shape: Array


def make_start(train: Windows) -> Start:
    """Return the start that has the moments of the training windows.

    Rattling in a cage adds a constant to the MSD at lags beyond its memory, so the MSD there tells how hops return:
    MSD(n) = c + w F(n), F from the spectrum w [1 + 2 Re(−qφ/(1 + qφ))] of hops of variance w a record whose returns,
    of chance q, have the characteristic function φ of the delay.  Their vectors are those of jumps seen in the data;
    without enough of them, any direction.  The fourth cumulants ⟨x⁴⟩ and ⟨x²y²⟩ by lag tell the records a hop takes,
    its length, and how long ions stay mobile: where the rate of hops varies by v, they are larger by 3 v Gxx and
    v Gxy, the covariance of the conditional MSDs over that memory.  Gaussian noise carries what is left of the
    spectrum within the memory of a cage, so that C(k) there is that of the data; the MSD beyond is that of the hops.

    Parameters
    ----------
    train : windows of the data.

    Returns
    -------
    Start
        Increments in units of their standard deviation along each axis, times in records.

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
    cumulants = fourth_cumulants(train, np.sqrt(variance))
    seen = seen_bursts(train)
    moves, often = seen.moves / np.sqrt(variance), _often(seen.follow)
    memory = np.zeros((1, 3))
    if seen.enough:  # the spectrum of hops that follow one another is drawn; at first of bursts that are not undone
        _, _, _, weight, sure = _fit_returns(msd, memory, [(0.0, 1.0)])[0]
        rate = _burst_rate(moves, often, 0.0, weight, sure)
        memory = _memory(_law(seen, moves, _chance(seen, often, rate)), train.length)
    # Returns soon after a hop change the MSD by a constant alone: the fourth cumulants tell how many there are.
    tries = []
    for _, back, delay, weight, sure in _alike(_fit_returns(msd, memory)):
        hop_msd = weight * _unit_msd(back, delay, memory, cumulants.lags)
        law = _law(seen, moves, 0.0, (back, delay))
        fit = fit_law(cumulants, hop_msd, weight, law, often, enough=seen.enough)
        tries.append((fit.misfit * (EARNED if back == 0.0 else 1.0), back, delay, weight, sure, fit))
    _, back, delay, weight, sure, fit = min(tries, key=lambda one: one[0])
    mobile, turn, size, shape = fit.mobile, fit.turn, fit.size, fit.shape
    for _ in range(2 if seen.enough else 0):
        rate = _burst_rate(moves * size, often, back, weight, sure)
        memory = _memory(
            _law(seen, moves, _chance(seen, often, rate, (mobile, turn)), (back, delay), (mobile, turn)), train.length
        )
        _, _, _, weight, sure = _fit_returns(msd, memory, [(back, delay)])[0]
    moves, square = moves * size, burst_square(moves, often, back) * size**2
    rate = _burst_rate(moves, often, back, weight, sure)
    if seen.enough:  # axes are left as seen: hops of other lengths than the lattice's would blur it
        weight = rate * square
    elif rate > 0.0:
        moves = moves * np.sqrt(np.divide(weight, rate * square, out=np.zeros(3), where=square > 0.0))
    chance = _chance(seen, often, rate, (mobile, turn))
    spectrum = spectrum_of(increment_covariance(msd))
    transfer = np.abs(np.fft.rfft(shape, n=_POINTS)) ** 2
    rest = _in_a_cage(spectrum - weight * _unit_spectrum(back, delay, memory) * transfer[:, None])
    taps = np.fft.fftshift(np.fft.irfft(np.sqrt(rest), axis=0), axes=0)
    middle, reach = len(taps) // 2, train.length - 1
    taps = taps[middle - reach : middle + reach + 1]
    # Cutting the taps loses a little power; each axis gets it back.
    taps = taps * np.sqrt(_power(rest) / np.maximum((taps**2).sum(axis=0), 1e-30))
    return Start(
        scale_A=np.sqrt(variance),
        taps=np.ascontiguousarray(taps.T),
        law=_law(seen, moves, chance, (back, delay), (mobile, turn)),
        hop_shape=shape,
    )


def _in_a_cage(rest: Array) -> Array:
    """Return the spectrum of rattling whose MSD is constant beyond the memory of a cage, (M, 3), above zero.

    What the law of hops misses of the MSD there is left to the calibration: as Gaussian noise it would blur the sites.
    """
    covariance = np.fft.irfft(rest, axis=0)
    n = np.arange(1, _POINTS // 2)
    msd = np.cumsum(2.0 * np.cumsum(covariance, axis=0) - covariance[0], axis=0)[: len(n)]
    level = msd[_CAGE - 1 : 3 * _CAGE].mean(axis=0)
    part = np.clip((n - _CAGE) / _CAGE, 0.0, 1.0)[:, None]
    msd = np.concatenate([np.zeros((1, 3)), (1.0 - part) * msd + part * level])
    inner = np.concatenate([msd[1:2], 0.5 * np.diff(msd, 2, axis=0)])
    return np.maximum(_transform(inner), 1e-4)


def _law(
    seen: Seen,
    moves: Array,
    chance: float,
    returns: tuple[float, float] = (0.0, 1.0),
    mobile: tuple[float, float] = (1.0, 1.0),
) -> Law:
    """Return the law of bursts that follow one another as seen."""

    def tensor(value: Any) -> torch.Tensor:
        return torch.as_tensor(np.array(value), dtype=torch.float32)

    return Law(
        tensor(chance), tensor(moves), torch.from_numpy(seen.offset), torch.tensor(seen.limit),
        torch.from_numpy(seen.follow),
        *map(tensor, returns), *map(tensor, mobile),
    )  # fmt: skip


def _often(follow: IntArray) -> Array:
    """Return how often each burst comes, (V), sum one: some come after more bursts than others."""
    part = np.full(len(follow), 1.0 / len(follow))
    for _ in range(_MIXED):
        each = np.repeat(part / follow.shape[1], follow.shape[1])
        part = np.bincount(follow.ravel(), each, minlength=len(follow))
    return part


def _burst_rate(moves: Array, often: Array, back: float, weight: Array, sure: Array) -> float:
    """Return how many bursts a record make the variance `weight` (3), known as well as `sure` (3) says."""
    square = burst_square(moves, often, back)
    known = sure * square
    return float(known @ weight) / max(float(known @ square), 1e-30)


def _chance(seen: Seen, often: Array, rate: float, mobile: tuple[float, float] = (1.0, 1.0)) -> float:
    """Return the chance of a burst in a record in which there may be one, mean over time, for so many a record.

    Between the beginnings of two bursts lie d records of the burst and the limit, a wait of 1 / chance, and the time
    for which an ion that turned immobile meanwhile stays so: turn (1 − mobile) / mobile (1 − ρ^d), ρ = 1 − 1 / turn.
    """
    if rate <= 0.0:
        return 0.0
    part, turn = mobile
    busy = seen.offset.max(axis=1) + float(seen.limit)
    lost = turn * (1.0 - part) / part * (1.0 - (1.0 - 1.0 / max(turn, 1.0)) ** busy)
    return 1.0 / max(1.0 / rate - float(often @ (busy + lost)), SHORTEST / part)


def _unit_spectrum(back: float, delay: float, memory: Array) -> Array:
    """Return the spectrum (M, 3), on the half circle, of hops of unit variance a record that may be undone.

    Parameters
    ----------
    back, delay : of the returns.
    memory : (K, 3) what is added to the covariance 1 … K records apart because hops follow one another.
    """
    z = np.exp(-2j * np.pi * np.arange(_POINTS // 2 + 1) / _POINTS)
    stay = 1.0 - 1.0 / max(delay, 1.0)
    later = back * (1.0 - stay) * z / (1.0 - stay * z)
    circle = np.zeros((_POINTS, 3))
    circle[1 : len(memory) + 1] = memory
    return np.asarray((1.0 + 2.0 * np.real(-later / (1.0 + later)))[:, None] + 2.0 * np.fft.rfft(circle, axis=0).real)


def _unit_msd(back: float, delay: float, memory: Array, lags: Any) -> Array:
    """Return the MSD (M, 3) at some lags of hops of unit variance a record; see `_unit_spectrum`."""
    covariance = np.fft.irfft(_unit_spectrum(back, delay, memory), axis=0)[: int(lags[-1]) + 1]
    slope = 2.0 * np.cumsum(covariance, axis=0) - covariance[0]
    return np.asarray(np.concatenate([np.zeros((1, 3)), np.cumsum(slope, axis=0)])[lags])


_Fit = tuple[float, float, float, Array, Array]


def _fit_returns(msd: Array, memory: Array, laws: list[tuple[float, float]] | None = None) -> list[_Fit]:
    """Return misfit, chance and delay of returns, and the hops' variance a record (3), from the MSD beyond rattling.

    The last is how well that variance is known: hardly along an axis on which ions always come back, where the hops add
    a constant to the MSD as the rattling does.

    Parameters
    ----------
    msd : (L + 1, 3), scaled.
    memory : of hops that follow one another, see `_unit_spectrum`.
    laws : chances and delays to try; all if none are given.
    """
    length = len(msd) - 1
    first = min(_CAGE, length // 3)
    n = np.unique(np.rint(np.geomspace(first, length, 24)).astype(int))
    if laws is None:
        laws = [(float(q), float(d)) for q in _BACK for d in (_DELAY if q > 0.0 else _DELAY[:1])]
    found = []
    for back, delay in laws:
        units = _unit_msd(back, delay, memory, n)
        misfit, weight, sure = 0.0, np.zeros(3), np.zeros(3)
        for axis in range(3):
            y, unit = msd[n, axis], units[:, axis]
            design = np.stack([np.ones(len(n)), unit], axis=1) / y[:, None]
            (level, slope_), *_ = np.linalg.lstsq(design, np.ones(len(n)), rcond=None)
            if level < 0.0:
                level, slope_ = 0.0, float((unit / y).sum() / ((unit / y) ** 2).sum())
            weight[axis] = max(slope_, 0.0)
            sure[axis] = (design[:, 1] ** 2).sum() - (design[:, 0] @ design[:, 1]) ** 2 / (design[:, 0] ** 2).sum()
            misfit += float(((level + slope_ * unit) / y - 1.0).__pow__(2).mean()) / 3.0
        found.append((float(np.sqrt(misfit)), back, delay, weight, sure))
    return sorted(found, key=lambda one: one[0])


def _alike(fits: list[_Fit]) -> list[_Fit]:
    """Return fits that the MSD cannot tell apart, the best of each delay and a few of those."""
    near = [fit for fit in fits if fit[0] <= fits[0][0] + _ALIKE]
    best = {delay: next(fit for fit in near if fit[2] == delay) for delay in sorted({fit[2] for fit in near})}
    chosen = {id(fit): fit for fit in [fits[0], *(f for f in near if f[1] == 0.0), *list(best.values())[:_TRIES]]}
    return list(chosen.values())


def _memory(law: Law, length: int) -> Array:
    """Return what is added to the covariance of hops 1 … L records apart because they follow one another, (L, 3).

    In units of the variance a record.  It is found by drawing: whether a hop was undone decides what follows.
    """
    source = torch.Generator().manual_seed(0)
    lead, records = law.longest, 4 * length
    total: Array = np.zeros((length + 1, 3))
    for _ in range(_DRAWS):
        first, after, _later = draw_hops(law, mobility(law, 256, lead + records, source), source)
        power = np.abs(np.fft.rfft((first + after)[:, lead:].numpy(), n=2 * records, axis=1)) ** 2
        pairs = np.arange(records, records - length - 1, -1)
        total += np.fft.irfft(power.mean(axis=0), axis=0)[: length + 1] / pairs[:, None]
    alone = np.fft.irfft(_unit_spectrum(float(law.back), float(law.delay), np.zeros((1, 3))), axis=0)[1 : length + 1]
    return np.asarray(total[1:] / np.maximum(total[0], 1e-30) - alone)


def _power(rest: Array) -> Array:
    """Return the variance that a spectrum on the half circle stands for, (3)."""
    weights = np.full(len(rest), 2.0)
    weights[0] = weights[-1] = 1.0
    return np.asarray((weights[:, None] * rest).sum(axis=0) / weights.sum())


def spectrum_of(covariance: Array) -> Array:
    """Return S(f) on the half circle, (M, 3), not below a thousandth of its mean, from C(k)."""
    return np.asarray(np.maximum(_transform(covariance), 1e-3 * covariance[0]))


def _transform(covariance: Array) -> Array:
    """Return the Fourier transform of C(k) = C(−k), (M, axes) on the half circle."""
    circle = np.zeros((_POINTS, covariance.shape[1]))
    circle[: len(covariance)] = covariance
    circle[_POINTS - len(covariance) + 1 :] = covariance[:0:-1]
    return np.asarray(np.fft.rfft(circle, axis=0).real)
