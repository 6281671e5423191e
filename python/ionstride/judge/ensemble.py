"""How far the models of an ensemble disagree on frames of MD, and D without the stretches where they disagree much."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import transport
from ..checks import Array
from ..errors import InputError, PhysicsError
from ..records import LabelledFrames, Trajectory
from .diffusion import described

MOST_FRAMES = 300
LEVEL = 99.9
STRETCHES = 5


def deviation(forces: Sequence[Array]) -> Array:
    r"""Return the largest model deviation of the force in each frame, (F) in eV/Å.

    .. math:: \max_i \sqrt{\langle |F_i - \langle F_i \rangle|^2 \rangle}

    the mean over the models, as in DP-GEN (doi 10.1016/j.cpc.2020.107206).

    Parameters
    ----------
    forces : (F, N, 3) of each model.
    """
    stacked = np.stack(forces)
    spread = ((stacked - stacked.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0)
    largest: Array = np.sqrt(spread).max(axis=-1)
    return largest


def as_frames(path: Trajectory, rows: Any) -> LabelledFrames:
    """Return frames of a run as labelled frames whose labels are zero, for a potential to predict."""
    count, atoms = len(rows), len(path.symbols)
    return LabelledFrames(
        symbols=path.symbols,
        positions_A=path.positions_A[rows],
        cell_A=np.broadcast_to(path.cell_A, (len(path.time_ps), 3, 3))[rows],
        energy_eV=np.zeros(count),
        force_eV_A=np.zeros((count, atoms, 3)),
        group=np.zeros(count, dtype=np.int64),
        frame_number=np.asarray(rows, dtype=np.int64),
        method="none",
    )


def without_stretches(
    paths: Sequence[Trajectory], seen: Sequence[tuple[Array, Array]], level_eV_A: float, mobile: str, threads: int = 0
) -> dict[str, Any]:
    """Return D of all stretches of the runs, and of those alone in which no frame looked at was above a level.

    Each run is cut into five equal stretches, so that both D are of runs of one length.

    Parameters
    ----------
    paths : runs of one temperature.
    seen : for each run, the frames looked at and their deviation.
    level_eV_A : the level.
    mobile : element.
    threads : of the kernels.
    """
    every, calm = [], []
    for path, (rows, values) in zip(paths, seen, strict=True):
        length = len(path.time_ps) // STRETCHES
        if length < 20:
            return {"why": f"a run of {len(path.time_ps)} frames cannot be cut into {STRETCHES} stretches"}
        for k in range(STRETCHES):
            part = _part(path, k * length, (k + 1) * length)
            every.append(part)
            inside = (rows >= k * length) & (rows < (k + 1) * length)
            if not (values[inside] > level_eV_A).any():
                calm.append(part)
    found: dict[str, Any] = {"n_stretches": len(every), "n_left": len(calm)}
    if len(calm) == len(every):
        return {**found, "why": "no stretch was above the level, so nothing is left out"}
    if not calm:
        return {**found, "why": "every stretch was above the level, so nothing is left"}
    try:
        for name, parts in (("all", every), ("without", calm)):
            moved = transport.displacements(parts, mobile)
            row = described(moved, transport.fit_diffusivity(moved, None, threads), threads)
            found[name] = {key: row[key] for key in ("D_cm2_s", "verdict", "n_runs", "time_ps")}
    except (PhysicsError, InputError) as error:
        return {"n_stretches": len(every), "n_left": len(calm), "why": str(error)}
    return found


def _part(path: Trajectory, start: int, stop: int) -> Trajectory:
    cell = path.cell_A if path.cell_A.ndim == 2 else path.cell_A[start:stop]
    time = path.time_ps[start:stop]
    return Trajectory(
        path.symbols, path.positions_A[start:stop], cell, time - time[0], path.temperature_K, dict(path.source)
    )
