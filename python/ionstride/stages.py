"""The seven stages of a study: each reads what came before from its folder and writes its own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import labels, learning, potential, structure
from .errors import InputError
from .mdstage import make_md
from .records import LabelledFrames, Polyhedron, Structure
from .runrecord import cores, key_of, read_json, tree_hash, write_json
from .settings import Study, as_dict
from .store import load_frames, load_structure, save_frames, save_structure
from .transportstage import make_transport
from .ui import Screen


@dataclass
class Work:
    """A study under way: its settings, its folder and the screen.

    Attributes
    ----------
    study, out, screen : as named.
    inputs : path → SHA-256 of every file of the user's that was read.
    notes : sentences that belong at the top of the report.
    """

    study: Study
    out: Path
    screen: Screen
    inputs: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def folder(self, stage: str) -> Path:
        """Return the folder of a stage."""
        return self.out / stage

    def outputs(self, stage: str) -> dict[str, str]:
        """Return name → SHA-256 of what a finished stage made."""
        record = read_json(self.folder(stage) / "run.json") or {}
        return dict(record.get("outputs", {}))

    def input_hash(self, path: Path) -> str:
        """Return the SHA-256 of a file or folder the user gave, and remember it."""
        if not path.exists():
            raise InputError(f"'{path}' is not there; check the path in the study file")
        if str(path) not in self.inputs:
            self.inputs[str(path)] = tree_hash(path)
        return self.inputs[str(path)]

    @property
    def cores(self) -> int:
        """Cores to use."""
        return min(self.study.cores, cores()) if self.study.cores > 0 else cores()

    @property
    def frame_files(self) -> list[Path]:
        """Files of labelled frames the user gave."""
        return [self.study.path(f) for f in self.study.reference.frames]


@dataclass(frozen=True)
class Stage:
    """A stage: what it depends on, and how it is made.

    Attributes
    ----------
    name : also its folder.
    needs : returns what the outputs depend on; its hash decides whether they are still good.
    make : writes the outputs and returns their names.
    skip : returns why there is nothing to do, or nothing.
    """

    name: str
    needs: Callable[[Work], Any]
    make: Callable[[Work], list[str]]
    skip: Callable[[Work], str]


# --- structure ----------------------------------------------------------------------------------


def _structure_needs(work: Work) -> Any:
    settings = work.study.structure
    if settings.file:
        source = [work.input_hash(work.study.path(settings.file))]
    elif work.frame_files:
        source = [work.input_hash(f) for f in work.frame_files]
    else:
        raise InputError("the study names no crystal: set structure.file, or give reference.frames")
    return [as_dict(settings), source]


def _structure_make(work: Work) -> list[str]:
    settings = work.study.structure
    if settings.file:
        cell = structure.read_structure(work.study.path(settings.file))
    else:
        cell = _first_frame(_read_given_frames(work))
    if len(settings.supercell) != 3 or min(settings.supercell) < 1:
        raise InputError(f"structure.supercell = {list(settings.supercell)}, wanted three whole numbers from 1")
    repeats = (settings.supercell[0], settings.supercell[1], settings.supercell[2])
    cell = structure.make_supercell(cell, repeats)
    if cell.count(settings.mobile) == 0:
        present = ", ".join(sorted(set(cell.symbols)))
        raise InputError(f"structure.mobile = '{settings.mobile}' is not in the structure; present: {present}")
    given = structure.parse_polyhedra(list(settings.polyhedra))
    polyhedra = given or structure.find_polyhedra(cell, settings.mobile)
    folder = work.folder("structure")
    save_structure(cell, folder / "structure.json")
    structure.write_structure(cell, folder / "structure.extxyz")
    write_json(folder / "polyhedra.json", [[p.centre, p.ligand, p.count, p.cutoff_A] for p in polyhedra])
    work.screen.say(
        f"           {formula(cell.symbols)}, {len(cell.symbols)} atoms, {cell.volume_A3:.1f} Å³; "
        f"polyhedra that must stay whole: {', '.join(map(str, polyhedra)) or 'none found'}"
    )
    return ["structure.json", "structure.extxyz", "polyhedra.json"]


def read_polyhedra(work: Work) -> list[Polyhedron]:
    """Return the polyhedra the structure stage wrote."""
    return [Polyhedron(*p) for p in read_json(work.folder("structure") / "polyhedra.json") or []]


def read_cell(work: Work) -> Structure:
    """Return the structure the structure stage wrote."""
    return load_structure(work.folder("structure") / "structure.json")


def _first_frame(frames: LabelledFrames) -> Structure:
    first = int(np.lexsort((frames.frame_number, frames.group))[0])
    return Structure(frames.symbols, frames.positions_A[first], frames.cell_A[first])


def formula(symbols: tuple[str, ...]) -> str:
    """Return a formula such as Li20Ge2P4S24."""
    counts = {s: symbols.count(s) for s in dict.fromkeys(symbols)}
    return "".join(f"{s}{n if n > 1 else ''}" for s, n in counts.items())


# --- reference ----------------------------------------------------------------------------------


def _read_given_frames(work: Work) -> LabelledFrames:
    settings = work.study.reference
    number = work.study.path(settings.frame_number) if settings.frame_number else None
    return labels.read_frames(work.frame_files, frame_number=number, method=settings.method)


def _model_given(work: Work) -> str:
    return "a ready potential is given" if work.study.potential.model else ""


def _reference_needs(work: Work) -> Any:
    settings = work.study.reference
    if work.frame_files:
        files = [work.input_hash(f) for f in work.frame_files]
        number = [work.input_hash(work.study.path(settings.frame_number))] if settings.frame_number else []
        return [files, number, settings.method]
    relevant = {k: v for k, v in as_dict(settings).items() if k != "workers"}
    return [relevant, work.study.seed, work.outputs("structure")["structure.json"]]


def _reference_make(work: Work) -> list[str]:
    settings, folder = work.study.reference, work.folder("reference")
    if work.frame_files:
        frames = _read_given_frames(work)
        note = ""
        units = labels.check_units(frames)
    else:
        note = labels.calculator_note(settings.calculator)
        work.screen.warn(f"labels come from {note}")
        if settings.n_frames < 10:
            raise InputError(f"reference.n_frames = {settings.n_frames}, wanted at least 10")
        cells = labels.rattled_cells(
            read_cell(work), settings.n_frames, settings.rattle_A, settings.strain, work.study.seed
        )
        frames = label(work, cells, 0, f"label {len(cells)} rattled and strained cells")
        units = {}
    save_frames(frames, folder / "frames.npz")
    write_json(
        folder / "reference.json",
        {
            "method": frames.method,
            "note": note,
            "n_frames": len(frames),
            "n_groups": len(np.unique(frames.group)),
            "energy_std_meV_atom": float(1000 * frames.energy_eV.std() / len(frames.symbols)),
            "force_std_eV_A": float(frames.force_eV_A.std()),
            "units_check": units,
        },
    )
    work.screen.say(
        f"           {len(frames)} frames of {formula(frames.symbols)} by {frames.method or 'a method not named'}, "
        f"forces scatter by {frames.force_eV_A.std():.2f} eV/Å"
    )
    return ["frames.npz", "reference.json"]


def label(work: Work, cells: list[Structure], group: int, what: str) -> LabelledFrames:
    """Label structures with the study's calculator, on its cores, through its cache."""
    settings = work.study.reference
    workers = 1 if work.study.deterministic else (settings.workers or work.cores)
    with work.screen.working():
        return labels.label(
            cells,
            settings.calculator,
            cache=work.out / "labels",
            workers=workers,
            seed=work.study.seed,
            group=group,
            progress=lambda done, of: work.screen.news(what, done, of),
        )


# --- learning -----------------------------------------------------------------------------------


def _learning_skip(work: Work) -> str:
    if work.study.potential.model:
        return _model_given(work)
    if work.frame_files:
        return "labelled frames are given"
    return "no rounds are asked for" if work.study.learning.rounds < 1 else ""


def _md_of_learning(work: Work) -> dict[str, Any]:
    md = as_dict(work.study.md)
    return {k: md[k] for k in ("timestep_fs", "frame_ps", "start_K", "thermostat_ps", "min_distance")}


def _net_needs(work: Work) -> dict[str, Any]:
    net = as_dict(work.study.potential)
    return {k: v for k, v in net.items() if k not in ("model", "model_type_map", "steps")}


def _learning_needs(work: Work) -> Any:
    return [
        as_dict(work.study.learning),
        _net_needs(work),
        _md_of_learning(work),
        learning.explore_temperatures(work.study),
        work.study.seed,
        work.outputs("structure"),
        work.outputs("reference")["frames.npz"],
    ]


def _learning_make(work: Work) -> list[str]:
    from .campaign import check_lammps

    folder = work.folder("learning")
    first = load_frames(work.folder("reference") / "frames.npz")
    cell = read_cell(work)
    potential.check_backend(work.study.potential.backend)
    lmp = check_lammps(work.study.md.lmp, folder, work.study.md.ranks)
    type_map = learning.type_map_of(cell)
    started = read_json(folder / "started.json")
    if started != {"key": key_of(_learning_needs(work))}:
        _wipe_rounds(folder)
    write_json(folder / "started.json", {"key": key_of(_learning_needs(work))})
    sel = potential.neighbours_needed(first, type_map, work.study.potential.rcut_A, 1.35)

    def label_visited(cells: list[Structure], group: int, what: str) -> LabelledFrames:
        return label(work, cells, group, what)

    with work.screen.working():
        learned = learning.run_rounds(
            work.study, cell, read_polyhedra(work), first, folder, label=label_visited, sel=sel, type_map=type_map,
            lmp=str(lmp), cores=work.cores, news=work.screen.news,
        )  # fmt: skip
    save_frames(learned.frames, folder / "frames.npz")
    write_json(
        folder / "learning.json",
        {
            "rounds": learned.rounds,
            "ended": learned.ended,
            "checkpoint": str(learned.checkpoint.relative_to(folder)),
            "sel": sel,
        },
    )
    for r in learned.rounds:
        whole = ", ".join(f"{name} {100 * share:.1f} %" for name, share in r["intact"].items())
        work.screen.say(
            f"           round {r['round']}: {r['labels']} labels, {r['force_rmse_new_meV_A']:.0f} meV/Å on newly "
            f"visited frames; whole in {whole or 'no polyhedra'}{'; ' + r['stopped'] if r['stopped'] else ''}"
        )
    work.screen.say(f"           {learned.ended}")
    return ["frames.npz", "learning.json"]


def _wipe_rounds(folder: Path) -> None:
    import shutil

    for place in folder.glob("round_*"):
        shutil.rmtree(place)


# --- potential ----------------------------------------------------------------------------------


def _last_frames(work: Work) -> Path:
    stage = "reference" if _learning_skip(work) else "learning"
    return work.folder(stage) / "frames.npz"


def _potential_needs(work: Work) -> Any:
    settings = work.study.potential
    if settings.model:
        return [
            work.input_hash(work.study.path(settings.model)),
            list(settings.model_type_map),
            work.outputs("structure"),
        ]
    stage = "reference" if _learning_skip(work) else "learning"
    return [as_dict(settings), work.study.seed, work.outputs(stage), work.outputs("structure")]


def _potential_make(work: Work) -> list[str]:
    folder = work.folder("potential")
    cell = read_cell(work)
    if work.study.potential.model:
        return _given_potential(work, folder, cell)
    frames = load_frames(_last_frames(work))
    settings = work.study.potential
    missing = sorted(set(cell.symbols) - set(frames.symbols))
    if missing:
        raise InputError(
            f"the labelled frames have no {', '.join(missing)}, which the structure has; give frames with it"
        )
    type_map = (
        learning.type_map_of(cell) if set(cell.symbols) == set(frames.symbols) else tuple(dict.fromkeys(frames.symbols))
    )
    learned = read_json(work.folder("learning") / "learning.json") if not _learning_skip(work) else None
    start = work.folder("learning") / learned["checkpoint"] if learned else None
    with work.screen.working():
        trained = potential.train_potential(
            frames,
            settings,
            folder / "train",
            type_map=type_map,
            seed=work.study.seed,
            threads=1 if work.study.deterministic else work.cores,
            deterministic=work.study.deterministic,
            start_from=start,
            sel=learned["sel"] if learned else None,
            progress=lambda step, of, text: work.screen.news(f"train on {len(frames)} frames", step, of, text),
        )
        held_out, split = potential.split_frames(frames, settings.valid_fraction, work.study.seed)
        flag = potential.BACKENDS[settings.backend][0]
        errors: dict[str, Any] = {}
        for name, part in (("valid", frames.take(held_out)), ("train", frames.take(_some(~held_out)))):
            energy, force = potential.predict(
                trained.model, part, type_map=type_map, flag=flag, threads=work.cores, log=folder / "test.log"
            )
            errors[name] = potential.errors(part, energy, force)
    lcurve = potential.read_lcurve(folder / "train" / "lcurve.out")
    quality = {
        "source": "trained",
        "descriptor": settings.descriptor,
        "backend": settings.backend,
        "steps": settings.steps,
        "n_train": int((~held_out).sum()),
        "n_valid": int(held_out.sum()),
        "split": split,
        "train_force_rmse_meV_A": errors["train"]["force_rmse_meV_A"],
        "train_energy_rmse_meV_atom": errors["train"]["energy_rmse_meV_atom"],
        "train_s": round(trained.wall_s, 1),
        "lcurve": {name: column.tolist() for name, column in lcurve.items()},
        **errors["valid"],
    }
    write_json(folder / "quality.json", quality)
    model = trained.model.relative_to(folder)
    write_json(
        folder / "potential.json", {"model": str(model), "type_map": list(type_map), "backend": settings.backend}
    )
    outputs = ["quality.json", "potential.json"]
    if trained.model.is_file():
        outputs.append(str(model))
    outputs += _parity_picture(quality, folder)
    work.screen.say(
        f"           held-out frames ({len(frames.take(held_out))}, {split}): energy {quality['energy_rmse_meV_atom']:.2f} "
        f"meV/atom, force {quality['force_rmse_meV_A']:.0f} meV/Å; training frames "
        f"{quality['train_force_rmse_meV_A']:.0f} meV/Å; {trained.wall_s:.0f} s"
    )
    return outputs


def _some(mask: Any, count: int = 200) -> Any:
    """Return up to `count` evenly spread members of a mask."""
    members = np.flatnonzero(mask)
    return members[np.unique(np.linspace(0, len(members) - 1, min(count, len(members))).astype(int))]


def _given_potential(work: Work, folder: Path, cell: Structure) -> list[str]:
    settings = work.study.potential
    model = work.study.path(settings.model)
    backend = potential.backend_of(model)
    type_map = settings.model_type_map or potential.read_type_map(model, folder)
    potential.check_elements(cell.symbols, type_map, model)
    write_json(
        folder / "potential.json",
        {"model": str(model.absolute()), "type_map": list(type_map), "backend": backend},
    )
    write_json(folder / "quality.json", {"source": "given", "backend": backend, "model": str(model)})
    work.screen.say(f"           {model} for {', '.join(type_map)}; its errors are not known here")
    return ["potential.json", "quality.json"]


def _parity_picture(quality: dict[str, Any], folder: Path) -> list[str]:
    from .errors import MissingToolError
    from .report import figures

    p = quality["parity"]
    try:
        figure = figures.parity_figure(
            p["force_ref_eV_A"],
            p["force_model_eV_A"],
            p["element"],
            reference_energy_meV_atom=p["energy_ref_meV_atom"],
            predicted_energy_meV_atom=p["energy_model_meV_atom"],
        )
    except MissingToolError:
        return []
    figures.save(figure, folder / "parity.svg")
    return ["parity.svg"]


# --- md and transport ---------------------------------------------------------------------------


def _md_needs(work: Work) -> Any:
    md = {k: v for k, v in as_dict(work.study.md).items() if k not in ("ranks", "threads", "gpus", "lmp")}
    return [md, work.study.seed, work.outputs("structure"), work.outputs("potential")]


def _md_make(work: Work) -> list[str]:
    described = read_json(work.folder("potential") / "potential.json")
    model = Path(described["model"])
    if not model.is_absolute():
        model = work.folder("potential") / model
    type_map = tuple(described["type_map"])
    cell = read_cell(work)
    potential.check_elements(cell.symbols, type_map, model)
    with work.screen.working():
        return make_md(
            work.study,
            cell,
            read_polyhedra(work),
            model.resolve(),
            work.folder("md"),
            cores=work.cores,
            screen=work.screen,
        )


def _transport_needs(work: Work) -> Any:
    return [as_dict(work.study.transport), work.study.structure.mobile, work.outputs("md")]


def _transport_make(work: Work) -> list[str]:
    return make_transport(
        work.study, work.folder("md"), work.folder("transport"), threads=work.cores, screen=work.screen
    )


STAGE_LIST = (
    Stage("structure", _structure_needs, _structure_make, lambda work: ""),
    Stage("reference", _reference_needs, _reference_make, _model_given),
    Stage("learning", _learning_needs, _learning_make, _learning_skip),
    Stage("potential", _potential_needs, _potential_make, lambda work: ""),
    Stage("md", _md_needs, _md_make, lambda work: ""),
    Stage("transport", _transport_needs, _transport_make, lambda work: ""),
)
"""All stages but the report, which is always made."""
