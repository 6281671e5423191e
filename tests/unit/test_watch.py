"""A run gone bad is stopped with a reason."""

import numpy as np
import pytest

from ionstride.campaign import Layout, Watch, choose_layout, last_restart
from ionstride.campaign.local import RESTART_END
from ionstride.campaign.watch import clip
from ionstride.records import Polyhedron, Structure

CELL = 10.0 * np.eye(3)
TETRAHEDRON = np.array([[5, 5, 5], [6.2, 6.2, 6.2], [3.8, 3.8, 6.2], [3.8, 6.2, 3.8], [6.2, 3.8, 3.8], [0.5, 0.5, 0.5]])
SYMBOLS = ("P", "S", "S", "S", "S", "Li")


def watch(folder, **more):
    options = {"min_intact": 0.9, "min_distance": 0.5, "target_K": 600.0, "window": 3, **more}
    structure = Structure(SYMBOLS, TETRAHEDRON, CELL)
    return Watch(folder, structure, [Polyhedron("P", "S", 4, 2.9)], **options)


def frame(step, positions):
    rows = "".join(
        f"{i} 1 {s} {x:.6f} {y:.6f} {z:.6f} 0 0 0\n"
        for i, (s, (x, y, z)) in enumerate(zip(SYMBOLS, positions, strict=False), 1)
    )
    return (
        f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(positions)}\nITEM: BOX BOUNDS pp pp pp\n"
        f"0 10\n0 10\n0 10\nITEM: ATOMS id type element xu yu zu ix iy iz\n{rows}"
    )


def write_frames(folder, frames):
    text = "".join(frame(step, positions) for step, positions in enumerate(frames))
    (folder / "production.0000000000.lammpstrj").write_text(text)


def test_a_whole_run_goes_on(tmp_path):
    """A watch that cries wolf would stop good runs."""
    rng = np.random.default_rng(1)
    write_frames(tmp_path, [TETRAHEDRON + rng.normal(0, 0.05, (6, 3)) for _ in range(10)])
    w = watch(tmp_path)
    assert w.look() == ""
    assert w.frames_seen == 10


def test_fallen_polyhedra(tmp_path):
    """A crystal that has melted into something else still has a diffusion coefficient, a wrong one."""
    broken = TETRAHEDRON.copy()
    broken[1] += 2.0
    write_frames(tmp_path, [TETRAHEDRON] * 2 + [broken] * 8)
    assert "fall apart" in watch(tmp_path).look()
    assert watch(tmp_path, min_intact=0.0).look() == ""


def test_atoms_too_near_and_lost(tmp_path):
    """Fused atoms and lost atoms are the two ways a poor potential ends."""
    fused = TETRAHEDRON.copy()
    fused[1] = fused[0] + 0.5
    write_frames(tmp_path, [TETRAHEDRON, fused, fused])
    assert "came within" in watch(tmp_path).look()
    # Li starts 7.8 Å from P and far from its own images: that it comes to 3 Å of either is diffusion.
    met = TETRAHEDRON.copy()
    met[5] = TETRAHEDRON[0] + [3.0, 0.0, 0.0]
    write_frames(tmp_path, [TETRAHEDRON, met, met])
    assert watch(tmp_path).look() == ""
    write_frames(tmp_path, [TETRAHEDRON, TETRAHEDRON[:5], TETRAHEDRON])
    assert "atoms were lost" in watch(tmp_path).look()


def test_the_end_does_not_depend_on_when_one_looks(tmp_path):
    """Fault: a bad run is as long as the watch was late, so that what is learnt from it is another set each time."""
    broken = TETRAHEDRON.copy()
    broken[1] += 2.0
    dump, late = tmp_path / "production.0000000000.lammpstrj", tmp_path / "production.0000000080.lammpstrj"
    frames = [frame(10 * n, TETRAHEDRON if n < 12 else broken) for n in range(20)]
    rows = [f"{10 * n} 0 600 -20 1 {-19 if n < 15 else 99} 0 1000 10 10 10 0 0 0 0\n" for n in range(20)]
    (tmp_path / "log.lammps").write_text("".join(rows))
    dump.write_text("".join(frames))
    at_once = watch(tmp_path)
    reason = at_once.look()
    assert "fall apart" in reason  # and not the energy, which jumps later
    assert at_once.step == 120
    bit_by_bit, seen = watch(tmp_path), ""
    for n in range(20):
        dump.write_text("".join(frames[: n + 1]) + (frames[n + 1][:-9] if n < 19 else ""))
        (tmp_path / "log.lammps").write_text("".join(rows[: n + 1]))
        seen = seen or bit_by_bit.look()
    assert (seen, bit_by_bit.step) == (reason, 120)
    # Killed and continued from step 80: the frames after it are there twice and count once.
    dump.write_text("".join(frames[:11]) + frames[11][:100])
    late.write_text("".join(frames[9:]))
    again = watch(tmp_path)
    assert (again.look(), again.step) == (reason, 120)
    clip(tmp_path, again.step)
    assert late.read_text() == "".join(frames[9:13])
    assert dump.read_text().startswith("".join(frames[:11]))


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("100 0.1 9000 -20 5 -15 0 1000 10 10 10 0 0 0 0", "9000 K"),
        ("100 0.1 600 -90 5 -85 0 1000 10 10 10 0 0 0 0", "energy jumped"),
        ("100 0.1 nan -20 5 -15 0 1000 10 10 10 0 0 0 0", "no longer a number"),
    ],
)
def test_log(tmp_path, row, word):
    """Temperature and energy are the first to tell."""
    (tmp_path / "log.lammps").write_text(f"0 0 100 -20 1 -19 0 1000 10 10 10 0 0 0 0\n{row}\n")
    assert word in watch(tmp_path).look()


def test_log_is_read_once_and_in_whole_lines(tmp_path):
    """Half a line at the end of a growing log is not a number yet."""
    log = tmp_path / "log.lammps"
    log.write_text("0 0 100 -20 1 -19 0 1000 10 10 10 0 0 0 0\n200 0.2 600 -20")
    w = watch(tmp_path)
    assert w.look() == ""
    assert w.step == 0
    with log.open("a") as stream:
        stream.write(" 5 -15 0 1000 10 10 10 0 0 0 0\n")
    assert w.look() == ""
    assert w.step == 200


def test_only_a_whole_restart_counts(tmp_path):
    """A restart file cut off by a kill cannot be read; the one before it can."""
    (tmp_path / "restart.500").write_bytes(b"data" + RESTART_END)
    (tmp_path / "restart.1000").write_bytes(b"data" + RESTART_END[:5])
    (tmp_path / "restart.end").write_bytes(b"data" + RESTART_END)
    assert last_restart(tmp_path, 2000) == ("restart.500", 500)


def test_a_restart_at_the_last_step_is_not_one(tmp_path):
    """Killed between the last restart file and the note of the end, a run would have nothing left to run."""
    (tmp_path / "restart.500").write_bytes(b"data" + RESTART_END)
    (tmp_path / "restart.1000").write_bytes(b"data" + RESTART_END)
    assert last_restart(tmp_path, 1000) == ("restart.500", 500)
    assert last_restart(tmp_path, 500) is None


def test_layouts():
    """Small runs go side by side; one large run gets all cores; determinism gets one thread."""
    free = {"ranks": 0, "threads": 0, "gpus": 0, "deterministic": False}
    assert choose_layout(2, 3, **free) == Layout(2, 1, 1)
    assert choose_layout(8, 1, **free) == Layout(1, 8, 1)
    assert choose_layout(8, 3, **{**free, "ranks": 4}) == Layout(2, 4, 1)
    assert choose_layout(16, 3, **{**free, "gpus": 2}) == Layout(1, 2, 8)
    assert choose_layout(8, 1, **{**free, "deterministic": True}) == Layout(1, 1, 1)
