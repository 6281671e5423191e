"""Evidence: statistics, baselines and verdicts on a toy whose truth is known exactly."""

import json

import numpy as np
import pytest
from hopping import Hopping, hopping

from ionstride.errors import InputError, PhysicsError
from ionstride.mdgan import advice, baselines, quality
from ionstride.mdgan import series_statistics as series
from ionstride.mdgan.detect import detect_jumps
from ionstride.mdgan.memorised import memorisation
from ionstride.mdgan.verdicts import compare
from ionstride.mdgan.windows import windows
from ionstride.transport import displacements_from_arrays


@pytest.fixture(scope="module")
def train():
    return hopping(12, 4001, runs=3, seed=5)


@pytest.fixture(scope="module")
def reference():
    return hopping(40, 8001, runs=2, seed=50)


@pytest.fixture(scope="module")
def judged(train, reference):
    return quality.evaluate(train, reference, [Truth(), Copy(train)], length=64, stride=1, ions=256, seed=3)


class Truth:
    """The toy itself as a source: what a perfect model would draw."""

    dt_ps, name = 0.1, "perfect model"

    def draw(self, ions, records, rng):
        path = Hopping().paths(ions, records + 1, 0.1, int(rng.integers(2**31)))
        return np.diff(path, axis=1).astype(np.float32)


class Copy:
    """Whole training windows from their own starts, turned over: a model that only remembers."""

    dt_ps, name = 0.1, "parrot"

    def __init__(self, train):
        self.windows = windows(train, 64, 1)

    def draw(self, ions, records, rng):
        count = -(-records // 64)
        return self.windows.sample(ions * count, rng).reshape(ions, count * 64, 3)[:, :records]


class Still:
    """Ions that rattle and never jump."""

    dt_ps, name = 0.1, "model of ions that stay"

    def draw(self, ions, records, rng):
        return np.diff(0.2 * rng.standard_normal((ions, records + 1, 3)), axis=1).astype(np.float32)


class Drifting(Truth):
    name = "drifting model"

    def draw(self, ions, records, rng):
        return super().draw(ions, records, rng) + np.float32([0.005, 0.0, 0.0])


def plan_of(data, longest=384):
    whole = series.make_plan(data, data, 128, 1)
    keep, shaped = whole.lags <= longest, whole.shape_lags <= longest
    return series.Plan(128, whole.dt_ps, whole.lags[keep], whole.shape_lags[shaped], whole.scale_A[shaped])


def test_lags_are_windows_and_training_runs_as_far_as_the_reference_reaches():
    """Fault: the MSD at 30 lengths of a training run cannot be judged although the reference is long enough."""
    rng = np.random.default_rng(5)
    short, long = (
        displacements_from_arrays(
            np.cumsum(rng.standard_normal((2, frames, 3)), axis=1), dt_ps=0.1, temperature_K=1e3, volume_A3=1e4
        )
        for frames in (2001, 120_001)
    )
    lags = series.make_plan(short, long, 64, 2).lags  # 1000 records a training run, 60 000 in the reference
    assert {64, 640, 6400, 1000, 3000, 10_000, 30_000} <= set(lags.tolist())
    assert lags.max() == 30_000
    assert series.make_plan(short, None, 64, 2).lags.max() == 6400


def test_statistics_are_those_of_the_exact_toy(reference):
    """Fault: a statistic that is wrong for the reference is as wrong for the model, and agreement means nothing."""
    toy, plan = Hopping(), plan_of(reference)
    sums = series.sums_of_data(reference, plan, 1)
    np.testing.assert_allclose(series.msd(sums)[:, 3], toy.msd_A2(plan.lags * 0.1), rtol=0.10)
    exact = toy.alpha2(plan.lags * 0.1)
    np.testing.assert_allclose(series.alpha2(sums), exact, rtol=0.1, atol=0.1)
    assert series.slopes(sums, plan)[-1] == pytest.approx(1.0, abs=0.1)
    back = -0.5 * np.diff(toy.msd_A2(np.arange(4) * 0.1), 2)  # −C(k) in all
    np.testing.assert_allclose(series.covariance(sums)[1:3].sum(axis=1), -back, rtol=0.05)


def test_strides_and_batches_add_up(train):
    """Fault: phases of the stride or batches of ions counted twice or lost change every average."""
    plan = plan_of(train)
    one = series.sums_of_source(Truth(), plan, ions=64, records=500, rng=np.random.default_rng(1), batch=64)
    path = np.zeros((64, 501, 3))
    path[:, 1:] = np.cumsum(Truth().draw(64, 500, np.random.default_rng(1)), axis=1, dtype=np.float64)
    lag = 32
    expected = ((path[:, lag:] - path[:, :-lag]) ** 2).mean(axis=(0, 1))
    at = list(plan.lags).index(lag)
    np.testing.assert_allclose(series.msd(one)[at, :3], expected, rtol=1e-6)
    assert one.pairs[:, at].sum() == 64 * (501 - lag)
    fine = hopping(12, 2001, runs=3, dt_ps=0.05, seed=5)
    strided = series.sums_of_data(fine, plan, 2)
    delta = fine.r_A[:, 2 * lag :] - fine.r_A[:, : -2 * lag]
    np.testing.assert_allclose(series.msd(strided)[at, :3], (delta**2).mean(axis=(0, 1)), rtol=1e-9)


def test_errors_are_those_of_repeated_experiments():
    """Fault: an error bar from overlapping displacements as if they were independent is many times too small."""
    plan = plan_of(hopping(12, 2001, runs=1, seed=1))
    at = list(plan.lags).index(128)
    found = []
    for seed in range(30):
        sums = series.sums_of_data(hopping(24, 1001, runs=1, seed=100 + seed), plan, 1)
        curve = quality.described(sums, plan, np.random.default_rng(0))
        found.append((curve["msd_A2"][at], curve["msd_relative_error"][at][3], curve["alpha2"][at],
                      curve["alpha2_error"][at]))  # fmt: skip
    value, sigma, alpha2, shaped = np.array(found).T
    assert np.median(sigma) == pytest.approx(value.std() / value.mean(), rel=0.4)
    assert np.median(shaped) == pytest.approx(alpha2.std(), rel=0.6)


def test_wasserstein_is_the_distance_of_sorted_values():
    """Fault: a distance in bins and not in units of the rms would pass any gate."""
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal(200_000), 1.3 * rng.standard_normal(200_000) + 0.2
    edges = (np.arange(series.N_BINS + 1)) * series.BIN - series.RANGE
    cdf = [np.cumsum(np.histogram(v, edges)[0]) / len(v) for v in (a, b)]
    assert series.wasserstein(*cdf) == pytest.approx(np.abs(np.sort(a) - np.sort(b)).mean(), abs=0.005)


def test_jumps_are_found_where_they_are():
    """Fault: rattling taken for jumps, or jumps that are missed, make rates and back-jumps of everything wrong."""
    rng = np.random.default_rng(6)
    x = 0.25 * rng.standard_normal((3, 400, 3))
    x[0, 100:, 0] += 3.0
    x[0, 200:, 1] -= 3.0
    x[0, 300:, 1] += 3.0
    x[1, 50:, 2] += 3.0
    found = detect_jumps(x, 0.1)
    assert found.ion.tolist() == [0, 0, 0, 1]
    assert np.abs(found.record - [100, 200, 300, 50]).max() <= 5
    np.testing.assert_allclose(found.vector_A, [[3, 0, 0], [0, -3, 0], [0, 3, 0], [0, 0, 3]], atol=0.5)
    assert found.back.tolist() == [False, True, False, False]
    np.testing.assert_allclose(found.waits_ps, [10.0, 10.0], atol=0.6)
    toy = Hopping(rattle_A=0.15, back_per_ps=0.03, forget_per_ps=0.05)
    many = detect_jumps(toy.paths(300, 4001, 0.1, 7), 0.1)
    assert len(many.ion) / many.observed_ps == pytest.approx(toy.jumps_per_ps, rel=0.12)  # two in a picosecond are one
    assert many.back.sum() / many.followed.sum() == pytest.approx(toy.back_fraction, abs=0.06)  # the same


def test_gaussian_surrogate_shows_that_the_msd_proves_nothing(judged):
    """Fault: a report that calls a model good because its MSD is; noise without a single jump has it too."""
    at = judged["lag"].index(640)
    own = judged["errors"]["training data"]["msd_ratio"][judged["lag"].index(64)][3]
    assert judged["errors"]["Gaussian surrogate"]["msd_ratio"][at][3] == pytest.approx(own, rel=0.15)
    alpha2 = np.array(judged["curves"]["Gaussian surrogate"]["alpha2"])
    assert np.abs(alpha2[: judged["lag"].index(64)]).max() < 0.1
    failed = [t["test"] for t in judged["gate"]["Gaussian surrogate"] if not t["passed"]]
    assert any("α₂" in name for name in failed) and any("W1" in name for name in failed)


def test_stitched_windows_forget_back_jumps(train):
    """Fault: seams lose what reaches across them: the long MSD is 10 to 20 % too high, all short statistics right."""
    plan = plan_of(train, 384)
    rng = np.random.default_rng(8)
    cut = windows(train, 32, 1)
    made = series.sums_of_source(baselines.window_bootstrap(cut), plan, ions=1024, records=1500, rng=rng)
    data = series.sums_of_data(train, plan, 1)
    ratio = series.msd(made)[:, 3] / series.msd(data)[:, 3]
    lags = list(plan.lags)
    assert ratio[lags.index(4)] == pytest.approx(1.0, abs=0.06)
    assert 1.08 < ratio[lags.index(256)] < 1.6
    assert series.alpha2(made)[lags.index(8)] == pytest.approx(series.alpha2(data)[lags.index(8)], rel=0.1)


def test_random_walk_of_jumps_has_the_rate_and_no_memory(train):
    """Fault: waiting times cut at the end of a run, taken as they are, make the walk too fast."""
    plan = plan_of(train)
    walk = baselines.jump_walk(windows(train, 128, 1))
    made = series.sums_of_source(walk, plan, ions=512, records=2000, rng=np.random.default_rng(9))
    data = series.sums_of_data(train, plan, 1)
    rate, back, _ = series.jump_numbers(made)
    rate_of_data, back_of_data, _ = series.jump_numbers(data)
    assert rate == pytest.approx(rate_of_data, rel=0.1)
    assert back < back_of_data - 0.05
    early = np.diff(Hopping().msd_A2(np.array([0.0, 0.1])))[0]
    assert series.msd(made)[0, 3] == pytest.approx(early, rel=0.12)
    with pytest.raises(PhysicsError, match="0 jumps"):
        still = np.random.default_rng(0).normal(0, 0.1, (6, 600, 3))
        baselines.jump_walk(windows(displacements_from_arrays(still, dt_ps=0.1, temperature_K=1, volume_A3=1), 64, 1))


def test_baselines_have_no_drift(train):
    """Fault: what few ions have moved on average, repeated for ever, outruns diffusion, and any model beats it."""
    pushed = displacements_from_arrays(
        train.r_A + 0.004 * np.arange(train.r_A.shape[1])[:, None] * np.array([1.0, 0.0, 0.0]),
        dt_ps=0.1, temperature_K=1e3, volume_A3=1e4,
    )  # fmt: skip
    cut = windows(pushed, 128, 1)
    for source in (baselines.window_bootstrap(cut), baselines.jump_walk(cut)):
        moved = source.draw(400, 6000, np.random.default_rng(10)).sum(axis=1, dtype=np.float64)
        error = moved[:, 0].std() / 20.0
        assert abs(moved[:, 0].mean()) < 4.0 * error, source.name
        assert 4.0 * error < 0.3 * 0.004 * 6000, "the test could not see the drift"


def test_kaplan_meier_has_the_mean_of_cut_waits():
    """Fault: long waits are cut most often; without the cut ones the mean is too short."""
    rng = np.random.default_rng(10)
    wait = rng.exponential(10.0, 4000)
    cut = rng.uniform(0.0, 20.0, 4000)
    time, survival = baselines.kaplan_meier(np.minimum(wait, cut), (wait < cut).astype(float))
    assert -np.trapezoid(time, survival) == pytest.approx(10.0, rel=0.06)
    assert np.minimum(wait, cut)[wait < cut].mean() < 7.0
    assert survival[0] == 1.0 and survival[-1] == 0.0 and (np.diff(time) >= 0).all()


def test_straight_line_is_the_fit_of_transport(train, reference):
    """Fault: a baseline worse than what ``ionstride analyze`` gives flatters the model."""
    line = baselines.straight_line(train)
    assert line.slope_A2_ps[3] / 6.0 == pytest.approx(Hopping().D_A2_ps, abs=3 * line.stderr_A2_ps / 6.0)
    lag = np.array([0.1, 100.0, 300.0])
    value = line.msd_A2(lag)
    assert np.isnan(value[0]).all()
    assert value[1, 3] == pytest.approx(Hopping().msd_A2(100.0)[0], rel=0.25)
    np.testing.assert_allclose(value[1:, :3].sum(axis=1), value[1:, 3], rtol=1e-9)


def test_a_perfect_model_passes_and_is_not_said_to_copy(judged):
    """Fault: a gate that the truth itself does not pass, or a memorisation test that sees copies everywhere."""
    tests = [t for t in judged["gate"]["perfect model"] if "straight line" not in t["test"]]
    assert [t["test"] for t in tests if not t["passed"]] == []
    assert not judged["memorisation"]["perfect model"]["copies"]
    assert judged["comparisons"]["perfect model"]["Gaussian surrogate"]["alpha2"] == "beats"
    assert judged["comparisons"]["perfect model"]["window bootstrap"]["long MSD"] == "beats"
    assert judged["comparisons"]["Gaussian surrogate"]["window bootstrap"]["alpha2"] == "worse than"


def test_a_parrot_is_caught(judged):
    """Fault: copies of training windows have every statistic within a window, and pass for a model."""
    assert judged["memorisation"]["parrot"]["copies"]
    assert judged["memorisation"]["parrot"]["near"] > 0.2
    assert any("parrot copies training windows" in s for s in judged["verdicts"])


def test_drift_is_punished(train, reference):
    """Fault: a mean of 0.005 Å a record is invisible in a window and rules the MSD at a hundred of them."""
    found = quality.evaluate(
        train, reference, [Drifting()], length=64, stride=1, ions=96, only=("line",), seed=3
    )  # fmt: skip
    failed = [t["test"] for t in found["gate"]["drifting model"] if not t["passed"]]
    assert any("along x at 10 windows" in name for name in failed)
    assert not any("along y" in name for name in failed)
    assert found["comparisons"]["drifting model"]["straight line"]["long MSD"] == "worse than"
    assert found["curves"]["drifting model"]["drift_A_per_record"][0] == pytest.approx(0.005, abs=1e-3)


def test_a_model_without_jumps_does_not_pass_for_its_back_jumps(train, reference):
    """Fault: ions that never jump twice have no back-jump probability; the test left out, they pass all that remain."""
    found = quality.evaluate(train, reference, [Still()], length=32, stride=1, ions=32, only=())
    tests = {t["test"]: t for t in found["gate"]["model of ions that stay"]}
    back = tests["back-jump probability, difference"]
    assert not back["passed"] and back["value"] == pytest.approx(-found["curves"]["reference"]["back_fraction"])


def test_resamples_scatter_as_repeated_data():
    """Fault: verdicts from resamples that scatter too little: of few groups, and where ions move together."""
    rng = np.random.default_rng(5)
    values, used = rng.standard_normal((400, 4)), np.ones(4, dtype=bool)
    for together in (1.0, 1.5):
        weight = series.resamples(400, rng, used, together)
        mean = values @ (weight / weight.sum(axis=1, keepdims=True)).T
        assert mean.var(axis=1).mean() == pytest.approx(together * 0.25, rel=0.15)


def test_comparisons_need_more_than_luck():
    """Fault: 'beats' for a difference that other ions would turn round."""
    rng = np.random.default_rng(11)
    noise = rng.normal(0.0, 0.05, 200)
    scores = {
        "a": {"value": {"x": 0.10}, "resamples": {"x": (0.10 + noise).tolist()}},
        "b": {"value": {"x": 0.13}, "resamples": {"x": (0.13 + noise[::-1]).tolist()}},
        "c": {"value": {"x": 0.40}, "resamples": {"x": (0.40 + noise).tolist()}},
    }
    assert compare(scores, "a", "b", "x") == "no better than"
    assert compare(scores, "a", "c", "x") == "beats"
    assert compare(scores, "c", "a", "x") == "worse than"
    assert compare(scores, "a", "d", "x") is None


def test_without_a_reference_it_says_what_is_not_known(train):
    """Fault: agreement with the training data sold as evidence."""
    found = quality.evaluate(train, None, [], length=32, stride=1, ions=32, only=("gaussian",))
    assert found["gate"] == {} and found["memorisation"] == {} and found["reference"] is None
    assert any("There is no reference" in text for text in found["unknown"])
    json.dumps(found, allow_nan=False)


def test_references_that_cannot_judge_are_refused(train, reference):
    """Fault: a reference of another temperature or time step compared record by record."""
    hot = displacements_from_arrays(reference.r_A, dt_ps=0.1, temperature_K=900.0, volume_A3=1e4)
    with pytest.raises(InputError, match="900 K and the training data at 1000 K"):
        quality.evaluate(train, hot, length=128, stride=1)
    odd = displacements_from_arrays(reference.r_A, dt_ps=0.07, temperature_K=1000.0, volume_A3=1e4)
    with pytest.raises(InputError, match="no multiple"):
        quality.evaluate(train, odd, length=128, stride=1)
    with pytest.raises(InputError, match="shorter than three windows"):
        quality.evaluate(train, hopping(12, 300), length=128, stride=1)
    slow = Truth()
    slow.dt_ps = 0.2
    with pytest.raises(InputError, match=r"trained at 0\.2 ps"):
        quality.evaluate(train, reference, [slow], length=128, stride=1)


def test_broken_models_end_in_a_sentence(train):
    """Fault: NaN from a network runs through every average and ends in an empty figure."""

    class Broken(Truth):
        name = "broken model"

        def draw(self, ions, records, rng):
            return np.full((ions, records, 3), np.nan, dtype=np.float32)

    with pytest.raises(PhysicsError, match="not finite"):
        quality.evaluate(train, None, [Broken()], length=128, stride=1, ions=16, only=())


def test_memory_of_back_jumps_in_D_K():
    """Fault: a window shorter than the back-jumps' memory gives D 40 % too high; D_K must show it.

    Back-jumps of 1 ps memory, records of 0.1 ps: D_K/D = 2.8, 1.9, 1.4, 1.08, 1.00 at K = 1, 8, 16, 32, 64.
    """
    toy = Hopping(hop_per_ps=0.06, forget_per_ps=0.2626, back_per_ps=0.3387, rattle_A=0.1, rattle_ps=1e-3)
    assert toy.memory_per_ps == pytest.approx(1.0, abs=1e-3)
    K = np.array([1, 8, 16, 32, 64])
    exact = toy.msd_A2(np.arange(66) * 0.1)
    np.testing.assert_allclose((exact[K + 1] - exact[K]) / (0.6 * toy.D_A2_ps), [2.8, 1.9, 1.4, 1.08, 1.00], atol=0.05)
    found = advice.inspect(hopping(60, 4001, seed=12, toy=toy), length=128, strides=(1,))
    row = found["strides"][0]
    np.testing.assert_allclose(np.array(row["D_K_A2_ps"])[K] / toy.D_A2_ps, [2.8, 1.9, 1.4, 1.08, 1.00], rtol=0.12)
    assert 1.0 < row["memory_ps"] < 6.0
    assert found["recommended"] == {"stride": 1, "length": 128, "dt_ps": pytest.approx(0.1),
                                    "window_ps": pytest.approx(12.8)}  # fmt: skip
    short = advice.inspect(hopping(60, 4001, seed=12, toy=toy), length=16, strides=(1,))
    assert not short["strides"][0]["plateau"] and short["recommended"] is None
    assert "longer runs are needed" in short["reasons"][-1]
    wider = advice.inspect(hopping(60, 4001, seed=12, toy=toy), length=16, strides=(1, 2, 5, 10))
    assert wider["recommended"]["stride"] >= 5


def test_an_uncertain_plateau_takes_the_longer_window():
    """Fault: with too little data the shortest window 'agrees within the error', and its model misses the memory."""

    def row(stride, cancellation, plateau, sure):
        return {
            "stride": stride, "cancellation": cancellation, "plateau": plateau, "plateau_sure": sure, "dt_ps": 0.1,
            "window_ps": 1.0, "memory_ps": 1.0, "excess": 0.0, "excess_error": 0.1, "windows_independent": 999,
            "windows_overlapping": 9999,
        }  # fmt: skip

    def chosen(*rows):
        found, _ = advice._choose(list(rows), 32)
        return found and found["stride"]

    assert chosen(row(1, 1.0, True, False), row(2, 2.0, True, False), row(5, 9.0, True, False)) == 2
    assert chosen(row(1, 1.0, True, False), row(2, 2.0, True, True), row(5, 3.0, True, True)) == 2
    assert chosen(row(1, 9.0, True, True), row(2, 8.0, True, True), row(5, 7.0, False, False)) == 2
    assert chosen(row(1, 1.0, False, False)) is None


def test_a_window_must_hold_the_memory_that_longer_ones_see():
    """Fault: stride 1 for a window of 0.5 ps, within the error of later lags where D_K settles later."""

    def row(stride, window_ps, memory_ps):
        return {
            "stride": stride, "cancellation": 0.5 * stride, "plateau": True, "plateau_sure": True, "dt_ps": 0.1,
            "window_ps": window_ps, "memory_ps": memory_ps, "excess": 0.0, "excess_error": 0.1,
            "windows_independent": 999, "windows_overlapping": 9999,
        }  # fmt: skip

    rows = [row(1, 0.512, 0.516), row(2, 1.02, 0.336), row(5, 2.56, 0.38), row(10, 5.12, 0.44)]
    assert advice._choose(rows, 128)[0]["stride"] == 2
    assert advice._choose([row(5, 2.56, 0.5), *rows[3:]], 128)[0]["stride"] == 5


def test_cancellation_grows_with_rattling():
    """Fault: where a record holds mostly rattling, an error of 1 % in it is an error of A % in D."""
    toy = Hopping(rattle_A=0.6, rattle_ps=0.05)
    row = advice.inspect(hopping(40, 4001, seed=13, toy=toy), length=64, strides=(1,))["strides"][0]
    assert row["cancellation"] == pytest.approx(toy.msd_A2(0.1)[0] / (0.6 * toy.D_A2_ps), rel=0.15)


def test_ions_that_only_vibrate_cannot_teach_diffusion():
    """Fault: a recommended stride for data in which nothing diffuses."""
    toy = Hopping(hop_per_ps=1e-9)
    found = advice.inspect(hopping(30, 2001, seed=14, toy=toy), length=64)
    assert found["recommended"] is None
    assert "do not diffuse" in found["cannot"][0]
    json.dumps(found, allow_nan=False)


def test_too_short_for_any_window():
    """Fault: a trajectory shorter than two windows ended in an empty table."""
    with pytest.raises(InputError, match="100 frames; windows of 128"):
        advice.inspect(hopping(10, 100))


def test_memorisation_sees_no_copies_among_independent_data(train, reference):
    """Fault: a threshold that calls new data copies when there are few training windows."""
    few = hopping(4, 1001, seed=20)
    found = memorisation(windows(few, 128, 1), windows(reference, 128, 1), [Truth()], np.random.default_rng(1))
    assert found["perfect model"]["near"] < 0.03
