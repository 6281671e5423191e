"""One reader for each format of labelled frames; each returns its numbers as they stand in the file."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..errors import FormatError
from ..records import IntArray

PREFIXES = ("ref_", "dft_", "vasp_", "pbe_", "")
NUMBERS = "frame_number.npy"
"""Beside a system's coord.npy: the number of each frame in its run (DeePMD passes over it)."""

NPZ_KEYS = {
    "positions": ("pos", "positions", "r", "coords", "coord", "positions_a"),
    "forces": ("forces", "f", "force", "force_ev_a"),
    "energies": ("energy", "e", "energies", "energy_ev"),
    "cells": ("cell", "cells", "lattice", "box", "cell_a"),
    "atomic numbers": ("atomic_numbers", "z", "numbers", "nuclear_charges"),
    "virials": ("virial", "virials", "virial_ev"),
}


@dataclass(frozen=True)
class Part:
    """Frames of one source with one order of atoms; shapes as in `LabelledFrames`.

    Attributes
    ----------
    source, symbols, positions_A, cell_A, energy_eV, force_eV_A, virial_eV, method : as named; virials of all frames,
        or None.
    frame_number : (F) number of each frame in its run; None: as they come.
    frame_ps : time between frame numbers, if the source says it.
    temperature_K : temperature of the run, if the source says it.
    dropped : what was left out on reading and how many frames of it.
    notes : what should be known of the source, in sentences.
    """

    source: Path
    symbols: tuple[str, ...]
    positions_A: Array
    cell_A: Array
    energy_eV: Array
    force_eV_A: Array
    virial_eV: Array | None
    method: str = ""
    frame_number: IntArray | None = None
    frame_ps: float | None = None
    temperature_K: float | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.energy_eV)

    def take(self, index: npt.NDArray[Any]) -> "Part":
        """Return the frames that `index` (integers or a mask) selects."""
        number = np.arange(len(self)) if self.frame_number is None else self.frame_number
        return replace(
            self,
            positions_A=self.positions_A[index],
            cell_A=self.cell_A[index],
            energy_eV=self.energy_eV[index],
            force_eV_A=self.force_eV_A[index],
            virial_eV=None if self.virial_eV is None else self.virial_eV[index],
            frame_number=number[index],
        )

    def permuted(self, order: npt.NDArray[np.int64]) -> "Part":
        """Return the part with its atoms in another order."""
        return replace(
            self,
            symbols=tuple(self.symbols[i] for i in order),
            positions_A=self.positions_A[:, order],
            force_eV_A=self.force_eV_A[:, order],
        )


def _load(file: Path) -> Array:
    try:
        return np.asarray(np.load(file, allow_pickle=False), dtype=np.float64)
    except FileNotFoundError as error:
        raise FormatError(file.parent, f"{file.name} is missing") from error
    except (ValueError, OSError, EOFError) as error:
        raise FormatError(file, "is no .npy file of numbers") from error


def read_deepmd(folder: Path) -> Part:
    """Read one DeePMD npy system: type.raw, type_map.raw, set.*/{coord,box,energy,force,virial}.npy."""
    if (folder / "nopbc").exists():
        raise FormatError(folder, "is marked as not periodic (nopbc), wanted a periodic crystal")
    if not (folder / "type_map.raw").is_file():
        raise FormatError(folder, "type_map.raw is missing; it names the element of each type")
    names = _type_names(folder / "type_map.raw")
    try:
        types = [int(t) for t in (folder / "type.raw").read_text().split()]
        if min(types, default=-1) < 0:  # Python would count from the end
            raise ValueError("types count from 0")
        symbols = tuple(names[t] for t in types)
    except (ValueError, IndexError) as error:
        raise FormatError(
            folder / "type.raw", f"holds a type that is none of 0 to {len(names) - 1} ({' '.join(names)})"
        ) from error
    sets = sorted(p for p in folder.glob("set.*") if p.is_dir())
    if not sets:
        raise FormatError(folder, "holds no set.* folder")
    found: dict[str, list[Array]] = {"coord": [], "box": [], "energy": [], "force": [], "virial": []}
    for one in sets:
        for name, arrays in found.items():
            if name != "virial" or (one / "virial.npy").is_file():
                arrays.append(_load(one / f"{name}.npy"))
    atoms = len(symbols)
    shapes = {"coord": (atoms, 3), "box": (3, 3), "energy": (), "force": (atoms, 3), "virial": (3, 3)}
    whole: dict[str, Array] = {}
    for name, arrays in found.items():
        for array in arrays:
            if array.size != len(array) * int(np.prod(shapes[name])):
                raise FormatError(folder, f"{name}.npy has shape {array.shape}, which does not fit {atoms} atoms")
        if arrays:
            whole[name] = np.concatenate([array.reshape(-1, *shapes[name]) for array in arrays])
    virial = whole["virial"] if len(found["virial"]) == len(sets) else None
    numbered = [one / NUMBERS for one in sets if (one / NUMBERS).is_file()]
    number = np.concatenate([_load(file) for file in numbered]).astype(np.int64) if len(numbered) == len(sets) else None
    if number is not None and len(number) != len(whole["energy"]):
        raise FormatError(folder, f"{NUMBERS} holds {len(number)} numbers for {len(whole['energy'])} frames")
    return Part(
        folder, symbols, whole["coord"], whole["box"], whole["energy"], whole["force"], virial, frame_number=number
    )


def _type_names(file: Path) -> list[str]:
    """Return the element of each type that type_map.raw names.

    Raises
    ------
    FormatError
        If one is no element, or stands there twice: two types would become one.
    """
    from ase.data import atomic_numbers

    names = file.read_text().split()
    for name in names:
        if name not in atomic_numbers or name == "X":
            raise FormatError(file, f"'{name}' is no element; types are named by element, such as Li")
        if names.count(name) > 1:
            raise FormatError(file, f"names {name} twice; each type is an element of its own")
    return names


def read_npz(file: Path) -> Part:
    """Read one npz with positions, forces (F, N, 3), energies (F) or (F, 1), cells (3, 3) or (F, 3, 3), numbers (N)."""
    from ase.data import chemical_symbols

    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {key.lower(): archive[key] for key in archive.files if archive[key].dtype.kind in "iuf"}
    except Exception as error:  # zipfile, zlib and NumPy each raise their own
        raise FormatError(file, "is no readable .npz file") from error
    found: dict[str, Any] = {}
    for name, keys in NPZ_KEYS.items():
        key = next((prefix + k for k in keys for prefix in PREFIXES if prefix + k in arrays), None)
        if key is not None:
            found[name] = arrays[key]
        elif name != "virials":
            raise FormatError(file, f"holds no {name} (a key named {' or '.join(keys)}); present: {', '.join(arrays)}")
    numbers = np.asarray(found["atomic numbers"])
    if numbers.ndim == 2 and (numbers == numbers[0]).all():
        numbers = numbers[0]
    if numbers.ndim != 1 or numbers.min() < 1 or numbers.max() >= len(chemical_symbols):
        raise FormatError(file, f"atomic numbers of shape {numbers.shape} are no list of elements, wanted (N)")
    symbols = tuple(chemical_symbols[int(z)] for z in numbers)
    energy = np.asarray(found["energies"], dtype=np.float64)
    energy = energy.reshape(len(energy)) if energy.ndim and energy.size == len(energy) else energy
    cell = np.asarray(found["cells"], dtype=np.float64)
    if cell.ndim == 2 and cell.size == 9:
        cell = np.broadcast_to(cell.reshape(1, 3, 3), (len(energy), 3, 3))
    elif cell.size == 9 * len(energy):
        cell = cell.reshape(-1, 3, 3)
    virial = found.get("virials")
    return Part(
        file,
        symbols,
        np.asarray(found["positions"], dtype=np.float64),
        cell,
        energy,
        np.asarray(found["forces"], dtype=np.float64),
        None if virial is None else np.asarray(virial, dtype=np.float64).reshape(-1, 3, 3),
    )


def _pick(table: Mapping[str, Any], names: Iterable[str]) -> Any:
    lower = {key.lower(): value for key, value in table.items()}
    return next((lower[p + name] for p in PREFIXES for name in names if p + name in lower), None)


def read_extxyz(file: Path) -> list[Part]:
    """Read an extended xyz: energy, forces, virial or stress from info, arrays or calculator, also as REF_ or dft_."""
    return read_ase(file, "extxyz")


def read_ase(file: Path, kind: str | None = None) -> list[Part]:
    """Read whatever ASE does, one frame after another; see `parts_of_images`.

    Parameters
    ----------
    file : file with energies and forces.
    kind : ASE's name of the format; found by ASE if not given.

    Raises
    ------
    FormatError
        If ASE cannot read the file, or a frame has no energy or forces.
    """
    from ase.io import iread

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            images: list[Any] = list(iread(file, index=":", format=kind))
    except Exception as error:  # ASE's readers raise whatever their parsing runs into
        said = "extended xyz" if kind == "extxyz" else kind or "any format that ASE knows"
        raise FormatError(file, f"cannot be read as {said} ({' '.join(str(error).split())[:100]})") from error
    return parts_of_images(file, images)


def parts_of_images(file: Path, images: list[Any], method: str = "") -> list[Part]:
    """Return ASE's atoms with labels as parts, a run of frames with the same order of atoms each.

    Where both are given the free energy is taken before the energy extrapolated to no smearing: it is the one whose
    derivatives the forces are.  Momenta, where there are some, give the temperature.

    Raises
    ------
    FormatError
        If a frame has no energy or forces.
    """
    if not images:
        raise FormatError(file, "holds no frames")
    parts = []
    for number, atoms in enumerate(images):
        results = dict(getattr(atoms.calc, "results", {}) or {})
        info, arrays = {**results, **atoms.info}, {**results, **atoms.arrays}
        energy = _pick(info, ("free_energy", "energy", "total_energy"))
        force = _pick(arrays, ("forces", "force"))
        for name, value in (("energy", energy), ("forces", force)):
            if value is None:
                raise FormatError(file, f"frame {number} (counted from 0) has no {name}")
        virial = _pick(info, ("virial", "virials", "virial_ev"))
        stress = _pick(info, ("stress",))
        if virial is None and stress is not None:
            virial = -atoms.get_volume() * _matrix(stress)
        moving = "momenta" in atoms.arrays and bool(np.any(atoms.arrays["momenta"]))
        parts.append(
            Part(
                file,
                tuple(atoms.get_chemical_symbols()),
                np.array(atoms.positions, dtype=np.float64)[None],
                np.array(atoms.cell.array, dtype=np.float64)[None],
                np.array([energy], dtype=np.float64),
                np.array(force, dtype=np.float64)[None],
                None if virial is None else _matrix(virial)[None],
                str(_pick(atoms.info, ("method", "functional")) or method),
                frame_number=np.array([number], dtype=np.int64),
                temperature_K=float(atoms.get_temperature()) if moving else None,
            )
        )
    return _joined(parts)


def _matrix(stress: Any) -> Array:
    """Return (3, 3) from (3, 3), 9 numbers, or 6 in Voigt order xx yy zz yz xz xy."""
    values = np.asarray(stress, dtype=np.float64).ravel()
    return values[[0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(3, 3) if values.size == 6 else values.reshape(3, 3)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _joined(parts: list[Part]) -> list[Part]:
    """Join runs of frames with the same order of atoms, so that a long file is a few parts."""
    joined: list[list[Part]] = []
    for part in parts:
        last = joined[-1][0] if joined else None
        alike = last is not None and (last.symbols, last.method, last.virial_eV is None) == (
            part.symbols,
            part.method,
            part.virial_eV is None,
        )
        if alike:
            joined[-1].append(part)
        else:
            joined.append([part])
    return [
        replace(
            run[0],
            positions_A=np.concatenate([p.positions_A for p in run]),
            cell_A=np.concatenate([p.cell_A for p in run]),
            energy_eV=np.concatenate([p.energy_eV for p in run]),
            force_eV_A=np.concatenate([p.force_eV_A for p in run]),
            virial_eV=None if run[0].virial_eV is None else np.concatenate([p.virial_eV for p in run]),
            frame_number=np.concatenate([p.frame_number for p in run]),
            temperature_K=_mean([p.temperature_K for p in run]),
        )
        for run in joined
    ]
