"""Coverage of the 95 % intervals by families of synthetic walks whose D is known exactly.

    python tests/physics/coverage.py --sets 100

For each family and size: the part of all sets whose interval of D holds the truth (for a verdict other than
'diffusive' the interval is [0, bound]), the median of the interval's half-width over 1.96 times the true scatter of
D, the median of D over the truth, the part of the sets with more than 200 hops that are judged 'diffusive', and the
coverage of the diagonal of the tensor, of the collective D and of the Haven ratio (of those that are diffusive).
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from ionstride.transport import displacements_from_arrays, fit_charge_diffusivity, fit_diffusivity, haven_ratio

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


def concerted_walk(rng: np.random.Generator, ions: int, frames: int, step_A: float = 0.5) -> Walk:
    """Gaussian walk half of whose variance is a step that all ions of a quarter make together."""
    own = rng.normal(0, step_A, (ions, frames, 3))
    shared = rng.normal(0, step_A, (4, frames, 3))
    return np.cumsum(own + shared[np.arange(ions) % 4], axis=1), step_A**2


FAMILIES: dict[str, Callable[..., Walk]] = {
    "free": free_walk,
    "noise": noisy_walk,
    "anisotropic": anisotropic_walk,
    "cage+hops": cage_and_hops,
    "back-jumps": back_jumps,
    "concerted": concerted_walk,
}
SIZES = ((4, 500), (4, 4000), (24, 1000), (64, 500), (128, 2000), (512, 1000), (16, 20_000))
TENSOR = {"anisotropic"}  # truth of the tensor is isotropic elsewhere


def true_tensor(family: str, D: float) -> np.ndarray:
    """3×3 truth in Å²/ps."""
    if family not in TENSOR:
        return D * np.eye(3)
    scale = np.array([1.0, 0.3, 0.05]) * 0.5
    turn = np.linalg.qr(np.array([[1.0, 0.4, -0.2], [0.3, 1.0, 0.5], [0.1, -0.6, 1.0]]))[0]
    return turn.T @ np.diag(scale**2 / 2) @ turn


def true_haven(family: str, ions: int) -> float:
    """D_self / D_charge: 1 where ions move independently."""
    if family != "concerted":
        return 1.0
    sizes = np.bincount(np.arange(ions) % 4)
    return 2.0 / (1.0 + float(np.sum(sizes**2)) / ions)


def measure(family: str, ions: int, frames: int, sets: int, seed: int) -> dict[str, float]:
    """Return coverage and the like of one family at one size; NaN where nothing counts."""
    rng = np.random.default_rng([seed, list(FAMILIES).index(family), ions, frames])
    rows: dict[str, list[float]] = {k: [] for k in ("in", "half", "D", "many", "tensor", "charge", "haven", "start")}
    for _ in range(sets):
        r, D = FAMILIES[family](rng, ions, frames)
        moved = displacements_from_arrays(r, dt_ps=1.0, temperature_K=600.0, volume_A3=1000.0)
        fit = fit_diffusivity(moved)
        truth = D * 1e-4
        rows["in"].append(fit.D_cm2_s.low <= truth <= fit.D_cm2_s.high)
        rows["D"].append(fit.D_cm2_s.value / truth)
        rows["start"].append(fit.fit_window_ps[0])
        rows["half"].append(0.5 * (fit.D_cm2_s.high - fit.D_cm2_s.low) / truth)
        if ions * 6 * D * frames / 9.0 > 200:
            rows["many"].append(fit.verdict == "diffusive")
        if fit.verdict == "diffusive":
            gap = np.abs(fit.tensor.value / 1e-4 - true_tensor(family, D)) / (fit.tensor.stderr / 1e-4)
            rows["tensor"] += list(np.diag(gap) < 2.0)
        charge = fit_charge_diffusivity(moved, fit)
        haven = true_haven(family, ions)
        rows["charge"].append(charge.D_cm2_s.low <= truth / haven <= charge.D_cm2_s.high)
        ratio = haven_ratio(fit, charge)
        if ratio is not None:
            rows["haven"].append(ratio.low <= haven <= ratio.high)
    half = np.median(rows["half"]) / (1.96 * np.std(rows["D"]))
    rows["width"] = [float(half)]
    rows["D"] = [float(np.median(rows["D"]))]
    return {name: float(np.mean(values)) if values else float("nan") for name, values in rows.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=100, help="sets a family and size (large sizes: a third)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--family", choices=list(FAMILIES), action="append")
    parser.add_argument("--ions", type=int, help="with --frames: one size in place of all")
    parser.add_argument("--frames", type=int)
    args = parser.parse_args()
    sizes = ((args.ions, args.frames),) if args.ions and args.frames else SIZES
    columns = ("in", "width", "D", "many", "tensor", "charge", "haven", "start")
    titles = ("coverage", "width", "D/true", "diffusive", "tensor", "charge", "Haven", "start/ps")
    print(f"{'family':<12}{'ions':>6}{'frames':>7}{'sets':>6}" + "".join(f"{t:>10}" for t in titles) + "     s")
    for family in args.family or FAMILIES:
        found, weights = [], []
        for ions, frames in sizes:
            began = time.perf_counter()
            sets = max(2, args.sets // 3) if ions * frames > 200_000 else args.sets
            row = measure(family, ions, frames, sets, args.seed)
            found.append([row[c] for c in columns])
            weights.append(sets)
            print(
                f"{family:<12}{ions:>6}{frames:>7}{sets:>6}"
                + "".join(f"{v:>10.3f}" for v in found[-1])
                + f"{time.perf_counter() - began:>6.0f}",
                flush=True,
            )
        table = np.array(found)
        there = np.isfinite(table)
        mean = np.nansum(table * np.array(weights)[:, None], axis=0) / (there * np.array(weights)[:, None]).sum(axis=0)
        for name in ("width", "D"):
            mean[columns.index(name)] = np.median(table[:, columns.index(name)])
        print(f"{family:<12}   all       {sum(weights):>6}" + "".join(f"{v:>10.3f}" for v in mean), flush=True)


if __name__ == "__main__":
    main()
