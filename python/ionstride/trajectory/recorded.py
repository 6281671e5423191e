"""Frames as files have them, read in chunks: LAMMPS text dumps and what MDAnalysis reads."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import InputError
from .assemble import even_times, frame_range
from .lammps import DumpPiece, check_same_atoms, elements_of, plan_dumps, times_of
from .mda_worker import TIMED, SaidError, symbols_of

_CONSTANT = 1e-9  # relative change of a cell that counts as none, as in `assemble`
_EVEN = 1e-6  # of a step
_FLOAT32 = 4 * float(np.finfo(np.float32).eps)  # rounding of the times of XTC and its like
_FLOAT64 = 8 * float(np.finfo(np.float64).eps)

Chunk = tuple[Array, Array, Array]
"""Positions (t, N, 3), cells (t, 3, 3) and corners of the cells (t, 3)."""


@dataclass(frozen=True)
class Recorded:
    """Frames before unwrapping; the cells have been looked at, the positions are still to be read.

    Attributes
    ----------
    symbols : (N) element names.
    n_read : number of frames that `read` gives.
    chosen : those of them that are wanted.
    time_ps : (T) times of the wanted frames.
    first_cell_A, mean_cell_A : (3, 3) first cell, and mean over all that are unwrapped together.
    constant : whether all of these are the same.
    chosen_cell_A : (3, 3) mean over the wanted frames.
    volume_A3 : mean volume over the wanted frames.
    unwrapped : whether the file says that its positions are free of periodic wrapping.
    read : gives the frames in order, so many at a time.
    notes : format, files and dropped frames, for `source`.
    """

    symbols: tuple[str, ...]
    n_read: int
    chosen: range
    time_ps: Array
    first_cell_A: Array
    mean_cell_A: Array
    constant: bool
    chosen_cell_A: Array
    volume_A3: float
    unwrapped: bool
    read: Callable[[int], Iterator[Chunk]]
    notes: dict[str, Any]


def recorded_dumps(
    files: list[Path],
    *,
    types: Sequence[str] | None,
    timestep_ps: float | None,
    frame_ps: float | None,
    start: int | None,
    stop: int | None,
    stride: int,
    keep_wrapped: bool,
    threads: int,
) -> Recorded:
    """Look at the segments of one run; arguments as in `lammps.read_dumps`.

    Raises
    ------
    InputError
        If elements or times are unknown or uneven; while reading, if the segments hold different atoms.
    """
    plan = plan_dumps(files, start=start, stop=stop, stride=stride, keep_wrapped=keep_wrapped)
    first = plan.pieces[0].read(0, 1, threads)
    chosen = range(*plan.selection.indices(len(plan.wanted)))
    time_ps = times_of(plan, timestep_ps, frame_ps)[plan.selection]
    check_even(time_ps, _FLOAT64)
    cells = _cells(np.concatenate([piece.scan["cell_A"][piece.frames] for piece in plan.pieces]), chosen)
    # Of a scan the index alone is kept: its arrays grow with the number of frames.
    pieces = [DumpPiece(piece.path, {"index": piece.scan["index"]}, piece.frames) for piece in plan.pieces]

    def read(count: int) -> Iterator[Chunk]:
        for piece in pieces:
            for begin in range(0, len(piece.frames), count):
                part = piece.read(begin, begin + count, threads)
                check_same_atoms(files, part, first)
                yield part["positions_A"], part["cell_A"], part["origin_A"]

    return Recorded(
        symbols=elements_of(files[0], first, types),
        chosen=chosen,
        time_ps=time_ps,
        **cells,
        unwrapped=plan.unwrapped,
        read=read,
        notes={**plan.notes, "columns": str(first["kind"])},
    )


def recorded_universe(
    files: list[Path],
    *,
    topology: Path | None,
    types: Sequence[str] | None,
    frame_ps: float | None,
    start: int | None,
    stop: int | None,
    stride: int,
) -> Recorded:
    """Look at what MDAnalysis reads; arguments as in `stream.open_stream`.

    Raises
    ------
    InputError
        If MDAnalysis cannot read the files, elements, cells or times are missing, or times are uneven.
    """
    universe = open_universe(files, topology)
    try:
        symbols = quietly(lambda: symbols_of(universe, str(topology or files[0]), types))
    except SaidError as error:
        raise InputError(error.args[1]) from error
    trajectory = universe.trajectory
    chosen = frame_range(len(trajectory), start, stop, stride)
    part = slice(chosen.start, chosen.stop, chosen.step)

    def headers() -> tuple[Array, Array]:
        cells, times = np.empty((len(trajectory), 3, 3)), np.empty(len(trajectory))
        for t, step in enumerate(trajectory):
            if step.dimensions is None:
                raise InputError(f"{files[0]}: frame {step.frame} has no cell, so that it cannot be unwrapped")
            cells[t], times[t] = step.triclinic_dimensions, step.time
        return cells, times

    cells, times = quietly(headers)
    formats = [str(reader.format).upper() for reader in getattr(trajectory, "readers", [trajectory])]
    if set(formats) <= set(TIMED) and frame_ps is None:
        own = times[part]
        check_even(own, _FLOAT32)
        time_ps = np.linspace(own[0], own[-1], len(own))  # the file's are rounded to seven digits
    else:
        time_ps = even_times(len(cells), frame_ps, "the file does not say the time of its frames")[part]

    def positions_of(begin: int, end: int) -> Array:
        positions = np.empty((end - begin, len(symbols), 3))
        for t, step in enumerate(trajectory[begin:end]):
            positions[t] = step.positions
            if not np.isfinite(positions[t]).all():
                raise InputError(f"{files[0]}: frame {begin + t} holds a position that is not finite")
        return positions

    def read(count: int) -> Iterator[Chunk]:
        for begin in range(0, chosen[-1] + 1, count):
            end = min(begin + count, chosen[-1] + 1)
            # One chunk at a time, so that the silence ends before the chunk is handed on.
            positions = quietly(partial(positions_of, begin, end))
            yield positions, cells[begin:end], np.zeros((end - begin, 3))

    return Recorded(
        symbols=symbols,
        chosen=chosen,
        time_ps=time_ps,
        **_cells(cells, chosen),
        unwrapped=False,
        read=read,
        notes={
            "format": f"{', '.join(sorted(set(formats)))}, read by MDAnalysis",
            "files": [str(path) for path in files],
            "topology": str(topology or ""),
        },
    )


def open_universe(files: list[Path], topology: Path | None) -> Any:
    """Return the MDAnalysis Universe of one run.

    Raises
    ------
    InputError
        If MDAnalysis cannot read the files, or they hold positions alone and no topology is given.
    """
    names = [str(path) for path in files]

    given = [str(topology), names] if topology else [names[0]]
    try:
        # Imported apart, since importing it sets filters of its own that would go before the silence.
        mda = quietly(lambda: import_module("MDAnalysis"))
        universe = quietly(lambda: mda.Universe(*given))
    except Exception as error:
        hint = "" if topology else "; a trajectory of this kind wants --topology (a file with the atoms)"
        raise InputError(f"{names[0]}: MDAnalysis cannot read it ({error}){hint}") from error
    if topology is None and not (hasattr(universe.atoms, "names") or hasattr(universe.atoms, "elements")):
        raise InputError(f"{names[0]} holds positions alone; give a file with the atoms by --topology")
    return universe


def quietly(call: Callable[[], Any]) -> Any:
    """Call without the warnings that MDAnalysis makes of everything that a file does not say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


def check_even(time_ps: Array, rounding: float) -> None:
    """Raise `InputError` if frames are not evenly spaced, their times being rounded to so many parts of the last."""
    mean = (time_ps[-1] - time_ps[0]) / (len(time_ps) - 1)
    off = float(np.abs(time_ps - (time_ps[0] + mean * np.arange(len(time_ps)))).max())
    if not mean > 0.0 or not off <= _EVEN * mean + rounding * float(np.abs(time_ps).max()):
        step = np.diff(time_ps)
        raise InputError(
            f"the frames are {step.min():.6g} to {step.max():.6g} ps apart, and a run is only streamed if they are "
            "evenly spaced; choose an even part with --start and --stop, read the run whole, or give --frame-ps if the "
            "times are wrong"
        )


def _cells(cells: Array, chosen: range) -> dict[str, Any]:
    part = cells[chosen.start : chosen.stop : chosen.step]
    return {
        "n_read": chosen[-1] + 1,
        "first_cell_A": cells[0].copy(),
        "mean_cell_A": cells.mean(axis=0),
        "constant": bool(np.abs(cells - cells[0]).max() <= _CONSTANT * np.abs(cells[0]).max()),
        "chosen_cell_A": part.mean(axis=0),
        "volume_A3": float(np.mean(np.abs(np.linalg.det(part)))),
    }
