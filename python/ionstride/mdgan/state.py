"""The whole state of a training, saved so that going on from it gives bitwise the same weights."""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import FormatError, InputError
from ..runrecord import atomic_path

FORMAT = 3


@dataclass
class State:
    """All that changes while training.

    Attributes
    ----------
    net : what generates.
    ema : its weights averaged over the last steps.
    critic : what judges; None without an adversary.
    learned : learned projections; None without.
    optimisers : by name.
    source, rng : randomness of torch and of NumPy.
    step : steps done.
    best : weights, step and distance of the best look at the held-out data so far.
    history : a row a look.
    """

    net: nn.Module
    ema: nn.Module
    critic: nn.Module | None
    learned: torch.Tensor | None
    optimisers: dict[str, torch.optim.Optimizer]
    source: torch.Generator
    rng: np.random.Generator
    step: int = 0
    best: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


def average(ema: nn.Module, net: nn.Module, memory: int, step: int) -> None:
    """Move the averaged weights towards the present ones; at first over the few steps there are."""
    keep = min(1.0 - 1.0 / memory, step / (step + 10.0))
    with torch.no_grad():
        for mean, now in zip(ema.parameters(), net.parameters(), strict=True):
            mean.lerp_(now, 1.0 - keep)


def save(state: State, path: Path, key: str) -> None:
    """Write the state by temporary file and rename.

    Parameters
    ----------
    state : what to save.
    path : the file.
    key : of settings and data; going on asks for the same.
    """
    whole = {
        "format": FORMAT,
        "key": key,
        "step": state.step,
        "net": state.net.state_dict(),
        "ema": state.ema.state_dict(),
        "critic": None if state.critic is None else state.critic.state_dict(),
        "learned": None if state.learned is None else state.learned.detach(),
        "optimisers": {name: one.state_dict() for name, one in state.optimisers.items()},
        "source": state.source.get_state(),
        "rng": _plain(state.rng.bit_generator.state),
        "best": state.best,
        "history": state.history,
        "seconds": state.seconds,
    }
    with atomic_path(path) as temporary:
        torch.save(whole, temporary)


def load(state: State, path: Path, key: str) -> bool:
    """Take up a saved state; return False if there is none.

    Raises
    ------
    InputError
        If it is of other settings or data.
    FormatError
        If it cannot be read, or another version wrote it.
    """
    if not path.exists():
        return False
    whole = read(path)
    if whole.get("key") != key:
        raise InputError(
            f"'{path.parent}' holds a training with other settings or data; give another --out, or --restart"
        )
    state.net.load_state_dict(whole["net"])
    state.ema.load_state_dict(whole["ema"])
    if state.critic is not None:
        state.critic.load_state_dict(whole["critic"])
    if state.learned is not None:
        state.learned.data.copy_(whole["learned"])
    for name, one in state.optimisers.items():
        one.load_state_dict(whole["optimisers"][name])
    state.source.set_state(whole["source"])
    state.rng.bit_generator.state = _numbers(whole["rng"])
    state.step, state.best, state.history = whole["step"], whole["best"], whole["history"]
    state.seconds = whole["seconds"]
    return True


def read(path: Path) -> dict[str, Any]:
    """Return a file of tensors and plain values; nothing in it is run.

    Raises
    ------
    FormatError
        If it cannot be read, or another version wrote it.
    """
    try:
        whole = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever unpickling raises
        raise FormatError(path, f"not a file that IonStride wrote ({type(error).__name__}); train again") from error
    version = whole.get("format") if isinstance(whole, dict) else None
    if version != FORMAT:
        raise FormatError(
            path,
            f"its format is {version}, this IonStride reads {FORMAT}; train again, or use the version that wrote it",
        )
    found: dict[str, Any] = whole
    return found


def remember_best(state: State, distance: float) -> None:
    """Keep the averaged weights unless they are further from the held-out data than the nearest so far by 2 %.

    Distances to the few held-out windows scatter by more than longer training changes them: among equals the last wins.
    """
    least = min(distance, state.best.get("least", np.inf))
    if distance <= 1.02 * least:
        weights = copy.deepcopy(state.ema.state_dict())
        state.best = {"distance": distance, "least": least, "step": state.step, "weights": weights}


def _plain(value: Any) -> Any:
    """Return NumPy's state with its large integers as text, which torch can save without pickling."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return f"int {value}" if isinstance(value, int) else value


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numbers(inner) for name, inner in value.items()}
    return int(value[4:]) if isinstance(value, str) and value.startswith("int ") else value
