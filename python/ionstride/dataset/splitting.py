"""A set into training and held-out frames: by run, by blocks of frame number with a gap, or by temperature."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import labels
from ..checks import Array, check_choice
from ..errors import InputError
from ..records import LabelledFrames
from ..runrecord import command_line, write_json
from .inspection import run_names
from .motion import force_memory
from .quantities import even_choice

Mask = npt.NDArray[np.bool_]

WAYS = ("blocks", "run", "temperature")
COPY_RMS_A = 0.05
"""Frames nearer than this (rms over atoms) are nearly copies."""

MOST_COMPARED = 200
SAME_K = 0.5


def split_set(
    path: Path,
    out: Path,
    *,
    by: str = "blocks",
    fraction: float = 0.1,
    blocks: int = 20,
    gap: int | None = None,
    held_out_K: tuple[float, ...] = (),
    seed: int = 1,
) -> dict[str, Any]:
    """Split a set into the sets ``train`` and ``valid``, and look for leaks between them.

    Parameters
    ----------
    path : the set.
    out : folder for ``train``, ``valid`` and ``split.json``.
    by : 'run': whole runs are held out; 'blocks': blocks of consecutive frame numbers of each run, and training frames
        within `gap` of them are left out of both; 'temperature': all runs at some temperatures.
    fraction : part held out, of runs or of blocks.
    blocks : number a run is cut into.
    gap : in frame numbers; by default how long the forces of the run remember themselves.
    held_out_K : temperatures; by default the highest.
    seed : of the choice.

    Returns
    -------
    What ``split.json`` holds, and ``summary``, lines for the screen.

    Raises
    ------
    InputError
        If the set cannot be split so.
    """
    check_choice("--by", by, WAYS)
    if not 0.0 < fraction < 0.9:
        raise InputError(f"--fraction {fraction:g}, wanted above 0 and below 0.9")
    if gap is not None and gap < 0:
        raise InputError(f"--gap {gap}, wanted zero or more")
    if held_out_K and by != "temperature":
        raise InputError("--held-out names temperatures, so it goes with --by temperature")
    if seed < 0:
        raise InputError(f"--seed {seed}, wanted zero or more")
    found = labels.load_set(Path(path))
    names = run_names(found)
    rng = np.random.default_rng(seed)
    gaps: dict[str, int] = {}
    if by == "blocks":
        if blocks < 2:
            raise InputError(f"--blocks {blocks}, wanted two or more")
        masks = {
            name: _by_blocks(frames, names, fraction, blocks, gap, rng, gaps)
            for name, frames in found.compositions.items()
        }
        rule = f"blocks of frame number ({blocks} a run)"
    else:
        chosen, rule = _runs(found, by, fraction, held_out_K, rng)
        masks = {}
        for name, frames in found.compositions.items():
            valid = np.isin(frames.group, chosen)
            masks[name] = (~valid, valid)
    parts: dict[str, dict[str, LabelledFrames]] = {"train": {}, "valid": {}}
    for name, frames in found.compositions.items():
        for part, mask in zip(parts, masks[name], strict=True):
            if mask.any():
                parts[part][name] = frames.take(mask)
    for part, compositions in parts.items():
        if not compositions:
            raise InputError(f"nothing is left in the {part} part; take another --fraction, --blocks or --gap")
    counts = {part: sum(len(f) for f in compositions.values()) for part, compositions in parts.items()}
    total = sum(len(frames) for frames in found.compositions.values())
    leak = check_leak(parts["train"], parts["valid"])
    about = {
        "set": str(path),
        "by": by,
        "rule": rule,
        "fraction": fraction,
        "seed": seed,
        "gap_frame_numbers": gaps,
        "n_train": counts["train"],
        "n_valid": counts["valid"],
        "n_left_out": total - counts["train"] - counts["valid"],
        "valid_runs": sorted({names[int(g)] for f in parts["valid"].values() for g in np.unique(f.group)}),
        "leak": leak,
        "command": command_line(),
    }
    for part, compositions in parts.items():
        labels.write_set(replace(found, compositions=compositions), out / part, {"split": {**about, "part": part}})
    write_json(out / "split.json", about)
    return {**about, "summary": _summary(about, out)}


def _runs(
    found: labels.Gathered, by: str, fraction: float, held_out_K: tuple[float, ...], rng: np.random.Generator
) -> tuple[list[int], str]:
    """Return the numbers of the sources to hold out, and the rule in words."""
    present = sorted({int(g) for frames in found.compositions.values() for g in np.unique(frames.group)})
    if len(present) < 2:
        raise InputError(f"the set holds one run, which cannot be split by {by}; take --by blocks")
    if by == "run":
        count = min(max(1, round(fraction * len(present))), len(present) - 1)
        chosen = sorted(int(g) for g in rng.choice(present, count, replace=False))
        return chosen, f"{count} of {len(present)} runs"
    kelvin = {g: found.sources[g].temperature_K for g in present}
    unknown = [found.sources[g].path for g, value in kelvin.items() if value is None]
    if unknown:
        raise InputError(
            f"the temperature of {unknown[0]} is not known, so the set cannot be split by it; import it with "
            "--temperature"
        )
    known = sorted({float(value) for value in kelvin.values() if value is not None})
    wanted = held_out_K or (known[-1],)
    for value in wanted:
        if min(abs(value - t) for t in known) > SAME_K:
            listed = ", ".join(f"{t:g}" for t in known)
            raise InputError(f"--held-out {value:g}: no run is at {value:g} K; the set has {listed} K")
    chosen = [g for g, t in kelvin.items() if t is not None and min(abs(t - w) for w in wanted) <= SAME_K]
    if len(chosen) == len(present):
        raise InputError("all runs of the set are at the temperatures held out; nothing is left to train on")
    return chosen, f"runs at {', '.join(f'{t:g}' for t in wanted)} K"


def _by_blocks(  # noqa: PLR0917
    frames: LabelledFrames,
    names: dict[int, str],
    fraction: float,
    blocks: int,
    gap: int | None,
    rng: np.random.Generator,
    gaps: dict[str, int],
) -> tuple[Mask, Mask]:
    """Return masks of training and of held-out frames; `gaps` is filled with the gap of each run."""
    train = np.ones(len(frames), dtype=np.bool_)
    valid = np.zeros(len(frames), dtype=np.bool_)
    for group in np.unique(frames.group):
        members = np.flatnonzero(frames.group == group)
        number = frames.frame_number[members]
        here = gap if gap is not None else memory_gap(frames.take(members))
        gaps[names[int(group)]] = here
        pieces = [p for p in np.array_split(members, min(blocks, len(members))) if len(p)]
        count = round(fraction * len(pieces))
        if len(pieces) < 2 or count == 0:
            continue
        places = (np.floor((np.arange(count) + rng.random()) * len(pieces) / count)).astype(int)
        held = np.concatenate([pieces[k] for k in places])
        valid[held] = True
        ends = np.array([[frames.frame_number[pieces[k][0]], frames.frame_number[pieces[k][-1]]] for k in places])
        near = ((number[:, None] >= ends[:, 0] - here) & (number[:, None] <= ends[:, 1] + here)).any(axis=1)
        train[members[near]] = False
    return train & ~valid, valid


def memory_gap(frames: LabelledFrames) -> int:
    """Return how many frame numbers the forces of a run remember: none where frames are independent."""
    memory = force_memory(frames)
    if memory is None or memory["independent"]:
        return 0
    if memory["memory"] is None:
        return int(np.ceil(max(memory["lag"], default=0.0)))
    return int(np.ceil(memory["memory"]))


def check_leak(train: dict[str, LabelledFrames], valid: dict[str, LabelledFrames]) -> dict[str, Any]:
    """Return how near held-out frames come to training frames, in frame numbers of one run and in space.

    Returns
    -------
    ``nearest_frame_number`` (of frames of one run, None where they share none), ``nearest_rms_A`` (least and median of
    the distance of held-out frames to their nearest training frame, rms over atoms, whole drift taken off),
    ``compared`` and ``copies``, the held-out frames nearer than 0.05 Å.
    """
    gaps: list[int] = []
    distance: list[float] = []
    for name, held in valid.items():
        if name not in train:
            continue
        rest = train[name]
        for group in np.intersect1d(held.group, rest.group):
            a = np.sort(rest.frame_number[rest.group == group])
            b = held.frame_number[held.group == group]
            place = np.searchsorted(a, b)
            after = a[np.minimum(place, len(a) - 1)]
            before = a[np.maximum(place - 1, 0)]
            gaps.append(int(np.minimum(np.abs(after - b), np.abs(b - before)).min()))
        distance += _nearest(held, rest).tolist()
    found = np.array(distance)
    return {
        "nearest_frame_number": min(gaps) if gaps else None,
        "nearest_rms_A": {"min": float(found.min()), "median": float(np.median(found))} if len(found) else None,
        "compared": len(found),
        "copies": int((found < COPY_RMS_A).sum()),
    }


def _nearest(held: LabelledFrames, rest: LabelledFrames) -> Array:
    """Return the rms distance of up to 200 held-out frames to the nearest of up to 2000 training frames."""
    chosen = even_choice(len(held), MOST_COMPARED)
    others = even_choice(len(rest), 2000)
    there = rest.positions_A[others] @ np.linalg.inv(rest.cell_A[others])
    cell = rest.cell_A[others]
    found = np.empty(len(chosen))
    for k, frame in enumerate(chosen):
        here = held.positions_A[frame] @ np.linalg.inv(held.cell_A[frame])
        step = there - here
        step -= np.rint(step)
        step -= step.mean(axis=1, keepdims=True)
        found[k] = np.sqrt(((step @ cell) ** 2).sum(axis=-1).mean(axis=-1)).min()
    return found


def _summary(about: dict[str, Any], out: Path) -> list[str]:
    lines = [
        f"held out: {about['rule']}",
        f"train {about['n_train']} frames, valid {about['n_valid']}, left out between them {about['n_left_out']}",
    ]
    if about["gap_frame_numbers"]:
        values = about["gap_frame_numbers"].values()
        span = f"{min(values)}" if min(values) == max(values) else f"{min(values)} to {max(values)}"
        lines.append(f"gap: {span} frame numbers")
    leak = about["leak"]
    if leak["nearest_rms_A"]:
        lines.append(
            f"leak check: nearest training frame {leak['nearest_rms_A']['min']:.3f} Å (rms) from a held-out one, "
            f"median {leak['nearest_rms_A']['median']:.3f} Å"
            + (
                f"; in one run {leak['nearest_frame_number']} frame numbers apart"
                if leak["nearest_frame_number"]
                else ""
            )
        )
    if leak["copies"]:
        lines.append(
            f"LEAK: {leak['copies']} of {leak['compared']} held-out frames have a training frame within "
            f"{COPY_RMS_A:g} Å: errors on them say nothing; take a larger --gap, or --by run"
        )
    elif leak["compared"]:
        lines.append("no held-out frame is nearly a copy of a training frame")
    lines.append(f"written to {out}/train and {out}/valid")
    return lines
