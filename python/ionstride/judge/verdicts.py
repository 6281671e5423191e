"""One sentence for each part of the judgement, numbers with their intervals."""

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]

WALL_SHARE = 0.01
WORSE = 1.2
"""Force error on frames of MD over that on held-out frames, above which MD has left what the potential knows."""
LEFT = 0.05
"""Part of the frames by which fewer polyhedra are whole than in the reference, and MD has left its structure."""


def said(estimate: Row | None, unit: str = "", digits: int = 3) -> str:
    """Return ``value [low, high] unit`` in plain text."""
    if not estimate or estimate.get("value") is None:
        return "not known"
    low, high = ("…" if v is None else _short(v, digits) for v in estimate["ci95"])
    return f"{_short(estimate['value'], digits)} [{low}, {high}] {unit}".rstrip()


def _short(value: float, digits: int) -> str:
    text = f"{value:.{digits}g}"
    if "e" in text and 1e-3 <= abs(value) < 1e5:
        text = f"{value:.0f}"
    return text


def sentences(r: Row) -> dict[str, str]:
    """Return part → its verdict.

    Parameters
    ----------
    r : result of `judge.judge`, in plain dictionaries.
    """
    return {
        "errors": _errors(r),
        "geometries": _geometries(r["geometries"]),
        "structure": _structure(r["structure"], r["mobile"]),
        "ageing": _ageing(r["ageing"], r["mobile"]),
        "fresh": _fresh(r["fresh"]),
        "diffusion": _diffusion(r["diffusion"], r["mobile"]),
        "barrier": _barrier(r["hops"], r["mobile"]),
        "softness": _softness(r),
        "ensemble": _ensemble(r),
        "nve": _nve(r["nve"]),
        "intactness": _intact(r["md"]),
    }


def _errors(r: Row) -> str:
    e = r["errors"]["held_out"]
    text = (
        f"on {e['n_frames']} frames ({r['split']}) the error is {said(e['energy_meV_atom']['rmse'])} meV/atom "
        f"({said(e['energy_meV_atom']['rmse_shifted'])} after a constant) and {said(e['force_meV_A']['rmse'])} meV/Å"
    )
    train = r["errors"]["train"]
    if train:
        text += f"; on training frames {said(train['force_meV_A']['rmse'])} meV/Å"
    if e["virial_meV_atom"]:
        text += f"; virial {said(e['virial_meV_atom']['rmse'])} meV/atom"
    return text


def _geometries(g: Row) -> str:
    rows = g["enriched"]
    if not g["n_tried"]:
        return "too few frames are judged to tell geometries apart"
    if not rows:
        return f"no geometry has significantly larger force errors than others ({g['n_tried']} kinds tried)"
    return f"force errors are larger, of {g['n_tried']} kinds tried, for " + "; ".join(
        f"{row['words']} (× {said(row['enrichment'])}, {row['n_atoms']} atoms)" for row in rows[:3]
    )


def _structure(s: Row, mobile: str) -> str:
    if "why" in s:
        return f"g(r) is not compared: {s['why']}"
    off = [p for p in s["pairs"] if p["differs"]]
    known = [p for p in s["pairs"] if p["differs"] is not None]
    if not known:
        return "g(r): the reference is too short to tell its own scatter"
    if not off:
        return f"g(r) of all {len(known)} pairs agrees with the reference's within its own scatter"
    worst = max(off, key=lambda p: abs(p["largest_difference"]) / max(p["within_reference"], 1e-9))
    return (
        f"g(r) differs beyond the reference's own scatter for {', '.join(p['pair'] for p in off)}; most for "
        f"{worst['pair']}: by {worst['largest_difference']:+.2g} at {worst['at_A']:.2f} Å, where the reference alone "
        f"would show {worst['within_reference']:.2g}"
    )


def _ageing(a: Row, mobile: str) -> str:
    if "why" in a:
        return f"changes in the course of MD are not judged: {a['why']}"
    parts = []
    for name, part in (("MD", a["md"]), ("the reference", a["reference"])):
        change = part["change"]
        if change is None:
            parts.append(f"in {name} it cannot be told")
            continue
        low, high = change["ci95"]
        words = "grows" if low > 1.0 else "falls" if high < 1.0 else "is the same to this accuracy"
        parts.append(f"in {name} it {words} (a factor of {said(change)})")
    text = f"MSD of {mobile} at {a['lag_ps']:.3g} ps, second half of a run over the first: " + "; ".join(parts)
    if a["energy"]:
        low, high = a["energy"]["meV_atom"]["ci95"]
        lies = "lies below" if high < 0.0 else "lies above" if low > 0.0 else "cannot be told from"
        text += (
            f"; the potential energy of MD {lies} that of the reference's frames by the same potential: "
            f"{said(a['energy']['meV_atom'])} meV/atom"
        )
        if high < 0.0:
            text += ", so MD has found a structure that the potential likes better than the reference's"
    for kind, shares in a["md"]["whole"].items():
        theirs = [v for v in a["reference"]["whole"][kind] if v is not None]
        mine = [v for v in shares if v is not None]
        if not (mine and theirs):
            continue
        course = " → ".join(f"{100 * v:.0f}" for v in mine)
        usual = sum(theirs) / len(theirs)
        text += f"; {kind} whole in {course} % of the frames of MD, {100 * usual:.0f} % in the reference"
        if sum(mine) / len(mine) < usual - LEFT:
            text += ": MD leaves the structure of the reference, so that its D is that of another one"
    return text


def _fresh(f: Row) -> str:
    if "why" in f:
        return f"where MD went is not checked: {f['why']}"
    force, shift, ratio = f["force_meV_A"], f["shift_meV_atom"], f["force_ratio"]
    each = ", ".join(f"{name} {_short(e['value'], 3)}" for name, e in force["by_element"].items())
    text = (
        f"on {f['n_frames']} frames of MD labelled afterwards ({f['method'] or 'method not named'}) the force error is "
        f"{said(force['rmse'])} meV/Å ({each}), where forces scatter by {_short(force['scatter_of_reference'], 3)}"
    )
    if ratio:
        text += f": {said(ratio)} times that on held-out frames"
        if ratio["ci95"][0] is not None and ratio["ci95"][0] > WORSE:
            text += ", so MD goes where the potential knows less"
    if None in shift["ci95"]:
        return text
    low, high = shift["ci95"]
    if high < 0.0:
        text += (
            f"; there the potential lies too low, by {said(shift)} meV/atom against held-out frames: MD dwells in "
            "structures that the potential likes better than the reference does; label more of them and train on"
        )
    elif low > 0.0:
        text += f"; there the potential lies too high, by {said(shift)} meV/atom against held-out frames"
    else:
        text += f"; its energy there is right within {said(shift)} meV/atom of that on held-out frames"
    return text


def _diffusion(d: Row, mobile: str) -> str:
    text = f"D({mobile}) of MD against the reference's own {d['compared']['words']}"
    if "why" not in d["reference"] and d.get("compared_K"):
        md = next(row for row in d["md"] if row["temperature_K"] == d["compared_K"])
        if "why" not in md:
            text += f" ({_D(md)} against {_D(d['reference'])} cm²/s at {d['compared_K']:g} K)"
    return text


def _D(row: Row) -> str:
    if row["verdict"] != "diffusive":
        return f"< {row['D_cm2_s']['ci95'][1]:.2g}"
    return said(row["D_cm2_s"])


def _barrier(h: Row, mobile: str) -> str:
    if "why" in h:
        return f"barriers of hops are not judged: {h['why']}"
    bias = {"value": 1000 * h["bias_eV"]["value"], "ci95": [1000 * v for v in h["bias_eV"]["ci95"]]}
    low, high = h["bias_eV"]["ci95"]
    effect = "higher" if low > 0 else "lower" if high < 0 else "neither higher nor lower, to this accuracy"
    reference = {"value": 1000 * h["reference_eV"]["value"], "ci95": [1000 * v for v in h["reference_eV"]["ci95"]]}
    text = (
        f"along {h['n_hops']} hops of {mobile} the potential sees a barrier that is {effect}: by {said(bias)} meV on "
        f"{said(reference)} meV, a factor of {said(h['D_factor'])} in D at {h['temperature_K']:g} K"
    )
    energy = h["frame_energy_eV"]
    if energy:
        whole = {"value": 1000 * energy["value"], "ci95": [1000 * v for v in energy["ci95"]]}
        text += f"; by the energy of whole frames {said(whole)} meV"
    return text


def _softness(r: Row) -> str:
    text = f"forces on {r['mobile']} have a slope of {said(r['errors']['slope_mobile'])} against the reference's"
    for name, place in (("site", "in sites"), ("saddle", "near saddles")):
        part = r["hops"].get(name)
        if part:
            text += f"; {place} {said(part['slope'])}, error {said(part['force_rmse_meV_A'])} meV/Å"
    return text


def _ensemble(r: Row) -> str:
    e = r["ensemble"]
    if "why" in e:
        return f"no ensemble: {e['why']}"
    text = (
        f"{e['n_models']} models; level of deviation {e['level_eV_A']:.3g} eV/Å (99.9th percentile on held-out frames)"
    )
    if "why_md" in e:
        return f"{text}; on MD frames not looked at: {e['why_md']}"
    text += f"; {100 * e['share_above']:.1f} % of {e['n_md']} MD frames lie above"
    without = e["without"]
    if "why" in without:
        text += f"; {without['why']}"
    else:
        text += (
            f"; D of all stretches {_D(without['all'])}, without those above {_D(without['without'])} cm²/s "
            f"({without['n_left']} of {without['n_stretches']} left)"
        )
    spreads = [row for row in r["diffusion"]["md"] if row["spread"]]
    for row in spreads:
        s = row["spread"]
        text += (
            f"; D of the models at {row['temperature_K']:g} K lies within a factor of {s['largest_over_smallest']:.2f} "
            f"(scatter of ln D {s['scatter_ln_D']:.2f}, of which noise {s['noise_ln_D']:.2f})"
        )
    return text


def _nve(n: Row) -> str:
    if "why" in n:
        return f"no drift at constant energy: {n['why']}"
    several = len(n["runs"]) > 1
    parts = []
    for row in n["runs"]:
        name = f"model {row['model']}: " if several and "model" in row else f"{row['run']}: " if several else ""
        if "why" in row:
            parts.append(f"{name}none is known, {row['why']}")
        else:
            parts.append(f"{name}{said(row['drift_meV_atom_ps'])} meV/atom/ps over {row['ps']:g} ps")
    return "drift of the total energy at constant energy: " + "; ".join(parts)


def _intact(rows: Any) -> str:
    if not rows:
        return "not known: no MD"
    bad = [row for row in rows if row["ended"] != "complete"]
    text = f"{len(rows) - len(bad)} of {len(rows)} MD runs came to their end"
    if bad:
        text += " (" + "; ".join(f"{row['id']}: {row['ended']}" for row in bad[:3]) + ")"
    walls = [row["wall_share"] for row in rows if row["wall_share"]]
    if walls and max(walls) > WALL_SHARE:
        text += (
            f"; walls kept atoms apart in up to {100 * max(walls):.0f} % of the frames, where the potential has a hole"
        )
    shares = [(share, name, row["id"]) for row in rows for name, share in (row["intact"] or {}).items()]
    if shares:
        share, name, run = min(shares)
        text += f"; {name} whole in {100 * share:.1f} % of the frames or more (least in {run})"
    return text
