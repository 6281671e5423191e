"""Labelled frames from files, and the check of their units."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from ionstride.errors import FormatError, InputError
from ionstride.labels import check_units, read_frames

REALDATA = pytest.mark.skipif("IONSTRIDE_REALDATA" not in os.environ, reason="IONSTRIDE_REALDATA is not set")


def crystal(frames=40, seed=0, step=0.03, strain=0.003):
    """Return frames of Lennard-Jones argon named Li and S: positions, cell, energies, forces, virials."""
    from ase.build import bulk
    from ase.calculators.lj import LennardJones

    random = np.random.default_rng(seed)
    rows = []
    for _ in range(frames):
        atoms = bulk("Ar", "fcc", a=3.4, cubic=True) * (2, 2, 2)
        atoms.positions += random.normal(0, step, atoms.positions.shape)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + random.uniform(-strain, strain) * np.eye(3)), scale_atoms=True)
        atoms.calc = LennardJones(sigma=2.2, epsilon=0.1, rc=5.0, smooth=True)
        virial = -atoms.get_volume() * atoms.get_stress(voigt=False)
        rows.append((atoms.positions, atoms.cell.array, atoms.get_potential_energy(), atoms.get_forces(), virial))
    return [np.array(column) for column in zip(*rows, strict=True)]


def write_deepmd(folder, data, types=None, virial=True):
    positions, cell, energy, force, virials = data
    types = np.array([0, 1] * 16) if types is None else types
    one = folder / "set.000"
    one.mkdir(parents=True)
    (folder / "type.raw").write_text("\n".join(map(str, types)))
    (folder / "type_map.raw").write_text("Li\nS\n")
    n = len(energy)
    for name, array in (("coord", positions), ("box", cell), ("energy", energy), ("force", force)):
        np.save(one / f"{name}.npy", array.reshape(n, -1) if name != "energy" else array)
    if virial:
        np.save(one / "virial.npy", virials.reshape(n, 9))


def write_npz(file, data, **changed):
    positions, cell, energy, force, _ = data
    arrays = {"pos": positions, "cell": cell, "energy": energy[:, None], "forces": force}
    arrays["atomic_numbers"] = np.array([3, 16] * 16)
    np.savez(file, **{**arrays, **changed})


def test_formats_agree(tmp_path):
    """Prevents one format from being read differently from another."""
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    data = crystal(4)
    write_deepmd(tmp_path / "a" / "sys", data)
    write_npz(tmp_path / "b.npz", data)
    images = []
    for x, c, e, f, w in zip(*data, strict=True):
        atoms = Atoms(["Li", "S"] * 16, positions=x, cell=c, pbc=True)
        stress = (-w / atoms.get_volume()).ravel()[[0, 4, 8, 5, 2, 1]]
        atoms.calc = SinglePointCalculator(atoms, energy=e, forces=f, stress=stress)
        images.append(atoms)
    write(tmp_path / "c.extxyz", images)
    for atoms, e, f in zip(images, data[2], data[3], strict=True):
        atoms.calc = None
        atoms.info["REF_energy"], atoms.arrays["REF_forces"] = e, f
    write(tmp_path / "d.extxyz", images)
    for name in ("a", "b.npz", "c.extxyz", "d.extxyz"):
        frames = read_frames([tmp_path / name], method="LJ")
        assert frames.method == "LJ" and frames.symbols == ("Li", "S") * 16
        assert np.allclose(frames.positions_A, data[0], atol=1e-7) and np.allclose(
            frames.force_eV_A, data[3], atol=1e-7
        )
        assert np.allclose(frames.energy_eV, data[2]) and np.allclose(frames.cell_A, data[1], atol=1e-7)
        if name in ("a", "c.extxyz"):
            assert np.allclose(frames.virial_eV, data[4], atol=1e-6)


def test_groups_and_missing_virial(tmp_path):
    """Prevents frames of different runs from sharing a group, and a virial made up where one is missing."""
    write_deepmd(tmp_path / "p" / "one", crystal(3, 1))
    write_deepmd(tmp_path / "p" / "two", crystal(2, 2), virial=False)
    frames = read_frames([tmp_path / "p"])
    assert frames.group.tolist() == [0, 0, 0, 1, 1] and frames.frame_number.tolist() == [0, 1, 2, 0, 1]
    assert frames.has_virial.tolist() == [True] * 3 + [False] * 2
    assert read_frames([tmp_path / "p" / "one"]).has_virial.all()
    assert read_frames([tmp_path / "p" / "two"]).virial_eV is None


def test_frame_number_sorts_everything_alike(tmp_path):
    """Prevents energies from being sorted apart from positions."""
    data = crystal(5)
    write_npz(tmp_path / "x.npz", data)
    np.save(tmp_path / "n.npy", [40, 10, 30, 20, 50])
    frames = read_frames([tmp_path / "x.npz"], frame_number=tmp_path / "n.npy")
    order = [1, 3, 2, 0, 4]
    assert frames.frame_number.tolist() == [10, 20, 30, 40, 50]
    assert np.array_equal(frames.energy_eV, data[2][order]) and np.array_equal(frames.positions_A, data[0][order])
    assert np.array_equal(frames.force_eV_A, data[3][order])
    for bad, text in (([1, 2, 3], "3 frame numbers for 5"), ([1, 1, 2, 3, 4], "twice"), ([0.5, 1, 2, 3, 4], "whole")):
        np.save(tmp_path / "n.npy", bad)
        with pytest.raises(FormatError, match=text):
            read_frames([tmp_path / "x.npz"], frame_number=tmp_path / "n.npy")


def test_other_order_of_atoms_is_permuted_alike(tmp_path):
    """Prevents forces from landing on the wrong atoms when the order differs between files."""
    data = crystal(3)
    write_npz(tmp_path / "a.npz", data)
    order = np.random.default_rng(0).permutation(32)
    numbers = np.array([3, 16] * 16)[order]
    write_npz(tmp_path / "b.npz", data, pos=data[0][:, order], forces=data[3][:, order], atomic_numbers=numbers)
    frames = read_frames([tmp_path / "a.npz", tmp_path / "b.npz"])
    assert frames.symbols == ("Li",) * 16 + ("S",) * 16
    for f in range(3):
        mine = {tuple(x): tuple(v) for x, v in zip(frames.positions_A[f], frames.force_eV_A[f], strict=True)}
        other = {tuple(x): tuple(v) for x, v in zip(frames.positions_A[f + 3], frames.force_eV_A[f + 3], strict=True)}
        assert mine == other == {tuple(x): tuple(v) for x, v in zip(data[0][f], data[3][f], strict=True)}
    sulphur = {tuple(x) for x in frames.positions_A[3, 16:]}
    assert sulphur == {tuple(x) for x in data[0][0, 1::2]}


def test_faults_are_named(tmp_path):
    """Prevents frames that cannot be trained on from reaching the training."""
    data = crystal(3)
    with pytest.raises(InputError, match="is not there"):
        read_frames([tmp_path / "no.npz"])
    with pytest.raises(InputError, match="no files"):
        read_frames([])
    write_npz(tmp_path / "a.npz", data)
    write_npz(tmp_path / "b.npz", data, atomic_numbers=np.array([3] * 15 + [16] * 17))
    with pytest.raises(InputError, match=r"Li16S16.*Li15S17"):
        read_frames([tmp_path / "a.npz", tmp_path / "b.npz"])
    forces = data[3].copy()
    forces[1, 0, 0] = np.nan
    write_npz(tmp_path / "c.npz", data, forces=forces)
    with pytest.raises(FormatError, match=r"forces hold NaN .* 1 frame\(s\) \(1\)"):
        read_frames([tmp_path / "c.npz"])
    write_npz(tmp_path / "d.npz", data, forces=forces[:, :30])
    with pytest.raises(FormatError, match=r"forces have shape \(3, 30, 3\)"):
        read_frames([tmp_path / "d.npz"])
    np.savez(tmp_path / "e.npz", pos=data[0])
    with pytest.raises(FormatError, match="holds no forces"):
        read_frames([tmp_path / "e.npz"])
    (tmp_path / "f.npz").write_bytes(b"PK nonsense")
    with pytest.raises(FormatError, match="no readable"):
        read_frames([tmp_path / "f.npz"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match=r"type\.raw"):
        read_frames([tmp_path / "empty"])
    write_deepmd(tmp_path / "g", data)
    (tmp_path / "g" / "set.000" / "force.npy").unlink()
    with pytest.raises(FormatError, match=r"force\.npy is missing"):
        read_frames([tmp_path / "g"])


def test_mixed_methods_are_refused(tmp_path):
    """Prevents PBE and SCAN energies from being fitted as one surface."""
    from ase import Atoms
    from ase.io import write

    data = crystal(2)
    images = []
    for k, (x, c, e, f, _) in enumerate(zip(*data, strict=True)):
        atoms = Atoms(["Li", "S"] * 16, positions=x, cell=c, pbc=True)
        atoms.info.update(REF_energy=e, method=("PBE", "SCAN")[k])
        atoms.arrays["REF_forces"] = f
        images.append(atoms)
    write(tmp_path / "x.extxyz", images)
    with pytest.raises(InputError, match="PBE, SCAN"):
        read_frames([tmp_path / "x.extxyz"])


def spoil(frames, **factors):
    return dataclasses.replace(frames, **{name: getattr(frames, name) * f for name, f in factors.items()})


SPOILED = [
    (dict(energy_eV=1 / 13.6057), "energies in Ry"),
    (dict(energy_eV=1 / 27.2114), "energies in Ha"),
    (dict(energy_eV=23.0605), "energies in kcal/mol"),
    (dict(force_eV_A=1 / 25.711), "forces in Ry/Bohr"),
    (dict(energy_eV=1 / 13.6057, force_eV_A=1 / 25.711), "energies in Ry and forces in Ry/Bohr"),
    (dict(force_eV_A=-1.0), "wrong sign"),
    (dict(positions_A=1.8897, cell_A=1.8897), "Bohr"),
    (dict(positions_A=0.1, cell_A=0.1), "give positions and cells in Å"),
    (dict(energy_eV=1000.0, force_eV_A=1000.0), "eV/Å"),
]


def test_good_units_pass_and_wrong_ones_are_guessed(tmp_path):
    """Prevents a potential trained on rydbergs, gradients or bohrs."""
    write_deepmd(tmp_path / "x", crystal(40))
    frames = read_frames([tmp_path / "x"])
    found = check_units(frames)
    assert found["unchecked"] == [] and found["groups"][0]["slope"] == pytest.approx(1.0, abs=0.1)
    for factors, text in [*SPOILED, (dict(energy_eV=1 / 32), "energies per atom")]:
        with pytest.raises(InputError, match=text):
            check_units(spoil(frames, **factors))


def test_wrong_virials_are_seen(tmp_path):
    """Prevents a pressure of the wrong sign or unit from being trained."""
    write_deepmd(tmp_path / "x", crystal(40, strain=0.01))
    frames = read_frames([tmp_path / "x"])
    for factor in (-1.0, 1 / 160.2):
        with pytest.raises(InputError, match="work of the virials"):
            check_units(spoil(frames, virial_eV=factor))


def test_what_cannot_be_checked_is_said(tmp_path):
    """Prevents silence from passing for a check."""
    write_npz(tmp_path / "x.npz", crystal(2))
    assert len(check_units(read_frames([tmp_path / "x.npz"]))["unchecked"]) == 2


@pytest.mark.realdata
@REALDATA
@pytest.mark.parametrize("name", ["lips", "lgps"])
def test_real_sets_pass_and_their_spoiled_copies_do_not(name):
    """Prevents thresholds that refuse good DFT data or let wrong units through."""
    data = Path(os.environ["IONSTRIDE_REALDATA"])
    if name == "lips":
        folder = data / "lips_aimd_520K"
        frames = read_frames([folder / "frames.npz"], frame_number=folder / "time_index.npy")
        assert len(frames) == 1000 and (np.diff(frames.frame_number) > 0).all()
    else:
        frames = read_frames([data / "lgps_dft_frames"])
        assert len(frames) == 1790 and frames.group.max() == 4 and frames.has_virial.sum() == 1200
    assert check_units(frames)["groups"][0]["slope"] == pytest.approx(1.0, abs=0.02)
    for factors, text in [*SPOILED, (dict(energy_eV=1 / len(frames.symbols)), "energies per atom")]:
        with pytest.raises(InputError, match=text):
            check_units(spoil(frames, **factors))
