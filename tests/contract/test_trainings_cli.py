"""`ionstride learning-curve` and `sweep`: real trainings, killed and gone on; a real model and its elements."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from test_cli import POSCAR, one_sentence

from ionstride.errors import InputError
from ionstride.potential import checked_type_map, read_type_map

STEPS = 20
TINY = [
    "--steps", STEPS, "--cores", 1, "--target-force", 50,
    *(w for kv in ("rcut_A=4", "neuron=[2,4]", "axis_neuron=2", "fitting=[8]") for w in ("--set", f"potential.{kv}")),
]  # fmt: skip


def write_frames(path, count=24):
    """Rattled cells of Li2S with the labels of a Lennard-Jones crystal, as one run."""
    from ase.calculators.lj import LennardJones
    from ase.io import read

    path.with_suffix(".vasp").write_text(POSCAR)
    cell = read(path.with_suffix(".vasp"))
    rng = np.random.default_rng(1)
    positions, energies, forces = [], [], []
    for _ in range(count):
        atoms = cell.copy()
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        atoms.calc = LennardJones(sigma=2.2, epsilon=0.2, rc=4.0, smooth=True)
        positions.append(atoms.positions)
        energies.append(atoms.get_potential_energy())
        forces.append(atoms.get_forces())
    np.savez(
        path, pos=np.array(positions), energy=np.array(energies), forces=np.array(forces), cell=cell.cell.array,
        atomic_numbers=cell.numbers,
    )  # fmt: skip


@pytest.fixture(scope="session")
def killed(tmp_path_factory):
    """A learning curve killed after its first training and gone on with; its folder, what it kept, what was said."""
    folder = tmp_path_factory.mktemp("curve")
    write_frames(folder / "frames.npz")
    words = ["learning-curve", "frames.npz", "--sizes", "6,12", "--draws", 1, "--gap", 0, *TINY, "--out", "curve"]
    command = [sys.executable, "-m", "ionstride", *map(str, words)]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    while not list(folder.glob("curve/trainings/*/done.json")):
        assert process.poll() is None, "the curve ended before its first training did"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (kept,) = folder.glob("curve/trainings/*/done.json")
    model = kept.parent / "train" / "model.pb"
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (kept, model)}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, before, done.stdout


@pytest.mark.slow
def test_a_killed_curve_goes_on(killed):
    """Fault: hours of finished trainings made again after a crash."""
    folder, before, said = killed
    for path, (when, content) in before.items():
        assert (path.stat().st_mtime_ns, path.read_bytes()) == (when, content)
    found = json.loads((folder / "curve" / "curve.json").read_text())
    assert [row["size"] for row in found["rows"]] == [6, 12]
    assert all(row["test"]["force_rmse_meV_A"] > 0 for row in found["rows"])
    assert found["rows"][0]["test"]["n_frames"] == found["n_test"] > 0
    assert found["n_test"] + found["n_pool"] + found["n_left_out"] == 24
    assert "three sizes" in found["fits"]["force"]["why"]
    page = (folder / "curve" / "curve.html").read_text()
    assert "<svg" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert (folder / "curve" / "curve_force.svg").read_text().startswith("<svg xmlns=")
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_model_is_right_about_its_own_elements(killed, ionstride, tmp_path):
    """Fault: a type map given by the user is believed against the model: Li's network for S."""
    _, before, _ = killed
    model = next(path for path in before if path.suffix == ".pb")
    assert read_type_map(model, tmp_path) == ("Li", "S")
    assert checked_type_map(model, ("Li", "S"), tmp_path, "potential.model_type_map") == ("Li", "S")
    with pytest.raises(InputError, match=r"says its types are Li, S, but potential\.model_type_map says S, Li"):
        checked_type_map(model, ("S", "Li"), tmp_path, "potential.model_type_map")
    (tmp_path / "NaCl.vasp").write_text(POSCAR.replace("Li S\n", "Na S\n"))
    (tmp_path / "study.toml").write_text('[structure]\nfile = "NaCl.vasp"\nmobile = "Na"\n')
    result = ionstride("deck", "study.toml", "--model", model, "--out", "decks", cwd=tmp_path)
    one_sentence(result, "Li, S", "Na")
    assert not (tmp_path / "decks").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sizes", "5,x"], "--sizes"),
        (["--sizes", "6,400"], "400"),
        (["--sizes", "50"], "two sizes"),
        (["--sizes", "6,8", "--draws", "0"], "--draws"),
        (["--sizes", "6,8", "--steps", "0"], "--steps"),
        (["--sizes", "6,8", "--set", "md.replicas=2"], "[potential]"),
        (["--sizes", "6,8", "--set", "potential.rcut=5"], "rcut_A"),
        (["--sizes", "6,8", "--target-force", "-1"], "--target-force"),
        (["--sizes", "6,8", "--test", "frames.npz"], "trained on"),
        (["--sizes", "6,8", "--test-fraction", "0.9"], "--test-fraction"),
        (["--sizes", "6,8", "--md-ps", "1"], "--md-K"),
        (["--sizes", "6,8", "--md-ps", "1", "--md-K", "300", "--md-set", "md.timestep_fs=50"], "timestep_fs"),
    ],
)
def test_wrong_curves_are_refused(ionstride, tmp_path, words, said):
    """Fault: a traceback, or trainings begun that cannot be what was meant."""
    write_frames(tmp_path / "frames.npz")
    one_sentence(ionstride("learning-curve", "frames.npz", "--out", "c", *words, cwd=tmp_path), said)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--grid"),
        (["--grid", "md.replicas=1,2"], "potential.KEY"),
        (["--grid", "potential.rcut_A=5,6", "--seeds", "0"], "--seeds"),
        (["--grid", "potential.descriptor=se_e2_a,se_x"], "se_x"),
    ],
)
def test_wrong_sweeps_are_refused(ionstride, tmp_path, words, said):
    """Fault: a grid that is not the one that was meant."""
    write_frames(tmp_path / "frames.npz")
    one_sentence(ionstride("sweep", "frames.npz", "--out", "s", *words, cwd=tmp_path), said)


def test_help_has_examples(ionstride):
    """Fault: --help without an example leaves the user to guess."""
    for command in ("learning-curve", "sweep"):
        code, out, _ = ionstride(command, "--help")
        assert code == 0
        assert "examples:" in out
