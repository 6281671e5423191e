"""Every loss in one small file: sliced distances, the adversarial pairs and their penalties, moments."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import Array

_LAG_LADDER = (1, 1, 1, 2, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 127)


@dataclass(frozen=True)
class Bank:
    """Projections of a window and the distribution of the data on each.

    Attributes
    ----------
    weight : (P, S, L·C) a projection at S places of the window, as weights of the increments.
    quantile : (P, N) expected sorted values of the data in a set of N = batch × S.
    """

    weight: Tensor
    quantile: Tensor

    def to(self, device: Any) -> "Bank":
        """Return the bank on a device."""
        return Bank(self.weight.to(device), self.quantile.to(device))


def make_bank(
    windows: Tensor, msd: Array, rng: np.random.Generator, *, count: int = 500, places: int = 16, batch: int = 256
) -> Bank:
    """Return a bank of random box projections and the quantiles of the data on them.

    A box is the displacement over a lag, along an axis or a random direction, in units of its rms; a projection adds
    one to three boxes of any sign, side by side or apart.  The law of all of them is the law of the window.  Values at
    several places of a window are taken together, for the series is stationary.

    Parameters
    ----------
    windows : (M, L, C) scaled increments of the data.
    msd : (L + 1, 3) scaled MSD per axis, for the units of the boxes.
    rng : source of randomness.
    count, places, batch : P, S and the number of generated windows in a sorted set.
    """
    length, channels = windows.shape[1:]
    weight = np.stack([_projection(length, channels, msd, rng, places) for _ in range(count)])
    flat = windows.reshape(len(windows), -1)
    parts, scaled = [], torch.from_numpy(weight)
    wanted = batch * places
    rows = len(flat) // batch * batch
    for number in range(count):
        value = (flat[:rows] @ scaled[number].T).reshape(-1)
        scaled[number] /= (value * value).mean().sqrt().clamp_min(1e-12)
        value = value / (value * value).mean().sqrt().clamp_min(1e-12)
        # Means of the sorted values of whole sets, for those of a generated set are compared with them: in a small set
        # the largest value is on average another than the largest of all.
        parts.append(value.view(-1, wanted).sort(dim=1).values.mean(dim=0))
    return Bank(scaled, torch.stack(parts))


def _projection(length: int, channels: int, msd: Array, rng: np.random.Generator, places: int) -> Any:
    """Return the weights (S, L·C) of one projection at S places."""
    while True:
        boxes = int(rng.choice([1, 2, 3], p=[0.4, 0.35, 0.25]))
        lags = np.minimum(rng.choice(_LAG_LADDER, size=boxes), length)
        gaps = np.where(rng.random(boxes) < 0.6, 0, rng.choice(_LAG_LADDER, size=boxes))
        gaps[0] = 0
        starts = np.cumsum(gaps) + np.concatenate([[0], np.cumsum(lags)[:-1]])
        span = int(starts[-1] + lags[-1])
        if span <= length:
            break
    one = np.zeros((span, channels))
    common = _direction(channels, rng) if rng.random() < 0.6 else None
    for begin, lag in zip(starts, lags, strict=True):
        direction = _direction(channels, rng) if common is None else common
        rms = np.sqrt((direction.reshape(-1, 3) ** 2 @ msd[lag]).sum())
        size = rng.uniform(0.5, 1.0) * rng.choice([-1.0, 1.0])
        one[begin : begin + lag] += size / max(rms, 1e-12) * direction
    places_at = np.rint(np.linspace(0, length - span, places)).astype(int)
    weight = np.zeros((places, length, channels), dtype=np.float32)
    for number, at in enumerate(places_at):
        weight[number, at : at + span] = one
    return np.asarray(weight.reshape(places, -1))


def _direction(channels: int, rng: np.random.Generator) -> Array:
    """Return a unit vector: an axis or any direction of one ion, seldom of all ions together."""
    direction = np.zeros(channels)
    if rng.random() < 0.5:
        direction[rng.integers(channels)] = 1.0
        return direction
    ion = 3 * int(rng.integers(channels // 3))
    part = slice(None) if channels > 3 and rng.random() < 0.3 else slice(ion, ion + 3)
    direction[part] = rng.normal(size=len(direction[part]))
    return np.asarray(direction / np.linalg.norm(direction))


def sliced_distance(x: Tensor, bank: Bank, chosen: Tensor) -> Tensor:
    """Return the mean squared Wasserstein-2 distance over the chosen projections, in units of their variance.

    The batch is halved where the bank was made for half of it: the product of the misfits is then an unbiased square,
    and sampling noise does not pull the generator towards too little variance.

    Parameters
    ----------
    x : (B, L, C) generated increments.
    bank : made for batches of B or B / 2.
    chosen : numbers of the projections.
    """
    weight = bank.weight[chosen]
    value = x.reshape(len(x), -1) @ weight.reshape(-1, weight.shape[-1]).T
    value = value.view(len(x), len(chosen), -1).permute(1, 0, 2).reshape(len(chosen), -1)
    wanted = bank.quantile[chosen]
    if value.shape[1] == wanted.shape[1]:
        return (value.sort(dim=1).values - wanted).square().mean()
    misfit = value.view(len(chosen), 2, -1).sort(dim=2).values - wanted[:, None]
    return (misfit[:, 0] * misfit[:, 1]).mean()


def learned_distance(fake: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Return the squared Wasserstein-2 distance on learned projections (Q, L·C), in units of the data's variance."""
    value = real.reshape(len(real), -1) @ weight.T
    scale = value.square().mean(dim=0).clamp_min(1e-12)
    other = fake.reshape(len(fake), -1) @ weight.T
    return ((other.sort(dim=0).values - value.sort(dim=0).values).square().mean(dim=0) / scale).mean()


def covariance_by_lag(x: Tensor) -> Tensor:
    """Return C(k) of increments (B, L, C) per channel, (L, C), the zero mean taken as known."""
    length = x.shape[1]
    power = torch.fft.rfft(x, n=2 * length, dim=1).abs().square().mean(dim=0)
    pairs = torch.arange(length, 0, -1, device=x.device, dtype=x.dtype)
    return torch.fft.irfft(power, n=2 * length, dim=0)[:length] / pairs[:, None]


def moment_loss(x: Tensor, wanted: Tensor) -> Tensor:
    """Return the misfit of C(k) and of the MSD within the window.

    The product of two independent half-batches is an unbiased square: noise does not pull the variance down.

    Parameters
    ----------
    x : (B, L, C).
    wanted : (L, C) C(k) of the data in the same units.
    """
    half = len(x) // 2
    one, two = (covariance_by_lag(part) - wanted for part in (x[:half], x[half:]))
    covariance = (one * two).sum(dim=0).mean()
    msd = msd_of_covariance(wanted)
    first, second = (msd_of_covariance(part) / msd for part in (one, two))
    lags = torch.tensor(sorted({min(lag, len(wanted)) for lag in _LAG_LADDER}), device=x.device) - 1
    return covariance + (first * second)[lags].mean()


def msd_of_covariance(covariance: Tensor) -> Tensor:
    """Return the MSD at 1 … L from C(k): its second difference is 2 C(k)."""
    slope = 2.0 * covariance.cumsum(dim=0) - covariance[:1]
    return slope.cumsum(dim=0)


def wgan_critic(critic: Any, real: Tensor, fake: Tensor, source: torch.Generator, penalty: float = 10.0) -> Tensor:
    """Return the critic's loss of WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028)."""
    mix = torch.rand(len(real), 1, 1, generator=source, device=real.device)
    between = (mix * real + (1.0 - mix) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    steep = (slope.flatten(1).norm(dim=1) - 1.0).square().mean()
    return critic(fake).mean() - critic(real).mean() + penalty * steep


def relativistic_critic(critic: Any, real: Tensor, fake: Tensor, gamma: float) -> Tensor:
    """Return the critic's loss of the relativistic game with R1 and R2 (Huang et al. 2024, arXiv:2501.05441)."""
    real, fake = real.requires_grad_(), fake.requires_grad_()
    of_real, of_fake = critic(real), critic(fake)
    (first,) = torch.autograd.grad(of_real.sum(), real, create_graph=True)
    (second,) = torch.autograd.grad(of_fake.sum(), fake, create_graph=True)
    steep = first.square().sum(dim=(1, 2)).mean() + second.square().sum(dim=(1, 2)).mean()
    return torch.nn.functional.softplus(of_fake - of_real).mean() + 0.5 * gamma * steep


def relativistic_generator(critic: Any, real: Tensor, fake: Tensor) -> Tensor:
    """Return the generator's side of the relativistic pairing game."""
    return torch.nn.functional.softplus(critic(real) - critic(fake)).mean()
