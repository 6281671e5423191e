"""Element names compared wherever they travel: data file, pair_coeff, dump, restart file, set, trajectory."""

import struct

import numpy as np
import pytest

from ionstride.deck import production_phases, render_deck
from ionstride.deck.typecheck import (
    check_deck_types,
    check_restart_types,
    data_elements,
    input_elements,
    restart_masses,
)
from ionstride.errors import FormatError, InputError
from ionstride.labels.formats import read_deepmd
from ionstride.labels.setfile import write_system
from ionstride.records import LabelledFrames, RigidIons, Structure
from ionstride.settings import MdSettings
from ionstride.trajectory import read_trajectory
from ionstride.trajectory.lammps import elements_of

CELL = Structure(("Li", "S", "Li"), np.array([[0.1, 0.2, 0.3], [2.0, 2, 2], [1, 4, 5]]), 6.0 * np.eye(3))
MD = MdSettings(timestep_fs=2.0, production_ps=10.0, ion_frame_ps=0.02)
WALLS = {"Li-S": 2.3, "Li-Li": 2.5, "S-S": 3.2}


def deck(walls=None, rigid=None, restart=None):
    files = render_deck(
        CELL, MD, production_phases(MD, 600.0), id="a", title="t", model="/m/model.pb", elements=("Li", "S"), seed=7,
        shortest_A=walls, rigid_ions=rigid, mobile="Li", restart=restart,
    ).files  # fmt: skip
    return dict(files)


RIGID = RigidIons(
    charge_e={"Li": 1.0, "S": -2.0}, pairs=(("Li", "S", 0.01, 1.0, 3.0, 1.0), ("S", "S", 0.01, 1.0, 3.0, 1.0)),
    cutoff_A=6.0, coulomb_cutoff_A=6.0, kspace_accuracy=1e-4, source="toy",
)  # fmt: skip


@pytest.mark.parametrize("kind", [{}, {"walls": WALLS}, {"rigid": RIGID}, {"restart": ("restart.3000", 3000)}])
def test_what_is_written_reads_back(kind):
    """Fault: a check that refuses good decks, or reads nothing and passes everything."""
    files = deck(**kind)
    assert data_elements(files["data.lmp"]) == ("Li", "S")
    said = input_elements(files["in.lammps"])
    assert set(said) == {"dump_modify frames", "dump_modify ions"} | (set() if "rigid" in kind else {"pair_coeff"})
    assert set(said.values()) == {("Li", "S")}
    check_deck_types(files, ("S", "P", "Li"), "/m/model.pb")  # the potential's own order does not matter
    with pytest.raises(InputError, match="knows Li, P, but the deck also has S"):
        check_deck_types(files, ("Li", "P"), "/m/model.pb")


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("in.lammps", "pair_coeff      * * Li S", "pair_coeff      * * S Li", "pair_coeff of in.lammps says S Li"),
        ("in.lammps", "pair_coeff      * * Li S", "pair_coeff      * *", "bare"),
        ("in.lammps", "frames sort id element Li S", "frames sort id element S Li", "dump_modify frames"),
        ("in.lammps", "ions sort id element Li S", "ions sort id element Li", "dump_modify ions"),
        ("data.lmp", "# Li\n", "# Na\n", "called Na"),
        ("data.lmp", "# Li\n", "\n", "does not name an element"),
        ("data.lmp", "(elements: Li S)", "(elements: S Li)", "title"),
        ("data.lmp", "2 atom types", "3 atom types", "3 atom types"),
        ("data.lmp", "2 2 2.0", "2 3 2.0", "type 3"),
    ],
)
def test_names_that_disagree_are_refused(file, old, new, said):
    """Fault: types that change their meaning between data file, potential and dump: another chemistry, no word."""
    files = deck()
    assert old in files[file], files[file]
    files[file] = files[file].replace(old, new)
    with pytest.raises(InputError, match=said):
        check_deck_types(files, ("Li", "S"), "m")


def test_both_swapped_in_the_data_file_are_seen_by_their_masses():
    """Fault: comments and atoms of an older data file with the types the other way round."""
    files = deck()
    swapped = files["data.lmp"].replace("# Li", "# x").replace("# S", "# Li").replace("# x", "# S")
    with pytest.raises(InputError, match="mass"):
        check_deck_types({**files, "data.lmp": swapped})


@pytest.mark.parametrize("kind", [{"walls": WALLS}, {"rigid": RIGID}])
def test_a_pair_of_types_for_other_elements(kind):
    """Fault: the wall or the well of Li-S stands between S and S."""
    files = deck(**kind)
    line = next(row for row in files["in.lammps"].splitlines() if row.endswith("# Li-S"))
    files["in.lammps"] = files["in.lammps"].replace(line, line.replace("1 2", "2 2", 1))
    with pytest.raises(InputError, match="pair_coeff 2 2"):
        check_deck_types(files)


def restart_file(path, masses):
    """The head of a restart file as LAMMPS writes it: magic, number of types, masses."""
    head = b"LammpS RestartT\0" + struct.pack("<ii", 1, 3) + struct.pack("<iiq", 16, 0, 3)
    head += struct.pack("<ii", 17, len(masses)) + bytes(100)
    path.write_bytes(head + struct.pack(f"<ii{len(masses)}d", 38, len(masses), *masses) + bytes(50))
    return path


def test_a_restart_file_of_other_types(tmp_path):
    """Fault: a run goes on from a restart file whose types are others than the deck's."""
    data = deck()["data.lmp"]
    good = restart_file(tmp_path / "restart.1", (6.94, 32.06))
    assert restart_masses(good) == (6.94, 32.06)
    check_restart_types(good, data)
    with pytest.raises(InputError, match="holds 3 types"):
        check_restart_types(restart_file(tmp_path / "restart.2", (6.94, 30.97, 32.06)), data)
    with pytest.raises(InputError, match="another order"):
        check_restart_types(restart_file(tmp_path / "restart.3", (32.06, 6.94)), data)


@pytest.mark.slow
def test_masses_of_a_real_restart_file(tmp_path):
    """Fault: the place of the masses in LAMMPS's restart files is another than we think, and the check is blind."""
    from ionstride.process import environment, find_program, run_program

    script = """units metal
    region b block 0 9 0 9 0 9
    create_box 3 b
    create_atoms 1 single 1 1 1
    create_atoms 2 single 4 4 4
    create_atoms 3 single 7 7 7
    mass 1 6.94
    mass 2 32.06
    mass 3 30.974
    pair_style lj/cut 3.0
    pair_coeff * * 0.01 2.0
    run 0
    write_restart restart.0
    """
    (tmp_path / "in.lammps").write_text(script)
    command = [str(find_program("lmp")), "-in", "in.lammps", "-log", "none"]
    run_program(command, folder=tmp_path, log=tmp_path / "log", env=environment(1))
    assert restart_masses(tmp_path / "restart.0") == (6.94, 32.06, 30.974)


DUMP = """ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
3
ITEM: BOX BOUNDS pp pp pp
0 6
0 6
0 6
ITEM: ATOMS id type element xu yu zu
1 1 {a} 0.{step} 0.2 0.3
2 2 {b} 2 2 2
3 1 {a} 1 4 5
"""


def dump(path, names, steps=(0, 1, 2)):
    path.write_text("".join(DUMP.format(step=step, a=names[0], b=names[1]) for step in steps))
    return path


def test_types_against_the_element_column(tmp_path):
    """Fault: `--types S,Li` believed against a dump that says Li and S: the MSD of S is called that of Li."""
    path = dump(tmp_path / "a.lammpstrj", ("Li", "S"))
    assert read_trajectory([path], temperature_K=300, timestep_ps=1.0, types=["Li", "S"]).symbols == ("Li", "S", "Li")
    with pytest.raises(InputError, match="--types says type 1 is S, but the dump's own element column says Li"):
        read_trajectory([path], temperature_K=300, timestep_ps=1.0, types=["S", "Li"])


def test_a_dump_that_calls_everything_carbon(tmp_path):
    """Fault: without `dump_modify element` LAMMPS writes C for every type."""
    path = dump(tmp_path / "a.lammpstrj", ("C", "C"))
    with pytest.raises(InputError, match="--types"):
        read_trajectory([path], temperature_K=300, timestep_ps=1.0)
    assert read_trajectory([path], temperature_K=300, timestep_ps=1.0, types=["Li", "S"]).symbols == ("Li", "S", "Li")
    alone = {"type": np.array([1, 1]), "element": np.array(["C", "C"])}  # carbon indeed, unless the user says otherwise
    assert elements_of(path, alone, ["Li"]) == ("Li", "Li")
    assert elements_of(path, alone, None) == ("C", "C")


def test_segments_of_a_run_with_other_elements(tmp_path):
    """Fault: a part of another run, in which the same ids are other elements, is joined to this one."""
    first, second = dump(tmp_path / "a.dump", ("Li", "S")), dump(tmp_path / "b.dump", ("S", "Li"), (3, 4, 5))
    with pytest.raises(InputError, match="disagree"):
        read_trajectory([first, second], temperature_K=300, timestep_ps=1.0)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("type.raw", "0\n-1\n0\n", "none of 0 to 1"),
        ("type.raw", "0\n2\n0\n", "none of 0 to 1"),
        ("type_map.raw", "Li\nLi\n", "twice"),
        ("type_map.raw", "Li\ntype_1\n", "no element"),
        ("type_map.raw", "Li\n", "none of 0 to 0"),
    ],
)
def test_a_set_whose_types_are_muddled(tmp_path, file, text, said):
    """Fault: a negative type counts from the end of type_map.raw, two types of one name become one."""
    frames = LabelledFrames(
        symbols=CELL.symbols,
        positions_A=np.array([CELL.positions_A] * 2),
        cell_A=np.array([CELL.cell_A] * 2),
        energy_eV=np.zeros(2),
        force_eV_A=np.zeros((2, 3, 3)),
        group=np.zeros(2, dtype=int),
        frame_number=np.arange(2),
        method="toy",
    )
    write_system(frames, ("Li", "S"), tmp_path / "s")
    assert read_deepmd(tmp_path / "s").symbols == CELL.symbols
    (tmp_path / "s" / file).write_text(text)
    with pytest.raises(FormatError, match=said):
        read_deepmd(tmp_path / "s")
