"""Concurrent learning: the half-trained potential runs MD, and what it visits is labelled.

One round is: train → explore with LAMMPS → label a choice of the visited frames → judge. The rounds
end when MD at the highest temperature stays intact, or at the given number of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..campaign import Job, Options, Outcome, Watch, choose_layout, run_jobs
from ..checks import Array
from ..deck import explore_phases, lmp_command, render_deck
from ..errors import InputError, PhysicsError
from ..geometry import intact_frames
from ..potential import BACKENDS, Trained, force_rmse, predict, train_potential
from ..process import find_mpirun
from ..records import LabelledFrames, Polyhedron, Structure, join_frames
from ..runrecord import read_json, write_json
from ..settings import Study
from ..trajectory import read_trajectory, whole_segments

MAX_FORCE_EV_A = 8.0
"""Labels with a larger force teach nothing that MD will meet again."""
SKIPPED_RAMP = 0.25
"""The first part of a ramp is too cold to be news."""

Label = Callable[[list[Structure], int, str], LabelledFrames]
News = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class LearningWork:
    """What all rounds share.

    Attributes
    ----------
    study : settings.
    structure : the cell that is explored.
    polyhedra : what must stay whole.
    folder : everything is kept here; finished pieces are not redone.
    lmp : the LAMMPS program, already looked at.
    cores : cores to use.
    news : called with (what, done, of, line of news).
    shortest : gives the shortest distance of each pair in a set of frames.
    """

    study: Study
    structure: Structure
    polyhedra: list[Polyhedron]
    folder: Path
    lmp: str
    cores: int
    news: News
    shortest: Callable[[LabelledFrames], dict[str, float]]


@dataclass(frozen=True)
class Learned:
    """Where learning ended.

    Attributes
    ----------
    frames : all labelled frames.
    checkpoint : of the last training, to start the final one from.
    rounds : one dictionary a round, for the report.
    ended : why the rounds ended, in words.
    """

    frames: LabelledFrames
    checkpoint: Path
    rounds: list[dict[str, Any]]
    ended: str


def run_rounds(
    work: LearningWork,
    first: LabelledFrames,
    *,
    label: Label,
    sel: list[int],
    type_map: tuple[str, ...],
) -> Learned:
    """Run rounds of train → explore → label until MD stays intact.

    Parameters
    ----------
    work : what all rounds share.
    first : labelled frames to begin with.
    label : (structures, group, what they are) → labelled frames.
    sel : room for neighbours, the same in all rounds so that training can go on.
    type_map : element names in the model's order.

    Raises
    ------
    PhysicsError
        If a round visits no frame that could be labelled.
    """
    study, structure, polyhedra, news = work.study, work.structure, work.polyhedra, work.news
    settings = study.learning
    frames, checkpoint = first, None
    rounds: list[dict[str, Any]] = []
    ended = f"the {settings.rounds} rounds asked for are done"
    for number in range(settings.rounds):
        place = work.folder / f"round_{number:02d}"
        trained = train_potential(
            frames,
            study.potential,
            place / "train",
            type_map=type_map,
            seed=study.seed,
            threads=1 if study.deterministic else work.cores,
            steps=settings.steps,
            start_from=checkpoint,
            sel=sel,
            progress=partial(news, f"round {number}: train on {len(frames)} frames"),
        )
        outcomes, visited = _explore(work, trained, place, number, work.shortest(frames))
        whole = _whole_share(visited, structure, polyhedra)
        chosen = choose_frames(visited, structure, settings.labels_per_round)
        if not chosen:
            raise PhysicsError(
                f"round {number}: the potential falls apart before it visits a frame worth labelling; "
                "give more reference.n_frames or learning.steps"
            )
        new = label(chosen, number + 1, f"round {number}: label {len(chosen)} visited frames")
        _, predicted = predict(
            trained.model, new, type_map=type_map, flag=BACKENDS[study.potential.backend][0], threads=work.cores,
            log=place / "predict.log",
        )  # fmt: skip
        gentle = np.abs(new.force_eV_A).max(axis=(1, 2)) < MAX_FORCE_EV_A
        rounds.append(
            {
                "round": number,
                "labels": len(frames),
                "new_labels": int(gentle.sum()),
                "too_violent": int((~gentle).sum()),
                "force_rmse_new_meV_A": force_rmse(new, predicted),
                "intact": whole,
                "ps_survived": min(o.steps for o in outcomes) * study.md.timestep_fs / 1000,
                "stopped": "; ".join(f"{o.id}: {o.ended}" for o in outcomes if o.ended != "complete"),
            }
        )
        write_json(place / "round.json", rounds[-1])
        if gentle.any():
            frames = join_frames([frames, new.take(gentle)])
        checkpoint = trained.checkpoint
        if all(o.ended == "complete" for o in outcomes) and all(
            share >= settings.intact_fraction for share in whole.values()
        ):
            ended = f"MD stayed intact in round {number}"
            break
    assert checkpoint is not None
    return Learned(frames, checkpoint, rounds, ended)


def explore_temperatures(study: Study) -> tuple[float, ...]:
    """Return the temperatures at which the ramps of a round end."""
    if study.learning.temperatures_K:
        return study.learning.temperatures_K
    return (min(study.md.temperatures_K), round(1.2 * max(study.md.temperatures_K)))


def _explore(
    work: LearningWork, trained: Trained, place: Path, number: int, shortest_A: dict[str, float]
) -> tuple[list[Outcome], list[Array]]:
    """Run the ramps of one round; return outcomes and visited positions, (T, N, 3) a run."""
    study, structure, md = work.study, work.structure, work.study.md
    temperatures = explore_temperatures(study)
    layout = choose_layout(
        work.cores,
        len(temperatures),
        ranks=md.ranks,
        threads=md.threads,
        gpus=md.gpus,
        deterministic=study.deterministic,
    )
    mpirun = find_mpirun(layout.ranks)
    jobs = []
    for index, temperature in enumerate(temperatures):
        phases = explore_phases(md, temperature, study.learning.ramp_ps, study.learning.check_ps)
        name = f"{temperature:g}K_r{index}"
        seed = (study.seed * 7919 + number * 101 + index * 13) % 2_000_000_000 + 1

        def render(restart: tuple[str, int] | None, phases=phases, name=name, seed=seed):  # type: ignore[no-untyped-def]
            return render_deck(
                structure, md, phases, id=name, title=f"{study.name}: round {number}, {name}",
                model=str(trained.model.resolve()), elements=type_map_of(structure), seed=seed,
                ranks=layout.ranks, threads=layout.threads, restart=restart,
                shortest_A=shortest_A if md.walls else None,
            )  # fmt: skip

        def watch(folder=place / "explore" / name, temperature=temperature) -> Watch:  # type: ignore[no-untyped-def]
            return Watch(folder, structure, work.polyhedra, 0.0, 0.5 * md.min_distance, temperature)

        made_from = [trained.sha256, md.min_distance]
        jobs.append(Job(place / "explore" / name, render, phases[-1].stop, watch, made_from))

    def progress(state: dict[str, tuple[int, int]]) -> None:
        done, of = sum(s[0] for s in state.values()), sum(s[1] for s in state.values())
        work.news(f"round {number}: explore to {max(temperatures):g} K", done, of, "")

    options = Options(layout, lambda ranks: lmp_command(md, ranks, work.lmp, mpirun), md.gpus)
    outcomes = run_jobs(jobs, options, progress)
    return outcomes, [_visited(job.folder, structure) for job in jobs]


def type_map_of(structure: Structure) -> tuple[str, ...]:
    """Return the elements of a structure in the order of their first atoms."""
    return tuple(dict.fromkeys(structure.symbols))


def _visited(folder: Path, structure: Structure) -> Array:
    """Return the positions a run visited, (T, N, 3), in the frame of `structure`'s cell."""
    files = sorted(folder.glob("*.lammpstrj"), key=lambda p: p.name.split(".")[1])
    try:
        path = read_trajectory(whole_segments(files), temperature_K=1.0, timestep_ps=1.0)
    except InputError:
        return np.zeros((0, len(structure.symbols), 3))
    fractional = path.positions_A @ np.linalg.inv(path.cell_A)
    visited: Array = fractional @ structure.cell_A
    return visited


def _whole_share(visited: list[Array], structure: Structure, polyhedra: list[Polyhedron]) -> dict[str, float]:
    """Return, for each kind of polyhedron, the part of all visited frames in which all are whole."""
    share: dict[str, float] = {}
    for polyhedron in polyhedra:
        whole = [
            intact_frames([polyhedron], structure.symbols, positions, structure.cell_A)[:, 0]
            for positions in visited
            if len(positions)
        ]
        share[str(polyhedron)] = float(np.concatenate(whole).mean()) if whole else 0.0
    return share


def choose_frames(visited: list[Array], structure: Structure, count: int) -> list[Structure]:
    """Choose frames evenly along each run, the cold beginning of its ramp left out.

    Parameters
    ----------
    visited : positions of each run, (T, N, 3).
    structure : symbols and cell.
    count : frames in all.
    """
    chosen: list[Structure] = []
    for positions in visited:
        first = int(SKIPPED_RAMP * len(positions))
        share = min(max(1, round(count / len(visited))), len(positions) - first)
        if share <= 0:
            continue
        for index in np.unique(np.linspace(first, len(positions) - 1, share).astype(int)):
            chosen.append(Structure(structure.symbols, positions[index], structure.cell_A))
    return chosen


def read_rounds(folder: Path) -> list[dict[str, Any]]:
    """Return what the finished rounds in a folder left for the report."""
    rounds = (read_json(path) for path in sorted(folder.glob("round_*/round.json")))
    return [r for r in rounds if r]
