"""Charge-neutral doping: atoms of a cell replaced or taken out, at random places of their element."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .checks import Array
from .errors import InputError
from .geometry import image_shifts
from .records import Structure

# The oxidation states met in solid electrolytes; sulfides, oxides, halides, phosphates and their cations.
CHARGE_E = dict(
    H=1, Li=1, Na=1, K=1, Rb=1, Cs=1, Ag=1, Cu=1, Be=2, Mg=2, Ca=2, Sr=2, Ba=2, Zn=2, Cd=2, B=3, Al=3, Ga=3, In=3, Sc=3,
    Y=3, La=3, Si=4, Ge=4, Sn=4, Ti=4, Zr=4, Hf=4, P=5, As=5, Sb=5, Nb=5, Ta=5, V=5, W=6, Mo=6, N=-3, O=-2, S=-2, Se=-2,
    Te=-2, F=-1, Cl=-1, Br=-1, I=-1,
)  # fmt: skip


REACH_A = 4.0
BOND = 1.3
FORMER_E = 3
"""Cations of at least this charge form the network: P, Si, Ge, Al, Zr, …"""
ONE_NEIGHBOUR = 1.2
"""The second network former farther than this times the first: the anion hangs on one bond."""


@dataclass(frozen=True)
class Substitution:
    """`count` atoms of `old` become `new`; an empty `new` takes them out."""

    old: str
    new: str
    count: int


def parse_doping(text: str) -> tuple[Substitution, ...]:
    """Read a doping written as ``old:new:count``, several by commas, such as ``S:O:1`` or ``S:Cl:1,Li::1``.

    Raises
    ------
    InputError
        If the text is not of that form.
    """
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([A-Z][a-z]?):([A-Z][a-z]?)?:(\d+)\s*", part)
        if match is None or int(match[3]) < 1 or match[1] == match[2]:
            raise InputError(
                f"doping '{text}' is not of the form old:new:count, such as S:O:1 (one O for one S) or S:Cl:1,Li::1 "
                "(one Cl for one S, and one Li taken out)"
            )
        found.append(Substitution(match[1], match[2] or "", int(match[3])))
    return tuple(found)


def doped(structure: Structure, substitutions: Sequence[Substitution], seed: int = 1) -> Structure:
    r"""Return a cell with atoms replaced or taken out, its charge unchanged.

    .. math:: \sum_k n_k (q_k^{new} - q_k^{old}) = 0

    An anion bound to one network former, such as O in place of the S of a PS4, is put at the bond length that goes with
    its covalent radius: at the old one it would fall towards its neighbour with an electronvolt or more.

    Parameters
    ----------
    structure : the cell; make it large enough for the fraction wanted.
    substitutions : what becomes what, and how often.
    seed : of the places.

    Returns
    -------
    Atoms grouped by element in the order of first appearance.

    Raises
    ------
    InputError
        If the charges do not add up, or there are fewer atoms of an element than asked for.
    """
    if seed < 0:
        raise InputError(f"seed {seed}, wanted zero or more")
    change = 0
    for one in substitutions:
        for symbol in (one.old, one.new):
            if symbol and symbol not in CHARGE_E:
                raise InputError(
                    f"doping with {symbol}: its oxidation state is not known here, so its charge cannot be checked"
                )
        change += one.count * ((CHARGE_E[one.new] if one.new else 0) - CHARGE_E[one.old])
    if change:
        asked = ",".join(f"{s.old}:{s.new}:{s.count}" for s in substitutions)
        raise InputError(
            f"doping '{asked}' changes the charge of the cell by {change:+d} e, wanted 0; make up for it with another "
            "ion put in or taken out"
        )
    random = np.random.default_rng(seed)
    symbols = list(structure.symbols)
    positions = np.array(structure.positions_A)
    free = np.ones(len(symbols), dtype=np.bool_)
    keep = np.ones(len(symbols), dtype=np.bool_)
    for one in substitutions:
        places = np.flatnonzero((np.asarray(structure.symbols) == one.old) & free)
        if len(places) < one.count:
            raise InputError(
                f"doping {one.old}:{one.new}:{one.count}, but the cell has {len(places)} {one.old} to spare"
            )
        for place in random.choice(places, one.count, replace=False):
            free[place] = False
            if one.new:
                symbols[place] = one.new
                positions[place] = _at_bond_length(structure, int(place), one.new)
            else:
                keep[place] = False
    names = np.asarray(symbols)
    order = [i for element in dict.fromkeys(symbols) for i in np.flatnonzero((names == element) & keep)]
    return Structure(tuple(symbols[i] for i in order), positions[order], structure.cell_A)


def _at_bond_length(structure: Structure, place: int, new: str) -> Array:
    """Return where an atom of element `new` goes: along the bond to the one nearest neighbour, if there is one."""
    from ase.data import atomic_numbers, covalent_radii

    here = structure.positions_A[place]
    old = structure.symbols[place]
    formers = [i for i, symbol in enumerate(structure.symbols) if CHARGE_E.get(symbol, 0) >= FORMER_E]
    if CHARGE_E[old] > 0 or CHARGE_E[new] > 0 or not formers:
        return np.array(here)
    moves = image_shifts(structure.cell_A, REACH_A) @ structure.cell_A
    steps = (structure.positions_A[formers] - here) @ np.linalg.inv(structure.cell_A)
    vectors = (((steps - np.rint(steps)) @ structure.cell_A)[:, None] + moves).reshape(-1, 3)
    distances = np.append(np.linalg.norm(vectors, axis=1), np.inf)
    first, second = np.argsort(distances)[:2]
    radius = {symbol: float(covalent_radii[atomic_numbers[symbol]]) for symbol in (old, new)}
    other = float(covalent_radii[atomic_numbers[structure.symbols[formers[first // len(moves)]]]])
    bound = distances[first] < BOND * (radius[old] + other)
    if not bound or distances[second] < ONE_NEIGHBOUR * distances[first]:
        return np.array(here)
    moved: Array = here + vectors[first] * (1.0 - (radius[new] + other) / (radius[old] + other))
    return moved
