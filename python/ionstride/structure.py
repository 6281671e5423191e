"""Crystal structures: reading, supercells, and the polyhedra that must stay whole in MD."""

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .checks import Array, check_mobile
from .errors import FormatError, InputError
from .geometry import pair_distances, shortest_distances
from .records import Polyhedron, Structure

OVERLAP = 0.5
"""Two atoms nearer than this part of the sum of their covalent radii overlap."""

BOND = 1.35
"""A first shell farther than this part of the sum of covalent radii is no coordination polyhedron."""

SHELL_REACH_A = 6.0

# Pauling electronegativities (CRC Handbook of Chemistry and Physics); noble gases left out.
_PAULING = dict(
    H=2.20, Li=0.98, Be=1.57, B=2.04, C=2.55, N=3.04, O=3.44, F=3.98, Na=0.93, Mg=1.31, Al=1.61, Si=1.90, P=2.19,
    S=2.58, Cl=3.16, K=0.82, Ca=1.00, Sc=1.36, Ti=1.54, V=1.63, Cr=1.66, Mn=1.55, Fe=1.83, Co=1.88, Ni=1.91, Cu=1.90,
    Zn=1.65, Ga=1.81, Ge=2.01, As=2.18, Se=2.55, Br=2.96, Rb=0.82, Sr=0.95, Y=1.22, Zr=1.33, Nb=1.6, Mo=2.16, Ru=2.2,
    Rh=2.28, Pd=2.20, Ag=1.93, Cd=1.69, In=1.78, Sn=1.96, Sb=2.05, Te=2.1, I=2.66, Cs=0.79, Ba=0.89, La=1.10, Ce=1.12,
    Pr=1.13, Nd=1.14, Sm=1.17, Gd=1.20, Dy=1.22, Ho=1.23, Er=1.24, Tm=1.25, Lu=1.27, Hf=1.3, Ta=1.5, W=2.36, Re=1.9,
    Os=2.2, Ir=2.20, Pt=2.28, Au=2.54, Hg=2.00, Tl=1.62, Pb=2.33, Bi=2.02, Th=1.3, U=1.38,
)  # fmt: skip


def read_structure(path: Path | str) -> Structure:
    """Read a crystal structure from any file that ASE reads; of several frames the last.

    A left-handed cell is given right-handed by turning all three vectors round, which leaves the lattice, the atoms
    and the order of the axes as they are.

    Parameters
    ----------
    path : CIF, POSCAR, extxyz, …

    Raises
    ------
    FormatError
        If the file cannot be read or holds no cell.
    InputError
        If the file is missing, a site is occupied in part, or atoms overlap.
    """
    from ase import Atoms
    from ase.io import read

    path = Path(path)
    if not path.is_file():
        raise InputError(f"structure file '{path}' is not there")
    if path.suffix.lower() == ".cif":
        _refuse_partial_sites(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms = read(path)
    except Exception as error:  # ASE's readers raise whatever their parsing runs into
        raise FormatError(path, f"cannot be read as a structure ({_one_line(error)})") from error
    if not isinstance(atoms, Atoms) or len(atoms) == 0:
        raise FormatError(path, "holds no atoms")
    occupancy = atoms.info.get("occupancy")
    if occupancy:
        partial = [f"{e} {o:g}" for site in occupancy.values() for e, o in site.items() if abs(o - 1.0) > 1e-3]
        if partial:
            raise _partial_error(path, partial)
    if abs(np.linalg.det(atoms.cell.array)) < 1e-6:
        raise FormatError(path, "has no cell, wanted three cell vectors")
    structure = from_atoms(atoms)
    _refuse_overlaps(path, structure)
    return structure


def read_structures(path: Path | str) -> list[Structure]:
    """Read all frames of a file of cells; a CIF has one, see `read_structure`.

    Parameters
    ----------
    path : CIF, POSCAR, XDATCAR, extxyz, .traj, …

    Raises
    ------
    FormatError
        If the file cannot be read or a frame has no cell.
    InputError
        As `read_structure`.
    """
    from ase.io import read

    path = Path(path)
    if not path.is_file() or path.suffix.lower() == ".cif":
        return [read_structure(path)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            images: Any = read(path, index=":")
    except Exception as error:  # ASE's readers raise whatever their parsing runs into
        raise FormatError(path, f"cannot be read as structures ({_one_line(error)})") from error
    found = []
    for number, atoms in enumerate(images):
        if len(atoms) == 0 or abs(np.linalg.det(atoms.cell.array)) < 1e-6:
            raise FormatError(path, f"frame {number} (counted from 0) has no atoms or no cell")
        structure = from_atoms(atoms)
        _refuse_overlaps(path, structure)
        found.append(structure)
    if not found:
        raise FormatError(path, "holds no frames")
    return found


def _one_line(error: Exception) -> str:
    words = " ".join(str(error).split())
    return (words[:120] or type(error).__name__).rstrip(".")


def _partial_error(path: Path, sites: Sequence[str]) -> InputError:
    named = ", ".join(sites[:8]) + (f" and {len(sites) - 8} more" if len(sites) > 8 else "")
    return InputError(
        f"{path}: sites occupied in part ({named}); MD needs whole atoms: order the cell first and give that"
    )


def _refuse_partial_sites(path: Path) -> None:
    """Read the occupancies of a CIF, which ASE turns into whole atoms."""
    from ase.io.cif import parse_cif

    partial: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            blocks: list[Any] = list(parse_cif(str(path)))
    except Exception as error:
        raise FormatError(path, f"cannot be read as a CIF ({_one_line(error)})") from error
    for block in blocks:
        occupancy = block.get("_atom_site_occupancy")
        if occupancy is None:
            continue
        occupancy = occupancy if isinstance(occupancy, list) else [occupancy]
        labels = block.get("_atom_site_label") or block.get("_atom_site_type_symbol") or [""] * len(occupancy)
        for label, value in zip(labels, occupancy, strict=False):
            number = re.match(r"\s*\d*\.?\d+", str(value))
            if number and abs(float(number.group()) - 1.0) > 1e-3:
                partial.append(f"{label} {float(number.group()):g}")
    if partial:
        raise _partial_error(path, partial)


def _covalent_radius(symbol: str) -> float:
    from ase.data import atomic_numbers, covalent_radii

    return float(covalent_radii[atomic_numbers[symbol]])


def _refuse_overlaps(path: Path, structure: Structure) -> None:
    for (a, b), distance in shortest_distances(structure.symbols, structure.positions_A, structure.cell_A).items():
        least = OVERLAP * (_covalent_radius(a) + _covalent_radius(b))
        if distance < least:
            raise InputError(
                f"{path}: {a} and {b} are {distance:.3f} Å apart, wanted more than {least:.2f} Å; "
                "overlapping sites are often sites occupied in part: order the cell first"
            )


def to_atoms(structure: Structure) -> Any:
    """Return a structure as `ase.Atoms`, periodic along all three vectors."""
    from ase import Atoms

    return Atoms(list(structure.symbols), positions=structure.positions_A, cell=structure.cell_A, pbc=True)


def from_atoms(atoms: Any) -> Structure:
    """Return `ase.Atoms` as a structure; a left-handed cell is turned right-handed (see `read_structure`)."""
    cell = np.array(atoms.cell.array, dtype=np.float64)
    if np.linalg.det(cell) < 0.0:
        cell = -cell
    return Structure(tuple(atoms.get_chemical_symbols()), np.array(atoms.positions), cell)


def make_supercell(structure: Structure, repeats: Sequence[int]) -> Structure:
    """Return a structure repeated along a, b and c.

    Parameters
    ----------
    structure : the cell.
    repeats : three whole numbers from 1; (1, 1, 1) returns the structure itself.

    Returns
    -------
    Atoms grouped by element in the order of first appearance; within an element image by image.

    Raises
    ------
    InputError
        If `repeats` is not three whole numbers from 1.
    """
    if len(repeats) != 3 or any(int(n) != n or n < 1 for n in repeats):
        raise InputError(f"supercell = {list(repeats)}, wanted three whole numbers from 1, such as [2, 2, 1]")
    counts = [int(n) for n in repeats]
    if counts == [1, 1, 1]:
        return structure
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1).reshape(-1, 3)
    moves = grid @ structure.cell_A
    positions = (moves[:, None, :] + structure.positions_A[None]).reshape(-1, 3)
    symbols = np.tile(np.asarray(structure.symbols), len(moves))
    elements = list(dict.fromkeys(structure.symbols))
    order = np.concatenate([np.flatnonzero(symbols == element) for element in elements])
    cell = structure.cell_A * np.array(counts)[:, None]
    return Structure(tuple(str(s) for s in symbols[order]), positions[order], cell)


def find_polyhedra(structure: Structure, mobile: str) -> list[Polyhedron]:
    """Find the polyhedra of the framework, such as PS4: every centre of an element alike, and clearly bounded.

    Centres are framework elements; a centre's ligand is the more electronegative framework element nearest to it.  The
    first shell ends at the largest relative gap among the sorted distances (3 to 8 ligands).  An element whose centres
    differ in number, or whose shell is too far away to be bonded, has none.

    Parameters
    ----------
    structure : the crystal.
    mobile : the mobile element, no part of the framework.

    Returns
    -------
    One polyhedron for each centre element, in the order of first appearance; `cutoff_A` is the middle of the gap, but
    at most 1.4 times the mean length of the bonds.

    Raises
    ------
    InputError
        If the mobile element is absent.
    """
    check_mobile(structure.symbols, mobile)
    framework = [s for s in dict.fromkeys(structure.symbols) if s != mobile and s in _PAULING]
    found = []
    for centre in framework:
        ligands = [s for s in framework if _PAULING[s] > _PAULING[centre]]
        shells = {ligand: _sorted_distances(structure, centre, ligand) for ligand in ligands}
        for ligand in sorted(ligands, key=lambda s: float(shells[s][:, 0].min())):
            polyhedron = _first_shell(centre, ligand, shells[ligand])
            if polyhedron is not None:
                found.append(polyhedron)
                break
    return found


def _sorted_distances(structure: Structure, centre: str, ligand: str) -> Array:
    """Return (number of centres, distances to ligands in Å, sorted)."""
    names = np.asarray(structure.symbols)
    distances, _ = pair_distances(
        structure.positions_A[names == centre],
        structure.positions_A[names == ligand],
        structure.cell_A,
        SHELL_REACH_A,
    )
    return np.sort(distances.reshape(len(distances), -1), axis=1)


def _first_shell(centre: str, ligand: str, distances: Array) -> Polyhedron | None:
    if distances.shape[1] < 3:
        return None
    # Beyond SHELL_REACH_A not every image is listed; what is missing lies at least that far.
    padded = np.pad(distances, ((0, 0), (0, 9)), constant_values=np.inf)
    padded = np.where(padded > SHELL_REACH_A, np.inf, padded)[:, :9]
    nearer, farther = padded[:, 2:8], np.minimum(padded[:, 3:9], SHELL_REACH_A)
    with np.errstate(invalid="ignore"):
        gaps = np.where(np.isfinite(nearer), farther / nearer, 0.0)
    counts = gaps.argmax(axis=1) + 3
    count = int(counts[0])
    if (counts != count).any():
        return None
    bonds = padded[:, :count]
    next_A = min(float(padded[:, count].min()), SHELL_REACH_A)
    mean_A, longest_A = float(bonds.mean()), float(bonds.max())
    if longest_A > BOND * (_covalent_radius(centre) + _covalent_radius(ligand)) or longest_A >= next_A:
        return None
    cutoff_A = min(0.5 * (longest_A + next_A), 1.4 * mean_A)
    return Polyhedron(centre, ligand, count, round(max(cutoff_A, 1.001 * longest_A), 3))


def parse_polyhedra(texts: Sequence[str]) -> list[Polyhedron]:
    """Read polyhedra written as ``centre-ligand:count:cutoff_A``, such as ``P-S:4:2.9``.

    Raises
    ------
    InputError
        If a text is not of that form.
    """
    found = []
    for text in texts:
        match = re.fullmatch(r"\s*([A-Z][a-z]?)\s*-\s*([A-Z][a-z]?)\s*:\s*(\d+)\s*:\s*(\d*\.?\d+)\s*", text)
        if match is None or int(match[3]) < 1 or float(match[4]) <= 0.0:
            raise InputError(f"polyhedron '{text}' is not of the form centre-ligand:count:cutoff_A, such as P-S:4:2.9")
        found.append(Polyhedron(match[1], match[2], int(match[3]), float(match[4])))
    return found


def write_structure(structure: Structure, path: Path | str) -> None:
    """Write a structure; a crash leaves the old file or the new one, never half of one.

    Parameters
    ----------
    structure : what to write.
    path : ``.xyz`` or ``.extxyz`` for extended xyz, ``.vasp`` or a name with POSCAR for VASP, ``.cif`` for CIF.

    Raises
    ------
    InputError
        If the name tells no known format.
    """
    from ase.io import write

    path = Path(path)
    kinds = {".xyz": "extxyz", ".extxyz": "extxyz", ".vasp": "vasp", ".poscar": "vasp", ".cif": "cif"}
    kind = "vasp" if "POSCAR" in path.name else kinds.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"'{path.name}' tells no known format, wanted a name ending in .extxyz, .vasp or .cif")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary, to_atoms(structure), format=kind)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
