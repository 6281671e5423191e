"""Outside programs: found, started, watched, and never left behind."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import DiskFullError, MissingToolError, ToolError

ROOM_LEFT = 1_000_000
"""Bytes: a program that fails with less room left failed for want of it."""
MD_EXTRA = 'pip install "ionstride[md]"'


def find_program(name: str, extra: str = MD_EXTRA) -> Path:
    """Return the path of a program: beside this Python first, then on the PATH.

    Raises
    ------
    MissingToolError
        If it is not there; the message names the extra that brings it.
    """
    if os.sep in name:
        if os.access(name, os.X_OK):
            return Path(name).absolute()
        raise MissingToolError(f"'{name}' is no program that can be run; give the path of one, or install: {extra}")
    beside = Path(sys.executable).parent / name
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which(name)
    if found is None:
        raise MissingToolError(f"the program '{name}' is not installed; it comes with: {extra}")
    return Path(found)


def need_package(module: str, extra: str) -> None:
    """Raise `MissingToolError` if a package is absent; the message names the extra that brings it."""
    if importlib.util.find_spec(module) is None:
        raise MissingToolError(
            f"the package '{module}' is not installed; it comes with: pip install \"ionstride[{extra}]\""
        )


def find_mpirun(ranks: int) -> str:
    """Return the MPI launcher; it is looked for only where more than one rank is wanted."""
    return str(find_program("mpirun")) if ranks > 1 else "mpirun"


def environment(threads: int, gpus: int = 0) -> dict[str, str]:
    """Return the environment of a TensorFlow or LAMMPS process with so many threads.

    GPUs are hidden where none is asked for, which also keeps the libraries from looking.
    """
    count = str(threads)
    env = {
        **os.environ,
        "OMP_NUM_THREADS": count,
        "TF_INTRA_OP_PARALLELISM_THREADS": count,
        "TF_INTER_OP_PARALLELISM_THREADS": "1",
        "DP_INTRA_OP_PARALLELISM_THREADS": count,
        "DP_INTER_OP_PARALLELISM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "PYTHONUNBUFFERED": "1",
    }
    if gpus == 0:
        env["CUDA_VISIBLE_DEVICES"] = ""
    return env


@contextmanager
def started(command: list[str], *, folder: Path, log: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in `folder` with its output in `log`; it dies with this process.

    A shell holds the reading end of a pipe whose writing end only we have.  When we are gone, even
    by SIGKILL, it reads the end of the pipe and kills the program's whole process group.
    """
    with log.open("ab") as stream:
        try:
            child = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                env=env, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise MissingToolError(f"'{command[0]}' could not be started: {error.strerror}") from error
    guard = subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _; kill -9 "-$1"', "guard", str(child.pid)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield child
    finally:
        guard.kill()
        guard.wait()
        if guard.stdin is not None:
            guard.stdin.close()
        stop(child)


def stop(child: subprocess.Popen[bytes]) -> None:
    """Kill a program and all it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def run_program(
    command: list[str],
    *,
    folder: Path,
    log: Path,
    env: dict[str, str],
    watch: Callable[[], str] | None = None,
    every_s: float = 0.5,
) -> str:
    """Run a program to its end, calling `watch` meanwhile.

    Parameters
    ----------
    command, folder, log, env : as for `started`.
    watch : called every `every_s` seconds; a non-empty answer stops the program.

    Returns
    -------
    What `watch` answered, empty if the program ended by itself.

    Raises
    ------
    DiskFullError
        If the program fails and no room is left on the disk.
    ToolError
        If the program fails otherwise; the message names the log and quotes its last lines.
    """
    with started(command, folder=folder, log=log, env=env) as child:
        next_watch = time.monotonic() + every_s
        while child.poll() is None:
            time.sleep(0.05)
            if watch is not None and time.monotonic() >= next_watch:
                reason = watch()
                if reason:
                    return reason
                next_watch = time.monotonic() + every_s
        code = child.returncode
    last = watch() if watch is not None else ""
    if code != 0 and shutil.disk_usage(folder).free < ROOM_LEFT:
        raise DiskFullError(folder, f"what {Path(command[0]).name} makes")
    if code != 0:
        raise ToolError(f"{Path(command[0]).name} ended with code {code}; see {log}. Its last words: {last_words(log)}")
    return last


def last_words(log: Path, lines: int = 3) -> str:
    """Return the last lines of a log that say something, the errors first."""
    text = log.read_text(errors="replace").splitlines() if log.is_file() else []
    errors = [line.strip() for line in text if "ERROR" in line or "Error" in line]
    said = errors[-lines:] or [line.strip() for line in text if line.strip()][-lines:]
    return " | ".join(said) if said else "(nothing)"
