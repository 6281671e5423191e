"""The networks: a generator of endless series from noise, a critic at several time scales, a density."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .hops import Later, Law, draw_hops, mobility
from .start import Start

_DILATIONS = (1, 1, 2, 4, 8)
_KERNEL = 3
_FAR = 6.0  # rms displacements that a density sees as far
_LAW = [field.name for field in dataclasses.fields(Law)]


Noise = tuple[Tensor, Tensor, Tensor]


class Generator(nn.Module):
    """Series of scaled increments from noise alone: nothing that was generated is fed back.

    The noise is white, but for hops, which may be undone and which only mobile ions make (`hops`): a latent state of an
    ion that lasts longer than what the network sees.  Filter and hops of `Start` have the second moments of the data
    from the beginning.  A dilated convolution over steps of `block` records adds what they miss, and turns, scales and
    removes hops.  Its last layer starts at zero.  A series is stationary and endless.

    Parameters
    ----------
    start : filter and hops to begin with.
    ions : ions generated together, P; a record has C = 3 P channels, ion-major.
    width : channels of the hidden layers.
    block : records a step of the network.
    extra : further channels of Gaussian noise a step.
    """

    taps: Tensor
    hop_shape: Tensor
    law_moves: Tensor
    phase_mean: Tensor

    def __init__(self, start: Start, *, ions: int = 1, width: int = 48, block: int = 4, extra: int = 8) -> None:
        super().__init__()
        self.ions, self.channels, self.block, self.extra = ions, 3 * ions, block, extra
        channels = self.channels

        def known(name: str, value: Any) -> None:
            self.register_buffer(name, torch.as_tensor(np.array(value), dtype=torch.float32))

        known("taps", np.tile(start.taps, (ions, 1)))
        known("hop_shape", start.hop_shape)
        for name in _LAW:
            self.register_buffer(f"law_{name}", getattr(start.law, name).clone())
        known("phase_mean", np.zeros((block, channels)))
        self.enter = nn.Conv1d(block * 3 * channels + extra + ions, width, 1)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, _KERNEL, dilation=d) for d in _DILATIONS)
        self.mixers = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in _DILATIONS)
        self.leave = nn.Conv1d(width, block * channels * (1 + 6), 1)
        for weight in self.leave.parameters():
            nn.init.zeros_(weight)

    @property
    def steps_before(self) -> int:
        """Steps of noise that the convolution needs before the first it makes."""
        return (_KERNEL - 1) * sum(_DILATIONS)

    @property
    def hop_margin(self) -> int:
        """Records, whole steps, by which a hop's shape reaches back."""
        return -(-(len(self.hop_shape) - 1) // self.block) * self.block

    @property
    def margin(self) -> int:
        """Records of noise before the first record generated."""
        return (
            self.block * self.steps_before + self.hop_margin + -(-(self.taps.shape[1] - 1) // self.block) * self.block
        )

    @property
    def law(self) -> Law:
        """How hops are drawn."""
        return Law(**{name: getattr(self, f"law_{name}") for name in _LAW})

    def noise(
        self, batch: int, records: int, source: torch.Generator, before: Later | None = None
    ) -> tuple[Noise, Later]:
        """Return noise of `records` records, and what it leaves for the noise after it.

        The noise is Gaussian (B, C, T), first moves of bursts and all others (B, 2 C, T), and, a step, Gaussian and
        whether the ions are mobile (B, E + P, T / block).

        Parameters
        ----------
        batch, records : B and T, a multiple of the step.
        source : source of randomness.
        before : what the noise before this left; without it hops begin long enough before the first record.
        """
        device, law, ions = self.taps.device, self.law, batch * self.ions
        lead = 0 if before is not None else law.longest
        mobile = mobility(law, ions, records + lead, source, None if before is None else before.mobile)
        first, after, later = draw_hops(law, mobile, source, before)
        hops = torch.stack([first[:, lead:], after[:, lead:]])
        hops = hops.unflatten(1, (batch, self.ions)).permute(1, 0, 2, 4, 3).reshape(batch, -1, records)
        gauss = torch.randn(batch, self.channels, records, generator=source, device=device)
        extra = torch.randn(batch, self.extra, records // self.block, generator=source, device=device)
        share = mobile[:, lead:].float().view(batch, self.ions, -1, self.block).mean(dim=-1)
        state = (share - law.mobile) / (law.mobile * (1.0 - law.mobile)).sqrt().clamp_min(1e-3)
        return (gauss, hops, torch.cat([extra, state], dim=1)), later

    def forward(self, noise: Noise) -> Tensor:
        """Return scaled increments (B, T, C), the first of a step first, from noise of T + margin records."""
        gauss, hops, extra = noise
        filtered = filter_valid(gauss, self.taps)
        shift = gauss.shape[-1] - filtered.shape[-1]
        skip = -shift % self.block
        filtered, hops = filtered[..., skip:], hops[..., shift + skip :]
        extra = extra[..., extra.shape[-1] - filtered.shape[-1] // self.block :]
        h = self.enter(torch.cat([self._steps(filtered), self._steps(hops / self.unit), extra], dim=1))
        for layer, mixer in zip(self.layers, self.mixers, strict=True):
            moved = mixer(nn.functional.silu(layer(h)))
            h = h[..., h.shape[-1] - moved.shape[-1] :] + moved
        out = self.leave(nn.functional.silu(h))
        batch, _, steps = out.shape
        c, p = self.channels, self.ions
        out = out.view(batch, self.block, 7 * c, steps).permute(0, 3, 1, 2).reshape(batch, -1, 7, c)
        records = out.shape[1]
        struck = hops[..., -records:].view(batch, 2, p, 3, records)
        # hops move their ion as drawn, turned and scaled by what the network says at their record
        turned = out[:, :, 1:].view(batch, records, 2, 3, p, 3)
        moves = struck.sum(dim=1).permute(0, 3, 1, 2) + torch.einsum("bspjt,btsjpi->btpi", struck, turned)
        moves = moves.reshape(batch, records, c)
        if len(self.hop_shape) > 1:
            moves = filter_valid(moves.transpose(1, 2), self.hop_shape.expand(c, -1)).transpose(1, 2)
        keep = records - self.hop_margin
        made = filtered[..., -keep:].transpose(1, 2) + moves[:, -keep:] + out[:, -keep:, 0]
        return made - self.phase_mean.repeat(keep // self.block, 1)

    @property
    def unit(self) -> Tensor:
        """(2 C, 1) rms length of a hop along each axis, in which the network sees hops."""
        rms = self.law_moves[:, 0].square().mean(dim=0).sqrt().clamp_min(1.0)
        return rms.repeat(2 * self.ions)[:, None]

    def _steps(self, x: Tensor) -> Tensor:
        batch, channels, records = x.shape
        return (
            x.reshape(batch, channels, records // self.block, self.block)
            .permute(0, 3, 1, 2)
            .reshape(batch, self.block * channels, records // self.block)
        )

    def sample(self, batch: int, records: int, source: torch.Generator, *, centred: bool = False) -> Tensor:
        """Return fresh series (B, records, C), each cut at a random record of a step.

        Parameters
        ----------
        batch, records : B and the records wanted.
        source : source of randomness.
        centred : subtract the mean over the batch at each record of a step, as in training.
        """
        steps = -(-records // self.block) + 1
        noise, _ = self.noise(batch, steps * self.block + self.margin, source)
        made: Tensor = self(noise)
        if centred:
            made = made - made.unflatten(1, (steps, self.block)).mean(dim=(0, 1)).repeat(steps, 1)
        return cut_anywhere(made, records, self.block, source)

    def stream(self, batch: int, records: int, source: torch.Generator, chunk: int = 1024) -> Iterator[Tensor]:
        """Give one set of series (B, t, C) piece by piece, `records` in all; only noise is carried on."""
        first = torch.randint(self.block, (batch, 1, 1), generator=source, device=self.taps.device)
        noise, later = self.noise(batch, chunk + self.block + self.margin, source)
        tail = None
        while True:
            made = self(noise)
            made = made if tail is None else torch.cat([tail, made], dim=1)
            tail = made[:, -self.block :]
            count = min(records, made.shape[1] - self.block)
            places = first + torch.arange(count, device=made.device)[None, :, None]
            yield made.gather(1, places.expand(-1, -1, made.shape[2]))
            records -= count
            if records == 0:
                return
            new, later = self.noise(batch, chunk, source, later)
            kept = (self.margin, self.margin, self.margin // self.block)
            noise = tuple(
                torch.cat([old[..., -keep:], one], dim=-1) for old, one, keep in zip(noise, new, kept, strict=True)
            )  # type: ignore[assignment]


def cut_anywhere(made: Tensor, records: int, block: int, source: torch.Generator) -> Tensor:
    """Return `records` records of each series (B, T, C), starting at a random one of its first `block`."""
    first = torch.randint(block, (len(made), 1, 1), generator=source, device=made.device)
    places = first + torch.arange(records, device=made.device)[None, :, None]
    return made.gather(1, places.expand(-1, -1, made.shape[2]))


def filter_valid(x: Tensor, taps: Tensor) -> Tensor:
    """Return Σ_j taps(j) x(n − j) per channel where all x are known: (B, C, T) with (C, K) gives (B, C, T − K + 1)."""
    k, t = taps.shape[-1], x.shape[-1]
    n = 1 << (t - 1).bit_length() if t > 1 else 1
    product = torch.fft.rfft(x, n=n) * torch.fft.rfft(taps, n=n)
    return torch.fft.irfft(product, n=n)[..., k - 1 : t]


class Critic(nn.Module):
    """One number a window and scale: how real it looks.

    It sees the increments, the displacement from the window's start, and differences over 4, 16 and 64 records, each in
    units of its rms, for the slow part that makes D is hidden in the increments alone.

    Parameters
    ----------
    channels : increments a record, C.
    rms : (5) rms of the five views in units of the increments.
    width : channels of the hidden layers.
    """

    rms: Tensor

    def __init__(self, channels: int, rms: Any, width: int = 32) -> None:
        super().__init__()
        self.register_buffer("rms", torch.as_tensor(np.array(rms), dtype=torch.float32))
        self.enter = nn.Conv1d(5 * channels, width, 5, padding=2)
        self.blocks = nn.ModuleList(_Residual(width) for _ in range(5))
        self.heads = nn.ModuleList(nn.Linear(width, 1) for _ in range(5))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B) scores of windows (B, L, C)."""
        h = self.enter(views(x, self.rms))
        score = x.new_zeros(len(x))
        for block, head in zip(self.blocks, self.heads, strict=True):
            h = block(h)
            score = score + head(h.mean(dim=-1)).squeeze(-1)
            if h.shape[-1] > 1:  # short windows have fewer scales
                h = nn.functional.avg_pool1d(h, 2)
        return score


LAGS = (4, 16, 64)


def views(x: Tensor, rms: Tensor) -> Tensor:
    """Return what the critic sees of windows (B, L, C): (B, 5 C, L)."""
    d = x.transpose(1, 2)
    path = d.cumsum(dim=-1)
    seen = [d / rms[0], path / rms[1]]
    for number, lag in enumerate(LAGS):
        before = nn.functional.pad(path, (lag, 0))[..., : path.shape[-1]]
        seen.append((path - before) / rms[2 + number])
    return torch.cat(seen, dim=1)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(width, width, 3, padding=1)
        self.second = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(nn.functional.silu(self.first(nn.functional.silu(x))))
        return x + inner


class NextRecord(nn.Module):
    """Density of the next scaled increment given the displacements before it: a mixture of Gaussians.

    The history is seen as increments of the last 8 records and sums over ever longer stretches before them.

    Parameters
    ----------
    channels : increments a record, C.
    history : records it looks back.
    rms : (history + 1) rms displacement over 0 … history records, to scale what it sees.
    parts : Gaussians of the mixture.
    """

    edges: Tensor
    unit: Tensor
    phase_mean: Tensor

    def __init__(self, channels: int, history: int, rms: Any, width: int = 96, parts: int = 12) -> None:
        super().__init__()
        self.channels, self.parts, self.history = channels, parts, history
        edges = [*range(min(8, history) + 1)]
        while edges[-1] < history:
            edges.append(min(history, max(edges[-1] + 1, int(edges[-1] * 1.35))))
        self.register_buffer("edges", torch.tensor(edges))
        spans = np.diff(edges)
        self.register_buffer("unit", torch.as_tensor(np.asarray(rms)[spans], dtype=torch.float32))
        self.net = nn.Sequential(
            nn.Linear(channels * len(spans), width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, parts * (1 + 2 * channels)),
        )
        self.register_buffer("phase_mean", torch.zeros(1, channels))

    def features(self, path: Tensor) -> Tensor:
        """Return what is seen of paths (…, history + 1, C) up to the present: (…, F)."""
        places = path[..., self.history - self.edges, :]
        blocks = (places[..., :-1, :] - places[..., 1:, :]) / self.unit[:, None]
        return blocks.flatten(-2).clamp(-_FAR, _FAR)  # a series that leaves what the data know must not run away

    def mixture(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log weights (…, K), means and log widths (…, K, C)."""
        out = self.net(features)
        log_weight = out[..., : self.parts].log_softmax(dim=-1)
        mean, log_width = out[..., self.parts :].unflatten(-1, (2, self.parts, self.channels)).unbind(-3)
        return log_weight, mean, log_width.clamp(-7.0, 1.0)

    def log_density(self, features: Tensor, value: Tensor) -> Tensor:
        """Return the log density of increments (…, C)."""
        log_weight, mean, log_width = self.mixture(features)
        z = (value.unsqueeze(-2) - mean) * (-log_width).exp()
        inside = -0.5 * (z * z).sum(-1) - log_width.sum(-1) - 0.5 * self.channels * float(np.log(2 * np.pi))
        return torch.logsumexp(log_weight + inside, dim=-1)

    def draw(self, features: Tensor, source: torch.Generator) -> Tensor:
        """Return one increment each, (B, C)."""
        log_weight, mean, log_width = self.mixture(features)
        chosen = torch.multinomial(log_weight.exp(), 1, generator=source)[..., None].expand(-1, -1, self.channels)
        noise = torch.randn(mean[:, 0].shape, generator=source, device=mean.device)
        return mean.gather(1, chosen)[:, 0] + log_width.gather(1, chosen)[:, 0].exp() * noise

    def stream(self, batch: int, records: int, source: torch.Generator, chunk: int = 1024) -> Iterator[Tensor]:
        """Give one set of series (B, t, C) piece by piece, after a run-in of four histories that is thrown away."""
        span = self.history + 1
        path = self.edges.new_zeros((batch, 2 * span, self.channels), dtype=torch.float32)
        now, run_in, made = span - 1, 4 * self.history, []
        for number in range(records + run_in):
            if now == 2 * span - 1:  # the window of the past slides back to the front
                path = torch.cat([path[:, -span:], torch.zeros_like(path[:, :span])], dim=1) - path[:, -1:]
                now = span - 1
            step = self.draw(self.features(path[:, now - self.history : now + 1]), source) - self.phase_mean
            now += 1
            path[:, now] = path[:, now - 1] + step
            if number >= run_in:
                made.append(step)
            if made and (len(made) == chunk or number == records + run_in - 1):
                yield torch.stack(made, dim=1)
                made = []

    def sample(self, batch: int, records: int, source: torch.Generator, *, centred: bool = False) -> Tensor:
        """Return fresh series (B, records, C); `centred` is of no meaning here."""
        return torch.cat(list(self.stream(batch, records, source)), dim=1)
