"""One code at one task, timed on demand; runs with the Python of either environment.

    python tests/benchmarks/worker.py TASK INPUT [THREADS]

Loads the input, prints a line, and then, for every line read from stdin, does the work once and prints JSON:
`seconds`, and `check`, a number that all codes should agree on.  `peak` in place of a call prints by how much the
resident memory has grown since before the input was loaded, in bytes.
"""

import contextlib
import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Work = Callable[[], float]
FIT_LAGS = 1000


def check_lag(frames: int) -> int:
    """Lag at which MSDs are compared."""
    return frames // 10


def all_lags_ionstride(path: str, threads: int) -> Work:
    """Every lag, by FFT."""
    from ionstride.transport import all_lags_msd

    all_lags_msd(np.zeros((1, 4, 3)) + np.arange(4)[:, None], threads)  # imports
    remember()
    r = np.load(path)
    return lambda: float(all_lags_msd(r, threads)[check_lag(r.shape[1])].sum())


def default_lags_ionstride(path: str, threads: int) -> Work:
    """The lags that are chosen where none are given."""
    from ionstride.transport import displacements_from_arrays, self_msd

    r = np.load(path)
    moved = displacements_from_arrays(r, dt_ps=1.0, temperature_K=300.0, volume_A3=1000.0)

    def work() -> float:
        msd = self_msd(moved, threads=threads)
        return float(np.interp(check_lag(r.shape[1]), msd.lag_ps, msd.value_A2))

    return work


def _gather(gather: Callable[..., Any], path: str) -> Work:
    """Cut 256 windows of 128 records at stride 10, as a step of training does, a hundred times."""
    r = np.load(path)
    rng = np.random.default_rng(0)
    picks = [
        (rng.integers(len(r), size=256), rng.integers(r.shape[1] - 1281, size=256).astype(np.int64)) for _ in range(100)
    ]
    return lambda: float(sum(np.abs(gather(r, ion, start, 128, 10)).sum(dtype=np.float64) for ion, start in picks))


def gather_ionstride(path: str, threads: int) -> Work:
    """The kernel."""
    from ionstride import _kernels

    return _gather(_kernels.gather_windows, path)


def gather_ionstride_numpy(path: str, threads: int) -> Work:
    """NumPy's fancy indexing."""
    from ionstride import reference

    return _gather(reference.gather_windows, path)


def all_lags_freud(path: str, threads: int) -> Work:
    """freud works in float32, frames first."""
    import freud

    freud.parallel.set_num_threads(threads or None)
    r = np.ascontiguousarray(np.load(path).transpose(1, 0, 2), dtype=np.float32)
    return lambda: float(freud.msd.MSD(mode="window").compute(r).msd[check_lag(len(r))])


def all_lags_pymatgen(path: str, threads: int) -> Work:
    """The FFT inside DiffusionAnalyzer, without its structures and fits."""
    from pymatgen.analysis.diffusion.analyzer import _msd_from_positions_fft

    r = np.load(path)
    return lambda: float(_msd_from_positions_fft(r).sum(axis=-1).mean(axis=0)[check_lag(r.shape[1])])


def all_lags_tidynamics(path: str, threads: int) -> Work:
    """One ion a call."""
    import tidynamics

    r = np.load(path)
    return lambda: float(np.mean([tidynamics.msd(ion) for ion in r], axis=0)[check_lag(r.shape[1])])


def all_lags_mdanalysis(path: str, threads: int) -> Work:
    """EinsteinMSD of positions in memory."""
    import MDAnalysis
    from MDAnalysis.analysis.msd import EinsteinMSD
    from MDAnalysis.coordinates.memory import MemoryReader

    r = np.load(path)
    universe = MDAnalysis.Universe.empty(len(r), trajectory=False)
    universe.load_new(np.ascontiguousarray(r.transpose(1, 0, 2)), format=MemoryReader, order="fac")
    return lambda: float(EinsteinMSD(universe).run().results.timeseries[check_lag(r.shape[1])])


def dump_ionstride(path: str, threads: int) -> Work:
    """The C++ reader: positions, types, cells and times of all frames."""
    from ionstride import _kernels

    return lambda: float(np.asarray(_kernels.read_dump(path, threads=threads)["positions_A"])[-1].mean())


def dump_ionstride_trajectory(path: str, threads: int) -> Work:
    """The same, unwrapped and checked, as `read_trajectory` gives it."""
    from ionstride.trajectory import read_trajectory

    return lambda: float(
        read_trajectory([path], temperature_K=300.0, frame_ps=1.0, types=["Li"]).positions_A[-1].mean()
    )


def dump_mdanalysis(path: str, threads: int) -> Work:
    """Every frame once."""
    import MDAnalysis

    def work() -> float:
        universe = MDAnalysis.Universe(
            path, topology_format="LAMMPSDUMP", format="LAMMPSDUMP", lammps_coordinate_convention="unscaled"
        )
        for step in universe.trajectory:
            last = step.positions
        return float(last.mean(dtype=np.float64))

    return work


def dump_pymatgen(path: str, threads: int) -> Work:
    """parse_lammps_dumps: a table a frame."""
    from pymatgen.io.lammps.outputs import parse_lammps_dumps

    return lambda: float(list(parse_lammps_dumps(path))[-1].data[["x", "y", "z"]].to_numpy().mean())


def dump_ase(path: str, threads: int) -> Work:
    """All frames as Atoms."""
    from ase.io import read

    return lambda: float(read(path, index=":", format="lammps-dump-text")[-1].positions.mean())


def dump_dpdata(path: str, threads: int) -> Work:
    """One System."""
    import dpdata

    return lambda: float(dpdata.System(path, fmt="lammps/dump", type_map=["Li"]).data["coords"][-1].mean())


def dump_bytes(path: str, threads: int) -> Work:
    """The bytes alone, from the operating system's cache."""
    return lambda: float(len(Path(path).read_bytes()))


def fit_ionstride(path: str, threads: int) -> Work:
    """D and its interval with everything it needs, its MSDs included, over the same window."""
    from ionstride.transport import displacements_from_arrays, fit_diffusivity

    moved = displacements_from_arrays(np.load(path), dt_ps=1.0, temperature_K=300.0, volume_A3=1000.0)
    return lambda: fit_diffusivity(moved, fit_ps=(1.0, float(FIT_LAGS)), threads=threads).D_cm2_s.value


def fit_alone_ionstride(path: str, threads: int) -> Work:
    """The same from an MSD that is there already, as a run that was streamed leaves it."""
    from ionstride.records import FrameStream
    from ionstride.transport import accumulate, fit_diffusivity

    r = np.ascontiguousarray(np.load(path).transpose(1, 0, 2))
    stream = FrameStream(
        ("Li",) * r.shape[1], 1.0 * np.arange(len(r)), 10 * np.eye(3), 1000.0, 300.0, lambda: iter([r]), len(r)
    )
    sums = accumulate(stream, "Li", drift="none")
    return lambda: fit_diffusivity(sums, fit_ps=(1.0, float(FIT_LAGS)), threads=threads).D_cm2_s.value


def fit_kinisi(path: str, threads: int) -> Work:
    """Bayesian regression of an MSD at the same lags that is there already."""
    import scipp as sc
    from kinisi.diffusion import Diffusion
    from kinisi.displacement import calculate_msd

    r = np.load(path)
    lag = np.arange(1, FIT_LAGS + 1)
    paths = type("Paths", (), {})()
    paths.displacements = sc.array(
        dims=["obs", "particle", "dimension"], values=(r - r[:, :1]).transpose(1, 0, 2)[1:].copy(), unit="angstrom"
    )
    paths.dt = sc.array(dims=["time interval"], values=lag.astype(float), unit="ps")
    paths.dt_index = sc.array(dims=["time interval"], values=lag)
    paths.dimensionality = 3 * sc.units.dimensionless
    group = calculate_msd(paths, progress=False)

    def work() -> float:
        fit = Diffusion(group)
        fit._diffusion(sc.scalar(1.0, unit="ps"), progress=False, random_state=np.random.RandomState(1))
        return float(np.mean(fit.D.values))

    return work


TASKS: dict[str, Callable[[str, int], Work]] = {
    name: value
    for name, value in list(globals().items())
    if name.startswith(("all_lags_", "default_", "dump_", "fit_", "gather_"))
}
_state: dict[str, Any] = {}


def remember() -> None:
    """Note the resident memory before the input comes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    _state["before"] = pages * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """Largest resident memory of this program (getrusage's counts the process that started it, too)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def main() -> None:
    """Serve calls."""
    warnings.simplefilter("ignore")
    task, path = sys.argv[1:3]
    threads = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    out, sys.stdout = sys.stdout, sys.stderr
    work = TASKS[task](path, threads)
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        if line.strip() == "peak":
            peak = peak_bytes()
            print(json.dumps({"peak_bytes": peak - _state.get("before", 0)}), file=out, flush=True)
            continue
        begun = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            check = work()
        print(json.dumps({"seconds": time.perf_counter() - begun, "check": check}), file=out, flush=True)


if __name__ == "__main__":
    main()
