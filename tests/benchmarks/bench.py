"""Speed side by side with other codes, in one run, as ratios of medians (`make bench`).

    .venv/bin/python tests/benchmarks/bench.py --out bench.json
    .venv/bin/python tests/benchmarks/bench.py --small --quick      # to see that it runs

Each code sits in a process of its own with its input loaded, and they are called in turn: ours, theirs, ours, ...
Absolute times depend on the machine and on what else it does; the ratios less so.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
OURS, THEIRS = Path(sys.executable), ROOT / ".venv-peers/bin/python"
WORKER = Path(__file__).with_name("worker.py")
ALL_LAGS = {name: f"all_lags_{name}" for name in ("freud", "pymatgen", "tidynamics", "mdanalysis")}
DUMP = {name: f"dump_{name}" for name in ("mdanalysis", "pymatgen", "ase", "dpdata")}


class Worker:
    """A process that holds one code and its input."""

    def __init__(self, task: str, path: Path, threads: int = 0) -> None:
        python = OURS if "ionstride" in task or task == "dump_bytes" else THEIRS
        self.task = task
        self.process = subprocess.Popen(
            [python, WORKER, task, path, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.answer()

    def answer(self) -> str:
        """Next line."""
        assert self.process.stdout is not None and self.process.stderr is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.task} stopped: {self.process.stderr.read()[-800:]}")
        return line

    def ask(self, what: str = "go") -> dict[str, float]:
        """One timed call."""
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        found: dict[str, float] = json.loads(self.answer())
        return found

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@dataclass(frozen=True)
class Aim:
    """A ratio that is wanted."""

    what: str
    ratio: float
    wanted: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.ratio <= self.wanted if self.at_most else self.ratio >= self.wanted


def race(tasks: dict[str, str], path: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Median seconds and checks of several codes called in turn; one call each beforehand is not counted."""
    workers = {name: Worker(task, path) for name, task in tasks.items()}
    times: dict[str, list[float]] = {name: [] for name in tasks}
    checks: dict[str, float] = {}
    for turn in range(repeats + (repeats > 1)):
        for name, worker in workers.items():
            found = worker.ask()
            checks[name] = found["check"]
            if turn > 0 or repeats == 1:
                times[name].append(found["seconds"])
    for worker in workers.values():
        worker.close()
    return {
        name: {"seconds": statistics.median(t), "low": min(t), "high": max(t), "check": checks[name]}
        for name, t in times.items()
    }


def show(title: str, found: dict[str, dict[str, float]], ours: str, nbytes: float | None = None) -> None:
    """Print one comparison."""
    print(f"\n{title}")
    for name, row in found.items():
        speed = "" if nbytes is None else f"  {nbytes / row['seconds'] / 1e6:9.1f} MB/s"
        ratio = "" if name == ours else f"  {row['seconds'] / found[ours]['seconds']:9.1f} x"
        apart = abs(row["check"] / found[ours]["check"] - 1)
        range_ = f"({row['low']:.4g} - {row['high']:.4g})"
        print(f"  {name:<28}{row['seconds']:10.4f} s {range_:<22}{speed}{ratio:<13}  result differs by {apart:.0e}")


def write_walk(path: Path, ions: int, frames: int) -> int:
    """Write a random walk (ions, frames, 3) float64; return its bytes."""
    walk = np.random.default_rng(0).normal(size=(ions, frames, 3))
    np.cumsum(walk, axis=1, out=walk)
    np.save(path, walk)
    return walk.nbytes


def write_dump(path: Path, atoms: int, frames: int) -> None:
    """Write a LAMMPS text dump of slowly moving atoms, ids unsorted as LAMMPS leaves them; 35 bytes an atom."""
    rng = np.random.default_rng(1)
    at = rng.random((atoms, 3)) * 20
    with path.open("w") as stream:
        for frame in range(frames):
            order = rng.permutation(atoms)
            at = np.clip(at + rng.normal(0.0, 0.05, at.shape), 0.01, 19.99)
            stream.write(f"ITEM: TIMESTEP\n{frame * 50}\nITEM: NUMBER OF ATOMS\n{atoms}\n")
            stream.write("ITEM: BOX BOUNDS pp pp pp\n0 20\n0 20\n0 20\nITEM: ATOMS id type x y z\n")
            np.savetxt(stream, np.column_stack([order + 1, np.ones(atoms), at[order]]), fmt="%d %d %.6f %.6f %.6f")


def bandwidth(threads: int, count: int = 8_000_000) -> float:
    """Bytes/s of a[:] = b + s c by NumPy in blocks that stay in cache between its two steps (three streams)."""
    a, b, c = np.zeros(count), np.ones(count), np.ones(count)

    def part(k: int) -> None:
        first, last = k * count // threads, (k + 1) * count // threads
        for i in range(first, last, 4096):
            block = slice(i, min(i + 4096, last))
            np.multiply(c[block], 3.0, out=a[block])
            np.add(a[block], b[block], out=a[block])

    best = np.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            begun = time.perf_counter()
            list(pool.map(part, range(threads)))
            best = min(best, time.perf_counter() - begun)
    return 3 * a.nbytes / best


def copy_bandwidth(count: int = 16_000_000) -> float:
    """Bytes/s of one thread's large copy (two streams)."""
    a, b = np.zeros(count), np.ones(count)
    best = np.inf
    for _ in range(5):
        begun = time.perf_counter()
        np.copyto(a, b)
        best = min(best, time.perf_counter() - begun)
    return 2 * a.nbytes / best


def bench_memory_speed(results: dict[str, Any]) -> None:
    """Memory bandwidth."""
    speeds = {f"triad, {n} thread{'s' * (n > 1)}": bandwidth(n) for n in (1, 2)}
    speeds["copy, 1 thread"] = copy_bandwidth()
    results["bandwidth_B_s"] = speeds
    print("memory bandwidth (NumPy): " + "; ".join(f"{k} {v / 1e9:.1f} GB/s" for k, v in speeds.items()))


def bench_msd(
    folder: Path, sizes: list[tuple[int, int, float]], repeats: int, results: dict[str, Any], aims: list[Aim]
) -> None:
    """All lags and default lags, against the fastest peer; memory."""
    from ionstride.transport import choose_lags

    top = max(results["bandwidth_B_s"].values())
    for ions, frames, wanted in sizes:
        path = folder / "walk.npy"
        nbytes = write_walk(path, ions, frames)
        size = f"{ions} x {frames}"
        tasks = {"IonStride": "all_lags_ionstride", "IonStride, default lags": "default_lags_ionstride", **ALL_LAGS}
        found = race(tasks, path, repeats)
        show(f"self MSD, {size} (all lags, float64; freud in float32)", found, "IonStride")
        ours, default = found["IonStride"]["seconds"], found["IonStride, default lags"]["seconds"]
        fastest = min(ALL_LAGS, key=lambda name: found[name]["seconds"])
        best = found[fastest]["seconds"]
        lags = choose_lags(frames)
        moved = float(np.sum(2 * 24 * ions * (frames - lags)))  # each pair reads two positions
        print(
            f"  all lags: input read at {nbytes / ours / 1e9:.2f} GB/s, {nbytes / ours / top:.1%} of the bandwidth\n"
            f"  {len(lags)} default lags: pairs read at {moved / default / 1e9:.2f} GB/s (through caches), "
            f"{moved / default / top:.0%} of the bandwidth"
        )
        aims.append(Aim(f"all lags, {size}, against {fastest}", best / ours, wanted))
        aims.append(Aim(f"default lags, {size}, against {fastest}", best / default, 10.0))
        worker = Worker("all_lags_ionstride", path)
        worker.ask()
        peak = worker.ask("peak")["peak_bytes"] / nbytes
        worker.close()
        if nbytes > 1e8:  # below, fixed buffers are most of it
            aims.append(Aim(f"peak memory over input, {size}", peak, 1.5, at_most=True))
        results[f"msd {size}"] = {**found, "input_bytes": nbytes, "default_lags": len(lags), "peak_over_input": peak}
        path.unlink()


def bench_dump(folder: Path, frames: int, repeats: int, results: dict[str, Any], aims: list[Aim]) -> None:
    """Reading a dump."""
    path = folder / "walk.lammpstrj"
    write_dump(path, 1000, frames)
    nbytes = path.stat().st_size
    tasks = {"IonStride": "dump_ionstride", "IonStride, read_trajectory": "dump_ionstride_trajectory", **DUMP}
    found = race(tasks, path, repeats)
    show(f"LAMMPS text dump, 1000 atoms x {frames} frames, {nbytes / 1e6:.1f} MB", found, "IonStride", nbytes)
    alone = race({"bytes alone": "dump_bytes"}, path, repeats)["bytes alone"]["seconds"]
    print(f"  the bytes alone {nbytes / alone / 1e6:.0f} MB/s")
    ours = found["IonStride"]["seconds"]
    fastest = min(DUMP, key=lambda name: found[name]["seconds"])
    aims.append(Aim("dump, against MDAnalysis", found["mdanalysis"]["seconds"] / ours, 20.0))
    aims.append(Aim(f"dump, against the fastest ({fastest})", found[fastest]["seconds"] / ours, 5.0))
    results["dump"] = {**found, "file_bytes": nbytes, "bytes_alone_s": alone}


def bench_gather(folder: Path, ions: int, frames: int, repeats: int, results: dict[str, Any], aims: list[Aim]) -> None:
    """Windows for training, against NumPy."""
    path = folder / "gather.npy"
    write_walk(path, ions, frames)
    found = race({"IonStride": "gather_ionstride", "NumPy": "gather_ionstride_numpy"}, path, repeats)
    show(f"100 batches of 256 windows of 128 records, {ions} x {frames}", found, "IonStride")
    aims.append(Aim("window gather, against NumPy", found["NumPy"]["seconds"] / found["IonStride"]["seconds"], 2.0))
    results["gather"] = found
    path.unlink()


def bench_fit(folder: Path, ions: int, repeats: int, results: dict[str, Any], aims: list[Aim]) -> None:
    """D from 1000 lags; kinisi once."""
    path = folder / "fit.npy"
    write_walk(path, ions, 2001)
    found = {
        **race({"IonStride": "fit_alone_ionstride", "IonStride, its MSD too": "fit_ionstride"}, path, repeats),
        **race({"kinisi, once": "fit_kinisi"}, path, 1),
    }
    show(f"D with its interval, window of lags 1 to 1000, {ions} ions x 2001 frames", found, "IonStride")
    print("  IonStride takes some lags of the window, kinisi all; both have the MSD, but where it says otherwise")
    for name in ("IonStride", "IonStride, its MSD too"):
        ratio = found["kinisi, once"]["seconds"] / found[name]["seconds"]
        aims.append(Aim(f"fit over 1000 lags, {name}, against kinisi", ratio, 1000.0))
    results["fit"] = found


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="leave out kinisi's fit, which takes minutes")
    parser.add_argument("--small", action="store_true", help="small sizes: shows that it runs, not how fast")
    parser.add_argument("--only", choices=["msd", "dump", "gather", "fit"], action="append")
    parser.add_argument("--out", type=Path, help="write all numbers as JSON")
    args = parser.parse_args()
    wanted = args.only or ["msd", "dump", "gather", "fit"]
    sizes = [(32, 2000, 2.0), (64, 5000, 4.0)] if args.small else [(256, 20_000, 2.0), (512, 50_000, 4.0)]
    results: dict[str, Any] = {"cores": os.cpu_count(), "repeats": args.repeats, "small": args.small}
    aims: list[Aim] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench_memory_speed(results)
        if "msd" in wanted:
            bench_msd(folder, sizes, args.repeats, results, aims)
        if "dump" in wanted:
            bench_dump(folder, 50 if args.small else 500, args.repeats, results, aims)
        if "gather" in wanted:
            bench_gather(folder, 36, 2001 if args.small else 10_001, args.repeats, results, aims)
        if "fit" in wanted and not args.quick:
            bench_fit(folder, 16 if args.small else 128, args.repeats, results, aims)
    print(f"\n{'':<48}{'ratio':>10}{'aim':>10}")
    for aim in aims:
        sign = "<=" if aim.at_most else ">="
        print(f"{aim.what:<48}{aim.ratio:>10.2f}{sign + f' {aim.wanted:g}':>10}  {'PASS' if aim.met else 'short'}")
    results["aims"] = [{**aim.__dict__, "met": aim.met} for aim in aims]
    if args.out:
        args.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
