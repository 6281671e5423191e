"""A set on disk: a folder of DeePMD npy systems, one for each composition and run, and ``set.json``.

::

    SET/
      set.json                       method, sources with SHA-256, what was dropped and why, checks
      Li27P12S44/                    one folder a composition
        000_frames/                  one system a run (…_no_virial: its frames without one)
          type.raw  type_map.raw     the element names of the whole set
          set.000/{coord,box,energy,force[,virial]}.npy  frame_number.npy
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, InputError
from ..records import LabelledFrames, join_frames
from ..runrecord import command_line, read_json, scratch, versions, write_json
from .files import check_part, formula
from .formats import NUMBERS, read_deepmd
from .gather import Gathered, Source
from .kinds import SET_FILE

SCHEMA = "ionstride.dataset/1"


def write_set(gathered: Gathered, folder: Path, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write a set, whole or not at all; an earlier set in the folder is replaced.

    Parameters
    ----------
    gathered : the set.
    folder : where to.
    more : further entries of ``set.json``.

    Returns
    -------
    What ``set.json`` holds.

    Raises
    ------
    InputError
        If the folder holds something else.
    """
    if folder.exists() and not (folder / SET_FILE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--out {folder} holds something that is no set; give another folder")
    type_map = _type_map(list(gathered.compositions.values()))
    new = scratch(folder.absolute().parent)
    systems = []
    try:
        for name, frames in gathered.compositions.items():
            for group in np.unique(frames.group):
                here = frames.take(frames.group == group)
                stem = f"{int(group):03d}_{_slug(gathered.sources[int(group)].path)}"
                known = here.has_virial
                for suffix, chosen in (("", known), ("_no_virial", ~known)):
                    if not chosen.any():
                        continue
                    place = f"{name}/{stem}{suffix if known.any() else ''}"
                    part = here.take(chosen)
                    write_system(part, type_map, new / place)
                    systems.append(
                        {
                            "folder": place,
                            "group": int(group),
                            "formula": name,
                            "n_atoms": len(part.symbols),
                            "n_frames": len(part),
                            "has_virial": bool(chosen is known),
                            "first_frame_number": int(part.frame_number[0]),
                            "last_frame_number": int(part.frame_number[-1]),
                        }
                    )
        about = {
            "schema": SCHEMA,
            "method": gathered.method,
            "type_map": list(type_map),
            "n_frames": sum(len(frames) for frames in gathered.compositions.values()),
            "systems": systems,
            "sources": [asdict(source) for source in gathered.sources],
            "dropped": gathered.dropped,
            "checks": gathered.checks,
            "notes": list(gathered.notes),
            "command": command_line(),
            "versions": versions(),
            **(more or {}),
        }
        write_json(new / SET_FILE, about)
        new.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return about


def write_system(frames: LabelledFrames, type_map: Sequence[str], folder: Path) -> None:
    """Write frames that all have a virial, or none, as one DeePMD npy system with their numbers beside them."""
    data = folder / "set.000"
    data.mkdir(parents=True)
    count = len(frames)
    np.save(data / "coord.npy", frames.positions_A.reshape(count, -1))
    np.save(data / "force.npy", frames.force_eV_A.reshape(count, -1))
    np.save(data / "energy.npy", frames.energy_eV)
    np.save(data / "box.npy", frames.cell_A.reshape(count, 9))
    np.save(data / NUMBERS, frames.frame_number)
    if frames.virial_eV is not None:
        np.save(data / "virial.npy", frames.virial_eV.reshape(count, 9))
    (folder / "type.raw").write_text("\n".join(str(list(type_map).index(s)) for s in frames.symbols) + "\n")
    (folder / "type_map.raw").write_text("\n".join(type_map) + "\n")


def read_about(folder: Path) -> dict[str, Any]:
    """Return what ``set.json`` holds.

    Raises
    ------
    InputError
        If the folder is no set.
    """
    about = read_json(folder / SET_FILE)
    if not isinstance(about, dict) or about.get("schema") != SCHEMA:
        raise InputError(
            f"'{folder}' is no set of IonStride ({SET_FILE} of schema {SCHEMA}); make one with "
            f"'ionstride dataset import {folder} --out SET'"
        )
    return about


def _type_map(compositions: list[LabelledFrames]) -> tuple[str, ...]:
    """Return all elements, in the order of their first atoms."""
    return tuple(dict.fromkeys(s for frames in compositions for s in dict.fromkeys(frames.symbols)))


def _slug(path: str) -> str:
    """Return a short name of a source: its own, with its folder's where all files of a code are called the same."""
    place = Path(path)
    plain = place.name.split(".")[0] if place.suffix else place.name
    common = plain.lower() in ("vasprun", "outcar", "ml_ab", "ml_abn", "frames", "output", "set") or len(plain) < 3
    words = f"{place.parent.name}_{plain}" if common and place.parent.name else plain
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", words)[:40].strip("-.") or "run"


def load_set(folder: Path) -> Gathered:
    """Read a set as it was gathered: `group` is the number of the source.

    Raises
    ------
    InputError
        If the folder is no set.
    FormatError
        If a system is missing or not what ``set.json`` says.
    """
    about = read_about(folder)
    compositions: dict[str, list[LabelledFrames]] = {}
    for system in about["systems"]:
        place = folder / system["folder"]
        if not (place / "type.raw").is_file():
            raise FormatError(folder, f"{SET_FILE} lists {system['folder']}, which is not there")
        part = read_deepmd(place)
        check_part(part)
        if len(part) != system["n_frames"]:
            raise FormatError(place, f"holds {len(part)} frames, {SET_FILE} says {system['n_frames']}")
        if formula(part.symbols) != system["formula"]:
            raise FormatError(
                place, f"holds {formula(part.symbols)} by its type_map.raw, {SET_FILE} says {system['formula']}"
            )
        source = about["sources"][system["group"]]
        frames = LabelledFrames(
            symbols=part.symbols,
            positions_A=part.positions_A,
            cell_A=part.cell_A,
            energy_eV=part.energy_eV,
            force_eV_A=part.force_eV_A,
            virial_eV=part.virial_eV,
            group=np.full(len(part), system["group"], dtype=np.int64),
            frame_number=np.arange(len(part)) if part.frame_number is None else part.frame_number,
            method=about["method"],
            temperature_K=source["temperature_K"],
        )
        compositions.setdefault(system["formula"], []).append(frames)
    whole = {}
    for name, parts in compositions.items():
        joined = join_frames(parts)
        whole[name] = joined.take(np.lexsort((joined.frame_number, joined.group)))
    sources = tuple(Source(**{**s, "notes": tuple(s["notes"])}) for s in about["sources"])
    return Gathered(whole, sources, about["method"], about["checks"], tuple(about["notes"]))
