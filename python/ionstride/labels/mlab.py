"""VASP's ML_AB and ML_ABN: the ab initio frames that a machine-learned force field was fitted to."""

import re
from pathlib import Path

import numpy as np

from ..checks import Array
from ..errors import FormatError
from .formats import Part

EV_A3_PER_KBAR = 1.0 / 1602.1766208
_RULE = re.compile(r"^\s*[-=*]{10,}\s*$")


_Frame = tuple[tuple[str, ...], Array, Array, Array, Array, Array]
"""Symbols, positions, cell, energy, forces and virial."""


def read_ml_ab(file: Path) -> list[Part]:
    """Read every configuration; several compositions may stand in one file.

    Stress is that of the OUTCAR, in kbar and positive under compression, so that virial = volume × stress.

    Raises
    ------
    FormatError
        If a configuration is not whole.
    """
    frames: list[_Frame] = []
    section: dict[str, list[str]] = {}
    with file.open(errors="replace") as stream:
        title = ""
        above = False
        for line in stream:
            if _RULE.match(line):
                above = "-" not in line
                continue
            if above:
                title = line.strip()
                if title.startswith("Configuration num"):
                    if "Total energy (eV)" in section or "Atomic positions (ang.)" in section:
                        frames.append(_frame(file, section, len(frames)))
                    section = {}
                section[title] = []
                above = False
            else:
                section.setdefault(title, []).append(line)
    cut = 0
    try:
        frames.append(_frame(file, section, len(frames)))
    except FormatError:
        if not frames:
            raise
        cut = 1
    parts: list[Part] = []
    for symbols in dict.fromkeys(frame[0] for frame in frames):
        chosen = [k for k, frame in enumerate(frames) if frame[0] == symbols]
        positions, cell, energy, force, virial = (np.array([frames[k][c] for k in chosen]) for c in range(1, 6))
        parts.append(
            Part(
                file,
                symbols,
                positions,
                cell,
                energy,
                force,
                virial,
                frame_number=np.array(chosen, dtype=np.int64),
                dropped={"cut last frame": cut} if cut and not parts else {},
            )
        )
    return parts


def _frame(file: Path, section: dict[str, list[str]], number: int) -> _Frame:
    """Return symbols, positions, cell, energy, forces and virial of one configuration."""
    try:
        counts = [line.split() for line in section["Atom types and atom numbers"] if line.split()]
        symbols = tuple(name for name, count in counts for _ in range(int(count)))
        n = len(symbols)
        cell = _table(section["Primitive lattice vectors (ang.)"], 3)
        positions = _table(section["Atomic positions (ang.)"], n)
        force = _table(section["Forces (eV ang.^-1)"], n)
        energy = np.float64(section["Total energy (eV)"][0].split()[0])
        rows = [line for line in section["Stress (kbar)"] if line.split()]
        xx, yy, zz = (float(v) for v in rows[1].split())
        xy, yz, zx = (float(v) for v in rows[3].split())
    except (KeyError, ValueError, IndexError) as error:
        raise FormatError(
            file, f"configuration {number + 1} is not whole, wanted lattice, positions, energy, forces and stress"
        ) from error
    stress = np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]])
    virial = abs(float(np.linalg.det(cell))) * EV_A3_PER_KBAR * stress
    return symbols, positions, cell, np.asarray(energy), force, virial


def _table(lines: list[str], rows: int) -> Array:
    return np.array([line.split() for line in lines if line.split()], dtype=np.float64).reshape(rows, 3)
