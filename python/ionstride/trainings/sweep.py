"""A grid of potential settings: error, cost and time of each, and which cannot be told from the best."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, IonstrideError
from ..potential import room_for_neighbours
from ..potential.train import ROOM_MARGIN
from ..runrecord import read_json, write_json
from ..settings import PotentialSettings
from .draws import HeldOut
from .jobs import Progress, Training, evaluate, run_trainings, type_map_of

SPEED = "speed.json"
Choice = tuple[dict[str, str], PotentialSettings]


def sweep(
    parts: HeldOut,
    choices: Sequence[Choice],
    seeds: int,
    first_seed: int,
    folder: Path,
    *,
    cores: int,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train every choice with several seeds on the same frames, test and time it.

    Parameters
    ----------
    parts : frames to test on and frames to train on.
    choices : of `grid_settings`.
    seeds, first_seed : trainings a choice, and the seed of the first.
    folder : trainings are kept in its ``trainings/``.
    cores, progress, say : as for `run_trainings`.

    Returns
    -------
    A dictionary fit for JSON: ``choices``, by force error, each with its ``seeds``; ``verdict``, in words.

    Raises
    ------
    InputError
        If there are no seeds.
    """
    if seeds < 1:
        raise InputError(f"--seeds {seeds}, wanted one or more")
    type_map = type_map_of(parts.pool)
    room = [room_for_neighbours([parts.pool], type_map, settings, ROOM_MARGIN) for _, settings in choices]
    jobs = [
        Training(parts.pool, settings, first_seed + 1000 * k, room[number], f"{label(words)}, seed {k + 1}")
        for k in range(seeds)
        for number, (words, settings) in enumerate(choices)
    ]
    done = run_trainings(jobs, parts.test, folder / "trainings", cores=cores, progress=progress, say=say)
    rows = []
    for number, (words, settings) in enumerate(choices):
        mine = done[number :: len(choices)]
        rows.append(
            {
                "settings": words,
                "label": label(words),
                "descriptor": settings.descriptor,
                "room": room[number],
                "seeds": mine,
                **_summed(mine),
                **_speed(mine[0], parts),
            }
        )
    rows.sort(key=lambda row: float(row["force_test"]["mean"]))
    verdict = compare_settings([[one["test"]["force_rmse_meV_A"] for one in row["seeds"]] for row in rows])
    for row, told in zip(rows, verdict["told"], strict=True):
        row["told_from_best"] = told
    for number in pareto([(row["evaluation_s"], row["force_test"]["mean"]) for row in rows]):
        rows[number]["pareto"] = True
    return {
        "choices": rows,
        "verdict": {k: v for k, v in verdict.items() if k != "told"},
        "n_test": len(parts.test),
        "n_pool": len(parts.pool),
        "n_left_out": parts.left_out,
        "rule": parts.rule,
        "n_seeds": seeds,
        "n_atoms": len(parts.pool.symbols),
        "trainings_at_once": min(cores, len(jobs)),
    }


def label(words: dict[str, str]) -> str:
    """Return a choice as a short text, ``descriptor=se_e2_a neuron=[8,16]``."""
    return " ".join(f"{key}={value}" for key, value in words.items())


def _summed(mine: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return mean and spread over the seeds of errors and training time."""
    found: dict[str, Any] = {}
    for name, column in (
        ("force", "force_rmse_meV_A"),
        ("energy", "energy_rmse_meV_atom"),
        ("virial", "virial_rmse_meV_atom"),
    ):
        for part in ("test", "train"):
            values = [one[part][column] for one in mine if column in one[part]]
            if values:
                spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
                found[f"{name}_{part}"] = {"mean": float(np.mean(values)), "std": spread}
    found["train_s"] = float(np.mean([one["train_s"] for one in mine]))
    return found


def _speed(one: dict[str, Any], parts: HeldOut) -> dict[str, Any]:
    """Return the time of an evaluation and the number of weights, measured once: one model after another."""
    place = Path(one["folder"])
    known = read_json(place / SPEED)
    if not known or known.get("key") != one["key"]:
        try:
            answer = evaluate(
                place / one["model"], {}, place, 1, timed=parts.test, checkpoint=place / one["checkpoint"]
            )
        except IonstrideError:
            return {"evaluation_s": None, "atom_evaluations_per_s": None, "weights": None}
        seconds = float(answer["evaluation_s"])
        known = {
            "key": one["key"],
            "evaluation_s": seconds,
            "atom_evaluations_per_s": len(parts.test.symbols) / seconds,
            "weights": int(answer.get("weights", np.array(0))) or None,
        }
        write_json(place / SPEED, known)
    return {k: known[k] for k in ("evaluation_s", "atom_evaluations_per_s", "weights")}


def compare_settings(errors: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Tell which choices differ from the best by more than their seeds scatter.

    The scatter of ln(error) between seeds is pooled over all choices; a choice is told from the best if their means
    differ by more than Student's t at 95 % for all comparisons together (Bonferroni) allows.

    Parameters
    ----------
    errors : of each choice those of its seeds, the best choice first.

    Returns
    -------
    ``told`` (True, False or None where one seed tells nothing; None for the best), ``factor``, the ratio of errors
    that can be told, ``words``.
    """
    logs = [np.log(np.asarray(one, dtype=np.float64)) for one in errors]
    dof = sum(len(one) - 1 for one in logs)
    if dof < 1 or len(logs) < 2:
        words = "one seed a choice: no difference can be told from the scatter of seeds; give --seeds 2 or more"
        if len(logs) < 2:
            words = "one choice: there is nothing to compare"
        return {"told": [None] * len(logs), "factor": None, "scatter": None, "words": words}
    from scipy.stats import t

    scatter = math.sqrt(sum(float(((one - one.mean()) ** 2).sum()) for one in logs) / dof)
    quantile = float(t.ppf(1.0 - 0.025 / (len(logs) - 1), dof))
    best = logs[0]
    told: list[bool | None] = [None]
    for one in logs[1:]:
        allowed = quantile * scatter * math.sqrt(1.0 / len(one) + 1.0 / len(best))
        told.append(bool(one.mean() - best.mean() > allowed))
    factor = math.exp(quantile * scatter * math.sqrt(2.0 / len(best)))
    alike = told.count(False)
    words = (
        f"{alike} of the {len(told) - 1} other choice(s) cannot be told from the best by {len(best)} seeds: force "
        f"errors must differ by {100 * (factor - 1):.1f} % for that (seeds scatter by {100 * scatter:.1f} %)"
    )
    return {"told": told, "factor": factor, "scatter": scatter, "words": words}


def pareto(points: Sequence[tuple[float | None, float]]) -> list[int]:
    """Return which of (cost, error) are on the front: no other is both cheaper and better."""
    found = []
    for number, (cost, error) in enumerate(points):
        if cost is None:
            continue
        beaten = any(
            other is not None and other <= cost and wrong <= error and (other, wrong) != (cost, error)
            for other, wrong in points
        )
        if not beaten:
            found.append(number)
    return found
