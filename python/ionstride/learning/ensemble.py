"""An ensemble of potentials: the same frames, other first weights and other batches; trained side by side."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..errors import IonstrideError
from ..potential import BACKENDS, Trained, predict, train_potential
from ..records import LabelledFrames
from ..settings import PotentialSettings

SEED_APART = 7907
"""Between the seeds of two models, so that no two studies of neighbouring seeds share one."""


def train_ensemble(
    frames: LabelledFrames,
    held_out: npt.NDArray[np.bool_],
    settings: PotentialSettings,
    place: Path,
    *,
    type_map: tuple[str, ...],
    seed: int,
    cores: int,
    threads: int,
    steps: int,
    starts: list[Path | None],
    sel: list[int],
    progress: Callable[[int, int, str], None],
) -> list[Trained]:
    """Train one model for each of `starts`, as many at once as there are cores.

    Small cells do not gain from a second thread, so cores go to models first.

    Parameters
    ----------
    frames : F labelled frames.
    held_out : (F) frames that no model is trained on.
    settings : the study's ``[potential]``.
    place : folder of the round; model k is trained in ``model_k``.
    type_map : element names in the model's order.
    seed : of model 0; the others' follow from it.
    cores : cores to use.
    threads : of each training at most; 0 = its share of the cores.
    steps : training steps of each model.
    starts : checkpoint that each model goes on from; None begins with new weights.
    sel : room for neighbours.
    progress : called with (steps done by all, steps of all, line of news).

    Raises
    ------
    ToolError
        If DeePMD fails; the other trainings are then ended.
    """
    cancel = Event()
    at_once = max(1, min(cores, len(starts)))
    done: dict[int, tuple[int, int, str]] = {}

    def tell(number: int, step: int, of: int, text: str) -> None:
        if cancel.is_set():
            raise IonstrideError("cancelled")
        done[number] = (step, of, text)
        state = dict(done)
        progress(sum(s for s, _, _ in state.values()), of * len(starts), state.get(0, (0, 0, text))[2])

    def one(number: int) -> Trained:
        if cancel.is_set():
            raise IonstrideError("cancelled")
        return train_potential(
            frames,
            settings,
            place / f"model_{number}",
            type_map=type_map,
            seed=seed + SEED_APART * number,
            threads=threads or max(1, cores // at_once),
            steps=steps,
            start_from=starts[number],
            sel=sel,
            held_out=held_out,
            progress=partial(tell, number),
        )

    return _side_by_side(at_once, len(starts), one, cancel)


def predict_ensemble(
    models: list[Trained],
    frames: LabelledFrames,
    place: Path,
    *,
    type_map: tuple[str, ...],
    backend: str,
    cores: int,
) -> Array:
    """Return the forces of all models on F frames, (M, F, N, 3)."""

    def one(number: int) -> Array:
        _, force = predict(
            models[number].model,
            frames,
            type_map=type_map,
            flag=BACKENDS[backend][0],
            threads=1,
            log=place / f"predict_{number}.log",
        )
        return force

    return np.array(_side_by_side(max(1, min(cores, len(models))), len(models), one, Event()))


def _side_by_side(at_once: int, count: int, one: Callable[[int], Any], cancel: Event) -> list[Any]:
    """Return ``one(0)`` … ``one(count - 1)``; the first error ends all."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        futures = [pool.submit(one, number) for number in range(count)]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            cancel.set()
            for future in futures:
                future.cancel()
            raise
    return [future.result() for future in futures]
