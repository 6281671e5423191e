"""`ionstride mdgan inspect` and `evaluate` from the command line: what they write, and every misuse in a sentence."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from ionstride import cli

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from hopping import Hopping


def write(path, *, ions=6, frames=1201, seed=1, T=1000.0, dt_ps=0.1, change=None, toy=None):
    """Write a run of the hopping toy."""
    r_A = (toy or Hopping()).paths(ions, frames, dt_ps, seed)
    if change is not None:
        change(r_A)
    np.savez(path, r_A=r_A, dt_ps=dt_ps, temperature_K=T, volume_A3=1e4)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for number in (1, 2):
        write(folder / f"t{number}.npz", seed=number)
    write(folder / "ref.npz", ions=20, frames=2001, seed=9)
    write(folder / "hot.npz", T=1200.0, seed=3)
    write(folder / "fine.npz", dt_ps=0.05, seed=4)
    write(folder / "short.npz", frames=50, seed=5)
    write(folder / "still.npz", change=lambda r: r.__setitem__(2, r[2, :1]), seed=6)
    write(folder / "nan.npz", change=lambda r: r.__setitem__((1, 7, 0), np.nan), seed=7)
    write(folder / "glass.npz", toy=Hopping(hop_per_ps=1e-9), seed=8)
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def call(runs, monkeypatch, capsys):
    """Return exit code, output and errors of a command line, in the folder of the runs."""
    monkeypatch.chdir(runs)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)

    def said(words):
        try:
            code = cli.main(["mdgan", *words.split()])
        except SystemExit as stop:
            code = stop.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return said


def test_inspect_recommends_and_writes(call, runs):
    """Fault: an inspection that leaves no number for the next command."""
    code, out, err = call("inspect t1.npz t2.npz --mobile Li --window 64 --out look")
    assert code == 0, err
    assert "recommended: --stride" in out and "what these data cannot teach" in out
    found = json.loads((runs / "look" / "inspect.json").read_text())
    assert found["recommended"]["stride"] in (1, 2, 5)
    assert found["train"]["n_runs"] == 2 and len(found["inputs"]) == 2
    assert (runs / "look" / "inspect.svg").stat().st_size > 5000


def test_baselines_alone_make_a_whole_evaluation(call, runs):
    """Fault: evidence that needs a trained network (and torch) before the simplest question is answered."""
    code, out, err = call(
        "evaluate baseline --train t1.npz t2.npz --reference ref.npz --mobile Li --window 32 --ions 32 --out E"
    )
    assert code == 0, err
    assert "The Gaussian surrogate fails" in out
    found = json.loads((runs / "E" / "evaluation.json").read_text())
    assert found["models"] == [] and len(found["baselines"]) == 5
    assert found["train"]["windows_independent"] == 12 * (1200 // 32)
    page = (runs / "E" / "evaluation.html").read_text()
    assert "<svg" in page and "window bootstrap" in page and "<script" not in page and 'href="http' not in page
    again = call(
        "evaluate --train t1.npz t2.npz --reference ref.npz --mobile Li --window 32 --ions 32 --baselines line --out E2"
    )
    assert again[0] == 0, again[2]
    assert json.loads((runs / "E2" / "evaluation.json").read_text())["baselines"] == ["straight line"]


def test_no_reference_is_said(call):
    """Fault: a page without a reference that looks like one with."""
    code, out, err = call("evaluate --train t1.npz --mobile Li --window 16 --ions 16 --baselines gaussian --out N")
    assert code == 0, err
    assert "Not known: There is no reference" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("inspect short.npz --mobile Li", "50 frames"),
        ("inspect t1.npz hot.npz --mobile Li", "1200 K; a model is of one temperature"),
        ("inspect t1.npz fine.npz --mobile Li", "other times than run 0"),
        ("inspect still.npz --mobile Li", "do not move at all"),
        ("inspect nan.npz --mobile Li", "nan Å, which is no position"),
        ("inspect none.npz --mobile Li", "is not there"),
        ("inspect t1.npz t1.npz --mobile Li", "given twice"),
        ("inspect t1.npz --mobile Li --window 4", "--window 4"),
        ("inspect t1.npz --mobile Li --strides 1,x", "--strides '1,x'"),
        ("inspect t1.npz --mobile Li --temperature -4", "wanted above 0 K"),
        ("inspect t1.npz", "--mobile"),
        ("evaluate nowhere --train t1.npz --reference ref.npz --mobile Li --out X", "'nowhere' is not there"),
        ("evaluate --train t1.npz --reference t1.npz --mobile Li --out X", "also trained on"),
        ("evaluate --train t1.npz --reference hot.npz --mobile Li --out X", "1200 K and the training data at 1000 K"),
        ("evaluate --train t1.npz --reference short.npz --mobile Li --out X", "shorter than three windows"),
        ("evaluate --train short.npz --reference ref.npz --mobile Li --out X", "shorter than a window"),
        ("evaluate --train t1.npz --mobile Li --baselines best --out X", "--baselines = 'best' is not known"),
        ("evaluate --train t1.npz --mobile Li --ions 0 --out X", "--ions 0"),
        ("evaluate --train t1.npz --mobile Li --seed -1 --out X", "--seed -1"),
        ("generate M --seed -1 --out X", "--seed -1"),
        ("generate M --device cud --out X", "--device = 'cud'"),
        ("", "required"),
    ],
)
def test_misuse_is_one_sentence(call, runs, words, sentence):
    """Fault: a traceback, or a model trained on nonsense in silence."""
    code, _, err = call(words)
    assert code == 2
    assert sentence in err and err.count("\n") == 1 and "Traceback" not in err
    assert not (runs / "X").exists()


def test_ions_that_do_not_diffuse_get_no_stride(call):
    """Fault: a recommendation for a glass."""
    code, out, _ = call("inspect glass.npz --mobile Li --window 64")
    assert code == 0
    assert "no stride is recommended" in out and "do not diffuse" in out


def test_torch_is_not_needed():
    """Fault: inspect, baselines and evaluation that load torch need a gigabyte for nothing."""
    import subprocess

    code = (
        "import sys, ionstride.mdgan.quality, ionstride.mdgan.advice, ionstride.mdgan.data, ionstride.mdgan_commands; "
        "print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
