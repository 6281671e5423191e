"""A labelling process: reads cells on its standard input, writes labels on its standard output.

Messages are pickles, one after another.  The process ends when its input ends, or when its parent is gone.
"""

import contextlib
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
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
    """End this process, and the programs it started, when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _serve(answers: BinaryIO) -> None:
    from .calculators import make_calculator, quiet, set_threads
    from .codes import CODES

    def answer(*message: Any) -> None:
        pickle.dump(message, answers)
        answers.flush()

    questions = sys.stdin.buffer
    name, settings, threads, seed, parent, scratch = pickle.load(questions)
    threading.Thread(target=_leave_with_parent, args=(parent,), daemon=True).start()
    try:
        if name in CODES:  # codes write files: each process has a folder of its own
            os.chdir(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch))
        calculator = make_calculator(name, settings)
        set_threads(threads)
    except Exception as error:
        answer("no calculator", str(error))
        return
    answer("ready", "")
    while True:
        symbols, positions_A, cell_A, keep = pickle.load(questions)
        begun = time.monotonic()
        try:
            np.random.seed(seed)  # noqa: NPY002  (for calculators that draw from the global generator)
            if name in CODES:
                calculator.fresh()
            with quiet():
                found = evaluate(calculator, symbols, positions_A, cell_A)
        except Exception as error:
            kind = "" if type(error).__name__ == "CalculationFailed" else f"{type(error).__name__}: "
            found = None
            reason = f"{kind}{' '.join(str(error).split())[:300]}"
        if name in CODES:
            calculator.keep(Path(keep))
        if found is None:
            answer("failed", reason)
        else:
            answer("done", {**found, "seconds": np.asarray(time.monotonic() - begun)})


def main() -> None:
    """Serve until the input ends; whatever libraries print goes nowhere near the answers."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(EOFError, BrokenPipeError):
        _serve(answers)


if __name__ == "__main__":
    main()
