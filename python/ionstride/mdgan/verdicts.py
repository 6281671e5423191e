"""Verdicts in words: the gate a model should pass, which baseline it beats in what, and what nobody can know."""

from typing import Any

import numpy as np

from .series_statistics import WINDOWS

GATE = (10, 100)  # windows at which the MSD must be right
_MSD = 0.15  # relative error that is allowed in any case
_ALPHA2 = (0.2, 0.15)  # absolute, relative
_W1 = 0.05  # of the rms displacement
_BACK = 0.05

_NAMES = {
    "short MSD": "the MSD within a window",
    "long MSD": "the MSD beyond a window",
    "alpha2": "α₂",
    "W1": "the van Hove function (W1)",
    "back-jumps": "back-jumps",
    "jump rate": "the jump rate",
}


def gate(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the tests of the gate for one source: what was tested, value, what was wanted, whether it passed.

    Parameters
    ----------
    found : an evaluation.
    name : of the source.
    """
    length = found["settings"]["length"]
    lags = list(found["lag"])
    errors, curves = found["errors"][name], found["curves"]
    judge = curves[found["judged_by"]]
    tests: list[dict[str, Any]] = []

    def test(what: str, value: float, wanted: float, against: float = 0.0, noise: float = 0.0) -> None:
        if np.isfinite(value):
            passed = abs(value - against) <= wanted
            in_noise = bool(abs(value - against) <= noise)
            tests.append(
                {"test": what, "value": value, "wanted": against, "within": wanted, "passed": passed,
                 "within_noise": in_noise}
            )  # fmt: skip

    far = [w for w in GATE if w * length in lags] or [max(w for w in WINDOWS if w * length in lags)]
    for windows in far:
        at = lags.index(windows * length)
        for axis, letter in enumerate("xyz"):
            sigma = np.hypot(errors["sigma_train"][at][axis], errors["sigma_reference"][at][axis])
            allowed = max(_MSD, 2.0 * float(sigma)) if np.isfinite(sigma) else _MSD
            test(f"MSD along {letter} at {windows} windows, ratio", errors["msd_ratio"][at][axis], allowed, 1.0)
    known = [curves["training data"], judge]
    worst, allowed, noise = 0.0, _ALPHA2[0], 0.0
    for at, lag in enumerate(lags):
        if lag <= length:
            off, room = errors["alpha2_difference"][at], max(_ALPHA2[0], _ALPHA2[1] * abs(judge["alpha2"][at]))
            if abs(off) / room > abs(worst) / allowed:
                worst, allowed = off, room
                noise = 2.0 * float(np.hypot(*(curve["alpha2_error"][at] for curve in known)))
    test("α₂ within a window, largest difference for what is allowed", worst, allowed, noise=noise)

    def largest(name: str) -> float:
        rows = found["errors"][name]["W1"]
        return float(np.max([row for row, lag in zip(rows, found["shape_lag"], strict=True) if lag <= length]))

    noise = largest("noise of the reference") + (largest("training data") if name != "training data" else 0.0)
    test("W1 of the van Hove functions within a window, largest", largest(name), _W1, noise=noise)
    noise = 2.0 * float(np.hypot(*(curve["back_fraction_error"] for curve in known)))
    off = errors["back_fraction_difference"]
    if not np.isfinite(off) and np.isfinite(judge["back_fraction"]):  # no two jumps in a row, where there should be
        off = -judge["back_fraction"]
    test("back-jump probability, difference", off, _BACK, noise=noise)
    for quantity, other, better in (
        ("alpha2", "Gaussian surrogate", True),
        ("W1", "Gaussian surrogate", True),
        ("long MSD", "window bootstrap", True),
        ("long MSD", "straight line", False),
    ):
        word = compare(found["scores"], name, other, quantity)
        if word is not None and name != other:
            passed = word == "beats" if better else word != "worse than"
            tests.append(
                {"test": f"{_NAMES[quantity]} against the {other}", "value": word,
                 "wanted": "beats" if better else "not worse than", "within": None, "passed": passed,
                 "within_noise": False}
            )  # fmt: skip
    return tests


def compare(scores: dict[str, Any], name: str, other: str, quantity: str) -> str | None:
    """Return 'beats', 'no better than' or 'worse than', by whether 95 % of the resamples say so; None if unknown.

    Differences of error below 0.01 are none.
    """
    one = scores.get(name, {}).get("resamples", {}).get(quantity)
    two = scores.get(other, {}).get("resamples", {}).get(quantity)
    if one is None or two is None:
        return None
    difference = np.array(one, dtype=np.float64) - np.array(two, dtype=np.float64)
    difference = difference[np.isfinite(difference)]
    value = scores[name]["value"][quantity] - scores[other]["value"][quantity]
    if len(difference) < 10 or not np.isfinite(value):
        return None
    low, high = np.quantile(difference, [0.025, 0.975])
    if high < 0.0 and value < -0.01:
        return "beats"
    if low > 0.0 and value > 0.01:
        return "worse than"
    return "no better than"


def sentences(found: dict[str, Any]) -> list[str]:
    """Return the verdicts on every model (or, without one, on the baselines), a sentence each."""
    said: list[str] = []
    judged = found["models"] or [name for name in found["baselines"] if name in found["gate"]]
    against = "the reference" if found["reference"] is not None else "its own training data"
    for name in judged:
        if name in found["gate"]:
            tests = found["gate"][name]
            failed = [t["test"] + (" (within noise)" if t["within_noise"] else "") for t in tests if not t["passed"]]
            said.append(
                f"The {name} passes all {len(tests)} tests of the gate."
                if not failed
                else f"The {name} fails {len(failed)} of {len(tests)} tests of the gate: {'; '.join(failed)}."
            )
            if any(t["within_noise"] for t in tests if not t["passed"]):
                said.append(
                    "Within noise: the reference and the training data are too short to tell whether that test fails "
                    "by the model or by chance."
                )
        said += _compared(found, name, against)
        copied = found["memorisation"].get(name)
        if copied is not None and name in found["models"]:
            part = f"{100 * copied['near']:.1f} % of its windows lie as near to one as the nearest 1 % of unseen ones"
            verb = "copies" if copied["copies"] else "does not copy"
            said.append(f"The {name} {verb} training windows: {part}.")
    return said


def _compared(found: dict[str, Any], name: str, against: str) -> list[str]:
    said = []
    for other in found["baselines"]:
        if other == name or (name not in found["models"] and other not in ("straight line", "Gaussian surrogate")):
            continue
        words: dict[str, list[str]] = {}
        for quantity, noun in _NAMES.items():
            word = compare(found["scores"], name, other, quantity)
            if word is not None:
                words.setdefault(word, []).append(noun)
        parts = [f"{'' if word == 'beats' else 'is '}{word} the {other} in {_listed(nouns)}"
                 for word, nouns in words.items()]  # fmt: skip
        if parts:
            said.append(f"Against {against}, the {name} {'; '.join(parts)}.")
    return said


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def unknown(found: dict[str, Any]) -> list[str]:
    """Return what these data cannot tell, a sentence each."""
    said: list[str] = []
    length, dt_ps = found["settings"]["length"], found["settings"]["dt_ps"]
    window = length * dt_ps
    reached = [w for w in WINDOWS if w * length in found["lag"]]
    if found["reference"] is None:
        run = found["train"]["run_ps"]
        said.append(
            f"There is no reference, so nothing is known of the motion beyond {run / 2:.3g} ps, half a training run: "
            "errors there are against the training data's own few long displacements."
        )
        said.append(
            "There are no unseen windows, so it cannot be told whether windows are copied from the training data."
        )
        said.append(
            "Agreement with the data a model was trained on shows that it has learnt them, not that it is right: give "
            "--reference with trajectories of runs that were not trained on."
        )
    elif reached[-1] < WINDOWS[-1]:
        said.append(
            f"The reference reaches to {reached[-1]} windows ({reached[-1] * window:.3g} ps); nothing is known beyond."
        )
    sigma = found["sigma_train"]
    at = found["lag"].index(length)
    error = float(sigma[at][3])
    far = float(sigma[-1][3])
    if np.isfinite(far) and far > 0.15:
        said.append(
            f"The training data themselves leave a standard error of {100 * far:.0f} % to the long-time MSD "
            f"({100 * error:.0f} % at one window), and no model can know it better: train on more ion-picoseconds."
        )
    if found["reference"] is not None:
        ref = found["errors"]["training data"]["sigma_reference"][-1][3]
        if ref is not None and np.isfinite(ref) and ref > 0.1:
            said.append(
                f"The reference's own standard error at its longest lag is {100 * ref:.0f} %: smaller differences "
                "there mean nothing."
            )
    said += [f"Baseline left out: {reason}." for reason in found["missing_baselines"]]
    return said
