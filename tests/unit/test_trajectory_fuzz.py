"""Spoilt files of every format end in a sentence: never in a traceback, a warning or a crash.

IONSTRIDE_FUZZ=5000 spoils each file 5000 times instead of 100; IONSTRIDE_FUZZ_SEED sets where the seeds start.  Files
for MDAnalysis, which takes a process for each, are spoilt a fifth as often.
"""

import gzip
import os
import re
import shutil

import numpy as np
import pytest
import zstandard
from trajectory_files import (
    CELL,
    cp2k,
    deepmd,
    dump,
    extxyz,
    ions_npz,
    mdanalysis,
    npz,
    outcar,
    paths,
    siesta,
    traj,
    vasprun,
    xdatcar,
)

from ionstride.errors import IonstrideError
from ionstride.trajectory import SCHEMES, read_trajectory, rewrap

COUNT = int(os.environ.get("IONSTRIDE_FUZZ", "100"))
SEED = int(os.environ.get("IONSTRIDE_FUZZ_SEED", "0"))
FRAMES = 8
BREATHING = CELL * (1 + 0.002 * np.sin(np.arange(FRAMES)))[:, None, None]


def packed(write, name, pack):
    def build(file, r, **how):
        plain = write(file.with_name(name), r, **how)
        file.write_bytes(pack(plain.read_bytes()))
        return file

    return build


# name of the file, writer, its options, the reader's options, and the file to spoil if it is another
FORMATS = {
    "dump": ("a.lammpstrj", dump, {"cells": BREATHING}, {"timestep_ps": 0.001}, ""),
    "dump xu": ("a.lammpstrj", dump, {"kind": "xu", "time": np.arange(FRAMES)}, {}, ""),
    "dump image gz": ("a.dump.gz", packed(dump, "a.dump", gzip.compress), {"kind": "image"}, {"timestep_ps": 0.1}, ""),
    "dump zst": ("a.dump.zst", packed(dump, "a.dump", zstandard.compress), {}, {"timestep_ps": 0.1}, ""),
    "xdatcar": ("XDATCAR", xdatcar, {}, {"frame_ps": 0.1}, ""),
    "xdatcar npt": ("XDATCAR", xdatcar, {"cells": BREATHING, "every_header": True}, {"frame_ps": 0.1}, ""),
    "xdatcar gz": ("XDATCAR.gz", xdatcar, {}, {"frame_ps": 0.1}, ""),
    "vasprun": ("vasprun.xml", vasprun, {"cells": BREATHING}, {}, ""),
    "outcar": ("OUTCAR", outcar, {"cells": BREATHING}, {}, ""),
    "siesta": ("md.out", siesta, {"cells": BREATHING}, {}, ""),
    "cp2k": ("run-pos-1.xyz", cp2k, {}, {}, ""),
    "cp2k cell": ("run-pos-1.xyz", cp2k, {"cells": BREATHING}, {}, "run-1.cell"),
    "extxyz": ("a.extxyz", extxyz, {"cells": BREATHING}, {}, ""),
    "extxyz unwrapped": ("a.xyz", extxyz, {"unwrapped": True, "time": False}, {"frame_ps": 0.1}, ""),
    "traj": ("a.traj", traj, {}, {"frame_ps": 0.1}, ""),
    "npz": ("a.npz", npz, {"cells": BREATHING}, {}, ""),
    "npz ions": ("a.npz", ions_npz, {}, {"mobile": "Li"}, ""),
    "deepmd coord": ("system", deepmd, {}, {"frame_ps": 0.1}, "system/set.000/coord.npy"),
    "deepmd types": ("system", deepmd, {}, {"frame_ps": 0.1}, "system/type.raw"),
    "dcd": ("a.dcd", mdanalysis, {}, {"frame_ps": 0.1, "topology": "top.pdb"}, ""),
    "xtc": ("a.xtc", mdanalysis, {}, {"topology": "top.pdb"}, ""),
    "trr": ("a.trr", mdanalysis, {}, {"topology": "top.pdb"}, ""),
    "pdb": ("a.dcd", mdanalysis, {}, {"frame_ps": 0.1, "topology": "top.pdb"}, "top.pdb"),
}
WORDS = [b"nan", b"inf", b"-inf", b"x", b"-1", b"0", b"1e400", b"1e300", b"-7e88", b"99999999999999999999", b"", b"4.5",
         b"1_0", b"\xff\xfe", b"\x00", b"3 3", b"\xd9\xa3", b"1d5", b"Li", b"2147483648", b"1e-320"]  # fmt: skip
NUMBER = re.compile(rb"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


def spoil(rng, whole):
    """Return the bytes with one to three faults in them."""
    said = bytearray(whole)
    for _ in range(int(rng.integers(1, 4))):
        if not said:
            break
        kind = int(rng.integers(9))
        at = int(rng.integers(len(said)))
        if kind == 0:
            del said[at:]
        elif kind == 1:
            for k in rng.integers(len(said), size=int(rng.integers(1, 8))):
                said[k] ^= 1 << int(rng.integers(8))
        elif kind == 2:  # in the head, where formats say what they are
            said[int(rng.integers(min(len(said), 400)))] = int(rng.integers(256))
        elif kind in (3, 4):
            lines = bytes(said).split(b"\n")
            line = int(rng.integers(len(lines)))
            lines[line : line + 1] = [] if kind == 3 else [lines[line]] * 2
            said = bytearray(b"\n".join(lines))
        elif kind in (5, 6):
            numbers = list(NUMBER.finditer(bytes(said)))
            if numbers:
                number = numbers[int(rng.integers(min(len(numbers), 60) if kind == 6 else len(numbers)))]
                said[number.start() : number.end()] = WORDS[int(rng.integers(len(WORDS)))]
        elif kind == 7:
            said[at : at + int(rng.integers(1, 64))] = b""
        else:
            said[at:at] = said[at : at + int(rng.integers(1, 200))]
    return bytes(said)


@pytest.mark.parametrize("name", FORMATS)
def test_spoilt_files_end_in_a_sentence(tmp_path, name, capfd):
    """Fault: an IndexError, a RuntimeWarning or a crash from a truncated or corrupt file."""
    file, write, how, options, victim = FORMATS[name]
    r = paths(FRAMES)
    if how.get("cells") is not None:
        r = r @ np.linalg.inv(CELL) @ BREATHING
    place = write(tmp_path / file, r, **how)
    options = {k: tmp_path / v if k == "topology" else v for k, v in options.items()}
    target = tmp_path / (victim or file)
    whole = target.read_bytes()
    good = read_trajectory([place], temperature_K=500.0, **options)
    assert len(good.time_ps) == FRAMES
    shutil.copyfile(target, tmp_path / "whole")
    capfd.readouterr()
    count = COUNT // 5 if write is mdanalysis else COUNT
    refused = 0
    for seed in range(SEED, SEED + count):
        rng = np.random.default_rng(seed)
        target.write_bytes(spoil(rng, whole))
        try:
            run = read_trajectory([place], temperature_K=500.0, **options)
            assert np.isfinite(run.positions_A).all()
            for scheme in SCHEMES:
                rewrap(run, scheme)
        except IonstrideError as error:
            refused += 1
            said = str(error)
            assert said and "\n" not in said and len(said) < 900, f"seed {seed}: {said}"
        except BaseException as error:
            shutil.copyfile(target, tmp_path / "spoilt")
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    assert refused > count // 5
    if COUNT > 100:
        with capfd.disabled():
            print(f"{name}: {count} spoilt files, {refused} refused, {count - refused} read", flush=True)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
