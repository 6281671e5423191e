"""Build the rhombohedral cell of LiZr2(PO4)3 (108 atoms, 6 Li) that this example starts from: LZP.vasp.

Cell: that of rhombohedral LiZr2(PO4)3, a = 8.847 Å, c = 22.24 Å, after D. Petit, P. Colomban, G. Collin and
J. P. Boilot, Mater. Res. Bull. 21, 365 (1986), doi 10.1016/0025-5408(86)90194-7.  Sites: NASICON type, space group R-3c
(No. 167, hexagonal axes), Li on 6b; coordinates of NaZr2(PO4)3 after L.-O. Hagman and P. Kierkegaard, Acta Chem. Scand.
22, 1822 (1968), doi 10.3891/acta.chem.scand.22-1822.  All these numbers were written down from memory and not looked up
again.  The coordinates do not matter for what follows, since a run at 1773 K forgets them in its equilibration; the
cell does.  The script checks that each P has four and each Zr six O at the usual distances.

    python build_structure.py                 # writes LZP.vasp beside this file
"""

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write
from ase.spacegroup import crystal

A, C = 8.847, 22.24
SITES = {
    "Li": (0.0, 0.0, 0.0),
    "Zr": (0.0, 0.0, 0.1456),
    "P": (0.2909, 0.0, 0.25),
    "O1": (0.1862, -0.0141, 0.1948),
    "O2": (0.1909, 0.1681, 0.0867),
}
BONDS_A = {"P": (4, 1.45, 1.65), "Zr": (6, 1.95, 2.20), "Li": (6, 2.3, 2.7)}
HERE = Path(__file__).parent


def crystal_cell(a_A: float = A, c_A: float = C) -> Atoms:
    """Return the 108 atoms of the hexagonal cell, each P and Zr among as many O as it should have."""
    elements = [name.rstrip("12") for name in SITES]
    atoms = crystal(elements, list(SITES.values()), spacegroup=167, cellpar=[a_A, a_A, c_A, 90, 90, 120])
    symbols = np.array(atoms.get_chemical_symbols())
    distance = atoms.get_all_distances(mic=True)
    for centre, (count, low, high) in BONDS_A.items():
        shells = np.sort(distance[np.ix_(symbols == centre, symbols == "O")], axis=1)
        assert (shells[:, :count] > low).all() and (shells[:, :count] < high).all(), f"{centre}-O distances"
        assert (shells[:, count] > 3.0).all(), f"{centre} has more than {count} O"
    return atoms


def main() -> None:
    """Write the file."""
    file = HERE / "LZP.vasp"
    write(file, crystal_cell(), format="vasp", direct=True)
    title = "Li6Zr12P18O72: sites of doi 10.3891/acta.chem.scand.22-1822, cell of doi 10.1016/0025-5408(86)90194-7"
    file.write_text("\n".join([title, *file.read_text().splitlines()[1:]]) + "\n")


if __name__ == "__main__":
    main()
