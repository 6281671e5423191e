"""Runs of a grid, several at once, each a process of its own; what fails does not stop the others."""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from ..errors import InputError, IonstrideError, MissingToolError
from ..process import environment, run_program
from ..runrecord import cores, read_json
from .calculators import check_calculator
from .grid import jobs_of, read_job
from .md import FAILED, PROGRESS, is_done


def run_grid(
    folder: Path, *, workers: int = 0, threads: int = 1, progress: Callable[[int, int], None] | None = None
) -> dict[str, str]:
    """Run all runs of a grid that are not done, several at once.

    A run that was interrupted goes on from its last whole frame.  All die with this process, however that ends.

    Parameters
    ----------
    folder : of the grid, or of one run.
    workers : runs at once; 0 = as many as there are cores.
    threads : of each run.
    progress : called with (steps done, steps wanted), from this thread.

    Returns
    -------
    Name → why it stopped, for the runs that did not come to their end.

    Raises
    ------
    InputError
        If the folder is no grid.
    MissingToolError
        If the calculator is not installed.
    """
    if workers < 0 or threads < 1:
        raise InputError(f"{workers} workers of {threads} threads, wanted none below zero and a thread each")
    folders = jobs_of(folder)
    jobs = {place: read_job(place) for place in folders}
    for name, settings in {job["calculator"]: job["settings"] for job in jobs.values()}.items():
        check_calculator(name, settings)
    wanted = sum(job["steps"] for job in jobs.values())
    todo = [place for place, job in jobs.items() if not is_done(place, job)]
    whole = sum(job["steps"] for place, job in jobs.items() if place not in todo)

    def tell() -> None:
        if progress is not None:
            progress(whole + sum(min(_step(place), jobs[place]["steps"]) for place in todo), wanted)

    failures: dict[str, str] = {}
    stop = threading.Event()
    tell()
    with ThreadPoolExecutor(max_workers=max(1, min(workers or cores(), len(todo) or 1))) as pool:
        running = {pool.submit(_one, place, threads, stop): place for place in todo}
        try:
            while running:
                done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in done:
                    place = running.pop(future)
                    reason = future.result()
                    if reason:
                        failures[jobs[place]["name"]] = reason
                tell()
        finally:
            stop.set()
            for future in running:
                future.cancel()
    return failures


def _one(place: Path, threads: int, stop: threading.Event) -> str:
    if stop.is_set():
        return "not started"
    env = environment(threads)
    here = str(Path(__file__).resolve().parents[2])
    env["PYTHONPATH"] = os.pathsep.join([here, *(p or str(Path.cwd()) for p in sys.path)])
    (place / FAILED).unlink(missing_ok=True)
    try:
        return run_program(
            [sys.executable, "-m", "ionstride.labels.md_process", "."],
            folder=place,
            log=place / "log.txt",
            env=env,
            watch=lambda: "interrupted" if stop.is_set() else "",
        )
    except MissingToolError:
        raise
    except IonstrideError as error:
        said = read_json(place / FAILED)
        return str(said["reason"]) if said else str(error)


def _step(place: Path) -> int:
    try:
        return int((place / PROGRESS).read_text())
    except (OSError, ValueError):
        return 0
