"""The potential stage: trained, frozen, compressed and tested; or the user's own model."""

from pathlib import Path
from typing import Any

import numpy as np

from .. import learning, potential, report
from ..errors import InputError, MissingToolError
from ..records import Structure
from ..runrecord import read_json, write_json
from ..settings import as_dict
from ..store import load_frames
from .learning import skip as learning_skip
from .work import Work, read_cell, shortest_in


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
    start = work.folder("learning") / learned["checkpoint"] if learned else None
    held_out, split = potential.split_frames(frames, settings.valid_fraction, work.study.seed)
    if learned:  # what no model has ever been trained on
        held_out = np.isin(np.arange(len(frames)), learned["held_out"])
        evenly = work.study.learning.models > 1
        split = f"blocks of the first frames, and {'an even sample' if evenly else 'blocks'} of each round's"
    with work.screen.working():
        trained = potential.train_potential(
            frames,
            settings,
            folder / "train",
            type_map=type_map,
            seed=work.study.seed,
            threads=1 if work.study.deterministic else work.cores,
            start_from=start,
            others=others,
            sel=learned["sel"] if learned else None,
            held_out=held_out,
            progress=lambda step, of, text: work.screen.news(f"train on {total} frames", step, of, text),
        )
        flag = potential.BACKENDS[settings.backend][0]
        errors: dict[str, Any] = {}
        for name, part in (("valid", frames.take(held_out)), ("train", frames.take(_some(~held_out)))):
            energy, force = potential.predict(
                trained.model, part, type_map=type_map, flag=flag, threads=work.cores, log=folder / "test.log"
            )
            errors[name] = potential.errors(part, energy, force)
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
        "lcurve": {name: column.tolist() for name, column in lcurve.items()},
        **errors["valid"],
    }
    write_json(folder / "quality.json", quality)
    model = trained.model.relative_to(folder)
    described = {
        "model": str(model),
        "sha256": trained.sha256,
        "type_map": list(type_map),
        "backend": settings.backend,
        "shortest_A": shortest_in(frames),
    }
    write_json(folder / "potential.json", described)
    outputs = ["quality.json", "potential.json"]
    if trained.model.is_file():
        outputs.append(str(model))
    outputs += _parity_picture(quality, folder)
    work.screen.say(
        f"           held-out frames ({len(frames.take(held_out))}, {split}): energy "
        f"{quality['energy_rmse_meV_atom']:.2f} meV/atom, force {quality['force_rmse_meV_A']:.0f} meV/Å; "
        f"training frames {quality['train_force_rmse_meV_A']:.0f} meV/Å; {trained.wall_s:.0f} s"
    )
    return outputs


def _some(mask: Any, count: int = 200) -> Any:
    """Return up to `count` evenly spread members of a mask."""
    members = np.flatnonzero(mask)
    return members[np.unique(np.linspace(0, len(members) - 1, min(count, len(members))).astype(int))]


def _given_potential(work: Work, folder: Path, cell: Structure) -> list[str]:
    settings = work.study.potential
    model = work.study.path(settings.model)
    backend = potential.backend_of(model)
    type_map = settings.model_type_map or potential.read_type_map(model, folder)
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
        )
    except MissingToolError:
        return []
    report.save(figure, folder / "parity.svg")
    return ["parity.svg"]
