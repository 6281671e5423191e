"""Concurrent learning: levels, selection, schedule and stop rule, on data whose answer is known."""

import dataclasses

import numpy as np
import pytest

from ionstride.learning.explore import Visited, explore_temperatures, plan_round, read_deviation, strained
from ionstride.learning.levels import (
    Levels,
    calibrate,
    force_deviation,
    largest_error,
    newest,
    rank_correlation,
    set_levels,
    shares,
    typical_force,
    usable,
)
from ionstride.learning.rounds import MAX_FORCE_EV_A, gentle_limit
from ionstride.learning.select import CHECK_GAP, choose, choose_evenly, farthest_points, surroundings
from ionstride.learning.stop import why_ended
from ionstride.records import LabelledFrames, Structure
from ionstride.settings import LearningSettings, Study, load_study

CELL = 8.0 * np.eye(3)
SYMBOLS = ("Li", "S") * 4
SITES = np.array([[x, y, z] for x in (1.0, 5.0) for y in (1.0, 5.0) for z in (1.0, 5.0)])
LEVELS = Levels(0.1, 1.0, 2.0, 10, "planted")


def crystal(rng, noise_A=0.05, move=()):
    """A small crystal, rattled; `move` takes atoms elsewhere: (atom, displacement)."""
    positions = SITES + rng.normal(0, noise_A, SITES.shape)
    for atom, shift in move:
        positions[atom] += shift
    return Structure(SYMBOLS, positions, CELL)


def labelled(structures, force_eV_A):
    """Frames of structures with given forces, (F, N, 3)."""
    count = len(structures)
    return LabelledFrames(
        SYMBOLS, np.array([s.positions_A for s in structures]), np.array([s.cell_A for s in structures]),
        np.zeros(count), force_eV_A, np.zeros(count, int), np.arange(count), "planted",
    )  # fmt: skip


def run(structures, deviation_eV_A, name="600K_r0"):
    """What a run visited: frames whose worst atom is number 3."""
    deviation = np.full((len(structures), len(SYMBOLS)), 1e-3)
    deviation[:, 3] = deviation_eV_A
    positions = np.array([s.positions_A for s in structures])
    step = 10 * np.arange(len(structures))
    return Visited(name, 600.0, 0.0, Structure(SYMBOLS, SITES, CELL), step, positions, 0, deviation)


def test_calibration_recovers_a_planted_factor():
    """Fault: a factor pulled about by a few frames with huge errors sets the high level anywhere."""
    rng = np.random.default_rng(1)
    deviation = rng.lognormal(-2.0, 0.7, 400)
    error = 2.7 * deviation * rng.lognormal(0.0, 0.5, 400)
    error[:20] *= 50.0  # frames about to fall apart
    assert calibrate(deviation, error) == pytest.approx(2.7, rel=0.1)


def test_levels_come_from_the_data():
    """Fault: levels set by hand fit one material and one network, and call all or nothing a candidate elsewhere."""
    rng = np.random.default_rng(2)
    deviation = rng.lognormal(-3.0, 0.4, 4000)
    levels = set_levels(deviation, 2.5, 3.0, "x")
    assert levels.low_eV_A == pytest.approx(np.exp(-3.0 + 0.4 * 1.645), rel=0.05)
    assert levels.high_eV_A == pytest.approx(3.0 / 2.5)
    again = set_levels(10 * deviation, 2.5, 3.0, "x")
    assert again.low_eV_A == pytest.approx(10 * levels.low_eV_A)
    # Forces scatter much on sound frames: the high level must leave room for candidates.
    assert set_levels(100 * deviation, 2.5, 3.0, "x").high_eV_A == pytest.approx(200 * levels.low_eV_A)
    part = shares(np.array([0.5, 1.0, 1.5, 30.0]) * levels.low_eV_A, levels)
    assert part == {"accurate": 0.5, "candidate": 0.25, "failed": 0.25}


def test_deviation_is_that_of_deepmd():
    """Fault: a deviation by another formula than the one LAMMPS writes would be held against levels it is not for."""
    from deepmd.infer.model_devi import calc_model_devi_f

    forces = np.random.default_rng(3).normal(size=(3, 5, 8, 3))
    largest, _, _ = calc_model_devi_f(forces)
    assert np.allclose(force_deviation(forces).max(axis=1), largest)


def test_errors_are_of_the_worst_atom():
    """Fault: a mean over atoms hides the one that is about to leave."""
    truth = np.zeros((2, 8, 3))
    truth[:, 0] = [3.0, 0.0, 4.0]
    wrong = truth.copy()
    wrong[1, 5] = [0.0, 2.0, 0.0]
    frames = labelled([crystal(np.random.default_rng(0))] * 2, truth)
    assert largest_error(frames, wrong).tolist() == [0.0, 2.0]
    assert typical_force(frames) == 5.0


def test_rank_correlation_says_whether_deviation_tells_the_truth():
    """Fault: a deviation that orders nothing is trusted because nobody looked; an interval that never covers."""
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(200):
        deviation = rng.normal(size=40)
        error = deviation + rng.normal(size=40)
        found = rank_correlation(deviation, error)
        low, high = found["ci95"]
        held += low <= 0.690 <= high  # (6/π)·asin(ρ/2) at ρ = 1/√2
    assert 180 <= held <= 199
    assert rank_correlation(np.arange(9.0), np.exp(np.arange(9.0)))["value"] == pytest.approx(1.0)
    assert rank_correlation(np.arange(4.0), np.arange(4.0)) is None
    assert rank_correlation(np.ones(9), np.arange(9.0)) is None


def test_farthest_points_pick_the_planted_clusters():
    """Fault: labels spent on fifty copies of one geometry while a rare hop stays unlabelled."""
    rng = np.random.default_rng(5)
    common = [crystal(rng) for _ in range(40)]
    hop = [crystal(rng, move=[(3, [1.9, 0.0, 0.0])]) for _ in range(3)]
    pair = [crystal(rng, move=[(3, [0.0, 1.2, 1.2])]) for _ in range(3)]
    chosen = farthest_points([*common, *hop, *pair], [3] * 46, [crystal(rng) for _ in range(10)], 2)
    assert sorted(int(c >= 40) + int(c >= 43) for c in chosen) == [1, 2]
    # What is labelled already is not news.
    chosen = farthest_points([*common, *hop, *pair], [3] * 46, [*common[:5], *hop[:1]], 1)
    assert chosen[0] >= 43


def test_surroundings_do_not_see_where_the_cell_begins():
    """Fault: a frame that is only shifted or wrapped counts as a new one."""
    rng = np.random.default_rng(6)
    one = crystal(rng)
    shifted = (one.positions_A + np.array([3.0, -5.0, 11.0])) % 8.0
    other = Structure(SYMBOLS, shifted, CELL)
    assert np.allclose(surroundings(one, ["Li", "S"]), surroundings(other, ["Li", "S"]))
    assert not np.allclose(surroundings(one, ["Li", "S"]), surroundings(crystal(rng), ["Li", "S"]))


def test_choice_of_frames():
    """Fault: failed frames labelled, check frames trained on in copies, an error that is of hard frames alone."""
    rng = np.random.default_rng(7)
    structures = [crystal(rng) for _ in range(100)]
    deviation = np.full(100, 0.05)
    deviation[60:80], deviation[80:] = 0.5, 5.0
    known = labelled([crystal(rng) for _ in range(5)], np.ones((5, 8, 3)))
    chosen = choose([run(structures, deviation)], LEVELS, known, 10)
    index = [
        next(i for i, s in enumerate(structures) if np.allclose(s.positions_A, c.positions_A))
        for c in chosen.structures
    ]
    checks = [i for i, check in zip(index, chosen.is_check, strict=True) if check]
    others = [i for i, check in zip(index, chosen.is_check, strict=True) if not check]
    assert checks == [25, 79]  # from the end of the cold part to the last frame that did not fail
    assert len(others) == 8 and all(60 <= i < 80 - CHECK_GAP - 1 for i in others)
    assert chosen.deviation_eV_A.tolist() == deviation[index].tolist()
    # Too few are uncertain: they are all taken, and the places left go to accurate frames far from what is known.
    few = np.full(100, 0.05)
    few[[50, 70]] = 0.5
    filled = choose([run(structures, few)], LEVELS, known, 10)
    assert filled.is_check.sum() == 2 and len(filled.structures) == 10
    assert filled.deviation_eV_A.tolist() == [0.05] * 2 + [0.5] * 2 + [0.05] * 6
    odd = [*structures[:60], crystal(rng, move=[(3, [1.9, 0.0, 0.0])]), *structures[61:]]
    calm = choose([run(odd, np.full(100, 0.05))], LEVELS, known, 10)
    assert np.allclose(calm.structures[2].positions_A, odd[60].positions_A)
    # All failed: the edge of what failed is labelled, the wreck is not.
    broken = np.where(np.arange(100) < 50, 1.5, 50.0)
    edge = choose([run(structures, broken)], LEVELS, known, 10)
    assert len(edge.structures) == 10 and edge.deviation_eV_A.max() == 1.5
    assert usable(np.full(4, 9.0), LEVELS, 4).sum() == 0
    assert not choose([run(structures, np.full(100, 9.0))], LEVELS, known, 10).structures


def test_one_model_chooses_evenly():
    """Fault: with one model the old rule must hold: even along each run, its cold beginning left out."""
    rng = np.random.default_rng(8)
    runs = [dataclasses.replace(run([crystal(rng) for _ in range(40)], 0.0), deviation_eV_A=None) for _ in range(2)]
    chosen = choose_evenly(runs, 8)
    assert len(chosen.structures) == 8
    assert np.array_equal(chosen.structures[0].positions_A, runs[0].positions_A[10])
    assert np.array_equal(chosen.structures[-1].positions_A, runs[1].positions_A[39])


def test_schedule_goes_from_cold_to_hot_and_strains_move_on():
    """Fault: a potential of the first round sent to 1200 K; a temperature that only ever meets one volume."""
    temperatures = (600.0, 800.0, 1000.0, 1200.0)
    rounds = [plan_round(temperatures, (0.0, -0.03), n, 5) for n in range(5)]
    assert [len(r) for r in rounds] == [2, 3, 4, 4, 4]
    assert rounds[0] == [(600.0, 0.0), (800.0, -0.03)]
    assert {strain for r in rounds for t, strain in r if t == 1200.0} == {0.0, -0.03}
    assert [len(plan_round(temperatures, (0.0,), n, 2)) for n in range(2)] == [4, 4]
    assert explore_temperatures(load_study(None, ["md.temperatures_K=[700,500]"])) == (500.0, 700.0, 840.0)
    cell = strained(Structure(SYMBOLS, SITES, CELL), 0.03)
    assert cell.volume_A3 == pytest.approx(1.03 * 512.0)


def record(number, uncertain, *, whole=1.0, stopped=""):
    """A round as its record says it."""
    hottest = None if uncertain is None else {"temperature_K": 1200.0, "uncertain": uncertain}
    return {"round": number, "intact": {"P-S4": whole}, "stopped": stopped, "hottest": hottest}


def test_stop_rule():
    """Fault: rounds that end on one lucky round, before the highest temperature, or with a crystal in pieces."""
    settings = LearningSettings(models=3, converged=0.1)
    good = [record(0, 0.3), record(1, 0.08), record(2, 0.06)]
    assert "rounds 1 and 2 8.0 % and 6.0 %" in why_ended(good, settings)
    assert why_ended(good[:2], settings) == ""
    assert why_ended(good[1:2], settings) == ""
    assert why_ended([record(0, None), record(1, 0.0)], settings) == ""
    assert why_ended([record(0, 0.0), record(1, 0.0, whole=0.9)], settings) == ""
    falling = [{**record(k, 0.0), "force_rmse_check_meV_A": e} for k, e in enumerate((200.0, 180.0, 150.0))]
    assert why_ended(falling, settings) == ""
    level = [{**row, "force_rmse_check_meV_A": e} for row, e in zip(falling, (160.0, 180.0, 150.0), strict=True)]
    assert why_ended(level, settings)
    assert why_ended([record(0, 0.0), record(1, 0.0, stopped="atoms were lost")], settings) == ""
    one = LearningSettings(models=1)
    assert "intact in round 0" in why_ended([record(0, None)], one)
    assert why_ended([record(0, None, whole=0.5)], one) == ""


def test_deviation_of_segments(tmp_path):
    """Fault: rows of a killed segment, half a row among them, counted beside those of the segment that took over."""
    head = "#  step max_devi_v min_devi_v avg_devi_v max_devi_f min_devi_f avg_devi_f atm_devi_f(N)\n"
    (tmp_path / "deviation.0000000000.out").write_text(
        head + "0 1 1 1 3 1 2 1.0 3.0\n10 1 1 1 4 1 2 1.5 4.0\n10 1 1 1 4 1 2 1.5 4.0\n20 1 1 1 9 1 2 9."
    )
    (tmp_path / "deviation.0000000010.out").write_text(head + "10 1 1 1 4 1 2 1.6 4.1\n20 1 1 1 5 1 2 2.0 5.0\n")
    # Killed twice in one segment: the file is appended to, behind half a row and without a header.
    (tmp_path / "deviation.0000000020.out").write_text("20 1 1 1 5 1 2 2.0 5.0\n30 1 30 1 1 1 6 1 2 3.0 7.0\n")
    rows = read_deviation(tmp_path, 2)
    assert {step: row.tolist() for step, row in rows.items()} == {0: [1.0, 3.0], 10: [1.6, 4.1], 20: [2.0, 5.0]}


@pytest.mark.parametrize(
    ("change", "word"),
    [("models=0", "models"), ("strains=[]", "strains"), ("strains=[0.5]", "strains"), ("converged=1", "converged")],
)
def test_learning_that_cannot_be(change, word):
    """Fault: an ensemble of none, or a cell at half its volume, fails after hours of labels."""
    from ionstride.errors import InputError

    with pytest.raises(InputError, match=f"learning.{word}"):
        load_study(None, [f"learning.{change}"])
    assert Study().learning.models == 3


def test_the_low_level_is_that_of_the_latest_rounds():
    """Fault: frames that a poor potential visited keep the level so high that nothing is labelled any more."""
    group = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3])
    assert np.flatnonzero(newest(group, 8)).tolist() == list(range(12, 21))
    assert np.flatnonzero(newest(group, 4)).tolist() == list(range(17, 21))
    assert newest(group[:5], 8).all()


def test_forces_of_a_stiff_crystal_are_learnt():
    """Fault: thermal frames of an oxide dropped as too violent: its potential is too soft where atoms collide."""
    rng = np.random.default_rng(9)
    cells = [crystal(rng) for _ in range(9)]
    of_frame = np.array([2.0, 3.0, 4.0, 6.0, 12.0, 30.0, 90.0, 90.0, 90.0])
    frames = labelled(cells, np.tile(of_frame[:, None, None], (1, 8, 3)))
    frames = dataclasses.replace(frames, group=np.array([0] * 6 + [1] * 3))  # MD of a poor potential does not count
    assert gentle_limit(frames) == MAX_FORCE_EV_A
    stiff = dataclasses.replace(frames, force_eV_A=4.0 * frames.force_eV_A)
    assert gentle_limit(stiff) == 20.0
