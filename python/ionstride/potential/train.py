"""Training with DeePMD-kit: train, freeze, compress.

A training is made of segments, each a process of its own from one checkpoint to the next with batches of its own seed.
So one that was killed is, from its last checkpoint on, the same training bit for bit.  The checkpoints of the second
half are compared on held-out frames, and the best one is the model.
"""

import ctypes
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..errors import MissingToolError
from ..process import find_program
from ..records import LabelledFrames
from ..runrecord import key_of, read_json, tree_hash, write_json, write_text
from ..settings import PotentialSettings, as_dict
from ..together import GoOn, side_by_side
from .checkpoints import (
    Dp,
    best_of,
    checkpoint_at,
    checkpoint_key,
    compress,
    make_model,
    out_of_patience,
    score_checkpoint,
)
from .compiled import fits
from .dataset import Room, room_for_neighbours, some_of, split_frames, write_dataset
from .inputs import segments_of, training_input

BACKENDS = {
    "tensorflow": ("--tf", ".pb", "tensorflow", 'pip install "ionstride[md]"'),
    "pytorch": ("--pt", ".pth", "torch", 'pip install "ionstride[md,pytorch]" in an environment of its own'),
    "jax": ("--jax", ".savedmodel", "jax", 'pip install "deepmd-kit[cpu,lmp,jax]"'),
}
ROOM_MARGIN = 1.3
SEED_APART = 7907
"""Between the seeds of two models, so that no two studies of neighbouring seeds share one."""
NOT_OF_THE_NET = ("model", "model_type_map", "preset", "models", "start_from", "gpus")
"""Settings that do not change a training; where it starts is known by content."""
FIXED_SPLIT = "held out by the caller"
ATOMS_A_THREAD = 100
"""Atoms in a batch that keep a thread busy (measured: 83 atoms take 23 ms on one thread, 26 ms on two)."""
JUDGED_FRAMES = 100
"""Held-out frames by which checkpoints are compared."""
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Trained:
    """What training left behind.

    Attributes
    ----------
    model : the model LAMMPS uses (compressed where that was asked for).
    sha256 : of the model's content.
    checkpoint : prefix from which a later training can start.
    train, valid : data folders.
    split : how frames were held out, in words.
    wall_s : seconds spent on it, in earlier calls too.
    scores : (step, force error on held-out frames in meV/Å) of the checkpoints that were compared.
    notes : what the user should know of it, in words.
    """

    model: Path
    sha256: str
    checkpoint: Path
    train: Path
    valid: Path
    split: str
    wall_s: float
    scores: tuple[tuple[int, float], ...] = ()
    notes: tuple[str, ...] = ()


def training_threads(cores: int, atoms: int, batch_size: int) -> int:
    """Return how many threads pay in training: small steps are not faster on two cores than on one."""
    return max(1, min(cores, atoms * batch_size // ATOMS_A_THREAD))


def check_backend(backend: str, descriptor: str = "") -> None:
    """Raise `MissingToolError` if DeePMD or what the back end needs (for a descriptor) is absent, or too old or new."""
    find_program("dp")
    _, _, module, bring = BACKENDS[backend]
    if importlib.util.find_spec(module) is None:
        raise MissingToolError(f"the DeePMD back end '{backend}' needs {module}; it comes with: {bring}")
    if backend != "pytorch":
        return
    wanted = [r for r in metadata.requires("deepmd-kit") or [] if r.startswith("torch==") and 'extra == "torch"' in r]
    have = metadata.version("torch").split("+")[0]
    if wanted and have not in wanted[-1]:
        version = wanted[-1].split(";")[0].strip().removeprefix("torch==")
        raise MissingToolError(
            f"the DeePMD back end 'pytorch' was built for torch {version} and refuses the torch {have} that is here; "
            f"it comes with: {bring}"
        )
    if not _cuda_runtime():
        raise MissingToolError(
            "LAMMPS with a model of the DeePMD back end 'pytorch' needs libcudart.so.12, without a GPU too; "
            "it comes with: pip install nvidia-cuda-runtime-cu12"
        )
    if descriptor == "dpa4":
        check_compiler()


def check_compiler() -> None:
    """Raise `MissingToolError` if torch will find no C++ compiler: it looks for the same names."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise MissingToolError(
            f"a model of dpa4 is compiled when it is frozen, and there is no C++ compiler '{compiler}'; install one "
            "(Debian: apt-get install g++; a cluster: its module of gcc), or name it in the variable CXX"
        )


def _cuda_runtime() -> bool:
    """Return whether DeePMD's plugin will find the CUDA library that it opens: in its package or on the system."""
    if sys.platform != "linux":
        return True
    with suppress(ModuleNotFoundError):  # of the parent package
        if importlib.util.find_spec("nvidia.cuda_runtime") is not None:
            return True
    with suppress(OSError):
        ctypes.CDLL("libcudart.so.12")
        return True
    return False


def train_potential(
    frames: LabelledFrames,
    settings: PotentialSettings,
    folder: Path,
    *,
    type_map: tuple[str, ...],
    seed: int,
    threads: int,
    steps: int | None = None,
    start_from: Path | None = None,
    start_model: Path | None = None,
    room: Room | None = None,
    others: Sequence[LabelledFrames] = (),
    held_out: npt.NDArray[np.bool_] | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train, freeze and compress a Deep Potential in `folder`.

    Called again in the same folder with the same arguments, it goes on from the last checkpoint, to the same weights
    as one that was never interrupted (with the same number of threads).

    Parameters
    ----------
    frames : labelled frames; a part is held out by `split_frames`.
    settings : the study's ``[potential]``.
    folder : working folder of this training.
    type_map : element names in the model's order.
    seed : of the split, the weights and the batches.
    threads : of the back end at most; `training_threads` of them are used.
    steps : training steps, if not the settings'.
    start_from : checkpoint prefix of an earlier training of the same net (`Trained.checkpoint`).
    start_model : frozen model (tensorflow) or checkpoint (pytorch, jax) of the same net, to be tuned to these frames.
    room : for neighbours, if fixed by the caller; else counted in the frames.
    others : frames of further compositions by the same method, trained on as well; of each a part is held out too.
    held_out : (F) which of `frames` are held out, if fixed by the caller.
    progress : called with (step, steps, line of news).

    Raises
    ------
    MissingToolError
        If DeePMD or the back end's library is not installed.
    ToolError
        If DeePMD fails; its log is named.
    """
    check_backend(settings.backend, settings.descriptor)
    flag, suffix, _, _ = BACKENDS[settings.backend]
    if settings.descriptor == "dpa4":
        suffix = ".pt2"  # it is exported, not scripted
    total = settings.steps if steps is None else steps
    split = FIXED_SPLIT
    if held_out is None:
        held_out, split = split_frames(frames, settings.valid_fraction, seed)
    every = [frames, *others]
    room = room or room_for_neighbours(every, type_map, settings, ROOM_MARGIN)
    content = [frames_key(some) for some in every] if others else frames_key(frames)
    begin_with = [checkpoint_key(start_from), tree_hash(start_model) if start_model else ""]
    key = key_of([net_settings(settings), total, seed, room, type_map, content, begin_with, held_out.tolist()])
    state = read_json(folder / "training.json") or {}
    if state.get("key") != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        state = {"key": key, "done": 0, "scores": [], "spent_s": 0.0}
    train = write_dataset(frames.take(~held_out), type_map, folder / "data" / "train")
    valid = write_dataset(frames.take(held_out), type_map, folder / "data" / "valid")
    for number, other in enumerate(others, start=1):  # DeePMD finds the systems below a folder
        mask = split_frames(other, settings.valid_fraction, seed)[0] if len(other) > 3 else np.zeros(len(other), bool)
        write_dataset(other.take(~mask), type_map, train / f"composition_{number}")
        if mask.any():
            write_dataset(other.take(mask), type_map, valid / f"composition_{number}")
    whole, piece = segments_of(settings, total)
    write_json(folder / "training.json", state)
    judged = frames.take(some_of(held_out, JUDGED_FRAMES))
    used = training_threads(threads, len(frames.symbols), settings.batch_size)
    dp = Dp([str(find_program("dp")), flag], flag, suffix, folder, type_map, used, settings.gpus)

    def news() -> str:
        rows = read_lcurve(folder / "lcurve.out")
        if progress is not None:
            step = int(rows["step"][-1]) if len(rows["step"]) else 0
            forces = f"force error {1000 * rows['rmse_f_valid'][-1]:.0f} meV/Å on held-out frames" if step else ""
            progress(step, whole, forces)
        return ""

    begun = time.monotonic() - state["spent_s"]

    def keep(**news: Any) -> None:
        state.update(news, spent_s=round(time.monotonic() - begun, 1))
        write_json(folder / "training.json", state)

    model = folder / f"model{suffix}"
    if model.exists() and not fits(model, settings.gpus):
        model.unlink()
    for step in () if model.exists() else range(piece, whole + 1, piece):
        if step > state["done"]:
            first = step - piece
            _trim_lcurve(folder / "lcurve.out", first)
            given = training_input(
                settings, type_map=type_map, room=room, train=Path("data/train"), valid=Path("data/valid"),
                has_virial=any(some.virial_eV is not None for some in every), seed=seed, steps=total,
                start_lr=settings.start_lr / 2 if start_from or start_model else None, first=first,
            )  # fmt: skip
            write_json(folder / "input.json", given)
            command = ["train", "input.json", "--skip-neighbor-stat"]  # sel is counted; compression counts for itself
            if first > 0:
                command += ["--restart", checkpoint_at(folder, first).name]
            elif start_from is not None:
                command += ["--init-model", str(start_from.absolute())]
            elif start_model is not None:
                begin = "--init-frz-model" if settings.backend == "tensorflow" else "--init-model"
                command += [begin, str(start_model.absolute())]
            dp.run(command, watch=news)
            keep(done=step)
        if piece < whole and 2 * step >= whole and step not in [s for s, _ in state["scores"]]:
            keep(scores=[*state["scores"], [step, score_checkpoint(dp, step, judged, state["scores"])]])
        if settings.schedule == "exp" and out_of_patience(state["scores"], settings.patience):
            break
    if not model.exists():
        make_model(dp, model, state["scores"])
    notes = []
    if state["scores"] and (best := best_of(state["scores"]))[0] < state["done"]:
        notes.append(f"the model is that of step {best[0]}, {best[1]:.1f} meV/Å on held-out frames, not the last one")
    if state["done"] < whole:
        notes.append(f"training ended at step {state['done']} of {whole}: {settings.patience} checkpoints no better")
    final = model
    if settings.compress and settings.backend == "tensorflow" and not compressible(settings):
        notes.append(
            f"a model of {settings.descriptor} cannot be compressed here: it is used as it is, which is slower"
        )
    elif settings.compress and settings.backend == "tensorflow":
        final, note = compress(
            dp, model, judged, angular=settings.descriptor == "se_e2_a+se_e3", check=settings.descriptor != "se_e2_a"
        )
        notes += [note] if note else []
    keep()
    last = checkpoint_at(folder, state["done"])
    return Trained(
        final, tree_hash(final), last, train, valid, split, state["spent_s"],
        scores=tuple((int(s), float(e)) for s, e in state["scores"]), notes=tuple(notes),
    )  # fmt: skip


def net_settings(settings: PotentialSettings) -> dict[str, Any]:
    """Return what of the settings one training depends on."""
    return {k: v for k, v in as_dict(settings).items() if k not in NOT_OF_THE_NET}


def compressible(settings: PotentialSettings) -> bool:
    """Return whether DeePMD can tabulate the embedding net."""
    if settings.descriptor == "se_atten_v2":
        return settings.attention_layers == 0
    return settings.descriptor != "se_atten"


def train_ensemble(
    frames: LabelledFrames,
    settings: PotentialSettings,
    folders: Sequence[Path],
    *,
    held_out: npt.NDArray[np.bool_],
    seed: int,
    cores: int,
    threads: int = 0,
    starts: Sequence[Path | None] = (),
    progress: Callable[[int, int, int, str], None] | None = None,
    **same: Any,
) -> list[Trained]:
    """Train potentials that differ in first weights and batches, as many at once as there are cores.

    Small cells do not gain from a second thread, so cores go to models first.

    Parameters
    ----------
    frames, settings : as for `train_potential`.
    folders : of the trainings, one a model.
    held_out : (F) which of `frames` no model is trained on.
    seed : of the first one; the others' follow from it.
    cores : cores to use.
    threads : of each training; 0 shares the cores out.
    starts : checkpoint that each begins with, as `start_from` of `train_potential`; None, or empty: new weights.
    progress : called with (model, step, steps, line of news).
    same : further arguments of `train_potential`, the same for all.

    Raises
    ------
    ToolError
        If DeePMD fails; the other trainings are then ended.
    """
    at_once = max(1, min(cores, len(folders)))

    def make(number: int, go_on: GoOn) -> Trained:
        def tell(step: int, steps: int, text: str) -> None:
            go_on()
            if progress is not None:
                progress(number, step, steps, text)

        return train_potential(
            frames,
            settings,
            folders[number],
            seed=seed + SEED_APART * number,
            threads=threads or max(1, cores // at_once),
            start_from=starts[number] if starts else None,
            held_out=held_out,
            progress=tell,
            **same,
        )

    return side_by_side([partial(make, number) for number in range(len(folders))], at_once)


def frames_key(frames: LabelledFrames) -> str:
    """SHA-256 of the content of a set of frames."""
    import hashlib

    digest = hashlib.sha256(" ".join(frames.symbols).encode())
    arrays = [frames.positions_A, frames.cell_A, frames.energy_eV, frames.force_eV_A, frames.group, frames.frame_number]
    for array in arrays if frames.virial_eV is None else [*arrays, frames.virial_eV]:
        digest.update(array.tobytes())
    return digest.hexdigest()


def _trim_lcurve(path: Path, last: int) -> None:
    """Take from lcurve.out what a killed segment wrote after step `last`, half a row too."""
    if not path.is_file():
        return
    lines = path.read_text(errors="replace").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n") and line.split()]
    kept = [line for line in whole if line.startswith("#") or int(line.split()[0]) <= last]
    write_text(path, "".join(kept))


def read_lcurve(path: Path) -> dict[str, Array]:
    """Read DeePMD's lcurve.out: step, errors and learning rate; a repeated step counts once.

    Returns
    -------
    Columns 'step', 'rmse_e_valid', 'rmse_f_valid', 'rmse_f_train' (eV and eV/Å, per atom the energy),
    'lr', each (rows); empty while there is no whole row.
    """
    wanted = {
        "rmse_e_valid": "rmse_e_val",
        "rmse_f_valid": "rmse_f_val",
        "rmse_f_train": "rmse_f_trn",
        "lr": "lr",
    }
    rows: dict[int, list[float]] = {}
    header: list[str] = []
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    for line in lines:
        if line.startswith("#"):
            names = line.lstrip("#").split()
            header = names if "step" in names else header
            continue
        try:
            values = [float(v) for v in line.split()]
        except ValueError:
            continue
        if header and len(values) == len(header):
            rows[int(values[0])] = values
    table = np.array([rows[step] for step in sorted(rows)]).reshape(len(rows), len(header) or 1)
    columns = {"step": table[:, 0] if rows else np.zeros(0)}
    for name, theirs in wanted.items():
        columns[name] = table[:, header.index(theirs)] if theirs in header and rows else np.zeros(len(rows))
    return columns
