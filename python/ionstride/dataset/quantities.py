"""Numbers of the frames of one composition: energies, forces, volumes, pressures, distances, outliers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..errors import PhysicsError
from ..geometry import shortest_distances
from ..mechanism import radial_distribution
from ..records import LabelledFrames, Trajectory

GPA_PER_EV_A3 = 160.21766208
RDF_FRAMES = 60
RDF_REACH_A = 8.0
OUTLIER_SIGMAS = 6.0
MOST_OUTLIERS = 12
FRAMES_FOR_DISTANCES = 400


def even_choice(count: int, most: int) -> npt.NDArray[np.int64]:
    """Return up to `most` of `count` indices, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def spread(values: Array) -> dict[str, float]:
    """Return mean, standard deviation, least, median and largest of values."""
    return {
        "mean": float(values.mean()),
        "std": float(values.std()),
        "min": float(values.min()),
        "median": float(np.median(values)),
        "max": float(values.max()),
    }


def energies(frames: LabelledFrames) -> Array:
    """Return energies per atom in eV, (F)."""
    per_atom: Array = frames.energy_eV / len(frames.symbols)
    return per_atom


def volumes(frames: LabelledFrames) -> Array:
    """Return volumes per atom in Å³, (F)."""
    per_atom: Array = np.abs(np.linalg.det(frames.cell_A)) / len(frames.symbols)
    return per_atom


def pressures(frames: LabelledFrames) -> Array:
    """Return the pressure tr W / 3V of the frames that have a virial in GPa, without the kinetic part."""
    known = frames.has_virial
    if frames.virial_eV is None:
        return np.zeros(0)
    volume = np.abs(np.linalg.det(frames.cell_A[known]))
    found: Array = np.trace(frames.virial_eV[known], axis1=1, axis2=2) / (3.0 * volume) * GPA_PER_EV_A3
    return found


def forces_by_element(frames: LabelledFrames) -> dict[str, dict[str, float]]:
    """Return for each element the rms of a force component and the largest |F| in eV/Å."""
    names = np.asarray(frames.symbols)
    found = {}
    for name in dict.fromkeys(frames.symbols):
        force = frames.force_eV_A[:, names == name]
        found[name] = {
            "n_atoms": int((names == name).sum()),
            "rms_component_eV_A": float(np.sqrt((force**2).mean())),
            "largest_eV_A": float(np.linalg.norm(force, axis=-1).max()),
        }
    return found


def histogram(values: Array) -> dict[str, list[float]]:
    """Return counts over evenly spaced edges that hold all but the wildest thousandth at either end."""
    low, high = np.percentile(values, [0.1, 99.9])
    if not high > low:
        low, high = low - 0.5, high + 0.5
    bins = int(np.clip(2.0 * np.sqrt(len(values)), 10, 60))
    counts, edges = np.histogram(np.clip(values, low, high), bins=bins, range=(low, high))
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def distances(frames: LabelledFrames) -> dict[str, float]:
    """Return the shortest distance in Å of each pair of elements ('Li-S') in up to 400 frames, evenly chosen."""
    chosen = even_choice(len(frames), FRAMES_FOR_DISTANCES)
    found = shortest_distances(frames.symbols, frames.positions_A[chosen], frames.cell_A[chosen])
    return {f"{a}-{b}": float(d) for (a, b), d in found.items()}


def pair_curves(frames: LabelledFrames) -> dict[str, dict[str, list[float]]]:
    """Return g(r) of each pair of elements over up to 60 frames, evenly chosen."""
    chosen = even_choice(len(frames), RDF_FRAMES)
    if len(chosen) < 2:
        return {}
    path = Trajectory(
        symbols=frames.symbols,
        positions_A=frames.positions_A[chosen],
        cell_A=frames.cell_A[chosen],
        time_ps=np.arange(len(chosen), dtype=np.float64),
        temperature_K=1.0,
    )
    elements = sorted(set(frames.symbols))
    curves = {}
    for i, a in enumerate(elements):
        for b in elements[i:]:
            if a == b and frames.symbols.count(a) < 2:
                continue
            try:
                found = radial_distribution(path, a, b, r_max_A=RDF_REACH_A, stride=1)
            except PhysicsError:
                continue
            curves[f"{a}-{b}"] = {"r_A": found.r_A.tolist(), "g": found.g.tolist()}
    return curves


def outliers(frames: LabelledFrames, names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return frames that lie far from the others of their run, the farthest first.

    Looked at are energy and volume per atom and the logarithm of the largest force, each by its distance from the
    run's median in robust standard deviations (1.4826 × median absolute deviation).
    """
    largest = np.log(np.maximum(np.linalg.norm(frames.force_eV_A, axis=-1).max(axis=1), 1e-6))
    looked: Sequence[tuple[str, Array, Array]] = (
        ("energy (eV/atom)", energies(frames), energies(frames)),
        ("largest force (eV/Å)", largest, np.exp(largest)),
        ("volume (Å³/atom)", volumes(frames), volumes(frames)),
    )
    found = []
    for group in np.unique(frames.group):
        index = np.flatnonzero(frames.group == group)
        if len(index) < 10:
            continue
        for what, values, shown in looked:
            here = values[index]
            middle = np.median(here)
            width = 1.4826 * np.median(np.abs(here - middle))
            if not width > 1e-9 * max(1.0, abs(middle)):
                continue
            far = np.abs(here - middle) / width
            for k in np.flatnonzero(far > OUTLIER_SIGMAS):
                found.append(
                    {
                        "run": names[int(group)],
                        "frame_number": int(frames.frame_number[index[k]]),
                        "what": what,
                        "value": float(shown[index[k]]),
                        "median": float(np.median(shown[index])),
                        "sigmas": float(far[k]),
                    }
                )
    return sorted(found, key=lambda one: -one["sigmas"])


def describe(frames: LabelledFrames, names: Mapping[int, str]) -> dict[str, Any]:
    """Return the numbers of the frames of one composition as a plain dictionary."""
    size = np.linalg.norm(frames.force_eV_A, axis=-1).ravel()
    pressure = pressures(frames)
    far = outliers(frames, names)
    return {
        "n_frames": len(frames),
        "n_atoms": len(frames.symbols),
        "elements": {s: frames.symbols.count(s) for s in dict.fromkeys(frames.symbols)},
        "n_virials": int(frames.has_virial.sum()),
        "energy_eV_atom": spread(energies(frames)),
        "force_eV_A": spread(size),
        "force_std_component_eV_A": float(frames.force_eV_A.std()),
        "forces": forces_by_element(frames),
        "volume_A3_atom": spread(volumes(frames)),
        "pressure_GPa": spread(pressure) if len(pressure) else None,
        "shortest_A": distances(frames),
        "rdf": pair_curves(frames),
        "outliers": far[:MOST_OUTLIERS],
        "n_outliers": len({(o["run"], o["frame_number"]) for o in far}),
        "histograms": {"energy_eV_atom": histogram(energies(frames)), "force_eV_A": histogram(size)},
    }
