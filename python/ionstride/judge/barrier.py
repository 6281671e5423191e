"""The barrier of a hop as the potential sees it, against the reference's, on the reference's own frames."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checks import Array
from ..results import Estimate
from ..units import KB_EV_K
from .hops import Hop
from .resample import draws, with_t

HALF_BINS = 6
FEWEST_HOPS = 8
FEWEST_FRAMES = 5
NEAR_SADDLE = 1.0 / 6.0
IN_SITE = (1.0 / 3.0, 2.0 / 3.0)
REACH = 0.6


def barrier_bias(hops: Sequence[tuple[Hop, Array, Array, Array]], temperature_K: float) -> dict[str, Any]:
    r"""Return what a potential adds to the barrier of the hops, from forces along them.

    .. math:: \Delta\Delta E = -\int_{\mathrm{site}}^{\mathrm{saddle}}
              \langle (F_\mathrm{model} - F_\mathrm{ref}) \cdot \hat e \rangle_s \, ds

    A hop and its reverse count alike, so that the profile is even and its middle is the saddle: nothing is searched
    for in noisy numbers.  Each hop has its own length, and s is counted in it.  Intervals are Student's t times the
    scatter of resampled hops.  To first order: the frames are the reference's, and only the work on the hopping ion is
    counted; what the potential gets wrong in the surroundings' energy is in ``frame_energy_eV``, which compares whole
    frames (Zwanzig's perturbation, doi 10.1063/1.1740409, to first order) and scatters more.

    Parameters
    ----------
    hops : for each hop itself, the force on its ion by the reference and by the model, (F, 3) both for its rows, and
        the energy of the model less that of the reference, (F).
    temperature_K : for the factor in D.

    Returns
    -------
    ``bias_eV``, ``D_factor`` = exp(−ΔΔE/kT), ``reference_eV`` (the mean-force barrier of the reference along the same
    hops), ``model_eV``, ``frame_energy_eV``, profiles and slopes; or ``why`` not.
    """
    if len(hops) < FEWEST_HOPS:
        return {"why": f"{len(hops)} hop(s) were seen in the reference, wanted {FEWEST_HOPS} or more"}
    count, reference, model = _sums(hops)
    if ((count.sum(axis=0) < FEWEST_FRAMES) | ((count > 0).sum(axis=0) < 3)).any():
        return {
            "why": f"{len(hops)} hops were seen, but too few frames lie near their saddles; give frames nearer in time"
        }
    drawn = draws(len(hops))
    difference = model - reference
    found: dict[str, Any] = {"n_hops": len(hops), "n_frames_between": int(count.sum())}
    for name, work in (("bias_eV", difference), ("reference_eV", reference), ("model_eV", model)):
        value = float(_climb(_total(count), _total(work))[0, -1])
        found[name] = with_t(value, _climb(drawn @ count, drawn @ work)[:, -1], len(hops) - 1)
    kT = KB_EV_K * temperature_K
    bias = found["bias_eV"]
    found["D_factor"] = Estimate(*(math.exp(-v / kT) for v in (bias.value, bias.high, bias.low)))
    found["frame_energy_eV"] = _frame_energy(hops)
    found["profile"] = _profile(count, reference, model, drawn)
    found["length_A"] = float(np.mean([hop.length_A for hop, *_ in hops]))
    found.update(_near_and_far(hops, drawn))
    return found


def _sums(hops: Sequence[tuple[Hop, Array, Array, Array]]) -> tuple[Array, Array, Array]:
    """Return frames, and sums of F·ê L of reference and model, by hop and bin of u from −½ to 0, each (H, B).

    What lies behind the middle is that of the reversed hop.
    """
    count, reference, model = (np.zeros((len(hops), HALF_BINS)) for _ in range(3))
    for h, (hop, ref, mod, _) in enumerate(hops):
        inside = np.abs(hop.u) < 0.5
        u = hop.u[inside]
        # The reverse hop has −u and −ê.
        sign = np.where(u > 0.0, -1.0, 1.0) * hop.length_A
        number = np.minimum(((0.5 - np.abs(u)) * 2 * HALF_BINS).astype(np.int64), HALF_BINS - 1)
        np.add.at(count[h], number, 1.0)
        np.add.at(reference[h], number, sign * (ref[inside] @ hop.direction))
        np.add.at(model[h], number, sign * (mod[inside] @ hop.direction))
    return count, reference, model


def _climb(count: Array, work: Array) -> Array:
    """Return −∫ ⟨F·ê L⟩ du up to the end of each bin, (R, B), of sums (R, B); empty bins are bridged."""
    mean = np.divide(work, count, out=np.full_like(work, np.nan), where=count > 0)
    at = np.arange(mean.shape[1])
    for row in np.flatnonzero(np.isnan(mean).any(axis=1)):
        known = np.isfinite(mean[row])
        mean[row] = np.interp(at, at[known], mean[row][known]) if known.any() else 0.0
    climbed: Array = -np.cumsum(mean, axis=1) / (2 * HALF_BINS)
    return climbed


def _total(values: Array) -> Array:
    total: Array = values.sum(axis=0, keepdims=True)
    return total


def _profile(count: Array, reference: Array, model: Array, drawn: Array) -> dict[str, list[float]]:
    """Return energies along a hop from −½ to ½ with half-widths of their 95 % intervals, in eV."""
    from scipy.stats import t

    quantile = float(t.ppf(0.975, len(count) - 1))
    ends = np.linspace(-0.5, 0.0, HALF_BINS + 1)
    profile: dict[str, list[float]] = {"u": [*ends.tolist(), *(-ends[-2::-1]).tolist()]}
    for name, work in (("reference", reference), ("model", model), ("difference", model - reference)):
        value = np.append(0.0, _climb(_total(count), _total(work))[0])
        half = np.append(0.0, quantile * _climb(drawn @ count, drawn @ work).std(axis=0))
        profile[f"{name}_eV"] = [*value.tolist(), *value[-2::-1].tolist()]
        profile[f"{name}_half_eV"] = [*half.tolist(), *half[-2::-1].tolist()]
    return profile


def _frame_energy(hops: Sequence[tuple[Hop, Array, Array, Array]]) -> Estimate | None:
    """Return by how much the energy error of whole frames is higher at the middle than in the sites around, in eV.

    The slope of the error against cos²(πu), which is 1 at the middle and 0 in the sites, each hop with a constant of
    its own, so that what other ions do meanwhile cancels as far as it can.
    """
    sums = np.zeros((len(hops), 2))
    for h, (hop, _, _, energy) in enumerate(hops):
        inside = np.abs(hop.u) < REACH
        if inside.sum() < 3:
            continue
        shape = np.where(np.abs(hop.u[inside]) < 0.5, np.cos(np.pi * hop.u[inside]) ** 2, 0.0)
        shape -= shape.mean()
        sums[h] = shape @ energy[inside], shape @ shape
    if (sums[:, 1] > 0.0).sum() < FEWEST_HOPS:
        return None
    resampled = draws(len(hops)) @ sums
    resampled = resampled[resampled[:, 1] > 0.0]
    total = sums.sum(axis=0)
    return with_t(float(total[0] / total[1]), resampled[:, 0] / resampled[:, 1], len(hops) - 1)


def _near_and_far(hops: Sequence[tuple[Hop, Array, Array, Array]], drawn: Array) -> dict[str, Any]:
    """Return slope of the model's forces against the reference's and the force error, near saddles and in sites."""
    found: dict[str, Any] = {}
    for name in ("saddle", "site"):
        sums = np.zeros((len(hops), 4))
        for h, (hop, ref, mod, _) in enumerate(hops):
            away = np.abs(hop.u)
            chosen = away < NEAR_SADDLE if name == "saddle" else (away > IN_SITE[0]) & (away < IN_SITE[1])
            a, b = ref[chosen], mod[chosen]
            sums[h] = (a * b).sum(), (a * a).sum(), ((b - a) ** 2).sum(), a.size
        resampled = drawn @ sums
        resampled = resampled[(resampled[:, 1] > 0) & (resampled[:, 3] > 0)]
        total = sums.sum(axis=0)
        if total[3] < 3 * FEWEST_FRAMES or not total[1] > 0.0:
            found[name] = None
            continue
        rmse = with_t(
            1000.0 * math.sqrt(total[2] / total[3]), 1000.0 * np.sqrt(resampled[:, 2] / resampled[:, 3]), len(hops) - 1
        )
        slope = with_t(float(total[0] / total[1]), resampled[:, 0] / resampled[:, 1], len(hops) - 1)
        found[name] = {"n_frames": int(total[3] / 3), "slope": slope, "force_rmse_meV_A": rmse}
    return found
