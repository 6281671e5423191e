"""The study file: one TOML table per stage, read into frozen dataclasses.

Each field's `doc` is the one place where a setting is explained; ``ionstride run
--print-defaults`` prints them all.
"""

import dataclasses
import json
import math
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .checks import check_choice, nearest_name
from .errors import FormatError, InputError
from .presets import DEFAULT_PRESET, PRESETS, ROUNDS_PRESET

DESCRIPTORS = ("se_e2_a", "se_e2_a+se_e3", "se_atten", "se_atten_v2", "dpa2", "dpa3", "dpa4")
ATTENTIVE = ("dpa2", "dpa3")
"""Descriptors that pass messages: of the PyTorch and JAX back ends only; dpa4 of PyTorch alone."""
STAGES = ("structure", "reference", "learning", "potential", "md", "transport", "report")


def _set(default: Any, doc: str, choices: tuple[str, ...] = ()) -> Any:
    metadata = {"doc": doc, "choices": choices}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def _net(name: str, doc: str, choices: tuple[str, ...] = ()) -> Any:
    """Return a setting of the net or its training, whose default is the default preset's."""
    value = PRESETS[DEFAULT_PRESET][name]
    return _set(tuple(value) if isinstance(value, list) else value, doc, choices)


@dataclass(frozen=True)
class StructureSettings:
    """``[structure]``: the crystal."""

    file: str = _set("", "CIF, POSCAR or any file ASE reads; empty: first frame of reference.frames")
    supercell: tuple[int, ...] = _set((1, 1, 1), "repetitions along a, b, c, for labels and for MD")
    mobile: str = _set("Li", "the ion whose diffusion is wanted")
    polyhedra: tuple[str, ...] = _set(
        (), "polyhedra that must stay whole, 'centre-ligand:count:cutoff_A'; empty: found in the structure"
    )


@dataclass(frozen=True)
class ReferenceSettings:
    """``[reference]``: labelled frames, from files or from a calculator."""

    frames: tuple[str, ...] = _set(
        (), "a set of 'ionstride dataset import', or files of labelled frames; [] = calculator"
    )
    frame_number: str = _set("", ".npy with each frame's number in its run (for one file of frames)")
    method: str = _set("", "code and functional of the frames, for the record, e.g. 'VASP PBE'")
    calculator: str = _set(
        "chgnet", "'chgnet', 'cp2k', 'vasp', 'siesta', 'espresso', or 'module:function' returning an ASE calculator"
    )
    settings: str = _set("", "TOML of the calculator's settings, see 'ionstride label --print-settings CODE'")
    n_frames: int = _set(100, "rattled and strained cells labelled first")
    rattle_A: float = _set(0.12, "standard deviation of the largest rattle, Å (from a quarter of it upwards)")
    strain: float = _set(0.03, "largest strain component")
    workers: int = _set(0, "labelling processes; 0 = one per core")


@dataclass(frozen=True)
class LearningSettings:
    """``[learning]``: rounds of MD with half-trained potentials, whose frames are labelled.

    Skipped where labelled frames are given.
    """

    rounds: int = _set(3, "largest number of rounds")
    models: int = _set(3, "potentials of different seeds, whose deviation picks frames; 1 = picked evenly")
    preset: str = _set(
        ROUNDS_PRESET,
        "net of the rounds: a preset, cheap since it only explores; empty: the net of [potential]",
        ("", *PRESETS),
    )
    steps: int = _set(2500, "training steps a round, of each model")
    temperatures_K: tuple[float, ...] = _set(
        (), "ramps end at these, colder first, all from the middle round on; [] = those of md and 1.2 x the highest"
    )
    strains: tuple[float, ...] = _set((0.0, -0.03, 0.03), "volume strains of the explored cells, run by run")
    ramp_ps: float = _set(5.0, "length of a ramp from 100 K")
    labels_per_round: int = _set(44, "visited frames labelled a round at most")
    intact_fraction: float = _set(
        0.99, "MD counts as intact when the polyhedra are whole in this part of the frames (vibrations left out)"
    )
    check_ps: float = _set(5.0, "length of the MD at the end of a ramp, which decides")
    proofs: int = _set(
        2,
        "at most so many further rounds, each with one potential of the net of [potential], trained for a quarter of "
        "its steps: MD at the highest temperature of [md] must stay whole, else what it visited is labelled",
    )
    proof_ps: float = _set(20.0, "length of that MD")
    converged: float = _set(
        0.1, "rounds end when no more of the frames at the highest temperature deviate too much, twice running"
    )


@dataclass(frozen=True)
class PotentialSettings:
    """``[potential]``: training of a Deep Potential, or the user's own model."""

    model: str = _set("", "a frozen model of your own: what comes before is skipped")
    model_type_map: tuple[str, ...] = _set((), "elements of that model in its type order, if it does not say")
    preset: str = _set(
        DEFAULT_PRESET,
        "fills in what is not given below; docs/potentials.md has each one's cost and error",
        tuple(PRESETS),
    )
    start_from: str = _set("", "a frozen, uncompressed model of the same net to start the training from (fine-tuning)")
    models: int = _set(1, "potentials of different seeds; replicas of MD use them in turn, so that D has their spread")
    gpus: int = _set(0, "1: training uses the machine's GPU, 0: none (DeePMD-kit must be one that can)")
    backend: str = _net("backend", "DeePMD back end", ("tensorflow", "pytorch", "jax"))
    descriptor: str = _net("descriptor", "descriptor", DESCRIPTORS)
    rcut_A: float = _net("rcut_A", "cut-off")
    rcut_smth_A: float = _net("rcut_smth_A", "where smoothing starts")
    near_rcut_A: float = _net("near_rcut_A", "cut-off of the angular part of se_e2_a+se_e3 and dpa3")
    neuron: tuple[int, ...] = _net("neuron", "embedding net")
    near_neuron: tuple[int, ...] = _net("near_neuron", "embedding net of the angular part of se_e2_a+se_e3")
    axis_neuron: int = _net("axis_neuron", "axis neurons")
    type_one_side: bool = _net("type_one_side", "one embedding net per neighbour element (fewer weights, faster)")
    attention_layers: int = _net("attention_layers", "layers of attention of se_atten (DPA-1)")
    fitting: tuple[int, ...] = _net("fitting", "fitting net")
    precision: str = _net("precision", "weights", ("float32", "float64"))
    steps: int = _net("steps", "training steps")
    batch_size: int = _net("batch_size", "frames a step")
    start_lr: float = _net("start_lr", "first learning rate")
    schedule: str = _net(
        "schedule",
        "learning rate: 'exp' falls all the way, 'wsd' stays for 0.4 of the steps and falls as a cosine",
        ("exp", "wsd"),
    )
    stop_lr: float = _net("stop_lr", "last learning rate")
    start_pref_e: float = _net("start_pref_e", "weight of the energy at the start")
    limit_pref_e: float = _net("limit_pref_e", "and at the end")
    start_pref_f: float = _net("start_pref_f", "weight of the forces at the start")
    limit_pref_f: float = _net("limit_pref_f", "and at the end")
    valid_fraction: float = _set(0.1, "part of the frames held out, by whole runs or blocks of frame number")
    compress: bool = _set(True, "tabulate the embedding net for speed (tensorflow), if that changes no force")
    checkpoint_steps: int = _net("checkpoint_steps", "steps between checkpoints; what a crash can lose")
    patience: int = _set(3, "training ends after so many checkpoints no better on held-out frames; 0 = never")


@dataclass(frozen=True)
class MdSettings:
    """``[md]``: LAMMPS runs, one for each temperature and replica."""

    temperatures_K: tuple[float, ...] = _set((600.0, 800.0, 1000.0), "temperatures")
    replicas: int = _set(1, "independent runs at each temperature")
    supercell: tuple[int, ...] = _set((1, 1, 1), "further repetitions for MD only")
    ensemble: str = _set("nvt", "production ensemble", ("nvt", "nve"))
    timestep_fs: float = _set(1.0, "time step")
    start_K: float = _set(100.0, "temperature of the first velocities")
    ramp_ps: float = _set(4.0, "linear ramp to the temperature")
    equilibration_ps: float = _set(1.0, "at the temperature, before production")
    production_ps: float = _set(100.0, "production")
    frame_ps: float = _set(0.1, "between frames of the dump")
    ion_frame_ps: float = _set(0.0, "between frames of a further dump of the mobile ions alone; 0 = none")
    checkpoint_ps: float = _set(5.0, "between restart files; what a crash can lose")
    thermostat_ps: float = _set(0.1, "Nose-Hoover time constant")
    cell: str = _set("given", "'given', or 'npt': the mean cell at each temperature found first", ("given", "npt"))
    cell_ps: float = _set(10.0, "length of the NPT run that finds the cell")
    pressure_bar: float = _set(0.0, "its pressure")
    min_intact: float = _set(0.9, "a run stops when fewer polyhedra are whole over the last 2 ps; 0 = never")
    min_distance: float = _set(
        0.55,
        "... or when two atoms come nearer than this part of their shortest distance at the start (at most 1.5 x the "
        "sum of their covalent radii)",
    )
    walls: bool = _set(True, "keep atoms from coming nearer than 0.95 x the shortest distance in the reference frames")
    ranks: int = _set(0, "MPI ranks a run; 0 = chosen for the machine")
    threads: int = _set(0, "threads a rank; 0 = chosen")
    gpus: int = _set(0, "GPUs a run: one rank each")
    lmp: str = _set("lmp", "the LAMMPS program")


@dataclass(frozen=True)
class TransportSettings:
    """``[transport]``: from trajectories to D, conductivity and activation energy."""

    fit_ps: tuple[float, ...] = _set((), "first and last lag of the fit of the MSD; [] = found")
    at_K: float = _set(300.0, "temperature of the extrapolation")
    charge_e: float = _set(1.0, "charge of the mobile ion")


@dataclass(frozen=True)
class ReportSettings:
    """``[report]``: the page."""

    title: str = _set("", "title of the page; empty: the study's name")


@dataclass(frozen=True)
class Study:
    """A whole study; `folder` is where relative paths of the file start."""

    name: str = _set("study", "name; an output folder belongs to one study")
    seed: int = _set(1, "of labels, training and velocities")
    deterministic: bool = _set(
        False, "one rank and one thread, whatever the machine: the same numbers on any number of cores"
    )
    cores: int = _set(0, "cores to use; 0 = all")
    structure: StructureSettings = field(default_factory=StructureSettings)
    reference: ReferenceSettings = field(default_factory=ReferenceSettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    potential: PotentialSettings = field(default_factory=PotentialSettings)
    md: MdSettings = field(default_factory=MdSettings)
    transport: TransportSettings = field(default_factory=TransportSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
    folder: Path = field(default=Path(), metadata={"hidden": True})

    def path(self, text: str) -> Path:
        """Return a path of the study file as seen from where we are."""
        return Path(text) if Path(text).is_absolute() else self.folder / text


def load_study(file: Path | None, overrides: list[str] | None = None) -> Study:
    """Read a study file and apply ``key=value`` overrides.

    Parameters
    ----------
    file : TOML file, or None for the defaults alone.
    overrides : ``table.key=value``; the value is TOML, a bare word counts as text.

    Raises
    ------
    InputError
        For an unreadable file, an unknown key (the nearest is named) or a value of the wrong kind.
    """
    tables: dict[str, Any] = {}
    folder = Path()
    if file is not None:
        if not file.is_file():
            raise InputError(f"study file '{file}' is not there")
        try:
            tables = tomllib.loads(file.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise FormatError(file, f"not valid TOML: {error}") from error
        folder = file.parent
    for text in overrides or []:
        _override(tables, text)
    _fill_in_preset(tables.get("potential"))
    study: Study = _build(Study, tables, "")
    _check(study)
    return dataclasses.replace(study, folder=folder)


def net_of_rounds(study: Study) -> PotentialSettings:
    """Return what the potentials of the rounds of learning are trained by: `learning.preset`, or ``[potential]``."""
    name = study.learning.preset
    if not name:
        return study.potential
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in PRESETS[name].items()}
    return dataclasses.replace(study.potential, **(values | {"preset": name, "steps": study.potential.steps}))


def _fill_in_preset(table: Any) -> None:
    """Put a preset's values under the keys of ``[potential]`` that are not given."""
    if isinstance(table, dict) and isinstance(table.get("preset"), str):
        check_choice("potential.preset", table["preset"], tuple(PRESETS))
        for key, value in PRESETS[table["preset"]].items():
            table.setdefault(key, value)


def _check(study: Study) -> None:
    """Raise `InputError` for values that no stage can use."""
    wrong = [
        (study.seed < 0, f"seed = {study.seed}, wanted 0 or more"),
        (study.cores < 0, f"cores = {study.cores}, wanted 0 (all) or more"),
        (study.learning.rounds > 0 and study.learning.steps < 1, "learning.steps must be at least 1"),
        (study.learning.models < 1, f"learning.models = {study.learning.models}, wanted at least 1"),
        (
            study.learning.labels_per_round < 5,
            f"learning.labels_per_round = {study.learning.labels_per_round}, wanted at least 5 (two never train)",
        ),
        (
            study.learning.proofs < 0 or study.learning.proof_ps <= 0,
            "learning.proofs must not be negative, learning.proof_ps must be more than 0",
        ),
        (not study.learning.strains, "learning.strains is empty, wanted [0] for no strain"),
        (any(abs(s) > 0.2 for s in study.learning.strains), "learning.strains must lie within -0.2 and 0.2"),
        (
            not 0 <= study.learning.converged < 1,
            f"learning.converged = {study.learning.converged}, wanted 0 to below 1",
        ),
        (study.potential.steps < 1, f"potential.steps = {study.potential.steps}, wanted at least 1"),
        (study.potential.checkpoint_steps < 1, "potential.checkpoint_steps must be at least 1"),
        *_wrong_net(study.potential),
        (study.potential.gpus not in (0, 1), f"potential.gpus = {study.potential.gpus}, wanted 0 or 1"),
        (study.potential.models < 1, f"potential.models = {study.potential.models}, wanted at least 1"),
        (
            study.potential.descriptor in ATTENTIVE and study.potential.backend == "tensorflow",
            f'potential.descriptor = "{study.potential.descriptor}" is not in the TensorFlow back end; '
            'set potential.backend = "jax" or "pytorch"',
        ),
        (
            study.potential.descriptor == "dpa4" and study.potential.backend != "pytorch",
            f'potential.descriptor = "dpa4" is not in the {study.potential.backend} back end; '
            'set potential.backend = "pytorch"',
        ),
        (
            study.potential.descriptor in ATTENTIVE and study.potential.near_rcut_A >= study.potential.rcut_A,
            f"potential.near_rcut_A = {study.potential.near_rcut_A:g}, wanted below "
            f"rcut_A = {study.potential.rcut_A:g} for {study.potential.descriptor}",
        ),
        (len(study.transport.fit_ps) not in (0, 2), "transport.fit_ps wants two lags in ps, first and last, or []"),
        (study.transport.at_K <= 0, f"transport.at_K = {study.transport.at_K:g}, wanted above 0 K"),
    ]
    for name, repeats in (("structure", study.structure.supercell), ("md", study.md.supercell)):
        bad = len(repeats) != 3 or min(repeats, default=0) < 1
        wrong.append((bad, f"{name}.supercell = {list(repeats)}, wanted three whole numbers from 1"))
    for is_wrong, sentence in wrong:
        if is_wrong:
            raise InputError(sentence)


def _wrong_net(net: PotentialSettings) -> list[tuple[bool, str]]:
    """Return what no net or training can have."""
    above_zero = ("rcut_A", "near_rcut_A", "axis_neuron", "batch_size", "start_lr", "stop_lr")
    return [
        *(
            (getattr(net, name) <= 0, f"potential.{name} = {getattr(net, name):g}, wanted more than 0")
            for name in above_zero
        ),
        *(
            (min(getattr(net, name), default=0) < 1, f"potential.{name} wants layers of 1 neuron or more")
            for name in ("neuron", "near_neuron", "fitting")
        ),
        (
            not 0 <= net.rcut_smth_A < net.rcut_A,
            f"potential.rcut_smth_A = {net.rcut_smth_A:g}, wanted from 0 to below rcut_A = {net.rcut_A:g}",
        ),
        (net.attention_layers < 0 or net.patience < 0, "potential.attention_layers and patience must not be negative"),
        (
            bool(net.start_from) and net.models > 1,
            "potential.start_from with potential.models > 1: all would begin alike, and their spread would be too "
            "small; leave one out",
        ),
    ]


def _override(tables: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts) or len(parts) > 2:
        raise InputError(f"--set {text}: wanted key=value, such as md.production_ps=50")
    try:
        parsed = tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        parsed = value
    # A path given on the command line starts where the user stands, not where the file lies.
    if key in (
        "structure.file",
        "reference.frames",
        "reference.frame_number",
        "reference.settings",
        "potential.model",
        "potential.start_from",
    ):
        if isinstance(parsed, list):
            parsed = [str(Path(p).absolute()) if isinstance(p, str) and p else p for p in parsed]
        elif isinstance(parsed, str) and parsed:
            parsed = str(Path(parsed).absolute())
    table = tables
    if len(parts) == 2:
        table = tables.setdefault(parts[0], {})
        if not isinstance(table, dict):
            raise InputError(f"--set {text}: '{parts[0]}' is no table")
    table[parts[-1]] = parsed


def _build(kind: Any, values: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind) if not f.metadata.get("hidden")}
    built: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            place = f"in [{where}]" if where else "at the top of the study"
            raise InputError(f"unknown key '{key}' {place}{nearest_name(key, list(fields))}")
        name = f"{where}.{key}" if where else key
        if dataclasses.is_dataclass(hints[key]):
            if not isinstance(value, dict):
                raise InputError(f"'{key}' is a table: write [{key}] and its keys below")
            built[key] = _build(hints[key], value, name)
        else:
            built[key] = _convert(name, value, hints[key])
            choices = fields[key].metadata.get("choices")
            if choices:
                check_choice(name, built[key], choices)
    return kind(**built)


def _convert(name: str, value: Any, hint: Any) -> Any:
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        items = value if isinstance(value, list) else [value]
        return tuple(_convert(f"{name}", v, item) for v in items)
    if hint is float and isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{name} = {value}, wanted a finite number")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, types.UnionType):
        hint = typing.get_args(hint)[0]
    if type(value) is not hint:
        words = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
        raise InputError(f"{name} = {value!r} is {words.get(type(value), type(value).__name__)}, wanted {words[hint]}")
    return value


def as_dict(settings: Any) -> dict[str, Any]:
    """Return settings as plain dictionaries, without `folder`."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(settings), default=str))
    plain.pop("folder", None)
    return plain


def as_toml(study: Study) -> str:
    """Return a study as a commented TOML file that reads back to the same settings."""
    lines = _toml_lines(study)
    for stage in STAGES:
        table = getattr(study, stage)
        lines += ["", f"# {(type(table).__doc__ or '').split(':', 1)[1].strip().splitlines()[0]}", f"[{stage}]"]
        lines += _toml_lines(table)
    return "\n".join(lines) + "\n"


def _toml_lines(table: Any) -> list[str]:
    lines = []
    for f in dataclasses.fields(table):
        if "doc" not in f.metadata:
            continue
        value = getattr(table, f.name)
        text = json.dumps(list(value) if isinstance(value, tuple) else value)
        choices = f.metadata["choices"]
        doc = f.metadata["doc"] + (f": {', '.join(choices)}" if choices else "")
        lines.append(f"{f.name} = {text}".ljust(36) + f" # {doc}")
    return lines
