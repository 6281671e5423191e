"""Rigid-ion potentials: the file, and the deck that LAMMPS gets."""

from pathlib import Path

import numpy as np
import pytest

from ionstride.deck import check_md, production_phases, render_deck
from ionstride.errors import FormatError, InputError
from ionstride.potential import RIGID_IONS, backend_of, read_rigid_ions, read_type_map
from ionstride.records import Structure
from ionstride.settings import MdSettings

PEDONE = Path(__file__).resolve().parents[2] / "examples" / "lzp" / "pedone.toml"
LI2O = Structure(("O", "Li", "Li"), np.array([[0.0, 0, 0], [1.1, 1.1, 1.1], [3.4, 3.4, 3.4]]), np.diag([4.6, 4.6, 4.6]))
MD = MdSettings(timestep_fs=2.0, production_ps=10.0, ion_frame_ps=0.004)


def deck(structure=LI2O, elements=("O", "Li"), md=MD, mobile="Li", restart=None):
    phases = production_phases(md, 600.0)
    return render_deck(
        structure, md, phases, id="r", title="t", model="pedone.toml", elements=elements, seed=7, restart=restart,
        rigid_ions=read_rigid_ions(PEDONE), mobile=mobile,
    ).files  # fmt: skip


def test_pairs_go_to_the_types_of_their_elements():
    """Fault: parameters of one pair given to another, or i > j, which LAMMPS refuses or sets for the wrong half."""
    text = deck()["in.lammps"]
    assert "pair_coeff      1 2 pedone 0.001114 3.429506 2.68136 1  # Li-O" in text
    assert "pair_coeff      1 1 pedone 0.042395 1.379316 3.618701 22  # O-O" in text
    assert text.count(" pedone 0.") == 2  # Zr and P are not in this crystal
    assert "kspace_style    pppm 0.0001" in text
    assert "deepmd" not in text


def test_charges_reach_the_data_file():
    """Fault: atoms without charge: no Coulomb forces, and no error from LAMMPS."""
    lines = deck()["data.lmp"].splitlines()
    start = lines.index("Atoms  # charge") + 2
    rows = [line.split() for line in lines[start : start + 3]]
    assert [row[1:3] for row in rows] == [["1", "-1.2"], ["2", "0.6"], ["2", "0.6"]]


def test_style_and_charges_after_a_restart():
    """Fault: a continued run without its pair style, k-space or charges."""
    text = deck(restart=("restart.3000", 3000))["in.lammps"]
    assert "atom_style      charge" in text
    assert "pair_coeff      * * coul/long" in text
    assert "kspace_style" in text
    assert "ions.0000003000.dump" in text
    assert "read_data" not in text


def test_ions_are_dumped_in_production_only():
    """Fault: equilibration among the data that a model is trained on."""
    text = deck()["in.lammps"]
    assert text.count("dump            ions mobile") == 1
    assert text.index("# production") < text.index("dump            ions mobile custom 2 ions.0000002500")
    assert "group           mobile type 2" in text
    assert "ions.0000002500.lammpstrj" not in text  # such files are watched, and twelve atoms are too few
    assert "dump            ions" not in deck(md=MdSettings(timestep_fs=2.0, production_ps=10.0))["in.lammps"]


def test_a_charged_cell_is_refused():
    """Fault: an Ewald sum with a silent neutralising background."""
    charged = Structure(LI2O.symbols[:2], LI2O.positions_A[:2], LI2O.cell_A)
    with pytest.raises(InputError, match=r"charge of -0.600 e"):
        deck(charged)


def test_an_element_without_charge():
    """Fault: a KeyError as the answer to a wrong crystal."""
    sulphide = Structure(("S", "Li", "Li"), LI2O.positions_A, LI2O.cell_A)
    with pytest.raises(InputError, match="no charge for S"):
        deck(sulphide, ("S", "Li"))


def test_ions_want_a_framework():
    """Fault: paths taken from the centre of mass of no atoms."""
    with pytest.raises(InputError, match="Na ions among other atoms"):
        deck(mobile="Na")
    with pytest.raises(InputError, match="ion_frame_ps"):
        check_md(MdSettings(timestep_fs=2.0, ion_frame_ps=0.001))


def test_the_file_is_a_potential_like_others():
    """Fault: `potential.model = "x.toml"` handed to DeePMD."""
    assert backend_of(PEDONE) == RIGID_IONS
    assert read_type_map(PEDONE, PEDONE.parent) == ("Li", "Zr", "P", "O")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Li = 0.6", 'Li = "0.6"', "finite number"),
        ("Li = 0.6", "Li = true", "finite number"),
        ("cutoff_A = 7.0", "cutoff = 7.0", "unknown key 'cutoff'"),
        ("cutoff_A = 7.0", "", "'cutoff_A' is missing"),
        ("cutoff_A = 7.0", "cutoff_A = -7.0", "more than 0"),
        ("Li-O = [", "Na-O = [", "'Na' has no charge_e"),
        ("Li-O = [0.001114, ", "Li-O = [", "four numbers"),
        ("[pairs]", "[pairs", "no readable rigid-ion file"),
    ],
)
def test_files_that_cannot_be(tmp_path, old, new, said):
    """Fault: a damaged or mistyped potential that runs, or a traceback."""
    file = tmp_path / "x.toml"
    file.write_text(PEDONE.read_text().replace(old, new, 1))
    with pytest.raises(FormatError, match=said):
        read_rigid_ions(file)
