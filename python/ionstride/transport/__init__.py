"""Transport: displacements of ions, their MSD, D with an honest interval, Arrhenius and conductivity.

The files in the order of the physics: `displacement` (paths, drift removed), `accumulate` (the same of runs too big
for memory), `msd`, `process` (covariance of an MSD), `window` (slope and start of the diffusive regime),
`diffusivity`, `arrhenius`.
"""

from .accumulate import accumulate
from .arrhenius import fit_arrhenius
from .diffusivity import conductivity, fit_diffusivity
from .displacement import displacements, displacements_from_arrays
from .msd import charge_msd, choose_lags, log_log_slope, self_msd

__all__ = [
    "accumulate",
    "charge_msd",
    "choose_lags",
    "conductivity",
    "displacements",
    "displacements_from_arrays",
    "fit_arrhenius",
    "fit_diffusivity",
    "log_log_slope",
    "self_msd",
]
