"""Published files as their programs wrote them, read whole."""

import json

import numpy as np
import pytest

from ionstride.trajectory import read_trajectory

pytestmark = pytest.mark.realdata


def moved(positions):
    return positions - positions[:1]


def test_argyrodite_parts_in_order_and_not(realdata):
    """Fault: parts of a run joined in the wrong order, and the jump of the ions counted as diffusion."""
    parts = [realdata / f"argyrodite_aimd_500K/run{k}/XDATCAR.gz" for k in range(1, 6)]
    run = read_trajectory(parts, temperature_K=500.0, frame_ps=0.1, mobile="Li")
    assert run.positions_A.shape == (700, 416, 3)
    assert run.symbols.count("Li") == 192
    assert run.time_ps[-1] == pytest.approx(69.9)
    assert "seam_notes" not in run.source
    assert run.source["largest_step_in_cell_vectors"] < 0.2
    wrong = read_trajectory([parts[0], parts[4], parts[1]], temperature_K=500.0, frame_ps=0.1)
    assert "run1" in wrong.source["seam_notes"][0] and "run5" in wrong.source["seam_notes"][0]


def test_siesta_output(realdata):
    """Fault: Bohr for Å, the starting geometry for a step, or times of another unit."""
    run = read_trajectory([realdata / "siesta_md_sample/siesta_md.out"], temperature_K=300.0, mobile="Si")
    assert run.positions_A.shape == (5, 64, 3)
    assert set(run.symbols) == {"Si"}
    assert run.time_ps == pytest.approx(0.002 * np.arange(1, 6))
    assert run.cell_A == pytest.approx(10.93746 * np.eye(3))
    assert run.positions_A[0, 0] == pytest.approx([0.0, 0.0, 2.734365])
    # 300 K: √(3 kT/m) = 5.2 Å/ps for silicon, so about 0.01 Å in a step of 2 fs.
    step = np.sqrt(np.mean(np.sum(np.diff(run.positions_A, axis=0) ** 2, axis=-1)))
    assert 0.005 < step < 0.02


def test_siesta_agrees_with_dpdata(realdata):
    """Fault: positions or cells understood in our own way."""
    import warnings

    import dpdata

    file = realdata / "siesta_md_sample/siesta_md.out"
    run = read_trajectory([file], temperature_K=300.0, unwrap="given")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = dpdata.LabeledSystem(str(file), fmt="siesta/aimd_output")
    frames = len(theirs["coords"])
    assert frames >= 4
    assert run.positions_A[:frames] == pytest.approx(theirs["coords"], abs=1e-8)


def test_lgps_system_as_frames(realdata):
    """Fault: elements by the order of types in another file, or coordinates as (frames, 3, atoms)."""
    folder = realdata / "lgps_dft_frames/iteration_0"
    run = read_trajectory([folder], temperature_K=300.0, frame_ps=1.0, unwrap="given")
    raw = np.load(folder / "set.000/coord.npy")
    assert run.positions_A.reshape(len(raw), -1) == pytest.approx(raw)
    assert {s: run.symbols.count(s) for s in set(run.symbols)} == {"Li": 20, "Ge": 2, "P": 4, "S": 24}
    assert len(run.time_ps) == 300


def test_lips_uneven_frames(realdata, tmp_path):
    """Fault: frames drawn at random from a run analysed as if evenly spaced."""
    archive = np.load(realdata / "lips_aimd_520K/frames.npz")
    number = np.load(realdata / "lips_aimd_520K/time_index.npy")
    order = np.argsort(number)
    names = {3: "Li", 15: "P", 16: "S"}
    file = tmp_path / "lips.npz"
    np.savez(
        file,
        positions_A=archive["pos"][order],
        cell_A=archive["cell"],
        time_ps=number[order] * 0.002,
        symbols=np.array([names[int(z)] for z in archive["atomic_numbers"].ravel()]),
        temperature_K=520.0,
    )
    run = read_trajectory([file], temperature_K=520.0, mobile="Li")
    assert run.volume_A3 == pytest.approx(1676.1, abs=0.1)
    assert np.diff(run.time_ps).max() == pytest.approx(0.36, abs=0.005)
    assert run.source["largest_step_in_cell_vectors"] < 0.4
    lithium = np.array(run.symbols) == "Li"
    r = run.positions_A[:, lithium] - run.positions_A[:, ~lithium].mean(axis=1, keepdims=True)
    lag = np.abs(np.subtract.outer(run.time_ps, run.time_ps) - 10.0) < 0.02
    later, first = np.nonzero(lag)
    assert np.mean(np.sum((r[later] - r[first]) ** 2, axis=-1)) == pytest.approx(8.95, rel=0.1)


def test_lgps_displacements_as_ions_alone(realdata, tmp_path):
    """Fault: (ions, frames, 3) read as (frames, ions, 3)."""
    stored = json.loads((realdata / "lgps_aimd_600K/DiffusionAnalyzer.json").read_text())
    path = np.asarray(stored["displacements"])
    names = [site["species"][0]["element"].rstrip("+-0123456789") for site in stored["structure"]["sites"]]
    file = tmp_path / "lgps.npz"
    np.savez(file, r_A=path, dt_ps=0.02, cell_A=np.array(stored["structure"]["lattice"]["matrix"]), symbols=names)
    run = read_trajectory([file], temperature_K=600.0, mobile="Li")
    assert run.positions_A == pytest.approx(path.transpose(1, 0, 2))
    assert run.source["ions_alone"] is False


def test_lzp_ions_are_named_by_the_user(realdata):
    """Fault: ions called Li whatever they are."""
    file = realdata / "lzp_md_1773K/train_1.npz"
    run = read_trajectory([file], temperature_K=1773.0, mobile="Li", stride=100)
    assert run.positions_A.shape == (101, 12, 3)
    assert run.source["ions_alone"] and set(run.symbols) == {"Li"}
