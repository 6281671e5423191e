"""Build the rhombohedral cell of LiZr2(PO4)3 (108 atoms, 6 Li) that this example starts from: LZP.vasp.

Sites: NASICON type, space group R-3c (No. 167, hexagonal axes), Li on 6b; coordinates of NaZr2(PO4)3 after
L.-O. Hagman and P. Kierkegaard, Acta Chem. Scand. 22, 1822 (1968), doi 10.3891/acta.chem.scand.22-1822.  First cell:
near that of rhombohedral LiZr2(PO4)3 after D. Petit et al., Mater. Res. Bull. 21, 365 (1986),
doi 10.1016/0025-5408(86)90194-7.  These numbers were written down from memory, not looked up; neither matters for what
follows: LAMMPS finds the cell at 1773 K and no pressure with the rigid-ion potential, and a run forgets its first
coordinates in its equilibration.  The script checks that each P has four and each Zr six O at the usual distances.

    python build_structure.py                 # writes LZP.vasp beside this file; some minutes on one core
"""

import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write
from ase.spacegroup import crystal

from ionstride.campaign import check_lammps, read_thermo, write_deck
from ionstride.deck import cell_phases, lmp_command, render_deck
from ionstride.potential import read_rigid_ions
from ionstride.process import environment, run_program
from ionstride.records import Structure
from ionstride.settings import MdSettings

A, C = 8.85, 22.24
SITES = {
    "Li": (0.0, 0.0, 0.0),
    "Zr": (0.0, 0.0, 0.1456),
    "P": (0.2909, 0.0, 0.25),
    "O1": (0.1862, -0.0141, 0.1948),
    "O2": (0.1909, 0.1681, 0.0867),
}
BONDS_A = {"P": (4, 1.45, 1.65), "Zr": (6, 1.95, 2.20), "Li": (6, 2.3, 2.7)}
TEMPERATURE_K = 1773.0
REPEATS = (2, 1, 1)
CELL_PS = 60.0
HERE = Path(__file__).parent


def crystal_cell(a_A: float, c_A: float) -> Atoms:
    """Return the 108 atoms of the hexagonal cell."""
    elements = [name.rstrip("12") for name in SITES]
    atoms = crystal(elements, list(SITES.values()), spacegroup=167, cellpar=[a_A, a_A, c_A, 90, 90, 120])
    symbols = np.array(atoms.get_chemical_symbols())
    distance = atoms.get_all_distances(mic=True)
    for centre, (count, low, high) in BONDS_A.items():
        shells = np.sort(distance[np.ix_(symbols == centre, symbols == "O")], axis=1)
        assert (shells[:, :count] > low).all() and (shells[:, :count] < high).all(), f"{centre}-O distances"
        assert (shells[:, count] > 3.0).all(), f"{centre} has more than {count} O"
    return atoms


def cell_at_temperature(atoms: Atoms) -> tuple[float, float]:
    """Return the mean a and c in Å of an NPT run at zero pressure, second half."""
    supercell = atoms.repeat(REPEATS)
    structure = Structure(tuple(supercell.get_chemical_symbols()), supercell.positions, supercell.cell.array)
    md = MdSettings(temperatures_K=(TEMPERATURE_K,), timestep_fs=2.0, cell_ps=CELL_PS, frame_ps=1.0, checkpoint_ps=50.0)
    deck = render_deck(
        structure, md, cell_phases(md, TEMPERATURE_K), id="cell", title="LZP: cell at 1773 K", model="",
        elements=("Li", "Zr", "P", "O"), seed=1, rigid_ions=read_rigid_ions(HERE / "pedone.toml"),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lmp = check_lammps("lmp", folder, 1, "pedone")
        write_deck(deck, folder)
        run_program(lmp_command(md, 1, str(lmp)), folder=folder, log=folder / "screen.log", env=environment(1))
        thermo = read_thermo(folder / "log.lammps")
    rows = thermo[thermo[:, 1] > md.ramp_ps + CELL_PS / 2]
    lx, ly, lz = rows[:, 8:11].mean(axis=0)
    a_from_x, a_from_y = lx / REPEATS[0], ly / REPEATS[1] / np.sqrt(0.75)
    print(f"a from x {a_from_x:.4f} Å, from y {a_from_y:.4f} Å; c {lz / REPEATS[2]:.4f} Å; {len(rows)} rows")
    print(f"volume of the {len(structure.symbols)} atoms {rows[:, 7].mean():.2f} Å³, at {rows[:, 2].mean():.0f} K")
    return float((a_from_x + a_from_y) / 2), float(lz / REPEATS[2])


def main() -> None:
    """Find the cell, put the sites into it, write."""
    a_A, c_A = cell_at_temperature(crystal_cell(A, C))
    atoms = crystal_cell(round(a_A, 3), round(c_A, 3))
    file = HERE / "LZP.vasp"
    write(file, atoms, format="vasp", direct=True)
    title = "Li6Zr12P18O72: sites of doi 10.3891/acta.chem.scand.22-1822 in the cell of the rigid-ion potential, 1773 K"
    file.write_text("\n".join([title, *file.read_text().splitlines()[1:]]) + "\n")


if __name__ == "__main__":
    main()
