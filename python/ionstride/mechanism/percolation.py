"""Whether the network of jumps leads through the crystal, and along which cell vectors."""

import numpy as np

from ..errors import InputError
from ..records import IntArray
from .records import Jumps, Percolation


def percolation(jumps: Jumps, *, least: int = 1) -> Percolation:
    """Return along which cell vectors paths of jumps lead from a site to its own periodic image.

    Sites are joined by jumps in either direction, each with its lattice translation (union-find with translations);
    a jump that closes a circle whose translations do not add up to zero leads through the crystal.  A channel along a
    diagonal counts for each vector it advances along; `dimension` tells one channel from a network.

    Parameters
    ----------
    jumps : as from `find_jumps`.
    least : a connection counts if it was used this often, both directions together.

    Raises
    ------
    InputError
        If `least` is below one.
    """
    if least < 1:
        raise InputError(f"least = {least}, wanted 1 or more jumps")
    parent = list(range(jumps.n_sites))
    offset = np.zeros((jumps.n_sites, 3), dtype=np.int64)  # of a site's cell from that of its parent
    cycles: set[tuple[int, ...]] = set()
    for start, end, *translation in _connections(jumps, least):
        root_a, from_a = _root(parent, offset, start)
        root_b, from_b = _root(parent, offset, end)
        closing = from_a + np.array(translation) - from_b
        if root_a != root_b:
            parent[root_b] = root_a
            offset[root_b] = closing
        elif closing.any():
            sign = 1 if tuple(closing) > tuple(-closing) else -1
            cycles.add(tuple(int(sign * c) for c in closing))
    vectors = np.array(sorted(cycles), dtype=np.int64).reshape(-1, 3)
    roots = [_root(parent, offset, site)[0] for site in range(jumps.n_sites)]
    a, b, c = (bool((vectors[:, k] != 0).any()) for k in range(3))
    return Percolation(
        along=(a, b, c),
        dimension=int(np.linalg.matrix_rank(vectors)) if len(vectors) else 0,
        translations=vectors,
        largest_part=float(np.bincount(roots).max() / jumps.n_sites),
    )


def _connections(jumps: Jumps, least: int) -> IntArray:
    """Return the distinct connections, (E, 5): site, site, translation; both directions are one."""
    turn = (jumps.from_site > jumps.to_site)[:, None]
    sites = np.stack([jumps.from_site, jumps.to_site], axis=1)
    rows = np.concatenate([np.where(turn, sites[:, ::-1], sites), np.where(turn, -jumps.image, jumps.image)], axis=1)
    loop = jumps.from_site == jumps.to_site
    for k in (4, 3, 2):  # of a jump to the same site of another cell, the translation's first sign is positive
        before = (rows[:, 2:k] == 0).all(axis=1)
        rows[loop & before & (rows[:, k] < 0), 2:] *= -1
    distinct, count = np.unique(rows, axis=0, return_counts=True)
    return np.asarray(distinct[count >= least], dtype=np.int64)


def _root(parent: list[int], offset: IntArray, site: int) -> tuple[int, IntArray]:
    """Return the root of a site and the site's offset from it; the chain is shortened on the way."""
    chain = []
    at = site
    while parent[at] != at:
        chain.append(at)
        at = parent[at]
    total = np.zeros(3, dtype=np.int64)
    for member in reversed(chain):
        total = total + offset[member]
        parent[member], offset[member] = at, total
    return at, total
