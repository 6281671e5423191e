"""A labelling process: reads cells on its standard input, writes labels on its standard output.

Messages are pickles, one after another.  The process ends when its input ends, or when its parent is gone.
"""

import contextlib
import os
import pickle
import sys
import threading
import time
from typing import Any, BinaryIO

import numpy as np

from ..checks import Array

WATCH_S = 1.0


def evaluate(calculator: Any, symbols: tuple[str, ...], positions_A: Array, cell_A: Array) -> dict[str, Array]:
    r"""Return energy, forces and virial of one cell.

    .. math:: W_{ab} = -\partial E / \partial \varepsilon_{ab} = -V \sigma_{ab}

    Parameters
    ----------
    calculator : ASE calculator.
    symbols : (N) element names.
    positions_A : (N, 3).
    cell_A : (3, 3) rows.

    Returns
    -------
    energy_eV (), force_eV_A (N, 3) and, if the calculator has a stress, virial_eV (3, 3).

    Raises
    ------
    ValueError
        If a result is not finite.
    """
    from ase import Atoms
    from ase.calculators.calculator import PropertyNotImplementedError

    atoms: Any = Atoms(list(symbols), positions=positions_A, cell=cell_A, pbc=True, calculator=calculator)
    found = {
        "energy_eV": np.asarray(float(np.asarray(atoms.get_potential_energy()).item())),
        "force_eV_A": np.asarray(atoms.get_forces(), dtype=np.float64),
    }
    with contextlib.suppress(PropertyNotImplementedError):
        found["virial_eV"] = -atoms.get_volume() * np.asarray(atoms.get_stress(voigt=False), dtype=np.float64)
    for name, value in found.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{name} is not finite")
    return found


def _leave_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(1)


def _serve(answers: BinaryIO) -> None:
    from .calculators import make_calculator, quiet, set_threads

    def answer(*message: Any) -> None:
        pickle.dump(message, answers)
        answers.flush()

    questions = sys.stdin.buffer
    name, threads, seed, parent = pickle.load(questions)
    threading.Thread(target=_leave_with_parent, args=(parent,), daemon=True).start()
    try:
        calculator = make_calculator(name)
        set_threads(threads)
    except Exception as error:
        answer("no calculator", str(error))
        return
    answer("ready", "")
    while True:
        symbols, positions_A, cell_A = pickle.load(questions)
        try:
            np.random.seed(seed)  # noqa: NPY002  (for calculators that draw from the global generator)
            with quiet():
                found = evaluate(calculator, symbols, positions_A, cell_A)
        except Exception as error:
            answer("failed", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
        else:
            answer("done", found)


def main() -> None:
    """Serve until the input ends; whatever libraries print goes nowhere near the answers."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(EOFError, BrokenPipeError):
        _serve(answers)


if __name__ == "__main__":
    main()
