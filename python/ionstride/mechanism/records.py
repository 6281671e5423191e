"""What the mechanism's functions return: frozen, arrays read-only, units in the field names."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..checks import Array, as_array
from ..records import IntArray, Structure
from ..results import Estimate


def _hold(record: Any, dtype: Any = np.float64, **shapes: tuple[int | None, ...]) -> None:
    """Check the named arrays of a record and make them read-only."""
    for name, shape in shapes.items():
        object.__setattr__(record, name, as_array(name, getattr(record, name), shape, dtype))


@dataclass(frozen=True)
class PairDistribution:
    """Radial distribution function of one pair of elements.

    Attributes
    ----------
    centre, other : element names: `other` around `centre`.
    r_A : (B) middles of the shells.
    g : (B) density of `other` at r over its mean density.
    upper_A : (B) outer radii of the shells.
    coordination : (B) running coordination number: atoms of `other` nearer than `upper_A`.
    first_peak_A, first_minimum_A : None where g has no clear first shell.
    coordination_number : atoms of the first shell, 95 % interval from blocks of frames; None without a first shell.
    n_frames : frames that were used.
    """

    centre: str
    other: str
    r_A: Array
    g: Array
    upper_A: Array
    coordination: Array
    first_peak_A: float | None
    first_minimum_A: float | None
    coordination_number: Estimate | None
    n_frames: int

    def __post_init__(self) -> None:
        n = len(self.r_A)
        _hold(self, r_A=(n,), g=(n,), upper_A=(n,), coordination=(n,))


@dataclass(frozen=True)
class IonDensity:
    """Mean number density of the mobile ions on a grid over the mean cell.

    Attributes
    ----------
    mobile : element of the mobile ion.
    density_A3 : (nx, ny, nz) ions/Å³; point (i, j, k) is at the fractions (i/nx, j/ny, k/nz).
    cell_A : (3, 3) mean cell, rows.
    n_ions : integral of the density.
    n_frames : frames behind it.
    atoms : mean positions of the framework, of the ions where there is no framework.
    smoothing_A : standard deviation of the Gaussian that the density was smoothed with; 0 for none.
    """

    mobile: str
    density_A3: Array
    cell_A: Array
    n_ions: int
    n_frames: int
    atoms: Structure
    smoothing_A: float = 0.0

    def __post_init__(self) -> None:
        _hold(self, density_A3=(None, None, None), cell_A=(3, 3))

    @property
    def volume_A3(self) -> float:
        """Volume of the mean cell."""
        return abs(float(np.linalg.det(self.cell_A)))


@dataclass(frozen=True)
class Sites:
    """Sites of the mobile ions in the mean cell.

    Attributes
    ----------
    mobile : element of the mobile ion.
    fractional : (S, 3) in [0, 1).
    cell_A : (3, 3) rows.
    core_A : (S) radius of each site's core; an ion arrives at a site when it enters the core.
    source : 'density' or 'structure'.
    """

    mobile: str
    fractional: Array
    cell_A: Array
    core_A: Array
    source: Literal["density", "structure"]

    def __post_init__(self) -> None:
        n = len(self.fractional)
        _hold(self, fractional=(n, 3), cell_A=(3, 3), core_A=(n,))

    def __len__(self) -> int:
        return len(self.fractional)

    @property
    def positions_A(self) -> Array:
        """(S, 3) Cartesian positions."""
        return self.fractional @ self.cell_A


@dataclass(frozen=True)
class SiteHistory:
    """Which site each ion belongs to in each frame.

    Attributes
    ----------
    sites : the sites.
    time_ps : (T).
    site : (n, T) number of the site whose core the ion visited last; −1 before its first visit.
    image : (n, T, 3) lattice translation of that site along the unwrapped path.
    in_core : (n, T) whether the ion is inside the core now.
    """

    sites: Sites
    time_ps: Array
    site: npt.NDArray[np.int32]
    image: npt.NDArray[np.int32]
    in_core: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        n, frames = self.site.shape
        _hold(self, time_ps=(frames,))
        _hold(self, np.int32, site=(n, frames), image=(n, frames, 3))
        _hold(self, np.bool_, in_core=(n, frames))

    @property
    def occupancy(self) -> Array:
        """(S) mean number of ions that belong to each site."""
        count = np.bincount(self.site[self.site >= 0], minlength=len(self.sites))
        return np.asarray(count / len(self.time_ps), dtype=np.float64)


@dataclass(frozen=True)
class Jumps:
    """Jumps between sites, by ion and then by time.

    Attributes
    ----------
    ion, from_site, to_site : (J) numbers.
    left, arrived : (J) last frame inside the old core, first frame inside the new one.
    time_ps : (J) time of arrival.
    image : (J, 3) lattice translation between the two sites.
    vector_A : (J, 3) from site to site.
    back : (J) whether the jump returns to where the same ion's last jump began.
    n_ions : number of ions, of those that never jump too.
    observed_ps : time for which ions belonged to a site, summed over ions.
    n_sites : number of sites.
    """

    ion: IntArray
    from_site: IntArray
    to_site: IntArray
    left: IntArray
    arrived: IntArray
    time_ps: Array
    image: IntArray
    vector_A: Array
    back: npt.NDArray[np.bool_]
    n_ions: int
    observed_ps: float
    n_sites: int

    def __post_init__(self) -> None:
        n = len(self.ion)
        _hold(self, np.int64, ion=(n,), from_site=(n,), to_site=(n,), left=(n,), arrived=(n,), image=(n, 3))
        _hold(self, time_ps=(n,), vector_A=(n, 3))
        _hold(self, np.bool_, back=(n,))

    def __len__(self) -> int:
        return len(self.ion)

    @property
    def length_A(self) -> Array:
        """(J) distances between the sites."""
        return np.asarray(np.linalg.norm(self.vector_A, axis=1), dtype=np.float64)


@dataclass(frozen=True)
class JumpStatistics:
    """Rates and correlations of jumps.

    Attributes
    ----------
    n_jumps : number of jumps.
    rate_per_ps : jumps of one ion in 1 ps.
    residence_ps : mean time between the jumps of one ion; its `high` is infinite without a jump.
    back_fraction : part of the jumps, of those with a next one of the same ion, that the next one undoes; None without.
    D_uncorrelated_cm2_s : Σ a²/(6 t) per ion: what D would be if successive jumps did not know of each other.
    dispersion : variance over mean of the ions' numbers of jumps, 1 at least; it widens the Poisson intervals.
    length_edges_A, length_count : histogram of jump lengths, (B + 1) and (B).
    """

    n_jumps: int
    rate_per_ps: Estimate
    residence_ps: Estimate
    back_fraction: Estimate | None
    D_uncorrelated_cm2_s: Estimate
    dispersion: float
    length_edges_A: Array
    length_count: IntArray


@dataclass(frozen=True)
class Percolation:
    """Along which cell vectors the network of jumps leads through the crystal.

    Attributes
    ----------
    along : for a, b and c: whether a path of jumps returns to its site translated along that vector.
    dimension : 0 to 3, rank of all such translations.
    translations : (K, 3) whole cell vectors that closed paths are translated by.
    largest_part : part of all sites that hang together in the largest cluster.
    """

    along: tuple[bool, bool, bool]
    dimension: int
    translations: IntArray
    largest_part: float


@dataclass(frozen=True)
class VanHove:
    """Van Hove function at several lags.

    Attributes
    ----------
    kind : 'self': 4πr²G_s(r, t) in 1/Å, whose integral is 1; 'distinct': G_d(r, t)/ρ, which is 1 far away.
    lag_ps : (M).
    r_A : (B) middles of the shells, all of one width.
    value : (M, B).
    gaussian : (M, B) of 'self': a Gaussian of the same mean squared displacement; None of 'distinct'.
    beyond : (M) of 'self': part of the displacements beyond the last shell.
    """

    kind: Literal["self", "distinct"]
    lag_ps: Array
    r_A: Array
    value: Array
    gaussian: Array | None = None
    beyond: Array | None = None

    def __post_init__(self) -> None:
        m, b = len(self.lag_ps), len(self.r_A)
        _hold(self, lag_ps=(m,), r_A=(b,), value=(m, b))


@dataclass(frozen=True)
class Scattering:
    """Incoherent intermediate scattering function.

    Attributes
    ----------
    lag_ps : (M).
    q_per_A : (Q) wave numbers.
    value : (Q, M) F_s(q, t), 1 at t = 0.
    """

    lag_ps: Array
    q_per_A: Array
    value: Array


@dataclass(frozen=True)
class VelocityCorrelation:
    """Velocity autocorrelation.

    Attributes
    ----------
    lag_ps : (M), from 0.
    value_A2_ps2 : (M) mean of v(0)·v(t) over ions and origins.
    source : 'velocities' or 'differences' of positions.
    """

    lag_ps: Array
    value_A2_ps2: Array
    source: Literal["velocities", "differences"]


@dataclass(frozen=True)
class VibrationalSpectrum:
    """Spectrum of the velocities: the vibrational density of states of the ions.

    Attributes
    ----------
    frequency_THz : (F), from 0.
    density_per_THz : (F), integral 1.
    ion_mean_THz : (n) mean frequency of each ion's spectrum.
    ion_power : (n) each ion's part in the spectrum.
    source : 'velocities' or 'differences' of positions.
    """

    frequency_THz: Array
    density_per_THz: Array
    ion_mean_THz: Array
    ion_power: Array
    source: Literal["velocities", "differences"]
