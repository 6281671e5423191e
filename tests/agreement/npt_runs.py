"""Two LAMMPS dumps under constant pressure: a walk whose D is known, and a real run."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

WALK_FRAME_PS = 0.1
WALK_STEP_A = 0.15
WALK_D_CM2_S = WALK_STEP_A**2 / (2 * WALK_FRAME_PS) * 1e-4
LZP_TYPES = ("Li", "Zr", "P", "O")
LZP_FRAME_PS = 0.05
LZP_TIMESTEP_PS = 0.002
LZP_K = 1773.0


def write_walk_dump(path: Path, frames: int = 1500, seed: int = 5) -> None:
    """Write free walkers (type 1) in a vibrating cubic framework (type 2) whose box breathes by 0.3 %.

    Fractional coordinates walk, so D is that in the mean cell.  Framework sites lie on the boundary of the box too.
    """
    from scipy.signal import lfilter

    rng = np.random.default_rng(seed)
    length, ions = 16.0, 60

    def noise(size: tuple[int, ...], amplitude: float, memory: float) -> np.ndarray:
        keep = np.exp(-1.0 / memory)
        white = rng.normal(0.0, amplitude * np.sqrt(1 - keep**2), (frames + 100, *size))
        return lfilter([1.0], [1.0, -keep], white, axis=0)[100:]

    grid = np.stack(np.meshgrid(*[np.arange(4) / 4] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    lattice = grid + noise((len(grid), 3), 0.2 / length, 3.0)
    start = rng.random((1, ions, 3))
    walk = start + np.cumsum(rng.normal(0.0, WALK_STEP_A / length, (frames, ions, 3)), axis=0)
    fractional = np.concatenate([walk, lattice], axis=1)
    edge = length * (1 + noise((3,), 0.003, 10.0))
    image = np.floor(fractional).astype(int)
    wrapped = (fractional - image) * edge[:, None, :]
    kind = np.repeat([1, 2], [ions, len(grid)])
    number = np.arange(1, len(kind) + 1)
    with path.open("w") as stream:
        for t in range(frames):
            bounds = "".join(f"0.0 {x:.12f}\n" for x in edge[t])
            stream.write(f"ITEM: TIMESTEP\n{t * 50}\nITEM: NUMBER OF ATOMS\n{len(kind)}\nITEM: BOX BOUNDS pp pp pp\n")
            stream.write(bounds + "ITEM: ATOMS id type x y z ix iy iz\n")
            rows = np.column_stack([number, kind, wrapped[t], image[t]])
            np.savetxt(stream, rows, fmt="%d %d %.10f %.10f %.10f %d %d %d")


def run_lzp(folder: Path, data: Path, ps: float, lmp: Path) -> Path:
    """Run LiZr2(PO4)3 with the rigid-ion model of Pedone (doi 10.1021/jp0611018) under NPT; return its dump."""
    from ase.io import read, write

    atoms = read(data / "structures" / "alpha-LiZr2P3O12_R-3c_hex108_from_nap.cif").repeat((2, 1, 1))
    parameters = json.loads((data / "pedone_lzp" / "parameters.json").read_text())
    atoms.set_initial_charges([parameters[s]["q"] for s in atoms.get_chemical_symbols()])
    write(
        folder / "lzp.data", atoms, format="lammps-data", specorder=list(LZP_TYPES), atom_style="charge",
        units="metal", masses=True,
    )  # fmt: skip
    oxygen = LZP_TYPES.index("O") + 1
    pairs = [
        f"pair_coeff {i} {oxygen} pedone {p['D0']} {p['alpha']} {p['r0']} {p['C']}"
        for i, p in enumerate((parameters[s] for s in LZP_TYPES), start=1)
    ]
    every, steps = round(LZP_FRAME_PS / LZP_TIMESTEP_PS), round(ps / LZP_TIMESTEP_PS)
    deck = [
        "units metal", "atom_style charge", "boundary p p p", "read_data lzp.data",
        "pair_style hybrid/overlay coul/long 9.0 pedone 7.0", "kspace_style pppm 1e-4",
        "pair_coeff * * coul/long", *pairs,
        f"timestep {LZP_TIMESTEP_PS}", f"velocity all create {LZP_K} 4711 mom yes dist gaussian",
        f"fix md all npt temp {LZP_K} {LZP_K} 0.1 aniso 0.0 0.0 1.0", "thermo 1000", "run 2500", "reset_timestep 0",
        f"dump d all custom {every} lzp.lammpstrj id type x y z ix iy iz",
        "dump_modify d sort id format float %.10g", f"run {steps}",
    ]  # fmt: skip
    (folder / "in.lammps").write_text("\n".join(deck) + "\n")
    done = subprocess.run(
        [sys.executable, str(lmp), "-in", "in.lammps", "-log", "log.lammps"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"LAMMPS stopped: {(done.stdout + done.stderr)[-800:]}")
    return folder / "lzp.lammpstrj"
