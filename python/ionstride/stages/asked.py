"""Whether what ``ionstride analyze`` and ``ionstride arrhenius`` are asked makes sense, before any work."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..runrecord import RECORD

_CHARGES = (0.01, 10.0)  # in magnitude; outside it is no charge of an ion in elementary charges
_TEMPERATURES_K = (0.01, 1e6)


def check_charge(charge_e: float) -> None:
    """Raise `InputError` if a number cannot be the charge of one ion in elementary charges."""
    if not _CHARGES[0] <= abs(charge_e) <= _CHARGES[1]:
        raise InputError(
            f"--charge {charge_e:g}, wanted the charge of one ion in elementary charges, such as 1 for Li or 2 for Mg"
        )


def check_kelvin(option: str, temperature_K: float) -> None:
    """Raise `InputError` if a number cannot be a temperature in K."""
    if not temperature_K > 0.0:
        raise InputError(f"{option} {temperature_K:g}: a temperature of {temperature_K:g} K, wanted above 0 K")
    if not _TEMPERATURES_K[0] <= temperature_K <= _TEMPERATURES_K[1]:
        raise InputError(
            f"{option} {temperature_K:g}, wanted kelvin, between {_TEMPERATURES_K[0]:g} and {_TEMPERATURES_K[1]:g}"
        )


def check_window(fit_ps: tuple[float, float] | None) -> None:
    """Raise `InputError` if a fit window is not two finite lags, the first above zero and the second later."""
    if fit_ps is not None and not 0.0 < fit_ps[0] < fit_ps[1] < math.inf:
        raise InputError(
            f"--fit-ps {fit_ps[0]:g}:{fit_ps[1]:g}, wanted A:B in ps, a first lag above zero and a later last lag, "
            "such as 2:20"
        )


def check_clock(frame_ps: float | None, timestep_ps: float | None) -> None:
    """Raise `InputError` if the time is given twice: the two could differ, and one would win in silence."""
    if frame_ps is not None and timestep_ps is not None:
        raise InputError(
            f"--frame-ps {frame_ps:g} and --timestep-ps {timestep_ps:g} are both given; give one of them: the time "
            "between frames, or that of one MD step"
        )


def check_types(types: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the elements of LAMMPS types without blanks.

    Raises
    ------
    InputError
        If one is empty.
    """
    if types is None:
        return None
    names = tuple(name.strip() for name in types)
    if not all(names):
        raise InputError(
            f"--types {','.join(types)} leaves a type without element; wanted one for each type, such as Li,P,S"
        )
    return names


def check_twice(runs: Sequence[Sequence[Path | str]]) -> None:
    """Raise `InputError` if a file is given twice: as a replica it would count as new data."""
    seen: set[Path] = set()
    for file in (file for parts in runs for file in parts):
        real = Path(file).resolve()
        if real in seen:
            raise InputError(f"'{file}' is given twice, and would count as new data; give every run once")
        seen.add(real)


def check_copies(inputs: dict[str, str]) -> None:
    """Raise `InputError` if two of the files (name → SHA-256) hold the same bytes."""
    seen: dict[str, str] = {}
    for name, digest in inputs.items():
        if digest in seen:
            raise InputError(f"'{name}' is a copy of '{seen[digest]}', so it adds nothing; give every run once")
        seen[digest] = name


def check_one_ion(rows: Sequence[dict[str, Any]]) -> None:
    """Raise `InputError` if results of several mobile ions are to make one line."""
    ions = list(dict.fromkeys(row["mobile"] for row in rows))
    if len(ions) > 1:
        raise InputError(f"the results are of {', '.join(ions)}; an Arrhenius line is of one mobile ion")


def charge_of(rows: Sequence[dict[str, Any]]) -> float:
    """Return the charge of the ion that the results were made with.

    Raises
    ------
    InputError
        If they were made with several.
    """
    charges = sorted({float(row.get("charge_e", 1.0)) for row in rows})
    if len(charges) > 1:
        raise InputError(
            f"the results were made with charges of {', '.join(f'{q:g}' for q in charges)} e; give --charge"
        )
    return charges[0]


def check_used(source: dict[str, Any]) -> None:
    """Raise `InputError` if a file of a run gives no frame: the order is wrong, or runs were given as parts of one."""
    for run in source.get("runs") or [source]:
        unused = run.get("superseded_files")
        if unused:
            raise InputError(
                f"'{unused[0]}' gives no frame, because a file after it begins at the same step or an earlier one; "
                "give the parts of one run in order, other runs each by --replica; leave out what was run again"
            )


def check_folder(out: Path) -> None:
    """Raise `InputError` if results cannot be written to a folder, or it is one of a study's."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; give a folder, new or of an earlier analysis")
    if (out / RECORD).exists():
        raise InputError(f"--out {out} belongs to a study, whose results would be lost; give another folder")
    check_writable(out)


def check_file(out: Path, inputs: Sequence[Path]) -> None:
    """Raise `InputError` if a JSON file cannot be written at `out`, or is one of those that are read."""
    if out.suffix.lower() != ".json":
        raise InputError(f"--out {out}, wanted a file that ends in .json; the page is written beside it as .html")
    if out.is_dir():
        raise InputError(f"--out {out} is a folder; give a file in it, such as {out / 'arrhenius.json'}")
    if out.resolve() in {path.resolve() for path in inputs}:
        raise InputError(f"--out {out} is one of the files that are read, and would be lost; give another name")
    check_writable(out.parent)


def check_writable(folder: Path) -> None:
    """Raise `InputError` if a folder can be neither written to nor made."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise InputError(f"--out: '{there}' is a file, so '{folder}' cannot be made in it; give another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"--out: no permission to write in '{there}'; give another folder")


def notes(source: dict[str, Any]) -> list[str]:
    """Return what a user should hear about the files: left-out frames, seams that look wrong, runs cut short."""
    said: list[str] = []
    for run in source.get("runs") or [source]:
        name = ", ".join(Path(file).name for file in run.get("files") or []) or "the file"
        if run.get("cut_last_frames_dropped"):
            said.append(f"{name}: {run['cut_last_frames_dropped']} last frame cut short, left out")
        if run.get("repeated_frames_dropped"):
            said.append(f"{name}: {run['repeated_frames_dropped']} repeated frames, the later ones taken")
        said += run.get("seam_notes") or []
    cut = source.get("frames_cut_to_the_shortest_run") or []
    for number, frames in enumerate(cut):
        if frames:
            said.append(f"run {number} (from 0) is cut by {frames} frames to the length of the shortest")
    return said
