"""Codes of first principles: settings, inputs as text, and real runs of those that are installed."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from ionstride.errors import InputError, MissingToolError
from ionstride.labels import (
    Cells,
    Protocol,
    check_units,
    gather,
    label_cells,
    label_set,
    plan_grid,
    read_settings,
    run_grid,
    write_code_inputs,
)
from ionstride.labels.calculators import calculator_identity, calculator_note
from ionstride.records import Structure

ALUMINIUM = Path("/usr/share/espresso/pseudo/Al.pz-vbc.UPF")
needs_cp2k = pytest.mark.skipif(shutil.which("cp2k_shell.psmp") is None, reason="CP2K is not installed")
needs_pw = pytest.mark.skipif(
    shutil.which("pw.x") is None or not ALUMINIUM.is_file(), reason="pw.x and its example potentials are not installed"
)
HYDROGEN = """
cutoff_Ry = 120.0
basis_set = "SZV-MOLOPT-SR-GTH"
max_scf = {steps}
input = \"\"\"
&FORCE_EVAL
  &DFT
    &QS
      EPS_DEFAULT 1.0E-10
    &END QS
    &MGRID
      REL_CUTOFF 40
    &END MGRID
    &SCF
      EPS_SCF 1.0E-7
    &END SCF
  &END DFT
  &PRINT
    &FORCES ON
    &END FORCES
  &END PRINT
&END FORCE_EVAL
\"\"\"
"""


def li2s():
    a = 5.708
    places = [(0.5, 0, 0.25), (0, 0.5, 0.25), (0.5, 0, 0.75), (0, 0.5, 0.75), (0, 0, 0), (0.5, 0.5, 0.5)]
    cell = np.diag([a / 2**0.5, a / 2**0.5, a])
    return Structure(("Li", "Li", "Li", "Li", "S", "S"), np.array(places) @ cell, cell)


def inputs(tmp_path, code, text=""):
    (tmp_path / "s.toml").write_text(text)
    settings = read_settings(code, tmp_path / "s.toml")
    cells = [Cells("li2s", "", (li2s(),), (0,))]
    (folder,) = write_code_inputs(cells, code, tmp_path / "inputs", settings)
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_cp2k_input(tmp_path):
    """Fault: a label made with another functional, basis, cutoff or cell than the set says."""
    said = inputs(tmp_path, "cp2k", "cutoff_Ry = 300.0")["cp2k.inp"]
    words = re.sub(r"\s+", " ", said)
    assert "&PBE &END PBE" in words and said.count("BASIS_SET DZVP-MOLOPT-SR-GTH") == 2
    assert said.count("POTENTIAL GTH-PBE") == 2 and "STRESS_TENSOR ANALYTICAL" in said and "&FORCES ON" in said
    assert float(re.search(r"CUTOFF \[eV\] (\S+)", said)[1]) == pytest.approx(300 * 13.605693, rel=1e-6)
    rows = re.findall(r"^\s+(Li|S) (\S+) (\S+) (\S+)$", said, re.MULTILINE)
    assert np.allclose([[float(v) for v in row[1:]] for row in rows], li2s().positions_A)
    assert "300 Ry" in calculator_note_of("cp2k", tmp_path)


def calculator_note_of(code, tmp_path):
    from ionstride.labels.codes import code_note

    return code_note(code, read_settings(code, tmp_path / "s.toml"))


def test_vasp_input(tmp_path, monkeypatch):
    """Fault: settings that never reach INCAR, or a POSCAR in another order than the POTCAR would have."""
    monkeypatch.delenv("VASP_PP_PATH", raising=False)
    said = inputs(tmp_path, "vasp", "kpoints = [3, 3, 2]\n[incar]\nencut = 450\nivdw = 12")
    incar = dict(line.split(" = ") for line in said["INCAR"].splitlines() if " = " in line)
    assert float(incar["ENCUT"]) == 450.0 and incar["GGA"].strip() == "PE" and int(incar["ISIF"]) == 2
    assert int(incar["IVDW"]) == 12 and int(incar["NSW"]) == 0 and float(incar["EDIFF"]) == 1e-5
    assert said["KPOINTS"].splitlines()[2:4] == ["Gamma", "3 3 2 "] or "3 3 2" in said["KPOINTS"]
    assert said["POSCAR"].split("\n")[0].split() == ["Li", "S"] and "POTCAR" not in said
    assert calculator_note_of("vasp", tmp_path) == "VASP PBE, PAW (recommended), 450 eV, k-points 3x3x2, ivdw = 12"


def test_siesta_input(tmp_path, monkeypatch):
    """Fault: a mesh cutoff in Ry taken for eV, or a density matrix of another cell used again."""
    monkeypatch.delenv("SIESTA_PP_PATH", raising=False)
    said = inputs(tmp_path, "siesta", 'mesh_cutoff_Ry = 250\n[fdf]\n"XC.Grid" = "x"')["siesta.fdf"]
    cutoff = re.search(r"MeshCutoff\s+(\S+)\s+eV", said)
    assert float(cutoff[1]) == pytest.approx(250 * 13.605693, rel=1e-6)
    assert "XC.authors\tPBE" in said and "SCFMustConverge\tTrue" in said and "DM.UseSaveDM" not in said
    assert re.search(r"PAO.BasisSizes\s+Li.1\tDZP", said)


def test_espresso_input(tmp_path):
    """Fault: no forces or stress asked for, and a k-point grid that is lost on the way."""
    text = '[pseudopotentials]\nLi = "Li.upf"\nS = "S.upf"\n[input.system]\necutwfc = 40\n'
    said = inputs(tmp_path, "espresso", text)["espresso.pwi"]
    assert re.search(r"ecutwfc\s+= 40", said) and re.search(r"ecutrho\s+= 480", said)
    assert re.search(r"tprnfor\s+= .true.", said) and re.search(r"tstress\s+= .true.", said)
    assert re.search(r"K_POINTS automatic\s+2 2 2", said) and re.search(r"S 32\.\d+ S.upf", said)
    with pytest.raises(InputError, match="name no file for Li, S"):
        write_code_inputs([Cells("li2s", "", (li2s(),), (0,))], "espresso", tmp_path / "b", read_settings("espresso"))


def test_settings_are_checked(tmp_path):
    """Fault: a mistyped key that leaves the default in force unseen."""
    file = tmp_path / "s.toml"
    for text, said in (
        ("cutof_Ry = 300", "did you mean 'cutoff_Ry'"),
        ('cutoff_Ry = "300"', "wanted something like 500.0"),
        ("uks = 1", "wanted something like False"),
        ("cutoff_Ry 300", "not valid TOML"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=said):
            read_settings("cp2k", file)
    with pytest.raises(InputError, match="--print-settings cp2k"):
        read_settings("cp2k", tmp_path / "nowhere.toml")
    file.write_text("[incar]\nivdw = 12")
    assert read_settings("vasp", file)["incar"]["ivdw"] == 12


def test_missing_programs_are_named(monkeypatch):
    """Fault: hours of queueing before it is seen that the code is not there."""
    for code in ("cp2k", "vasp", "siesta", "espresso"):
        with pytest.raises(MissingToolError, match="not on the PATH"):
            calculator_note(code, {**read_settings(code), "command": "no_such_program -x"})
        with pytest.raises(InputError, match="command is empty"):
            calculator_note(code, {**read_settings(code), "command": ""})
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingToolError, match="apt-get install cp2k"):
        calculator_note("cp2k")


def test_potentials_and_surfaces_are_told_apart(tmp_path, monkeypatch):
    """Fault: labels of other pseudopotentials taken from the cache; spin or +U mixed into a set without them."""
    from ionstride.labels.codes import code_identity, code_note

    vasp = read_settings("vasp")
    monkeypatch.setenv("VASP_PP_PATH", "/pp/54")
    old = code_identity("vasp", vasp)
    monkeypatch.setenv("VASP_PP_PATH", "/pp/64")
    assert code_identity("vasp", vasp) != old
    spin = {**vasp, "incar": {**vasp["incar"], "ispin": 2}}
    assert code_note("vasp", spin) == code_note("vasp", vasp) + ", ispin = 2"
    solver = {**vasp, "incar": {**vasp["incar"], "nelm": 300, "amix": 0.1}}
    assert code_note("vasp", solver) == code_note("vasp", vasp)
    (tmp_path / "Li.upf").write_text("one")
    espresso = {**read_settings("espresso"), "pseudo_dir": str(tmp_path), "pseudopotentials": {"Li": "Li.upf"}}
    old = code_identity("espresso", espresso)
    (tmp_path / "Li.upf").write_text("another")
    assert code_identity("espresso", espresso) != old
    charged = {**read_settings("cp2k"), "charge": 1}
    assert code_note("cp2k", charged).endswith(", charge = 1")


@needs_cp2k
def test_identity_holds_settings_not_command():
    """Fault: labels of two cutoffs under one key; or all labels made again with mpiexec before the command."""
    base = read_settings("cp2k")
    assert calculator_identity("cp2k", base) != calculator_identity("cp2k", {**base, "cutoff_Ry": 400.0})
    assert calculator_identity("cp2k", base) == calculator_identity("cp2k", {**base, "command": "cp2k.psmp -s"})


def hydrogen(n):
    random = np.random.default_rng(3)
    base = np.array([[1.0, 1.0, 1.0], [1.75, 1.0, 1.0]])
    cells = [base + random.normal(0.0, 0.02, (2, 3)) for _ in range(n)]
    return [Structure(("H", "H"), p, np.diag([3.2, 3.0, 3.1])) for p in cells]


@needs_cp2k
def test_cp2k_labels_for_real(tmp_path):
    """Fault: eV and hartree, Å and bohr mixed between CP2K and the set; outputs that say something else."""
    (tmp_path / "s.toml").write_text(HYDROGEN.format(steps=30))
    settings = read_settings("cp2k", tmp_path / "s.toml")
    cells = hydrogen(4)
    found = label_set(
        [Cells("h2", "", tuple(cells), (0, 1, 2, 3))], "cp2k", cache=tmp_path / "c", settings=settings, workers=2
    )
    (frames,) = found.gathered.compositions.values()
    assert len(frames) == 4 and len(found.seconds) == 4 and not found.failures
    assert frames.method.startswith("CP2K 2") and "SZV-MOLOPT-SR-GTH, GTH-PBE, 120 Ry, Γ" in frames.method
    step = frames.positions_A[1:] - frames.positions_A[:-1]
    work = -0.5 * ((frames.force_eV_A[1:] + frames.force_eV_A[:-1]) * step).sum(axis=(1, 2))
    change = np.diff(frames.energy_eV)
    assert (work * change).sum() / (work**2).sum() == pytest.approx(1.0, abs=0.15)
    outputs = sorted((tmp_path / "c" / "outputs").glob("*/cp2k.out"))
    assert len(outputs) == 4
    read = gather(outputs)
    (again,) = read.compositions.values()
    a, b = np.argsort(frames.energy_eV), np.argsort(again.energy_eV)
    assert np.allclose(frames.energy_eV[a], again.energy_eV[b], atol=1e-5)
    assert np.allclose(frames.force_eV_A[a], again.force_eV_A[b], atol=1e-4)
    assert np.allclose(frames.positions_A[a], again.positions_A[b], atol=1e-5)
    more = label_cells(cells[::-1], "cp2k", cache=tmp_path / "d", settings=settings, workers=1)[0]
    assert np.allclose([float(more[k]["energy_eV"]) for k in (3, 2, 1, 0)], frames.energy_eV, atol=1e-9)
    assert isinstance(check_units(frames), dict)


@needs_cp2k
def test_md_keeps_the_forces_of_the_code(tmp_path):
    """Fault: forces of MD frames from which the constraint on the centre of mass took its part: ΔE does not show it."""
    (tmp_path / "s.toml").write_text(HYDROGEN.format(steps=30))
    settings = read_settings("cp2k", tmp_path / "s.toml")
    protocol = Protocol(steps=2, timestep_fs=0.5)
    plan_grid(
        {"H2": hydrogen(1)[0]},
        tmp_path / "g",
        temperatures_K=[300],
        calculator="cp2k",
        settings=settings,
        protocol=protocol,
    )
    assert run_grid(tmp_path / "g", workers=1) == {}
    from ase.io import read

    frames = read(tmp_path / "g/jobs/H2_300K_v1.000/md.traj", index=":")
    assert [frame.info["step"] for frame in frames] == [0, 1, 2]
    assert np.abs(frames[1].get_forces().sum(axis=0)).max() > 0.1  # the grid is coarse enough to tell
    cells = [Structure(("H", "H"), f.positions, f.cell.array) for f in frames]
    labels, failures = label_cells(cells, "cp2k", cache=tmp_path / "c", settings=settings, workers=1)
    assert not failures
    for k, frame in enumerate(frames):
        assert np.allclose(frame.get_forces(), labels[k]["force_eV_A"], atol=2e-2)
        assert frame.get_potential_energy() == pytest.approx(float(labels[k]["energy_eV"]), abs=1e-4)


@needs_cp2k
def test_unconverged_scf_is_no_label(tmp_path):
    """Fault: energies and forces of an SCF that stopped at its last allowed step."""
    (tmp_path / "s.toml").write_text(HYDROGEN.format(steps=2))
    settings = read_settings("cp2k", tmp_path / "s.toml")
    labels, failures = label_cells(hydrogen(2), "cp2k", cache=tmp_path / "c", settings=settings, workers=1)
    assert not labels and set(failures) == {0, 1}
    assert all("SCF did not converge" in reason for reason in failures.values())
    (tmp_path / "s.toml").write_text(HYDROGEN.format(steps=30).replace("&MGRID", "&NO_SUCH_SECTION"))
    settings = read_settings("cp2k", tmp_path / "s.toml")
    labels, failures = label_cells(hydrogen(1), "cp2k", cache=tmp_path / "c", settings=settings, workers=1)
    assert not labels and failures[0].startswith("CP2K: ") and len(failures[0]) > 10
    # CP2K's reason stands beside a drawing, which is no reason.
    (tmp_path / "s.toml").write_text("charge = 1.0\n" + HYDROGEN.format(steps=30))
    settings = read_settings("cp2k", tmp_path / "s.toml")
    labels, failures = label_cells(hydrogen(1), "cp2k", cache=tmp_path / "c", settings=settings, workers=1)
    assert not labels and failures[0].startswith("CP2K: Use the LSD option for an odd number of electrons")


@needs_pw
def test_espresso_labels_for_real(tmp_path):
    """Fault: an input that pw.x refuses, or Ry in place of eV."""
    text = f"""
pseudo_dir = "{ALUMINIUM.parent}"
kpoints = [3, 3, 3]
xc = "LDA"
[pseudopotentials]
Al = "{ALUMINIUM.name}"
[input.system]
ecutwfc = 12.0
ecutrho = 48.0
degauss = 0.02
"""
    (tmp_path / "s.toml").write_text(text)
    settings = read_settings("espresso", tmp_path / "s.toml")
    cells = []
    for x in (0.0, 0.05, 0.1):
        place = np.array([[x, 0.0, 0.0], [2.025, 2.025, 2.0]])
        cells.append(Structure(("Al", "Al"), place, np.diag([4.05, 4.05, 4.05])))
    labels, failures = label_cells(cells, "espresso", cache=tmp_path / "c", settings=settings, workers=1)
    assert not failures, failures
    energy = np.array([float(labels[k]["energy_eV"]) for k in range(3)])
    force = np.array([labels[k]["force_eV_A"] for k in range(3)])
    assert energy[2] - energy[0] == pytest.approx(
        -0.1 * (force[0] + 4 * force[1] + force[2])[0, 0] / 6, rel=0.05, abs=2e-3
    )
    assert "virial_eV" in labels[0] and list((tmp_path / "c" / "outputs").glob("*/espresso.pwo"))
    few = {**settings, "input": {**settings["input"], "electrons": {"electron_maxstep": 1, "conv_thr": 1e-10}}}
    labels, failures = label_cells(cells[1:2], "espresso", cache=tmp_path / "c", settings=few, workers=1)
    assert not labels and "did not converge" in failures[0]
