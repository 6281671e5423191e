"""SIESTA's standard output of an MD run."""

import re
from pathlib import Path

import numpy as np

from ..checks import Array
from ..errors import FormatError
from .assemble import Raw, later_wins
from .compressed import open_text

BOHR_A = 0.529177210903  # CODATA 2018
_UNIT_PS = {"fs": 1e-3, "ps": 1.0, "s": 1e12, "mins": 6e13}
_LENGTH_A = {"ang": 1.0, "bohr": BOHR_A}
_STEP = re.compile(r"Begin MD step\s*=\s*(\d+)")
_TIME = re.compile(
    r"(?:redata:\s*Length of MD time step\s*=|^\s*MD\.?LengthTimeStep)\s*([-+0-9.EeDd]+)\s*(\w+)", re.IGNORECASE
)
_SPECIES = re.compile(r"Species number:\s*(\d+)\s.*Atomic number:\s*(-?\d+)")
_COORDINATES = re.compile(r"outcoor: Atomic coordinates \((\w+)\)", re.IGNORECASE)
_CELL = re.compile(r"outcell: Unit cell vectors \((\w+)\)", re.IGNORECASE)


def read_siesta(path: Path, timestep_ps: float | None) -> Raw:
    """Read positions, cells and times of the MD steps in SIESTA's output.

    The time of a step is its number × MD.LengthTimeStep.  A cut last step is dropped.

    Parameters
    ----------
    path : the output, packed or not.
    timestep_ps : MD time step, for an output that does not say it.

    Raises
    ------
    FormatError
        If the output holds no MD step, or a step is not whole.
    """
    numbers: dict[int, int] = {}
    step_ps = timestep_ps
    frames: list[tuple[int, list[list[str]], str, int]] = []
    cells: list[Array | None] = []
    last: Array | None = None
    step = 0
    cut = 0
    with open_text(path) as stream:
        lines = enumerate(stream, start=1)
        ahead: list[tuple[int, str]] = []  # the line that ended a list, which may begin another
        while (item := ahead.pop() if ahead else next(lines, None)) is not None:
            number, line = item
            if "MD" not in line and "out" not in line and "Species" not in line:
                continue
            if found := _STEP.search(line):
                step = int(found.group(1)[:18])
            elif found := _SPECIES.search(line):
                numbers[int(found.group(1)[:9])] = abs(int(found.group(2)[:9]))
            elif timestep_ps is None and (found := _TIME.search(line)):
                step_ps = _length(path, found.group(1), found.group(2), number)
            elif found := _COORDINATES.search(line):
                rows = []
                for at, row in lines:
                    words = row.split()
                    if row.endswith("\n") and not _is_atom(words):
                        ahead.append((at, row))
                        break
                    rows.append(words)
                else:
                    cut = 1  # the output ends within the list
                    break
                if step > 0:
                    frames.append((step, rows, found.group(1).lower(), number))
                    cells.append(None)
            elif found := _CELL.search(line):
                table = [row for _, (_, row) in zip(range(3), lines, strict=False)]
                if len(table) < 3 or not table[-1].endswith("\n"):
                    cut = 1
                    break
                last = _cell(path, [row.split() for row in table], found.group(1).lower(), number)
                for k in range(len(cells) - 1, -1, -1):
                    if cells[k] is not None:
                        break
                    cells[k] = last
    if len(cells) > 1 and cells[-1] is None and cells[-2] is not None:
        frames.pop()  # the output ends before this step's cell
        cells.pop()
        cut = 1
    if not frames:
        raise FormatError(path, "holds no MD step ('Begin MD step' and 'outcoor: Atomic coordinates'); WriteCoorStep?")
    if last is None:
        raise FormatError(path, "holds no unit cell ('outcell: Unit cell vectors')")
    cell_A = np.array([last if cell is None else cell for cell in cells])
    symbols: tuple[str, ...] = ()
    positions: list[Array] = []
    for (_, rows, unit, number), cell in zip(frames, cell_A, strict=True):
        names, place = _atoms(path, rows, unit=unit, cell_A=cell, numbers=numbers, line=number)
        if positions and names != symbols:
            raise FormatError(path, "the atoms change within the output", number)
        symbols = names
        positions.append(place)
    kept = later_wins([frame[0] for frame in frames])
    steps = np.array([frames[k][0] for k in kept], dtype=np.float64)
    return Raw(
        symbols=symbols,
        positions_A=np.array([positions[k] for k in kept]),
        cell_A=cell_A[kept],
        origin_A=np.zeros((len(kept), 3)),
        time_ps=None if step_ps is None else steps * step_ps,
        unwrapped=False,  # SIESTA does not wrap, but a restart may
        notes={
            "format": "SIESTA output",
            "files": [str(path)],
            "time": "" if step_ps is None else f"MD step x {step_ps * 1000:g} fs",
            "cut_last_frames_dropped": cut,
            "repeated_frames_dropped": len(frames) - len(kept),
        },
    )


def _is_atom(words: list[str]) -> bool:
    """Tell whether a line is x y z, species, number and label; before or after the number the label stands."""
    return len(words) > 4 and words[3].isdecimal() and any(word.isdecimal() for word in words[4:6])


def _length(path: Path, value: str, unit: str, line: int) -> float:
    try:
        return float(value.lower().replace("d", "e")) * _UNIT_PS[unit.lower()]
    except (ValueError, KeyError) as error:
        raise FormatError(path, f"the MD time step '{value} {unit}' is no time", line) from error


def _cell(path: Path, table: list[list[str]], unit: str, line: int) -> Array:
    try:
        cell: Array = np.array([row[:3] for row in table], dtype=np.float64).reshape(3, 3) * _LENGTH_A[unit]
    except (ValueError, KeyError) as error:
        raise FormatError(path, "wanted three cell vectors in Ang or Bohr", line) from error
    return cell


def _atoms(
    path: Path, rows: list[list[str]], *, unit: str, cell_A: Array, numbers: dict[int, int], line: int
) -> tuple[tuple[str, ...], Array]:
    from ase.data import chemical_symbols

    try:
        place: Array = np.array([row[:3] for row in rows], dtype=np.float64).reshape(len(rows), 3)
        species = [(int(row[3]), next((w for w in row[4:6] if not w.isdecimal()), "")) for row in rows]
    except (ValueError, IndexError) as error:
        raise FormatError(path, "an atom wants three numbers, its species and its label", line) from error
    names = []
    for index, label in species:
        z = numbers.get(index, 0) % 200  # ghosts and synthetic atoms are counted from 200
        letters = re.match(r"[A-Z][a-z]?", label)
        if 0 < z < len(chemical_symbols):
            names.append(chemical_symbols[z])
        elif letters:
            names.append(letters.group(0))
        else:
            raise FormatError(path, f"species {index} ('{label}') is named by no element", line)
    if unit == "fractional":
        return tuple(names), place @ cell_A
    if unit not in _LENGTH_A:
        raise FormatError(path, f"coordinates in '{unit}', wanted Ang, Bohr or fractional", line)
    return tuple(names), place * _LENGTH_A[unit]
