"""SIESTA's output, of an MD run or of a single point."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import FormatError
from .by_dpdata import as_part, load
from .formats import Part
from .vasp import CUT, UNCONVERGED

EV_A3_PER_KBAR = 1.0 / 1602.1766208
_PRESSURE = re.compile(r"siesta: Pressure \(static\):\s*([-+0-9.Ee]+)\s*kBar")
# Rows of forces and coordinates begin alike in some versions, but hold three numbers.
_ITERATION = re.compile(r"^\s*(?:siesta|scf):\s+(\d+)(?:\s+-?\d+\.\d+){4}")
_MOST = re.compile(r"Max\. number of SCF Iter\w*\s*=\s*(\d+)")
_FUNCTIONAL = re.compile(
    r"redata: Exchange-correlation functional\s*=\s*(.+)|xc_check: GGA\s+(.+)|xc_check: XC functional[^:]*:\s*(.+)"
)
_CUTOFF = re.compile(r"redata: Mesh Cutoff\s*=\s*([0-9.]+)\s*(\w+)")
_STEP = re.compile(
    r"redata: Length of MD time step\s*=\s*([0-9.]+)\s*fs|^\s*MD\.?LengthTimeStep\s+([0-9.]+)\s*fs", re.I
)
_TARGET = re.compile(r"Target temperature\s*=\s*([0-9.]+)\s*K", re.IGNORECASE)
_ION = re.compile(r"siesta: Temp_ion =\s*([0-9.]+)\s*K")


def read_siesta(file: Path) -> list[Part]:
    """Read SIESTA's standard output by dpdata; unconverged steps and a cut last one are left out.

    The energy is the free energy, as the forces are its: E_KS, which dpdata takes, lacks −TS of the electrons.

    SIESTA's stress is positive under tension (the derivative of the energy by the strain), so virial = −V × stress:
    the sign is settled by the pressure that the output prints beside it.

    Raises
    ------
    FormatError
        If no step is whole or converged.
    """
    text = file.read_text(errors="replace")
    is_md = "Begin MD step" in text
    fmt = "siesta/aimd_output" if is_md else "siesta/output"
    system, _ = load(file, "SIESTA output", fmt)
    frames = min(len(system.data[name]) for name in ("coords", "cells", "energies", "forces"))
    begun = max(1, text.count("Begin MD step"))
    for name in ("coords", "cells", "energies", "forces", "virials"):
        system.data[name] = system.data[name][:frames]
    step = _first(_STEP, text)
    temperatures = [float(t) for t in _ION.findall(text)]
    target = _first(_TARGET, text)
    part = as_part(
        file,
        system,
        _method(text),
        frame_number=np.arange(frames, dtype=np.int64),
        frame_ps=float(step) / 1000 if is_md and step else None,
        temperature_K=float(target) if target else float(np.mean(temperatures)) if temperatures else None,
    )
    entropy = np.array(_entropies(text)[:frames])
    if len(entropy) == frames:
        part = replace(part, energy_eV=part.energy_eV + entropy)
    if part.virial_eV is not None:
        part = replace(part, virial_eV=_signed(file, part, text))
    good = np.array(_converged(text)[:frames] or [True] * frames, dtype=np.bool_)
    if not good.any():
        raise FormatError(file, "in none of its frames the electronic steps converged (MaxSCFIterations)")
    dropped = {UNCONVERGED: int((~good).sum()), CUT: begun - frames}
    return [replace(part.take(good), dropped={reason: n for reason, n in dropped.items() if n > 0})]


def _signed(file: Path, part: Part, text: str) -> np.ndarray:
    """Return the virials with the sign of the printed pressure."""
    assert part.virial_eV is not None
    volume = np.abs(np.linalg.det(part.cell_A))
    pressure = np.trace(part.virial_eV, axis1=1, axis2=2) / (3.0 * volume) / EV_A3_PER_KBAR
    printed = np.array([float(p) for p in _PRESSURE.findall(text)])[: len(part)]
    if len(printed) == 0:
        return -part.virial_eV
    pressure = pressure[: len(printed)]
    for sign in (1.0, -1.0):
        if np.allclose(sign * pressure, printed, rtol=0.01, atol=0.5):
            return sign * part.virial_eV
    raise FormatError(
        file, f"stress and pressure disagree ({abs(pressure[0]):.4g} and {printed[0]:.4g} kbar in the first frame)"
    )


def _entropies(text: str) -> list[float]:
    """Return FreeEng − E_KS of the last electronic step of each step, where the table names both."""
    found = []
    for step in re.split(r"Begin MD step\s*=", text)[1:] or [text]:
        if not re.search(r"iscf\s+Eharris\(eV\)\s+E_KS\(eV\)\s+FreeEng\(eV\)", step):
            return []
        rows = [line.split() for line in step.splitlines() if _ITERATION.match(line)]
        try:
            found.append(float(rows[-1][4]) - float(rows[-1][3]))
        except (ValueError, IndexError):
            return []
    return found


def _converged(text: str) -> list[bool]:
    """Return for each step whether its electronic steps converged before their largest number."""
    most = int(_first(_MOST, text) or 50)
    found = []
    for step in re.split(r"Begin MD step\s*=", text)[1:] or [text]:
        iterations = [int(m[1]) for line in step.splitlines() if (m := _ITERATION.match(line))]
        if "SCF_NOT_CONV" in step or "SCF did not converge" in step:
            found.append(False)
        else:
            found.append(
                "SCF cycle converged" in step or "SCF Convergence by" in step or max(iterations, default=0) < most
            )
    return found


def _method(text: str) -> str:
    found = _FUNCTIONAL.search(text)
    functional = " ".join(next(g for g in found.groups() if g).split()) if found else "functional not said"
    cutoff = _CUTOFF.search(text)
    return f"SIESTA {functional}" + (f", mesh {float(cutoff[1]):g} {cutoff[2]}" if cutoff else "")


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return next((g for g in found.groups() if g), None) if found else None
