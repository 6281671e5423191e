"""One analysed temperature in words: the answer, its numbers, cautions, what to do next."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .canvas import superscript
from .words import DASH, VERDICTS, interval, number

Row = Mapping[str, Any]

ONE_SIDED = "upper bound, one-sided 97.5 %"

_ENOUGH_HOPS = 10.0  # what the analysis wants for an estimate
_GOOD_HOPS = 100.0  # relative error of about 40 % by the rule of He, Zhu and Mo
_THIN_A = 10.0  # a cell thinner than this lets an ion meet its own image
_WIDE = 1.5  # upper end over value beyond which an interval is called wide
_BENT = 0.85  # log-log slope at the end of the fit window below which the MSD is called bent


def kelvin(row: Row) -> str:
    """Return the temperature with its unit, a dash if it is not known."""
    T = row.get("temperature_K")
    return f"{T:g} K" if isinstance(T, int | float) else DASH


def ion(row: Row) -> str:
    """Return the mobile element, or words for it."""
    return str(row.get("mobile") or "the mobile ion")


def verdict_word(verdict: Any, unknown: str = "no verdict") -> str:
    """Return a verdict as it is shown."""
    return VERDICTS.get(str(verdict), str(verdict)) if verdict else unknown


def upper(estimate: Any) -> str:
    """Return ``< bound`` (a no-break space between) of an estimate, a dash if it has no upper end."""
    ends = estimate.get("ci95") if isinstance(estimate, Mapping) else None
    return f"<\u00a0{number(ends[1])}" if ends and len(ends) == 2 and ends[1] is not None else DASH


def shown(estimate: Any, verdict: Any, unit: str) -> tuple[str, str]:
    """Return an estimate as value and interval, or as a bound and what it means; never a bare number.

    Parameters
    ----------
    estimate : dictionary with ``value`` and ``ci95``, or nothing.
    verdict : what the fit says; anything but 'diffusive' makes it a bound.
    unit : of the estimate; empty if it has none.
    """
    if not isinstance(estimate, Mapping) or estimate.get("value") is None:
        bound = upper(estimate)
        return (bound, ONE_SIDED) if bound != DASH and verdict != "diffusive" else (DASH, "")
    if verdict != "diffusive":
        return upper(estimate), ONE_SIDED
    found = _ends_like(estimate)
    return number(estimate["value"]), "no interval is known" if found == DASH else f"95 %: {found} {unit}".rstrip()


def _ends_like(estimate: Row) -> str:
    """Return the interval with the power of ten of the value, where its ends are near it."""
    value, ends = estimate["value"], list(estimate.get("ci95") or ())
    if len(ends) != 2 or None in ends or not 0.0 < value < 1e-3 or not 0.05 * value < ends[0] < ends[1] < 20.0 * value:
        return interval(estimate)
    power = math.floor(math.log10(value))
    low, high = (number(end / 10.0**power) for end in ends)
    return f"({low} to {high}) × 10{superscript(power)}"


def verdict_sentence(row: Row) -> str:
    """Return the answer of the analysis in one or two sentences."""
    D, sigma, verdict = row.get("D_self_cm2_s"), row.get("sigma_NE_mS_cm"), row.get("verdict")
    who, where = ion(row), kelvin(row)
    if verdict == "diffusive":
        value, found = shown(D, verdict, "cm²/s")
        text = f"{who} diffuses at {where}: D = {value} cm²/s ({found})"
        conducts, found = shown(sigma, verdict, "mS/cm")
        return text + (f", by Nernst-Einstein σ = {conducts} mS/cm ({found})." if conducts != DASH else ".")
    limit = f"D\u00a0{upper(D)} cm²/s" + (
        f", by Nernst-Einstein σ\u00a0{upper(sigma)} mS/cm" if upper(sigma) != DASH else ""
    )
    if verdict == "bound":
        return f"At {where} the data give an upper bound for {who} and no value: {limit} (one-sided 97.5 %)."
    if verdict == "not-diffusing":
        time = row.get("time_ps")
        within = f"the {number(time)} ps simulated" if time else "the time simulated"
        if upper(D) == DASH:
            return f"{who} does not diffuse at {where} within {within}."
        return f"{who} does not diffuse at {where} within {within}; if it does so more slowly, {limit} (97.5 %)."
    return f"No diffusion coefficient is known for {who} at {where}."


def tiles(row: Row) -> list[dict[str, str]]:
    """Return the numbers that the page opens with: label, value, unit, interval, note."""
    verdict, charge = row.get("verdict"), row.get("charge_verdict")
    why = next((str(reason) for reason in row.get("charge_reasons") or [] if reason), "")
    absent = why if row.get("D_charge_cm2_s") is None else ""
    first = [
        _tile("D self", row.get("D_self_cm2_s"), verdict, "cm²/s", "tracer motion of single ions"),
        _tile("σ Nernst-Einstein", row.get("sigma_NE_mS_cm"), verdict, "mS/cm", "as if ions moved independently"),
    ]
    haven = row.get("haven_ratio")
    note = "D self / D charge"
    if haven is None and not absent:
        note += "; needs both to be more than a bound"
    return [
        *first,
        _tile("Haven ratio", haven, "diffusive", "", absent or note),
        _tile("D charge", row.get("D_charge_cm2_s"), charge, "cm²/s", absent or "motion of all ions together"),
        _tile("σ charge", row.get("sigma_charge_mS_cm"), charge, "mS/cm", absent or "correlations included"),
    ]


def any_direction(row: Row, key: str = "D_self_cm2_s") -> str:
    """Return the bound of D along any direction: the three components of a bound D may be all in one."""
    high = ((row.get(key) or {}).get("ci95") or (None, None))[1]
    return DASH if high is None else f"<\u00a0{number(3.0 * high)}"


def _tile(label: str, estimate: Any, verdict: Any, unit: str, note: str) -> dict[str, str]:
    value, found = shown(estimate, verdict, unit)
    if value == DASH:
        note = note if note else "not measured"
    return {"label": label, "value": value, "unit": "" if value == DASH else unit, "ci": found, "note": note}


def next_steps(row: Row) -> list[str]:
    """Return what to do next, the most useful first, from the verdict and what it rests on."""
    verdict = row.get("verdict")
    steps: list[str] = []
    hops, time, window = row.get("n_hops"), row.get("time_ps"), row.get("fit_window_ps") or []
    if verdict == "diffusive":
        steps += _after_an_estimate(row)
    elif verdict == "bound":
        if hops is not None and hops < _ENOUGH_HOPS:
            steps.append(
                f"Run longer{_longer(hops, time)}, or several replicas: about {number(hops, 2)} hops were seen, "
                f"{_ENOUGH_HOPS:g} are the least for an estimate and {_GOOD_HOPS:g} a good number."
            )
        elif len(window) == 2 and _slope_at(row, window[1]) < _BENT:
            steps.append(
                f"Run longer: at {number(window[1])} ps the MSD still grows more slowly than time, so that ions that "
                "return may be counted as diffusing. Look for a lag from which the log-log slope stays at 1, and fit "
                "from there by `--fit-ps A:B`."
            )
        if not steps:
            steps.append("Run longer, or several replicas: the error is too large for an estimate.")
        steps.append("Run hotter, and reach this temperature by `ionstride arrhenius`, where a bound counts too.")
        steps.append("Take a larger cell: twice the ions make twice the hops in the same time.")
    elif verdict == "not-diffusing":
        steps += [
            f"Run hotter: an ion that does not move in {number(time) if time else 'some'} ps may do so at a few "
            "hundred kelvin more; three such temperatures give an Arrhenius line.",
            "See that the cell holds what moves (vacancies, interstitials, disorder) and that the mobile element is "
            "the right one: a perfect crystal may have no way to diffuse.",
            "If the log-log slope rises towards 1 at long lags, fit there by `--fit-ps A:B`, or run longer.",
        ]
    else:
        steps.append("Run `ionstride analyze` again: this result holds no verdict.")
    thin = _thickness_A(row.get("cell_A"))
    if thin is not None and thin < _THIN_A:
        steps.append(
            f"Repeat with a larger cell: this one is {number(thin)} Å thick, so that ions meet their own images."
        )
    return steps


def _after_an_estimate(row: Row) -> list[str]:
    steps = []
    D, charge = row.get("D_self_cm2_s") or {}, row.get("charge_verdict")
    high, value = (D.get("ci95") or (None, None))[1], D.get("value")
    if high and value and high > _WIDE * value:
        steps.append(
            f"The interval reaches {number(high / value, 2)} times the value: four times the length, or four replicas, "
            "halve its width (in ln D)."
        )
    if row.get("D_charge_cm2_s") is not None and charge != "diffusive":
        steps.append(
            "For σ charge and the Haven ratio run longer, or many replicas: all ions together make one path a run, so "
            "its error is larger than that of D self by about the square root of the number of ions."
        )
    if (row.get("n_replicas") or 1) < 2:
        steps.append("Run a replica from another start: it shows errors that one run cannot see.")
    steps.append("For Ea and σ at room temperature analyse three temperatures, then run `ionstride arrhenius`.")
    steps.append("To see what the fit window does, set another one by `--fit-ps A:B` where the log-log slope is 1.")
    return steps


def _longer(hops: float, time_ps: Any) -> str:
    if not hops > 0.0:
        return ""
    factor = math.ceil(3.0 * _ENOUGH_HOPS / hops)
    return f" (some {factor} times" + (f", {number(factor * time_ps / 1000.0, 2)} ns)" if time_ps else ")")


def _slope_at(row: Row, lag_ps: float) -> float:
    """Return the log-log slope at a lag; infinite where it is not known."""
    msd = row.get("msd") or {}
    lag, slope = msd.get("lag_ps") or [], msd.get("log_log_slope") or []
    if not lag or len(lag) != len(slope):
        return math.inf
    found = slope[int(np.argmin(np.abs(np.log(np.array(lag, dtype=np.float64) / lag_ps))))]
    return math.inf if found is None else float(found)


def _thickness_A(cell_A: Any) -> float | None:
    """Return the smallest distance between opposite faces of the cell."""
    cell = np.array([] if cell_A is None else cell_A, dtype=np.float64)
    if cell.shape != (3, 3) or abs(float(np.linalg.det(cell))) < 1e-9:
        return None
    return float((1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)).min())


def tensor_table(tensor: Any, unit: str) -> dict[str, Any] | None:
    """Return a Cartesian tensor as text cells ``value ± standard error`` with one power of ten for all.

    Parameters
    ----------
    tensor : dictionary with ``value`` and ``stderr``, 3 × 3 each.
    unit : their unit.
    """
    if not isinstance(tensor, Mapping):
        return None
    value, stderr = (np.array(tensor.get(key) or [], dtype=np.float64) for key in ("value", "stderr"))
    if value.shape != (3, 3) or stderr.shape != (3, 3) or not np.abs(value).max() > 0.0:
        return None
    power = math.floor(math.log10(float(np.abs(value).max())))
    power = 0 if -2 <= power <= 3 else power
    scaled, error = value / 10.0**power, stderr / 10.0**power
    places = min(max(1 - math.floor(math.log10(max(float(error.max()), 1e-12))), 0), 4)
    cells = [
        [f"{v:.{places}f} ± {e:.{places}f}".replace("-", "−") for v, e in zip(*rows, strict=True)]
        for rows in zip(scaled, error, strict=True)
    ]
    return {"unit": f"10{superscript(power)} {unit}" if power else unit, "cells": cells}


def cautions(row: Row) -> list[str]:
    """Return what a reader must know before using the numbers, the gravest first."""
    sentences = []
    if row.get("verdict") != "diffusive" and row.get("charge_verdict") == "diffusive":
        sentences.append(
            "The fit of the charge passed, but single ions did not show diffusion: do not use D charge and σ charge."
        )
    schemes = {
        name: ends
        for name, scheme in (row.get("unwrap_schemes") or {}).items()
        if (ends := ((scheme or {}).get("D_self_cm2_s") or {}).get("ci95")) and None not in ends
    }
    if schemes and max(low for low, _ in schemes.values()) > min(high for _, high in schemes.values()):
        sentences.append(
            "Ways to unwrap differ by more than their intervals: the cell fluctuates, and some of them make "
            "vibration look like diffusion. Minimum-image steps are right for a solid."
        )
    source = row.get("source")
    for run in (source.get("runs") if isinstance(source, Mapping) else None) or []:
        for key, what in (("cut_last_frames_dropped", "cut short"), ("repeated_frames_dropped", "repeated")):
            if isinstance(run, Mapping) and run.get(key):
                sentences.append(f"{run[key]} frames were {what} in the files and left out.")
        for note in (run.get("seam_notes") or []) if isinstance(run, Mapping) else []:
            sentences.append(f"{note[0].upper()}{note[1:]}")
    if row.get("drift") == "none":
        sentences.append(
            "No drift was removed: the positions are taken as referred to the framework. If they are not, D is wrong."
        )
    sentences.append(
        "The intervals are statistical, from the length of the run and the number of ions. They do not contain the "
        "error of the forces or of a small cell."
    )
    return sentences
