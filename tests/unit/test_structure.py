"""Reading structures and finding polyhedra."""

import os
from pathlib import Path

import numpy as np
import pytest

from ionstride.errors import FormatError, InputError
from ionstride.geometry import intact, shortest_distances
from ionstride.records import Polyhedron, Structure
from ionstride.structure import find_polyhedra, make_supercell, parse_polyhedra, read_structure, write_structure

LGPS = Path(__file__).parents[2] / "examples" / "lgps" / "LGPS.vasp"
CIF = """data_x
_cell_length_a 4.0
_cell_length_b 4.0
_cell_length_c 6.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Li1 Li 0 0 0 {}
S1 S 0.5 0.5 0.5 1.0
"""


def test_example_cell_is_whole():
    """Prevents an example that starts from broken tetrahedra or Li on top of Li."""
    structure = read_structure(LGPS)
    assert [structure.count(s) for s in ("Li", "Ge", "P", "S")] == [20, 2, 4, 24]
    assert list(dict.fromkeys(structure.symbols)) == ["Li", "Ge", "P", "S"]
    assert np.allclose(np.diag(structure.cell_A), [8.71771, 8.71771, 12.63452])
    found = find_polyhedra(structure, "Li")
    assert [(p.centre, p.ligand, p.count) for p in found] == [("Ge", "S", 4), ("P", "S", 4)]
    assert all(2.6 < p.cutoff_A < 3.2 for p in found)
    assert all(intact(found, structure.symbols, structure.positions_A, structure.cell_A))
    assert shortest_distances(structure.symbols, structure.positions_A, structure.cell_A)["Li", "Li"] > 2.4


@pytest.mark.parametrize("occupancy", ["0.691(5)", "0.5"])
def test_partial_occupancy_is_refused(tmp_path, occupancy):
    """Prevents ASE from making whole atoms of sites that are occupied in part."""
    (tmp_path / "x.cif").write_text(CIF.format(occupancy))
    with pytest.raises(InputError, match=r"occupied in part \(Li1 0\."):
        read_structure(tmp_path / "x.cif")


def test_full_occupancy_is_read(tmp_path):
    """Prevents full sites from being refused."""
    (tmp_path / "x.cif").write_text(CIF.format("1.0"))
    assert read_structure(tmp_path / "x.cif").symbols == ("Li", "S")


def test_overlap_is_refused(tmp_path):
    """Prevents sites on top of each other from reaching the calculator."""
    text = CIF.format("1.0") + "Li2 Li 0.05 0 0 1.0\n"
    (tmp_path / "x.cif").write_text(text)
    with pytest.raises(InputError, match=r"Li and Li are 0\.200 Å apart"):
        read_structure(tmp_path / "x.cif")


@pytest.mark.parametrize("name", ["x.cif", "POSCAR", "x.extxyz", "x.vasp"])
def test_unreadable_file_is_one_sentence(tmp_path, name):
    """Prevents a parser's traceback from reaching the user."""
    (tmp_path / name).write_text("not a crystal\nat all\n")
    with pytest.raises(FormatError) as caught:
        read_structure(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_missing_file_and_missing_cell(tmp_path):
    """Prevents a molecule, or nothing, from passing for a crystal."""
    with pytest.raises(InputError, match="is not there"):
        read_structure(tmp_path / "no.cif")
    (tmp_path / "m.xyz").write_text("1\n\nLi 0 0 0\n")
    with pytest.raises(FormatError, match="no cell"):
        read_structure(tmp_path / "m.xyz")


def test_left_handed_cell_keeps_the_crystal(tmp_path):
    """Prevents a mirror image: distances must survive making the cell right-handed."""
    positions = "0.1 0.2 0.3\n0.6 0.4 0.8\n0.9 0.7 0.5"
    (tmp_path / "POSCAR").write_text(f"x\n1.0\n0 6 1\n5 0 0\n0 1 8\nLi S\n1 2\nDirect\n{positions}\n")
    from ase.io import read

    raw = read(tmp_path / "POSCAR")
    structure = read_structure(tmp_path / "POSCAR")
    assert np.linalg.det(raw.cell.array) < 0 < np.linalg.det(structure.cell_A)
    want = shortest_distances(structure.symbols, raw.positions, raw.cell.array)
    assert shortest_distances(structure.symbols, structure.positions_A, structure.cell_A) == pytest.approx(want)


def test_supercell_is_the_same_crystal():
    """Prevents a supercell with atoms missing, doubled or ungrouped."""
    structure = read_structure(LGPS)
    large = make_supercell(structure, (2, 1, 2))
    assert large.volume_A3 == pytest.approx(4 * structure.volume_A3)
    assert large.count("Li") == 80 and list(dict.fromkeys(large.symbols)) == ["Li", "Ge", "P", "S"]
    assert all(large.symbols[i] <= large.symbols[i] for i in range(200))
    want = shortest_distances(structure.symbols, structure.positions_A, structure.cell_A)
    found = shortest_distances(large.symbols, large.positions_A, large.cell_A)
    assert {k: v for k, v in found.items() if k != ("Ge", "Ge")} == pytest.approx(
        {k: v for k, v in want.items() if k != ("Ge", "Ge")}
    )
    assert make_supercell(structure, (1, 1, 1)) is structure
    with pytest.raises(InputError, match="whole numbers"):
        make_supercell(structure, (0, 1, 1))


def test_polyhedra_texts():
    """Prevents a mistyped polyhedron from watching nothing."""
    assert parse_polyhedra(["P-S:4:2.9", "Zr-O:6:2.8"]) == [Polyhedron("P", "S", 4, 2.9), Polyhedron("Zr", "O", 6, 2.8)]
    for text in ("P-S:4", "P-S:0:2.9", "PS:4:2.9", "P-S:4:-1", "P-S:4:0"):
        with pytest.raises(InputError, match="centre-ligand"):
            parse_polyhedra([text])


def test_absent_mobile_element_is_named():
    """Prevents a typo in the mobile element from giving an empty study."""
    structure = Structure(("Na", "Cl"), np.array([[0.0, 0, 0], [2.8, 0, 0]]), np.eye(3) * 5.6)
    with pytest.raises(InputError, match="Na"):
        find_polyhedra(structure, "Li")
    assert find_polyhedra(structure, "Na") == []


@pytest.mark.parametrize("name", ["x.extxyz", "x.vasp", "POSCAR_relaxed", "x.cif"])
def test_written_structure_reads_back(tmp_path, name):
    """Prevents a written file from being another crystal, or leaving litter behind."""
    structure = read_structure(LGPS)
    write_structure(structure, tmp_path / name)
    back = read_structure(tmp_path / name)
    assert back.symbols == structure.symbols and [p.name for p in tmp_path.iterdir()] == [name]
    want = shortest_distances(structure.symbols, structure.positions_A, structure.cell_A)
    assert shortest_distances(back.symbols, back.positions_A, back.cell_A) == pytest.approx(want, abs=1e-4)


def test_unknown_name_is_refused(tmp_path):
    """Prevents a format guessed from nothing."""
    with pytest.raises(InputError, match="no known format"):
        write_structure(read_structure(LGPS), tmp_path / "x.dat")


@pytest.mark.realdata
@pytest.mark.skipif("IONSTRIDE_REALDATA" not in os.environ, reason="IONSTRIDE_REALDATA is not set")
@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("LGPS_200at.vasp", [("Ge", "S", 4), ("P", "S", 4)]),
        ("Li7P3S11_LiPS20_frame0.vasp", [("P", "S", 4)]),
        ("beta-Li3PS4_LiPS20_frame0.vasp", [("P", "S", 4)]),
        ("alpha-LiZr2P3O12_R-3c_hex108_from_nap.cif", [("Zr", "O", 6), ("P", "O", 4)]),
        ("mp-1097035_Li20Si3P3S23Cl.cif", [("P", "S", 4)]),
    ],
)
def test_polyhedra_of_known_crystals(name, want):
    """Prevents wrong polyhedra from stopping good MD or passing broken MD."""
    structure = read_structure(Path(os.environ["IONSTRIDE_REALDATA"]) / "structures" / name)
    assert [(p.centre, p.ligand, p.count) for p in find_polyhedra(structure, "Li")] == want
