"""Training with DeePMD-kit: train, freeze, compress.

A training is made of segments, each a process of its own from one checkpoint to the next with batches of its own seed.
So one that was killed is, from its last checkpoint on, the same training bit for bit.
"""

import importlib.util
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..errors import MissingToolError, ToolError
from ..process import environment, find_program, run_program
from ..records import LabelledFrames
from ..runrecord import key_of, read_json, tree_hash, write_json, write_text
from ..settings import PotentialSettings, as_dict
from .dataset import neighbours_needed, split_frames, write_dataset
from .inputs import training_input, whole_pieces

BACKENDS = {
    "tensorflow": ("--tf", ".pb", "tensorflow", 'pip install "ionstride[md]"'),
    "pytorch": ("--pt", ".pth", "torch", 'pip install "deepmd-kit[torch,lmp]" in an environment of its own'),
    "jax": ("--jax", ".savedmodel", "jax", 'pip install "deepmd-kit[cpu,lmp,jax]"'),
}
SEL_MARGIN = 1.3
FIXED_SPLIT = "held out by the caller"
ATOMS_A_THREAD = 100
"""Atoms in a batch that keep a thread busy (measured: 83 atoms take 23 ms on one thread, 26 ms on two)."""
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
    wall_s : seconds spent in this call.
    """

    model: Path
    sha256: str
    checkpoint: Path
    train: Path
    valid: Path
    split: str
    wall_s: float


def training_threads(cores: int, atoms: int, batch_size: int) -> int:
    """Return how many threads pay in training: small steps are not faster on two cores than on one."""
    return max(1, min(cores, atoms * batch_size // ATOMS_A_THREAD))


def check_backend(backend: str) -> None:
    """Raise `MissingToolError` if DeePMD or the library behind the back end is absent or of the wrong version."""
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
    sel: list[int] | None = None,
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
    sel : room for neighbours, if fixed by the caller; else counted in the frames.
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
    check_backend(settings.backend)
    begun = time.monotonic()
    flag, suffix, _, _ = BACKENDS[settings.backend]
    dp = [str(find_program("dp")), flag]
    env = environment(training_threads(threads, len(frames.symbols), settings.batch_size))
    total = settings.steps if steps is None else steps
    fixed = held_out
    held_out, split = split_frames(frames, settings.valid_fraction, seed) if fixed is None else (fixed, FIXED_SPLIT)
    every = [frames, *others]
    counted = [neighbours_needed(some, type_map, settings.rcut_A, SEL_MARGIN) for some in ([] if sel else every)]
    sel = sel or [max(column) for column in zip(*counted, strict=True)]
    content = [frames_key(some) for some in every] if others else frames_key(frames)
    key = key_of([as_dict(settings), total, seed, sel, type_map, content, str(start_from or ""), held_out.tolist()])
    started = read_json(folder / "training.json") or {}
    if started.get("key") != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        started = {}
    train = write_dataset(frames.take(~held_out), type_map, folder / "data" / "train")
    valid = write_dataset(frames.take(held_out), type_map, folder / "data" / "valid")
    for number, other in enumerate(others, start=1):  # DeePMD finds the systems below a folder
        mask = split_frames(other, settings.valid_fraction, seed)[0] if len(other) > 3 else np.zeros(len(other), bool)
        write_dataset(other.take(~mask), type_map, train / f"composition_{number}")
        if mask.any():
            write_dataset(other.take(mask), type_map, valid / f"composition_{number}")
    done, (whole, piece) = started.get("done", 0), whole_pieces(total, settings.checkpoint_steps)
    write_json(folder / "training.json", {"key": key, "done": done})
    log = folder / "train.log"

    def news() -> str:
        rows = read_lcurve(folder / "lcurve.out")
        if progress is not None and len(rows["step"]):
            step = int(rows["step"][-1])
            forces = 1000 * rows["rmse_f_valid"][-1]
            progress(step, whole, f"force error {forces:.0f} meV/Å on held-out frames")
        return ""

    model = folder / f"model{suffix}"
    if not model.exists():
        for first in range(done, whole, piece):
            _trim_lcurve(folder / "lcurve.out", first)
            given = training_input(
                settings, type_map=type_map, sel=sel, train=Path("data/train"), valid=Path("data/valid"),
                has_virial=any(some.virial_eV is not None for some in every), seed=seed, steps=total,
                start_lr=settings.start_lr / 2 if start_from else None, first=first,
            )  # fmt: skip
            write_json(folder / "input.json", given)
            command = [*dp, "train", "input.json"]
            if first + piece < whole:  # only the last one's model is compressed, which asks for these statistics
                command.append("--skip-neighbor-stat")
            if first > 0:
                command += ["--restart", checkpoint_at(folder, first).name]
            elif start_from is not None:
                command += ["--init-model", str(start_from.absolute())]
            run_program(command, folder=folder, log=log, env=env, watch=news, every_s=1.0)
            write_json(folder / "training.json", {"key": key, "done": first + piece})
        _make(model, lambda part: [*dp, "freeze", "-o", part], folder, log, env)
    final = model
    if settings.compress and settings.backend == "tensorflow" and settings.descriptor != "dpa3":
        final = folder / "model-compressed.pb"
        if not final.exists():
            _make(final, lambda part: [*dp, "compress", "-i", model.name, "-o", part], folder, log, env)
    last = checkpoint_at(folder, whole)
    return Trained(final, tree_hash(final), last, train, valid, split, time.monotonic() - begun)


def _make(target: Path, command: Callable[[str], list[str]], folder: Path, log: Path, env: dict[str, str]) -> None:
    """Run a command that writes a model to a temporary name, then rename it."""
    part = target.with_name(f"part-{target.name}")
    if part.is_dir():
        shutil.rmtree(part)
    run_program(command(part.name), folder=folder, log=log, env=env)
    part.rename(target)


def frames_key(frames: LabelledFrames) -> str:
    """SHA-256 of the content of a set of frames."""
    import hashlib

    digest = hashlib.sha256(" ".join(frames.symbols).encode())
    arrays = [frames.positions_A, frames.cell_A, frames.energy_eV, frames.force_eV_A, frames.group, frames.frame_number]
    for array in arrays if frames.virial_eV is None else [*arrays, frames.virial_eV]:
        digest.update(array.tobytes())
    return digest.hexdigest()


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
