"""Cells to label first: the crystal, rattled and strained."""

import numpy as np

from ..errors import InputError
from ..geometry import shortest_distances
from ..records import Structure

NEAREST = 0.6
"""No two atoms come nearer than this part of the shortest distance in the structure."""

TRIES = 200


def rattled_cells(structure: Structure, n: int, rattle_A: float, strain: float, seed: int) -> list[Structure]:
    """Return copies of a structure with random displacements and symmetric strain.

    Copy i has Gaussian displacements of standard deviation from ``rattle_A / 4`` (the first) to ``rattle_A`` (the last)
    and a symmetric strain tensor whose components are uniform in ±`strain`.

    Parameters
    ----------
    structure : the crystal.
    n : number of copies.
    rattle_A : largest standard deviation of a displacement, along each axis.
    strain : largest component of the strain.
    seed : of the random numbers; copy i depends on the seed and i alone.

    Raises
    ------
    InputError
        If `n`, `rattle_A` or `strain` is out of range, or atoms keep coming too close.
    """
    if seed < 0:
        raise InputError(f"seed {seed}, wanted zero or more")
    if n < 0 or not 0.0 <= rattle_A < 10.0 or not 0.0 <= strain < 0.3:
        raise InputError(
            f"n = {n}, rattle = {rattle_A} Å, strain = {strain}: wanted none negative, the rattle below 10 Å and the "
            "strain below 0.3"
        )
    least = NEAREST * min(shortest_distances(structure.symbols, structure.positions_A, structure.cell_A).values())
    return [
        _rattled(structure, rattle_A * (0.25 + 0.75 * (i / (n - 1) if n > 1 else 1.0)), strain, least, seed, i)
        for i in range(n)
    ]


def _rattled(  # noqa: PLR0917
    structure: Structure, amplitude_A: float, strain: float, least_A: float, seed: int, copy: int
) -> Structure:
    random = np.random.default_rng([seed, copy])
    for _ in range(TRIES):
        upper = np.triu(random.uniform(-strain, strain, (3, 3)))
        stretch = np.eye(3) + upper + np.triu(upper, 1).T
        cell = structure.cell_A @ stretch
        positions = structure.positions_A @ stretch + random.normal(0.0, amplitude_A, structure.positions_A.shape)
        if min(shortest_distances(structure.symbols, positions, cell).values()) >= least_A:
            return Structure(structure.symbols, positions, cell)
    raise InputError(
        f"a rattle of {amplitude_A:.2f} Å brings atoms nearer than {least_A:.2f} Å in {TRIES} draws out of {TRIES}; "
        "lower reference.rattle_A"
    )
