"""Mechanism of ion motion: structure functions, density, sites, jumps, van Hove functions, vibration.

From `Trajectory` (what needs the framework or the cell) and `Displacements` (what needs the ions' paths alone).
"""

from .density import density_views, ion_density, smooth_density
from .densityfile import write_density
from .jumps import assign_sites, find_jumps, jump_statistics
from .pairs import radial_distribution
from .percolation import percolation
from .sites import sites_from_density, sites_from_structure
from .summary import summarise
from .vanhove import incoherent_scattering, van_hove_distinct, van_hove_self
from .vibration import attempt_frequency, green_kubo, velocity_autocorrelation, vibrational_spectrum

__all__ = [
    "assign_sites",
    "attempt_frequency",
    "density_views",
    "find_jumps",
    "green_kubo",
    "incoherent_scattering",
    "ion_density",
    "jump_statistics",
    "percolation",
    "radial_distribution",
    "sites_from_density",
    "sites_from_structure",
    "smooth_density",
    "summarise",
    "van_hove_distinct",
    "van_hove_self",
    "velocity_autocorrelation",
    "vibrational_spectrum",
    "write_density",
]
