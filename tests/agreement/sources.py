"""Real files of codes through the importers, beside the numbers of their own text.

    python tests/agreement/sources.py FILE-OR-FOLDER ...

Each source is read by `read_source` and once more by a small parser of its text (`source_text.py`), and energies,
forces and stresses are compared frame by frame.  Below a folder that is no source itself everything that is one is
taken; copies of a source already compared are passed over.  Verdicts:

- equal: to 1e-6 eV, 1e-6 eV/Å and 0.002 kbar plus 1e-8 of the value, or what the text's digits and older values of
  the units leave (`OLD_UNITS`, `STRESS_KBAR`), and every step
  of the text is a frame or one that was dropped with a count;
- turned axes: the importer turned the cell; energies, every |F|, every F_i·F_j, the eigenvalues of the stress and
  every F_i·stress·F_j are equal;
- refused: the importer said why;
- not compared: no parser knows the format;
- DIFFERS: anything else; the command then ends with exit code 1.

Files to try come with the source distributions of dpdata (0.1.14 and 0.2.8: `tests`), aiida-vasp 5.1.0
(`tests/test_data`), phonopy 2.20.0 (`example`), with ASE (`ase/test/testdata`), and with Debian's package
quantum-espresso-data (reference outputs of its examples):
`pip download PACKAGE==VERSION --no-binary PACKAGE --no-deps`.
"""

import argparse
import hashlib
import sys
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from source_text import KBAR_PER_EV_A3, Step, steps_of

from ionstride.errors import FormatError, IonstrideError
from ionstride.labels.files import check_part
from ionstride.labels.formats import Part
from ionstride.labels.kinds import kind_of
from ionstride.labels.sources import read_source

ENERGY_EV, FORCE_EV_A, RELATIVE = 1e-6, 1e-6, 1e-8
OLD_UNITS = {"Quantum ESPRESSO pw.x": 2e-7}
"""ASE takes rydberg and bohr of pw.x from CODATA 2006, 9e-8 below today's."""

STRESS_KBAR = {"Quantum ESPRESSO pw.x": 0.02, "SIESTA output": 0.01}
"""Roundings of the printed stress where they are coarser than 0.002 kbar."""


@dataclass
class Row:
    """A line of the table."""

    source: Path
    kind: str
    verdict: str
    frames: int = 0
    energy_eV: float = 0.0
    force_eV_A: float = 0.0
    stress_kbar: float | None = None
    dropped: dict[str, int] = field(default_factory=dict)


def most(difference: np.ndarray) -> float:
    """Return the largest magnitude, 0 for nothing; NaN stays."""
    return float(np.abs(difference).max()) if difference.size else 0.0


def near(value: float, wanted: np.ndarray, absolute: float, relative: float = RELATIVE) -> bool:
    """Tell whether a largest difference is within the absolute and relative tolerance (False for NaN)."""
    return value <= absolute + relative * most(wanted)


def frames_of(part: Part) -> list[Step]:
    """Return the importer's frames in the units of the text."""
    stress = None
    if part.virial_eV is not None:
        stress = part.virial_eV / np.abs(np.linalg.det(part.cell_A))[:, None, None] * KBAR_PER_EV_A3
    numbers = np.arange(len(part)) if part.frame_number is None else part.frame_number
    return [
        Step(int(numbers[k]), float(part.energy_eV[k]), part.force_eV_A[k], None if stress is None else stress[k])
        for k in range(len(part))
    ]


def invariants(step: Step) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return |F| and, over the largest |F|, F_i·F_j; then stress's eigenvalues with F_i·stress·F_j over |F|² max."""
    force = step.force_eV_A
    size = np.linalg.norm(force, axis=1)
    largest = max(most(size), 1e-12)
    angles = force @ force.T / largest
    if step.stress_kbar is None:
        return size, angles, np.zeros(0)
    sheared = force @ step.stress_kbar @ force.T / largest**2
    values = np.linalg.eigvalsh((step.stress_kbar + step.stress_kbar.T) / 2)
    return size, angles, np.concatenate([values, sheared.ravel()])


def compare(row: Row, frames: list[Step], text: list[Step]) -> str:
    """Return the verdict on frames and the steps of the text, and put the differences into the row."""
    by_number = {step.number for step in text} >= {frame.number for frame in frames} and len(
        {frame.number for frame in frames}
    ) == len(frames)
    whole = [step for step in text if not step.failed]
    if row.kind == "Quantum ESPRESSO pw.x" or not by_number:  # images without results are numbered too there
        pairs = list(zip(frames, whole, strict=False))
    else:
        of = {step.number: step for step in text}
        pairs = [(frame, of[frame.number]) for frame in frames]
    if len(frames) != len(whole) or any(step.failed for _, step in pairs):
        return f"DIFFERS: {len(frames)} frames, {len(text)} steps in the text, of them converged {len(whole)}"
    turned = False
    part_of = OLD_UNITS.get(row.kind, RELATIVE)
    for frame, step in pairs:
        if frame.force_eV_A.shape != step.force_eV_A.shape:
            return "DIFFERS: numbers of atoms"
        if (frame.stress_kbar is None) != (step.stress_kbar is None):
            return f"DIFFERS: a stress only in the {'text' if frame.stress_kbar is None else 'frames'}"
        row.energy_eV = max(row.energy_eV, abs(frame.energy_eV - step.energy_eV))
        if not near(
            abs(frame.energy_eV - step.energy_eV),
            np.array(step.energy_eV),
            ENERGY_EV,
            part_of,
        ):
            return f"DIFFERS: energies of step {step.number} {frame.energy_eV:.9g} and {step.energy_eV:.9g} eV"
        coarse = STRESS_KBAR.get(row.kind, 0.002)
        off = most(frame.force_eV_A - step.force_eV_A)
        off_stress = 0.0 if step.stress_kbar is None else most(frame.stress_kbar - step.stress_kbar)
        same = near(off, step.force_eV_A, FORCE_EV_A, part_of)
        if step.stress_kbar is not None:
            same = same and near(off_stress, step.stress_kbar, coarse)
        if not same:
            turned = True
            mine, theirs = invariants(frame), invariants(step)
            off, off_angles, off_stress = (most(a - b) for a, b in zip(mine, theirs, strict=True))
            for value, wanted, most_allowed, what in (
                (off, theirs[0], FORCE_EV_A, "|F|"),
                (off_angles, theirs[1], 10 * FORCE_EV_A, "angles between forces"),
                (off_stress, theirs[2], coarse, "invariants of the stress"),
            ):
                if not near(value, wanted, most_allowed):
                    return f"DIFFERS: {what} of step {step.number} by {value:.3g}"
        row.force_eV_A = max(row.force_eV_A, off)
        if step.stress_kbar is not None:
            row.stress_kbar = max(row.stress_kbar or 0.0, off_stress)
    if turned:
        return "turned axes: energies and |F| and the stress's eigenvalues equal"
    return "equal"


def judge(source: Path) -> Row:
    """Read one source both ways."""
    kind = "?"
    try:
        kind = kind_of(source)
        kind, parts = read_source(source)
        for part in parts:
            check_part(part)
    except IonstrideError as error:
        said = str(error.args[0] if not isinstance(error, FormatError) else error).removeprefix(f"{source}: ")
        return Row(source, kind, f"refused: {said}")
    dropped = Counter[str]()
    for part in parts:
        dropped.update(part.dropped)
    frames = sorted((frame for part in parts for frame in frames_of(part)), key=lambda frame: frame.number)
    row = Row(source, kind, "", len(frames), dropped=dict(dropped))
    text = steps_of(kind, source)
    row.verdict = "not compared: no parser of its text" if text is None else compare(row, frames, text)
    return row


def sources_below(path: Path) -> list[Path]:
    """Return the path, or what below it is a source by its name or its first bytes."""
    if path.is_file():
        return [path]
    try:
        kind_of(path)
        return [path]
    except IonstrideError:
        pass
    found: list[Path] = []
    for place in sorted(path.iterdir()):
        if place.is_dir():
            found += sources_below(place)
        elif place.suffix not in (".gz", ".db", ".npz", ".py") and place.stat().st_size > 500:
            try:
                kind = kind_of(place)
            except IonstrideError:
                continue
            if kind == "CP2K trajectory" and "-pos-" not in place.name:
                continue
            if kind not in ("ASE", "extxyz") or place.suffix in (".castep", ".xyz"):
                found.append(place)
    return found


def fingerprint(source: Path) -> str:
    """Return a hash of the contents; packages ship the same files in one version after another."""
    files = [source] if source.is_file() else sorted(file for file in source.rglob("*") if file.is_file())
    if source.suffix in (".evp", ".xyz"):  # a run is the files of one name
        files = sorted(file for file in source.parent.iterdir() if file.is_file())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files) + source.name.encode()).hexdigest()


def main() -> int:
    """Print the table and a summary a format; return 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--brief", action="store_true", help="only the summary and what is not equal")
    asked = parser.parse_args()
    rows: list[Row] = []
    seen: set[str] = set()
    for source in [one for path in asked.sources for one in sources_below(path)]:
        mark = fingerprint(source)
        if mark in seen:
            continue
        seen.add(mark)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows.append(judge(source))
        row = rows[-1]
        if not asked.brief or row.verdict != "equal":
            stress = "-" if row.stress_kbar is None else f"{row.stress_kbar:.1e}"
            numbers = f"{row.frames} frames, {row.energy_eV:.1e} eV, {row.force_eV_A:.1e} eV/Å, {stress} kbar"
            lost = "".join(f", {n} {why}" for why, n in row.dropped.items())
            print(f"{row.source} | {row.kind} | {numbers}{lost} | {row.verdict}", flush=True)
    print(
        "\n| format | equal | turned axes | refused | not compared | differ | frames | energy (eV) | force (eV/Å) "
        "| stress (kbar) | dropped |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    for kind in sorted({row.kind for row in rows}):
        some = [row for row in rows if row.kind == kind]
        count = Counter(row.verdict.partition(":")[0] for row in some)
        told = [row for row in some if row.verdict.startswith(("equal", "turned"))]
        stresses = [row.stress_kbar for row in told if row.stress_kbar is not None]
        print(
            f"| {kind} | "
            + " | ".join(str(count[v]) for v in ("equal", "turned axes", "refused", "not compared", "DIFFERS"))
            + f" | {sum(row.frames for row in told)} | {max((r.energy_eV for r in told), default=0):.1e}"
            + f" | {max((r.force_eV_A for r in told), default=0):.1e}"
            + f" | {f'{max(stresses):.1e}' if stresses else '-'} | {sum(sum(r.dropped.values()) for r in told)} |"
        )
    return int(any(row.verdict.startswith("DIFFERS") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
