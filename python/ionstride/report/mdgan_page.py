"""The page of an MD-GAN evaluation: verdicts, the gate, tables and figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .canvas import need_matplotlib, to_svg
from .mdgan_figures import evaluation_figures
from .rendering import framed, plain, render, write_page
from .words import DASH, interval, number

Row = Mapping[str, Any]

_WINDOWS = (1, 3, 10, 30, 100)


def write_evaluation_page(found: Row, out: Path, title: str = "") -> Path:
    """Write ``evaluation.html``: what was generated, beside the reference and the baselines.

    Parameters
    ----------
    found : result of `ionstride.mdgan.quality.evaluate`.
    out : folder of the page, or a file that ends in ``.html``.
    title : title of the page; empty: one made of the mobile ion.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    MissingToolError
        If matplotlib is not installed.
    InputError
        If a number is NaN or infinite.
    """
    need_matplotlib()
    row = plain(found, "evaluation")
    train, settings = row["train"], row["settings"]
    pictures = [framed(to_svg(figure, caption), caption, name) for name, figure, caption in evaluation_figures(row)]
    text = render(
        "mdgan.html.j2",
        title=title or f"Generated motion of {train['species']} against the truth",
        found=row,
        sub=_sub(row),
        reached=[w for w in _WINDOWS if w * settings["length"] in row["lag"]],
        window_ps=settings["window_ps"],
        msd=_msd_rows(row),
        over=_msd_rows(row, "msd_over_training") if row["reference"] is not None else [],
        rest=_rest_rows(row),
        D=_D_rows(row),
        gates=[
            _gate(row, name) for name in [*row["models"], *row["baselines"], "training data"] if name in row["gate"]
        ],
        pictures=pictures,
        inputs=row.get("inputs") or {},
        versions=row.get("versions") or {},
    )
    path = Path(out)
    return write_page(path if path.suffix == ".html" else path / "evaluation.html", text)


def _sub(row: Row) -> str:
    train, reference, settings = row["train"], row["reference"], row["settings"]
    parts = [
        f"trained on {train['n_ions']} ions in {train['n_runs']} runs of {number(train['run_ps'])} ps",
        f"windows of {settings['length']} records of {number(settings['dt_ps'])} ps, "
        f"{train['windows_independent']} without overlap",
        f"reference {number(reference['ion_ps'] / 1000)} ion-ns" if reference else "no reference",
        f"{settings['ions']} ions × {settings['records']} records generated of each",
    ]
    return " · ".join(parts)


def _names(row: Row) -> list[str]:
    names = [*row["models"], *row["baselines"]]
    return (["training data", *names]) if row["reference"] is not None else names


def _msd_rows(row: Row, key: str = "msd_ratio") -> list[dict[str, Any]]:
    """Return the table of MSD ratios at whole windows, axes below each total."""
    length, lags = row["settings"]["length"], row["lag"]
    places = [lags.index(w * length) for w in _WINDOWS if w * length in lags]
    rows: list[dict[str, Any]] = []
    for name in _names(row):
        ratios = row["errors"].get(name, {}).get(key)
        if ratios is None:
            continue
        cells = [
            (number(ratios[at][3]), " / ".join(number(v) for v in ratios[at][:3]))
            if ratios[at][3] is not None
            else (DASH, "")
            for at in places
        ]
        rows.append({"name": name, "cells": cells})
    if key != "msd_ratio":
        return rows[1:]
    judge = row["curves"][row["judged_by"]]["msd_relative_error"]
    for name, sigma in (("σ of the reference", judge), ("σ of the training data", row["sigma_train"])):
        rows.append({"name": name, "cells": [(_percent(sigma[at][3]), "/".join(_percent(v) for v in sigma[at][:3]))
                                             for at in places], "sigma": True})  # fmt: skip
    return rows


def _percent(value: float | None) -> str:
    return DASH if value is None else f"{100.0 * value:.0f} %"


def _rest_rows(row: Row) -> list[dict[str, Any]]:
    """Return the table of what is not the MSD."""
    length = row["settings"]["length"]
    shorter = [i for i, lag in enumerate(row["lag"]) if lag <= length]
    near = [i for i, lag in enumerate(row["shape_lag"]) if lag <= length]
    at = [shorter[0], shorter[len(shorter) // 2], shorter[-1]]
    rows: list[dict[str, Any]] = []
    for name in [row["judged_by"], *_names(row)]:
        curve, errors = row["curves"].get(name, {}), row["errors"].get(name, {})
        if "alpha2" not in curve or (rows and name == row["judged_by"]):
            continue
        distance = errors.get("W1")
        if name == row["judged_by"]:
            distance = row["errors"]["noise of the reference"]["W1"]
        rows.append({
            "name": name,
            "alpha2": [number(curve["alpha2"][i], 2) for i in at],
            "W1": number(float(np.max(np.array([distance[i] for i in near], dtype=np.float64))), 2)
            if distance else DASH,
            "slope": number(curve["slope"][shorter[-1]], 3),
            "rate": number(curve["jump_rate_per_ps"]),
            "back": number(curve["back_fraction"], 2),
            "waits": number(errors.get("wait_distance"), 2),
            "covariance": number(max(errors["covariance_error"]), 2) if errors.get("covariance_error") else DASH,
            "copies": _percent((row["memorisation"].get(name) or {}).get("near")),
        })  # fmt: skip
    return [{"lags": [number(row["lag_ps"][i]) for i in at]}, *rows]


def _D_rows(row: Row) -> list[dict[str, Any]]:
    reference = (row["D"].get(row["judged_by"]) or {}).get("value")
    if (row["D"].get(row["judged_by"]) or {}).get("verdict") != "diffusive":
        reference = None  # a bound is nothing to divide by
    rows: list[dict[str, Any]] = []
    for name, fit in row["D"].items():
        if fit is None:
            rows.append({"name": name, "D": DASH, "ci": "no fit", "ratio": DASH, "error": DASH, "rule": DASH})
            continue
        bound = fit["verdict"] != "diffusive"
        rows.append({
            "name": name, "D": f"below {number(fit['ci95'][1])}" if bound else number(fit["value"]),
            "ci": "upper bound, 97.5 %" if bound else interval(fit),
            "ratio": number(fit["value"] / reference) if reference and not bound else DASH,
            "error": _percent(fit["relative_error"]), "rule": _percent(fit["he_zhu_mo_error"]),
        })  # fmt: skip
    return rows


def _gate(row: Row, name: str) -> dict[str, Any]:
    tests = []
    for test in row["gate"][name]:
        word = isinstance(test["value"], str)
        tests.append({
            "test": test["test"],
            "value": test["value"] if word else number(test["value"]),
            "wanted": test["wanted"] if word else f"{number(test['wanted'])} ± {number(test['within'])}",
            "word": "passed" if test["passed"] else "within noise" if test["within_noise"] else "failed",
        })  # fmt: skip
    return {
        "name": name,
        "tests": tests,
        "passed": sum(t["word"] == "passed" for t in tests),
        "model": name in row["models"],
    }
