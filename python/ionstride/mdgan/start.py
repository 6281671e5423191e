"""Where the generator starts: filtered noise and hops that return, fitted to moments of the data without training."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import PhysicsError
from .detect import SMOOTH, IntArray, Jumps, detect_jumps
from .windows import Windows, increment_covariance, msd_of_windows

_WIDTHS = (1, 2, 4, 6, 9, 12, 16, 22, 32, 48)  # records a hop may take
_BACK = np.linspace(0.0, 0.8, 17)  # chance that a hop is undone
_DELAY = np.geomspace(1.5, 64.0, 14)  # mean records until then
_TURN = np.geomspace(8.0, 2048.0, 13)  # records an ion stays as mobile as it is
_MOBILE = 0.05  # part of the ions that hop, at least
_EARNED = 0.7  # of the misfit without mobile ions is left with them, at most
_LAGS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)  # at which fourth cumulants are looked at
_PART = 2  # of a run at most, for there are few displacements over longer lags
_FEW_HOPS = 20  # too few seen to tell their directions
_BURSTS = 400  # drawn for the fourth cumulants of a burst
_CAGE = 10  # records after which the rattling in a cage is forgotten
_STAY = 8  # times SMOOTH: records of a stay whose mean is a site
_FOLLOWERS = 12  # hops seen that were most like the last, what came after one of which comes next
_DRAWS = 8  # of 256 ions over four windows, for the memory of hops
_MIXED = 200  # hops after which all are as likely as they ever will be
_ALIKE = 0.004  # relative error by which fits of the MSD may differ and be alike
_TRIES = 3  # delays of returns, shortest first, that are held against the fourth cumulants
_POINTS = 4096


@dataclass(frozen=True)
class Start:
    """Increments as filtered Gaussian noise plus hops: what is known of the ions without training.

    An ion is mobile a part of the time; hops begin at random then, each with a vector that depends on that of the hop
    before, for a lattice has few ways on from a site.  With chance `back` a hop is followed by its reverse,
    geometrically distributed records later, which may be undone in turn.

    Attributes
    ----------
    scale_A : (3) standard deviation of an increment.
    taps : (3, 2L − 1) filter of the Gaussian noise, scaled increments.
    vectors : (V, 3) hops, scaled; each as likely as its reverse: numbers 2 v and 2 v + 1.
    follow : (2 V, M) numbers of hops that may come after a hop of that number.
    chance : of a spontaneous hop in a record.
    back, delay : chance that a hop is undone, and the mean records until then.
    mobile, turn : part of the time an ion is mobile, and the mean records until it draws that anew.
    hop_shape : (w) how a hop is spread over records; sums to one.
    """

    scale_A: Array
    taps: Array
    vectors: Array
    follow: IntArray
    chance: float
    back: float
    delay: float
    mobile: float
    turn: float
    hop_shape: Array


def make_start(train: Windows) -> Start:
    """Return the start that has the moments of the training windows.

    Rattling in a cage adds a constant to the MSD at lags beyond its memory, so the MSD there tells how hops return:
    MSD(n) = c + w F(n), F from the spectrum w [1 + 2 Re(−qφ/(1 + qφ))] of hops of variance w a record whose returns,
    of chance q, have the characteristic function φ of the delay.  Their vectors are those of jumps seen in the data;
    without enough of them, any direction.  The fourth cumulants ⟨x⁴⟩ and ⟨x²y²⟩ by lag tell the records a hop takes,
    its length, and how long ions stay mobile: where the rate of hops varies by v, they are larger by 3 v Gxx and
    v Gxy, the covariance of the conditional MSDs over that memory.  Gaussian noise carries what is left of the
    spectrum, so that C(k) and the MSD within a window are those of the data.

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
    longest = max(train.length, min(path.shape[1] for path in train.paths()) // train.stride // _PART)
    lags = np.array([lag for lag in _LAGS if lag <= longest])
    own, mixed, far = _cumulants(train, lags, np.sqrt(variance))
    vectors, pairs = _seen_hops(train)
    seen = len(vectors) >= _FEW_HOPS
    if not seen:
        vectors, pairs = _directions(np.random.default_rng(0), 512), np.zeros((0, 2), dtype=np.int64)
    follow = _followers(vectors, pairs)
    vectors = vectors / np.sqrt(variance)
    memory, known = np.zeros((1, 3)), len(pairs) >= _FEW_HOPS
    if known:  # the spectrum of hops that follow one another is drawn; at first of hops that are not undone
        weight = _fit_returns(msd, memory, [(0.0, 1.0)])[0][3]
        memory = _memory(vectors, follow, min(0.5, _hop_rate(vectors, weight)), (0.0, 1.0), (1.0, 1.0), train.length)
    # Returns soon after a hop change the MSD by a constant alone: the fourth cumulants tell how many there are.
    tries = []
    for _, back, delay, weight in _alike(_fit_returns(msd, memory)):
        less = _unit_msd(back, delay, memory, lags) / _unit_msd(back, delay, np.zeros((1, 3)), lags)
        law = _fit_law(own, mixed, far, lags, weight, vectors, (back, delay), less, seen=seen)
        tries.append((law[0] * (_EARNED if back == 0.0 else 1.0), back, delay, weight, law))
    _, back, delay, weight, (_, mobile, turn, size, shape) = min(tries, key=lambda one: one[0])
    for _ in range(2 if known else 0):
        chance = min(_hop_rate(vectors * size, weight) * (1.0 - back), 0.5 * mobile)
        memory = _memory(vectors, follow, chance, (back, delay), (mobile, turn), train.length)
        weight = _fit_returns(msd, memory, [(back, delay)])[0][3]
    # As many hops as make the variance; axes differ a little from those of the hops seen, and are brought to theirs.
    often = _often(follow)
    square = often @ vectors**2 * size**2
    moving = square > 0.0
    total = _hop_rate(vectors * size, weight, often)
    if total > 0.0:
        vectors = vectors * size * np.sqrt(np.divide(weight, total * square, out=np.zeros(3), where=moving))
    chance = min(0.5 * mobile, total * (1.0 - back))
    spectrum = spectrum_of(increment_covariance(msd))
    transfer = np.abs(np.fft.rfft(shape, n=_POINTS)) ** 2
    rest = np.maximum(spectrum - weight * _unit_spectrum(back, delay, memory) * transfer[:, None], 1e-4)
    taps = np.fft.fftshift(np.fft.irfft(np.sqrt(rest), axis=0), axes=0)
    middle, reach = len(taps) // 2, train.length - 1
    taps = taps[middle - reach : middle + reach + 1]
    # Cutting the taps loses a little power; each axis gets it back.
    taps = taps * np.sqrt(_power(rest) / np.maximum((taps**2).sum(axis=0), 1e-30))
    return Start(
        scale_A=np.sqrt(variance),
        taps=np.ascontiguousarray(taps.T),
        vectors=vectors,
        follow=follow,
        chance=chance,
        back=back,
        delay=delay,
        mobile=mobile,
        turn=turn,
        hop_shape=shape,
    )


def _often(follow: IntArray) -> Array:
    """Return how often each vector or its reverse is a hop, (V), sum one: some come after more hops than others."""
    part = np.full(len(follow), 1.0 / len(follow))
    for _ in range(_MIXED):
        each = np.repeat(part / follow.shape[1], follow.shape[1])
        part = np.bincount(follow.ravel(), each, minlength=len(follow))
    return np.asarray(part.reshape(-1, 2).sum(axis=1))


def _hop_rate(vectors: Array, weight: Array, often: Array | None = None) -> float:
    """Return how many hops a record, returns among them, make the variance `weight` (3)."""
    square = (vectors**2).mean(axis=0) if often is None else often @ vectors**2
    moving = square > 0.0
    return float(weight[moving].sum() / square[moving].sum()) if moving.any() else 0.0


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


_Fit = tuple[float, float, float, Array]


def _fit_returns(msd: Array, memory: Array, laws: list[tuple[float, float]] | None = None) -> list[_Fit]:
    """Return misfit, chance and delay of returns, and the hops' variance a record (3), from the MSD beyond rattling.

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
        misfit, weight = 0.0, np.zeros(3)
        for axis in range(3):
            y, unit = msd[n, axis], units[:, axis]
            design = np.stack([np.ones(len(n)), unit], axis=1) / y[:, None]
            (level, slope_), *_ = np.linalg.lstsq(design, np.ones(len(n)), rcond=None)
            if level < 0.0:
                level, slope_ = 0.0, float((unit / y).sum() / ((unit / y) ** 2).sum())
            weight[axis] = max(slope_, 0.0)
            misfit += float(((level + slope_ * unit) / y - 1.0).__pow__(2).mean()) / 3.0
        found.append((float(np.sqrt(misfit)), back, delay, weight))
    return sorted(found, key=lambda one: one[0])


def _alike(fits: list[_Fit]) -> list[_Fit]:
    """Return fits that the MSD cannot tell apart, the best of each delay and a few of those."""
    near = [fit for fit in fits if fit[0] <= fits[0][0] + _ALIKE]
    best = {delay: next(fit for fit in near if fit[2] == delay) for delay in sorted({fit[2] for fit in near})}
    chosen = {id(fit): fit for fit in [fits[0], *(f for f in near if f[1] == 0.0), *list(best.values())[:_TRIES]]}
    return list(chosen.values())


def _cumulants(train: Windows, lags: Any, unit_A: Array) -> tuple[Array, Array, Array]:
    """Return the fourth cumulants of each axis and of each pair of axes, and the MSD, at some lags, (M, 3), scaled."""
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
    return own, mixed, msd


def _half_sine(width: int) -> Array:
    shape = np.sin(np.pi * (np.arange(width) + 0.5) / width)
    return np.asarray(shape / shape.sum())


def _seen_hops(train: Windows) -> tuple[Array, IntArray]:
    """Return the vectors of jumps seen in the training data, (V, 3) in Å, and which came after which, (P, 2)."""
    found, pairs, count = [], [], 0
    for path in train.paths():
        x = np.ascontiguousarray(path[:, :: train.stride])
        jumps = detect_jumps(x, train.dt_ps)
        first = count + np.flatnonzero(jumps.followed)
        pairs.append(np.stack([first, first + 1], axis=1))
        found.append(_from_site_to_site(x, jumps))
        count += len(jumps.ion)
    return np.concatenate(found), np.concatenate(pairs)


def _from_site_to_site(x_A: Array, jumps: Jumps) -> Array:
    """Return the vectors of jumps between the mean places before and after.

    Those of the few records in which a jump is seen hold the rattling; added at every hop it would blur the lattice.
    """
    vectors = jumps.vector_A.copy()
    stay = _STAY * SMOOTH
    same = np.append(jumps.ion[1:] == jumps.ion[:-1], False)[: len(jumps.ion)]
    for k, (ion, record) in enumerate(zip(jumps.ion, jumps.record, strict=True)):
        begin = jumps.record[k - 1] + 2 * SMOOTH if k and same[k - 1] else 0
        end = jumps.record[k + 1] if same[k] else x_A.shape[1]
        before = x_A[ion, max(begin, record - stay) : record]
        after = x_A[ion, record + 2 * SMOOTH : min(end, record + 2 * SMOOTH + stay)]
        if min(len(before), len(after)) >= SMOOTH:
            vectors[k] = after.mean(axis=0) - before.mean(axis=0)
    return vectors


def _followers(vectors: Array, pairs: IntArray) -> IntArray:
    """Return (2 V, M) numbers of hops after a hop: what came after the M hops seen that were most like it.

    Pairs of hops count backwards in time and turned round too, so that no direction is preferred.  Without pairs, any.
    """
    from scipy.spatial import cKDTree

    signed = np.stack([vectors, -vectors], axis=1).reshape(-1, 3)
    if len(pairs) < _FEW_HOPS:
        half = np.random.default_rng(0).integers(len(signed), size=(len(vectors), _FOLLOWERS))
        return np.stack([half, half ^ 1], axis=1).reshape(-1, _FOLLOWERS)
    one, two = 2 * pairs[:, 0], 2 * pairs[:, 1]
    first = np.concatenate([one, one ^ 1, two, two ^ 1])
    second = np.concatenate([two, two ^ 1, one, one ^ 1])
    most = min(_FOLLOWERS, len(pairs))
    near = cKDTree(signed[first]).query(vectors, k=most)[1]
    half = second[near]
    return np.stack([half, half ^ 1], axis=1).reshape(-1, most)


def _memory(  # noqa: PLR0917
    vectors: Array,
    follow: IntArray,
    chance: float,
    returns: tuple[float, float],
    mobile: tuple[float, float],
    length: int,
) -> Array:
    """Return what is added to the covariance of hops 1 … L records apart because they follow one another, (L, 3).

    In units of the variance a record.  It is found by drawing: whether a hop was undone decides what follows.
    """
    import torch

    from . import hops

    def tensor(value: Any) -> Any:
        return torch.as_tensor(np.array(value), dtype=torch.float32)

    law = hops.Law(
        tensor(chance), tensor(vectors), torch.from_numpy(follow), *map(tensor, returns), *map(tensor, mobile)
    )
    source = torch.Generator().manual_seed(0)
    lead, records = law.longest, 4 * length
    total: Array = np.zeros((length + 1, 3))
    for _ in range(_DRAWS):
        fresh, back, _later = hops.draw_hops(law, hops.mobility(law, 256, lead + records, source), source)
        power = np.abs(np.fft.rfft((fresh + back)[:, lead:].numpy(), n=2 * records, axis=1)) ** 2
        pairs = np.arange(records, records - length - 1, -1)
        total += np.fft.irfft(power.mean(axis=0), axis=0)[: length + 1] / pairs[:, None]
    alone = np.fft.irfft(_unit_spectrum(*returns, np.zeros((1, 3))), axis=0)[1 : length + 1]
    return np.asarray(total[1:] / np.maximum(total[0], 1e-30) - alone)


def _fit_law(  # noqa: PLR0917
    own: Array,
    mixed: Array,
    msd: Array,
    lags: Any,
    weight: Array,
    vectors: Array,
    returns: tuple[float, float],
    less: Array,
    *,
    seen: bool,
) -> tuple[float, float, float, float, Array]:
    """Return the misfit, the mobile part of the ions and its memory, a factor for the length of hops, and their shape.

    Cumulants of independent bursts, a hop with its returns, add up, so the fourth cumulant is the rate of bursts times
    the mean over bursts of the fourth power of what they add to a displacement, summed over the window's place.
    Where the rate itself varies, the covariance of the conditional variances comes on top.  Hops that follow one
    another make the MSD smaller than independent ones by a factor `less` (M, 3), and the fourth cumulants with it.
    """
    scale, cross = msd**2, msd * np.roll(msd, 1, axis=1)
    wanted = np.concatenate([own / scale, mixed / cross], axis=1)
    # Relative errors at lags where there is something, absolute ones where there is little.
    sure = 1.0 / (0.5 + np.abs(own / scale).mean(axis=1, keepdims=True))
    square = (vectors**2).mean(axis=0)
    fitted = vectors * np.sqrt(weight / np.maximum(square, 1e-12) * square.sum() / max(weight.sum(), 1e-12))
    rate = float(weight.sum() / square.sum()) * (1.0 - returns[0])
    # Longer hops of the same variance: fewer of them, so fourth cumulants grow with the square of their length.
    low, high = (0.9, 1.1) if seen else (1e-6, 1e6)
    best: tuple[float, float, float, float, Array] = (np.inf, 1.0, 1.0, 1.0, _half_sine(1))
    squared = fitted**2
    lengths = np.concatenate([(squared**2).mean(axis=0), (squared * np.roll(squared, 1, axis=1)).mean(axis=0)])
    fewer = np.concatenate([less / scale, np.sqrt(less * np.roll(less, 1, axis=1)) / cross], axis=1)
    path = _bursts(np.random.default_rng(1), int(lags[-1]), returns)
    for width in _WIDTHS:
        shape = _half_sine(width)
        fourth, second = _burst_moments(path, shape, lags)
        one = rate * fourth[:, None] * lengths * fewer
        second = second[..., None] * squared.mean(axis=0) * less[:, None]
        still, factor, _ = _two_parts(one, np.zeros_like(one), wanted, sure, (low, high))
        found = (still, factor, 1.0, 1.0, shape)
        for turn in _TURN:
            spread = _varying(rate * second, turn)
            other = np.concatenate([3.0 * spread[0] / scale, spread[1] / cross], axis=1)
            misfit, factor, variance = _two_parts(one, other, wanted, sure, (low, high))
            if misfit < min(found[0], _EARNED * still):  # must earn its place
                found = (misfit, factor, 1.0 / (1.0 + variance), float(turn), shape)
        best = min(best, found, key=lambda fit: fit[0])
    misfit, factor, mobile, turn, shape = best
    return misfit, mobile, turn, float(np.sqrt(factor)), shape


def _two_parts(
    one: Array, other: Array, wanted: Array, sure: Array, between: tuple[float, float]
) -> tuple[float, float, float]:
    """Return misfit and coefficients of the best sum of two cumulants, weighted by `sure`."""
    from scipy.optimize import lsq_linear

    design = np.stack([(sure * one).ravel(), (sure * other).ravel()], axis=1)
    limits = ([between[0], 0.0], [between[1], 1.0 / _MOBILE - 1.0])
    fit = lsq_linear(design, (sure * wanted).ravel(), bounds=limits)
    return float(2.0 * fit.cost), float(fit.x[0]), float(fit.x[1])


def _varying(second: Array, turn: float) -> tuple[Array, Array]:
    """Return the (co)variance of conditional MSDs, (M, 3) each, for a rate of variance one and exponential memory.

    Parameters
    ----------
    second : (M, places, 3) what hops begun at each place add to the MSD at each lag.
    turn : memory in records.
    """
    from scipy.signal import lfilter

    keep = 1.0 - 1.0 / turn
    # Σ_s ρ^|t − s| K(s), as two exponential filters
    ahead = lfilter([1.0], [1.0, -keep], second, axis=1)
    behind = lfilter([1.0], [1.0, -keep], second[:, ::-1], axis=1)[:, ::-1]
    smooth = ahead + behind - second
    return np.einsum("mtx,mtx->mx", second, smooth), np.einsum("mtx,mtx->mx", np.roll(second, 1, axis=2), smooth)


def _bursts(rng: np.random.Generator, longest: int, returns: tuple[float, float]) -> Array:
    """Return paths (bursts, 5 × longest) of a unit hop at record `longest` with its returns."""
    back, delay = returns
    count = _BURSTS if back > 0.0 else 1
    moves = np.zeros((count, 5 * longest), dtype=np.float32)
    number, when, move = np.arange(count), np.full(count, longest), 1.0
    while len(number):
        np.add.at(moves, (number, when), move)
        undone = rng.random(len(number)) < back
        number, move = number[undone], -move
        when = when[undone] + rng.geometric(1.0 / max(delay, 1.0), len(number))
        inside = when < 4 * longest
        number, when = number[inside], when[inside]
    return np.asarray(np.cumsum(moves, axis=1))


def _burst_moments(path: Array, shape: Array, lags: Any) -> tuple[Array, Array]:
    """Return ⟨Σ x⁴⟩ by lag, (M), and ⟨x²⟩ by lag and place, (M, places), of unit hops with their returns."""
    from scipy.ndimage import convolve1d

    places = 4 * int(lags[-1])
    smooth = convolve1d(path, shape, axis=1, mode="nearest")
    fourth, second = [], []
    for lag in lags:
        square = (smooth[:, lag:] - smooth[:, :-lag])[:, :places] ** 2
        fourth.append(float((square * square).sum(dtype=np.float64)) / len(path))
        second.append(square.mean(axis=0, dtype=np.float64))
    return np.array(fourth), np.array(second)


def _directions(rng: np.random.Generator, count: int) -> Array:
    """Return unit vectors of any direction."""
    direction = rng.standard_normal((count, 3))
    return np.asarray(direction / np.linalg.norm(direction, axis=1, keepdims=True))


def _power(rest: Array) -> Array:
    """Return the variance that a spectrum on the half circle stands for, (3)."""
    weights = np.full(len(rest), 2.0)
    weights[0] = weights[-1] = 1.0
    return np.asarray((weights[:, None] * rest).sum(axis=0) / weights.sum())


def spectrum_of(covariance: Array) -> Array:
    """Return S(f) on the half circle, (M, 3), not below a thousandth of its mean, from C(k)."""
    circle = np.zeros((_POINTS, covariance.shape[1]))
    circle[: len(covariance)] = covariance
    circle[_POINTS - len(covariance) + 1 :] = covariance[:0:-1]
    spectrum = np.fft.rfft(circle, axis=0).real
    return np.asarray(np.maximum(spectrum, 1e-3 * covariance[0]))
