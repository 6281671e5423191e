"""Numbers looked at while training: how near the held-out data, and words of warning when it goes wrong."""

from typing import Any

import torch
from torch import Tensor

from .losses import Bank, sliced_distance

LAGS = (1, 8, 32, 127)


def look(x: Tensor, bank: Bank) -> dict[str, float]:
    """Return the distance to the held-out data and the moments of generated windows (B, L, C).

    `distance` is the sliced Wasserstein distance (root of the mean square, in units of the rms of each projection);
    `variance_*` of an increment and `alpha2_*` by lag; `drift` the part of the MSD at L that the mean makes.
    """
    rows = bank.quantile.shape[1] // bank.weight.shape[1]
    every = torch.arange(len(bank.quantile), device=x.device)
    row = {"distance": float(sliced_distance(x[:rows], bank, every).clamp_min(0.0).sqrt())}
    row |= {f"variance_{axis}": float(x[:, :, index::3].square().mean()) for index, axis in enumerate("xyz")}
    path = x.cumsum(dim=1)
    row["drift"] = drift_part(x)
    for lag in LAGS:
        row[f"alpha2_{lag}"] = alpha2(path, lag)
    return row


def drift_part(x: Tensor) -> float:
    """Return the part of the MSD at L that the mean of windows (B, L, C) makes, the largest of all axes."""
    end = x.sum(dim=1)
    mean, msd = end.mean(dim=0), end.square().mean(dim=0)
    # What chance alone makes of the mean, msd / B, is taken off.
    return float(((mean.square() - msd / len(x)) / msd).max())


def alpha2(path: Tensor, lag: int) -> float:
    """Return α₂ = 3⟨r⁴⟩ / (5⟨r²⟩²) − 1 of paths (B, L, 3 P), axes in units of their own rms."""
    lag = min(lag, path.shape[1])
    start = torch.cat([torch.zeros_like(path[:, :1]), path[:, :-lag]], dim=1)
    moved = (path[:, lag - 1 :] - start).unflatten(-1, (-1, 3))
    moved = moved / moved.square().mean(dim=(0, 1, 2)).sqrt().clamp_min(1e-12)
    square = moved.square().sum(-1)
    return float(0.6 * square.square().mean() / square.mean().square() - 1.0)


def warnings_of(row: dict[str, float], data: dict[str, float]) -> list[str]:
    """Return what looks wrong, in words; empty if nothing does.

    Parameters
    ----------
    row : numbers of the generated windows.
    data : the same of the training windows.
    """
    found = []
    for axis in "xyz":
        ratio = row[f"variance_{axis}"] / data[f"variance_{axis}"]
        if ratio < 0.7:
            found.append(f"collapse: the variance of an increment along {axis} is {ratio:.2f} of the data's")
        if ratio > 1.4:
            found.append(f"the variance of an increment along {axis} is {ratio:.2f} times the data's")
    if row["drift"] > 0.05:
        found.append(f"drift: a mean step makes {100 * row['drift']:.0f} % of the MSD at one window")
    for lag in LAGS:
        ours, theirs = row[f"alpha2_{lag}"], data[f"alpha2_{lag}"]
        if theirs > 0.3 and ours < 0.3 * theirs:
            found.append(
                f"nearly Gaussian: α₂ at {lag} records is {ours:.2f}, in the data {theirs:.2f}; hops are smeared"
            )
        if ours > 3.0 * max(theirs, 0.2) + 0.2:
            found.append(f"α₂ at {lag} records is {ours:.2f}, in the data {theirs:.2f}: a few series move far too much")
    return found


def is_finite(row: dict[str, Any]) -> bool:
    """Tell whether all numbers are finite."""
    return bool(torch.isfinite(torch.tensor(list(row.values()))).all())
