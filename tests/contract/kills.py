"""Kill a study with SIGKILL at random moments and hold what comes out against an undisturbed run.

    python tests/contract/kills.py tests/contract/kills_study/study.toml --kills 10 [--set KEY=VALUE] [--deterministic]

Prints each kill and the stage it fell into, then: are the records of finished stages untouched, and are the
trajectories (byte for byte), the mean squared displacements, D and all other numbers of results.json but times the same
as those of an undisturbed run.  In both modes they must be: `deterministic` only fixes ranks and threads.
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
from collections import Counter
from pathlib import Path
from typing import Any

STAGES = ("structure", "reference", "learning", "potential", "md", "transport", "report")


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
    stages: Counter[str] = Counter()
    while kills < args.kills:
        rounds += 1
        killed = folder / f"killed_{rounds}"
        made = kill_and_finish([*base, "--out", str(killed)], killed, wall, args.kills - kills, rng, stages)
        kills += made
        good = compare(whole, killed) and good
    print("kills by stage:", ", ".join(f"{stage} {count}" for stage, count in stages.items()))
    print(f"{kills} kills in {rounds} studies: {'as promised' if good else 'NOT as promised'}")
    return 0 if good else 1


def kill_and_finish(
    command: list[str], out: Path, wall: float, most: int, rng: random.Random, stages: Counter[str]
) -> int:
    """Run a study to its end through at most so many kills; returns how many there were and counts their stages."""
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
        stage = next((s for s in STAGES if s not in now and (out / s).is_dir()), "between stages")
        stages[stage] += 1
        print(f"  kill after {seconds:5.1f} s in {stage}: {piece_in_hand(out, stage)}", flush=True)
    else:
        run(command, log)
    now = finished(out)
    kept = kept and all(now.get(stage) == outputs for stage, outputs in before.items())
    print(f"  finished after {kills} kills; hashes of finished stages {'kept' if kept else 'NOT KEPT'}")
    if not kept:
        raise SystemExit("a finished stage was changed by a kill")
    return kills


def piece_in_hand(out: Path, stage: str) -> str:
    """Tell how far the stage was that a kill fell into."""
    done = [
        f"{p.parent.parent.name} trained to {json.loads(p.read_text())['done']}"
        for p in out.glob(f"{stage}/**/training.json")
    ]
    steps = [f"{p.parent.name} restart of step {p.suffix[1:]}" for p in sorted(out.glob(f"{stage}/**/restart.*[0-9]"))]
    return "; ".join(done + steps) or "-"


def frames(run: Path) -> dict[tuple[str, int], bytes]:
    """Return (phase, step) → frame of a run's dumps; of a step dumped twice the later segment's counts."""
    kept: dict[tuple[str, int], bytes] = {}
    for path in sorted(run.glob("*.lammpstrj"), key=lambda p: p.name.split(".")[1]):
        phase, start = path.name.split(".")[:2]
        kept = {at: text for at, text in kept.items() if at[0] != phase or at[1] <= int(start)}
        for text in path.read_bytes().split(b"ITEM: TIMESTEP\n")[1:]:
            kept[phase, int(text.split(b"\n", 1)[0])] = text
    return kept


def numbers(value: Any) -> Any:
    """Return results without what differs between any two runs (times, folders) and the files a run is cut into."""
    if isinstance(value, dict):
        left_out = {"provenance", "wall_s", "train_s", "atom_steps_per_s"}
        left_out |= {"files", "superseded_files", "repeated_frames_dropped", "cut_last_frames_dropped"}
        return {key: numbers(inner) for key, inner in value.items() if key not in left_out}
    return [numbers(inner) for inner in value] if isinstance(value, list) else value


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Return the places at which two results differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [d for key in one for d in differences(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [d for i, pair in enumerate(zip(one, other, strict=True)) for d in differences(*pair, f"{where}[{i}]")]
    return [] if one == other or (one != one and other != other) else [where]


def compare(whole: Path, killed: Path) -> bool:
    """Tell whether a killed study ended as an undisturbed one, to the last bit."""
    good = True
    for run in sorted([*whole.glob("learning/round_*/explore/*_r*"), *whole.glob("md/*_r*"), *whole.glob("md/*_cell")]):
        one, other = frames(run), frames(killed / run.relative_to(whole))
        if one != other:
            good = False
            at = min(k[1] for k in one.keys() | other.keys() if one.get(k) != other.get(k))
            print(f"  {run.relative_to(whole)}: NOT identical from step {at}")
    results = [json.loads((f / "results.json").read_text()) for f in (whole, killed)]
    rows = [r["transport"]["temperatures"] for r in results]
    for one, other in zip(*rows, strict=True):
        same = one["msd"] == other["msd"] and one["D_self_cm2_s"] == other["D_self_cm2_s"]
        values = [d["D_self_cm2_s"]["value"] for d in (one, other)]
        D = f"D {values[0]!r} undisturbed, {values[1]!r} killed"
        print(f"  {one['temperature_K']:g} K: {D}, {'same' if same else 'NOT the same'}")
        good = good and same
    apart = differences(*[numbers(r) for r in results])
    print(f"  results.json: {'identical' if not apart else 'DIFFERS at ' + ', '.join(apart[:8])}")
    return good and not apart


if __name__ == "__main__":
    raise SystemExit(main())
