"""One temperature's transport results as a dictionary, for the report and for `transport.json`."""

import csv
import io
import math
from typing import Any

import numpy as np

from .. import transport
from ..errors import PhysicsError
from ..records import Displacements
from ..report.words import number
from ..results import Diffusivity, Estimate, Msd, Tensor
from ..settings import TransportSettings
from ..units import nernst_einstein_mS_cm

SCHEMA = "ionstride.transport/2"


def analyse(
    moved: "transport.Source", settings: TransportSettings, threads: int = 0, lags: Any = None
) -> tuple[dict[str, Any], Diffusivity, Diffusivity | None]:
    """Return one temperature's results as a dictionary, and the fits of the self and of the charge motion.

    Parameters
    ----------
    moved : displacements of the mobile ions, all replicas, or streamed sums of them.
    settings : fit window and charge.
    threads : of the kernels, 0 = all cores.
    lags : lags in frames of the curves that are kept; a default choice if None.
    """
    window = (settings.fit_ps[0], settings.fit_ps[1]) if len(settings.fit_ps) == 2 else None
    fit = transport.fit_diffusivity(moved, window, threads)
    msd = transport.self_msd(moved, lags, threads)
    charge, charge_fit, why = None, None, ""
    try:
        charge = transport.charge_msd(moved, lags, threads)
        charge_fit = transport.fit_charge_diffusivity(moved, fit, window, threads)
    except PhysicsError as error:
        why = str(error)
    n_ions, volume = moved.n_ions_per_run, moved.volume_A3
    per_D = nernst_einstein_mS_cm(1.0, n_ions, volume, moved.temperature_K, settings.charge_e)
    frames = len(moved.time_ps) if isinstance(moved, Displacements) else moved.n_frames
    step_ps = transport.step_ps_of(moved)
    he_zhu_mo = 3.43 / math.sqrt(fit.n_hops) + 0.04 if fit.n_hops > 0 else None
    return (
        {
            "schema": SCHEMA,
            "mobile": moved.species[0],
            "charge_e": settings.charge_e,
            "temperature_K": moved.temperature_K,
            "n_ions": n_ions,
            "n_replicas": moved.n_runs,
            "n_frames": frames,
            "frame_ps": step_ps,
            "time_ps": step_ps * (frames - 1),
            "volume_A3": volume,
            "cell_A": moved.cell_A.tolist(),
            "unwrap": _unwrap_words(moved),
            "drift": moved.drift,
            "source": moved.source,
            "msd": _curves(msd, charge),
            "fit_window_ps": list(fit.fit_window_ps),
            "D_self_cm2_s": fit.D_cm2_s.as_dict(),
            "ln_D_stderr": fit.ln_D_stderr if math.isfinite(fit.ln_D_stderr) else None,
            "D_tensor_cm2_s": fit.tensor.as_dict(),
            "sigma_NE_mS_cm": _times(fit.D_cm2_s, per_D),
            "n_hops": fit.n_hops,
            "verdict": fit.verdict,
            "reasons": list(fit.reasons),
            **_charge(fit, charge_fit, per_D, why),
            "cross_check": {
                "D_of_blocks_cm2_s": list(fit.blocks_cm2_s),
                "D_of_replicas_cm2_s": list(fit.runs_cm2_s),
                "relative_error_by_hop_count": he_zhu_mo,
                "relative_error": fit.ln_D_stderr if math.isfinite(fit.ln_D_stderr) else None,
            },
        },
        fit,
        charge_fit,
    )


def read_fit(row: dict[str, Any], kind: str = "self") -> Diffusivity | None:
    """Return a fit that `analyse` described in a dictionary; None where there is no charge motion in it."""
    charge = kind == "charge"
    estimate = row.get("D_charge_cm2_s" if charge else "D_self_cm2_s")
    if estimate is None:
        return None
    low, high = estimate["ci95"]
    tensor = row["D_tensor_cm2_s" if not charge else "D_charge_tensor_cm2_s"]
    stderr = row["ln_D_charge_stderr" if charge else "ln_D_stderr"]
    window = row["charge_fit_window_ps" if charge else "fit_window_ps"]
    return Diffusivity(
        D_cm2_s=Estimate(estimate["value"], low, high),
        tensor=Tensor(np.array(tensor["value"]), np.array(tensor["stderr"]), {}),
        temperature_K=row["temperature_K"],
        ln_D_stderr=math.inf if stderr is None else stderr,
        fit_window_ps=(window[0], window[1]),
        n_hops=row["n_hops"],
        verdict=row["charge_verdict" if charge else "verdict"],
        reasons=tuple(row["charge_reasons" if charge else "reasons"]),
        kind="charge" if charge else "self",
    )


def _charge(fit: Diffusivity, charge: Diffusivity | None, per_D: float, why: str) -> dict[str, Any]:
    if charge is None:
        names = ("D_charge_cm2_s", "D_charge_tensor_cm2_s", "haven_ratio", "sigma_charge_mS_cm", "sigma_tensor_mS_cm")
        return {**dict.fromkeys(names), "charge_verdict": None, "charge_reasons": [why]}
    haven = transport.haven_ratio(fit, charge)
    return {
        "charge_fit_window_ps": list(charge.fit_window_ps),
        "D_charge_cm2_s": charge.D_cm2_s.as_dict(),
        "D_charge_tensor_cm2_s": charge.tensor.as_dict(),
        "ln_D_charge_stderr": charge.ln_D_stderr if math.isfinite(charge.ln_D_stderr) else None,
        "sigma_charge_mS_cm": _times(charge.D_cm2_s, per_D),
        "sigma_tensor_mS_cm": {
            "value": (per_D * charge.tensor.value).tolist(),
            "stderr": (per_D * charge.tensor.stderr).tolist(),
        },
        "haven_ratio": None if haven is None else haven.as_dict(),
        "charge_verdict": charge.verdict,
        "charge_reasons": list(charge.reasons),
    }


def _times(estimate: Estimate, factor: float) -> dict[str, Any]:
    return Estimate(*(factor * v for v in (estimate.value, estimate.low, estimate.high))).as_dict()


def _unwrap_words(moved: "transport.Source") -> str:
    runs = moved.source.get("runs") or [{}]
    return str(runs[0].get("unwrap") or moved.source.get("unwrap") or "positions as given")


def _curves(msd: Msd, charge: Msd | None) -> dict[str, Any]:
    curves = {
        "lag_ps": msd.lag_ps.tolist(),
        "self_A2": msd.value_A2.tolist(),
        "self_stderr_A2": msd.stderr_A2.tolist(),
        "self_xyz_A2": msd.xyz_A2.tolist(),
        "self_yz_xz_xy_A2": None if msd.tensor_A2 is None else msd.tensor_A2[:, [1, 0, 0], [2, 2, 1]].tolist(),
        "log_log_slope": transport.log_log_slope(msd).tolist() if len(msd.lag_ps) > 1 else [],
        "alpha2": None if msd.alpha2 is None else msd.alpha2.tolist(),
        "charge_A2": None if charge is None else charge.value_A2.tolist(),
        "charge_stderr_A2": None if charge is None else charge.stderr_A2.tolist(),
        "charge_xyz_A2": None if charge is None else charge.xyz_A2.tolist(),
    }
    return {name: values for name, values in curves.items() if values is not None or name == "charge_A2"}


_COLUMNS = {
    "msd_A2": "self_A2",
    "stderr_A2": "self_stderr_A2",
    "log_log_slope": "log_log_slope",
    "alpha2": "alpha2",
    "charge_msd_A2": "charge_A2",
    "charge_stderr_A2": "charge_stderr_A2",
}


def msd_csv(msd: dict[str, Any]) -> str:
    """Return the curves as CSV with units in the header."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    named = {name: msd[key] for name, key in _COLUMNS.items() if msd.get(key)}
    writer.writerow(["lag_ps", *named, "msd_x_A2", "msd_y_A2", "msd_z_A2"])
    for at, (lag, xyz) in enumerate(zip(msd["lag_ps"], msd["self_xyz_A2"], strict=True)):
        writer.writerow([f"{v:.8g}" for v in (lag, *(column[at] for column in named.values()), *xyz)])
    return stream.getvalue()


def words(estimate: dict[str, Any] | None, unit: str, bound: bool = False) -> str:
    """Return 'value [low, high] unit', or '< high unit' where only a bound is known."""
    if estimate is None:
        return "not known"
    low, high = estimate["ci95"]
    if bound:
        return f"< {number(high, 2, html=False)} {unit}"
    three = (low, estimate["value"], high)
    # As many digits as tell the ends from the value.
    for digits in (3, 4, 5):
        if len({f"{v:.{digits - 1}e}" for v in three}) == 3:
            break
    value, first, last = (number(v, digits, html=False) for v in (three[1], low, high))
    return f"{value} [{first}, {last}] {unit}".rstrip()
