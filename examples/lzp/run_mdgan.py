"""MD-GAN on the data of make_data.py: advice, five models, evidence, the figures and the table of README.md.

    python run_mdgan.py --out lzp-out                    # after make_data.py
    python run_mdgan.py --out lzp-out --shapes           # and the same ion-picoseconds in other shapes
    python run_mdgan.py --out lzp-out --seeds 1 --steps 500          # quick look

What is there already is kept; delete a folder of OUT to have it made again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import figures

IONS, RECORDS = 8192, 12800
"""Generated for the figures; the published study made as many particles."""
SHAPE_IONS = 512
"""Generated to judge each set of trajectories of other lengths."""


def ionstride(*words: object) -> None:
    """Run a command of the program and show it."""
    said = ["ionstride", "mdgan", *map(str, words)]
    print("$", *said, flush=True)
    code = subprocess.run([sys.executable, "-m", *said], check=False).returncode
    if code:
        raise SystemExit(code)


def once(made: Path, *words: object) -> None:
    """Run a command unless what it makes is there."""
    if not made.exists():
        ionstride(*words)


def options(asked: argparse.Namespace) -> list[object]:
    """Return options of a training."""
    return [] if asked.steps is None else ["--steps", asked.steps]


def train(models: Path, data: list[Path], asked: argparse.Namespace, seeds: int, window: int) -> list[Path]:
    """Train a model for each seed; return their folders."""
    runs = ["--validation", "run"] if len(data) > 5 else []  # enough of them, too short to hold out a part of each
    folders = [models / f"seed{seed}" for seed in range(1, seeds + 1)]
    for seed, folder in enumerate(folders, 1):
        once(
            folder / "model.json", "train", *data, "--mobile", "Li", "--stride", asked.stride, "--window", window,
            "--seed", seed, "--threads", asked.threads, *options(asked), *runs, "--out", folder,
        )  # fmt: skip
    return folders


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("lzp-out"))
    parser.add_argument("--stride", type=int, default=10, help="frames of 4 fs between records")
    parser.add_argument("--window", type=int, default=128, help="records in a window")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of the training (default: as the program has it)")
    parser.add_argument("--ions", type=int, default=IONS, help="generated")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--shapes", action="store_true", help="also fewer long and many short trajectories")
    parser.add_argument(
        "--shape-window", type=int, default=32, help="records in a window there: the shortest run is 5 ps"
    )
    parser.add_argument("--shape-sets", type=int, default=1, help="sets of each kind that models are trained on")
    asked = parser.parse_args()
    out, data = asked.out, asked.out / "data"
    training, reference = sorted(data.glob("train_*.npz")), sorted(data.glob("reference_*.npz"))
    if not training or not reference:
        raise SystemExit(f"{data} has no train_*.npz or no reference_*.npz; run make_data.py --out {out} first")

    once(out / "inspect" / "inspect.json", "inspect", *training, "--mobile", "Li", "--window", asked.window,
         "--out", out / "inspect")  # fmt: skip
    models = train(out / "models", training, asked, asked.seeds, asked.window)
    once(out / "generated" / "generated.json", "generate", models[0], "--ions", asked.ions, "--records", RECORDS,
         "--threads", asked.threads, "--save", "npz", "--out", out / "generated")  # fmt: skip
    once(out / "evaluation" / "evaluation.json", "evaluate", *models, "--train", *training, "--reference", *reference,
         "--mobile", "Li", "--out", out / "evaluation")  # fmt: skip
    if asked.seeds > 1:  # D with what the data leave open: models of data drawn anew
        once(out / "ensemble" / "ensemble.json", "train", *training, "--mobile", "Li", "--stride", asked.stride,
             "--window", asked.window, "--threads", asked.threads, "--members", asked.seeds, *options(asked),
             "--out", out / "ensemble")  # fmt: skip
    figures.paths(training[0], out / "generated" / "series.npz", out / "z.svg")
    figures.msd(out / "evaluation" / "evaluation.json", out / "msd.svg")
    print(figures.table(out / "evaluation" / "evaluation.json", out / "table.md"))
    if asked.shapes:
        run_shapes(out, reference, asked)


def run_shapes(out: Path, reference: list[Path], asked: argparse.Namespace) -> None:
    """Train and judge on the same number of ion-picoseconds in trajectories of other lengths."""
    rows = []
    for kind in sorted((out / "data" / "shapes").iterdir(), key=lambda p: -float(p.name.split("x")[1])):
        for chosen in sorted(kind.iterdir(), key=lambda p: int(p.name)):
            data = sorted(chosen.glob("*.npz"))
            place = out / "shapes" / kind.name / chosen.name
            learnt = int(chosen.name) <= asked.shape_sets
            models = train(place, data, asked, 1, asked.shape_window) if learnt else ["baseline"]
            once(
                place / "evaluation" / "evaluation.json", "evaluate", *models, "--train", *data, "--reference",
                *reference, "--mobile", "Li", "--stride", asked.stride, "--window", asked.shape_window,
                "--ions", SHAPE_IONS, "--out", place / "evaluation",
            )  # fmt: skip
            rows.append((kind.name, place / "evaluation" / "evaluation.json"))
    figures.shapes(rows, out / "shapes.svg")
    print(figures.shapes_table(rows, out / "shapes.md"))


if __name__ == "__main__":
    main()
