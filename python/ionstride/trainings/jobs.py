"""Many trainings through one loop: each core has one, what is finished is kept by its key, what was begun goes on."""

import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import potential
from ..checks import Array
from ..errors import InputError
from ..potential import Room
from ..potential.train import frames_key, read_lcurve
from ..process import environment, run_program
from ..records import LabelledFrames
from ..runrecord import key_of, read_json, write_json
from ..settings import PotentialSettings, as_dict
from ..together import GoOn, side_by_side

DONE = "done.json"
TRAINING_FRAMES_TESTED = 200
CURVE_POINTS = 200
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Training:
    """One training to make.

    Attributes
    ----------
    frames : frames given to it; a part (``valid_fraction``) it holds out itself, to watch its own error.
    settings : the study's ``[potential]``.
    seed : of that part, of the weights and of the batches.
    room : for neighbours.
    name : for people.
    """

    frames: LabelledFrames
    settings: PotentialSettings
    seed: int
    room: Room
    name: str

    def key(self, test: LabelledFrames) -> str:
        """Return what the outcome depends on, hashed."""
        return key_of([as_dict(self.settings), frames_key(self.frames), frames_key(test), self.seed, self.room])


def type_map_of(frames: LabelledFrames) -> tuple[str, ...]:
    """Return the elements in the order of their first atoms."""
    return tuple(dict.fromkeys(frames.symbols))


def run_trainings(
    jobs: Sequence[Training],
    test: LabelledFrames,
    folder: Path,
    *,
    cores: int,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Make all trainings, a core each, and test them on the same frames.

    A finished one is known by the key of all it was made from and is not made again; one that was killed goes on from
    its last checkpoint.

    Parameters
    ----------
    jobs : the trainings.
    test : frames none of them has seen.
    folder : one folder a training is made in it, named by the key.
    cores : trainings at once.
    progress : called with (steps made, steps in all, news), from any thread.
    say : called with a line for each training that is done.

    Returns
    -------
    One dictionary a training, in their order: ``key``, ``folder``, ``model``, ``checkpoint``, ``train_s``, ``n_train``,
    ``test`` and ``train`` (errors), ``lcurve``.

    Raises
    ------
    InputError
        If two trainings are the same.
    ToolError
        If DeePMD fails; the others are stopped.
    """
    keys = [job.key(test) for job in jobs]
    if len(set(keys)) < len(keys):
        raise InputError("two of the trainings are the same; give other sizes, draws or settings")
    for net in {(job.settings.backend, job.settings.descriptor) for job in jobs}:
        potential.check_backend(*net)
    board = _Board([job.settings.steps for job in jobs], progress)
    at_once = max(1, min(cores, len(jobs)))

    def one(number: int, go_on: GoOn) -> dict[str, Any]:
        def tell(step: int, _of: int, _text: str) -> None:
            go_on()
            board.tell(number, step)

        place = folder / keys[number][:16]
        found = read_json(place / DONE)
        if found and found.get("key") == keys[number]:
            board.finished(number)
            return {**found, "folder": str(place)}
        found = {"key": keys[number], **_make(jobs[number], test, place, max(1, cores // at_once), tell)}
        write_json(place / DONE, found)
        shutil.rmtree(place / "train" / "data", ignore_errors=True)  # the frames are kept where they came from
        board.finished(number)
        if say is not None:
            error = found["test"]
            say(
                f"           {jobs[number].name}: force {error['force_rmse_meV_A']:.1f} meV/Å, energy "
                f"{error['energy_rmse_meV_atom']:.2f} meV/atom on the tested frames, {found['train_s']:.0f} s"
            )
        return {**found, "folder": str(place)}

    return side_by_side([partial(one, number) for number in range(len(jobs))], at_once)


class _Board:
    """Where all trainings tell how far they are."""

    def __init__(self, steps: list[int], progress: Progress | None) -> None:
        self._steps = steps
        self._made = [0] * len(steps)
        self._finished = 0
        self._progress = progress
        self._lock = threading.Lock()

    def tell(self, number: int, step: int) -> None:
        """Take down the step of a training."""
        with self._lock:
            self._made[number] = min(step, self._steps[number])
            self._show()

    def finished(self, number: int) -> None:
        """Take down that a training is done."""
        with self._lock:
            self._made[number] = self._steps[number]
            self._finished += 1
            self._show()

    def _show(self) -> None:
        if self._progress is not None:
            text = f"{self._finished} of {len(self._steps)} finished"
            self._progress(sum(self._made), sum(self._steps), text)


def _make(
    job: Training, test: LabelledFrames, place: Path, threads: int, tell: Callable[[int, int, str], None]
) -> dict[str, Any]:
    """Train one potential and test it; `tell` hears each step."""
    settings, type_map = job.settings, type_map_of(job.frames)
    place.mkdir(parents=True, exist_ok=True)
    tell(0, settings.steps, "")
    trained = potential.train_potential(
        job.frames, settings, place / "train", type_map=type_map, seed=job.seed, threads=threads, room=job.room,
        progress=tell,
    )  # fmt: skip
    held_out, split = potential.split_frames(job.frames, settings.valid_fraction, job.seed)
    seen = job.frames.take(potential.some_of(~held_out, TRAINING_FRAMES_TESTED))
    answer = evaluate(trained.model, {"test": test, "train": seen}, place, threads)
    lcurve = {k: _thinned(column) for k, column in read_lcurve(place / "train" / "lcurve.out").items()}
    return {
        "name": job.name,
        "seed": job.seed,
        "n_frames": len(job.frames),
        "n_train": int((~held_out).sum()),
        "split": split,
        "steps": settings.steps,
        "train_s": round(trained.wall_s, 2),
        "model": str(trained.model.relative_to(place)),
        "checkpoint": str(trained.checkpoint.relative_to(place)),
        "test": errors_of(test, answer, "test"),
        "train": errors_of(seen, answer, "train"),
        "lcurve": lcurve,
    }


def _thinned(column: Array) -> list[float]:
    """Return a column in at most `CURVE_POINTS` pieces, the median of each, for errors of batches scatter."""
    pieces = np.array_split(column, min(CURVE_POINTS, len(column))) if len(column) else []
    return [float(f"{np.median(piece):.6g}") for piece in pieces]


def evaluate(
    model: Path,
    frames: dict[str, LabelledFrames],
    place: Path,
    threads: int,
    *,
    timed: LabelledFrames | None = None,
    checkpoint: Path | None = None,
) -> dict[str, Array]:
    """Ask a frozen model in a process of its own.

    Parameters
    ----------
    model : any model DeePMD reads.
    frames : name → frames to predict.
    place : folder for what goes to and fro.
    threads : of the back end.
    timed : the first of these frames is evaluated again and again; None for no timing.
    checkpoint : its weights are counted; None if not wanted.

    Returns
    -------
    ``NAME_energy`` (F), ``NAME_force`` (F, N, 3), ``NAME_virial`` (F, 3, 3) in eV and Å; ``evaluation_s``,
    ``weights`` (0 where not known).
    """
    files = {name: _save(some, place / f"ask-{name}.npz") for name, some in frames.items()}
    time_file = str(_save(timed.take(slice(0, 1)), place / "ask-time.npz")) if timed is not None else ""
    out, job = (place / "answer.npz").absolute(), place / "ask.json"
    out.unlink(missing_ok=True)
    asked = {
        "model": str(model.absolute()),
        "frames": {name: str(file) for name, file in files.items()},
        "time": time_file,
        "checkpoint": str(checkpoint.absolute()) if checkpoint is not None else "",
        "out": str(out),
    }
    write_json(job, asked)
    command = [sys.executable, "-m", "ionstride.trainings.evaluator", str(job.absolute())]
    gpus = int(potential.compiled_for(model) == "cuda")
    run_program(command, folder=place, log=(place / "evaluate.log").absolute(), env=environment(threads, gpus))
    with np.load(out, allow_pickle=False) as archive:
        answer = {name: np.asarray(archive[name]) for name in archive.files}
    for path in [*files.values(), out, job, *place.glob("ask-time.npz")]:
        path.unlink(missing_ok=True)
    return answer


def _save(frames: LabelledFrames, path: Path) -> Path:
    np.savez(path, positions_A=frames.positions_A, cell_A=frames.cell_A, symbols=np.array(frames.symbols))
    return path.absolute()


def errors_of(frames: LabelledFrames, answer: dict[str, Array], name: str) -> dict[str, Any]:
    """Return errors of energy, force and, where frames have them, virial, all in meV, Å and per atom."""
    found = potential.errors(frames, answer[f"{name}_energy"], answer[f"{name}_force"])
    found.pop("parity")
    found["n_frames"] = len(frames)
    known = frames.has_virial
    if frames.virial_eV is not None and known.any():
        wrong = 1000 * (answer[f"{name}_virial"][known] - frames.virial_eV[known]) / len(frames.symbols)
        found["virial_rmse_meV_atom"] = float(np.sqrt(np.mean(wrong**2)))
        found["n_virials"] = int(known.sum())
    return found
