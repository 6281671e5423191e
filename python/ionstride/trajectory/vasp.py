"""VASP XDATCAR, plain or gzipped, several parts of one run joined."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import FormatError, InputError
from .assemble import Raw

_HEADER = 7  # comment, scale, three vectors, names, counts


def read_xdatcars(files: Sequence[Path]) -> Raw:
    """Read XDATCARs in the order of the run.

    A first frame that repeats the last of the part before is dropped, and so is a cut last frame.

    Parameters
    ----------
    files : XDATCAR or XDATCAR.gz.

    Raises
    ------
    FormatError
        If a file is no XDATCAR.
    InputError
        If the parts hold different atoms.
    """
    fractional: list[Array] = []
    cells: list[Array] = []
    symbols: tuple[str, ...] = ()
    cut = repeated = 0
    for path in files:
        names, positions, cell, dropped = _read_one(path)
        cut += dropped
        if symbols and names != symbols:
            raise InputError(f"{path} holds other atoms than {files[0]}; give the parts of one run")
        symbols = names
        if fractional:
            change = positions[0] - fractional[-1][-1]
            if np.abs(change - np.rint(change)).max() < 1e-7 and len(positions) > 1:
                positions, cell = positions[1:], cell[1:]
                repeated += 1
        fractional.append(positions)
        cells.append(cell)
    cell_A = np.concatenate(cells)
    return Raw(
        symbols=symbols,
        positions_A=np.concatenate(fractional) @ cell_A,
        cell_A=cell_A,
        origin_A=np.zeros((len(cell_A), 3)),
        time_ps=None,
        unwrapped=False,
        notes={
            "format": "VASP XDATCAR",
            "files": [str(path) for path in files],
            "cut_last_frames_dropped": cut,
            "repeated_frames_dropped": repeated,
        },
    )


def _read_one(path: Path) -> tuple[tuple[str, ...], Array, Array, int]:
    """Return symbols, fractional positions (T, N, 3), cells (T, 3, 3) and the number of cut frames."""
    try:
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    lines = text.splitlines()
    names, cell = _header(path, lines, 0)
    n = len(names)
    frames: list[Any] = []
    cells: list[Array] = []
    cut = 0
    at = _HEADER
    while at < len(lines):
        mark = lines[at].strip().lower()
        if not mark:
            at += 1
            continue
        if not mark.startswith(("direct", "cart")):
            # With a changing cell the header is written again before every frame.
            if at + _HEADER > len(lines):
                cut = 1
                break
            again, cell = _header(path, lines, at)
            if again != names:
                raise FormatError(path, "the atoms change within the file", at + 1)
            at += _HEADER
            continue
        block = " ".join(lines[at + 1 : at + 1 + n]).split()
        if at + 1 + n > len(lines) or len(block) != 3 * n:
            if at + 1 + n < len(lines):
                raise FormatError(path, f"frame {len(frames) + 1} does not hold {n} lines of three numbers", at + 1)
            cut = 1
            break
        try:
            position = np.array(block, dtype=np.float64).reshape(n, 3)
        except ValueError as error:
            raise FormatError(path, f"frame {len(frames) + 1} holds what is no number: {error}", at + 1) from error
        frames.append(position @ np.linalg.inv(cell) if mark.startswith("cart") else position)
        cells.append(cell)
        at += 1 + n
    if not frames:
        raise FormatError(path, "holds no whole frame")
    return names, np.array(frames), np.array(cells), cut


def _header(path: Path, lines: list[str], at: int) -> tuple[tuple[str, ...], Array]:
    try:
        scale = float(lines[at + 1].split()[0])
        cell = np.array([[float(x) for x in lines[at + 2 + k].split()[:3]] for k in range(3)])
        names = lines[at + 5].split()
        counts = [int(x) for x in lines[at + 6].split()]
    except (IndexError, ValueError) as error:
        raise FormatError(
            path, "the header of an XDATCAR is wanted here: comment, scale, three vectors, elements, counts", at + 1
        ) from error
    if cell.shape != (3, 3) or len(names) != len(counts) or not counts:
        raise FormatError(path, f"{len(names)} elements and {len(counts)} counts", at + 6)
    # A negative scale is the volume.
    factor = scale if scale > 0 else float((-scale / abs(np.linalg.det(cell))) ** (1.0 / 3.0))
    return tuple(name.split("_")[0].split("/")[0] for name, k in zip(names, counts, strict=True) for _ in range(k)), (
        cell * factor
    )
