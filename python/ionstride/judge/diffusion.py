"""D of MD beside the reference trajectory's own, both by the project's transport code, and their ratio."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import transport
from ..errors import InputError, PhysicsError
from ..records import Displacements, Trajectory
from ..results import Diffusivity, Estimate

TELLS = 4.0
"""An interval of the ratio that spans more than this factor and holds one tells nothing."""


def fitted(paths: Sequence[Trajectory], mobile: str, threads: int = 0) -> dict[str, Any]:
    """Return D of some runs together with its MSD, as a plain dictionary, or ``why`` not.

    Parameters
    ----------
    paths : runs of one cell, temperature and time between frames.
    mobile : element.
    threads : of the kernels.
    """
    try:
        moved = transport.displacements(list(paths), mobile)
        return described(moved, transport.fit_diffusivity(moved, None, threads), threads)
    except (PhysicsError, InputError) as error:
        return {"why": str(error)}


def described(moved: Displacements, fit: Diffusivity, threads: int = 0) -> dict[str, Any]:
    """Return a fit and the MSD behind it as a plain dictionary."""
    msd = transport.self_msd(moved, None, threads)
    return {
        "D_cm2_s": fit.D_cm2_s,
        "verdict": fit.verdict,
        "reasons": list(fit.reasons),
        "fit_window_ps": list(fit.fit_window_ps),
        "n_hops": fit.n_hops,
        "n_runs": moved.n_runs,
        "time_ps": float(moved.time_ps[-1] - moved.time_ps[0]),
        "temperature_K": moved.temperature_K,
        "msd": {
            "lag_ps": msd.lag_ps.tolist(),
            "A2": msd.value_A2.tolist(),
            "stderr_A2": msd.stderr_A2.tolist(),
        },
    }


def pooled(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the D of several independent runs that were fitted one by one, weighed by their intervals in ln D.

    One run is returned as it is; of runs with only a bound among them the one of the longest time counts.
    """
    done = [row for row in rows if "why" not in row]
    if len(done) <= 1:
        return done[0] if done else (rows[0] if rows else {"why": "no run"})
    told = [row for row in done if row["verdict"] == "diffusive"]
    if not told:
        return max(done, key=lambda row: row["time_ps"])
    half = np.array([_half(row["D_cm2_s"]) for row in told])
    weight = 1.0 / half**2
    middle = float(weight @ np.log([row["D_cm2_s"].value for row in told]) / weight.sum())
    reach = float(1.0 / math.sqrt(weight.sum()))
    return {
        **told[0],
        "D_cm2_s": Estimate(*(math.exp(v) for v in (middle, middle - reach, middle + reach))),
        "n_runs": len(told),
        "reasons": [f"mean in ln D of {len(told)} runs, weighed by their intervals"],
    }


def _half(D: Estimate) -> float:
    return 0.5 * math.log(D.high / D.low)


def ratio(md: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    r"""Return D of MD over D of the reference with a 95 % interval, and the verdict in a sentence.

    .. math:: \ln r \pm \sqrt{h_\mathrm{MD}^2 + h_\mathrm{ref}^2}

    with h the half-widths of the two 95 % intervals of ln D.  Where one of them is a bound, so is the ratio.

    Parameters
    ----------
    md, reference : as from `fitted`.
    """
    for name, row in (("MD", md), ("the reference", reference)):
        if "why" in row:
            return {"ratio": None, "verdict": "unknown", "words": f"cannot be told: no D of {name} ({row['why']})"}
    bound_md, bound_ref = md["verdict"] != "diffusive", reference["verdict"] != "diffusive"
    a, b = md["D_cm2_s"], reference["D_cm2_s"]
    if bound_md and bound_ref:
        return {"ratio": None, "verdict": "unknown", "words": "cannot be told: of both D only a bound is known"}
    if bound_ref:
        least = a.low / b.high
        words = f"cannot be told: of the reference's D only a bound is known, so that the ratio is above {least:.2g}"
        if least > 1.0:
            return {"ratio": None, "verdict": "too fast", "words": f"too fast by a factor of {least:.2g} or more"}
        return {"ratio": None, "verdict": "unknown", "words": words}
    if bound_md:
        most = a.high / b.low
        if most < 1.0:
            return {"ratio": None, "verdict": "too slow", "words": f"too slow by a factor of {1 / most:.2g} or more"}
        words = f"cannot be told: of the D of MD only a bound is known, so that the ratio is below {most:.2g}"
        return {"ratio": None, "verdict": "unknown", "words": words}
    half = math.hypot(_half(a), _half(b))
    middle = math.log(a.value / b.value)
    r = Estimate(*(math.exp(v) for v in (middle, middle - half, middle + half)))
    verdict, words = _words(r, math.exp(2 * _half(b)), math.exp(2 * _half(a)))
    return {"ratio": r, "verdict": verdict, "words": words}


def _words(r: Estimate, span_ref: float, span_md: float) -> tuple[str, str]:
    if r.high < 1.0:
        return "too slow", f"too slow by a factor of {1 / r.value:.2f} [{1 / r.high:.2f}, {1 / r.low:.2f}]"
    if r.low > 1.0:
        return "too fast", f"too fast by a factor of {r.value:.2f} [{r.low:.2f}, {r.high:.2f}]"
    if r.high / r.low > TELLS:
        whose = "the reference's own" if span_ref >= span_md else "that of MD's"
        return "unknown", (
            f"cannot be told: the ratio is {r.value:.2f} [{r.low:.2f}, {r.high:.2f}]; {whose} 95 % interval spans a "
            f"factor of {max(span_ref, span_md):.2g}"
        )
    return "agrees", f"agrees within the intervals: the ratio is {r.value:.2f} [{r.low:.2f}, {r.high:.2f}]"


def spread_of_models(by_model: dict[int, dict[str, Any]]) -> dict[str, Any] | None:
    """Return how far apart the D of several models lie: largest over smallest, and the scatter of ln D.

    None with fewer than two models that have a D.  The scatter holds the noise of each, which is given beside it: only
    what goes beyond is the ensemble's.
    """
    told = [row for row in by_model.values() if "why" not in row and row["verdict"] == "diffusive"]
    if len(told) < 2:
        return None
    logs = np.log([row["D_cm2_s"].value for row in told])
    noise = float(np.sqrt(np.mean([(_half(row["D_cm2_s"]) / 1.96) ** 2 for row in told])))
    scatter = float(logs.std(ddof=1))
    beyond = math.sqrt(max(0.0, scatter**2 - noise**2))
    return {
        "n_models": len(told),
        "largest_over_smallest": float(np.exp(logs.max() - logs.min())),
        "scatter_ln_D": scatter,
        "noise_ln_D": noise,
        "beyond_noise_ln_D": beyond,
    }
