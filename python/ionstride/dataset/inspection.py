"""A set looked at: numbers for programs (``dataset.json``) and a page for people (``dataset.html``)."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from .. import labels, report
from ..errors import InputError, MissingToolError
from ..records import LabelledFrames
from ..runrecord import command_line, versions
from ..stages.analysis import words
from . import motion, quantities
from .coverage import cover

SCHEMA = "ionstride.dataset.inspection/1"


def open_set(path: Path, frame_ps: float | None = None, temperature_K: float | None = None) -> labels.Gathered:
    """Return a set, or files read and checked as ``dataset import`` does."""
    if path.is_dir() and (path / labels.SET_FILE).is_file():
        return labels.load_set(path)
    return labels.gather([path], frame_ps=frame_ps, temperature_K=temperature_K)


def run_names(found: labels.Gathered) -> dict[int, str]:
    """Return a short name for each source, made longer where two share it."""
    short = [Path(source.path).name for source in found.sources]
    names = {}
    for k, source in enumerate(found.sources):
        path = Path(source.path)
        names[k] = short[k] if short.count(short[k]) == 1 else f"{path.parent.name}/{path.name}"
    if len(set(names.values())) < len(names):
        names = {k: f"{k}: {name}" for k, name in names.items()}
    return names


def inspect_set(
    path: Path, *, mobile: str = "Li", frame_ps: float | None = None, temperature_K: float | None = None
) -> dict[str, Any]:
    """Return all that can be told of a set of labelled frames.

    Parameters
    ----------
    path : a set, or a file or folder of frames.
    mobile : element whose MSD and D are wanted.
    frame_ps : time between frame numbers of runs that do not say it.
    temperature_K : temperature of runs that do not say it; without either the measured one is taken.

    Raises
    ------
    InputError, FormatError
        If there is no such set, or its files are not sound.
    """
    for option, value in (("--frame-ps", frame_ps), ("--temperature", temperature_K)):
        if value is not None and not 0.0 < value < float("inf"):
            raise InputError(f"{option} {value:g}, wanted a number above zero")
    found = open_set(Path(path), frame_ps, temperature_K)
    names = run_names(found)
    compositions = []
    for name, frames in found.compositions.items():
        one = quantities.describe(frames, names)
        runs = [
            _run(
                frames.take(frames.group == group),
                found.sources[int(group)],
                names[int(group)],
                mobile,
                frame_ps=frame_ps,
                temperature_K=temperature_K,
            )
            for group in np.unique(frames.group)
        ]
        points = {
            "group": frames.group.tolist(),
            "volume_A3_atom": quantities.volumes(frames).tolist(),
            "energy_eV_atom": quantities.energies(frames).tolist(),
            "largest_force_eV_A": np.linalg.norm(frames.force_eV_A, axis=-1).max(axis=1).tolist(),
        }
        compositions.append(
            {
                "formula": name,
                **one,
                "runs": runs,
                "points": points,
                "coverage": cover(frames),
                "checks": found.checks.get(name, {}),
            }
        )
    result = {
        "schema": SCHEMA,
        "set": str(path),
        "method": found.method,
        "mobile": mobile,
        "n_frames": sum(c["n_frames"] for c in compositions),
        "dropped": found.dropped,
        "notes": list(found.notes),
        "run_names": {str(k): v for k, v in names.items()},
        "sources": [vars(source) for source in found.sources],
        "compositions": compositions,
        "command": command_line(),
        "versions": versions(),
    }
    return {**result, "summary": summary(result)}


def _run(
    frames: LabelledFrames,
    source: labels.Source,
    name: str,
    mobile: str,
    *,
    frame_ps: float | None,
    temperature_K: float | None,
) -> dict[str, Any]:
    """Return what one run says: counts, temperatures, memory of its forces, its own MSD and D."""
    step_ps = frame_ps or source.frame_ps
    measured = motion.temperature_of_steps(frames, step_ps) if step_ps else None
    nominal = temperature_K or source.temperature_K
    return {
        "name": name,
        "kind": source.kind,
        "n_frames": len(frames),
        "frame_ps": step_ps,
        "span_ps": step_ps * int(frames.frame_number[-1] - frames.frame_number[0]) if step_ps else None,
        "uneven": bool(len(frames) > 2 and len(np.unique(np.diff(frames.frame_number))) > 1),
        "nominal_K": nominal,
        "measured_K": measured,
        "vibration_K": labels.vibration_temperature(frames),
        "volume_A3_atom": quantities.spread(quantities.volumes(frames)),
        "energy_eV_atom": quantities.spread(quantities.energies(frames)),
        "memory": motion.force_memory(frames),
        "diffusion": motion.own_diffusion(
            frames, mobile, step_ps, nominal or (measured["kelvin"] if measured else None), name
        ),
    }


def kelvin_words(run: dict[str, Any]) -> str:
    """Return the temperature of a run in words, the surest source of it first."""
    if run["measured_K"]:
        m = run["measured_K"]
        return (
            f"{m['kelvin']:.0f} K [{m['low']:.0f}, {m['high']:.0f}] from {m['pairs']} steps of up to "
            f"{1000 * m['longest_ps']:.3g} fs"
        )
    if run["vibration_K"]:
        return f"about {run['vibration_K']:.0f} K from the forces on vibrating atoms"
    return "not known"


def summary(found: dict[str, Any]) -> list[str]:
    """Return the findings in lines for the screen."""
    lines = [f"{found['n_frames']} frames by {found['method'] or 'a method not named'}"]
    for c in found["compositions"]:
        e, v = c["energy_eV_atom"], c["volume_A3_atom"]
        lines.append(
            f"{c['formula']}: {c['n_frames']} frames, {c['n_virials']} with virials; energy {e['mean']:.4f} ± "
            f"{e['std']:.4f} eV/atom, force {c['force_std_component_eV_A']:.3f} eV/Å (component), volume "
            f"{v['min']:.2f} to {v['max']:.2f} Å³/atom"
        )
        for run in c["runs"][:8]:
            nominal = f", nominal {run['nominal_K']:g} K" if run["nominal_K"] else ""
            lines.append(f"  {run['name']}: {run['n_frames']} frames, temperature {kelvin_words(run)}{nominal}")
            D = run["diffusion"]
            if "why" in D:
                lines.append(f"    no D: {D['why']}")
            else:
                said = words(D["D_self_cm2_s"], "cm²/s", D["verdict"] != "diffusive")
                lines.append(f"    D({found['mobile']}) {said} ({D['verdict']})")
        if len(c["runs"]) > 8:
            lines.append(f"  … and {len(c['runs']) - 8} more runs")
        if c["coverage"]:
            lines.append(
                f"  {c['coverage']['needed']} of {c['coverage']['looked_at']} frames looked at cover them all to half "
                "their spread"
            )
        if c["n_outliers"]:
            worst = c["outliers"][0]
            lines.append(
                f"  {c['n_outliers']} frame(s) far from the rest of their run; farthest: {worst['run']} frame "
                f"{worst['frame_number']}, {worst['what']} {worst['value']:.4g} (median {worst['median']:.4g})"
            )
    return lines


def write_inspection(found: dict[str, Any], out: Path) -> list[str]:
    """Write ``dataset.json`` and, where matplotlib is installed, ``dataset.html``; return their names."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "dataset.html").unlink(missing_ok=True)
    written = []
    with contextlib.suppress(MissingToolError):
        written.append(report.write_dataset_page(found, out).name)
    written.append(report.write_dataset_json(found, out).name)
    return written
