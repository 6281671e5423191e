"""A running LAMMPS job watched from outside: progress, and whether it has gone bad.

When one looks must not matter: a run that goes bad ends at the first step that shows it, in a run that was killed and
continued as well.  So every frame counts once, frames are left out by their number alone, and `clip` takes away what
was run after the end.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers, covalent_radii

from ..checks import Array
from ..geometry import intact, shortest_distances
from ..records import Polyhedron, Structure

FrameCheck = Callable[[Array, Array], str]
FRAME = b"ITEM: TIMESTEP\n"
ATOMS_EVERY_FRAME = 500
"""In cells larger by a factor only every so manieth frame is looked at: distances cost as the square of the atoms."""
THERMO_COLUMNS = 15
CONTACT = 1.5
"""Atoms farther apart at the start than this many sums of their covalent radii do not touch: ions that start on distant
sites may meet."""


@dataclass
class Watch:
    """What is looked at in a run.

    Attributes
    ----------
    folder : the run's folder.
    structure : the atoms at the start.
    polyhedra : what must stay whole.
    min_intact : the run stops when fewer of the polyhedra are whole over `window` frames; 0 = never.
    min_distance : the run stops when two atoms come nearer than this part of their kinds' shortest
        distance at the start, or of 1.5 x the sum of their covalent radii if that is less; 0 = never.
    target_K : temperature at the end of the run.
    window : frames the share of whole polyhedra is taken over.
    step : the last step that was seen, or the one at which the run went bad.
    """

    folder: Path
    structure: Structure
    polyhedra: list[Polyhedron]
    min_intact: float
    min_distance: float
    target_K: float
    window: int = 20
    step: int = 0
    frames_seen: int = 0
    _last_frame: int = -1
    _offsets: dict[str, int] = field(default_factory=dict)
    _recent: deque[float] = field(default_factory=deque)
    _energy: float | None = None
    _shortest: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        s = self.structure
        found = shortest_distances(s.symbols, s.positions_A, s.cell_A)
        radius = {element: covalent_radii[atomic_numbers[element]] for element in s.symbols}
        self._shortest = {(a, b): min(d, CONTACT * (radius[a] + radius[b])) for (a, b), d in found.items()}

    def look(self) -> str:
        """Read what is new; return why the run must stop, or nothing.  The earliest reason in what is new counts."""
        found = [cause for cause in (self._look_at_frames(), self._look_at_logs()) if cause is not None]
        if not found:
            return ""
        self.step, reason = min(found, key=lambda cause: cause[0])
        return reason

    def _new_text(self, path: Path) -> str:
        """Return the whole lines added since the last look."""
        begin = self._offsets.get(path.name, 0)
        with path.open("rb") as stream:
            stream.seek(begin)
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offsets[path.name] = begin + len(whole)
        return whole.decode(errors="replace")

    def _look_at_logs(self) -> tuple[int, str] | None:
        for log in [*sorted(self.folder.glob("log.*.before")), self.folder / "log.lammps"]:
            for line in self._new_text(log).splitlines() if log.is_file() else []:
                row = thermo_row(line)
                if row is not None:
                    self.step = int(row[0])
                    reason = self._check_row(self.step, row[2], row[5])
                    if reason:
                        return self.step, reason
        return None

    def _check_row(self, step: int, temperature: float, total: float) -> str:
        if not np.isfinite(temperature) or not np.isfinite(total):
            return f"temperature or energy is no longer a number at step {step}"
        if self._energy is None:
            self._energy = total
        if abs(total - self._energy) > 5.0 * len(self.structure.symbols):
            return f"the energy jumped by more than 5 eV/atom at step {step}: the potential has left its ground"
        if temperature > 3.0 * self.target_K + 1000.0:
            return f"the temperature reached {temperature:.0f} K at step {step} (target {self.target_K:g} K)"
        return ""

    def _look_at_frames(self) -> tuple[int, str] | None:
        every = 1 + len(self.structure.symbols) // ATOMS_EVERY_FRAME
        for path in dumps_in_order(self.folder):
            begin = self._offsets.get(path.name, 0)
            if path.stat().st_size == begin:
                continue
            with path.open("rb") as stream:
                stream.seek(begin)
                data = stream.read()
            for text in _whole_frames(data):
                begin += len(text)
                self._offsets[path.name] = begin
                step = int(text.split(b"\n", 2)[1])
                if step <= self._last_frame:
                    continue  # of a piece that was run twice
                self._last_frame = step
                self.frames_seen += 1
                reason = (
                    self._check_frame(text.decode(errors="replace"), every) if self.frames_seen % every == 0 else ""
                )
                if reason:
                    return step, reason
        return None

    def _check_frame(self, text: str, every: int) -> str:
        lines = text.splitlines()[1:]
        try:
            step, atoms = int(lines[0]), int(lines[2])
            cell = _box(lines[4:7])
            rows = np.array([line.split()[3:6] for line in lines[8 : 8 + atoms]], dtype=np.float64)
        except (ValueError, IndexError):
            return ""
        if rows.shape != (len(self.structure.symbols), 3):
            return f"atoms were lost at step {step}: {len(rows)} of {len(self.structure.symbols)} are left"
        symbols = self.structure.symbols
        if self.min_distance > 0:
            for pair, distance in shortest_distances(symbols, rows, cell).items():
                if distance < self.min_distance * self._shortest.get(pair, 0.0):
                    return (
                        f"{pair[0]} and {pair[1]} came within {distance:.2f} Å at step {step} "
                        f"(nearest allowed {self.min_distance * self._shortest[pair]:.2f} Å)"
                    )
        if self.min_intact > 0 and self.polyhedra:
            self._recent.append(float(np.mean(intact(self.polyhedra, symbols, rows, cell))))
            if len(self._recent) > max(1, self.window // every):
                self._recent.popleft()
                share = float(np.mean(self._recent))
                if share < self.min_intact:
                    kinds = ", ".join(map(str, self.polyhedra))
                    whole = f"{kinds} whole in {100 * share:.0f} % of the frames before step {step}"
                    return f"the polyhedra fall apart: {whole}"
        return ""


def _whole_frames(data: bytes) -> list[bytes]:
    """Return the frames in a piece of a dump, its last one only if all its lines are there."""
    parts = [FRAME + part for part in data.split(FRAME)[1:]]
    if not parts:
        return []
    lines = parts[-1].split(b"\n")
    whole = len(lines) > 3 and lines[3].isdigit() and len(lines) > 9 + int(lines[3])
    return parts if whole else parts[:-1]


def dumps_in_order(folder: Path, pattern: str = "*.lammpstrj") -> list[Path]:
    """Return the dumps of a run in the order of the steps in their names."""
    return sorted(folder.glob(pattern), key=lambda path: path.name.split(".")[1])


def clip(folder: Path, last: int) -> None:
    """Take the frames after step `last` from all dumps of a run: those made before it could be stopped."""
    for path in [*dumps_in_order(folder), *dumps_in_order(folder, "ions.*.dump")]:
        frames = _whole_frames(path.read_bytes())
        kept = [text for text in frames if int(text.split(b"\n", 2)[1]) <= last]
        if len(kept) < len(frames):
            part = path.with_name(f"part-{path.name}.part")
            part.write_bytes(b"".join(kept))
            part.replace(path)


def thermo_row(line: str) -> list[float] | None:
    """Return the 15 numbers of a thermo line of our decks, or None for any other line."""
    words = line.split()
    if len(words) != THERMO_COLUMNS:
        return None
    try:
        return [float(w) for w in words]
    except ValueError:
        return None


def read_thermo(log: Path) -> Array:
    """Return the thermo rows of a log, (rows, 15): step, time, temp, pe, ke, etotal, press, vol, cell (6), wall."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    rows = {int(row[0]): row for line in text.splitlines() if (row := thermo_row(line)) is not None}
    table = np.array([rows[step] for step in sorted(rows)]).reshape(len(rows), THERMO_COLUMNS)
    finite: Array = table[np.isfinite(table).all(axis=1)]
    return finite


def _box(lines: list[str]) -> Array:
    """Return the (3, 3) cell of BOX BOUNDS lines; those of a triclinic cell are its bounding box."""
    rows = [[float(v) for v in line.split()] for line in lines]
    xy, xz, yz = (row[2] if len(row) > 2 else 0.0 for row in rows)
    lx = rows[0][1] - rows[0][0] - (max(0.0, xy, xz, xy + xz) - min(0.0, xy, xz, xy + xz))
    ly = rows[1][1] - rows[1][0] - (max(0.0, yz) - min(0.0, yz))
    lz = rows[2][1] - rows[2][0]
    return np.array([[lx, 0.0, 0.0], [xy, ly, 0.0], [xz, yz, lz]])
