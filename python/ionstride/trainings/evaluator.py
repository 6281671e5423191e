"""A process of its own that asks a frozen model: energies, forces and virials of frames, time of an evaluation.

``python -m ionstride.trainings.evaluator JOB.json`` writes what it finds beside the job.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

TIMED_S = 1.0
REPEATS = 3
AT_ONCE = 16
"""Frames evaluated together; DeePMD would choose by the memory there is."""


def main(job: Path) -> None:
    """Do one job: ``model``, ``frames`` (npz file → its name in the answer), ``time`` (npz file or ''), ``out``."""
    asked: dict[str, Any] = json.loads(job.read_text())
    from deepmd.infer import DeepPot

    pot: Any = DeepPot(asked["model"])
    names = list(pot.get_type_map())
    answer: dict[str, Any] = {}
    for name, file in asked["frames"].items():
        with np.load(file, allow_pickle=False) as frames:
            position, cell, symbols = frames["positions_A"], frames["cell_A"], frames["symbols"]
        types = np.array([names.index(str(s)) for s in symbols])
        energy, force, virial = [], [], []
        for first in range(0, len(position), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            e, f, v = pot.eval(position[part].reshape(-1, 3 * len(types)), cell[part].reshape(-1, 9), types)[:3]
            energy.append(np.asarray(e).reshape(-1))
            force.append(np.asarray(f).reshape(-1, len(types), 3))
            virial.append(np.asarray(v).reshape(-1, 3, 3))
        answer[f"{name}_energy"] = np.concatenate(energy)
        answer[f"{name}_force"] = np.concatenate(force)
        answer[f"{name}_virial"] = np.concatenate(virial)
    if asked["time"]:
        answer["evaluation_s"] = np.array(_evaluation_s(pot, names, Path(asked["time"])))
    if asked["checkpoint"]:
        answer["weights"] = np.array(_weights(asked["checkpoint"]))
    out = Path(asked["out"])
    part_file = out.with_name(f"part-{out.name}")
    with part_file.open("wb") as stream:
        np.savez(stream, **answer)
    part_file.replace(out)


def _evaluation_s(pot: Any, names: list[str], file: Path) -> float:
    """Return the processor time of one evaluation of one frame: the best of some rounds, for others may disturb."""
    with np.load(file, allow_pickle=False) as frames:
        position, cell, symbols = frames["positions_A"], frames["cell_A"], frames["symbols"]
    types = np.array([names.index(str(s)) for s in symbols])
    coord, box = position[:1].reshape(1, -1), cell[:1].reshape(1, 9)
    for _ in range(3):  # the first ones build what later ones use
        pot.eval(coord, box, types)
    best = float("inf")
    for _ in range(REPEATS):
        begun, count = time.process_time(), 0
        while time.process_time() - begun < TIMED_S / REPEATS or count < 3:
            pot.eval(coord, box, types)
            count += 1
        best = min(best, (time.process_time() - begun) / count)
    return best


def _weights(checkpoint: str) -> int:
    """Return how many numbers were trained, those that the optimiser keeps moments of; 0 where it cannot be told."""
    if not Path(f"{checkpoint}.index").is_file():
        return 0
    import tensorflow as tf

    shapes = tf.train.load_checkpoint(checkpoint).get_variable_to_shape_map()
    return sum(int(np.prod(shape)) for name, shape in shapes.items() if f"{name}/Adam" in shapes)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(Path(sys.argv[1]))
