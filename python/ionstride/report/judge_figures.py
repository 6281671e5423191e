"""Figures of a potential that was judged, from the dictionary of `ionstride.judge.judge`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .canvas import ACCENT, FAINT, INK, PALETTE, floats, log_axis, new_figure, style
from .figures import parity_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

_MD, _REFERENCE = PALETTE[1], INK


def judge_figures(r: Row) -> "list[tuple[str, Figure, str]]":
    """Return the figures that can be drawn as (name, figure, caption)."""
    mobile = r["mobile"]
    errors = r["errors"]["held_out"]
    p = errors["parity"]
    drawn: list[tuple[str, Figure, str]] = [
        (
            "parity",
            parity_figure(
                p["force_ref_eV_A"],
                p["force_model_eV_A"],
                p["element"],
                reference_energy_meV_atom=p["energy_ref_meV_atom"],
                predicted_energy_meV_atom=p["energy_model_meV_atom"],
                force_rmse_meV_A=errors["force_meV_A"]["rmse"]["value"],
                energy_rmse_meV_atom=errors["energy_meV_atom"]["rmse"]["value"],
            ),
            "Forces and energies of the potential against the reference's, frames that are judged.",
        ),
        (
            "residual",
            residual_figure(errors["residual"]),
            "Errors of each frame against its energy: left of the force (rms over a frame), right of the energy.",
        ),
    ]
    if "why" not in r["hops"]:
        drawn.append(
            (
                "barrier",
                barrier_figure(r["hops"]),
                f"Energy along the hops of {mobile} from the mean forces on the ion in the reference's frames: left as "
                "reference and potential see it, right what the potential adds (95 % bands). A hop and its reverse "
                "count alike.",
            )
        )
    d = r["diffusion"]
    if any("why" not in row for row in [d["reference"], *d["md"]]):
        drawn.append(
            (
                "msd",
                msd_figure(d, mobile, r["temperature_K"]),
                f"Left: MSD of {mobile} in the reference's own trajectory and in MD with the potential; thin: single "
                "runs. Right: D of each with its 95 % interval; an arrow stands for a bound.",
            )
        )
    if "why" not in r["structure"]:
        drawn.append(
            (
                "rdf",
                rdf_figure(r["structure"]["pairs"]),
                "g(r) of MD (colour) and of the reference (black), each pair to its own largest value; where MD "
                "differs beyond the reference's own scatter the name is in colour.",
            )
        )
    if "runs" in r["ensemble"]:
        drawn.append(
            (
                "deviation",
                deviation_figure(r["ensemble"]),
                "Largest model deviation of the force in frames of MD against time; the line is the 99.9th percentile "
                "on the judged frames of the reference.",
            )
        )
    return drawn


def residual_figure(residual: Row) -> "Figure":
    """Draw force and energy errors of frames against their energy."""
    with style():
        figure, (left, right) = new_figure(2)
        x = floats(residual["energy_meV_atom"])
        left.scatter(x, floats(residual["force_rmse_meV_A"]), s=6, color=ACCENT, linewidths=0, alpha=0.6)
        left.set_ylabel("force error of the frame (meV/Å)")
        left.set_ylim(bottom=0.0)
        right.axhline(0.0, color=FAINT, linewidth=0.8)
        right.scatter(x, floats(residual["energy_error_meV_atom"]), s=6, color=ACCENT, linewidths=0, alpha=0.6)
        right.set_ylabel("energy error (meV/atom)")
        for ax in (left, right):
            ax.set_xlabel("energy − mean (meV/atom)")
    return figure


def barrier_figure(hops: Row) -> "Figure":
    """Draw energies along hops, and the difference of potential and reference."""
    profile = hops["profile"]
    with style():
        figure, (left, right) = new_figure(2)
        for name, colour, label in (("reference", _REFERENCE, "reference"), ("model", _MD, "potential")):
            _band(left, profile, name, colour)
            left.plot([], [], color=colour, label=label)
        left.set_ylabel("energy along the hop (meV)")
        left.legend(loc="best")
        right.axhline(0.0, color=FAINT, linewidth=0.8)
        _band(right, profile, "difference", ACCENT)
        right.set_ylabel("potential − reference (meV)")
        for ax in (left, right):
            ax.set_xlabel(f"way along the hop (of {hops['length_A']:.2f} Å on average)")
            ax.set_xticks([-0.5, 0.0, 0.5], ["site", "middle", "site"])
    return figure


def _band(ax: "Axes", profile: Row, name: str, colour: str) -> None:
    u, value, half = (floats(profile["u"]), *(1000 * floats(profile[f"{name}_{part}"]) for part in ("eV", "half_eV")))
    ax.fill_between(u, value - half, value + half, color=colour, alpha=0.18, linewidth=0)
    ax.plot(u, value, color=colour, linewidth=1.6, marker="o", markersize=2.8)


def msd_figure(d: Row, mobile: str, temperature_K: float | None) -> "Figure":
    """Draw MSDs of reference and MD, and their D with intervals."""
    rows: list[tuple[str, Row, str]] = []
    if "why" not in d["reference"]:
        rows.append(("reference", d["reference"], _REFERENCE))
    several = len(d["md"]) > 1
    for k, one in enumerate(d["md"]):
        if "why" not in one:
            colour = _MD if not several else PALETTE[(k + 1) % len(PALETTE)]
            rows.append((f"MD {one['temperature_K']:g} K", one, colour))
    with style():
        figure, (left, right) = new_figure(2)
        for name, row, colour in rows:
            lag, value = floats(row["msd"]["lag_ps"]), floats(row["msd"]["A2"])
            for single in row.get("runs") or []:
                if "why" not in single and len(row["runs"]) > 1:
                    left.plot(single["msd"]["lag_ps"], single["msd"]["A2"], color=colour, linewidth=0.6, alpha=0.5)
            left.plot(lag, value, color=colour, linewidth=1.8, label=name)
        log_axis(left, "x")
        log_axis(left, "y")
        left.set_xlabel("lag (ps)")
        left.set_ylabel(f"MSD of {mobile} (Å²)")
        left.legend(loc="best")
        points: list[tuple[str, Row, str]] = []
        for name, row, colour in rows:
            points.append((name, row, colour))
            if len(row.get("runs") or []) > 1:
                points += [(one["id"], one, colour) for one in row["runs"] if "why" not in one]
        for at, (_, row, colour) in enumerate(points):
            value, low, high = (1e6 * v for v in (row["D_cm2_s"]["value"], *row["D_cm2_s"]["ci95"]))
            if row["verdict"] == "diffusive":
                right.errorbar(
                    [value], [-at], xerr=[[value - low], [high - value]], color=colour, marker="o", markersize=4,
                    capsize=2.5, linewidth=1.3,
                )  # fmt: skip
            else:
                right.plot([high], [-at], color=colour, marker="<", markersize=6)
        right.set_yticks([-k for k in range(len(points))], [name for name, _, _ in points])
        right.set_ylim(-len(points) + 0.5, 0.5)
        told = [row["D_cm2_s"]["value"] for _, row, _ in points if row["verdict"] == "diffusive"]
        if told and max(told) < 10.0 * min(told):
            right.set_xlim(left=0.0)
        else:
            log_axis(right, "x")
        right.set_xlabel(f"D of {mobile} (10⁻⁶ cm²/s)")
    return figure


def rdf_figure(pairs: list[Row]) -> "Figure":
    """Draw g(r) of MD and reference for all pairs, one above another."""
    with style():
        figure, (ax,) = new_figure(1, 5.4, max(3.4, 0.62 * len(pairs) + 1.2))
        for k, pair in enumerate(pairs):
            top = max(*pair["md"], *pair["reference"], 1e-9)
            r, md, ref = floats(pair["r_A"]), floats(pair["md"]), floats(pair["reference"])
            ax.axhline(float(k), color="#e6e9ec", linewidth=0.8)
            ax.plot(r, k + 0.9 * ref / top, color=_REFERENCE, linewidth=1.1)
            ax.plot(r, k + 0.9 * md / top, color=_MD, linewidth=1.3)
            ax.annotate(
                pair["pair"], (0.985, k + 0.5), xycoords=("axes fraction", "data"), ha="right", va="center",
                color=_MD if pair["differs"] else INK, fontsize=8.5,
            )  # fmt: skip
        ax.set_yticks([])
        ax.set_xlabel("distance (Å)")
        ax.set_ylabel("g(r), each to its own largest")
        ax.set_xlim(0.0, 1.15 * max(pairs[0]["r_A"]))
        ax.set_ylim(-0.1, len(pairs) + 0.05)
    return figure


def deviation_figure(ensemble: Row) -> "Figure":
    """Draw the model deviation along MD runs and the level."""
    with style():
        figure, (ax,) = new_figure()
        for k, run in enumerate(ensemble["runs"]):
            ax.plot(
                run["time_ps"], run["deviation_eV_A"], color=PALETTE[k % len(PALETTE)], linewidth=0.9, label=run["id"]
            )
        ax.axhline(ensemble["level_eV_A"], color=INK, linewidth=1.1, linestyle=(0, (5, 3)), label="level")
        ax.set_ylim(bottom=0.0)
        ax.set_xlabel("time (ps)")
        ax.set_ylabel("largest model deviation (eV/Å)")
        ax.legend(loc="best", ncols=2)
    return figure
