"""Speed side by side with peers, in one run, as ratios of medians (`make bench`).

Absolute times depend on the machine and on what else it does; the ratios less so.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ionstride import _kernels, reference


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median wall time of some calls."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def report(what: str, ours: float, peers: dict[str, float]) -> None:
    """Print one comparison."""
    print(f"{what}\n  ionstride       {ours:9.4f} s")
    for name, seconds in peers.items():
        print(f"  {name:<15} {seconds:9.4f} s   {seconds / ours:7.1f} x")


def write_dump(path: Path, atoms: int, frames: int) -> None:
    """Write an unsorted LAMMPS text dump of random positions."""
    rng = np.random.default_rng(1)
    with path.open("w") as stream:
        for frame in range(frames):
            order = rng.permutation(atoms)
            rows = rng.random((atoms, 3)) * 20
            stream.write(f"ITEM: TIMESTEP\n{frame * 50}\nITEM: NUMBER OF ATOMS\n{atoms}\n")
            stream.write("ITEM: BOX BOUNDS pp pp pp\n0 20\n0 20\n0 20\nITEM: ATOMS id type x y z ix iy iz\n")
            stream.writelines(
                f"{i + 1} 1 {x:.6f} {y:.6f} {z:.6f} 0 0 0\n" for i, (x, y, z) in zip(order, rows, strict=True)
            )


def bench_dump(repeats: int) -> None:
    """Reading a dump: MDAnalysis and ASE beside us."""
    import MDAnalysis
    from ase.io import read

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.lammpstrj"
        write_dump(path, 1000, 200)
        size = path.stat().st_size / 1e6

        def mdanalysis() -> None:
            universe = MDAnalysis.Universe(str(path), format="LAMMPSDUMP", lammps_coordinate_convention="unscaled")
            for _ in universe.trajectory:
                pass

        report(
            f"LAMMPS text dump, 1000 atoms x 200 frames, {size:.0f} MB",
            median_seconds(lambda: _kernels.read_dump(str(path)), repeats),
            {
                "MDAnalysis": median_seconds(mdanalysis, repeats),
                "ASE": median_seconds(lambda: read(path, index=":", format="lammps-dump-text"), repeats),
            },
        )


def bench_msd(repeats: int) -> None:
    """MSD at 90 lags, float64: the NumPy definition beside us."""
    r = np.cumsum(np.random.default_rng(0).normal(size=(64, 10_000, 3)), axis=1)
    lags = np.unique(np.geomspace(1, 5000, 90).astype(np.int64))
    report(
        f"displacement moments, 64 ions x 10 000 frames, {len(lags)} lags",
        median_seconds(lambda: _kernels.displacement_moments(r, lags), repeats),
        {"NumPy": median_seconds(lambda: reference.displacement_moments(r, lags), repeats)},
    )


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    warnings.simplefilter("ignore")
    bench_msd(repeats)
    bench_dump(repeats)


if __name__ == "__main__":
    main()
