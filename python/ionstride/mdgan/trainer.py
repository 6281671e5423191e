"""Training: one flat loop."""

import copy
import hashlib
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError, PhysicsError
from ..records import Displacements
from ..runrecord import key_of, lock_folder, write_text
from ..ui import Screen
from . import losses, measures
from .model import Model, finish
from .networks import LAGS, Critic, Generator, NextRecord
from .settings import STEPS, TrainSettings
from .start import make_start
from .state import State, average, load, remember_best, save
from .windows import Windows, increment_covariance, msd_of_windows, reverse, split_windows, windows

_BANK, _AT_ONCE, _BANK_SETS = 500, 40, 64
_LOOKED_AT, _LOOK_WINDOWS = 120, 1024
_LEARNED = 16
_ADVERSARY = 0.02  # weight of the critic beside the distance
_AHEAD = 16  # records of each window that the density model predicts
_NEAR = 1.25  # times the distance of windows trained on: these scatter by a tenth from draw to draw
_CRITIC_STEPS = {"wgan-gp": 5, "relativistic": 1, "swd+critic": 1}


def train(
    data: Displacements, settings: TrainSettings, out: Path, *, screen: Screen | None = None, restart: bool = False
) -> Model:
    """Return a model trained on paths of mobile ions; everything is left in the folder `out`.

    Parameters
    ----------
    data : paths of the mobile ions, drift removed.
    settings : what to train and how.
    out : its folder; an unfinished training of the same settings and data is gone on with.
    screen : where to tell about it.
    restart : begin anew even so.

    Raises
    ------
    InputError
        If the data are too short, the settings do not fit, or memory of the GPU runs out.
    PhysicsError
        If the training diverges.
    """
    with _ranks() as (rank, ranks), _memory(settings):
        if rank:
            return _train(data, settings, out, screen or Screen(), restart, rank, ranks)
        with lock_folder(out):
            return _train(data, settings, out, screen or Screen(), restart, rank, ranks)


def _train(  # noqa: PLR0917
    data: Displacements, settings: TrainSettings, out: Path, screen: Screen, restart: bool, rank: int, ranks: int
) -> Model:
    device = pick_device(settings.device, rank)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    training, held_out = split_windows(data, settings.window, settings.stride, settings.validation, settings.part)  # type: ignore[arg-type]
    if settings.loss == "ar-mdn" and not replace(training, length=settings.window + _AHEAD).n_overlapping:
        raise InputError(
            f"the part trained on is shorter than {settings.window + _AHEAD} records, a window and the {_AHEAD} after "
            "it that ar-mdn predicts; take a shorter window or stride, or hold less out"
        )
    # Of all data: what is held out only chooses among the steps of the network, which all begin here.
    start = make_start(windows(data, settings.window, settings.stride))
    second_A2 = msd_of_windows(training)
    msd = second_A2 / start.scale_A**2
    setup = np.random.default_rng([settings.seed, 1])
    scaled = _Scaled(training, start.scale_A, settings, device)
    half = settings.batch // 2
    bank = losses.make_bank(scaled.sample(_BANK_SETS * half, setup, "cpu"), msd, setup, count=_BANK, batch=half).to(
        device
    )
    judged = losses.make_bank(
        _Scaled(held_out, start.scale_A, settings, device).sample(4 * _LOOK_WINDOWS, setup, "cpu"),
        msd, setup, count=_LOOKED_AT, batch=_LOOK_WINDOWS,
    ).to(device)  # fmt: skip
    truth = measures.look(
        scaled.sample(_LOOK_WINDOWS * 4, setup, "cpu"), losses.Bank(judged.weight.cpu(), judged.quantile.cpu())
    )
    wanted = torch.tensor(
        np.tile(increment_covariance(msd), settings.ions_together), dtype=torch.float32, device=device
    )

    state = _new_state(settings, start, msd, device, rank)
    key = key_of([asdict(settings), hashlib.sha256(np.ascontiguousarray(data.r_A).data).hexdigest(), data.source])
    checkpoint = out / "checkpoint.pt"
    if not restart and load(state, checkpoint, key) and rank == 0:
        screen.say(f"           going on from step {state.step}")
    if rank:
        _own_randomness(state, settings, rank)
    if not state.history:
        state.history = [{"step": 0.0, "loss": 0.0, **look_at(state, settings, judged, device)}]
        remember_best(state, state.history[0]["distance"])
    steps = _steps(settings, state.history[0]["distance"], truth["distance"], screen)
    settings = replace(settings, steps=steps)
    if rank == 0:
        write_text(out / "train.csv", _csv(state.history))
    begun, warned = time.monotonic() - state.seconds, set[str]()
    while state.step < steps:
        _set_rate(state, steps)
        loss = _step(state, settings, scaled, bank, wanted, ranks)
        state.step += 1
        average(state.ema, state.net, settings.ema, state.step)
        if state.step % settings.report_every and state.step != steps:
            continue
        row = {"step": float(state.step), "loss": loss, **look_at(state, settings, judged, device)}
        if not (math.isfinite(loss) and measures.is_finite(row)):
            raise PhysicsError(
                f"the training diverged at step {state.step}: the loss is {loss:g}, the distance to held-out windows "
                f"{row['distance']:g}; take a lower --rate, or --loss swd"
            )
        state.history.append(row)
        if state.step > steps // 2:
            remember_best(state, row["distance"])
        state.seconds = time.monotonic() - begun
        if rank:
            continue
        save(state, checkpoint, key)
        write_text(out / "train.csv", _csv(state.history))
        screen.news("training", state.step, steps, _words(row, state))
        for warning in measures.warnings_of(row, truth):
            kind = warning.split(":", maxsplit=1)[0][:24]
            if state.step > steps // 10 and kind not in warned:
                warned.add(kind)
                screen.warn(f"step {state.step}: {warning}")
    state.net.load_state_dict(state.best["weights"])
    return finish(state, settings=settings, start=start, data=data, truth=truth, out=out, key=key, rank=rank)


def _steps(settings: TrainSettings, start: float, data: float, screen: Screen) -> int:
    """Return how many steps to train; none, unless asked for, where the start is as near to the data as they are."""
    if settings.steps is not None:
        return settings.steps
    if settings.loss != "swd" or start > _NEAR * data:
        return STEPS
    screen.say(
        f"           the start is as near to held-out windows ({start:.3f}) as windows trained on are ({data:.3f}): "
        "what a network would learn is noise, so none is trained; --steps N does all the same"
    )
    return 0


def _new_state(settings: TrainSettings, start: Any, msd: Any, device: torch.device, rank: int) -> State:
    torch.manual_seed(settings.seed)
    ions = settings.ions_together
    net: nn.Module
    if settings.loss == "ar-mdn":
        net = NextRecord(3 * ions, settings.window, np.sqrt(msd.mean(axis=1)))
    else:
        net = Generator(start, ions=ions, width=settings.width)
    net = net.to(device)
    critic, learned = None, None
    gan = settings.loss in ("wgan-gp", "relativistic")
    rate = settings.rate * (0.25 if gan else 0.5 if settings.loss == "ar-mdn" else 1.0)
    betas = (0.0, 0.9) if gan else (0.9, 0.99)
    optimisers: dict[str, torch.optim.Optimizer] = {"net": torch.optim.Adam(net.parameters(), lr=rate, betas=betas)}
    if settings.loss in _CRITIC_STEPS:
        rms = np.sqrt([msd[min(lag, settings.window)].mean() for lag in (1, settings.window // 2, *LAGS)])
        critic = Critic(3 * ions, rms).to(device)
        optimisers["critic"] = torch.optim.Adam(critic.parameters(), lr=0.5 * settings.rate, betas=(0.0, 0.9))
    if settings.loss == "swd+critic":
        learned = nn.Parameter(torch.randn(_LEARNED, settings.window * 3 * ions).to(device))
        optimisers["learned"] = torch.optim.Adam([learned], lr=0.02)
    return State(
        net, copy.deepcopy(net).requires_grad_(False), critic, learned, optimisers,
        torch.Generator(device=device).manual_seed(settings.seed + 1), np.random.default_rng([settings.seed, 2, rank]),
    )  # fmt: skip


def _own_randomness(state: State, settings: TrainSettings, rank: int) -> None:
    """Give one of several processes randomness of its own: a checkpoint holds that of the first."""
    state.source.manual_seed(settings.seed * 1000 + rank * 7919 + state.step)
    state.rng = np.random.default_rng([settings.seed, 2, rank, state.step])


def _step(  # noqa: PLR0917
    state: State, settings: TrainSettings, data: "_Scaled", bank: losses.Bank, wanted: Tensor, ranks: int
) -> float:
    """Do one step of the generator (and of what judges it); return its loss."""
    if settings.loss == "ar-mdn":
        path = data.paths(settings.batch // 2, state.rng, _AHEAD)
        net = state.net
        assert isinstance(net, NextRecord)
        seen = torch.stack([net.features(path[:, k : k + net.history + 1]) for k in range(_AHEAD)], dim=1)
        value = path[:, net.history + 1 :] - path[:, net.history : -1]
        return _update(state, "net", -net.log_density(seen, value).mean(), ranks, clip=1.0)

    for _ in range(_CRITIC_STEPS.get(settings.loss, 0)):
        real = data.sample(settings.batch // 2, state.rng)
        with torch.no_grad():
            fake = state.net.sample(len(real), settings.window, state.source)  # type: ignore[operator]
        if settings.loss == "wgan-gp":
            loss = losses.wgan_critic(state.critic, real, fake, state.source)
        else:
            loss = losses.relativistic_critic(state.critic, real, fake, gamma=1.0)
        _update(state, "critic", loss, ranks)
        if state.learned is not None:
            _update(state, "learned", -losses.learned_distance(fake, real, state.learned), ranks)
    made = state.net.sample(settings.batch, settings.window, state.source, centred=True)  # type: ignore[operator]
    moments = losses.moment_loss(made, wanted)
    if settings.loss in ("wgan-gp", "relativistic"):
        half = made[: settings.batch // 2]
        if settings.loss == "wgan-gp":
            judged = -state.critic(half).mean()  # type: ignore[misc]
        else:
            judged = losses.relativistic_generator(state.critic, data.sample(len(half), state.rng), half)
        return _update(state, "net", judged + 0.1 * moments, ranks, clip=1.0)
    chosen = torch.from_numpy(state.rng.choice(len(bank.quantile), _AT_ONCE, replace=False)).to(made.device)
    loss = losses.sliced_distance(made, bank, chosen) + 0.02 * moments
    if settings.loss == "swd+critic":
        real = data.sample(settings.batch // 2, state.rng)
        half = made[: len(real)]
        loss = loss + 0.25 * losses.learned_distance(half, real, state.learned.detach())  # type: ignore[union-attr]
        loss = loss + _ADVERSARY * losses.relativistic_generator(state.critic, real, half)
    return _update(state, "net", loss, ranks, clip=1.0)


def _update(state: State, name: str, loss: Tensor, ranks: int, clip: float = 0.0) -> float:
    optimiser = state.optimisers[name]
    weights = [w for group in optimiser.param_groups for w in group["params"]]
    for weight in weights:
        weight.grad = None
    grads = torch.autograd.grad(loss, weights)
    for weight, grad in zip(weights, grads, strict=True):
        weight.grad = grad
    if ranks > 1:
        _share(weights, ranks)
    if clip:
        torch.nn.utils.clip_grad_norm_(weights, clip)
    optimiser.step()
    return float(loss.detach())


def _share(weights: list[Tensor], ranks: int) -> None:
    """Replace gradients by their mean over the processes."""
    flat = torch.cat([w.grad.flatten() for w in weights if w.grad is not None])
    torch.distributed.all_reduce(flat)
    place = 0
    for weight in weights:
        if weight.grad is not None:
            weight.grad = (flat[place : place + weight.numel()] / ranks).view_as(weight)
            place += weight.numel()


def _set_rate(state: State, steps: int) -> None:
    """Let the rates rise over fifty steps, then fall to a tenth along a cosine."""
    part = state.step / steps
    factor = min(1.0, (state.step + 1) / 50) * (0.1 + 0.45 * (1.0 + math.cos(math.pi * part)))
    for optimiser in state.optimisers.values():
        for group in optimiser.param_groups:
            group.setdefault("first_rate", group["lr"])
            group["lr"] = group["first_rate"] * factor


def look_at(state: State, settings: TrainSettings, judged: losses.Bank, device: torch.device) -> dict[str, float]:
    """Return the numbers of the averaged generator, always from the same noise."""
    source = torch.Generator(device=device).manual_seed(12345)
    with torch.no_grad():
        rows = [state.ema.sample(256, settings.window, source, centred=True) for _ in range(4)]  # type: ignore[operator]
        free = state.ema.sample(256, settings.window, source)  # type: ignore[operator]
    # the drift of centred series is none, whatever the generator does
    return {**measures.look(torch.cat(rows), judged), "drift": measures.drift_part(free)}


class _Scaled:
    """Windows in units of the scale, as torch wants them."""

    def __init__(self, windows: Windows, scale_A: Any, settings: TrainSettings, device: torch.device) -> None:
        self.windows, self.settings, self.device = windows, settings, device
        self.unit = torch.tensor(np.tile(scale_A, settings.ions_together), dtype=torch.float32)

    def sample(self, batch: int, rng: np.random.Generator, device: Any = None) -> Tensor:
        """Return (B, L, C) windows; half of them run backwards if that is asked for."""
        return self._scaled(self.windows, batch, rng, device)

    def _scaled(self, windows: Windows, batch: int, rng: np.random.Generator, device: Any) -> Tensor:
        cut = windows.sample(batch, rng, together=self.settings.ions_together)
        if self.settings.reverse:
            cut[: batch // 2] = reverse(cut[: batch // 2])
        made = torch.from_numpy(cut).div_(self.unit)
        return made.to(self.device if device is None else device)

    def paths(self, batch: int, rng: np.random.Generator, ahead: int) -> Tensor:
        """Return paths (B, L + ahead + 1, C) that start at zero, for a model that looks back L records."""
        longer = replace(self.windows, length=self.windows.length + ahead)
        d = self._scaled(longer, batch, rng, None)
        return torch.cat([torch.zeros_like(d[:, :1]), d.cumsum(dim=1)], dim=1)


def pick_device(asked: str, rank: int = 0) -> torch.device:
    """Return the device to train on.

    Raises
    ------
    InputError
        If a GPU is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise InputError("device 'cuda' was asked for, but torch sees no GPU here; take --device cpu")
    if asked == "cpu" or not there:
        return torch.device("cpu")
    return torch.device("cuda", rank % torch.cuda.device_count())


@contextmanager
def _ranks() -> Iterator[tuple[int, int]]:
    """Give number and count of the processes that torchrun started; 0 and 1 without it."""
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks == 1:
        yield 0, 1
        return
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield torch.distributed.get_rank(), ranks
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def _memory(settings: TrainSettings) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"the GPU's memory does not hold a batch of {settings.batch} windows of {settings.window} records; "
            f"take --batch {max(16, settings.batch // 4 * 2)}, or --device cpu"
        ) from error


def _words(row: dict[str, float], state: State) -> str:
    best = f", kept {state.best['distance']:.4f} at {state.best['step']}" if state.best else ""
    return (
        f"distance {row['distance']:.4f}{best}; variance {row['variance_x']:.2f} {row['variance_y']:.2f} "
        f"{row['variance_z']:.2f}; α₂ " + " ".join(f"{row[f'alpha2_{lag}']:.2f}" for lag in measures.LAGS)
    )


def _csv(history: list[dict[str, float]]) -> str:
    lines = [",".join(history[0])] + [",".join(f"{value:.8g}" for value in row.values()) for row in history]
    return "\n".join(lines) + "\n"
