"""Schemes of unwrapping, parts of a run, and what cannot be unwrapped."""

import numpy as np
import pytest
from trajectory_files import CELL, SYMBOLS, dump, extxyz, moved, npz, paths, wrapped, xdatcar

from ionstride.errors import FormatError, InputError, PhysicsError
from ionstride.trajectory import SCHEMES, read_trajectory, rewrap

TIMED = {"temperature_K": 600.0, "timestep_ps": 0.001}


def npt_framework(frames=4000, atoms=64, noise=0.003, seed=5):
    """Atoms that vibrate by 0.07 Å (MSD 0.03) in a box of 24 Å that breathes; some sit on its boundary."""
    rng = np.random.default_rng(seed)
    cells = np.eye(3) * (24.0 * (1 + noise * rng.normal(size=frames)))[:, None, None]
    sites = rng.random((atoms, 3))
    sites[:16, 0] = 0.0
    fractional = sites + rng.normal(0, 0.07 / 24.0, (frames, atoms, 3))
    return (fractional % 1.0) @ cells, cells


def msd_A2(r, lag):
    return float(np.mean(np.sum((r[lag:] - r[:-lag]) ** 2, axis=-1)))


def test_npt_framework_stays_where_it_is(tmp_path):
    """Fault: TOR, right for liquids, makes a framework diffuse (9 Å² for 0.05 at 0.3 % box noise)."""
    r, cells = npt_framework()
    file = tmp_path / "md.npz"
    np.savez(file, positions_A=r, cell_A=cells, dt_ps=0.01, symbols=np.array(["S"] * r.shape[1]))
    run = read_trajectory([file], temperature_K=600.0)
    truth = 6 * 0.07**2
    assert msd_A2(run.positions_A, 2000) == pytest.approx(truth, rel=0.03)
    tor, lattice = rewrap(run, "tor"), rewrap(run, "lattice")
    # The first 16 atoms sit on the boundary: TOR lets them diffuse.  Lattice view shows the breathing of the sites.
    assert msd_A2(tor.positions_A[:, :16, :1], 2000) > 50 * truth / 3
    assert msd_A2(tor.positions_A[:, :16, :1], 2000) > 5 * msd_A2(tor.positions_A[:, :16, :1], 100)
    assert truth < msd_A2(lattice.positions_A, 2000) < 0.1
    assert "toroidal" in tor.source["unwrap"] and "lattice" in lattice.source["unwrap"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_rewrap_is_reading_again(tmp_path, scheme):
    """Fault: the D of a scheme side by side that is not the D of that scheme."""
    r, cells = npt_framework(300, 8)
    file = tmp_path / "md.npz"
    np.savez(file, positions_A=r, cell_A=cells, dt_ps=0.01, symbols=np.array(["S"] * 8))
    read = read_trajectory([file], temperature_K=600.0, unwrap=scheme)
    again = rewrap(read_trajectory([file], temperature_K=600.0), scheme)
    assert again.positions_A == pytest.approx(read.positions_A, abs=1e-9)
    assert again.source["unwrap"] == read.source["unwrap"]
    # From a later frame on only the reference changes.
    part = rewrap(read_trajectory([file], temperature_K=600.0, start=100), scheme)
    want = moved(read.positions_A[100:])
    assert moved(part.positions_A) == pytest.approx(want, abs=1e-9 if scheme != "minimum-image" else 0.03)


@pytest.mark.parametrize("kind", ["wrapped", "image", "xu"])
def test_schemes_agree_over_columns(tmp_path, kind):
    """Fault: TOR or lattice view that depends on whether the dump was written with xu or x ix."""
    rng = np.random.default_rng(4)
    cells = CELL * (1 + 0.002 * rng.normal(size=(60, 1, 1)))
    r = paths(60) @ np.linalg.inv(CELL) @ cells + 0.0
    given = {
        scheme: read_trajectory([dump(tmp_path / "a.dump", r, cells=cells)], unwrap=scheme, **TIMED)
        for scheme in SCHEMES
    }
    file = dump(tmp_path / "b.dump", r, cells=cells, kind=kind)
    for scheme in SCHEMES:
        run = read_trajectory([file], unwrap=scheme, **TIMED)
        # The cell an atom starts in differs; under lattice view it breathes with the box, so compare wrapped starts.
        want = given[scheme].positions_A
        shift = run.positions_A - want
        cell = {"lattice": cells, "tor": cells[:1], "minimum-image": cells.mean(axis=0)}[scheme]
        whole = shift @ np.linalg.inv(cell)
        assert whole == pytest.approx(np.broadcast_to(np.rint(whole[:1]), whole.shape), abs=1e-6)
    auto = read_trajectory([file], **TIMED)
    assert moved(rewrap(auto, "tor").positions_A) == pytest.approx(moved(given["tor"].positions_A), abs=1e-8)


def test_lattice_view_of_image_flags_is_xu(tmp_path):
    """Fault: LAMMPS' own xu (x + image × current cell) not reproduced by the scheme named for it."""
    cells = CELL * (1 + 0.002 * np.random.default_rng(4).normal(size=(40, 1, 1)))
    r = (paths(40) @ np.linalg.inv(CELL) + np.array([4.0, -3.0, 2.0])) @ cells
    run = read_trajectory([dump(tmp_path / "a.dump", r, cells=cells, kind="image")], unwrap="lattice", **TIMED)
    assert run.positions_A == pytest.approx(r, abs=1e-8)


def test_constant_cell_schemes_are_one(tmp_path):
    """Fault: a scheme for breathing boxes that changes a run at constant volume."""
    r = paths(40)
    file = dump(tmp_path / "a.dump", r)
    run = read_trajectory([file], **TIMED)
    for scheme in SCHEMES:
        assert rewrap(run, scheme) is run
        again = read_trajectory([file], unwrap=scheme, **TIMED)
        assert moved(again.positions_A) == pytest.approx(moved(r), abs=1e-8)
    cells = CELL * (1 + 0.001 * np.arange(40)[:, None, None] % 3)
    given = read_trajectory([dump(tmp_path / "b.dump", r, cells=cells)], unwrap="given", **TIMED)
    with pytest.raises(InputError, match="unwrapped anew"):
        rewrap(given, "tor")
    with pytest.raises(InputError, match="did you mean"):
        rewrap(run, "torr")


FCC = 5.0 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
LEFT = np.array([[0, 9.0, 0], [10.0, 0, 0], [0.5, 1.0, 8.0]])


@pytest.mark.parametrize(("cell", "volume"), [(FCC, 250.0), (LEFT, 720.0)], ids=["fcc", "left-handed"])
def test_volume_is_the_determinant(tmp_path, cell, volume):
    """Fault: zero volume from the diagonal of a primitive fcc cell; a left-handed cell that unwraps wrong."""
    r = paths(50, cell=cell)
    cells = np.broadcast_to(cell, (50, 3, 3))
    for file in (
        xdatcar(tmp_path / "XDATCAR", r, cells=cells),
        extxyz(tmp_path / "a.xyz", r, cells=cells),
        npz(tmp_path / "a.npz", wrapped(r, cells), cells=cell),
    ):
        run = read_trajectory([file], temperature_K=600.0, frame_ps=0.1)
        assert run.volume_A3 == pytest.approx(volume)
        assert moved(run.positions_A) == pytest.approx(moved(r), abs=1e-6)
    breathing = cells * (1 + 0.001 * np.sin(np.arange(50)))[:, None, None]
    run = read_trajectory([xdatcar(tmp_path / "XDATCAR", r, cells=breathing, every_header=True)], temperature_K=600.0,
                          frame_ps=0.1)  # fmt: skip
    for scheme in SCHEMES:
        step = np.diff(rewrap(run, scheme).positions_A, axis=0)
        assert np.abs(step).max() < 1.5


def test_far_from_the_origin(tmp_path):
    """Fault: a box 300 Å away from the origin, or ions that far, losing digits or cells."""
    r = paths(40)
    file = dump(tmp_path / "a.dump", r, origin=(300.0, 300.0, -300.0))
    assert moved(read_trajectory([file], **TIMED).positions_A) == pytest.approx(moved(r), abs=1e-9)
    far = read_trajectory([npz(tmp_path / "a.npz", r + 300.0, unwrapped=True)], temperature_K=600.0)
    assert moved(far.positions_A) == pytest.approx(moved(r), abs=1e-9)
    again = read_trajectory([npz(tmp_path / "a.npz", r + 300.0)], temperature_K=600.0)
    assert moved(again.positions_A) == pytest.approx(moved(r), abs=1e-9)


def test_flipped_box_is_refused(tmp_path):
    """Fault: paths followed over a flip of the tilt, where fractional coordinates change their meaning."""
    r = paths(30)
    cells = np.array([CELL] * 30)
    cells[15:, 1, 0] -= 10.0
    with pytest.raises(PhysicsError, match="between frames 14 and 15"):
        read_trajectory([dump(tmp_path / "a.dump", r, cells=cells)], **TIMED)


def test_seam_that_is_none_is_named(tmp_path):
    """Fault: two unrelated runs, or parts with a gap, joined into one path."""
    r = paths(60, step=0.2)
    first, second, third = (
        xdatcar(tmp_path / f"XDATCAR.{k}", r[part])
        for k, part in enumerate((slice(0, 20), slice(20, 40), slice(40, 60)))
    )
    good = read_trajectory([first, second, third], temperature_K=600.0, frame_ps=0.1)
    assert moved(good.positions_A) == pytest.approx(moved(r), abs=1e-6)
    assert "seam_notes" not in good.source
    other = xdatcar(tmp_path / "XDATCAR.x", r[20:40] + np.array([4.5, 0, 0]))
    with pytest.raises(PhysicsError, match=r"XDATCAR\.0 to the first of .*XDATCAR\.x"):
        read_trajectory([first, other, third], temperature_K=600.0, frame_ps=0.1)
    rotated = np.concatenate([r[20:40] + np.array([1.5, 1.0, 0])])
    shifted = read_trajectory([first, xdatcar(tmp_path / "XDATCAR.y", rotated)], temperature_K=600.0, frame_ps=0.1)
    assert len(shifted.source["seam_notes"]) == 1 and "XDATCAR.y" in shifted.source["seam_notes"][0]


def test_image_flags_set_anew_at_a_restart(tmp_path):
    """Fault: image flags lost in a restart from a data file: ions jump by whole cells and seem to diffuse."""
    r = paths(40) + np.array([25.0, 0, 0])
    first = dump(tmp_path / "a.dump", r[:20], steps=range(0, 200, 10), kind="image")
    inside = wrapped(r[20:21])[0] + moved(r[20:])
    second = dump(tmp_path / "b.dump", inside, steps=range(200, 400, 10), kind="image")
    with pytest.raises(PhysicsError, match=r"a\.dump to the first of .*b\.dump"):
        read_trajectory([first, second], **TIMED)
    run = read_trajectory([first, second], unwrap="minimum-image", **TIMED)
    assert moved(run.positions_A) == pytest.approx(moved(r), abs=1e-8)


def test_superseded_part_is_named(tmp_path):
    """Fault: of two runs that both count their steps from zero the first is lost without a word."""
    r = paths(40)
    files = [dump(tmp_path / "a.dump", r[:20]), dump(tmp_path / "b.dump", r[20:])]
    run = read_trajectory(files, **TIMED)
    assert len(run.time_ps) == 20
    assert run.source["superseded_files"] == [str(files[0])]


def test_parts_with_clocks_of_their_own(tmp_path):
    """Fault: a second part whose clock starts at zero refused, or its frames put over the first part's."""
    r = paths(40)
    a, b = npz(tmp_path / "a.npz", r[:21]), npz(tmp_path / "b.npz", r[20:])
    with pytest.raises(InputError, match="replicas"):
        read_trajectory([a, b], temperature_K=600.0)
    files = [extxyz(tmp_path / "a.xyz", r[:21]), extxyz(tmp_path / "b.xyz", r[20:])]
    run = read_trajectory(files, temperature_K=600.0)
    assert run.time_ps == pytest.approx(0.002 * np.arange(40))
    assert moved(run.positions_A) == pytest.approx(moved(r), abs=1e-6)
    assert run.source["repeated_frames_dropped"] == 1
    lines = files[1].read_text().replace("Time=", "Time_ps=5")  # 0.002 fs → 50.002 ps and so on
    files[1].write_text(lines)
    later = read_trajectory(files, temperature_K=600.0)
    assert later.time_ps[21] > 50.0 and len(later.time_ps) == 40


def test_other_atoms_are_refused(tmp_path):
    """Fault: the second part has its atoms in another order, and paths change atoms."""
    files = [xdatcar(tmp_path / "XDATCAR.1", paths(9)), xdatcar(tmp_path / "XDATCAR.2", paths(9))]
    files[1].write_text(files[1].read_text().replace("Li P S", "P Li S").replace("2 1 1", "1 2 1"))
    with pytest.raises(InputError, match="other atoms"):
        read_trajectory(files, temperature_K=600.0, frame_ps=0.1)


def test_nonsense_is_refused(tmp_path):
    """Fault: NaN, a flat cell or a single frame that ends in a traceback or in a number."""
    r = paths(20)
    nan, far, flat, mixed = r.copy(), r.copy(), np.array([CELL] * 20), np.array([CELL] * 20)
    nan[7, 2, 1] = np.nan
    far[3] = 1e30
    flat[4, 2] = flat[4, 1]
    mixed[5, 2] *= -1.0
    times = np.arange(20.0)
    times[3] = np.nan
    same = np.arange(20.0)
    same[9] = same[8]
    for arrays, words in (
        ({"positions_A": nan}, "frame 7, atom 2"),
        ({"positions_A": far}, "frame 3"),
        ({"cell_A": flat}, "cell of frame 4"),
        ({"cell_A": mixed}, "left-handed"),
        ({"cell_A": np.full((3, 3), np.nan)}, "no volume"),
        ({"cell_A": np.zeros((3, 3))}, "no volume"),
        ({"time_ps": times}, "time of frame 3"),
        ({"time_ps": same}, "does not increase at frame 9"),
        ({"positions_A": r[:1]}, "holds 1 frame"),
        ({"positions_A": r[:0]}, "wanted"),
        ({"symbols": np.array(SYMBOLS[:3])}, "symbols"),
    ):
        with pytest.raises(InputError, match=words):
            read_trajectory([npz(tmp_path / "a.npz", r, **arrays)], temperature_K=600.0)
    for options, words in (
        ({"mobile": "Na"}, "present: Li, P, S"),
        ({"frame_ps": -1.0}, "above zero"),
        ({"frame_ps": float("nan")}, "above zero"),
        ({"temperature_K": float("inf")}, "temperature"),
    ):
        with pytest.raises(InputError, match=words):
            read_trajectory([npz(tmp_path / "a.npz", r)], **{"temperature_K": 600.0, **options})
    file = extxyz(tmp_path / "a.xyz", r)
    file.write_text("\n".join(line.split("Lattice")[0] for line in file.read_text().split("\n")))
    with pytest.raises(InputError, match="gives no cell"):
        read_trajectory([file], temperature_K=600.0)
    with pytest.raises(FormatError, match="other atoms"):
        swapped = extxyz(tmp_path / "b.xyz", r).read_text().split("\n")
        swapped[8] = "P" + swapped[8][2:]
        (tmp_path / "b.xyz").write_text("\n".join(swapped))
        read_trajectory([tmp_path / "b.xyz"], temperature_K=600.0)
