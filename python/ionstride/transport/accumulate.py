"""Displacements of a streamed run: frames go through the multiple-tau accumulators and are forgotten."""

from collections.abc import Callable

import numpy as np

from .. import _kernels
from ..accumulated import Accumulated
from ..checks import Array, check_choice, check_mobile
from ..errors import InputError
from ..records import FrameStream
from .displacement import DRIFTS, drift_atoms, drift_name, drift_words


def accumulate(
    stream: FrameStream,
    mobile: str,
    *,
    charge_e: float = 1.0,
    drift: str = "framework",
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Accumulated:
    """Return the moments of the displacements of the mobile ions of one run, reading it once.

    Mobile ions, drift and the collective path are those of `displacements` and `charge_msd`; lags and origins are
    those of the multiple-tau scheme.  Memory does not grow with the number of frames.

    Parameters
    ----------
    stream : the run.
    mobile : element of the mobile ion.
    charge_e : charge of one mobile ion.
    drift : 'framework', 'all' or 'none', as in `displacements`.
    threads : threads of the accumulator, 0 for all cores; the result does not depend on it.
    progress : called with the frames done and all frames after every chunk.

    Raises
    ------
    InputError
        If the mobile element is absent, or the stream gives other frames than it announced.
    PhysicsError
        If the drift of all atoms is to be removed from data that hold the mobile ions alone; from the stream, if
        frames are too coarse to unwrap.
    """
    check_choice("drift", drift, DRIFTS)
    check_mobile(stream.symbols, mobile)
    reference = drift_name(stream.symbols, mobile, drift)
    ions = np.flatnonzero(np.array(stream.symbols) == mobile)
    against = np.flatnonzero(drift_atoms(stream.symbols, mobile, drift))
    n, frames = len(ions), stream.n_frames
    each, together = _kernels.MultiTau(n, frames), _kernels.MultiTau(1, frames)
    mean_0: Array | None = None  # of the framework in the first frame
    r_0: Array | None = None  # of the ions there
    for positions in stream.chunks():
        r_A = positions.take(ions, axis=1)
        if len(against) > 0:
            mean = positions.take(against, axis=1).mean(axis=1)
            mean_0 = mean[0] if mean_0 is None else mean_0
            r_A -= (mean - mean_0)[:, None, :]
        each.add(r_A, threads)
        r_0 = r_A[0].copy() if r_0 is None else r_0
        r_A -= r_0
        together.add(charge_e * r_A.sum(axis=1, keepdims=True), 1)
        if progress is not None:
            progress(each.seen, frames)
    if each.seen != frames:
        raise InputError(f"the stream gave {each.seen} frames, wanted the {frames} it announced; read the files again")
    lag, origin_step = _kernels.multitau_lags(frames)
    frame_ps = float(stream.time_ps[-1] - stream.time_ps[0]) / (frames - 1)
    collective = together.results()
    own = each.results()
    del each, together  # before the record takes its copy
    return Accumulated(
        lag=lag,
        lag_ps=np.asarray(lag * frame_ps, dtype=np.float64),
        origin_step=origin_step,
        n_frames=frames,
        frame_ps=frame_ps,
        tensor_A2=own.pop("tensor_A2"),
        fourth_A4=own.pop("fourth_A4"),
        node_sum_A2=own.pop("node_sum_A2"),
        node_count=own.pop("node_count"),
        collective_tensor=collective["tensor_A2"],
        collective_fourth=collective["fourth_A4"],
        collective_node_sum=collective["node_sum_A2"],
        charge2=n * charge_e**2,
        run=np.zeros(n, dtype=np.int64),
        species=(mobile,) * n,
        charge_e=np.full(n, float(charge_e)),
        cell_A=stream.mean_cell_A,
        volume_A3=stream.volume_A3,
        temperature_K=stream.temperature_K,
        drift=reference,
        source={"runs": [dict(stream.source)], "origin": "multiple-tau moments", "drift": drift_words(reference)},
    )
