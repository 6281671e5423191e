"""Transport: displacements of ions, their MSD, D with an honest interval, Arrhenius and conductivity.

The files in the order of the physics: `displacement` (paths, drift removed), `accumulate` (the same of runs too big
for memory), `moments`, `msd`, `process` (covariance of an
MSD), `window` (slope and start of the diffusive regime), `scatter` (theory against measured scatter), `fit`,
`diffusivity`, `tensor`, `collective` (charge), `arrhenius`.  Fits take paths, or sums of them that were streamed.
"""

from .accumulate import accumulate
from .all_lags import all_lags_msd
from .arrhenius import fit_arrhenius
from .collective import fit_charge_diffusivity, haven_ratio
from .diffusivity import conductivity, fit_diffusivity
from .displacement import displacements, displacements_from_arrays
from .moments import choose_lags
from .msd import charge_msd, cross_msd, log_log_slope, self_msd
from .source import Source, step_ps_of

__all__ = [
    "Source",
    "accumulate",
    "all_lags_msd",
    "charge_msd",
    "choose_lags",
    "conductivity",
    "cross_msd",
    "displacements",
    "displacements_from_arrays",
    "fit_arrhenius",
    "fit_charge_diffusivity",
    "fit_diffusivity",
    "haven_ratio",
    "log_log_slope",
    "self_msd",
    "step_ps_of",
]
