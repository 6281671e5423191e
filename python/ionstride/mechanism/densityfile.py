"""Densities as files for VESTA and its like: VASP CHGCAR and Gaussian cube."""

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..records import Structure
from ..runrecord import atomic_path
from .records import IonDensity


def write_density(path: Path | str, density: IonDensity, *, atoms: Structure | None = None) -> Path:
    """Write a density to a file whose name says the format: ``*.cube``, or ``CHGCAR*``, ``*.chgcar`` and ``*.vasp``.

    A CHGCAR holds density × cell volume, so that its mean is the number of ions; a cube holds lengths in Bohr and the
    density in ions/Bohr³, so that its sum times the voxel is the number of ions.

    Parameters
    ----------
    path : where to write, all or nothing.
    density : as from `ion_density`.
    atoms : atoms to write with it; the mean framework if not given.

    Raises
    ------
    InputError
        If the name says no known format, or the atoms are of another cell.
    """
    path = Path(path)
    name = path.name.lower()
    structure = density.atoms if atoms is None else atoms
    if not np.allclose(structure.cell_A, density.cell_A, rtol=1e-3, atol=1e-3):
        raise InputError("the atoms to write with the density are of another cell than the density")
    if name.endswith(".cube"):
        with atomic_path(path) as temporary:
            _write_cube(temporary, density, structure)
    elif "chgcar" in name or name.endswith(".vasp"):
        with atomic_path(path) as temporary:
            _write_chgcar(temporary, density, structure)
    else:
        raise InputError(f"'{path.name}' says no density format; wanted a name such as CHGCAR or li.cube")
    return path


def _write_chgcar(path: Path, density: IonDensity, structure: Structure) -> None:
    from ase import Atoms
    from ase.calculators.vasp import VaspChargeDensity

    order = np.argsort(np.array(structure.symbols), kind="stable")  # the header counts atoms by element
    atoms = Atoms([structure.symbols[i] for i in order], structure.positions_A[order], cell=density.cell_A, pbc=True)
    grid_file: Any = VaspChargeDensity
    file = grid_file(filename=None)
    file.atoms, file.chg, file.aug = [atoms], [density.density_A3], ""
    file.write(str(path), format="chgcar")


def _write_cube(path: Path, density: IonDensity, structure: Structure) -> None:
    from ase import Atoms
    from ase.io.cube import write_cube
    from ase.units import Bohr

    write: Any = write_cube
    atoms = Atoms(list(structure.symbols), structure.positions_A, cell=density.cell_A, pbc=True)
    with path.open("w") as stream:
        write(stream, atoms, density.density_A3 * Bohr**3, comment=f"number density of {density.mobile} in ions/Bohr^3")
