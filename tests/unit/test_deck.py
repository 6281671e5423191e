"""Decks: what LAMMPS will read, as text."""

import dataclasses

import numpy as np
import pytest

from ionstride.deck import check_md, explore_phases, lmp_command, production_phases, render_deck
from ionstride.deck.render import to_lammps_frame
from ionstride.errors import InputError
from ionstride.records import Structure
from ionstride.settings import MdSettings

TRICLINIC = Structure(
    ("Li", "S", "Li"),
    np.array([[0.1, 0.2, 0.3], [2.0, 2.0, 2.0], [-1.0, 5.0, 9.0]]),
    np.array([[5.0, 0.5, 0.2], [-1.0, 6.0, 0.3], [0.7, -0.8, 7.0]]),
)
MD = MdSettings(timestep_fs=2.0, production_ps=10.0)


def deck(md=MD, restart=None, structure=TRICLINIC, elements=("Li", "S"), **more):
    phases = production_phases(md, 600.0)
    options = {"id": "600K_r0", "title": "t", "model": "/m/model.pb", "elements": elements, "seed": 7, **more}
    return render_deck(structure, md, phases, restart=restart, **options)


def test_elements_by_name_everywhere():
    """A bare `pair_coeff * *` takes the model's own order of types: wrong chemistry without a word."""
    text = deck().files["in.lammps"]
    assert "pair_coeff      * * Li S\n" in text
    assert "element Li S" in text
    assert "sort id" in text
    assert "xu yu zu ix iy iz" in text


def test_protocol_in_steps():
    """100 K velocities, 4 ps ramp, 1 ps equilibration, production: in absolute steps of the time step."""
    text = deck().files["in.lammps"]
    assert "velocity        all create 100 7" in text
    assert "run             2000 upto start 0 stop 2000" in text
    assert "run             2500 upto start 2000 stop 2500" in text
    assert "run             7500 upto start 2500 stop 7500" in text
    assert "production.0000002500.lammpstrj" in text


def test_restart_repeats_what_a_restart_file_forgets():
    """After read_restart the pair style must be given again, and no new velocities."""
    text = deck(restart=("restart.3000", 3000)).files["in.lammps"]
    assert "read_restart    restart.3000" in text
    assert "velocity" not in text
    assert "read_data" not in text
    assert "pair_coeff      * * Li S" in text
    assert "production.0000003000.lammpstrj" in text
    assert "ramp.0" not in text


def test_restart_within_the_ramp_keeps_its_slope():
    """A ramp begun again from its middle at 100 K would quench the crystal."""
    text = deck(restart=("restart.1000", 1000)).files["in.lammps"]
    assert "run             2000 upto start 0 stop 2000" in text
    assert "fix             ramp all nvt temp 100.0 600.0" in text


def test_pieces_begin_as_a_continued_run_does():
    """Fault: a run that is another one after a kill: other pieces, a frame twice, the state of another thermostat."""
    md = dataclasses.replace(MD, checkpoint_ps=1.0)
    whole, late = deck(md).files["in.lammps"], deck(md, restart=("restart.3000", 3000)).files["in.lammps"]
    pieces = 'every 500 "write_restart restart.*" "write_restart /dev/null"'
    assert whole.count(pieces) == whole.count("run             ") == 3
    assert late.count(pieces) == 1
    assert "\nrestart " not in whole  # LAMMPS writes such files without the set-up a reader of them makes
    for name in ("ramp", "equilibration", "production"):
        assert whole.count(f"fix             {name} all nvt") == 1
    assert "frames delay" not in whole
    assert "dump_modify     frames delay 3001" in late
    assert "frames delay" not in deck(md, restart=("restart.2500", 2500)).files["in.lammps"]


def test_cell_is_the_same_in_lammps_frame():
    """A triclinic cell turned wrongly changes every distance."""
    turned = to_lammps_frame(TRICLINIC.cell_A)
    assert np.allclose(turned @ turned.T, TRICLINIC.cell_A @ TRICLINIC.cell_A.T)
    assert np.allclose(turned, np.tril(turned))
    assert np.linalg.det(turned) > 0
    lines = deck().files["data.lmp"].splitlines()
    start = lines.index("Atoms  # atomic") + 2
    rows = np.array([line.split() for line in lines[start : start + 3]], dtype=float)
    assert rows[:, 1].tolist() == [1, 2, 1]
    fractional = np.linalg.solve(TRICLINIC.cell_A.T, TRICLINIC.positions_A.T).T % 1.0
    assert np.allclose(rows[:, 2:] @ np.linalg.inv(turned), fractional, atol=1e-9)


def test_an_element_the_potential_lacks():
    """LAMMPS would say 'type out of range', or worse, run."""
    with pytest.raises(InputError, match="S"):
        deck(elements=("Li",))


@pytest.mark.parametrize(("gpus", "ranks"), [(0, 1), (0, 2), (1, 1), (4, 1)])
def test_layouts(gpus, ranks):
    """One rank a GPU; CPU runs hide the GPUs; Slurm gets the same numbers as the command."""
    md = dataclasses.replace(MD, gpus=gpus)
    text = deck(md, ranks=ranks, threads=3).files["run.sh"]
    count = max(gpus, ranks)
    assert f"#SBATCH --ntasks={count}\n" in text
    assert "#SBATCH --cpus-per-task=3\n" in text
    assert (f"#SBATCH --gpus={gpus}\n" in text) == (gpus > 0)
    assert ("export CUDA_VISIBLE_DEVICES=\n" in text) == (gpus == 0)
    assert (f"mpirun -np {count} lmp -in in.lammps" in text) == (count > 1)
    assert lmp_command(md, ranks)[0] == ("mpirun" if count > 1 else "lmp")


def test_jax_models_ask_for_an_atom_map():
    """The JAX back end's models fail in LAMMPS without `atom_modify map yes`."""
    assert "atom_modify     map yes" in deck(model="/m/model.savedmodel").files["in.lammps"]
    assert "atom_modify" not in deck().files["in.lammps"]


def test_explore_holds_at_the_end_of_the_ramp():
    """The stay at the highest temperature is what decides whether learning may end."""
    ramp, hold = explore_phases(MD, 1200.0, 5.0, 3.0)
    assert (ramp.start, ramp.stop, hold.start, hold.stop) == (0, 2500, 2500, 4000)
    assert hold.from_K == hold.to_K == ramp.to_K == 1200.0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"temperatures_K": ()}, "temperatures_K"),
        ({"temperatures_K": (600.0, 600.0)}, "twice"),
        ({"timestep_fs": 0.0}, "timestep_fs"),
        ({"production_ps": 0.5}, "frames"),
        ({"replicas": 0}, "replicas"),
    ],
)
def test_md_that_cannot_be(change, word):
    """Settings that make no run must be refused before hours of training."""
    with pytest.raises(InputError, match=word):
        check_md(dataclasses.replace(MD, **change))


def test_walls_stand_where_the_data_end():
    """Nearer than any reference frame a potential has holes that atoms fall into."""
    text = deck(shortest_A={"Li-Li": 2.6, "Li-S": 2.0, "S-S": 6.0}).files["in.lammps"]
    assert "pair_style      hybrid/overlay deepmd /m/model.pb harmonic/cut" in text
    assert "pair_coeff      * * deepmd Li S" in text
    assert "pair_coeff      1 2 harmonic/cut 20 1.9000  # Li-S" in text
    assert "pair_coeff      2 2 harmonic/cut 20 3.0000  # S-S" in text
    assert "c_wall" in text
    assert "harmonic" not in deck().files["in.lammps"]


def test_deviation_of_an_ensemble_is_written_with_the_frames():
    """Fault: deviations of other steps than the dumped frames; a segment's file mixed with that of the one before."""
    others = {"others": ("/m/one.pb", "/m/two.pb")}
    written = "deepmd /m/model.pb /m/one.pb /m/two.pb out_freq 50 out_file deviation.{:010d}.out atomic"
    text = deck(**others).files["in.lammps"]
    assert f"pair_style      {written.format(0)}\n" in text
    assert "dump            frames all custom 50 " in text
    late = deck(restart=("restart.3000", 3000), shortest_A={"Li-S": 2.0}, **others).files["in.lammps"]
    assert f"pair_style      hybrid/overlay {written.format(3000)} harmonic/cut\n" in late
    assert "pair_coeff      * * deepmd Li S\n" in late
    assert "out_freq" not in deck().files["in.lammps"]
