"""The transport stage, and the same for trajectories alone: displacements → D, σ, Ea."""

import math
from pathlib import Path
from typing import Any

from .. import trajectory, transport
from ..errors import InputError, PhysicsError
from ..results import Arrhenius, Diffusivity, Estimate
from ..runrecord import read_json, write_json, write_text
from ..settings import Study, TransportSettings, as_dict
from ..ui import Screen
from .analysis import analyse, msd_csv, words
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
        row, fit, charge = analyse(moved, study.transport, threads)
        name = f"msd_{temperature:g}K.csv"
        write_text(folder / name, msd_csv(row["msd"]))
        outputs.append(name)
        rows.append(row)
        fits.append((fit, charge, moved))
        bound = row["verdict"] != "diffusive"
        screen.say(f"           {temperature:g} K: D = {words(row['D_self_cm2_s'], 'cm²/s', bound)}, {row['verdict']}")
    if not fits:
        raise PhysicsError("no temperature has a complete MD run, so there is nothing to analyse")
    arrhenius = None
    why = ""
    if len(fits) >= 3:
        try:
            moved = fits[0][2]
            arrhenius = through_temperatures(
                [f for f, _, _ in fits],
                [c for _, c, _ in fits if c is not None],
                moved.n_ions_per_run,
                moved.volume_A3,
                study.transport,
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


def through_temperatures(
    fits: list[Diffusivity],
    charges: list[Diffusivity],
    n_ions: int,
    volume_A3: float,
    settings: TransportSettings,
) -> dict[str, Any]:
    """Return the Arrhenius line through several temperatures as a dictionary for the report.

    `charge` in it is the line through the collective D, where two temperatures or more have one.
    """

    def line(points: list[Diffusivity]) -> dict[str, Any]:
        return _arrhenius_dict(
            transport.fit_arrhenius(
                points, n_ions=n_ions, volume_A3=volume_A3, charge_e=settings.charge_e, at_K=settings.at_K
            )
        )

    diffusive = {c.temperature_K for c in charges if c.verdict == "diffusive"}
    return {**line(fits), "charge": line(charges) if len(diffusive) >= 2 else None}


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
        "bounds_K": list(line.bounds_K),
        "bounds_cm2_s": list(line.bounds_cm2_s),
        "warnings": list(line.warnings),
    }


def needs(work: Work) -> Any:
    """Return what the outputs of this stage depend on."""
    return [as_dict(work.study.transport), work.study.structure.mobile, work.outputs("md")]


def make(work: Work) -> list[str]:
    """Make the outputs of this stage; return their names."""
    return make_transport(
        work.study, work.folder("md"), work.folder("transport"), threads=work.cores, screen=work.screen
    )
