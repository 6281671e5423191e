"""Trajectories that ASE or MDAnalysis read."""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, InputError
from .assemble import Raw
from .mda_worker import FAILED, words_of

_lock = threading.Lock()
_worker: "list[subprocess.Popen[str]]" = []  # the process in which MDAnalysis reads, once there is one


def read_ase_traj(path: Path) -> Raw:
    """Read an ASE .traj; a cut last frame is dropped.

    Raises
    ------
    FormatError
        If ASE cannot read the file, or atoms change in it.
    """
    from ase.io.trajectory import Trajectory

    positions, cells = [], []
    numbers: Any = None
    symbols: tuple[str, ...] = ()
    cut = 0
    with warnings.catch_warnings(), path.open("rb") as stream:
        warnings.simplefilter("ignore")
        try:
            frames: Any = Trajectory(stream)  # type: ignore[no-untyped-call]  # given a name it may not close it
            count = len(frames)
        except Exception as error:  # ASE raises whatever its parsing runs into
            raise FormatError(path, f"ASE cannot read it as .traj ({words_of(error)})") from error
        with contextlib.closing(frames):
            for number in range(count):
                try:
                    atoms = frames[number]
                    here = np.array(atoms.numbers)
                    place = np.array(atoms.positions, dtype=np.float64).reshape(len(here), 3)
                    cell = np.array(atoms.cell.array, dtype=np.float64).reshape(3, 3)
                    names = tuple(atoms.get_chemical_symbols())
                except Exception as error:
                    if number == count - 1 and number > 0:
                        cut = 1
                        break
                    raise FormatError(path, f"ASE cannot read frame {number} ({words_of(error)})") from error
                if numbers is not None and not np.array_equal(here, numbers):
                    raise FormatError(path, f"frame {number} holds other atoms, or in another order, than frame 0")
                numbers, symbols = here, names
                positions.append(place)
                cells.append(cell)
    if not cells:
        raise FormatError(path, "holds no frame")
    return Raw(
        symbols=symbols,
        positions_A=np.array(positions),
        cell_A=np.array(cells),
        origin_A=np.zeros((len(cells), 3)),
        time_ps=None,
        unwrapped=False,
        notes={"format": "ASE .traj", "files": [str(path)], "cut_last_frames_dropped": cut},
    )


def read_mdanalysis(path: Path, topology: Path | None, types: Sequence[str] | None) -> Raw:
    """Read whatever MDAnalysis does (DCD, XTC, TRR, NetCDF, H5MD …); a last frame that cannot be read is dropped.

    MDAnalysis runs in a process of its own, since its C readers can crash on corrupt files.  Times are the file's
    own for formats that hold them in ps; a DCD's are not trusted, since programs write them in their own units.

    Raises
    ------
    FormatError
        If MDAnalysis cannot read the file.
    InputError
        If the topology is wanted, or elements or cells are missing.
    """
    with tempfile.TemporaryDirectory(prefix="ionstride-") as folder:
        out = Path(folder)
        job = {
            "path": str(path.absolute()),
            "topology": str(topology.absolute()) if topology else None,
            "types": list(types) if types is not None else None,
            "out": folder,
        }
        code = _ask(json.dumps(job))
        if code == FAILED and (out / "error.json").is_file():
            kind, said = json.loads((out / "error.json").read_text())
            said = said.replace(str(path.absolute()), str(path))
            raise InputError(said) if kind == "input" else FormatError(path, said)
        if code != 0:
            raise FormatError(path, "MDAnalysis crashes on it: the file is corrupt, or no trajectory of this kind")
        about = json.loads((out / "about.json").read_text())
        positions_A = np.load(out / "positions.npy").astype(np.float64)
        cell_A = np.load(out / "cell.npy")
        time_ps = np.load(out / "time.npy")
    return Raw(
        symbols=tuple(about["symbols"]),
        positions_A=positions_A,
        cell_A=cell_A,
        origin_A=np.zeros((len(cell_A), 3)),
        time_ps=time_ps if about["timed"] else None,
        unwrapped=False,
        notes={
            "format": f"{about['format']}, read by MDAnalysis",
            "files": [str(path)],
            "topology": str(topology or ""),
            "cut_last_frames_dropped": about["cut"],
        },
    )


def _ask(job: str) -> int:
    """Return the exit code of a job done by the worker, which is started if need be."""
    with _lock:
        if not _worker or _worker[0].poll() is not None:
            _stop()
            _worker.append(
                subprocess.Popen(
                    [sys.executable, "-P", "-m", "ionstride.trajectory.mda_worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    env={**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                )
            )
        worker = _worker[0]
        assert worker.stdin is not None and worker.stdout is not None  # pipes, as asked for above
        try:
            worker.stdin.write(job + "\n")
            worker.stdin.flush()
            return int(worker.stdout.readline())
        except BaseException as error:
            # An answer that was not waited for must not be taken for that of the next job.
            worker.kill()
            _stop()
            if isinstance(error, (OSError, ValueError)):
                return -1
            raise


@atexit.register
def _stop() -> None:
    while _worker:
        worker = _worker.pop()
        for stream in (worker.stdin, worker.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        worker.wait()
