"""Text of the xyz family: extended xyz, and CP2K's positions with their cells in a file of their own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..checks import Array
from ..errors import FormatError, InputError
from .assemble import Raw, later_wins, looks_cut
from .compressed import open_text, plain_name

_LATTICE = re.compile(r"""\bLattice\s*=\s*(?:"([^"]*)"|'([^']*)'|\{([^}]*)\})""", re.IGNORECASE)
_PROPERTIES = re.compile(r"\bProperties\s*=\s*\"?([^\s\"]+)", re.IGNORECASE)
_ORIGIN = re.compile(r'\bOrigin\s*=\s*"([^"]*)"', re.IGNORECASE)
_TIME = re.compile(r"\b(time(?:_ps|_fs)?)\s*=\s*\"?([^\s,\"]+)", re.IGNORECASE)
_STEP = re.compile(r"\bi\s*=\s*(\d+)")


@dataclass(frozen=True)
class _Frame:
    comment: str
    rows: list[str]
    line: int  # of the comment, 1-based


def read_xyz(path: Path, topology: Path | None, timestep_ps: float | None) -> Raw:
    """Read extended xyz, or xyz of CP2K or others whose cell is in another file.

    Extended xyz: `Lattice` is the cell; `Time` is read as fs, as GPUMD and QUIP write it (`time_ps`, `time_fs` say
    their unit); a column `unwrapped_position` is preferred to `pos`.  CP2K: `time` in the comment is in fs, the step
    is `i`; of steps written twice by a restart the later one counts; cells come from `NAME-1.cell` beside
    `NAME-pos-1.xyz`, or from `topology` (a .cell file, or any structure that ASE reads).

    Parameters
    ----------
    path : the file, packed or not.
    topology : where the cell is, if not in the file.
    timestep_ps : MD time step, for comments with a step but no time.

    Raises
    ------
    FormatError
        If the file is no xyz, atoms change, or numbers are missing.
    InputError
        If there is no cell.
    """
    symbols: tuple[str, ...] = ()
    positions: list[Array] = []
    cells: list[Array | None] = []
    origins: list[Array] = []
    times: list[float | None] = []
    steps: list[int | None] = []
    unwrapped = True
    cut = 0
    with open_text(path) as stream:
        for number, frame in enumerate(_frames(path, stream)):
            if frame is None:
                cut = 1
                break
            names, place, free = _atoms(path, frame, number)
            if symbols and names != symbols:
                raise FormatError(path, f"frame {number} holds other atoms, or in another order", frame.line)
            symbols = names
            unwrapped &= free
            positions.append(place)
            cells.append(_lattice(path, frame))
            origins.append(_vector(_ORIGIN, frame))
            step = _STEP.search(frame.comment)
            steps.append(int(step.group(1)[:18]) if step else None)
            times.append(_time_ps(path, frame))
    if not positions:
        raise FormatError(path, "holds no whole frame of an xyz file (number of atoms, comment, atoms)")
    kept = later_wins(steps)
    cell_A = _cells(path, cells, steps, kept, topology)
    time_ps: Array | None = None
    if all(t is not None for t in times):
        time_ps = np.array([times[k] for k in kept], dtype=np.float64)
    elif timestep_ps is not None and all(s is not None for s in steps):
        time_ps = np.array([steps[k] for k in kept], dtype=np.float64) * timestep_ps
    cp2k = all(s is not None for s in steps)
    return Raw(
        symbols=symbols,
        positions_A=np.array([positions[k] for k in kept]),
        cell_A=cell_A,
        origin_A=np.array([origins[k] for k in kept]),
        time_ps=time_ps,
        unwrapped=unwrapped,
        notes={
            "format": "CP2K xyz" if cp2k else "extended xyz",
            "files": [str(path)],
            "time": "time in the comment line, in fs" if all(t is not None for t in times) else "",
            "cut_last_frames_dropped": cut,
            "repeated_frames_dropped": len(steps) - len(kept),
        },
    )


def _frames(path: Path, stream: IO[str]) -> Iterator[_Frame | None]:
    """Give the frames; None at the end if the last is cut."""
    line = 0
    while head := stream.readline():
        line += 1
        if not head.strip():
            continue
        try:
            count = int(head)
        except ValueError as error:
            raise FormatError(path, f"wanted the number of atoms, got '{head.strip()[:40]}'", line) from error
        if count < 1:
            raise FormatError(path, f"a frame of {count} atoms", line)
        comment = stream.readline()
        rows: list[str] = []
        while len(rows) < count and (row := stream.readline()):
            rows.append(row)
        if len(rows) < count or looks_cut(rows):
            yield None
            return
        yield _Frame(comment, rows, line + 1)
        line += 1 + count


def _atoms(path: Path, frame: _Frame, number: int) -> tuple[tuple[str, ...], Array, bool]:
    name_at, place_at, free = _columns(frame.comment)
    try:
        table = [row.split() for row in frame.rows]
        names = tuple(row[name_at].capitalize() for row in table)
        place = np.array([row[place_at : place_at + 3] for row in table], dtype=np.float64)
    except (ValueError, IndexError) as error:
        raise FormatError(path, f"frame {number} has an atom without element and three numbers", frame.line) from error
    if place.shape != (len(names), 3):
        raise FormatError(path, f"frame {number} has an atom without three coordinates", frame.line)
    letters = tuple(re.match(r"[A-Za-z]*", name).group(0) for name in names)  # type: ignore[union-attr]
    if not all(letters):
        raise FormatError(path, f"frame {number} has an atom that is named by no element", frame.line)
    return letters, place, free


def _columns(comment: str) -> tuple[int, int, bool]:
    """Return the columns of the element and of x, and whether the positions are unwrapped."""
    found = _PROPERTIES.search(comment)
    if not found:
        return 0, 1, False
    words = found.group(1).split(":")
    at = 0
    columns = {}
    for name, width in zip(words[0::3], words[2::3], strict=False):
        columns[name.lower()] = at
        at += int(width) if width.isdecimal() and len(width) < 4 else 1
    name_at = columns.get("species", columns.get("element", 0))
    if "unwrapped_position" in columns:
        return name_at, columns["unwrapped_position"], True
    return name_at, columns.get("pos", 1), False


def _lattice(path: Path, frame: _Frame) -> Array | None:
    found = _LATTICE.search(frame.comment)
    if not found:
        return None
    words = next(group for group in found.groups() if group is not None).split()
    try:
        return np.array(words, dtype=np.float64).reshape(3, 3)
    except ValueError as error:
        raise FormatError(path, "Lattice holds no nine numbers", frame.line) from error


def _vector(pattern: re.Pattern[str], frame: _Frame) -> Array:
    found = pattern.search(frame.comment)
    try:
        return np.array(found.group(1).split(), dtype=np.float64).reshape(3) if found else np.zeros(3)
    except ValueError:
        return np.zeros(3)


def _time_ps(path: Path, frame: _Frame) -> float | None:
    found = _TIME.search(frame.comment)
    if not found:
        return None
    try:
        value = float(found.group(2))
    except ValueError as error:
        raise FormatError(path, f"'{found.group(0)[:40]}' is no time", frame.line) from error
    return value if found.group(1).lower() == "time_ps" else value / 1000.0


def _cells(
    path: Path, own: list[Array | None], steps: list[int | None], kept: list[int], topology: Path | None
) -> Array:
    if topology is None:
        found = [cell for cell in own if cell is not None]
        if len(found) == len(own):
            return np.array([found[k] for k in kept])
        if found:
            raise FormatError(path, f"{len(own) - len(found)} of {len(own)} frames have no Lattice")
    source = topology or _cell_file(path)
    if source is None:
        raise InputError(
            f'{path} gives no cell: an extended xyz needs Lattice="…" in its comment line, CP2K\'s needs its .cell '
            "file beside it, or give a structure with the cell by --topology"
        )
    if not source.is_file():
        raise InputError(f"topology file '{source}' is not there")
    if not plain_name(source).endswith(".cell") or not _is_cp2k_cell(source):
        return np.broadcast_to(_structure_cell(source), (len(kept), 3, 3))
    table = _read_cell_file(source)
    if len(table) == 1:
        return np.broadcast_to(next(iter(table.values())), (len(kept), 3, 3))
    missing = [steps[k] for k in kept if steps[k] not in table]
    if missing:
        raise InputError(
            f"{source} has no cell for step {missing[0]} of {path} ({len(missing)} steps are without one); write both "
            "files at the same steps"
        )
    return np.array([table[steps[k]] for k in kept])  # type: ignore[index]


def _cell_file(path: Path) -> Path | None:
    """Return NAME-1.cell beside NAME-pos-1.xyz, if it is there."""
    found = re.fullmatch(r"(.*)-pos-(\d+)\.xyz", plain_name(path))
    if not found:
        return None
    for tail in ("", ".gz", ".zst"):
        beside = path.with_name(f"{found.group(1)}-{found.group(2)}.cell{tail}")
        if beside.is_file():
            return beside
    return None


def _is_cp2k_cell(path: Path) -> bool:
    with open_text(path) as stream:
        return "Step" in stream.readline(200)


def _read_cell_file(path: Path) -> dict[int, Array]:
    """Return step → cell of a CP2K .cell file (step, time, nine components in Å, volume); later lines win."""
    table: dict[int, Array] = {}
    with open_text(path) as stream:
        for number, line in enumerate(stream, start=1):
            words = line.split("#")[0].split()
            if not words:
                continue
            try:
                table[int(words[0])] = np.array(words[2:11], dtype=np.float64).reshape(3, 3)
            except (ValueError, IndexError) as error:
                if not line.endswith("\n"):
                    break  # cut with the run
                raise FormatError(path, "wanted step, time and nine cell components", number) from error
    if not table:
        raise FormatError(path, "holds no cell")
    return table


def _structure_cell(path: Path) -> Array:
    import warnings

    from ase.io import read

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms: Any = read(path, index=0)
    except Exception as error:  # ASE's readers raise whatever their parsing runs into
        raise FormatError(path, f"ASE cannot read it as a structure ({' '.join(str(error).split())[:100]})") from error
    return np.array(atoms.cell.array, dtype=np.float64)
