"""Coverage of the 95 % interval of D by families of synthetic walks whose D is known exactly.

    python tests/physics/coverage.py --sets 200

Prints, for each family and size, the part of all sets whose interval holds the truth, the median relative standard
error, the true scatter of D, the median start of the fit, and the part of verdicts other than 'diffusive'.
For a set judged 'bound' or 'not-diffusing' the interval is [0, bound].
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from ionstride.transport import displacements_from_arrays, fit_diffusivity

Walk = tuple[np.ndarray, float]  # positions (ions, frames, 3) in Å; D in Å²/ps at 1 ps a frame


def free_walk(rng: np.random.Generator, ions: int, frames: int, step_A: float = 0.5) -> Walk:
    """Gaussian walk: D = step²/2."""
    return np.cumsum(rng.normal(0, step_A, (ions, frames, 3)), axis=1), step_A**2 / 2


def noisy_walk(rng: np.random.Generator, ions: int, frames: int, step_A: float = 0.3, noise_A: float = 0.7) -> Walk:
    """Gaussian walk with white noise on the positions."""
    walk, D = free_walk(rng, ions, frames, step_A)
    return walk + rng.normal(0, noise_A, walk.shape), D


def anisotropic_walk(rng: np.random.Generator, ions: int, frames: int, step_A: float = 0.5) -> Walk:
    """Nearly one-dimensional Gaussian walk along a slanted direction."""
    scale = np.array([1.0, 0.3, 0.05]) * step_A
    turn = np.linalg.qr(np.array([[1.0, 0.4, -0.2], [0.3, 1.0, 0.5], [0.1, -0.6, 1.0]]))[0]
    return np.cumsum(rng.normal(0, 1, (ions, frames, 3)) * scale, axis=1) @ turn, float(np.sum(scale**2) / 6)


def vibration(rng: np.random.Generator, ions: int, frames: int, memory: float, amplitude_A: float) -> np.ndarray:
    """Ornstein-Uhlenbeck vibration about a site."""
    from scipy.signal import lfilter

    keep = np.exp(-1.0 / memory)
    kick = rng.normal(0, amplitude_A * np.sqrt(1 - keep**2), (ions, frames, 3))
    kick[:, 0] = rng.normal(0, amplitude_A, (ions, 3))
    return np.asarray(lfilter([1.0], [1.0, -keep], kick, axis=1))


def cage_and_hops(
    rng: np.random.Generator, ions: int, frames: int, rate: float = 0.02, hop_A: float = 3.0, memory: float = 5.0
) -> Walk:
    """Hops on a cubic lattice, a two-site flicker of 3 Å within the cage, and vibration: D = rate·a²/6."""
    step = np.zeros((ions, frames, 3))
    hops = (rng.random((ions, frames)) < rate) * rng.choice([-hop_A, hop_A], (ions, frames))
    np.put_along_axis(step, rng.integers(0, 3, (ions, frames))[..., None], hops[..., None], axis=2)
    turns = rng.random((ions, frames)) < (1 - np.exp(-1.0 / memory)) / 2
    site = (np.cumsum(turns, axis=1) + rng.integers(0, 2, (ions, 1))) % 2
    flicker = np.zeros((ions, frames, 3))
    flicker[np.arange(ions), :, rng.integers(0, 3, ions)] = site * hop_A
    return np.cumsum(step, axis=1) + flicker + vibration(rng, ions, frames, 2.0, 0.4), rate * hop_A**2 / 6


def back_jumps(
    rng: np.random.Generator, ions: int, frames: int, rate: float = 0.05, back: float = 0.5, hop_A: float = 3.0
) -> Walk:
    """Hops that return with probability `back`, and vibration: D = rate·a²/6 · (1 + ⟨cos⟩)/(1 − ⟨cos⟩)."""
    directions = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1.0]]) * hop_A
    hop = rng.random((ions, frames)) < rate
    returns = rng.random((ions, frames)) < back
    other = rng.integers(0, 5, (ions, frames))
    last = rng.integers(0, 6, ions)
    step = np.zeros((ions, frames, 3))
    for t in range(frames):
        reverse = last ^ 1
        new = np.where(returns[:, t], reverse, other[:, t] + (other[:, t] >= reverse))
        moved = hop[:, t]
        last = np.where(moved, new, last)
        step[moved, t] = directions[new[moved]]
    cosine = -back + (1 - back) / 5
    D = rate * hop_A**2 / 6 * (1 + cosine) / (1 - cosine)
    return np.cumsum(step, axis=1) + vibration(rng, ions, frames, 2.0, 0.4), D


FAMILIES: dict[str, Callable[..., Walk]] = {
    "free": free_walk,
    "noise": noisy_walk,
    "anisotropic": anisotropic_walk,
    "cage+hops": cage_and_hops,
    "back-jumps": back_jumps,
}
SIZES = ((4, 500), (4, 4000), (24, 1000), (64, 500), (128, 2000))


def measure(family: str, ions: int, frames: int, sets: int, seed: int) -> dict[str, float]:
    """Return coverage and the like of one family at one size."""
    rng = np.random.default_rng([seed, list(FAMILIES).index(family), ions, frames])
    inside, stderr, start, ratio, other = [], [], [], [], []
    for _ in range(sets):
        r, D = FAMILIES[family](rng, ions, frames)
        moved = displacements_from_arrays(r, dt_ps=1.0, temperature_K=600.0, volume_A3=1000.0)
        fit = fit_diffusivity(moved)
        truth = D * 1e-4
        inside.append(fit.D_cm2_s.low <= truth <= fit.D_cm2_s.high)
        stderr.append(fit.ln_D_stderr)
        start.append(fit.fit_window_ps[0])
        ratio.append(fit.D_cm2_s.value / truth)
        other.append(fit.verdict != "diffusive")
    return {
        "coverage": float(np.mean(inside)),
        "stderr": float(np.median(stderr)),
        "scatter": float(np.std(ratio)),
        "bias": float(np.mean(ratio) - 1),
        "start": float(np.median(start)),
        "other": float(np.mean(other)),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=200, help="sets a family and size")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--family", choices=list(FAMILIES), action="append")
    parser.add_argument("--ions", type=int, help="with --frames: one size in place of the five")
    parser.add_argument("--frames", type=int)
    args = parser.parse_args()
    sizes = ((args.ions, args.frames),) if args.ions and args.frames else SIZES
    print("family        ions frames  coverage  stderr lnD  scatter    bias  start/ps  not diffusive  s")
    for family in args.family or FAMILIES:
        covered = []
        for ions, frames in sizes:
            began = time.perf_counter()
            row = measure(family, ions, frames, args.sets, args.seed)
            covered.append(row["coverage"])
            print(
                f"{family:<12} {ions:5d} {frames:6d}  {row['coverage']:8.3f}  {row['stderr']:10.4f}  "
                f"{row['scatter']:7.4f}  {row['bias']:+.3f}  {row['start']:8.1f}  {row['other']:13.2f}  "
                f"{time.perf_counter() - began:.0f}",
                flush=True,
            )
        print(f"{family:<12}   all         {np.mean(covered):8.3f}   ({args.sets * len(sizes)} sets)", flush=True)


if __name__ == "__main__":
    main()
