"""Kill a study with SIGKILL at random moments and hold what comes out against an undisturbed run.

    python tests/contract/kills.py STUDY.toml --kills 10 [--set KEY=VALUE ...] [--deterministic]

Prints each kill, then: are the records of finished stages untouched, is D within the undisturbed run's interval, and
(with --deterministic) are all numbers identical.

An interval of 95 % is that of the truth, not of a second run: of two undisturbed runs of equal length, one lies outside
the other's interval in about one case of six. So the difference in standard errors of the difference is printed too.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def finished(out: Path) -> dict[str, dict[str, str]]:
    """Outputs (name → SHA-256) of the stages that are finished."""
    return {p.parent.name: json.loads(p.read_text())["outputs"] for p in out.glob("*/run.json")}


def run(command: list[str], log: Path, seconds: float | None = None) -> float | None:
    """Run to the end, or kill after some seconds; returns the wall time if it ended by itself."""
    begun = time.monotonic()
    with log.open("ab") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return None
    if code != 0:
        raise SystemExit(f"the study failed with code {code}:\n{log.read_text()[-2000:]}")
    return time.monotonic() - begun


def main() -> int:
    """Run the study twice and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    changes = [*args.set, f"deterministic={'true' if args.deterministic else 'false'}"]
    folder = Path(tempfile.mkdtemp(prefix="ionstride-kills-"))
    base = [sys.executable, "-m", "ionstride", "run", str(args.study)]
    for change in changes:
        base += ["--set", change]

    whole = folder / "whole"
    wall = run([*base, "--out", str(whole)], folder / "whole.log")
    print(f"undisturbed: {wall:.0f} s")

    rng, kills, rounds, good = random.Random(args.seed), 0, 0, True
    while kills < args.kills:
        rounds += 1
        killed = folder / f"killed_{rounds}"
        made = kill_and_finish([*base, "--out", str(killed)], killed, wall, args.kills - kills, rng)
        kills += made
        good = compare(whole, killed, args.deterministic) and good
    print(f"{kills} kills in {rounds} studies: {'as promised' if good else 'NOT as promised'}")
    return 0 if good else 1


def kill_and_finish(command: list[str], out: Path, wall: float, most: int, rng: random.Random) -> int:
    """Run a study to its end through at most so many kills; returns how many there were."""
    kills, kept = 0, True
    before: dict[str, dict[str, str]] = {}
    log = out.with_suffix(".log")
    while kills < most:
        seconds = rng.uniform(0.02, 0.4) * wall
        if run(command, log, seconds) is not None:
            break
        kills += 1
        now = finished(out)
        kept = kept and all(now.get(stage) == outputs for stage, outputs in before.items())
        before = now
        print(f"  kill after {seconds:5.1f} s; finished: {', '.join(now) or 'nothing'}")
    else:
        run(command, log)
    now = finished(out)
    kept = kept and all(now.get(stage) == outputs for stage, outputs in before.items())
    print(f"  finished after {kills} kills; hashes of finished stages {'kept' if kept else 'NOT KEPT'}")
    if not kept:
        raise SystemExit("a finished stage was changed by a kill")
    return kills


def compare(whole: Path, killed: Path, deterministic: bool) -> bool:
    """Tell whether a killed study ended as an undisturbed one."""
    good = True
    rows = [json.loads((f / "transport" / "transport.json").read_text())["temperatures"] for f in (whole, killed)]
    for one, other in zip(*rows, strict=True):
        low, high = one["D_self_cm2_s"]["ci95"]
        value = other["D_self_cm2_s"]["value"]
        within = low <= value <= high
        errors = [np.log(d["ci95"][1] / d["ci95"][0]) / 3.92 for d in (one["D_self_cm2_s"], other["D_self_cm2_s"])]
        apart = abs(np.log(value / one["D_self_cm2_s"]["value"])) / np.hypot(*errors)
        same = one["msd"] == other["msd"] and one["D_self_cm2_s"] == other["D_self_cm2_s"]
        verdict = "identical" if same else "within" if within else "OUTSIDE"
        ours = f"D {one['D_self_cm2_s']['value']:.4g} [{low:.2g}, {high:.2g}] undisturbed"
        print(f"  {one['temperature_K']:g} K: {ours}, {value:.4g} killed: {verdict}, {apart:.1f} errors apart")
        good = good and (same if deterministic else within)
    return good


if __name__ == "__main__":
    raise SystemExit(main())
