"""A dump bigger than the memory it may take: written, analysed under a limit, its peak told.

    python tests/benchmarks/memory.py --GB 3.1 --limit-GB 1

Ions walk freely with D = 1e-5 cm²/s in a framework that vibrates; `ionstride analyze` runs as a process of its own and
must say what it estimated, give D back, and stay below the limit.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

D_A2_PS = 0.1  # 1e-5 cm²/s
FRAME_PS = 0.1
DIGITS = 9  # of a coordinate in units of 1e-4 Å


def digits(values: np.ndarray, width: int) -> np.ndarray:
    """ASCII digits (n, width) of whole numbers, zeros in front."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    return (values[:, None] // powers % 10 + ord("0")).astype(np.uint8)


def write_dump(path: Path, ions: int, framework: int, size: float, seed: int = 1) -> int:
    """Write frames until the file has this many bytes; return their number."""
    rng = np.random.default_rng(seed)
    atoms = ions + framework
    centre = rng.uniform(400, 440, (atoms, 3))
    lines = np.full((atoms, 8 + 3 + 3 * (DIGITS + 2)), ord(" "), dtype=np.uint8)
    lines[:, :7] = digits(np.arange(1, atoms + 1), 7)
    lines[:, 8:10] = np.frombuffer(b"Li" * ions + b"S " * framework, dtype=np.uint8).reshape(atoms, 2)
    lines[:, -1] = ord("\n")
    head = f"ITEM: NUMBER OF ATOMS\n{atoms}\nITEM: BOX BOUNDS pp pp pp\n400 440\n400 440\n400 440\n"
    frame = 0
    with path.open("wb") as stream:
        while stream.tell() < size:
            centre[:ions] += rng.normal(0, np.sqrt(2 * D_A2_PS * FRAME_PS), (ions, 3))
            now = np.rint(1e4 * (centre + rng.normal(0, 0.1, centre.shape))).astype(np.int64)
            for axis in range(3):
                at = 11 + axis * (DIGITS + 2)
                both = digits(now[:, axis], DIGITS)
                lines[:, at : at + DIGITS - 4] = both[:, :-4]
                lines[:, at + DIGITS - 4] = ord(".")
                lines[:, at + DIGITS - 3 : at + DIGITS + 1] = both[:, -4:]
            stream.write(f"ITEM: TIMESTEP\n{100 * frame}\n{head}ITEM: ATOMS id element xu yu zu\n".encode())
            stream.write(lines.tobytes())
            frame += 1
    return frame


def main() -> int:
    """Write, analyse, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--GB", type=float, default=3.1)
    parser.add_argument("--limit-GB", type=float, default=1.0)
    parser.add_argument("--ions", type=int, default=1600)
    parser.add_argument("--framework", type=int, default=2400)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path, out = Path(name) / "big.lammpstrj", Path(name) / "out"
        frames = write_dump(path, args.ions, args.framework, 1e9 * args.GB)
        print(f"{path.stat().st_size / 1e9:.2f} GB: {args.ions + args.framework} atoms x {frames} frames", flush=True)
        command = [sys.executable, "-m", "ionstride", "analyze", str(path), "--mobile", "Li", "--temperature", "600"]
        command += ["--timestep-ps", str(FRAME_PS / 100), "--memory-GB", str(args.limit_GB), "--out", str(out)]
        begun = time.perf_counter()
        code = subprocess.run(command, check=False).returncode
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        print(f"exit {code}, {time.perf_counter() - begun:.0f} s, peak resident {peak:.3f} GB")
        if code:
            return code
        low, high = json.loads((out / "transport.json").read_text())["D_self_cm2_s"]["ci95"]
        held = low <= D_A2_PS * 1e-4 <= high
        print(f"D in [{low:.5g}, {high:.5g}], truth {D_A2_PS * 1e-4:g}: {'held' if held else 'missed'}")
        return 0 if peak < args.limit_GB else 1


if __name__ == "__main__":
    raise SystemExit(main())
