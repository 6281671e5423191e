"""What a model has to beat: straight line, Gaussian surrogate, stitched windows, and a random walk of seen jumps.

All are made from the training data alone.  The straight line gives an MSD; the others are sources of series.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import PhysicsError
from ..records import Displacements
from .detect import HOP_A, SMOOTH, Jumps, detect_jumps
from .surrogate import fit_gaussian, fit_shot, minimum_phase
from .windows import FloatArray, Windows

BASELINES = ("line", "gaussian", "bootstrap", "ctrw", "shot")
_FEWEST_JUMPS = 5


@dataclass(frozen=True)
class StraightLine:
    """The MSD of the training data carried on by the straight line of its diffusive part.

    Attributes
    ----------
    slope_A2_ps, offset_A2 : (4) of x, y, z and in all.
    stderr_A2_ps : standard error of the total's slope.
    start_ps : first lag of the fit; the line says nothing before it.
    name : what tables call it.
    """

    slope_A2_ps: Array
    offset_A2: Array
    stderr_A2_ps: float
    start_ps: float
    name: str = "straight line"

    def msd_A2(self, lag_ps: Array) -> Array:
        """Return the line at some lags, (M, 4) in Å²; NaN before its start."""
        line = self.offset_A2 + lag_ps[:, None] * self.slope_A2_ps
        return np.where(lag_ps[:, None] >= self.start_ps * (1.0 - 1e-9), line, np.nan)

    @property
    def relative_stderr(self) -> float:
        """Relative standard error of the slope: what the training data say of any long MSD."""
        total = float(self.slope_A2_ps[3])
        return self.stderr_A2_ps / total if total > 0.0 else float("inf")


@dataclass(frozen=True)
class WindowBootstrap:
    """Real windows picked at random and laid end to end, without the mean displacement that few of them have.

    Attributes
    ----------
    windows : where they are cut from.
    drift_A : (3) mean increment of all of them; laid end to end, it would outrun any diffusion.
    name : what tables call it.
    """

    windows: Windows
    drift_A: Array
    name: str = "window bootstrap"

    @property
    def dt_ps(self) -> float:
        """Time between records."""
        return self.windows.dt_ps

    def draw(self, ions: int, records: int, rng: np.random.Generator) -> FloatArray:
        """Return increments (ions, records, 3) float32 in Å; the first window is cut at random."""
        length = self.windows.length
        count = -(-records // length) + 1
        laid = self.windows.sample(ions * count, rng).reshape(ions, count * length, 3)
        offset = rng.integers(length, size=ions)
        frame = offset[:, None] + np.arange(records)
        return np.ascontiguousarray(laid[np.arange(ions)[:, None], frame] - np.float32(self.drift_A))


@dataclass(frozen=True)
class JumpWalk:
    """Continuous-time random walk: waiting times and jumps as seen in the data, each independent of the last.

    A jump and its reverse are as likely, as they are in equilibrium, so that the walk has no drift.

    Attributes
    ----------
    wait_ps, survival : (W) times and the probability to wait longer (Kaplan-Meier); ends at zero.
    vector_A : (J, 3) jumps seen.
    taps : (K, 3) filter of the rattling about a site, in Å.
    dt_ps : time between records.
    name : what tables call it.
    """

    wait_ps: Array
    survival: Array
    vector_A: Array
    taps: Array
    dt_ps: float
    name: str = "random walk of jumps"

    def draw(self, ions: int, records: int, rng: np.random.Generator) -> FloatArray:
        """Return increments (ions, records, 3) float32 in Å."""
        from .surrogate import filtered

        step = np.zeros((ions, records, 3))
        mean = -float(np.trapezoid(self.wait_ps, self.survival))
        clock = -rng.uniform(10.0, 20.0, size=ions) * mean  # so that time zero is no special moment of any ion
        at, end = np.arange(ions), records * self.dt_ps
        while len(at):
            clock[at] += np.interp(rng.random(len(at)), self.survival[::-1], self.wait_ps[::-1])
            at = at[clock[at] < end]
            seen = at[clock[at] >= 0.0]
            record = np.minimum((clock[seen] / self.dt_ps).astype(np.int64), records - 1)
            jump_A = self.vector_A[rng.integers(len(self.vector_A), size=len(seen))]
            np.add.at(step, (seen, record), jump_A * rng.choice((-1.0, 1.0), size=(len(seen), 1)))
        noise = rng.standard_normal((ions, records + len(self.taps), 3), dtype=np.float32)
        return np.asarray(step + np.diff(filtered(noise, self.taps), axis=1), dtype=np.float32)


def straight_line(train: Displacements) -> StraightLine:
    """Return the generalised least-squares line through the MSD of the training data, as `transport` fits it.

    Raises
    ------
    PhysicsError
        If there are too few frames for a fit.
    """
    from ..transport.fit import fit_line

    fitted = fit_line(train, None, 0)
    curve, fit = fitted.curve, fitted.slope
    axes = np.einsum("maa->ma", curve.tensor_A2)
    values = np.column_stack([axes, curve.msd_A2])[fit.lags]
    slope = fit.weights @ values
    # The shortest lags of the fit are known best, so they say where the line lies.
    near = slice(0, max(1, len(fit.lags) // 3))
    lag = curve.lag_ps[fit.lags]
    offset = (values[near] - lag[near, None] * slope).mean(axis=0)
    return StraightLine(slope, offset, fitted.stderr, float(lag[0]))


def window_bootstrap(train: Windows) -> WindowBootstrap:
    """Return the bootstrap of windows; every window counts alike in its drift."""
    span = train.length * train.stride
    moved = [path[:, span:] - path[:, :-span] for path in train.paths() if path.shape[1] > span]
    total, count = sum(m.sum(axis=(0, 1)) for m in moved), sum(m.shape[0] * m.shape[1] for m in moved)
    return WindowBootstrap(train, np.asarray(total / count / train.length))


def jump_walk(train: Windows, hop_A: float = HOP_A) -> JumpWalk:
    """Return the random walk of the jumps detected in the training data.

    Raises
    ------
    PhysicsError
        If fewer than five jumps were seen.
    """
    waits, ended, vectors = [], [], []
    kept = min(4 * train.length, min(p.shape[1] for p in train.paths()) // train.stride // 2)
    rattle, pairs = np.zeros((kept, 3)), np.zeros((kept, 1))
    for path in train.paths():
        x_A = path[:, :: train.stride]
        jumps = detect_jumps(x_A, train.dt_ps, hop_A)
        wait, end = _waits(jumps)
        waits.append(wait)
        ended.append(end)
        vectors.append(jumps.vector_A)
        _add_rattle(x_A, jumps, rattle, pairs)
    vector_A = np.concatenate(vectors)
    if len(vector_A) < _FEWEST_JUMPS:
        raise PhysicsError(
            f"{len(vector_A)} jumps longer than {0.5 * hop_A:g} Å were seen in the training data, too few for a random "
            "walk of jumps"
        )
    wait_ps, survival = kaplan_meier(np.concatenate(waits), np.concatenate(ended))
    return JumpWalk(wait_ps, survival, vector_A, _rattle_taps(rattle / np.maximum(pairs, 1.0)), train.dt_ps)


def kaplan_meier(wait_ps: Array, ended: Array) -> tuple[Array, Array]:
    """Return times and survival of waiting times some of which had not ended when the data did.

    What is still waiting at the longest time that ended goes on with an exponential tail, whose rate is that of the
    later half of the events.

    Parameters
    ----------
    wait_ps : (W) waiting times.
    ended : (W) whether each ended with a jump.

    Returns
    -------
    time_ps, survival : increasing times from 0, survival from 1 to 0.
    """
    order = np.argsort(wait_ps)
    time, event = wait_ps[order], np.asarray(ended, dtype=np.bool_)[order]
    at_risk = np.arange(len(time), 0, -1)
    survival = np.cumprod(np.where(event, 1.0 - 1.0 / at_risk, 1.0))
    times = np.concatenate([[0.0], time[event]])
    left = np.concatenate([[1.0], survival[event]])
    last = float(left[-1])
    if last > 0.0:
        middle = float(np.median(time[event]))
        late = time > middle
        rate = float((event & late).sum()) / float((time[late] - middle).sum())
        tail = np.linspace(0.0, 1.0, 200)[1:-1]
        times = np.concatenate([times, times[-1] - np.log1p(-tail) / rate, [times[-1] + 8.0 / rate]])
        left = np.concatenate([left, last * (1.0 - tail), [0.0]])
    return times, left


def _waits(jumps: Jumps) -> tuple[Array, Array]:
    """Return the waits that begin with a jump, and whether they ended with one."""
    ahead = np.diff(jumps.record, append=0).astype(np.float64)
    until_end = (jumps.n_records - jumps.record).astype(np.float64)
    return np.where(jumps.followed, ahead, until_end) * jumps.dt_ps, jumps.followed.astype(np.float64)


def _add_rattle(x_A: Array, jumps: Jumps, rattle: Array, pairs: Array) -> None:
    """Add ⟨u(n) u(n + k)⟩ of the positions about the mean of each stay in a cage, jumps cut out."""
    for ion in range(len(x_A)):
        at = jumps.record[jumps.ion == ion]
        cuts = np.concatenate([[-2 * SMOOTH], at, [x_A.shape[1] + SMOOTH]])
        for begin, end in zip(cuts[:-1] + 2 * SMOOTH, cuts[1:] - SMOOTH, strict=True):
            stay = x_A[ion, max(begin, 0) : max(end, 0)]
            if len(stay) < 4 * SMOOTH:
                continue
            u = stay - stay.mean(axis=0)
            count = min(len(rattle), len(u))
            power = np.abs(np.fft.rfft(u, 2 * len(u), axis=0)) ** 2
            rattle[:count] += np.fft.irfft(power, axis=0)[:count]
            pairs[:count, 0] += len(u) - np.arange(count)


def _rattle_taps(covariance: Array) -> Array:
    """Return the filter of a stationary rattling with that covariance, tapered to zero."""
    count = len(covariance)
    taper = 0.5 * (1.0 + np.cos(np.pi * np.arange(count) / count))[:, None]
    points = 1 << (4 * count).bit_length()
    padded = np.zeros((points, 3))
    padded[:count] = covariance * taper
    padded[-count + 1 :] = padded[count - 1 : 0 : -1]
    spectrum = np.fft.rfft(padded, axis=0).real
    floor = 1e-6 * np.maximum(spectrum.max(axis=0), 1e-12)
    return minimum_phase(np.maximum(spectrum, floor), count)


def sources(train: Windows, hop_A: float = HOP_A, only: tuple[str, ...] = BASELINES) -> tuple[list[Any], list[str]]:
    """Return the baselines that draw series, and sentences for those that cannot be made.

    Parameters
    ----------
    train : windows of the training data.
    hop_A : distance of sites.
    only : names out of `BASELINES`.
    """
    made, missing = [], []
    for name, make in (
        ("gaussian", fit_gaussian),
        ("bootstrap", window_bootstrap),
        ("ctrw", lambda w: jump_walk(w, hop_A)),
        ("shot", fit_shot),
    ):
        if name not in only:
            continue
        try:
            made.append(make(train))
        except PhysicsError as error:
            missing.append(str(error))
    return made, missing
