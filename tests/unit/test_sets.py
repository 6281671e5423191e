"""Sets of labelled frames looked at and split."""

import dataclasses
import json
import os
import re
from pathlib import Path

import label_files as write
import numpy as np
import pytest

from ionstride.cli import main
from ionstride.dataset import inspect_set, split_set, write_inspection
from ionstride.dataset.coverage import farthest_points, fingerprints
from ionstride.dataset.motion import force_memory, own_diffusion, temperature_of_steps
from ionstride.dataset.quantities import outliers
from ionstride.errors import InputError
from ionstride.labels import gather, load_set, write_set
from ionstride.potential import write_dataset
from ionstride.records import LabelledFrames, join_frames


def frames_of(data, number=None, group=None):
    count = len(data[2])
    return LabelledFrames(
        tuple(write.SYMBOLS), *data[:4], np.zeros(count, int) if group is None else group,
        np.arange(count) if number is None else number, "LJ", data[4],
    )  # fmt: skip


def make_set(folder, runs, **how):
    """A set of several short runs, one extxyz each, at their temperatures."""
    from ase.io import write as save

    folder.mkdir(exist_ok=True)
    files = []
    for k, (data, kelvin) in enumerate(runs):
        made = write.images(data)
        for atoms in made:
            write.heat(atoms, kelvin, k)
        files.append(folder / f"run{k}.extxyz")
        save(files[-1], made)
    write_set(gather(files, method="LJ", frame_ps=0.002, **how), folder / "set")
    return folder / "set"


def test_temperature_of_uneven_frames():
    """Fault: a temperature that lacks what the mean velocity over a step has lost, or takes uneven steps for even."""
    kinetic = []
    data = write.run(140, kelvin=700, kinetic=kinetic)
    keep = np.sort(np.random.default_rng(3).permutation(140)[:100])
    frames = frames_of([column[keep] for column in data], number=keep)
    found = temperature_of_steps(frames, 0.002)
    assert found["pairs"] > 60 and found["longest_ps"] > 0.004
    assert found["kelvin"] == pytest.approx(np.mean(kinetic), rel=0.03)
    assert temperature_of_steps(frames, 0.1) is None
    wrong = temperature_of_steps(dataclasses.replace(frames, frame_number=np.arange(100)), 0.002)
    assert wrong["kelvin"] > 1.2 * np.mean(kinetic)


def test_diffusion_from_uneven_frames():
    """Fault: frames drawn at random from a run taken as evenly spaced, or wrapped steps taken for jumps."""
    random = np.random.default_rng(2)
    sigma, steps = 0.12, 4000
    walk = np.cumsum(random.normal(0, sigma, (steps, 40, 3)), axis=0) + random.uniform(0, 12, (40, 3))
    still = random.uniform(0, 12, (20, 3)) + random.normal(0, 0.05, (steps, 20, 3))
    positions = np.concatenate([walk, still], axis=1) % 12.0
    keep = np.sort(random.permutation(steps)[:1200])
    count = len(keep)
    frames = LabelledFrames(
        ("Li",) * 40 + ("S",) * 20, positions[keep], np.broadcast_to(12.0 * np.eye(3), (count, 3, 3)),
        np.zeros(count), np.zeros((count, 60, 3)), np.zeros(count, int), keep, "walk",
    )  # fmt: skip
    found = own_diffusion(frames, "Li", 0.01, 500.0, "walk")
    truth = sigma**2 / (2 * 0.01) * 1e-4
    low, high = found["D_self_cm2_s"]["ci95"]
    assert found["verdict"] == "diffusive" and 0.8 * low < truth < 1.25 * high
    assert found["D_self_cm2_s"]["value"] == pytest.approx(truth, rel=0.2)
    assert "frame-ps" in own_diffusion(frames, "Li", None, 500.0, "walk")["why"]
    assert "no Na" in own_diffusion(frames, "Na", 0.01, 500.0, "walk")["why"]


def test_memory_of_forces():
    """Fault: a gap between training and held-out frames shorter than their forces remember."""
    random = np.random.default_rng(0)
    data = write.run(3)
    force = np.zeros((300, 32, 3))
    for n in range(1, 300):
        force[n] = 0.9 * force[n - 1] + random.normal(0, 1, (32, 3))
    many = [np.broadcast_to(column[:1], (300, *column.shape[1:])) for column in data]
    found = force_memory(frames_of([*many[:3], force, many[4]]))
    assert 8 <= found["memory"] <= 13 and not found["independent"]
    assert found["effective_frames"] == pytest.approx(300 / (2 * found["memory"]), rel=0.01)
    alone = force_memory(frames_of([*many[:3], random.normal(0, 1, (300, 32, 3)), many[4]]))
    assert alone["independent"] and alone["effective_frames"] == 300


def test_fingerprints_do_not_depend_on_names_of_atoms():
    """Fault: the same structure counted as new because atoms are numbered or wrapped otherwise."""
    data = write.run(30, every=3)
    frames = frames_of(data)
    order = np.concatenate([np.random.default_rng(0).permutation(16), 16 + np.random.default_rng(1).permutation(16)])
    shifted = [data[0][:, order] + data[1][:, :1] * 2, data[1], data[2], data[3][:, order], data[4]]
    one, other = fingerprints(frames, np.arange(5)), fingerprints(frames_of(shifted), np.arange(5))
    assert np.allclose(one, other, atol=1e-9) and np.abs(one[0] - one[4]).max() > 1e-3
    order, radius = farthest_points(np.array([[0.0, 0], [0.1, 0], [5, 0], [5.1, 0], [0, 3]]))
    assert {0, 1} & set(order[:3].tolist()) and {2, 3} & set(order[:3].tolist()) and 4 in order[:3].tolist()
    assert (np.diff(radius) <= 1e-12).all()


def test_an_odd_frame_is_named():
    """Fault: one frame of a crashed step, trained on because nobody looked."""
    data = [column.copy() for column in write.run(40)]
    data[2][17] += 5.0
    found = outliers(frames_of(data), {0: "run"})
    assert found[0]["frame_number"] == 17 and found[0]["what"].startswith("energy")


def test_frames_without_virials_are_a_system_of_their_own(tmp_path):
    """Fault: all virials of a set dropped because one run lacks them, or zeros trained in their place."""
    data = write.run(8)
    with_them, without = frames_of(data), dataclasses.replace(frames_of(write.run(5, seed=2)), virial_eV=None)
    both = join_frames([with_them, without])
    folder = write_dataset(both, ("Li", "S"), tmp_path / "data")
    assert sorted(p.name for p in folder.iterdir()) == ["with_virial", "without_virial"]
    assert np.load(folder / "with_virial/set.000/virial.npy").shape == (8, 9)
    assert not (folder / "without_virial/set.000/virial.npy").exists()
    assert len(np.load(folder / "without_virial/set.000/energy.npy")) == 5
    with pytest.raises(InputError, match="NaN"):
        broken = data[4].copy()
        broken[2, 0, 0] = np.nan
        dataclasses.replace(with_them, virial_eV=broken)


@pytest.fixture(scope="module")
def four_runs(tmp_path_factory):
    """Two runs at each of two temperatures, and two volumes."""
    runs = [
        (write.run(60, seed=k, strain=1.0 + 0.02 * (k % 2), kelvin=t), t) for k, t in enumerate((300, 300, 600, 600))
    ]
    return make_set(tmp_path_factory.mktemp("four"), runs)


def numbers(folder):
    frames = load_set(folder).compositions["Li16S16"]
    return {(int(g), int(n)) for g, n in zip(frames.group, frames.frame_number, strict=True)}


def test_split_by_blocks_keeps_the_gap(four_runs, tmp_path):
    """Fault: held-out frames whose neighbours in time are trained on."""
    found = split_set(four_runs, tmp_path, fraction=0.2, blocks=10, gap=3)
    train, valid = numbers(tmp_path / "train"), numbers(tmp_path / "valid")
    assert not train & valid and len(train) + len(valid) + found["n_left_out"] == 240 and found["n_left_out"] > 0
    assert {g for g, _ in valid} == {0, 1, 2, 3}
    assert min(abs(a - b) for g, a in train for h, b in valid if g == h) > 3
    assert found["leak"]["nearest_frame_number"] > 3
    again = split_set(four_runs, tmp_path / "again", fraction=0.2, blocks=10, gap=3)
    assert numbers(tmp_path / "again" / "valid") == valid and again["n_train"] == found["n_train"]
    assert json.loads((tmp_path / "train" / "set.json").read_text())["split"]["part"] == "train"


def test_a_leak_is_seen(four_runs, tmp_path):
    """Fault: a split of consecutive frames whose errors are those of training."""
    found = split_set(four_runs, tmp_path, fraction=0.3, blocks=60, gap=0)
    assert found["leak"]["copies"] > 0 and any(line.startswith("LEAK") for line in found["summary"])


def test_split_by_run_and_by_temperature(four_runs, tmp_path):
    """Fault: a run in both parts; a temperature that was to be unseen, seen."""
    split_set(four_runs, tmp_path / "r", by="run", fraction=0.25)
    train, valid = numbers(tmp_path / "r" / "train"), numbers(tmp_path / "r" / "valid")
    assert not {g for g, _ in train} & {g for g, _ in valid} and len(valid) == 60
    about = json.loads((four_runs / "set.json").read_text())
    hot = [k for k, source in enumerate(about["sources"]) if source["temperature_K"] > 400]
    kelvin = sorted({source["temperature_K"] for source in about["sources"]})
    split_set(four_runs, tmp_path / "t", by="temperature", held_out_K=tuple(t for t in kelvin if t > 400))
    assert {g for g, _ in numbers(tmp_path / "t" / "valid")} == set(hot)
    with pytest.raises(InputError, match="no run is at 900 K"):
        split_set(four_runs, tmp_path / "u", by="temperature", held_out_K=(900.0,))


def test_the_page_stands_alone(four_runs, tmp_path):
    """Fault: a page that needs the network, lacks a figure, or a number that JSON cannot hold."""
    found = inspect_set(four_runs, mobile="Li")
    assert write_inspection(found, tmp_path) == ["dataset.html", "dataset.json"]
    page = (tmp_path / "dataset.html").read_text()
    assert page.count("<svg") >= 6 and not re.search(r"<script|https?://(?!doi|www\.w3)", page)
    assert "Li16S16" in page and not re.search(r"\bnan\b", page, re.I)
    stored = json.loads((tmp_path / "dataset.json").read_text())
    (one,) = stored["compositions"]
    assert one["n_frames"] == 240 and one["checks"]["virial"]["sign"] in ("pressure against volume", "finite strain")
    for run in one["runs"]:
        assert run["measured_K"]["low"] < run["measured_K"]["kelvin"] < run["measured_K"]["high"]


def test_the_command_line(ionstride, tmp_path, capsys):
    """Fault: a traceback for a broken file, or a set that the next command cannot read."""
    write.outcar(tmp_path / "OUTCAR", write.run(24), unconverged=(2,))
    code, out, err = ionstride("dataset", "import", tmp_path / "OUTCAR", "--out", tmp_path / "set")
    assert code == 0 and "23 frames of 1 run" in out and "left out: 1 frame(s)" in out, err
    code, out, err = ionstride(
        "dataset", "split", tmp_path / "set", "--gap", 1, "--fraction", 0.2, "--out", tmp_path / "p"
    )
    assert code == 0 and "train" in out, err
    (tmp_path / "broken.npz").write_bytes(b"PK")
    (tmp_path / "empty").mkdir()
    for words, said in (
        (("import", tmp_path / "broken.npz", "--out", tmp_path / "x"), "no readable"),
        (("import", tmp_path / "empty", "--out", tmp_path / "x"), "without type.raw"),
        (("import", tmp_path / "none", "--out", tmp_path / "x"), "is not there"),
        (("inspect", tmp_path / "none", "--out", tmp_path / "x"), "is not there"),
        (("split", tmp_path / "empty", "--out", tmp_path / "x"), "is no set"),
        (("split", tmp_path / "set", "--by", "run", "--out", tmp_path / "x"), "one run"),
        (("import", tmp_path / "OUTCAR", "--out", tmp_path / "empty" / ".."), "no set"),
    ):
        assert main(["dataset", *map(str, words)]) == 2
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1, (words, err)
    assert not (tmp_path / "x").exists()


@pytest.mark.realdata
@pytest.mark.skipif("IONSTRIDE_REALDATA" not in os.environ, reason="IONSTRIDE_REALDATA is not set")
def test_lips_from_uneven_frames(tmp_path):
    """Fault: a temperature or a D of the AIMD that is not its own: 520 K and 1.3e-5 cm²/s."""
    folder = Path(os.environ["IONSTRIDE_REALDATA"]) / "lips_aimd_520K"
    found = gather(
        [folder / "frames.npz"], method="DFT", frame_number=folder / "time_index.npy", frame_ps=0.002, temperature_K=520
    )
    frames = found.compositions["Li27P12S44"]
    kelvin = temperature_of_steps(frames, 0.002)
    assert kelvin["low"] < 519 < kelvin["high"] and kelvin["high"] - kelvin["low"] < 20
    row = own_diffusion(frames, "Li", 0.002, 520.0, "lips")
    low, high = row["D_self_cm2_s"]["ci95"]
    assert row["verdict"] == "diffusive" and low < 1.3e-5 < high < 2e-5
