"""Labels from a calculator: in parallel processes, each kept on disk as soon as it is made."""

import contextlib
import hashlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import InputError, ToolError
from ..records import LabelledFrames, Structure
from .calculators import calculator_identity, calculator_note

Label = dict[str, Array]


def label(
    structures: Sequence[Structure],
    calculator: str,
    *,
    cache: Path,
    settings: Mapping[str, Any] | None = None,
    workers: int = 0,
    seed: int = 0,
    group: int = 0,
    progress: Callable[[int, int], None] | None = None,
    threads_per_worker: int = 1,
) -> LabelledFrames:
    """Label structures of the same atoms with a calculator; see `label_cells`.

    A cell whose label fails is left out with a warning.

    Parameters
    ----------
    structures : F cells of the same atoms in the same order.
    calculator, cache, settings, workers, seed, progress, threads_per_worker : as for `label_cells`.
    group : group of these frames.

    Returns
    -------
    Frames in the order of `structures`; `frame_number` is the place there.

    Raises
    ------
    InputError
        If the structures differ in their atoms, or the calculator cannot be started.
    MissingToolError
        If the calculator is not installed.
    ToolError
        If every label fails.
    """
    for number, structure in enumerate(structures):
        if structure.symbols != structures[0].symbols:
            raise InputError(f"structure {number} has other atoms, or another order, than the first: label them apart")
    labels, failures = label_cells(
        structures,
        calculator,
        cache=cache,
        settings=settings,
        workers=workers,
        seed=seed,
        progress=progress,
        threads_per_worker=threads_per_worker,
    )
    return _frames(structures, labels, failures, (calculator, calculator_note(calculator, settings)), group)


def label_cells(
    structures: Sequence[Structure],
    calculator: str,
    *,
    cache: Path,
    settings: Mapping[str, Any] | None = None,
    workers: int = 0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    threads_per_worker: int = 1,
) -> tuple[dict[int, Label], dict[int, str]]:
    """Label any cells with a calculator.

    Each label is kept in `cache` under the SHA-256 of calculator, settings, elements, positions and cell: a label once
    made is not made again, and a crash loses at most the cells in hand.  The labels do not depend on the number of
    workers.  What a code wrote is kept in ``cache/outputs/<key>``.

    Parameters
    ----------
    structures : F cells.
    calculator : 'chgnet', a code of `CODES`, or 'module:function' returning an ASE calculator.
    cache : folder of the labels.
    settings : of the calculator, see `read_settings`; None = its defaults.
    workers : processes; 0 = as many as there are cores.
    seed : for calculators that draw random numbers.
    progress : called with (labels there, labels wanted), from this thread.
    threads_per_worker : threads of one process; one is fastest for small cells, and the same on every machine.

    Returns
    -------
    Labels and reasons of failure, both by place in `structures`.  A label has energy_eV (), force_eV_A (N, 3), mostly
    virial_eV (3, 3), and seconds () that it took.

    Raises
    ------
    InputError
        If there is no structure, or the calculator cannot be started.
    MissingToolError
        If the calculator is not installed.
    """
    if not structures:
        raise InputError("no structures to label, wanted at least one")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed {seed}, wanted zero or more, below 2^32")
    if workers < 0 or threads_per_worker < 1:
        raise InputError(f"{workers} workers of {threads_per_worker} threads, wanted none below zero and a thread each")
    identity = calculator_identity(calculator, settings)
    cache.mkdir(parents=True, exist_ok=True)
    keys = [_key(identity, structure) for structure in structures]
    files = [cache / f"{key}.npz" for key in keys]
    labels: dict[int, Label] = {}
    for number, file in enumerate(files):
        kept = _load(file)
        if kept is not None:
            labels[number] = kept
    missing = [number for number in range(len(structures)) if number not in labels]
    if progress is not None:
        progress(len(labels), len(structures))
    failures: dict[int, str] = {}
    if missing:
        count = min(workers if workers > 0 else _cores(), len(missing))
        with tempfile.TemporaryDirectory(prefix="ionstride-label-", ignore_cleanup_errors=True) as scratch:
            start = (
                calculator,
                None if settings is None else dict(settings),
                threads_per_worker,
                seed,
                os.getpid(),
                scratch,
            )
            pool = _Pool(
                start, threads_per_worker, count, [str((cache / "outputs" / key[:16]).absolute()) for key in keys]
            )
            try:
                for number, kind, answer in pool.run({n: structures[n] for n in missing}):
                    if kind == "done":
                        _save(files[number], answer)
                        labels[number] = answer
                    else:
                        failures[number] = answer
                    if progress is not None:
                        progress(len(labels), len(structures))
            finally:
                pool.close()
    return labels, failures


def _frames(
    structures: Sequence[Structure],
    labels: dict[int, Label],
    failures: dict[int, str],
    calculator: tuple[str, str],
    group: int,
) -> LabelledFrames:
    name, method = calculator
    if failures:
        first = min(failures)
        text = f"{len(failures)} of {len(structures)} labels failed; structure {first}: {failures[first]}"
        if not labels:
            raise ToolError(f"calculator '{name}': {text}")
        listed = ", ".join(map(str, sorted(failures)))
        warnings.warn(f"{text}; left out: {listed}", stacklevel=3)
    order = sorted(labels)
    virials = [labels[n].get("virial_eV", np.full((3, 3), np.nan)) for n in order]
    return LabelledFrames(
        symbols=structures[0].symbols,
        positions_A=np.stack([structures[n].positions_A for n in order]),
        cell_A=np.stack([structures[n].cell_A for n in order]),
        energy_eV=np.array([float(labels[n]["energy_eV"]) for n in order]),
        force_eV_A=np.stack([labels[n]["force_eV_A"] for n in order]),
        virial_eV=np.stack(virials),
        group=np.full(len(order), group, dtype=np.int64),
        frame_number=np.array(order, dtype=np.int64),
        method=method,
    )


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _key(identity: str, structure: Structure) -> str:
    content = hashlib.sha256()
    content.update(f"1\n{identity}\n{' '.join(structure.symbols)}\n".encode())
    content.update(np.ascontiguousarray(structure.positions_A, dtype="<f8").tobytes())
    content.update(np.ascontiguousarray(structure.cell_A, dtype="<f8").tobytes())
    return content.hexdigest()


def _load(file: Path) -> Label | None:
    """Return a kept label; a damaged file counts as none and is made again."""
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            found = {name: np.asarray(archive[name]) for name in archive.files}
    except Exception:  # zipfile, zlib and NumPy each raise their own
        return None
    return found if {"energy_eV", "force_eV_A"} <= found.keys() else None


def _save(file: Path, found: Label) -> None:
    temporary = file.with_name(f".{file.stem}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            np.savez(stream, **found)  # type: ignore[arg-type]
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


class _Pool:
    """Worker processes, each fed by one thread; the threads hand their answers to the caller's thread."""

    def __init__(self, start: tuple[Any, ...], threads: int, count: int, keep: list[str]) -> None:
        self._start = start
        self._keep = keep
        self._threads = max(1, threads)
        self._count = count
        self._work: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[int, str, Any]] = queue.SimpleQueue()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._closed = False

    def run(self, cells: dict[int, Structure]) -> Any:
        """Yield (number, 'done' or 'failed', label or reason) as they come."""
        for number in cells:
            self._work.put(number)
        for _ in range(self._count):
            threading.Thread(target=self._feed, args=(cells,), daemon=True).start()
        for _ in range(len(cells)):
            number, kind, answer = self._answers.get()
            if kind == "no calculator":
                raise InputError(answer)
            yield number, kind, answer

    def close(self) -> None:
        """End all workers, at once."""
        with self._lock:
            self._closed = True
            processes = list(self._processes)
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the code that a worker runs goes with it
        for process in processes:
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        environment = dict(os.environ)
        # The worker finds what this process finds, this package and the user's module among it.
        here = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join([here, *(p or str(Path.cwd()) for p in sys.path)])
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment[name] = str(self._threads)
        with self._lock:
            if self._closed:
                return None
            process = subprocess.Popen(
                [sys.executable, "-m", "ionstride.labels.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
            self._processes.append(process)
        return process

    def _feed(self, cells: dict[int, Structure]) -> None:
        process: subprocess.Popen[bytes] | None = None
        while not self._closed:
            try:
                number = self._work.get_nowait()
            except queue.Empty:
                break
            try:
                if process is None:
                    process = self._spawn()
                    if process is None:
                        break
                    kind, answer = _ask(process, self._start)
                    if kind == "no calculator":
                        self._answers.put((number, kind, answer))
                        break
                cell = cells[number]
                question = (cell.symbols, np.array(cell.positions_A), np.array(cell.cell_A), self._keep[number])
                kind, answer = _ask(process, question)
            except (OSError, EOFError, pickle.UnpicklingError, ValueError):
                kind, answer, process = "failed", "the labelling process died", None
            self._answers.put((number, kind, answer))
        if process is not None and process.stdin is not None and not self._closed:
            with contextlib.suppress(OSError):
                process.stdin.close()


def _ask(process: subprocess.Popen[bytes], message: Any) -> tuple[str, Any]:
    assert process.stdin is not None and process.stdout is not None
    pickle.dump(message, process.stdin)
    process.stdin.flush()
    kind, answer = pickle.load(process.stdout)
    return kind, answer
