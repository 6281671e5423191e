"""The structure stage: the crystal, its supercell and its polyhedra."""

from typing import Any

import numpy as np

from .. import labels, structure
from ..errors import InputError
from ..records import LabelledFrames, Structure
from ..runrecord import write_json
from ..settings import as_dict
from ..store import save_structure
from .work import Work, formula


def needs(work: Work) -> Any:
    """Return what the outputs of this stage depend on."""
    settings = work.study.structure
    if settings.file:
        source = [work.input_hash(work.study.path(settings.file))]
    elif work.frame_files:
        source = [work.input_hash(f) for f in work.frame_files]
    else:
        raise InputError("the study names no crystal: set structure.file, or give reference.frames")
    return [as_dict(settings), source]


def make(work: Work) -> list[str]:
    """Make the outputs of this stage; return their names."""
    settings = work.study.structure
    if settings.file:
        cell = structure.read_structure(work.study.path(settings.file))
    else:
        cell = _first_frame(read_given_frames(work)[0])
    repeats = (settings.supercell[0], settings.supercell[1], settings.supercell[2])
    cell = structure.make_supercell(cell, repeats)
    if cell.count(settings.mobile) == 0:
        present = ", ".join(sorted(set(cell.symbols)))
        raise InputError(f"structure.mobile = '{settings.mobile}' is not in the structure; present: {present}")
    given = structure.parse_polyhedra(list(settings.polyhedra))
    for p in given:
        absent = [e for e in (p.centre, p.ligand) if cell.count(e) == 0]
        if absent:
            raise InputError(
                f"structure.polyhedra names {p.centre}-{p.ligand}, but there is no {absent[0]} in the structure"
            )
    polyhedra = given or structure.find_polyhedra(cell, settings.mobile)
    folder = work.folder("structure")
    save_structure(cell, folder / "structure.json")
    structure.write_structure(cell, folder / "structure.extxyz")
    write_json(folder / "polyhedra.json", [[p.centre, p.ligand, p.count, p.cutoff_A] for p in polyhedra])
    work.screen.say(
        f"           {formula(cell.symbols)}, {len(cell.symbols)} atoms, {cell.volume_A3:.1f} Å³; "
        f"polyhedra that must stay whole: {', '.join(map(str, polyhedra)) or 'none found'}"
    )
    return ["structure.json", "structure.extxyz", "polyhedra.json"]


def _first_frame(frames: LabelledFrames) -> Structure:
    first = int(np.lexsort((frames.frame_number, frames.group))[0])
    return Structure(frames.symbols, frames.positions_A[first], frames.cell_A[first])


def read_given_frames(work: Work) -> list[LabelledFrames]:
    """Read the labelled frames the user gave, by composition, the one with most frames first.

    Several compositions are taken from sets alone, which were made of them on purpose.
    """
    settings = work.study.reference
    number = work.study.path(settings.frame_number) if settings.frame_number else None
    if all(labels.folder_of_set(file) for file in work.frame_files):
        return labels.read_compositions(work.frame_files, frame_number=number, method=settings.method)
    return [labels.read_frames(work.frame_files, frame_number=number, method=settings.method)]
