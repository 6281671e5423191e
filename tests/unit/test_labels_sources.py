"""Labelled frames from the outputs of codes: the numbers, the order, the sign and what is left out."""

import gzip
import os
from pathlib import Path

import label_files as write
import numpy as np
import pytest

from ionstride.errors import FormatError, InputError
from ionstride.labels import check_units, gather, load_set, read_compositions, read_frames, write_set
from ionstride.labels.sources import read_source

DATA = write.run(12)


def check_same(parts, data, *, digits=1e-5, keep=None):
    """The frames read are those written: same geometry up to rotation, energies, forces, virials."""
    keep = np.arange(len(data[2])) if keep is None else np.asarray(keep)
    (part,) = parts
    assert part.symbols == tuple(write.SYMBOLS)
    assert part.frame_number is None or part.frame_number.tolist() == keep.tolist()
    assert np.allclose(part.energy_eV, data[2][keep], atol=digits * 10)
    step = part.positions_A @ np.linalg.inv(part.cell_A) - data[0][keep] @ np.linalg.inv(data[1][keep])
    assert np.abs(step - np.rint(step)).max() < digits
    assert np.allclose(part.force_eV_A, data[3][keep], atol=digits)
    if part.virial_eV is not None:
        assert np.allclose(part.virial_eV, data[4][keep], atol=2e-3)
    return part


def written(kind, folder, **how):
    """Write the run in a format; return the path to read."""
    folder.mkdir(exist_ok=True)
    file = {"vasprun": "vasprun.xml", "outcar": "OUTCAR", "ml_ab": "ML_ABN", "siesta": "lis.out", "pw": "pw.out"}.get(
        kind
    )
    place = folder / (file or kind)
    getattr(write, kind)(place, DATA, **how)
    return place


CODES = ("vasprun", "outcar", "siesta", "cp2k", "pw", "abacus")


@pytest.mark.parametrize("kind", [*CODES, "ml_ab"])
def test_codes_give_the_numbers_that_were_written(kind, tmp_path):
    """Fault: a unit, a sign of the stress or an order of atoms that one reader of five takes otherwise."""
    place = written(kind, tmp_path)
    if kind == "cp2k":
        place = place / "lis-pos-1.xyz"
    _, parts = read_source(place)
    part = check_same(parts, DATA, digits=2e-5 if kind in ("outcar", "siesta") else 1e-6)
    assert part.virial_eV is not None
    if kind != "ml_ab":
        assert part.frame_ps == pytest.approx(0.002) and part.temperature_K == pytest.approx(500.0)
        assert "PBE" in part.method or "Perdew" in part.method or "pbe" in part.method


@pytest.mark.parametrize("kind", CODES)
def test_unconverged_steps_are_left_out_and_counted(kind, tmp_path):
    """Fault: labels of an SCF that never converged, which are noise, trained on; or dropped without a word."""
    place = written(kind, tmp_path, unconverged=(3, 7))
    if kind == "cp2k":
        place = place / "lis.out"
    _, parts = read_source(place)
    check_same(
        parts, DATA, digits=2e-5 if kind in ("outcar", "siesta") else 1e-6, keep=[0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    )
    assert parts[0].dropped == {"electronic steps did not converge": 2}


def test_old_vasp_says_converged_when_it_is_not(tmp_path):
    """Fault: VASP 5 writes 'EDIFF is reached' at NELM too, and its unconverged steps were taken for labels."""
    write.outcar(tmp_path / "OUTCAR", DATA, unconverged=(3, 7), nelm=4, old=True)
    (part,) = read_source(tmp_path / "OUTCAR")[1]
    assert part.dropped == {"electronic steps did not converge": 2} and 3 not in part.frame_number


def test_enthalpy_of_a_vasprun_is_no_energy(tmp_path):
    """Fault: under PSTRESS the last e_fr_energy of a step is an enthalpy; PV, which varies with the cell, stayed in."""
    volume = np.abs(np.linalg.det(DATA[1]))
    enthalpy = DATA[2] + 50.0 / 1602.1766208 * volume
    pressed = '<i name="PSTRESS">     50.00000000</i>'
    write.vasprun(tmp_path / "vasprun.xml", (*DATA[:2], enthalpy, *DATA[3:]), extra=pressed)
    check_same(read_source(tmp_path / "vasprun.xml")[1], DATA, digits=1e-6)


def test_notices_of_pw_are_no_steps(tmp_path):
    """Fault: pw.x notes that ATOMIC_POSITIONS have no units, ASE took the note for a step: no frame could be read."""
    write.pw(tmp_path / "pw.out", DATA)
    head, line, rest = (tmp_path / "pw.out").read_text().partition("     bravais-lattice index")
    notice = "     DEPRECATED: no units specified in ATOMIC_POSITIONS card\n     ATOMIC_POSITIONS: units set to alat\n"
    (tmp_path / "pw.out").write_text(head + notice + line + rest)
    check_same(read_source(tmp_path / "pw.out")[1], DATA, digits=1e-6)


def test_energies_of_hybrids_are_the_last(tmp_path):
    """Fault: pw.x prints an energy of each stage of a hybrid, and the first, without exact exchange, was the label."""
    write.pw(tmp_path / "pw.out", DATA)
    text = (tmp_path / "pw.out").read_text().replace("!    total energy", "!!   total energy")
    stages = "!    total energy              =      -67.96998179 Ry\n!    total energy   =      -66.79024886 Ry\n\n"
    (tmp_path / "pw.out").write_text(text.replace("!!   total", stages + "!!   total"))
    check_same(read_source(tmp_path / "pw.out")[1], DATA, digits=1e-6)


def test_elements_of_cp2k_are_not_its_kinds(tmp_path):
    """Fault: a cobalt of &KIND Al with ELEMENT Co came out as aluminium; a last energy went with the first atoms."""
    kinds = ["Al" if k < 8 else s for k, s in enumerate(write.SYMBOLS)]
    write.cp2k_point(tmp_path / "point.out", DATA, kinds)
    (part,) = read_source(tmp_path / "point.out")[1]
    assert part.symbols == tuple(write.SYMBOLS) and np.allclose(part.force_eV_A, DATA[3][:1], atol=1e-6)
    (tmp_path / "point.inp").write_text("&COORD\n SCALED\n Li 0.0 0.0 0.0\n&END COORD\n")
    assert read_source(tmp_path / "point.out")[1][0].symbols == tuple(write.SYMBOLS)
    write.cp2k_point(tmp_path / "relax.out", DATA, steps=3)
    with pytest.raises(FormatError, match="3 steps"):
        read_source(tmp_path / "relax.out")


def test_energies_of_siesta_are_free_energies(tmp_path):
    """Fault: with smeared occupations E_KS was the label, of which the forces are no derivatives."""
    write.siesta(tmp_path / "siesta.out", DATA, entropy_eV=0.37)
    check_same(read_source(tmp_path / "siesta.out")[1], DATA, digits=5e-5)


def test_forces_of_siesta_are_no_electronic_steps():
    """Fault: rows 'siesta:  60  x y z' of forces were counted as steps: cells of many atoms called unconverged."""
    from ionstride.labels.siesta import _converged

    text = "redata: Max. number of SCF Iter          =       50\nsiesta:    7    -1.10    -1.10    -1.10  0.0000 -3.7\n"
    text += "siesta: Atomic forces (eV/Ang):\n" + "".join(f"siesta: {k:6d}   -0.21  0.23  0.01\n" for k in range(1, 61))
    assert _converged(text) == [True]


def test_forces_of_a_cp2k_run_from_its_output(tmp_path):
    """Fault: runs whose forces stand in the output alone were refused; or went with the next step's positions."""
    write.cp2k(tmp_path, DATA)
    (tmp_path / "lis-frc-1.xyz").unlink()
    with pytest.raises(FormatError, match="no forces"):
        read_source(tmp_path / "lis-pos-1.xyz")
    lines, step = [], 0
    for line in (tmp_path / "lis.out").read_text().splitlines():
        if line.startswith(" STRESS| Analytical"):
            force = DATA[3][step] / 27.211386245988 * 0.529177210903
            lines += [
                " ATOMIC FORCES in [a.u.]",
                "",
                " # Atom   Kind   Element          X              Y              Z",
            ]
            lines += [
                f" {k} 1 {s} {x:.10f} {y:.10f} {z:.10f}"
                for k, (s, (x, y, z)) in enumerate(zip(write.SYMBOLS, force, strict=True), 1)
            ]
            lines += [" SUM OF ATOMIC FORCES           0.00000000     0.00000000     0.00000000     0.00000000"]
            step += 1
        lines.append(line)
    (tmp_path / "lis.out").write_text("\n".join(lines) + "\n")
    check_same(read_source(tmp_path / "lis-pos-1.xyz")[1], DATA, digits=1e-6)
    (tmp_path / "lis.out").write_text("\n".join(line for line in lines if not line.startswith(" 7 1 ")) + "\n")
    with pytest.raises(FormatError, match="other atoms"):
        read_source(tmp_path / "lis-pos-1.xyz")


def test_steps_of_linear_response_are_not_called_unconverged(tmp_path):
    """Fault: for a run with LEPSILON, whose response takes more steps than NELM, the advice was to raise NELM."""
    write.vasprun(tmp_path / "vasprun.xml", [one[:1] for one in DATA], unconverged=(0,))
    text = (tmp_path / "vasprun.xml").read_text()
    with pytest.raises(FormatError, match="raise NELM"):
        read_source(tmp_path / "vasprun.xml")
    step = text[text.index("<scstep>") : text.index("</scstep>") + len("</scstep>")]
    (tmp_path / "vasprun.xml").write_text(text.replace(step, step + step, 1))
    with pytest.raises(FormatError, match="linear response"):
        read_source(tmp_path / "vasprun.xml")


def test_times_of_a_cp_run(tmp_path):
    """Fault: frames of cp.x at uneven steps numbered 0, 1, 2: a wrong D and a wrong temperature."""
    step = np.array([0, 5, 6, 20, 25, 30, 31, 40, 45, 50, 60, 61])
    write.cp(tmp_path, DATA, step)
    (part,) = read_source(tmp_path / "lis.evp")[1]
    assert part.frame_number.tolist() == step.tolist()
    assert part.frame_ps == pytest.approx(0.002) and part.temperature_K == pytest.approx(500.0)
    assert np.allclose(part.energy_eV, DATA[2], atol=1e-5)


def test_the_sign_of_siesta_follows_the_pressure(tmp_path):
    """Fault: SIESTA's stress, positive under tension, taken for a pressure; a potential that expands what is pulled."""
    write.siesta(tmp_path / "a.out", DATA)
    part = read_source(tmp_path / "a.out")[1][0]
    assert np.allclose(part.virial_eV, DATA[4], atol=2e-3)
    write.siesta(tmp_path / "b.out", DATA, pressure_sign=2.0)
    with pytest.raises(FormatError, match="stress and pressure disagree"):
        read_source(tmp_path / "b.out")


def test_a_killed_run_keeps_its_whole_frames(tmp_path):
    """Fault: a run cut off in the middle of a frame refused whole, or its half frame taken."""
    for kind, name in (
        ("vasprun", "vasprun.xml"),
        ("outcar", "OUTCAR"),
        ("cp2k", "lis-pos-1.xyz"),
        ("ml_ab", "ML_ABN"),
    ):
        place = written(kind, tmp_path / kind)
        file = place / name if place.is_dir() else place
        text = file.read_text()
        file.write_text(text[: int(0.85 * len(text))])
        (part,) = read_source(file)[1]
        n = len(part)
        assert 8 <= n < 12 and np.allclose(part.energy_eV, DATA[2][:n], atol=1e-6), kind
        assert sum(part.dropped.values()) >= 1, kind


def test_labels_of_a_force_field_are_refused(tmp_path):
    """Fault: energies of VASP's machine-learned force field trained on as if they were of DFT."""
    write.vasprun(tmp_path / "vasprun.xml", DATA, extra='<i type="logical" name="ML_LMLFF"> T  </i>')
    with pytest.raises(FormatError, match="ML_LMLFF"):
        read_source(tmp_path / "vasprun.xml")


def test_deepmd_raw_hdf5_and_mixed(tmp_path):
    """Fault: one of DeePMD's own ways of writing a set that is read otherwise than npy."""
    import dpdata

    write_npy = tmp_path / "npy"
    (write_npy / "set.000").mkdir(parents=True)
    (write_npy / "type.raw").write_text("\n".join(str(int(s == "S")) for s in write.SYMBOLS))
    (write_npy / "type_map.raw").write_text("Li\nS\n")
    for name, array in zip(("coord", "box", "energy", "force", "virial"), DATA, strict=True):
        np.save(write_npy / "set.000" / f"{name}.npy", array.reshape(12, -1) if array.ndim > 1 else array)
    system = dpdata.LabeledSystem(str(write_npy), fmt="deepmd/npy")
    system.to("deepmd/raw", str(tmp_path / "raw"))
    system.to("deepmd/hdf5", str(tmp_path / "a.hdf5"))
    dpdata.MultiSystems(system).to("deepmd/npy/mixed", str(tmp_path / "mixed"))
    dpdata.MultiSystems(system).to("deepmd/hdf5", str(tmp_path / "b.hdf5"))
    for name in ("npy", "raw", "a.hdf5", "mixed", "b.hdf5"):
        frames = read_frames([tmp_path / name])
        order = np.argsort(frames.energy_eV), np.argsort(DATA[2])
        assert np.allclose(frames.energy_eV[order[0]], DATA[2][order[1]])
        assert np.allclose(frames.force_eV_A[order[0]], DATA[3][order[1]], atol=1e-6), name
        assert np.allclose(frames.virial_eV[order[0]], DATA[4][order[1]], atol=1e-5), name


def test_ase_files_and_packed_files(tmp_path):
    """Fault: a .db read in another order, momenta not taken for a temperature, or a .gz refused."""
    from ase.db import connect
    from ase.io import write as save

    made = write.images(DATA)
    for atoms in made:
        write.heat(atoms, 500, 1)
    save(tmp_path / "a.traj", made)
    with connect(str(tmp_path / "a.db")) as base:
        for atoms in made:
            base.write(atoms)
    for name in ("a.traj", "a.db"):
        part = check_same(read_source(tmp_path / name)[1], DATA, digits=1e-7)
        assert part.temperature_K == pytest.approx(made[0].get_temperature())
    place = written("outcar", tmp_path / "o")
    with gzip.open(tmp_path / "OUTCAR.gz", "wb") as packed:
        packed.write(place.read_bytes())
    check_same(read_source(tmp_path / "OUTCAR.gz")[1], DATA, digits=2e-5)


def test_free_energy_before_the_extrapolated_one(tmp_path):
    """Fault: energies extrapolated to no smearing, whose derivatives the forces are not."""
    made = write.images(DATA)
    for atoms in made:
        atoms.calc.results["free_energy"] = atoms.calc.results["energy"] - 0.5
    from ase.io import write as save

    save(tmp_path / "a.extxyz", made)
    assert np.allclose(read_source(tmp_path / "a.extxyz")[1][0].energy_eV, DATA[2] - 0.5)


def test_cp2k_units_pass_and_their_spoiled_copies_do_not(tmp_path):
    """Fault: a short MD of a dozen frames, whose units nobody checks because it is short."""
    write.cp2k(tmp_path / "good", DATA)
    found = gather([tmp_path / "good"])
    assert found.checks["Li16S16"]["groups"][0]["slope"] == pytest.approx(1.0, abs=0.05)
    for name, how, words in (
        ("ry", {"energy_factor": 2.0}, "energies|Ry|Ha"),
        ("bohr", {"length_factor": 1 / write.BOHR_A}, "Å"),
        ("atom", {"energy_factor": 1 / 32}, "energies per atom"),
        ("ev", {"force_factor": write.HARTREE_EV / write.BOHR_A}, "forces"),
    ):
        write.cp2k(tmp_path / name, DATA, **how)
        with pytest.raises(InputError, match=words):
            gather([tmp_path / name])


def test_single_points_are_checked_together(tmp_path):
    """Fault: a hundred files of one frame each, none of which can be checked by itself, so that none is."""
    from ase.io import write as save

    def files(name, factor):
        (tmp_path / name).mkdir()
        data = [*DATA[:2], DATA[2] * factor, *DATA[3:]]
        for k, atoms in enumerate(write.images(data)):
            save(tmp_path / name / f"{k:02d}.extxyz", atoms)
        return sorted((tmp_path / name).iterdir())

    found = gather(files("good", 1.0))
    assert len(found.sources) == 12
    assert found.checks["Li16S16"]["groups"][-1]["slope"] == pytest.approx(1.0, abs=0.05)
    with pytest.raises(InputError, match="the 12 runs of few frames"):
        gather(files("bad", 1 / 13.6))


def test_mixed_methods_are_named(tmp_path):
    """Fault: frames of PBE and PBEsol, or of two cut-offs, in one set; or an unnamed file mixed in silently."""
    write.outcar(tmp_path / "OUTCAR.1", DATA)
    write.outcar(tmp_path / "OUTCAR.2", write.run(12, seed=2), functional="PS")
    with pytest.raises(InputError, match=r"VASP PBE 520 eV.*VASP PBEsol 520 eV"):
        gather([tmp_path / "OUTCAR.1", tmp_path / "OUTCAR.2"])
    from ase.io import write as save

    save(tmp_path / "a.extxyz", write.images(write.run(12, seed=3)))
    with pytest.raises(InputError, match="does not say its method"):
        gather([tmp_path / "OUTCAR.1", tmp_path / "a.extxyz"])
    found = gather([tmp_path / "OUTCAR.1", tmp_path / "a.extxyz"], method="VASP PBE")
    assert found.method == "VASP PBE 520 eV" and len(found.sources) == 2
    with pytest.raises(InputError, match="says 'VASP PBE 520 eV'"):
        gather([tmp_path / "OUTCAR.1"], method="SCAN")


def test_repeats_are_dropped_and_two_energies_for_one_geometry_refused(tmp_path):
    """Fault: a run read twice, as OUTCAR and as vasprun.xml, so that held-out frames are training frames."""
    write.outcar(tmp_path / "OUTCAR", DATA)
    write.vasprun(tmp_path / "vasprun.xml", DATA)
    found = gather([tmp_path / "OUTCAR", tmp_path / "vasprun.xml"])
    assert len(found.compositions["Li16S16"]) == 12 and found.dropped == {"repeat another frame": 12}
    other = [*DATA[:2], DATA[2] + 3.0, *DATA[3:]]
    write.vasprun(tmp_path / "vasprun.xml", other)
    with pytest.raises(InputError, match="same geometry has two energies"):
        gather([tmp_path / "OUTCAR", tmp_path / "vasprun.xml"])


def test_shuffled_frames_or_atoms_are_refused():
    """Fault: energies in another order of frames, or forces in another order of atoms, than the positions."""
    data = write.run(40)
    from ionstride.records import LabelledFrames

    def frames(energy, force):
        return LabelledFrames(
            tuple(write.SYMBOLS), data[0], data[1], energy, force, np.zeros(40, int), np.arange(40), "LJ", data[4]
        )

    check_units(frames(data[2], data[3]))
    order = np.random.default_rng(0).permutation(40)
    with pytest.raises(InputError, match="same order"):
        check_units(frames(data[2][order], data[3]))
    with pytest.raises(InputError, match=r"same order|work of the forces"):
        check_units(frames(data[2], data[3][:, np.random.default_rng(1).permutation(32)]))


def test_a_few_rattled_cells_of_an_anharmonic_crystal_pass():
    """Fault: a dozen strained cells with right labels refused for their units, after all of them were labelled."""
    from ase.build import bulk
    from ase.calculators.lj import LennardJones

    from ionstride.labels import rattled_cells
    from ionstride.labels.worker import evaluate
    from ionstride.records import LabelledFrames, Structure

    atoms = bulk("Li2S", "fluorite", a=5.7, cubic=True)
    pure = Structure(tuple(atoms.get_chemical_symbols()), atoms.positions, atoms.cell.array)
    for seed in (1, 2, 3):
        cells = rattled_cells(pure, 12, 0.12, 0.03, seed)
        calculator = LennardJones(epsilon=0.03, sigma=2.2, rc=6.0)
        found = [evaluate(calculator, c.symbols, c.positions_A, c.cell_A) for c in cells]
        for factor in (1.0, 1 / 13.6057):
            frames = LabelledFrames(
                pure.symbols,
                np.array([c.positions_A for c in cells]),
                np.array([c.cell_A for c in cells]),
                np.array([float(f["energy_eV"]) for f in found]) * factor,
                np.array([f["force_eV_A"] for f in found]),
                np.zeros(12, int),
                np.arange(12),
                "LJ",
                np.array([f["virial_eV"] for f in found]),
            )
            if factor == 1.0:
                check_units(frames)
            else:
                with pytest.raises(InputError, match="Ry"):
                    check_units(frames)


def test_shuffled_runs_are_checked_as_sharply():
    """Fault: of a long run in no order only pairs far apart were compared, a slope of 0.9 for right units."""
    from ase.build import bulk

    from ionstride.records import LabelledFrames

    rng = np.random.default_rng(2)
    crystal = bulk("Ar", "fcc", a=3.4, cubic=True) * (2, 2, 2)
    phase, speed = 2 * np.pi * rng.random((32, 3)), rng.uniform(0.02, 0.06, (32, 3))
    u = 0.2 * np.sin(phase + speed * np.arange(1500)[:, None, None])
    energy, force = (2.0 * u**2 + 20.0 * u**4).sum(axis=(1, 2)), -(4.0 * u + 80.0 * u**3)
    order = rng.permutation(1500)
    frames = LabelledFrames(
        tuple(write.SYMBOLS),
        (crystal.positions + u)[order],
        np.broadcast_to(crystal.cell.array, (1500, 3, 3)).copy(),
        energy[order],
        force[order],
        np.zeros(1500, int),
        np.arange(1500),
        "model",
    )
    found = check_units(frames)["groups"][0]
    assert found["rms_A"] < 0.05 and found["slope"] == pytest.approx(1.0, abs=0.01)


def test_pressure_against_volume_settles_the_sign(tmp_path):
    """Fault: virials of the wrong sign in constant-cell runs, where no strain tells."""
    from ase.io import write as save

    for k, strain in enumerate((0.97, 1.0, 1.03)):
        data = write.run(12, seed=k, strain=strain)
        save(tmp_path / f"v{k}.extxyz", write.images(data))
        save(tmp_path / f"w{k}.extxyz", write.images([*data[:4], -data[4]]))
    virial = gather(sorted(tmp_path.glob("v*"))).checks["Li16S16"]["virial"]
    assert virial["sign"] == "pressure against volume" and virial["bulk_modulus_GPa"] > 1
    with pytest.raises(InputError, match="wrong sign"):
        gather(sorted(tmp_path.glob("w*")))


def test_a_set_comes_back_as_it_was_gathered(tmp_path):
    """Fault: groups, frame numbers, compositions or virials lost between import and training."""
    from ase.io import write as save

    write.outcar(tmp_path / "OUTCAR", DATA, unconverged=(4,))
    without = write.images(write.run(9, seed=5))
    for atoms in without:
        del atoms.calc.results["stress"]
    save(tmp_path / "b.extxyz", without)
    swapped = write.images(write.run(10, seed=6), symbols=["Na"] * 16 + ["S"] * 16)
    save(tmp_path / "c.extxyz", swapped)
    found = gather([tmp_path / "OUTCAR", tmp_path / "b.extxyz", tmp_path / "c.extxyz"], method="VASP PBE 520 eV")
    about = write_set(found, tmp_path / "set")
    assert about["type_map"] == ["Li", "S", "Na"] and about["n_frames"] == 30
    again = load_set(tmp_path / "set")
    assert again.sources == found.sources and list(again.compositions) == list(found.compositions)
    for name, frames in found.compositions.items():
        for field in ("positions_A", "cell_A", "energy_eV", "force_eV_A", "group", "frame_number"):
            assert np.array_equal(getattr(again.compositions[name], field), getattr(frames, field)), (name, field)
        assert again.compositions[name].has_virial.tolist() == frames.has_virial.tolist()
    frames = read_frames([tmp_path / "set" / "Li16S16"])
    assert frames.method == "VASP PBE 520 eV" and frames.has_virial.sum() == 11
    assert frames.frame_number[:11].tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11] and frames.group.tolist()[-1] == 1
    with pytest.raises(InputError, match=r"different compositions: Li16S16 .* Na16S16"):
        read_frames([tmp_path / "set"])
    both = read_compositions([tmp_path / "set"])
    assert [(len(f), f.symbols[0]) for f in both] == [(20, "Li"), (10, "Na")] and both[1].method == found.method
    with pytest.raises(InputError, match="no set"):
        write_set(found, tmp_path)
    assert gather([tmp_path / "set"]).method == "VASP PBE 520 eV"
    (tmp_path / "set" / about["systems"][0]["folder"] / "set.000" / "energy.npy").unlink()
    with pytest.raises(FormatError, match=r"energy\.npy is missing"):
        load_set(tmp_path / "set")


@pytest.mark.realdata
@pytest.mark.skipif("IONSTRIDE_REALDATA" not in os.environ, reason="IONSTRIDE_REALDATA is not set")
def test_real_siesta_output():
    """Fault: a reader that only reads what its own test writes."""
    file = Path(os.environ["IONSTRIDE_REALDATA"]) / "siesta_md_sample" / "siesta_md.out"
    found = gather([file])
    (frames,) = found.compositions.values()
    assert len(frames) == 5 and found.method.startswith("SIESTA Perdew, Burke & Ernzerhof")
    assert frames.energy_eV.tolist() == [-8243.6086, -8243.5704, -8243.4621, -8243.2870, -8243.0601]
    pressure = np.trace(frames.virial_eV, axis1=1, axis2=2) / 3 / np.linalg.det(frames.cell_A) * 1602.1766
    assert np.allclose(pressure, [7.64604868, 7.49459283, 8.21924532, 8.97346896, 9.62156442], rtol=2e-3)
    assert found.checks["Si64"]["groups"][0]["slope"] == pytest.approx(1.0, abs=0.02)
