"""Traps of the field: each has caught a program before."""

import json

import numpy as np
import pytest
from coverage import cage_and_hops, concerted_walk, free_walk

from ionstride.accumulated import join
from ionstride.analyze import analyze
from ionstride.errors import InputError
from ionstride.records import FrameStream, Trajectory
from ionstride.results import Diffusivity, Estimate, Tensor
from ionstride.settings import TransportSettings
from ionstride.stages.analysis import analyse
from ionstride.transport import (
    accumulate,
    cross_msd,
    displacements,
    displacements_from_arrays,
    fit_arrhenius,
    fit_charge_diffusivity,
    fit_diffusivity,
    haven_ratio,
    self_msd,
)
from ionstride.units import KB_EV_K

SETTINGS = TransportSettings(fit_ps=(), charge_e=1.0)
FCC = np.array([[0, 12.0, 12.0], [12.0, 0, 12.0], [12.0, 12.0, 0]])


def moved(r, **more):
    return displacements_from_arrays(r, **{"dt_ps": 1.0, "temperature_K": 600.0, "volume_A3": 1000.0, **more})


def streamed(r):
    """The same paths, gone by in chunks of 100 frames."""
    frames = np.ascontiguousarray(r.transpose(1, 0, 2))
    stream = FrameStream(
        ("Li",) * len(r),
        np.arange(len(frames)) * 1.0,
        10.0 * np.eye(3),
        1000.0,
        600.0,
        lambda: (frames[i : i + 100].copy() for i in range(0, len(frames), 100)),
        100,
        {},
    )
    return accumulate(stream, "Li", drift="none")


def dump(file, r, cell, symbols, *, frames=None, cut=False):
    """Write a dump of wrapped positions (T, N, 3), one frame a step; `cut` leaves half a frame at the end."""
    low = [min(0.0, cell[1, 0], cell[2, 0], cell[1, 0] + cell[2, 0]), min(0.0, cell[2, 1]), 0.0]
    high = [cell[0, 0] + max(0.0, cell[1, 0], cell[2, 0], cell[1, 0] + cell[2, 0])]
    high += [cell[1, 1] + max(0.0, cell[2, 1]), cell[2, 2]]
    fractional = r @ np.linalg.inv(cell)
    wrapped = (fractional - np.floor(fractional)) @ cell
    text = []
    for t in range(len(r)) if frames is None else frames:
        text += [f"ITEM: TIMESTEP\n{t}\nITEM: NUMBER OF ATOMS\n{r.shape[1]}\nITEM: BOX BOUNDS xy xz yz pp pp pp"]
        tilts = (cell[1, 0], cell[2, 0], cell[2, 1])
        text += [f"{lo:.10f} {hi:.10f} {tilt:.10f}" for lo, hi, tilt in zip(low, high, tilts, strict=True)]
        text += ["ITEM: ATOMS id element x y z"]
        text += [
            f"{i + 1} {s} {x:.10f} {y:.10f} {z:.10f}"
            for i, (s, (x, y, z)) in enumerate(zip(symbols, wrapped[t], strict=True))
        ]
    whole = "\n".join(text) + "\n"
    file.write_text(whole[: -len(whole) // (3 * len(r))] if cut else whole)
    return file


def solid(seed, frames=600, drift=0.0):
    """Li walkers among S that vibrate; `drift` Å a frame of everything."""
    rng = np.random.default_rng(seed)
    ions, D = free_walk(rng, 12, frames, 0.3)
    still = rng.normal(0, 0.1, (20, frames, 3)) + rng.random((20, 1, 3)) * 15
    r = np.concatenate([ions, still]).transpose(1, 0, 2)
    return r + drift * np.arange(frames)[:, None, None] * np.array([1.0, -0.4, 0.2]), ("Li",) * 12 + ("S",) * 20, D


def trajectory(r, symbols, cell):
    return Trajectory(symbols=symbols, positions_A=r, cell_A=cell, time_ps=np.arange(len(r)) * 0.5, temperature_K=600.0)


@pytest.mark.parametrize("walk", [free_walk, cage_and_hops, concerted_walk])
@pytest.mark.parametrize(("runs", "frames"), [(1, 1037), (3, 512)])
def test_streaming_changes_neither_number_nor_interval(walk, runs, frames):
    """Fault: other origins and blocks when streamed flip the window, and the interval is half or twice as wide."""
    for seed in range(2):
        rng = np.random.default_rng(seed)
        r = [walk(rng, 8, frames)[0] for _ in range(runs)]
        whole = moved(np.concatenate(r), run=np.repeat(np.arange(runs), 8))
        sums = join([streamed(part) for part in r])
        one, other = fit_diffusivity(whole), fit_diffusivity(sums)
        both = [(one, other), (fit_charge_diffusivity(whole, one), fit_charge_diffusivity(sums, other))]
        for a, b in both:
            assert (a.verdict, a.reasons) == (b.verdict, b.reasons)
            ends = [(d.D_cm2_s.value, d.D_cm2_s.low, d.D_cm2_s.high, *d.fit_window_ps) for d in (a, b)]
            assert ends[0] == pytest.approx(ends[1], rel=1e-9)


def test_files_streamed_and_read_whole_agree(tmp_path):
    """Fault: the same, through the files: drift, wrapping and replicas included."""
    cell = np.array([[16.0, 0, 0], [4.0, 15.0, 0], [1.0, -2.0, 14.0]])
    files = []
    for seed in range(2):
        r, symbols, _ = solid(seed, 300, drift=0.05)
        files.append(dump(tmp_path / f"{seed}.dump", r, cell, symbols))
    how = {"mobile": "Li", "temperature_K": 600.0, "timestep_ps": 0.5, "replicas": [[files[1]]]}
    whole, sums = analyze(files[:1], **how), analyze(files[:1], memory_GB=1e-6, **how)
    assert sums["memory"]["streamed"] and not whole["memory"]["streamed"]
    for name in ("D_self_cm2_s", "D_charge_cm2_s", "sigma_NE_mS_cm", "sigma_charge_mS_cm", "haven_ratio"):
        assert sums[name]["ci95"] == pytest.approx(whole[name]["ci95"], rel=1e-6), name
        assert sums[name]["value"] == pytest.approx(whole[name]["value"], rel=1e-6), name


@pytest.mark.parametrize("own_A", [0.0, 1e-6, 0.05])
def test_ions_in_lockstep_count_as_one(own_A):
    """Fault: design effect without a ceiling: a rigid group is worth 1e-14 ions and 'does not diffuse'."""
    rng = np.random.default_rng(3)
    one, D = free_walk(rng, 1, 2000)
    group = np.repeat(one, 16, axis=0) + rng.normal(0, 1, (16, 2000, 3)) * own_A
    fit, single = fit_diffusivity(moved(group)), fit_diffusivity(moved(one))
    assert fit.verdict == "diffusive"
    assert fit.D_cm2_s.low < D * 1e-4 < fit.D_cm2_s.high
    assert 0.5 * single.ln_D_stderr < fit.ln_D_stderr < 2.5 * single.ln_D_stderr


@pytest.mark.parametrize("drift_A", [0.0, 0.05, 3.0])
def test_straight_lines_and_drift_have_no_diffusivity(drift_A):
    """Fault: an MSD that grows as t² fitted, and called diffusive with a narrow interval."""
    rng = np.random.default_rng(4)
    line = np.arange(1000)[None, :, None] * 1.0
    flight = rng.normal(0, 0.3, (16, 1, 3)) * line
    r = flight if drift_A == 0.0 else free_walk(rng, 16, 1000)[0] + drift_A * line
    fit = fit_diffusivity(moved(r))
    assert fit.verdict == "bound"
    assert fit_charge_diffusivity(moved(r), fit).verdict != "diffusive"
    assert any("faster than time" in reason for reason in fit.reasons)


def test_straight_line_at_sparse_lags():
    """Fault: the place in a sparse list of lags taken for the lag: (v t)² at the wrong t, uneven frames included."""
    speed = np.array([0.02, -0.01, 0.05])
    for time in (np.arange(900) * 0.5, np.sort(np.random.default_rng(1).choice(3000, 900, replace=False)) * 0.5):
        msd = self_msd(moved(np.tile(time[:, None] * speed, (2, 1, 1)), dt_ps=None, time_ps=time), [3, 17, 101, 400])
        even = len(np.unique(np.diff(time))) == 1
        assert msd.value_A2 == pytest.approx(speed @ speed * msd.lag_ps**2, rel=1e-9 if even else 0.1)


def test_far_from_the_origin_every_number_is_the_same():
    """Fault: single precision, or a collective path that is not taken from the first frame, 300 Å away."""
    r = concerted_walk(np.random.default_rng(5), 12, 800)[0]
    near, far = analyse(moved(r), SETTINGS)[0], analyse(moved(r + 300.0), SETTINGS)[0]
    for name in ("D_self_cm2_s", "D_charge_cm2_s"):
        assert far[name]["ci95"] == pytest.approx(near[name]["ci95"], rel=1e-7)
    assert far["msd"]["self_A2"] == pytest.approx(near["msd"]["self_A2"], rel=1e-9)


def test_primitive_fcc_cell():
    """Fault: the volume as product of the diagonal, which is zero here, and an infinite conductivity."""
    r, symbols, _ = solid(6)
    row = analyse(displacements([trajectory(r, symbols, FCC)], "Li"), SETTINGS)[0]
    assert row["volume_A3"] == pytest.approx(2 * 12.0**3)
    # σ = n q² D / (V kT) by hand, in SI: 1 cm²/s = 1e-4 m²/s, 1 S/m = 10 mS/cm
    e, kT = 1.602176634e-19, 1.380649e-23 * 600.0
    by_hand = 12 / (2 * 12.0**3 * 1e-30) * e**2 * row["D_self_cm2_s"]["value"] * 1e-4 / kT * 10.0
    assert row["sigma_NE_mS_cm"]["value"] == pytest.approx(by_hand, rel=1e-6)


def test_drift_of_everything_changes_nothing():
    """Fault: a crystal that floats adds to D, or to the collective D."""
    rows = []
    for drift in (0.0, 0.2):
        r, symbols, D = solid(7, drift=drift)
        rows.append(analyse(displacements([trajectory(r, symbols, 30.0 * np.eye(3))], "Li"), SETTINGS)[0])
    for name in ("D_self_cm2_s", "D_charge_cm2_s"):
        assert rows[1][name]["ci95"] == pytest.approx(rows[0][name]["ci95"], rel=1e-6)
    low, high = rows[0]["D_self_cm2_s"]["ci95"]
    assert low < 2 * D * 1e-4 < high  # frames are half a ps apart


def test_repeated_and_half_frames_leave_no_trace(tmp_path):
    """Fault: frames that a restart repeats counted as steps of zero length; half a frame read as a whole one."""
    r, symbols, _ = solid(8, 300)
    cell = 16.0 * np.eye(3)
    clean = dump(tmp_path / "clean.dump", r, cell, symbols)
    first = dump(tmp_path / "a.dump", r, cell, symbols, frames=range(180))
    again = dump(tmp_path / "b.dump", r, cell, symbols, frames=range(150, 300))
    how = {"mobile": "Li", "temperature_K": 600.0, "timestep_ps": 0.5}
    want, got = analyze([clean], **how), analyze([first, again], **how)
    assert (got["n_frames"], got["D_self_cm2_s"]) == (300, want["D_self_cm2_s"])
    half = analyze([dump(tmp_path / "half.dump", r, cell, symbols, cut=True)], **how)
    shorter = analyze([dump(tmp_path / "short.dump", r[:-1], cell, symbols)], **how)
    assert (half["n_frames"], half["D_self_cm2_s"]) == (299, shorter["D_self_cm2_s"])


def test_one_species_alone():
    """Fault: a crash without a framework; ions that lose their own mean."""
    r, D = free_walk(np.random.default_rng(9), 12, 800)
    run = Trajectory(("Li",) * 12, r.transpose(1, 0, 2), 10.0 * np.eye(3), np.arange(800) * 1.0, 600.0)
    row = analyse(displacements([run], "Li"), SETTINGS)[0]
    low, high = row["D_self_cm2_s"]["ci95"]
    assert row["drift"] == "none" and low < D * 1e-4 < high
    assert row["D_charge_cm2_s"]["value"] > 0.3 * D * 1e-4


def test_axes_of_a_triclinic_cell():
    """Fault: D along Cartesian axes shown as that along a, b and c."""
    cell = np.array([[10.0, 0, 0], [3.0, 9.0, 0], [-2.0, 2.5, 8.0]])
    along = cell / np.linalg.norm(cell, axis=1)[:, None]
    rng = np.random.default_rng(10)
    hop = rng.normal(0, 1, (64, 3000, 3)) * np.array([0.1, 0.5, 0.1])
    fit = fit_diffusivity(moved(np.cumsum(hop @ along, axis=1), cell_A=cell, volume_A3=None))
    truth = along.T @ np.diag([0.005, 0.125, 0.005]) @ along * 1e-4
    for vector, name in zip(along, "abc", strict=True):
        estimate = fit.tensor.axes[name]
        assert estimate.low < vector @ truth @ vector < estimate.high
    assert np.trace(fit.tensor.value) / 3 == pytest.approx(fit.D_cm2_s.value, rel=1e-12)


@pytest.mark.parametrize(("together", "charges"), [(1.0, (1, 1)), (-1.0, (1, 1)), (1.0, (1, -2)), (0.0, (2, 1))])
def test_cross_motion_has_its_sign_and_size(together, charges):
    """Fault: a cross MSD of the wrong sign, or that scales with the charges."""
    gaps = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        shared = free_walk(rng, 1, 1500)[0]
        a, b = shared + free_walk(rng, 8, 1500)[0], together * shared + free_walk(rng, 4, 1500)[0]
        msd = cross_msd(moved(a, charge_e=charges[0]), moved(b, charge_e=charges[1], mobile="S"), [1, 8])
        truth = np.sign(charges[0] * charges[1]) * together * np.sqrt(32) * 0.75 * np.array([1, 8])
        gaps.append((msd.value_A2 - truth) / msd.stderr_A2)
    assert np.abs(np.mean(gaps, axis=0)).max() < 1.2  # 4 standard errors of the mean
    assert np.abs(gaps).max() < 4.5


def test_two_stretches_of_one_run():
    """Fault: a gap without frames that ends the analysis, or blocks whose lags are counted in another step."""
    kept = np.r_[0:300, 1700:2000]
    inside = []
    for seed in range(10):
        r, D = free_walk(np.random.default_rng(seed), 16, 2000)
        gap = moved(r[:, kept], dt_ps=None, time_ps=kept * 1.0)
        row = analyse(gap, SETTINGS)[0]
        json.dumps(row, allow_nan=False)
        inside.append(row["D_self_cm2_s"]["ci95"][0] < D * 1e-4 < row["D_self_cm2_s"]["ci95"][1])
    assert np.mean(inside) >= 0.8


@pytest.mark.parametrize("ions", [1, 2])
@pytest.mark.parametrize("frames", [4, 5, 7, 12, 30])
def test_tiny_data_say_little_and_crash_never(ions, frames):
    """Fault: NaN, or an interval that means nothing, from a handful of frames."""
    for seed in range(5):
        r, D = free_walk(np.random.default_rng(seed), ions, frames)
        row = analyse(moved(r), SETTINGS)[0]
        json.dumps(row, allow_nan=False)
        low, high = row["D_self_cm2_s"]["ci95"]
        assert 0.0 <= low <= row["D_self_cm2_s"]["value"] <= high
        assert row["verdict"] != "diffusive" or high > 1.2 * row["D_self_cm2_s"]["value"]
        assert high > 0.2 * D * 1e-4


def test_threads_do_not_change_a_bit():
    """Fault: sums that depend on how the ions were shared out."""
    r = cage_and_hops(np.random.default_rng(11), 24, 1500)[0]
    uneven = np.sort(np.random.default_rng(12).choice(1500, 700, replace=False))
    for source in (moved(r), streamed(r), moved(r[:, uneven], dt_ps=None, time_ps=uneven * 1.0)):
        one, two = (json.dumps(analyse(source, SETTINGS, threads)[0]) for threads in (1, 2))
        assert one == two


def test_haven_ratio_of_replicas():
    """Fault: ions of different runs taken to move together, or a ratio off by their number."""
    inside = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        r = np.concatenate([concerted_walk(rng, 16, 1000)[0] for _ in range(3)])
        source = moved(r, run=np.repeat(np.arange(3), 16))
        fit = fit_diffusivity(source)
        ratio = haven_ratio(fit, fit_charge_diffusivity(source, fit))
        inside.append(ratio is not None and ratio.low < 2.0 / 5.0 < ratio.high)
    assert np.mean(inside) >= 0.8


def arrhenius_point(temperature_K, factor=1.0, stderr=0.1, verdict="diffusive"):
    D = factor * 1e-3 * np.exp(-0.3 / (KB_EV_K * temperature_K))
    return Diffusivity(
        Estimate(D, D * np.exp(-2 * stderr), D * np.exp(2 * stderr)), Tensor(np.eye(3), np.eye(3), {}),
        temperature_K, stderr, (1.0, 2.0), 50.0, verdict, (),
    )  # fmt: skip


def test_a_bound_that_contradicts_the_line_is_said():
    """Fault: a line far above a bound of D, with an interval as narrow as if there were none."""
    points = [arrhenius_point(T) for T in (600, 700, 800)]
    alone = fit_arrhenius(points, n_ions=8, volume_A3=1000.0)
    line = fit_arrhenius([*points, arrhenius_point(500, 1e-4, 0.6, "bound")], n_ions=8, volume_A3=1000.0)
    assert any("above the bound" in warning for warning in line.warnings)
    assert line.Ea_eV.high - line.Ea_eV.low > 2 * (alone.Ea_eV.high - alone.Ea_eV.low)
    far = fit_arrhenius([*points, arrhenius_point(500, 100, 0.6, "bound")], n_ions=8, volume_A3=1000.0)
    assert not any("above the bound" in warning for warning in far.warnings)
    assert far.Ea_eV.high == pytest.approx(alone.Ea_eV.high, rel=1e-3)


def test_temperatures_that_are_one():
    """Fault: Ea of 8000 eV and an infinite D at 300 K from 600 K and 600.001 K."""
    with pytest.raises(InputError, match="two temperatures"):
        fit_arrhenius([arrhenius_point(600), arrhenius_point(600.001, 1.3)], n_ions=8, volume_A3=1000.0)
    near = fit_arrhenius([arrhenius_point(600), arrhenius_point(601, 1.3, 0.5)], n_ions=8, volume_A3=1000.0)
    assert all(np.isfinite([near.D_at_cm2_s.low, near.D_at_cm2_s.high, near.sigma_at_mS_cm.high]))


def test_hops_along_one_axis_carry_all_the_error_there():
    """Fault: the error of hops shared out by the MSD at τ, a third of which is vibration along the other axes."""
    rng = np.random.default_rng(13)
    hops = (rng.random((32, 1000)) < 0.02) * rng.choice([-3.0, 3.0], (32, 1000))
    r = rng.normal(0, 0.4, (32, 1000, 3))
    r[..., 0] += np.cumsum(hops, axis=1)
    fit = fit_diffusivity(moved(r))
    # all of D_self = D_xx / 3 is along x, so the two have nearly the same relative error
    assert fit.tensor.stderr[0, 0] / fit.tensor.value[0, 0] > 0.93 * fit.ln_D_stderr
