"""Every format gives the same run back: positions, cell, elements and time."""

import gzip

import numpy as np
import pytest
import zstandard
from trajectory_files import (
    CELL,
    SYMBOLS,
    cp2k,
    deepmd,
    dump,
    extxyz,
    ions_npz,
    mdanalysis,
    moved,
    npz,
    outcar,
    paths,
    siesta,
    traj,
    vasprun,
    wrapped,
    xdatcar,
)  # fmt: skip

from ionstride.errors import FormatError, InputError, PhysicsError
from ionstride.trajectory import read_trajectory

BREATHING = CELL * (1 + 0.002 * np.sin(np.arange(40)))[:, None, None]
#  name, writer, further options of the writer, of the reader, accuracy in Å, first time in ps
FORMATS = {
    "dump": ("md.lammpstrj", dump, {}, {"timestep_ps": 0.0002}, 1e-9, 0.0),
    "xdatcar": ("XDATCAR", xdatcar, {"every_header": True}, {"frame_ps": 0.002}, 1e-7, 0.0),
    "vasprun": ("vasprun.xml", vasprun, {}, {}, 1e-6, 0.002),
    "outcar": ("OUTCAR", outcar, {}, {}, 2e-5, 0.002),
    "siesta": ("md.out", siesta, {}, {}, 1e-5, 0.002),
    "siesta Bohr": ("md.out", siesta, {"unit": "Bohr"}, {}, 1e-5, 0.002),
    "siesta fractional": ("md.out", siesta, {"unit": "fractional"}, {}, 1e-5, 0.002),
    "cp2k": ("run-pos-1.xyz", cp2k, {}, {}, 1e-8, 0.0),
    "extxyz": ("md.extxyz", extxyz, {}, {}, 1e-6, 0.0),
    "extxyz without time": ("md.xyz", extxyz, {"time": False}, {"frame_ps": 0.002}, 1e-6, 0.0),
    "traj": ("md.traj", traj, {}, {"frame_ps": 0.002}, 1e-9, 0.0),
    "npz": ("md.npz", npz, {}, {}, 1e-9, 0.0),
    "deepmd": ("system", deepmd, {}, {"frame_ps": 0.002}, 1e-9, 0.0),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("breathing", [False, True])
def test_every_format_gives_the_run_back(tmp_path, name, breathing):
    """Fault: axes, units, atom order or cell of a format misread; time steps taken for ps."""
    file, write, how, options, accuracy, first = FORMATS[name]
    r = paths()
    cells = BREATHING if breathing else None
    if breathing:
        r = r @ np.linalg.inv(CELL) @ BREATHING
    place = write(tmp_path / file, r, cells=cells, **how)
    run = read_trajectory([place], temperature_K=500.0, mobile="Li", **options)
    assert list(run.symbols) == SYMBOLS
    assert run.time_ps == pytest.approx(first + 0.002 * np.arange(40))
    assert run.source["time"]
    assert run.cell_A == pytest.approx(BREATHING if breathing else CELL, abs=1e-6)
    path = r @ np.linalg.inv(BREATHING) @ BREATHING.mean(axis=0) if breathing else r
    assert moved(run.positions_A) == pytest.approx(moved(path), abs=3 * accuracy)
    part = read_trajectory([place], temperature_K=500.0, start=3, stop=-2, stride=4, **options)
    assert part.time_ps == pytest.approx(run.time_ps[3:-2:4])
    assert moved(part.positions_A) == pytest.approx(moved(run.positions_A[3:-2:4]), abs=0.02 if breathing else 1e-6)
    assert "constant" not in run.source["unwrap"]


@pytest.mark.parametrize("name", ["dump", "xdatcar", "vasprun", "outcar", "siesta", "cp2k", "extxyz", "traj"])
@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_packed_files_are_read_as_they_are(tmp_path, name, suffix):
    """Fault: a packed trajectory refused, or messages that name a temporary file."""
    file, write, how, options, _, _ = FORMATS[name]
    plain = write(tmp_path / file, paths(), **how)
    said = plain.read_bytes()
    packed = plain.with_name(plain.name + suffix)
    if suffix == ".gz":
        packed.write_bytes(gzip.compress(said))
    else:  # two frames of Zstandard in a row, as appended files have
        half = len(said) // 2
        packed.write_bytes(zstandard.compress(said[:half]) + zstandard.compress(said[half:]))
    one = read_trajectory([plain], temperature_K=500.0, **options)
    two = read_trajectory([packed], temperature_K=500.0, **options)
    assert np.array_equal(one.positions_A, two.positions_A) and np.array_equal(one.time_ps, two.time_ps)
    assert two.source["files"] == [str(packed)]
    spoilt = bytearray(packed.read_bytes())
    spoilt[len(spoilt) // 2 : len(spoilt) // 2 + 40] = bytes(40)
    packed.write_bytes(spoilt)
    with pytest.raises(FormatError, match=str(packed.name)):
        read_trajectory([packed], temperature_K=500.0, **options)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_packed_dump_of_a_killed_run(tmp_path, suffix):
    """Fault: a run killed while LAMMPS wrote through gzip lost, though all frames but the last are there."""
    plain = dump(tmp_path / "a.dump", paths(2000))
    said = plain.read_bytes()
    packed = tmp_path / f"b.dump{suffix}"
    whole = gzip.compress(said) if suffix == ".gz" else zstandard.compress(said)
    packed.write_bytes(whole[: int(0.8 * len(whole))])
    run = read_trajectory([packed], temperature_K=500.0, timestep_ps=0.001)
    full = read_trajectory([plain], temperature_K=500.0, timestep_ps=0.001)
    frames = len(run.time_ps)
    assert 500 < frames < 2000
    assert run.source["cut_last_frames_dropped"] == 1
    assert np.array_equal(run.positions_A, full.positions_A[:frames])
    packed.write_bytes(whole[:8])
    with pytest.raises(InputError, match=r"b\.dump"):
        read_trajectory([packed], temperature_K=500.0, timestep_ps=0.001)
    dump(plain, paths(), element=False)
    packed.write_bytes(gzip.compress(plain.read_bytes()) if suffix == ".gz" else zstandard.compress(plain.read_bytes()))
    with pytest.raises(InputError, match=f"^{packed} names no elements"):
        read_trajectory([packed], temperature_K=500.0, timestep_ps=0.001)


@pytest.mark.parametrize("name", ["dump", "xdatcar", "vasprun", "outcar", "siesta", "cp2k", "extxyz"])
def test_cut_last_frame_is_dropped(tmp_path, name):
    """Fault: half a frame of a killed run read, or the whole run lost for it."""
    file, write, how, options, _, _ = FORMATS[name]
    place = write(tmp_path / file, paths(), **how)
    full = read_trajectory([place], temperature_K=500.0, **options)
    said = place.read_text()
    for part in (0.93, 0.937, 0.951, 0.969):
        place.write_text(said[: int(part * len(said))])
        run = read_trajectory([place], temperature_K=500.0, **options)
        frames = len(run.time_ps)
        assert 35 < frames < 40
        assert np.array_equal(run.positions_A, full.positions_A[:frames])
        assert np.array_equal(run.time_ps, full.time_ps[:frames])


@pytest.mark.parametrize("name", ["xdatcar", "cp2k", "extxyz without time"])
def test_number_cut_in_the_last_line_is_no_position(tmp_path, name):
    """Fault: '3.1' of a cut '3.14159' taken as the coordinate."""
    file, write, how, options, _, _ = FORMATS[name]
    place = write(tmp_path / file, paths(), **how)
    place.write_text(place.read_text()[:-5])
    run = read_trajectory([place], temperature_K=500.0, **options)
    assert len(run.time_ps) == 39 and run.source["cut_last_frames_dropped"] == 1


@pytest.mark.parametrize("name", ["vasprun", "outcar"])
def test_vasp_agrees_with_ase(tmp_path, name):
    """Fault: a layout of VASP understood in our own way."""
    import ase.io

    file, write, _, _, _, _ = FORMATS[name]
    r = paths(6)
    place = write(tmp_path / file, r)
    frames = ase.io.read(place, index=":", format="vasp-xml" if name == "vasprun" else "vasp-out")
    run = read_trajectory([place], temperature_K=500.0, unwrap="given")
    assert [a.get_chemical_symbols() for a in frames] == [SYMBOLS] * 6
    assert run.positions_A == pytest.approx(np.array([a.positions for a in frames]), abs=1e-9)
    assert run.cell_A == pytest.approx(frames[0].cell.array)


def test_vasp_steps_that_are_not_written(tmp_path):
    """Fault: POTIM taken as the time between frames where NBLOCK or ML_OUTBLOCK thin them out."""
    r = paths(20)
    run = read_trajectory([outcar(tmp_path / "OUTCAR", r, every=5)], temperature_K=500.0)
    assert np.diff(run.time_ps) == pytest.approx(0.01)
    # NBLOCK concerns the XDATCAR; VASP writes each step into vasprun.xml, since 6.4.3 each ML_OUTBLOCK-th.
    for version, block, want in (("5.4.4", "", 0.002), ("6.4.2", "10", 0.002), ("6.4.3", "10", 0.02)):
        extra = f'<i type="int" name="ML_OUTBLOCK">{block}</i>' if block else ""
        file = vasprun(tmp_path / "vasprun.xml", r, extra=extra, version=version, nblock=10)
        assert np.diff(read_trajectory([file], temperature_K=500.0).time_ps) == pytest.approx(want)


def test_vasp_relaxation_is_refused(tmp_path):
    """Fault: steps of a relaxation analysed as time."""
    for file in (vasprun(tmp_path / "vasprun.xml", paths(9)), outcar(tmp_path / "OUTCAR", paths(9))):
        said = file.read_text()
        file.write_text(said.replace('IBRION">     0', 'IBRION">     2').replace("IBRION =      0", "IBRION =      2"))
        with pytest.raises(FormatError, match="IBRION = 2"):
            read_trajectory([file], temperature_K=500.0)


def test_cp2k_cell_is_found_or_asked_for(tmp_path):
    """Fault: positions unwrapped in the cell of another step, or a cell made up."""
    r = paths(30)
    place = cp2k(tmp_path / "run-pos-1.xyz", r, cell_file=False)
    with pytest.raises(InputError, match=r"\.cell"):
        read_trajectory([place], temperature_K=500.0)
    import ase
    import ase.io

    ase.io.write(tmp_path / "start.vasp", ase.Atoms(SYMBOLS, positions=r[0], cell=CELL, pbc=True))
    run = read_trajectory([place], temperature_K=500.0, topology=tmp_path / "start.vasp")
    assert moved(run.positions_A) == pytest.approx(moved(r), abs=1e-8)
    with pytest.raises(InputError, match="not there"):
        read_trajectory([place], temperature_K=500.0, topology=tmp_path / "none.vasp")
    cp2k(tmp_path / "run-pos-1.xyz", r)
    cell = tmp_path / "run-1.cell"
    cell.write_text("\n".join(cell.read_text().split("\n")[:12]) + "\n")
    with pytest.raises(InputError, match="no cell for step 11"):
        read_trajectory([place], temperature_K=500.0)


def test_cp2k_restart_in_one_file(tmp_path):
    """Fault: steps that a restart writes again counted twice."""
    r = paths(40)
    file = cp2k(tmp_path / "run-pos-1.xyz", np.concatenate([r[:30] + 0.0, r[20:]]), steps=[*range(30), *range(20, 40)])
    run = read_trajectory([file], temperature_K=500.0)
    assert run.time_ps == pytest.approx(0.002 * np.arange(40))
    assert moved(run.positions_A) == pytest.approx(moved(r), abs=1e-8)
    assert run.source["repeated_frames_dropped"] == 10


def test_extxyz_unwrapped_column_is_preferred(tmp_path):
    """Fault: coarse frames refused although the file has the unwrapped positions beside the wrapped ones."""
    r = paths(30, step=2.5)
    with pytest.raises(PhysicsError, match="more often"):
        read_trajectory([extxyz(tmp_path / "a.xyz", r)], temperature_K=500.0)
    run = read_trajectory([extxyz(tmp_path / "b.xyz", r, unwrapped=True)], temperature_K=500.0)
    assert moved(run.positions_A) == pytest.approx(moved(r), abs=1e-6)


def test_deepmd_sets_are_in_order(tmp_path):
    """Fault: set.10 before set.9."""
    r = paths(44)
    system = deepmd(tmp_path / "system", r, sets=11)
    for k in range(11):
        (system / f"set.{k:03d}").rename(system / f"set.{k}")
    run = read_trajectory([system], temperature_K=500.0, frame_ps=0.002)
    assert moved(run.positions_A) == pytest.approx(moved(r), abs=1e-9)
    with pytest.raises(InputError, match="folder"):
        read_trajectory([tmp_path], temperature_K=500.0, frame_ps=0.002)


def test_npz_of_all_atoms(tmp_path):
    """Fault: wrapped arrays taken as paths; uneven times made even."""
    r = paths(30)
    uneven = np.cumsum(np.random.default_rng(0).random(30) + 0.1)
    run = read_trajectory(
        [npz(tmp_path / "a.npz", wrapped(r), time_ps=uneven, dt_ps=None, temperature_K=500.0)], temperature_K=500.0
    )
    assert np.array_equal(run.time_ps, uneven)
    assert moved(run.positions_A) == pytest.approx(moved(r), abs=1e-9)
    far = paths(30, step=2.5)
    run = read_trajectory([npz(tmp_path / "b.npz", far, unwrapped=True)], temperature_K=500.0)
    assert np.array_equal(run.positions_A, far)
    for more, words in (
        ({"cell_A": None}, "cell_A"),
        ({"cell_A": np.zeros((29, 3, 3))}, "cell_A has shape"),
        ({"symbols": np.array(["Li"])}, "symbols"),
        ({"time_ps": uneven[:5]}, "time_ps has shape"),
        ({"dt_ps": -1.0}, "above zero"),
        ({"positions_A": r[0]}, "wanted"),
        ({"positions_A": np.array(["a"])}, "numbers"),
    ):
        with pytest.raises(FormatError, match=words):
            read_trajectory([npz(tmp_path / "c.npz", r, **more)], temperature_K=500.0)
    with pytest.raises(InputError, match="--frame-ps"):
        read_trajectory([npz(tmp_path / "d.npz", r, dt_ps=None)], temperature_K=500.0)


def test_npz_ions_are_what_the_user_says(tmp_path):
    """Fault: sodium ions called lithium."""
    file = ions_npz(tmp_path / "ions.npz", paths(30))
    run = read_trajectory([file], temperature_K=500.0, mobile="Na")
    assert set(run.symbols) == {"Na"} and run.source["ions_alone"]
    with pytest.raises(InputError, match="--mobile"):
        read_trajectory([file], temperature_K=500.0)


@pytest.mark.parametrize("name", ["md.dcd", "md.xtc", "md.trr"])
def test_mdanalysis_parts_and_litter(tmp_path, name):
    """Fault: the second part's clock or first frame counted twice; index files left beside the user's data."""
    cell = np.eye(3) * 12.0
    r = paths(40, cell=cell)
    files = [mdanalysis(tmp_path / f"{k}{name}", r[part]) for k, part in enumerate((slice(0, 21), slice(20, 40)))]
    before = sorted(tmp_path.iterdir())
    run = read_trajectory(files, temperature_K=500.0, topology=tmp_path / "top.pdb", frame_ps=0.002)
    assert run.time_ps == pytest.approx(0.002 * np.arange(40))
    assert moved(run.positions_A) == pytest.approx(moved(r), abs=0.02 if "xtc" in name else 1e-5)
    assert run.source["repeated_frames_dropped"] == 1
    assert sorted(tmp_path.iterdir()) == before
    if name != "md.dcd":
        alone = read_trajectory(files, temperature_K=500.0, topology=tmp_path / "top.pdb")
        assert alone.time_ps == pytest.approx(0.002 * np.arange(40), abs=1e-6)


def test_frame_ps_goes_before_the_file(tmp_path):
    """Fault: the user's time between frames ignored without a word."""
    run = read_trajectory([vasprun(tmp_path / "vasprun.xml", paths(9))], temperature_K=500.0, frame_ps=0.5)
    assert run.time_ps == pytest.approx(0.5 * np.arange(9))
    assert "as given" in run.source["time"]
