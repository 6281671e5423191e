"""The drift of the total energy at constant energy: of a run that is there, or of a short one made for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..campaign import Job, Layout, Options, Watch, check_lammps, read_thermo, run_jobs
from ..checks import Array
from ..deck import Phase, lmp_command, render_deck
from ..errors import IonstrideError, PhysicsError
from ..potential import compiled_for
from ..records import RunDeck, Structure
from ..results import Estimate
from ..settings import MdSettings
from .subject import MdRun, Model

SETTLE_PS = 0.4
PARTS = 8
FRAME_PS = 0.01


def drift(thermo: Array, atoms: int) -> Estimate:
    """Return the drift of the total energy in meV/atom/ps with a 95 % interval.

    The slope of a line through all, with Student's t times the error of a line through the means of eight equal parts:
    oscillations of the integrator cancel within a part.

    Parameters
    ----------
    thermo : (rows, 15) of the production, time in ps in column 1, total energy in eV in column 5.
    atoms : their number.
    """
    from scipy.stats import t

    time, energy = thermo[:, 1], 1000.0 * thermo[:, 5] / atoms
    slope = float(np.polyfit(time, energy, 1)[0])
    at, level = (np.array([part.mean() for part in np.array_split(v, PARTS)]) for v in (time, energy))
    rest = level - np.polyval(np.polyfit(at, level, 1), at)
    error = float(np.sqrt((rest**2).sum() / (len(at) - 2) / ((at - at.mean()) ** 2).sum()))
    half = float(t.ppf(0.975, len(at) - 2)) * error
    return Estimate(slope, slope - half, slope + half)


def drift_of_run(run: MdRun) -> dict[str, Any] | None:
    """Return the drift of an MD run at constant energy, or None if it is none or has no log."""
    log = run.folder / "log.lammps"
    if run.ensemble != "nve" or not log.is_file() or run.path is None:
        return None
    thermo = read_thermo(log)
    thermo = thermo[thermo[:, 0] * run.timestep_fs / 1000.0 >= run.path.time_ps[0] - 1e-9]
    if len(thermo) < 2 * PARTS:
        return None
    return {
        "run": run.id,
        "ps": float(thermo[-1, 1] - thermo[0, 1]),
        "drift_meV_atom_ps": drift(thermo, len(run.path.symbols)),
    }


def short_run(
    model: Model,
    start: Structure,
    *,
    temperature_K: float,
    length_ps: float,
    timestep_fs: float,
    folder: Path,
    lmp: str,
) -> dict[str, Any]:
    """Run MD at constant energy from a frame, after 0.4 ps with a thermostat; return its drift, or ``why`` not.

    Parameters
    ----------
    model : the potential.
    start : first frame; velocities are drawn anew.
    temperature_K : of the velocities.
    length_ps : of the run at constant energy.
    timestep_fs : time step.
    folder : where it runs.
    lmp : the LAMMPS program.
    """
    md = MdSettings(
        timestep_fs=timestep_fs, start_K=temperature_K, frame_ps=FRAME_PS, checkpoint_ps=max(1.0, length_ps),
        gpus=int(compiled_for(model.path) == "cuda"),
    )  # fmt: skip
    settle, stop = (round(1000.0 * v / timestep_fs) for v in (SETTLE_PS, SETTLE_PS + length_ps))
    phases = [
        Phase("equilibration", "nvt", temperature_K, temperature_K, 0, settle),
        Phase("production", "nve", temperature_K, temperature_K, settle, stop),
    ]
    elements = tuple(dict.fromkeys(start.symbols))

    def render(restart: tuple[str, int] | None) -> RunDeck:
        return render_deck(
            start,
            md,
            phases,
            id=folder.name,
            title="constant energy",
            model=str(model.path),
            elements=elements,
            seed=12345,
            restart=restart,
        )

    try:
        program = str(check_lammps(lmp, folder.parent, 1))
        job = Job(folder, render, stop, lambda: Watch(folder, start, [], 0.0, 0.0, temperature_K))
        options = Options(Layout(1, 1, 1), lambda ranks: lmp_command(md, ranks, program), md.gpus)
        outcome = run_jobs([job], options)[0]
    except IonstrideError as error:
        return {"why": str(error)}
    if outcome.ended != "complete":
        return {"why": f"the run at constant energy stopped: {outcome.ended}"}
    thermo = read_thermo(folder / "log.lammps")
    thermo = thermo[thermo[:, 0] >= settle]
    if len(thermo) < 2 * PARTS:
        return {"why": "the run at constant energy is too short; raise --nve-ps"}
    return {
        "run": folder.name,
        "ps": float(length_ps),
        "timestep_fs": timestep_fs,
        "mean_temperature_K": float(thermo[:, 2].mean()),
        "drift_meV_atom_ps": drift(thermo, len(start.symbols)),
    }


def last_frame(runs: Sequence[MdRun]) -> Structure:
    """Return the last frame of the hottest run as a right-handed structure.

    Raises
    ------
    PhysicsError
        If no run has a frame.
    """
    whole = [run for run in runs if run.path is not None and run.ended == "complete"]
    if not whole:
        raise PhysicsError("no MD run has a whole frame")
    path = max(whole, key=lambda run: run.temperature_K).path
    assert path is not None
    cell = path.cell_A if path.cell_A.ndim == 2 else path.cell_A[-1]
    return Structure(path.symbols, path.positions_A[-1], cell)
