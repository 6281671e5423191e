"""Radial distribution functions and densities of arrangements that are known exactly."""

import numpy as np
import pytest

from ionstride.errors import InputError
from ionstride.mechanism import density_views, ion_density, radial_distribution, smooth_density, write_density
from ionstride.records import Structure, Trajectory

TRICLINIC = np.array([[7.0, 0.0, 0.0], [2.5, 6.5, 0.0], [-1.5, 2.0, 8.0]])


def still(symbols, positions, cell, frames=2, **more):
    """A trajectory of atoms that do not move."""
    path = np.broadcast_to(positions, (frames, *np.shape(positions)))
    return Trajectory(tuple(symbols), path, cell, np.arange(float(frames)), 300.0, **more)


def test_primitive_fcc_has_its_shells():
    """Fault: images beyond half the cell missed; in a primitive cell all neighbours are images of the atom itself."""
    cell = 2.0 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    found = radial_distribution(still(["Li"], [[0.3, 0.2, 9.9]], cell), "Li", "Li", r_max_A=6.0, bins=600)
    shells = {2.9: 12, 4.1: 18, 5.0: 42, 5.8: 54}  # 12, 6, 24 and 12 atoms at 4/√2, 4, 4·√1.5 and 4·√2 Å
    for radius, atoms in shells.items():
        assert found.coordination[np.searchsorted(found.upper_A, radius)] == atoms
    assert found.first_peak_A == pytest.approx(4.0 / np.sqrt(2.0), abs=0.01)
    assert found.coordination_number.value == 12


def test_ideal_gas_is_flat_in_a_skewed_cell():
    """Fault: shells cut by the minimum-image cell, or a wrong mean density: g of a gas is 1 at any distance."""
    rng = np.random.default_rng(1)
    atoms = 40
    symbols = ["Li"] * atoms + ["S"] * atoms
    fractions = rng.uniform(-2.0, 2.0, (400, 2 * atoms, 3))
    gas = Trajectory(tuple(symbols), fractions @ TRICLINIC, TRICLINIC, np.arange(400.0), 300.0)
    unlike = radial_distribution(gas, "Li", "S", r_max_A=9.0, bins=9, stride=1)
    like = radial_distribution(gas, "Li", "Li", r_max_A=3.0, bins=3, stride=1)
    pairs = 400 * atoms * atoms / gas.volume_A3 * 4.0 / 3.0 * np.pi * np.diff(np.append(0.0, unlike.upper_A) ** 3)
    assert np.abs((unlike.g - 1.0) * np.sqrt(pairs)).max() < 8.0  # images share their noise beyond half the cell
    np.testing.assert_allclose(unlike.g[3:], 1.0, atol=0.02)
    assert like.g[2] == pytest.approx(1.0 - 1.0 / atoms, abs=0.02)
    assert unlike.first_minimum_A is None and unlike.coordination_number is None


def test_coordination_of_a_tetrahedron():
    """Fault: the first shell cut at a wrong minimum; the gap behind P-S must hold no atom."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 2.05 / np.sqrt(3.0)
    rng = np.random.default_rng(2)
    cell = np.eye(3) * 8.0
    positions = np.concatenate([[[0.0, 0.0, 0.0]], corners])
    path = positions + rng.normal(0.0, 0.06, (60, 5, 3))
    run = Trajectory(("P", "S", "S", "S", "S"), path, cell, np.arange(60.0), 300.0)
    found = radial_distribution(run, "P", "S", r_max_A=7.9)
    assert found.coordination_number.value == 4.0
    assert (found.coordination_number.low, found.coordination_number.high) == (4.0, 4.0)
    assert 2.3 < found.first_minimum_A < 5.5


def test_few_pairs_of_a_gas_are_no_shell():
    """Fault: one chance encounter at a short distance, where hardly a pair is expected, taken for a first shell."""
    rng = np.random.default_rng(5)
    for _ in range(10):
        path = rng.uniform(0.0, 20.0, (1, 12, 3)) + np.cumsum(rng.normal(0.0, 0.1, (200, 12, 3)), axis=0)
        run = Trajectory(("Li",) * 12, path, 20.0 * np.eye(3), np.arange(200.0), 300.0)
        found = radial_distribution(run, "Li", "Li")
        assert found.first_minimum_A is None or found.coordination_number.value > 0.3


def test_breathing_cell_does_not_move_what_left_the_cell():
    """Fault: positions made as fractions × mean cell divided by each frame's own cell: far atoms breathe."""
    scale = 1.0 + 0.02 * np.sin(np.arange(50.0))
    cells = np.eye(3) * 10.0 * scale[:, None, None]
    fractions = np.array([[0.1, 0.1, 0.1], [0.3 + 20.0, 0.1, 0.1]])
    path = np.broadcast_to(fractions @ cells.mean(axis=0), (50, 2, 3))
    source = {"unwrap": "minimum-image steps in fractional coordinates x mean cell"}
    run = Trajectory(("Li", "S"), path, cells, np.arange(50.0), 300.0, source)
    found = radial_distribution(run, "Li", "S", r_max_A=4.0, bins=400)
    seen = found.r_A[found.g > 0]
    assert seen.min() > 2.0 * 0.979 and seen.max() < 2.0 * 1.021
    # The ion is where its fraction of the mean cell says, in one grid point.
    assert (ion_density(run, "Li").density_A3 > 0).sum() == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda run: radial_distribution(run, "Li", "Na"), "present: Li, S"),
        (lambda run: radial_distribution(run, "Li", "S", r_max_A=-1.0), "above zero"),
        (lambda run: radial_distribution(run, "Li", "S", stride=0), "stride"),
        (lambda run: ion_density(run, "K"), "present: Li, S"),
        (lambda run: ion_density(run, "Li", spacing_A=0.0), "spacing_A"),
        (lambda run: ion_density(run, "Li", spacing_A=1e-3), "coarser"),
    ],
)
def test_wrong_requests_are_told_in_a_sentence(call, said):
    """Fault: a traceback of NumPy, or a grid that fills the memory."""
    with pytest.raises(InputError, match=said):
        call(still(["Li", "S"], [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]], np.eye(3) * 8.0))


def test_density_holds_all_ions_and_no_drift():
    """Fault: a crystal that drifts as a whole smears its density; wrapped or dropped ions change the integral."""
    drift = np.linspace(0.0, 5.0, 30)[:, None, None] * np.array([1.0, -0.7, 0.4])
    positions = np.array([[1.0213, 1.1217, 1.0331], [8.9371, -3.1173, 14.0893], [3.0, 3.0, 3.0], [5.0, 1.0, 2.0]])
    run = Trajectory(("Li", "Li", "P", "S"), positions + drift, TRICLINIC, np.arange(30.0), 300.0)
    density = ion_density(run, "Li", spacing_A=0.25)
    voxel = density.volume_A3 / density.density_A3.size
    assert density.density_A3.sum() * voxel == pytest.approx(2.0, rel=1e-12)
    assert (density.density_A3 > 0).sum() == 2
    where = np.argwhere(density.density_A3 > 0) / density.density_A3.shape
    for fraction in positions[:2] @ np.linalg.inv(TRICLINIC):
        miss = where - fraction
        miss -= np.rint(miss)
        assert np.linalg.norm(miss @ TRICLINIC, axis=1).min() < 0.3
    assert density.atoms.symbols == ("P", "S")


def test_smoothing_is_isotropic_in_a_skewed_cell():
    """Fault: a Gaussian in grid steps is an ellipsoid in a skewed cell."""
    density = ion_density(still(["Li"], [[0.0, 0.0, 0.0]], TRICLINIC), "Li", spacing_A=0.2)
    smooth = smooth_density(density, 0.5)
    assert smooth.density_A3.sum() == pytest.approx(density.density_A3.sum(), rel=1e-12)
    axes = [np.fft.fftfreq(n) for n in smooth.density_A3.shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) @ TRICLINIC
    weight = smooth.density_A3 / smooth.density_A3.sum()
    spread = np.einsum("xyz,xyzi,xyzj->ij", weight, points, points)
    np.testing.assert_allclose(spread, 0.25 * np.eye(3), atol=2e-3)


@pytest.fixture
def uneven_density():
    """A density in a skewed cell whose grid has three different lengths, with atoms out of alphabetical order."""
    rng = np.random.default_rng(3)
    path = np.array([[1.0, 2.0, 3.0], [4.0, 1.0, 5.0], [6.0, 6.0, 6.0]]) + rng.normal(0.0, 0.4, (50, 3, 3)) * [
        [[1.0], [0.0], [0.0]]
    ]
    run = Trajectory(("Li", "S", "P"), path, TRICLINIC, np.arange(50.0), 300.0)
    return ion_density(run, "Li", spacing_A=0.6)


def test_chgcar_is_read_back_by_others(uneven_density, tmp_path):
    """Fault: axes in the wrong order, volume left out, atoms under the wrong element."""
    from ase.calculators.vasp import VaspChargeDensity

    path = write_density(tmp_path / "CHGCAR_Li", uneven_density)
    read = VaspChargeDensity(str(path))
    np.testing.assert_allclose(read.chg[0], uneven_density.density_A3, rtol=1e-9)
    assert read.atoms[0].get_chemical_symbols() == ["P", "S"]
    expected = np.array([[6.0, 6.0, 6.0], [4.0, 1.0, 5.0]]) @ np.linalg.inv(TRICLINIC)
    miss = read.atoms[0].get_scaled_positions() - expected
    np.testing.assert_allclose(miss - np.rint(miss), 0.0, atol=1e-8)
    from pymatgen.io.vasp import Chgcar

    chgcar = Chgcar.from_file(str(path))
    values = chgcar.data["total"]
    assert values.mean() == pytest.approx(1.0, rel=1e-9)  # density × volume: the mean is the number of ions
    np.testing.assert_allclose(values, uneven_density.density_A3 * uneven_density.volume_A3, rtol=1e-9)
    assert list(tmp_path.iterdir()) == [path]


def test_cube_is_read_back_by_others(uneven_density, tmp_path):
    """Fault: Å taken for Bohr: the cell is half as large, and the integral an eighth or eight times."""
    from ase.io.cube import read_cube
    from ase.units import Bohr

    path = write_density(tmp_path / "li.cube", uneven_density)
    with path.open() as stream:
        read = read_cube(stream)
    np.testing.assert_allclose(read["atoms"].cell.array, TRICLINIC, atol=1e-4)
    np.testing.assert_allclose(read["data"], uneven_density.density_A3 * Bohr**3, rtol=1e-5)
    voxel = np.abs(np.linalg.det(read["atoms"].cell.array / Bohr)) / read["data"].size
    assert read["data"].sum() * voxel == pytest.approx(1.0, rel=1e-4)


def test_density_file_names_and_atoms(uneven_density, tmp_path):
    """Fault: an unknown name writes something; atoms of another cell are written beside the density."""
    with pytest.raises(InputError, match=r"li\.xyz"):
        write_density(tmp_path / "li.xyz", uneven_density)
    other = Structure(("S",), np.zeros((1, 3)), np.eye(3) * 5.0)
    with pytest.raises(InputError, match="another cell"):
        write_density(tmp_path / "li.cube", uneven_density, atoms=other)
    assert list(tmp_path.iterdir()) == []


def test_views_hold_the_asked_part(uneven_density):
    """Fault: projections along the wrong axis; a picture that shows another part of the ions than it says."""
    views = density_views(uneven_density, part=0.7)
    voxel = uneven_density.volume_A3 / uneven_density.density_A3.size
    assert 0.7 - 1e-9 <= sum(views["point_density_A3"]) * voxel < 0.75
    x, y, z = uneven_density.density_A3.shape
    assert np.shape(views["projection"]["a"]) == (y, z) and np.shape(views["projection"]["c"]) == (x, y)
