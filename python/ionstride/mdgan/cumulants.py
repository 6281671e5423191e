"""Fourth cumulants of displacements by lag: how long a hop takes, how far it goes, how long ions stay mobile."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..checks import Array
from .hops import Law, any_burst, draw_bursts
from .windows import Windows

_LAGS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)  # at which fourth cumulants are looked at
_PART = 2  # of a run at most, for there are few displacements over longer lags
_WIDTHS = (1, 2, 4, 6, 9, 12, 16, 22, 32, 48)  # records a hop may take
_TURN = np.geomspace(8.0, 2048.0, 13)  # records an ion stays as mobile as it is
_MOBILE = 0.05  # part of the ions that hop, at least
EARNED = 0.7
"""Of the misfit without mobile ions, or without returns, so much is left with them, at most."""
SHORTEST = 2.0
"""Records of waiting for a burst, at least."""
_BURSTS = 1000  # drawn for the fourth cumulants of a burst
_EDGE = 64  # records before and after a burst, no fewer than a hop takes


@dataclass(frozen=True)
class Cumulants:
    """Fourth cumulants of displacements at some lags, scaled.

    Attributes
    ----------
    lags : (M) records.
    own : (M, 3) of each axis.
    mixed : (M, 3) of each pair of axes.
    msd : (M, 3).
    """

    lags: Any
    own: Array
    mixed: Array
    msd: Array


@dataclass(frozen=True)
class Fit:
    """What fourth cumulants tell of hops.

    Attributes
    ----------
    misfit : weighted sum of squares.
    mobile, turn : mobile part of the ions, and records for which an ion stays as mobile as it is.
    size : factor for the length of hops.
    shape : (w) how a hop is spread over records; sums to one.
    """

    misfit: float
    mobile: float
    turn: float
    size: float
    shape: Array


def fourth_cumulants(train: Windows, unit_A: Array) -> Cumulants:
    """Return the fourth cumulants of displacements along the axes in units of `unit_A` (3)."""
    longest = max(train.length, min(path.shape[1] for path in train.paths()) // train.stride // _PART)
    lags = np.array([lag for lag in _LAGS if lag <= longest])
    own, mixed, msd = np.zeros((len(lags), 3)), np.zeros((len(lags), 3)), np.zeros((len(lags), 3))
    for number, lag in enumerate(lags):
        fourth, cross, second, pairs = np.zeros(3), np.zeros(3), np.zeros((3, 3)), 0
        for path in train.paths():
            delta = ((path[:, lag * train.stride :] - path[:, : -lag * train.stride]) / unit_A).reshape(-1, 3)
            square = delta * delta
            second += delta.T @ delta
            fourth += (square * square).sum(axis=0)
            cross += (square * np.roll(square, 1, axis=1)).sum(axis=0)
            pairs += len(delta)
        second /= pairs
        spread = np.diag(second)
        msd[number] = spread
        own[number] = fourth / pairs - 3.0 * spread**2
        mixed[number] = cross / pairs - spread * np.roll(spread, 1) - 2.0 * second[[0, 1, 2], [2, 0, 1]] ** 2
    return Cumulants(lags, own, mixed, msd)


def burst_square(moves: Array, often: Array, back: float) -> Array:
    """Return the mean of the squared moves that come of a burst, summed, (3): its own and its returns."""
    return np.asarray(often @ ((moves**2).sum(axis=1) + back / (1.0 - back) * moves.sum(axis=1) ** 2))


def fit_law(cumulants: Cumulants, hop_msd: Array, weight: Array, law: Law, often: Array, *, enough: bool) -> Fit:
    """Return the mobile part of the ions and its memory, a factor for the length of hops, and their shape.

    Cumulants of independent bursts, hops with all that comes of them, add up, so the fourth cumulant is the rate of
    bursts times the mean over bursts of the fourth power of what they add to a displacement, summed over the window's
    place.  Where the rate itself varies, the covariance of the conditional variances comes on top.  Bursts that follow
    one another make the MSD smaller than independent ones, and the fourth cumulants with it.

    Parameters
    ----------
    cumulants : of the data.
    hop_msd : (M, 3) MSD of the hops.
    weight : (3) their variance a record.
    law : of the hops, but for their chance.
    often : how often each burst comes, (V).
    enough : whether the hops were seen, and their length is known.
    """
    own, mixed, msd, lags = cumulants.own, cumulants.mixed, cumulants.msd, cumulants.lags
    scale, cross = msd**2, msd * np.roll(msd, 1, axis=1)
    wanted = np.concatenate([own / scale, mixed / cross], axis=1)
    # Relative errors at lags where there is something, absolute ones where there is little.
    sure = 1.0 / (0.5 + np.abs(own / scale).mean(axis=1, keepdims=True))
    square = burst_square(law.moves.numpy().astype(np.float64), often, float(law.back))
    axes = np.sqrt(weight / np.maximum(square, 1e-12) * square.sum() / max(weight.sum(), 1e-12))
    rate = float(weight.sum() / max(square.sum(), 1e-30))
    # Ions that are mobile more seldom have no time for so many bursts.
    busy = float(often @ law.offset.amax(dim=1).numpy()) + int(law.limit) + SHORTEST
    least = float(np.clip(rate * busy, _MOBILE, 1.0))
    path = _bursts(law, int(lags[-1])) * axes
    alone = np.maximum(rate * _burst_moments(path, _half_sine(1), lags)[1], 1e-30)
    less = np.maximum(hop_msd, 0.0) / alone
    fewer = np.concatenate([less / scale, np.sqrt(less * np.roll(less, 1, axis=1)) / cross], axis=1)
    # Longer hops of the same variance: fewer of them, so fourth cumulants grow with the square of their length.
    low, high = (0.9, 1.1) if enough else (1e-6, 1e6)
    best: tuple[float, float, float, float, Array] = (np.inf, 1.0, 1.0, 1.0, _half_sine(1))
    for width in _WIDTHS:
        shape = _half_sine(width)
        fourth, _, second = _burst_moments(path, shape, lags)
        one = rate * fourth * fewer
        still, factor, _ = _two_parts(one, np.zeros_like(one), wanted, sure, (low, high), least)
        found = (still, factor, 1.0, 1.0, shape)
        for turn in _TURN:
            both = less**2, less * np.roll(less, 1, axis=1)
            spread = [[rate**2 * part for part in _varying(k, step, turn)] for k, step in second]
            other = np.concatenate(
                [3.0 * both[0] * [one for one, _ in spread] / scale, both[1] * [two for _, two in spread] / cross],
                axis=1,
            )
            misfit, factor, variance = _two_parts(one, other, wanted, sure, (low, high), least)
            if misfit < min(found[0], EARNED * still):  # must earn its place
                found = (misfit, factor, 1.0 / (1.0 + variance), float(turn), shape)
        best = min(best, found, key=lambda fit: fit[0])
    misfit, factor, mobile, turn, shape = best
    return Fit(misfit, mobile, turn, float(np.sqrt(factor)), shape)


def _two_parts(  # noqa: PLR0917
    one: Array, other: Array, wanted: Array, sure: Array, between: tuple[float, float], least: float
) -> tuple[float, float, float]:
    """Return misfit and coefficients of the best sum of two cumulants, weighted by `sure`; `least`: mobile part."""
    from scipy.optimize import lsq_linear

    design = np.stack([(sure * one).ravel(), (sure * other).ravel()], axis=1)
    limits = ([between[0], 0.0], [between[1], 1.0 / least - 1.0 + 1e-9])
    fit = lsq_linear(design, (sure * wanted).ravel(), bounds=limits)
    return float(2.0 * fit.cost), float(fit.x[0]), float(fit.x[1])


def _varying(second: Array, step: int, turn: float) -> tuple[Array, Array]:
    """Return the (co)variance of conditional MSDs, (3) each, for a rate of variance one and exponential memory.

    Parameters
    ----------
    second : (places, 3) what hops begun at each place, `step` records apart, add to the MSD.
    step : between places.
    turn : memory in records.
    """
    from scipy.signal import lfilter

    keep = (1.0 - 1.0 / turn) ** step
    # Σ_s ρ^|t − s| K(s), as two exponential filters
    ahead = lfilter([1.0], [1.0, -keep], second, axis=0)
    behind = lfilter([1.0], [1.0, -keep], second[::-1], axis=0)[::-1]
    smooth = (ahead + behind - second) * step**2
    return (second * smooth).sum(axis=0), (np.roll(second, 1, axis=1) * smooth).sum(axis=0)


def _bursts(law: Law, longest: int) -> Array:
    """Return paths (bursts, T, 3) of bursts that begin at record `longest` + `_EDGE`, to as long after their end."""
    source = torch.Generator().manual_seed(1)
    begin = longest + _EDGE
    hit = torch.zeros(_BURSTS, begin + 1, dtype=torch.bool)
    hit[:, -1] = True
    since = law.limit.expand(_BURSTS)
    first, after, *_ = draw_bursts(law, hit, any_burst(law, _BURSTS, source), since, source)
    moves = np.pad(after.numpy(), ((0, 0), (0, begin), (0, 0)))
    moves[:, begin] += first[:, begin].numpy()
    return np.asarray(np.cumsum(moves, axis=1))


def _burst_moments(path: Array, shape: Array, lags: Any) -> tuple[Array, Array, list[tuple[Array, int]]]:
    """Return what bursts add to displacements, summed over the place of the displacement.

    Returns
    -------
    fourth : (M, 6) ⟨x⁴⟩ of each axis and ⟨x²y²⟩ of each pair, by lag.
    msd : (M, 3) ⟨x²⟩.
    second : of each lag ⟨x²⟩ by place, (places, 3), and the records between places.
    """
    from scipy.ndimage import convolve1d

    smooth = convolve1d(path, shape, axis=1, mode="nearest")
    begin = int(lags[-1]) + _EDGE
    end = path.shape[1] - begin + _EDGE
    fourth, msd, second = [], [], []
    for lag in lags:
        step = max(1, int(lag) // 8)
        first = begin - int(lag) - _EDGE
        moved = smooth[:, first + lag : end + lag : step] - smooth[:, first:end:step]
        square = moved * moved
        both = [square * square, square * np.roll(square, 1, axis=2)]
        fourth.append(step * np.concatenate([part.mean(axis=0, dtype=np.float64).sum(axis=0) for part in both]))
        second.append((square.mean(axis=0, dtype=np.float64), step))
        msd.append(step * second[-1][0].sum(axis=0))
    return np.array(fourth), np.array(msd), second


def _half_sine(width: int) -> Array:
    shape = np.sin(np.pi * (np.arange(width) + 0.5) / width)
    return np.asarray(shape / shape.sum())
