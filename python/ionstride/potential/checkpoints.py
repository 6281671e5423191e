"""Checkpoints of a training: which is best on held-out frames, and models made of them."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ..checks import Array
from ..errors import ToolError
from ..process import environment, run_program
from ..records import LabelledFrames
from ..runrecord import read_json
from .dataset import some_of
from .quality import force_rmse, predict
from .tables import broken, clusters, wide_input

TABLE_SHARES = (0.55, 0.4)
"""Shortest distance that angular tables are made for, over that of the frames: tried in this order."""
COMPRESSION_MEV_A = 1.0
"""A change of the forces by compression that is still none."""
COMPARED_FRAMES = 20
"""Frames on which a compressed model is compared with what it was made of."""
Score = Sequence[float]
"""Step and force error on held-out frames, meV/Å."""


@dataclass(frozen=True)
class Dp:
    """How ``dp`` is called in the folder of a training.

    Attributes
    ----------
    command : program and back end.
    flag, suffix : the back end's flag of ``dp`` and the suffix of its frozen models.
    folder : of the training.
    type_map : element names in the model's order.
    threads : of the back end.
    gpus : 0 hides the machine's GPUs from it.
    """

    command: list[str]
    flag: str
    suffix: str
    folder: Path
    type_map: tuple[str, ...]
    threads: int
    gpus: int = 0

    def run(self, arguments: list[str], watch: Callable[[], str] | None = None) -> None:
        """Run it; what it prints goes to train.log."""
        run_program(
            [*self.command, *arguments], folder=self.folder, log=self.folder / "train.log",
            env=environment(self.threads, self.gpus), watch=watch, every_s=1.0,
        )  # fmt: skip

    def make(self, target: Path, arguments: Callable[[str], list[str]]) -> None:
        """Run a command that writes a model to a temporary name, then rename it."""
        part = target.with_name(f"part-{target.name}")
        if part.is_dir():
            shutil.rmtree(part)
        self.run(arguments(part.name))
        if target.is_dir():
            shutil.rmtree(target)
        part.rename(target)


def checkpoint_at(folder: Path, step: int) -> Path:
    """Return the prefix of the checkpoint that a finished segment left at a step.

    Raises
    ------
    ToolError
        If it is not there.
    """
    for suffix, parts in (("", ".index"), (".pt", ".pt"), (".jax", ".jax")):
        if (folder / f"model.ckpt-{step}{parts}").exists():
            return folder / f"model.ckpt-{step}{suffix}"
    raise ToolError(f"training left no checkpoint of step {step} in {folder}; see train.log there")


def checkpoint_key(checkpoint: Path | None) -> str:
    """Return what stands for the content of a checkpoint: the training it is of, and its step; wherever it lies."""
    if checkpoint is None:
        return ""
    training = read_json(checkpoint.parent / "training.json") or {}
    return f"{training.get('key', checkpoint)} {checkpoint.name}"


def best_of(scores: Sequence[Score]) -> tuple[int, float]:
    """Return step and error of the checkpoint with the lowest error; of equals the later."""
    step, error = min(scores, key=lambda s: (s[1], -s[0]))
    return int(step), float(error)


def out_of_patience(scores: Sequence[Score], patience: int) -> bool:
    """Return whether the last `patience` checkpoints were no better than one before them; never if it is 0."""
    return patience > 0 and len(scores) > patience and best_of(scores)[0] <= scores[-patience - 1][0]


def score_checkpoint(dp: Dp, step: int, held_out: LabelledFrames, before: Sequence[Score]) -> float:
    """Return the force error of the latest checkpoint on held-out frames, meV/Å.

    What was compared, a frozen model or of PyTorch the checkpoint, is kept if it is better than those before, which
    then go.

    Parameters
    ----------
    dp : of the training.
    step : of the checkpoint.
    held_out : frames to compare on.
    before : scores of earlier checkpoints.
    """
    candidate = _candidate(dp, step)
    if dp.flag == "--pt":  # freezing may compile for minutes; a checkpoint of PyTorch can be tested as it is
        part = candidate.with_name(f"part-{candidate.name}")
        shutil.copyfile(checkpoint_at(dp.folder, step), part)
        part.rename(candidate)
    else:
        dp.make(candidate, lambda part: ["freeze", "-o", part])
    error = _force_error(dp, candidate, held_out)
    worse = candidate if before and best_of([*before, (step, error)])[0] != step else None
    for other in [worse] if worse else [_candidate(dp, int(s)) for s, _ in before]:
        _remove(other)
    return round(error, 4)


def make_model(dp: Dp, model: Path, scores: Sequence[Score]) -> None:
    """Make the model of the best checkpoint; where none were compared, of the latest."""
    best = _candidate(dp, best_of(scores)[0]) if scores else None
    if best is not None and dp.flag == "--pt":
        name = best.name
        dp.make(model, lambda part: ["freeze", "-c", name, "-o", part])  # it stays, to be frozen for another device
    elif best is not None:
        best.rename(model)
    else:
        dp.make(model, lambda part: ["freeze", "-o", part])


def compress(dp: Dp, model: Path, held_out: LabelledFrames, *, angular: bool, check: bool) -> tuple[Path, str]:
    """Tabulate the embedding net of a model.

    Parameters
    ----------
    dp : of the training.
    model : frozen model (TensorFlow).
    held_out : frames on which both are compared.
    angular : whether it has angular tables, which need room (see `tables`).
    check : whether the forces of both are compared: tables can be too coarse, which is no error to DeePMD.

    Returns
    -------
    model : the compressed one, or the given one if compression changes its forces.
    note : what was found, in words; empty where all is well.
    """
    small = model.with_name("model-compressed.pb")
    refused = model.with_name("refused-compressed.pb")
    if refused.exists():
        return model, refused.with_suffix(".txt").read_text()
    if small.exists():
        return small, ""
    trial = model.with_name("trial-compressed.pb")
    fault = ""
    for share in TABLE_SHARES if angular else (0.0,):
        given = wide_input(dp.folder, held_out, dp.type_map, share) if angular else "input.json"
        dp.make(trial, partial(_compress_command, model.name, given))
        fault = (_wrong_interval(dp, model, trial, held_out) if angular else "") or (
            _changed_forces(dp, model, trial, held_out) if check else ""
        )
        if not fault:
            trial.rename(small)
            return small, ""
    note = f"{fault}: the model is used uncompressed, which is slower"
    refused.with_suffix(".txt").write_text(note)
    trial.rename(refused)
    return model, note


def _compress_command(model: str, given: str, part: str) -> list[str]:
    return ["compress", "-i", model, "-o", part, "-t", given]


def _changed_forces(dp: Dp, plain: Path, tabulated: Path, held_out: LabelledFrames) -> str:
    some = held_out.take(some_of(np.ones(len(held_out), bool), COMPARED_FRAMES))
    change = force_rmse(replace(some, force_eV_A=_forces(dp, plain, some)), _forces(dp, tabulated, some))
    if change <= COMPRESSION_MEV_A:
        return ""
    return f"compression changes the forces by {change:.2g} meV/Å, more than {COMPRESSION_MEV_A:g}"


def _wrong_interval(dp: Dp, plain: Path, tabulated: Path, held_out: LabelledFrames) -> str:
    scanned, names = clusters(held_out, dp.type_map)
    wrong = broken(_forces(dp, plain, scanned), _forces(dp, tabulated, scanned), scanned, names)
    return f"compression makes forces wrong for {'; '.join(wrong[:2])}" if wrong else ""


def _candidate(dp: Dp, step: int) -> Path:
    return dp.folder / f"step-{step}{'.pt' if dp.flag == '--pt' else dp.suffix}"


def _forces(dp: Dp, model: Path, frames: LabelledFrames) -> Array:
    log = dp.folder / "compare.log"
    return predict(model, frames, type_map=dp.type_map, flag=dp.flag, threads=dp.threads, log=log)[1]


def _force_error(dp: Dp, model: Path, frames: LabelledFrames) -> float:
    return force_rmse(frames, _forces(dp, model, frames))


def _remove(model: Path) -> None:
    if model.is_dir():
        shutil.rmtree(model)
    else:
        model.unlink(missing_ok=True)
