"""Number density of the mobile ions on a grid over the mean cell."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..errors import InputError
from ..records import Structure, Trajectory
from .frames import fractional_path, mean_positions, mobile_path
from .records import IonDensity

_MOST_POINTS = 100_000_000
_CHUNK = 2_000_000


def ion_density(trajectory: Trajectory, mobile: str, *, spacing_A: float = 0.3, smoothing_A: float = 0.0) -> IonDensity:
    r"""Return the mean number density of the mobile ions, framework drift removed, wrapped into the mean cell.

    .. math:: ρ(x) = \frac{1}{T V_x} \sum_{t,i} [\,r_i(t) \in V_x\,], \qquad \int ρ\,dV = N

    Parameters
    ----------
    trajectory : the run; frames count alike.
    mobile : element of the mobile ion.
    spacing_A : distance of grid points along the cell vectors, about.
    smoothing_A : standard deviation of a Gaussian the density is smoothed with; 0 for none.

    Raises
    ------
    InputError
        If the mobile element is absent, or the spacing is not above zero or too fine for the memory.
    PhysicsError
        If the cell's vectors are unknown.
    """
    cell = trajectory.mean_cell_A
    shape = grid_shape(cell, spacing_A)
    path = mobile_path(trajectory, mobile)
    frames, ions, _ = path.shape
    count = np.zeros(int(np.prod(shape)), dtype=np.int64)
    step = max(1, _CHUNK // ions)
    for start in range(0, frames, step):
        # A voxel is centred on its grid point, where programs that read the grid put its value.
        voxel = np.rint(path[start : start + step] * shape).astype(np.int64) % shape
        flat = np.ravel_multi_index((voxel[..., 0], voxel[..., 1], voxel[..., 2]), shape)
        count += np.bincount(flat.ravel(), minlength=len(count))
    voxel_A3 = abs(float(np.linalg.det(cell))) / len(count)
    density = (count / (frames * voxel_A3)).reshape(shape)
    result = IonDensity(mobile, density, cell, ions, frames, _atoms(trajectory, mobile, path))
    return smooth_density(result, smoothing_A) if smoothing_A > 0.0 else result


def grid_shape(cell_A: Array, spacing_A: float) -> tuple[int, int, int]:
    """Return the number of grid points along each cell vector.

    Raises
    ------
    InputError
        If the spacing is not above zero or leads to more than a hundred million points.
    """
    if not spacing_A > 0.0:
        raise InputError(f"spacing_A = {spacing_A:g}, wanted a distance above zero")
    points = np.maximum(1, np.rint(np.linalg.norm(cell_A, axis=1) / spacing_A))
    if points.prod() > _MOST_POINTS:
        raise InputError(
            f"spacing_A = {spacing_A:g} makes a grid of {points.prod():.3g} points; take a coarser one (0.2 to 0.5 Å)"
        )
    x, y, z = (int(n) for n in points)
    return x, y, z


def _atoms(trajectory: Trajectory, mobile: str, path: Array) -> Structure:
    """Return the mean framework, or the mean ions where there is no framework."""
    cell = trajectory.mean_cell_A
    symbols = np.array(trajectory.symbols)
    framework = symbols != mobile
    if not framework.any():
        return Structure((mobile,) * path.shape[1], mean_positions(path, cell), cell)
    still = fractional_path(trajectory, framework, framework)
    return Structure(tuple(str(s) for s in symbols[framework]), mean_positions(still, cell), cell)


def smooth_density(density: IonDensity, smoothing_A: float) -> IonDensity:
    r"""Return the density convolved with an isotropic, periodic Gaussian; the integral stays.

    .. math:: ρ'(G) = ρ(G)\,e^{-σ^2 |G|^2 / 2}

    Parameters
    ----------
    density : as from `ion_density`.
    smoothing_A : standard deviation σ.

    Raises
    ------
    InputError
        If the standard deviation is not above zero.
    """
    if not smoothing_A > 0.0:
        raise InputError(f"smoothing_A = {smoothing_A:g}, wanted a distance above zero")
    shape = density.density_A3.shape
    fx, fy = (np.fft.fftfreq(n, 1.0 / n) for n in shape[:2])
    fz = np.fft.rfftfreq(shape[2], 1.0 / shape[2])
    waves = np.stack(np.meshgrid(fx, fy, fz, indexing="ij"), axis=-1) @ np.linalg.inv(density.cell_A).T
    damping = np.exp(-2.0 * np.pi**2 * smoothing_A**2 * (waves**2).sum(axis=-1))
    smooth = np.fft.irfftn(np.fft.rfftn(density.density_A3) * damping, shape, axes=(0, 1, 2))
    smooth = np.maximum(smooth, 0.0)  # a Gaussian narrower than the grid rings below zero
    smooth *= density.density_A3.sum() / smooth.sum()
    return IonDensity(
        mobile=density.mobile,
        density_A3=smooth,
        cell_A=density.cell_A,
        n_ions=density.n_ions,
        n_frames=density.n_frames,
        atoms=density.atoms,
        smoothing_A=float(np.hypot(density.smoothing_A, smoothing_A)),
    )


def density_views(density: IonDensity, *, part: float = 0.7, most_points: int = 4000) -> dict[str, Any]:
    """Return what a picture of the density needs, as plain lists: its projections and its densest points.

    Parameters
    ----------
    density : as from `ion_density`, smoothed or not.
    part : the points drawn are the densest ones that hold this part of the ions.
    most_points : points at most; beyond, the densest.

    Returns
    -------
    dict
        ``projection`` {a, b, c}: mean density (ions/Å³) along that vector, rows and columns along the two others in
        order; ``points_A`` and ``point_density_A3``; ``level_A3``, the lowest density among them; ``cell_A``,
        ``mobile`` and ``atoms`` {symbols, positions_A}.
    """
    flat = density.density_A3.ravel()
    order = np.argsort(flat)[::-1]
    held = np.cumsum(flat[order])
    count = min(int(np.searchsorted(held, part * held[-1])) + 1, most_points)
    chosen = order[:count]
    points = grid_fractions(density.density_A3.shape, chosen) @ density.cell_A
    return {
        "mobile": density.mobile,
        "cell_A": density.cell_A.tolist(),
        "projection": {name: density.density_A3.mean(axis=k).tolist() for k, name in enumerate("abc")},
        "points_A": points.tolist(),
        "point_density_A3": flat[chosen].tolist(),
        "level_A3": float(flat[chosen[-1]]),
        "atoms": {"symbols": list(density.atoms.symbols), "positions_A": density.atoms.positions_A.tolist()},
    }


def grid_fractions(shape: tuple[int, ...], flat: npt.NDArray[np.int64]) -> Array:
    """Return the fractional coordinates of grid points given by their flat numbers, (K, 3)."""
    at = np.stack(np.unravel_index(flat, shape), axis=-1)
    return np.asarray(at / np.array(shape), dtype=np.float64)
