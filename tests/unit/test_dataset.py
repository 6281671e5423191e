"""Splits that do not leak, data folders that keep every digit."""

import numpy as np
import pytest

from ionstride.errors import InputError
from ionstride.potential import split_frames, write_dataset
from ionstride.potential.inputs import training_input
from ionstride.potential.train import last_checkpoint, read_lcurve
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


@pytest.mark.parametrize("steps", [2500, 20000, 777, 10007, 1])
def test_a_checkpoint_falls_on_the_last_step(steps, tmp_path):
    """DeePMD writes checkpoints only at multiples of both frequencies: else nothing is left to freeze."""
    made = training_input(
        PotentialSettings(), type_map=("Li", "S"), sel=[8, 8], train=tmp_path, valid=tmp_path, has_virial=False,
        seed=1, steps=steps,
    )["training"]  # fmt: skip
    assert steps <= made["numb_steps"] <= 1.02 * steps
    assert made["numb_steps"] % made["save_freq"] == 0
    assert made["save_freq"] % made["disp_freq"] == 0
    assert made["save_freq"] <= 1000
    assert made["disp_freq"] > 10 or steps < 100


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


def test_only_a_whole_checkpoint_counts(tmp_path):
    """A kill between the files of a checkpoint leaves one that cannot be read."""
    for name in ("model.ckpt-100.index", "model.ckpt-100.meta", "model.ckpt-100.data-00000-of-00001"):
        (tmp_path / name).write_text("x")
    (tmp_path / "model.ckpt-200.index").write_text("x")
    assert last_checkpoint(tmp_path).name == "model.ckpt-100"
