"""A study run from end to end: what is still good is kept, what changed is redone."""

import shutil
import time
from pathlib import Path
from typing import Any

from . import __version__, labels
from .deck import check_md
from .errors import InputError
from .potential import check_backend
from .process import find_program, need_package
from .runrecord import (
    command_line,
    is_fresh,
    key_of,
    lock_folder,
    machine,
    read_json,
    versions,
    write_json,
    write_record,
)
from .settings import STAGES, PotentialSettings, Study, as_dict, net_of_rounds
from .stages import STAGE_LIST, Work, formula, read_cell, read_polyhedra
from .stages.reference import calculator_settings
from .ui import Screen, time_words


def run_study(
    study: Study,
    out: Path,
    *,
    first: str = "",
    last: str = "",
    dry_run: bool = False,
    screen: Screen | None = None,
) -> dict[str, Any]:
    """Run the stages of a study in a folder, and write results.json and report.html there.

    Parameters
    ----------
    study : settings.
    out : the study's folder; made if need be. Run again, only what changed is redone.
    first : redo from this stage on, even if it is still good.
    last : stop after this stage.
    dry_run : only tell what would be done.
    screen : where to tell it.

    Returns
    -------
    The results as written to results.json; empty for a dry run.

    Raises
    ------
    IonstrideError
        In one of its kinds, with a sentence for the user.
    """
    screen = screen or Screen()
    for name in (first, last):
        if name and name not in STAGES:
            raise InputError(f"'{name}' is no stage; the stages are {', '.join(STAGES)}")
    if first and last and STAGES.index(first) > STAGES.index(last):
        raise InputError(f"--from {first} comes after --until {last}")
    work = Work(study, out, screen)
    _check_owner(study, out)
    if dry_run:
        _tell_plan(work, first, last)
        return {}
    preflight(work, last)
    with lock_folder(out):
        _check_owner(study, out)
        about = {"name": study.name, "folder": str(study.folder.absolute()), "settings": as_dict(study)}
        write_json(out / "study.json", about)
        begun, started = time.monotonic(), time.strftime("%Y-%m-%dT%H:%M:%S%z")
        for stage in STAGE_LIST:
            reason = stage.skip(work)
            if reason:
                screen.heading(stage.name, f"skipped: {reason}")
            else:
                forced = bool(first) and STAGES.index(stage.name) >= STAGES.index(first)
                _run_stage(work, stage, forced)
            if stage.name == last:
                screen.say(f"stopped after {last}, as asked; run again without --until to go on")
                return {}
        from .report import summary_table, write_report, write_results

        results = collect(work, started, time.monotonic() - begun)
        write_results(results, out)
        screen.say("")
        screen.say(summary_table(results))
        screen.say("")
        write_report(results, out, study.report.title or study.name)
        screen.heading("report", f"{out / 'report.html'}, {out / 'results.json'}")
        screen.say(f"\n{time_words(time.monotonic() - begun)} in all")
        return results


def preflight(work: Work, last: str) -> None:
    """Look, before any work, whether all that the stages to run will need is there.

    Raises
    ------
    InputError
        For MD settings that cannot be run.
    MissingToolError
        For a program or package that is absent; the message names what brings it.
    """
    study = work.study
    ahead = STAGES[: STAGES.index(last) + 1] if last else STAGES
    trains = not study.potential.model
    labels_here = trains and not work.frame_files
    check_md(study.md)
    if "reference" in ahead and labels_here:
        if study.reference.calculator == "chgnet":
            need_package("chgnet", "reference")
        labels.check_calculator(study.reference.calculator, calculator_settings(study))
    if ("potential" in ahead or ("learning" in ahead and labels_here)) and trains:
        rounds = "learning" in ahead and labels_here and study.learning.rounds > 0
        for net in (study.potential, net_of_rounds(study)) if rounds else (study.potential,):
            _check_net(net, study.md.gpus)
        if study.potential.start_from:
            if rounds:
                raise InputError(
                    "potential.start_from is given, but the rounds of learning give a start too; leave it out, or set "
                    "learning.rounds = 0"
                )
            work.input_hash(study.path(study.potential.start_from))
    if "md" in ahead or ("learning" in ahead and labels_here):
        find_program(study.md.lmp)
    if "report" in ahead:
        need_package("matplotlib", "report")


def _check_net(net: PotentialSettings, md_gpus: int) -> None:
    """Raise if a net cannot be trained here, or its model not be run by MD."""
    check_backend(net.backend, net.descriptor)
    if net.descriptor == "dpa4" and (net.gpus > 0) != (md_gpus > 0):
        raise InputError(
            f"potential.gpus = {net.gpus} and md.gpus = {md_gpus}: a model of dpa4 runs on the kind of device that it "
            "was compiled on; set both to 1, or both to 0"
        )


def _run_stage(work: Work, stage: Any, forced: bool) -> None:
    folder = work.folder(stage.name)
    inputs_before = dict(work.inputs)
    key = key_of(stage.needs(work))
    read = {path: sha for path, sha in work.inputs.items() if path not in inputs_before}
    if not forced and is_fresh(folder, key):
        work.screen.heading(stage.name, "still good, kept")
        return
    work.screen.heading(stage.name, "…")
    begun = time.monotonic()
    if forced:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").unlink(missing_ok=True)
    outputs = stage.make(work)
    wall = time.monotonic() - begun
    write_record(
        folder,
        key,
        outputs,
        wall_s=wall,
        inputs=read,
        stage=stage.name,
        seed=work.study.seed,
        settings=as_dict(getattr(work.study, stage.name)),
    )
    work.screen.say(f"           done in {time_words(wall)}")


def _check_owner(study: Study, out: Path) -> None:
    """Raise `InputError` if a folder holds another study or other things."""
    owner = read_json(out / "study.json")
    if owner is not None:
        if owner.get("name") != study.name:
            raise InputError(
                f"the folder '{out}' belongs to the study '{owner.get('name')}', not to '{study.name}'; "
                "give another --out"
            )
        return
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file, wanted a folder; give another --out")
    others = [p.name for p in out.iterdir() if not p.name.startswith(".")] if out.is_dir() else []
    if others:
        raise InputError(
            f"the folder '{out}' is not empty and holds no study ({', '.join(sorted(others)[:3])} …); "
            "give another --out"
        )


def _tell_plan(work: Work, first: str, last: str) -> None:
    redo = False
    for stage in STAGE_LIST:
        reason = stage.skip(work)
        if reason:
            work.screen.heading(stage.name, f"skipped: {reason}")
        else:
            redo = redo or (bool(first) and STAGES.index(stage.name) >= STAGES.index(first))
            try:
                redo = redo or not is_fresh(work.folder(stage.name), key_of(stage.needs(work)))
            except KeyError:
                redo = True
            work.screen.heading(stage.name, "to do" if redo else "still good")
        if stage.name == last:
            return
    work.screen.heading("report", "to do")


def collect(work: Work, started: str, wall_s: float) -> dict[str, Any]:
    """Return all results of a study as one dictionary (schema ionstride.results/1)."""
    study, out = work.study, work.out
    cell = read_cell(work)
    mobile = study.structure.mobile
    results: dict[str, Any] = {
        "schema": "ionstride.results/1",
        "name": study.name,
        "study": as_dict(study),
        "structure": {
            "formula": formula(cell.symbols),
            "n_atoms": len(cell.symbols),
            "n_mobile": cell.count(mobile),
            "mobile": mobile,
            "cell_A": cell.cell_A.tolist(),
            "volume_A3": cell.volume_A3,
            "symbols": list(cell.symbols),
            "positions_A": cell.positions_A.tolist(),
            "polyhedra": [str(p) for p in read_polyhedra(work)],
        },
    }
    for name, file in (
        ("reference", "reference/reference.json"),
        ("learning", "learning/learning.json"),
        ("potential", "potential/quality.json"),
        ("md", "md/md.json"),
        ("transport", "transport/transport.json"),
    ):
        skipped = next((s.skip(work) for s in STAGE_LIST if s.name == name), "")
        found = None if skipped else read_json(out / file)
        if found is not None:
            results[name] = found
    made = [s.name for s in STAGE_LIST if not s.skip(work)]
    records = {s: read_json(out / s / "run.json") or {} for s in made}
    results["provenance"] = {
        "ionstride": __version__,
        "versions": versions(),
        "seed": study.seed,
        "deterministic": study.deterministic,
        "machine": machine(),
        "inputs": {path: sha for r in records.values() for path, sha in r.get("inputs", {}).items()},
        "stages": {
            s: {"wall_s": r["wall_s"], "key": r["key"], "finished": r["finished"]} for s, r in records.items() if r
        },
        "command": command_line(),
        "started": started,
        "wall_s": round(wall_s, 1),
    }
    return results
