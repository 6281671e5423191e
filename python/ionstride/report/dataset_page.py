"""The page of a set of labelled frames, ``dataset.html``."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import analysis_figures, dataset_figures
from .canvas import has, need_matplotlib, to_svg
from .rendering import framed, picture, plain, render, write_page
from .words import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = Mapping[str, Any]
_MOST_CURVES = 6


def write_dataset_json(found: Table, out: Path) -> Path:
    """Write ``dataset.json``, keys sorted, all or nothing.

    Raises
    ------
    InputError
        If a number is NaN or infinite.
    """
    text = json.dumps(plain(found, "dataset"), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return write_page(Path(out) / "dataset.json", text + "\n")


def write_dataset_page(found: Table, out: Path) -> Path:
    """Write ``dataset.html``: one file with its figures inside, which loads nothing.

    Parameters
    ----------
    found : result of `ionstride.dataset.inspect_set`.
    out : folder; it is made if it is not there.

    Raises
    ------
    MissingToolError
        If matplotlib is not installed.
    InputError
        If a number is NaN or infinite.
    """
    need_matplotlib()
    r = plain(found, "dataset")
    text = render(
        "dataset.html.j2",
        r=r,
        title="Labelled frames of " + ", ".join(c["formula"] for c in r["compositions"][:4]),
        tiles=_tiles(r),
        cautions=_cautions(r),
        common=_common_pictures(r),
        parts=[{**c, "pictures": _pictures(c, r["run_names"])} for c in r["compositions"]],
        diffusion=_diffusion(r),
        kelvin=_kelvin,
        inputs={s["path"]: s["sha256"] for s in r["sources"]},
    )
    return write_page(Path(out) / "dataset.html", text)


def _kelvin(run: Table) -> str:
    m = run.get("measured_K")
    if m:
        return f"{m['kelvin']:.0f} [{m['low']:.0f}, {m['high']:.0f}]"
    return f"about {run['vibration_K']:.0f} (forces)" if run.get("vibration_K") else "–"


def _tiles(r: Table) -> list[dict[str, str]]:
    compositions = r["compositions"]
    runs = [run for c in compositions for run in c["runs"]]
    virials = sum(c["n_virials"] for c in compositions)
    tiles = [
        {
            "label": "frames",
            "value": str(r["n_frames"]),
            "note": f"{len(compositions)} composition(s), {len(runs)} run(s); {virials} with virials; "
            f"{sum(r['dropped'].values())} left out on import",
        }
    ]
    volumes = [c["volume_A3_atom"] for c in compositions]
    low, high = min(v["min"] for v in volumes), max(v["max"] for v in volumes)
    tiles.append(
        {
            "label": "volume",
            "value": f"{low:.2f}" if high - low < 0.005 else f"{low:.2f}–{high:.2f}",
            "unit": "Å³/atom",
            "note": "the same in all frames" if high - low < 0.005 else "least and largest",
        }
    )
    measured = [run["measured_K"] for run in runs if run["measured_K"]]
    if len(measured) == 1:
        (m,) = measured
        tiles.append(
            {
                "label": "temperature, measured",
                "value": f"{m['kelvin']:.0f}",
                "unit": "K",
                "ci": f"95 %: [{m['low']:.0f}, {m['high']:.0f}] K",
                "note": f"from {m['pairs']} steps of up to {1000 * m['longest_ps']:.3g} fs",
            }
        )
    elif measured:
        kelvins = [m["kelvin"] for m in measured]
        tiles.append(
            {
                "label": "temperatures, measured",
                "value": f"{min(kelvins):.0f}–{max(kelvins):.0f}",
                "unit": "K",
                "note": f"of {len(kelvins)} runs, from steps between frames near in time",
            }
        )
    done = [run["diffusion"] for run in runs if "why" not in run["diffusion"]]
    if len(done) == 1:
        (row,) = done
        D = row["D_self_cm2_s"]
        bound = row["verdict"] != "diffusive"
        tiles.append(
            {
                "label": f"D({r['mobile']}) of the frames themselves",
                "value": ("< " + number(D["ci95"][1])) if bound else number(D["value"]),
                "unit": "cm²/s",
                "ci": "" if bound else f"95 %: [{number(D['ci95'][0])}, {number(D['ci95'][1])}]",
                "note": row["verdict"],
            }
        )
    return tiles


def _cautions(r: Table) -> list[str]:
    found = list(r["notes"])
    found += [f"{source['path']}: {note}" for source in r["sources"] for note in source["notes"]]
    for c in r["compositions"]:
        checks = c.get("checks") or {}
        found += [f"{c['formula']}: {note}" for note in checks.get("notes", [])]
        unchecked = checks.get("unchecked", [])
        found += [f"{c['formula']}: not checked: {text}" for text in unchecked[:5]]
        if len(unchecked) > 5:
            found.append(f"{c['formula']}: … and {len(unchecked) - 5} more that could not be checked")
        if c["n_outliers"]:
            found.append(f"{c['formula']}: {c['n_outliers']} frame(s) lie far from the rest of their run, see below")
        for run in c["runs"]:
            m, nominal = run["measured_K"], run["nominal_K"]
            if m and nominal and not m["low"] - 0.05 * nominal <= nominal <= m["high"] + 0.05 * nominal:
                found.append(f"{run['name']}: nominal {nominal:g} K, but its frames move as at {m['kelvin']:.0f} K")
    return found


def _common_pictures(r: Table) -> list[str]:
    compositions = r["compositions"]
    return [
        picture(
            dataset_figures.histogram_figure(compositions, "energy_eV_atom"),
            "Energies per atom (meV), each composition from its own mean; the wildest thousandth at either end is "
            "counted at the edge.",
        ),
        picture(
            dataset_figures.histogram_figure(compositions, "force_eV_A"),
            "Sizes of the forces on atoms (eV/Å), counts logarithmic.",
        ),
    ]


def _pictures(c: Table, names: Mapping[str, str]) -> list[str]:
    told = [run for run in c["runs"] if has(run.get("memory"), "lag", "correlation")]
    drawn: list[tuple[bool, Callable[[], Figure], str]] = [
        (
            c["n_frames"] > 1,
            lambda: dataset_figures.energy_figure(c, names),
            f"{c['formula']}: energy per atom (meV, from the mean) of every frame, by run.",
        ),
        (bool(c["rdf"]), lambda: dataset_figures.pairs_figure(c), f"{c['formula']}: g(r) of each pair of elements."),
        (
            bool(c["coverage"]),
            lambda: dataset_figures.map_figure(c, names),
            f"Of {c['formula']}: left, the frames by the distances in them (two principal components), by run; "
            "right, the distance of the farthest frame left out against the number taken: where it falls fast, many "
            "frames say the same.",
        ),
        (
            bool(told),
            lambda: dataset_figures.memory_figure(told),
            f"{c['formula']}: correlation of the forces between frames against the difference of their numbers; frames "
            "nearer than where it falls below 1/e are nearly copies.",
        ),
    ]
    return [
        framed(to_svg(draw(), caption), caption, "coverage") if draw is drawn[2][1] else picture(draw(), caption)
        for there, draw, caption in drawn
        if there
    ]


def _diffusion(r: Table) -> list[dict[str, Any]]:
    """Return D of each run that has one as text, with its figure for the first few."""
    rows: list[dict[str, Any]] = []
    for c in r["compositions"]:
        for run in c["runs"]:
            row = run["diffusion"]
            if "why" in row:
                continue
            D = row["D_self_cm2_s"]
            bound = row["verdict"] != "diffusive"
            low, high = (number(v) for v in D["ci95"])
            figure = ""
            if len(rows) < _MOST_CURVES and has(row.get("msd"), "lag_ps", "self_A2"):
                caption = (
                    f"{run['name']}: MSD (Å²) of {r['mobile']} and of its charge against lag (ps), both logarithmic."
                )
                figure = picture(analysis_figures.curves_figure(row), caption)
            rows.append(
                {
                    "name": run["name"],
                    "formula": c["formula"],
                    "verdict": row["verdict"],
                    "D": f"< {high}" if bound else number(D["value"]),
                    "interval": "" if bound else f"[{low}, {high}]",
                    "span_ps": run["span_ps"],
                    "uneven": run["uneven"],
                    "picture": figure,
                }
            )
    return rows
