"""Build the ordered 50-atom cell of Li10GeP2S12 (Li20Ge2P4S24) that this example starts from.

The average crystal structure is that of N. Kamaya et al., Nature Materials 10, 682 (2011), doi 10.1038/nmat3066
(P4_2/nmc, No. 137, origin choice 1; a = 8.71771 Å, c = 12.63452 Å).  Its 4d tetrahedra hold Ge and P half and half, and
Li fills three sites in part.  An ordered cell must choose.  The Li1 sites come in 8 pairs only 1.75 Å apart, of which
one can be filled; with Li2 and Li3 full this makes exactly 20 Li.  All 6 × 2^8 orders of Ge and Li are ranked by the
Ewald energy of formal charges; the best few that differ are relaxed by CHGNet in the fixed published cell, and the
lowest in energy is written.

    python build_structure.py            # writes LGPS.vasp beside this file; some minutes on one core

Needs the extra `ionstride[reference]` (CHGNet and pymatgen).
"""

import itertools
import warnings
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write
from ase.optimize import FIRE
from ase.spacegroup import crystal

A, C = 8.71771, 12.63452
SITES = {
    "Li1": (0.2563, 0.2729, 0.1829),
    "Li2": (0.0, 0.5, 0.9446),
    "Li3": (0.2472, 0.2472, 0.0),
    "M1": (0.0, 0.5, 0.69101),  # half Ge, half P
    "P2": (0.0, 0.0, 0.5),
    "S1": (0.0, 0.18426, 0.40832),
    "S2": (0.0, 0.29567, 0.09493),
    "S3": (0.0, 0.69930, 0.79291),
}
CHARGE = {"Li": 1.0, "Ge": 4.0, "P": 5.0, "S": -2.0}
RELAXED = 6  # how many of the best orders are relaxed
FMAX_EV_A = 0.05
HERE = Path(__file__).parent


def average_structure() -> tuple[np.ndarray, Atoms]:
    """Return the site label of each atom, and all sites as atoms (Li sites all filled, M1 as Ge)."""
    element = {"M1": "Ge"}
    atoms = crystal(
        [element.get(name, name[:-1]) for name in SITES],
        list(SITES.values()),
        spacegroup=137,
        setting=1,
        cellpar=[A, A, C, 90, 90, 90],
    )
    kinds = np.array(list(SITES))[atoms.arrays["spacegroup_kinds"]]
    return kinds, atoms


def unit_charge_ewald(atoms: Atoms) -> np.ndarray:
    """Return the (N, N) matrix M of the Ewald energy E = q·M·q in eV for charges q in e, neutral in total."""
    from pymatgen.analysis.ewald import EwaldSummation
    from pymatgen.core import Structure

    structure = Structure(atoms.cell.array, ["Li"] * len(atoms), atoms.get_scaled_positions())
    structure.add_oxidation_state_by_site([1.0] * len(atoms))
    return np.asarray(EwaldSummation(structure).total_energy_matrix)


def ordered_cells() -> list[tuple[float, Atoms]]:
    """Return all orders of Ge/P and Li as (Ewald energy in eV, atoms), lowest first, one for each energy."""
    kinds, atoms = average_structure()
    ewald = unit_charge_ewald(atoms)
    li1, m1 = np.flatnonzero(kinds == "Li1"), np.flatnonzero(kinds == "M1")
    distance = atoms.get_all_distances(mic=True)
    pairs = [(i, j) for i, j in itertools.combinations(li1, 2) if distance[i, j] < 2.0]
    assert len(pairs) == 8 and len(np.unique(pairs)) == 16

    found: dict[int, tuple[float, Atoms]] = {}
    for ge in itertools.combinations(m1, 2):
        symbols = np.array(atoms.get_chemical_symbols())
        symbols[np.setdiff1d(m1, ge)] = "P"
        charge = np.array([CHARGE[s] for s in symbols])
        for choice in itertools.product((0, 1), repeat=len(pairs)):
            empty = [pair[side] for pair, side in zip(pairs, choice, strict=True)]
            q = charge.copy()
            q[empty] = 0.0
            energy = float(q @ ewald @ q)
            key = round(energy / 1e-3)  # equal energies are copies by symmetry
            if key not in found:
                keep = np.setdiff1d(np.arange(len(atoms)), empty)
                keep = [i for s in CHARGE for i in keep if symbols[i] == s]
                cell = Atoms(symbols[keep], positions=atoms.positions[keep], cell=atoms.cell, pbc=True)
                found[key] = (energy, cell)
    return [found[key] for key in sorted(found)]


def check(atoms: Atoms) -> tuple[float, float, float]:
    """Check the tetrahedra and the Li-Li distances; return (shortest, longest M-S, shortest Li-Li) in Å."""
    symbols = np.array(atoms.get_chemical_symbols())
    distance = atoms.get_all_distances(mic=True)
    bonds = np.sort(distance[np.ix_(np.isin(symbols, ["Ge", "P"]), symbols == "S")], axis=1)
    assert (bonds[:, 3] < 2.35).all() and (bonds[:, 4] > 3.0).all(), "a tetrahedron is broken"
    li = np.sort(distance[np.ix_(symbols == "Li", symbols == "Li")], axis=1)[:, 1]
    assert li.min() > 2.2, "two Li are too close"
    return float(bonds[:, 0].min()), float(bonds[:, 3].max()), float(li.min())


def main() -> None:
    """Rank, relax, check and write."""
    warnings.filterwarnings("ignore")
    from chgnet.model.dynamics import CHGNetCalculator

    calculator = CHGNetCalculator(use_device="cpu")
    orders = ordered_cells()
    print(f"{len(orders)} orders differ; Ewald energies {orders[0][0]:.2f} to {orders[-1][0]:.2f} eV")
    relaxed = []
    for ewald_eV, atoms in orders[:RELAXED]:
        atoms.calc = calculator
        FIRE(atoms, logfile=None).run(fmax=FMAX_EV_A, steps=300)
        energy_eV = atoms.get_potential_energy()
        force_eV_A = np.linalg.norm(atoms.get_forces(), axis=1).max()
        shortest, longest, li = check(atoms)
        print(
            f"Ewald {ewald_eV:.2f} eV; CHGNet {energy_eV:.3f} eV, largest force {force_eV_A:.3f} eV/Å; "
            f"(Ge,P)-S {shortest:.3f} to {longest:.3f} Å, Li-Li from {li:.3f} Å",
            flush=True,
        )
        relaxed.append((energy_eV, atoms))
    best = min(relaxed, key=lambda pair: pair[0])[1]
    best.wrap()
    file = HERE / "LGPS.vasp"
    write(file, best, format="vasp", direct=True)
    title = "Li20Ge2P4S24: cell and sites of doi 10.1038/nmat3066 ordered by Ewald energy, relaxed by CHGNet 0.4.2"
    file.write_text("\n".join([title, *file.read_text().splitlines()[1:]]) + "\n")


if __name__ == "__main__":
    main()
