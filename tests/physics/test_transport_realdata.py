"""Published trajectories: values that others found, and the file formats they come in."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from ionstride import _kernels
from ionstride.records import Trajectory
from ionstride.trajectory import read_trajectory
from ionstride.transport import displacements, displacements_from_arrays, fit_diffusivity, self_msd

FOLDER = os.environ.get("IONSTRIDE_REALDATA")
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not FOLDER, reason="IONSTRIDE_REALDATA does not name the folder of reference data"),
]


def data(name):
    return Path(FOLDER or "") / name


def test_argyrodite_parts_join_over_their_seams():
    """Fault: an atom that crosses the boundary at a seam of two XDATCARs jumps by a cell vector."""
    parts = [data(f"argyrodite_aimd_500K/run{k}/XDATCAR.gz") for k in range(1, 6)]
    run = read_trajectory(parts, temperature_K=500.0, frame_ps=0.1)
    assert run.positions_A.shape == (700, 416, 3)
    assert np.abs(np.diff(run.positions_A, axis=0)).max() < 3.0
    moved = displacements([run], "Li")
    assert moved.drift == "Cl, P, S"
    assert fit_diffusivity(moved, fit_ps=(2.0, 7.0)).D_cm2_s.value == pytest.approx(1.1e-5, rel=0.1)
    # The MSD bends over to a plateau of 11 Å² at 40 ps: ions that stay in their cages.
    assert fit_diffusivity(moved).verdict == "bound"


def test_lgps_agrees_with_the_multi_origin_value():
    """Fault: D from the last frame alone (4.3e-7 here) or from a window of one's own."""
    stored = json.loads(data("lgps_aimd_600K/DiffusionAnalyzer.json").read_text())
    names = np.array([site["species"][0]["element"] for site in stored["structure"]["sites"]])
    lithium = np.array([str(n).startswith("Li") for n in names])
    path = np.asarray(stored["displacements"])
    r = path[lithium] - path[~lithium].mean(axis=0)
    moved = displacements_from_arrays(r, dt_ps=0.02, temperature_K=600.0, volume_A3=1000.0)
    fit = fit_diffusivity(moved)
    assert fit.D_cm2_s.value == pytest.approx(1.2e-6, rel=0.25)
    assert fit.verdict == "bound"  # three hops
    assert fit.D_cm2_s.high > 1.2e-6


def test_lips_msd_from_uneven_times():
    """Fault: randomly drawn frames of a run analysed as if evenly spaced."""
    archive = np.load(data("lips_aimd_520K/frames.npz"))
    number = np.load(data("lips_aimd_520K/time_index.npy"))
    order = np.argsort(number)
    path, largest = _kernels.unwrap(np.ascontiguousarray(archive["pos"][order], dtype=float), archive["cell"])
    assert largest < 0.4
    names = {3: "Li", 15: "P", 16: "S"}
    run = Trajectory(
        symbols=tuple(names[int(z)] for z in archive["atomic_numbers"]),
        positions_A=path,
        cell_A=archive["cell"],
        time_ps=0.002 * number[order],
        temperature_K=520.0,
    )
    moved = displacements([run], "Li", drift="framework")
    step = (run.time_ps[-1] - run.time_ps[0]) / (len(run.time_ps) - 1)
    lags = np.rint(np.array([1.0, 2.0, 6.0, 10.0, 20.0]) / step).astype(int)
    msd = self_msd(moved, lags)
    assert msd.value_A2 == pytest.approx([1.58, 2.48, 5.45, 8.95, 15.98], rel=0.05)
    fit = fit_diffusivity(moved)
    assert fit.D_cm2_s.low < 1.3e-5 < fit.D_cm2_s.high


def test_lzp_ions_alone():
    """Fault: ions without framework refused, or their own mean removed as drift."""
    runs = [
        read_trajectory([data(f"lzp_md_1773K/train_{k}.npz")], temperature_K=1773.0, mobile="Li") for k in (1, 2, 3)
    ]
    moved = displacements(runs, "Li")
    assert moved.drift == "none" and moved.n_runs == 3
    fit = fit_diffusivity(moved)
    assert fit.verdict == "diffusive"
    assert fit.D_cm2_s.low < 5e-5 < fit.D_cm2_s.high
