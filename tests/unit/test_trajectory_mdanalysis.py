"""The C++ dump reader as an MDAnalysis reader, against MDAnalysis' own."""

import gzip
import pickle
import warnings

import numpy as np
import pytest
from trajectory_files import CELL, dump, paths

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import MDAnalysis as mda

    import ionstride.trajectory.mdanalysis_reader

ORTHOGONAL = np.diag([10.0, 9.0, 8.0])


def universe(file, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        empty = mda.Universe.empty(4, trajectory=True)
        empty.add_TopologyAttr("masses", [7.0, 7.0, 31.0, 32.0])
        return mda.Universe(empty._topology, str(file), **options)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cell", [ORTHOGONAL, CELL], ids=["orthogonal", "triclinic"])
@pytest.mark.parametrize("origin", [(0.0, 0.0, 0.0), (-3.0, 2.0, 40.0)])
def test_agrees_with_mdanalysis(tmp_path, cell, origin):
    """Fault: a tilted box from the bounding box, atoms in file order, or the cell's corner forgotten."""
    r = paths(23, cell=cell)
    file = dump(tmp_path / "md.lammpstrj", r, cells=np.broadcast_to(cell, (23, 3, 3)), origin=origin)
    ours = universe(file, format="IONSTRIDE", dt=0.002)
    theirs = universe(file, format="LAMMPSDUMP", dt=0.002)
    assert len(ours.trajectory) == len(theirs.trajectory) == 23
    for one, other in zip(ours.trajectory, theirs.trajectory, strict=True):
        assert one.frame == other.frame
        assert one.positions.dtype == np.float32
        assert one.positions == pytest.approx(other.positions, abs=3e-5)
        assert one.dimensions == pytest.approx(other.dimensions, abs=1e-5)
        assert one.time == pytest.approx(10 * one.frame * 0.002)
        assert one.data["step"] == other.data["step"]


def test_random_access_and_blocks(tmp_path, monkeypatch):
    """Fault: a frame taken out of order that is the next one in the block."""
    monkeypatch.setattr(ionstride.trajectory.mdanalysis_reader, "_BLOCK_BYTES", 5 * 24 * 4)
    r = paths(23)
    file = dump(tmp_path / "md.lammpstrj", r, kind="xu")
    trajectory = universe(file, format="IONSTRIDE", dt=0.002).trajectory
    for frame in (7, 3, 22, 4, 5, 0, -1):
        step = trajectory[frame]
        assert step.frame == frame % 23
        assert step.positions == pytest.approx(r[frame], abs=1e-5)
    assert [step.frame for step in trajectory[4:20:3]] == [4, 7, 10, 13, 16, 19]
    assert np.array([step.positions.copy() for step in trajectory]) == pytest.approx(r, abs=1e-5)
    with pytest.raises(IndexError):
        trajectory[23]


def test_times_unwrapping_and_packing(tmp_path):
    """Fault: steps taken for times; image flags ignored; half a frame of a killed run read."""
    r = paths(23)
    file = dump(tmp_path / "md.lammpstrj", r, kind="image", time=np.arange(23) * 0.5)
    file.write_text(file.read_text()[:-20])
    packed = tmp_path / "md.lammpstrj.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    for name in (file, packed):
        trajectory = universe(name, format="IONSTRIDE").trajectory
        assert trajectory.n_frames == 22
        assert [step.time for step in trajectory] == pytest.approx(0.5 * np.arange(22))
        assert np.array([step.positions.copy() for step in trajectory]) == pytest.approx(r[:22], abs=1e-5)
        trajectory.close()


@pytest.mark.filterwarnings("ignore")
def test_analyses_of_mdanalysis_run_on_it(tmp_path):
    """Fault: a reader that an analysis, a copy or another process cannot use."""
    from MDAnalysis.analysis.msd import EinsteinMSD

    r = paths(50)
    u = universe(dump(tmp_path / "md.lammpstrj", r, kind="xu"), format="IONSTRIDE", dt=0.002)
    msd = EinsteinMSD(u, select="all", fft=False).run()
    want = np.mean(np.sum((r[10:] - r[:-10]) ** 2, axis=-1))
    assert msd.results.timeseries[10] == pytest.approx(want, rel=1e-5)
    again = pickle.loads(pickle.dumps(u))
    assert again.trajectory[7].positions == pytest.approx(r[7], abs=1e-5)
    assert u.copy().trajectory[7].positions == pytest.approx(r[7], abs=1e-5)


def test_other_number_of_atoms_is_refused(tmp_path):
    """Fault: positions of other atoms laid over a topology."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        empty = mda.Universe.empty(5, trajectory=True)
        with pytest.raises(ValueError, match="4 atoms"):
            mda.Universe(empty._topology, str(dump(tmp_path / "md.lammpstrj", paths(3))), format="IONSTRIDE")
