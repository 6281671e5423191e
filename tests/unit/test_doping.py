"""Charge-neutral doping."""

from pathlib import Path

import numpy as np
import pytest

from ionstride.doping import doped, parse_doping
from ionstride.errors import InputError
from ionstride.records import Structure
from ionstride.structure import make_supercell, read_structure

LGPS = Path(__file__).parents[2] / "examples" / "lgps" / "LGPS.vasp"


def counts(structure):
    return {s: structure.count(s) for s in dict.fromkeys(structure.symbols)}


def test_composition_is_as_asked_and_seeded():
    """Fault: a doped cell of another composition, or another one at every call."""
    base = make_supercell(read_structure(LGPS), (1, 1, 2))
    before = counts(base)
    one = doped(base, parse_doping("S:O:3,P:Ge:1,S:Cl:1"), seed=4)
    wanted = {**before, "S": before["S"] - 4, "O": 3, "Cl": 1, "Ge": before["Ge"] + 1, "P": before["P"] - 1}
    with pytest.raises(InputError):
        doped(base, parse_doping("P:Ge:1"))
    assert counts(one) == wanted
    again, other = (doped(base, parse_doping("S:O:3,P:Ge:1,S:Cl:1"), seed=s) for s in (4, 5))
    assert np.array_equal(one.positions_A, again.positions_A) and not np.array_equal(one.positions_A, other.positions_A)


def test_a_vacancy_makes_up_for_charge():
    """Fault: Cl for S without its Li vacancy, a charged cell that DFT fills with a background."""
    base = read_structure(LGPS)
    cell = doped(base, parse_doping("S:Cl:1,Li::1"))
    assert len(cell.symbols) == len(base.symbols) - 1 and cell.count("Li") == base.count("Li") - 1
    with pytest.raises(InputError, match=r"changes the charge of the cell by \+1 e"):
        doped(base, parse_doping("S:Cl:1"))


def test_oxygen_is_put_at_its_bond_length():
    """Fault: O left at the place of S, 2.05 Å from P: the run begins with an electronvolt too much."""
    base = read_structure(LGPS)
    cell = doped(base, parse_doping("S:O:2"), seed=2)
    from ase import Atoms

    atoms = Atoms(cell.symbols, positions=cell.positions_A, cell=cell.cell_A, pbc=True)
    oxygen = [i for i, s in enumerate(cell.symbols) if s == "O"]
    formers = [i for i, s in enumerate(cell.symbols) if s in ("P", "Ge")]
    for i in oxygen:
        assert 1.5 < atoms.get_distances(i, formers, mic=True).min() < 1.85
    moved = np.array([s != "O" for s in cell.symbols])
    places = {tuple(np.round(p, 9)) for p in base.positions_A}
    assert all(tuple(np.round(p, 9)) in places for p in cell.positions_A[moved])


def test_an_anion_between_many_neighbours_stays():
    """Fault: a halide on an octahedral site pushed towards one of six equal neighbours."""
    grid = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
    symbols = ["La" if p.sum() % 2 == 0 else "N" for p in grid]
    cell = Structure(tuple(symbols), grid * 2.65, np.eye(3) * 5.3)
    with pytest.raises(InputError, match="to spare"):
        doped(cell, parse_doping("Cl:Br:1"))
    assert np.array_equal(
        np.sort(doped(cell, parse_doping("La:Y:1")).positions_A, axis=0), np.sort(grid * 2.65, axis=0)
    )


@pytest.mark.parametrize("text", ["S:O", "S:O:0", "s:O:1", "S:S:1", "S:O:one", ""])
def test_unreadable_doping_is_one_sentence(text):
    """Fault: a traceback, or a silent nothing, for a mistyped doping."""
    with pytest.raises(InputError, match="old:new:count"):
        parse_doping(text)
