"""How often the error bars of IonStride, kinisi and pymatgen-analysis-diffusion hold a D that is known exactly.

    .venv/bin/python tests/peers/coverage_peers.py --sets 40

The walks are those of tests/physics/coverage.py.  IonStride finds its own window; kinisi is told where the diffusive
regime begins (its users must know); pymatgen has its own.  An interval of IonStride that is a bound counts from zero.
Beside the part of the sets whose interval holds the truth stand the median half-width of the interval and the scatter
of D over the sets, times 1.96: an honest half-width is about the latter.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/physics"))
from coverage import FAMILIES  # noqa: E402

from ionstride.transport import displacements_from_arrays, fit_diffusivity  # noqa: E402

PEERS = ("kinisi", "pymatgen")
START_PS = {"noise": 2, "cage+hops": 20, "back-jumps": 20}  # others: 1, no memory


def ours(r_A: np.ndarray) -> list[list[float]]:
    """D and interval of each walk by IonStride."""
    rows = []
    for r in r_A:
        moved = displacements_from_arrays(r, dt_ps=1.0, temperature_K=600.0, volume_A3=27_000.0)
        D = fit_diffusivity(moved).D_cm2_s
        rows.append([D.value, D.low, D.high])
    return rows


def theirs(name: str, file: Path) -> list[list[float]]:
    """The same by a peer, in its own environment."""
    done = subprocess.run(
        [ROOT / ".venv-peers/bin/python", ROOT / "tests/peers/intervals.py", name, file],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{name}: {done.stderr[-800:]}")
    rows: list[list[float]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=40)
    parser.add_argument("--ions", type=int, default=16)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--family", choices=list(FAMILIES), action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    args = parser.parse_args()
    print(f"{args.ions} ions x {args.frames} frames, {args.sets} sets a family; half-width and scatter over the truth")
    print(f"{'family':<13}{'code':<12}{'holds truth':>12}{'half-width':>12}{'1.96 scatter':>14}{'median D':>10}")
    found, inside = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for family in args.family or FAMILIES:
            rng = np.random.default_rng([args.seed, list(FAMILIES).index(family), args.ions, args.frames])
            walks = [FAMILIES[family](rng, args.ions, args.frames) for _ in range(args.sets)]
            r_A, truth = np.stack([r for r, _ in walks]), walks[0][1] * 1e-4
            file = Path(folder) / "walks.npz"
            np.savez(file, r_A=r_A, start_ps=START_PS.get(family, 1))
            for code, rows in (("IonStride", ours(r_A)), *((name, theirs(name, file)) for name in PEERS)):
                D, low, high = np.array(rows).T / truth
                hold = (low <= 1) & (high >= 1)
                inside.setdefault(code, []).extend(hold)
                row = {
                    "family": family,
                    "code": code,
                    "holds": float(hold.mean()),
                    "half_width": float(np.median(high - low) / 2),
                    "scatter": float(1.96 * D.std()),
                    "median_D": float(np.median(D)),
                }
                found.append(row)
                print(
                    f"{family:<13}{code:<12}{row['holds']:>12.3f}{row['half_width']:>12.4f}{row['scatter']:>14.4f}"
                    f"{row['median_D']:>10.3f}",
                    flush=True,
                )
    for code, hold in inside.items():
        print(f"{'all':<13}{code:<12}{np.mean(hold):>12.3f}   ({len(hold)} sets)")
    if args.out:
        args.out.write_text(
            json.dumps({"ions": args.ions, "frames": args.frames, "sets": args.sets, "rows": found}, indent=1)
        )


if __name__ == "__main__":
    main()
