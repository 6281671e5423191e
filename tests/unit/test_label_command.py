"""``ionstride label``: sets from a calculator, failures, kills."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ionstride.labels import load_set

ENGINE = """
import os, time
from ase.calculators.lj import LennardJones

class Slow(LennardJones):
    def calculate(self, *args, **kwargs):
        time.sleep(float(os.environ.get("IONSTRIDE_TEST_SLEEP", "0")))
        super().calculate(*args, **kwargs)
        if self.atoms.positions[0, 0] > 100:
            raise RuntimeError("no convergence")

def make(sigma=2.5):
    return Slow(sigma=sigma, epsilon=0.1, rc=5.0, smooth=True)
"""


@pytest.fixture
def engine(tmp_path):
    """A quick calculator of the user's own, and cells of two compositions, one of which it cannot label."""
    from ase.build import bulk
    from ase.io import write

    (tmp_path / "my_engine.py").write_text(ENGINE)
    aluminium = bulk("Al", "fcc", a=4.05, cubic=True)
    frames = []
    for seed in range(6):
        frame = aluminium.copy()
        frame.rattle(0.05, seed=seed)
        frames.append(frame)
    frames[2].positions += 200.0
    write(tmp_path / "aluminium.extxyz", frames)
    write(tmp_path / "copper.vasp", bulk("Cu", "fcc", a=3.61, cubic=True), format="vasp")
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}


def test_label_makes_a_checked_set(tmp_path, engine, ionstride):
    """Fault: one bad frame costs all; compositions, sources or methods get mixed; protocol and failures are lost."""
    words = (
        "label",
        "aluminium.extxyz",
        "copper.vasp",
        "--calculator",
        "my_engine:make",
        "--workers",
        "2",
        "--out",
        "set",
    )
    code, said, wrong = ionstride(*words, "--supercell", "1,1,1", cwd=tmp_path, env=engine)
    assert code == 0, wrong
    assert "no label: frame 2 of aluminium.extxyz: RuntimeError: no convergence" in said and "6 frames" in said
    found = load_set(tmp_path / "set")
    assert {name: len(frames) for name, frames in found.compositions.items()} == {"Al4": 5, "Cu4": 1}
    assert found.compositions["Al4"].frame_number.tolist() == [0, 1, 3, 4, 5]
    about = json.loads((tmp_path / "set" / "set.json").read_text())
    assert about["method"] == "ASE calculator my_engine:make" and about["dropped"] == {"no label": 1}
    assert about["label"]["failed"][0]["frame_number"] == 2 and about["label"]["seconds_per_frame"]["median"] > 0
    (tmp_path / "s.toml").write_text("sigma = 2.4")
    code, _, wrong = ionstride(*words[:-1], "other", "--settings", "s.toml", cwd=tmp_path, env=engine)
    other = load_set(tmp_path / "other").compositions["Al4"]
    assert code == 0 and not np.allclose(other.energy_eV, found.compositions["Al4"].energy_eV), wrong


def test_rattled_cells_are_labelled_and_recorded(tmp_path, engine, ionstride):
    """Fault: a set whose cells nobody can make again."""
    words = ("label", "copper.vasp", "--rattle", "5", "--calculator", "my_engine:make", "--seed", "7", "--out", "set")
    code, _, wrong = ionstride(*words, cwd=tmp_path, env=engine)
    assert code == 0, wrong
    about = json.loads((tmp_path / "set" / "set.json").read_text())
    assert about["n_frames"] == 5 and about["label"]["seed"] == 7 and "seed 7" in about["sources"][0]["notes"][0]
    from ionstride.labels import rattled_cells
    from ionstride.structure import read_structure

    cells = rattled_cells(read_structure(tmp_path / "copper.vasp"), 5, 0.12, 0.03, 7)
    assert np.allclose(load_set(tmp_path / "set").compositions["Cu4"].positions_A, [c.positions_A for c in cells])


def test_killed_labelling_loses_at_most_the_frames_in_hand(tmp_path, engine, ionstride):
    """Fault: kill -9 after a night of DFT, and all to do again."""
    words = [
        "label",
        "copper.vasp",
        "--rattle",
        "12",
        "--calculator",
        "my_engine:make",
        "--workers",
        "1",
        "--out",
        "set",
    ]
    slow = {**os.environ, **engine, "IONSTRIDE_TEST_SLEEP": "0.4"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ionstride", *words], cwd=tmp_path, env=slow, stdout=subprocess.DEVNULL
    )
    cache = tmp_path / "set.labels"
    end = time.monotonic() + 60
    while len(list(cache.glob("*.npz"))) < 3:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {file.name: file.stat().st_mtime_ns for file in cache.glob("*.npz")}
    code, said, wrong = ionstride(*words, cwd=tmp_path, env=engine)
    assert code == 0 and "12 frames" in said, wrong
    now = {file.name: file.stat().st_mtime_ns for file in cache.glob("*.npz")}
    assert len(now) == 12 and {name: now[name] for name in kept} == kept


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("aluminium.extxyz",), "--out SET is wanted"),
        ((), "no structures to label"),
        (("nowhere.cif", "--out", "s"), "is not there"),
        (("aluminium.extxyz", "--calculator", "cp2q", "--out", "s"), "wanted 'chgnet', cp2k"),
        (("aluminium.extxyz", "--supercell", "2,2", "--out", "s"), "three whole numbers"),
        (("aluminium.extxyz", "--every", "0", "--out", "s"), "whole numbers from 1"),
        (("--print-settings", "abinit"), "wanted one of cp2k"),
        (("aluminium.extxyz", "--write-inputs", "i"), "has no input files"),
        (("aluminium.extxyz", "--settings", "my_engine.py", "--out", "s"), "chgnet has none"),
        (("plan", "copper.vasp", "--out", "g"), "no temperatures were given"),
        (("plan", "--out", "g", "--temperatures", "600"), "no structures were given"),
        (("plan", "copper.vasp", "--out", "g", "--temperatures", "600", "--volumes", "3"), "volume factor 3"),
        (("plan", "copper.vasp", "--out", "g", "--temperatures", "-1"), "above zero"),
        (("plan", "copper.vasp", "--out", "g", "--temperatures", "600", "--strain", "xx"), "xx=0.02"),
        (("plan", "copper.vasp", "--out", "g", "--temperatures", "600", "--thermostat", "nose"), "langevin, nve"),
        (("run", "nowhere"), "is no grid of runs"),
        (("collect", "nowhere", "--out", "s"), "is no grid of runs"),
    ],
)
def test_wrong_input_is_one_sentence(tmp_path, engine, monkeypatch, capsys, words, said):
    """Fault: a traceback, or a run that begins with half of what was asked for."""
    from ionstride.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["label", *words]) == 2
    out = capsys.readouterr()
    assert said in out.err and out.err.count("\n") == 1, out.err


def test_printed_settings_are_the_defaults(tmp_path, capsys):
    """Fault: a template that is not what is used without it."""
    from ionstride.cli import main
    from ionstride.labels import read_settings

    for code in ("cp2k", "vasp", "siesta", "espresso"):
        assert main(["label", "--print-settings", code]) == 0
        (tmp_path / "s.toml").write_text(capsys.readouterr().out)
        assert read_settings(code, tmp_path / "s.toml") == read_settings(code)
