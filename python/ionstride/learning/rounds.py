"""Concurrent learning: half-trained potentials run MD, and what they visit is labelled.

One round is: train an ensemble → set the trust levels → explore with LAMMPS → label a choice of the visited frames →
judge.  A finished round leaves ``round.json`` and its new labels; called again, it is read, not made.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..campaign import Outcome
from ..errors import PhysicsError
from ..potential import Room, Trained, checkpoint_key, force_rmse, frames_key, split_frames, train_ensemble
from ..records import LabelledFrames, join_frames
from ..runrecord import key_of, read_json, write_json
from ..settings import PotentialSettings
from ..store import load_frames, save_frames
from .ensemble import predict_ensemble
from .explore import Visited, explore, explore_temperatures, whole_share
from .levels import (
    Levels,
    calibrate,
    force_deviation,
    largest_error,
    newest,
    rank_correlation,
    set_levels,
    shares,
    typical_force,
)
from .select import Chosen, choose, choose_evenly
from .stop import why_ended
from .work import Label, LearningWork

MAX_FORCE_EV_A = 8.0
"""Labels with a larger force teach nothing that MD will meet again, unless the rattled cells have such forces too."""
PROOF_SHARE = 4
"""A proof trains the final net for this part of its steps."""
VISITED_FOR_LEVEL = 8
"""From so many labelled frames of MD on, the levels are those of the latest; before, those of all labelled frames."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Learned:
    """Where learning ended.

    Attributes
    ----------
    frames : all labelled frames.
    held_out : (F) frames that no model was trained on.
    checkpoints : of the last training of each model, to start the final ones from.
    rounds : one dictionary a round, for the report.
    ended : why the rounds ended, in words.
    """

    frames: LabelledFrames
    held_out: Mask
    checkpoints: list[Path]
    rounds: list[dict[str, Any]]
    ended: str


@dataclass(frozen=True)
class _Known:
    """What a round begins with: labels, which of them are held out, checkpoints, and error / deviation as last seen."""

    frames: LabelledFrames
    held_out: Mask
    checkpoints: list[Path | None]
    factor: float | None


def run_rounds(
    work: LearningWork,
    first: LabelledFrames,
    *,
    label: Label,
    room: Room,
    type_map: tuple[str, ...],
    before: Learned | None = None,
    carry_on: bool = True,
) -> Learned:
    """Run rounds of train → explore → label until `why_ended` says why no more are needed.

    Parameters
    ----------
    work : what all rounds share.
    first : labelled frames to begin with.
    label : (structures, group, what they are) → labelled frames.
    room : for neighbours, the same in all rounds so that training can go on.
    type_map : element names in the model's order.
    before : rounds that these follow: theirs are the numbers and frames that come first.
    carry_on : whether the trainings go on from theirs.

    Raises
    ------
    PhysicsError
        If a round visits no frame that could be labelled.
    """
    study, settings = work.study, work.study.learning
    held_out, _ = split_frames(first, study.potential.valid_fraction, study.seed)
    starts: list[Path | None] = [None] * settings.models
    if before:
        first, held_out = before.frames, before.held_out
        if carry_on:
            starts = [*before.checkpoints, *starts][: settings.models]
    known = _Known(first, held_out, starts, None)
    rounds: list[dict[str, Any]] = []
    ended = f"the {settings.rounds} rounds asked for are done"
    done = len(before.rounds) if before else 0
    for number in range(done, done + settings.rounds):
        place = work.folder / f"round_{number:02d}"
        key = key_of(
            [frames_key(known.frames), known.held_out.tolist(), [checkpoint_key(c) for c in known.checkpoints]]
        )
        if (read_json(place / "round.json") or {}).get("key") != key:
            _make_round(work, known, place, number, key, label=label, room=room, type_map=type_map)
        known, record = _read_round(place, known)
        rounds.append(record)
        reason = why_ended(rounds, settings)
        if reason:
            ended = reason
            break
    checkpoints = [checkpoint for checkpoint in known.checkpoints if checkpoint is not None]
    return Learned(known.frames, known.held_out, checkpoints, [*(before.rounds if before else []), *rounds], ended)


def prove(
    work: LearningWork,
    final: PotentialSettings,
    before: Learned,
    *,
    label: Label,
    room: Room,
    type_map: tuple[str, ...],
    carry_on: bool,
) -> Learned:
    """Run rounds with one potential of the final net, until its MD at the highest temperature stays whole.

    A small ensemble agrees where a larger net may still have a well that no frame has told it of; only its own MD
    finds that.

    Parameters
    ----------
    work : of the rounds before.
    final : the net that MD will use; it is trained for a quarter of its steps.
    before : the rounds before.
    label, room, type_map : as for `run_rounds`; the room is that of the final net.
    carry_on : whether the rounds before had this net, so that its training goes on.
    """
    settings = work.study.learning
    if not settings.proofs:
        return before
    alone = dataclasses.replace(
        settings,
        rounds=settings.proofs,
        models=1,
        steps=max(settings.steps, final.steps // PROOF_SHARE),
        temperatures_K=(max(work.study.md.temperatures_K),),
        strains=(0.0,),
        check_ps=settings.proof_ps,
    )
    study = dataclasses.replace(work.study, potential=final, learning=alone)
    learned = run_rounds(
        dataclasses.replace(work, study=study), before.frames, label=label, room=room, type_map=type_map,
        before=before, carry_on=carry_on,
    )  # fmt: skip
    last = learned.rounds[-1]
    whole = bool(why_ended([last], alone))
    said = "stayed whole" if whole else "did not stay whole, and what it visited was labelled; look at the runs of [md]"
    said = f"MD of the final net, {alone.check_ps:g} ps at {alone.temperatures_K[0]:g} K, {said}"
    proofs = [r | {"proof": True} for r in learned.rounds[len(before.rounds) :]]
    return dataclasses.replace(learned, rounds=[*before.rounds, *proofs], ended=f"{before.ended}. {said}")


def _read_round(place: Path, known: _Known) -> tuple[_Known, dict[str, Any]]:
    """Return what is known after a finished round, and its record."""
    found = read_json(place / "round.json")
    frames, held_out = known.frames, known.held_out
    if found["held_out"]:
        frames = join_frames([frames, load_frames(place / "new.npz")])
        held_out = np.concatenate([held_out, np.array(found["held_out"], dtype=np.bool_)])
    checkpoints: list[Path | None] = [place / checkpoint for checkpoint in found["checkpoints"]]
    return _Known(frames, held_out, checkpoints, found["factor"]), found["record"]


def _make_round(
    work: LearningWork,
    known: _Known,
    place: Path,
    number: int,
    key: str,
    *,
    label: Label,
    room: Room,
    type_map: tuple[str, ...],
) -> None:
    """Make one round; its record is written last."""
    study, settings = work.study, work.study.learning
    what = f"round {number}: train {settings.models} models" if settings.models > 1 else f"round {number}: train"
    steps_done = [0] * settings.models

    def news(model: int, step: int, of: int, text: str) -> None:
        steps_done[model] = step
        work.news(f"{what} on {len(known.frames)} frames", sum(steps_done), of * settings.models, text)

    models = train_ensemble(
        known.frames,
        study.potential,
        [place / f"model_{k}" for k in range(settings.models)],
        held_out=known.held_out,
        type_map=type_map,
        seed=study.seed,
        cores=work.cores,
        threads=1 if study.deterministic else 0,
        steps=settings.steps,
        starts=known.checkpoints,
        room=room,
        progress=news,
    )

    def forces(some: list[Trained], frames: LabelledFrames) -> npt.NDArray[np.float64]:
        return predict_ensemble(
            some, frames, place, type_map=type_map, backend=study.potential.backend, cores=work.cores
        )

    levels, held_out_error = None, None
    if len(models) > 1:
        levels, held_out_error = _levels(known, forces(models, known.frames.take(known.held_out)))
    outcomes, visited = explore(work, models, place, number, work.shortest(known.frames))
    if levels is not None:
        chosen = choose(visited, levels, known.frames, settings.labels_per_round)
    else:
        chosen = choose_evenly(visited, settings.labels_per_round)
    if not chosen.structures:
        raise PhysicsError(
            f"round {number}: the potential falls apart before it visits a frame worth labelling; "
            "give more reference.n_frames or learning.steps"
        )
    new = label(chosen.structures, number + 1, f"round {number}: label {len(chosen.structures)} visited frames")
    force = forces(models[:1], new)[0]
    gentle = largest_force(new) < gentle_limit(known.frames)
    judged = _judge(chosen, new, force, gentle, levels.low_eV_A if levels else 0.0)
    record = {
        "round": number,
        "labels": len(known.frames),
        "new_labels": int(gentle.sum()),
        "too_violent": int((~gentle).sum()),
        "force_rmse_new_meV_A": force_rmse(new, force),
        "force_rmse_held_out_meV_A": held_out_error,
        **_explored(work, outcomes, visited, levels),
        **judged,
    }
    held = _held_out(chosen, new, gentle, study.potential.valid_fraction, study.seed)
    if gentle.any():
        save_frames(new.take(gentle), place / "new.npz")
    write_json(
        place / "round.json",
        {
            "key": key,
            "record": record,
            "held_out": held.tolist(),
            "checkpoints": [str(trained.checkpoint.relative_to(place)) for trained in models],
            "factor": judged.get("factor_found") or (levels.factor if levels else None),
        },
    )


def largest_force(frames: LabelledFrames) -> npt.NDArray[np.float64]:
    """Return the largest force component of each frame, (F) in eV/Å."""
    largest: npt.NDArray[np.float64] = np.abs(frames.force_eV_A).max(axis=(1, 2))
    return largest


def gentle_limit(frames: LabelledFrames) -> float:
    """Return the force (eV/Å) beyond which a visited frame is not learnt: 8, or what half of the rattled cells have.

    A stiff oxide meets 8 eV/Å in thermal motion: without these frames its potential is too soft where atoms collide.
    """
    first = frames.group == 0
    return max(MAX_FORCE_EV_A, float(np.median(largest_force(frames.take(first)))) if first.any() else 0.0)


def _levels(known: _Known, force_eV_A: npt.NDArray[np.float64]) -> tuple[Levels, float]:
    """Return the trust levels, and model 0's error on all held-out frames (meV/Å); forces are (M, held out, N, 3)."""
    held = known.frames.take(known.held_out)
    deviation = force_deviation(force_eV_A).max(axis=1)
    use = newest(held.group, VISITED_FOR_LEVEL)
    factor = known.factor
    if factor is None:
        factor = calibrate(deviation, largest_error(held, force_eV_A[0]))
    source = "all held-out frames" if use.all() else "held-out frames of the latest rounds"
    source += "; factor from " + ("the same" if known.factor is None else "the frames labelled in the round before")
    moved = known.frames.group > 0  # cells rattled by little have smaller forces than MD
    scale = typical_force(known.frames.take(moved) if moved.sum() >= VISITED_FOR_LEVEL else known.frames)
    levels = set_levels(deviation[use], factor, scale, source)
    return levels, force_rmse(held, force_eV_A[0])


def _explored(
    work: LearningWork, outcomes: Sequence[Outcome], visited: Sequence[Visited], levels: Levels | None
) -> dict[str, Any]:
    """Return what a round's record says of its MD."""
    study = work.study
    found: dict[str, Any] = {
        "runs": [{"id": v.id, "temperature_K": v.temperature_K, "strain": v.strain} for v in visited],
        "intact": whole_share(list(visited), work.polyhedra, study.md.frame_ps),
        "ps_survived": min(o.steps for o in outcomes) * study.md.timestep_fs / 1000,
        "stopped": "; ".join(f"{o.id}: {o.ended}" for o in outcomes if o.ended != "complete"),
        "levels": None,
        "shares": None,
        "hottest": None,
    }
    if levels is None:
        return found
    news = [v.deviation_eV_A[v.first_news :].max(axis=1) for v in visited if v.deviation_eV_A is not None]
    hottest = max(explore_temperatures(study))
    at_rest = [
        v.deviation_eV_A[v.step >= v.hold_step].max(axis=1)
        for v in visited
        if v.temperature_K == hottest and v.deviation_eV_A is not None
    ]
    late = np.concatenate([np.zeros(0), *at_rest])
    found["levels"] = asdict(levels)
    found["shares"] = shares(np.concatenate(news), levels)
    if len(late):
        uncertain = float((late > levels.low_eV_A).mean())
        found["hottest"] = {"temperature_K": hottest, "uncertain": uncertain, "n_frames": len(late)}
    return found


def _judge(
    chosen: Chosen, new: LabelledFrames, force_eV_A: npt.NDArray[np.float64], gentle: Mask, low_eV_A: float
) -> dict[str, Any]:
    """Return what the new labels say of the error on even samples, and of the deviation."""
    if chosen.deviation_eV_A is None:
        return {"force_rmse_check_meV_A": None}
    here = new.frame_number  # a label that failed is left out
    checks = chosen.is_check[here] & gentle
    deviation, error = chosen.deviation_eV_A[here], largest_error(new, force_eV_A)
    return {
        "candidates_labelled": int((~chosen.is_check[here] & (deviation > low_eV_A)).sum()),
        "force_rmse_check_meV_A": force_rmse(new.take(checks), force_eV_A[checks]) if checks.any() else None,
        "n_check": int(checks.sum()),
        "factor_found": calibrate(deviation, error),
        "rank_correlation": rank_correlation(deviation, error),
        "deviation_eV_A": np.round(deviation, 5).tolist(),
        "error_eV_A": np.round(error, 5).tolist(),
    }


def _held_out(chosen: Chosen, new: LabelledFrames, gentle: Mask, fraction: float, seed: int) -> Mask:
    """Return which of the new gentle labels are never trained on: the check frames, or blocks with one model."""
    if chosen.deviation_eV_A is not None:
        return chosen.is_check[new.frame_number[gentle]]
    if gentle.sum() < 4:
        return np.zeros(int(gentle.sum()), dtype=np.bool_)
    return split_frames(new.take(gentle), fraction, seed)[0]
