"""The page of a potential that was judged, ``judge.html``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .canvas import need_matplotlib, to_svg
from .judge_figures import judge_figures
from .rendering import framed, plain, render, write_page
from .words import interval, number

Row = Mapping[str, Any]

_PARTS = {
    "errors": "Errors",
    "geometries": "Geometries",
    "structure": "Structure",
    "ageing": "Ageing",
    "fresh": "Frames of MD labelled afterwards",
    "diffusion": "Diffusion",
    "barrier": "Barriers",
    "softness": "Softness",
    "ensemble": "Ensemble",
    "nve": "Constant energy",
    "intactness": "Intactness",
}


def write_judge_page(found: Row, out: Path) -> Path:
    """Write ``judge.html``: one file with its figures inside, which loads nothing.

    Parameters
    ----------
    found : result of `ionstride.judge.judge`.
    out : folder; it is made if it is not there.

    Raises
    ------
    MissingToolError
        If matplotlib is not installed.
    InputError
        If a number is NaN or infinite.
    """
    need_matplotlib()
    r = plain(found, "judge")
    pictures = {name: framed(to_svg(figure, caption), caption, name) for name, figure, caption in judge_figures(r)}
    text = render(
        "judge.html.j2",
        r=r,
        title=f"{r['name']}: a potential judged for diffusion",
        tiles=_tiles(r),
        verdicts=[{"part": _PARTS[part], "text": words} for part, words in r["verdicts"].items()],
        pictures=pictures,
        D=_D_rows(r["diffusion"]),
        inputs=r.get("inputs") or {},
        versions=r.get("versions") or {},
    )
    return write_page(Path(out) / "judge.html", text)


def _tiles(r: Row) -> list[dict[str, str]]:
    force = r["errors"]["held_out"]["force_meV_A"]["rmse"]
    tiles = [
        {
            "label": "force error",
            "value": number(force["value"]),
            "unit": "meV/Å",
            "ci": f"95 %: {interval(force)}",
            "note": f"{r['errors']['held_out']['n_frames']} frames",
        }
    ]
    compared = r["diffusion"]["compared"]
    if compared["ratio"]:
        tiles.append(
            {
                "label": f"D({r['mobile']}) of MD over the reference's",
                "value": number(compared["ratio"]["value"]),
                "ci": f"95 %: {interval(compared['ratio'])}",
                "note": {"unknown": "cannot be told"}.get(compared["verdict"], compared["verdict"]),
            }
        )
    hops = r["hops"]
    if "why" not in hops:
        low, high = (1000.0 * v for v in hops["bias_eV"]["ci95"])
        tiles.append(
            {
                "label": "added to the barrier",
                "value": number(1000.0 * hops["bias_eV"]["value"]),
                "unit": "meV",
                "ci": f"95 %: {number(low)} to {number(high)} meV",
                "note": f"a factor of {number(hops['D_factor']['value'])} in D; {hops['n_hops']} hops",
            }
        )
    runs = [row for row in r["nve"].get("runs", []) if "why" not in row]
    if runs:
        drift = runs[0]["drift_meV_atom_ps"]
        tiles.append(
            {
                "label": "drift at constant energy",
                "value": number(drift["value"], 2),
                "unit": "meV/atom/ps",
                "ci": f"95 %: {interval(drift, 2)}",
            }
        )
    return tiles


def _D_rows(d: Row) -> list[dict[str, str]]:
    """Return the table of D: reference, MD pooled, singly and by model."""
    rows = [_D_row("reference", d["reference"])]
    if len(d.get("reference_runs") or []) > 1:
        rows += [_D_row(f"· {row['name']}", row) for row in d["reference_runs"]]
    for one in d["md"]:
        rows.append(_D_row(f"MD at {one['temperature_K']:g} K", one))
        if len(one["runs"]) > 1:
            rows += [_D_row(f"· {row['id']}", row) for row in one["runs"]]
        if len(one["by_model"]) > 1:
            rows += [_D_row(f"· all of model {k}", row) for k, row in one["by_model"].items()]
    return rows


def _D_row(name: str, row: Row) -> dict[str, str]:
    if "why" in row:
        return {"name": name, "D": "–", "interval": "", "verdict": str(row["why"]), "span": ""}
    bound = row["verdict"] != "diffusive"
    D = row["D_cm2_s"]
    return {
        "name": name,
        "D": f"< {number(D['ci95'][1])}" if bound else number(D["value"]),
        "interval": "" if bound else interval(D),
        "verdict": "; ".join(row["reasons"][:2]),
        "span": f"{row['n_runs']} × {number(row['time_ps'])}",
    }
