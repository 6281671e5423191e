"""The rigid-ion deck in LAMMPS: energies against an Ewald sum, conservation, and a framework that stays."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.data import atomic_masses, atomic_numbers

from ionstride.campaign import read_thermo, write_deck
from ionstride.deck import Phase, lmp_command, render_deck
from ionstride.geometry import intact_frames
from ionstride.potential import read_rigid_ions
from ionstride.process import environment, find_program, run_program
from ionstride.records import Polyhedron
from ionstride.settings import MdSettings
from ionstride.structure import read_structure
from ionstride.trajectory import read_trajectory

LZP = Path(__file__).resolve().parents[2] / "examples" / "lzp"
COULOMB_EV_A = 14.3996454785
STEPS = 240
MD = MdSettings(timestep_fs=2.0, frame_ps=0.04, ion_frame_ps=0.004, checkpoint_ps=0.4, start_K=1773.0)


def distances(structure, cutoff_A):
    """Pairs within a cut-off over all images: (i, j, r), each pair once in each direction."""
    spans = [range(-3, 4)] * 3
    shifts = np.array(np.meshgrid(*spans)).reshape(3, -1).T @ structure.cell_A
    i, j, r = [], [], []
    for shift in shifts:
        d = np.linalg.norm(structure.positions_A[None] + shift - structure.positions_A[:, None], axis=-1)
        near = np.argwhere((d < cutoff_A) & (d > 1e-6))
        i.append(near[:, 0])
        j.append(near[:, 1])
        r.append(d[near[:, 0], near[:, 1]])
    return np.concatenate(i), np.concatenate(j), np.concatenate(r)


def ewald_eV(structure, charge_e):
    """Energy of point charges by Ewald's sums, converged to 1e-5 of itself."""
    from scipy.special import erfc

    alpha, reach = 0.35, 12.0
    i, j, r = distances(structure, reach)
    real = 0.5 * np.sum(charge_e[i] * charge_e[j] * erfc(alpha * r) / r)
    volume = structure.volume_A3
    reciprocal = 2 * np.pi * np.linalg.inv(structure.cell_A).T
    m = np.array(np.meshgrid(*[range(-14, 15)] * 2, range(-30, 31))).reshape(3, -1).T
    k = m[(m != 0).any(axis=1)] @ reciprocal
    k = k[(k**2).sum(axis=1) < (2 * alpha * 4.5) ** 2]
    k2 = (k**2).sum(axis=1)
    factor = np.abs(np.exp(1j * k @ structure.positions_A.T) @ charge_e) ** 2
    far = 2 * np.pi / volume * np.sum(factor * np.exp(-k2 / (4 * alpha**2)) / k2)
    return COULOMB_EV_A * (real + far - alpha / np.sqrt(np.pi) * np.sum(charge_e**2))


def short_range_eV(structure, ions):
    """Energy of Morse wells and walls, each shifted to zero at the cut-off."""
    i, j, r = distances(structure, ions.cutoff_A)
    symbols = np.array(structure.symbols)
    total = 0.0
    for a, b, depth, slope, place, wall in ions.pairs:

        def energy(x, depth=depth, slope=slope, place=place, wall=wall):
            e = np.exp(-slope * (x - place))
            return depth * (e**2 - 2 * e) + wall / x**12

        of_pair = ((symbols[i] == a) & (symbols[j] == b)) | ((symbols[i] == b) & (symbols[j] == a))
        total += 0.5 * np.sum(energy(r[of_pair]) - energy(ions.cutoff_A))
    return total


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """LZP at 1773 K: NVT, then NVE as production; returns (structure, folder)."""
    folder = tmp_path_factory.mktemp("lzp")
    lmp = find_program("lmp")
    structure = read_structure(LZP / "LZP.vasp")
    phases = [
        Phase("equilibration", "nvt", 1773.0, 1773.0, 0, STEPS),
        Phase("production", "nve", 1773.0, 1773.0, STEPS, 2 * STEPS),
    ]
    deck = render_deck(
        structure, MD, phases, id="lzp", title="lzp", model="", elements=("Li", "Zr", "P", "O"), seed=11,
        rigid_ions=read_rigid_ions(LZP / "pedone.toml"), mobile="Li",
    )  # fmt: skip
    write_deck(deck, folder)
    run_program(lmp_command(MD, 1, str(lmp)), folder=folder, log=folder / "screen.log", env=environment(1))
    return structure, folder


def test_energy_of_the_crystal(run):
    """Fault: a charge, a pair or a sign gone to the wrong type; a Coulomb sum cut off."""
    structure, folder = run
    ions = read_rigid_ions(LZP / "pedone.toml")
    charge = np.array([ions.charge_e[s] for s in structure.symbols])
    expected = ewald_eV(structure, charge) + short_range_eV(structure, ions)
    found = read_thermo(folder / "log.lammps")[0, 3]
    assert np.isfinite(expected)
    assert abs(found - expected) < 0.02, (found, expected)


def test_energy_is_conserved(run):
    """Fault: a time step too long or forces that are not the slope of the energy."""
    structure, folder = run
    thermo = read_thermo(folder / "log.lammps")
    assert np.isfinite(thermo[:, :8]).all()
    nve = thermo[thermo[:, 0] >= STEPS]
    assert len(nve) > 8
    spread_meV_atom = 1000 * np.ptp(nve[:, 5]) / len(structure.symbols)
    assert spread_meV_atom < 4.0
    early, late = np.array_split(1000 * nve[:, 5] / len(structure.symbols), 2)
    assert abs(late.mean() - early.mean()) < 1.0
    assert np.ptp(nve[:, 3]) * 1000 / len(structure.symbols) > 5 * spread_meV_atom  # energy does flow meanwhile


def test_framework_stays(run):
    """Fault: a glass instead of a crystal: phosphate groups that come apart at 1773 K."""
    structure, folder = run
    path = read_trajectory(sorted(folder.glob("production.*.lammpstrj")), temperature_K=1773.0, timestep_ps=0.002)
    whole = intact_frames([Polyhedron("P", "O", 4, 2.2)], structure.symbols, path.positions_A, path.cell_A)
    assert whole.mean() > 0.9
    zr = np.array(path.symbols) == "Zr"
    assert np.linalg.norm(path.positions_A[:, zr] - path.positions_A[0, zr], axis=-1).max() < 1.5


def test_dump_of_ions_is_free_of_drift(run):
    """Fault: ions taken from the cell's corner while the framework drifts, or wrapped at its border."""
    _, folder = run
    frames = read_trajectory(sorted(folder.glob("production.*.lammpstrj")), temperature_K=1773.0, timestep_ps=0.002)
    ions = read_trajectory(sorted(folder.glob("ions.*.dump")), temperature_K=1773.0, timestep_ps=0.002, mobile="Li")
    assert set(ions.symbols) == {"Li"}
    assert len(ions.time_ps) == STEPS // 2 + 1
    symbols = np.array(frames.symbols)
    mass = np.array([atomic_masses[atomic_numbers[s]] for s in symbols]) * (symbols != "Li")
    centre = np.einsum("tac,a->tc", frames.positions_A, mass / mass.sum())
    expected = (frames.positions_A - centre[:, None])[:, symbols == "Li"]
    path = ions.positions_A[::10]
    assert np.abs((path - path[0]) - (expected - expected[0])).max() < 1e-3


def test_a_continued_run_is_the_same_run(tmp_path):
    """Fault: a run killed and continued is another one: order of atoms, rounding, a thermostat's state."""
    lmp, structure = find_program("lmp"), read_structure(LZP / "LZP.vasp")
    md = MdSettings(timestep_fs=2.0, frame_ps=0.02, ion_frame_ps=0.006, checkpoint_ps=0.05)
    phases = [Phase("ramp", "nvt", 300.0, 1500.0, 0, 70), Phase("cell", "npt", 1500.0, 1500.0, 70, 120)]

    def run(place, restart=None):
        deck = render_deck(
            structure, md, phases, id="lzp", title="lzp", model="", elements=("Li", "Zr", "P", "O"), seed=11,
            rigid_ions=read_rigid_ions(LZP / "pedone.toml"), mobile="Li", restart=restart,
        )  # fmt: skip
        digits = deck.files["in.lammps"].replace("%.6f", "%.17g").replace("%.5f", "%.17g").replace("%.10g", "%.17g")
        write_deck(dataclasses.replace(deck, files={**deck.files, "in.lammps": digits}), place)
        run_program(lmp_command(md, 1, str(lmp)), folder=place, log=place / "screen.log", env=environment(1))
        return {
            (path.name.split(".")[0], text.split("\n", 1)[0]): text
            for path in sorted(place.glob("*.lammpstrj"))
            for text in path.read_text().split("ITEM: TIMESTEP\n")[1:]
        }

    whole, thermo = run(tmp_path / "whole"), read_thermo(tmp_path / "whole" / "log.lammps")
    for step in (70, 95):  # between two phases, and within one
        place = tmp_path / f"from_{step}"
        place.mkdir()
        shutil.copy(tmp_path / "whole" / f"restart.{step}", place)
        again = run(place, (f"restart.{step}", step))
        assert set(again) == {at for at in whole if int(at[1]) > step or (at[0] == "cell" and int(at[1]) == step == 70)}
        assert all(whole[at] == text for at, text in again.items())
        assert np.array_equal(read_thermo(place / "log.lammps"), thermo[thermo[:, 0] >= step])
