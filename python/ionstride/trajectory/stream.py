"""Trajectories too big for memory: frames read, unwrapped and handed on a chunk at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import _kernels
from ..checks import Array, check_choice
from ..errors import InputError, PhysicsError
from ..records import FrameStream
from .assemble import COARSEST_STEP
from .compressed import PACKED
from .kinds import kind_of
from .recorded import Chunk, Recorded, recorded_dumps, recorded_universe

STREAMED_UNWRAP = ("auto", "minimum-image", "given")
_COPIES = 7  # of a chunk of positions, alive at once: as read, relative to the corner, unwrapped, of the ions …


def open_stream(
    files: Sequence[Path | str],
    *,
    temperature_K: float,
    timestep_ps: float | None = None,
    frame_ps: float | None = None,
    topology: Path | str | None = None,
    types: Sequence[str] | None = None,
    start: int | None = None,
    stop: int | None = None,
    stride: int = 1,
    unwrap: str = "auto",
    memory_MB: float = 200.0,
    threads: int = 0,
) -> FrameStream:
    """Open one run whose frames are to be read a chunk at a time; arguments are those of `read_trajectory`.

    The files are gone through once here, for times and cells: unwrapping refers positions to the mean cell.

    Parameters
    ----------
    files : the parts of one run, in order: LAMMPS text dumps, or what MDAnalysis reads.
    temperature_K : nominal temperature.
    timestep_ps, frame_ps : MD time step of a dump, or time between frames as recorded (before `stride`).
    topology : file with the atoms, for formats that hold positions alone.
    types : element of each LAMMPS type in type order, for files without element names.
    start, stop, stride : frames of the joined run, as in a Python slice.
    unwrap : 'auto', 'minimum-image' or 'given'.
    memory_MB : memory that chunks may take, with all copies that are made of them on the way.
    threads : threads of the reader, 0 for all cores.

    Returns
    -------
    FrameStream
        Positions equal those of `read_trajectory`.

    Raises
    ------
    InputError
        If files are missing or of a kind that is not streamed, do not say time or elements, or are not evenly
        spaced in time.
    FormatError
        If a file does not hold what its format promises; also while chunks are read.
    PhysicsError
        While chunks are read: if frames are too coarse to be unwrapped by minimum images.
    """
    check_choice("unwrap", unwrap, STREAMED_UNWRAP)
    for name, value in (("temperature_K", temperature_K), ("memory_MB", memory_MB)):
        if not value > 0.0:
            raise InputError(f"{name} = {value:g}, wanted a number above zero")
    paths = [Path(file) for file in files]
    if not paths:
        raise InputError("no trajectory file was given")
    packed = next((path for path in paths if path.suffix.lower() in PACKED), None)
    if packed is not None:
        raise InputError(f"{packed}: a packed file is not read in chunks; unpack it first")
    kinds = {kind_of(path) for path in paths}
    if len(kinds) > 1:
        raise InputError(f"the files are of several kinds ({', '.join(sorted(kinds))}); give parts of one run")
    kind = kinds.pop()
    if kind == "LAMMPS dump":
        recorded = recorded_dumps(
            paths,
            types=types,
            timestep_ps=timestep_ps,
            frame_ps=frame_ps,
            start=start,
            stop=stop,
            stride=stride,
            keep_wrapped=unwrap == "minimum-image",
            threads=threads,
        )
    elif kind == "other":
        atoms = Path(topology) if topology else None
        recorded = recorded_universe(
            paths, topology=atoms, types=types, frame_ps=frame_ps, start=start, stop=stop, stride=stride
        )
    else:
        raise InputError(
            f"{paths[0]}: files of this kind ({kind}) are read whole, not in chunks; LAMMPS text dumps and the formats "
            "of MDAnalysis (DCD, XTC …) can be"
        )
    most = int(memory_MB * 1e6 / (_COPIES * 24 * len(recorded.symbols)))
    chunk_frames = max(1, min(most, recorded.n_read))
    source: dict[str, Any] = {
        **recorded.notes,
        "unwrap": _scheme(recorded, unwrap)[1],
        "frames": len(recorded.chosen),
        "streamed_in_chunks_of_frames": chunk_frames,
    }
    if (start, stop, stride) != (None, None, 1):
        source["selection"] = {"start": start, "stop": stop, "stride": stride}
    return FrameStream(
        symbols=recorded.symbols,
        time_ps=recorded.time_ps,
        mean_cell_A=recorded.chosen_cell_A,
        volume_A3=recorded.volume_A3,
        temperature_K=temperature_K,
        chunks=lambda: _chosen(recorded, _paths(recorded, unwrap, chunk_frames)),
        chunk_frames=chunk_frames,
        source=source,
    )


def _scheme(recorded: Recorded, unwrap: str) -> tuple[str, str]:
    """Return how positions are got, in one word and as `assemble.unwrap_positions` says it."""
    if unwrap == "given":
        return "given", "positions taken as given"
    if unwrap == "auto" and recorded.unwrapped:
        if recorded.constant:
            return "given", "unwrapped in the file, constant cell: taken as given"
        return "refer", "unwrapped in the file, changing cell: fractional coordinates x mean cell"
    return "unwrap", "minimum-image steps in fractional coordinates x mean cell"


def _paths(recorded: Recorded, unwrap: str, count: int) -> Iterator[Array]:
    """Give unwrapped positions of all frames that are read, in order."""
    scheme = _scheme(recorded, unwrap)[0]
    chunks = recorded.read(count)
    if scheme == "unwrap":
        yield from _unwrapped(recorded, chunks)
        return
    for positions, cell, origin in chunks:
        if scheme == "given":
            yield positions
        else:
            yield (positions - origin[:, None, :]) @ np.linalg.inv(cell) @ recorded.mean_cell_A


def _unwrapped(recorded: Recorded, chunks: Iterator[Chunk]) -> Iterator[Array]:
    """Unwrap chunk by chunk: each begins with the last frame before it, and takes over its image counts."""
    common = recorded.first_cell_A if recorded.constant else recorded.mean_cell_A
    last: tuple[Array, Array] | None = None  # the frame before, wrapped, (1, N, 3), and its cell
    image = np.zeros((len(recorded.symbols), 3))  # cells crossed by each atom up to that frame
    for positions, cell, origin in chunks:
        relative, cells = positions - origin[:, None, :], cell
        if last is not None:
            relative, cells = np.concatenate([last[0], relative]), np.concatenate([last[1], cells])
        used = common if recorded.constant else np.ascontiguousarray(cells)
        path, largest = _kernels.unwrap(np.ascontiguousarray(relative), used)
        if largest > COARSEST_STEP:
            raise PhysicsError(
                f"between two frames an atom moves by {largest:.2f} of a cell vector (above {COARSEST_STEP:g}), so its "
                "path cannot be unwrapped; record frames more often, write unwrapped positions (xu yu zu), or, if they "
                "are unwrapped already, say --unwrap given"
            )
        if not recorded.constant:  # the kernel refers to the mean of the cells it is given
            path = path @ (np.linalg.inv(used.mean(axis=0)) @ common)
        now = common if recorded.constant else used[-1]
        crossed = np.rint(path[-1] @ np.linalg.inv(common) - relative[-1] @ np.linalg.inv(now))
        if last is not None:
            path += image @ common
        yield path if last is None else path[1:]
        image += crossed
        last = relative[-1:].copy(), cells[-1:].copy()


def _chosen(recorded: Recorded, paths: Iterator[Array]) -> Iterator[Array]:
    """Give the chosen frames alone, each chunk C-contiguous; stop reading after the last."""
    chosen = recorded.chosen
    done = 0
    for path in paths:
        behind = max(0, -((chosen.start - done) // chosen.step)) if done > chosen.start else 0
        first = chosen.start + behind * chosen.step - done
        part = path[first : max(0, chosen.stop - done) : chosen.step]
        done += len(path)
        if len(part) > 0:
            yield np.ascontiguousarray(part)
        if done > chosen[-1]:
            return
