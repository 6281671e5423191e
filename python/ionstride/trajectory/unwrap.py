"""Schemes of unwrapping at constant pressure, and how to go from one to another.

With s the unwrapped fractional coordinates (s = whole numbers of crossed cells + the wrapped ones) and h(t) the cell:

* minimum-image: r = s ⟨h⟩.  Does not see the breathing of the box; the default for solids.
* lattice view: r = s h(t), what LAMMPS writes as xu.  Ions far from the origin breathe with the box.
* toroidal-view-preserving (TOR): the sum of minimum-image steps of the wrapped Cartesian positions, each in the cell of
  its later frame.  Right for the diffusion coefficient of a liquid; in a solid, each crossing of a boundary leaves the
  change of the box behind, so that atoms that vibrate across one diffuse.

TOR: von Bülow, Bullerjahn, Hummer 2020, doi 10.1063/5.0008316.  All three compared: Bullerjahn, von Bülow, Heidari,
Hénin, Hummer 2023, doi 10.1021/acs.jctc.3c00308.
"""

from dataclasses import replace

import numpy as np

from ..checks import Array, check_choice
from ..errors import InputError, PhysicsError
from ..records import Trajectory

SCHEMES = ("minimum-image", "tor", "lattice")


def constant_cell(cell_A: Array) -> bool:
    """Tell whether a cell (T, 3, 3) stays the same, to 1e-9 of its size."""
    return bool(np.abs(cell_A - cell_A[0]).max() <= 1e-9 * np.abs(cell_A[0]).max())


def in_scheme(fractional: Array, cell_A: Array, scheme: str) -> tuple[Array, str]:
    """Return positions (T, N, 3) in Å from unwrapped fractional coordinates, and the scheme in words.

    Parameters
    ----------
    fractional : (T, N, 3) unwrapped.
    cell_A : (T, 3, 3).
    scheme : 'minimum-image', 'tor' or 'lattice'.

    Raises
    ------
    PhysicsError
        If an atom moves by half a cell vector or more between two frames, where 'tor' has no answer.
    """
    check_choice("unwrap", scheme, SCHEMES)
    if scheme == "minimum-image":
        return fractional @ cell_A.mean(axis=0), "minimum-image steps in fractional coordinates x mean cell"
    if scheme == "lattice":
        return fractional @ cell_A, "lattice view: unwrapped fractional coordinates x current cell"
    largest = float(np.abs(np.diff(fractional, axis=0)).max())
    if largest >= 0.5:
        raise PhysicsError(
            f"between two frames an atom moves by {largest:.2f} of a cell vector, where minimum-image steps (TOR) have "
            "no answer; record frames more often"
        )
    wrapped = (fractional - np.floor(fractional)) @ cell_A
    steps = np.diff(wrapped, axis=0)
    steps -= np.rint(steps @ np.linalg.inv(cell_A[1:])) @ cell_A[1:]
    return (
        np.cumsum(np.concatenate([wrapped[:1], steps]), axis=0),
        "toroidal-view-preserving: sum of minimum-image steps in the current cell",
    )


def rewrap(trajectory: Trajectory, scheme: str) -> Trajectory:
    """Return the same run unwrapped by another scheme, without reading it again.

    In a constant cell the schemes agree, and the trajectory is returned as it is.  TOR sums over the frames of the
    trajectory, so with a stride it is TOR of the strided run.

    Parameters
    ----------
    trajectory : one read with unwrap 'auto' or 'minimum-image'.
    scheme : 'minimum-image', 'tor' or 'lattice'.

    Raises
    ------
    InputError
        If the trajectory was read in another way.
    PhysicsError
        If steps are too coarse for 'tor'.
    """
    check_choice("unwrap", scheme, SCHEMES)
    if trajectory.cell_A.ndim == 2:
        return trajectory
    reference = trajectory.source.get("reference_cell_A")
    if reference is None:
        raise InputError(
            f"this trajectory ({trajectory.source.get('unwrap', 'of unknown unwrapping')}) cannot be unwrapped anew; "
            "read it with --unwrap auto or minimum-image"
        )
    fractional = trajectory.positions_A @ np.linalg.inv(np.asarray(reference, dtype=np.float64))
    positions_A, words = in_scheme(fractional, trajectory.cell_A, scheme)
    source = {name: value for name, value in trajectory.source.items() if name != "reference_cell_A"}
    if scheme == "minimum-image":
        source["reference_cell_A"] = trajectory.mean_cell_A.tolist()
    return replace(trajectory, positions_A=positions_A, source={**source, "unwrap": words})
