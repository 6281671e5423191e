"""A process of its own in which MDAnalysis reads: its C readers can crash on corrupt files, and only that one dies.

Jobs come as lines of JSON on standard input.  Each is done in a fork, so that MDAnalysis is loaded once; the answer is
the exit code of the fork (negative: the signal that ended it).  The process ends when its input does.
"""

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

TIMED = ("XTC", "TRR", "TNG", "NCDF", "NC", "H5MD", "PDB", "GSD")  # formats whose times can be trusted, in ps
_INDEXED = (".xtc", ".trr")  # MDAnalysis leaves an index beside them
MASS_TOLERANCE = 0.02
FAILED = 3  # exit code of a job that ended in a sentence


class SaidError(Exception):
    """What is wrong with the file: (kind of error, sentence or clause)."""


def words_of(error: BaseException) -> str:
    """Return what an error of another package says, in one short line."""
    return " ".join(str(error).split())[:120] or type(error).__name__


def read(path: Path, topology: Path | None, types: Sequence[str] | None, out: Path) -> None:
    """Read one trajectory into files in `out`: positions, cell, time (.npy) and about.json."""
    import MDAnalysis

    with tempfile.TemporaryDirectory(prefix="ionstride-") as folder:
        place = path
        if path.suffix.lower() in _INDEXED:
            place = Path(folder) / path.name
            place.symlink_to(path.resolve())
        try:
            universe = MDAnalysis.Universe(*([str(topology)] if topology else []), str(place))
            frames: Any = universe.trajectory
            count, atoms = len(frames), int(universe.atoms.n_atoms)
        except Exception as error:  # its readers raise whatever their parsing runs into
            said = words_of(error).replace(str(place), path.name)
            hint = "" if topology else "; a trajectory of this kind wants --topology (a file with the atoms)"
            raise SaidError("format", f"MDAnalysis cannot read it ({said}){hint}") from error
        if topology is None and not (hasattr(universe.atoms, "names") or hasattr(universe.atoms, "elements")):
            raise SaidError("input", f"{path} holds positions alone; give a file with the atoms by --topology")
        symbols = symbols_of(universe, str(topology or path), types)
        positions, cells, times, cut = [], [], [], 0
        for number in range(count):
            try:
                step = frames[number]
                here = np.array(step.positions, dtype=np.float32).reshape(atoms, 3)
                cell = None if step.dimensions is None else np.array(step.triclinic_dimensions).reshape(3, 3)
                time = float(step.time)
            except Exception as error:
                if number == count - 1 and number > 0:
                    cut = 1
                    break
                raise SaidError("format", f"MDAnalysis cannot read frame {number} ({words_of(error)})") from error
            if cell is None:
                raise SaidError("input", f"{path}: frame {number} has no cell, so that it cannot be unwrapped")
            positions.append(here)
            cells.append(cell)
            times.append(time)
    timed = str(frames.format).upper() in TIMED and len(set(times)) > 1  # all the same: its writer knew none
    np.save(out / "positions.npy", np.array(positions, dtype=np.float32).reshape(len(positions), atoms, 3))
    np.save(out / "cell.npy", np.array(cells, dtype=np.float64).reshape(len(cells), 3, 3))
    np.save(out / "time.npy", np.array(times, dtype=np.float64))
    about = {"symbols": symbols, "format": str(frames.format), "cut": cut, "timed": timed}
    (out / "about.json").write_text(json.dumps(about))


def symbols_of(universe: Any, name: str, types: Sequence[str] | None) -> tuple[str, ...]:
    """Return the element of every atom, from types, elements or names; `SaidError` if there are none."""
    atoms = universe.atoms
    if types is not None:
        try:
            numbers = [int(t) for t in atoms.types]
            if min(numbers) < 1:
                raise ValueError("types count from 1")
            symbols = tuple(types[number - 1] for number in numbers)
        except (ValueError, IndexError, AttributeError) as error:
            raise SaidError("input", f"{name}: --types {list(types)} does not fit the atom types of it") from error
        _check_masses(atoms, numbers, symbols, name)
        return symbols
    if hasattr(atoms, "elements") and all(atoms.elements):
        return tuple(str(e) for e in atoms.elements)
    from MDAnalysis.guesser.tables import masses

    for attribute in ("names", "types"):
        if hasattr(atoms, attribute):
            guessed = tuple("".join(c for c in str(n) if c.isalpha()).capitalize() for n in getattr(atoms, attribute))
            if all(g in masses for g in guessed):
                return guessed
    raise SaidError("input", f"{name} names no elements; give them in type order with --types")


def _check_masses(atoms: Any, numbers: Sequence[int], symbols: Sequence[str], name: str) -> None:
    """Raise `SaidError` if a topology has masses that are not those of the elements given; unknown ones are 0."""
    from MDAnalysis.guesser.tables import masses

    there = np.array(getattr(atoms, "masses", np.zeros(len(symbols))), dtype=np.float64)
    if len(set(there.tolist())) == 1:  # one element, or a stand-in
        return
    for number, symbol, mass in dict.fromkeys(zip(numbers, symbols, there.tolist(), strict=True)):
        wanted = masses.get(symbol.upper(), masses.get(symbol, 0.0))
        if mass > 0.0 and wanted > 0.0 and abs(mass / wanted - 1.0) > MASS_TOLERANCE:
            raise SaidError(
                "input",
                f"{name}: --types says type {number} is {symbol}, but its mass there is {mass:g}, not {wanted:g}",
            )


def _job(job: dict[str, Any]) -> int:
    out = Path(job["out"])
    topology = Path(job["topology"]) if job["topology"] else None
    try:
        read(Path(job["path"]), topology, job["types"], out)
    except SaidError as error:
        (out / "error.json").write_text(json.dumps(list(error.args)))
        return FAILED
    except BaseException as error:
        said = ["format", f"MDAnalysis cannot read it ({type(error).__name__}: {words_of(error)})"]
        (out / "error.json").write_text(json.dumps(said))
        return FAILED
    return 0


def main() -> None:
    """Do jobs until the input ends."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    import MDAnalysis  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = FAILED
            try:
                code = _job(json.loads(line))
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


if __name__ == "__main__":
    main()
