"""Labelled frames of one method, from files of any known kind or from a set."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError, InputError
from ..geometry import cell_heights
from ..records import IntArray, LabelledFrames
from ..runrecord import read_json
from .formats import Part
from .kinds import SET_FILE, folder_of_set, sources_in
from .sources import read_source

THINNEST_A, LONGEST_A = 0.5, 1000.0
"""What cells of atoms are between; beyond, a number is wrong."""


def read_frames(files: Sequence[Path], *, frame_number: Path | None = None, method: str = "") -> LabelledFrames:
    """Read labelled frames of one composition and one method.

    Parameters
    ----------
    files, frame_number, method : as for `read_compositions`.

    Raises
    ------
    InputError
        If a file is missing, compositions or methods differ, or numbers are missing or not finite.
    FormatError
        If a file does not hold what its format promises.
    """
    parts, groups = _read(files)
    one_order(parts)
    return _together(parts, np.array(groups), frame_number, method)


def read_compositions(
    files: Sequence[Path], *, frame_number: Path | None = None, method: str = ""
) -> list[LabelledFrames]:
    """Read labelled frames of one method, those of each composition by themselves, the one with most frames first.

    Each source is one group; so is each run of a set.  Where the order of the atoms differs between frames of one
    composition, all are put in the same order, element by element.  Frames without a virial stay without.

    Parameters
    ----------
    files : a set of ``ionstride dataset import`` (or the folder of one of its compositions), DeePMD systems, extxyz,
        npz, outputs of codes: all that `sources_in` finds.
    frame_number : ``.npy`` with the number of each frame in its run, for one group of frames; these are then put in
        that order.  Without it the order in the file is the order in the run.
    method : code and functional; where the files themselves name one, they must agree.

    Raises
    ------
    InputError
        If a file is missing, methods differ, or numbers are missing or not finite.
    FormatError
        If a file does not hold what its format promises.
    """
    parts, groups = _read(files)
    names = [formula(part.symbols) for part in parts]
    found = []
    for name in dict.fromkeys(names):
        here = [k for k, other in enumerate(names) if other == name]
        index = np.array([groups[k] for k in here])
        found.append(_together([parts[k] for k in here], index, frame_number, method))
    return sorted(found, key=lambda frames: -len(frames))


def _read(files: Sequence[Path]) -> tuple[list[Part], list[int]]:
    """Return the parts of all sources, checked one by one and of one method, and the group of each."""
    if not files:
        raise InputError("no files of labelled frames were given")
    parts: list[Part] = []
    groups: list[int] = []
    runs: dict[str, int] = {}
    for file in map(Path, files):
        for path in sources_in(file):
            run, method_of_set = _of_set(path)
            group = runs.setdefault(run, len(runs))
            found = read_source(path)[1]
            parts += [replace(part, method=method_of_set) for part in found] if method_of_set else found
            groups += [group] * len(found)
    for part in parts:
        check_part(part)
    named = list(dict.fromkeys(part.method for part in parts if part.method))
    if len(named) > 1:
        raise InputError(f"the frames were made by different methods ({', '.join(named)}); train on one of them alone")
    return parts, groups


def _together(parts: list[Part], groups: IntArray, frame_number: Path | None, method: str) -> LabelledFrames:
    """Return the frames of one composition in one order of atoms, by group and number."""
    symbols, parts = one_order(parts)
    group_of = np.repeat(groups, [len(part) for part in parts])
    number = _numbers(frame_number, parts, group_of)
    return stacked(symbols, parts, group_of, number, method or next((p.method for p in parts if p.method), ""))


def stacked(
    symbols: tuple[str, ...], parts: list[Part], group: IntArray, number: IntArray, method: str
) -> LabelledFrames:
    """Return the frames of parts, whose atoms are in one order, by group and frame number; no virial: NaN."""
    order = np.lexsort((number, group))
    virials = [np.full((len(p), 3, 3), np.nan) if p.virial_eV is None else p.virial_eV for p in parts]
    return LabelledFrames(
        symbols=symbols,
        positions_A=np.concatenate([p.positions_A for p in parts])[order],
        cell_A=np.concatenate([p.cell_A for p in parts])[order],
        energy_eV=np.concatenate([p.energy_eV for p in parts])[order],
        force_eV_A=np.concatenate([p.force_eV_A for p in parts])[order],
        virial_eV=np.concatenate(virials)[order],
        group=group[order],
        frame_number=number[order],
        method=method,
    )


def _of_set(path: Path) -> tuple[str, str]:
    """Return a name for the run of a source and the method of the set it lies in, if it lies in one."""
    folder = folder_of_set(path) if path.is_dir() else None
    about = read_json(folder / SET_FILE) if folder else None
    if folder is None or not about:
        return str(path), ""
    inside = str(path.absolute().relative_to(folder.absolute()))
    group = next((s["group"] for s in about["systems"] if s["folder"] == inside), inside)
    return f"{folder}#{group}", str(about["method"])


def check_part(part: Part) -> None:
    """Raise `FormatError` if arrays do not fit each other, hold NaN, or a cell has no volume."""
    frames, atoms = len(part.energy_eV), len(part.symbols)
    wanted: dict[str, tuple[Any, tuple[int, ...]]] = {
        "positions": (part.positions_A, (frames, atoms, 3)),
        "cells": (part.cell_A, (frames, 3, 3)),
        "energies": (part.energy_eV, (frames,)),
        "forces": (part.force_eV_A, (frames, atoms, 3)),
    }
    if part.virial_eV is not None:
        wanted["virials"] = (part.virial_eV, (frames, 3, 3))
    for name, (array, shape) in wanted.items():
        if array.shape != shape:
            raise FormatError(part.source, f"{name} have shape {array.shape}, wanted {shape}")
        bad = np.flatnonzero(~np.isfinite(array.reshape(frames, -1)).all(axis=1))
        if bad.size:
            listed = ", ".join(map(str, bad[:5])) + (", …" if bad.size > 5 else "")
            raise FormatError(
                part.source,
                f"{name} hold NaN or infinite values in {bad.size} frame(s) ({listed}); remove those frames",
            )
    volume = np.abs(np.linalg.det(part.cell_A))
    if (volume < 1e-6).any():
        raise FormatError(part.source, f"frame {int(volume.argmin())} has a cell without volume, wanted three vectors")
    height, length = cell_heights(part.cell_A).min(axis=1), np.linalg.norm(part.cell_A, axis=2).max(axis=1)
    if (height < THINNEST_A).any() or (length > LONGEST_A).any():
        odd = int(np.flatnonzero((height < THINNEST_A) | (length > LONGEST_A))[0])
        raise FormatError(
            part.source,
            f"frame {odd} has a cell {height[odd]:.3g} Å thin with a vector of {length[odd]:.3g} Å, wanted more than "
            f"{THINNEST_A:g} and less than {LONGEST_A:g} Å",
        )


def formula(symbols: Sequence[str]) -> str:
    """Return a formula such as Li27P12S44, elements in alphabetical order."""
    return "".join(f"{s}{n if n > 1 else ''}" for s in sorted(set(symbols)) for n in [list(symbols).count(s)])


def one_order(parts: list[Part]) -> tuple[tuple[str, ...], list[Part]]:
    """Return the common symbols and the parts with their atoms in that order, element by element.

    Raises
    ------
    InputError
        If compositions differ.
    """
    first = parts[0]
    for part in parts:
        if formula(part.symbols) != formula(first.symbols):
            raise InputError(
                f"the frames are of different compositions: {formula(first.symbols)} in {first.source} and "
                f"{formula(part.symbols)} in {part.source}; give those of one composition, or make a set of "
                "all with 'ionstride dataset import'"
            )
    if all(part.symbols == first.symbols for part in parts):
        return first.symbols, parts
    elements = list(dict.fromkeys(first.symbols))
    ordered = []
    for part in parts:
        names = np.asarray(part.symbols)
        ordered.append(part.permuted(np.concatenate([np.flatnonzero(names == element) for element in elements])))
    return ordered[0].symbols, ordered


def _numbers(file: Path | None, parts: list[Part], group: npt.NDArray[np.int64]) -> IntArray:
    """Return the number of each frame in its run: as given, as the source says, or as they come."""
    if file is not None:
        file = Path(file)
        if not file.is_file():
            raise InputError(f"file of frame numbers '{file}' is not there")
        if group[-1] != 0:
            raise InputError(
                f"frame numbers ({file}) can be given for one file of frames, not for {int(group[-1]) + 1}"
            )
        return read_numbers(file, len(group))
    if all(part.frame_number is not None for part in parts):
        said: IntArray = np.concatenate([part.frame_number for part in parts])
        if len(np.unique(np.stack([group, said]), axis=1)[0]) == len(group):
            return said
    starts = np.searchsorted(group, group)
    return np.arange(len(group)) - starts


def read_numbers(file: Path, frames: int) -> IntArray:
    """Return the whole numbers, each once, that a .npy file gives to frames.

    Raises
    ------
    FormatError
        If they are not whole, not unique or not as many as the frames.
    """
    if not Path(file).is_file():
        raise InputError(f"file of frame numbers '{file}' is not there")
    try:
        number = np.load(file, allow_pickle=False).ravel()
    except (ValueError, OSError, EOFError) as error:
        raise FormatError(file, "is no .npy file of numbers") from error
    if number.dtype.kind not in "iuf" or not (number == np.rint(number)).all():
        raise FormatError(file, "holds numbers that are not whole, wanted frame numbers")
    if len(number) != frames:
        raise FormatError(file, f"holds {len(number)} frame numbers for {frames} frames")
    if len(np.unique(number)) != frames:
        raise FormatError(file, "holds the same frame number twice, wanted each frame of the run once")
    whole: npt.NDArray[np.int64] = number.astype(np.int64)
    return whole
