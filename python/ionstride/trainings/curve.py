"""The learning curve: error on the same held-out frames against the number of frames trained on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..potential import room_for_neighbours
from ..potential.train import ROOM_MARGIN
from ..records import LabelledFrames
from ..settings import PotentialSettings
from .draws import HeldOut, draw_frames
from .jobs import Progress, Training, run_trainings, type_map_of
from .powerlaw import fit_power_law, frames_needed

QUANTITIES = {
    "force": ("force_rmse_meV_A", "meV/Å"),
    "energy": ("energy_rmse_meV_atom", "meV/atom"),
    "virial": ("virial_rmse_meV_atom", "meV/atom"),
}
SHARED = 0.3
"""Draws that take a larger part of the pool than this share many frames: their scatter is too small."""


@dataclass(frozen=True)
class CurvePlan:
    """What a learning curve is made of.

    Attributes
    ----------
    sizes : numbers of frames.
    draws : independent draws of frames a size.
    seed : of the draws and of the trainings.
    targets : quantity → error to be reached, in its unit.
    """

    sizes: tuple[int, ...]
    draws: int
    seed: int
    targets: dict[str, float]


def planned(plan: CurvePlan, parts: HeldOut, settings: PotentialSettings) -> list[tuple[int, int, Training]]:
    """Return (size, draw, training) of each training, the large ones first: they take longest to test and write.

    Raises
    ------
    InputError
        If a size cannot be drawn or trained.
    """
    sizes = sorted(set(plan.sizes))
    if plan.draws < 1:
        raise InputError(f"--draws {plan.draws}, wanted one or more")
    if len(sizes) < 2:
        raise InputError("--sizes wants two sizes or more, such as 50,100,200,400")
    if sizes[0] < 4:
        raise InputError(f"--sizes begins at {sizes[0]}, wanted at least 4 frames")
    if sizes[-1] > len(parts.pool):
        raise InputError(
            f"--sizes goes to {sizes[-1]}, but {len(parts.pool)} frames are there to train on "
            f"({len(parts.test)} are held out to test on, {parts.left_out} left out between them)"
        )
    type_map = type_map_of(parts.pool)
    room = room_for_neighbours([parts.pool], type_map, settings, ROOM_MARGIN)
    found = []
    for size in reversed(sizes):
        for draw in range(plan.draws):
            rng = np.random.default_rng([plan.seed, size, draw])
            frames = parts.pool.take(draw_frames(parts.pool.group, size, rng))
            seed = plan.seed + 1000 * draw
            found.append((size, draw, Training(frames, settings, seed, room, f"{size} frames, draw {draw + 1}")))
    return found


def learning_curve(
    parts: HeldOut,
    plan: CurvePlan,
    settings: PotentialSettings,
    folder: Path,
    *,
    cores: int,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train on draws of every size, test on the same frames, and fit power laws.

    Parameters
    ----------
    parts : frames to test on and frames to draw from.
    plan : sizes, draws, seed, targets.
    settings : the study's ``[potential]``.
    folder : trainings are kept in its ``trainings/``.
    cores, progress, say : as for `run_trainings`.

    Returns
    -------
    A dictionary fit for JSON: ``rows`` (a training each), ``fits`` (a quantity each, with curve, band, targets).
    """
    jobs = planned(plan, parts, settings)
    done = run_trainings(
        [job for _, _, job in jobs], parts.test, folder / "trainings", cores=cores, progress=progress, say=say
    )
    rows = [
        {"size": size, "draw": draw, **{k: v for k, v in one.items() if k != "lcurve"}}
        for (size, draw, _), one in zip(jobs, done, strict=True)
    ]
    rows.sort(key=lambda row: (row["size"], row["draw"]))
    return {
        "rows": rows,
        "fits": {name: fit for name in QUANTITIES if (fit := fit_of(rows, name, plan)) is not None},
        "by_size": by_size(rows),
        "notes": notes_of(plan, parts, settings),
        "n_test": len(parts.test),
        "n_pool": len(parts.pool),
        "n_left_out": parts.left_out,
        "rule": parts.rule,
        "draws": plan.draws,
        "steps": settings.steps,
        "valid_fraction": settings.valid_fraction,
    }


def by_size(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return mean and standard deviation over the draws of every error, a size each."""
    found = []
    for size in sorted({row["size"] for row in rows}):
        here = [row for row in rows if row["size"] == size]
        table: dict[str, Any] = {"size": size, "draws": len(here), "n_train": here[0]["n_train"]}
        for name, (column, _) in QUANTITIES.items():
            for part in ("test", "train"):
                values = [row[part][column] for row in here if column in row[part]]
                if values:
                    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
                    table[f"{name}_{part}"] = {"mean": float(np.mean(values)), "std": spread}
        table["train_s"] = float(np.mean([row["train_s"] for row in here]))
        found.append(table)
    return found


def fit_of(rows: Sequence[dict[str, Any]], name: str, plan: CurvePlan) -> dict[str, Any] | None:
    """Return the power law of a quantity with its curve and targets; None where the frames do not have it."""
    column, unit = QUANTITIES[name]
    told = [(row["size"], row["test"][column]) for row in rows if column in row["test"]]
    if not told:
        return None
    size, error = (np.array(values, dtype=np.float64) for values in zip(*told, strict=True))
    about: dict[str, Any] = {"column": column, "unit": unit, "size": size.tolist(), "error": error.tolist()}
    target = plan.targets.get(name)
    try:
        law = fit_power_law(size, error, plan.seed)
    except InputError as why:
        return {**about, "why": str(why), "target": None}
    drawn = np.geomspace(law.smallest / 1.2, law.largest * 3.0, 60)
    curve, low, high = law.band(drawn)
    return {
        **about,
        "why": "",
        **{letter: {"value": getattr(law, letter), "ci95": law.interval(k)} for k, letter in enumerate("abc")},
        "scatter": law.scatter,
        "dof": law.dof,
        "falls": law.falls,
        "mean": {"value": law.mean, "ci95": [law.mean_low, law.mean_high]},
        "curve": {"size": drawn.tolist(), "error": curve.tolist(), "low": low.tolist(), "high": high.tolist()},
        "target": {"error": target, **frames_needed(law, target)} if target is not None else None,
    }


def notes_of(plan: CurvePlan, parts: HeldOut, settings: PotentialSettings) -> list[str]:
    """Return what the reader must know to read the curve right."""
    found = [
        f"All trainings have {settings.steps} steps: the floor of the curve is that of this network and these steps, "
        "not of the frames alone; longer training or a larger network may lower it.",
        f"A size counts all frames given to a training; it holds out {100 * settings.valid_fraction:.0f} % of them "
        "itself to watch its own error, and the frames tested on are others, the same for all.",
    ]
    if plan.draws == 1:
        found.append("One draw a size: the scatter is taken from the fit itself; give --draws 3 for a better one.")
    shared = [size for size in sorted(set(plan.sizes)) if size > SHARED * len(parts.pool)]
    if shared and plan.draws > 1:
        found.append(
            f"Draws of {', '.join(map(str, shared))} frames are large parts of the {len(parts.pool)} there are and "
            "share many of them, so that their scatter, and the intervals at those sizes, are too small."
        )
    return found


def check_one_composition(compositions: Sequence[LabelledFrames]) -> LabelledFrames:
    """Return the frames of the one composition there is.

    Raises
    ------
    InputError
        If there are several: their errors would not be comparable.
    """
    if len(compositions) > 1:
        sizes = ", ".join(str(len(frames)) for frames in compositions)
        raise InputError(
            f"the frames are of {len(compositions)} compositions ({sizes} frames); give those of one, such as a "
            "composition's folder of a set"
        )
    return compositions[0]
