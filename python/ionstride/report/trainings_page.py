"""The pages of ``ionstride learning-curve`` and ``ionstride sweep``, with their figures as files beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import trainings_figures
from .canvas import need_matplotlib, to_svg
from .rendering import framed, plain, render, write_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = Mapping[str, Any]


def write_trainings_page(kind: str, found: Table, out: Path) -> list[str]:
    """Write ``curve.html`` or ``sweep.html`` and its figures; return the names.

    Parameters
    ----------
    kind : ``curve`` or ``sweep``.
    found : what the command writes as JSON.
    out : folder.

    Raises
    ------
    MissingToolError
        If matplotlib is not installed.
    """
    need_matplotlib()
    r = plain(found, kind)
    return _curve(r, Path(out)) if kind == "curve" else _sweep(r, Path(out))


def _drawn(figure: "Figure", caption: str, name: str, out: Path) -> str:
    """Write a figure as SVG beside the page; return it as HTML."""
    svg = to_svg(figure, caption)
    head = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    write_page(out / f"{name}.svg", head + "\n")
    return framed(svg, caption)


def _curve(r: Table, out: Path) -> list[str]:
    pictures = [
        _drawn(
            trainings_figures.error_figure(r, name),
            f"Error of the {name} ({fit['unit']}) on the {r['n_test']} frames never trained on, a point for each draw "
            "of frames, against the number of frames given to the training; both axes logarithmic.",
            f"curve_{name}",
            out,
        )
        for name, fit in r["fits"].items()
    ]
    names = [f"curve_{name}.svg" for name in r["fits"]]
    if any((row.get("md") or {}).get("D_self_cm2_s") for row in r["rows"]):
        pictures.append(
            _drawn(
                trainings_figures.diffusivity_figure(r),
                f"D of {r['mobile']} in MD of {r['md_ps']:g} ps at {r['md_K']:g} K with each potential, against the "
                "number of frames; bars are 95 % intervals, triangles upper bounds.",
                "curve_D",
                out,
            )
        )
        names.append("curve_D.svg")
    text = render(
        "curve.html.j2",
        r=r,
        title=f"Learning curve of {r['formula']}",
        tiles=_curve_tiles(r),
        pictures=pictures,
        spread=_spread,
    )
    write_page(out / "curve.html", text)
    return ["curve.html", *names]


def _curve_tiles(r: Table) -> list[dict[str, str]]:
    tiles = []
    last = r["by_size"][-1]
    tiles.append(
        {
            "label": f"force error with {last['size']} frames",
            "value": f"{last['force_test']['mean']:.1f}",
            "unit": "meV/Å",
            "note": f"mean of {last['draws']} draw(s); energy {last['energy_test']['mean']:.2f} meV/atom",
        }
    )
    for name, fit in r["fits"].items():
        target = fit["target"]
        if not target:
            continue
        low, high = target["ci95"]
        value = f"{target['frames']:.2g}" if target["frames"] and target["verdict"] == "interval" else target["verdict"]
        if target["frames"] and target["verdict"] == "interval":
            value = f"{float(value):.0f}"
        tile = {
            "label": f"frames needed for {target['error']:g} {fit['unit']} ({name})",
            "value": "cannot be told" if target["verdict"] == "at least" else value,
            "note": target["words"],
        }
        if target["verdict"] == "interval":
            tile |= {"unit": "frames", "ci": f"95 %: [{float(f'{low:.2g}'):.0f}, {float(f'{high:.2g}'):.0f}]"}
        tiles.append(tile)
    fit = r["fits"]["force"]
    if not fit["why"]:
        floor = fit["c"] if fit["falls"] else fit["mean"]
        low, high = floor["ci95"]
        tiles.append(
            {
                "label": "floor of the force error",
                "value": f"{floor['value']:.3g}",
                "unit": "meV/Å",
                "ci": f"95 %: [{low:.3g}, {high:.3g}]",
                "note": "of this network and this number of steps, with frames without end"
                if fit["falls"]
                else "the error does not fall with the number of frames",
            }
        )
    return tiles


def _sweep(r: Table, out: Path) -> list[str]:
    first = r["varied"][0]
    rows = [
        {**row, "rank": rank, "kind": row["settings"][first] if len(r["varied"]) > 1 else ""}
        for rank, row in enumerate(r["choices"], start=1)
    ]
    pictures = []
    names = []
    if any(row["evaluation_s"] for row in rows):
        pictures.append(
            _drawn(
                trainings_figures.cost_figure(rows),
                "Force error on frames never trained on (mean of the seeds, bars their standard deviation) against the "
                "time of an evaluation; numbers are the lines of the table; the step line joins choices that no other "
                "beats in both.",
                "sweep_cost",
                out,
            )
        )
        names.append("sweep_cost.svg")
    pictures.append(
        _drawn(
            trainings_figures.iterations_figure(rows),
            "Force error by iteration on the frames a training watches itself, of the first seed, medians over pieces; "
            "the best eight choices.",
            "sweep_iterations",
            out,
        )
    )
    names.append("sweep_iterations.svg")
    text = render(
        "sweep.html.j2",
        r=r,
        title=f"Potentials of {r['formula']}: {' × '.join(r['varied'])}",
        rows=rows,
        tiles=_sweep_tiles(rows, r),
        pictures=pictures,
        spread=_spread,
    )
    write_page(out / "sweep.html", text)
    return ["sweep.html", *names]


def _sweep_tiles(rows: list[dict[str, Any]], r: Table) -> list[dict[str, str]]:
    best = rows[0]
    tiles = [
        {
            "label": "lowest force error",
            "value": f"{best['force_test']['mean']:.1f}",
            "unit": "meV/Å",
            "note": best["label"] + (f"; seeds ± {best['force_test']['std']:.1f}" if best["force_test"]["std"] else ""),
        }
    ]
    alike = [row for row in rows if row["told_from_best"] is False and row["evaluation_s"]]
    if best["evaluation_s"] and r["verdict"]["factor"]:
        cheapest = min([best, *alike], key=lambda row: float(row["evaluation_s"]))
        said = "the best itself" if cheapest is best else f"{cheapest['label']}, which cannot be told from the best"
        tiles.append(
            {
                "label": "cheapest of those not told from the best",
                "value": f"{cheapest['atom_evaluations_per_s']:.0f}",
                "unit": "atom-evaluations/s",
                "note": said,
            }
        )
    if r["verdict"]["factor"]:
        tiles.append(
            {
                "label": "difference that can be told",
                "value": f"{100 * (r['verdict']['factor'] - 1):.1f}",
                "unit": "%",
                "note": f"of the force error, by {r['n_seeds']} seeds a choice",
            }
        )
    return tiles


def _spread(value: Table | None, digits: int = 1) -> str:
    if not value:
        return "–"
    text = f"{value['mean']:.{digits}f}"
    return text if value["std"] is None else f"{text} ± {value['std']:.{digits}f}"
