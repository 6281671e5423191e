"""Settings + structure + template → one LAMMPS run as text."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..checks import Array
from ..errors import InputError, MissingToolError
from ..records import RigidIons, RunDeck, Structure
from ..settings import MdSettings
from ..units import FS_TO_PS
from .typecheck import check_deck_types

SKIN_A = 1.0
CHEAP_SKIN_A = 2.0
"""Rigid ions cost so little that fewer neighbour lists are worth longer ones."""
WALL_EV_A2 = 20.0
WALL_SHARE = 0.95
"""A wall begins at this part of the shortest distance in the reference frames."""
WALL_FARTHEST_A = 3.0


@dataclass(frozen=True)
class Phase:
    """A stretch of a run between two absolute steps.

    Attributes
    ----------
    name : 'ramp', 'equilibration', 'production', 'hold' or 'cell'; names the dump file.
    ensemble : 'nvt', 'nve' or 'npt'.
    from_K, to_K : thermostat at its start and end.
    start, stop : absolute steps.
    """

    name: str
    ensemble: str
    from_K: float
    to_K: float
    start: int
    stop: int


def template_folder() -> Path:
    """Return the folder of the LAMMPS templates: inside the installed package, else in the checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "lammps_inputs", package.parents[1] / "lammps_inputs"):
        if (folder / "md.in.j2").is_file():
            return folder
    raise MissingToolError("the LAMMPS templates are missing from the installation; install ionstride again")


def production_phases(md: MdSettings, temperature_K: float) -> list[Phase]:
    """Return ramp, equilibration and production at a temperature."""
    ramp = steps_of(md.ramp_ps, md)
    equilibrated = ramp + steps_of(md.equilibration_ps, md)
    end = equilibrated + steps_of(md.production_ps, md)
    return [
        Phase("ramp", "nvt", md.start_K, temperature_K, 0, ramp),
        Phase("equilibration", "nvt", temperature_K, temperature_K, ramp, equilibrated),
        Phase("production", md.ensemble, temperature_K, temperature_K, equilibrated, end),
    ]


def cell_phases(md: MdSettings, temperature_K: float) -> list[Phase]:
    """Return ramp and NPT at a temperature, to find the mean cell."""
    ramp = steps_of(md.ramp_ps, md)
    end = ramp + steps_of(md.cell_ps, md)
    return [
        Phase("ramp", "nvt", md.start_K, temperature_K, 0, ramp),
        Phase("cell", "npt", temperature_K, temperature_K, ramp, end),
    ]


def explore_phases(md: MdSettings, temperature_K: float, ramp_ps: float, hold_ps: float = 0.0) -> list[Phase]:
    """Return a ramp that visits all temperatures on its way, and a stay at its end."""
    ramp = steps_of(ramp_ps, md)
    phases = [Phase("ramp", "nvt", md.start_K, temperature_K, 0, ramp)]
    if hold_ps > 0:
        phases.append(Phase("hold", "nvt", temperature_K, temperature_K, ramp, ramp + steps_of(hold_ps, md)))
    return phases


def steps_of(time_ps: float, md: MdSettings) -> int:
    """Return a time in steps."""
    return round(time_ps / (md.timestep_fs * FS_TO_PS))


def check_md(md: MdSettings) -> None:
    """Raise `InputError` for MD settings that cannot be run."""
    wrong = [
        (not md.temperatures_K, "md.temperatures_K is empty, wanted at least one temperature"),
        (any(t <= 0 for t in md.temperatures_K), "md.temperatures_K must all be above 0 K"),
        (
            len(set(md.temperatures_K)) < len(md.temperatures_K),
            "md.temperatures_K names a temperature twice; use md.replicas",
        ),
        (md.replicas < 1, f"md.replicas = {md.replicas}, wanted at least 1"),
        (not 0 < md.timestep_fs <= 5, f"md.timestep_fs = {md.timestep_fs}, wanted 0 < time step <= 5 fs"),
        (md.production_ps <= 0, f"md.production_ps = {md.production_ps}, wanted more than 0"),
        (md.ramp_ps < 0 or md.equilibration_ps < 0, "md.ramp_ps and md.equilibration_ps must not be negative"),
        (md.frame_ps < md.timestep_fs * FS_TO_PS, f"md.frame_ps = {md.frame_ps} is shorter than a time step"),
        (md.production_ps < 20 * md.frame_ps, "md.production_ps holds fewer than 20 frames; lower md.frame_ps"),
        (
            md.ion_frame_ps != 0 and md.ion_frame_ps < md.timestep_fs * FS_TO_PS * (1 - 1e-9),
            f"md.ion_frame_ps = {md.ion_frame_ps} is shorter than a time step; 0 leaves that dump out",
        ),
        (md.checkpoint_ps < md.frame_ps, f"md.checkpoint_ps = {md.checkpoint_ps} is shorter than md.frame_ps"),
    ]
    for is_wrong, sentence in wrong:
        if is_wrong:
            raise InputError(sentence)


def render_deck(
    structure: Structure,
    md: MdSettings,
    phases: list[Phase],
    *,
    id: str,
    title: str,
    model: str,
    elements: tuple[str, ...],
    seed: int,
    others: tuple[str, ...] = (),
    ranks: int = 1,
    threads: int = 1,
    restart: tuple[str, int] | None = None,
    shortest_A: dict[str, float] | None = None,
    rigid_ions: RigidIons | None = None,
    mobile: str = "",
) -> RunDeck:
    """Render one LAMMPS run; nothing is written or started.

    Parameters
    ----------
    structure : atoms; turned into LAMMPS's frame (a along x, b in the xy plane).
    md : the study's ``[md]``.
    phases : what to do; those that end at or before the restart are left out.
    id, title : folder name and heading.
    model : path of the potential as LAMMPS will see it.
    elements : element of each LAMMPS type, in order; for ``pair_coeff`` and the dump.
    seed : of the velocities, 1 … 2³¹−1.
    others : further potentials: `model` alone moves the atoms, and how far the forces of all scatter is written at
        every frame (see `deviation_name`).
    ranks, threads : for ``run.sh``.
    restart : (file name, its step) to go on from.
    shortest_A : shortest distance of each pair ('Li-S') in the reference frames: walls keep atoms from coming much
        nearer, where the potential has seen nothing; None for no walls.
    rigid_ions : this potential instead of `model`.
    mobile : element whose ions get a dump of their own every ``md.ion_frame_ps`` of production; empty for none.

    Returns
    -------
    Files ``in.lammps``, ``data.lmp`` and ``run.sh``.

    Raises
    ------
    InputError
        If the structure has an element not in `elements`, is not neutral in the charges of `rigid_ions`, or all
        atoms are mobile where their paths are wanted from the others'; or if a template muddles the elements.
    """
    import jinja2

    missing = sorted(set(structure.symbols) - set(elements))
    if missing:
        raise InputError(f"element(s) {', '.join(missing)} of the structure are not among {', '.join(elements)}")
    if rigid_ions:
        check_neutral(structure, rigid_ions)
    ions = ion_dump(structure, md, elements, mobile)
    step = restart[1] if restart else 0
    ahead = [
        {
            **dataclasses.asdict(p),
            "text": f"{p.ensemble.upper()}, {p.from_K:g} to {p.to_K:g} K, steps {p.start} to {p.stop}",
            "dump_file": dump_name(p.name, max(step, p.start)),
            "ions_file": f"ions.{max(step, p.start):010d}.dump" if ions and p.name == "production" else "",
            "after": step + 1 if p.start < step else 0,  # the segment before has the frame at the restart
        }
        for p in phases
        if p.stop > step
    ]
    values: dict[str, Any] = {
        "title": title,
        "version": __version__,
        "id": id,
        "data_file": "data.lmp",
        "restart_from": restart[0] if restart else "",
        "model": model,
        "others": list(others),
        "deviation_file": deviation_name(step),
        "elements": list(elements),
        "atom_map": Path(model).suffix in (".savedmodel", ".pt2"),
        "skin_A": CHEAP_SKIN_A if rigid_ions else SKIN_A,
        "walls": walls(elements, shortest_A or {}),
        "rigid_ions": rigid_lines(rigid_ions, elements) if rigid_ions else None,
        "ions": ions,
        "wall_eV_A2": f"{WALL_EV_A2:g}",
        "timestep_ps": f"{md.timestep_fs * FS_TO_PS:.6g}",
        "start_K": f"{md.start_K:g}",
        "velocity_seed": seed,
        "thermo_steps": max(1, steps_of(md.frame_ps, md)),
        "frame_steps": max(1, steps_of(md.frame_ps, md)),
        "restart_steps": max(1, steps_of(md.checkpoint_ps, md)),
        "halt_K": f"{3.0 * max(p.to_K for p in phases) + 1000.0:g}",
        "thermostat_ps": f"{md.thermostat_ps:g}",
        "barostat_ps": f"{10.0 * md.thermostat_ps:g}",
        "pressure_bar": f"{md.pressure_bar:g}",
        "phases": ahead,
        "ranks": max(ranks, md.gpus),
        "threads": threads,
        "gpus": md.gpus,
        "command": " ".join(lmp_command(md, ranks)),
    }
    loader = jinja2.FileSystemLoader(template_folder())
    env = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    try:
        files = {
            "in.lammps": env.get_template("md.in.j2").render(values),
            "run.sh": env.get_template("run.sh.j2").render(values),
        }
    except jinja2.UndefinedError as error:
        raise InputError(f"a LAMMPS template asks for something the deck does not have: {error}") from error
    files["data.lmp"] = data_file(structure, elements, title, rigid_ions.charge_e if rigid_ions else None)
    check_deck_types(files)
    settings = {
        "phases": [dataclasses.asdict(p) for p in phases],
        "timestep_fs": md.timestep_fs,
        "elements": list(elements),
        "seed": seed,
        "restart": list(restart) if restart else None,
    }
    return RunDeck(id=id, files=files, settings=settings)


def walls(elements: tuple[str, ...], shortest_A: dict[str, float]) -> list[dict[str, Any]]:
    """Return the pairs of LAMMPS types that are kept apart, and from where."""
    found = []
    for i, a in enumerate(elements, 1):
        for j, b in enumerate(elements[i - 1 :], i):
            shortest = shortest_A.get(f"{a}-{b}", shortest_A.get(f"{b}-{a}"))
            if shortest is not None:
                at = min(WALL_SHARE * shortest, WALL_FARTHEST_A)
                found.append({"i": i, "j": j, "at_A": f"{at:.4f}", "pair": f"{a}-{b}"})
    return found


def check_neutral(structure: Structure, rigid_ions: RigidIons) -> None:
    """Raise `InputError` if an ion has no charge or the charges do not add up to zero."""
    missing = sorted(set(structure.symbols) - set(rigid_ions.charge_e))
    if missing:
        raise InputError(f"the rigid-ion potential has no charge for {', '.join(missing)}; add it to its charge_e")
    total = sum(rigid_ions.charge_e[s] for s in structure.symbols)
    if abs(total) > 1e-6:
        raise InputError(
            f"the cell has a charge of {total:+.3f} e in the charges of the rigid-ion potential, wanted 0; "
            "check the composition of the structure"
        )


def rigid_lines(rigid_ions: RigidIons, elements: tuple[str, ...]) -> dict[str, Any]:
    """Return what the template needs of a rigid-ion potential; pairs of elements that are not there are left out."""
    pairs = []
    for a, b, *numbers in rigid_ions.pairs:
        if a in elements and b in elements:
            i, j = sorted((elements.index(a) + 1, elements.index(b) + 1))
            pairs.append({"i": i, "j": j, "numbers": " ".join(f"{x:.10g}" for x in numbers), "pair": f"{a}-{b}"})
    return {
        "source": " ".join(rigid_ions.source.split()),
        "cutoff_A": f"{rigid_ions.cutoff_A:g}",
        "coulomb_cutoff_A": f"{rigid_ions.coulomb_cutoff_A:g}",
        "kspace_accuracy": f"{rigid_ions.kspace_accuracy:g}",
        "pairs": pairs,
    }


def ion_dump(structure: Structure, md: MdSettings, elements: tuple[str, ...], mobile: str) -> dict[str, int] | None:
    """Return the LAMMPS type of the mobile ions and the steps between frames of their own dump; None if not wanted."""
    if not mobile or md.ion_frame_ps == 0:
        return None
    if mobile not in structure.symbols or set(structure.symbols) == {mobile}:
        raise InputError(
            f"md.ion_frame_ps wants {mobile} ions among other atoms; the structure has {', '.join(elements)}"
        )
    return {"type": elements.index(mobile) + 1, "steps": max(1, steps_of(md.ion_frame_ps, md))}


def lmp_command(md: MdSettings, ranks: int, lmp: str = "", mpirun: str = "mpirun") -> list[str]:
    """Return the command that runs ``in.lammps``; one rank a GPU where GPUs are asked for."""
    program = [lmp or md.lmp, "-in", "in.lammps", "-log", "log.lammps", "-screen", "none"]
    count = max(ranks, md.gpus)
    return [mpirun, "-np", str(count), *program] if count > 1 else program


def dump_name(phase: str, step: int) -> str:
    """Return the dump file of a phase that begins at `step`; names sort in the order of the run."""
    return f"{phase}.{step:010d}.lammpstrj"


def deviation_name(step: int) -> str:
    """Return the file of model deviation of a segment that begins at `step`; names sort in the order of the run."""
    return f"deviation.{step:010d}.out"


def to_lammps_frame(cell_A: Array) -> Array:
    """Return the (3, 3) lower-triangular cell that LAMMPS wants, the same but for a rotation."""
    a, b, c = cell_A
    lx = np.linalg.norm(a)
    xy = b @ a / lx
    ly = np.sqrt(b @ b - xy**2)
    xz = c @ a / lx
    yz = (b @ c - xy * xz) / ly
    lz = np.sqrt(c @ c - xz**2 - yz**2)
    return np.array([[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]])


def data_file(
    structure: Structure, elements: tuple[str, ...], title: str, charge_e: dict[str, float] | None = None
) -> str:
    """Return a LAMMPS data file; the type of an atom is its element's place in `elements`."""
    from ase.data import atomic_masses, atomic_numbers

    cell = to_lammps_frame(structure.cell_A)
    fractional = np.linalg.solve(structure.cell_A.T, structure.positions_A.T).T
    positions = (fractional - np.floor(fractional)) @ cell
    lines = [
        f"{title} (elements: {' '.join(elements)})",
        "",
        f"{len(structure.symbols)} atoms",
        f"{len(elements)} atom types",
        f"0.0 {cell[0, 0]:.10f} xlo xhi",
        f"0.0 {cell[1, 1]:.10f} ylo yhi",
        f"0.0 {cell[2, 2]:.10f} zlo zhi",
        f"{cell[1, 0]:.10f} {cell[2, 0]:.10f} {cell[2, 1]:.10f} xy xz yz",
        "",
        "Masses",
        "",
    ]
    lines += [f"{i} {atomic_masses[atomic_numbers[e]]:.6f}  # {e}" for i, e in enumerate(elements, 1)]
    lines += ["", f"Atoms  # {'charge' if charge_e else 'atomic'}", ""]
    charge = {s: f" {charge_e[s]:.10g}" if charge_e else "" for s in elements}
    lines += [
        f"{i} {elements.index(s) + 1}{charge[s]} {x:.10f} {y:.10f} {z:.10f}"
        for i, (s, (x, y, z)) in enumerate(zip(structure.symbols, positions, strict=True), 1)
    ]
    return "\n".join(lines) + "\n"
