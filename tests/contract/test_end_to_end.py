"""The whole chain on a small crystal: real CHGNet labels, real DeePMD training, real LAMMPS, real analysis."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from kills import compare
from test_cli import POSCAR, one_sentence

from ionstride import _kernels
from ionstride.campaign import Job, Layout, Options, Watch, run_jobs
from ionstride.deck import lmp_command, production_phases, render_deck
from ionstride.learning.levels import force_deviation
from ionstride.potential import predict
from ionstride.process import find_program
from ionstride.records import RunDeck
from ionstride.settings import MdSettings
from ionstride.store import load_frames, load_structure
from ionstride.trajectory import read_trajectory
from ionstride.transport import displacements

pytestmark = pytest.mark.slow

STUDY = """
name = "small"
seed = 3
[structure]
file = "Li2S.vasp"
[reference]
n_frames = 16
[learning]
preset = ""
rounds = 1
models = 2
steps = 200
temperatures_K = [600, 1200]
strains = [0, -0.02]
ramp_ps = 0.5
check_ps = 0.3
labels_per_round = 6
proofs = 1
proof_ps = 0.4
[potential]
preset = "fast"
models = 2
rcut_A = 5.0
neuron = [8, 16]
axis_neuron = 4
fitting = [32, 32]
steps = 600
checkpoint_steps = 300
[md]
temperatures_K = [600, 800, 1000]
timestep_fs = 2
ramp_ps = 0.5
equilibration_ps = 0.2
production_ps = 4
frame_ps = 0.02
checkpoint_ps = 0.5
min_distance = 0
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the small study, run once from beginning to end."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "Li2S.vasp").write_text(POSCAR)
    (folder / "study.toml").write_text(STUDY)
    done = subprocess.run(
        [sys.executable, "-m", "ionstride", "run", "study.toml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copytree(folder / "small-out", folder / "undisturbed")
    return folder, done.stdout


def test_all_stages_leave_their_results(finished):
    """The chain from a structure to a page must hold together, with real parts all the way."""
    folder, said = finished
    out = folder / "small-out"
    results = json.loads((out / "results.json").read_text())
    assert "universal potential standing in for DFT" in said
    assert results["reference"]["n_frames"] == 16
    made, proof = results["learning"]["rounds"]
    assert made["levels"]["low_eV_A"] > 0
    assert sum(made["shares"].values()) == pytest.approx(1.0)
    assert [(run["temperature_K"], run["strain"]) for run in made["runs"]] == [(600, 0), (1200, -0.02)]
    assert made["hottest"]["temperature_K"] == 1200
    assert made["new_labels"] + made["too_violent"] <= 6
    # One potential of the final net, longer, at the highest temperature of the study's MD.
    assert proof["proof"] and proof["labels"] == 16 + made["new_labels"]
    assert [(run["temperature_K"], run["strain"]) for run in proof["runs"]] == [(1000, 0)]
    assert proof["ps_survived"] == pytest.approx(0.9) or proof["stopped"]
    assert "MD of the final net, 0.4 ps at 1000 K" in results["learning"]["ended"]
    assert results["potential"]["force_rmse_meV_A"] > 0
    assert [run["ended"] for run in results["md"]["runs"]] == ["complete"] * 3
    for row, target in zip(results["transport"]["temperatures"], (600, 800, 1000), strict=True):
        assert row["temperature_K"] == target
        assert row["verdict"] in ("diffusive", "bound", "not-diffusing")
    for run in results["md"]["runs"]:
        assert abs(run["mean_temperature_K"] / run["temperature_K"] - 1) < 0.15
    assert results["provenance"]["versions"]["lammps"]
    assert (out / "report.html").stat().st_size > 50_000


def test_deviation_of_lammps_is_that_of_the_labelled_frames(finished):
    """Fault: a deviation that belongs to another frame, atom order or cell picks frames by chance."""
    folder, _ = finished
    out = folder / "small-out" / "learning"
    record, _ = json.loads((out / "learning.json").read_text())["rounds"]
    frames = load_frames(out / "frames.npz")
    new = frames.take(frames.group == 1)
    forces = [
        predict(
            out / "round_00" / f"model_{number}" / "model-compressed.pb", new, type_map=("Li", "S"), flag="--tf",
            threads=1, log=folder / "predict.log",
        )[1]
        for number in range(2)
    ]  # fmt: skip
    theirs = np.array(record["deviation_eV_A"])[new.frame_number]
    assert np.allclose(force_deviation(np.array(forces)).max(axis=1), theirs, rtol=2e-3, atol=1e-4)
    volumes = np.abs(np.linalg.det(new.cell_A)) / load_structure(out.parent / "structure" / "structure.json").volume_A3
    assert {round(v, 4) for v in volumes} == {1.0, 0.98}


def test_a_finished_round_is_read_and_not_made(finished, ionstride, tmp_path):
    """Fault: a study killed between two rounds trains, runs and labels the first one again."""
    folder, _ = finished
    shutil.copytree(folder / "small-out", tmp_path / "small-out")
    for name in ("Li2S.vasp", "study.toml"):
        shutil.copy(folder / name, tmp_path)
    out = tmp_path / "small-out" / "learning"
    for name in ("run.json", "learning.json", "frames.npz"):
        (out / name).unlink()
    shutil.rmtree(out / "round_00" / "explore")
    before = (out / "round_00" / "model_0" / "training.json").stat().st_mtime_ns
    words = ("run", "study.toml", "--until", "learning")
    code, _, err = ionstride(*words, cwd=tmp_path)
    assert code == 0, err
    assert (out / "round_00" / "model_0" / "training.json").stat().st_mtime_ns == before
    whole = folder / "small-out" / "learning"
    assert json.loads((out / "learning.json").read_text()) == json.loads((whole / "learning.json").read_text())
    assert (out / "frames.npz").read_bytes() == (whole / "frames.npz").read_bytes()


def test_dumps_hold_what_the_analysis_needs(finished):
    """A dump without elements, sorted ids or unwrapped coordinates cannot be analysed safely."""
    folder, _ = finished
    path = next((folder / "small-out" / "md" / "600K_r0").glob("production.*.lammpstrj"))
    assert "ITEM: ATOMS id type element xu yu zu ix iy iz" in path.read_text()[:400]
    dump = _kernels.read_dump(str(path))
    assert dump["element"][:8] == ["Li"] * 8
    assert dump["unwrapped"]
    assert len(dump["step"]) == 201


def test_run_again_changes_nothing(finished, ionstride):
    """What is finished keeps its hashes; only what changed is redone."""
    folder, _ = finished
    out = folder / "small-out"

    def records():
        return {
            p.parent.name: p.read_text()
            for p in out.glob("*/run.json")
        }  # fmt: skip

    before = records()
    code, said, err = ionstride("run", "study.toml", cwd=folder)
    assert code == 0, err
    assert said.count("still good") == 6
    assert records() == before
    code, said, err = ionstride("run", "study.toml", "--set", "transport.fit_ps=[0.5,1.5]", cwd=folder)
    assert code == 0, err
    assert said.count("still good") == 5
    assert {k: v for k, v in records().items() if k != "transport"} == {
        k: v for k, v in before.items() if k != "transport"
    }
    json_out = json.loads((out / "transport" / "transport.json").read_text())
    assert json_out["temperatures"][0]["fit_window_ps"] == pytest.approx([0.5, 1.5], abs=0.05)


def test_frames_of_its_md_are_labelled_afterwards(finished, ionstride, tmp_path):
    """Fault: where MD went is never compared with the reference; a second call labels all over again."""
    folder, _ = finished
    words = ["judge", folder / "small-out", "--label-md", "6", "--nve-ps", "0", "--out", tmp_path / "J"]
    code, said, err = ionstride(*words, cwd=folder)
    assert code == 0, err
    found = json.loads((tmp_path / "J" / "judge.json").read_text())
    fresh = found["fresh"]
    assert fresh["n_frames"] == 6
    assert "CHGNet" in fresh["method"]
    assert [row["temperature_K"] for row in fresh["by_group"]] == [600, 800, 1000]
    assert set(fresh["force_meV_A"]["by_element"]) == {"Li", "S"}
    assert "labelled afterwards" in said
    assert not any("two methods" in note for note in found["notes"])  # the study's own calculator labelled them
    # The set is one to train on, and its labels are kept.
    again = ["judge", folder / "small-out", "--fresh", tmp_path / "J" / "labelled", "--nve-ps", "0"]
    code, _, err = ionstride(*again, "--out", tmp_path / "K", cwd=folder)
    assert code == 0, err
    other = json.loads((tmp_path / "K" / "judge.json").read_text())["fresh"]
    assert other["force_meV_A"]["rmse"]["value"] == pytest.approx(fresh["force_meV_A"]["rmse"]["value"])
    made = {file: file.stat().st_mtime_ns for file in (tmp_path / "J" / "labels").rglob("*.npz")}
    assert made
    assert ionstride(*words, cwd=folder)[0] == 0
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "J" / "labels").rglob("*.npz")} == made


def test_own_model_skips_what_comes_before(finished, ionstride):
    """A user with a potential wants MD at once, with the elements read from the model."""
    folder, _ = finished
    model = folder / "small-out" / "potential" / "train" / "model-compressed.pb"
    mine = folder / "mine.pb"
    mine.write_bytes(model.read_bytes())
    words = ["--set", "name=own", "--set", f"potential.model={mine}", "--set", "md.temperatures_K=[700]"]
    words += ["--set", "md.production_ps=1"]
    code, said, err = ionstride("run", "study.toml", *words, cwd=folder)
    assert code == 0, err
    assert said.count("skipped: a ready potential is given") == 2
    assert "three temperatures, got one" in said
    results = json.loads((folder / "own-out" / "results.json").read_text())
    assert results["potential"]["source"] == "given"
    # Another model under the same name is another model: its MD must not be taken for this one's.
    dump = next((folder / "own-out" / "md" / "700K_r0").glob("production.*"))
    before = dump.read_bytes()
    mine.write_bytes((folder / "small-out" / "learning" / "round_00" / "model_0" / "model-compressed.pb").read_bytes())
    code, said, err = ionstride("run", "study.toml", *words, cwd=folder)
    assert code == 0, err
    assert dump.read_bytes() != before
    # A model for other elements is refused by the elements it names itself.
    nacl = folder / "NaCl.vasp"
    nacl.write_text(POSCAR.replace("Li S\n", "Na S\n"))
    words = ["--set", "name=na", "--set", f"potential.model={model}", "--set", "structure.file=NaCl.vasp"]
    result = ionstride("run", "study.toml", *words, "--set", "structure.mobile=Na", cwd=folder)
    one_sentence(result, "Li, S", "Na")


def test_msd_equals_that_of_lammps(finished):
    """The dump, read by the product, must give LAMMPS's own compute msd of the same run, to its digits."""
    folder, _ = finished
    out = folder / "small-out"
    structure = load_structure(out / "structure" / "structure.json")
    md = MdSettings(timestep_fs=2.0, ramp_ps=0.2, equilibration_ps=0.1, production_ps=1.0, frame_ps=0.02)
    phases = production_phases(md, 900.0)
    place = folder / "msd"

    def render(restart):
        deck = render_deck(
            structure, md, phases, id="msd", title="msd", elements=("Li", "S"), seed=5, restart=restart,
            model=str(out / "potential" / "train" / "model-compressed.pb"),
        )  # fmt: skip
        text = deck.files["in.lammps"].replace(
            "# production",
            "group mobile type 1\ncompute own mobile msd\n"
            "fix write all ave/time 10 1 10 c_own[1] c_own[2] c_own[3] c_own[4] file msd.txt "
            "format ' %.12g'\n# production",
        )
        return RunDeck(deck.id, {**deck.files, "in.lammps": text}, deck.settings)

    lmp = str(find_program("lmp"))
    job = Job(place, render, phases[-1].stop, lambda: Watch(place, structure, [], 0.0, 0.0, 900.0))
    outcome = run_jobs([job], Options(Layout(1, 1, 1), lambda ranks: lmp_command(md, ranks, lmp)))[0]
    assert outcome.ended == "complete"
    theirs = np.loadtxt(place / "msd.txt")
    path = read_trajectory(sorted(place.glob("production.*")), temperature_K=900, timestep_ps=0.002)
    moved = displacements([path], "Li", drift="none")
    ours = ((moved.r_A - moved.r_A[:, :1]) ** 2).mean(axis=0)
    assert len(theirs) == len(path.time_ps) == 51
    assert np.allclose(ours, theirs[:, 1:4], rtol=1e-4, atol=3e-6)
    assert np.allclose(ours.sum(axis=1), theirs[:, 4], rtol=1e-4, atol=3e-6)
    assert theirs[-1, 4] > 0.01


def in_training(out):
    """The second segment of the final training is under way."""
    path, curve = out / "potential" / "train" / "training.json", out / "potential" / "train" / "lcurve.out"
    return path.exists() and json.loads(path.read_text())["done"] == 300 and "\n    400 " in curve.read_text()


KILLED_WHEN = {
    "a round trains": lambda out: (out / "learning" / "round_00" / "model_0" / "lcurve.out").exists(),
    "a round explores": lambda out: any(out.glob("learning/round_00/explore/*/restart.[1-9]*")),
    "a proof trains": lambda out: (out / "learning" / "round_01" / "model_0" / "lcurve.out").exists(),
    "the potential trains": in_training,
    "MD is in production": lambda out: any(int(p.suffix[1:]) > 600 for p in out.glob("md/*/restart.[1-9]*")),
}


def test_killed_and_continued_is_the_same_run(finished, tmp_path, capsys):
    """Fault: a study that was killed is another one: other weights, another random path, another D."""
    folder, _ = finished
    for name in ("Li2S.vasp", "study.toml"):
        shutil.copy(folder / name, tmp_path)
    out, command = tmp_path / "small-out", [sys.executable, "-m", "ionstride", "run", "study.toml"]
    for moment, has_come in KILLED_WHEN.items():
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        while not has_come(out):
            assert process.poll() is None, f"the study ended before {moment}"
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert compare(folder / "undisturbed", out), capsys.readouterr().out
    assert len(list(out.glob("md/*/production.*"))) > 3  # a run did go on in a file of its own
