"""The potential stage: trained, frozen, compressed and tested; or the user's own model."""

from pathlib import Path
from typing import Any

import numpy as np

from .. import learning, potential, report
from ..errors import InputError, MissingToolError
from ..records import LabelledFrames, Structure
from ..runrecord import read_json, write_json
from ..settings import as_dict
from ..store import load_frames
from .learning import skip as learning_skip
from .work import Work, read_cell, shortest_in

TRAIN_FRAMES = 200
"""Training frames on which the error is measured too."""


def _last_frames(work: Work) -> Path:
    stage = "reference" if learning_skip(work) else "learning"
    return work.folder(stage) / "frames.npz"


def _other_outputs(work: Work) -> dict[str, str]:
    """Return name → SHA-256 of the frames of further compositions, which only given frames have."""
    return {name: sha for name, sha in work.outputs("reference").items() if name.startswith("frames_")}


def needs(work: Work) -> Any:
    """Return what the outputs of this stage depend on."""
    settings = work.study.potential
    if settings.model:
        return [
            work.input_hash(work.study.path(settings.model)),
            list(settings.model_type_map),
            work.outputs("structure"),
        ]
    stage = "reference" if learning_skip(work) else "learning"
    return [
        as_dict(settings),
        work.input_hash(work.study.path(settings.start_from)) if settings.start_from else "",
        work.study.seed,
        work.study.deterministic,
        work.outputs(stage)["frames.npz"],
        _other_outputs(work),
        work.outputs("structure"),
    ]


def make(work: Work) -> list[str]:
    """Make the outputs of this stage; return their names."""
    folder = work.folder("potential")
    cell = read_cell(work)
    if work.study.potential.model:
        return _given_potential(work, folder, cell)
    frames = load_frames(_last_frames(work))
    settings = work.study.potential
    others = [load_frames(work.folder("reference") / name) for name in sorted(_other_outputs(work))]
    elements = tuple(dict.fromkeys(s for some in (frames, *others) for s in some.symbols))
    missing = sorted(set(cell.symbols) - set(elements))
    if missing:
        raise InputError(
            f"the labelled frames have no {', '.join(missing)}, which the structure has; give frames with it"
        )
    type_map = learning.type_map_of(cell) if set(cell.symbols) == set(elements) else elements
    total = len(frames) + sum(len(other) for other in others)
    learned = read_json(work.folder("learning") / "learning.json") if not learning_skip(work) else None
    tuned = _start_model(work, type_map, folder)
    starts = [work.folder("learning") / c for c in learned["checkpoints"]] if learned else []
    if tuned or len(starts) < settings.models:  # start_from comes first; of an ensemble all or none begin ahead
        starts = []
    held_out, split = potential.split_frames(frames, settings.valid_fraction, work.study.seed)
    if learned:  # what no model has ever been trained on
        held_out = np.isin(np.arange(len(frames)), learned["held_out"])
        evenly = work.study.learning.models > 1
        split = f"blocks of the first frames, and {'an even sample' if evenly else 'blocks'} of each round's"

    def news(number: int, step: int, of: int, text: str) -> None:
        which = f", model {number + 1}" if settings.models > 1 else ""
        work.screen.news(f"train on {total} frames{which}", step, of, text)

    with work.screen.working():
        every = potential.train_ensemble(
            frames,
            settings,
            [folder / ("train" if number == 0 else f"train_{number}") for number in range(settings.models)],
            held_out=held_out,
            starts=[starts[number] if number < len(starts) else None for number in range(settings.models)],
            type_map=type_map,
            seed=work.study.seed,
            cores=work.cores,
            threads=1 if work.study.deterministic else 0,
            start_model=tuned,
            others=others,
            room=learned["room"] if learned and starts else _room_of(tuned, frames, type_map, work),
            progress=news,
        )
        trained = every[0]
        for one in every:
            potential.checked_type_map(one.model, type_map, folder, "its training")
        flag = potential.BACKENDS[settings.backend][0]
        errors: dict[str, Any] = {}
        parts = (("valid", frames.take(held_out)), ("train", frames.take(potential.some_of(~held_out, TRAIN_FRAMES))))
        forces = []
        for number, one in enumerate(every):
            for name, part in parts if number == 0 else parts[:1]:
                energy, force = potential.predict(
                    one.model, part, type_map=type_map, flag=flag, threads=work.cores, log=folder / "test.log"
                )
                errors[name if number == 0 else f"valid_{number}"] = potential.errors(part, energy, force)
                if name == "valid":
                    forces.append(force)
    lcurve = potential.read_lcurve(folder / "train" / "lcurve.out")
    quality = {
        "source": "trained",
        "descriptor": settings.descriptor,
        "backend": settings.backend,
        "steps": settings.steps,
        "n_train": int((~held_out).sum()),
        "n_valid": int(held_out.sum()),
        "split": split,
        "train_force_rmse_meV_A": errors["train"]["force_rmse_meV_A"],
        "train_energy_rmse_meV_atom": errors["train"]["energy_rmse_meV_atom"],
        "train_s": round(trained.wall_s, 1),
        "preset": settings.preset,
        "notes": list(trained.notes),
        "checkpoints": [list(score) for score in trained.scores],
        "ensemble": _ensemble(every, errors, forces),
        "lcurve": {name: column.tolist() for name, column in lcurve.items()},
        **errors["valid"],
    }
    write_json(folder / "quality.json", quality)
    models = [one.model.relative_to(folder) for one in every]
    described = {
        "model": str(models[0]),
        "sha256": trained.sha256,
        "models": [str(model) for model in models],
        "models_sha256": [one.sha256 for one in every],
        "type_map": list(type_map),
        "backend": settings.backend,
        "shortest_A": shortest_in(frames),
    }
    write_json(folder / "potential.json", described)
    outputs = ["quality.json", "potential.json"]
    outputs += [str(model) for model, one in zip(models, every, strict=True) if one.model.is_file()]
    outputs += _parity_picture(quality, folder)
    work.screen.say(
        f"           held-out frames ({len(frames.take(held_out))}, {split}): energy "
        f"{quality['energy_rmse_meV_atom']:.2f} meV/atom, force {quality['force_rmse_meV_A']:.0f} meV/Å; "
        f"training frames {quality['train_force_rmse_meV_A']:.0f} meV/Å; {trained.wall_s:.0f} s"
    )
    if quality["ensemble"]:
        found = quality["ensemble"]
        work.screen.say(
            f"           {len(every)} models: force {', '.join(f'{e:.0f}' for e in found['force_rmse_meV_A'])} meV/Å; "
            f"their forces differ by {found['force_spread_meV_A']:.0f} meV/Å"
        )
    for note in trained.notes:
        work.screen.warn(note)
    return outputs


def _ensemble(every: list[potential.Trained], errors: dict[str, Any], forces: list[Any]) -> dict[str, Any] | None:
    """Return each model's error and the standard deviation of their forces, meV/Å per component; None for one model."""
    if len(every) < 2:
        return None
    names = ["valid", *(f"valid_{number}" for number in range(1, len(every)))]
    return {
        "force_rmse_meV_A": [errors[name]["force_rmse_meV_A"] for name in names],
        "energy_rmse_meV_atom": [errors[name]["energy_rmse_meV_atom"] for name in names],
        "force_spread_meV_A": float(1000 * np.sqrt(np.mean(np.var(np.stack(forces), axis=0, ddof=1)))),
        "train_s": [round(one.wall_s, 1) for one in every],
    }


def _room_of(
    tuned: Path | None, frames: LabelledFrames, type_map: tuple[str, ...], work: Work
) -> potential.Room | None:
    """Return the room for neighbours of a model that is tuned: its weights fit no other; None to count anew."""
    settings = work.study.potential
    if tuned is None or settings.backend != "tensorflow":
        return None
    own = potential.model_sel(tuned, work.folder("potential"))
    room = potential.room_for_neighbours([frames], type_map, settings, 1.0)
    far, all_far = potential.neighbours_needed(frames, type_map, settings.rcut_A)
    near, _ = potential.neighbours_needed(frames, type_map, min(settings.near_rcut_A, settings.rcut_A))
    of_all = settings.descriptor in ("se_atten", "se_atten_v2")
    for mine, wanted in zip(own, [[all_far]] if of_all else [far, near], strict=False):
        if any(n > m for n, m in zip(wanted, mine, strict=True)):
            raise InputError(
                f"potential.start_from = '{tuned}' has room for {mine} neighbours of {', '.join(type_map)}, these "
                f"frames have up to {wanted}; train anew, without it"
            )
    if of_all:
        room["total"] = [*own[0], *room["total"][1:]] if own else room["total"]
    else:
        room |= dict(zip(("far", "near"), own, strict=False))
    return room if own else None


def _start_model(work: Work, type_map: tuple[str, ...], folder: Path) -> Path | None:
    """Return the model that training starts from, if one is given; its elements must be the study's, in its order."""
    settings = work.study.potential
    if not settings.start_from:
        return None
    model = work.study.path(settings.start_from)
    work.input_hash(model)
    if settings.backend == "jax":  # its checkpoints do not say
        return model
    if settings.backend == "tensorflow" and potential.backend_of(model) != "tensorflow":
        raise InputError(f"potential.start_from = '{model}': the TensorFlow back end starts from a frozen model, .pb")
    theirs = potential.read_type_map(model, folder)
    if theirs != type_map:
        raise InputError(
            f"potential.start_from = '{model}' knows {', '.join(theirs)}, the frames have {', '.join(type_map)}; "
            "training goes on only with the same elements in the same order"
        )
    return model


def _given_potential(work: Work, folder: Path, cell: Structure) -> list[str]:
    settings = work.study.potential
    model = work.study.path(settings.model)
    backend = potential.backend_of(model)
    type_map = potential.checked_type_map(model, settings.model_type_map, folder, "potential.model_type_map")
    potential.check_elements(cell.symbols, type_map, model)
    write_json(
        folder / "potential.json",
        {
            "model": str(model.absolute()),
            "sha256": work.input_hash(model),
            "type_map": list(type_map),
            "backend": backend,
        },
    )
    write_json(folder / "quality.json", {"source": "given", "backend": backend, "model": str(model)})
    work.screen.say(f"           {model} for {', '.join(type_map)}; its errors are not known here")
    return ["potential.json", "quality.json"]


def _parity_picture(quality: dict[str, Any], folder: Path) -> list[str]:
    p = quality["parity"]
    try:
        figure = report.parity_figure(
            p["force_ref_eV_A"],
            p["force_model_eV_A"],
            p["element"],
            reference_energy_meV_atom=p["energy_ref_meV_atom"],
            predicted_energy_meV_atom=p["energy_model_meV_atom"],
            force_rmse_meV_A=quality["force_rmse_meV_A"],
            energy_rmse_meV_atom=quality["energy_rmse_meV_atom"],
        )
    except MissingToolError:
        return []
    report.save(figure, folder / "parity.svg")
    return ["parity.svg"]
