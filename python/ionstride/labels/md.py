"""One AIMD run of a grid: MD by ASE, every step with its labels on disk before the next begins.

Noise and velocities of a step come from the seed and the step's number alone, so that a run that was interrupted goes
on as if it had not been.
"""

import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..runrecord import file_hash, key_of, lock_folder, read_json, write_json, write_record, write_text
from ..store import load_structure
from .calculators import make_calculator, quiet, set_threads
from .codes import CODES
from .grid import FRAMES_FILE, JOB_FILE, read_job

FAILED = "failed.json"
PROGRESS = "progress.txt"
HOTTEST = (10.0, 5000.0)
"""A run hotter than 10 times its temperature plus 5000 K has blown up."""


def run_job(folder: Path) -> str:
    """Run a job to its end, from where it was.

    Parameters
    ----------
    folder : of the job.

    Returns
    -------
    Nothing if the run is whole, else why it stopped; then failed.json says so too.

    Raises
    ------
    InputError
        If the folder is no job, or another process runs it.
    MissingToolError
        If the calculator is not installed.
    """
    folder = folder.absolute()
    job = read_job(folder)
    with lock_folder(folder):
        if is_done(folder, job):
            return ""
        (folder / FAILED).unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix="ionstride-md-", ignore_cleanup_errors=True) as scratch:
            home = Path.cwd()
            if job["calculator"] in CODES:
                os.chdir(scratch)
            try:
                calculator = make_calculator(job["calculator"], job["settings"])
                set_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
                reason = _run(folder, job, calculator)
                if reason and hasattr(calculator, "keep"):
                    calculator.keep(folder / "output")
                if hasattr(calculator, "fresh"):
                    calculator.fresh()
            finally:
                os.chdir(home)
        if reason:
            write_json(folder / FAILED, {"reason": reason, "step": frames_there(folder) - 1})
        return reason


def is_done(folder: Path, job: dict[str, Any]) -> bool:
    """Tell whether a job's frames are all there and unharmed."""
    record = read_json(folder / "run.json")
    if not record or record.get("key") != key_of(job):
        return False
    frames = folder / FRAMES_FILE
    return frames.is_file() and file_hash(frames) == record["outputs"].get(FRAMES_FILE)


def frames_there(folder: Path) -> int:
    """Return how many whole frames a job has."""
    from ase.io.trajectory import TrajectoryReader

    try:
        with TrajectoryReader(str(folder / FRAMES_FILE)) as reader:  # type: ignore[no-untyped-call]
            return len(reader)
    except Exception:  # not there, or killed while it wrote its first frame: ASE raises many kinds
        return 0


class _Noise:
    """What ASE's Langevin asks for noise; renewed at every step."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)

    def standard_normal(self, size: Any = None) -> Any:
        return self.generator.standard_normal(size)


def _run(folder: Path, job: dict[str, Any], calculator: Any) -> str:
    from ase import units
    from ase.constraints import FixCom
    from ase.io.trajectory import TrajectoryWriter
    from ase.md.langevin import Langevin
    from ase.md.verlet import VelocityVerlet

    begun = time.monotonic()
    atoms, step = _start(folder, job)
    atoms.calc = calculator
    atoms.set_constraint(FixCom())
    noise = _Noise()
    timestep = job["timestep_fs"] * units.fs
    dynamics: Any
    if job["thermostat"] == "langevin":
        friction = job["friction_per_ps"] / (1000.0 * units.fs)
        dynamics = Langevin(
            atoms, timestep, temperature_K=job["temperature_K"], friction=friction, fixcm=False, rng=noise
        )
    else:
        dynamics = VelocityVerlet(atoms, timestep)
    hottest = HOTTEST[0] * job["temperature_K"] + HOTTEST[1]
    mode = "a" if step >= 0 else "w"
    with TrajectoryWriter(str(folder / FRAMES_FILE), mode) as writer:  # type: ignore[no-untyped-call]
        try:
            if step >= 0:
                _give_results(folder, calculator, atoms)
            else:
                with quiet():
                    atoms.get_forces()
                step = 0
                _write(writer, atoms, step, job, 0.0)
            while step < job["steps"]:
                noise.generator = np.random.default_rng([*job["seed"], step + 1])
                at = time.monotonic()
                with quiet():
                    dynamics.step()
                T = float(atoms.get_temperature())
                if np.isnan(T) or hottest <= T:
                    return f"at step {step + 1} the temperature is {T:.0f} K: the run blew up; shorten the time step"
                step += 1
                _write(writer, atoms, step, job, time.monotonic() - at)
                write_text(folder / PROGRESS, f"{step}\n")
        except Exception as error:  # a code that fails must not take the other runs with it
            if isinstance(error, OSError):
                raise
            kind = "" if type(error).__name__ == "CalculationFailed" else f"{type(error).__name__}: "
            return f"step {step + 1}: {kind}{' '.join(str(error).split())[:300]}"
    inputs = {name: file_hash(folder / name) for name in (JOB_FILE, "structure.json")}
    write_record(folder, key_of(job), [FRAMES_FILE], wall_s=time.monotonic() - begun, inputs=inputs, seed=job["seed"])
    return ""


def _start(folder: Path, job: dict[str, Any]) -> tuple[Any, int]:
    """Return the atoms where the run stands, and the number of the last step; −1 before the first."""
    from ase import Atoms, units
    from ase.io import read
    from ase.md.velocitydistribution import Stationary

    structure = load_structure(folder / "structure.json")
    if frames_there(folder):
        last: Any = read(folder / FRAMES_FILE, index=-1, format="traj")
        last.calc = None
        return last, int(last.info["step"])
    atoms: Any = Atoms(list(structure.symbols), positions=structure.positions_A, cell=structure.cell_A, pbc=True)
    random: Any = np.random.default_rng([*job["seed"], 0])
    spread = np.sqrt(atoms.get_masses() * units.kB * job["start_factor"] * job["temperature_K"])
    atoms.set_momenta(spread[:, None] * random.standard_normal((len(atoms), 3)))  # Maxwell and Boltzmann's
    Stationary(atoms)
    return atoms, -1


def _give_results(folder: Path, calculator: Any, atoms: Any) -> None:
    """Tell the calculator the last frame's results, which it would compute again otherwise."""
    from ase.io import read

    last: Any = read(folder / FRAMES_FILE, index=-1, format="traj")
    with contextlib.suppress(AttributeError):
        calculator.atoms = atoms.copy()
        calculator.results = dict(last.calc.results)


def _write(writer: Any, atoms: Any, step: int, job: dict[str, Any], seconds: float) -> None:
    from ase.calculators.singlepoint import SinglePointCalculator

    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces(apply_constraint=False)}
    with contextlib.suppress(Exception):  # a calculator without stress
        results["stress"] = atoms.get_stress(apply_constraint=False)
    for name, value in results.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{name} is not finite")
    frame = atoms.copy()
    frame.set_constraint()
    frame.info = {"step": step, "time_fs": step * job["timestep_fs"], "seconds": round(seconds, 3)}
    frame.calc = SinglePointCalculator(frame, **results)  # type: ignore[no-untyped-call]
    writer.write(frame)
