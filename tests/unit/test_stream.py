"""Streaming: the same positions and the same moments as with all frames in memory."""

import os
import warnings

import numpy as np
import pytest

from ionstride import _kernels
from ionstride.accumulated import block_msd, collective_block_msd, join
from ionstride.errors import FormatError, InputError, PhysicsError
from ionstride.records import FrameStream
from ionstride.trajectory import read_trajectory
from ionstride.trajectory.memory import available_memory, estimate_memory
from ionstride.trajectory.recorded import check_even
from ionstride.trajectory.stream import open_stream
from ionstride.transport import accumulate, displacements
from ionstride.transport.msd import collective_path

CELL = np.array([[10.0, 0, 0], [2.0, 9.0, 0], [0.5, 1.0, 8.0]])
SYMBOLS = ("Li",) * 6 + ("P", "S", "S", "S")
GIVEN = {"temperature_K": 600.0, "timestep_ps": 0.001}


def run(frames=400, *, npt=False, drift=True, step=0.3, seed=1):
    """Return (positions, cells): ions that walk, a framework that vibrates, both drifting, in a breathing box."""
    g = np.random.default_rng(seed)
    fractional = g.random((1, len(SYMBOLS), 3)) + g.normal(0, 0.003, (frames, len(SYMBOLS), 3))
    fractional[:, :6] += np.cumsum(g.normal(0, step / 10, (frames, 6, 3)), axis=0)
    if drift:
        fractional += 0.004 * np.arange(frames)[:, None, None] * np.array([1.0, -0.5, 0.2])
    cells = np.broadcast_to(CELL, (frames, 3, 3))
    if npt:
        cells = CELL * (1 + 0.003 * g.normal(size=(frames, 1, 1)))
    return fractional @ cells, cells


def dump(file, r, cells, *, kind="x y z", first_step=0):
    """Write a triclinic dump, unsorted, wrapped unless `kind` says otherwise."""
    lines = []
    for t, (frame, cell) in enumerate(zip(r, cells, strict=True)):
        xy, xz, yz = cell[1, 0], cell[2, 0], cell[2, 1]
        low, high = min(0.0, xy, xz, xy + xz), max(0.0, xy, xz, xy + xz)
        lines += ["ITEM: TIMESTEP", str(10 * t + first_step), "ITEM: NUMBER OF ATOMS", str(len(SYMBOLS))]
        lines += ["ITEM: BOX BOUNDS xy xz yz pp pp pp", f"{low:.12f} {cell[0, 0] + high:.12f} {xy:.12f}"]
        lines += [f"{min(0.0, yz):.12f} {cell[1, 1] + max(0.0, yz):.12f} {xz:.12f}", f"0.0 {cell[2, 2]:.12f} {yz:.12f}"]
        lines += [f"ITEM: ATOMS id element {kind}"]
        fractional = frame @ np.linalg.inv(cell)
        at = frame if kind == "xu yu zu" else (fractional - np.floor(fractional)) @ cell
        lines += [
            f"{i + 1} {SYMBOLS[i]} {at[i, 0]!s} {at[i, 1]!s} {at[i, 2]!s}" for i in (7, 2, 0, 1, 9, 8, 3, 4, 5, 6)
        ]
    file.write_text("\n".join(lines) + "\n")
    return file


def small_chunks(frames):
    """The memory that lets so many frames of this test's atoms into a chunk."""
    return (frames + 0.5) * 7 * 24 * len(SYMBOLS) / 1e6


def whole(stream):
    parts = list(stream.chunks())
    assert max(map(len, parts)) <= stream.chunk_frames
    assert all(part.flags["C_CONTIGUOUS"] for part in parts)
    return np.concatenate(parts)


@pytest.mark.parametrize("unwrap", ["auto", "minimum-image", "given"])
@pytest.mark.parametrize("kind", ["x y z", "xu yu zu"])
@pytest.mark.parametrize("npt", [False, True])
def test_positions_are_those_read_whole(tmp_path, npt, kind, unwrap):
    """Fault: image counts lost between chunks, or positions referred to the mean cell of a chunk."""
    r, cells = run(npt=npt)
    files = [
        dump(tmp_path / "a.dump", r[:150], cells[:150], kind=kind),
        dump(tmp_path / "b.dump", r[120:], cells[120:], kind=kind, first_step=1200),
    ]
    for selection in ({}, {"start": 7, "stop": 391, "stride": 3}):
        want = read_trajectory(files, **GIVEN, **selection, unwrap=unwrap)
        for chunk in (1, 17, 1000):
            stream = open_stream(files, **GIVEN, **selection, unwrap=unwrap, memory_MB=small_chunks(chunk))
            np.testing.assert_allclose(whole(stream), want.positions_A, rtol=0, atol=1e-10)
        np.testing.assert_array_equal(stream.time_ps, want.time_ps)
        np.testing.assert_allclose(stream.mean_cell_A, want.mean_cell_A, rtol=1e-12, atol=1e-12)
        assert stream.volume_A3 == pytest.approx(want.volume_A3, rel=1e-12)
        assert stream.symbols == want.symbols
        same = ("unwrap", "frames", "columns", "repeated_frames_dropped", "cut_last_frames_dropped")
        assert {name: stream.source[name] for name in same} == {name: want.source[name] for name in same}


def in_memory(path, lags, steps):
    """Moments by the kernel that has all frames, with the origins of the multiple-tau scheme."""
    parts = [
        _kernels.displacement_moments(np.ascontiguousarray(path[:, ::step]), np.array([lag // step]))
        for lag, step in zip(lags, steps, strict=True)
    ]
    return np.concatenate([tensor for tensor, _ in parts], axis=1), np.concatenate([f for _, f in parts], axis=1)


def same_moments(tensor, fourth, want_tensor, want_fourth):
    scale = want_tensor[..., :3].sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(tensor / scale, want_tensor / scale, rtol=0, atol=1e-12)
    np.testing.assert_allclose(fourth, want_fourth, rtol=1e-12)


@pytest.mark.parametrize("drift", ["framework", "all", "none"])
@pytest.mark.parametrize("npt", [False, True])
def test_moments_are_those_in_memory(tmp_path, npt, drift):
    """Fault: drift removed since the chunk's first frame, or the collective path summed over another set of ions."""
    r, cells = run(npt=npt, frames=600)
    file = dump(tmp_path / "md.dump", r, cells)
    paths = displacements([read_trajectory([file], **GIVEN)], "Li", charge_e=2.0, drift=drift)
    seen = []
    stream = open_stream([file], **GIVEN, memory_MB=small_chunks(37))
    got = accumulate(stream, "Li", charge_e=2.0, drift=drift, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (600, 600) and seen[0] == (37, 600)
    same_moments(got.tensor_A2, got.fourth_A4, *in_memory(paths.r_A, got.lag, got.origin_step))
    together, charge2 = collective_path(paths)
    same_moments(got.collective_tensor, got.collective_fourth, *in_memory(together, got.lag, got.origin_step))
    assert got.charge2 == charge2 == 24.0
    assert (got.drift, got.species, got.n_frames) == (paths.drift, paths.species, 600)
    assert (got.source["drift"], got.n_runs, got.n_ions_per_run) == (paths.source["drift"], 1, 6)
    assert got.frame_ps == pytest.approx(0.01) and got.lag_ps == pytest.approx(0.01 * got.lag)
    assert got.volume_A3 == pytest.approx(paths.volume_A3, rel=1e-12)
    again = accumulate(open_stream([file], **GIVEN, memory_MB=small_chunks(41)), "Li", charge_e=2.0, drift=drift)
    # Chunks change the rounding of the unwrapping under a breathing box, and nothing else.
    np.testing.assert_allclose(again.node_sum_A2, got.node_sum_A2, rtol=1e-11)


def test_threads_and_a_second_pass_do_not_change_a_bit(tmp_path):
    """Fault: a stream that can be read once only, or results that depend on the number of cores."""
    file = dump(tmp_path / "md.dump", *run(npt=True))
    stream = open_stream([file], **GIVEN, memory_MB=small_chunks(64), threads=1)
    one, two = accumulate(stream, "Li", threads=1), accumulate(stream, "Li", threads=2)
    for name in ("tensor_A2", "fourth_A4", "node_sum_A2", "collective_tensor", "collective_node_sum"):
        assert np.array_equal(getattr(one, name), getattr(two, name))


def of_array(r, time_ps=None):
    """A stream of an array of Li, two chunks."""
    time_ps = np.arange(len(r)) * 0.5 if time_ps is None else time_ps
    return FrameStream(
        ("Li",) * r.shape[1],
        time_ps,
        20.0 * np.eye(3),
        8000.0,
        500.0,
        lambda: iter((r[:50], r[50:])),
        50,
        {"file": "x"},
    )


def walk(frames, ions=3, seed=5):
    return np.cumsum(np.random.default_rng(seed).normal(size=(frames, ions, 3)), axis=0)


@pytest.mark.parametrize("frames", [333, 1600])
def test_block_sums(frames):
    """Fault: a pair of frames given to a block that does not hold both, or counted twice."""
    r = walk(frames)
    got = accumulate(of_array(r), "Li")
    assert got.drift == "none" and got.block_frames == frames // 16
    together = r.sum(axis=1, keepdims=True)
    lags = np.arange(len(got.lag))
    for n_blocks in (1, 2, 4, 8, 16):
        each, all_ions = block_msd(got, n_blocks, lags), collective_block_msd(got, n_blocks, lags)
        assert each.shape == (3, n_blocks, len(lags)) and all_ions.shape == (1, n_blocks, len(lags))
        width = 16 // n_blocks * (frames // 16)
        for block in range(n_blocks):
            for m, (lag, step) in enumerate(zip(got.lag, got.origin_step, strict=True)):
                first = -(-block * width // step) * step
                origins = np.arange(first, (block + 1) * width - lag, step)
                if len(origins) == 0:
                    assert np.isnan(each[:, block, m]).all() and np.isnan(all_ions[:, block, m]).all()
                    continue
                for path, value in ((r, each), (together, all_ions)):
                    want = ((path[origins + lag] - path[origins]) ** 2).sum(axis=-1).mean(axis=0)
                    np.testing.assert_allclose(value[:, block, m], want, rtol=1e-12)
    assert block_msd(got, 4, [2, 0]).shape == (3, 4, 2)
    with pytest.raises(InputError, match="n_blocks = 3"):
        block_msd(got, 3, [0])
    with pytest.raises(InputError, match="outside 0"):
        block_msd(got, 4, [len(lags)])


def test_short_run_has_no_blocks():
    """Fault: blocks of three frames shown as a scatter."""
    got = accumulate(of_array(walk(63)), "Li")
    assert got.block_frames == 0 and np.isnan(block_msd(got, 2, [0, 1])).all()


def test_replicas_side_by_side():
    """Fault: ions of two runs in one collective path, or runs of other length or charge joined."""
    parts = [accumulate(of_array(walk(100, seed=seed)), "Li", charge_e=2.0) for seed in (1, 2, 3)]
    both = join([join(parts[:2]), parts[2]])
    assert (both.n_runs, both.n_ions_per_run, len(both.source["runs"])) == (3, 3, 3)
    assert both.run.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] and both.charge2 == 12.0
    np.testing.assert_array_equal(both.tensor_A2[3:6], parts[1].tensor_A2)
    np.testing.assert_array_equal(both.collective_tensor[1], parts[1].collective_tensor[0])
    assert collective_block_msd(both, 2, [0]).shape == (3, 2, 1)
    assert both.volume_A3 == pytest.approx(8000.0)
    for other, words in (
        (accumulate(of_array(walk(90)), "Li", charge_e=2.0), "n_frames"),
        (accumulate(of_array(walk(100), np.arange(100) * 0.4), "Li", charge_e=2.0), "frame_ps"),
        (accumulate(of_array(walk(100)), "Li"), "charges"),
        (accumulate(of_array(walk(100, ions=4)), "Li", charge_e=2.0), "other mobile ions"),
    ):
        with pytest.raises(InputError, match=words):
            join([parts[0], other])
    with pytest.raises(InputError, match="no run"):
        join([])


def universe_files(folder, r, dt=0.1):
    """Write top.pdb, md.dcd and md.xtc: wrapped, triclinic, the box breathing."""
    import MDAnalysis as mda

    box = np.array([12.0, 13.0, 14.0, 80.0, 75.0, 95.0])
    scale = 1 + 0.002 * np.random.default_rng(2).normal(size=(len(r), 1))
    boxes = box * np.where(np.arange(6) < 3, scale, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = mda.Universe.empty(r.shape[1], trajectory=True)
        universe.add_TopologyAttr("names", SYMBOLS)
        universe.add_TopologyAttr("elements", SYMBOLS)
        universe.load_new(r.astype(np.float32), dimensions=boxes.astype(np.float32), dt=dt)
        universe.atoms.write(str(folder / "top.pdb"))
        for name in ("md.dcd", "md.xtc"):
            with mda.Writer(str(folder / name), r.shape[1], dt=dt) as writer:
                for _ in universe.trajectory:
                    universe.atoms.wrap()
                    writer.write(universe.atoms)


@pytest.mark.parametrize("name", ["md.dcd", "md.xtc"])
def test_what_mdanalysis_reads(tmp_path, name):
    """Fault: frames skipped or repeated between chunks; single-precision times taken as uneven."""
    universe_files(tmp_path, run(frames=150)[0])
    given = {"temperature_K": 500.0, "topology": tmp_path / "top.pdb", "frame_ps": 0.1}
    for selection in ({}, {"start": 20, "stop": 140, "stride": 7}):
        want = read_trajectory([tmp_path / name], **given, **selection)
        stream = open_stream([tmp_path / name], **given, **selection, memory_MB=small_chunks(11))
        np.testing.assert_allclose(whole(stream), want.positions_A, rtol=0, atol=1e-10)
        np.testing.assert_allclose(stream.time_ps, want.time_ps, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(stream.mean_cell_A, want.mean_cell_A, rtol=1e-12, atol=1e-12)
        assert stream.symbols == want.symbols and stream.source["unwrap"] == want.source["unwrap"]
    if name == "md.xtc":
        own = open_stream([tmp_path / name], **{**given, "frame_ps": None}, **selection)
        np.testing.assert_allclose(own.time_ps, want.time_ps, rtol=1e-6)
        assert own.source["format"].startswith("XTC")
    assert accumulate(stream, "Li").n_frames == len(stream.time_ps)
    if name == "md.dcd":
        with pytest.raises(InputError, match="--frame-ps"):
            open_stream([tmp_path / name], temperature_K=500.0, topology=tmp_path / "top.pdb")
    with pytest.raises(InputError, match="--topology"):
        open_stream([tmp_path / name], temperature_K=500.0, frame_ps=0.1)


def test_what_cannot_be_streamed_is_said(tmp_path):
    """Fault: uneven frames binned by number, a coarse run folded back, a traceback for a missing file."""
    r, cells = run(frames=60)
    file = dump(tmp_path / "a.dump", r[:30], cells[:30])
    late = dump(tmp_path / "b.dump", r[30:], cells[30:], first_step=310)
    with pytest.raises(InputError, match=r"0\.01 to 0\.02 ps apart"):
        open_stream([file, late], **GIVEN)
    assert len(open_stream([file, late], **GIVEN, stop=30).time_ps) == 30
    with pytest.raises(InputError, match="0 to 0 ps apart"):
        check_even(np.zeros(9), 0.0)
    coarse = open_stream([dump(tmp_path / "c.dump", *run(step=2.5))], **GIVEN, memory_MB=small_chunks(20))
    with pytest.raises(PhysicsError, match="more often"):
        accumulate(coarse, "Li")
    npz = tmp_path / "ions.npz"
    np.savez(npz, r_A=r.transpose(1, 0, 2), dt_ps=0.1)
    for files, more, words in (
        ([], {}, "no trajectory"),
        ([tmp_path / "none"], {}, "not there"),
        ([npz], {}, "read whole"),
        ([file, npz], {}, "kinds"),
        ([file], {"unwrap": "minimum"}, "did you mean"),
        ([file], {"memory_MB": 0.0}, "memory_MB"),
        ([file], {"temperature_K": -1.0}, "temperature_K"),
        ([file], {"timestep_ps": None}, "--frame-ps"),
        ([file], {"stride": 0}, "stride"),
    ):
        with pytest.raises(InputError, match=words):
            open_stream(files, **{**GIVEN, **more})
    stream = open_stream([file], **GIVEN)
    with pytest.raises(InputError, match="present: Li, P, S"):
        accumulate(stream, "Na")
    with pytest.raises(InputError, match="drift"):
        accumulate(stream, "Li", drift="box")
    with pytest.raises(PhysicsError, match="alone"):
        accumulate(of_array(walk(100)), "Li", drift="all")
    short = FrameStream(("Li",), np.arange(9.0), np.eye(3), 1.0, 300.0, lambda: iter([np.zeros((5, 1, 3))]), 5)
    with pytest.raises(InputError, match="gave 5 frames"):
        accumulate(short, "Li")


def test_a_file_broken_later_is_named(tmp_path):
    """Fault: a broken line deep in the file, met while streaming, that ends in a wrong number."""
    file = dump(tmp_path / "md.dump", *run(frames=50))
    lines = file.read_text().splitlines()
    lines[19 * 40 + 12] = "1 Li nonsense 0 0"
    file.write_text("\n".join(lines) + "\n")
    stream = open_stream([file], **GIVEN, memory_MB=small_chunks(10))
    with pytest.raises(FormatError, match="line 773"):
        accumulate(stream, "Li")


def test_estimate_before_reading(tmp_path):
    """Fault: an estimate that is off by the number of atoms, or that reads the file to be made."""
    r, cells = run(frames=300)
    file = dump(tmp_path / "md.dump", r, cells)
    said = estimate_memory([file, file])
    assert said.n_atoms == 10 and said.n_frames == pytest.approx(600, rel=0.02)
    assert said.positions_bytes == said.n_frames * 240 and said.needed_bytes > 2 * said.positions_bytes
    assert said.fits and said.streamable and "10 atoms" in said.words and "free" in said.words
    assert estimate_memory([file], start=0, stop=100).positions_bytes == 100 * 240
    assert said.available_bytes == pytest.approx(available_memory(), rel=0.5)
    assert 0 < available_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # A sparse file of the size of a big run: nothing but its first frame is read.
    with file.open("r+b") as stream:
        stream.truncate(10**13)
    huge = estimate_memory([file])
    assert not huge.fits and huge.needed_bytes > 10**12
    npz = tmp_path / "ions.npz"
    np.savez(npz, r_A=r.transpose(1, 0, 2).astype(np.float32), dt_ps=0.1)
    ions = estimate_memory([npz])
    assert not ions.streamable and 72000 <= ions.positions_bytes < 73000
    universe_files(tmp_path, r[:20])
    # A packed format is judged by its size, not opened: its reader could crash on a corrupt file.
    given = estimate_memory([tmp_path / "md.xtc"])
    assert given.streamable and given.n_atoms is None and given.positions_bytes >= 20 * 240
    file.write_text("ITEM: TIMESTEP\n0\n")
    with pytest.raises(FormatError, match="no whole frame"):
        estimate_memory([file])
    with pytest.raises(InputError, match="not there"):
        estimate_memory([tmp_path / "none"])
