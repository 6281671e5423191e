"""Sites of the mobile ions, found in their density or given by a structure."""

from typing import Any

import numpy as np

from ..checks import Array, check_mobile
from ..errors import InputError, PhysicsError
from ..records import IntArray, Structure
from .density import grid_fractions, smooth_density
from .pairs import with_images
from .records import IonDensity, Sites

CORE = 0.4  # of the distance to the nearest other site
LARGEST_CORE_A = 1.2


def sites_from_density(
    density: IonDensity,
    *,
    smoothing_A: float = 0.4,
    threshold: float = 0.05,
    merge_A: float = 1.0,
    saddle: float = 0.7,
    core: float = CORE,
) -> Sites:
    """Return the sites at the maxima of the density.

    From the highest maximum down, one is dropped if it lies within `merge_A` of a kept one, or if the density on the
    straight line to a kept one nearer than 3 Å nowhere falls below `saddle` × its own: then both are one site.

    Parameters
    ----------
    density : as from `ion_density`, not smoothed.
    smoothing_A : standard deviation of the Gaussian that is applied first; about the vibration's amplitude.
    threshold : a maximum below this part of the highest one is no site.
    merge_A : sites are no nearer than this.
    saddle : see above, between 0 and 1; lower merges more.
    core : radius of a core over the distance to the nearest other site, below 0.5; 1.2 Å at most.

    Raises
    ------
    InputError
        If a number is out of range.
    PhysicsError
        If the density has no maximum.
    """
    from scipy.ndimage import maximum_filter

    for name, value in (("threshold", threshold), ("saddle", saddle)):
        if not 0.0 <= value <= 1.0:
            raise InputError(f"{name} = {value:g}, wanted a number from 0 to 1")
    smooth = smooth_density(density, smoothing_A).density_A3 if smoothing_A > 0.0 else density.density_A3
    top = (maximum_filter(smooth, size=3, mode="wrap") == smooth) & (smooth >= threshold * smooth.max())
    flat = np.flatnonzero(top & (smooth > smooth.mean())).astype(np.int64)
    if len(flat) == 0:
        raise PhysicsError(f"the density of {density.mobile} has no maximum: no sites can be found in it")
    flat = flat[np.argsort(smooth.ravel()[flat], kind="stable")[::-1]]
    peaks = grid_fractions(smooth.shape, flat)
    kept = _merge(smooth, peaks, density.cell_A, merge_A=merge_A, saddle=saddle)
    fractional = _refine(smooth, flat[kept])
    return _make(density.mobile, fractional, density.cell_A, core, "density")


def sites_from_structure(structure: Structure, mobile: str, *, core: float = CORE) -> Sites:
    """Return the positions of the mobile element in a structure as sites.

    The structure must be the trajectory's cell, with its origin: the sites are not moved to fit.

    Parameters
    ----------
    structure : reference structure, all sites filled.
    mobile : element of the mobile ion.
    core : as of `sites_from_density`.

    Raises
    ------
    InputError
        If the mobile element is absent, or two of its atoms lie within 0.5 Å.
    """
    check_mobile(structure.symbols, mobile)
    positions = structure.positions_A[np.array(structure.symbols) == mobile]
    fractional = positions @ np.linalg.inv(structure.cell_A)
    sites = _make(mobile, fractional, structure.cell_A, core, "structure")
    nearest = float(sites.core_A.min()) / core
    if nearest < 0.5:
        raise InputError(
            f"two {mobile} of the structure are {nearest:.2f} Å apart; partly occupied positions of one site "
            "must be given once"
        )
    return sites


def nearest_other(fractional: Array, cell_A: Array) -> Array:
    """Return the distance of each site to the nearest other site or image, (S) in Å."""
    from scipy.spatial import cKDTree

    reach = float(np.linalg.norm(cell_A, axis=1).min())  # an own image is no further than this
    images, _, _ = with_images(fractional, cell_A, reach)
    distance = np.asarray(cKDTree(images).query(fractional @ cell_A, k=2)[0], dtype=np.float64)
    return distance[:, 1]


def _make(mobile: str, fractional: Array, cell_A: Array, core: float, source: str) -> Sites:
    if not 0.0 < core < 0.5:
        raise InputError(f"core = {core:g}, wanted a number above 0 and below 0.5: cores of two sites must not touch")
    inside = fractional - np.floor(fractional)
    inside[inside >= 1.0] = 0.0
    radius = np.minimum(core * nearest_other(inside, cell_A), LARGEST_CORE_A)
    return Sites(mobile, inside, cell_A, radius, "density" if source == "density" else "structure")


def _merge(grid: Array, peaks: Array, cell_A: Array, *, merge_A: float, saddle: float) -> list[int]:
    """Return the numbers of the peaks that are sites of their own; peaks come from the highest down."""
    from scipy.ndimage import map_coordinates
    from scipy.spatial import cKDTree

    reach = max(3.0, merge_A)
    images, index, shift = with_images(peaks, cell_A, reach)
    height = grid[tuple(np.rint(peaks * grid.shape).astype(np.int64).T)]
    near: Any = cKDTree(images).query_ball_point(peaks @ cell_A, reach)
    along = np.linspace(0.0, 1.0, 25)[:, None]
    kept: list[int] = []
    is_kept = np.zeros(len(peaks), dtype=np.bool_)
    for k, neighbours in enumerate(near):
        alone = True
        for g in neighbours:
            if not is_kept[index[g]]:
                continue
            distance = float(np.linalg.norm(images[g] - peaks[k] @ cell_A))
            line = peaks[k] + along * (peaks[index[g]] + shift[g] - peaks[k])
            values = map_coordinates(grid, (line * grid.shape).T, order=1, mode="grid-wrap")
            if distance < merge_A or values.min() > saddle * height[k]:
                alone = False
                break
        if alone:
            is_kept[k] = True
            kept.append(k)
    return kept


def _refine(grid: Array, flat: IntArray) -> Array:
    """Return the peaks' fractions, each moved to the top of a parabola along every axis."""
    shape = np.array(grid.shape)
    at = np.stack(np.unravel_index(flat, grid.shape), axis=-1)
    middle = grid.ravel()[flat]
    moved = at.astype(np.float64)
    for axis in range(3):
        step = np.zeros(3, dtype=np.int64)
        step[axis] = 1
        above = grid[tuple(((at + step) % shape).T)]
        below = grid[tuple(((at - step) % shape).T)]
        bend = 2.0 * middle - above - below
        shift = np.where(bend > 0.0, 0.5 * (above - below) / np.where(bend > 0.0, bend, 1.0), 0.0)
        moved[:, axis] += np.clip(shift, -0.5, 0.5)
    fractions: Array = moved / shape
    return fractions
