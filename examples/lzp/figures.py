"""Figures and tables of this example, from the .npz of the paths and from evaluation.json."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ionstride.report import save
from ionstride.report.canvas import FAINT, INK, PALETTE, log_axis, new_figure, style

LENGTHS = (1, 3, 10, 30)
"""Multiples of the length of a training trajectory at which the long-time MSD is looked at."""

POINTS = 250
"""Of each path that is drawn."""


def paths(run: Path, series: Path, file: Path) -> None:
    """Draw z displacements of single ions of a run: molecular dynamics beside as many generated ones, same span."""
    with np.load(run) as real:
        z_A, frame_ps = list(real["r_A"][:, :, 2]), float(real["dt_ps"])
    with np.load(series) as made:
        record_ps = float(made["dt_ps"])
        count = round((len(z_A[0]) - 1) * frame_ps / record_ps) + 1
        new = made["r_A"][: len(z_A), :count, 2]
    each = max(1, round(record_ps / frame_ps))
    with style():
        figure, axes = new_figure(2, width_in=3.7)
        for ax, rows, title in ((axes[0], [z[::each] for z in z_A], "MD"), (axes[1], list(new), "generated")):
            for number, row in enumerate(rows):
                shown = slice(None, None, max(1, len(row) // POINTS))
                time = np.arange(len(row)) * record_ps
                ax.plot(time[shown], (row - row[0])[shown], lw=0.6, color=PALETTE[number % len(PALETTE)])
            ax.set_title(f"{title}, {len(rows)} ions", fontsize=9)
            ax.set_xlabel("time (ps)")
            ax.set_ylabel("z(t) − z(0) (Å)")
        reach = max(abs(v) for ax in axes for v in ax.get_ylim())
        for ax in axes:
            ax.set_ylim(-reach, reach)
    save(figure, file)


def msd(evaluation: Path, file: Path) -> None:
    """Draw MSD against time: reference with its error, models, baselines; the span of a training run is shaded."""
    found = _read(evaluation)
    lag_ps = np.array(found["lag_ps"])
    with style():
        figure, (ax,) = new_figure(width_in=5.4, height_in=4.0)
        ax.axvspan(lag_ps[0] / 2, found["train"]["run_ps"], color="#eceff2", lw=0, label="span of a training run")
        truth, error = _curve(found, "reference")
        ax.fill_between(lag_ps, truth * (1 - 2 * error), truth * (1 + 2 * error), color=FAINT, alpha=0.5, lw=0)
        ax.plot(lag_ps, truth, color=INK, lw=1.6, label="reference MD, ±2 standard errors")
        ax.plot(lag_ps, _curve(found, "training data")[0], color=INK, ls=":", lw=1.2, label="training data")
        for number, name in enumerate(found["models"]):
            ax.plot(
                lag_ps, _curve(found, name)[0], color=PALETTE[1], lw=0.9,
                label=f"generated, {len(found['models'])} models" if number == 0 else None,
            )  # fmt: skip
        for number, name in enumerate(found["baselines"]):
            ax.plot(lag_ps, _curve(found, name)[0], color=PALETTE[2 + number], ls="--", lw=0.8, label=name)
        ax.set_xlabel("lag (ps)")
        ax.set_ylabel("MSD (Å²)")
        log_axis(ax, "x")
        log_axis(ax, "y")
        ax.set_xlim(lag_ps[0], lag_ps[-1])
        ax.legend(loc="upper left")
    save(figure, file)


def table(evaluation: Path, file: Path) -> str:
    """Write errors of models and baselines beside those of the training data and the reference itself; Markdown."""
    found = _read(evaluation)
    names = ["training data", *found["models"], *found["baselines"]]
    errors, lag_ps = found["errors"], np.array(found["lag_ps"])
    rows = [["", *names, "σ training", "σ reference"]]
    rows.append(["---"] * len(rows[0]))
    for at in _lags(found):
        for column, axis in enumerate(("x", "y", "z", "total")):
            one = errors["training data"]
            rows.append(
                [f"MSD ratio, {axis}, {lag_ps[at]:.3g} ps"]
                + [_number(errors[name]["msd_ratio"][at][column]) for name in names]
                + [_number(one["sigma_train"][at][column]), _number(one["sigma_reference"][at][column])]
            )
    for quantity in ("alpha2", "W1", "back-jumps", "jump rate"):
        row = [f"error of {quantity}"] + [_number(found["scores"][n]["value"].get(quantity)) for n in names]
        rows.append([*row, "", ""])
    fits = [found["D"].get(name) for name in names]
    rows.append(["D (1e-5 cm²/s)", *(_diffusivity(fit) for fit in fits), "", _diffusivity(found["D"]["reference"])])
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
    file.write_text(text, encoding="utf-8")
    return text


def shapes(rows: Sequence[tuple[str, Path]], file: Path) -> None:
    """Draw the error of the long-time MSD against the length of the trajectories trained on."""
    with style():
        figure, (ax,) = new_figure(width_in=5.4)
        for name, places in _long_errors(rows).items():
            number = list(_long_errors(rows)).index(name)
            length = [p[0] for p in places]
            ax.plot(length, [100 * abs(p[1]) for p in places], "o", ms=3, color=PALETTE[number], label=name)
        log_axis(ax, "x")
        ax.set_xlabel("length of a trajectory (ps), 1440 ion-ps in all")
        ax.set_ylabel("error of the long-time MSD (%)")
        ax.legend(loc="best")
    save(figure, file)


def shapes_table(rows: Sequence[tuple[str, Path]], file: Path) -> str:
    """Write the root mean square and the mean of the errors of the long-time MSD for each kind of set; Markdown."""
    errors = _long_errors(rows)
    kinds = list(dict.fromkeys(kind for kind, _ in rows))
    lines = ["| trajectories | " + " | ".join(errors) + " |", "|---" * (len(errors) + 1) + "|"]
    for kind in kinds:
        cells = []
        for places in errors.values():
            mine = [error for _, error, its in places if its == kind]
            cells.append(f"{_number(float(np.mean(mine)))} (rms {_number(float(np.sqrt(np.mean(np.square(mine)))))}, "
                         f"{len(mine)})" if mine else "-")  # fmt: skip
        lines.append(f"| {kind} ps | " + " | ".join(cells) + " |")
    text = "\n".join(lines) + "\n"
    file.write_text(text, encoding="utf-8")
    return text


def _long_errors(rows: Sequence[tuple[str, Path]]) -> dict[str, list[tuple[float, float, str]]]:
    """Return source → (length in ps, relative error of the MSD at the most windows there are, kind) a set."""
    found: dict[str, list[tuple[float, float, str]]] = {}
    for kind, path in rows:
        one = _read(path)
        window, lags = one["settings"]["length"], one["lag"]
        at = lags.index(max(w * window for w in (1, 3, 10, 30, 100) if w * window in lags))
        for name in [*one["models"], *one["baselines"]]:
            ratio = one["errors"][name]["msd_ratio"][at][3]
            if ratio is not None:
                label = "generated" if name in one["models"] else name
                found.setdefault(label, []).append((float(kind.split("x")[1]), ratio - 1.0, kind))
    return found


def _read(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def _curve(found: dict[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    curve = found["curves"][name]
    value = np.array(curve["msd_A2"], dtype=float)
    error = np.array(curve["msd_relative_error"], dtype=float)[:, 3]
    return value, np.nan_to_num(error)


def _lags(found: dict[str, Any]) -> list[int]:
    """Return where the lags at one window and at 1, 3, 10, … lengths of a training run are, as far as is known."""
    lag_ps = np.array(found["lag_ps"])
    reach = np.array([row[3] is not None for row in found["errors"]["training data"]["sigma_reference"]])
    wanted = [found["settings"]["window_ps"], *(n * found["train"]["run_ps"] for n in LENGTHS)]
    last = lag_ps[reach][-1]
    return list(dict.fromkeys(int(np.argmin(np.abs(np.log(lag_ps / w)))) for w in wanted if w <= 1.1 * last))


def _number(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.2f}"


def _diffusivity(fit: dict[str, Any] | None) -> str:
    if fit is None:
        return "-"
    low, high = fit.get("ci95") or (None, None)
    value = f"{1e5 * fit['value']:.2f}"
    return value if low is None or high is None else f"{value} [{1e5 * low:.2f}, {1e5 * high:.2f}]"
