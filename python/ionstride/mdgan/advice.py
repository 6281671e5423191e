"""What the data can teach a model of windows, before any training: cancellation, memory, stride and window."""

from dataclasses import replace
from typing import Any

import numpy as np

from .. import _kernels
from ..checks import Array
from ..errors import InputError, PhysicsError
from ..records import Displacements
from .baselines import straight_line
from .detect import HOP_A, detect_jumps
from .quality import diffusivity, nulls
from .windows import LENGTH, check_moving, frame_ps_of, increment_covariance, msd_of_windows, windows

STRIDES = (1, 2, 5, 10, 20, 50, 100)
CANCELLATION = 5.0  # A above which a small error of the short motion becomes a large one of D
_RESAMPLES = 200
_PLATEAU = 0.10  # by which D_K of the second half of a window may differ from what comes later
_PART_OFF = 0.25  # of the second half of a window that may lie off its mean, by more than the error
_SURE = 0.25  # the same, error included, for a plateau to be called seen
_FEW_WINDOWS = 200
_LARGE_ERROR = 0.15
_FEWEST_JUMPS = 30


def inspect(
    train: Displacements,
    *,
    length: int = LENGTH,
    strides: tuple[int, ...] = (),
    hop_A: float = HOP_A,
    seed: int = 1,
) -> dict[str, Any]:
    r"""Return what windows of some strides can know of the data, and the stride and window to take.

    With :math:`C(k) = \langle d(n) \cdot d(n+k) \rangle` of the increments at a stride,

    .. math:: D_K = \frac{1}{6\,dt} \left[ C(0) + 2 \sum_{k \le K} C(k) \right], \quad A = \frac{C(0)}{6 D\,dt}

    A relative error e of the motion within a record becomes A·e in D.  D_K must have reached its plateau by K = L/2:
    what comes after is motion that a window cannot see.

    Parameters
    ----------
    train : the paths.
    length : records of a window wanted.
    strides : those looked at, in frames; 1, 2, 5, 10 … if none are given.
    hop_A : distance of sites, for jumps.
    seed : of the resampling.

    Returns
    -------
    dict with `strides` (a row each), `recommended` (stride, length; None if nothing will do), `reasons`, `cannot`
    (what these data cannot teach), `figure` (D_K curves).

    Raises
    ------
    InputError
        If the data are too short for any window, times are uneven, or an ion does not move.
    """
    frame_ps = frame_ps_of(train)
    check_moving(train)
    frames = train.r_A.shape[1]
    possible = tuple(s for s in (strides or STRIDES) if 2 * length * s < frames)
    if not possible:
        least = min(strides or STRIDES)
        raise InputError(
            f"the trajectory has {frames} frames; windows of {length} records at stride {least} need more than "
            f"{2 * length * least} to be judged: take a shorter --window or a longer trajectory"
        )
    fit = diffusivity(train)
    try:
        line = straight_line(train)
        D_A2_ps, relative, start_ps = float(line.slope_A2_ps[3]) / 6.0, line.relative_stderr, line.start_ps
    except PhysicsError:
        D_A2_ps, relative, start_ps = 0.0, float("inf"), 0.0
    start = min(max(round(start_ps / frame_ps), 1), frames // 8)
    later = (start, min(4 * start, frames // 2))
    rows = [_row(train, length, stride, D_A2_ps=D_A2_ps, later=later, seed=seed) for stride in possible]
    cannot = _cannot(train, fit, relative, hop_A, rows[0]["dt_ps"])
    stops = fit is None or fit["verdict"] == "not-diffusing" or D_A2_ps <= 0.0
    chosen, reasons = (None, []) if stops else _choose(rows, length)
    if chosen is None and not stops:
        reasons.append(_no_plateau(rows, length, frames, frame_ps))
    found: dict[str, Any] = nulls({
        "train": {
            "n_ions": len(train.species), "n_runs": train.n_runs, "species": train.species[0],
            "temperature_K": train.temperature_K, "frame_ps": frame_ps, "run_ps": frame_ps * (frames - 1),
            "drift": train.drift,
        },
        "D": fit,
        "D_relative_error": relative,
        "D_A2_ps": D_A2_ps,
        "length": length,
        "strides": rows,
        "recommended": None if chosen is None else {"stride": chosen["stride"], "length": length,
                                                    "dt_ps": chosen["dt_ps"], "window_ps": chosen["window_ps"]},
        "reasons": reasons,
        "cannot": cannot,
    })  # fmt: skip
    return found


def _row(
    train: Displacements, length: int, stride: int, *, D_A2_ps: float, later: tuple[int, int], seed: int
) -> dict[str, Any]:
    """Return A, the D_K curve with its errors and the plateau test of one stride.

    The plateau: D_K over the second half of a window against the slope of the MSD between two later lags (in frames).
    """
    rng = np.random.default_rng(seed)
    cut = windows(train, length, stride)
    dt_ps, half = cut.dt_ps, length // 2
    whole = msd_of_windows(cut, length)
    curve = _plateau_curve(whole, dt_ps)
    units = _units(train)
    parts = np.array([_msd_of(train, unit, length, stride) for unit in units])
    weight = rng.multinomial(len(units), np.full(len(units), 1.0 / len(units)), size=_RESAMPLES) / len(units)
    many = np.array([_plateau_curve(msd, dt_ps) for msd in np.tensordot(weight, parts, axes=([1], [0]))])
    error = many.std(axis=0)
    far = np.array([_slope(train, unit, later) for unit in units])
    long = float(far.mean())
    with np.errstate(all="ignore"):
        excess = float(np.float64(curve[half:].mean()) / np.float64(long)) - 1.0
        excess_error = float(np.std(many[:, half:].mean(axis=1) / (weight @ far)))
        covariance = increment_covariance(whole).sum(axis=1)
        cancellation = float(np.float64(covariance[0]) / np.float64(6.0 * D_A2_ps * dt_ps))
    level = float(curve[half:].mean())
    box = np.ones(max(1, length // 16)) / max(1, length // 16)  # neighbours share their noise
    smooth = np.convolve(np.pad(curve, len(box) // 2, mode="edge"), box, mode="valid")[:length]
    off = np.abs(smooth - level) > np.maximum(_PLATEAU * level, 2.0 * error)
    settled = np.flatnonzero(off)
    flat = float(off[half:].mean()) < _PART_OFF
    return {
        "stride": stride,
        "dt_ps": dt_ps,
        "window_ps": dt_ps * length,
        "cancellation": cancellation,
        "lag_ps": (dt_ps * np.arange(1, length + 1)).tolist(),
        "D_K_A2_ps": curve.tolist(),
        "D_K_error_A2_ps": error.tolist(),
        "memory_ps": dt_ps * float(settled[-1] + 2) if len(settled) else dt_ps,
        "excess": excess,
        "excess_error": excess_error,
        "plateau": bool(abs(excess) < _PLATEAU + 2.0 * excess_error and flat),
        "plateau_sure": bool(abs(excess) + excess_error < _SURE and flat),
        "covariance_A2": covariance.tolist(),
        "windows_overlapping": cut.n_overlapping,
        "windows_independent": cut.n_independent,
    }


def _slope(train: Displacements, ions: Any, later: tuple[int, int]) -> float:
    """Return a sixth of the slope of some ions' MSD between two lags in frames."""
    r_A = np.ascontiguousarray(train.r_A[ions])
    tensor, _ = _kernels.displacement_moments(r_A, np.array(later, dtype=np.int64))
    msd = tensor[..., :3].sum(axis=-1).mean(axis=0)
    return float(msd[1] - msd[0]) / (6.0 * (later[1] - later[0]) * frame_ps_of(train))


def _plateau_curve(msd_A2: Array, dt_ps: float) -> Array:
    """Return D_K at K = 0 … L − 1 from the MSD at 0 … L records: (MSD(K + 1) − MSD(K)) / 6 dt."""
    return np.asarray(np.diff(msd_A2.sum(axis=1)) / (6.0 * dt_ps))


def _units(train: Displacements) -> list[Any]:
    """Return what is resampled: runs where there are eight, else ions."""
    if train.n_runs >= 8:
        return [np.flatnonzero(train.run == number) for number in np.unique(train.run)]
    return [np.array([ion]) for ion in range(len(train.species))]


def _msd_of(train: Displacements, ions: Any, length: int, stride: int) -> Array:
    part = replace(
        train,
        r_A=train.r_A[ions],
        run=train.run[ions],
        species=tuple(train.species[i] for i in ions),
        charge_e=train.charge_e[ions],
    )
    return msd_of_windows(windows(part, length, stride), length)


def _choose(rows: list[dict[str, Any]], length: int) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the stride to take, and why: a plateau that is seen goes before little cancellation."""
    flat = [row for row in rows if row["plateau"]]
    if not flat:
        return None, []
    sure = [row for row in flat if row["plateau_sure"]]
    # The second half of a short window may lie within the error of later lags before D_K has settled: how long that
    # takes, all windows with a plateau tell together.
    memory_ps = float(np.median([row["memory_ps"] for row in sure or flat]))
    able = [row for row in sure or flat if row["window_ps"] >= 2.0 * memory_ps] or sure or flat
    good = [row for row in able if row["cancellation"] <= CANCELLATION]
    # where no plateau is sure, the longest window risks least
    best = (good[0] if sure else good[-1]) if good else None
    row = best or min(able, key=lambda r: r["cancellation"])
    reasons = [
        f"at stride {row['stride']} ({row['dt_ps']:.3g} ps a record) the cancellation A is {row['cancellation']:.2g}: "
        f"an error of 1 % in the motion within a record makes {row['cancellation']:.2g} % in D",
        f"a window of {length} records is {row['window_ps']:.3g} ps, and D_K settles within {row['memory_ps']:.3g} ps; "
        f"over the second half of the window it is {100 * row['excess']:+.0f} ± {100 * row['excess_error']:.0f} % off "
        "the slope of later lags",
    ]
    if not good:
        reasons.append(
            f"A is above {CANCELLATION:g} wherever the plateau is reached: D will be uncertain even where the short "
            "motion looks right"
        )
    if not row["plateau_sure"]:
        reasons.append("the plateau is within the error of the data, no more: longer or more runs would tell")
    if row["windows_independent"] < _FEW_WINDOWS:
        reasons.append(
            f"the data hold {row['windows_independent']} windows that do not overlap ({row['windows_overlapping']} "
            "that do): the statistics are those of the smaller number"
        )
    return row, reasons


def _no_plateau(rows: list[dict[str, Any]], length: int, frames: int, frame_ps: float) -> str:
    last = rows[-1]
    return (
        f"at no stride up to {last['stride']} does D_K reach a plateau within half a window: in windows of "
        f"{last['window_ps']:.3g} ps it is {100 * last['excess']:+.0f} ± {100 * last['excess_error']:.0f} % off the "
        f"slope of later lags.  No model of windows of {length} records can know D from runs of "
        f"{frame_ps * (frames - 1):.3g} ps: longer runs are needed"
    )


def _cannot(train: Displacements, fit: dict[str, Any] | None, relative: float, hop_A: float, dt_ps: float) -> list[str]:
    """Return what these data cannot teach any model, a sentence each."""
    said: list[str] = []
    if fit is None or fit["verdict"] == "not-diffusing":
        said.append(
            "D: the ions do not diffuse within these runs (the MSD does not rise by its own error), and no model can "
            "learn a motion that is not in the data."
        )
        return said
    if fit["verdict"] == "bound":
        said.append("D: the data give a bound only; a model trained on them has no better knowledge.")
    if relative > _LARGE_ERROR:
        said.append(
            f"D to better than {100 * relative:.0f} %: that is the standard error the data leave to the slope of the "
            "MSD, and generating more does not lower it."
        )
    x_A = train.r_A[:, :: max(1, round(dt_ps / frame_ps_of(train)))]
    count = len(detect_jumps(x_A, dt_ps, hop_A).ion)
    if count < _FEWEST_JUMPS:
        said.append(
            f"How ions jump: {count} jumps longer than {0.5 * hop_A:g} Å were seen, wanted {_FEWEST_JUMPS} or more."
        )
    if train.drift == "none":
        said.append(
            "Whether the crystal drifted: no drift was removed (the files hold ions alone, or none was asked for); a "
            "drift would be learnt as motion of the ions."
        )
    said.append(
        "Motion slower than a window: how ions differ from one another for good, or correlations longer than the "
        "memory of the model."
    )
    said.append("Collective motion (Haven ratio, charge diffusion): ions generated one by one are independent.")
    return said
