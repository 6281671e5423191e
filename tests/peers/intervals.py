"""D and 95 % interval of many walks by another code, as JSON; run with the Python of .venv-peers.

    .venv-peers/bin/python tests/peers/intervals.py NAME walks.npz

The input holds `r_A` (sets, n, T, 3) at 1 ps a frame and `start_ps`, where the diffusive regime begins.  The answer
is a list of [D, low, high] in cm²/s.
"""

import json
import sys
import warnings

import numpy as np


def kinisi(r_A: np.ndarray, start_ps: float) -> list[float]:
    """Posterior of a line from `start_ps` on, at about fifty lags up to the whole walk."""
    import scipp as sc
    from kinisi.diffusion import Diffusion
    from kinisi.displacement import calculate_msd

    lag = np.unique(np.linspace(start_ps, r_A.shape[1] - 1, 50).astype(int))
    paths = type("Paths", (), {})()
    paths.displacements = sc.array(
        dims=["obs", "particle", "dimension"],
        values=(r_A[:, 1:] - r_A[:, :1]).transpose(1, 0, 2).copy(),
        unit="angstrom",
    )
    paths.dt = sc.array(dims=["time interval"], values=lag.astype(float), unit="ps")
    paths.dt_index = sc.array(dims=["time interval"], values=lag)
    paths.dimensionality = 3 * sc.units.dimensionless
    fit = Diffusion(calculate_msd(paths, progress=False))
    fit._diffusion(sc.scalar(float(start_ps), unit="ps"), progress=False, random_state=np.random.RandomState(1))
    D = np.asarray(fit.D.values)
    return [float(D.mean()), *np.percentile(D, [2.5, 97.5]).tolist()]


def pymatgen(r_A: np.ndarray, start_ps: float) -> list[float]:
    """DiffusionAnalyzer with its own window, smoothed 'max'; an atom at rest is the framework that it needs."""
    from pymatgen.analysis.diffusion.analyzer import DiffusionAnalyzer
    from pymatgen.core import Lattice, Structure

    n = len(r_A)
    structure = Structure(Lattice.cubic(30.0), ["Li"] * n + ["S"], np.random.default_rng(0).random((n + 1, 3)))
    moved = np.concatenate([r_A - r_A[:, :1], np.zeros((1, *r_A.shape[1:]))])
    found = DiffusionAnalyzer(structure, moved, "Li", 600.0, 1000, 1, smoothed="max")
    half = 1.96 * found.diffusivity_std_dev
    return [float(x) for x in (found.diffusivity, found.diffusivity - half, found.diffusivity + half)]


def main() -> None:
    """Run one code over all walks."""
    warnings.simplefilter("ignore")
    name, path = sys.argv[1:]
    data = np.load(path)
    work = {"kinisi": kinisi, "pymatgen": pymatgen}[name]
    found = [work(r.astype(float), float(data["start_ps"])) for r in data["r_A"]]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
