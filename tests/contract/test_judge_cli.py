"""``ionstride judge`` from the command line: a small potential judged, what cannot be judged in one sentence."""

import json
import subprocess
import sys

import numpy as np
import pytest
from test_cli import POSCAR, one_sentence, write_npz

SPRING_EV_A2 = 1.5


def write_run(path, *, count=60, seed=1, numbers=None, symbols=("Li",) * 8 + ("S",) * 4):
    """Twelve atoms in harmonic wells about the places of Li2S, as a run of labelled frames in order of time."""
    rng = np.random.default_rng(seed)
    a = 5.7
    corners = np.array([[i, j, k] for i in (0.25, 0.75) for j in (0.25, 0.75) for k in (0.25, 0.75)])
    faces = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    away = np.zeros((count, 12, 3))
    for k in range(1, count):
        away[k] = 0.6 * away[k - 1] + 0.8 * 0.12 * rng.standard_normal((12, 3))
    number = {"Li": 3, "S": 16, "Na": 11}
    np.savez(
        path,
        pos=a * np.concatenate([corners, faces]) + away,
        forces=-SPRING_EV_A2 * away,
        energy=(-40.0 + 0.5 * SPRING_EV_A2 * (away**2).sum(axis=(1, 2)))[:, None],
        cell=a * np.eye(3),
        atomic_numbers=np.array([number[s] for s in symbols]),
    )
    if numbers is not None:
        np.save(numbers, np.arange(count) * 5)
    return path


STUDY = """
name = "springs"
seed = 1
[structure]
file = "Li2S.vasp"
[reference]
frames = ["run.npz"]
method = "springs"
[potential]
preset = "fast"
rcut_A = 4.0
neuron = [4, 8]
axis_neuron = 4
fitting = [16, 16]
steps = 60
checkpoint_steps = 60
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a study whose potential was trained for a moment, without MD."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "Li2S.vasp").write_text(POSCAR)
    (folder / "study.toml").write_text(STUDY)
    write_run(folder / "run.npz")
    done = subprocess.run(
        [sys.executable, "-m", "ionstride", "run", "study.toml", "--until", "potential"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def model_of(folder):
    described = json.loads((folder / "springs-out" / "potential" / "potential.json").read_text())
    return folder / "springs-out" / "potential" / described["model"]


@pytest.mark.slow
def test_a_study_is_judged(trained, ionstride):
    """Fault: a part that cannot be told (no MD, no hops, one model) ends the rest, or is left out without a word."""
    code, said, err = ionstride("judge", "springs-out", "--out", "J", "--nve-ps", "0.1", cwd=trained)
    assert code == 0, err
    found = json.loads((trained / "J" / "judge.json").read_text())
    assert found["n_held_out"] + found["errors"]["train"]["n_frames"] == found["n_frames"] == 60
    rmse = found["errors"]["held_out"]["force_meV_A"]["rmse"]
    assert rmse["ci95"][0] <= rmse["value"] <= rmse["ci95"][1]
    quality = json.loads((trained / "springs-out" / "potential" / "quality.json").read_text())
    assert rmse["value"] == pytest.approx(quality["force_rmse_meV_A"], rel=1e-3)
    assert "--frame-step-ps" in found["hops"]["why"]
    assert "no MD" in found["verdicts"]["intactness"]
    assert "one model" in found["verdicts"]["ensemble"]
    assert found["diffusion"]["compared"]["ratio"] is None
    for part in found["verdicts"]:
        assert f"{part}: " in said
    page = (trained / "J" / "judge.html").read_text()
    assert "Not judged" in page
    assert 'src="http' not in page
    assert "url(http" not in page


@pytest.mark.slow
def test_a_model_is_judged_on_a_run(trained, ionstride):
    """Fault: frames in order of time are not taken for the trajectory they are, ions that stay get a D."""
    write_run(trained / "more.npz", seed=3, numbers=trained / "n.npy")
    words = ["--frames", "more.npz", "--frame-number", "n.npy", "--frame-step-ps", "0.01", "--mobile", "Li"]
    words += ["--temperature", "300", "--nve-ps", "0", "--out", "K"]
    code, said, err = ionstride("judge", model_of(trained), *words, cwd=trained)
    assert code == 0, err
    found = json.loads((trained / "K" / "judge.json").read_text())
    assert found["errors"]["train"] is None
    assert "not known" in found["split"]
    assert found["diffusion"]["reference"].get("verdict") != "diffusive"
    assert "0 hop(s)" in found["hops"]["why"]
    assert "no MD was given" in said


@pytest.mark.slow
def test_a_model_of_other_elements(trained, ionstride):
    """Fault: a model judges frames of elements it has never seen, by the number of their type."""
    write_run(trained / "na.npz", symbols=("Na",) * 8 + ("S",) * 4)
    words = ["--frames", "na.npz", "--mobile", "Na", "--temperature", "300", "--out", "L"]
    one_sentence(ionstride("judge", model_of(trained), *words, cwd=trained), "Li, S", "Na")
    words = ["--frames", "run.npz", "--mobile", "K", "--temperature", "300", "--out", "L"]
    one_sentence(ionstride("judge", model_of(trained), *words, cwd=trained), "mobile element 'K'")
    same = model_of(trained)
    words = ["--frames", "run.npz", "--mobile", "Li", "--temperature", "300", "--out", "L"]
    one_sentence(ionstride("judge", same, same, *words, cwd=trained), "are the same")
    one_sentence(ionstride("judge", same, *words, "--label-md", "4", cwd=trained), "give --calculator")
    asked = ["--label-md", "4", "--calculator", "chgnet"]
    one_sentence(ionstride("judge", same, *words, *asked, cwd=trained), "no MD whose frames")
    one_sentence(ionstride("judge", same, *words, "--fresh", "na.npz", cwd=trained), "Na")
    words += ["--md", "springs-out"]
    one_sentence(ionstride("judge", same, *words, cwd=trained), "holds no MD")
    assert not (trained / "L" / "judge.json").exists()


def test_bad_input(ionstride, tmp_path):
    """Every wrong input ends in one sentence."""
    (tmp_path / "m.pb").write_bytes(b"no model")
    (tmp_path / "m.txt").write_text("no model")
    (tmp_path / "empty").mkdir()
    write_run(tmp_path / "run.npz")
    write_npz(tmp_path / "nan.npz", positions=np.full((12, 12, 3), np.nan))
    full = ["--frames", "run.npz", "--mobile", "Li", "--temperature", "300", "--out", "J"]
    for words, wanted in (
        (["gone", "--out", "J"], "not there"),
        (["empty", "--out", "J"], "study.json is missing"),
        (["m.pb", "--out", "J"], "give --frames, --mobile, --temperature"),
        (["m.txt", *full], "no frozen Deep Potential"),
        (["gone.pb", *full], "not there"),
        (["m.pb", *full[:-4], "--temperature", "-5", "--out", "J"], "above 0 K"),
        (["m.pb", *full, "--frame-step-ps", "0"], "--frame-step-ps 0"),
        (["m.pb", *full, "--nve-ps", "-1"], "--nve-ps -1"),
        (["empty", "--frames", "run.npz", "--out", "J"], "study's folder"),
        (["m.pb", *full, "--label-md", "-3"], "--label-md -3"),
        (["m.pb", *full, "--label-md", "3", "--fresh", "run.npz"], "both given"),
        (["m.pb", "--frames", "nan.npz", *full[2:]], "NaN"),
        (["m.pb", "--frames", "gone.npz", *full[2:]], "gone.npz"),
    ):
        one_sentence(ionstride("judge", *words, cwd=tmp_path), wanted)
    assert not (tmp_path / "J" / "judge.json").exists()
