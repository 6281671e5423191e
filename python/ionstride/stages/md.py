"""The md stage: one LAMMPS run for each temperature and replica, the mean cell first if wanted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import potential
from ..campaign import THERMO_COLUMNS, Job, Options, Outcome, Watch, check_lammps, choose_layout, read_thermo, run_jobs
from ..checks import Array
from ..deck import Phase, cell_phases, check_md, lmp_command, production_phases, render_deck
from ..deck.render import to_lammps_frame
from ..deck.typecheck import check_deck_types, check_restart_types
from ..errors import InputError, PhysicsError
from ..geometry import intact_frames
from ..process import find_mpirun
from ..records import Polyhedron, RunDeck, Structure
from ..runrecord import read_json, write_json
from ..settings import MdSettings, Study, as_dict
from ..structure import make_supercell
from ..trajectory import read_trajectory, whole_segments
from ..ui import Screen
from .work import Work, read_cell, read_polyhedra

WALL_ACTS_EV = 1e-3
Run = tuple[str, float, int, Structure, list[Phase]]


def element_order(structure: Structure) -> tuple[str, ...]:
    """Return the elements of a structure in the order of their first atoms: the LAMMPS types."""
    return tuple(dict.fromkeys(structure.symbols))


def velocity_seed(study: Study, temperature_K: float, replica: int, what: int = 0) -> int:
    """Return the seed of a run's velocities: its own for each temperature, replica and kind of run."""
    words = [study.seed, round(1000 * temperature_K), replica, what]
    return int(np.random.SeedSequence(words).generate_state(1)[0] % 2_000_000_000) + 1


def planned_runs(study: Study, structure: Structure, cells: dict[float, Array] | None = None) -> list[Run]:
    """Return the production runs of a study.

    Parameters
    ----------
    study : settings.
    structure : the study's structure; repeated by ``md.supercell``.
    cells : temperature → mean (3, 3) cell in LAMMPS's frame, where it was found by NPT.

    Returns
    -------
    A list of (id, temperature, replica, structure, phases).
    """
    check_md(study.md)
    base = repeat(structure, study.md)
    runs: list[Run] = []
    for temperature in study.md.temperatures_K:
        here = base if not cells else strained(base, cells[temperature])
        for replica in range(study.md.replicas):
            phases = production_phases(study.md, temperature)
            runs.append((f"{temperature:g}K_r{replica}", temperature, replica, here, phases))
    return runs


def repeat(structure: Structure, md: MdSettings) -> Structure:
    """Return the structure repeated by ``md.supercell``."""
    repeats = md.supercell
    if tuple(repeats) == (1, 1, 1):
        return structure
    return make_supercell(structure, (repeats[0], repeats[1], repeats[2]))


def strained(structure: Structure, cell_A: Array) -> Structure:
    """Return the structure with the same fractional coordinates in another (3, 3) cell."""
    fractional = np.linalg.solve(structure.cell_A.T, structure.positions_A.T).T
    return Structure(structure.symbols, fractional @ cell_A, cell_A)


def study_deck(
    study: Study,
    run: Run,
    model: Path,
    *,
    ranks: int,
    threads: int,
    restart: tuple[str, int] | None = None,
    what: int = 0,
    shortest_A: dict[str, float] | None = None,
) -> RunDeck:
    """Render the deck of one run of a study."""
    id, temperature, replica, structure, phases = run
    rigid = potential.backend_of(model) == potential.RIGID_IONS
    return render_deck(
        structure, study.md, phases, id=id, title=f"{study.name}: {id}", model=str(model),
        elements=element_order(structure), seed=velocity_seed(study, temperature, replica, what),
        ranks=ranks, threads=threads, restart=restart, shortest_A=shortest_A if study.md.walls else None,
        rigid_ions=potential.read_rigid_ions(model) if rigid else None, mobile=study.structure.mobile,
    )  # fmt: skip


@dataclass(frozen=True)
class MdWork:
    """What every run of a study's MD shares.

    Attributes
    ----------
    study, polyhedra, models, folder : the study, what must stay whole, the potentials and where it all goes.
    models_sha256 : content of the potentials: a retrained one under the same name is another.
    type_map : elements the potentials know, in their order.
    shortest_A : shortest distance of each pair in the reference frames; empty where not known.
    lmp : the LAMMPS program, already looked at.
    cores : cores to use.
    screen : where progress is shown.
    """

    study: Study
    polyhedra: list[Polyhedron]
    models: list[Path]
    folder: Path
    models_sha256: list[str]
    type_map: tuple[str, ...]
    shortest_A: dict[str, float]
    lmp: str
    cores: int
    screen: Screen

    def which(self, replica: int) -> int:
        """Return the number of the potential that a replica runs with: each in turn."""
        return replica % len(self.models)


def make_md(work: MdWork, structure: Structure) -> list[str]:
    """Run all MD of a study; returns the names of the outputs in `work.folder`.

    Raises
    ------
    PhysicsError
        If every run went bad; the reasons are told.
    """
    md = work.study.md
    check_md(md)
    cells, strains = _find_cells(work, structure) if md.cell == "npt" else (None, {})
    if md.replicas < len(work.models):
        work.screen.warn(
            f"potential.models = {len(work.models)}, but md.replicas = {md.replicas}: MD does not use all of them; set "
            f"md.replicas = {len(work.models)} or more, so that D has their spread"
        )
    runs = planned_runs(work.study, structure, cells)
    outcomes = _run_all(work, runs, 0)
    rows = [_describe(work, run, outcome) for run, outcome in zip(runs, outcomes, strict=True)]
    for row in rows:
        row["strain"] = strains.get(row["temperature_K"])
    bad = [f"{row['id']}: {row['ended']}" for row in rows if row["ended"] != "complete"]
    for sentence in bad:
        work.screen.warn(f"MD stopped, {sentence}")
    if len(bad) == len(rows):
        raise PhysicsError(
            "no MD run stayed in order (" + "; ".join(bad) + "); the potential needs more or other reference frames, "
            "or the temperatures are too high for it"
        )
    write_json(
        work.folder / "md.json", {"runs": rows, "timestep_fs": md.timestep_fs, "elements": element_order(structure)}
    )
    dumps = [str(p.relative_to(work.folder)) for row in rows for p in production_files(work.folder / row["id"])]
    ions = [str(p.relative_to(work.folder)) for row in rows for p in ion_files(work.folder / row["id"])]
    return ["md.json", *dumps, *ions]


def production_files(run: Path) -> list[Path]:
    """Return the production dumps of a run that hold whole frames, in order."""
    return whole_segments(sorted(run.glob("production.*.lammpstrj")))


def ion_files(run: Path) -> list[Path]:
    """Return the dumps of the mobile ions alone of a run that hold whole frames, in order."""
    return whole_segments(sorted(run.glob("ions.*.dump")))


def _run_all(work: MdWork, runs: list[Run], what: int) -> list[Outcome]:
    study, md = work.study, work.study.md
    one_rank = work.models[0].suffix == ".savedmodel"  # the JAX back end in LAMMPS
    layout = choose_layout(
        work.cores,
        len(runs),
        ranks=1 if one_rank else md.ranks,
        threads=md.threads,
        gpus=md.gpus,
        deterministic=study.deterministic,
    )
    mpirun = find_mpirun(layout.ranks)
    frames_2ps = max(5, round(2.0 / md.frame_ps))

    def job(run: Run) -> Job:
        id, temperature, replica, structure, phases = run
        place, model = work.folder / id, work.which(replica)

        def render(restart: tuple[str, int] | None) -> RunDeck:
            rendered = study_deck(
                study,
                run,
                work.models[model],
                ranks=layout.ranks,
                threads=layout.threads,
                restart=restart,
                what=what,
                shortest_A=work.shortest_A,
            )
            check_deck_types(rendered.files, work.type_map, str(work.models[model]))
            if restart is not None:
                check_restart_types(place / restart[0], rendered.files["data.lmp"])
            return rendered

        return Job(
            place,
            render,
            phases[-1].stop,
            lambda: Watch(place, structure, work.polyhedra, md.min_intact, md.min_distance, temperature, frames_2ps),
            [work.models_sha256[model], md.min_intact, md.min_distance, [str(p) for p in work.polyhedra]],
        )

    def progress(state: dict[str, tuple[int, int]]) -> None:
        for id, (step, stop) in state.items():
            if step > 0:
                work.screen.news(id, step, stop)

    options = Options(layout, lambda ranks: lmp_command(md, ranks, work.lmp, mpirun), md.gpus)
    return run_jobs([job(run) for run in runs], options, progress)


def _find_cells(work: MdWork, structure: Structure) -> tuple[dict[float, Array], dict[float, list[float]]]:
    """Return temperature → mean cell (LAMMPS frame) and → strain (xx, yy, zz, yz, xz, xy) against the given one."""
    md = work.study.md
    base = repeat(structure, md)
    runs: list[Run] = [(f"{t:g}K_cell", t, 0, base, cell_phases(md, t)) for t in md.temperatures_K]
    outcomes = _run_all(work, runs, 1)
    cells: dict[float, Array] = {}
    strains: dict[float, list[float]] = {}
    given = to_lammps_frame(base.cell_A)
    for (id, temperature, _, _, phases), outcome in zip(runs, outcomes, strict=True):
        if outcome.ended != "complete":
            raise PhysicsError(
                f"the NPT run that should find the cell at {temperature:g} K stopped: {outcome.ended}; use md.cell = "
                '"given", or train on strained frames with virials'
            )
        thermo = whole_thermo(work.folder / id)
        second_half = thermo[thermo[:, 0] >= (phases[-1].start + phases[-1].stop) / 2]
        lx, ly, lz, xy, xz, yz = second_half[:, 8:14].mean(axis=0)
        mean = np.array([[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]])
        deformation = np.linalg.solve(given, mean) - np.eye(3)
        e = (deformation + deformation.T) / 2
        cells[temperature] = mean
        strains[temperature] = [float(e[i, j]) for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]
        change = 100 * (np.linalg.det(mean) / np.linalg.det(given) - 1)
        work.screen.say(f"           cell at {temperature:g} K: volume {change:+.2f} % against the given one")
    return cells, strains


def whole_thermo(run: Path) -> Array:
    """Return the thermo rows of a run, (rows, 15), those before an interruption included."""
    parts = [read_thermo(log) for log in [*sorted(run.glob("log.*.before")), run / "log.lammps"]]
    rows = {row[0]: row for part in parts for row in part}  # a step made twice: the later one counts
    return np.array([rows[step] for step in sorted(rows)]).reshape(len(rows), THERMO_COLUMNS)


def _describe(work: MdWork, run: Run, outcome: Outcome) -> dict[str, Any]:
    """Return one run's row of md.json: health and speed."""
    id, temperature, replica, structure, phases = run
    md, production = work.study.md, phases[-1]
    thermo = whole_thermo(work.folder / id)
    thermo = thermo[thermo[:, 0] <= outcome.steps]
    steady = thermo[thermo[:, 0] >= production.start]
    atoms = len(structure.symbols)
    drift = None
    if len(steady) > 2:
        drift = float(1000 * np.polyfit(steady[:, 1], steady[:, 5], 1)[0] / atoms)
    shown = thermo[:: max(1, len(thermo) // 300)]
    return {
        "id": id,
        "temperature_K": temperature,
        "replica": replica,
        "model": work.which(replica),
        "atoms": atoms,
        "production_ps": max(0.0, (min(outcome.steps, production.stop) - production.start) * md.timestep_fs / 1000),
        "timestep_fs": md.timestep_fs,
        "ensemble": md.ensemble,
        "mean_temperature_K": float(steady[:, 2].mean()) if len(steady) else None,
        "energy_drift_meV_atom_ps": drift,
        "wall_share": float((steady[:, 14] > WALL_ACTS_EV).mean()) if len(steady) else None,
        "intact": _intact_share(work.folder / id, structure, work.polyhedra, md.frame_ps),
        "atom_steps_per_s": round(atoms * outcome.steps / outcome.wall_s, 1) if outcome.wall_s > 0 else None,
        "wall_s": outcome.wall_s,
        "ended": outcome.ended,
        "thermo": {
            "time_ps": np.round(shown[:, 1], 4).tolist(),
            "temperature_K": np.round(shown[:, 2], 2).tolist(),
            "potential_eV_atom": np.round(shown[:, 3] / atoms, 6).tolist(),
        },
    }


def _intact_share(place: Path, structure: Structure, polyhedra: list[Polyhedron], frame_ps: float) -> dict[str, float]:
    """Return, for each kind of polyhedron, the part of the production frames in which all are whole."""
    try:
        path = read_trajectory(production_files(place), temperature_K=1.0, timestep_ps=1.0)
    except InputError:
        return {}
    share = intact_frames(polyhedra, structure.symbols, path.positions_A, path.cell_A, frame_ps).mean(axis=0)
    return {str(p): float(s) for p, s in zip(polyhedra, share, strict=True)}


def needs(work: Work) -> Any:
    """Return what the outputs of this stage depend on."""
    md = {k: v for k, v in as_dict(work.study.md).items() if k not in ("ranks", "threads", "gpus", "lmp")}
    return [
        md,
        work.study.seed,
        work.study.deterministic,
        work.outputs("structure"),
        work.outputs("potential")["potential.json"],
    ]


def make(work: Work) -> list[str]:
    """Make the outputs of this stage; return their names."""
    described = read_json(work.folder("potential") / "potential.json")
    models = [work.folder("potential") / name for name in described.get("models", [described["model"]])]
    model = models[0]
    type_map = tuple(described["type_map"])
    cell = read_cell(work)
    potential.check_elements(cell.symbols, type_map, model)
    for one in models:
        potential.check_device(one, work.study.md.gpus)
    style = "pedone" if potential.backend_of(model) == potential.RIGID_IONS else "deepmd"
    ranks = max(work.study.md.ranks, work.study.md.gpus)
    lmp = str(check_lammps(work.study.md.lmp, work.folder("md"), ranks, style))
    with work.screen.working():
        md = MdWork(
            work.study,
            read_polyhedra(work),
            [one.resolve() for one in models],
            work.folder("md"),
            described.get("models_sha256", [described["sha256"]]),
            type_map,
            described.get("shortest_A", {}),
            lmp,
            work.cores,
            work.screen,
        )
        return make_md(md, cell)
