"""How wrong a potential is on frames it was not trained on."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import FormatError
from ..process import environment, find_program, run_program
from ..records import LabelledFrames
from .compiled import check_processor, compiled_for
from .dataset import write_dataset

PARITY_POINTS = 3000


def predict(
    model: Path, frames: LabelledFrames, *, type_map: tuple[str, ...], flag: str, threads: int, log: Path
) -> tuple[Array, Array]:
    """Return a model's energies and forces on frames, by ``dp test``.

    Parameters
    ----------
    model : frozen model.
    frames : F labelled frames of N atoms.
    type_map : element names in the model's order.
    flag : the back end's flag of ``dp``.
    threads : of the back end.
    log : file for what DeePMD prints.

    Returns
    -------
    energy_eV : (F).
    force_eV_A : (F, N, 3).
    """
    # One system, so that what is predicted comes in the order of the frames; virials are not asked for.
    energy, force, _ = _tested(
        model, replace(frames, virial_eV=None), type_map=type_map, flag=flag, threads=threads, log=log
    )
    return energy, force


def predict_with_virial(
    model: Path, frames: LabelledFrames, *, type_map: tuple[str, ...], flag: str, threads: int, log: Path
) -> tuple[Array, Array, Array | None]:
    """Return a model's energies (F), forces (F, N, 3) and virials (F, 3, 3), by ``dp test``.

    Virials are those of the frames that have one by the reference, the others' are NaN; None where no frame has one.
    Parameters are those of `predict`.
    """
    known = frames.has_virial
    shared: dict[str, Any] = {"type_map": type_map, "flag": flag, "threads": threads, "log": log}
    if not known.any():
        return (*predict(model, frames, **shared), None)
    energy, force, virial = _tested(model, frames.take(known), **shared)
    if known.all():
        return energy, force, virial
    all_energy, all_force = np.empty(len(frames)), np.empty(frames.force_eV_A.shape)
    all_energy[known], all_force[known] = energy, force
    all_energy[~known], all_force[~known] = predict(model, frames.take(~known), **shared)
    if virial is None:
        return all_energy, all_force, None
    all_virial = np.full((len(frames), 3, 3), np.nan)
    all_virial[known] = virial
    return all_energy, all_force, all_virial


def _tested(
    model: Path, frames: LabelledFrames, *, type_map: tuple[str, ...], flag: str, threads: int, log: Path
) -> tuple[Array, Array, Array | None]:
    """Return energies, forces and, where all frames have them by the reference, virials of one ``dp test``."""
    check_processor(model)
    folder = Path(tempfile.mkdtemp(prefix="ionstride-test-"))
    try:
        system = write_dataset(frames, type_map, folder / "system")
        command = [
            str(find_program("dp")),
            flag,
            "test",
            "-m",
            str(model.absolute()),
            "-s",
            str(system),
            "-d",
            "detail",
        ]
        run_program(
            command, folder=folder, log=log.absolute(), env=environment(threads, int(compiled_for(model) == "cuda"))
        )
        count, atoms = frames.force_eV_A.shape[:2]
        energy = _column(folder / "detail.e.out", 1, count)
        force = np.loadtxt(folder / "detail.f.out", ndmin=2)[:, 3:]
        if force.shape != (count * atoms, 3):
            raise FormatError(folder / "detail.f.out", f"{force.shape[0]} rows, wanted {count * atoms}")
        virial = None
        if frames.virial_eV is not None and (folder / "detail.v.out").is_file():
            virial = np.loadtxt(folder / "detail.v.out", ndmin=2)[:, 9:18].reshape(count, 3, 3)
        return energy, force.reshape(count, atoms, 3), virial
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _column(path: Path, column: int, rows: int) -> Array:
    values: Array = np.loadtxt(path, ndmin=2)[:, column]
    if len(values) != rows:
        raise FormatError(path, f"{len(values)} rows, wanted {rows}")
    return values


def force_rmse(frames: LabelledFrames, force_eV_A: Array) -> float:
    """Root mean square force error per component, meV/Å; `force_eV_A` is (F, N, 3)."""
    return float(1000 * np.sqrt(np.mean((force_eV_A - frames.force_eV_A) ** 2)))


def errors(frames: LabelledFrames, energy_eV: Array, force_eV_A: Array) -> dict[str, Any]:
    """Return the errors of predicted energies (F) and forces (F, N, 3), and points for a parity plot.

    Errors of the energy are per atom; those of the forces per component.
    """
    atoms = len(frames.symbols)
    de = 1000 * (energy_eV - frames.energy_eV) / atoms
    df = 1000 * (force_eV_A - frames.force_eV_A)
    symbols = np.array(frames.symbols)
    by_element = {
        str(element): float(np.sqrt(np.mean(df[:, symbols == element] ** 2))) for element in np.unique(symbols)
    }
    flat_ref, flat_model = frames.force_eV_A.reshape(-1), force_eV_A.reshape(-1)
    labels = np.tile(np.repeat(symbols, 3), len(frames))
    pick = np.unique(np.linspace(0, len(flat_ref) - 1, min(PARITY_POINTS, len(flat_ref))).astype(int))
    centre = float(frames.energy_eV.mean())
    return {
        "energy_rmse_meV_atom": float(np.sqrt(np.mean(de**2))),
        "energy_mae_meV_atom": float(np.mean(np.abs(de))),
        "force_rmse_meV_A": float(np.sqrt(np.mean(df**2))),
        "force_mae_meV_A": float(np.mean(np.abs(df))),
        "force_rmse_by_element_meV_A": by_element,
        "parity": {
            "element": labels[pick].tolist(),
            "force_ref_eV_A": np.round(flat_ref[pick], 4).tolist(),
            "force_model_eV_A": np.round(flat_model[pick], 4).tolist(),
            "energy_ref_meV_atom": np.round(1000 * (frames.energy_eV - centre) / atoms, 3).tolist(),
            "energy_model_meV_atom": np.round(1000 * (energy_eV - centre) / atoms, 3).tolist(),
        },
    }
