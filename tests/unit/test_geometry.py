"""Distances and coordination against ASE's neighbour list."""

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import find_mic
from ase.neighborlist import neighbor_list

from ionstride.errors import InputError
from ionstride.geometry import (
    cell_heights,
    coordination,
    intact,
    intact_frames,
    minimum_image,
    shortest_distances,
)
from ionstride.records import Polyhedron


def random_crystals():
    random = np.random.default_rng(4)
    while True:
        cell = random.normal(size=(3, 3)) * 2 + np.diag(random.uniform(1.5, 6, 3))
        if np.linalg.det(cell) > 0 and cell_heights(cell).min() > 1.7:
            n = int(random.integers(1, 7))
            symbols = [str(s) for s in random.choice(["Li", "P", "S"], n)]
            yield symbols, random.uniform(-1, 2, (n, 3)) @ cell, cell


def crystals(n):
    source = random_crystals()
    return [next(source) for _ in range(n)]


@pytest.mark.parametrize("crystal", crystals(25))
def test_small_skewed_cells_agree_with_ase(crystal):
    """Prevents nearest-image counting in cells where an atom neighbours several images."""
    symbols, positions, cell = crystal
    names = np.array(symbols)
    i, j, d = neighbor_list("ijd", Atoms(symbols, positions=positions, cell=cell, pbc=True), 13.0)
    for cutoff in (1.5, 3.0, 6.0):
        for centre, ligand in (("Li", "S"), ("P", "S"), ("S", "S")):
            near = (d < cutoff) & (names[j] == ligand)
            want = [(near & (i == x)).sum() for x in np.flatnonzero(names == centre)]
            assert coordination(symbols, positions, cell, centre, ligand, cutoff).tolist() == want
    for (a, b), found in shortest_distances(symbols, positions, cell).items():
        want = d[(names[i] == a) & (names[j] == b)].min(initial=np.inf)
        assert found == pytest.approx(want, abs=1e-9)


def test_minimum_image_of_skewed_cell():
    """Prevents rounding fractions from passing for the nearest image in a skewed cell."""
    cell = np.array([[5.0, 0, 0], [4.5, 5, 0], [-4.0, 3.0, 6]])
    vectors = np.random.default_rng(1).normal(size=(50, 3)) * 15
    lengths = np.linalg.norm(minimum_image(vectors, cell), axis=1)
    assert np.allclose(lengths, find_mic(vectors, cell)[1])


def test_intact_sees_one_lost_ligand_in_one_frame():
    """Prevents a broken polyhedron from passing because the others are whole."""
    cell = np.diag([10.0, 10, 10])
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.18
    one = np.concatenate([[[0.0, 0, 0], [5.0, 5, 5]], corners, corners + 5])
    symbols = ["P", "P"] + ["S"] * 8
    kinds = [Polyhedron("P", "S", 4, 2.9)]
    frames = np.repeat(one[None], 3, axis=0)
    frames[1, 2] *= 2.0
    assert intact_frames(kinds, symbols, frames, cell)[:, 0].tolist() == [True, False, True]
    assert intact(kinds, symbols, frames[1], cell) == [False]
    assert coordination(symbols, frames, cell, "P", "S", 2.9).tolist() == [[4, 4], [3, 4], [4, 4]]
    varying = np.repeat(cell[None], 3, axis=0)
    assert intact_frames(kinds, symbols, frames, varying)[:, 0].tolist() == [True, False, True]


def test_a_stretched_bond_is_not_a_broken_one():
    """Prevents a vibration beyond the cut-off from counting as a reaction, and a reaction from passing for one."""
    cell = np.diag([10.0, 10, 10])
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.18
    symbols, kinds = ["P"] + ["S"] * 4, [Polyhedron("P", "S", 4, 2.9)]
    frames = np.repeat(np.concatenate([[[0.0, 0, 0]], corners])[None], 60, axis=0)
    frames[10:13, 1] *= 1.5  # 0.3 ps
    frames[40:, 2] *= 1.5  # for good
    alone = intact_frames(kinds, symbols, frames, cell)[:, 0]
    assert np.flatnonzero(~alone).tolist() == [10, 11, 12, *range(40, 60)]
    assert np.flatnonzero(~intact_frames(kinds, symbols, frames, cell, 0.1)[:, 0]).tolist() == list(range(40, 60))
    # Frames too far apart to tell are looked at one by one.
    assert (intact_frames(kinds, symbols, frames, cell, 2.0)[:, 0] == alone).all()


def test_bad_shapes_are_named():
    """Prevents silent broadcasting of wrong shapes."""
    with pytest.raises(InputError, match="positions_A"):
        shortest_distances(["Li"], np.zeros(3), np.eye(3))
    with pytest.raises(InputError, match="symbols names 2 atoms"):
        shortest_distances(["Li", "Li"], np.zeros((1, 3)), np.eye(3))
    with pytest.raises(InputError, match="no volume"):
        shortest_distances(["Li"], np.zeros((1, 3)), np.zeros((3, 3)))
