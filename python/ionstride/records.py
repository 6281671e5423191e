"""The records that pass between rooms: frozen, arrays read-only, units in the field names.

Units are LAMMPS *metal* (Å, ps, eV, K, e).  Construction checks shapes and finiteness.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import Array, as_array
from .errors import InputError

IntArray = npt.NDArray[np.int64]


def _freeze(record: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(record, name, value)


@dataclass(frozen=True)
class Structure:
    """Atoms in a periodic cell.

    Attributes
    ----------
    symbols : (N) element names.
    positions_A : (N, 3) Cartesian positions.
    cell_A : (3, 3) cell vectors as rows, right-handed.
    """

    symbols: tuple[str, ...]
    positions_A: Array
    cell_A: Array

    def __post_init__(self) -> None:
        n = len(self.symbols)
        _freeze(
            self,
            symbols=tuple(self.symbols),
            positions_A=as_array("positions_A", self.positions_A, (n, 3)),
            cell_A=as_array("cell_A", self.cell_A, (3, 3)),
        )
        volume = float(np.linalg.det(self.cell_A))
        if volume <= 0.0:
            raise InputError(
                f"the cell has determinant {volume:.4g} Å³, wanted a right-handed cell of positive "
                "volume; swap two cell vectors (and the coordinates along them)"
            )

    @property
    def volume_A3(self) -> float:
        """Volume |det(cell)| in Å³."""
        return abs(float(np.linalg.det(self.cell_A)))

    def count(self, symbol: str) -> int:
        """Return the number of atoms of an element."""
        return self.symbols.count(symbol)


def _frozen_virials(value: Any, frames: int) -> Array | None:
    """Return virials (F, 3, 3), read-only, frames without one all NaN; None where no frame has one."""
    given = np.array(value, dtype=np.float64)
    if given.shape != (frames, 3, 3):
        raise InputError(f"virial_eV has shape {given.shape}, wanted ({frames}, 3, 3)")
    absent = np.isnan(given).all(axis=(1, 2))
    as_array("virial_eV", given[~absent], (None, 3, 3))
    given.flags.writeable = False
    return None if absent.all() else given


@dataclass(frozen=True)
class LabelledFrames:
    """Frames of one composition with energies and forces of one method.

    Attributes
    ----------
    symbols : (N) element names, the same in every frame.
    positions_A : (F, N, 3).
    cell_A : (F, 3, 3) cell vectors as rows.
    energy_eV : (F) total energies.
    force_eV_A : (F, N, 3).
    virial_eV : (F, 3, 3) or None; DeePMD's sign (virial = −volume × stress, tension positive).  A frame without one is
        all NaN, so that no zero can be taken for a virial.
    group : (F) number of the source run; splits go by group or by blocks of `frame_number`.
    frame_number : (F) number of the frame in its run.
    method : the code and functional that made the labels; two methods never mix silently.
    temperature_K : temperature of the source run, if known.
    """

    symbols: tuple[str, ...]
    positions_A: Array
    cell_A: Array
    energy_eV: Array
    force_eV_A: Array
    group: IntArray
    frame_number: IntArray
    method: str
    virial_eV: Array | None = None
    temperature_K: float | None = None

    def __post_init__(self) -> None:
        n = len(self.symbols)
        positions = as_array("positions_A", self.positions_A, (None, n, 3))
        frames = len(positions)
        if frames == 0:
            raise InputError("the set of labelled frames is empty, wanted at least one frame")
        virial = self.virial_eV
        if virial is not None:
            virial = _frozen_virials(virial, frames)
        _freeze(
            self,
            symbols=tuple(self.symbols),
            positions_A=positions,
            cell_A=as_array("cell_A", self.cell_A, (frames, 3, 3)),
            energy_eV=as_array("energy_eV", self.energy_eV, (frames,)),
            force_eV_A=as_array("force_eV_A", self.force_eV_A, (frames, n, 3)),
            virial_eV=virial,
            group=as_array("group", self.group, (frames,), np.int64),
            frame_number=as_array("frame_number", self.frame_number, (frames,), np.int64),
        )

    def __len__(self) -> int:
        return len(self.energy_eV)

    @property
    def has_virial(self) -> npt.NDArray[np.bool_]:
        """(F) whether a frame has a virial."""
        if self.virial_eV is None:
            return np.zeros(len(self), dtype=np.bool_)
        return np.asarray(np.isfinite(self.virial_eV).all(axis=(1, 2)), dtype=np.bool_)

    def take(self, index: Any) -> "LabelledFrames":
        """Return the frames that `index` (integers or a mask, length F) selects."""
        return LabelledFrames(
            symbols=self.symbols,
            positions_A=self.positions_A[index],
            cell_A=self.cell_A[index],
            energy_eV=self.energy_eV[index],
            force_eV_A=self.force_eV_A[index],
            group=self.group[index],
            frame_number=self.frame_number[index],
            method=self.method,
            virial_eV=None if self.virial_eV is None else self.virial_eV[index],
            temperature_K=self.temperature_K,
        )


def join_frames(parts: list[LabelledFrames]) -> LabelledFrames:
    """Return several sets of one composition and method as one; frames without a virial stay without.

    Raises
    ------
    InputError
        If compositions, atom order or methods differ.
    """
    first = parts[0]
    for part in parts[1:]:
        if part.symbols != first.symbols:
            raise InputError("sets of labelled frames with different atoms cannot be joined")
        if part.method != first.method:
            raise InputError(f"labels of two methods do not mix: '{first.method}' and '{part.method}'")
    virials = [np.full((len(p), 3, 3), np.nan) if p.virial_eV is None else p.virial_eV for p in parts]
    return LabelledFrames(
        symbols=first.symbols,
        positions_A=np.concatenate([p.positions_A for p in parts]),
        cell_A=np.concatenate([p.cell_A for p in parts]),
        energy_eV=np.concatenate([p.energy_eV for p in parts]),
        force_eV_A=np.concatenate([p.force_eV_A for p in parts]),
        group=np.concatenate([p.group for p in parts]),
        frame_number=np.concatenate([p.frame_number for p in parts]),
        method=first.method,
        virial_eV=np.concatenate(virials),
        temperature_K=first.temperature_K,
    )


@dataclass(frozen=True)
class Polyhedron:
    """A coordination polyhedron that must stay whole in MD.

    Attributes
    ----------
    centre, ligand : element names.
    count : ligands that belong to each centre.
    cutoff_A : a ligand nearer than this is bonded.
    """

    centre: str
    ligand: str
    count: int
    cutoff_A: float

    def __str__(self) -> str:
        return f"{self.centre}-{self.ligand}{self.count} (< {self.cutoff_A:g} Å)"


@dataclass(frozen=True)
class RunDeck:
    """One LAMMPS run as text: nothing is written or run by making it.

    Attributes
    ----------
    id : name of the run's folder, e.g. ``600K_r0``.
    files : file name → text; ``in.lammps`` and the data file among them.
    settings : what the deck was rendered from, for the record and for continuing it.
    """

    id: str
    files: dict[str, str]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Trajectory:
    """Unwrapped positions of all atoms along one run.

    Attributes
    ----------
    symbols : (N) element names.
    positions_A : (T, N, 3) unwrapped Cartesian positions.
    cell_A : (3, 3), or (T, 3, 3) where the cell changes; rows.
    time_ps : (T) strictly increasing, not necessarily even.
    temperature_K : nominal temperature.
    source : where it came from and how it was unwrapped, in words.
    """

    symbols: tuple[str, ...]
    positions_A: Array
    cell_A: Array
    time_ps: Array
    temperature_K: float
    source: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.symbols)
        positions = as_array("positions_A", self.positions_A, (None, n, 3))
        frames = len(positions)
        if frames < 2:
            raise InputError(f"a trajectory needs at least two frames, got {frames}")
        cell = np.asarray(self.cell_A, dtype=np.float64)
        time = as_array("time_ps", self.time_ps, (frames,))
        if not (np.diff(time) > 0).all():
            at = int(np.argmin(np.diff(time))) + 1
            raise InputError(
                f"time_ps does not increase at frame {at} ({time[at - 1]} then {time[at]} ps); "
                "give the parts of a run in order and without repeats"
            )
        _freeze(
            self,
            symbols=tuple(self.symbols),
            positions_A=positions,
            cell_A=as_array("cell_A", cell, (3, 3) if cell.ndim == 2 else (frames, 3, 3)),
            time_ps=time,
        )
        if self.volume_A3 <= 0.0:
            raise InputError("the cell of the trajectory has no volume; give the cell's vectors")

    @property
    def mean_cell_A(self) -> Array:
        """(3, 3) mean of the cell vectors."""
        return self.cell_A if self.cell_A.ndim == 2 else self.cell_A.mean(axis=0)

    @property
    def volume_A3(self) -> float:
        """Mean volume in Å³."""
        return float(np.mean(np.abs(np.linalg.det(self.cell_A))))


@dataclass(frozen=True)
class FrameStream:
    """One run whose frames are read when they are wanted, a chunk at a time; never all of them.

    Attributes
    ----------
    symbols : (N) element names.
    time_ps : (T) strictly increasing.
    mean_cell_A : (3, 3) mean of the cell vectors, rows.
    volume_A3 : mean volume.
    temperature_K : nominal temperature of the run.
    chunks : call it to read from the first frame on: it gives unwrapped positions (t, N, 3) float64 of consecutive
        frames, T in all, the same as those of the `Trajectory` of these files.  It may be called again.
    chunk_frames : most frames in a chunk.
    source : provenance: files, format, how it was unwrapped, what was dropped.
    """

    symbols: tuple[str, ...]
    time_ps: Array
    mean_cell_A: Array
    volume_A3: float
    temperature_K: float
    chunks: Callable[[], Iterator[Array]]
    chunk_frames: int
    source: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        time = as_array("time_ps", self.time_ps, (None,))
        if len(time) < 2 or not self.symbols:
            raise InputError(f"a stream needs atoms and at least two frames, got {len(self.symbols)} and {len(time)}")
        if not (np.diff(time) > 0).all():
            raise InputError("time_ps does not increase; give the parts of a run in order and without repeats")
        if not self.volume_A3 > 0.0:
            raise InputError("the cell of the trajectory has no volume; give the cell's vectors")
        _freeze(
            self,
            symbols=tuple(self.symbols),
            time_ps=time,
            mean_cell_A=as_array("mean_cell_A", self.mean_cell_A, (3, 3)),
        )

    @property
    def n_frames(self) -> int:
        """Number of frames T."""
        return len(self.time_ps)

    @property
    def chunk_bytes(self) -> int:
        """Size of the largest chunk of positions in bytes."""
        return self.chunk_frames * len(self.symbols) * 24


@dataclass(frozen=True)
class Displacements:
    """What the transport analysis starts from: paths of the mobile ions, drift removed.

    Attributes
    ----------
    r_A : (n_ions, T, 3) float64, ion-major, C-contiguous; absolute unwrapped positions.
    time_ps : (T) strictly increasing; uneven times are kept.
    run : (n_ions) number of the run (replica) each ion belongs to; runs share `time_ps`.
    species : (n_ions) element names.
    charge_e : (n_ions) charges.
    cell_A : (3, 3) mean cell, rows.
    volume_A3 : mean volume of one run's cell.
    temperature_K : temperature.
    drift : what the drift was removed against: an element list such as 'P, S', 'all' or 'none'.
    independent_ions : True where the ions were made one by one (single-ion MD-GAN): collective
        quantities are then an error.
    source : provenance.
    """

    r_A: Array
    time_ps: Array
    run: IntArray
    species: tuple[str, ...]
    charge_e: Array
    cell_A: Array
    volume_A3: float
    temperature_K: float
    drift: str
    independent_ions: bool = False
    source: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ions = len(self.species)
        time = as_array("time_ps", self.time_ps, (None,))
        _freeze(
            self,
            r_A=as_array("r_A", self.r_A, (ions, len(time), 3)),
            time_ps=time,
            run=as_array("run", self.run, (ions,), np.int64),
            species=tuple(self.species),
            charge_e=as_array("charge_e", self.charge_e, (ions,)),
            cell_A=as_array("cell_A", self.cell_A, (3, 3)),
        )
        if ions == 0 or len(time) < 2:
            raise InputError(f"displacements need ions and at least two frames, got {ions} and {len(time)}")

    @property
    def n_runs(self) -> int:
        """Number of runs (replicas)."""
        return len(np.unique(self.run))

    @property
    def n_ions_per_run(self) -> int:
        """Mobile ions in one cell."""
        return len(self.species) // self.n_runs
