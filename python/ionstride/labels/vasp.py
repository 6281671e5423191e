"""VASP's vasprun.xml and OUTCAR: frames by dpdata, convergence, method and time step by a look at the text."""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from .by_dpdata import as_part, load
from .formats import Part

EV_A3_PER_KBAR = 1.0 / 1602.1766208
UNCONVERGED = "electronic steps did not converge"
CUT = "cut last frame"
_ENERGY = "free  energy   TOTEN"
_TAG = re.compile(r'<[iv][^>]*\bname="\s*(\w+)\s*"[^>]*>\s*([^<]*?)\s*</')
_POTCAR = re.compile(r"<c>\s*PAW_(\w+)\s|<c>\s*(PAW|US)\s")
_KEY = re.compile(
    r"^\s*(NELM|EDIFF|ENCUT|GGA|METAGGA|LHFCALC|HFSCREEN|IVDW|POTIM|TEBEG|TEEND|IBRION|ML_LMLFF)\s*=\s*([^\s;]+)"
)
_STEP = re.compile(r"Iteration\s+\d+\(\s*(\d+)\)")
_CHANGE = re.compile(r"total energy-change \(2\. order\) :\s*(\S+)\s+\(\s*([^)\s]+)\s*\)")
_TITEL = re.compile(r"TITEL\s*=\s*(PAW|US)(?:_(\w+))?\s")
_SKIPPED = re.compile(r"incomplete labels in frame (\d+)")
_FUNCTIONALS = {"PE": "PBE", "PS": "PBEsol", "RP": "RPBE", "RE": "revPBE", "91": "PW91", "CA": "LDA", "BF": "BEEF"}


@dataclass
class _Seen:
    """What a look at the text found: settings, and whether each ionic step converged."""

    settings: dict[str, str] = field(default_factory=dict)
    potcar: str = ""
    converged: list[bool] = field(default_factory=list)
    whole: bool = True
    response: bool = False


def read_vasprun(file: Path) -> list[Part]:
    """Read the calculations of a vasprun.xml, whole or cut; the energy is the free energy, as the forces are its.

    Under PSTRESS the file's e_fr_energy of an ionic step is an enthalpy: PSTRESS × volume is taken off (in an OUTCAR,
    TOTEN is without it).

    Raises
    ------
    FormatError
        If there is no whole calculation, or the labels are those of VASP's machine-learned force field.
    """
    seen = _look_at_vasprun(file)
    _refuse_force_field(file, seen)
    system, _ = load(file, "a vasprun.xml", "vasp/xml", convergence_check=False)
    part = _finished(file, system, seen, [])
    pressure_kbar = _number(seen.settings.get("PSTRESS")) or 0.0
    volume = np.abs(np.linalg.det(part.cell_A))
    return [_with(part, energy_eV=part.energy_eV - pressure_kbar * EV_A3_PER_KBAR * volume)]


def read_outcar(file: Path) -> list[Part]:
    """Read the ab initio steps of an OUTCAR; the energy is the free energy TOTEN.

    Raises
    ------
    FormatError
        If there is no whole step.
    """
    seen = _look_at_outcar(file)
    with _whole_part(file, seen) as whole:
        system, said = load(whole, "an OUTCAR", "vasp/outcar", convergence_check=False)
    skipped = [int(found[1]) - 1 for words in said if (found := _SKIPPED.search(words))]
    notes = tuple(words for words in said if "composition produced by pairing" in words)
    return [_finished(file, system, seen, skipped, notes)]


def _finished(file: Path, system: Any, seen: _Seen, skipped: list[int], notes: tuple[str, ...] = ()) -> Part:
    """Return the part without unconverged frames, numbered by ionic step."""
    steps = [k for k in range(len(seen.converged)) if k not in skipped]
    frames = system.get_nframes()
    if len(steps) < frames:
        raise FormatError(file, f"holds {frames} frames but {len(steps)} ionic steps; is it two runs in one file?")
    steps = steps[:frames]
    step_fs, begin, end = (_number(seen.settings.get(key)) for key in ("POTIM", "TEBEG", "TEEND"))
    is_md = seen.settings.get("IBRION") == "0"
    part = as_part(
        file,
        system,
        _method(seen),
        frame_number=np.array(steps, dtype=np.int64),
        frame_ps=step_fs / 1000 if is_md and step_fs else None,
        temperature_K=begin if is_md and begin and end in (None, begin) else None,
        notes=notes,
    )
    good = np.array([seen.converged[k] for k in steps], dtype=np.bool_)
    if not good.any() and seen.response:
        raise FormatError(
            file,
            "holds more electronic steps than NELM in one calculation, as linear response does (LEPSILON, IBRION 7 or "
            "8): whether its ground state converged cannot be told; give a plain single point",
        )
    if not good.any():
        raise FormatError(file, f"in none of its {frames} frames the electronic steps converged (NELM); raise NELM")
    dropped = {UNCONVERGED: int((~good).sum()), CUT: len(skipped) + (0 if seen.whole else 1)}
    part = part.take(good)
    return _with(part, dropped={reason: count for reason, count in dropped.items() if count})


def _with(part: Part, **more: Any) -> Part:
    from dataclasses import replace

    return replace(part, **more)


def _look_at_vasprun(file: Path) -> _Seen:
    seen = _Seen()
    inside, electronic, in_force = False, 0, False
    with file.open(errors="replace") as stream:
        for line in stream:
            if "<calculation>" in line:
                inside, electronic, in_force = True, 0, False
            elif "<scstep>" in line:
                electronic += 1
            elif 'name="forces"' in line:
                in_force = True
            elif "</calculation>" in line:
                most = _number(seen.settings.get("NELM")) or 60
                if in_force:
                    seen.converged.append(electronic < most)
                    seen.response = seen.response or electronic > most
                inside = False
            elif not inside and (found := _TAG.search(line)):
                seen.settings.setdefault(found[1], found[2])
            elif not seen.potcar and (found := _POTCAR.search(line)):
                seen.potcar = found[1] or "LDA"
    seen.whole = not inside
    seen.settings.setdefault("ENCUT", seen.settings.get("ENMAX", ""))
    return seen


@contextlib.contextmanager
def _whole_part(file: Path, seen: _Seen) -> Iterator[Path]:
    """Give the file, or a copy without the ionic step that it breaks off in, at which dpdata stumbles."""
    if seen.whole:
        yield file
        return
    if not seen.converged:
        raise FormatError(file, "ends before its first ionic step does")
    with tempfile.TemporaryDirectory(prefix="ionstride-") as folder:
        copy = Path(folder) / "OUTCAR"
        left = len(seen.converged)
        with file.open(errors="replace") as stream, copy.open("w") as out:
            for line in stream:
                out.write(line)
                left -= _ENERGY in line
                if left == 0:
                    break
        yield copy


def _look_at_outcar(file: Path) -> _Seen:
    """Return settings and convergence; VASP 5 says 'EDIFF is reached' at NELM too: there the change must be small."""
    seen = _Seen()
    electronic, reached, failed, change = 0, False, False, np.inf
    with file.open(errors="replace") as stream:
        for line in stream:
            seen.whole = (seen.whole and "Iteration" not in line) or _ENERGY in line
            if "Iteration" in line and (found := _STEP.search(line)):
                electronic = int(found[1])
                change = np.inf
                if electronic == 1:
                    reached = failed = False
            elif "energy-change" in line and (found := _CHANGE.search(line)):
                change = max(abs(_number(text) or 0.0) for text in found.groups())
            elif "aborting loop" in line:
                reached = reached or "is reached" in line
                failed = failed or "not reached" in line
            elif _ENERGY in line:
                most = _number(seen.settings.get("NELM")) or 60
                small = change <= (_number(seen.settings.get("EDIFF")) or 0.0)
                seen.converged.append(not failed and (electronic < most or (reached and small)))
            elif "=" in line and not seen.converged:
                if found := _KEY.search(line):
                    seen.settings.setdefault(found[1], found[2])
                elif not seen.potcar and (found := _TITEL.search(line)):
                    seen.potcar = found[2] or "LDA"
    return seen


def _refuse_force_field(file: Path, seen: _Seen) -> None:
    if seen.settings.get("ML_LMLFF", "F").strip(". ").upper().startswith("T"):
        raise FormatError(
            file,
            "is of a run with a machine-learned force field (ML_LMLFF), whose labels are mostly not of DFT; give its "
            "ML_ABN, or its OUTCAR, which tell them apart",
        )


def _method(seen: _Seen) -> str:
    """Return code, functional and cut-off in words: frames that differ in one of them are not of one surface."""
    said = {key: value.strip(" .'\"") for key, value in seen.settings.items()}
    functional = _FUNCTIONALS.get(said.get("GGA", "--").upper(), said.get("GGA", "--"))
    if functional.upper() in ("", "--", "NO", "NONE"):
        functional = seen.potcar or "functional not said"
    if said.get("METAGGA", "--").upper() not in ("", "--", "NONE", "F"):
        functional = said["METAGGA"]
    if said.get("LHFCALC", "F").upper().startswith("T"):
        functional = "HSE06" if abs((_number(said.get("HFSCREEN")) or 0.0) - 0.2) < 0.011 else f"{functional} hybrid"
    if (dispersion := _number(said.get("IVDW")) or 0) > 0:
        functional += f" + dispersion IVDW {dispersion:g}"
    cutoff = _number(said.get("ENCUT"))
    return f"VASP {functional}" + (f" {cutoff:g} eV" if cutoff else "")


def _number(text: str | None) -> float | None:
    try:
        return float(str(text).split()[0])
    except (ValueError, IndexError):
        return None
