"""Which site an ion belongs to, its jumps, their rates and how they are correlated."""

import numpy as np

from ..checks import Array
from ..errors import InputError, PhysicsError
from ..records import Trajectory
from ..results import Estimate
from ..units import A2_PS_TO_CM2_S
from .frames import mobile_path
from .pairs import with_images
from .records import Jumps, JumpStatistics, SiteHistory, Sites

_SAME_CELL = 0.05
_CHUNK = 1_000_000


def assign_sites(trajectory: Trajectory, sites: Sites) -> SiteHistory:
    """Return the site that each ion belongs to in each frame: the one whose core it visited last.

    An ion changes its site only by entering the core of another one, so that vibration at a boundary, or a start that
    fails, is no jump (core sets, doi 10.3390/e16010258).  The lattice translation along the unwrapped path belongs to
    the state: a jump to the same site of the next cell is a jump.

    Parameters
    ----------
    trajectory : the run.
    sites : of the same cell.

    Raises
    ------
    InputError
        If the sites are of another cell.
    PhysicsError
        If the cell's vectors are unknown.
    """
    from scipy.spatial import cKDTree

    cell = trajectory.mean_cell_A
    largest = float(np.abs(cell).max())
    if np.abs(sites.cell_A - cell).max() > _SAME_CELL * largest:
        raise InputError(
            "the sites are of another cell than the trajectory "
            f"({_lengths(sites.cell_A)} and {_lengths(cell)} Å); give a structure of the trajectory's supercell"
        )
    path = mobile_path(trajectory, sites.mobile)
    frames, ions, _ = path.shape
    images, index, shift = with_images(np.array(sites.fractional), cell, float(sites.core_A.max()))
    tree = cKDTree(images)
    site = np.full((ions, frames), -1, dtype=np.int32)
    image = np.zeros((ions, frames, 3), dtype=np.int32)
    inside = np.zeros((ions, frames), dtype=np.bool_)
    step = max(1, _CHUNK // ions)
    for start in range(0, frames, step):
        part = path[start : start + step].transpose(1, 0, 2)
        home = np.floor(part)
        # Within its own core another site cannot be nearer: cores do not touch.
        distance, near = tree.query((part - home) @ cell, distance_upper_bound=float(sites.core_A.max()) + 1e-9)
        found = near < len(images)
        near = np.where(found, near, 0)
        core = found & (distance <= sites.core_A[index[near]])
        here = slice(start, start + step)
        inside[:, here] = core
        site[:, here] = np.where(core, index[near], -1)
        image[:, here] = home + shift[near]
    last = np.maximum.accumulate(np.where(inside, np.arange(frames), -1), axis=1)
    row = np.arange(ions)[:, None]
    site = np.where(last >= 0, site[row, np.maximum(last, 0)], -1)
    return SiteHistory(sites, trajectory.time_ps, site, image[row, np.maximum(last, 0)], inside)


def _lengths(cell_A: Array) -> str:
    return " x ".join(f"{length:.2f}" for length in np.linalg.norm(cell_A, axis=1))


def find_jumps(history: SiteHistory) -> Jumps:
    """Return all jumps: entries into the core of another site, or of the same site of another cell.

    Parameters
    ----------
    history : as from `assign_sites`.
    """
    site, image = history.site, history.image
    known = site[:, :-1] >= 0
    moved = known & ((site[:, 1:] != site[:, :-1]) | (image[:, 1:] != image[:, :-1]).any(axis=-1))
    ion, before = np.nonzero(moved)
    arrived = before + 1
    come_from, go_to = site[ion, before].astype(np.int64), site[ion, arrived].astype(np.int64)
    translation = (image[ion, arrived] - image[ion, before]).astype(np.int64)
    fractional = history.sites.fractional
    vector = (fractional[go_to] + translation - fractional[come_from]) @ history.sites.cell_A
    frames = np.arange(len(history.time_ps))
    last_inside = np.maximum.accumulate(np.where(history.in_core, frames, -1), axis=1)
    back = np.zeros(len(ion), dtype=np.bool_)
    back[1:] = (
        (ion[1:] == ion[:-1]) & (go_to[1:] == come_from[:-1]) & (translation[1:] == -translation[:-1]).all(axis=1)
    )
    visited = history.in_core.any(axis=1)
    entered = history.time_ps[np.argmax(history.in_core, axis=1)]
    return Jumps(
        ion=ion,
        from_site=come_from,
        to_site=go_to,
        left=last_inside[ion, before],
        arrived=arrived,
        time_ps=history.time_ps[arrived],
        image=translation,
        vector_A=vector,
        back=back,
        n_ions=len(site),
        observed_ps=float(np.sum((history.time_ps[-1] - entered)[visited])),
        n_sites=len(history.sites),
    )


def poisson_interval(count: float, exposure: float, dispersion: float = 1.0) -> Estimate:
    """Return a rate with its exact 95 % Poisson interval, widened for counts that scatter more than Poisson's.

    Parameters
    ----------
    count : events.
    exposure : what the rate is per.
    dispersion : variance over mean of such counts, 1 for independent events.
    """
    from scipy.stats import chi2

    events = count / dispersion
    low = float(chi2.ppf(0.025, 2.0 * events)) / 2.0 if events > 0.0 else 0.0
    high = float(chi2.ppf(0.975, 2.0 * events + 2.0)) / 2.0
    scale = dispersion / exposure
    return Estimate(count / exposure, low * scale, high * scale)


def jump_statistics(jumps: Jumps, *, bin_A: float = 0.1) -> JumpStatistics:
    r"""Return the rate of jumps, the mean residence time, the part of back-jumps and the lengths.

    .. math:: Γ = \frac{J}{\sum_i t_i}, \quad τ = 1/Γ, \quad D_u = \frac{1}{6} \frac{\sum_j a_j^2}{\sum_i t_i}

    Intervals are Poisson's, on counts divided by their dispersion among the ions where that is above one; that of the
    back-jumps is Wilson's.

    Parameters
    ----------
    jumps : as from `find_jumps`.
    bin_A : width of the bins of the histogram of lengths.

    Raises
    ------
    PhysicsError
        If no ion ever was at a site.
    """
    from scipy.stats import binomtest

    if not jumps.observed_ps > 0.0:
        raise PhysicsError("no ion ever entered the core of a site, so there are no jumps to count; give other sites")
    count = len(jumps)
    per_ion = np.bincount(jumps.ion, minlength=jumps.n_ions)
    dispersion = 1.0
    if jumps.n_ions >= 8 and count > 0:  # fewer ions say too little about their own scatter
        dispersion = max(1.0, float(per_ion.var(ddof=1) / per_ion.mean()))
    rate = poisson_interval(count, jumps.observed_ps, dispersion)
    residence = Estimate(
        1.0 / rate.value if rate.value > 0.0 else np.inf, 1.0 / rate.high, 1.0 / rate.low if rate.low > 0.0 else np.inf
    )
    followed = int(np.sum(jumps.ion[1:] == jumps.ion[:-1]))
    back = None
    if followed > 0:
        found = binomtest(int(jumps.back.sum()), followed)
        interval = found.proportion_ci(method="wilson")
        back = Estimate(float(found.statistic), float(interval.low), float(interval.high))
    square = jumps.length_A**2
    # Few long jumps count like few events: (Σa²)²/Σa⁴ of them.
    weight = float(np.sum(square**2) / np.sum(square)) if count else 9.0
    D = poisson_interval(float(np.sum(square)) / weight, jumps.observed_ps, dispersion)
    factor = weight / 6.0 * A2_PS_TO_CM2_S
    longest = float(jumps.length_A.max()) if count else 0.0
    edges = np.arange(int(longest / bin_A) + 2) * bin_A
    return JumpStatistics(
        n_jumps=count,
        rate_per_ps=rate,
        residence_ps=residence,
        back_fraction=back,
        D_uncorrelated_cm2_s=Estimate(D.value * factor, D.low * factor, D.high * factor),
        dispersion=dispersion,
        length_edges_A=np.asarray(edges, dtype=np.float64),
        length_count=np.histogram(jumps.length_A, bins=edges)[0].astype(np.int64),
    )
