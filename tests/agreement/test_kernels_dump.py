"""The LAMMPS dump reader against MDAnalysis, against known files, and against broken ones."""

import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

from ionstride import _kernels
from ionstride.errors import FormatError, InputError

BOX = "ITEM: BOX BOUNDS pp pp pp\n-1 9\n0 12\n2 10"
CELL = np.diag([10.0, 12.0, 8.0])
ORIGIN = np.array([-1.0, 0.0, 2.0])


def frame(step, columns, lines, box=BOX, before=""):
    """Return the text of one frame."""
    head = f"{before}ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(lines)}\n{box}\nITEM: ATOMS {columns}\n"
    return head + "".join(f"{line}\n" for line in lines)


def write(tmp_path, text):
    """Write a dump and return its path."""
    path = tmp_path / "run.lammpstrj"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def generated(tmp_path):
    """Return a dump of 40 unsorted atoms in 12 frames, and its true positions."""
    g = np.random.default_rng(1)
    r = np.cumsum(g.normal(scale=0.3, size=(12, 40, 3)), axis=0) + 4
    text = ""
    for t in range(12):
        order = g.permutation(40)
        lines = [
            f"{i + 1} {1 + i % 2} {'Li' if i % 2 else 'S'} " + " ".join(f"{v:.10g}" for v in r[t, i]) for i in order
        ]
        text += frame(50 * t, "id type element xu yu zu", lines, before=f"ITEM: TIME\n{0.1 * t:.16}\n")
    return write(tmp_path, text), r


def test_sorted_by_id_and_complete(generated):
    """Prevents atoms that change places from frame to frame because the dump is unsorted."""
    path, r = generated
    dump = _kernels.read_dump(path)
    np.testing.assert_allclose(dump["positions_A"], r, rtol=1e-9)
    assert np.array_equal(dump["id"], np.arange(1, 41))
    assert dump["element"] == ["Li" if i % 2 else "S" for i in range(40)]
    assert np.array_equal(dump["type"], 1 + np.arange(40) % 2)
    assert np.array_equal(dump["step"], 50 * np.arange(12))
    np.testing.assert_allclose(dump["time"], 0.1 * np.arange(12))
    np.testing.assert_array_equal(dump["cell_A"], np.broadcast_to(CELL, (12, 3, 3)))
    np.testing.assert_array_equal(dump["origin_A"], np.broadcast_to(ORIGIN, (12, 3)))
    assert (dump["kind"], dump["unwrapped"], dump["cut"], dump["repeats"]) == ("xu", True, 0, 0)


def test_agrees_with_mdanalysis(generated):
    """Prevents a reader that agrees with nobody but itself."""
    path, _ = generated
    path.write_text(re.sub(r"ITEM: TIME\n.*\n", "", path.read_text()))  # MDAnalysis does not know this item
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import MDAnalysis

        universe = MDAnalysis.Universe(str(path), format="LAMMPSDUMP", topology_format="LAMMPSDUMP")
        theirs = np.array([ts.positions.copy() for ts in universe.trajectory])
    ours = _kernels.read_dump(path)["positions_A"]
    shift = ours - theirs  # MDAnalysis moves the corner of the cell to the origin
    np.testing.assert_allclose(shift, np.broadcast_to(ORIGIN, shift.shape), atol=2e-5)


def test_threads_do_not_change_a_bit(generated):
    """Prevents frames that land in each other's place."""
    path, _ = generated
    one = _kernels.read_dump(path, threads=1)["positions_A"]
    assert np.array_equal(one, _kernels.read_dump(path, threads=2)["positions_A"])
    assert np.array_equal(one, _kernels.read_dump(path, threads=9)["positions_A"])


def test_tasks_and_blocks_do_not_change_a_bit(tmp_path):
    """Fault: frames lost or exchanged where a dump is longer than what one thread takes at a time."""
    g = np.random.default_rng(8)
    r = g.normal(scale=20, size=(60, 500, 3))
    text = "".join(
        frame(
            t, "element id xu yu zu", [f"{'I' if i % 3 else 'Li'} {i + 1} {x!r} {y:.6f} {z:.3e}" for i, x, y, z in rows]
        )
        for t, rows in ((t, [(i, *map(float, r[t, i])) for i in g.permutation(500)]) for t in range(60))
    )
    path = write(tmp_path, text)
    assert path.stat().st_size > 4 * 262_144  # several tasks, and frames longer than a block
    one, two = (_kernels.read_dump(path, threads=t) for t in (1, 2))
    for part in ("positions_A", "step", "cell_A", "id"):
        assert one[part].tobytes() == two[part].tobytes()
    shown = np.array([[(x, float(f"{y:.6f}"), float(f"{z:.3e}")) for x, y, z in atoms] for atoms in r.tolist()])
    assert np.array_equal(one["positions_A"], shown)  # Python's float() rounds correctly, and so must we


SCAN = """
import resource, sys
import numpy
from ionstride import _kernels
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
scan = _kernels.scan_dump(sys.argv[1])
_kernels.read_dump(sys.argv[1], stride=50, index=scan["index"], threads=2)
print(len(scan["step"]), peak() - before)
"""


def test_a_large_file_does_not_stay_in_memory(tmp_path):
    """Fault: a dump of gigabytes that is resident as a whole once it has been scanned."""
    lines = "".join(f"{i + 1} {i}.123456 2.5 3.5\n" for i in range(5000))
    with (tmp_path / "large.lammpstrj").open("w") as out:
        for step in range(1000):
            out.write(f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n5000\n{BOX}\nITEM: ATOMS id xu yu zu\n{lines}")
        size_MiB = out.tell() / 2**20
    done = subprocess.run(
        [sys.executable, "-c", SCAN, str(tmp_path / "large.lammpstrj")], capture_output=True, text=True, check=True
    )
    frames, grown_MiB = done.stdout.split()
    assert int(frames) == 1000
    assert float(grown_MiB) < 0.4 * size_MiB  # 16 MiB of text at a time, and the positions of 20 frames


def test_start_stop_stride_and_index(generated):
    """Prevents a slice that means another thing than in Python, or than in scan_dump."""
    path, _ = generated
    whole = _kernels.read_dump(path)
    scan = _kernels.scan_dump(path)
    assert scan["complete"] and scan["columns"] == ["id", "type", "element", "xu", "yu", "zu"]
    assert scan["size"] == path.stat().st_size
    assert np.array_equal(scan["n_atoms"], np.full(12, 40))
    assert all(path.read_bytes()[at:].startswith(b"ITEM: TIME\n") for at in scan["offset"])
    for start, stop, stride in [(0, None, 1), (3, 9, 2), (11, 99, 5), (0, 12, 2**62)]:
        part = _kernels.read_dump(path, start=start, stop=stop, stride=stride, index=scan["index"])
        assert np.array_equal(part["step"], scan["step"][start:stop:stride])
        assert np.array_equal(part["positions_A"], whole["positions_A"][start:stop:stride])


@pytest.mark.parametrize(
    ("columns", "values", "kind", "unwrapped", "expected"),
    [
        ("xu yu zu x y z ix iy iz", "1 2 3 9 9 9 9 9 9", "xu", True, [1, 2, 3]),
        ("xsu ysu zsu xs ys zs", "1.5 -0.5 0.25 0 0 0", "xsu", True, [14, -6, 4]),
        ("x y z ix iy iz xs ys zs", "1 2 3 1 -1 2 0 0 0", "x+image", True, [11, -10, 19]),
        ("xs ys zs ix iy iz x y z", "0.5 0.5 0.5 1 0 -1 7 7 7", "x+image", True, [17, 7, -1]),
        ("xs ys zs ix iy iz", "0.5 0.5 0.5 1 0 -1", "xs+image", True, [14, 6, -2]),
        ("ix iy x y z", "5 5 1 2 3", "x", False, [1, 2, 3]),
        ("zs ys xs", "0.25 0.5 0.75", "xs", False, [6.5, 6, 4]),
    ],
)
def test_choice_of_columns(tmp_path, columns, values, kind, unwrapped, expected):
    """Prevents wrapped positions where unwrapped ones are in the file, and a forgotten corner of the cell."""
    dump = _kernels.read_dump(write(tmp_path, frame(0, "id " + columns, ["1 " + values])))
    assert (dump["kind"], dump["unwrapped"]) == (kind, unwrapped)
    np.testing.assert_allclose(dump["positions_A"][0, 0], expected)
    assert dump["element"] is None and dump["type"] is None and dump["time"] is None


def test_triclinic_bounds_are_the_bounding_box(tmp_path):
    """Prevents a cell that is too long by its tilt."""
    cell = np.array([[10.0, 0, 0], [-3.0, 9.0, 0], [2.0, -1.5, 8.0]])
    origin = np.array([1.0, 2.0, 3.0])
    corners = np.array([origin + np.array(c) @ cell for c in np.ndindex(2, 2, 2)])
    lo, hi = corners.min(axis=0), corners.max(axis=0)
    tilt = (cell[1, 0], cell[2, 0], cell[2, 1])
    box = "ITEM: BOX BOUNDS xy xz yz pp pp pp\n" + "\n".join(
        f"{a:.17g} {b:.17g} {c:.17g}" for a, b, c in zip(lo, hi, tilt, strict=True)
    )
    lines = ["1 0.5 0.25 0.75 1 -1 2"]
    dump = _kernels.read_dump(write(tmp_path, frame(0, "id xs ys zs ix iy iz", lines, box)))
    np.testing.assert_allclose(dump["cell_A"][0], cell, atol=1e-12)
    np.testing.assert_allclose(dump["origin_A"][0], origin, atol=1e-12)
    np.testing.assert_allclose(dump["positions_A"][0, 0], origin + np.array([1.5, -0.75, 2.75]) @ cell, atol=1e-12)


def test_general_triclinic(tmp_path):
    """Prevents a cell read by columns: each line of 'abc origin' is a cell vector and one number of the origin."""
    box = "ITEM: BOX BOUNDS abc origin pp pp pp\n5 1 2 -1\n0 6 1 -2\n1 0 7 -3"
    dump = _kernels.read_dump(write(tmp_path, frame(0, "id x y z", ["1 1 2 3"], box)))
    np.testing.assert_array_equal(dump["cell_A"][0], [[5, 1, 2], [0, 6, 1], [1, 0, 7]])
    np.testing.assert_array_equal(dump["origin_A"][0], [-1, -2, -3])


def test_image_flags_count_cells_of_their_own_frame(tmp_path):
    """Prevents unwrapping by the first frame's cell in a run at constant pressure."""
    big = "ITEM: BOX BOUNDS pp pp pp\n0 11\n0 11\n0 11"
    text = frame(0, "id x y z ix iy iz", ["1 0 0 0 1 0 0"]) + frame(1, "id x y z ix iy iz", ["1 0 0 0 1 0 0"], big)
    np.testing.assert_array_equal(_kernels.read_dump(write(tmp_path, text))["positions_A"][:, 0, 0], [10, 11])


def test_repeated_frames_of_a_restart(tmp_path):
    """Prevents a step counted twice, and the stale one of two: the run went on from the later."""
    text = "".join(
        frame(s, "id x y z", [f"1 {x} 0 0"]) for s, x in [(0, 0), (10, 1), (20, 2), (10, 3), (20, 4), (30, 5)]
    )
    dump = _kernels.read_dump(write(tmp_path, text))
    assert dump["step"].tolist() == [0, 10, 20, 30]
    assert dump["positions_A"][:, 0, 0].tolist() == [0, 3, 4, 5]
    assert dump["repeats"] == 2


def test_half_frame_of_a_killed_run(tmp_path):
    """Prevents an error, or half a number read as a whole one, where the run was killed while it wrote."""
    whole = frame(0, "id x y z", ["1 1.25 2.25 3.25", "2 4 5 6"])
    last = frame(9, "id x y z", ["2 1.25 2.25 3.25", "1 4 5 6.125"])
    for cut in range(1, len(last)):
        path = write(tmp_path, whole + last[:cut])
        dump = _kernels.read_dump(path)
        assert dump["step"].tolist() == [0]
        assert dump["cut"] == 1
    assert not _kernels.scan_dump(path)["complete"]


def test_lines_may_end_as_on_windows(tmp_path):
    """Prevents an error on a dump that passed through Windows, or ends with empty lines."""
    text = frame(0, "id element x y z ", ["1 Li 1 2 3 "]).replace("\n", "\r\n") + "\r\n\n"
    dump = _kernels.read_dump(write(tmp_path, text))
    assert dump["element"] == ["Li"] and dump["cut"] == 0


GOOD = frame(0, "id x y z", ["1 0 0 0", "2 0 0 0"])


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (GOOD + frame(1, "id x y z", ["1 0 nan 0", "2 0 0 0"]), 21, "column 'y' is 'nan', wanted a finite number"),
        (GOOD + frame(1, "id x y z", ["1 0 0 0", "2 0 -inf 0"]), 22, "column 'y' is '-inf'"),
        (GOOD + frame(1, "id x y z", ["1 0 0 0", "2 0 0"]), 22, "has 3 values, wanted 4: id x y z"),
        (GOOD + frame(1, "id x y z", ["1 0 0 0", "2 0 0 0 0"]), 22, "more than the 4 values"),
        (GOOD + frame(1, "id x y z", ["1 0 0 0", "2.5 0 0 0"]), 22, "column 'id' is '2.5', wanted a whole number"),
        (GOOD + frame(1, "id x y z", ["1 0 0 0", "3 0 0 0"]), 22, "atom id 3 is not in the first frame"),
        (GOOD + frame(1, "id x y z", ["1 0 0 0", "1 0 0 0"]), 22, "atom id 1 comes twice"),
        (GOOD + frame(1, "id x y z", ["1 0 0 0"]), 20, "1 atoms, wanted 2"),
        (GOOD + frame(1, "id x y z", []), 15, "0 atoms"),
        (GOOD + frame(1, "id xu yu zu", ["1 0 0 0", "2 0 0 0"]), 20, "differ from those of line 9"),
        (GOOD[:-8] + GOOD, 11, "has 1 of its 2 atom lines"),
        (GOOD + "ITEM: TIMESTEP\n1\n" + GOOD, 14, "second ITEM: TIMESTEP"),
        (GOOD.replace("ITEM: TIMESTEP\n0\n", ""), 7, "comes before ITEM: TIMESTEP"),
        (GOOD.replace("OF ATOMS\n2\n", "OF ATOMS\ntwo\n"), 4, "'two', wanted a whole number"),
        (GOOD.replace("0 12", "0"), 7, "wanted 2 finite"),
        (GOOD.replace("0 12", "12 0"), 8, "no positive finite volume"),
        (GOOD.replace("0 12", "12 0").replace("-1 9", "9 -1"), 8, "an upper bound is below its lower bound"),
        (GOOD.replace("0 12", "0 inf"), 7, "wanted 2 finite"),
        (GOOD.replace("pp pp pp\n-1 9\n0 12\n2 10", "abc origin\n0 6 0 1\n5 0 0 1\n0 0 7 1"), 8, "left-handed"),
        (GOOD.replace("OF ATOMS\n2\n", "OF ATOMS\n99999999999\n") + GOOD, 12, "has 2 of its 99999999999 atom lines"),
        (GOOD + "7 0 0 0\n" + GOOD, 12, "got '7 0 0 0'"),
        (GOOD.replace("id x y z", "x y z"), 9, "wanted 'id' among them"),
        (GOOD.replace("id x y z", "id vx vy vz"), 9, "wanted xu yu zu"),
        (GOOD.replace("OF ATOMS", "OF ENTRIES"), 3, "unknown 'ITEM: NUMBER OF ENTRIES'"),
        (GOOD[:-1], 10, "ends inside its first frame"),
        ("", 1, "empty"),
        (b"\x1f\x8b\x08\x00binary\n", 1, "wanted a line that begins with 'ITEM: '"),
        (frame(0, "id element x y z", ["1 L\xef 0 0 0"]), 10, "wanted printable"),
    ],
)
def test_corrupt_files_are_named_with_their_line(tmp_path, text, line, words):
    """Prevents garbage read as positions, and an error that leaves the user to search a file of gigabytes."""
    path = write(tmp_path, text)
    with pytest.raises(FormatError) as caught:
        _kernels.read_dump(path, threads=2)
    assert words in str(caught.value)
    assert caught.value.line == line
    assert caught.value.path == path


def test_random_damage_never_crashes(tmp_path):
    """Prevents reads out of bounds: any bytes are read or refused in words."""
    g = np.random.default_rng(5)
    good = np.frombuffer((GOOD + GOOD.replace("STEP\n0", "STEP\n5")).encode(), dtype=np.uint8)
    refused = 0
    for _ in range(300):
        bad = good.copy()
        bad[g.integers(0, len(bad), 3)] = g.choice(np.frombuffer(b"0123456789 -.e\n\0\xffI", dtype=np.uint8), 3)
        try:
            dump = _kernels.read_dump(write(tmp_path, bad.tobytes()), threads=1)
            assert np.isfinite(dump["positions_A"]).all()
        except FormatError:
            refused += 1
    assert 0 < refused < 300


def test_bad_arguments(tmp_path, generated):
    """Prevents a missing file, an empty selection or a stale index from looking like an empty run."""
    path, _ = generated
    with pytest.raises(InputError, match="cannot be read"):
        _kernels.read_dump(tmp_path / "absent")
    with pytest.raises(InputError, match="not a regular file"):
        _kernels.scan_dump(tmp_path)
    with pytest.raises(InputError, match="select no frame of the 12"):
        _kernels.read_dump(path, start=12)
    with pytest.raises(InputError, match="start is -1"):
        _kernels.read_dump(path, start=-1)
    with pytest.raises(InputError, match="stride 0"):
        _kernels.read_dump(path, stride=0)
    with pytest.raises(InputError, match="index is of type int"):
        _kernels.read_dump(path, index=7)
    index = _kernels.scan_dump(path)["index"]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="scan it anew"):
        _kernels.read_dump(path, index=index)
