"""All of the mechanism as one dictionary for results, report and figures."""

import math
from collections import Counter
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from ..checks import Array, check_mobile
from ..errors import PhysicsError
from ..records import Displacements, Trajectory
from ..results import Estimate
from .density import density_views, ion_density, smooth_density
from .jumps import assign_sites, find_jumps, jump_statistics
from .pairs import radial_distribution
from .percolation import percolation
from .records import IonDensity, Jumps, PairDistribution, Sites
from .sites import sites_from_density
from .vanhove import van_hove_self
from .vibration import attempt_frequency, vibrational_spectrum

_LAGS_PS = (0.1, 1.0, 10.0, 100.0)
_FEW_JUMPS = 10


def summarise(
    trajectory: Trajectory,
    displacements: Displacements,
    *,
    mobile: str | None = None,
    sites: Sites | None = None,
    density: IonDensity | None = None,
    velocities_A_ps: Array | None = None,
    r_max_A: float | None = None,
    pictures: bool = True,
) -> dict[str, Any]:
    """Return coordination numbers, sites, jumps, percolation, van Hove and vibration, ready for JSON.

    What has no answer on these data is None, and `reasons` says why in words.

    Parameters
    ----------
    trajectory : one run.
    displacements : paths of its mobile ions (and of its replicas, if there are).
    mobile : element of the mobile ion; that of `displacements` if not given.
    sites : sites to use; those of the density if not given.
    density : density to use; made from the trajectory if not given.
    velocities_A_ps : (n_ions, T, 3) velocities of `displacements`, where the file has them.
    r_max_A : largest distance of g(r); 8 Å if not given.
    pictures : whether curves and points of the density are put in too.

    Raises
    ------
    InputError
        If the mobile element is absent, or the sites are of another cell.
    """
    mobile = displacements.species[0] if mobile is None else mobile
    check_mobile(trajectory.symbols, mobile)
    reasons: list[str] = []
    result: dict[str, Any] = {
        "schema": "ionstride.mechanism/1",
        "mobile": mobile,
        "temperature_K": trajectory.temperature_K,
        "n_frames": len(trajectory.time_ps),
        "pairs": [],
        "sites": None,
        "jumps": None,
        "percolation": None,
        "density": None,
        "van_hove_self": _van_hove(displacements) if pictures else None,
    }
    try:
        density = ion_density(trajectory, mobile) if density is None else density
        result["pairs"] = [
            _pair(radial_distribution(trajectory, a, b, r_max_A=r_max_A), pictures)
            for a, b in element_pairs(trajectory.symbols, mobile)
        ]
        result["density"] = density_views(smooth_density(density, 0.3)) if pictures else None
        result |= _site_part(trajectory, density, sites, reasons)
    except PhysicsError as error:
        reasons.append(str(error))
    for pair in result["pairs"]:
        if pair["coordination_number"] is None:
            reasons.append(
                f"{pair['centre']}-{pair['other']}: g(r) has no clear first shell, so no coordination number"
            )
    result["vibration"] = _vibration(displacements, velocities_A_ps, reasons, pictures)
    result["reasons"] = reasons
    return result


def element_pairs(symbols: tuple[str, ...], mobile: str) -> list[tuple[str, str]]:
    """Return all pairs of elements, centre first: the mobile ion, else the rarer element."""
    count = Counter(symbols)
    order = sorted(count, key=lambda s: (s != mobile, count[s], s))
    return list(combinations_with_replacement(order, 2))


def _estimate(value: Estimate | None) -> dict[str, Any] | None:
    """Return a value with its interval; an open end is None."""
    if value is None:
        return None
    finite = [x if math.isfinite(x) else None for x in (value.value, value.low, value.high)]
    return {"value": finite[0], "ci95": finite[1:]}


def _pair(pair: PairDistribution, pictures: bool) -> dict[str, Any]:
    said: dict[str, Any] = {
        "centre": pair.centre,
        "other": pair.other,
        "first_peak_A": pair.first_peak_A,
        "first_minimum_A": pair.first_minimum_A,
        "coordination_number": _estimate(pair.coordination_number),
    }
    if pictures:
        said |= {
            "r_A": pair.r_A.tolist(),
            "g": pair.g.tolist(),
            "upper_A": pair.upper_A.tolist(),
            "coordination": pair.coordination.tolist(),
        }
    return said


def _site_part(trajectory: Trajectory, density: IonDensity, sites: Sites | None, reasons: list[str]) -> dict[str, Any]:
    found = sites_from_density(density) if sites is None else sites
    history = assign_sites(trajectory, found)
    jumps = find_jumps(history)
    statistics = jump_statistics(jumps)
    if len(jumps) < _FEW_JUMPS:
        reasons.append(f"{len(jumps)} jumps were seen: too few to tell rates, back-jumps or percolation")
    network = percolation(jumps)
    strong = percolation(jumps, least=2)
    return {
        "sites": {
            "source": found.source,
            "n_sites": len(found),
            "n_ions": density.n_ions,
            "fractional": found.fractional.tolist(),
            "core_A": found.core_A.tolist(),
            "occupancy": history.occupancy.tolist(),
            "never_at_a_site": int((~history.in_core.any(axis=1)).sum()),
            "inside_a_core": float(history.in_core.mean()),
            "no_interval": "occupancies are means over the run, without an interval",
        },
        "jumps": {
            "n_jumps": statistics.n_jumps,
            "rate_per_ion_per_ps": _estimate(statistics.rate_per_ps),
            "residence_ps": _estimate(statistics.residence_ps),
            "back_fraction": _estimate(statistics.back_fraction),
            "D_uncorrelated_cm2_s": _estimate(statistics.D_uncorrelated_cm2_s),
            "dispersion": statistics.dispersion,
            "length_edges_A": statistics.length_edges_A.tolist(),
            "length_count": statistics.length_count.tolist(),
            "list": jump_table(jumps),
        },
        "percolation": {
            "a": network.along[0],
            "b": network.along[1],
            "c": network.along[2],
            "dimension": network.dimension,
            "dimension_by_jumps_seen_twice": strong.dimension,
            "largest_part": network.largest_part,
        },
    }


def jump_table(jumps: Jumps) -> dict[str, list[Any]]:
    """Return the jumps as columns: ion, from, to, time_ps, image, length_A, back."""
    return {
        "ion": jumps.ion.tolist(),
        "from": jumps.from_site.tolist(),
        "to": jumps.to_site.tolist(),
        "time_ps": jumps.time_ps.tolist(),
        "image": jumps.image.tolist(),
        "length_A": np.round(jumps.length_A, 4).tolist(),
        "back": jumps.back.tolist(),
    }


def _vibration(
    displacements: Displacements, velocities_A_ps: Array | None, reasons: list[str], pictures: bool
) -> dict[str, Any] | None:
    try:
        spectrum = vibrational_spectrum(displacements, velocities_A_ps)
    except PhysicsError as error:
        reasons.append(str(error))
        return None
    said: dict[str, Any] = {
        "attempt_frequency_THz": _estimate(attempt_frequency(spectrum)),
        "source": spectrum.source,
    }
    if pictures:
        said |= {
            "frequency_THz": spectrum.frequency_THz.tolist(),
            "density_per_THz": spectrum.density_per_THz.tolist(),
        }
    return said


def _van_hove(displacements: Displacements) -> dict[str, Any]:
    frames = len(displacements.time_ps)
    step = float(displacements.time_ps[-1] - displacements.time_ps[0]) / (frames - 1)
    lags = sorted({lag for lag in (round(t / step) for t in _LAGS_PS) if 1 <= lag <= frames // 2} or {1})
    curves = van_hove_self(displacements, lags)
    return {
        "lag_ps": curves.lag_ps.tolist(),
        "r_A": curves.r_A.tolist(),
        "self_per_A": curves.value.tolist(),
        "gaussian_per_A": None if curves.gaussian is None else curves.gaussian.tolist(),
    }
