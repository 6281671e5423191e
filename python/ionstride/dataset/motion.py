"""What the runs of a set say as trajectories: temperature, MSD and D, how long frames remember each other."""

from typing import Any

import numpy as np

from .. import transport
from ..checks import Array
from ..errors import InputError, PhysicsError
from ..records import LabelledFrames
from ..settings import TransportSettings
from ..stages.analysis import analyse
from ..trajectory.assemble import Raw, assemble
from ..units import KB_EV_K

AMU_A2_PS2_EV = 1.0364269656262e-4  # (1 amu Å²/ps²) in eV
MOST_LOST = 0.05
"""Of the kinetic energy: what the mean velocity between two frames may have lost of it."""

FEWEST_STEPS = 5
FEWEST_FRAMES = 50
MEMORY_LEVEL = 1.0 / np.e


def temperature_of_steps(frames: LabelledFrames, frame_ps: float) -> dict[str, float] | None:
    r"""Return the temperature that displacements between frames near in time show, with its interval.

    .. math:: 3(N-1) k T = \sum_i \left( \frac{m_i |\Delta x_i|^2}{\Delta t^2}
              + \frac{\Delta t^2}{12} \frac{|F_i|^2}{m_i} \right)

    The first term is the kinetic energy of the mean velocity over Δt, motion of the whole taken off; the second is
    what the mean has lost of it, to second order in Δt, and is known from the forces.  Pairs of frames that follow one
    another are pooled up to the Δt at which it is a twentieth.

    Parameters
    ----------
    frames : frames of one run, in order.
    frame_ps : time between frame numbers.

    Returns
    -------
    kelvin, low and high (95 %, from the scatter between pairs), pairs and longest_ps; None where no five pairs of
    frames are near enough in time.
    """
    from ase.data import atomic_masses, atomic_numbers

    masses = np.array([atomic_masses[atomic_numbers[s]] for s in frames.symbols])[:, None]
    lost = (frames.force_eV_A**2 / masses).sum(axis=(1, 2)) / AMU_A2_PS2_EV / 12.0  # eV/ps², of one frame
    gap = np.diff(frames.frame_number)
    kept: list[Array] = []
    longest = 0.0
    for number in np.unique(gap[gap > 0]):
        time = float(number) * frame_ps
        first = np.flatnonzero(gap == number)
        step = _steps(frames, first, first + 1)
        step -= (step * masses).sum(axis=1, keepdims=True) / masses.sum()
        seen = AMU_A2_PS2_EV * (masses * step**2).sum(axis=(1, 2)) / time**2
        correction = 0.5 * (lost[first] + lost[first + 1]) * time**2
        if correction.mean() > MOST_LOST * seen.mean():
            break
        kept.append((seen + correction) / (3.0 * (len(masses) - 1) * KB_EV_K))
        longest = time
    kelvin = np.concatenate(kept) if kept else np.zeros(0)
    if len(kelvin) < FEWEST_STEPS:
        return None
    half = 1.96 * float(kelvin.std(ddof=1)) / np.sqrt(len(kelvin))
    mean = float(kelvin.mean())
    return {"kelvin": mean, "low": mean - half, "high": mean + half, "pairs": len(kelvin), "longest_ps": longest}


def _steps(frames: LabelledFrames, first: Any, second: Any) -> Array:
    inverse = np.linalg.inv(frames.cell_A)
    step = frames.positions_A[second] @ inverse[second] - frames.positions_A[first] @ inverse[first]
    step -= np.rint(step)
    moved: Array = step @ (0.5 * (frames.cell_A[first] + frames.cell_A[second]))
    return moved


def force_memory(frames: LabelledFrames, most: int = 400) -> dict[str, Any] | None:
    r"""Return how the forces of a run forget themselves, by difference of frame number.

    The correlation is :math:`\langle \delta F_i(n) \delta F_i(n+k)\rangle / \langle \delta F_i^2\rangle` with the mean
    force of each atom taken off; uneven frame numbers are binned.

    Parameters
    ----------
    frames : frames of one run, in order.
    most : frames looked at; of more, the first so many.

    Returns
    -------
    ``lag`` and ``correlation`` (binned), ``memory``: the frame-number difference after which the correlation stays
    below 1/e in magnitude (None if it never does), ``independent``: whether it is below from the start, and
    ``effective_frames`` = span / (2 · memory), at most the number of frames; None with fewer than ten frames.
    """
    if len(frames) < 10:
        return None
    part = frames.take(slice(0, most))
    force = part.force_eV_A.reshape(len(part), -1)
    force = force - force.mean(axis=0)
    power = float((force**2).sum(axis=1).mean())
    if not power > 0.0:
        return None
    i, j = np.triu_indices(len(part), 1)
    gap = part.frame_number[j] - part.frame_number[i]
    product = (force @ force.T)[i, j] / power
    near = gap <= np.percentile(gap, 50)
    gap, product = gap[near], product[near]
    edges = np.unique(np.concatenate([np.arange(1, 11), np.geomspace(11, max(12, gap.max() + 1), 25)]).round())
    which = np.digitize(gap, edges) - 1
    lag, value = [], []
    for k in range(len(edges)):
        if (members := which == k).sum() >= 3:
            lag.append(float(gap[members].mean()))
            value.append(float(product[members].mean()))
    above = [k for k, v in enumerate(value) if abs(v) > MEMORY_LEVEL]  # a mode half a period on is no news either
    memory = None
    if value and (not above or above[-1] + 1 < len(value)):
        memory = lag[above[-1] + 1] if above else lag[0]
    spanned = int(frames.frame_number[-1] - frames.frame_number[0]) + 1
    effective = None if memory is None else float(min(len(frames), max(1.0, spanned / (2.0 * memory))))
    independent = bool(value) and not above
    return {
        "lag": lag,
        "correlation": value,
        "memory": memory,
        "independent": independent,
        "effective_frames": float(len(frames)) if independent else effective,
    }


def own_diffusion(
    frames: LabelledFrames, mobile: str, frame_ps: float | None, temperature_K: float | None, source: str
) -> dict[str, Any]:
    """Return the MSD and D of one run with their intervals, as `stages.analysis.analyse` gives them; or ``why`` not.

    Parameters
    ----------
    frames : frames of one run, in order; uneven frame numbers stay uneven times.
    mobile : element.
    frame_ps : time between frame numbers.
    temperature_K : of the run.
    source : name of the run.
    """
    why = ""
    if mobile not in frames.symbols:
        why = f"no {mobile} in it"
    elif len(frames) < FEWEST_FRAMES:
        why = f"{len(frames)} frames, wanted {FEWEST_FRAMES} or more"
    elif frame_ps is None:
        why = "the time between frame numbers is not known (--frame-ps)"
    elif (np.diff(frames.frame_number) <= 0).any():
        why = "its frames are in no order of time"
    if why or frame_ps is None:
        return {"run": source, "why": why}
    raw = Raw(
        symbols=frames.symbols,
        positions_A=frames.positions_A,
        cell_A=frames.cell_A,
        origin_A=np.zeros((len(frames), 3)),
        time_ps=(frames.frame_number - frames.frame_number[0]) * frame_ps,
        unwrapped=False,
        notes={"format": "labelled frames", "files": [source], "time": f"frame number x {frame_ps * 1000:g} fs"},
    )
    try:
        path = assemble(
            raw, temperature_K=temperature_K or 300.0, start=None, stop=None, stride=1, unwrap="auto", why_no_time="",
            frame_ps=None,
        )  # fmt: skip
        row, _, _ = analyse(transport.displacements([path], mobile), TransportSettings())
    except (PhysicsError, InputError) as error:
        return {"run": source, "why": f"not a trajectory whose D can be told: {error}"}
    return {"run": source, "temperature_known": temperature_K is not None, **row}
