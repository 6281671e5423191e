"""VASP's XDATCAR."""

from pathlib import Path
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import FormatError
from .assemble import Raw, looks_cut
from .compressed import open_text

_HEADER = 7  # comment, scale, three vectors, names, counts


def read_xdatcar(path: Path) -> Raw:
    """Read one XDATCAR; a cut last frame is dropped.

    Parameters
    ----------
    path : XDATCAR, packed or not.

    Raises
    ------
    FormatError
        If the file is no XDATCAR.
    """
    with open_text(path) as stream:
        lines = stream.read().split("\n")
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
        rows = lines[at + 1 : at + 1 + n]
        block = " ".join(rows).split()
        ends = at + 1 + n == len(lines) and len(rows) > 0  # no line end after the last number
        if at + 1 + n > len(lines) or len(block) != 3 * n or (ends and looks_cut(rows)):
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
    cell_A = np.array(cells)
    return Raw(
        symbols=names,
        positions_A=np.array(frames) @ cell_A,
        cell_A=cell_A,
        origin_A=np.zeros((len(cell_A), 3)),
        time_ps=None,
        unwrapped=False,
        notes={"format": "VASP XDATCAR", "files": [str(path)], "cut_last_frames_dropped": cut},
    )


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
    if min(counts) < 1 or sum(counts) > len(lines):
        raise FormatError(path, f"counts of atoms {counts} do not fit a file of {len(lines)} lines", at + 7)
    if not np.isfinite([scale, *cell.ravel()]).all() or scale == 0.0 or np.abs([scale, *cell.ravel()]).max() > 1e8:
        raise FormatError(path, "scale and cell vectors want finite numbers, and a scale that is not zero", at + 2)
    volume = abs(np.linalg.det(cell))
    if not volume > 0.0:
        raise FormatError(path, "the cell vectors span no volume", at + 3)
    # A negative scale is the volume.
    factor = scale if scale > 0 else float((-scale / volume) ** (1.0 / 3.0))
    return tuple(name.split("_")[0].split("/")[0] for name, k in zip(names, counts, strict=True) for _ in range(k)), (
        cell * factor
    )
