"""What reading a trajectory whole would take of memory, told before it is read."""

import contextlib
import os
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import FormatError, InputError
from .compressed import PACKED
from .kinds import kind_of

_COPIES = 4  # of all positions, at most, alive at once where a run is read whole and unwrapped
_USABLE = 0.8  # part of the free memory that may be used
_BINARY = {".xtc": 8.0, ".dcd": 2.0, ".trr": 2.0, ".nc": 2.0, ".h5md": 2.0}  # float64 by what a coordinate takes there
_PACKED = 5.0  # bytes of text per byte of a packed file, about; a number of text takes more bytes than a float64


@dataclass(frozen=True)
class MemoryEstimate:
    """What is needed and what there is.

    Attributes
    ----------
    n_atoms, n_frames : of the files; frames of a dump are counted by the size of the first one, so about; None
        where only reading would tell.
    positions_bytes : all positions in float64.
    needed_bytes : most memory that reading whole and analysing takes.
    available_bytes : free memory, None where the system does not say.
    streamable : whether the files can be read in chunks instead.
    words : all of it for the screen.
    """

    n_atoms: int | None
    n_frames: int | None
    positions_bytes: int
    needed_bytes: int
    available_bytes: int | None
    streamable: bool
    words: str

    @property
    def fits(self) -> bool:
        """Whether the run can be read whole; True where the free memory is not known."""
        return self.available_bytes is None or self.needed_bytes <= _USABLE * self.available_bytes


def estimate_memory(
    files: Sequence[Path | str],
    *,
    start: int | None = None,
    stop: int | None = None,
    stride: int = 1,
) -> MemoryEstimate:
    """Estimate the memory that a run takes if it is read whole, without reading it.

    Parameters
    ----------
    files : the parts of one run.
    start, stop, stride : frames of the joined run.  A stride saves nothing in the estimate: where positions are
        wrapped, all frames are needed to unwrap them.

    Raises
    ------
    InputError
        If a file is missing.
    FormatError
        If a dump does not begin with a whole frame.
    """
    paths = [Path(file) for file in files]
    if not paths:
        raise InputError("no trajectory file was given")
    kind = kind_of(paths[0])
    for path in paths[1:]:
        kind_of(path)
    if stride < 1:
        raise InputError(f"stride = {stride}, wanted 1 or more")
    if any(path.suffix.lower() in PACKED for path in paths):
        kind = "packed"
    n_atoms: int | None = None
    n_frames: int | None = None
    if kind == "LAMMPS dump":
        n_atoms, frame_bytes = _first_frame(paths[0])
        n_frames = sum(max(1, round(path.stat().st_size / frame_bytes)) for path in paths)
    if n_atoms is not None and n_frames is not None:
        used = len(range(*slice(start, stop).indices(n_frames)))
        positions = used * n_atoms * 24
        what = f"about {n_atoms} atoms x {used} frames, {_size(positions)} of positions"
    else:
        positions = sum(_uncompressed(path) for path in paths)
        what = f"at most about {_size(positions)} of positions"
    needed = _COPIES * positions
    free = available_memory()
    said = f"{_size(free)} are free" if free is not None else "the system does not say how much is free"
    return MemoryEstimate(
        n_atoms=n_atoms,
        n_frames=n_frames,
        positions_bytes=positions,
        needed_bytes=needed,
        available_bytes=free,
        streamable=kind in ("LAMMPS dump", "other"),
        words=f"{what}: read whole they take up to {_size(needed)} of memory; {said}",
    )


def available_memory() -> int | None:
    """Return the memory that a program may still take, in bytes; None where the system does not say.

    The least of what the machine has free (`MemAvailable` where there is /proc) and what the control group leaves,
    such as that of a batch job.
    """
    said = []
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
        if found:
            said.append(1024 * int(found.group(1)))
    except OSError:
        pass
    if not said:
        with contextlib.suppress(ValueError, OSError, AttributeError):
            said.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    said += _control_group()
    return min(said) if said else None


def _control_group() -> list[int]:
    """Return what the limits of the process's control groups (version 2) leave, in bytes."""
    left = []
    try:
        line = next(x for x in Path("/proc/self/cgroup").read_text().splitlines() if x.startswith("0::"))
        folder = Path("/sys/fs/cgroup") / line[3:].lstrip("/")
        for group in (folder, *folder.parents):
            limit = group / "memory.max"
            if limit.is_file() and (most := limit.read_text().strip()).isdigit():
                left.append(max(0, int(most) - int((group / "memory.current").read_text())))
    except (OSError, StopIteration, ValueError):
        pass
    return left


def _first_frame(path: Path) -> tuple[int, int]:
    """Return the atoms and the bytes of a dump's first frame."""
    atoms = 0
    with path.open("rb") as stream:
        for line in stream:
            if line.startswith(b"ITEM: NUMBER OF ATOMS"):
                try:
                    atoms = int(stream.readline())
                except ValueError as error:
                    raise FormatError(path, "ITEM: NUMBER OF ATOMS is not followed by a whole number") from error
            if line.startswith(b"ITEM: ATOMS") and atoms > 0:
                header = stream.tell()
                rest = sum(len(stream.readline()) for _ in range(atoms))
                if stream.readline() or rest > 0:
                    return atoms, header + rest
    raise FormatError(path, "no whole frame of a LAMMPS text dump is there")


def _uncompressed(path: Path) -> int:
    if path.suffix == ".npz":
        try:
            with zipfile.ZipFile(path) as archive:
                return max((2 if "r_A" in x.filename else 1) * x.file_size for x in archive.infolist())
        except (zipfile.BadZipFile, ValueError):
            pass  # what is wrong with it, the reader says
    if path.is_dir():
        return sum(item.stat().st_size for item in path.rglob("*.npy"))
    size = path.stat().st_size
    if path.suffix.lower() in _BINARY:
        return int(size * _BINARY[path.suffix.lower()])
    return int(size * (_PACKED if path.suffix.lower() in PACKED else 1.0))


def _size(count: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"
