"""Energies, forces and stresses of a code's own output, read by its text alone (for `sources.py`).

One small parser a format, on purpose without dpdata, ASE's readers and IonStride.  Each gives its ionic steps in the
order of the file as `Step`, in eV, eV/Å and kbar, the stress positive under compression; steps whose electronic
steps failed are not left out but marked.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RY_EV, BOHR_A, KBAR_PER_EV_A3 = 13.605693122994, 0.529177210903, 1602.1766208
NUMBER = r"[-+]?\d+(?:\.\d*)?(?:[EeDd][-+]?\d+)?"
ROW3 = rf"\s+{NUMBER}\s+{NUMBER}\s+{NUMBER}"


@dataclass(frozen=True)
class Step:
    """One ionic step; `number` counts from 0 in the run unless the file gives a number."""

    number: int
    energy_eV: float
    force_eV_A: np.ndarray
    stress_kbar: np.ndarray | None = None
    failed: bool = False


def _table(text: str, first: int = 0, count: int = 3) -> np.ndarray:
    """Return `count` columns from column `first` on of every line that is not empty."""
    rows = [line.split()[first : first + count] for line in text.splitlines() if line.strip()]
    return np.array([[float(v.replace("D", "E")) for v in row] for row in rows])


def _find(pattern: str, text: str) -> str | None:
    """Return the first group of the last match."""
    found = re.findall(pattern, text, re.MULTILINE)
    return found[-1] if found else None


def _square(xx: float, yy: float, zz: float, xy: float, yz: float, zx: float) -> np.ndarray:
    return np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]])


def _setting(name: str, text: str) -> float | None:
    found = re.search(rf'name="\s*{name}\s*">\s*({NUMBER})|^\s*{name}\s*=\s*({NUMBER})', text, re.MULTILINE)
    return float(found[1] or found[2]) if found else None


def vasprun(file: Path) -> Iterator[Step]:
    """`calculation` blocks; under PSTRESS e_fr_energy is an enthalpy, and PSTRESS times the volume is taken off."""
    text = file.read_text(errors="replace")
    pressure, most = _setting("PSTRESS", text) or 0.0, _setting("NELM", text) or 60
    for block in re.findall(r"<calculation>(.*?)</calculation>", text, re.DOTALL):
        last = re.sub(r"<scstep>.*?</scstep>", "", block, flags=re.DOTALL)
        rows = {
            name: np.array([[float(v) for v in row.split()] for row in re.findall(r"<v>(.*?)</v>", table)])
            for name, table in re.findall(r'<varray name="(basis|forces|stress)"\s*>(.*?)</varray>', last, re.DOTALL)
        }
        energy = _find(rf'name="e_fr_energy">\s*({NUMBER})', last)
        if energy is None or "forces" not in rows:
            continue
        volume = abs(np.linalg.det(rows["basis"])) / KBAR_PER_EV_A3
        failed = block.count("<scstep>") >= most
        yield Step(-1, float(energy) - pressure * volume, rows["forces"], rows.get("stress"), failed)


def outcar(file: Path) -> Iterator[Step]:
    """Everything up to each ionic 'free  energy   TOTEN' (two blanks); VASP's own force field is marked ML there.

    VASP 5 says 'EDIFF is reached' after NELM steps too: the last change of energy tells.
    """
    text = file.read_text(errors="replace")
    most, smallest = _setting("NELM", text) or 60, _setting("EDIFF", text) or 0.0
    blocks = re.split(rf"free  energy   TOTEN\s+=\s+({NUMBER})", text)
    for block, energy in zip(blocks[::2], blocks[1::2], strict=False):
        force = re.findall(r"TOTAL-FORCE \(eV/Angst\)(?! \(ML\))[^\n]*\n\s*-+\n(.*?)\n\s*-{10,}", block, re.DOTALL)
        stress = _find(rf"^\s+in kB((?:\s+{NUMBER}){{6}})", block)
        scf = int(_find(r"Iteration\s+\d+\(\s*(\d+)\)", block) or 0)
        change = _find(rf"total energy-change \(2\. order\) :\s*({NUMBER})", block)
        if not force:
            continue
        yield Step(
            -1,
            float(energy),
            _table(force[-1], 3),
            None if stress is None else _square(*(float(v) for v in stress.split())),
            scf >= most and abs(float(change or "inf")) > smallest,
        )


def pw(file: Path) -> Iterator[Step]:
    """Each table of forces with the last '!' energy before it and the stress after it."""
    text = file.read_text(errors="replace")
    blocks = re.split(r"(?=Forces acting on atoms)", text)
    for before, block in itertools.pairwise(blocks):
        energy = _find(rf"^!+\s+total energy\s+=\s+({NUMBER}) Ry", before)
        rows = re.match(r"Forces acting.*\n\s*\n((?:\s+atom\s+\d+\s+type\s+\d+\s+force = .*\n)+)", block)
        if rows is None:
            continue
        stress = re.search(rf"total\s+stress.*\n((?:(?:\s+{NUMBER}){{6}}\n){{3}})", block)
        yield Step(
            -1,
            float(energy or "nan") * RY_EV,
            _table(re.sub(r".*=", "", rows[1])) * RY_EV / BOHR_A,
            _table(stress[1], 3) if stress else None,
            "convergence NOT achieved" in before,
        )


def cp(file: Path) -> Iterator[Step]:
    """The table .evp (step in its column 0, etot in column 5) and the blocks of the file .for."""
    table = np.loadtxt(file, ndmin=2)
    blocks = re.split(r"^\s*(\d+)\s+[-+.\dEe]+[ \t]*$", file.with_suffix(".for").read_text(), flags=re.MULTILINE)[1:]
    force = {int(number): _table(rows) for number, rows in zip(blocks[::2], blocks[1::2], strict=True)}
    for row in table:
        yield Step(int(row[0]), row[5] * 2 * RY_EV, force[int(row[0])] * 2 * RY_EV / BOHR_A)


def abacus(folder: Path) -> Iterator[Step]:
    """Running log: everything from one 'final etot is' to the next; of MD only the steps that MD_dump holds."""
    text = next(folder.glob("OUT.*/running_*.log")).read_text(errors="replace")
    blocks = re.split(rf"final etot is\s+({NUMBER})", text)
    before = blocks[0]
    dump = next(iter(folder.glob("OUT.*/MD_dump")), None)
    kept = None if dump is None else {int(n) for n in re.findall(r"MDSTEP:\s+(\d+)", dump.read_text())}
    for step, (energy, block) in enumerate(zip(blocks[1::2], blocks[2::2], strict=True)):
        force = re.search(rf"TOTAL-FORCE \(eV/Angstrom\)[^\n]*\n.*?\n((?:\s*[A-Z][a-z]?\d+{ROW3}\s*\n)+)", block, re.S)
        stress = re.search(rf"TOTAL-STRESS \(KBAR\)[^\n]*\n.*?\n((?:{ROW3}[ ]*\n){{3}})", block, re.DOTALL)
        if force is not None and (kept is None or step in kept):
            failed = "convergence has NOT been achieved" in before.rpartition("TOTAL-FORCE")[2]
            yield Step(-1, float(energy), _table(force[1], 1), _table(stress[1]) if stress else None, failed)
        before = block


def cp2k_point(file: Path) -> Iterator[Step]:
    """The last run written to the file; that of MD names the trajectory of its positions."""
    text = file.read_text(errors="replace").rpartition("Multiplication driver")[2]
    written = _find(r"MD(?:_PAR)?\|\s+Coordinates\s+\d+\s+(\S+)", text)
    if written:
        yield from cp2k_run(file.with_name(Path(written).name))
        return
    energy = _find(rf"ENERGY\| Total FORCE_EVAL.*?({NUMBER})\s*$", text)
    force = _find(rf"((?:^\s+\d+\s+\d+\s+[A-Z][a-z]?{ROW3}\n)+)", text.rpartition("ATOMIC FORCES in [a.u.]")[2])
    stress = re.search(rf"(?:STRESS TENSOR|stress tensor) \[GPa\].*?\n((?:(?:.*[xyzXYZ]){ROW3}\s*\n){{3}})", text, re.S)
    if energy and force:
        tensor = np.array(re.findall(NUMBER, stress[1]), dtype=float).reshape(3, 3) * 10.0 if stress else None
        yield Step(0, float(energy) * 2 * RY_EV, _table(force, 3) * 2 * RY_EV / BOHR_A, tensor, "NOT converged" in text)


def cp2k_run(file: Path) -> Iterator[Step]:
    """Trajectory of positions (step and energy in its comments); forces beside it, or in the only .log of the run."""
    place = file.with_name(file.name.replace("-pos-", "-frc-"))
    lines = (place if place.is_file() else file).read_text().splitlines()
    log = next((one for one in file.parent.glob("*.log")), None)
    tables = [] if log is None else log.read_text(errors="replace").split("ATOMIC FORCES in [a.u.]")[1:]
    size = int(lines[0]) + 2
    for k, start in enumerate(range(0, len(lines) - size + 1, size)):
        found = re.search(rf"i =\s+(\d+),.*E =\s+({NUMBER})", lines[start + 1])
        assert found is not None
        force = _table("\n".join(lines[start + 2 : start + size]), 1)
        if not place.is_file():
            force = _table("\n".join(tables[k].splitlines()[3 : size + 1]), 3)
        stress = (
            re.search(rf"STRESS TENSOR \[GPa\].*?\n((?:\s+[XYZ]{ROW3}\n){{3}})", tables[k], re.S) if tables else None
        )
        tensor = _table(stress[1], 1) * 10.0 if stress else None
        yield Step(int(found[1]), float(found[2]) * 2 * RY_EV, force * 2 * RY_EV / BOHR_A, tensor)


def siesta(file: Path) -> Iterator[Step]:
    """Steps of MD or a point; the stress is positive under tension.

    The energy is E_KS plus FreeEng − E_KS of the last electronic step.
    """
    text = file.read_text(errors="replace")
    steps = text.split("Begin MD step")[1:] or [text]
    for block in steps:
        energy = _find(rf"siesta: E_KS\(eV\) =\s+({NUMBER})", block)
        free = re.findall(rf"^\s*(?:siesta|scf):\s+\d+\s+{NUMBER}\s+({NUMBER})\s+({NUMBER})\s+{NUMBER}", block, re.M)
        force = _find(rf"siesta: Atomic forces \(eV/Ang\):\n((?:(?:siesta:)?\s+\d+{ROW3}\n)+)", block)
        stress = _find(rf"Stress tensor \(static\) \(eV/Ang\*\*3\):\n((?:(?:siesta:)?{ROW3}\n){{3}})", block)
        if energy and force and free:
            entropy = float(free[-1][1]) - float(free[-1][0])
            tensor = None if stress is None else -_table(stress.replace("siesta:", "")) * KBAR_PER_EV_A3
            yield Step(-1, float(energy) + entropy, _table(force.replace("siesta:", ""), 1), tensor)


def quip(file: Path) -> Iterator[Step]:
    """Extended xyz of QUIP: energy, virial and Lattice in the comment, forces where Properties says."""
    lines = file.read_text().splitlines()
    start = 0
    while start < len(lines):
        size, comment = int(lines[start]), lines[start + 1]
        column = 0
        for name, _, width in re.findall(r"(\w+):([SRIL]):(\d+)", comment):
            if name.lower() in ("force", "forces"):
                break
            column += int(width)
        found = {k.lower(): v.strip('"') for k, v in re.findall(r'(\w+)=("[^"]*"|\S+)', comment)}
        volume = abs(np.linalg.det(np.array(found["lattice"].split(), dtype=float).reshape(3, 3)))
        stress = None
        if "virial" in found:
            stress = np.array(found["virial"].split(), dtype=float).reshape(3, 3) / volume * KBAR_PER_EV_A3
        force = _table("\n".join(lines[start + 2 : start + 2 + size]), column)
        yield Step(-1, float(found["energy"]), force, stress)
        start += size + 2


def raw(folder: Path) -> Iterator[Step]:
    """DeePMD raw: a line a frame."""
    energy, box = np.loadtxt(folder / "energy.raw", ndmin=1), np.loadtxt(folder / "box.raw", ndmin=2)
    force = np.loadtxt(folder / "force.raw", ndmin=2)
    virial = np.loadtxt(folder / "virial.raw", ndmin=2) if (folder / "virial.raw").is_file() else None
    for k in range(len(energy)):
        volume = abs(np.linalg.det(box[k].reshape(3, 3)))
        stress = None if virial is None else virial[k].reshape(3, 3) / volume * KBAR_PER_EV_A3
        yield Step(-1, float(energy[k]), force[k].reshape(-1, 3), stress)


def deepmd_npy(folder: Path) -> Iterator[Step]:
    """DeePMD npy, array by array."""
    for one in sorted(folder.glob("set.*")):
        part = {file.stem: np.load(file) for file in one.glob("*.npy")}
        for k, energy in enumerate(part["energy"].ravel()):
            volume = abs(np.linalg.det(part["box"][k].reshape(3, 3)))
            virial = part["virial"][k].reshape(3, 3) / volume * KBAR_PER_EV_A3 if "virial" in part else None
            yield Step(-1, float(energy), part["force"][k].reshape(-1, 3), virial)


def castep(file: Path) -> Iterator[Step]:
    """Boxed tables of a .castep file; a run ends with the last forces once more and with the stress, in GPa.

    That stress is positive under tension.
    """
    blocks = re.split(r"\*+ Forces \*+", file.read_text(errors="replace"))
    found: list[Step] = []
    for before, block in itertools.pairwise(blocks):
        energy = _find(rf"Final free energy \(E-TS\)\s+=\s+({NUMBER})", before)
        force = re.search(rf"((?:^ \* [A-Z][a-z]?\s+\d+{ROW3}\s+\*\n)+)", block, re.MULTILINE)
        stress = re.search(rf"Stress Tensor.*?\n((?: \*\s+[xyz]{ROW3}\s+\*\n){{3}})", block, re.DOTALL)
        assert force is not None
        value = float(energy) if energy else found.pop().energy_eV
        found.append(Step(-1, value, _table(force[1], 3), -_table(stress[1], 2) * 10.0 if stress else None))
    yield from found


def aims(file: Path) -> Iterator[Step]:
    """Each table of forces with the last free energy before it."""
    blocks = re.split(r"Total atomic forces.*\[eV/Ang\]:", file.read_text(errors="replace"))
    for before, block in itertools.pairwise(blocks):
        energy = _find(rf"Electronic free energy\s+:\s+({NUMBER})", before)
        force = re.match(rf"\s*\n((?:\s+\|\s+\d+{ROW3}\n)+)", block)
        assert force is not None
        yield Step(-1, float(energy or "nan"), _table(force[1], 2))


PARSERS: dict[str, Callable[[Path], Iterator[Step]]] = {
    "VASP vasprun.xml": vasprun,
    "VASP OUTCAR": outcar,
    "Quantum ESPRESSO pw.x": pw,
    "Quantum ESPRESSO cp.x": cp,
    "ABACUS": abacus,
    "CP2K output": cp2k_point,
    "CP2K trajectory": cp2k_run,
    "SIESTA output": siesta,
    "extxyz": quip,
    "DeePMD raw": raw,
    "DeePMD npy": deepmd_npy,
}


def parser_of(kind: str, source: Path) -> Callable[[Path], Iterator[Step]] | None:
    """Return the parser of a kind as `read_source` names it; of files left to ASE by what they say of themselves."""
    if kind != "ASE":
        return PARSERS.get(kind)
    if source.suffix == ".castep":
        return castep
    return aims if "FHI-aims" in source.read_text(errors="replace")[:65536] else None


def steps_of(kind: str, source: Path) -> list[Step] | None:
    """Return the steps of a source numbered from 0 where it has no numbers; None if no parser knows it."""
    parser = parser_of(kind, source)
    if parser is None:
        return None
    found = list(parser(source))
    return [
        Step(k if s.number < 0 else s.number, s.energy_eV, s.force_eV_A, s.stress_kbar, s.failed)
        for k, s in enumerate(found)
    ]
