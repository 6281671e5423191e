"""All parts of the judgement in one dictionary; a part that cannot be made says why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import potential
from ..checks import Array, check_mobile
from ..errors import InputError, PhysicsError
from ..records import LabelledFrames, Structure, Trajectory, join_frames
from ..runrecord import versions
from ..ui import Screen
from . import accuracy, ageing, barrier, diffusion, ensemble, fresh, geometries, hops, nve, structure, verdicts
from .subject import OTHER, MdRun, Model, Series, Subject

SCHEMA = "ionstride.judge/1"
MOST_TRAINING = 400
MOST_FRAMES = 4000


@dataclass(frozen=True)
class How:
    """How it is judged.

    Attributes
    ----------
    scratch : folder for logs and the short runs.
    screen : where progress is told.
    threads : of the back end.
    nve_ps : length of the runs at constant energy; 0 = none.
    lmp : the LAMMPS program.
    """

    scratch: Path
    screen: Screen
    threads: int
    nve_ps: float = 2.0
    lmp: str = "lmp"


def judge(subject: Subject, how: How, labelled: fresh.Fresh | None = None) -> dict[str, Any]:
    """Return all that can be told of a potential, with its verdicts in words.

    Parameters
    ----------
    subject : models, frames, runs of the reference and of MD.
    how : scratch folder, screen, threads.
    labelled : frames of MD that were labelled afterwards, where there are any.

    Raises
    ------
    InputError
        If the models do not know the elements of the frames or of the MD, or the mobile element is absent.
    """
    frames = subject.frames
    check_mobile(frames.symbols, subject.mobile)
    for model in subject.models:
        potential.check_elements(frames.symbols, model.type_map, model.path)
    for run in subject.md:
        if run.path is not None:
            potential.check_elements(run.path.symbols, subject.models[0].type_map, subject.models[0].path)
            check_mobile(run.path.symbols, subject.mobile)
    chosen = _kept(frames)
    if len(chosen) < len(frames):
        how.screen.warn(f"{len(chosen)} of {len(frames)} frames are looked at, in order of time, to save time")
    subject = _smaller(subject, chosen)
    frames = subject.frames
    predicted = [_predict(model, frames, how, f"model {k}") for k, model in enumerate(subject.models)]
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "name": subject.name,
        "models": [str(model.path) for model in subject.models],
        "mobile": subject.mobile,
        "temperature_K": subject.temperature_K,
        "method": frames.method,
        "formula": _formula(frames.symbols),
        "n_frames": len(frames),
        "n_held_out": int(subject.held_out.sum()),
        "split": subject.split,
        "notes": list(subject.notes),
        "inputs": subject.inputs,
        "versions": versions(),
    }
    if labelled is not None and labelled.method and frames.method and labelled.method != frames.method:
        result["notes"].append(
            f"frames of MD were labelled by {labelled.method}, those of training by {frames.method}: what differs "
            "between the two methods counts as an error of the potential"
        )
    result["errors"] = _errors(subject, predicted)
    result["geometries"] = _geometries(subject, predicted[0])
    how.screen.say("           g(r), D, hops")
    result["structure"] = _structure(subject)
    result["ageing"] = _ageing(subject, predicted)
    result["fresh"] = _fresh(subject, predicted, labelled, how, result["notes"])
    result["diffusion"] = _diffusion(subject, how.threads)
    result["hops"] = _hops(subject, predicted)
    result["ensemble"] = _ensemble(subject, predicted, how)
    result["nve"] = _nve(subject, how)
    result["md"] = _md_rows(subject)
    plain = as_plain(result)
    plain["verdicts"] = verdicts.sentences(plain)
    return dict(plain)


def as_plain(value: Any) -> Any:
    """Return nested dictionaries and lists in which every estimate is ``{'value': …, 'ci95': [low, high]}``."""
    from ..results import Estimate

    if isinstance(value, Estimate):
        ends = [v if np.isfinite(v) else None for v in (value.low, value.high)]
        return {"value": value.value, "ci95": ends}
    if isinstance(value, dict):
        return {str(k): as_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _kept(frames: LabelledFrames) -> Any:
    """Return the frames that are looked at: all, or so many that follow one another in their runs."""
    if len(frames) <= MOST_FRAMES:
        return np.arange(len(frames))
    order = np.lexsort((frames.frame_number, frames.group))
    return np.sort(order[np.unique(np.linspace(0, len(order) - 1, MOST_FRAMES).astype(int))])


def _smaller(subject: Subject, chosen: Any) -> Subject:
    from dataclasses import replace

    if len(chosen) == len(subject.frames):
        return subject
    place = np.full(len(subject.frames), -1)
    place[chosen] = np.arange(len(chosen))
    series = []
    for run in subject.series:
        if not len(run.rows):
            series.append(run)
            continue
        kept = np.flatnonzero(place[run.rows] >= 0)
        cell = run.path.cell_A if run.path.cell_A.ndim == 2 else run.path.cell_A[kept]
        path = replace(run.path, positions_A=run.path.positions_A[kept], cell_A=cell, time_ps=run.path.time_ps[kept])
        series.append(Series(run.name, path, place[run.rows[kept]]))
    return replace(subject, frames=subject.frames.take(chosen), held_out=subject.held_out[chosen], series=tuple(series))


def _predict(model: Model, frames: LabelledFrames, how: How, name: str) -> accuracy.Predicted:
    how.screen.say(f"           {name} on {len(frames)} frames")
    found = potential.predict_with_virial(
        model.path, frames, type_map=model.type_map, flag=model.flag, threads=how.threads, log=how.scratch / "test.log"
    )
    if not (np.isfinite(found[0]).all() and np.isfinite(found[1]).all()):
        raise InputError(f"the model '{model.path}' gives energies or forces that are no numbers; train it again")
    return accuracy.Predicted(*found)


def _taken(p: accuracy.Predicted, mask: Any) -> accuracy.Predicted:
    virial = None if p.virial_eV is None else p.virial_eV[mask]
    return accuracy.Predicted(p.energy_eV[mask], p.force_eV_A[mask], virial)


def _errors(subject: Subject, predicted: Sequence[accuracy.Predicted]) -> dict[str, Any]:
    """Return errors on held-out and on training frames, of each model; details of the first."""
    held, train = subject.held_out, ~subject.held_out
    found: dict[str, Any] = {
        "held_out": accuracy.accuracy(subject.frames.take(held), _taken(predicted[0], held), subject.groups),
        "train": None,
        "slope_mobile": accuracy.mobile_slope(subject.frames, predicted[0], subject.mobile),
        "by_model": [],
    }
    if train.any():
        on_train = accuracy.accuracy(subject.frames.take(train), _taken(predicted[0], train), subject.groups)
        found["train"] = {k: v for k, v in on_train.items() if k not in ("parity", "residual")}
    for p in predicted:
        one = accuracy.accuracy(subject.frames.take(held), _taken(p, held), subject.groups)
        found["by_model"].append(
            {"energy_meV_atom": one["energy_meV_atom"]["rmse"], "force_meV_A": one["force_meV_A"]["rmse"]}
        )
    return found


def _geometries(subject: Subject, predicted: accuracy.Predicted) -> dict[str, Any]:
    held, train = subject.held_out, ~subject.held_out
    looked = subject.frames.take(held)
    force = predicted.force_eV_A[held]
    measure = subject.frames.take(train) if train.any() else looked
    measure = measure.take(potential.some_of(np.ones(len(measure), dtype=np.bool_), MOST_TRAINING))
    known = geometries.features(looked, measure, subject.polyhedra, subject.mobile)
    rows, tried = geometries.enrichment(looked, force, known)
    names = {g: name for g, (name, _) in subject.groups.items()}
    worst = geometries.worst_atoms(looked, force, known)
    return {
        "enriched": rows,
        "n_tried": tried,
        "worst": [{**row, "run": names.get(row["group"], f"run {row['group']}")} for row in worst],
        "against_training": bool(train.any()),
    }


def complete(runs: Sequence[MdRun]) -> list[MdRun]:
    """Return the runs that came to their end and have frames."""
    return [run for run in runs if run.ended == "complete" and run.path is not None]


def _paths(runs: Sequence[MdRun]) -> list[Trajectory]:
    return [run.path for run in runs if run.path is not None]


def compared_K(subject: Subject) -> float | None:
    """Return the temperature at which MD and reference are compared: the reference's, where there is MD near it."""
    kelvins = sorted({run.temperature_K for run in complete(subject.md)})
    if not kelvins:
        return None
    if subject.temperature_K is None:
        return kelvins[0] if len(kelvins) == 1 else None
    near = min(kelvins, key=lambda T: abs(T - float(subject.temperature_K or 0.0)))
    return near if abs(near - subject.temperature_K) <= 0.02 * subject.temperature_K else None


def _at(subject: Subject, kelvin: float | None) -> list[MdRun]:
    return [run for run in complete(subject.md) if run.temperature_K == kelvin]


def _same_atoms(subject: Subject, paths: Sequence[Trajectory]) -> bool:
    wanted = sorted(subject.frames.symbols)
    return all(sorted(path.symbols) == wanted for path in paths)


def _structure(subject: Subject) -> dict[str, Any]:
    kelvin = compared_K(subject)
    runs = _paths(_at(subject, kelvin))
    if not runs or not subject.series:
        return {"why": _no_md(subject)}
    reference = [run.path for run in subject.series]
    if set(runs[0].symbols) != set(reference[0].symbols):
        return {"why": "the MD has other elements than the reference"}
    try:
        pairs = structure.compare_pairs(runs, reference)
    except PhysicsError as error:
        return {"why": str(error)}
    amplitudes = []
    for element in dict.fromkeys(reference[0].symbols):
        a = structure.rattle(runs, element, subject.mobile)
        b = structure.rattle(reference, element, subject.mobile)
        if a is not None and b is not None:
            amplitudes.append({"element": element, "md_A2": a, "reference_A2": b})
    return {"temperature_K": kelvin, "pairs": pairs, "rattle": amplitudes}


def _ageing(subject: Subject, predicted: Sequence[accuracy.Predicted]) -> dict[str, Any]:
    kelvin = compared_K(subject)
    runs = _paths(_at(subject, kelvin))
    if not runs or not subject.series:
        return {"why": _no_md(subject)}
    reference = [run.path for run in subject.series]
    lag = ageing.lag_of([*runs, *reference])
    mine, theirs = (ageing.ageing(paths, subject.mobile, subject.polyhedra, lag) for paths in (runs, reference))
    energy = _energy_beyond(subject, predicted, _at(subject, kelvin))
    return {"temperature_K": kelvin, "lag_ps": lag, "md": mine, "reference": theirs, "energy": energy}


def _energy_beyond(
    subject: Subject, predicted: Sequence[accuracy.Predicted], runs: Sequence[MdRun]
) -> dict[str, Any] | None:
    rows = np.concatenate([run.rows for run in subject.series])
    known = [run for run in runs if run.row.get("thermo") and run.path is not None and run.model != OTHER]
    if not len(rows) or not known or not _same_atoms(subject, _paths(known)):
        return None
    courses = []
    for run in known:
        thermo = run.row["thermo"]
        time, energy = np.array(thermo["time_ps"]), np.array(thermo["potential_eV_atom"])
        courses.append(energy[time >= time[-1] - float(run.row["production_ps"])])
    atoms = len(subject.frames.symbols)
    return ageing.energy_beyond(courses, [predicted[run.model or 0].energy_eV[rows] / atoms for run in known])


def _fresh(
    subject: Subject, predicted: Sequence[accuracy.Predicted], labelled: fresh.Fresh | None, how: How, notes: list[str]
) -> dict[str, Any]:
    if labelled is None:
        return {"why": "no frames of MD were labelled (--label-md, --fresh)"}
    # A frame is judged by the model that drove its run: another one was never there.
    drove: dict[str, int] = {}
    for run in subject.md:
        number = run.model or 0
        drove[run.id] = number if drove.get(run.id, number) == number else OTHER
    by = np.array([drove.get(labelled.groups[int(g)][0], 0) for g in labelled.frames.group])
    if (by == OTHER).any():
        why = "of the labelled frames of MD are of another potential's runs than those judged, or of two of one name"
        notes.append(f"{int((by == OTHER).sum())} {why}, and are left out")
        if (by == OTHER).all():
            return {"why": f"all {why}"}
    if len(subject.models) > 1 and any(labelled.groups[int(g)][0] not in drove for g in labelled.frames.group):
        notes.append("which potential drove the runs of --fresh is not known: their frames are judged by the first")
    labelled, by = replace(labelled, frames=labelled.frames.take(by != OTHER)), by[by != OTHER]
    frames = labelled.frames
    energy, force = np.empty(len(frames)), np.empty(frames.positions_A.shape)
    held_out = []
    for k in np.unique(by):
        mine, model = by == k, subject.models[k]
        potential.check_elements(frames.symbols, model.type_map, model.path)
        found = _predict(model, frames.take(mine), how, f"model {k}, frames of MD labelled afterwards,")
        energy[mine], force[mine] = found.energy_eV, found.force_eV_A
        held_out.append((float(mine.mean()), _taken(predicted[k], subject.held_out)))
    on_md = accuracy.Predicted(energy, force, None)
    return fresh.beside(labelled, on_md, subject.frames.take(subject.held_out), held_out)


def _no_md(subject: Subject) -> str:
    if not subject.series:
        return f"there is no reference trajectory: {subject.no_series}"
    if not subject.md:
        return subject.no_md
    if not complete(subject.md):
        return "no MD run came to its end"
    if subject.temperature_K is None:
        return "the temperature of the reference is not known (--temperature), and MD is at several"
    return f"no MD is within 2 % of {subject.temperature_K:g} K, the temperature of the reference"


def _diffusion(subject: Subject, threads: int) -> dict[str, Any]:
    mobile = subject.mobile
    found: dict[str, Any] = {"reference": None, "md": [], "by_model": {}, "spread": None}
    rows = [{"name": run.name, **diffusion.fitted([run.path], mobile, threads)} for run in subject.series]
    found["reference_runs"] = rows
    found["reference"] = diffusion.pooled(rows) if rows else {"why": subject.no_series}
    for kelvin in sorted({run.temperature_K for run in complete(subject.md)}):
        runs = _at(subject, kelvin)
        single = [{"id": r.id, "model": r.model, **diffusion.fitted(_paths([r]), mobile, threads)} for r in runs]
        whole = diffusion.fitted(_paths(runs), mobile, threads)
        if "why" in whole:
            whole = diffusion.pooled(single)
        models = {r.model for r in runs if r.model not in (None, OTHER)}
        by_model = {
            str(m): diffusion.fitted(_paths([r for r in runs if r.model == m]), mobile, threads) for m in sorted(models)
        }
        found["md"].append(
            {
                "temperature_K": kelvin,
                "runs": single,
                "by_model": by_model,
                "spread": diffusion.spread_of_models({int(k): v for k, v in by_model.items()}),
                **whole,
            }
        )
    at = compared_K(subject)
    if at is None or not subject.series:
        found["compared"] = {"ratio": None, "verdict": "unknown", "words": f"cannot be told: {_no_md(subject)}"}
        return found
    here = next(row for row in found["md"] if row["temperature_K"] == at)
    found["compared_K"] = at
    found["compared"] = diffusion.ratio(here, found["reference"])
    found["by_run"] = [diffusion.ratio(row, found["reference"]) for row in here["runs"]]
    return found


def _hops(subject: Subject, predicted: Sequence[accuracy.Predicted]) -> dict[str, Any]:
    labelled = [run for run in subject.series if len(run.rows)]
    if not labelled:
        why = subject.no_series or "the reference trajectory has no labels: forces are needed on its frames"
        return {"why": why}
    if subject.temperature_K is None:
        return {"why": "the temperature is not known (--temperature)"}
    found: list[tuple[Any, Any]] = []
    for run in labelled:
        try:
            found += [(hop, run.rows[hop.rows]) for hop in hops.find_hops(run.path, subject.mobile)]
        except (PhysicsError, InputError) as error:
            return {"why": str(error)}
    frames = subject.frames
    by_model = []
    for p in predicted:
        taken = [
            (
                hop,
                frames.force_eV_A[rows, hop.atom],
                p.force_eV_A[rows, hop.atom],
                p.energy_eV[rows] - frames.energy_eV[rows],
            )
            for hop, rows in found
        ]
        by_model.append(barrier.barrier_bias(taken, subject.temperature_K))
    if "why" in by_model[0]:
        return {"why": by_model[0]["why"], "n_hops": len(found)}
    involved = np.unique(np.concatenate([rows for _, rows in found]))
    unseen = float(subject.held_out[involved].mean())
    return {"temperature_K": subject.temperature_K, "held_out_share": unseen, "by_model": by_model, **by_model[0]}


def _ensemble(subject: Subject, predicted: Sequence[accuracy.Predicted], how: How) -> dict[str, Any]:
    if len(subject.models) < 2:
        return {"why": "one model only; give several that were trained apart"}
    reference = ensemble.deviation([p.force_eV_A for p in predicted])[subject.held_out]
    level = float(np.percentile(reference, ensemble.LEVEL))
    found: dict[str, Any] = {
        "n_models": len(subject.models),
        "level_eV_A": level,
        "reference_eV_A": {"median": float(np.median(reference)), "largest": float(reference.max())},
        "n_reference": len(reference),
    }
    kelvin = compared_K(subject)
    runs = _at(subject, kelvin) or complete(subject.md)
    runs = [run for run in runs if run.temperature_K == max(r.temperature_K for r in runs)]
    if not runs:
        return {**found, "why_md": subject.no_md or "no MD run came to its end"}
    most = max(20, ensemble.MOST_FRAMES // len(runs))
    paths = _paths(runs)
    rows_of = [np.unique(np.linspace(0, len(p.time_ps) - 1, min(len(p.time_ps), most)).astype(int)) for p in paths]
    # The atoms of all runs of one temperature are those of one cell: one call of the back end serves them all.
    looked = join_frames([ensemble.as_frames(p, rows) for p, rows in zip(paths, rows_of, strict=True)])
    forces = [_predict(model, looked, how, f"model {k} on MD") for k, model in enumerate(subject.models)]
    parts = np.split(
        ensemble.deviation([p.force_eV_A for p in forces]), np.cumsum([len(rows) for rows in rows_of])[:-1]
    )
    seen: list[tuple[Array, Array]] = list(zip(rows_of, parts, strict=True))
    values = np.concatenate([v for _, v in seen])
    found.update(
        {
            "temperature_K": runs[0].temperature_K,
            "n_md": len(values),
            "md_eV_A": {"median": float(np.median(values)), "largest": float(values.max())},
            "share_above": float((values > level).mean()),
            "runs": [
                {"id": r.id, "time_ps": _paths([r])[0].time_ps[rows].tolist(), "deviation_eV_A": v.tolist()}
                for r, (rows, v) in zip(runs, seen, strict=True)
            ],
            "without": ensemble.without_stretches(_paths(runs), seen, level, subject.mobile, how.threads),
        }
    )
    return found


def _nve(subject: Subject, how: How) -> dict[str, Any]:
    there = [row for run in complete(subject.md) if (row := nve.drift_of_run(run)) is not None]
    if there:
        return {"runs": there}
    if how.nve_ps <= 0.0:
        return {"why": "no run at constant energy is there, and none was asked for (--nve-ps)"}
    kelvin = compared_K(subject) or subject.temperature_K
    runs = _at(subject, kelvin) or complete(subject.md)
    timestep = runs[0].timestep_fs if runs else 1.0
    try:
        start = nve.last_frame(runs)
    except PhysicsError:
        start = _last_labelled(subject.frames)
    rows = []
    for k, model in enumerate(subject.models):
        how.screen.say(f"           {how.nve_ps:g} ps at constant energy, model {k}")
        row = nve.short_run(
            model,
            start,
            temperature_K=kelvin or (runs[0].temperature_K if runs else 300.0),
            length_ps=how.nve_ps,
            timestep_fs=timestep,
            folder=how.scratch / f"nve_{k}",
            lmp=how.lmp,
        )
        rows.append({"model": k, **row})
    if all("why" in row for row in rows):
        return {"why": rows[0]["why"], "failed": rows}
    return {"runs": rows}


def _last_labelled(frames: LabelledFrames) -> Structure:
    last = int(np.lexsort((frames.frame_number, frames.group))[-1])
    cell = frames.cell_A[last]
    return Structure(frames.symbols, frames.positions_A[last], cell * np.sign(np.linalg.det(cell)))


def _md_rows(subject: Subject) -> list[dict[str, Any]]:
    rows = []
    for run in subject.md:
        row = {k: run.row.get(k) for k in ("intact", "mean_temperature_K", "wall_share", "production_ps", "replica")}
        rows.append({"id": run.id, "temperature_K": run.temperature_K, "model": run.model, "ended": run.ended, **row})
    return rows


def _formula(symbols: tuple[str, ...]) -> str:
    counts = {s: symbols.count(s) for s in dict.fromkeys(symbols)}
    return "".join(f"{s}{n if n > 1 else ''}" for s, n in counts.items())
