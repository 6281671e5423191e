"""Sites, jumps and percolation of synthetic ions whose hops are known one by one."""

import numpy as np
import pytest
from scipy.signal import lfilter

from ionstride.errors import InputError, PhysicsError
from ionstride.mechanism import (
    assign_sites,
    find_jumps,
    ion_density,
    jump_statistics,
    percolation,
    sites_from_density,
    sites_from_structure,
)
from ionstride.records import Structure, Trajectory

HOPS = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])


def vibration(rng, ions, frames, memory, amplitude_A):
    """Ornstein-Uhlenbeck vibration about a site."""
    keep = np.exp(-1.0 / memory)
    kick = rng.normal(0.0, amplitude_A * np.sqrt(1.0 - keep**2), (ions, frames, 3))
    kick[:, 0] = rng.normal(0.0, amplitude_A, (ions, 3))
    return lfilter([1.0], [1.0, -keep], kick, axis=1)


def lattice(cell, repeats):
    """Structure of one lithium in each corner of a supercell of `cell`."""
    corners = np.stack(np.meshgrid(*(np.arange(n) for n in repeats), indexing="ij"), axis=-1).reshape(-1, 3)
    return Structure(("Li",) * len(corners), (corners + 0.25) @ cell, cell * np.array(repeats)[:, None])


def hopping(rng, cell, ions, frames, *, rate, back=None, repeats=(4, 4, 4), amplitude_A=0.25, hops=HOPS):
    """Ions that hop by vectors of `cell` and vibrate; an inert framework atom drifts along with them.

    Returns the trajectory, the sites' structure, the number of hops and the number of hops that undo the one before.
    """
    hop = rng.random((ions, frames)) < rate
    hop[:, :3] = hop[:, -3:] = False
    at = np.empty((ions, frames, 3))
    hopped = undone = 0
    for i in range(ions):
        place = rng.integers(0, 4, 3)
        last = None
        for t in range(frames):
            if hop[i, t]:
                returns = last is not None and back is not None and rng.random() < back
                if returns:
                    step = last ^ 1
                elif last is None or back is None:
                    step = int(rng.integers(len(hops)))
                else:
                    step = int(rng.choice([s for s in range(len(hops)) if s != last ^ 1]))
                undone += last is not None and step == last ^ 1
                place = place + hops[step]
                last = step
                hopped += 1
            at[i, t] = place
    path = (at + 0.25) @ cell + vibration(rng, ions, frames, 1.0, amplitude_A)
    drift = np.linspace(0.0, 2.0, frames)[:, None] * np.array([1.0, -1.0, 0.5])
    everything = np.concatenate([path, np.zeros((1, frames, 3))]) + drift
    sites = lattice(cell, repeats)
    run = Trajectory(
        ("Li",) * ions + ("S",), everything.transpose(1, 0, 2), sites.cell_A, np.arange(frames) * 0.1, 600.0
    )
    return run, sites, hopped, undone


def rare(rng, ions, frames, *, back=None, **more):
    """Hops of 3 Å on a cubic lattice, 0.05 per ps and ion."""
    return hopping(rng, 3.0 * np.eye(3), ions, frames, rate=0.005, back=back, **more)


def test_hops_are_found_one_by_one():
    """Fault: vibration counted as jumps, jumps missed, or the drift of the crystal taken for motion of its ions."""
    run, structure, hopped, undone = rare(np.random.default_rng(1), 24, 3000, back=0.5)
    jumps = find_jumps(assign_sites(run, sites_from_structure(structure, "Li")))
    assert hopped > 300
    assert len(jumps) == pytest.approx(hopped, rel=0.02)  # two hops within the vibration's memory may be seen as one
    assert jumps.back.sum() == pytest.approx(undone, rel=0.04)
    np.testing.assert_allclose(np.median(jumps.length_A), 3.0)
    assert jumps.observed_ps == pytest.approx(24 * 299.9, rel=0.01)
    assert (jumps.left < jumps.arrived).all()


def test_intervals_cover_the_known_rate_and_back_jumps():
    """Fault: intervals too narrow for what they promise (95 %): of 60 at least 52 must hold the truth."""
    rng = np.random.default_rng(2)
    rate_inside = back_inside = length_inside = 0
    for _ in range(60):
        run, structure, _, _ = rare(rng, 12, 800, back=0.4)
        found = jump_statistics(find_jumps(assign_sites(run, sites_from_structure(structure, "Li"))))
        truth = 0.005 * (800 - 6) / 800 / 0.1
        rate_inside += found.rate_per_ps.low <= truth <= found.rate_per_ps.high
        back_inside += found.back_fraction.low <= 0.4 <= found.back_fraction.high
        D = truth * 9.0 / 6.0 * 1e-4
        length_inside += found.D_uncorrelated_cm2_s.low <= D <= found.D_uncorrelated_cm2_s.high
        assert found.residence_ps.value == pytest.approx(1.0 / found.rate_per_ps.value)
    assert min(rate_inside, back_inside, length_inside) >= 52


def test_a_start_that_fails_is_no_jump():
    """Fault: the nearest site changes each time an ion looks over the boundary; no core is entered."""
    frames = 200
    look = np.where(np.arange(frames) % 10 == 5, 1.7, 0.0)  # the boundary is at 1.5 Å, the next core begins at 1.8 Å
    path = np.zeros((frames, 2, 3))
    path[:, 0, 0] = look
    path[:, 0] += 0.75
    run = Trajectory(("Li", "S"), path, 12.0 * np.eye(3), np.arange(frames) * 0.1, 600.0)
    sites = sites_from_structure(lattice(3.0 * np.eye(3), (4, 4, 4)), "Li")
    assert len(find_jumps(assign_sites(run, sites))) == 0
    quiet = jump_statistics(find_jumps(assign_sites(run, sites)))
    assert quiet.rate_per_ps.value == 0.0 and 0.1 < quiet.rate_per_ps.high < 0.3  # 3.69 events in 20 ps
    assert quiet.residence_ps.high == np.inf and quiet.back_fraction is None


FCC = 2.1 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
SKEWED = np.array([[3.2, 0.0, 0.0], [1.3, 3.0, 0.0], [-0.9, 0.8, 3.4]])


@pytest.mark.parametrize("cell", [FCC, SKEWED], ids=["fcc", "triclinic"])
def test_sites_are_found_in_the_density(cell):
    """Fault: maxima shifted by half a grid step, lost at the boundary, or doubled in a skewed cell."""
    rng = np.random.default_rng(3)
    run, structure, hopped, _ = hopping(rng, cell, 27, 1500, rate=0.01, repeats=(3, 3, 3), amplitude_A=0.3)
    sites = sites_from_density(ion_density(run, "Li"))
    assert len(sites) == 27
    difference = sites.fractional[:, None] - (structure.positions_A @ np.linalg.inv(structure.cell_A))[None]
    difference -= np.rint(difference)
    nearest = np.linalg.norm(difference @ structure.cell_A, axis=-1).min(axis=0)
    assert nearest.max() < 0.2
    history = assign_sites(run, sites)
    assert len(find_jumps(history)) == pytest.approx(hopped, rel=0.04)
    assert history.occupancy.sum() == pytest.approx(27.0, rel=0.01)


def test_noise_makes_no_sites():
    """Fault: every ripple of a short run's density becomes a site."""
    rng = np.random.default_rng(4)
    path = np.full((150, 1, 3), 2.0) + rng.normal(0.0, 0.35, (150, 1, 3))
    run = Trajectory(("Li",), path, 4.0 * np.eye(3), np.arange(150.0), 600.0)
    assert len(sites_from_density(ion_density(run, "Li", spacing_A=0.2))) == 1


@pytest.mark.parametrize("centre", [0.0, 1.0, 4.0])
def test_a_flat_site_is_one(centre):
    """Fault: an ion that rattles between two shallow dents counted as two sites, most of all across the boundary."""
    rng = np.random.default_rng(14)
    path = np.full((4000, 1, 3), centre) + rng.normal(0.0, 0.4, (4000, 1, 3))
    path[:, 0, 0] += rng.choice([-0.8, 0.8], 4000, p=[0.48, 0.52])
    run = Trajectory(("Li",), path, 8.0 * np.eye(3), np.arange(4000.0), 600.0)
    density = ion_density(run, "Li", spacing_A=0.2)
    assert len(sites_from_density(density)) == 1
    assert len(sites_from_density(density, saddle=1.0)) == 2
    path[:, 0, 0] += np.where(path[:, 0, 0] > centre, 0.5, -0.5)
    deep = Trajectory(("Li",), path, 8.0 * np.eye(3), np.arange(4000.0), 600.0)
    assert len(sites_from_density(ion_density(deep, "Li", spacing_A=0.2))) == 2


def test_each_site_has_its_own_core():
    """Fault: one radius for all: the core of a lone site would swallow half the way between two close ones."""
    positions = np.array([[1.0, 1.0, 1.0], [2.5, 1.0, 1.0], [7.0, 7.0, 7.0]])
    sites = sites_from_structure(Structure(("Li",) * 3, positions, 12.0 * np.eye(3)), "Li")
    np.testing.assert_allclose(sites.core_A, [0.6, 0.6, 1.2])
    path = np.tile(positions[0], (40, 1, 1))
    path[5::10, 0, 0] = 1.8  # 0.7 Å before the second site, nearer to it than to the first
    run = Trajectory(("Li",), path, 12.0 * np.eye(3), np.arange(40.0), 600.0)
    assert len(find_jumps(assign_sites(run, sites))) == 0
    path[5::10, 0, 0] = 2.0
    run = Trajectory(("Li",), path, 12.0 * np.eye(3), np.arange(40.0), 600.0)
    assert len(find_jumps(assign_sites(run, sites))) == 8


def test_onward_through_the_boundary_is_no_return():
    """Fault: in a cell of two sites every second jump ends at the first one's number, one cell further: not back."""
    path = np.zeros((40, 1, 3))
    path[:, 0, 0] = 0.75 + 3.0 * (np.arange(40) // 4)
    path[:, 0, 1:] = 0.75
    run = Trajectory(("Li",), path, 6.0 * np.eye(3), np.arange(40.0), 600.0)
    jumps = find_jumps(assign_sites(run, sites_from_structure(lattice(3.0 * np.eye(3), (2, 2, 2)), "Li")))
    assert len(jumps) == 9 and not jumps.back.any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_channel_leads_along_one_axis(axis):
    """Fault: a jump from a site to its own image is no jump where sites alone are compared."""
    hops = np.zeros((2, 3), dtype=int)
    hops[0, axis], hops[1, axis] = 1, -1
    for repeats in ((1, 1, 1), (2, 2, 2)):
        run, structure, hopped, _ = hopping(
            np.random.default_rng(5), 3.0 * np.eye(3), 2, 2000, rate=0.01, repeats=repeats, hops=hops
        )
        jumps = find_jumps(assign_sites(run, sites_from_structure(structure, "Li")))
        assert len(jumps) == pytest.approx(hopped, rel=0.05)
        found = percolation(jumps)
        assert found.along == tuple(k == axis for k in range(3))
        assert found.dimension == 1


def test_network_leads_everywhere_and_diagonal_is_one_channel():
    """Fault: dimension counted by axes: a diagonal channel advances along two vectors and is still one channel."""
    run, structure, _, _ = rare(np.random.default_rng(6), 16, 6000, repeats=(2, 2, 2))
    found = percolation(find_jumps(assign_sites(run, sites_from_structure(structure, "Li"))))
    assert found.along == (True, True, True) and found.dimension == 3 and found.largest_part == 1.0
    diagonal = np.array([[1, 1, 0], [-1, -1, 0]])
    run, structure, _, _ = hopping(
        np.random.default_rng(7), 3.0 * np.eye(3), 2, 2000, rate=0.01, repeats=(2, 2, 2), hops=diagonal
    )
    found = percolation(find_jumps(assign_sites(run, sites_from_structure(structure, "Li"))))
    assert found.along == (True, True, False) and found.dimension == 1


def test_cage_across_the_boundary_does_not_percolate():
    """Fault: any jump over the cell's boundary taken for a path through the crystal."""
    frames = 400
    side = (np.arange(frames) // 20) % 2  # to and fro over the boundary at x = 0
    path = np.zeros((frames, 2, 3))
    path[:, 0, 0] = np.where(side == 0, 1.0, -1.0)
    run = Trajectory(("Li", "S"), path, 10.0 * np.eye(3), np.arange(frames) * 0.1, 600.0)
    structure = Structure(("Li", "Li"), np.array([[1.0, 0.0, 0.0], [9.0, 0.0, 0.0]]), 10.0 * np.eye(3))
    jumps = find_jumps(assign_sites(run, sites_from_structure(structure, "Li")))
    assert len(jumps) == 19
    np.testing.assert_allclose(jumps.length_A, 2.0)
    assert jumps.back.sum() == 18
    found = percolation(jumps)
    assert found.along == (False, False, False) and found.dimension == 0 and found.largest_part == 1.0
    assert jump_statistics(jumps).back_fraction.value == 1.0


def test_sites_that_cannot_serve_are_refused():
    """Fault: sites of the unit cell laid over a supercell; split positions that make cores of no size."""
    run, structure, _, _ = rare(np.random.default_rng(8), 2, 50)
    with pytest.raises(InputError, match="another cell"):
        assign_sites(run, sites_from_structure(lattice(3.0 * np.eye(3), (2, 2, 2)), "Li"))
    with pytest.raises(InputError, match="present: Li"):
        sites_from_structure(structure, "Na")
    split = Structure(("Li", "Li"), np.array([[1.0, 0.0, 0.0], [1.2, 0.0, 0.0]]), 10.0 * np.eye(3))
    with pytest.raises(InputError, match="partly occupied"):
        sites_from_structure(split, "Li")
    with pytest.raises(InputError, match="must not touch"):
        sites_from_structure(structure, "Li", core=0.6)
    far = Structure(("Li",), np.array([[1.75, 1.75, 1.75]]), 12.0 * np.eye(3))
    with pytest.raises(PhysicsError, match="no ion"):
        frozen = Trajectory(("Li", "S"), np.full((9, 2, 3), 6.0), 12.0 * np.eye(3), np.arange(9.0), 600.0)
        jump_statistics(find_jumps(assign_sites(frozen, sites_from_structure(far, "Li"))))
    with pytest.raises(InputError, match="least"):
        percolation(find_jumps(assign_sites(run, sites_from_structure(structure, "Li"))), least=0)
