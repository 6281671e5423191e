"""A check that labelled frames have the units they should: Å, eV, eV/Å.

Three questions, of which two need no knowledge of the material.  Are atoms as far apart as atoms are?  Does the energy
change by the work of the forces between frames that are near each other?  Do the atoms vibrate as at some temperature?
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..errors import InputError
from ..geometry import shortest_distances
from ..records import IntArray, LabelledFrames
from ..units import KB_EV_K
from .sound import marks_of

BOND_RATIO = (0.55, 1.40)
"""Shortest distance of all over the sum of covalent radii: 0.77 to 0.87 in the sets tried; CsI 1.03, Li metal 1.18."""

BOHR_A = 0.529177
FORCE_STD_EV_A = (0.01, 30.0)
MOST_K = 8000.0

CLOSE_RMS_A = 0.15
STEP_RMS_A = 0.06
CLOSE_RATIO = (0.65, 1.5)
"""Sets tried: 0.88 to 1.04.  The smallest mistake of units is 1/0.53 = 1.89."""

STRAINED_RMS_A = 0.5
MOST_STRAINED_PAIRS = 1000
SIGN_SIGMAS = 8.0
"""Pairs share frames, so their plain standard error is too small: the sign is believed at eight of them."""

FAR_RATIO = (0.25, 4.0)
CLOSE_PAIRS = 30
NEAREST_PAIRS = 60
PAIR_WORK = 6_000_000
"""Frames of a group compared each with each are so many that frames² × atoms stays below this."""

MOST_MARKED = 20_000
"""Frames of a group whose nearest neighbours in configuration are looked for."""

FEW_FRAMES, POOLED = 5, -1
"""Runs with fewer frames are compared together, under this number of a group."""

UNRELATED = 0.3
RELATED_EV = 0.02
"""Where energy and work both change by more than this (rms), noise of electronic steps is no excuse."""

GPA_PER_EV_A3 = 160.21766208

_FACTORS = {
    "energies in Ry": 1 / 13.605693,
    "energies in Ha": 1 / 27.211386,
    "energies in kcal/mol": 23.060548,
    "energies in kJ/mol": 96.485332,
    "energies in meV": 1000.0,
    "forces in Ry/Bohr": 25.711043,
    "forces in Ha/Bohr": 51.422067,
    "forces in kcal/mol/Å": 1 / 23.060548,
    "forces in kJ/mol/Å": 1 / 96.485332,
    "forces in meV/Å": 1 / 1000.0,
    "energies in Ry and forces in Ry/Bohr (or positions in Bohr)": 1 / BOHR_A,
}


def check_units(frames: LabelledFrames, names: Mapping[int, str] | None = None) -> dict[str, Any]:
    r"""Check that positions are in Å, energies in eV for the whole cell and forces in eV/Å.

    Between two frames of a run near each other :math:`\Delta E = -\frac12 (F_1 + F_2)\cdot\Delta x - \frac12 (W_1 +
    W_2):\varepsilon` to third order, with W the virial, if there is one, and ε the strain from one cell to the other.
    Pairs closer than 0.15 Å (rms) must follow it within 0.65 to 1.5, virials to a factor of four; where
    the nearest are farther apart, or the strain has no virial, the whole to a factor of four.

    Parameters
    ----------
    frames : the set; each group is checked by itself.
    names : group → what messages call it.

    Runs of fewer than five frames, such as single points, are checked together, as group −1.

    Returns
    -------
    ``shortest_A``, ``force_std_eV_A``, and for each group in ``groups`` its ``pairs``, their largest ``rms_A``, the
    ``slope`` of ΔE against the work of the forces (close pairs) or the ``ratio`` of their spreads, ``correlation``,
    ``vibration_K``; ``virial`` says how the sign of the virials was settled and the bulk modulus that their pressure
    shows; what could not be checked is in ``unchecked``, in words.

    Raises
    ------
    InputError
        If a check fails; the factor and the likely unit are named.
    """
    unchecked: list[str] = []
    shortest = _check_distances(frames)
    force_std = float(frames.force_eV_A.std())
    if not FORCE_STD_EV_A[0] <= force_std <= FORCE_STD_EV_A[1] and force_std > 0.0 and len(frames) > 1:
        raise InputError(
            f"forces have a standard deviation of {force_std:.3g}, wanted {FORCE_STD_EV_A[0]} to {FORCE_STD_EV_A[1]} "
            "eV/Å; give forces in eV/Å"
        )
    groups: dict[int, dict[str, Any]] = {}
    present, counts = np.unique(frames.group, return_counts=True)
    few = present[counts < FEW_FRAMES] if (counts < FEW_FRAMES).sum() > 1 else present[:0]
    if len(few):  # single points, one a file: all of one method, so that they can be compared with each other
        index = np.flatnonzero(np.isin(frames.group, few))
        groups[POOLED] = _check_work(frames, index, f"the {len(few)} runs of few frames", unchecked)
    for group in np.setdiff1d(present, few):
        index = np.flatnonzero(frames.group == group)
        called = f"'{names[int(group)]}'" if names and int(group) in names else f"group {int(group)}"
        found = _check_work(frames, index, called, unchecked)
        found["vibration_K"] = _check_vibration(frames, index, called, unchecked)
        groups[int(group)] = found
    return {
        "shortest_A": shortest,
        "force_std_eV_A": force_std,
        "groups": groups,
        "virial": _check_pressures(frames, groups, unchecked),
        "unchecked": unchecked,
    }


def _check_distances(frames: LabelledFrames) -> dict[str, float]:
    from ase.data import atomic_numbers, covalent_radii

    chosen = np.unique(np.linspace(0, len(frames) - 1, min(60, len(frames))).round().astype(int))
    shortest = shortest_distances(frames.symbols, frames.positions_A[chosen], frames.cell_A[chosen])
    radius = {s: float(covalent_radii[atomic_numbers[s]]) for s in set(frames.symbols)}
    ratios = {(a, b): d / (radius[a] + radius[b]) for (a, b), d in shortest.items()}
    nearest = min(ratios, key=lambda pair: ratios[pair])
    a, b = nearest
    if not BOND_RATIO[0] <= ratios[nearest] <= BOND_RATIO[1]:
        in_bohr = BOND_RATIO[1] < ratios[nearest] and ratios[nearest] * BOHR_A >= BOND_RATIO[0]
        guess = "; they look as if given in Bohr" if in_bohr else ""
        raise InputError(
            f"the shortest distances of the frames are {ratios[nearest]:.2f} of a bond "
            f"({a}-{b} {shortest[nearest]:.3f}), wanted {BOND_RATIO[0]} to {BOND_RATIO[1]}{guess}; "
            "give positions and cells in Å"
        )
    return {f"{a}-{b}": distance for (a, b), distance in shortest.items()}


def _fractions(frames: LabelledFrames, index: IntArray) -> Array:
    fractions: Array = frames.positions_A[index] @ np.linalg.inv(frames.cell_A[index])
    return fractions


def _candidate_pairs(frames: LabelledFrames, index: IntArray) -> tuple[IntArray, IntArray]:
    """Return pairs of frames worth a look: all pairs of an even choice, neighbours in time and in configuration.

    The neighbours in configuration make the check as sharp on shuffled frames as on a run in order.
    """
    from scipy.spatial import cKDTree

    count = len(index)
    most = max(8, min(count, int(np.sqrt(PAIR_WORK / len(frames.symbols)))))
    chosen = np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))
    i, j = np.triu_indices(len(chosen), 1)
    first, second = [chosen[i]], [chosen[j]]
    if len(chosen) < count:
        first.append(np.arange(count - 1))
        second.append(np.arange(1, count))
        some = np.unique(np.linspace(0, count - 1, min(count, MOST_MARKED)).round().astype(np.int64))
        marks = marks_of(frames.take(index[some]))
        near = some[cKDTree(marks).query(marks, k=2)[1]]
        first.append(near.min(axis=1))
        second.append(near.max(axis=1))
    pairs = np.unique(np.stack([np.concatenate(first), np.concatenate(second)]), axis=1)
    pairs = pairs[:, pairs[0] < pairs[1]]
    return pairs[0], pairs[1]


def _check_work(frames: LabelledFrames, index: IntArray, group: str, unchecked: list[str]) -> dict[str, Any]:
    first, second = _candidate_pairs(frames, index)
    if len(first) < 10:
        unchecked.append(f"{group}: energies against forces ({len(index)} frames are too few)")
        return {"pairs": len(first)}
    fractions = _fractions(frames, index)
    rms = np.concatenate([_step(frames, index, fractions, a, b)[1] for a, b in _chunks(first, second)])
    order = np.argsort(rms, kind="stable")
    near = order[: max(NEAREST_PAIRS, min(1000, int((rms < CLOSE_RMS_A).sum())))]
    strained = not np.allclose(frames.cell_A[index], frames.cell_A[index[0]], atol=1e-6)
    has_virial = bool(frames.has_virial[index].all())
    # A short run of MD has few pairs, of steps so small that anharmonic forces do not show.
    few = min(CLOSE_PAIRS, max(8, len(index) - 1))
    is_close = int((rms[near] < CLOSE_RMS_A).sum()) >= CLOSE_PAIRS or int((rms[near] < STEP_RMS_A).sum()) >= few
    is_close = is_close and (has_virial or not strained)
    if is_close:
        near = near[rms[near] < CLOSE_RMS_A]
    a, b = first[near], second[near]
    parts = _work(frames, index, fractions, a, b)
    change = frames.energy_eV[index[b]] - frames.energy_eV[index[a]]
    found: dict[str, Any] = {"pairs": len(near), "rms_A": float(rms[near].max())}
    if has_virial and strained:
        nearest = order[:MOST_STRAINED_PAIRS]
        nearest = nearest[rms[nearest] < STRAINED_RMS_A]
        found["virial_checked"] = _check_sign(frames, index, fractions, first[nearest], second[nearest], group)
    work = parts.sum(axis=1)
    if not (work**2).sum() > 0.0 or not (change**2).sum() > 0.0:
        unchecked.append(f"{group}: energies against forces (nothing changes between the frames)")
        return found
    slopes = np.zeros(parts.shape[1])
    if is_close:  # forces and virials each have a slope, so that one of them alone cannot hide the other
        varying = (parts**2).sum(axis=0) > 0.0
        slopes[varying] = np.linalg.lstsq(parts[:, varying], change)[0]
        work = parts @ slopes
        shares = np.sqrt((parts**2).sum(axis=0) / (change**2).sum()) * np.abs(slopes)
        found["slope"] = float(slopes[0])
    correlation = float((work * change).sum() / np.sqrt((work**2).sum() * (change**2).sum()))
    ratio = float(np.sqrt((change**2).sum() / (work**2).sum()) * np.sign(correlation))
    found["correlation"] = correlation
    if not is_close:
        found["ratio"] = ratio
    scatter = [float(np.sqrt((values**2).mean())) for values in (change, parts.sum(axis=1))]
    if is_close and abs(correlation) < UNRELATED and min(scatter) > RELATED_EV:
        raise InputError(
            f"{group} of the frames: between frames {found['rms_A']:.2f} Å from each other the change of the energy "
            f"has nothing to do with the work of the forces (correlation {correlation:.2f}); are energies, forces and "
            "positions in the same order of frames and of atoms?"
        )
    if abs(correlation) < (0.8 if is_close else 0.5):
        unchecked.append(
            f"{group}: energies against forces (the nearest frames are {rms[near].max():.2f} Å apart and the "
            f"two correlate by {correlation:.2f} only)"
        )
    elif not is_close:
        _judge(ratio, FAR_RATIO, "forces", group, len(frames.symbols))
    else:
        found["virial_checked"] = found.get("virial_checked", False) or bool(shares[1] > 0.2)
        # Stresses of plane-wave codes are off by what the basis lacks: of virials the sign and the order must be right.
        for slope, share, name, limits in zip(
            slopes, shares, ("forces", "virials"), (CLOSE_RATIO, FAR_RATIO), strict=True
        ):
            if share > 0.2:
                _judge(float(slope), limits, name, group, len(frames.symbols))
    return found


def _check_sign(  # noqa: PLR0917
    frames: LabelledFrames, index: IntArray, fractions: Array, first: IntArray, second: IntArray, group: str
) -> bool:
    """Return whether the virials are seen to have the right sign, from ΔE regressed on the work of both.

    Raises
    ------
    InputError
        If they are seen to have the wrong one.
    """
    if len(first) < NEAREST_PAIRS:
        return False
    parts = _work(frames, index, fractions, first, second)
    change = frames.energy_eV[index[second]] - frames.energy_eV[index[first]]
    if not (parts**2).sum(axis=0).all():
        return False
    slopes = np.linalg.lstsq(parts, change)[0]
    scatter = float(((change - parts @ slopes) ** 2).mean())
    stderr = float(np.sqrt(np.linalg.inv(parts.T @ parts)[1, 1] * scatter))
    if slopes[1] < -SIGN_SIGMAS * stderr:
        raise InputError(
            f"{group} of the frames: under strain the energy changes against the work of the virials (slope "
            f"{slopes[1]:.2f} ± {stderr:.2f}, wanted 1): they have the wrong sign; virial = −volume × stress in eV is "
            "wanted, stress positive under tension"
        )
    return bool(slopes[1] > SIGN_SIGMAS * stderr)


def _check_pressures(frames: LabelledFrames, groups: Mapping[int, Any], unchecked: list[str]) -> dict[str, Any]:
    r"""Check the sign of the virials by the pressure, tr W / 3V, which falls as the volume grows.

    The slope against ln V is minus the bulk modulus, which no stable crystal has below zero.
    """
    known = frames.has_virial
    if not known.any():
        return {"sign": "no virials"}
    sign = "finite strain" if any(found.get("virial_checked") for found in groups.values()) else ""
    assert frames.virial_eV is not None
    volume = np.abs(np.linalg.det(frames.cell_A[known]))
    pressure = np.trace(frames.virial_eV[known], axis1=1, axis2=2) / (3.0 * volume) * GPA_PER_EV_A3
    found: dict[str, Any] = {"pressure_GPa": [float(v) for v in np.percentile(pressure, [0, 50, 100])]}
    strain = np.log(volume / volume.mean())
    if known.sum() >= 10 and strain.std() > 0.004 and pressure.std() > 0.0:
        correlation = float(np.corrcoef(strain, pressure)[0, 1])
        modulus = -float(correlation * pressure.std() / strain.std())
        found["pressure_volume_correlation"] = correlation
        if correlation < -0.5:  # else the pressure is that of other things than the volume
            found["bulk_modulus_GPa"] = modulus
        if correlation > 0.5 and modulus < -1.0:
            raise InputError(
                f"the pressure that the virials show rises with the volume (bulk modulus {modulus:.3g} GPa): they have "
                "the wrong sign; virial = −volume × stress in eV is wanted, stress positive under tension"
            )
        if correlation < -0.5 and not sign:
            sign = "pressure against volume"
    if not sign:
        unchecked.append("sign of the virials (the volume does not vary enough, or not together with the pressure)")
    return {"sign": sign or "not settled", **found}


def _judge(ratio: float, limits: tuple[float, float], name: str, group: str, atoms: int) -> None:
    if limits[0] <= ratio <= limits[1]:
        return
    guess = _guess(ratio, atoms) if name == "forces" else "virial = −volume × stress in eV is wanted"
    raise InputError(
        f"{group} of the frames: the energy changes by {ratio:.3g} times the work of the {name} between frames "
        f"near each other, wanted 1; {guess}; give eV for the whole cell, eV/Å and Å"
    )


def _chunks(first: IntArray, second: IntArray, size: int = 2000) -> list[tuple[IntArray, IntArray]]:
    return [(first[k : k + size], second[k : k + size]) for k in range(0, len(first), size)]


def _step(
    frames: LabelledFrames, index: IntArray, fractions: Array, first: IntArray, second: IntArray
) -> tuple[Array, Array]:
    """Return the displacement of every atom (P, N, 3) in the mean cell, strain taken off, and its rms (P)."""
    step = fractions[second] - fractions[first]
    step -= np.rint(step)
    step = step @ (0.5 * (frames.cell_A[index[first]] + frames.cell_A[index[second]]))
    return step, np.sqrt((step**2).sum(axis=-1).mean(axis=-1))


def _work(frames: LabelledFrames, index: IntArray, fractions: Array, first: IntArray, second: IntArray) -> Array:
    """Return the energy change that forces and virials (0 without them) ask for, (P, 2)."""
    step, _ = _step(frames, index, fractions, first, second)
    a, b = index[first], index[second]
    force = -0.5 * ((frames.force_eV_A[a] + frames.force_eV_A[b]) * step).sum(axis=(1, 2))
    virial = np.zeros_like(force)
    if frames.virial_eV is not None and frames.has_virial[index].all():
        mean = 0.5 * (frames.cell_A[a] + frames.cell_A[b])
        strain = np.linalg.solve(mean, frames.cell_A[b] - frames.cell_A[a])
        virial = -0.5 * ((frames.virial_eV[a] + frames.virial_eV[b]) * strain).sum(axis=(1, 2))
    return np.stack([force, virial], axis=1)


def _guess(ratio: float, atoms: int) -> str:
    if ratio < 0.0:
        return "the forces have the wrong sign: these are gradients of the energy"
    factors = {**_FACTORS, "energies per atom": 1 / atoms}
    miss = {name: abs(np.log(ratio / factor)) for name, factor in factors.items()}
    near = sorted((name for name in miss if miss[name] < np.log(1.5)), key=lambda name: miss[name])
    return f"it looks like {' or '.join(near[:2])}" if near else "energies and forces have different units"


def vibration_temperature(frames: LabelledFrames) -> float | None:
    """Return the temperature of the vibrations of one run, see `check_units`; None where it cannot be told."""
    try:
        return _check_vibration(frames, np.arange(len(frames)), "the run", [])
    except InputError:
        return None


def _check_vibration(frames: LabelledFrames, index: IntArray, group: str, unchecked: list[str]) -> float | None:
    r"""Return the temperature :math:`-\langle F\cdot u\rangle / 3k` of the atoms that stay about their places."""
    if len(index) < 10:
        unchecked.append(f"{group}: size of the vibrations ({len(index)} frames are too few)")
        return None
    fractions = _fractions(frames, index)
    moved = fractions - fractions[0]
    moved -= np.rint(moved)
    moved -= moved.mean(axis=1, keepdims=True)
    moved -= moved.mean(axis=0)
    u = moved @ frames.cell_A[index]
    bound: npt.NDArray[np.bool_] = np.sqrt((u**2).sum(axis=-1).mean(axis=0)) < 0.5
    if bound.sum() < 3:
        unchecked.append(f"{group}: size of the vibrations (all atoms leave their places)")
        return None
    kelvin = float(-(u * frames.force_eV_A[index])[:, bound].sum(axis=-1).mean() / (3.0 * KB_EV_K))
    if kelvin > MOST_K:
        raise InputError(
            f"{group} of the frames: the atoms vibrate as at {kelvin:.0f} K, wanted less than {MOST_K:g} K; "
            "the forces look too large by a unit (kcal/mol/Å, meV/Å?): give eV and eV/Å"
        )
    return kelvin
