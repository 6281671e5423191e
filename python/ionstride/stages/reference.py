"""The reference stage: labelled frames, from files or from a calculator."""

from typing import Any

import numpy as np

from .. import labels
from ..errors import InputError
from ..records import LabelledFrames, Structure
from ..runrecord import write_json
from ..settings import Study, as_dict
from ..store import save_frames
from .structure import read_given_frames
from .work import Work, formula, read_cell


def needs(work: Work) -> Any:
    """Return what the outputs of this stage depend on."""
    settings = work.study.reference
    if work.frame_files:
        files = [work.input_hash(f) for f in work.frame_files]
        number = [work.input_hash(work.study.path(settings.frame_number))] if settings.frame_number else []
        return [files, number, settings.method]
    relevant = {k: v for k, v in as_dict(settings).items() if k not in {"workers", "settings"}}
    of_calculator = [work.input_hash(work.study.path(settings.settings))] if settings.settings else []
    if ":" in settings.calculator:  # the user's own, which may have changed under the same name
        of_calculator.append(labels.calculator_identity(settings.calculator))
    return [relevant, work.study.seed, work.outputs("structure")["structure.json"], *of_calculator]


def make(work: Work) -> list[str]:
    """Make the outputs of this stage; return their names."""
    settings, folder = work.study.reference, work.folder("reference")
    others: list[LabelledFrames] = []
    if work.frame_files:
        frames, *others = read_given_frames(work)
        note = ""
        units = labels.check_units(frames)
        for other in others:
            labels.check_units(other)
    else:
        note = labels.calculator_note(settings.calculator, calculator_settings(work.study))
        work.screen.warn(f"labels come from {note}")
        if settings.n_frames < 10:
            raise InputError(f"reference.n_frames = {settings.n_frames}, wanted at least 10")
        cells = labels.rattled_cells(
            read_cell(work), settings.n_frames, settings.rattle_A, settings.strain, work.study.seed
        )
        frames = label(work, cells, 0, f"label {len(cells)} rattled and strained cells")
        units = {}
    save_frames(frames, folder / "frames.npz")
    names = [f"frames_{number}.npz" for number in range(1, len(others) + 1)]
    for name, other in zip(names, others, strict=True):
        save_frames(other, folder / name)
    write_json(
        folder / "reference.json",
        {
            "method": frames.method,
            "note": note,
            "n_frames": len(frames),
            "n_groups": len(np.unique(frames.group)),
            "energy_std_meV_atom": float(1000 * frames.energy_eV.std() / len(frames.symbols)),
            "force_std_eV_A": float(frames.force_eV_A.std()),
            "units_check": units,
            "other_compositions": {labels.formula(other.symbols): len(other) for other in others},
        },
    )
    work.screen.say(
        f"           {len(frames)} frames of {formula(frames.symbols)} by {frames.method or 'a method not named'}, "
        f"forces scatter by {frames.force_eV_A.std():.2f} eV/Å"
    )
    for other in others:
        work.screen.say(f"           and {len(other)} frames of {formula(other.symbols)}")
    return ["frames.npz", "reference.json", *names]


def calculator_settings(study: Study) -> dict[str, Any]:
    """Return the settings of the study's calculator, from ``reference.settings`` or its defaults."""
    file = study.reference.settings
    return labels.read_settings(study.reference.calculator, study.path(file) if file else None)


def label(work: Work, cells: list[Structure], group: int, what: str) -> LabelledFrames:
    """Label structures with the study's calculator, on its cores, through its cache."""
    settings = work.study.reference
    workers = 1 if work.study.deterministic else (settings.workers or work.cores)
    with work.screen.working():
        return labels.label(
            cells,
            settings.calculator,
            settings=calculator_settings(work.study),
            cache=work.out / "labels",
            workers=workers,
            seed=work.study.seed,
            group=group,
            progress=lambda done, of: work.screen.news(what, done, of),
        )
