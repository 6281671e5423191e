"""Cells of any kind, labelled and checked as one set; and the inputs of a code written without running it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, ToolError
from ..records import Structure
from .calculators import calculator_note
from .codes import CODES
from .files import formula
from .formats import Part
from .gather import Gathered, Source, gather_parts
from .pool import Label, label_cells


@dataclass(frozen=True)
class Cells:
    """Cells from one source, to be labelled as one group.

    Attributes
    ----------
    name : of the source, a path.
    sha256 : of the source.
    structures : the cells.
    frame_number : of each cell in its source.
    notes : how the cells were chosen or made, in sentences.
    """

    name: str
    sha256: str
    structures: tuple[Structure, ...]
    frame_number: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Labelled:
    """A labelled set, and what did not come into it.

    Attributes
    ----------
    gathered : the set.
    failures : source, frame number and reason of every cell that has no label.
    seconds : that each label took, when it was made.
    """

    gathered: Gathered
    failures: tuple[dict[str, Any], ...]
    seconds: tuple[float, ...]


def label_set(
    sources: Sequence[Cells],
    calculator: str,
    *,
    cache: Path,
    settings: Mapping[str, Any] | None = None,
    workers: int = 0,
    threads_per_worker: int = 1,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Labelled:
    """Label cells of several sources and compositions, all at once, and check them as a set.

    Parameters
    ----------
    sources : the cells; each source becomes a group.
    calculator, cache, settings, workers, threads_per_worker, seed, progress : see `label_cells`.

    Raises
    ------
    InputError
        If there are no cells, the calculator cannot be started, or the labels do not pass the checks of a set.
    MissingToolError
        If the calculator is not installed.
    ToolError
        If every label fails.
    """
    cells = [cell for source in sources for cell in source.structures]
    labels, failed = label_cells(
        cells,
        calculator,
        cache=cache,
        settings=settings,
        workers=workers,
        seed=seed,
        progress=progress,
        threads_per_worker=threads_per_worker,
    )
    places = [(s, k) for s, source in enumerate(sources) for k in range(len(source.structures))]
    failures = tuple(
        {"source": sources[s].name, "frame_number": sources[s].frame_number[k], "reason": failed[n]}
        for n, (s, k) in enumerate(places)
        if n in failed
    )
    if not labels:
        raise ToolError(
            f"calculator '{calculator}': all {len(cells)} labels failed; the first: {failures[0]['reason']}"
        )
    method = calculator_note(calculator, settings)
    kept: list[Source] = []
    parts: list[tuple[int, Part]] = []
    for s, source in enumerate(sources):
        there = [(k, n) for n, (t, k) in enumerate(places) if t == s and n in labels]
        if not there:
            continue
        parts += [(len(kept), part) for part in _parts(source, [(k, labels[n]) for k, n in there])]
        lost = len(source.structures) - len(there)
        dropped = {"no label": lost} if lost else {}
        kept.append(
            Source(
                path=source.name,
                kind=f"labelled by {calculator}",
                sha256=source.sha256,
                method=method,
                n_read=len(source.structures),
                dropped=dropped,
                frame_ps=None,
                temperature_K=None,
                notes=source.notes,
            )
        )
    seconds = tuple(float(labels[n]["seconds"]) for n in sorted(labels) if "seconds" in labels[n])
    return Labelled(gather_parts(kept, parts, method), failures, seconds)


def _parts(source: Cells, there: list[tuple[int, Label]]) -> list[Part]:
    """Return a source's labelled cells, those of one order of atoms and with or without virial together."""
    kinds: dict[tuple[tuple[str, ...], bool], list[tuple[int, Label]]] = {}
    for k, found in there:
        kinds.setdefault((source.structures[k].symbols, "virial_eV" in found), []).append((k, found))
    return [
        Part(
            source=Path(source.name),
            symbols=symbols,
            positions_A=np.stack([source.structures[k].positions_A for k, _ in chosen]),
            cell_A=np.stack([source.structures[k].cell_A for k, _ in chosen]),
            energy_eV=np.array([float(found["energy_eV"]) for _, found in chosen]),
            force_eV_A=np.stack([found["force_eV_A"] for _, found in chosen]),
            virial_eV=np.stack([found["virial_eV"] for _, found in chosen]) if has_virial else None,
            frame_number=np.array([source.frame_number[k] for k, _ in chosen], dtype=np.int64),
        )
        for (symbols, has_virial), chosen in kinds.items()
    ]


def write_code_inputs(
    sources: Sequence[Cells], code: str, folder: Path, settings: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write the inputs of a code, a folder for each cell, and run nothing.

    VASP's POTCAR is written where VASP_PP_PATH is set, and left out elsewhere.

    Parameters
    ----------
    sources : the cells.
    code : one of `CODES`.
    folder : where to; one folder a cell is made in it.
    settings : of the code; None = its defaults.

    Returns
    -------
    The folders.

    Raises
    ------
    InputError
        If the calculator is no code, or the folder is not empty.
    """
    from .codes import read_code_settings
    from .codes.inputs import write_inputs

    if code not in CODES:
        raise InputError(f"--write-inputs is for {', '.join(CODES)}; '{code}' has no input files")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--write-inputs {folder} is not empty; give a new folder")
    used = read_code_settings(code) if settings is None else settings
    made = []
    for s, source in enumerate(sources):
        for k, cell in zip(source.frame_number, source.structures, strict=True):
            place = folder / f"{s:03d}_{formula(cell.symbols)}_{k:05d}"
            write_inputs(code, used, cell, place)
            made.append(place)
    return made
