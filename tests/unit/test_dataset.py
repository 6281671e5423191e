"""Splits that do not leak, data folders that keep every digit."""

import numpy as np
import pytest

from ionstride.errors import InputError, ToolError
from ionstride.potential import split_frames, write_dataset
from ionstride.potential.inputs import training_input, whole_pieces
from ionstride.potential.train import _trim_lcurve, checkpoint_at, read_lcurve
from ionstride.records import LabelledFrames
from ionstride.settings import PotentialSettings


def frames(runs, length, seed=0):
    rng = np.random.default_rng(seed)
    count = runs * length
    order = rng.permutation(count)
    return LabelledFrames(
        symbols=("Li", "S"),
        positions_A=rng.random((count, 2, 3)),
        cell_A=np.tile(5.0 * np.eye(3), (count, 1, 1)),
        energy_eV=rng.random(count),
        force_eV_A=rng.random((count, 2, 3)),
        group=np.repeat(np.arange(runs), length)[order],
        frame_number=np.tile(np.arange(length) * 10, runs)[order],
        method="test",
    )


def test_blocks_keep_neighbours_together():
    """Frames held out at random among neighbours in time let the training set tell the answers."""
    data = frames(1, 1000)
    held_out, _ = split_frames(data, 0.1, 1)
    assert 80 <= held_out.sum() <= 120
    in_time = held_out[np.argsort(data.frame_number)]
    assert np.abs(np.diff(in_time.astype(int))).sum() <= 4


def test_runs_are_held_out_whole():
    """With many runs, a run that is half in training is a leak."""
    data = frames(20, 30)
    held_out, rule = split_frames(data, 0.1, 1)
    for run in range(20):
        assert len(set(held_out[data.group == run])) == 1
    assert held_out.sum() == 60
    assert "runs" in rule


def test_split_is_the_seed_s():
    """A split that changes between training and testing tests on trained frames."""
    data = frames(1, 300)
    assert (split_frames(data, 0.1, 5)[0] == split_frames(data, 0.1, 5)[0]).all()
    with pytest.raises(InputError, match="valid_fraction"):
        split_frames(data, 0.9, 5)


def test_dataset_keeps_every_digit(tmp_path):
    """float32 energies of thousands of eV lose the meV that is to be learned."""
    data = frames(1, 10)
    folder = write_dataset(data, ("S", "Li"), tmp_path / "d")
    assert (np.load(folder / "set.000" / "energy.npy") == data.energy_eV).all()
    assert np.load(folder / "set.000" / "energy.npy").dtype == np.float64
    assert (folder / "type.raw").read_text().split() == ["1", "0"]
    with pytest.raises(InputError, match="Li"):
        write_dataset(data, ("S",), tmp_path / "e")


def given(steps, first=0, **more):
    return training_input(
        PotentialSettings(**{"descriptor": "se_e2_a", **more}),
        type_map=("Li", "S"), room={"far": [8, 8], "near": [3, 4], "total": [12, 6]},
        train="t", valid="v", has_virial=False, seed=1, steps=steps, first=first,
    )  # fmt: skip


@pytest.mark.parametrize("steps", [2500, 20000, 777, 10007, 1])
def test_a_checkpoint_falls_on_the_last_step(steps):
    """DeePMD writes checkpoints only at multiples of both frequencies: else nothing is left to freeze."""
    whole, piece = whole_pieces(steps, 1000)
    assert steps <= whole <= 1.02 * steps
    assert whole % piece == 0
    assert piece <= 1000
    for first in range(0, whole, piece):
        made = given(steps, first, checkpoint_steps=1000)["training"]
        assert made["numb_steps"] == first + piece
        assert made["save_freq"] == piece
        assert piece % made["disp_freq"] == 0
        assert made["disp_freq"] > 10 or steps < 100


def _rate(written, step):
    from deepmd.dpmodel.utils.learning_rate import BaseLR

    return float(BaseLR(num_steps=written["training"]["numb_steps"], **written["learning_rate"]).value(step))


def _weight(written, name, step):
    """Of the loss, as DeePMD moves it with the rate."""
    start, limit = (written["loss"][f"{end}_pref_{name}"] for end in ("start", "limit"))
    return limit + (start - limit) * _rate(written, step) / written["learning_rate"]["start_lr"]


@pytest.mark.parametrize(("steps", "piece", "within"), [(20000, 2000, 0.018), (20000, 20000, 0.07), (1000, 400, 0.07)])
def test_the_learning_rate_stays_and_then_falls_as_a_cosine(steps, piece, within):
    """Fault: the rate jumps from segment to segment, or falls from the first step on, or has no stay in a short run."""
    net = {"schedule": "wsd", "start_lr": 2e-3, "stop_lr": 1e-6, "checkpoint_steps": piece}
    first = 0
    while first < steps:
        segment = given(steps, first=first, **net)
        last = segment["training"]["numb_steps"]
        for step in range(first if first else 200, last + 1, (last - first) // 5):
            fallen = max(0.0, (step / steps - 0.4) / 0.6)
            cosine = 0.5 * (1 + np.cos(np.pi * fallen))
            assert _rate(segment, step) == pytest.approx(1e-6 + (2e-3 - 1e-6) * cosine, abs=within * 2e-3)
            assert _weight(segment, "f", step) == pytest.approx(100 + 900 * cosine, abs=within * 1000)
            assert _weight(segment, "e", step) == pytest.approx(1 - 0.98 * cosine, abs=within)
        assert (segment["learning_rate"]["warmup_steps"] > 0) == (first == 0 and last > 400)
        first = last


def test_segments_have_the_schedule_of_the_whole():
    """Fault: each segment anneals by itself: DeePMD derives the decay from the steps of the process if not told."""
    first, last = given(20000), given(20000, first=18000)
    assert first["learning_rate"]["start_lr"] == pytest.approx(last["learning_rate"]["start_lr"])
    assert first["learning_rate"]["decay_rate"] == pytest.approx(last["learning_rate"]["decay_rate"])
    assert _rate(last, 20000) == pytest.approx(PotentialSettings().stop_lr)
    assert first["training"]["seed"] == 1  # batches are drawn anew, or every segment would see the same frames first
    assert len({given(20000, first=n)["training"]["seed"] for n in (0, 5000, 10000, 15000)}) == 4
    assert first["model"] == last["model"]


def test_lcurve_after_a_restart(tmp_path):
    """After a restart rows repeat, and a kill may leave half a row."""
    (tmp_path / "lcurve.out").write_text(
        "#  step      rmse_val    rmse_trn    rmse_e_val  rmse_e_trn    rmse_f_val  rmse_f_trn         lr\n"
        "0 1 1 0.1 0.1 0.9 0.8 1e-3\n100 1 1 0.1 0.1 0.5 0.5 1e-3\n"
        "#  step      rmse_val    rmse_trn    rmse_e_val  rmse_e_trn    rmse_f_val  rmse_f_trn         lr\n"
        "100 1 1 0.1 0.1 0.4 0.5 1e-3\n200 1 1 0.1"
    )
    rows = read_lcurve(tmp_path / "lcurve.out")
    assert rows["step"].tolist() == [0, 100]
    assert rows["rmse_f_valid"].tolist() == [0.9, 0.4]
    assert len(read_lcurve(tmp_path / "none")["step"]) == 0


def test_a_killed_segment_leaves_nothing_in_the_curve(tmp_path):
    """Fault: half a row before the first of the segment made again hides that row."""
    path = tmp_path / "lcurve.out"
    path.write_text("# step lr\n0 1e-3\n100 1e-3\n200 1e-3\n# step lr\n200 1e-3\n300 1e-3\n40")
    _trim_lcurve(path, 200)
    assert path.read_text() == "# step lr\n0 1e-3\n100 1e-3\n200 1e-3\n# step lr\n200 1e-3\n"


def test_the_checkpoint_of_a_segment(tmp_path):
    """Fault: going on from a newer checkpoint that a kill cut off, or from none."""
    for name in ("model.ckpt-100.index", "model.ckpt-200.index"):
        (tmp_path / name).write_text("x")
    assert checkpoint_at(tmp_path, 100).name == "model.ckpt-100"
    with pytest.raises(ToolError, match="step 300"):
        checkpoint_at(tmp_path, 300)
