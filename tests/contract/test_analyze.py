"""`ionstride analyze` and `arrhenius` as a new user misuses them: one sentence, exit 2, nothing written, no silence."""

import json
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from ionstride import cli
from ionstride.analyze import analyze

FRAME = "ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n3\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"


def write_dump(path, *, frames=300, first=0, seed=0, element=True, skip=0):
    """Write a LAMMPS dump of two Li that walk and a S that does not, a frame every 10 steps."""
    r = np.cumsum(np.random.default_rng(seed).normal(0, 0.2, (skip + frames, 2, 3)), axis=0)[skip:]
    lines = []
    for k in range(frames):
        lines.append(FRAME.format(step=first + 10 * k) + f"ITEM: ATOMS id type {'element ' * element}xu yu zu")
        for i, at in enumerate((*r[k], (4.0, 4.0, 4.0))):
            name = ("Li " if i < 2 else "S ") * element
            lines.append(f"{i + 1} {1 if i < 2 else 2} {name}{at[0]:.5f} {at[1]:.5f} {at[2]:.5f}")
    path.write_text("\n".join(lines) + "\n")


def write_ions(path, *, D_A2_ps=0.5, T=600.0, seed=0, volume_A3=1000.0):
    """Write arrays of 20 free ions of known D."""
    steps = np.random.default_rng(seed).normal(0, np.sqrt(2 * D_A2_ps * 0.1), (20, 1000, 3))
    np.savez(path, r_A=np.cumsum(steps, axis=1), dt_ps=0.1, temperature_K=T, volume_A3=volume_A3)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a few trajectories, and the command line working in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # the command line sets its own
    write_dump(tmp_path / "a.lammpstrj")
    write_dump(tmp_path / "plain.lammpstrj", element=False)
    write_dump(tmp_path / "p2.lammpstrj", frames=100, first=3000, seed=1)
    write_ions(tmp_path / "ions.npz")
    return tmp_path


def call(words):
    """Return the exit code of a command line."""
    try:
        return cli.main(words.split(" "))
    except SystemExit as stop:
        return stop.code


GOOD = "a.lammpstrj --mobile Li --temperature 600 --timestep-ps 0.002"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("a.lammpstrj --mobile Li --temperature 600", "--timestep-ps"),
        ("a.lammpstrj --mobile li --temperature 600 --timestep-ps 0.002", "did you mean 'Li'"),
        ("a.lammpstrj --mobile Li+ --temperature 600 --timestep-ps 0.002", "did you mean 'Li'"),
        ("a.lammpstrj --mobile Li --temperature 600K --timestep-ps 0.002", "600K"),
        ("a.lammpstrj --mobile Li --temperature -5 --timestep-ps 0.002", "above 0 K"),
        ("a.lammpstrj --mobile Li --temperature 1e-300 --timestep-ps 0.002", "1e-300"),
        (f"{GOOD} --frame-ps 1", "both given"),
        (f"{GOOD} --charge 1e200", "elementary"),
        (f"{GOOD} --charge nan", "--charge nan"),
        (f"{GOOD} --charge 0", "--charge 0"),
        (f"{GOOD} --fit-ps 1:inf", "A:B"),
        (f"{GOOD} --fit-ps ", "A:B"),
        (f"{GOOD} --fit-ps 3:2", "A:B"),
        (f"{GOOD} --lags ", "whole numbers"),
        (f"{GOOD} --lags 0", "wanted 1 to"),
        (f"{GOOD} --stride 0", "stride"),
        (f"{GOOD} --stride 5000", "--stride 5000: 1 of 300"),
        (f"{GOOD} --memory-GB 1e-6 --unwrap tor", "memory"),
        (f"{GOOD} --cross S", "--drift all"),
        ("ions.npz --mobile Li --temperature 600 --memory-GB 1e-6", "0.000001 GB|1e-06 GB"),
        ("plain.lammpstrj --mobile Li --temperature 600 --timestep-ps 0.002 --types Li P", "commas"),
        ("plain.lammpstrj --mobile Li --temperature 600 --timestep-ps 0.002 --types ,S", "Li,P,S"),
    ],
)
def test_wrong_questions_end_in_one_sentence(here, capsys, words, wanted):
    """Fault: a traceback (infinite window, charge of 1e200), a page of usage, or an answer to a question not asked."""
    before = sorted(here.iterdir())
    assert call(f"analyze {words} --out out") == 2
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1, said
    assert said.startswith("ionstride: ")
    assert any(text in said for text in wanted.split("|")), said
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("a.lammpstrj --replica a.lammpstrj", "twice"),
        ("a.lammpstrj --replica ./a.lammpstrj", "twice"),
        ("a.lammpstrj --replica copy.lammpstrj", "copy of 'a.lammpstrj'"),
        ("p2.lammpstrj a.lammpstrj", "'p2.lammpstrj' gives no frame"),
        ("a.lammpstrj other.lammpstrj", "--replica"),
    ],
)
def test_files_that_add_nothing_are_refused(here, capsys, words, wanted):
    """Fault: a run counted twice narrows the interval; parts out of order, or replicas as parts, vanish unsaid."""
    (here / "copy.lammpstrj").write_bytes((here / "a.lammpstrj").read_bytes())
    write_dump(here / "other.lammpstrj", seed=5)
    assert call(f"analyze {words} --mobile Li --temperature 600 --timestep-ps 0.002 --out out") == 2
    assert wanted in capsys.readouterr().err
    assert not (here / "out").exists()


def test_parts_in_order_are_all_used(here):
    """Fault: the refusal above hitting an ordinary restart, whose second part begins before the first ends."""
    write_dump(here / "restart.lammpstrj", frames=150, first=2000, skip=200)
    row = analyze(["a.lammpstrj", "restart.lammpstrj"], mobile="Li", temperature_K=600, timestep_ps=0.002)
    assert row["n_frames"] == 350


def test_the_folder_is_looked_at_before_the_work(here, capsys):
    """Fault: an hour of analysis, then 'File exists'; or a study's own results written over."""
    (here / "file").write_text("thesis")
    (here / "stage").mkdir()
    (here / "stage" / "run.json").write_text("{}")
    for out, wanted in (("file", "is a file"), ("file/deep", "is a file"), ("stage", "study")):
        assert call(f"analyze {GOOD} --out {out}") == 2
        assert wanted in capsys.readouterr().err
    assert (here / "file").read_text() == "thesis"
    assert [p.name for p in (here / "stage").iterdir()] == ["run.json"]


def test_nothing_of_an_earlier_analysis_stays(here):
    """Fault: an older run's mechanism.json beside the new numbers, as if they belonged together."""
    (here / "out").mkdir()
    for name in ("mechanism.json", "density.cube", "mine.txt"):
        (here / "out" / name).write_text("old")
    analyze("a.lammpstrj", mobile="Li", temperature_K=600, timestep_ps=0.002, out="out", lags="9,1,9")
    names = {p.name for p in (here / "out").iterdir()}
    assert {"mine.txt", "transport.json"} <= names
    assert not names & {"mechanism.json", "density.cube"}
    assert len(json.loads((here / "out" / "transport.json").read_text())["msd"]["lag_ps"]) == 2


def test_what_was_left_out_is_said(here, capsys):
    """Fault: replicas cut to the shortest, or a cut last frame, known only to who reads transport.json."""
    text = (here / "a.lammpstrj").read_text()
    (here / "cut.lammpstrj").write_text(text[:-20])
    write_dump(here / "short.lammpstrj", frames=200, seed=3)
    words = "--mobile Li --temperature 600 --timestep-ps 0.002 --out out"
    assert call(f"analyze cut.lammpstrj --replica short.lammpstrj {words}") == 0
    said = capsys.readouterr().out
    assert "cut by 99 frames" in said
    assert "cut.lammpstrj: 1 last frame cut short" in said


def test_the_interval_shown_holds_the_value(here, capsys):
    """Fault: 0.000128 [0.00013, 0.00013]: ends rounded until the value lies outside them."""
    steps = np.random.default_rng(1).normal(0, 0.3, (60, 4000, 3))
    np.savez(here / "long.npz", r_A=np.cumsum(steps, axis=1), dt_ps=0.1, temperature_K=600, volume_A3=1e3)
    assert call("analyze long.npz --mobile Li --temperature 600 --out out") == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("D self"))
    value, low, high = (float(x.strip("[],")) for x in line.split()[2:5])
    assert low < value < high


def analysed(here, T, seed, charge=1.0, mobile="Li"):
    """Analyse ions with an activation energy of 0.3 eV at a temperature, into the folder of its name."""
    write_ions(here / "x.npz", D_A2_ps=100 * np.exp(-0.3 / (8.617e-5 * T)), T=T, seed=seed)
    analyze("x.npz", mobile=mobile, temperature_K=T, charge_e=charge, out=f"{mobile}{T:g}")


def test_arrhenius_takes_the_charge_of_the_analysis(here):
    """Fault: Mg analysed with a charge of 2 and extrapolated with 1: σ four times too small."""
    for seed, T in enumerate((600.0, 800.0)):
        analysed(here, T, seed, charge=2.0, mobile="Mg")
    sigma = []
    for words in ("--out own.json", "--charge 1 --out one.json"):
        assert call(f"arrhenius Mg600 Mg800 {words}") == 0
        sigma.append(json.loads((here / words.split()[-1]).read_text())["sigma_at_mS_cm"]["value"])
    assert sigma[0] == pytest.approx(4 * sigma[1])


def test_arrhenius_refuses(here, capsys):
    """Fault: tracebacks (--at inf, huge charge), D = 0 [0, 0] at 1 K, an input overwritten, a point counted twice."""
    analysed(here, 600.0, 1)
    analysed(here, 800.0, 2)
    analysed(here, 800.0, 3, mobile="Na")
    before = (here / "Li600" / "transport.json").read_bytes()
    for words, wanted in (
        ("Li600 Li800 --at inf --out a.json", "--at inf"),
        ("Li600 Li800 --at -5 --out a.json", "above 0 K"),
        ("Li600 Li800 --at 1 --out a.json", "--at 1"),
        ("Li600 Li800 --charge 1e200 --out a.json", "elementary"),
        ("Li600 Li800 --out Li600/transport.json", "lost"),
        ("Li600 Li800 --out line.html", ".json"),
        ("Li600 Li600 Li800 --out a.json", "twice"),
        ("Li600 Na800 --out a.json", "Li, Na"),
    ):
        assert call(f"arrhenius {words}") == 2
        said = capsys.readouterr().err
        assert len(said.strip().splitlines()) == 1, said
        assert wanted in said
    assert (here / "Li600" / "transport.json").read_bytes() == before
    assert not list(here.glob("*.json"))
    assert not list(here.glob("*.html"))


def test_a_reader_that_goes_away(here):
    """Fault: `ionstride analyze … | head -1` ended with 1 in the middle of the work, and results were not written."""
    words = [sys.executable, "-m", "ionstride", "analyze", *GOOD.split(), "--memory-GB", "1e-6", "--out", "out"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=here, text=True) as run:
        run.stdout.close()
        said = run.stderr.read()
    assert (run.returncode, said) == (0, "")
    assert (here / "out" / "transport.json").exists()


def test_interrupted(here):
    """Fault: a traceback at Ctrl-C, even while modules are still being imported, or half a folder with numbers."""
    words = [sys.executable, "-m", "ionstride", "analyze", *GOOD.split(), "--mechanism", "--out", "out"]
    for seconds in (1.0, 2.5):
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=here, text=True) as run:
            time.sleep(seconds)
            run.send_signal(signal.SIGINT)
            said = run.stderr.read()
        assert run.returncode in (0, 130, -signal.SIGINT)
        assert "Traceback" not in said
        if run.returncode and (here / "out" / "transport.json").exists():
            assert (here / "out" / "analysis.html").exists()


def test_notes_of_other_libraries_are_not_shown(here):
    """Fault: a paragraph on MDAnalysis 3.0 before the numbers of a DCD that is streamed."""
    code = """
import MDAnalysis as mda, numpy as np
u = mda.Universe.empty(2, trajectory=True)
u.add_TopologyAttr("names", ["Li", "S"]); u.add_TopologyAttr("elements", ["Li", "S"])
u.dimensions = [9, 9, 9, 90, 90, 90]
u.atoms.write("top.pdb")
with mda.Writer("a.dcd", 2, dt=0.1) as writer:
    for k in range(60):
        u.dimensions = [9, 9, 9, 90, 90, 90]
        u.atoms.positions = np.array([[0.1 * k, 1, 1], [4, 4, 4]])
        writer.write(u.atoms)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, cwd=here, capture_output=True)
    words = "analyze a.dcd --topology top.pdb --mobile Li --temperature 600 --frame-ps 0.1 --memory-GB 1e-7 --out out"
    run = subprocess.run(
        [sys.executable, "-m", "ionstride", *words.split()], cwd=here, text=True, capture_output=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
