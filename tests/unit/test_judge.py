"""The judge on data of known answer: barriers, D, g(r), geometries whose errors are planted."""

import dataclasses
import json
import types

import numpy as np
import pytest

from ionstride import labels
from ionstride.errors import InputError, PhysicsError
from ionstride.judge import (
    accuracy,
    ageing,
    diffusion,
    ensemble,
    fresh,
    geometries,
    judgement,
    nve,
    structure,
    verdicts,
)
from ionstride.judge.barrier import barrier_bias
from ionstride.judge.hops import find_hops
from ionstride.judge.subject import OTHER, MdRun, driven, from_study, in_time, open_md
from ionstride.labels import read_frames
from ionstride.potential import split_frames
from ionstride.records import LabelledFrames, Polyhedron, Trajectory
from ionstride.report import to_svg
from ionstride.report.judge_figures import barrier_figure, msd_figure, rdf_figure
from ionstride.results import Estimate
from ionstride.runrecord import write_json
from ionstride.store import save_frames
from ionstride.units import KB_EV_K

SITE_A = 3.0
KELVIN = 520.0


def chain(barrier_eV, *, ions=60, duration_ps=25.0, record_ps=0.05, seed=3):
    """Ions that hop along x from site to site of a cosine potential, beside four atoms at rest; wells in y and z."""
    rng = np.random.default_rng(seed)
    kT, mobility, dt = KB_EV_K * KELVIN, 90.0, 0.002
    steps = round(duration_ps / dt)
    k = 2 * np.pi / SITE_A
    x = np.zeros((ions, 3))
    keep = np.sort(rng.choice(steps, round(duration_ps / record_ps), replace=False))
    kept = set(keep.tolist())
    out = []
    for step in range(steps):
        if step in kept:
            out.append(x.copy())
        force = np.column_stack([-0.5 * barrier_eV * k * np.sin(k * x[:, 0]), -1.0 * x[:, 1], -1.0 * x[:, 2]])
        x = x + mobility * force * dt + np.sqrt(2 * mobility * kT * dt) * rng.standard_normal(x.shape)
    r = np.array(out)
    place = np.column_stack([np.zeros(ions), 12.0 * np.arange(ions), np.full(ions, 6.0)])
    still = np.column_stack([np.zeros(4), 12.0 * np.arange(4), np.zeros(4)])
    positions = np.concatenate([r + place, np.broadcast_to(still, (len(r), 4, 3))], axis=1)
    path = Trajectory(("Li",) * ions + ("S",) * 4, positions, np.diag([12.0, 12.0 * ions, 12.0]), keep * dt, KELVIN, {})
    return path, r


def along(r, barrier_eV):
    """Forces of the cosine potential on the ions, (T, n, 3)."""
    k = 2 * np.pi / SITE_A
    return np.stack([-0.5 * barrier_eV * k * np.sin(k * r[..., 0]), -r[..., 1], -r[..., 2]], axis=-1)


def with_forces(hops, reference, model, energy):
    return [(hop, reference[hop.rows, hop.atom], model[hop.rows, hop.atom], energy[hop.rows]) for hop in hops]


@pytest.fixture(scope="module")
def chain_of_hops():
    """One synthetic run with its positions and hops, uneven frames, barrier 0.25 eV."""
    path, r = chain(0.25, seed=1)
    return path, r, find_hops(path, "Li")


@pytest.mark.parametrize("added_eV", [0.05, 0.0, -0.06])
def test_bias_of_a_barrier_is_found(chain_of_hops, added_eV):
    """Fault: the judge names the wrong cause: a barrier made 50 meV higher must come out so, and none where none is."""
    _, r, hops = chain_of_hops
    reference = along(r, 0.25)
    noise = 0.1 * np.random.default_rng(1).standard_normal(r.shape)
    energy = (0.5 * added_eV * (1 - np.cos(2 * np.pi / SITE_A * r[..., 0]))).sum(axis=1)
    found = barrier_bias(with_forces(hops, reference, along(r, 0.25 + added_eV) + noise, energy), KELVIN)
    for name in ("bias_eV", "frame_energy_eV"):
        assert found[name].low <= added_eV <= found[name].high
        assert found[name].high - found[name].low < 0.07
    assert found["reference_eV"].value == pytest.approx(0.25, rel=0.1)
    factor = np.exp(-found["bias_eV"].value / (KB_EV_K * KELVIN))
    assert found["D_factor"].value == pytest.approx(factor)
    assert found["D_factor"].low < factor < found["D_factor"].high
    slope = 1.0 if added_eV == 0.0 else (0.25 + added_eV) / 0.25
    assert abs(found["site"]["slope"].value - 1.0) <= abs(slope - 1.0) + 0.05


def test_hops_are_those_of_the_chain(chain_of_hops):
    """Fault: vibration counts as hops, or ends of hops are no sites: the profile is then of nothing."""
    path, r, hops = chain_of_hops
    site = np.rint(r[..., 0] / SITE_A)
    crossings = int((np.abs(np.diff(site, axis=0)) > 0).sum())
    assert 0.2 * crossings < len(hops) <= crossings
    for hop in hops:
        assert abs(hop.length_A - SITE_A) < 0.8
        assert abs(hop.direction[0]) > 0.9
        assert (np.diff(hop.rows) > 0).all()
    assert abs(np.mean([hop.length_A for hop in hops]) - SITE_A) < 0.1
    coarse = Trajectory(path.symbols, path.positions_A[::20], path.cell_A, path.time_ps[::20], KELVIN, {})
    with pytest.raises(PhysicsError, match="apart"):
        find_hops(coarse, "Li")


def test_few_hops_are_no_barrier(chain_of_hops):
    """Fault: a barrier from three hops, with an interval that cannot hold."""
    _, r, hops = chain_of_hops
    forces = along(r, 0.25)
    found = barrier_bias(with_forces(hops[:3], forces, forces, np.zeros(len(r))), KELVIN)
    assert "3 hop(s)" in found["why"]


def walk(D_A2_ps, seed, *, ions=20, frames=400, dt=0.1):
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((frames, ions, 3)) * np.sqrt(2 * D_A2_ps * dt)
    r = np.cumsum(steps, axis=0) + rng.random((ions, 3)) * 20.0
    still = np.broadcast_to(rng.random((5, 3)) * 20.0, (frames, 5, 3))
    return Trajectory(
        ("Li",) * ions + ("S",) * 5,
        np.concatenate([r, still], axis=1),
        20.0 * np.eye(3),
        np.arange(frames) * dt,
        600.0,
        {},
    )


def test_ratio_of_two_walks_is_covered():
    """Fault: an interval of D over D that does not hold the truth: 24 pairs of walks, half the D of the other."""
    held = 0
    for seed in range(24):
        a, b = (diffusion.fitted([walk(D, 100 * k + seed)], "Li", 1) for k, D in ((1, 0.5), (2, 1.0)))
        found = diffusion.ratio(a, b)
        held += found["ratio"].low <= 0.5 <= found["ratio"].high
        assert "why" not in a
    assert held >= 20  # 95 % of 24 is 22.8; fewer than 20 happens once in 200 times if the interval is right


def fit(value, low, high, verdict="diffusive"):
    return {"D_cm2_s": Estimate(value, low, high), "verdict": verdict, "time_ps": 10.0}


def test_verdicts_of_the_ratio():
    """Fault: a wide interval that holds one is called agreement, or a bound a number."""
    ref = fit(1e-5, 0.8e-5, 1.25e-5)
    assert diffusion.ratio(fit(0.5e-5, 0.4e-5, 0.62e-5), ref)["verdict"] == "too slow"
    assert diffusion.ratio(fit(3e-5, 2.4e-5, 3.8e-5), ref)["verdict"] == "too fast"
    agrees = diffusion.ratio(fit(1.05e-5, 0.9e-5, 1.2e-5), ref)
    assert agrees["verdict"] == "agrees"
    wide = diffusion.ratio(fit(1e-5, 0.9e-5, 1.1e-5), fit(1e-5, 0.3e-5, 3.3e-5))
    assert wide["verdict"] == "unknown"
    assert "spans a factor of 11" in wide["words"]
    bound = diffusion.ratio(fit(0.0, 0.0, 1e-7, "bound"), ref)
    assert bound["ratio"] is None
    assert bound["verdict"] == "too slow"
    assert "80 or more" in bound["words"]
    assert diffusion.ratio({"why": "no MD"}, ref)["words"] == "cannot be told: no D of MD (no MD)"


def test_spread_of_models_holds_their_noise():
    """Fault: the noise of short runs is taken for disagreement of an ensemble."""
    rows = {k: fit(D, D / 1.5, D * 1.5) for k, D in enumerate((1e-5, 1.2e-5, 0.9e-5))}
    found = diffusion.spread_of_models(rows)
    assert found["beyond_noise_ln_D"] == 0.0
    assert found["largest_over_smallest"] == pytest.approx(1.2 / 0.9)
    assert diffusion.spread_of_models({0: rows[0]}) is None


def crystal(frames, seed, bond_A=2.0, rattle_A=0.08):
    """A cubic crystal of P, S beside each and Li, rattled."""
    rng = np.random.default_rng(seed)
    grid = 5.0 * np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(2)])
    atoms = np.concatenate([grid, grid + np.array([bond_A, 0, 0]), grid + np.array([0, 2.5, 2.5])])
    symbols = ("P",) * 8 + ("S",) * 8 + ("Li",) * 8
    positions = atoms + rattle_A * rng.standard_normal((frames, 24, 3))
    return Trajectory(symbols, positions, 10.0 * np.eye(3), np.arange(frames) * 0.5, 600.0, {})


def test_g_of_r_agrees_with_itself_and_not_with_another():
    """Fault: sampling noise is told as another structure, or a bond 0.1 Å too long is not seen."""
    reference = crystal(120, 1)
    assert all(
        p["largest_difference"] == 0.0 and not p["differs"] for p in structure.compare_pairs([reference], [reference])
    )
    again = structure.compare_pairs([crystal(120, 2)], [reference])
    assert not any(p["differs"] for p in again)
    other = {p["pair"]: p for p in structure.compare_pairs([crystal(120, 3, bond_A=2.1)], [reference])}
    assert other["P-S"]["differs"]
    assert other["P-S"]["peak_md_A"] - other["P-S"]["peak_reference_A"] == pytest.approx(0.1, abs=0.03)
    assert not other["P-P"]["differs"]


def test_rattle_is_the_amplitude():
    """Fault: the amplitude of vibration is that of the MSD, twice the mean square distance from the place."""
    found = structure.rattle([crystal(400, 5, rattle_A=0.1)], "P", "Li")
    truth = 0.03 * (1 - 1 / 16)  # the mean of the sixteen framework atoms goes with each of them
    assert found.low <= truth <= found.high
    assert found.value == pytest.approx(truth, rel=0.05)


def ageing_walk(seed, slower=1.0, opens=False, frames=400, runs=1):
    """Runs in which Li walks, `slower` times slower in the second half; `opens`: a bond opens half way."""
    found = []
    for k in range(runs):
        still = crystal(frames, seed + 100 * k)
        rng = np.random.default_rng(seed + 100 * k)
        steps = 0.3 * rng.standard_normal((frames, 8, 3))
        steps[frames // 2 :] /= np.sqrt(slower)
        positions = still.positions_A.copy()
        positions[:, 16:] += np.cumsum(steps, axis=0)
        if opens:
            positions[frames // 2 :, 8, 1] += 2.0
        found.append(Trajectory(still.symbols, positions, still.cell_A, still.time_ps, 600.0, {}))
    return found


def test_ageing_is_seen_and_a_steady_walk_is_none():
    """Fault: a potential whose structure decays in MD is judged by a D that mixes both; noise is told as decay."""
    kind = Polyhedron("P", "S", 1, 2.4)
    lag = ageing.lag_of(ageing_walk(1))
    assert lag == 5.0
    steady = [ageing.ageing(ageing_walk(s, runs=2), "Li", (kind,), lag)["change"] for s in range(1, 41)]
    held = sum(c.low <= 1.0 <= c.high for c in steady)
    assert held >= 34
    found = ageing.ageing(ageing_walk(3, slower=3.0, opens=True, runs=4), "Li", (kind,), lag)
    assert found["change"].low <= 1 / 3 <= found["change"].high < 1.0
    assert found["msd_A2"][0] == pytest.approx(3 * 0.09 * 10 + 6 * 0.08**2 * 17 / 16, rel=0.15)
    (whole,) = found["whole"].values()
    (ligands,) = found["ligands"].values()
    assert min(whole[:2]) > 0.95
    assert max(whole[3:]) == 0.0
    assert ligands[4] == pytest.approx(7 / 8, abs=0.01)


def test_ageing_of_sparse_frames_says_none():
    """Fault: a part of a run without frames (drawn at random) becomes NaN, which no page can hold."""
    (run,) = ageing_walk(2)
    rows = np.r_[0:60, 300:400]
    sparse = Trajectory(run.symbols, run.positions_A[rows], run.cell_A, run.time_ps[rows], 600.0, {})
    found = ageing.ageing([sparse], "Li", (Polyhedron("P", "S", 1, 2.4),), 5.0)
    assert found["msd_A2"][2] is None
    assert found["whole"]["P-S1 (< 2.4 Å)"][2] is None
    json.dumps(judgement.as_plain(found), allow_nan=False)


def labelled_afterwards(rng, count, *, lower_meV=0.0, error_eV_A=0.1):
    """Frames of ten Li with labels, and a potential that is off by noise and by a shift of the energy."""
    force = rng.standard_normal((count, 10, 3))
    frames = LabelledFrames(
        ("Li",) * 10, rng.uniform(0, 9, (count, 10, 3)), np.broadcast_to(9.0 * np.eye(3), (count, 3, 3)),
        -40.0 + rng.standard_normal(count), force, np.zeros(count, np.int64), np.arange(count), method="m",
    )  # fmt: skip
    noise = 0.002 * rng.standard_normal(count)  # eV an atom
    energy = frames.energy_eV + 10 * (0.1 + noise - lower_meV / 1000)
    return frames, accuracy.Predicted(energy, force + error_eV_A * rng.standard_normal(force.shape), None)


def test_where_md_went_is_told_from_where_the_potential_was_taught():
    """Fault: MD that lives in a well the potential made up is taken for right; noise is taken for such a well."""
    rng = np.random.default_rng(5)
    held = labelled_afterwards(rng, 60)  # both have the same constant of 100 meV/atom: it is no well
    inside, words = 0, []
    for _ in range(40):
        here = labelled_afterwards(rng, 20)
        found = fresh.beside(fresh.Fresh(here[0], {0: ("a", 600.0)}, "m"), here[1], held[0], [(1.0, held[1])])
        inside += found["shift_meV_atom"].low <= 0.0 <= found["shift_meV_atom"].high
        words.append(found["force_ratio"].low <= 1.0 <= found["force_ratio"].high)
    assert inside >= 35
    assert sum(words) >= 35
    here = labelled_afterwards(rng, 20, lower_meV=5.0, error_eV_A=0.2)
    found = fresh.beside(fresh.Fresh(here[0], {0: ("a", 600.0)}, "m"), here[1], held[0], [(1.0, held[1])])
    assert found["shift_meV_atom"].low <= -5.0 <= found["shift_meV_atom"].high < 0.0
    assert found["force_ratio"].low <= 2.0 <= found["force_ratio"].high
    text = verdicts._fresh(judgement.as_plain(found))
    assert "too low" in text
    assert "knows less" in text


def test_frames_of_an_ensembles_md_are_set_against_the_models_that_drove_it():
    """Fault: the constant and the force error of one model are taken for those of another that drove the runs."""
    rng = np.random.default_rng(6)
    held, first = labelled_afterwards(rng, 400)
    third = dataclasses.replace(first, energy_eV=first.energy_eV + 10 * 0.04, force_eV_A=held.force_eV_A + 0.3)
    frames, on_md = labelled_afterwards(rng, 400, lower_meV=-30.0)
    shares = [(0.25, first), (0.75, third)]  # three quarters of the frames by the third model
    found = fresh.beside(fresh.Fresh(frames, {0: ("a", 600.0)}, "m"), on_md, held, shares)
    assert found["shift_meV_atom"].value == pytest.approx(30.0 - 0.75 * 40.0, abs=0.5)
    assert found["force_ratio"].value == pytest.approx(0.1 / np.sqrt(0.25 * 0.1**2 + 0.75 * 0.3**2), rel=0.02)


def test_frames_of_md_are_picked_evenly_from_all_runs():
    """Fault: only the first run is looked at, or only its beginning, or the run that broke is left out."""

    def run(name, steps, ended="complete"):
        r = np.random.default_rng(1).uniform(0, 5, (steps, 3, 3)) if steps else None
        path = Trajectory(("Li", "Li", "S"), r, 5 * np.eye(3), 0.1 * np.arange(steps), 600.0, {}) if steps else None
        return MdRun(name, 600.0, None, 0, ended, "nvt", {}, path, 1.0)

    cells = fresh.pick([run("a", 100), run("empty", 0), run("b", 40, "fell apart")], 7)
    assert [(c.name, c.frame_number) for c in cells] == [("a", (12, 37, 62, 87)), ("b", (6, 20, 33))]
    assert [len(c.structures) for c in fresh.pick([run("a", 100), run("b", 40)], 1)] == [1, 1]
    with pytest.raises(InputError, match="no MD"):
        fresh.pick([run("empty", 0)], 4)


def test_energy_of_md_beside_that_of_the_reference():
    """Fault: a potential whose MD falls into a structure of its own, 5 meV/atom deeper, looks like the reference's."""
    rng = np.random.default_rng(5)
    reference = -4.3 + 0.006 * rng.standard_normal(1000)
    runs = [-4.3 - deep + 0.006 * rng.standard_normal(500) for deep in (0.004, 0.006, 0.005, 0.005)]
    found = ageing.energy_beyond(runs, [reference] * 4)
    assert found["meV_atom"].low <= -5.0 <= found["meV_atom"].high < 0.0
    assert np.argmin(found["runs"]) == 1
    same = ageing.energy_beyond([reference[:500]] * 4, [reference] * 4)["meV_atom"]
    assert same.low <= 0.0 <= same.high
    assert ageing.energy_beyond([reference[:5]], [reference]) is None


def labelled(count=200, seed=4):
    path = crystal(count, seed, rattle_A=0.15)
    rng = np.random.default_rng(seed + 50)
    return LabelledFrames(
        symbols=path.symbols,
        positions_A=path.positions_A,
        cell_A=np.tile(path.cell_A, (count, 1, 1)),
        energy_eV=rng.standard_normal(count),
        force_eV_A=rng.standard_normal((count, 24, 3)),
        group=np.zeros(count, dtype=int),
        frame_number=np.arange(count),
        method="test",
    )


def test_a_planted_geometry_is_named_and_noise_is_not():
    """Fault: noise is explained by geometry, or a geometry the potential fails at goes unnamed."""
    frames = labelled()
    rng = np.random.default_rng(9)
    noise = 0.1 * rng.standard_normal(frames.force_eV_A.shape)
    polyhedra = [Polyhedron("P", "S", 1, 2.3)]
    known = geometries.features(frames, labelled(seed=14), polyhedra, "Li")
    rows, tried = geometries.enrichment(frames, frames.force_eV_A + noise, known)
    assert tried >= 8
    assert rows == []
    planted = noise.copy()
    broken = next(f for f in known if f.words.startswith("P without its 1 S"))
    assert 15 < broken.has.sum() < 400
    planted[:, :8] *= np.where(broken.has, 2.0, 1.0)[..., None]
    rows, _ = geometries.enrichment(frames, frames.force_eV_A + planted, known)
    assert rows[0]["words"] == broken.words
    assert rows[0]["enrichment"].low <= 2.0 <= rows[0]["enrichment"].high
    assert rows[0]["n_atoms"] == broken.has.sum()
    worst = geometries.worst_atoms(frames, frames.force_eV_A + planted, known)
    assert worst[0]["error_meV_A"] >= worst[-1]["error_meV_A"]


def test_errors_are_those_put_in():
    """Fault: a shift of all energies counts as an error of the forces' potential, elements are mixed up."""
    frames = labelled()
    rng = np.random.default_rng(2)
    size = np.where(np.array(frames.symbols) == "P", 0.2, 0.1)[:, None]
    predicted = accuracy.Predicted(
        frames.energy_eV + 24 * (0.005 + 0.002 * rng.standard_normal(200)),
        frames.force_eV_A * 0.9 + size * rng.standard_normal(frames.force_eV_A.shape),
        None,
    )
    found = accuracy.accuracy(frames, predicted, {0: ("run", 600.0)})
    energy = found["energy_meV_atom"]
    assert energy["shift"].low <= 5.0 <= energy["shift"].high
    assert energy["rmse_shifted"].low <= 2.0 <= energy["rmse_shifted"].high
    assert energy["rmse"].value == pytest.approx(np.hypot(5.0, 2.0), rel=0.05)
    for element, truth in (("P", np.hypot(200, 100)), ("S", np.hypot(100, 100))):
        part = found["force_meV_A"]["by_element"][element]
        assert part.low * 0.98 <= truth <= part.high * 1.02
    slope = accuracy.mobile_slope(frames, predicted, "Li")
    assert slope.low <= 0.9 <= slope.high


def test_deviation_and_calm_stretches():
    """Fault: D 'without' bad frames is of runs of another length, or leaves out nothing that is bad."""
    rng = np.random.default_rng(3)
    forces = [rng.standard_normal((7, 4, 3)) for _ in range(2)]
    half = 0.5 * np.linalg.norm(forces[0] - forces[1], axis=-1).max(axis=1)
    assert ensemble.deviation(forces) == pytest.approx(half)
    path = walk(1.0, 5, frames=500)
    rows = np.arange(0, 500, 10)
    values = np.where((rows >= 200) & (rows < 300), 1.0, 0.1)
    found = ensemble.without_stretches([path], [(rows, values)], 0.5, "Li", 1)
    assert (found["n_stretches"], found["n_left"]) == (5, 4)
    assert found["all"]["time_ps"] == found["without"]["time_ps"] == pytest.approx(9.9)
    calm = ensemble.without_stretches([path], [(rows, 0 * values)], 0.5, "Li", 1)
    assert "no stretch" in calm["why"]


def test_drift_of_the_energy():
    """Fault: the oscillation of the integrator is told as a drift, or its interval forgets it."""
    held, time = 0, np.arange(400) * 0.01
    for seed in range(40):
        noise = 0.3 * np.sin(400 * time) + 0.2 * np.random.default_rng(seed).standard_normal(400)
        thermo = np.zeros((400, 15))
        thermo[:, 1], thermo[:, 5] = time, 0.05 * (3.0 * time + noise)
        found = nve.drift(thermo, 50)
        held += found.low <= 3.0 <= found.high
        assert found.high - found.low < 0.3
    assert held >= 34  # 38 of 40 are meant


def test_runs_without_order_of_time_say_why():
    """Fault: frames of a learning run are taken for a trajectory, and a D is made of them."""
    frames = labelled(60)
    names = {0: "a.xyz"}
    series, why = in_time(frames, 0.5, 600.0, names, {})
    assert len(series) == 1
    assert not why
    assert "--frame-step-ps" in in_time(frames, None, 600.0, names, {})[1]
    again = dataclasses.replace(frames, frame_number=np.arange(60) // 2)
    assert "no order of time" in in_time(again, 0.5, 600.0, names, {})[1]
    assert "20 frames" in in_time(frames.take(slice(0, 20)), 0.5, 600.0, names, {})[1]
    # Fault: runs of other temperatures pooled into one D.
    others, why = in_time(frames, 0.5, 600.0, names, {int(frames.group[0]): 900.0})
    assert not others
    assert "900 K, not at 600 K" in why


@pytest.mark.realdata
def test_softened_forces_of_lips(realdata):
    """Forces of a real run made 10 % softer must give a slope of 0.9 and a barrier lower by 10 %."""
    folder = realdata / "lips_aimd_520K"
    frames = read_frames([folder / "frames.npz"], frame_number=folder / "time_index.npy", method="DFT")
    (run,), why = in_time(frames, 0.002, 520.0, {0: "lips"}, {})
    assert not why
    hops = find_hops(run.path, "Li")
    assert 60 < len(hops) < 200
    force = frames.force_eV_A[run.rows]
    found = barrier_bias(with_forces(hops, force, 0.9 * force, np.zeros(len(force))), 520.0)
    assert found["saddle"]["slope"].value == pytest.approx(0.9)
    assert found["bias_eV"].value == pytest.approx(-0.1 * found["reference_eV"].value)
    assert 0.02 < found["reference_eV"].value < 0.2
    own = diffusion.fitted([run.path], "Li", 1)
    assert 0.8e-5 < own["D_cm2_s"].value < 2.2e-5


def write_md(folder, path, name="600K_r0", **row):
    """A run of MD as the study leaves it: a dump and its row in md.json."""
    place = folder / name
    place.mkdir(parents=True)
    kinds = list(dict.fromkeys(path.symbols))
    lines = []
    for step, positions in enumerate(path.positions_A):
        lines += ["ITEM: TIMESTEP", str(50 * step), "ITEM: NUMBER OF ATOMS", str(len(path.symbols))]
        lines += ["ITEM: BOX BOUNDS pp pp pp", *(f"0 {length:g}" for length in np.diag(path.cell_A))]
        lines += ["ITEM: ATOMS id type element xu yu zu"]
        lines += [
            f"{i + 1} {kinds.index(s) + 1} {s} {x:.6f} {y:.6f} {z:.6f}"
            for i, (s, (x, y, z)) in enumerate(zip(path.symbols, positions, strict=True))
        ]
    (place / "production.0000000000.lammpstrj").write_text("\n".join(lines) + "\n")
    return {"id": name, "temperature_K": 600.0, "timestep_fs": 2.0, "ended": "complete", "ensemble": "nvt", **row}


@pytest.fixture
def study_out(tmp_path):
    """The folder of a study with two models, frames in order of time and MD that says which model drove it."""
    out = tmp_path / "out"
    for k in range(2):
        (out / "potential" / f"model_{k}").mkdir(parents=True)
        (out / "potential" / f"model_{k}" / "model.pb").write_bytes(b"model %d" % k)
    described = {
        "model": "model_0/model.pb",
        "models": ["model_0/model.pb", "model_1/model.pb"],
        "backend": "tensorflow",
    }
    write_json(out / "potential" / "potential.json", {**described, "type_map": ["Li", "S"], "sha256": ""})
    settings = {
        "seed": 1,
        "potential": {"valid_fraction": 0.1},
        "reference": {"frames": ["run.npz"]},
        "structure": {"mobile": "Li"},
    }
    write_json(out / "study.json", {"name": "walks", "settings": settings})
    path = walk(1.0, 3)
    frames = LabelledFrames(
        symbols=path.symbols,
        positions_A=path.positions_A,
        cell_A=np.tile(path.cell_A, (400, 1, 1)),
        energy_eV=np.zeros(400),
        force_eV_A=np.zeros((400, 25, 3)),
        group=np.zeros(400, dtype=int),
        frame_number=np.arange(400),
        method="walk",
    )
    save_frames(frames, out / "reference" / "frames.npz")
    rows = [write_md(out / "md", walk(0.5, 10 + k), f"600K_r{k}", model=k) for k in range(2)]
    write_json(out / "md" / "md.json", {"runs": rows, "timestep_fs": 2.0, "elements": ["Li", "S"]})
    return out


def test_a_study_is_opened_as_it_is(study_out, tmp_path):
    """Fault: only one model of an ensemble is judged, or all runs count as those of the first."""
    subject = from_study(study_out, tmp_path, frame_ps=0.1)
    assert [m.path.parent.name for m in subject.models] == ["model_0", "model_1"]
    assert [run.model for run in subject.md] == [0, 1]
    assert subject.temperature_K == 600.0
    assert subject.mobile == "Li"
    assert subject.series[0].path.time_ps[-1] == pytest.approx(39.9)
    assert (subject.held_out == split_frames(subject.frames, 0.1, 1)[0]).all()
    found = judgement.as_plain(judgement._diffusion(subject, 1))
    assert set(found["md"][0]["by_model"]) == {"0", "1"}
    assert found["md"][0]["spread"]["n_models"] == 2
    low, high = found["compared"]["ratio"]["ci95"]
    assert low < 0.5 < high
    assert found["compared"]["verdict"] in ("too slow", "unknown", "agrees")
    assert len(found["by_run"]) == 2


def test_a_study_without_models_or_time(study_out, tmp_path):
    """Fault: a study of one model, or whose frames have no time, cannot be opened at all."""
    described = json.loads((study_out / "potential" / "potential.json").read_text())
    del described["models"]
    write_json(study_out / "potential" / "potential.json", described)
    md = json.loads((study_out / "md" / "md.json").read_text())
    for row in md["runs"]:
        del row["model"]
    write_json(study_out / "md" / "md.json", md)
    subject = from_study(study_out, tmp_path)
    assert len(subject.models) == 1
    assert [run.model for run in subject.md] == [None, None]
    found = judgement._diffusion(subject, 1)
    assert found["md"][0]["by_model"] == {}
    assert "--frame-step-ps" in found["compared"]["words"]
    assert "--frame-step-ps" in judgement._structure(subject)["why"]
    assert "--frame-step-ps" in judgement._hops(subject, [])["why"]


def test_runs_of_md_given_by_themselves(study_out):
    """Fault: a run's time step is guessed: D is wrong by a factor nobody sees."""
    run = open_md([study_out / "md" / "600K_r1"])[0]
    assert (run.temperature_K, run.model, run.timestep_fs) == (600.0, 1, 2.0)
    assert run.path.time_ps[1] == pytest.approx(0.1)
    (study_out / "md" / "md.json").unlink()
    with pytest.raises(InputError, match="temperature"):
        open_md([study_out / "md" / "600K_r1"])
    with pytest.raises(InputError, match="time step"):
        open_md([study_out / "md" / "600K_r1"], 600.0)
    (study_out / "md" / "600K_r1" / "in.lammps").write_text("units metal\ntimestep        0.001\n")
    assert open_md([study_out / "md" / "600K_r1"], 600.0)[0].path.time_ps[1] == pytest.approx(0.05)
    with pytest.raises(InputError, match="holds no MD"):
        open_md([study_out])


def test_a_run_of_md_is_known_to_its_own_model(study_out):
    """Fault: the second model of a study's ensemble, judged alone, is taken for the first, or for one too many."""
    runs = open_md([study_out / "md"])
    assert [run.model for run in driven(runs, ["b"])] == [None, None]  # the study does not say
    described = json.loads((study_out / "potential" / "potential.json").read_text())
    write_json(study_out / "potential" / "potential.json", {**described, "models_sha256": ["a", "b"]})
    assert [run.model for run in driven(runs, ["b", "a"])] == [1, 0]
    assert [run.model for run in driven(runs, ["b"])] == [OTHER, 0]
    assert [run.model for run in driven(runs, ["c"])] == [OTHER, OTHER]


def test_frames_of_another_potentials_md_are_left_out(study_out, tmp_path, monkeypatch):
    """Fault: where another potential went counts as an error of the one that is judged."""
    subject = from_study(study_out, tmp_path, frame_ps=0.1)
    frames = subject.frames
    of_md = fresh.Fresh(
        dataclasses.replace(frames, group=np.arange(400) % 2), {0: ("600K_r0", 600.0), 1: ("600K_r1", 600.0)}, "walk"
    )
    asked = []

    def predict(model, some, how, what):
        asked.append(len(some))
        return accuracy.Predicted(some.energy_eV, some.force_eV_A + 0.1, None)

    monkeypatch.setattr(judgement, "_predict", predict)
    predicted = [accuracy.Predicted(frames.energy_eV, frames.force_eV_A + 0.1, None)] * 2
    for models, kept, said in (((0, OTHER), [200], 1), ((0, 1), [200, 200], 0), ((OTHER, OTHER), [], 1)):
        asked.clear()
        runs = tuple(dataclasses.replace(run, model=m) for run, m in zip(subject.md, models, strict=True))
        notes = []
        found = judgement._fresh(dataclasses.replace(subject, md=runs), predicted, of_md, None, notes)
        assert asked == kept
        assert len(notes) == said
        assert ("why" in found) == (not kept)


def test_a_study_elsewhere_is_opened_with_its_set(study_out, tmp_path, monkeypatch):
    """Fault: the set named in the study's file is sought where the user stands, and its times are lost in silence."""
    study = json.loads((study_out / "study.json").read_text())
    study["settings"]["reference"]["frames"] = ["set"]
    write_json(study_out / "study.json", {**study, "folder": str(tmp_path / "project")})
    (tmp_path / "project" / "set").mkdir(parents=True)
    (tmp_path / "project" / "set" / labels.SET_FILE).write_text("{}")
    source = types.SimpleNamespace(frame_ps=0.1, temperature_K=600.0)
    monkeypatch.setattr(labels, "load_set", lambda folder: types.SimpleNamespace(sources=[source]))
    subject = from_study(study_out, tmp_path)
    assert subject.series[0].path.time_ps[-1] == pytest.approx(39.9)


def test_figures_of_each_part(chain_of_hops, study_out, tmp_path):
    """Fault: a figure breaks on what a part gives, or bounds are drawn as numbers."""
    _, r, hops = chain_of_hops
    soft = barrier_bias(with_forces(hops, along(r, 0.25), along(r, 0.2), np.zeros(len(r))), KELVIN)
    drawn = to_svg(barrier_figure(judgement.as_plain(soft)))
    assert "potential − reference (meV)" in drawn
    pairs = judgement.as_plain(structure.compare_pairs([crystal(40, 1)], [crystal(40, 2)]))
    assert "P-S" in to_svg(rdf_figure(pairs))
    subject = from_study(study_out, tmp_path, frame_ps=0.1)
    found = judgement.as_plain(judgement._diffusion(subject, 1))
    drawn = to_svg(msd_figure(found, "Li", 600.0))
    assert "600K_r1" in drawn
    assert "reference" in drawn
    found["reference"]["verdict"] = "bound"
    assert to_svg(msd_figure(found, "Li", 600.0)) != drawn
