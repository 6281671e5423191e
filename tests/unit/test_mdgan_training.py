"""The generator, its losses, and training that can be killed and gone on with."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hopping import hopping

from ionstride.errors import FormatError, InputError
from ionstride.mdgan import losses, measures
from ionstride.mdgan.ensemble import _interval, train_ensemble
from ionstride.mdgan.model import Model, _lags_known, calibration, load_model, remove_drift, save_model
from ionstride.mdgan.networks import Critic, Generator, NextRecord, filter_valid
from ionstride.mdgan.rollout import generate, roll_out
from ionstride.mdgan.settings import STEPS, TrainSettings, train_settings
from ionstride.mdgan.start import make_start
from ionstride.mdgan.state import State
from ionstride.mdgan.trainer import _own_randomness, _Scaled, _steps, look_at, train
from ionstride.mdgan.windows import increment_covariance, msd_of_windows, windows
from ionstride.mdgan_commands import _check_unseen
from ionstride.trajectory.recorded import open_universe
from ionstride.ui import Screen

SMALL = {"window": 32, "batch": 16, "width": 8, "steps": 4, "report_every": 2, "threads": 1, "device": "cpu"}


@pytest.fixture(autouse=True)
def few_records(monkeypatch):
    """Models of these tests are finished with few records; what that costs in drift is no matter here."""
    monkeypatch.setattr("ionstride.mdgan.model.DRIFT_RECORDS", 20_000)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def toy():
    return hopping(12, 2001, runs=3)


STARTS, SCALE = {}, {}


def generator(toy, *, wild=0.0, window=32):
    """A generator at its start, or with a last layer of random weights."""
    torch.manual_seed(3)
    if window not in STARTS:
        STARTS[window] = make_start(windows(toy, window, 1))
        SCALE[window] = STARTS[window].scale_A
    net = Generator(STARTS[window], width=16)
    torch.nn.init.normal_(net.leave.weight, std=wild or 1e-12)
    return net.eval().requires_grad_(False)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def test_start_has_the_second_moments_of_the_data(toy):
    """Fault: a start whose MSD is wrong, so that training must first find what the data say outright."""
    cut = windows(toy, 32, 1)
    net = generator(toy)
    made = net.sample(1000, 1000, source())
    got = losses.covariance_by_lag(made).numpy()[:32]
    wanted = increment_covariance(msd_of_windows(cut) / SCALE[32] ** 2)
    # hops make the variance of the variance large: a million records know C(k) to about 0.005
    assert np.abs(got - wanted).max() < 0.03


def test_series_are_stationary_from_the_first_record(toy):
    """Fault: records of a step that differ, or a start-up, seen in the variance by record."""
    net = generator(toy, wild=0.3)
    square = net.sample(4000, 24, source()).square().mean(dim=2).numpy()
    by_record = square.mean(axis=0)
    error = square.std(axis=0) / np.sqrt(len(square))
    assert np.abs(by_record - by_record.mean()).max() < 4.5 * error.max()
    uncut = net(net.noise(2000, 24 + net.margin, source())[0]).square().mean(dim=(0, 2))
    # the same series not cut at a random record do depend on the phase, else this test could not fail
    assert (uncut.view(-1, 4).mean(dim=0) / uncut.mean() - 1.0).abs().max() > 0.02


def test_pieces_of_a_stream_join_without_a_seam(toy):
    """Fault: a seam every chunk, where C(1) between the last record of one and the first of the next is lost."""
    net = generator(toy, wild=0.05)
    made = torch.cat(list(net.stream(1500, 64, source(), chunk=16)), dim=1)
    assert made.shape == (1500, 64, 3)
    pair = (made[:, 1:] * made[:, :-1]).mean(dim=(0, 2)).numpy()
    square = (made[:, 1:] * made[:, :-1]).mean(dim=2).numpy()
    error = square.std(axis=0).max() / np.sqrt(len(made))
    assert np.abs(pair - pair.mean()).max() < 4.5 * error


def test_drift_is_measured_and_subtracted(toy):
    """Fault: a mean step b adds (n b)² to the MSD, ten-fold at 20 windows for a hundredth of the rms."""
    net = generator(toy)
    net.leave.bias[:3] = 0.05  # of the first record of a step
    found = remove_drift(net, source(), records=300_000)
    assert found.records >= 300_000
    assert np.allclose(found.before[0, :3], 0.05, atol=0.03)
    assert np.abs(found.before[1:]).max() < 0.03
    # hops make the mean of n records vary as 2 D n: by less than 1.5 rms increments over √n
    assert np.abs(found.after.mean(axis=0)).max() < 6.0 / np.sqrt(found.records)


def test_calibration_gives_the_covariance_of_the_data(toy):
    """Fault: an MSD 20 % low on one axis after training."""
    net = generator(toy)
    net.taps[1] *= 0.7
    cut = windows(toy, 32, 1)
    wanted = increment_covariance(msd_of_windows(cut) / SCALE[32] ** 2)
    found = remove_drift(net, source(), records=400_000, lags=32)
    taps = torch.tensor(calibration(found.covariance, wanted), dtype=torch.float32)
    made = net.sample(400, 1062, source(1))
    assert abs(losses.covariance_by_lag(made).numpy()[0, 1] / wanted[0, 1] - 1.0) > 0.15
    filtered = filter_valid(made.transpose(1, 2), taps).transpose(1, 2)
    got = losses.covariance_by_lag(filtered)[:32]
    # hops make a variance of 400 000 records vary by about 2 %
    assert np.abs(got.numpy()[0] / wanted[0] - 1.0).max() < 0.1
    long = losses.msd_of_covariance(got)[-1] / losses.msd_of_covariance(torch.tensor(wanted))[-1]
    assert (long - 1.0).abs().max() < 0.15


def test_moment_loss_is_unbiased():
    """Fault: a squared misfit of a noisy MSD, whose least is at too small a variance."""
    wanted = torch.zeros(16, 3)
    wanted[0] = 1.0
    torch.manual_seed(0)
    values = [float(losses.moment_loss(torch.randn(32, 16, 3), wanted)) for _ in range(400)]
    mean, error = np.mean(values), np.std(values) / 20.0
    assert abs(mean) < 4.0 * error
    assert float(losses.moment_loss(0.8 * torch.randn(4000, 16, 3), wanted)) > 0.1


def test_sliced_distance_sees_what_the_covariance_does_not(toy):
    """Fault: a loss that a Gaussian with the right C(k) satisfies."""
    cut = windows(toy, 32, 1)
    scale = cut.sample(4096, np.random.default_rng(9)).std(axis=(0, 1))
    rng = np.random.default_rng(0)

    def real(count):
        return torch.from_numpy(cut.sample(count, rng) / scale.astype(np.float32))

    bank = losses.make_bank(real(4096), msd_of_windows(cut) / scale**2, rng, count=40, places=8, batch=512)
    every = torch.arange(40)
    white = torch.linalg.cholesky(torch.cov(real(20000).reshape(20000, -1).T) + 1e-5 * torch.eye(96))
    gaussian = (torch.randn(1024, 96) @ white.T).view(1024, 32, 3)
    same = np.mean([float(losses.sliced_distance(real(1024), bank, every)) for _ in range(8)])
    other = float(losses.sliced_distance(gaussian, bank, every))
    assert other > 5.0 * abs(same)


def test_density_of_the_next_record_learns_memory():
    """Fault: a history read backwards or off by one: an AR(1) process would not be found."""
    torch.manual_seed(0)
    net = NextRecord(3, 16, np.ones(17), width=32, parts=2)
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    d = torch.zeros(256, 60, 3)
    for n in range(1, 60):
        d[:, n] = -0.6 * d[:, n - 1] + 0.8 * torch.randn(256, 3)
    path = torch.cat([torch.zeros(256, 1, 3), d.cumsum(dim=1)], dim=1)
    for _ in range(150):
        at = int(torch.randint(20, 55, ()))
        loss = -net.log_density(net.features(path[:, at - 16 : at + 1]), d[:, at]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        made = net.sample(400, 100, source())
    c = losses.covariance_by_lag(made).mean(dim=1)
    assert abs(float(c[1] / c[0]) + 0.6) < 0.1


def test_warnings_are_words():
    """Fault: a collapse seen only when the training is over."""
    good = {"variance_x": 1.0, "variance_y": 1.0, "variance_z": 1.0, "drift": 0.0}
    good |= {f"alpha2_{lag}": 1.0 for lag in measures.LAGS}
    assert measures.warnings_of(good, good) == []
    bad = good | {"variance_y": 0.5, "drift": 0.4, "alpha2_8": 0.05}
    said = " ".join(measures.warnings_of(bad, good))
    assert "collapse" in said and "along y" in said and "drift" in said and "hops are smeared" in said


@pytest.mark.parametrize("loss", ["swd", "swd+critic", "relativistic", "wgan-gp", "ar-mdn"])
def test_every_loss_trains_and_its_model_comes_back(toy, tmp_path, loss):
    """Fault: a model that draws other series after it was saved and loaded."""
    model = train(toy, train_settings({**SMALL, "loss": loss, "steps": 2}), tmp_path)
    again = load_model(tmp_path)
    one = model.draw(64, 20, np.random.default_rng(5))
    two = again.draw(64, 20, np.random.default_rng(5))
    assert one.shape == (64, 20, 3) and one.dtype == np.float32 and np.isfinite(one).all()
    assert np.array_equal(one, two)
    assert again.dt_ps == pytest.approx(0.1)
    assert len((tmp_path / "train.csv").read_text().splitlines()) == 3  # header, start, end


def test_ions_together(toy, tmp_path):
    """Fault: ions of a group mixed up when the channels are taken apart."""
    model = train(toy, train_settings({**SMALL, "ions_together": 2, "steps": 2}), tmp_path)
    assert load_model(tmp_path).draw(6, 9, np.random.default_rng(0)).shape == (6, 9, 3)
    with pytest.raises(InputError, match="multiple of 2"):
        model.draw(5, 9, np.random.default_rng(0))


def test_models_of_another_version_or_damaged_are_refused(toy, tmp_path):
    """Fault: a traceback of torch, or weights read that mean something else."""
    model = train(toy, train_settings({**SMALL, "steps": 2}), tmp_path)
    whole = torch.load(tmp_path / "model.pt", weights_only=True)
    torch.save({**whole, "format": 99}, tmp_path / "model.pt")
    with pytest.raises(FormatError, match="its format is 99"):
        load_model(tmp_path)
    (tmp_path / "model.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(FormatError, match="train again"):
        load_model(tmp_path)
    save_model(model, tmp_path)
    about = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**about, "format": 0}))
    with pytest.raises(FormatError, match="its format is 0"):
        load_model(tmp_path)
    about["settings"]["width"] = 12
    (tmp_path / "model.json").write_text(json.dumps(about))
    with pytest.raises(FormatError, match="do not fit"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({k: v for k, v in about.items() if k != "start"}))
    with pytest.raises(FormatError, match="lacks what"):
        load_model(tmp_path)
    with pytest.raises(InputError, match="no trained model"):
        load_model(tmp_path / "elsewhere")


def test_unknown_settings_name_the_nearest():
    """Fault: a misspelt setting that is silently left at its default."""
    with pytest.raises(InputError, match="did you mean 'stride'"):
        train_settings({"strid": 2})
    with pytest.raises(InputError, match="did you mean 'swd'"):
        TrainSettings(loss="swdd")


def test_generated_numbers_are_those_of_the_series(toy, tmp_path):
    """Fault: statistics that are not of the series saved beside them, or drift not said."""
    model = Model(generator(toy), make_start(windows(toy, 32, 1)).scale_A, None, 0.1, 1, "start", {
        "settings": {"window": 32}, "temperature_K": 1000.0, "species": "Li", "charge_e": 1.0, "volume_A3": 1e4,
        "cell_A": (21.5443469 * np.eye(3)).tolist(), "drift": {}, "training_ps": 200.0,
    })  # fmt: skip
    made = generate(model, tmp_path, ions=32, records=400, seed=2, save=["npz", "dcd"], save_ions=32)
    with np.load(tmp_path / "series.npz") as saved:
        r_A = saved["r_A"]
    assert r_A.shape == (32, 401, 3)
    lag = made["lag_records"][5]
    msd = ((r_A[:, lag:] - r_A[:, :-lag]) ** 2).sum(axis=2).mean()
    assert msd == pytest.approx(made["msd_A2"][5], rel=1e-4)
    assert made["D_cm2_s"]["low"] < made["D_cm2_s"]["value"] < made["D_cm2_s"]["high"]
    universe = open_universe([tmp_path / "series.dcd"], tmp_path / "series.pdb")
    assert len(universe.trajectory) == 401
    universe.trajectory[400]
    assert np.allclose(universe.atoms.positions, r_A[:, 400], atol=1e-3)
    paths = roll_out(model, 4, 50)
    assert paths.independent_ions and paths.r_A.shape == (4, 51, 3)


CHILD = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from hopping import hopping
from ionstride.mdgan.settings import train_settings
from ionstride.mdgan import model
from ionstride.mdgan.state import State
from ionstride.mdgan.trainer import _own_randomness, _Scaled, look_at, train
model.DRIFT_RECORDS = 20_000
train(hopping(12, 1001, runs=2), train_settings({settings!r}), Path(sys.argv[1]))
"""


@pytest.mark.parametrize("loss", ["swd+critic"])
def test_killed_training_goes_on_bitwise(tmp_path, loss):
    """Fault: noise, optimiser or mean weights not saved: a resumed training is another training."""
    settings = {**SMALL, "loss": loss, "steps": 40, "report_every": 4}
    script = CHILD.format(tests=str(Path(__file__).parent), settings=settings)
    command = [sys.executable, "-c", script]
    subprocess.run([*command, tmp_path / "whole"], check=True, capture_output=True, timeout=120)
    killed = subprocess.Popen([*command, tmp_path / "killed"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    while not checkpoint.exists() and killed.poll() is None:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed" / "model.pt").exists(), "the training was over before it could be killed"
    done = subprocess.run([*command, tmp_path / "killed"], check=True, capture_output=True, text=True, timeout=120)
    assert "going on from step" in done.stdout
    one, two = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "killed"))
    for part in ("net", "ema", "critic"):
        assert all(torch.equal(one[part][name], two[part][name]) for name in one[part])
    assert torch.equal(one["learned"], two["learned"])
    one, two = (torch.load(tmp_path / name / "model.pt", weights_only=True) for name in ("whole", "killed"))
    assert all(torch.equal(one["weights"][name], two["weights"][name]) for name in one["weights"])


@pytest.mark.parametrize("window", [16, 31])
def test_critics_of_the_shortest_windows(window):
    """Fault: a window of 16 records, which is allowed, has fewer time scales than the critic: a traceback."""
    score = Critic(3, np.ones(5), width=4)(torch.zeros(2, window, 3))
    assert score.shape == (2,) and bool(torch.isfinite(score).all())


def test_a_look_sees_the_drift(toy):
    """Fault: the drift that is told while training is that of series whose mean was taken off: never any."""
    net = generator(toy)
    net.phase_mean += 0.5
    settings = TrainSettings(**SMALL)
    one = _Scaled(windows(toy, 32, 1), net_scale(toy), settings, torch.device("cpu")).sample(
        256, np.random.default_rng(0)
    )
    bank = losses.make_bank(one, np.ones((33, 3)), np.random.default_rng(1), count=4, batch=128)
    state = State(net, net, None, None, {}, source(), np.random.default_rng(0))
    row = look_at(state, settings, bank, torch.device("cpu"))
    assert row["drift"] > 0.5
    assert any("drift" in words for words in measures.warnings_of(row, {**row, "drift": 0.0}))


def net_scale(toy):
    generator(toy)
    return SCALE[32]


def test_long_windows_are_finished_or_refused(toy):
    """Fault: C(k) of more lags than a piece of the series has records: a traceback after the whole training."""
    assert remove_drift(generator(toy), source(), records=5000, lags=2048).covariance.shape == (2048, 3)
    assert _lags_known(hopping(1, 12001), TrainSettings(window=1000)) == 2048
    with pytest.raises(InputError, match="window = 3000"):
        TrainSettings(window=3000)


def test_density_without_room_for_what_comes_next(toy, tmp_path):
    """Fault: a stretch that holds a window but not the records after it, which the density predicts: a traceback."""
    short = hopping(4, 32 * 3 + 8)
    with pytest.raises(InputError, match="shorter than 48 records"):
        train(short, TrainSettings(**{**SMALL, "loss": "ar-mdn", "part": 0.3}), tmp_path / "M")


def test_numbers_that_are_no_seeds():
    """Fault: a traceback out of NumPy."""
    for name in ("seed", "threads"):
        with pytest.raises(InputError, match=f"{name} = -1"):
            TrainSettings(**{name: -1})


def test_interval_of_the_next_member():
    """Fault: an interval too short by what the mean of a few members scatters, a tenth for five; or a D below zero."""
    draws = np.exp(0.5 * np.random.default_rng(3).standard_normal((4000, 4)))
    found = [_interval(row[:3]) for row in draws]
    assert min(one["low"] for one in found) > 0.0
    inside = np.mean([one["low"] < row[3] < one["high"] for one, row in zip(found, draws, strict=True)])
    assert abs(inside - 0.95) < 0.012


def test_runs_drawn_twice_are_not_held_out(tmp_path):
    """Fault: the same run trained on and held out, for it was drawn twice."""
    with pytest.raises(InputError, match="--validation time"):
        train_ensemble(hopping(2, 400, runs=6), TrainSettings(**SMALL, validation="run"), tmp_path / "M", 2)


def test_processes_go_on_with_different_data():
    """Fault: gone on with under torchrun, all processes take the first one's windows, and a batch is no larger."""
    settings = TrainSettings(**SMALL)
    drawn = []
    for rank in (1, 2):
        state = State(None, None, None, None, {}, source(), np.random.default_rng([0, 2, 0]), step=100)
        _own_randomness(state, settings, rank)
        drawn.append((state.rng.random(), float(torch.rand((), generator=state.source))))
    assert len({*drawn, (np.random.default_rng([0, 2, 0]).random(), 0.0)}) == 3
    assert len({one[0] for one in drawn} | {np.random.default_rng([0, 2, 0]).random()}) == 3


def test_more_ions_together_than_are_made_at_once(toy):
    """Fault: 65 ions made together are none of the 64 that are drawn at once."""
    net = Generator(make_start(windows(toy, 16, 1)), ions=65, width=4).eval().requires_grad_(False)
    made = Model(net, np.ones(3), None, 0.1, 65, "many").draw(65, 4, np.random.default_rng(0))
    assert made.shape == (65, 4, 3) and np.isfinite(made).all()


def test_a_reference_that_the_model_has_seen_is_refused(toy, tmp_path):
    """Fault: a model judged by its own training data, because other runs were given as those it was trained on."""
    model = train(toy, train_settings({**SMALL, "steps": 0, "calibrate": False}), tmp_path)
    with pytest.raises(InputError, match="trained on 36 of the 36 ions of the reference"):
        _check_unseen([model], toy)
    _check_unseen([load_model(tmp_path)], hopping(12, 200, seed=77))


def test_a_network_is_trained_only_where_there_is_something_to_learn():
    """Fault: minutes of training that learn the noise of the data; or none where it was asked for."""
    screen = Screen()
    assert _steps(TrainSettings(), 0.11, 0.10, screen) == 0
    assert _steps(TrainSettings(), 0.14, 0.10, screen) == STEPS
    assert _steps(TrainSettings(steps=7), 0.11, 0.10, screen) == 7
    assert _steps(TrainSettings(steps=0), 0.14, 0.10, screen) == 0
    assert _steps(TrainSettings(loss="relativistic"), 0.11, 0.10, screen) == STEPS
