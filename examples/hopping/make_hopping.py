"""Ions that rattle in cages and hop with back-jumps: a toy whose D, MSD, α₂ and jumps are known exactly.

Each ion sits on a simple cubic lattice of spacing a and vibrates about its site as an overdamped oscillator.  It hops
to one of the six neighbours at rate Γ.  For a while after a hop, of mean 1/r, it also hops back at rate b.

    python make_hopping.py --out train --runs 3 --ions 12 --ps 400
    python make_hopping.py --out reference --runs 8 --ions 256 --ps 1600 --seed 100
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.linalg import expm

AXES = np.concatenate([np.eye(3), -np.eye(3)])


@dataclass(frozen=True)
class Hopping:
    """The toy's numbers; times in ps, lengths in Å."""

    a_A: float = 3.0
    hop_per_ps: float = 0.06
    back_per_ps: float = 0.1
    forget_per_ps: float = 0.25
    rattle_A: float = 0.23
    rattle_ps: float = 0.3

    @property
    def memory_per_ps(self) -> float:
        """Rate λ = r + Γ + 2b at which back-jumps are forgotten."""
        return self.forget_per_ps + self.hop_per_ps + 2.0 * self.back_per_ps

    @property
    def jumps_per_ps(self) -> float:
        """All hops, back-jumps included: J = Γ (Γ + r + b)/(Γ + r)."""
        slow = self.hop_per_ps + self.forget_per_ps
        return self.hop_per_ps * (slow + self.back_per_ps) / slow

    @property
    def D_A2_ps(self) -> float:
        """D = a² Γ (r + Γ + b) / (6 λ)."""
        slow = self.hop_per_ps + self.forget_per_ps
        return self.a_A**2 * self.hop_per_ps * (slow + self.back_per_ps) / (6.0 * self.memory_per_ps)

    @property
    def back_fraction(self) -> float:
        """Part of the hops whose next one goes straight back."""
        special = self.back_per_ps / (self.back_per_ps + self.hop_per_ps + self.forget_per_ps)
        return special + (1.0 - special) / 6.0

    def moments(self, time_ps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ⟨|Δ|²⟩ in Å² and ⟨|Δ|⁴⟩ in Å⁴ at some times, exactly.

        Moments of the hops x and of u = x·e, e the direction of a hop not yet forgotten, obey linear equations;
        y = (1, ⟨u⟩, ⟨u²⟩, ⟨x²⟩, ⟨x²u⟩ over ions that remember, ⟨x²⟩, ⟨x⁴⟩ over all).
        """
        a, g, b, r = self.a_A, self.hop_per_ps, self.back_per_ps, self.forget_per_ps
        fresh, loss = g / (g + r), r + g + b
        m = np.zeros((7, 7))
        m[1] = [g * a + b * a * fresh, -loss - b, 0, 0, 0, 0, 0]
        m[2] = [g * a**2 + b * a**2 * fresh, -2 * a * b, -loss + b, 0, 0, g / 3, 0]
        m[3] = [g * a**2 + b * a**2 * fresh, -2 * a * b, 0, -loss + b, 0, g, 0]
        m[4] = [(g + b * fresh) * a**3, -3 * a**2 * b, 2 * a * b, a * b, -loss - b, 5 / 3 * g * a, 0]
        m[5] = [(g + b * fresh) * a**2, -2 * a * b, 0, 0, 0, 0, 0]
        m[6] = [(g + b * fresh) * a**4, -4 * a**3 * b, 4 * a**2 * b, 2 * a**2 * b, -4 * a * b, 10 / 3 * g * a**2, 0]
        start = np.eye(7)[0]
        y = np.array([expm(m * t) @ start for t in np.atleast_1d(time_ps)])
        w = 2.0 * self.rattle_A**2 * (1.0 - np.exp(-np.atleast_1d(time_ps) / self.rattle_ps))
        return y[:, 5] + 3.0 * w, y[:, 6] + 10.0 * w * y[:, 5] + 15.0 * w**2

    def msd_A2(self, time_ps: np.ndarray) -> np.ndarray:
        """Return the exact mean squared displacement in Å²."""
        return self.moments(time_ps)[0]

    def alpha2(self, time_ps: np.ndarray) -> np.ndarray:
        """Return the exact non-Gaussian parameter 3⟨Δ⁴⟩/(5⟨Δ²⟩²) − 1."""
        second, fourth = self.moments(time_ps)
        return 0.6 * fourth / second**2 - 1.0

    def paths(self, ions: int, frames: int, dt_ps: float, seed: int) -> np.ndarray:
        """Return positions (ions, frames, 3) in Å of independent ions, stationary from the first frame."""
        rng = np.random.default_rng(seed)
        return self._hops(ions, frames, dt_ps, rng) + self._rattle(ions, frames, dt_ps, rng)

    def _hops(self, ions: int, frames: int, dt_ps: float, rng: np.random.Generator) -> np.ndarray:
        g, b, r = self.hop_per_ps, self.back_per_ps, self.forget_per_ps
        site = np.zeros((ions, frames, 3))
        last = AXES[rng.integers(6, size=ions)]
        fresh = rng.random(ions) < g / (g + r)
        time, end = np.zeros(ions), (frames - 1) * dt_ps
        at, here = np.arange(ions), np.zeros((ions, 3))
        while len(at):  # an event of every ion that is not yet at the end
            rate = np.where(fresh[at], g + b + r, g)
            until = time[at] + rng.exponential(1.0 / rate)
            kind = rng.random(len(at)) * rate
            hop = np.where((kind < g)[:, None], AXES[rng.integers(6, size=len(at))], -last[at])
            hop[kind >= g + b] = 0.0  # forgets where it came from
            moved = kind < g + b
            done = until <= end
            frame = np.ceil(until[done] / dt_ps).astype(np.int64)
            inside = frame < frames
            site[at[done][inside], frame[inside]] += self.a_A * hop[done][inside]
            last[at] = np.where(moved[:, None], hop, last[at])
            fresh[at] = moved
            time[at] = until
            at = at[done]
        return here[:, None] + np.cumsum(site, axis=1)

    def _rattle(self, ions: int, frames: int, dt_ps: float, rng: np.random.Generator) -> np.ndarray:
        from scipy.signal import lfilter

        keep = np.exp(-dt_ps / self.rattle_ps)
        noise = rng.standard_normal((ions, frames, 3)) * np.sqrt(1.0 - keep**2)
        noise[:, 0] /= np.sqrt(1.0 - keep**2)
        return self.rattle_A * lfilter([1.0], [1.0, -keep], noise, axis=1)


def main() -> None:
    """Write runs of the toy as .npz files that IonStride reads."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--out", required=True, help="name of the files before _1.npz, _2.npz …")
    ask.add_argument("--runs", type=int, default=3)
    ask.add_argument("--ions", type=int, default=12, help="ions in a run")
    ask.add_argument("--ps", type=float, default=400.0, help="length of a run")
    ask.add_argument("--dt-ps", type=float, default=0.1, help="time between frames")
    ask.add_argument("--seed", type=int, default=1)
    args = ask.parse_args()
    toy = Hopping()
    for run in range(args.runs):
        r_A = toy.paths(args.ions, round(args.ps / args.dt_ps) + 1, args.dt_ps, args.seed + run)
        path = Path(f"{args.out}_{run + 1}.npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            path, r_A=r_A.astype(np.float32), dt_ps=args.dt_ps, temperature_K=1000.0, volume_A3=1.0e4,
            symbols=np.array(["Li"] * args.ions),
        )  # fmt: skip
        print(path)
    lags = args.dt_ps * np.array([1, 8, 32, 127, 512])
    print(f"exact: D {toy.D_A2_ps:.4f} Å²/ps, {toy.jumps_per_ps:.3f} hops a ps, {toy.back_fraction:.3f} straight back")
    for t, msd, alpha2 in zip(lags, toy.msd_A2(lags), toy.alpha2(lags), strict=True):
        print(f"       {t:6.1f} ps: MSD {msd:8.3f} Å², alpha2 {alpha2:6.3f}")


if __name__ == "__main__":
    main()
