"""What an ensemble of potentials says of frames."""

from functools import partial
from pathlib import Path

import numpy as np

from ..checks import Array
from ..potential import BACKENDS, Trained, predict
from ..records import LabelledFrames
from ..together import GoOn, side_by_side


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

    def one(number: int, _go_on: GoOn) -> Array:
        _, force = predict(
            models[number].model,
            frames,
            type_map=type_map,
            flag=BACKENDS[backend][0],
            threads=1,
            log=place / f"predict_{number}.log",
        )
        return force

    return np.array(side_by_side([partial(one, number) for number in range(len(models))], cores))
