"""Sampling, labelling in processes, and the comparison of a calculator with frames."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ionstride.errors import InputError, MissingToolError, ToolError
from ionstride.geometry import shortest_distances
from ionstride.labels import calculator_note, compare, label, rattled_cells, read_frames
from ionstride.records import Structure
from ionstride.structure import read_structure

LGPS = Path(__file__).parents[2] / "examples" / "lgps" / "LGPS.vasp"
MODULE = """
import os, time
from pathlib import Path
from ase.calculators.lj import LennardJones

class Counting(LennardJones):
    def calculate(self, *args, **kwargs):
        with open(os.environ["IONSTRIDE_TEST_LOG"], "a") as log:
            log.write(f"{os.getpid()}\\n")
        time.sleep(float(os.environ.get("IONSTRIDE_TEST_SLEEP", "0")))
        super().calculate(*args, **kwargs)
        if self.atoms.positions[0, 0] > 100:
            raise RuntimeError("no convergence")
        print("noise that must not reach the answers")

def make():
    return Counting(sigma=2.2, epsilon=0.1, rc=5.0, smooth=True)

def broken():
    raise RuntimeError("licence server is down")

def crashing():
    class Crash(LennardJones):
        def calculate(self, *args, **kwargs):
            os._exit(3)
    return Crash()
"""


@pytest.fixture
def engine(tmp_path, monkeypatch):
    (tmp_path / "my_engine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("IONSTRIDE_TEST_LOG", str(tmp_path / "log"))
    (tmp_path / "log").write_text("")
    return "my_engine:make"


def argon():
    from ase.build import bulk

    atoms = bulk("Ar", "fcc", a=3.4, cubic=True)
    return Structure(tuple(atoms.get_chemical_symbols()), atoms.positions, atoms.cell.array)


def test_rattled_cells_are_as_asked():
    """Prevents overlapping, unstrained or unrepeatable first cells."""
    structure = read_structure(LGPS)
    cells = rattled_cells(structure, 12, 0.12, 0.03, 7)
    least = 0.6 * min(shortest_distances(structure.symbols, structure.positions_A, structure.cell_A).values())
    spread = []
    for cell in cells:
        assert min(shortest_distances(cell.symbols, cell.positions_A, cell.cell_A).values()) >= least
        strain = np.linalg.solve(structure.cell_A, cell.cell_A) - np.eye(3)
        assert np.allclose(strain, strain.T) and 0 < np.abs(strain).max() <= 0.03
        spread.append((cell.positions_A - structure.positions_A @ (np.eye(3) + strain)).std())
    assert spread[0] == pytest.approx(0.03, rel=0.2) and spread[-1] == pytest.approx(0.12, rel=0.2)
    again = rattled_cells(structure, 12, 0.12, 0.03, 7)
    assert all(np.array_equal(a.positions_A, b.positions_A) for a, b in zip(cells, again, strict=True))
    other = rattled_cells(structure, 12, 0.12, 0.03, 8)
    assert not np.array_equal(cells[0].positions_A, other[0].positions_A)
    with pytest.raises(InputError, match="lower reference"):
        rattled_cells(structure, 1, 3.0, 0.0, 1)


def test_labels_do_not_depend_on_workers_and_are_kept(tmp_path, engine):
    """Prevents labels that change with the machine, and labels made twice."""
    cells = rattled_cells(argon(), 7, 0.1, 0.02, 1)
    seen = []
    one = label(cells, engine, cache=tmp_path / "a", workers=1, group=3, progress=lambda *s: seen.append(s))
    assert seen[0] == (0, 7) and seen[-1] == (7, 7) and set(one.group) == {3}
    two = label(cells, engine, cache=tmp_path / "b", workers=3)
    assert np.array_equal(one.energy_eV, two.energy_eV) and np.array_equal(one.force_eV_A, two.force_eV_A)
    assert np.array_equal(one.positions_A, [c.positions_A for c in cells])
    made = len((tmp_path / "log").read_text().split())
    label(cells, engine, cache=tmp_path / "a", workers=2)
    assert len((tmp_path / "log").read_text().split()) == made
    file = next((tmp_path / "a").iterdir())
    file.write_bytes(file.read_bytes()[:50])
    again = label(cells, engine, cache=tmp_path / "a", workers=2)
    assert np.array_equal(again.force_eV_A, one.force_eV_A)
    assert len((tmp_path / "log").read_text().split()) > made


def test_virial_has_deepmd_sign(tmp_path, engine):
    """Prevents a potential whose pressure has the wrong sign: virial = −dE/dε by finite strain."""
    base = rattled_cells(argon(), 1, 0.1, 0.02, 1)[0]
    h = 1e-4
    cells = [base]
    for a, b in ((0, 0), (1, 1), (0, 1)):
        for sign in (1, -1):
            stretch = np.eye(3)
            stretch[a, b] += sign * h / 2
            stretch[b, a] += sign * h / 2
            cells.append(Structure(base.symbols, base.positions_A @ stretch, base.cell_A @ stretch))
    frames = label(cells, engine, cache=tmp_path / "c", workers=1)
    for k, (a, b) in enumerate(((0, 0), (1, 1), (0, 1))):
        slope = (frames.energy_eV[1 + 2 * k] - frames.energy_eV[2 + 2 * k]) / (2 * h)
        assert frames.virial_eV[0, a, b] == pytest.approx(-slope, abs=1e-4)


def test_failed_labels_are_left_out_and_said(tmp_path, engine):
    """Prevents one bad cell from costing all labels, and from going unsaid."""
    good = rattled_cells(argon(), 3, 0.05, 0.0, 1)
    far = Structure(good[0].symbols, good[0].positions_A + 200.0, good[0].cell_A)
    with pytest.warns(UserWarning, match="1 of 4 labels failed; structure 1: RuntimeError: no convergence"):
        frames = label([good[0], far, *good[1:]], engine, cache=tmp_path / "c", workers=2)
    assert frames.frame_number.tolist() == [0, 2, 3]
    with pytest.raises(ToolError, match="no convergence"):
        label([far], engine, cache=tmp_path / "c", workers=1)
    with pytest.raises(ToolError, match="process died"):
        label(good, "my_engine:crashing", cache=tmp_path / "d", workers=2)


def test_calculators_that_cannot_start(tmp_path, engine, monkeypatch):
    """Prevents work from starting with a calculator that is not there."""
    cells = [argon()]
    with pytest.raises(InputError, match="licence server is down"):
        label(cells, "my_engine:broken", cache=tmp_path / "c", workers=1)
    with pytest.raises(InputError, match="no module 'not_there'"):
        label(cells, "not_there:make", cache=tmp_path / "c", workers=1)
    with pytest.raises(InputError, match="module:function"):
        calculator_note("gaussian")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=r"ionstride\[reference\]"):
        calculator_note("chgnet")


SCRIPT = """
import sys
from pathlib import Path
from ionstride.labels import label, rattled_cells
from ionstride.records import Structure
import numpy as np
from ase.build import bulk
atoms = bulk("Ar", "fcc", a=3.4, cubic=True)
cell = Structure(tuple(atoms.get_chemical_symbols()), atoms.positions, atoms.cell.array)
label(rattled_cells(cell, 40, 0.1, 0.02, 1), "my_engine:make", cache=Path(sys.argv[1]), workers=2)
"""


def test_killed_run_leaves_no_workers_and_keeps_its_labels(tmp_path, engine):
    """Prevents orphan processes and lost labels after kill -9."""
    path = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "IONSTRIDE_TEST_SLEEP": "0.3"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / "c")], env=environment)
    try:
        _wait(lambda: (tmp_path / "c").is_dir() and len(list((tmp_path / "c").glob("*.npz"))) >= 3)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = len(list((tmp_path / "c").glob("*.npz")))
    workers = {int(pid) for pid in (tmp_path / "log").read_text().split()}
    _wait(lambda: not any(_runs(pid) for pid in workers))
    made = len((tmp_path / "log").read_text().split())
    assert kept >= 3 and made - kept <= 6
    frames = label(rattled_cells(argon(), 40, 0.1, 0.02, 1), engine, cache=tmp_path / "c", workers=2)
    assert len(frames) == 40 and len((tmp_path / "log").read_text().split()) - made < 2 * (40 - kept) * 3


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _wait(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def test_a_calculator_agrees_with_itself(tmp_path, engine):
    """Prevents a comparison that calls a calculator soft against its own labels."""
    frames = label(rattled_cells(argon(), 5, 0.1, 0.02, 1), engine, cache=tmp_path / "c", workers=1)
    found = compare(frames, engine, n=3, workers=1)
    assert found["n_frames"] == 3 and found["slope"] == pytest.approx(1.0) and found["rmse_eV_A"] < 1e-12
    assert set(found["elements"]) == {"Ar"}
    json.dumps(found)


@pytest.mark.slow
def test_chgnet_labels_are_totals_with_consistent_virial(tmp_path):
    """Prevents energies per atom, stress in GPa or a wrong sign from CHGNet; and its noise from reaching the user."""
    base = rattled_cells(read_structure(LGPS), 1, 0.05, 0.02, 1)[0]
    h = 2e-3
    stretched = [Structure(base.symbols, base.positions_A * (1 + s), base.cell_A * (1 + s)) for s in (h, -h)]
    moved = np.array(base.positions_A)
    moved[0] += [0.02, 0.0, 0.0]
    frames = label([base, *stretched, Structure(base.symbols, moved, base.cell_A)], "chgnet", cache=tmp_path, workers=1)
    assert -5.0 < frames.energy_eV[0] / 50 < -4.0 and "CHGNet" in frames.method
    slope = (frames.energy_eV[1] - frames.energy_eV[2]) / (2 * h)
    assert np.trace(frames.virial_eV[0]) == pytest.approx(-slope, abs=0.03 * abs(slope) + 0.2)
    work = -0.5 * (frames.force_eV_A[0] + frames.force_eV_A[3])[0, 0] * 0.02
    assert frames.energy_eV[3] - frames.energy_eV[0] == pytest.approx(work, abs=2e-4 + 0.05 * abs(work))


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.skipif("IONSTRIDE_REALDATA" not in os.environ, reason="IONSTRIDE_REALDATA is not set")
def test_chgnet_is_softer_than_dft():
    """Prevents CHGNet's known softness from going unseen."""
    frames = read_frames([Path(os.environ["IONSTRIDE_REALDATA"]) / "lgps_dft_frames"], method="PBE")
    found = compare(frames, "chgnet", n=8, workers=2)
    assert 0.6 < found["slope"] < 0.85 and found["correlation"] > 0.9
