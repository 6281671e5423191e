"""Input files of a code as text, written without the code."""

import contextlib
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...records import Structure
from .make import check_elements, cp2k_arguments, make_code


def write_inputs(code: str, settings: Mapping[str, Any], structure: Structure, folder: Path) -> None:
    """Write the inputs of one single point.

    Parameters
    ----------
    code : 'cp2k', 'vasp', 'siesta' or 'espresso'.
    settings : as `read_code_settings` returns them.
    structure : the cell.
    folder : made if it is not there.

    Raises
    ------
    InputError
        If ASE refuses the settings; its reason is quoted.
    """
    from ase import Atoms

    check_elements(code, settings, structure.symbols)
    folder.mkdir(parents=True, exist_ok=True)
    atoms: Any = Atoms(list(structure.symbols), positions=structure.positions_A, cell=structure.cell_A, pbc=True)
    writers = {"cp2k": _cp2k, "vasp": _vasp, "siesta": _siesta, "espresso": _espresso}
    try:
        with warnings.catch_warnings(), contextlib.chdir(folder):
            warnings.simplefilter("ignore")
            writers[code](settings, atoms)
    except Exception as error:  # each of ASE's writers raises its own
        raise InputError(
            f"{code}: its input cannot be written ({type(error).__name__}: {' '.join(str(error).split())[:200]}); see "
            "--settings"
        ) from error


def _cp2k(settings: Mapping[str, Any], atoms: Any) -> None:
    from ase.calculators.cp2k import CP2K

    class Unstarted(CP2K):
        """ASE's CP2K writes its input through a running cp2k_shell; this one has none."""

        def __init__(self, **kwargs: Any) -> None:
            self._debug, self._force_env_id, self._shell = False, None, None
            super(CP2K, self).__init__(label="cp2k", **kwargs)  # type: ignore[no-untyped-call]

    calculator: Any = Unstarted(**cp2k_arguments(settings))
    calculator.atoms = atoms
    Path("cp2k.inp").write_text(calculator._generate_input() + "\n")


def _vasp(settings: Mapping[str, Any], atoms: Any) -> None:
    calculator = make_code("vasp", settings)
    if os.environ.get("VASP_PP_PATH"):
        calculator.initialize(atoms)
        calculator.write_input(atoms)
        return
    from ase.io import write

    calculator.spinpol = False
    calculator.sort, calculator.resort = calculator._make_sort(atoms)
    write("POSCAR", atoms[calculator.sort], format="vasp", direct=True)
    calculator.write_incar(atoms)
    calculator.write_kpoints(atoms)


def _siesta(settings: Mapping[str, Any], atoms: Any) -> None:
    known = settings["pseudo_path"] or os.environ.get("SIESTA_PP_PATH", "")
    calculator = make_code("siesta", {**settings, "pseudo_path": known or "."})
    calculator.write_input(atoms, properties=["energy", "forces", "stress"], system_changes=["numbers"])
    if not known:  # links to potentials that are nowhere
        for link in Path().iterdir():
            if link.is_symlink():
                link.unlink()


def _espresso(settings: Mapping[str, Any], atoms: Any) -> None:
    calculator = make_code("espresso", settings)
    calculator.write_inputfiles(atoms, ["energy", "forces", "stress"])
