"""CP2K: an MD run by its trajectory files and output, or a single point by its output."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..checks import Array
from ..errors import FormatError
from .by_dpdata import as_part, element, load
from .formats import Part
from .vasp import CUT, UNCONVERGED

HARTREE_EV = 27.211386245988
BOHR_A = 0.529177210903
EV_A3_PER_GPA = 1.0 / 160.21766208
_COMMENT = re.compile(r"i\s*=\s*(\d+),(?:\s*time\s*=\s*([-0-9.Ee+]+),)?\s*E\s*=\s*([-0-9.Ee+]+)")
_VECTOR = re.compile(r"CELL(?:_TOP)?\| Vector ([abc]) \[angstrom\]:\s+([-0-9.Ee+]+)\s+([-0-9.Ee+]+)\s+([-0-9.Ee+]+)")
_FUNCTIONAL = re.compile(r"FUNCTIONAL\|\s+(\w[\w-]*):")
_CUTOFF = re.compile(r"QS\|\s+Density cutoff \[a\.u\.\]:\s+([0-9.]+)")
_STRESS_HEAD = re.compile(r"STRESS\| (?:Analytical|Numerical) stress tensor \[GPa\]|^\s*STRESS TENSOR \[GPa\]")
_STRESS_ROW = re.compile(r"^\s*(?:STRESS\|)?\s*[xyzXYZ]\s+([-0-9.Ee+]+)\s+([-0-9.Ee+]+)\s+([-0-9.Ee+]+)\s*$")
_FORCE_ROW = re.compile(r"^\s+\d+\s+\d+\s+[A-Z]\w*\s+([-0-9.Ee+]+)\s+([-0-9.Ee+]+)\s+([-0-9.Ee+]+)\s*$")
_ATOM = re.compile(r"^\s+\d+\s+\d+\s+([A-Z][a-z]?)\s+\d+(?:\s+-?\d+\.\d+){5}\s*$", re.MULTILINE)
_STEP = re.compile(r"(?:MD\| Step number|^ STEP NUMBER\s*=)\s+(\d+)")
_TEMPERATURE = re.compile(r"(?:MD_PAR\| Temperature \[K\]|MD\| Temperature \[K\]\s*)\s+([0-9.]+)")


@dataclass
class _Said:
    """What the output says, by MD step."""

    vectors: dict[str, list[float]] = field(default_factory=dict)
    functionals: list[str] = field(default_factory=list)
    cutoff_Ha: float | None = None
    temperature_K: float | None = None
    unconverged: set[int] = field(default_factory=set)
    stress_GPa: dict[int, Array] = field(default_factory=dict)
    force_Ha_bohr: dict[int, Array] = field(default_factory=dict)


def read_cp2k_run(positions: Path) -> list[Part]:
    """Read an MD run: ``*-pos-1.xyz``, ``*-frc-1.xyz`` beside it, ``*-1.cell`` and the output where they are there.

    Without ``*-frc-1.xyz`` the forces are those of the output, where FORCE_EVAL/PRINT/FORCES put them.  Forces are
    taken in hartree/bohr and energies in hartree, CP2K's own units; virials come from the stress tensors of the output
    (their sign is that of a pressure).

    Raises
    ------
    FormatError
        If the forces or the cell are missing, or the files do not belong together.
    """
    if "-pos-" not in positions.name:
        raise FormatError(positions, "is no CP2K trajectory of positions, wanted a file such as PROJECT-pos-1.xyz")
    forces = positions.with_name(positions.name.replace("-pos-", "-frc-"))
    output = _output_beside(positions)
    said = _read_output(output) if output else _Said()
    if not forces.is_file() and not said.force_Ha_bohr:
        raise FormatError(
            positions,
            f"no forces: {forces.name} is not beside it (MOTION/PRINT/FORCES ON), nor an output of CP2K with tables "
            "of forces in [a.u.]",
        )
    symbols, place, cut = _read_xyz(positions)
    force, cut_force = said.force_Ha_bohr, 0
    if forces.is_file():
        force_symbols, table, cut_force = _read_xyz(forces)
        force = {step: frame[0] for step, frame in table.items()}
        if symbols != force_symbols:
            raise FormatError(forces, f"holds other atoms than {positions.name}")
    elif any(len(table) != len(symbols) for table in force.values()):
        raise FormatError(output or positions, f"its tables of forces hold other atoms than {positions.name}")
    steps = sorted(set(place) & set(force))
    if not steps:
        raise FormatError(
            forces if forces.is_file() else positions, f"positions and forces of {positions.name} share no step"
        )
    cell_A, frame_fs = _cells(positions, steps, said, {k: place[k][1] for k in steps})
    stress = [said.stress_GPa.get(k) for k in steps]
    virial = None
    if all(s is not None for s in stress):
        volume = np.abs(np.linalg.det(cell_A))
        virial = np.array(stress) * EV_A3_PER_GPA * volume[:, None, None]
    energies = np.array([place[k][2] for k in steps])
    if np.isnan(energies).any():
        raise FormatError(positions, "has comment lines without an energy (E = …)")
    notes = () if output else ("no output of CP2K was beside the files: unconverged steps could not be told",)
    part = Part(
        positions,
        symbols,
        np.array([place[k][0] for k in steps]),
        cell_A,
        energies * HARTREE_EV,
        np.array([force[k] for k in steps]) * HARTREE_EV / BOHR_A,
        virial,
        _method(said),
        frame_number=np.array(steps, dtype=np.int64),
        frame_ps=frame_fs / 1000 if frame_fs else None,
        temperature_K=said.temperature_K,
        notes=notes,
    )
    good = np.array([k not in said.unconverged for k in steps])
    if not good.any():
        raise FormatError(positions, "in none of its frames the SCF converged")
    lost = len(set(place) ^ set(force)) + max(cut, cut_force)
    dropped = {UNCONVERGED: int((~good).sum()), CUT: lost}
    return [replace(part.take(good), dropped={reason: n for reason, n in dropped.items() if n})]


def read_cp2k_output(file: Path) -> list[Part]:
    """Read an output: that of an MD run leads to the files it wrote, that of a single point holds the frame."""
    written = re.search(r"MD(?:_PAR)?\|\s+Coordinates\s+\d+\s+(\S+)", file.read_text(errors="replace"))
    if written:
        positions = file.with_name(Path(written[1]).name)
        if not positions.is_file():
            raise FormatError(file, f"is of an MD run, whose positions '{positions.name}' are not beside it")
        return read_cp2k_run(positions)
    said = _read_output(file)
    if said.unconverged:
        raise FormatError(file, "its SCF did not converge")
    last = file.read_text(errors="replace").rpartition("Multiplication driver")[2]  # of runs written one after another
    energies = last.count("ENERGY| Total FORCE_EVAL")
    if energies > 1:
        raise FormatError(file, f"holds {energies} steps, wanted one single point, or an MD run with its -pos- file")
    system, _ = load(file, "CP2K output with coordinates and forces", "cp2k/output")
    part = as_part(file, system, _method(said))
    # dpdata names atoms by their kind; the element of a kind may be another (&KIND with ELEMENT).
    elements = tuple(element(file, name) for name in _ATOM.findall(last))
    if len(elements) == len(part.symbols):
        part = replace(part, symbols=elements)
    if part.virial_eV is None and 0 in said.stress_GPa and len(part) == 1:
        virial = said.stress_GPa[0] * EV_A3_PER_GPA * abs(np.linalg.det(part.cell_A[0]))
        part = replace(part, virial_eV=virial[None])
    return [part]


def _read_xyz(file: Path) -> tuple[tuple[str, ...], dict[int, tuple[Array, float, float]], int]:
    """Return symbols, step → (three numbers an atom, time in fs, energy in Ha), and the number of cut frames."""
    frames: dict[int, tuple[Array, float, float]] = {}
    symbols: tuple[str, ...] = ()
    with file.open(errors="replace") as stream:
        while head := stream.readline():
            if not head.strip():
                continue
            comment = stream.readline()
            found = _COMMENT.search(comment)
            if not head.strip().isdecimal() or not found:
                raise FormatError(file, f"wanted CP2K's comment 'i = …, time = …, E = …', got '{comment.strip()[:60]}'")
            rows = [stream.readline().split() for _ in range(int(head))]
            try:
                names = tuple(element(file, row[0]) for row in rows)
                table = np.array([row[1:4] for row in rows], dtype=np.float64).reshape(len(rows), 3)
            except (IndexError, ValueError):
                return symbols, frames, 1
            if symbols and names != symbols:
                raise FormatError(file, f"the atoms change at step {found[1]}")
            symbols = names
            frames[int(found[1])] = (table, float(found[2] or "nan"), float(found[3]))
    return symbols, frames, 0


def _output_beside(positions: Path) -> Path | None:
    """Return the output that names this file, or the only one beside it."""
    found = []
    for place in sorted(positions.parent.iterdir()):
        if place.is_file() and place.suffix in (".out", ".log", "") and place.stat().st_size > 1000:
            with place.open(errors="replace") as stream:
                if "CP2K|" in stream.read(65536):
                    found.append(place)
    named = [place for place in found if positions.name in place.read_text(errors="replace")]
    return named[0] if named else found[0] if len(found) == 1 else None


def _read_output(file: Path) -> _Said:
    said = _Said()
    failed = False
    rows: list[list[float]] = []
    stress: Array | None = None
    force: Array | None = None
    in_stress = in_force = False
    step = -1
    with file.open(errors="replace") as stream:
        for line in stream:
            if "SCF run NOT converged" in line:
                failed = True
            elif "SCF run converged" in line:
                failed = False
            elif "ATOMIC FORCES in [a.u.]" in line:
                in_force, rows = True, []
            elif in_force:
                if found := _FORCE_ROW.match(line):
                    rows.append([float(v) for v in found.groups()])
                elif "SUM OF ATOMIC FORCES" in line:
                    force, in_force = np.array(rows), False
            elif _STRESS_HEAD.search(line):
                in_stress, rows = True, []
            elif in_stress:
                if found := _STRESS_ROW.match(line):
                    rows.append([float(v) for v in found.groups()])
                    if len(rows) == 3:
                        stress, in_stress = np.array(rows), False
            elif line.lstrip().startswith(("MD_INI| MD initialization", "INITIAL POTENTIAL ENERGY")):
                _end_step(said, 0, failed, stress, force)
                failed, stress, force = False, None, None
            elif found := _STEP.search(line):
                step = int(found[1])
                _end_step(said, step, failed, stress, force)
                failed, stress, force = False, None, None
            elif (found := _VECTOR.search(line)) and found[1] not in said.vectors:
                said.vectors[found[1]] = [float(v) for v in found.groups()[1:]]
            elif (found := _FUNCTIONAL.search(line)) and found[1] not in said.functionals:
                said.functionals.append(found[1])
            elif said.cutoff_Ha is None and (found := _CUTOFF.search(line)):
                said.cutoff_Ha = float(found[1])
            elif said.temperature_K is None and (found := _TEMPERATURE.search(line)):
                said.temperature_K = float(found[1])
    if step < 0:
        _end_step(said, 0, failed, stress, force)
    return said


def _end_step(said: _Said, step: int, failed: bool, stress: Array | None, force: Array | None) -> None:
    if force is not None:
        said.force_Ha_bohr[step] = force
    if failed:
        said.unconverged.add(step)
    if stress is not None:
        said.stress_GPa[step] = stress


def _cells(positions: Path, steps: list[int], said: _Said, time_fs: dict[int, float]) -> tuple[Array, float | None]:
    """Return the cell of each step and the time of one step."""
    first, last = steps[0], steps[-1]
    frame_fs = (time_fs[last] - time_fs[first]) / (last - first) if last > first else None
    file = positions.with_name(re.sub(r"-pos-(\d+)\.xyz$", r"-\1.cell", positions.name))
    if file.is_file():
        try:
            table = np.loadtxt(file, ndmin=2)
            cells = {int(row[0]): row[2:11].reshape(3, 3) for row in table}
        except (ValueError, IndexError) as error:
            raise FormatError(file, "is no table of step, time and nine components of the cell") from error
        missing = [k for k in steps if k not in cells]
        if not missing:
            return np.array([cells[k] for k in steps]), frame_fs
        if said.vectors == {}:
            raise FormatError(file, f"has no cell for step {missing[0]}")
    if set(said.vectors) != {"a", "b", "c"}:
        raise FormatError(
            positions, f"its cell is nowhere: neither {file.name} nor CP2K's output with 'CELL| Vector a' is beside it"
        )
    cell = np.array([said.vectors[name] for name in "abc"])
    return np.broadcast_to(cell, (len(steps), 3, 3)).copy(), frame_fs


def _method(said: _Said) -> str:
    if not said.functionals:
        return ""
    cutoff = f" {2 * said.cutoff_Ha:g} Ry" if said.cutoff_Ha else ""
    return f"CP2K {' '.join(said.functionals)}{cutoff}"
