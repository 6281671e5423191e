"""VASP's vasprun.xml and OUTCAR of an MD run, whole or cut off with the run."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import FormatError
from .assemble import Raw
from .compressed import open_bytes, open_text

_CUT_XML = (3, 5)  # expat: no element found, unclosed token
_BINS = {"calculation", "dos", "eigenvalues", "projected", "scstep", "dynmat", "kpoints"}
_NUMBER = re.compile(r"-?\d+\.\d+")
_ITERATION = re.compile(r"(?:Iteration|Ionic step)\s+(\d+)")
_POTIM = re.compile(r"\bPOTIM\s*=\s*([-+0-9.Ee]+)")
_TITEL = re.compile(r"TITEL\s*=\s*\S+\s+([A-Z][a-z]?)")


def read_vasprun(path: Path) -> Raw:
    """Read the frames of a vasprun.xml: one a calculation, which VASP writes at every ionic step.

    The time between them is POTIM; VASP 6.4.3 and later write only every ML_OUTBLOCK-th step of a run with a
    machine-learned force field.  NBLOCK concerns the XDATCAR, not this file.

    Raises
    ------
    FormatError
        If it is no vasprun.xml, or holds no whole frame.
    """
    settings: dict[str, str] = {}
    symbols: tuple[str, ...] = ()
    cells: list[Array] = []
    positions: list[Array] = []
    cut = 0
    with open_bytes(path) as stream:
        events = ET.iterparse(stream, events=("start", "end"))
        open_tags: list[str] = []
        root: Any = None
        try:
            for event, element in events:
                if event == "start":
                    root = element if root is None else root
                    open_tags.append(element.tag)
                    continue
                open_tags.pop()
                inside = open_tags[-1] if open_tags else ""
                if element.tag == "i" and "name" in element.attrib and "calculation" not in open_tags:
                    settings.setdefault(element.attrib["name"].strip(), (element.text or "").strip())
                elif element.tag == "array" and inside == "atominfo" and element.get("name") == "atoms":
                    symbols = tuple((row.findtext("c") or "").strip() for row in element.iter("rc"))
                elif element.tag == "structure" and inside == "calculation":
                    cells.append(_varray(path, element.find("crystal/varray[@name='basis']"), 3, len(cells)))
                    place = element.find("varray[@name='positions']")
                    positions.append(_varray(path, place, len(symbols), len(cells) - 1))
                if element.tag in _BINS:
                    element.clear()
                    if element.tag == "calculation" and root is not None:
                        root.clear()  # nothing of earlier frames is kept
        except ET.ParseError as error:
            if error.code not in _CUT_XML:
                raise FormatError(path, f"is no well-formed XML ({error.msg})", error.position[0]) from error
            cut = 1
        except (LookupError, ValueError) as error:  # an encoding that is none, or bytes that are not of it
            raise FormatError(path, f"is no XML that can be read ({error})") from error
    if not positions:
        raise FormatError(path, "holds no calculation with a structure, wanted the vasprun.xml of an MD run")
    cell_A = np.array(cells)
    step_ps = _vasprun_step(path, settings)
    return Raw(
        symbols=tuple(symbol.split("_")[0] for symbol in symbols),
        positions_A=np.array(positions) @ cell_A,
        cell_A=cell_A,
        origin_A=np.zeros((len(cell_A), 3)),
        time_ps=None if step_ps is None else step_ps * np.arange(1, len(cell_A) + 1, dtype=np.float64),
        unwrapped=False,
        notes={
            "format": "VASP vasprun.xml",
            "files": [str(path)],
            "time": "" if step_ps is None else f"{step_ps * 1000:g} fs between calculations (POTIM)",
            "cut_last_frames_dropped": cut,
        },
    )


def _varray(path: Path, element: Any, rows: int, frame: int) -> Array:
    table = [] if element is None else [(v.text or "").split() for v in element.findall("v")]
    try:
        if rows == 0:
            raise ValueError("no atoms are named")
        return np.array(table, dtype=np.float64).reshape(rows, 3)
    except ValueError as error:
        raise FormatError(path, f"calculation {frame + 1} has no structure of {rows} rows of three numbers") from error


def _vasprun_step(path: Path, settings: dict[str, str]) -> float | None:
    if settings.get("IBRION", "0") != "0":
        raise FormatError(
            path, f"is of a run with IBRION = {settings['IBRION']}, wanted molecular dynamics (IBRION = 0)"
        )
    try:
        step_ps = float(settings["POTIM"]) / 1000.0
        block = int(settings.get("ML_OUTBLOCK", "1"))
        version = tuple(int(n) for n in re.findall(r"\d+", settings.get("version", ""))[:3])
    except KeyError:
        return None
    except ValueError as error:
        raise FormatError(path, "POTIM or ML_OUTBLOCK is no number") from error
    if not 0.0 < step_ps < 1.0:
        raise FormatError(path, f"POTIM = {settings['POTIM']} fs is no time step of an MD run")
    return step_ps * (max(block, 1) if version >= (6, 4, 3) else 1)


def read_outcar(path: Path) -> Raw:
    """Read the frames of an OUTCAR: positions with forces, each with the cell written before it.

    The time of a frame is its ionic step × POTIM, so that NBLOCK and ML_OUTBLOCK, which thin the frames out, need
    not be known.

    Raises
    ------
    FormatError
        If it is no OUTCAR of an MD run, or holds no whole frame.
    """
    titles: list[str] = []
    counts: list[int] = []
    potim_ps: float | None = None
    cell: Array | None = None
    step = 0
    steps: list[int] = []
    cells: list[Array] = []
    positions: list[Array] = []
    cut = 0
    with open_text(path) as stream:
        lines = enumerate(stream, start=1)
        for number, line in lines:
            if "Iteration" in line or "Ionic step" in line:
                found = _ITERATION.search(line)
                step = int(found.group(1)[:15]) if found else step
            elif "direct lattice vectors" in line:
                rows = [row for _, (_, row) in zip(range(3), lines, strict=False)]
                if len(rows) < 3 or not rows[-1].endswith("\n"):
                    cut = 1
                    break
                cell = _three(path, rows, number)
            elif "TOTAL-FORCE" in line and "POSITION" in line:
                n = sum(counts)
                if cell is None or n == 0:
                    raise FormatError(path, "positions come before the cell or 'ions per type'", number)
                rows = [row for _, (_, row) in zip(range(n + 2), lines, strict=False)]
                if len(rows) < n + 2:
                    cut = 1
                    break
                positions.append(_three(path, rows[1:-1], number + 1))
                cells.append(cell)
                steps.append(step)
            elif "TITEL" in line:
                titles += _TITEL.findall(line)
            elif "ions per type" in line:
                counts = _counts(path, line, number)
            elif potim_ps is None and "POTIM" in line and (found := _POTIM.search(line)):
                potim_ps = _potim(path, found.group(1), number)
            elif "IBRION" in line and (found := re.search(r"IBRION\s*=\s*(-?\d+)", line)) and int(found.group(1)) != 0:
                raise FormatError(
                    path, f"is of a run with IBRION = {found.group(1)}, wanted molecular dynamics (IBRION = 0)", number
                )
    if not positions:
        raise FormatError(path, "holds no whole frame (POSITION … TOTAL-FORCE)")
    if len(titles) < len(counts):
        raise FormatError(path, f"names {len(titles)} elements (TITEL) for {len(counts)} types of ions")
    time_ps = None
    if potim_ps is not None and (np.diff(steps) > 0).all():
        time_ps = potim_ps * np.array(steps, dtype=np.float64)
    return Raw(
        symbols=tuple(title for title, count in zip(titles, counts, strict=False) for _ in range(count)),
        positions_A=np.array(positions),
        cell_A=np.array(cells),
        origin_A=np.zeros((len(cells), 3)),
        time_ps=time_ps,
        unwrapped=False,
        notes={
            "format": "VASP OUTCAR",
            "files": [str(path)],
            "time": "" if time_ps is None or potim_ps is None else f"ionic step x {potim_ps * 1000:g} fs (POTIM)",
            "cut_last_frames_dropped": cut,
        },
    )


def _three(path: Path, rows: list[str], line: int) -> Array:
    """Return the first three numbers of each row; fixed columns may run together."""
    try:
        return np.array([_NUMBER.findall(row)[:3] for row in rows], dtype=np.float64).reshape(len(rows), 3)
    except ValueError as error:
        raise FormatError(path, f"wanted {len(rows)} rows of numbers after this line", line) from error


def _counts(path: Path, line: str, number: int) -> list[int]:
    try:
        counts = [int(word) for word in line.split("=")[1].split()]
    except (IndexError, ValueError) as error:
        raise FormatError(path, "'ions per type' wants whole numbers", number) from error
    if not counts or min(counts) < 1 or sum(counts) > 10**8:
        raise FormatError(path, f"'ions per type' gives {counts}, wanted numbers of atoms", number)
    return counts


def _potim(path: Path, word: str, line: int) -> float:
    try:
        step_ps = float(word) / 1000.0
    except ValueError as error:
        raise FormatError(path, f"POTIM = {word} is no number", line) from error
    if not 0.0 < step_ps < 1.0:
        raise FormatError(path, f"POTIM = {word} fs is no time step of an MD run", line)
    return step_ps
