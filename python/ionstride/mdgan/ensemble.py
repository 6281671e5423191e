"""Several trainings: D as a distribution that holds what the training data and the seed leave open."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..errors import InputError
from ..records import Displacements
from ..runrecord import write_json
from ..ui import Screen
from .rollout import batches
from .settings import TrainSettings

_FEW_RUNS = 5
_IONS, _WINDOWS = 512, 20
_A2_PS_TO_CM2_S = 1e-4


def resampled(data: Displacements, rng: np.random.Generator) -> tuple[Displacements, str]:
    """Return paths drawn from the data with replacement, and in words what was drawn.

    Whole runs are drawn where there are at least five: what ions of a run have in common is then counted.
    With fewer runs their ions are drawn, and that common part is missing from the scatter.
    """
    numbers = np.unique(data.run)
    if len(numbers) >= _FEW_RUNS:
        picked = rng.choice(numbers, len(numbers))
        rows = [np.flatnonzero(data.run == number) for number in picked]
        run = np.concatenate([np.full(len(row), place) for place, row in enumerate(rows)])
        return _take(data, np.concatenate(rows), run), f"{len(numbers)} whole runs"
    rows = [rng.choice(np.flatnonzero(data.run == number), int((data.run == number).sum())) for number in numbers]
    index = np.concatenate(rows)
    return _take(data, index, data.run[index]), f"ions within each of {len(numbers)} run(s)"


def _take(data: Displacements, index: npt.NDArray[np.int64], run: npt.NDArray[np.int64]) -> Displacements:
    return replace(
        data,
        r_A=data.r_A[index],
        run=run,
        species=tuple(data.species[i] for i in index),
        charge_e=data.charge_e[index],
    )


def train_ensemble(
    data: Displacements,
    settings: TrainSettings,
    out: Path,
    members: int,
    *,
    resample: bool = True,
    screen: Screen | None = None,
    restart: bool = False,
) -> dict[str, Any]:
    """Train several models and return D as a distribution; everything is left in `out`, the sum in ensemble.json.

    Parameters
    ----------
    data : paths of the mobile ions.
    settings : of the first member; the others differ in the seed.
    out : folder; a member's is ``member_0``, ``member_1`` …
    members : how many, 2 or more.
    resample : draw the data of each member anew (what the data leave open and the scatter of seeds together); or give
        all the same data (seeds alone).
    screen, restart : as for `train`.

    Raises
    ------
    InputError
        If fewer than two members are asked for, or ions made together are to be drawn one by one.
    """
    from .trainer import train

    if members < 2:
        raise InputError(f"--members {members}, wanted 2 or more: one training has no scatter")
    if resample and settings.ions_together > 1 and data.n_runs < _FEW_RUNS:
        raise InputError(
            f"ions generated together need whole runs to be drawn, at least {_FEW_RUNS} of them, got {data.n_runs}; "
            "take --no-resample, or more runs"
        )
    if resample and settings.validation == "run" and data.n_runs >= _FEW_RUNS:
        raise InputError(
            "runs drawn anew for each member may be drawn twice, trained on and held out; hold out the last part of "
            "each run (--validation time), or take --no-resample"
        )
    screen = screen or Screen()
    rows, words = [], "the same data for all"
    for number in range(members):
        part = data
        if resample:
            part, words = resampled(data, np.random.default_rng([settings.seed, number, 3]))
        folder = out / f"member_{number}"
        screen.heading("member", f"{number + 1} of {members}, seed {settings.seed + number}; drawn: {words}")
        model = train(part, replace(settings, seed=settings.seed + number), folder, screen=screen, restart=restart)
        rows.append(_diffusivity(model, settings.seed + number))
    d_cm2_s = np.array(rows) * _A2_PS_TO_CM2_S
    found = {
        "members": members,
        "drawn": words,
        "resampled": resample,
        "D_cm2_s": _interval(d_cm2_s.mean(axis=1)),
        "D_axis_cm2_s": [_interval(d_cm2_s[:, axis]) for axis in range(3)],
        "D_members_cm2_s": d_cm2_s.mean(axis=1).tolist(),
        "holds": "what the training data and the seed leave open" if resample else "the scatter of seeds alone",
    }
    write_json(out / "ensemble.json", found)
    return found


def _diffusivity(model: Any, seed: int) -> Array:
    """Return D per axis in Å²/ps from the straight part of generated series: four windows and on."""
    window = model.about["settings"]["window"]
    near, far = 4 * window, _WINDOWS * window
    total, count = np.zeros(3), 0
    for r_A in batches(model, _IONS * model.ions_together, far, np.random.default_rng(seed)):
        total += (r_A[:, far] ** 2 - r_A[:, near] ** 2).sum(axis=0)
        count += len(r_A)
    return np.asarray(total / count / (2.0 * (far - near) * model.dt_ps))


def _interval(values: Array) -> dict[str, float]:
    """Return mean and 95 % range of what one more member would give (Student's t, spread of the members).

    The interval is that of one draw, not of the mean over draws: drawing more often tells nothing more about the data.
    It is taken of ln D, which is never negative, where all members diffuse.
    """
    from scipy.stats import t

    positive = bool((values > 0.0).all())
    x = np.log(values) if positive else values
    # the mean of a few members scatters too
    spread = float(x.std(ddof=1) * np.sqrt(1.0 + 1.0 / len(x)) * t.ppf(0.975, len(x) - 1))
    mean = float(x.mean())
    found = np.array([mean, mean - spread, mean + spread])
    value, low, high = (float(v) for v in (np.exp(found) if positive else found))
    return {"value": value, "low": low, "high": high}
