"""Exploring: ramps in LAMMPS at temperatures and strains, and the frames they visited."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..campaign import Job, Options, Outcome, Watch, choose_layout, run_jobs
from ..checks import Array
from ..deck import explore_phases, lmp_command, render_deck
from ..errors import InputError
from ..geometry import intact_frames
from ..potential import Trained
from ..process import find_mpirun
from ..records import Polyhedron, Structure
from ..settings import Study
from ..trajectory import read_trajectory, whole_segments
from .work import LearningWork

SKIPPED_RAMP = 0.25
"""The first part of a run is too cold to be news."""
COLUMNS_BEFORE_ATOMS = 7
"""Of a row of model deviation: the step, and largest, smallest and mean of virial and force."""


@dataclass(frozen=True)
class Visited:
    """What one run visited.

    Attributes
    ----------
    id : the run's folder name.
    temperature_K : at the end of its ramp.
    strain : of the volume of its cell.
    structure : the strained cell at the start.
    step : (T) of each frame.
    positions_A : (T, N, 3) in the frame of the structure's cell.
    hold_step : the stay at the temperature begins here.
    deviation_eV_A : (T, N) of the ensemble's forces, or None with one model.
    """

    id: str
    temperature_K: float
    strain: float
    structure: Structure
    step: npt.NDArray[np.int64]
    positions_A: Array
    hold_step: int
    deviation_eV_A: Array | None

    @property
    def first_news(self) -> int:
        """Number of the first frame that is not of the cold beginning."""
        return int(SKIPPED_RAMP * len(self.step))


def explore_temperatures(study: Study) -> tuple[float, ...]:
    """Return the temperatures at which ramps end, colder first."""
    given = study.learning.temperatures_K
    if not given:
        given = (*study.md.temperatures_K, float(round(1.2 * max(study.md.temperatures_K))))
    return tuple(sorted(set(given)))


def plan_round(
    temperatures_K: tuple[float, ...], strains: tuple[float, ...], number: int, rounds: int
) -> list[tuple[float, float]]:
    """Return (temperature, volume strain) of each run of a round.

    The colder temperatures come first, and all from the middle round on, so that two rounds at least can tell of the
    highest.  The strains move on by one from round to round, so that each temperature meets them all.

    Parameters
    ----------
    temperatures_K : rising.
    strains : volume strains.
    number : of the round, from 0.
    rounds : of the study.
    """
    all_from = (rounds - 1) // 2
    count = math.ceil(len(temperatures_K) * min(1.0, (number + 1) / (all_from + 1)))
    return [(t, strains[(index + number) % len(strains)]) for index, t in enumerate(temperatures_K[:count])]


def strained(structure: Structure, strain: float) -> Structure:
    """Return a structure at (1 + strain) times its volume, atoms at the same fractions of the cell."""
    scale = (1.0 + strain) ** (1.0 / 3.0)
    return Structure(structure.symbols, scale * structure.positions_A, scale * structure.cell_A)


def explore(
    work: LearningWork, models: list[Trained], place: Path, number: int, shortest_A: dict[str, float]
) -> tuple[list[Outcome], list[Visited]]:
    """Run the ramps of one round with the first of `models`; the deviation of all is written at every frame.

    Parameters
    ----------
    work : what all rounds share.
    models : the round's ensemble.
    place : folder of the round.
    number : of the round.
    shortest_A : shortest distance of each pair in the labelled frames, for the walls.
    """
    study, md = work.study, work.study.md
    settings = study.learning
    plan = plan_round(explore_temperatures(study), settings.strains, number, settings.rounds)
    layout = choose_layout(
        work.cores,
        len(plan),
        ranks=1 if models[0].model.suffix == ".savedmodel" else md.ranks,
        threads=md.threads,
        gpus=md.gpus,
        deterministic=study.deterministic,
    )
    mpirun = find_mpirun(layout.ranks)
    paths = [str(trained.model.resolve()) for trained in models]
    jobs = []
    for index, (temperature, strain) in enumerate(plan):
        cell = strained(work.structure, strain)
        phases = explore_phases(md, temperature, settings.ramp_ps, settings.check_ps)
        name = f"{temperature:g}K_r{index}"
        seed = (study.seed * 7919 + number * 101 + index * 13) % 2_000_000_000 + 1
        title = f"{study.name}: round {number}, {name}" + (f", volume {100 * strain:+g} %" if strain else "")
        named = {"id": name, "title": title, "seed": seed}

        def render(restart: tuple[str, int] | None, cell=cell, phases=phases, named=named):  # type: ignore[no-untyped-def]
            return render_deck(
                cell, md, phases, **named, model=paths[0], others=tuple(paths[1:]), elements=type_map_of(cell),
                ranks=layout.ranks, threads=layout.threads, restart=restart,
                shortest_A=shortest_A if md.walls else None,
            )  # fmt: skip

        def watch(folder=place / "explore" / name, cell=cell, temperature=temperature) -> Watch:  # type: ignore[no-untyped-def]
            return Watch(folder, cell, work.polyhedra, 0.0, 0.5 * md.min_distance, temperature)

        made_from = [[trained.sha256 for trained in models], md.min_distance]
        jobs.append(Job(place / "explore" / name, render, phases[-1].stop, watch, made_from))

    def progress(state: dict[str, tuple[int, int]]) -> None:
        done, of = sum(s[0] for s in state.values()), sum(s[1] for s in state.values())
        work.news(f"round {number}: explore to {plan[-1][0]:g} K", done, of, "")

    options = Options(layout, lambda ranks: lmp_command(md, ranks, work.lmp, mpirun), md.gpus)
    outcomes = run_jobs(jobs, options, progress)
    hold = explore_phases(md, 1.0, settings.ramp_ps)[-1].stop
    visited = [
        read_visited(job.folder, strained(work.structure, strain), temperature, strain, hold, len(models) > 1)
        for job, (temperature, strain) in zip(jobs, plan, strict=True)
    ]
    return outcomes, visited


def type_map_of(structure: Structure) -> tuple[str, ...]:
    """Return the elements of a structure in the order of their first atoms."""
    return tuple(dict.fromkeys(structure.symbols))


def read_visited(  # noqa: PLR0917
    folder: Path, structure: Structure, temperature_K: float, strain: float, hold_step: int, deviates: bool
) -> Visited:
    """Return what a run visited; of an ensemble's, the frames whose deviation is known."""
    files = sorted(folder.glob("*.lammpstrj"), key=lambda p: p.name.split(".")[1])
    nothing = np.zeros((0, len(structure.symbols), 3))
    found = Visited(folder.name, temperature_K, strain, structure, np.zeros(0, np.int64), nothing, hold_step, None)
    try:
        path = read_trajectory(whole_segments(files), temperature_K=1.0, timestep_ps=1.0)
        step = np.rint(path.time_ps).astype(np.int64)
        positions = path.positions_A @ np.linalg.inv(path.cell_A) @ structure.cell_A
    except InputError:  # it ended before its second frame
        step, positions = found.step, found.positions_A
    found = dataclasses.replace(found, step=step, positions_A=positions)
    if not deviates:
        return found
    rows = read_deviation(folder, len(structure.symbols))
    known = np.array([int(s) in rows for s in step], dtype=np.bool_)
    deviation = np.array([rows[int(s)] for s in step[known]]).reshape(-1, len(structure.symbols))
    return dataclasses.replace(found, step=step[known], positions_A=positions[known], deviation_eV_A=deviation)


def read_deviation(folder: Path, atoms: int) -> dict[int, Array]:
    """Return step → deviation of each atom's force (N) that a run's segments wrote; a later segment's counts."""
    rows: dict[int, Array] = {}
    for path in sorted(folder.glob("deviation.*.out")):
        before = COLUMNS_BEFORE_ATOMS
        for line in path.read_text(errors="replace").splitlines(keepends=True):
            words = line.split()
            if line.startswith("#"):  # absent where DeePMD appends
                before = len(words) - 2
                continue
            if not line.endswith("\n") or len(words) != before + atoms:
                continue  # cut off by a kill, or what was written next stands behind such a row
            try:
                rows[int(words[0])] = np.array(words[before:], dtype=np.float64)
            except ValueError:
                continue
    return rows


def whole_share(visited: list[Visited], polyhedra: list[Polyhedron], frame_ps: float) -> dict[str, float]:
    """Return, for each kind of polyhedron, the part of all visited frames in which all are whole."""
    share: dict[str, float] = {}
    for polyhedron in polyhedra:
        whole = [
            intact_frames([polyhedron], run.structure.symbols, run.positions_A, run.structure.cell_A, frame_ps)[:, 0]
            for run in visited
            if len(run.step)
        ]
        share[str(polyhedron)] = float(np.concatenate(whole).mean()) if whole else 0.0
    return share
