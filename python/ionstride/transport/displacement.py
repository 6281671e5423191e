"""From trajectories to the paths of the mobile ions, framework drift removed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array, check_choice, check_mobile
from ..errors import InputError, PhysicsError
from ..records import Displacements, Trajectory

DRIFTS = ("framework", "all", "none")
_SAME_TIME = 1e-6  # relative tolerance of time grids
_SAME_K = 1e-6  # of temperatures


def displacements(
    trajectories: list[Trajectory],
    mobile: str,
    *,
    charge_e: float = 1.0,
    drift: str = "framework",
) -> Displacements:
    """Return the paths of the mobile ions of one or several runs at one temperature.

    The drift is the plain (not mass-weighted) mean displacement, since the first frame, of the atoms named by
    `drift`: the framework vibrates about its sites, so the mean needs no masses.  Positions stay absolute.

    Parameters
    ----------
    trajectories : independent runs (replicas) of the same cell, one or more; their ions are laid side by side
        and numbered by `run`.  Runs of different length are cut to the shortest.
    mobile : element of the mobile ion.
    charge_e : charge of one mobile ion.
    drift : 'framework' (all atoms of other elements; where there are none, the ions are taken as referred to
        the framework and nothing is removed), 'all' or 'none'.

    Returns
    -------
    Displacements
        `r_A` (n_ions, T, 3) in Å, ion-major.

    Raises
    ------
    InputError
        If the mobile element is absent, the runs differ in composition, temperature or time grid.
    PhysicsError
        If the drift of all atoms is to be removed from data that hold the mobile ions alone.
    """
    if not trajectories:
        raise InputError("no trajectory was given, wanted at least one")
    check_choice("drift", drift, DRIFTS)
    first = trajectories[0]
    for number, run in enumerate(trajectories):
        check_mobile(run.symbols, mobile)
        if sorted(run.symbols) != sorted(first.symbols):
            raise InputError(f"run {number} holds other atoms than run 0; replicas must be of the same cell")
        if abs(run.temperature_K - first.temperature_K) > _SAME_K * first.temperature_K:
            raise InputError(
                f"run {number} is at {run.temperature_K:g} K, run 0 at {first.temperature_K:g} K; "
                "analyse each temperature by itself"
            )
    time_ps = _shared_time([run.time_ps for run in trajectories])
    frames = len(time_ps)
    reference = drift_name(first.symbols, mobile, drift)
    parts = [_path(run, mobile, drift, frames) for run in trajectories]
    n = [len(part) for part in parts]
    r_A = np.concatenate(parts)
    source: dict[str, Any] = {
        "runs": [dict(run.source) for run in trajectories],
        "origin": "absolute unwrapped positions",
        "drift": drift_words(reference),
        "frames_cut_to_the_shortest_run": [len(run.time_ps) - frames for run in trajectories],
    }
    return Displacements(
        r_A=r_A,
        time_ps=time_ps,
        run=np.repeat(np.arange(len(n)), n),
        species=(mobile,) * len(r_A),
        charge_e=np.full(len(r_A), float(charge_e)),
        cell_A=np.mean([run.mean_cell_A for run in trajectories], axis=0),
        volume_A3=float(np.mean([run.volume_A3 for run in trajectories])),
        temperature_K=first.temperature_K,
        drift=reference,
        source=source,
    )


def displacements_from_arrays(
    r_A: Any,
    *,
    dt_ps: float | None = None,
    time_ps: Any = None,
    temperature_K: float,
    cell_A: Any = None,
    volume_A3: float | None = None,
    mobile: str = "Li",
    charge_e: float = 1.0,
    run: Any = None,
    independent_ions: bool = False,
    source: dict[str, Any] | None = None,
) -> Displacements:
    """Return the record of arrays that hold mobile ions alone, taken as referred to the framework.

    Parameters
    ----------
    r_A : (n_ions, T, 3) unwrapped positions in Å.
    dt_ps : time between frames; or
    time_ps : (T) times, uneven or not.
    temperature_K : temperature.
    cell_A : (3, 3) cell vectors as rows; or
    volume_A3 : volume of the cell, a cube of it standing for the cell.
    mobile, charge_e : element and charge of an ion.
    run : (n_ions) number of the run of each ion; all of one run if not given.
    independent_ions : True where ions were made one by one: collective quantities become an error.
    source : provenance.

    Raises
    ------
    InputError
        If neither or both of a pair of alternatives is given, or a shape is wrong.
    """
    r = np.array(r_A, dtype=np.float64, order="C")
    if r.ndim != 3 or r.shape[-1] != 3:
        raise InputError(f"r_A has shape {r.shape}, wanted (ions, frames, 3)")
    if (dt_ps is None) == (time_ps is None):
        raise InputError("give one of dt_ps and time_ps: the time between frames, or the time of each frame")
    if (cell_A is None) == (volume_A3 is None):
        raise InputError("give one of cell_A and volume_A3: a conductivity needs the volume of the cell")
    if dt_ps is not None and not dt_ps > 0.0:
        raise InputError(f"dt_ps = {dt_ps:g}, wanted a positive time between frames")
    even = np.arange(r.shape[1], dtype=np.float64) * (dt_ps or 0.0)
    times = even if dt_ps is not None else np.asarray(time_ps, dtype=np.float64)
    if len(times) != r.shape[1] or not (np.diff(times) > 0).all():
        raise InputError(f"time_ps must increase and hold {r.shape[1]} values, one a frame")
    if cell_A is None:
        if volume_A3 is None or not volume_A3 > 0.0:
            raise InputError(f"volume_A3 = {volume_A3}, wanted a positive volume in Å³")
        cell = np.eye(3) * volume_A3 ** (1.0 / 3.0)
    else:
        cell = np.asarray(cell_A, dtype=np.float64)
    numbers = np.zeros(len(r), dtype=np.int64) if run is None else np.asarray(run, dtype=np.int64)
    return Displacements(
        r_A=r,
        time_ps=times,
        run=numbers,
        species=(mobile,) * len(r),
        charge_e=np.full(len(r), float(charge_e)),
        cell_A=cell,
        volume_A3=abs(float(np.linalg.det(cell))) if volume_A3 is None else float(volume_A3),
        temperature_K=temperature_K,
        drift="none",
        independent_ions=independent_ions,
        source={"origin": "absolute unwrapped positions of ions alone", "drift": "none removed", **(source or {})},
    )


def _shared_time(grids: Sequence[Array]) -> Array:
    frames = min(len(grid) for grid in grids)
    first = grids[0][:frames] - grids[0][0]
    step = first[-1] / (frames - 1)
    for number, grid in enumerate(grids):
        gap = float(np.abs(grid[:frames] - grid[0] - first).max())
        if gap > _SAME_TIME * max(step, first[-1]):
            raise InputError(
                f"run {number} has other times than run 0 (they part by up to {gap:.4g} ps); "
                "replicas must share the time between frames: use --stride, or analyse them one by one"
            )
    return grids[0][:frames] if len(grids) == 1 else np.asarray(first, dtype=np.float64)


def drift_name(symbols: Sequence[str], mobile: str, drift: str) -> str:
    """Return what the drift is removed against: an element list such as 'P, S', 'all' or 'none'.

    Raises
    ------
    PhysicsError
        If the drift of all atoms is to be removed from data that hold the mobile ions alone.
    """
    others = sorted(set(symbols) - {mobile})
    if drift == "framework":
        return ", ".join(others) if others else "none"  # ions alone are taken as referred to the framework
    if drift == "all" and not others:
        raise PhysicsError(
            f"the data hold {mobile} alone: without their own mean the collective diffusion would vanish and the "
            "self-diffusion shrink; use drift='none' for ions already referred to the framework"
        )
    return drift


def drift_words(reference: str) -> str:
    """Return in words how the drift named by `drift_name` was removed."""
    said = {"none": "none removed", "all": "plain mean displacement of all atoms"}
    return said.get(reference, f"plain mean displacement of {reference}")


def drift_atoms(symbols: Sequence[str], mobile: str, drift: str) -> npt.NDArray[np.bool_]:
    """Return which atoms (N) the drift is the mean displacement of; none of them if nothing is removed."""
    chosen = np.array(symbols) == mobile
    atoms: dict[str, npt.NDArray[np.bool_]] = {
        "framework": ~chosen,
        "all": np.ones_like(chosen),
        "none": np.zeros_like(chosen),
    }
    return atoms[drift]


def _path(run: Trajectory, mobile: str, drift: str, frames: int) -> Array:
    chosen = np.array(run.symbols) == mobile
    r = np.array(run.positions_A[:frames, chosen].transpose(1, 0, 2), dtype=np.float64, order="C")
    reference = drift_atoms(run.symbols, mobile, drift)
    if reference.any():
        mean = run.positions_A[:frames, reference].mean(axis=1)
        r -= mean - mean[0]
    return r
