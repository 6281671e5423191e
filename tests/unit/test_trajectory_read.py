"""Reading trajectories: times, joins, unwrapping and what is refused."""

import gzip

import numpy as np
import pytest

from ionstride.errors import FormatError, InputError, PhysicsError
from ionstride.trajectory import read_trajectory

CELL = np.array([[10.0, 0, 0], [2.0, 9.0, 0], [0.5, 1.0, 8.0]])
SYMBOLS = ["Li", "Li", "P", "S"]


def paths(frames=40, seed=1, step=0.3):
    rng = np.random.default_rng(seed)
    r = rng.random((1, 4, 3)) @ CELL + np.cumsum(rng.normal(0, step, (frames, 4, 3)), axis=0)
    r[:, 2:] = r[:1, 2:] + rng.normal(0, 0.1, (frames, 2, 3))
    return r


def dump(file, r, *, cells=None, steps=None, kind="wrapped", element=True, time=None, cut=False):
    """Write a LAMMPS dump; `kind` is 'wrapped' (x y z), 'image' (with ix iy iz) or 'xu'."""
    cells = np.broadcast_to(CELL, (len(r), 3, 3)) if cells is None else cells
    steps = range(0, 10 * len(r), 10) if steps is None else steps
    lines = []
    for t, (frame, cell, step) in enumerate(zip(r, cells, steps, strict=True)):
        xy, xz, yz = cell[1, 0], cell[2, 0], cell[2, 1]
        low = min(0.0, xy, xz, xy + xz), max(0.0, xy, xz, xy + xz)
        if time is not None:
            lines += ["ITEM: TIME", repr(float(time[t]))]
        lines += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", "4"]
        lines += ["ITEM: BOX BOUNDS xy xz yz pp pp pp"]
        lines += [f"{low[0]:.12f} {cell[0, 0] + low[1]:.12f} {xy:.12f}"]
        lines += [f"{min(0.0, yz):.12f} {cell[1, 1] + max(0.0, yz):.12f} {xz:.12f}", f"0.0 {cell[2, 2]:.12f} {yz:.12f}"]
        names = {"wrapped": "x y z", "image": "x y z ix iy iz", "xu": "xu yu zu"}[kind]
        lines += [f"ITEM: ATOMS id type {'element ' if element else ''}{names}"]
        fractional = frame @ np.linalg.inv(cell)
        image = np.floor(fractional).astype(int)
        inside = (fractional - image) @ cell
        for i in (2, 0, 3, 1):
            at = frame[i] if kind == "xu" else inside[i]
            row = [i + 1, 1 + sorted(set(SYMBOLS)).index(SYMBOLS[i])]
            row += [SYMBOLS[i]] if element else []
            row += [repr(float(x)) for x in at] + ([*image[i]] if kind == "image" else [])
            lines.append(" ".join(map(str, row)))
    if cut:
        lines = lines[:-2]
    file.write_text("\n".join(lines) + "\n")
    return file


def moved(positions):
    return positions - positions[:1]


@pytest.mark.parametrize("kind", ["wrapped", "image", "xu"])
def test_dump_gives_the_path_back(tmp_path, kind):
    """Fault: unsorted atoms mixed up, triclinic bounds taken as the cell, paths broken at the boundary."""
    r = paths()
    run = read_trajectory([dump(tmp_path / "md.dump", r, kind=kind)], temperature_K=600.0, timestep_ps=0.002)
    assert list(run.symbols) == SYMBOLS
    assert run.time_ps == pytest.approx(0.02 * np.arange(40))
    assert run.cell_A == pytest.approx(CELL)
    assert moved(run.positions_A) == pytest.approx(moved(r), abs=1e-9)
    assert "unwrap" in run.source and run.source["cut_last_frames_dropped"] == 0


def test_restart_overlap_and_cut_frame(tmp_path):
    """Fault: frames after a restart counted twice, and half a frame of a killed run read."""
    r = paths(60)
    first = dump(tmp_path / "a.dump", r[:40] + 0.0, steps=range(0, 400, 10))
    stale = dump(tmp_path / "b.dump", r[25:], steps=range(250, 600, 10), cut=True)
    run = read_trajectory([first, stale], temperature_K=600.0, timestep_ps=0.001)
    assert len(run.time_ps) == 59
    assert run.time_ps == pytest.approx(0.01 * np.arange(59))
    assert moved(run.positions_A) == pytest.approx(moved(r[:59]), abs=1e-9)
    assert run.source["cut_last_frames_dropped"] == 1
    assert run.source["repeated_frames_dropped"] == 15


@pytest.mark.parametrize("kind", ["wrapped", "xu"])
def test_start_stop_stride_count_joined_frames(tmp_path, kind):
    """Fault: a stride applied file by file, or before unwrapping where it makes steps too coarse."""
    r = paths(60, step=0.8)
    files = [
        dump(tmp_path / "a.dump", r[:31], steps=range(0, 310, 10), kind=kind),
        dump(tmp_path / "b.dump", r[31:], steps=range(310, 600, 10), kind=kind),
    ]
    run = read_trajectory(files, temperature_K=600.0, timestep_ps=0.001, start=3, stop=58, stride=9)
    assert run.time_ps == pytest.approx(0.01 * np.arange(3, 58, 9))
    assert moved(run.positions_A) == pytest.approx(moved(r[3:58:9]), abs=1e-9)


def test_breathing_box_does_not_make_the_framework_diffuse(tmp_path):
    """Fault: xu = x + image × current cell taken as it is under NPT, or unwrapping made for liquids."""
    rng = np.random.default_rng(3)
    fractional = rng.random((1, 4, 3)) + np.cumsum(np.zeros((300, 4, 3)), axis=0) + rng.normal(0, 0.004, (300, 4, 3))
    fractional += np.array([5.0, -4.0, 3.0])  # images far from the first cell
    cells = CELL * (1 + 0.003 * rng.normal(size=(300, 1, 1)))
    r = fractional @ cells
    for kind in ("wrapped", "image", "xu"):
        file = dump(tmp_path / f"{kind}.dump", r, cells=cells, kind=kind)
        run = read_trajectory([file], temperature_K=600.0, timestep_ps=0.001)
        lattice = run.positions_A - run.positions_A.mean(axis=0)
        assert np.mean(np.sum(lattice**2, axis=-1)) < 0.01
        assert run.cell_A.shape == (300, 3, 3)
        assert "mean cell" in run.source["unwrap"]
    raw = read_trajectory([tmp_path / "xu.dump"], temperature_K=600.0, timestep_ps=0.001, unwrap="given")
    assert np.var(raw.positions_A, axis=0).sum(axis=-1).mean() > 0.01


def test_too_coarse_frames_are_refused(tmp_path):
    """Fault: ions that cross half a cell between frames folded back to short steps."""
    r = paths(30, step=2.5)
    with pytest.raises(PhysicsError, match="more often"):
        read_trajectory([dump(tmp_path / "md.dump", r)], temperature_K=600.0, timestep_ps=0.001)
    taken = read_trajectory([dump(tmp_path / "u.dump", r, kind="xu")], temperature_K=600.0, timestep_ps=0.001)
    assert moved(taken.positions_A) == pytest.approx(moved(r), abs=1e-9)


def test_unknown_time_is_asked_for(tmp_path):
    """Fault: steps read as picoseconds."""
    file = dump(tmp_path / "md.dump", paths())
    with pytest.raises(InputError, match="--frame-ps"):
        read_trajectory([file], temperature_K=600.0)
    by_frame = read_trajectory([file], temperature_K=600.0, frame_ps=0.5, start=2, stride=3)
    assert by_frame.time_ps == pytest.approx(0.5 * np.arange(2, 40, 3))
    timed = dump(tmp_path / "t.dump", paths(), time=0.01 * np.arange(40))
    assert read_trajectory([timed], temperature_K=600.0).time_ps == pytest.approx(0.01 * np.arange(40))


def test_types_name_elements(tmp_path):
    """Fault: LAMMPS types taken for elements in the wrong order."""
    file = dump(tmp_path / "md.dump", paths(), element=False)
    with pytest.raises(InputError, match="--types"):
        read_trajectory([file], temperature_K=600.0, timestep_ps=0.001)
    run = read_trajectory([file], temperature_K=600.0, timestep_ps=0.001, types=["Li", "P", "S"])
    assert list(run.symbols) == SYMBOLS
    with pytest.raises(InputError, match="up to 3"):
        read_trajectory([file], temperature_K=600.0, timestep_ps=0.001, types=["Li", "P"])


def xdatcar(file, r, *, cells=None, every_header=False, tail=""):
    cells = np.broadcast_to(CELL, (len(r), 3, 3)) if cells is None else cells
    lines = []
    for t, (frame, cell) in enumerate(zip(r, cells, strict=True)):
        if t == 0 or every_header:
            lines += ["some crystal", "1.0", *(" ".join(map(repr, map(float, v))) for v in cell), "Li P S", "2 1 1"]
        lines.append(f"Direct configuration= {t + 1:5d}")
        lines += [" ".join(f"{x:.10f}" for x in s) for s in (frame @ np.linalg.inv(cell)) % 1.0]
    text = "\n".join(lines) + "\n" + tail
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())
    return file


def test_xdatcars_join_and_drop_cut_and_repeated_frames(tmp_path):
    """Fault: a seam between two parts that breaks the path; half a frame at the end."""
    r = paths(50)
    first = xdatcar(tmp_path / "XDATCAR.1.gz", r[:20])
    second = xdatcar(tmp_path / "XDATCAR.2", r[19:], tail="Direct configuration=   99\n0.1 0.2 0.3\n0.1")
    run = read_trajectory([first, second], temperature_K=500.0, frame_ps=0.1)
    assert moved(run.positions_A) == pytest.approx(moved(r), abs=1e-6)
    assert run.source["cut_last_frames_dropped"] == 1 and run.source["repeated_frames_dropped"] == 1
    with pytest.raises(InputError, match="--frame-ps"):
        read_trajectory([first], temperature_K=500.0)


def test_xdatcar_with_changing_cell(tmp_path):
    """Fault: the second header read as coordinates."""
    r = paths(20)
    cells = CELL * (1 + 0.001 * np.arange(20)[:, None, None])
    run = read_trajectory(
        [xdatcar(tmp_path / "XDATCAR", r, cells=cells, every_header=True)], temperature_K=500.0, frame_ps=0.1
    )
    assert run.cell_A == pytest.approx(cells)


def test_broken_xdatcar_is_named(tmp_path):
    """Fault: an index error from a file that is no XDATCAR."""
    file = tmp_path / "XDATCAR"
    file.write_text("hello\n")
    with pytest.raises(FormatError, match="header"):
        read_trajectory([file], temperature_K=500.0, frame_ps=0.1)


@pytest.mark.parametrize("name", ["md.extxyz", "md.traj"])
def test_ase_formats(tmp_path, name):
    """Fault: wrapped frames of ASE files taken as unwrapped."""
    import ase
    import ase.io

    r = paths(30)
    frames = [ase.Atoms(SYMBOLS, positions=p, cell=CELL, pbc=True) for p in r]
    for atoms in frames:
        atoms.wrap()
    ase.io.write(tmp_path / name, frames)
    run = read_trajectory([tmp_path / name], temperature_K=500.0, frame_ps=0.01)
    assert list(run.symbols) == SYMBOLS
    assert moved(run.positions_A) == pytest.approx(moved(r), abs=1e-6)


def test_npz_of_ions_alone(tmp_path):
    """Fault: axes of ions and frames swapped, or another temperature accepted."""
    r = paths(30).transpose(1, 0, 2).astype(np.float32)
    file = tmp_path / "ions.npz"
    np.savez(file, r_A=r, dt_ps=0.004, temperature_K=900.0, volume_A3=1000.0)
    run = read_trajectory([file], temperature_K=900.0, stride=2, mobile="Na")
    assert set(run.symbols) == {"Na"}
    assert run.positions_A == pytest.approx(r.transpose(1, 0, 2)[::2])
    assert run.time_ps[1] == pytest.approx(0.008)
    assert run.volume_A3 == pytest.approx(1000.0)
    with pytest.raises(InputError, match="--mobile"):
        read_trajectory([file], temperature_K=900.0)
    with pytest.raises(InputError, match="900 K"):
        read_trajectory([file], temperature_K=300.0)
    np.savez(file, r_A=r, dt_ps=0.004)
    with pytest.raises(FormatError, match="volume_A3"):
        read_trajectory([file], temperature_K=300.0, mobile="Li")


def test_mdanalysis_formats(tmp_path):
    """Fault: the times of a DCD, which are in whatever unit its program likes, taken as ps."""
    import warnings

    import MDAnalysis as mda

    r = paths(20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = mda.Universe.empty(4, trajectory=True)
        universe.add_TopologyAttr("names", SYMBOLS)
        universe.add_TopologyAttr("elements", SYMBOLS)
        lengths = [12.0, 12.0, 12.0, 90.0, 90.0, 90.0]
        universe.dimensions = lengths
        universe.atoms.positions = r[0]
        universe.atoms.write(str(tmp_path / "top.pdb"))
        for name in ("md.dcd", "md.xtc"):
            with mda.Writer(str(tmp_path / name), 4, dt=0.5) as writer:
                for frame in r:
                    universe.atoms.positions = frame
                    universe.dimensions = lengths
                    writer.write(universe.atoms)
    with pytest.raises(InputError, match="--frame-ps"):
        read_trajectory([tmp_path / "md.dcd"], temperature_K=500.0, topology=tmp_path / "top.pdb")
    run = read_trajectory([tmp_path / "md.dcd"], temperature_K=500.0, topology=tmp_path / "top.pdb", frame_ps=0.25)
    assert list(run.symbols) == SYMBOLS
    assert run.time_ps == pytest.approx(0.25 * np.arange(20))
    assert moved(run.positions_A) == pytest.approx(moved(r), abs=1e-4)
    with pytest.raises(InputError, match="--topology"):
        read_trajectory([tmp_path / "md.dcd"], temperature_K=500.0, frame_ps=0.1)


def test_bad_requests_are_answered(tmp_path):
    """Fault: a missing file, a mixture of formats or an empty selection that ends in a traceback."""
    file = dump(tmp_path / "md.dump", paths())
    good = {"temperature_K": 600.0, "timestep_ps": 0.001}
    for files, more, words in (
        ([], {}, "no trajectory"),
        ([tmp_path / "none"], {}, "not there"),
        ([file, xdatcar(tmp_path / "XDATCAR", paths())], {}, "kinds"),
        ([file], {"stride": 0}, "stride"),
        ([file], {"start": 39}, "two or more"),
        ([file], {"unwrap": "minimum"}, "did you mean"),
        ([file], {"temperature_K": 0.0}, "temperature"),
        ([file], {"timestep_ps": -1.0}, "timestep"),
    ):
        with pytest.raises(InputError, match=words):
            read_trajectory(files, **{**good, **more})
