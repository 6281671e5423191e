"""CP2K: a single point whose input lies beside its output, as ``ionstride label`` and ASE leave them.

CP2K prints cells to 0.001 Å and positions to 1e-6 Å; its input holds every digit.
"""

import re
from pathlib import Path

import numpy as np

from ..checks import Array
from ..errors import FormatError
from .by_dpdata import element
from .cp2k import BOHR_A, EV_A3_PER_GPA, HARTREE_EV, _method, _read_output, read_cp2k_output
from .formats import Part

_ENERGY = re.compile(r"ENERGY\| Total FORCE_EVAL \( QS \) energy \[?\(?\S+\]?\)?:?\s+(-?[0-9.Ee+-]+)")
_FORCES = re.compile(r"ATOMIC FORCES in \[a\.u\.\]\s+# Atom[^\n]*\n((?:\s+\d+\s+\d+\s+\S+(?:\s+\S+){3}\n)+)")


def read_cp2k_point(file: Path) -> list[Part]:
    """Read an output of CP2K; of a single point with its input beside it, cell and positions come from the input.

    Raises
    ------
    FormatError
        If the SCF did not converge, or energy or forces are missing.
    """
    given = file.with_suffix(".inp")
    text = file.read_text(errors="replace")
    if "MD| " in text or "Multiplication driver" in text or not given.is_file():
        return read_cp2k_output(file)
    try:
        symbols, positions, cell = _read_input(given)
    except FormatError:  # coordinates from a file, scaled ones, a cell by lengths: the output alone must do
        return read_cp2k_output(file)
    energy, forces = _ENERGY.findall(text), _FORCES.findall(text)
    said = _read_output(file)
    if said.unconverged:
        raise FormatError(file, "its SCF did not converge")
    if len(energy) != 1 or len(forces) != 1:
        raise FormatError(
            file,
            f"holds {len(energy)} energies and {len(forces)} tables of forces, wanted one of each: one single point",
        )
    rows = [line.split() for line in forces[0].splitlines()]
    if tuple(row[2] for row in rows) != symbols:
        raise FormatError(file, f"its atoms are not those of {given.name} beside it")
    stress = said.stress_GPa.get(0)
    virial = None if stress is None else (stress * EV_A3_PER_GPA * abs(np.linalg.det(cell)))[None]
    force = np.array([row[3:6] for row in rows], dtype=np.float64) * HARTREE_EV / BOHR_A
    return [
        Part(
            file,
            symbols,
            positions[None],
            cell[None],
            np.array([float(energy[0]) * HARTREE_EV]),
            force[None],
            virial,
            _method(said),
        )
    ]


def _read_input(file: Path) -> tuple[tuple[str, ...], Array, Array]:
    """Return symbols, positions and cell of an input with &COORD in Å and the cell as vectors A, B, C."""
    text = file.read_text(errors="replace")
    coord = re.search(r"&COORD\s*\n(.*?)&END COORD", text, re.DOTALL)
    vectors = dict(re.findall(r"^\s+([ABC])((?:\s+[-+0-9.Ee]+){3})\s*$", text, re.MULTILINE))
    if coord is None or set(vectors) != {"A", "B", "C"}:
        raise FormatError(file, "holds no &COORD, or no cell as vectors A, B and C")
    rows = [line.split() for line in coord[1].splitlines() if line.strip()]
    try:
        positions = np.array([row[1:4] for row in rows], dtype=np.float64).reshape(len(rows), 3)
        cell = np.array([vectors[name].split() for name in "ABC"], dtype=np.float64)
        symbols = tuple(element(file, row[0]) for row in rows)
    except (ValueError, IndexError) as error:
        raise FormatError(file, "its &COORD is not of the form 'element x y z' in Å") from error
    return symbols, positions, cell
