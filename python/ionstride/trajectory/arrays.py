"""Trajectories in NumPy's files: IonStride's own .npz, and DeePMD npy systems."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import Array
from ..errors import FormatError, InputError
from .assemble import Raw


def read_npz(path: Path, temperature_K: float, mobile: str | None) -> Raw:
    """Read an .npz of ions alone, or of all atoms.

    Ions alone, unwrapped: r_A (ions, frames, 3), dt_ps, cell_A (3, 3) or volume_A3; symbols if they are not all
    `mobile`.  All atoms, wrapped or not: positions_A (frames, atoms, 3), symbols, cell_A (3, 3) or (frames, 3, 3), and
    dt_ps or time_ps (frames); `unwrapped` (true or false) says whether they are.  temperature_K, if there, must be the
    one asked for.

    Raises
    ------
    FormatError
        If an array is missing, of the wrong shape, or holds no numbers.
    InputError
        If the file is of another temperature, or names no elements and `mobile` is not given.
    """
    data = _load_npz(path)
    own = _number(path, data, "temperature_K", temperature_K)
    if not abs(own - temperature_K) <= 0.5:
        raise InputError(f"{path} is of {own:g} K, but {temperature_K:g} K was asked for")
    if "r_A" not in data and "positions_A" not in data:
        raise FormatError(
            path,
            "holds neither 'r_A' (ions, frames, 3) nor 'positions_A' (frames, atoms, 3); it has "
            f"{', '.join(sorted(data)) or 'none'}",
        )
    alone = "r_A" in data
    name = "r_A" if alone else "positions_A"
    positions = _numbers(path, data, name)
    if positions.ndim != 3 or positions.shape[-1] != 3 or positions.size == 0:
        raise FormatError(path, f"{name} has shape {positions.shape}, wanted (ions, frames, 3)" if alone else
                          f"{name} has shape {positions.shape}, wanted (frames, atoms, 3)")  # fmt: skip
    if alone:
        positions = np.ascontiguousarray(positions.transpose(1, 0, 2))
    frames, atoms = positions.shape[:2]
    symbols, said = _elements(path, data, atoms, mobile)
    cell_A, cell_note = _cell(path, data, frames, alone)
    return Raw(
        symbols=symbols,
        positions_A=positions,
        cell_A=cell_A,
        origin_A=np.zeros((frames, 3)),
        time_ps=_time(path, data, frames),
        unwrapped=alone or bool(_number(path, data, "unwrapped", 0.0)),
        notes={
            "format": "IonStride npz",
            "files": [str(path)],
            "cell": cell_note,
            "elements": said,
            "ions_alone": alone and len(set(symbols)) == 1,
        },
    )


def read_deepmd(path: Path) -> Raw:
    """Read a DeePMD npy system as frames in order: type.raw, type_map.raw, set.*/coord.npy and box.npy.

    Raises
    ------
    FormatError
        If a file is missing or does not fit the others.
    """
    if (path / "nopbc").exists():
        raise FormatError(path, "is marked as not periodic (nopbc), wanted a periodic crystal")
    try:
        names = (path / "type_map.raw").read_text(errors="replace").split()
        types = [int(word) for word in (path / "type.raw").read_text(errors="replace").split()]
    except OSError as error:
        raise FormatError(path, f"{Path(error.filename or 'type_map.raw').name} is missing or unreadable") from error
    except ValueError as error:
        raise FormatError(path / "type.raw", "wanted whole numbers") from error
    if not types or min(types) < 0 or max(types) >= len(names):
        raise FormatError(path / "type.raw", f"wanted types from 0 to {len(names) - 1} ({' '.join(names)})")
    sets = sorted((p for p in path.glob("set.*") if p.is_dir()), key=_set_order)
    if not sets:
        raise FormatError(path, "holds no set.* folder")
    positions = np.concatenate([_npy(one / "coord.npy", (len(types), 3)) for one in sets])
    cell_A = np.concatenate([_npy(one / "box.npy", (3, 3)) for one in sets])
    if len(cell_A) != len(positions):
        raise FormatError(path, f"has {len(positions)} frames of coordinates and {len(cell_A)} cells")
    return Raw(
        symbols=tuple(names[t] for t in types),
        positions_A=positions,
        cell_A=cell_A,
        origin_A=np.zeros((len(cell_A), 3)),
        time_ps=None,
        unwrapped=False,
        notes={"format": "DeePMD npy", "files": [str(path)], "sets": len(sets)},
    )


def _set_order(folder: Path) -> tuple[int, str]:
    found = re.fullmatch(r"set\.(\d{1,15})", folder.name)
    return (int(found.group(1)) if found else 10**15, folder.name)


def _npy(file: Path, shape: tuple[int, int]) -> Array:
    if not file.is_file():
        raise FormatError(file.parent, f"{file.name} is missing")
    try:
        array = np.asarray(np.load(file, allow_pickle=False), dtype=np.float64)
        return array.reshape(-1, *shape)
    except Exception as error:  # NumPy raises whatever its parsing of the header runs into
        raise FormatError(file, f"is no .npy file of rows of {shape[0] * shape[1]} numbers") from error


def _load_npz(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, zlib and NumPy each raise their own
        said = " ".join(str(error).split())[:100] or type(error).__name__
        raise FormatError(path, f"is no readable .npz of plain arrays ({said})") from error


def _numbers(path: Path, data: dict[str, Any], name: str) -> Array:
    if data[name].dtype.kind not in "iufb":
        raise FormatError(path, f"'{name}' holds {data[name].dtype}, wanted numbers")
    with np.errstate(over="ignore"):
        return np.asarray(data[name], dtype=np.float64)


def _number(path: Path, data: dict[str, Any], name: str, default: float) -> float:
    if name not in data:
        return default
    value = _numbers(path, data, name)
    if value.size != 1 or not np.isfinite(value).all():
        raise FormatError(path, f"'{name}' wants one finite number")
    return float(value.reshape(()))


def _elements(path: Path, data: dict[str, Any], atoms: int, mobile: str | None) -> tuple[tuple[str, ...], str]:
    if "symbols" not in data:
        if mobile is None:
            raise InputError(f"{path} names no elements: say which one its ions are by --mobile, or add 'symbols'")
        return (mobile,) * atoms, f"not given: taken as {mobile}, as asked for"
    listed = data["symbols"]
    if listed.shape != (atoms,) or listed.dtype.kind not in "US":
        raise FormatError(path, f"symbols has shape {listed.shape} of {listed.dtype}, wanted {atoms} names")
    return tuple(s.decode("latin-1") if isinstance(s, bytes) else str(s) for s in listed), "as given"


def _cell(path: Path, data: dict[str, Any], frames: int, alone: bool) -> tuple[Array, str]:
    if "cell_A" in data:
        cell = _numbers(path, data, "cell_A")
        if cell.shape == (3,):
            raise FormatError(path, "cell_A holds three lengths, wanted three vectors (3, 3)")
        if cell.shape not in ((3, 3), (frames, 3, 3)):
            raise FormatError(path, f"cell_A has shape {cell.shape}, wanted (3, 3) or ({frames}, 3, 3)")
        return np.broadcast_to(cell, (frames, 3, 3)), "cell_A"
    if "volume_A3" in data and alone:
        volume = _number(path, data, "volume_A3", 0.0)
        if not volume > 0.0:
            raise FormatError(path, f"volume_A3 = {volume:g}, wanted a volume above zero")
        return np.broadcast_to(np.eye(3) * volume ** (1.0 / 3.0), (frames, 3, 3)), "cube of volume_A3"
    wanted = "neither 'cell_A' nor 'volume_A3'; a conductivity needs the volume" if alone else "no 'cell_A'"
    raise FormatError(path, f"holds {wanted}")


def _time(path: Path, data: dict[str, Any], frames: int) -> Array | None:
    if "time_ps" in data:
        time = _numbers(path, data, "time_ps")
        if time.shape != (frames,):
            raise FormatError(path, f"time_ps has shape {time.shape}, wanted ({frames},)")
        return time
    if "dt_ps" not in data:
        return None
    dt_ps = _number(path, data, "dt_ps", 0.0)
    if not dt_ps > 0.0:
        raise FormatError(path, f"dt_ps = {dt_ps:g}, wanted a time above zero")
    return np.arange(frames, dtype=np.float64) * dt_ps
