"""A grid of short AIMD runs: temperatures × cells × compositions, each a job that needs nothing but its own folder.

::

    GRID/
      grid.json                      what was planned
      jobs/Li3PS4_600K_v0.970/       one folder a run
        job.json  structure.json     all it needs; POSCAR: the same cell for people
        run.sh                       starts it, or goes on with it
        md.traj                      its frames with labels, written as they come (ASE)
        run.json  or  failed.json    how it ended
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import InputError
from ..records import Structure
from ..runrecord import command_line, read_json, versions, write_json, write_text
from ..store import save_structure
from .calculators import calculator_note, check_calculator
from .codes import CODES

GRID_FILE = "grid.json"
JOB_FILE = "job.json"
FRAMES_FILE = "md.traj"
SCHEMA = "ionstride.grid/1"
THERMOSTATS = ("langevin", "nve")

RUN_SH = """\
#!/bin/sh
# One AIMD run; 'sh run.sh' starts it wherever ionstride is installed, and goes on where it was interrupted.
cd "$(dirname "$0")" && exec "${PYTHON:-python3}" -m ionstride label run .
"""


@dataclass(frozen=True)
class Protocol:
    """How every run of a grid is made.

    Attributes
    ----------
    steps, timestep_fs : length of a run.
    thermostat : 'langevin', or 'nve'.
    friction_per_ps : of the Langevin thermostat.
    start_factor : velocities are drawn at this times the temperature; in a crystal at rest half of it is soon potential
        energy.
    """

    steps: int = 1000
    timestep_fs: float = 1.0
    thermostat: str = "langevin"
    friction_per_ps: float = 10.0
    start_factor: float = 2.0


def check_protocol(protocol: Protocol) -> None:
    """Raise `InputError` for a protocol that cannot be run."""
    if protocol.steps < 1 or not 0.0 < protocol.timestep_fs <= 20.0:
        raise InputError(
            f"steps = {protocol.steps}, timestep = {protocol.timestep_fs:g} fs, wanted one step or more, of up to 20 fs"
        )
    if protocol.thermostat not in THERMOSTATS:
        raise InputError(f"thermostat '{protocol.thermostat}', wanted one of {', '.join(THERMOSTATS)}")
    for name, value in (("friction", protocol.friction_per_ps), ("start factor", protocol.start_factor)):
        if not 0.0 <= value < float("inf"):
            raise InputError(f"{name} {value:g}, wanted a number, not below zero")


def plan_grid(
    compositions: Mapping[str, Structure],
    folder: Path,
    *,
    temperatures_K: Sequence[float],
    volumes: Sequence[float] = (1.0,),
    strains: Mapping[str, Array] | None = None,
    calculator: str = "chgnet",
    settings: Mapping[str, Any] | None = None,
    protocol: Protocol | None = None,
    seed: int = 1,
) -> list[str]:
    """Write the folders of a grid of runs: every temperature with every cell of every composition.

    Parameters
    ----------
    compositions : name → cell.
    folder : where to; a grid of the same plan may stand there, another is refused.
    temperatures_K : temperatures.
    volumes : factors on the volume, the same along all axes.
    strains : name → symmetric strain tensor (3, 3), besides the unstrained cell.
    calculator, settings : see `label_cells`.
    protocol : of the runs.
    seed : of velocities and thermostats; each run has a stream of its own.

    Returns
    -------
    Names of the runs.

    Raises
    ------
    InputError
        If a number is out of range, or the folder holds another grid.
    MissingToolError
        If the calculator is not installed here and is no code (codes may be installed where the jobs will run).
    """
    protocol = protocol or Protocol()
    check_protocol(protocol)
    if calculator not in CODES:
        check_calculator(calculator, settings)
    if seed < 0:
        raise InputError(f"seed {seed}, wanted zero or more")
    if not compositions or not temperatures_K or not volumes:
        raise InputError("a grid wants at least one structure, one temperature and one volume")
    for T in temperatures_K:
        if not 0.0 < T <= 10_000.0:
            raise InputError(f"temperature {T:g} K, wanted above zero and at most 10000 K")
    for factor in volumes:
        if not 0.5 <= factor <= 2.0:
            raise InputError(f"volume factor {factor:g}, wanted 0.5 to 2 (1.03 is 3 % more volume)")
    jobs: dict[str, tuple[dict[str, Any], Structure]] = {}
    for composition, structure in compositions.items():
        for strain_name, strain in {"": np.zeros((3, 3)), **(strains or {})}.items():
            for factor in volumes:
                cell = deformed(structure, factor, strain)
                for T in temperatures_K:
                    name = "_".join(filter(None, (_slug(composition), f"{T:g}K", f"v{factor:.3f}", _slug(strain_name))))
                    job = {
                        "schema": SCHEMA,
                        "name": name,
                        "composition": composition,
                        "temperature_K": float(T),
                        "volume_factor": float(factor),
                        "strain": np.asarray(strain).tolist(),
                        "seed": [int(seed), len(jobs)],
                        "calculator": calculator,
                        "settings": None if settings is None else dict(settings),
                        **asdict(protocol),
                    }
                    if name in jobs:
                        raise InputError(f"two runs of the grid are both called {name}: give each value once")
                    jobs[name] = (job, cell)
    plan = {
        "schema": SCHEMA,
        "calculator": calculator,
        "settings": None if settings is None else dict(settings),
        "protocol": asdict(protocol),
        "seed": seed,
        "jobs": {name: {k: job[k] for k in ("composition", "temperature_K", "volume_factor", "strain", "seed")}
                 for name, (job, _) in jobs.items()},
    }  # fmt: skip
    _refuse_another(folder, plan)
    for name, (job, cell) in jobs.items():
        _write_job(folder / "jobs" / name, job, cell)
    write_json(folder / GRID_FILE, {**plan, "command": command_line(), "versions": versions()})
    return list(jobs)


def deformed(structure: Structure, volume_factor: float, strain: Array) -> Structure:
    """Return a cell with its volume times a factor and a strain on top, the atoms carried along."""
    stretch = volume_factor ** (1.0 / 3.0) * (np.eye(3) + np.asarray(strain))
    return Structure(structure.symbols, structure.positions_A @ stretch, structure.cell_A @ stretch)


def parse_strain(text: str) -> tuple[str, Array]:
    """Read a strain written as ``xx=0.02,xy=0.01``; return its name and its symmetric tensor.

    Raises
    ------
    InputError
        If the text is not of that form, or a component is 0.3 or more.
    """
    tensor = np.zeros((3, 3))
    for part in text.split(","):
        match = re.fullmatch(r"\s*([xyz])([xyz])\s*=\s*([-+]?\d*\.?\d+)\s*", part)
        if match is None or abs(float(match[3])) >= 0.3:
            raise InputError(f"strain '{text}' is not of the form xx=0.02,xy=0.01 with components below 0.3")
        a, b = "xyz".index(match[1]), "xyz".index(match[2])
        tensor[a, b] = tensor[b, a] = float(match[3])
    return text.replace("=", "").replace(",", "_"), tensor


def jobs_of(folder: Path) -> list[Path]:
    """Return the runs of a grid, or the one run that a folder is.

    Raises
    ------
    InputError
        If the folder is neither.
    """
    if (folder / JOB_FILE).is_file():
        return [folder]
    plan = read_json(folder / GRID_FILE)
    if not isinstance(plan, dict) or plan.get("schema") != SCHEMA:
        raise InputError(f"'{folder}' is no grid of runs ({GRID_FILE}); make one with 'ionstride label plan'")
    return [folder / "jobs" / name for name in plan["jobs"]]


def read_job(folder: Path) -> dict[str, Any]:
    """Return what job.json says.

    Raises
    ------
    InputError
        If it is not there or not whole.
    """
    job = read_json(folder / JOB_FILE)
    if not isinstance(job, dict) or job.get("schema") != SCHEMA:
        raise InputError(f"'{folder}' has no readable {JOB_FILE}; plan the grid again")
    return job


def method_of(job: Mapping[str, Any]) -> str:
    """Return the method of a run's labels in words."""
    return calculator_note(str(job["calculator"]), job["settings"])


def _write_job(folder: Path, job: dict[str, Any], cell: Structure) -> None:
    from ase import Atoms
    from ase.io import write

    folder.mkdir(parents=True, exist_ok=True)
    save_structure(cell, folder / "structure.json")
    atoms = Atoms(list(cell.symbols), positions=cell.positions_A, cell=cell.cell_A, pbc=True)
    write(folder / "POSCAR", atoms, format="vasp")
    write_text(folder / "run.sh", RUN_SH)
    (folder / "run.sh").chmod(0o755)
    write_json(folder / JOB_FILE, job)


def _refuse_another(folder: Path, plan: dict[str, Any]) -> None:
    if not folder.exists() or not any(folder.iterdir()):
        return
    there = read_json(folder / GRID_FILE)
    if not isinstance(there, dict):
        raise InputError(f"--out {folder} holds something that is no grid; give another folder")
    if any(there.get(key) != value for key, value in plan.items()):
        raise InputError(f"--out {folder} holds another plan; give another folder, or remove that one")


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip("-")
