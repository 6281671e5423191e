"""What another code makes of a data set, as JSON in the last line of stdout; run with the Python of .venv-peers.

    .venv-peers/bin/python tests/peers/run_peer.py NAME input.npz

The input (written by tests/agreement/peers.py) holds `positions_A` (T, N, 3) unwrapped in the mean cell, `symbols`
(N), `mobile`, `cell_A` (3, 3) or (T, 3, 3), `r_A` (n, T, 3) paths of the ions with the drift removed, `time_ps`,
`even`, `temperature_K`, `fit_ps` (2), `lags` (M) in frames at which MSDs are compared, `kind`, `files` and `types`
(elements of LAMMPS types) of the source.

Every answer says how D follows from an MSD curve, as a linear estimator D = Σ w·MSD(lag)/6, so that the caller can
apply it to a curve of its own: `weights` at `weight_lags`, over `origins` 'all' or 'first'; and how the paths were
made (`path`), against what drift was removed, and whether uneven times were taken as even.
"""

import contextlib
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Data = dict[str, Any]
A2_PS_TO_CM2_S = 1e-4


def slope_weights(t: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Weights w of the least-squares slope of a line with free intercept: slope = w · y."""
    weight = np.ones(len(t)) if weight is None else weight
    centred = t - np.average(t, weights=weight)
    return weight * centred / np.sum(weight * centred**2)


def window(d: Data) -> np.ndarray:
    """Lags in frames within the fit window."""
    lag = np.arange(1, len(d["time_ps"]))
    t = lag * d["step_ps"]
    return lag[(t >= d["fit_ps"][0] - 1e-9) & (t <= d["fit_ps"][1] + 1e-9)]


def at_lags(curve: np.ndarray, d: Data) -> list[float]:
    """MSD at the lags that are compared, of a curve with lag 0 first."""
    return np.asarray(curve, dtype=float)[d["lags"]].tolist()


def structures(d: Data) -> list[Any]:
    """Frames as pymatgen structures of the unwrapped positions."""
    from pymatgen.core import Structure

    cells = np.broadcast_to(d["cell_A"], (len(d["time_ps"]), 3, 3))
    return [
        Structure(h, d["symbols"], x, coords_are_cartesian=True) for h, x in zip(cells, d["positions_A"], strict=True)
    ]


def line(code: str, d: Data, curve: np.ndarray, **more: Any) -> dict[str, Any]:
    """Answer of a code that gives an MSD curve and tells its users to fit a line (scipy's linregress)."""
    from scipy.stats import linregress

    lag = window(d)
    t = lag * d["step_ps"]
    fit = linregress(t, curve[lag])
    return {
        "code": code,
        "D_cm2_s": fit.slope / 6 * A2_PS_TO_CM2_S,
        "error_cm2_s": fit.stderr / 6 * A2_PS_TO_CM2_S,
        "error": "OLS",
        "fit": f"OLS {t[0]:.3g}-{t[-1]:.3g} ps",
        "weight_lags": lag.tolist(),
        "weights": slope_weights(t).tolist(),
        "msd_A2": at_lags(curve, d),
        **more,
    }


def tidynamics(d: Data) -> list[dict[str, Any]]:
    """One ion a call."""
    import tidynamics

    curve = np.mean([tidynamics.msd(path) for path in d["r_A"]], axis=0)
    return [line("tidynamics", d, curve, input="r_A", drift="given", as_even=not d["even"])]


def mdanalysis(d: Data) -> list[dict[str, Any]]:
    """EinsteinMSD: of the dump by image flags, or of the ions' paths in memory (float32 positions)."""
    import MDAnalysis
    from MDAnalysis.analysis.msd import EinsteinMSD

    if d["kind"] == "dump":
        universe = universe_of_dump(d, unwrap_images=True)
        found = EinsteinMSD(universe, select=f"type {1 + d['types'].index(d['mobile'])}").run()
        how = {"input": "dump, image flags", "path": "image flags x box lengths", "drift": "none"}
        return [line("MDAnalysis", d, found.results.timeseries, as_even=False, **how)]
    from MDAnalysis.coordinates.memory import MemoryReader

    n, frames = d["r_A"].shape[:2]
    universe = MDAnalysis.Universe.empty(n, trajectory=False)
    r = (d["r_A"] - d["r_A"][:, :1]).transpose(1, 0, 2)
    universe.load_new(r, format=MemoryReader, order="fac", dt=d["step_ps"])
    if d["even"]:
        found = EinsteinMSD(universe).run()
        return [line("MDAnalysis", d, found.results.timeseries, input="r_A", drift="given", as_even=False)]
    return [uneven_mdanalysis(d, universe, frames)]


def uneven_mdanalysis(d: Data, universe: Any, frames: int) -> dict[str, Any]:
    """EinsteinMSD of uneven times (every pair of frames), its pairs gathered about the lags."""
    import tempfile

    import MDAnalysis
    from MDAnalysis.analysis.msd import EinsteinMSD

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "a.trr")
        with MDAnalysis.Writer(path, len(universe.atoms)) as writer:
            for step in universe.trajectory:
                step.time, step.dt = d["time_ps"][step.frame] - d["time_ps"][0], d["step_ps"]
                writer.write(universe.atoms)
        universe.load_new(path)
        found = EinsteinMSD(universe, fft=False).run()
    times = np.asarray(found.times)
    first, second = np.triu_indices(frames, 1)
    apart, count = np.unique(times[second] - times[first], return_counts=True)
    delta, msd = np.asarray(found.results.delta_t_values)[1:], np.asarray(found.results.timeseries)[1:]
    if len(delta) != len(apart):
        raise ValueError("MDAnalysis holds other time differences than its frames have")
    curve = np.zeros(frames)
    lag = np.rint(delta / d["step_ps"]).astype(int)
    total = np.bincount(lag, weights=count, minlength=frames)
    mean = np.bincount(lag, weights=count * msd, minlength=frames)
    curve = np.divide(mean, total, out=np.full(frames, np.nan), where=total > 0)
    return line("MDAnalysis", d, curve, input="r_A, true times", drift="given", as_even=False)


def universe_of_dump(d: Data, **more: Any) -> Any:
    """The dump as MDAnalysis reads it."""
    import MDAnalysis

    return MDAnalysis.Universe(
        d["files"][0], topology_format="LAMMPSDUMP", format="LAMMPSDUMP", dt=d["step_ps"],
        lammps_coordinate_convention="unscaled", **more,
    )  # fmt: skip


def kinisi(d: Data) -> list[dict[str, Any]]:
    """About a hundred lags up to the whole run (its count of independent samples wants the longest), MCMC of a line."""
    import scipp as sc
    from kinisi.analyze import DiffusionAnalyzer
    from kinisi.diffusion import Diffusion
    from kinisi.displacement import calculate_mstd

    frames = len(d["time_ps"])
    lag = np.unique(np.concatenate([d["lags"], np.linspace(1, frames - 1, 100).astype(int)]))
    ps = sc.Unit("ps")
    more = {
        "time_step": sc.scalar(d["step_ps"], unit=ps),
        "step_skip": sc.scalar(1),
        "dt": sc.array(dims=["time interval"], values=lag * d["step_ps"], unit=ps),
        "progress": False,
    }
    if d["kind"] == "dump":
        kind, source = "1" if d["mobile"] == d["types"][0] else "?", universe_of_dump(d)
        run, given = DiffusionAnalyzer.from_universe(source, specie=kind, **more), "dump, wrapped"
    elif d["kind"] == "xdatcar":
        from pymatgen.io.vasp.outputs import Xdatcar

        parts = [Xdatcar(file) for file in d["files"]]
        run, given = DiffusionAnalyzer.from_xdatcar(parts, specie=d["mobile"], dtype="consecutive", **more), "XDATCARs"
    else:
        fake = type("Frames", (), {"structures": structures(d)})()
        run, given = DiffusionAnalyzer.from_xdatcar(fake, specie=d["mobile"], **more), "structures of positions_A"
    start = sc.scalar(float(d["fit_ps"][0]), unit=ps)
    run.diffusion(start, progress=False, random_state=np.random.RandomState(1))
    D = np.asarray(run.D.values)
    # Lags are times divided by the time between frames and cut to integers: some lose a frame (0.3 / 0.1 -> 2).
    lag = lag[: run.da.sizes["time interval"]]
    taken = np.asarray(run.trajectory.dt_index.values)[: len(lag)]
    time = lag * d["step_ps"]
    fitted = slice(run.diff.diff_regime, None)
    compared = np.searchsorted(lag, d["lags"])
    charge = Diffusion(dg=calculate_mstd(run.trajectory, progress=False))
    charge._jump_diffusion(start, progress=False, random_state=np.random.RandomState(1))
    D_charge = np.asarray(charge.D_J.values)
    orthogonal = bool(np.allclose(d["cell_A"] * (1 - np.eye(3)), 0.0))
    return [
        {
            "code": "kinisi",
            "input": given,
            "D_cm2_s": float(D.mean()),
            "error_cm2_s": float(D.std()),
            "ci95_cm2_s": np.percentile(D, [2.5, 97.5]).tolist(),
            "error": "posterior",
            "fit": f"Bayesian line {time[fitted][0]:.3g}-{time[-1]:.3g} ps, {len(time[fitted])} lags",
            "haven": float(D.mean() / D_charge.mean()),
            "weight_lags": taken[fitted].tolist(),
            "weights": generalised_weights(time[fitted], np.asarray(run.diff.covariance_matrix.values)).tolist(),
            "msd_lags": lag[compared].tolist(),
            "msd_lags_taken": taken[compared].tolist(),
            "msd_A2": np.asarray(run.msd.values)[compared].tolist(),
            "path": "TOR" if orthogonal else "fractional steps x current cell",
            "repeat_first": True,
            "drift": "framework",
            "as_even": not d["even"],
            "sampled": True,
        }
    ]


def generalised_weights(t: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Weights of the generalised least-squares slope with free intercept."""
    from scipy.linalg import pinvh

    design = np.stack([np.ones_like(t), t], axis=1)
    precise = pinvh(covariance)
    return np.linalg.solve(design.T @ precise @ design, design.T @ precise)[1]


def pymatgen(d: Data) -> list[dict[str, Any]]:
    """DiffusionAnalyzer, smoothed 'max' and not at all."""
    from pymatgen.analysis.diffusion.analyzer import DiffusionAnalyzer
    from pymatgen.core import Structure

    step_fs = 1000 * d["step_ps"]
    if d["kind"] == "analyzer":
        stored, given = json.loads(Path(d["files"][0]).read_text()), "its own JSON"
    elif d["kind"] == "xdatcar":
        from pymatgen.io.vasp.outputs import Xdatcar

        frames, given = [s for file in d["files"] for s in Xdatcar(file).structures], "XDATCARs"
    else:
        given = "positions_A"
    rows = []
    for smoothed in ("max", False):
        if d["kind"] == "analyzer":
            found = DiffusionAnalyzer.from_dict({**stored, "smoothed": smoothed})
        elif d["kind"] == "xdatcar":
            found = DiffusionAnalyzer.from_structures(
                frames, d["mobile"], d["temperature_K"], step_fs, 1, smoothed=smoothed
            )
        else:
            cell = d["cell_A"] if d["cell_A"].ndim == 2 else d["cell_A"].mean(axis=0)
            structure = Structure(cell, d["symbols"], d["positions_A"][0], coords_are_cartesian=True)
            moved = (d["positions_A"] - d["positions_A"][0]).transpose(1, 0, 2)
            found = DiffusionAnalyzer(structure, moved, d["mobile"], d["temperature_K"], step_fs, 1, smoothed=smoothed)
        lag = np.rint(np.asarray(found.dt) / step_fs).astype(int)
        t = lag * d["step_ps"]
        weights = slope_weights(t, 1 / t if smoothed else None)
        rows.append(
            {
                "code": f"pymatgen-a-d {smoothed or 'not smoothed'}",
                "input": given,
                "D_cm2_s": float(found.diffusivity),
                "error_cm2_s": float(found.diffusivity_std_dev),
                "error": "OLS",
                "fit": f"{'OLS weighted by 1/t' if smoothed else 'OLS of one origin'}, {t[0]:.3g}-{t[-1]:.3g} ps",
                "sigma_mS_cm": float(found.conductivity),
                "haven": float(found.haven_ratio),
                "weight_lags": lag.tolist(),
                "weights": weights.tolist(),
                "origins": "all" if smoothed else "first",
                "msd_lags": lag[lag > 0].tolist(),
                "msd_A2": np.asarray(found.msd)[lag > 0].tolist(),
                "drift": "framework",
                "as_even": not d["even"],
            }
        )
    return rows


def gemdat(d: Data) -> list[dict[str, Any]]:
    """D from the first and the last frame; MSD by FFT."""
    from gemdat import Trajectory
    from pymatgen.core import Element, Lattice

    fixed = d["cell_A"].ndim == 2
    mean_cell = d["cell_A"] if fixed else d["cell_A"].mean(axis=0)
    run = Trajectory(
        species=[Element(s) for s in d["symbols"]],
        coords=d["positions_A"] @ np.linalg.inv(mean_cell),
        lattice=mean_cell if fixed else [Lattice(h) for h in d["cell_A"]],
        constant_lattice=fixed,
        time_step=d["step_ps"] * 1e-12,
        metadata={"temperature": d["temperature_K"]},
    )
    run.to_positions()
    ions = run.apply_drift_correction(floating_species=d["mobile"]).filter(d["mobile"])
    metrics = ions.metrics()
    last = len(d["time_ps"]) - 1
    # The particle density of a changing cell is refused, and with it the conductivity.
    sigma = float(metrics.tracer_conductivity(z_ion=1)) * 10 if fixed else None
    return [
        {
            "code": "GEMDAT",
            "input": "positions_A",
            "D_cm2_s": float(metrics.tracer_diffusivity(dimensions=3)) * 1e4,
            "error_cm2_s": None,
            "error": "none",
            "fit": "last frame - first, no line",
            "sigma_mS_cm": sigma,
            "haven": float(metrics.haven_ratio(dimensions=3)),
            "weight_lags": [last],
            "weights": [1 / (len(d["time_ps"]) * d["step_ps"])],
            "origins": "first",
            "msd_origins": "all",
            "msd_A2": at_lags(ions.mean_squared_displacement().mean(axis=0), d),
            "path": "given" if fixed else "fractional path from the first frame x current cell",
            "drift": "framework",
            "as_even": not d["even"],
        }
    ]


PEERS: dict[str, Callable[[Data], list[dict[str, Any]]]] = {
    "kinisi": kinisi,
    "pymatgen": pymatgen,
    "MDAnalysis": mdanalysis,
    "tidynamics": tidynamics,
    "GEMDAT": gemdat,
}


def main() -> None:
    """Run one peer."""
    warnings.simplefilter("ignore")
    name, path = sys.argv[1:]
    raw = np.load(path)
    d: Data = {key: raw[key] for key in raw.files}
    for key in ("mobile", "kind"):
        d[key] = str(d[key])
    for key in ("symbols", "files", "types"):
        d[key] = [str(x) for x in d[key]]
    d["temperature_K"], d["even"] = float(d["temperature_K"]), bool(d["even"])
    d["step_ps"] = float(d["time_ps"][-1] - d["time_ps"][0]) / (len(d["time_ps"]) - 1)
    with contextlib.redirect_stdout(sys.stderr):
        rows = PEERS[name](d)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
