"""Frames of the potential's own MD, labelled afterwards by the reference: where MD went, and whether that is true."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..labels import Cells, Gathered
from ..records import LabelledFrames, Structure
from ..results import Estimate
from . import accuracy
from .resample import of_frames, time_blocks
from .subject import MdRun


@dataclass(frozen=True)
class Fresh:
    """Frames of MD with labels of the reference.

    Attributes
    ----------
    frames : the frames, of one composition.
    groups : number of a group → run and temperature in K (or None).
    method : of the labels.
    """

    frames: LabelledFrames
    groups: dict[int, tuple[str, float | None]]
    method: str


def pick(runs: Sequence[MdRun], count: int) -> list[Cells]:
    """Return frames drawn evenly along runs of MD, those that ended early included, for a calculator to label.

    Parameters
    ----------
    runs : the runs; those without a frame are passed over.
    count : frames in all; each run gives its part, one at least.

    Raises
    ------
    InputError
        If no run has a frame, or the runs differ in their atoms.
    """
    there = [(run.id, run.path) for run in runs if run.path is not None]
    if not there:
        raise InputError("there is no MD whose frames could be labelled: --label-md wants a study with MD, or --md")
    if any(path.symbols != there[0][1].symbols for _, path in there):
        raise InputError("the runs of MD differ in their atoms; judge them one by one: --md RUN")
    picked = []
    for (name, path), part in zip(there, _shares(count, len(there)), strict=True):
        steps = len(path.time_ps)
        # The middles of equal stretches: the first frame is still that of the equilibration.
        rows = np.unique(((np.arange(part) + 0.5) * steps / part).astype(int))
        cells = np.broadcast_to(path.cell_A, (steps, 3, 3))[rows]
        structures = tuple(
            Structure(path.symbols, path.positions_A[k], cell) for k, cell in zip(rows, cells, strict=True)
        )
        digest = hashlib.sha256(np.ascontiguousarray(path.positions_A[rows]).tobytes()).hexdigest()
        picked.append(Cells(name, digest, structures, tuple(int(k) for k in rows), ("drawn evenly along the run",)))
    return picked


def _shares(count: int, parts: int) -> list[int]:
    return [max(1, len(part)) for part in np.array_split(np.arange(count), parts)]


def fresh_of(gathered: Gathered, kelvins: dict[str, float]) -> Fresh:
    """Return what was labelled, as it is judged.

    Parameters
    ----------
    gathered : the labelled frames.
    kelvins : source → temperature, where it does not say it.

    Raises
    ------
    InputError
        If there is more than one composition.
    """
    if len(gathered.compositions) != 1:
        names = ", ".join(gathered.compositions)
        raise InputError(f"the frames of --fresh hold several compositions ({names}); judge them one by one")
    (frames,) = gathered.compositions.values()
    groups = {
        int(g): (
            gathered.sources[int(g)].path,
            gathered.sources[int(g)].temperature_K or kelvins.get(gathered.sources[int(g)].path),
        )
        for g in np.unique(frames.group)
    }
    return Fresh(frames, groups, gathered.method)


def beside(
    fresh: Fresh,
    predicted: accuracy.Predicted,
    held_out: LabelledFrames,
    predicted_held_out: Sequence[tuple[float, accuracy.Predicted]],
) -> dict[str, Any]:
    r"""Return errors on frames of MD, and how they differ from those on held-out frames.

    ``shift_meV_atom`` is the mean of E_model − E_ref over frames of MD less that over held-out frames.  Below zero MD
    dwells where the potential is deeper than the reference: in structures that it alone likes.
    ``force_ratio`` is the force error on frames of MD over that on held-out frames,
    ln r ± √(h² + h'²) with the half-widths of the two 95 % intervals.

    Parameters
    ----------
    fresh, predicted : frames of MD, and what the potential that drove each of them says of it.
    held_out, predicted_held_out : frames that were not trained on, and of each potential that drove MD its share of
        the frames of MD and what it says of the held-out ones.
    """
    found = accuracy.accuracy(fresh.frames, predicted, fresh.groups)
    block = time_blocks(held_out)
    error = sum(share * (p.energy_eV - held_out.energy_eV) for share, p in predicted_held_out)
    square = sum(share * (p.force_eV_A - held_out.force_eV_A) ** 2 for share, p in predicted_held_out)
    here = found["energy_meV_atom"]["shift"]
    there = of_frames(1000.0 / len(held_out.symbols) * np.asarray(error), block)
    difference, half = here.value - there.value, math.hypot(_half(here), _half(there))
    force = of_frames(1e6 * np.asarray(square).mean(axis=(1, 2)), block, root=True)
    return {
        "method": fresh.method,
        **{name: found[name] for name in ("n_frames", "energy_meV_atom", "force_meV_A", "by_group")},
        "shift_meV_atom": Estimate(difference, difference - half, difference + half),
        "force_ratio": _ratio(found["force_meV_A"]["rmse"], force),
    }


def _half(e: Estimate) -> float:
    return 0.5 * (e.high - e.low)


def _ratio(a: Estimate, b: Estimate) -> Estimate | None:
    if not (a.value > 0.0 and b.value > 0.0):
        return None
    half = math.hypot(_half(a) / a.value, _half(b) / b.value)
    return Estimate(a.value / b.value, *(a.value / b.value * math.exp(s * half) for s in (-1, 1)))
