"""The results as a plain table for the terminal."""

from collections.abc import Mapping
from typing import Any

from .words import DASH, VERDICTS, Results, headline, interval, missing_parts, number, part, runs, temperatures
from .words import worst_intact as worst


def summary_table(results: Results) -> str:
    """Return D and σ at each temperature, then Ea and the extrapolation, with 95 % intervals and units.

    Parameters
    ----------
    results : the results of a study; missing parts are named below the table.
    """
    rows = temperatures(results)
    lines: list[str] = []
    if rows:
        header = ["T (K)", "D (cm²/s)", "95 %", "σ (mS/cm)", "95 %", "verdict", "intact"]
        lines += _columns([header] + [_cells(row, results) for row in rows])
    line = part(results, "transport").get("arrhenius") or {}
    if line:
        at = f"{line.get('at_K', 300):g} K"
        lines.append("")
        lines += _columns(
            [
                ["Ea", *_estimate(line.get("Ea_eV"), "eV")],
                [f"D({at})", *_estimate(line.get("D_at_cm2_s"), "cm²/s")],
                [f"σ({at})", *_estimate(line.get("sigma_at_mS_cm"), "mS/cm")],
            ],
            rule=False,
        )
    else:
        lines += ([""] if lines else []) + [headline(results)]
    absent = missing_parts(results)
    lines += ["", *absent] if absent else []
    return "\n".join(lines)


def _cells(row: Mapping[str, Any], results: Results) -> list[str]:
    here = [worst(run) for run in runs(results) if run.get("temperature_K") == row["temperature_K"]]
    known = [f for f in here if f is not None]
    verdict = str(row.get("verdict") or DASH)
    cells = [f"{row['temperature_K']:g}"]
    for key in ("D_self_cm2_s", "sigma_NE_mS_cm"):
        estimate = row.get(key) or {}
        high = (estimate.get("ci95") or [None, None])[1]
        bound = verdict in ("bound", "not-diffusing")
        cells.append(f"< {number(high, html=False)}" if bound else number(estimate.get("value"), html=False))
        cells.append(DASH if bound else interval(estimate, html=False))
    return [*cells, VERDICTS.get(verdict, verdict), f"{100 * min(known):.1f} %" if known else DASH]


def _estimate(estimate: Mapping[str, Any] | None, unit: str) -> list[str]:
    value = number((estimate or {}).get("value"), html=False)
    return [f"{value} {unit}", f"95 %: {interval(estimate, html=False)} {unit}"]


def _columns(table: list[list[str]], rule: bool = True) -> list[str]:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    if rule:
        lines.insert(1, "  ".join("─" * width for width in widths))
    return lines
