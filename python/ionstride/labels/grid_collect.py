"""The frames of a grid's runs as one set: each run a group."""

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..runrecord import file_hash, read_json
from .formats import Part
from .gather import Gathered, Source, gather_parts
from .grid import FRAMES_FILE, jobs_of, method_of, read_job
from .md import FAILED, frames_there, is_done


def collect_grid(folder: Path, *, every: int = 1, skip: int = 0) -> tuple[Gathered, list[dict[str, Any]]]:
    """Read the frames that the runs of a grid have so far, check them and sort them by composition.

    Parameters
    ----------
    folder : of the grid.
    every : frames kept are this many steps apart.
    skip : first steps of each run left out.

    Returns
    -------
    The set, `group` = run and `frame_number` = MD step; and one entry a run: name, composition, temperature_K,
    volume_factor, strain, frames, seconds_per_step, state.

    Raises
    ------
    InputError
        If no run has a frame, or numbers are out of range, or the frames do not pass the checks of a set.
    """
    if every < 1 or skip < 0:
        raise InputError(f"every = {every}, skip = {skip}: wanted every from 1 and skip from 0")
    sources: list[Source] = []
    parts: list[tuple[int, Part]] = []
    runs: list[dict[str, Any]] = []
    methods = set()
    for place in jobs_of(folder):
        job = read_job(place)
        method = method_of(job)
        methods.add(method)
        part, seconds = _frames(place, job, every, skip) if frames_there(place) else (None, [])
        failed = read_json(place / FAILED)
        state = "done" if is_done(place, job) else f"stopped: {failed['reason']}" if failed else "not finished"
        runs.append(
            {
                **{
                    key: job[key] for key in ("name", "composition", "temperature_K", "volume_factor", "strain", "seed")
                },
                "frames": 0 if part is None else len(part),
                "seconds_per_step": float(np.median(seconds)) if seconds else None,
                "state": state,
            }
        )
        if part is None or not len(part):
            continue
        parts.append((len(sources), part))
        sources.append(
            Source(
                path=str(place),
                kind="AIMD run of a grid",
                sha256=file_hash(place / FRAMES_FILE),
                method=method,
                n_read=len(part),
                dropped={},
                frame_ps=job["timestep_fs"] / 1000.0,
                temperature_K=job["temperature_K"],
                notes=() if state == "done" else (state,),
            )
        )
    if not parts:
        raise InputError(f"no run of '{folder}' has a frame yet; run it with 'ionstride label run {folder}'")
    return gather_parts(sources, parts, methods.pop()), runs


def _frames(place: Path, job: dict[str, Any], every: int, skip: int) -> tuple[Part, list[float]]:
    from ase.io import read

    images: list[Any] = read(place / FRAMES_FILE, index=":", format="traj")  # type: ignore[assignment]
    seconds = [float(image.info["seconds"]) for image in images if image.info["step"] > 0]
    chosen = [i for i in images if i.info["step"] >= skip and (i.info["step"] - skip) % every == 0]
    results = [image.calc.results for image in chosen]
    stress = [r.get("stress") for r in results]
    virial = None
    if chosen and all(s is not None for s in stress):
        virial = np.array([-i.get_volume() * i.get_stress(voigt=False) for i in chosen])
    n = len(images[0])
    return Part(
        source=place,
        symbols=tuple(images[0].get_chemical_symbols()),
        positions_A=np.array([i.positions for i in chosen]).reshape(-1, n, 3),
        cell_A=np.array([i.cell.array for i in chosen]).reshape(-1, 3, 3),
        energy_eV=np.array([float(r["energy"]) for r in results]),
        force_eV_A=np.array([r["forces"] for r in results], dtype=np.float64).reshape(-1, n, 3),
        virial_eV=virial,
        frame_number=np.array([i.info["step"] for i in chosen], dtype=np.int64),
        frame_ps=job["timestep_fs"] / 1000.0,
        temperature_K=job["temperature_K"],
    ), seconds
