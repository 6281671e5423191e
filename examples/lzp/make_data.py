"""Make the data of this example: MD by LAMMPS, then one .npz a run with the paths of the lithium ions.

    python make_data.py --out lzp-out                     # both studies, then the .npz (hours on one core)
    python make_data.py --out lzp-out --study train       # the training runs alone
    python make_data.py --out lzp-out --set cores=1       # passed on to 'ionstride run'

Interrupted, it goes on where it stood.  Written are, under OUT/data:

    pool_1 … pool_3        the whole training runs
    train_1 … train_3      their first 40 ps: what MD-GAN is trained on, the shape of the published study
    reference_1 …          the long runs it is judged by
    shapes/KIND/SET/…      the same number of ion-picoseconds as fewer long or many short trajectories
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

from ionstride.trajectory import read_trajectory

HERE = Path(__file__).parent
TEMPERATURE_K = 1773.0
TIMESTEP_PS = 0.002
TRAIN_PS = 40.0
SHAPES = {"1x120": (1, 120.0), "3x40": (3, 40.0), "6x20": (6, 20.0), "12x10": (12, 10.0), "24x5": (24, 5.0)}
"""Kind → (trajectories, length of each in ps); 120 ps in all, 1440 ion-picoseconds."""

Paths = dict[str, np.ndarray | float]


def run_study(name: str, out: Path, settings: list[str]) -> None:
    """Run one of the studies beside this file, into OUT/NAME."""
    words = [word for text in settings for word in ("--set", text)]
    command = [sys.executable, "-m", "ionstride", "run", str(HERE / f"{name}.toml"), "--out", str(out / name), *words]
    code = subprocess.run(command, check=False).returncode
    if code:
        raise SystemExit(code)


def read_ions(run: Path) -> Paths:
    """Return the ions' paths of a finished run as the arrays of a .npz."""
    path = read_trajectory(
        sorted(run.glob("ions.*.dump")), temperature_K=TEMPERATURE_K, timestep_ps=TIMESTEP_PS, mobile="Li"
    )
    return {
        "r_A": np.ascontiguousarray(path.positions_A.transpose(1, 0, 2), dtype=np.float32),
        "dt_ps": float(path.time_ps[1] - path.time_ps[0]),
        "temperature_K": TEMPERATURE_K,
        "cell_A": path.mean_cell_A,
        "symbols": np.array(path.symbols),
    }


def piece(paths: Paths, start_ps: float, length_ps: float) -> Paths:
    """Return a stretch of a run, both ends included."""
    first, count = round(start_ps / paths["dt_ps"]), round(length_ps / paths["dt_ps"])
    cut = paths["r_A"][:, first : first + count + 1]
    if cut.shape[1] < count + 1:
        raise SystemExit(f"a run of {paths['r_A'].shape[1]} frames has no {length_ps:g} ps from {start_ps:g} ps on")
    return {**paths, "r_A": cut}


def shapes(pool: list[Paths]) -> dict[str, list[list[Paths]]]:
    """Return for each kind the sets that can be cut from the runs, every frame in one set of each kind.

    The trajectories of a set come from all runs in turn and lie as far apart in each as the run allows.
    """
    total_ps = min(round(p["dt_ps"] * (p["r_A"].shape[1] - 1), 6) for p in pool)
    found: dict[str, list[list[Paths]]] = {}
    for kind, (count, length_ps) in SHAPES.items():
        if count < len(pool):
            found[kind] = [
                [piece(p, s * length_ps, length_ps)] for s in range(int(total_ps // length_ps)) for p in pool
            ]
            continue
        each = count // len(pool)
        apart_ps = total_ps / each
        found[kind] = [
            [piece(p, k * apart_ps + s * length_ps, length_ps) for p in pool for k in range(each)]
            for s in range(int(round(apart_ps / length_ps, 6)))
        ]
    return found


def save(file: Path, paths: Paths) -> None:
    """Write one .npz, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part.npz")
    np.savez_compressed(part, **paths)
    part.rename(file)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("lzp-out"))
    parser.add_argument("--study", choices=("train", "reference", "both"), default="both")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    data = asked.out / "data"
    if asked.study in ("train", "both"):
        run_study("train", asked.out, asked.set)
        pool = [read_ions(run) for run in sorted((asked.out / "train" / "md").glob("1773K_r*"))]
        for number, paths in enumerate(pool, 1):
            save(data / f"pool_{number}.npz", paths)
            save(data / f"train_{number}.npz", piece(paths, 0.0, TRAIN_PS))
        for kind, sets in shapes(pool).items():
            for s, pieces in enumerate(sets, 1):
                for number, paths in enumerate(pieces, 1):
                    save(data / "shapes" / kind / str(s) / f"run_{number:02d}.npz", paths)
    if asked.study in ("reference", "both"):
        run_study("reference", asked.out, asked.set)
        for number, run in enumerate(sorted((asked.out / "reference" / "md").glob("1773K_r*")), 1):
            save(data / f"reference_{number}.npz", read_ions(run))


if __name__ == "__main__":
    main()
