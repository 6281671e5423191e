"""Labelled frames from files: DeePMD npy folders, extended xyz, npz."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError, InputError
from ..records import LabelledFrames
from .formats import Part, read_deepmd, read_extxyz, read_npz


def read_frames(files: Sequence[Path], *, frame_number: Path | None = None, method: str = "") -> LabelledFrames:
    """Read labelled frames of one composition and one method.

    Each file or DeePMD system is one group.  Where the order of the atoms differs between frames, all are put in the
    same order, element by element.  The virial is kept only if every frame has one.

    Parameters
    ----------
    files : DeePMD npy folders (a system, or a folder of systems), ``.extxyz`` or ``.xyz``, ``.npz``.
    frame_number : ``.npy`` with the number of each frame in its run, for one group of frames; these are then put in
        that order.  Without it the order in the file is the order in the run.
    method : code and functional; where the files themselves name one, they must agree.

    Raises
    ------
    InputError
        If a file is missing, compositions or methods differ, or numbers are missing or not finite.
    FormatError
        If a file does not hold what its format promises.
    """
    if not files:
        raise InputError("no files of labelled frames were given")
    parts: list[Part] = []
    groups: list[int] = []
    for file in map(Path, files):
        for system in _systems(file):
            group = groups[-1] + 1 if groups else 0
            found = _read(system)
            parts += found
            groups += [group] * len(found)
    for part in parts:
        _check(part)
    named = list(dict.fromkeys(part.method for part in parts if part.method))
    if len(named) > 1:
        raise InputError(f"the frames were made by different methods ({', '.join(named)}); train on one of them alone")
    symbols, parts = _one_order(parts)
    lengths = [len(part.energy_eV) for part in parts]
    group_of = np.repeat(groups, lengths)
    number = _numbers(frame_number, group_of)
    order = np.lexsort((number, group_of))
    virials = [np.full((len(p.energy_eV), 3, 3), np.nan) if p.virial_eV is None else p.virial_eV for p in parts]
    return LabelledFrames(
        symbols=symbols,
        positions_A=np.concatenate([p.positions_A for p in parts])[order],
        cell_A=np.concatenate([p.cell_A for p in parts])[order],
        energy_eV=np.concatenate([p.energy_eV for p in parts])[order],
        force_eV_A=np.concatenate([p.force_eV_A for p in parts])[order],
        virial_eV=np.concatenate(virials)[order],
        group=group_of[order],
        frame_number=number[order],
        method=method or (named[0] if named else ""),
    )


def _systems(file: Path) -> list[Path]:
    """Return the file itself, or the DeePMD systems in a folder, by name."""
    if not file.exists():
        raise InputError(f"file of labelled frames '{file}' is not there")
    if file.is_file() or (file / "type.raw").is_file():
        return [file]
    systems = sorted(found.parent for found in file.rglob("type.raw"))
    if not systems:
        raise FormatError(file, "is a folder without type.raw in it or below it, wanted DeePMD npy systems")
    return systems


def _read(system: Path) -> list[Part]:
    if system.is_dir():
        return [read_deepmd(system)]
    if system.suffix == ".npz":
        return [read_npz(system)]
    if system.suffix in (".extxyz", ".xyz"):
        return read_extxyz(system)
    raise InputError(f"'{system}' is no known kind of labelled frames, wanted a DeePMD npy folder, .extxyz or .npz")


def _check(part: Part) -> None:
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


def _formula(symbols: Sequence[str]) -> str:
    return "".join(f"{s}{n if n > 1 else ''}" for s in sorted(set(symbols)) for n in [list(symbols).count(s)])


def _one_order(parts: list[Part]) -> tuple[tuple[str, ...], list[Part]]:
    """Return the common symbols and the parts with their atoms in that order."""
    first = parts[0]
    for part in parts:
        if _formula(part.symbols) != _formula(first.symbols):
            raise InputError(
                f"the frames are of different compositions: {_formula(first.symbols)} in {first.source} and "
                f"{_formula(part.symbols)} in {part.source}; give those of one composition"
            )
    if all(part.symbols == first.symbols for part in parts):
        return first.symbols, parts
    elements = list(dict.fromkeys(first.symbols))
    ordered = []
    for part in parts:
        names = np.asarray(part.symbols)
        ordered.append(part.permuted(np.concatenate([np.flatnonzero(names == element) for element in elements])))
    return ordered[0].symbols, ordered


def _numbers(file: Path | None, group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    frames = len(group)
    if file is None:
        starts = np.searchsorted(group, group)
        return np.arange(frames) - starts
    file = Path(file)
    if not file.is_file():
        raise InputError(f"file of frame numbers '{file}' is not there")
    if group[-1] != 0:
        raise InputError(f"frame numbers ({file}) can be given for one file of frames, not for {int(group[-1]) + 1}")
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
