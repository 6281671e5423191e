"""Whether generated windows are copies: how near they lie to training windows, beside windows nobody trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _kernels
from ..checks import Array
from .series_statistics import Source
from .windows import FloatArray, Windows

_POINTS = 16  # of a window's path that are compared
_PROBES = 2000  # windows that are looked up
_LIBRARY = 40_000  # training windows at most
_NEAREST = 0.01  # part of the unseen windows that counts as near
_COPIES = 0.03  # part of the generated ones beyond which they are said to be copies


def memorisation(
    train: Windows, unseen: Windows, sources: Sequence[Source], rng: np.random.Generator
) -> dict[str, dict[str, Any]]:
    """Return how near generated and unseen windows are to their nearest training window.

    The distance is that of the paths at 16 points of the window, each in units of the rms displacement there.

    Parameters
    ----------
    train : windows the sources were made from.
    unseen : windows of trajectories they were not made from.
    sources : what draws.
    rng : source of randomness.

    Returns
    -------
    dict by the source's name, with `median_generated`, `median_unseen`, `near` (part of the generated windows that
    are nearer than all but the nearest 1 % of the unseen ones: 0.01 if nothing is copied) and `copies` (whether that
    is more than 0.03).
    """
    library = _path(_library(train))
    scale = np.sqrt(np.mean(library.astype(np.float64) ** 2, axis=0, keepdims=True))
    known = (library / scale).reshape(len(library), -1).astype(np.float32)
    seen = _nearest((_path(unseen.sample(_PROBES, rng)) / scale).reshape(_PROBES, -1), known)
    threshold = np.quantile(seen, _NEAREST)
    found = {}
    for source in sources:
        unit = int(getattr(source, "ions_together", 1))
        drawn = source.draw(-(-_PROBES // unit) * unit, train.length, rng)
        made = _nearest((_path(drawn) / scale).reshape(len(drawn), -1), known)
        near = float(np.mean(made < threshold))
        found[source.name] = {
            "median_generated": float(np.median(made)),
            "median_unseen": float(np.median(seen)),
            "near": near,
            "copies": near > _COPIES,
            "training_windows": len(library),
        }
    return found


def _library(train: Windows) -> FloatArray:
    """Return training windows at evenly spaced starts, as many as may be compared with."""
    step = max(1, -(-train.n_overlapping // _LIBRARY))
    starts = [np.arange(begin, begin + count, step) for begin, count in zip(train.begin, train.starts, strict=True)]
    ion = np.repeat(train.ion, [len(s) for s in starts])
    return _kernels.gather_windows(train.r_A, ion, np.concatenate(starts), train.length, train.stride)


def _path(x: FloatArray) -> FloatArray:
    at = np.unique(np.linspace(0, x.shape[1], _POINTS + 1)[1:].astype(np.int64)) - 1
    return np.asarray(np.cumsum(x, axis=1)[:, at], dtype=np.float32)


def _nearest(probes: Array | FloatArray, known: FloatArray) -> npt.NDArray[np.float64]:
    probes = probes.astype(np.float32)
    square = np.einsum("ij,ij->i", known, known)
    found = np.empty(len(probes))
    for first in range(0, len(probes), 250):
        part = probes[first : first + 250]
        distance = square - 2.0 * (part @ known.T)
        found[first : first + 250] = distance.min(axis=1) + np.einsum("ij,ij->i", part, part)
    return np.sqrt(np.maximum(found, 0.0))
