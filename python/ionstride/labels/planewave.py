"""Quantum ESPRESSO (pw.x by ASE, cp.x by dpdata) and ABACUS (by dpdata)."""

import io
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from .by_dpdata import as_part, load
from .formats import Part, parts_of_images
from .vasp import CUT, UNCONVERGED

_STEP = re.compile(r"Time step\s*=\s*[0-9.]+\s*a\.u\.,\s*([0-9.]+)\s*femto-seconds")
_TEMPERATURE = re.compile(r"^\s*temperature\s*=\s*([0-9.]+)\s*K\s*$", re.MULTILINE)
_FUNCTIONAL = re.compile(r"Exchange-correlation\s*=\s*(.+)")
_CUTOFF = re.compile(r"kinetic-energy cutoff\s*=\s*([0-9.]+)\s*Ry")
_NOTICE = re.compile(r"^[ \t]+.*ATOMIC_POSITIONS.*$", re.MULTILINE)
_UNCONVERGED = re.compile(r"tructure\s+([\d\s]+?)\s+(?:is|are) unconverged")


def read_pw(file: Path) -> list[Part]:
    """Read the output of pw.x: a single point, a relaxation or MD; steps whose SCF failed are left out.

    Raises
    ------
    FormatError
        If no step has an energy and forces.
    """
    from ase.io import iread

    text = file.read_text(errors="replace")
    images: list[Any] = []
    cut = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # pw.x names the card in a notice where the input gave no units; ASE takes that for a step of the run.
            plain: Any = io.StringIO(_last_energies(_NOTICE.sub("", text)))
            for atoms in iread(plain, index=":", format="espresso-out", results_required=False):
                images.append(atoms)
    except Exception as error:  # ASE raises whatever its parsing runs into; a killed run ends anywhere
        if not images:
            words = " ".join(str(error).split())[:100]
            raise FormatError(file, f"cannot be read as output of pw.x ({words})") from error
        cut = 1
    whole = [a for a in images if a.calc is not None and {"energy", "forces"} <= _known(a.calc.results)]
    failed = text.count("convergence NOT achieved")
    if not whole:
        why = "its SCF did not converge" if failed else "wanted tprnfor = .true. and a finished SCF"
        raise FormatError(file, f"holds no frame with energy and forces: {why}")
    numbers = {id(a): k for k, a in enumerate(images)}
    order = np.array([numbers[id(a)] for a in whole], dtype=np.int64)
    parts = parts_of_images(file, whole, _pw_method(text))
    step, temperatures = _STEP.search(text), [float(t) for t in _TEMPERATURE.findall(text)]
    # A relaxation prints its last positions once more without results: they are no frame that is lost.
    dropped = {UNCONVERGED: min(failed, len(images) - len(whole)), CUT: cut}
    return [
        replace(
            part,
            frame_number=order[part.frame_number],
            frame_ps=float(step[1]) / 1000 if step else None,
            temperature_K=float(np.mean(temperatures)) if temperatures else None,
            dropped={reason: n for reason, n in dropped.items() if n and k == 0},
        )
        for k, part in enumerate(parts)
    ]


def _last_energies(text: str) -> str:
    """Return the output with one energy a step, the last: ASE takes the first, that of a hybrid's start."""
    lines = text.splitlines(keepends=True)
    last = -1
    for k, line in enumerate(lines):
        if line.startswith(("ATOMIC_POSITIONS", "     Program PWSCF")) or "Forces acting on" in line:
            last = -1
        elif line.startswith("!") and "total energy" in line:
            if last >= 0:
                lines[last] = "\n"
            last = k
            if line.startswith("!!"):
                lines[k] = "! " + line[2:]
    return "".join(lines)


def _known(results: dict[str, Any]) -> set[str]:
    return {name for name, value in results.items() if value is not None}


def _pw_method(text: str) -> str:
    functional, cutoff = _FUNCTIONAL.search(text), _CUTOFF.search(text)
    name = " ".join(re.sub(r"\(.*?\)", "", functional[1]).split()) if functional else "functional not said"
    return f"Quantum ESPRESSO {name}" + (f" {float(cutoff[1]):g} Ry" if cutoff else "")


def read_cp(file: Path) -> list[Part]:
    """Read a cp.x run by its ``.evp``, with ``.in``, ``.pos``, ``.for`` and, where there, ``.cel`` beside it."""
    prefix = file.with_suffix("")
    missing = [s for s in (".in", ".pos", ".for") if not prefix.with_suffix(s).is_file()]
    if missing:
        raise FormatError(file, f"{', '.join(prefix.name + s for s in missing)} not beside it")
    system, _ = load(prefix, "a cp.x run", "qe/cp/traj")
    try:
        table = np.loadtxt(file, ndmin=2)
        step, time_ps, temperature_K = table[:, 0].astype(np.int64), table[:, 1], table[:, 4]
    except (ValueError, IndexError) as error:
        raise FormatError(file, "is no table of cp.x: step, time, kinetic energy and temperatures") from error
    if len(step) != system.get_nframes() or len(np.unique(step)) < len(step):
        return [as_part(file, system, "")]
    span = int(step[-1] - step[0])
    frame_ps = float(time_ps[-1] - time_ps[0]) / span if span > 0 else 0.0
    return [
        as_part(
            file,
            system,
            "",
            frame_number=step,
            frame_ps=frame_ps if frame_ps > 0.0 else None,
            temperature_K=float(temperature_K.mean()) if (temperature_K > 0.0).all() else None,
        )
    ]


def read_abacus(folder: Path) -> list[Part]:
    """Read the folder of an ABACUS run (INPUT, STRU, OUT.suffix): md, relax, cell-relax or scf.

    Raises
    ------
    FormatError
        If the run holds no converged frame.
    """
    settings = _input(folder / "INPUT")
    job = settings.get("calculation", "scf")
    fmt = {"md": "abacus/md", "relax": "abacus/relax", "cell-relax": "abacus/relax"}.get(job, "abacus/scf")
    system, said = load(folder, f"an ABACUS run ({job})", fmt)
    frames = system.get_nframes()
    lost = [int(n) for words in said for found in _UNCONVERGED.findall(words) for n in found.split()]
    numbers = np.array([k for k in range(frames + len(lost)) if k not in lost], dtype=np.int64)
    step = settings.get("md_dt")
    every = int(settings.get("md_dumpfreq", "1"))
    functional = settings.get("dft_functional", "functional of the pseudopotentials")
    cutoff = settings.get("ecutwfc")
    return [
        as_part(
            folder,
            system,
            f"ABACUS {functional} {settings.get('basis_type', 'pw')}" + (f" {float(cutoff):g} Ry" if cutoff else ""),
            frame_number=numbers,
            frame_ps=float(step) * every / 1000 if job == "md" and step else None,
            temperature_K=float(settings["md_tfirst"]) if job == "md" and "md_tfirst" in settings else None,
            dropped={UNCONVERGED: len(lost)} if lost else {},
        )
    ]


def _input(file: Path) -> dict[str, str]:
    found = {}
    for line in file.read_text(errors="replace").splitlines():
        words = re.split(r"#|//", line)[0].split()
        if len(words) > 1:
            found[words[0].lower()] = words[1]
    return found
