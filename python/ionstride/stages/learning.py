"""The learning stage: rounds in which half-trained potentials explore."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from .. import learning, potential
from ..campaign import check_lammps
from ..records import LabelledFrames, Structure
from ..runrecord import key_of, read_json, write_json
from ..settings import PotentialSettings, as_dict, net_of_rounds
from ..store import load_frames, save_frames
from .reference import label
from .work import Work, model_given, read_cell, read_polyhedra, shortest_in

RULES = "ionstride.learning/5"
"""Another number where rounds go by other rules, or leave other things behind: folders of before are then redone."""


def skip(work: Work) -> str:
    """Return why there is nothing to learn, or nothing."""
    if work.study.potential.model:
        return model_given(work)
    if work.frame_files:
        return "labelled frames are given"
    return "no rounds are asked for" if work.study.learning.rounds < 1 else ""


def _md_of_learning(work: Work) -> dict[str, Any]:
    md = as_dict(work.study.md)
    return {k: md[k] for k in ("timestep_fs", "frame_ps", "start_K", "thermostat_ps", "min_distance", "walls")}


def _net(settings: PotentialSettings) -> dict[str, Any]:
    return {k: v for k, v in potential.net_settings(settings).items() if k != "steps"}


def goes_on(work: Work) -> bool:
    """Return whether the final training goes on from the rounds': they have the same net and schedule."""
    return _net(net_of_rounds(work.study)) == _net(work.study.potential)


def needs(work: Work) -> Any:
    """Return what the outputs of this stage depend on."""
    proofs = work.study.learning.proofs
    return [
        RULES,
        as_dict(work.study.learning),
        _net(net_of_rounds(work.study)),
        [_net(work.study.potential), work.study.potential.steps, max(work.study.md.temperatures_K)] if proofs else [],
        _md_of_learning(work),
        learning.explore_temperatures(work.study),
        work.study.seed,
        work.study.deterministic,
        work.outputs("structure"),
        work.outputs("reference")["frames.npz"],
    ]


def make(work: Work) -> list[str]:
    """Make the outputs of this stage; return their names."""
    folder = work.folder("learning")
    first = load_frames(work.folder("reference") / "frames.npz")
    cell = read_cell(work)
    study = dataclasses.replace(work.study, potential=net_of_rounds(work.study))
    for net in (study.potential, work.study.potential):
        potential.check_backend(net.backend, net.descriptor)
    lmp = check_lammps(work.study.md.lmp, folder, work.study.md.ranks)
    type_map = learning.type_map_of(cell)
    started = read_json(folder / "started.json")
    if started != {"key": key_of(needs(work))}:
        _wipe_rounds(folder)
    write_json(folder / "started.json", {"key": key_of(needs(work))})
    room = potential.room_for_neighbours([first], type_map, study.potential, 1.35)

    def label_visited(cells: list[Structure], group: int, what: str) -> LabelledFrames:
        return label(work, cells, group, what)

    final, own_room = work.study.potential, room
    if not goes_on(work):
        own_room = potential.room_for_neighbours([first], type_map, final, 1.35)
    with work.screen.working():
        rounds = learning.LearningWork(
            study, cell, read_polyhedra(work), folder, str(lmp), work.cores, work.screen.news, shortest_in
        )
        learned = learning.run_rounds(rounds, first, label=label_visited, room=room, type_map=type_map)
        learned = learning.prove(
            rounds, final, learned, label=label_visited, room=own_room, type_map=type_map, carry_on=goes_on(work)
        )
    carries_on = work.study.learning.proofs > 0 or goes_on(work)
    save_frames(learned.frames, folder / "frames.npz")
    write_json(
        folder / "learning.json",
        {
            "rounds": learned.rounds,
            "ended": learned.ended,
            "checkpoints": [str(c.relative_to(folder)) for c in learned.checkpoints] if carries_on else [],
            "room": own_room if carries_on else None,
            "held_out": np.flatnonzero(learned.held_out).tolist(),
        },
    )
    for r in learned.rounds:
        work.screen.say(f"           {_in_words(r)}")
    work.screen.say(f"           {learned.ended}")
    return ["frames.npz", "learning.json"]


def _in_words(r: dict[str, Any]) -> str:
    """Return a round in a line."""
    text = f"round {r['round']}: {r['labels']} labels, {r['force_rmse_new_meV_A']:.0f} meV/Å on newly visited frames"
    if r["levels"]:
        part = r["shares"]
        text += (
            f"; visited: {100 * part['accurate']:.0f} % accurate, {100 * part['candidate']:.0f} % candidates, "
            f"{100 * part['failed']:.0f} % failed (levels {r['levels']['low_eV_A']:.2f}, "
            f"{r['levels']['high_eV_A']:.2f} eV/Å)"
        )
    whole = ", ".join(f"{name} {100 * share:.1f} %" for name, share in r["intact"].items())
    return f"{text}; whole in {whole or 'no polyhedra'}{'; ' + r['stopped'] if r['stopped'] else ''}"


def _wipe_rounds(folder: Path) -> None:
    import shutil

    for place in folder.glob("round_*"):
        shutil.rmtree(place)
