"""The transport stage, and the same for trajectories alone: displacements → D, σ, Ea."""

import csv
import io
import math
from pathlib import Path
from typing import Any

from .. import trajectory, transport
from ..errors import InputError, PhysicsError
from ..records import Arrhenius, Diffusivity, Displacements, Estimate, Msd
from ..runrecord import read_json, write_json, write_text
from ..settings import Study, TransportSettings, as_dict
from ..ui import Screen
from .md import production_files
from .work import Work


def make_transport(study: Study, md_folder: Path, folder: Path, *, threads: int, screen: Screen) -> list[str]:
    """Analyse every temperature of a study's MD; returns the names of the outputs in `folder`.

    Raises
    ------
    PhysicsError
        If no temperature has a complete run.
    """
    md = read_json(md_folder / "md.json")
    rows, fits, outputs = [], [], ["transport.json"]
    for temperature in study.md.temperatures_K:
        complete = [r for r in md["runs"] if r["temperature_K"] == temperature and r["ended"] == "complete"]
        if not complete:
            screen.warn(f"{temperature:g} K is left out: none of its runs stayed in order")
            continue
        runs = [
            trajectory.read_trajectory(
                production_files(md_folder / r["id"]), temperature_K=temperature, timestep_ps=md["timestep_fs"] / 1000
            )
            for r in complete
        ]
        moved = transport.displacements(runs, study.structure.mobile, charge_e=study.transport.charge_e)
        row, fit = analyse(moved, study.transport, threads)
        name = f"msd_{temperature:g}K.csv"
        write_text(folder / name, msd_csv(row["msd"]))
        outputs.append(name)
        rows.append(row)
        fits.append((fit, moved))
        screen.say(f"           {temperature:g} K: D = {words(row['D_cm2_s'], 'cm²/s')}, {row['verdict']}")
    if not fits:
        raise PhysicsError("no temperature has a complete MD run, so there is nothing to analyse")
    arrhenius = None
    why = ""
    if len(fits) >= 3:
        try:
            moved = fits[0][1]
            arrhenius = through_temperatures(
                [f for f, _ in fits], moved.n_ions_per_run, moved.volume_A3, study.transport
            )
        except (PhysicsError, InputError) as error:
            why = str(error)
    elif len(fits) > 1:
        why = f"an Arrhenius line wants three temperatures, got {len(fits)}"
    else:
        why = "an Arrhenius line wants three temperatures, got one; add some to md.temperatures_K"
    if why:
        screen.warn(why)
    write_json(folder / "transport.json", {"temperatures": rows, "arrhenius": arrhenius, "no_arrhenius": why})
    return outputs


def analyse(moved: Displacements, settings: TransportSettings, threads: int = 0) -> tuple[dict[str, Any], Diffusivity]:
    """Return one temperature's results as a dictionary for the report, and the fit itself.

    Parameters
    ----------
    moved : displacements of the mobile ions, all replicas.
    settings : fit window and charge.
    threads : of the kernels, 0 = all cores.
    """
    msd = transport.self_msd(moved, threads=threads)
    window = (settings.fit_ps[0], settings.fit_ps[1]) if len(settings.fit_ps) == 2 else None
    fit = transport.fit_diffusivity(moved, fit_ps=window)
    sigma = transport.conductivity(fit, moved.n_ions_per_run, moved.volume_A3, settings.charge_e)
    return {
        "schema": "ionstride.transport/1",
        "mobile": moved.species[0],
        "temperature_K": moved.temperature_K,
        "n_ions": moved.n_ions_per_run,
        "n_replicas": moved.n_runs,
        "n_frames": len(moved.time_ps),
        "frame_ps": float((moved.time_ps[-1] - moved.time_ps[0]) / (len(moved.time_ps) - 1)),
        "volume_A3": moved.volume_A3,
        "drift": moved.drift,
        "time_ps": float(moved.time_ps[-1] - moved.time_ps[0]),
        "source": moved.source,
        "msd": _msd_dict(msd),
        "D_cm2_s": fit.D_cm2_s.as_dict(),
        "ln_D_stderr": fit.ln_D_stderr if math.isfinite(fit.ln_D_stderr) else None,
        "D_xyz_cm2_s": list(fit.xyz_cm2_s),
        "sigma_NE_mS_cm": sigma.as_dict(),
        "fit_window_ps": list(fit.fit_window_ps),
        "n_hops": fit.n_hops,
        "verdict": fit.verdict,
        "reasons": list(fit.reasons),
    }, fit


def through_temperatures(
    fits: list[Diffusivity], n_ions: int, volume_A3: float, settings: TransportSettings
) -> dict[str, Any]:
    """Return the Arrhenius line through several temperatures as a dictionary for the report."""
    line = transport.fit_arrhenius(
        fits, n_ions=n_ions, volume_A3=volume_A3, charge_e=settings.charge_e, at_K=settings.at_K
    )
    return _arrhenius_dict(line)


def read_fit(row: dict[str, Any]) -> Diffusivity:
    """Return the fit that `analyse` described in a dictionary."""
    low, high = row["D_cm2_s"]["ci95"]
    x, y, z = row["D_xyz_cm2_s"]
    return Diffusivity(
        D_cm2_s=Estimate(row["D_cm2_s"]["value"], low, high),
        xyz_cm2_s=(x, y, z),
        temperature_K=row["temperature_K"],
        ln_D_stderr=math.inf if row["ln_D_stderr"] is None else row["ln_D_stderr"],
        fit_window_ps=(row["fit_window_ps"][0], row["fit_window_ps"][1]),
        n_hops=row["n_hops"],
        verdict=row["verdict"],
        reasons=tuple(row["reasons"]),
    )


def _msd_dict(msd: Msd) -> dict[str, Any]:
    return {
        "lag_ps": msd.lag_ps.tolist(),
        "self_A2": msd.value_A2.tolist(),
        "stderr_A2": msd.stderr_A2.tolist(),
        "xyz_A2": msd.xyz_A2.tolist(),
    }


def _arrhenius_dict(line: Arrhenius) -> dict[str, Any]:
    D0 = Estimate(*(math.exp(v) for v in (line.ln_D0.value, line.ln_D0.low, line.ln_D0.high)))
    return {
        "Ea_eV": line.Ea_eV.as_dict(),
        "D0_cm2_s": D0.as_dict(),
        "at_K": line.at_K,
        "D_at_cm2_s": line.D_at_cm2_s.as_dict(),
        "sigma_at_mS_cm": line.sigma_at_mS_cm.as_dict(),
        "chi2_per_dof": line.chi2_per_dof,
        "band_K": line.band_K.tolist(),
        "band_cm2_s": line.band_cm2_s.tolist(),
        "temperatures_K": list(line.temperatures_K),
        "warnings": list(line.warnings),
    }


def msd_csv(msd: dict[str, Any]) -> str:
    """Return an MSD as CSV with units in the header."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["lag_ps", "msd_A2", "stderr_A2", "msd_x_A2", "msd_y_A2", "msd_z_A2"])
    for lag, value, error, xyz in zip(msd["lag_ps"], msd["self_A2"], msd["stderr_A2"], msd["xyz_A2"], strict=True):
        writer.writerow([f"{v:.8g}" for v in (lag, value, error, *xyz)])
    return stream.getvalue()


def words(estimate: dict[str, Any], unit: str) -> str:
    """Return 'value [low, high] unit'."""
    low, high = estimate["ci95"]
    return f"{estimate['value']:.3g} [{low:.2g}, {high:.2g}] {unit}"


def needs(work: Work) -> Any:
    """Return what the outputs of this stage depend on."""
    return [as_dict(work.study.transport), work.study.structure.mobile, work.outputs("md")]


def make(work: Work) -> list[str]:
    """Make the outputs of this stage; return their names."""
    return make_transport(
        work.study, work.folder("md"), work.folder("transport"), threads=work.cores, screen=work.screen
    )
