"""Numbers and findings in words: formatted values, the headline, what to be careful about."""

import math
import re
from collections.abc import Mapping
from typing import Any

from .canvas import superscript

Results = Mapping[str, Any]

DASH = "–"

VERDICTS = {"diffusive": "diffusive", "bound": "upper bound only", "not-diffusing": "not diffusing"}

PARTS = {
    "structure": "the structure",
    "reference": "reference frames",
    "learning": "rounds of learning",
    "potential": "training and testing of the potential",
    "md": "molecular dynamics",
    "transport": "the transport analysis",
}

UNIVERSAL_MODEL = re.compile(
    r"\b(chgnet|m3gnet|tensornet|mattersim|orb|sevennet|7net|uma|universal|mace[-_ ](mp|mpa|omat|matpes))", re.I
)


def number(value: Any, digits: int = 3, html: bool = True) -> str:
    """Return a number with `digits` significant digits, such as ``0.250`` or ``1.23 × 10⁻⁶``.

    Parameters
    ----------
    value : a number; anything else (missing, None, NaN) gives a dash.
    digits : significant digits.
    html : False writes ``1.23e-06``, which keeps its width in every terminal.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 10**5:
        text = f"{value:#.{digits}g}"
        if "e" in text:
            text = f"{value:.0f}"
        return text.rstrip(".").replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if not html:
        return f"{mantissa}e{exponent}"
    return f"{mantissa.replace('-', '−')} × 10{superscript(int(exponent))}"


def interval(estimate: Any, digits: int = 3, html: bool = True) -> str:
    """Return ``low to high`` of an estimate's 95 % interval, one power of ten for both where they are near."""
    low, high = _ends(estimate)
    if low is None and high is None:
        return DASH
    if low is None or high is None:
        return f"below {number(high, digits, html)}" if low is None else f"above {number(low, digits, html)}"
    largest = max(abs(low), abs(high))
    smallest = min(abs(low), abs(high))
    if html and 0.0 < largest < 1e-3 and (smallest == 0.0 or smallest > 1e-2 * largest):
        exponent = math.floor(math.log10(largest))
        scale = 10.0**exponent
        return f"({number(low / scale, digits)} to {number(high / scale, digits)}) × 10{superscript(exponent)}"
    return f"{number(low, digits, html)} to {number(high, digits, html)}"


def _ends(estimate: Any) -> tuple[float | None, float | None]:
    ends = estimate.get("ci95") if isinstance(estimate, Mapping) else None
    if not ends or len(ends) != 2:
        return None, None
    return ends[0], ends[1]


def part(results: Results, name: str) -> dict[str, Any]:
    """Return a top-level part of the results, empty if it was not made."""
    return dict(results.get(name) or {})


def temperatures(results: Results) -> list[dict[str, Any]]:
    """Return the analysed temperatures, coldest first."""
    rows = part(results, "transport").get("temperatures") or []
    return sorted(rows, key=lambda row: float(row["temperature_K"]))


def runs(results: Results) -> list[dict[str, Any]]:
    """Return the MD runs in their order."""
    return list(part(results, "md").get("runs") or [])


def worst_intact(run: Mapping[str, Any]) -> float | None:
    """Return the smallest intact fraction of a run's polyhedra, None if none was watched."""
    fractions = [f for f in (run.get("intact") or {}).values() if f is not None]
    return min(fractions) if fractions else None


def missing_parts(results: Results) -> list[str]:
    """Return a sentence for each part that is not there: skipped, or not reached."""
    done = [bool(results.get(name)) for name in PARTS]
    sentences = []
    for i, words in enumerate(PARTS.values()):
        if not done[i]:
            why = "skipped, or taken as given" if any(done[i + 1 :]) else "the study ended before it"
            sentences.append(f"Not done: {words} ({why}).")
    if done[-1] and not part(results, "transport").get("arrhenius"):
        sentences.append("Not done: the Arrhenius line, and with it Ea and the extrapolation.")
    return sentences


def headline(results: Results) -> str:
    """Return the answer of the study in one or two sentences."""
    ion = part(results, "structure").get("mobile") or "the mobile ion"
    rows = temperatures(results)
    line = part(results, "transport").get("arrhenius") or {}
    if line:
        T = number(line.get("at_K"))
        sigma, Ea = line.get("sigma_at_mS_cm") or {}, line.get("Ea_eV") or {}
        return (
            f"Extrapolated to {T} K, {ion} conducts with σ = {number(sigma.get('value'))} mS/cm "
            f"(95 %: {interval(sigma)} mS/cm); the activation energy is Ea = {number(Ea.get('value'))} eV "
            f"(95 %: {interval(Ea)} eV)."
        )
    if not rows:
        return "No diffusion coefficient yet: this study did not reach the transport analysis."
    moving = [row for row in rows if row.get("verdict") == "diffusive"]
    if not moving:
        return f"No diffusion of {ion} could be measured at any temperature; there is no activation energy."
    where = ", ".join(f"{row['temperature_K']:g}" for row in moving)
    return f"{ion} diffuses at {where} K; there is no line through these temperatures, so no Ea and no extrapolation."


def verdicts(results: Results) -> list[str]:
    """Return one sentence for each temperature that is not simply diffusive."""
    sentences = []
    for row in temperatures(results):
        verdict = row.get("verdict")
        if verdict == "diffusive":
            continue
        if verdict == "bound":
            _, high = _ends(row.get("D_self_cm2_s"))
            text = f"At {row['temperature_K']:g} K only an upper bound is known, D < {number(high)} cm²/s"
        else:
            text = f"At {row['temperature_K']:g} K the ions do not diffuse within the time simulated"
        reasons = "; ".join(str(r) for r in row.get("reasons") or [])
        sentences.append(text + (f": {reasons}." if reasons else "."))
    return sentences


def cautions(results: Results) -> list[str]:
    """Return what a reader must know before using the numbers, the gravest first."""
    sentences = []
    for run in runs(results):
        ended = str(run.get("ended") or "complete")
        if ended != "complete":
            sentences.append(f"MD run {run.get('id')} did not complete: {ended}.")
        broken = worst_intact(run)
        if broken is not None and broken < 0.95:
            sentences.append(
                f"In MD run {run.get('id')} only {100 * broken:.1f} % of the polyhedra are whole: "
                "the potential may not hold the framework, and D may be wrong."
            )
        share = run.get("wall_share")
        if share is not None and share > 0.01:
            sentences.append(
                f"In MD run {run.get('id')} two atoms came nearer than in any reference frame in {100 * share:.0f} % "
                "of the frames, and a wall kept them apart: the potential is used beyond its data."
            )
        mean, wanted = run.get("mean_temperature_K"), run.get("temperature_K")
        if mean and wanted and abs(mean - wanted) > 0.03 * wanted:
            sentences.append(f"MD run {run.get('id')} was at {mean:.0f} K on average, not at {wanted:g} K.")
    reference, potential = part(results, "reference"), part(results, "potential")
    method = str(reference.get("method") or "")
    if UNIVERSAL_MODEL.search(method):
        sentences.append(
            f"The labels come from {method}, a universal machine-learnt model standing in for first principles: "
            "the potential inherits its errors. For a number to publish, label with your own functional."
        )
    elif reference.get("note"):
        sentences.append(str(reference["note"]))
    if potential.get("source") == "given":
        sentences.append("The potential was given: how well it describes this material was not tested here.")
    rows = [row for row in temperatures(results) if row.get("verdict") == "diffusive"]
    line = part(results, "transport").get("arrhenius") or {}
    if line and rows:
        coldest, at = float(rows[0]["temperature_K"]), float(line.get("at_K") or 300.0)
        if at < 0.9 * coldest:
            sentences.append(
                f"{at:g} K lies {coldest - at:.0f} K below the coldest temperature that was simulated ({coldest:g} K): "
                "the extrapolation holds only if the same mechanism acts all the way down, without a phase change."
            )
        if len(rows) == 2:
            sentences.append("The line goes through two temperatures only: that it is straight was not tested.")
    sentences += [str(w) for w in line.get("warnings") or [] if "is an extrapolation" not in str(w)]
    if rows:
        sentences.append(
            "The intervals are statistical, from the length and number of the runs. "
            "They do not contain the error of the potential, which can be larger."
        )
        sentences.append(
            "σ is that of Nernst-Einstein: ions are taken to move independently. "
            "Where they move together, the measured conductivity differs by the Haven ratio."
        )
    return list(dict.fromkeys(sentences))
