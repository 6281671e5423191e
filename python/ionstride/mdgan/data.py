"""Trajectories for MD-GAN: each a run of its own, read and joined as ``ionstride analyze`` reads them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import trajectory, transport
from ..errors import InputError
from ..records import Displacements

_STEPS = 65  # frames that tell one path from another

PARTS = "+"
"""Between the parts of one run: ``run1/XDATCAR+run2/XDATCAR``."""


def read_runs(
    files: Sequence[Path | str],
    *,
    mobile: str,
    temperature_K: float | None = None,
    charge_e: float = 1.0,
    drift: str = "framework",
    **reading: Any,
) -> Displacements:
    """Return the paths of the mobile ions of several independent runs.

    Parameters
    ----------
    files : a run each; the parts of one run have a '+' between them.
    mobile : element of the mobile ions.
    temperature_K : temperature; may be None where every file is an .npz that says it.
    charge_e : charge of an ion.
    drift : what is held still: 'framework', 'all' or 'none'.
    reading : further arguments of `trajectory.read_trajectory`.

    Raises
    ------
    InputError
        If files are missing or given twice, temperatures or time steps differ, or the runs are not of one cell.
    """
    if not files:
        raise InputError("no trajectory was given, wanted at least one")
    runs = [[Path(part) for part in str(file).split(PARTS)] for file in files]
    every = [part.resolve() for parts in runs for part in parts]
    for number, part in enumerate(every):
        if part in every[:number]:
            raise InputError(f"'{part}' is given twice, and would count as new data; give every run once")
    kelvin = temperature_K if temperature_K is not None else own_temperature([p for parts in runs for p in parts])
    read = [trajectory.read_trajectory(list(parts), temperature_K=kelvin, mobile=mobile, **reading) for parts in runs]
    found = transport.displacements(read, mobile, charge_e=charge_e, drift=drift)
    return replace(found, source={**found.source, "files": [str(file) for file in files]})


def own_temperature(files: Sequence[Path]) -> float:
    """Return the temperature that .npz files say.

    Raises
    ------
    InputError
        If one does not say it, or they differ.
    """
    found: dict[float, Path] = {}
    for path in files:
        kelvin = None
        if path.suffix == ".npz" and path.is_file():
            try:
                with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                    kelvin = float(archive["temperature_K"]) if "temperature_K" in archive.files else None
            except Exception:  # whatever is wrong with the file is said when it is read
                kelvin = None
        if kelvin is None or not np.isfinite(kelvin):
            if path.is_file() or path.is_dir():
                raise InputError(f"'{path}' does not say its temperature; give --temperature in K")
            raise InputError(f"trajectory file '{path}' is not there")
        found.setdefault(kelvin, path)
    if len(found) > 1:
        (one, first), (two, second) = list(found.items())[:2]
        raise InputError(
            f"'{first}' is at {one:g} K and '{second}' at {two:g} K; a model is of one temperature: train one for each"
        )
    return next(iter(found))


def fingerprints(paths: Displacements) -> list[str]:
    """Return a short hash of the first steps of each ion, by which its path is known again, each once."""
    import hashlib

    steps = np.rint(np.diff(paths.r_A[:, :_STEPS], axis=1) * 1e5).astype(np.int64)
    return sorted({hashlib.sha256(one.tobytes()).hexdigest()[:16] for one in steps})


def overlap(train: Sequence[Path | str], reference: Sequence[Path | str]) -> str | None:
    """Return a reference file whose bytes are also among the training files, or None."""
    from ..runrecord import tree_hash

    def hashes(files: Sequence[Path | str]) -> dict[str, str]:
        parts = [Path(part) for file in files for part in str(file).split(PARTS)]
        return {tree_hash(path): str(path) for path in parts if path.exists()}

    known = hashes(train)
    return next((name for digest, name in hashes(reference).items() if digest in known), None)
