"""Long series from a model: statistics without holding them, positions on demand."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .. import _kernels
from ..checks import Array, check_choice
from ..errors import InputError
from ..records import Displacements
from ..runrecord import atomic_path, key_of, write_json, write_record, write_text
from ..transport import displacements_from_arrays
from ..ui import Screen

FORMATS = ("npz", "dcd")
_HELD_BYTES = 4e8  # of positions at one time
_A2_PS_TO_CM2_S = 1e-4
_PARTS = 16  # independent parts whose scatter gives the error


class Source(Protocol):
    """What makes series: a model or a baseline."""

    dt_ps: float
    name: str

    def draw(self, ions: int, records: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Return increments (ions, records, 3) in Å."""
        ...


def paths(source: Source, ions: int, records: int, rng: np.random.Generator) -> Array:
    """Return positions (ions, records + 1, 3) in Å that start at zero."""
    r_A = np.zeros((ions, records + 1, 3))
    np.cumsum(source.draw(ions, records, rng), axis=1, dtype=np.float64, out=r_A[:, 1:])
    return r_A


def roll_out(model: Any, ions: int, records: int, seed: int = 0) -> Displacements:
    """Return generated paths as a record, for any analysis that takes trajectories.

    Parameters
    ----------
    model : a trained `Model`.
    ions, records : how many ions, and how long a series of each.
    seed : of the noise.
    """
    return as_displacements(model, paths(model, ions, records, np.random.default_rng(seed)))


def as_displacements(model: Any, r_A: Array) -> Displacements:
    """Return generated positions (ions, T, 3) in Å as a record."""
    about = model.about
    return displacements_from_arrays(
        r_A,
        dt_ps=model.dt_ps,
        temperature_K=about["temperature_K"],
        cell_A=about["cell_A"],
        mobile=about["species"],
        charge_e=about["charge_e"],
        run=np.arange(len(r_A)) // model.ions_together,
        independent_ions=model.ions_together == 1,
        source={"origin": "displacements from the first record", "generated": model.name},
    )


def batches(source: Source, ions: int, records: int, rng: np.random.Generator) -> Iterator[Array]:
    """Give the paths of all ions, some at a time, (n, records + 1, 3) in Å."""
    together = getattr(source, "ions_together", 1)
    held = max(1, int(_HELD_BYTES / (24 * (records + 1))))
    group = max(together, min(512, held, -(-ions // _PARTS)) // together * together)
    for first in range(0, ions, group):
        yield paths(source, min(group, ions - first), records, rng)


def ladder(records: int, window: int) -> npt.NDArray[np.int64]:
    """Return lags in records: all small ones, then twelve a decade, and 1, 3, 10, 30, 100 windows, up to the half."""
    last = max(1, records // 2)
    lags = {*range(1, min(10, last) + 1), *np.rint(np.geomspace(1, last, 2 + int(12 * np.log10(last + 1)))).astype(int)}
    lags |= {window * factor for factor in (1, 3, 10, 30, 100) if window * factor <= last}
    return np.array(sorted(lags), dtype=np.int64)


def generate(
    model: Any,
    out: Path,
    *,
    ions: int,
    records: int,
    seed: int = 0,
    save: Sequence[str] = (),
    save_ions: int = 64,
    threads: int = 0,
    screen: Screen | None = None,
) -> dict[str, Any]:
    """Return statistics of long generated series and write them to a folder.

    Parameters
    ----------
    model : a trained `Model`.
    out : folder for generated.json, msd.csv and what is saved of the series.
    ions, records : how many, and how long.
    seed : of the noise.
    save : 'npz', 'dcd': formats of the paths of the first `save_ions` ions.
    save_ions : ions whose paths are saved.
    threads : of the kernels.
    screen : where to tell about it.

    Raises
    ------
    InputError
        If a number or format is not possible.
    """
    together = model.ions_together
    for name, value in (("--ions", ions), ("--records", records), ("--save-ions", save_ions)):
        if value < 1:
            raise InputError(f"{name} {value}, wanted 1 or more")
    if ions % together:
        raise InputError(f"--ions {ions}, wanted a multiple of {together}: the model makes that many ions together")
    for form in save:
        check_choice("--save", form, FORMATS)
    screen = screen or Screen()
    begun = time.monotonic()
    window = model.about["settings"]["window"]
    lags = ladder(records, window)
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, Array, Array, Array]] = []
    kept: list[Array] = []
    done = 0
    for r_A in batches(model, ions, records, rng):
        tensor, fourth = _kernels.displacement_moments(r_A, lags, threads)
        rows.append((len(r_A), tensor[..., :3].mean(axis=0), fourth.mean(axis=0), r_A[:, -1].mean(axis=0) / records))
        if save and sum(len(part) for part in kept) < save_ions:
            kept.append(r_A[: save_ions - sum(len(part) for part in kept)].copy())
        done += len(r_A)
        screen.news("generated", done, ions, f"{done * records / (time.monotonic() - begun):.3g} ion-records/s")
    seconds = time.monotonic() - begun
    made = _statistics(rows, lags, model.dt_ps, window)
    made |= {
        "name": model.name,
        "ions": ions,
        "records": records,
        "seed": seed,
        "temperature_K": model.about["temperature_K"],
        "seconds": round(seconds, 2),
        "ion_records_per_s": round(ions * records / seconds),
        "drift": model.about["drift"],
        "training_ps": model.about["training_ps"],
    }
    written = ["generated.json", "msd.csv"]
    if kept:
        written += _save(model, np.concatenate(kept), out, save)
    write_json(out / "generated.json", made)
    write_text(out / "msd.csv", _csv(made))
    write_record(
        out, key_of([model.about, ions, records, seed]), written, wall_s=seconds, inputs={"model": key_of(model.about)}
    )
    return made


def _statistics(rows: list[tuple[int, Array, Array, Array]], lags: Any, dt_ps: float, window: int) -> dict[str, Any]:
    weight = np.array([row[0] for row in rows], dtype=np.float64)
    weight /= weight.sum()
    msd = np.array([row[1] for row in rows])
    fourth = np.array([row[2] for row in rows])
    mean = np.einsum("b,blx->lx", weight, msd)
    total = mean.sum(axis=1)
    drift = np.array([row[3] for row in rows])
    # D from the straight part: from four windows, or a quarter of the longest lag if that is less, to the longest.
    first = int(np.searchsorted(lags, min(4 * window, lags[-1] // 4)))
    first = min(first, len(lags) - 2) if len(lags) > 1 else 0
    span_ps = float(lags[-1] - lags[first]) * dt_ps
    per_part = (msd[:, -1] - msd[:, first]) / (2.0 * span_ps) if span_ps > 0 else msd[:, -1] / (2.0 * lags[-1] * dt_ps)
    d_axis = weight @ per_part
    return {
        "lag_ps": (lags * dt_ps).tolist(),
        "lag_records": lags.tolist(),
        "msd_A2": total.tolist(),
        "msd_axis_A2": mean.tolist(),
        "alpha2": (0.6 * (weight @ fourth) / total**2 - 1.0).tolist(),
        "D_cm2_s": _estimate(per_part.mean(axis=1), float(d_axis.mean())),
        "D_axis_cm2_s": [_estimate(per_part[:, axis], float(d_axis[axis])) for axis in range(3)],
        "D_from_ps": float(lags[first] * dt_ps),
        "mean_step_A": (weight @ drift).tolist(),
        "interval": "of the generation alone; what the training data leave open is larger: train --members 5",
    }


def _estimate(parts: Array, mean: float) -> dict[str, float | None]:
    """Return a D in cm²/s with the 95 % interval that the scatter of the parts gives; None where there is one part."""
    from scipy.stats import t

    value = mean * _A2_PS_TO_CM2_S
    if len(parts) < 2:
        return {"value": value, "low": None, "high": None}
    half = float(t.ppf(0.975, len(parts) - 1) * parts.std(ddof=1) / np.sqrt(len(parts))) * _A2_PS_TO_CM2_S
    return {"value": value, "low": value - half, "high": value + half}


def _save(model: Any, r_A: Array, out: Path, formats: Sequence[str]) -> list[str]:
    about, written = model.about, []
    if "npz" in formats:
        with atomic_path(out / "series.npz") as temporary, temporary.open("wb") as stream:
            np.savez_compressed(
                stream, r_A=r_A.astype(np.float32), dt_ps=model.dt_ps, temperature_K=about["temperature_K"],
                volume_A3=about["volume_A3"], symbols=np.array([about["species"]] * len(r_A)),
            )  # fmt: skip
        written.append("series.npz")
    if "dcd" in formats:
        _write_dcd(r_A, model, out)
        written += ["series.dcd", "series.pdb"]
    return written


def _write_dcd(r_A: Array, model: Any, out: Path) -> None:
    """Write paths as DCD, with a PDB of the first frame for its names."""
    import warnings

    import MDAnalysis
    from MDAnalysis.coordinates.DCD import DCDWriter
    from MDAnalysis.lib.mdamath import triclinic_box

    ions = len(r_A)
    universe = MDAnalysis.Universe.empty(ions, trajectory=True)
    for name in ("names", "elements"):
        universe.add_TopologyAttr(name, [model.about["species"]] * ions)
    universe.dimensions = triclinic_box(*np.array(model.about["cell_A"]))
    with atomic_path(out / "series.dcd") as temporary, DCDWriter(str(temporary), ions, dt=model.dt_ps) as writer:
        for frame in np.ascontiguousarray(r_A.transpose(1, 0, 2)):
            universe.atoms.positions = frame
            writer.write(universe.atoms)
    with warnings.catch_warnings(), atomic_path(out / "series.pdb") as temporary:
        warnings.simplefilter("ignore")  # of attributes a PDB has and ions have not
        universe.atoms.positions = r_A[:, 0]
        universe.atoms.write(str(temporary))


def _csv(made: dict[str, Any]) -> str:
    lines = ["lag_ps,msd_A2,msd_x_A2,msd_y_A2,msd_z_A2,alpha2"]
    for lag, total, axis, alpha2 in zip(
        made["lag_ps"], made["msd_A2"], made["msd_axis_A2"], made["alpha2"], strict=True
    ):
        lines.append(f"{lag:.8g},{total:.8g},{axis[0]:.8g},{axis[1]:.8g},{axis[2]:.8g},{alpha2:.6g}")
    return "\n".join(lines) + "\n"
