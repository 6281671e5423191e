"""What is judged: models, labelled frames, runs of the reference in order of time, runs of MD."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import labels, potential
from ..checks import check_mobile
from ..errors import FormatError, InputError, PhysicsError
from ..potential.model import SUFFIXES as ALL_SUFFIXES
from ..records import IntArray, LabelledFrames, Polyhedron, Trajectory
from ..runrecord import file_hash, read_json, tree_hash
from ..store import load_frames
from ..trajectory import read_trajectory, whole_segments
from ..trajectory.assemble import Raw, assemble

SAME_KELVIN = 0.02
"""Relative difference of temperatures that are one."""
OTHER = -1
"""Number of a model that is not among those judged."""
UNKNOWN_SPLIT = "as given: whether they were trained on is not known"
FEWEST_IN_TIME = 50
SUFFIXES = {suffix for suffix, backend in ALL_SUFFIXES.items() if backend != potential.RIGID_IONS}


@dataclass(frozen=True)
class Model:
    """A potential: its file, the elements it knows, and the back end's flag of ``dp``."""

    path: Path
    type_map: tuple[str, ...]
    flag: str


@dataclass(frozen=True)
class Series:
    """A run of the reference in order of time.

    Attributes
    ----------
    name : of the run.
    path : its unwrapped positions.
    rows : (T) its frames among all labelled frames; empty where it has no labels.
    """

    name: str
    path: Trajectory
    rows: IntArray


@dataclass(frozen=True)
class MdRun:
    """A finished run of MD with a potential.

    Attributes
    ----------
    id, temperature_K, folder : as named.
    model : number, among those judged, of the potential that drove it; `OTHER`, or None where not known.
    ended : 'complete', or why it stopped.
    ensemble : of production.
    row : what ``md.json`` says of it.
    path : production, unwrapped; None where there is no whole frame.
    timestep_fs : time step.
    """

    id: str
    temperature_K: float
    folder: Path
    model: int | None
    ended: str
    ensemble: str
    row: dict[str, Any]
    path: Trajectory | None
    timestep_fs: float


@dataclass(frozen=True)
class Subject:
    """All that is judged.

    Attributes
    ----------
    name : of the study, or of the first model.
    models : one or more; the first is the study's own.
    frames : labelled frames of one composition.
    held_out : (F) mask of the frames that were not trained on.
    split : where that mask is from, in words.
    groups : number of a group → its name and temperature in K (or None).
    series, no_series : runs of the reference in order of time; why there is none.
    md, no_md : runs of MD; why there is none.
    mobile : element.
    temperature_K : at which the hops are judged; None if not known.
    polyhedra : what must stay whole.
    inputs : file → SHA-256.
    notes : what should be known, in sentences.
    """

    name: str
    models: tuple[Model, ...]
    frames: LabelledFrames
    held_out: npt.NDArray[np.bool_]
    split: str
    groups: dict[int, tuple[str, float | None]]
    series: tuple[Series, ...]
    no_series: str
    md: tuple[MdRun, ...]
    no_md: str
    mobile: str
    temperature_K: float | None
    polyhedra: tuple[Polyhedron, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def check_models(paths: Sequence[Path]) -> None:
    """Raise `InputError` if a file is not there, is no Deep Potential, or is there twice."""
    for path in paths:
        if not path.exists():
            raise InputError(f"the model '{path}' is not there; give a frozen Deep Potential or a study's folder")
        if path.suffix not in SUFFIXES:
            raise InputError(f"'{path}' is no frozen Deep Potential: those end in {', '.join(sorted(SUFFIXES))}")
    hashes = [tree_hash(path) for path in paths]
    for k, sha in enumerate(hashes):
        if sha in hashes[:k]:
            raise InputError(
                f"the models '{paths[hashes.index(sha)]}' and '{paths[k]}' are the same; an ensemble is of models "
                "that were trained apart"
            )


def open_models(paths: Sequence[Path], folder: Path, type_map: tuple[str, ...] = ()) -> tuple[Model, ...]:
    """Return the models of some files.

    Parameters
    ----------
    paths : frozen models.
    folder : for the log of ``dp``.
    type_map : elements in the models' order, where known; else the models are asked.

    Raises
    ------
    InputError
        If a file is no Deep Potential, is there twice, or does not name its elements.
    """
    check_models(paths)
    models = []
    for path in paths:
        flag = potential.BACKENDS[potential.backend_of(path)][0]
        models.append(Model(path.absolute(), type_map or potential.read_type_map(path, folder), flag))
    return tuple(models)


def in_time(
    frames: LabelledFrames,
    frame_ps: float | None,
    temperature_K: float | None,
    names: dict[int, str],
    own_K: dict[int, float | None],
) -> tuple[tuple[Series, ...], str]:
    """Return the runs among labelled frames that are trajectories, and why there is none if so.

    Parameters
    ----------
    frames : labelled frames.
    frame_ps : time between frame numbers.
    temperature_K : at which D is compared; runs of other temperatures are left out.
    names : of the groups.
    own_K : temperature of each group's run, where it is known.
    """
    found: list[Series] = []
    whys: list[str] = []
    for group in np.unique(frames.group):
        rows = np.flatnonzero(frames.group == group)
        rows = rows[np.argsort(frames.frame_number[rows], kind="stable")]
        number = frames.frame_number[rows]
        kelvin = own_K.get(int(group))
        if kelvin is not None and temperature_K is not None and abs(kelvin / temperature_K - 1.0) > SAME_KELVIN:
            whys.append(f"{names[int(group)]} is a run at {kelvin:g} K, not at {temperature_K:g} K")
            continue
        if len(rows) < FEWEST_IN_TIME:
            whys.append(f"{names[int(group)]} has {len(rows)} frames, wanted {FEWEST_IN_TIME} or more in order of time")
            continue
        if frame_ps is None:
            whys.append("the time between frame numbers is not known (--frame-step-ps)")
            continue
        if (np.diff(number) <= 0).any():
            whys.append(f"the frames of {names[int(group)]} are in no order of time: frame numbers repeat")
            continue
        try:
            path = _assembled(frames, rows, frame_ps, kelvin or temperature_K or 300.0, names[int(group)])
        except (PhysicsError, InputError) as error:
            whys.append(f"{names[int(group)]} is no trajectory: {error}")
            continue
        found.append(Series(names[int(group)], path, rows.astype(np.int64)))
    return tuple(found), "" if found else "; ".join(dict.fromkeys(whys[:3]))


def _assembled(
    frames: LabelledFrames, rows: npt.NDArray[Any], frame_ps: float, temperature_K: float, name: str
) -> Trajectory:
    number = frames.frame_number[rows]
    raw = Raw(
        symbols=frames.symbols,
        positions_A=frames.positions_A[rows],
        cell_A=frames.cell_A[rows],
        origin_A=np.zeros((len(rows), 3)),
        time_ps=(number - number[0]) * frame_ps,
        unwrapped=False,
        notes={"format": "labelled frames", "files": [name], "time": f"frame number x {frame_ps * 1000:g} fs"},
    )
    return assemble(
        raw, temperature_K=temperature_K, start=None, stop=None, stride=1, unwrap="auto", why_no_time="", frame_ps=None
    )


def open_md(folders: Sequence[Path], temperature_K: float | None = None) -> tuple[MdRun, ...]:
    """Return the runs of MD in folders: a study's ``md`` folder, or single runs with their production dumps.

    Raises
    ------
    InputError
        If a folder holds no run, or the temperature of one is not known.
    """
    runs: list[MdRun] = []
    for folder in folders:
        described = read_json(folder / "md.json")
        if described:
            runs += [_md_run(folder / row["id"], row, described, temperature_K) for row in described["runs"]]
            continue
        if not any(folder.glob("production.*.lammpstrj")):
            raise InputError(f"'{folder}' holds no MD: wanted production.*.lammpstrj in it, or a study's md folder")
        described = read_json(folder.parent / "md.json") or {"runs": []}
        row: dict[str, Any] = next((r for r in described["runs"] if r["id"] == folder.name), {})
        runs.append(_md_run(folder, row, described, temperature_K))
    return tuple(runs)


def _md_run(folder: Path, row: dict[str, Any], described: dict[str, Any], temperature_K: float | None) -> MdRun:
    kelvin = row.get("temperature_K") or temperature_K
    if kelvin is None:
        raise InputError(f"the temperature of the MD run '{folder}' is not known: give --temperature")
    timestep = row.get("timestep_fs") or described.get("timestep_fs") or _deck_timestep_fs(folder)
    files = whole_segments(sorted(folder.glob("production.*.lammpstrj")))
    path = None
    if files:
        try:
            path = read_trajectory(files, temperature_K=kelvin, timestep_ps=timestep / 1000.0)
        except InputError:
            if row.get("ended", "complete") == "complete":
                raise
    model = row.get("model")
    return MdRun(
        id=folder.name,
        temperature_K=float(kelvin),
        folder=folder,
        model=model if isinstance(model, int) else None,
        ended=str(row.get("ended", "complete")),
        ensemble=str(row.get("ensemble", "nvt")),
        row=row,
        path=path,
        timestep_fs=float(timestep),
    )


def driven(runs: Sequence[MdRun], hashes: Sequence[str]) -> tuple[MdRun, ...]:
    """Return runs with the number of their potential among some models, told by its content.

    Parameters
    ----------
    runs : with the number of their own study's potential.
    hashes : of the models that are judged.
    """
    found = []
    for run in runs:
        described = read_json(run.folder.absolute().parent.parent / "potential" / "potential.json") or {}
        own = described.get("models_sha256") or [described.get("sha256", "")]
        number = run.model or 0
        sha = own[number] if number < len(own) else ""
        known = hashes.index(sha) if sha in hashes else OTHER
        found.append(replace(run, model=known if sha else None))
    return tuple(found)


def _deck_timestep_fs(folder: Path) -> float:
    deck = folder / "in.lammps"
    found = re.search(r"^timestep\s+(\S+)", deck.read_text() if deck.is_file() else "", re.M)
    if not found:
        raise InputError(f"the time step of the MD run '{folder}' is not known: it has no in.lammps and no md.json")
    return 1000.0 * float(found[1])


def from_study(
    out: Path,
    scratch: Path,
    *,
    mobile: str | None = None,
    temperature_K: float | None = None,
    frame_ps: float | None = None,
) -> Subject:
    """Return all that is found in a study's folder.

    Parameters
    ----------
    out : the folder, with ``potential/potential.json`` in it.
    scratch : for logs.
    mobile, temperature_K, frame_ps : instead of what the study says, or where it does not.

    Raises
    ------
    InputError
        If there is no study, no trained potential or no frames in it.
    """
    study = read_json(out / "study.json")
    described = read_json(out / "potential" / "potential.json")
    if not study or not described:
        missing = "study.json" if not study else "potential/potential.json"
        raise InputError(f"'{out}' holds no study with a potential ({missing} is missing); run `ionstride run` first")
    settings = study["settings"]
    if described["backend"] == potential.RIGID_IONS:
        raise InputError(f"the potential of '{out}' is of rigid ions; what is judged here is a Deep Potential")
    listed = described.get("models") or [described["model"]]
    paths = [Path(p) if Path(p).is_absolute() else out / "potential" / p for p in listed]
    models = open_models(paths, scratch, tuple(described["type_map"]))
    net, given = settings["potential"], bool(settings["reference"]["frames"])
    # A folder of learning may be left from before the study was changed.
    learned_here = not given and not net.get("model") and settings.get("learning", {}).get("rounds", 1) > 0
    learning = learned_here and (out / "learning" / "frames.npz").is_file()
    place = out / ("learning" if learning else "reference") / "frames.npz"
    if not place.is_file():
        raise InputError(f"'{out}' holds no labelled frames; give them: ionstride judge MODEL --frames …")
    try:
        frames = load_frames(place)
    except (OSError, ValueError, KeyError) as error:
        raise FormatError(place, f"is no file of labelled frames ({error})") from error
    held_out, split = potential.split_frames(frames, net["valid_fraction"], settings["seed"])
    learned = read_json(out / "learning" / "learning.json") if learning else None
    if learned and "held_out" in learned:
        held_out, split = np.isin(np.arange(len(frames)), learned["held_out"]), "held out in all rounds of learning"
    if net.get("model"):
        held_out, split = np.ones(len(frames), dtype=np.bool_), UNKNOWN_SPLIT
    files = [str(Path(study.get("folder", ""), file)) for file in settings["reference"]["frames"]]
    names = _group_names(frames, learning, files)
    if frame_ps is None:
        frame_ps = _set_frame_ps(files)
    own_K = {} if learning else _set_kelvins(files)
    runs = open_md([out / "md"], temperature_K) if (out / "md" / "md.json").is_file() else ()
    kelvins = sorted({run.temperature_K for run in runs})
    if temperature_K is None and len(kelvins) == 1:
        temperature_K = kelvins[0]
    ion = mobile or settings["structure"]["mobile"]
    if learning or not settings["reference"]["frames"]:
        series: tuple[Series, ...] = ()
        why = (
            "the labelled frames are rattled cells and frames picked from exploring runs, not a run in order of time: "
            "give one with --reference"
        )
    else:
        series, why = in_time(frames, frame_ps, temperature_K, names, own_K)
    polyhedra = tuple(Polyhedron(*p) for p in read_json(out / "structure" / "polyhedra.json") or [])
    return Subject(
        name=str(study["name"]),
        models=models,
        frames=frames,
        held_out=held_out,
        split=split,
        groups={g: (name, own_K.get(g)) for g, name in names.items()},
        series=series,
        no_series=why,
        md=runs,
        no_md="" if runs else "the study has no MD yet",
        mobile=ion,
        temperature_K=temperature_K,
        polyhedra=polyhedra,
        inputs={str(place): file_hash(place), **{str(m.path): tree_hash(m.path) for m in models}},
    )


def _group_names(frames: LabelledFrames, learning: bool, files: Sequence[str]) -> dict[int, str]:
    names = {}
    for group in (int(g) for g in np.unique(frames.group)):
        if learning:
            names[group] = "frames to begin with" if group == 0 else f"iteration {group}"
        elif len(files) > group and len(np.unique(frames.group)) <= len(files):
            names[group] = Path(files[group]).name
        else:
            names[group] = f"run {group}" if files else "rattled and strained cells"
    return names


def _set_frame_ps(files: Sequence[str]) -> float | None:
    """Return the time between frame numbers where the study's frames are one set that says it."""
    if len(files) != 1 or not (Path(files[0]) / labels.SET_FILE).is_file():
        return None
    known = {source.frame_ps for source in labels.load_set(Path(files[0])).sources}
    return known.pop() if len(known) == 1 else None


def _set_kelvins(files: Sequence[str]) -> dict[int, float | None]:
    """Return group → temperature of its run, where the study's frames are one set, which says it."""
    if len(files) != 1 or not (Path(files[0]) / labels.SET_FILE).is_file():
        return {}
    return {g: source.temperature_K for g, source in enumerate(labels.load_set(Path(files[0])).sources)}


def from_files(
    model_files: Sequence[Path],
    frame_files: Sequence[Path],
    scratch: Path,
    *,
    mobile: str,
    temperature_K: float,
    frame_number: Path | None = None,
    frame_ps: float | None = None,
    md_folders: Sequence[Path] = (),
    valid_fraction: float | None = None,
    seed: int = 1,
    method: str = "",
) -> Subject:
    """Return what is judged from files.

    Parameters
    ----------
    model_files : frozen models, the first the one that is meant.
    frame_files : sources of labelled frames, as `labels.gather` takes them.
    scratch : for logs.
    mobile, temperature_K : of the ions and of the runs.
    frame_number, frame_ps : number of each frame, and the time between frame numbers.
    md_folders : runs of MD.
    valid_fraction, seed : the split of training, if the frames are those of training; None: not known.
    method : of frames that do not say theirs.
    """
    check_models(model_files)  # what is quickly seen comes before what takes time
    gathered = labels.gather(
        frame_files, method=method, frame_number=frame_number, frame_ps=frame_ps, temperature_K=temperature_K
    )
    check_mobile([s for f in gathered.compositions.values() for s in f.symbols], mobile)
    models = open_models(model_files, scratch)
    runs = driven(open_md(md_folders, temperature_K) if md_folders else (), [tree_hash(m.path) for m in models])
    known = set(models[0].type_map)
    notes = [note for note in gathered.notes if not note.startswith("no source says its method")]
    fitting = {name: f for name, f in gathered.compositions.items() if set(f.symbols) <= known}
    if not fitting:
        present = sorted({s for f in gathered.compositions.values() for s in f.symbols})
        potential.check_elements(tuple(present), models[0].type_map, models[0].path)
    name, frames = max(fitting.items(), key=lambda item: len(item[1]))
    if len(gathered.compositions) > 1:
        notes.append(f"of {len(gathered.compositions)} compositions {name} is judged, which has the most frames")
    short = {int(g): Path(gathered.sources[int(g)].path).name for g in np.unique(frames.group)}
    if len(set(short.values())) < len(short):
        short = {g: f"{g}: {Path(gathered.sources[g].path).parent.name}/{text}" for g, text in short.items()}
    if valid_fraction is None:
        held_out, split = np.ones(len(frames), dtype=np.bool_), UNKNOWN_SPLIT
    else:
        held_out, split = potential.split_frames(frames, valid_fraction, seed)
    steps = {gathered.sources[g].frame_ps for g in short}
    step = frame_ps or (steps.pop() if len(steps) == 1 else None)
    own_K = {g: gathered.sources[g].temperature_K for g in short}
    series, why = in_time(frames, step, temperature_K, short, own_K)
    return Subject(
        name=model_files[0].name,
        models=models,
        frames=frames,
        held_out=held_out,
        split=split,
        groups={g: (text, own_K[g]) for g, text in short.items()},
        series=series,
        no_series=why,
        md=runs,
        no_md="" if runs else "no MD was given (--md)",
        mobile=mobile,
        temperature_K=temperature_K,
        inputs={
            **{s.path: s.sha256 for s in gathered.sources},
            **{str(m.path): tree_hash(m.path) for m in models},
        },
        notes=tuple(notes),
    )


def reference_given(files: Sequence[Path], *, temperature_K: float, mobile: str, **reading: Any) -> tuple[Series, ...]:
    """Return a trajectory of the reference method, without labels, as a run in order of time."""
    path = read_trajectory(files, temperature_K=temperature_K, mobile=mobile, **reading)
    return (Series(Path(files[0]).name, path, np.zeros(0, dtype=np.int64)),)
