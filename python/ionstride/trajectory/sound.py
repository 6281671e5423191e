"""Frames as read are checked before any arithmetic: finite, of a sensible size, in a cell with a volume."""

from pathlib import Path

import numpy as np

from ..errors import FormatError
from .assemble import Raw

_FARTHEST_A = 1e7
_LONGEST_CELL_A = 1e5
_FLATTEST = 1e-6  # volume over the product of the three lengths


def check_frames(raw: Raw, path: Path) -> Raw:
    """Return the frames if every number in them can be one of a trajectory.

    A left-handed cell is taken as it is (volumes are |det|), but not one whose handedness changes.

    Raises
    ------
    FormatError
        If there are no frames or atoms, a number is not finite or absurdly large, or a cell has no volume.
    """
    frames, atoms = raw.positions_A.shape[:2]
    if frames == 0 or atoms == 0:
        raise FormatError(path, "holds no whole frame" if frames == 0 else "holds no atoms")
    low, high = float(raw.positions_A.min()), float(raw.positions_A.max())
    if not (low > -_FARTHEST_A and high < _FARTHEST_A):
        bad = np.argwhere(~(np.abs(raw.positions_A) < _FARTHEST_A))[0]
        raise FormatError(
            path,
            f"frame {int(bad[0])}, atom {int(bad[1])} (counted from 0) is at {raw.positions_A[tuple(bad)]:g} Å, which "
            "is no position; remove or repair that frame",
        )
    good = np.abs(raw.cell_A).max(axis=(1, 2)) < _LONGEST_CELL_A
    good &= np.isfinite(raw.origin_A).all(axis=1)
    volume = np.linalg.det(np.where(good[:, None, None], raw.cell_A, 0.0))
    lengths = np.linalg.norm(np.where(good[:, None, None], raw.cell_A, 0.0), axis=2)
    good &= np.abs(volume) > _FLATTEST * lengths.prod(axis=1)
    if not good.all():
        frame = int(np.argmin(good))
        rows = "; ".join(" ".join(f"{x:g}" for x in row) for row in raw.cell_A[frame])
        raise FormatError(
            path,
            f"the cell of frame {frame} ({rows}) spans no volume; wanted three finite cell vectors in Å, without which "
            "positions cannot be unwrapped",
        )
    if (volume > 0.0).any() and (volume < 0.0).any():
        raise FormatError(path, "the cell is right-handed in some frames and left-handed in others")
    if raw.time_ps is not None and not np.isfinite(raw.time_ps).all():
        raise FormatError(path, f"the time of frame {int(np.argmin(np.isfinite(raw.time_ps)))} is no finite number")
    return raw
