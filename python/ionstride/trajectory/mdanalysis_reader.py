"""LAMMPS text dumps for MDAnalysis, by the C++ reader.

Importing this module registers the format "IONSTRIDE"::

    import ionstride.trajectory.mdanalysis_reader
    universe = MDAnalysis.Universe("data.lammps", "md.lammpstrj", format="IONSTRIDE", dt=0.002)

Times are step × `dt` (ps a MD step), or `ITEM: TIME` where no `dt` is given.  Atoms are sorted by id, as in topologies
read from LAMMPS data files.  Positions are those of the best columns there are (xu, xsu, x with image flags, …), so
unwrapped where the dump says so, relative to the corner of the cell as with MDAnalysis' own reader.  A cut last frame
is left out and of repeated steps the last is taken.
"""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from MDAnalysis.coordinates.base import ReaderBase
from MDAnalysis.lib.mdamath import triclinic_box
from MDAnalysis.lib.util import store_init_arguments

from .. import _kernels
from .compressed import unpacked

_BLOCK_BYTES = 32 << 20  # positions read at once when frames are taken in order


class DumpReader(ReaderBase):  # type: ignore[misc]  # MDAnalysis is untyped
    """Frames of a LAMMPS text dump, plain, .gz or .zst, in any order.

    Parameters
    ----------
    filename : the dump.
    dt : MD time step in ps.
    n_atoms : number of atoms of the topology, as MDAnalysis gives it.
    """

    format = "IONSTRIDE"
    units = {"time": "ps", "length": "Angstrom"}  # noqa: RUF012  # MDAnalysis reads it from the class

    @store_init_arguments  # type: ignore[untyped-decorator]
    def __init__(self, filename: Any, **kwargs: Any) -> None:
        super().__init__(filename, **kwargs)
        self._dt_given = "dt" in kwargs
        self._ts_kwargs.setdefault("dt", 1.0)
        self._open()
        wanted = kwargs.get("n_atoms")
        if wanted is not None and wanted != self.n_atoms:
            self.close()
            raise ValueError(f"{filename} holds {self.n_atoms} atoms, but the topology {wanted}")
        self._reopen()
        self._read_next_timestep()

    def _open(self) -> None:
        self._temporary = contextlib.ExitStack()
        try:
            self._plain = self._temporary.enter_context(unpacked([Path(self.filename)]))[0]
            self._scan = _kernels.scan_dump(self._plain)
        except BaseException:
            self._temporary.close()
            raise
        self.n_atoms = int(self._scan["n_atoms"][0])
        self._in_block = max(1, _BLOCK_BYTES // (24 * self.n_atoms))
        self._block: dict[str, Any] = {}
        self._first = 0

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what the file gives again, so that analyses may run in several processes."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_temporary", "_plain", "_scan", "_block")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file again."""
        self.__dict__.update(state)
        self._open()
        self._read_frame(self.ts.frame)

    @property
    def n_frames(self) -> int:
        """Number of whole frames."""
        return len(self._scan["step"])

    @staticmethod
    def parse_n_atoms(filename: Any, **_kwargs: Any) -> int:
        """Return the number of atoms in the first frame."""
        with unpacked([Path(filename)]) as plain:
            return int(_kernels.scan_dump(plain[0])["n_atoms"][0])

    def close(self) -> None:
        """Let go of what was unpacked."""
        self._block = {}
        self._temporary.close()

    def _reopen(self) -> None:
        self.ts = self._Timestep(self.n_atoms, **self._ts_kwargs)
        self.ts.frame = -1

    def _read_next_timestep(self, ts: Any = None) -> Any:
        frame = self.ts.frame + 1
        if frame >= self.n_frames:
            raise OSError("no more frames")
        return self._fill(frame, self._in_block)

    def _read_frame(self, frame: int) -> Any:
        return self._fill(frame, 1)

    def _fill(self, frame: int, ahead: int) -> Any:
        at = frame - self._first
        if not (self._block and 0 <= at < len(self._block["step"])):
            self._block = _kernels.read_dump(self._plain, frame, frame + ahead, 1, 0, self._scan["index"])
            self._first, at = frame, 0
        block, ts = self._block, self.ts
        ts.frame = frame
        ts.positions = (block["positions_A"][at] - block["origin_A"][at]).astype(np.float32)
        ts.dimensions = triclinic_box(*block["cell_A"][at])
        step = int(block["step"][at])
        ts.data["step"] = step
        timed = block["time"] is not None and not self._dt_given
        ts.time = float(block["time"][at]) if timed else step * ts.dt
        return ts
