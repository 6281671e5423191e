"""Grids of short AIMD runs: planned, run at once, killed, resumed, collected."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ionstride.errors import InputError
from ionstride.labels import Protocol, collect_grid, load_set, parse_strain, plan_grid, run_grid, write_set
from ionstride.records import Structure
from ionstride.store import load_structure

ENGINE = """
import os, time
from ase.calculators.lj import LennardJones

class Slow(LennardJones):
    def calculate(self, *args, **kwargs):
        time.sleep(float(os.environ.get("IONSTRIDE_TEST_SLEEP", "0")))
        super().calculate(*args, **kwargs)
        if self.atoms.get_volume() > 1000:
            raise RuntimeError("no convergence")

def make():
    return Slow(sigma=2.55, epsilon=0.2, rc=6.0, smooth=True)
"""


@pytest.fixture
def engine(tmp_path, monkeypatch):
    (tmp_path / "my_engine.py").write_text(ENGINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "my_engine:make"


def crystal(symbols=("Al",), a=4.05):
    from ase.build import bulk

    atoms = bulk("Al", "fcc", a=a, cubic=True)
    names = tuple(symbols[i % len(symbols)] for i in range(len(atoms)))
    return Structure(names, atoms.positions, atoms.cell.array)


def test_a_grid_is_every_combination_and_each_run_is_whole(tmp_path, engine):
    """Fault: a combination left out, two runs with the same noise, or a run that leans on what is not in its folder."""
    name, tensor = parse_strain("xx=0.02,yz=-0.01")
    names = plan_grid(
        {"Al4": crystal(), "AlCu": crystal(("Al", "Cu"))},
        tmp_path / "g",
        temperatures_K=[40, 80],
        volumes=[0.97, 1.03],
        strains={name: tensor},
        calculator=engine,
    )
    assert len(names) == 2 * 2 * 2 * 2
    jobs = [json.loads((tmp_path / "g" / "jobs" / n / "job.json").read_text()) for n in names]
    assert len({tuple(job["seed"]) for job in jobs}) == len(jobs)
    for job in jobs:
        cell = load_structure(tmp_path / "g" / "jobs" / job["name"] / "structure.json")
        strained = crystal().volume_A3 * job["volume_factor"] * np.linalg.det(np.eye(3) + np.array(job["strain"]))
        assert cell.volume_A3 == pytest.approx(strained, rel=1e-9)
        assert os.access(tmp_path / "g" / "jobs" / job["name"] / "run.sh", os.X_OK)
    assert plan_grid({"Al4": crystal()}, tmp_path / "h", temperatures_K=[40], calculator=engine)
    with pytest.raises(InputError, match="another plan"):
        plan_grid({"Al4": crystal()}, tmp_path / "h", temperatures_K=[50], calculator=engine)


def test_runs_are_collected_by_group_and_one_that_fails_is_told(tmp_path, engine):
    """Fault: one run that fails takes the others with it, or its frames come in unseen."""
    cells = {"Al4": crystal(), "big": crystal(a=10.5)}
    plan_grid(
        cells,
        tmp_path / "g",
        temperatures_K=[200, 300],
        calculator=engine,
        protocol=Protocol(steps=12, timestep_fs=4.0),
    )
    seen = []
    failures = run_grid(tmp_path / "g", workers=2, progress=lambda *s: seen.append(s))
    assert set(failures) == {"big_200K_v1.000", "big_300K_v1.000"} and "no convergence" in failures["big_200K_v1.000"]
    assert seen[0] == (0, 48) and seen[-1][0] == 24
    found, runs = collect_grid(tmp_path / "g")
    frames = found.compositions["Al4"]
    assert [run["frames"] for run in runs] == [13, 13, 0, 0] and runs[2]["state"].startswith("stopped")
    assert [s.temperature_K for s in found.sources] == [200.0, 300.0] and found.sources[0].frame_ps == 0.004
    assert np.bincount(frames.group).tolist() == [13, 12]  # both begin at the same crystal
    slopes = [g["slope"] for g in found.checks["Al4"]["groups"].values() if "slope" in g]
    assert slopes == pytest.approx([1.0] * len(slopes), abs=0.1) and frames.virial_eV is not None
    write_set(found, tmp_path / "set")
    again = load_set(tmp_path / "set").compositions["Al4"]
    assert np.array_equal(again.force_eV_A, frames.force_eV_A)
    some, _ = collect_grid(tmp_path / "g", every=4, skip=2)
    assert some.compositions["Al4"].frame_number.tolist() == [2, 6, 10, 2, 6, 10]


def test_langevin_holds_its_temperature(tmp_path, engine):
    """Fault: a friction per ps taken for one per fs, or a thermostat at twice the temperature."""
    big = crystal()
    moves = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) @ big.cell_A
    places = (big.positions_A[None] + moves[:, None]).reshape(-1, 3)
    cell = Structure(("Al",) * len(places), places, big.cell_A * 2)
    protocol = Protocol(steps=250, timestep_fs=3.0, friction_per_ps=10.0)
    plan_grid({"Al": cell}, tmp_path / "g", temperatures_K=[300], calculator=engine, protocol=protocol)
    assert run_grid(tmp_path / "g", workers=1) == {}
    from ase.io import read

    temperatures = [i.get_temperature() for i in read(tmp_path / "g/jobs/Al_300K_v1.000/md.traj", index="60:")]
    assert np.mean(temperatures) == pytest.approx(300.0, rel=0.15)  # 32 atoms, some five independent values: 7 %


def _kill_when(process, condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def _frames(grid):
    from ionstride.labels.md import frames_there

    return {place.name: frames_there(place) for place in sorted((Path(grid) / "jobs").iterdir())}


def test_a_killed_grid_goes_on_as_if_it_had_not_been_killed(tmp_path, engine, monkeypatch):
    """Fault: kill -9 leaves runs behind that nobody watches, loses frames, or bends the trajectory."""
    protocol = Protocol(steps=30, timestep_fs=4.0)
    for grid in ("whole", "killed"):
        plan_grid({"Al4": crystal()}, tmp_path / grid, temperatures_K=[200, 300], calculator=engine, protocol=protocol)
    assert run_grid(tmp_path / "whole", workers=2) == {}
    path = os.pathsep.join([str(tmp_path), *sys.path])
    slow = {**os.environ, "PYTHONPATH": path, "IONSTRIDE_TEST_SLEEP": "0.15"}
    command = [sys.executable, "-m", "ionstride", "label", "run", "killed", "--workers", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, env=slow, stdout=subprocess.DEVNULL)
    _kill_when(process, lambda: min(_frames(tmp_path / "killed").values()) >= 3)
    time.sleep(1.0)
    left = _frames(tmp_path / "killed")
    time.sleep(1.0)
    assert _frames(tmp_path / "killed") == left  # no orphan goes on
    assert all(3 <= n < 31 for n in left.values())
    monkeypatch.setenv("IONSTRIDE_TEST_SLEEP", "0")
    assert run_grid(tmp_path / "killed", workers=2) == {}
    whole, killed = (collect_grid(tmp_path / g)[0].compositions["Al4"] for g in ("whole", "killed"))
    assert np.allclose(whole.positions_A, killed.positions_A, rtol=0, atol=1e-9)  # sums of neighbours in another order
    assert np.allclose(whole.force_eV_A, killed.force_eV_A, rtol=0, atol=1e-8)
    assert np.array_equal(whole.frame_number, killed.frame_number)


def test_a_run_starts_alone_by_its_script(tmp_path, engine):
    """Fault: a job that runs under the grid's command only, so that no queue can take it."""
    plan_grid({"Al4": crystal()}, tmp_path / "g", temperatures_K=[40], calculator=engine, protocol=Protocol(steps=3))
    moved = tmp_path / "elsewhere"
    (tmp_path / "g" / "jobs" / "Al4_40K_v1.000").rename(moved)
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(["sh", moved / "run.sh"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((moved / "run.json").read_text())["outputs"]["md.traj"]


@pytest.mark.parametrize("words", [("--seed", "-1"), ("--friction-per-ps", "nan"), ("--start-factor", "inf")])
def test_numbers_out_of_range_leave_no_grid(ionstride, tmp_path, words):
    """Fault: a traceback, and a half-written grid that the next plan is refused for."""
    (tmp_path / "Ar.xyz").write_text('1\nLattice="4 0 0 0 4 0 0 0 4" pbc="T T T"\nAr 0 0 0\n')
    (tmp_path / "engine.py").write_text("def make():\n    return None\n")
    code, _, err = ionstride(
        "label", "plan", "Ar.xyz", "--temperatures", 300, "--calculator", "engine:make", "--out", "g", *words,
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert code == 2 and "Traceback" not in err and "wanted" in err and not (tmp_path / "g").exists(), err
    code, _, err = ionstride(
        "label", "Ar.xyz", "--rattle", 3, "--calculator", "engine:make", "--out", "s", "--seed", -1,
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert code == 2 and "Traceback" not in err and "seed -1" in err, err
