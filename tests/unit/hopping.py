"""The hopping toy of `examples/hopping`, for tests: exact D, MSD, α₂ and jump statistics."""

import importlib.util
import sys
from pathlib import Path

from ionstride.transport import displacements_from_arrays

_FILE = Path(__file__).resolve().parents[2] / "examples" / "hopping" / "make_hopping.py"


def _load():
    spec = importlib.util.spec_from_file_location("make_hopping", _FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_hopping"] = module
    spec.loader.exec_module(module)
    return module


Hopping = _load().Hopping


def hopping(ions, frames, *, runs=1, dt_ps=0.1, seed=1, toy=None):
    """Displacements of the toy; `ions` in each run."""
    toy = toy or Hopping()
    return displacements_from_arrays(
        toy.paths(ions * runs, frames, dt_ps, seed), dt_ps=dt_ps, temperature_K=1000.0, volume_A3=1e4,
        run=[i // ions for i in range(ions * runs)],
    )  # fmt: skip
