"""Trajectory files in, transport numbers out: what ``ionstride analyze`` does, for scripts too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import trajectory, transport
from .accumulated import Accumulated, join
from .errors import InputError, MissingToolError, PhysicsError
from .records import Displacements, Trajectory
from .runrecord import tree_hash, versions, write_json, write_text
from .settings import TransportSettings
from .stages import asked
from .stages.analysis import analyse, msd_csv
from .ui import Screen

_PRODUCTS = (
    "transport.json", "mechanism.json", "CHGCAR_density.vasp", "density.cube", "msd.csv", "analysis.html",
    *(f"{name}.svg" for name in ("msd", "density", "rdf", "jumps", "van_hove", "vibration")),
)  # fmt: skip
_SCHEMES = ("minimum-image", "tor", "lattice")


def analyze(
    files: Path | str | Sequence[Path | str],
    *,
    mobile: str,
    temperature_K: float,
    out: Path | str | None = None,
    replicas: Sequence[Sequence[Path | str]] = (),
    frame_ps: float | None = None,
    timestep_ps: float | None = None,
    topology: Path | str | None = None,
    types: Sequence[str] | None = None,
    charge_e: float = 1.0,
    unwrap: str = "auto",
    drift: str = "framework",
    fit_ps: tuple[float, float] | None = None,
    lags: str | Sequence[int] = "auto",
    start: int | None = None,
    stop: int | None = None,
    stride: int = 1,
    cross: Sequence[str] = (),
    mechanism: bool = False,
    memory_GB: float | None = None,
    threads: int = 0,
    screen: Screen | None = None,
) -> dict[str, Any]:
    """Return D, conductivity, Haven ratio and curves of trajectory files; write them to a folder.

    Parameters
    ----------
    files : the parts of one run, in order; or its only file.
    mobile : element of the mobile ion.
    temperature_K : temperature of the run.
    out : folder for `transport.json`, CSV curves, figures and the page; nothing is written if None.
    replicas : further runs of the same cell at the same temperature, each a list of parts.
    frame_ps, timestep_ps, topology, types, unwrap, start, stop, stride : as for `trajectory.read_trajectory`.
    charge_e : charge of one ion.
    drift : 'framework', 'all' or 'none'.
    fit_ps : first and last lag of the fit; found if None.
    lags : lags of the curves in frames: 'auto', 'all', or whole numbers.
    cross : other elements whose collective displacement against the mobile ion's is wanted, by charge 1.
    mechanism : whether g(r), density, sites, jumps and vibration are looked at too (not for streamed runs).
    memory_GB : runs that need more are streamed; by default four fifths of what is free.
    threads : of the kernels, 0 = all cores.
    screen : where progress is told; silent if None.

    Raises
    ------
    InputError, FormatError, PhysicsError, MissingToolError
        As said by what is called; one sentence each.
    """
    runs = [_listed(files), *(_listed(parts) for parts in replicas)]
    types = asked.check_types(types)
    asked.check_kelvin("--temperature", temperature_K)
    asked.check_charge(charge_e)
    asked.check_window(fit_ps)
    asked.check_clock(frame_ps, timestep_ps)
    asked.check_twice(runs)
    if out is not None:
        asked.check_folder(Path(out))
    cross = [element.strip() for element in cross]
    reading: dict[str, Any] = {
        "temperature_K": temperature_K,
        "frame_ps": frame_ps,
        "timestep_ps": timestep_ps,
        "topology": topology,
        "types": types,
        "start": start,
        "stop": stop,
        "stride": stride,
        "unwrap": unwrap,
    }
    words, streamed = _choose_way(runs, reading, memory_GB, screen)
    settings = TransportSettings(fit_ps=fit_ps or (), charge_e=charge_e)
    paths: list[Trajectory] = []
    source: transport.Source
    if streamed:
        if unwrap not in trajectory.STREAMED_UNWRAP:
            raise InputError(
                f"--unwrap {unwrap} needs the whole run in memory, and it is too big for that; take "
                f"{', '.join(trajectory.STREAMED_UNWRAP)}, fewer frames (--start, --stop), or raise --memory-GB"
            )
        if cross or mechanism or lags != "auto":
            raise InputError(
                "--cross, --mechanism and --lags need the whole run in memory, and it is too big for that; leave them "
                "out, take fewer frames (--start, --stop), or raise --memory-GB"
            )
        source = _stream(runs, reading, screen, mobile=mobile, charge_e=charge_e, drift=drift, threads=threads)
    else:
        paths = [trajectory.read_trajectory(parts, mobile=mobile, **reading) for parts in runs]
        source = transport.displacements(paths, mobile, charge_e=charge_e, drift=drift)
    asked.check_used(source.source)
    inputs = {str(file): tree_hash(Path(file)) for parts in runs for file in parts}
    asked.check_copies(inputs)
    if screen is not None:
        for note in asked.notes(source.source):
            screen.warn(note)
    row, _, _ = analyse(source, settings, threads, _lags(lags))
    row["memory"] = {"estimate": words, "streamed": streamed}
    row["inputs"] = inputs
    row["versions"] = versions()
    row["unwrap_schemes"] = _schemes(paths, unwrap, settings, threads, mobile=mobile, drift=drift)
    row["cross"] = {
        f"{mobile}-{element}": _cross(paths, source, element, drift, threads)
        for element in cross
        if isinstance(source, Displacements)
    }
    row["mechanism"] = None
    if mechanism and isinstance(source, Displacements):
        from .mechanism import summarise

        row["mechanism"] = summarise(paths[0], source, mobile=mobile)
    if out is not None:
        row["written"] = write_analysis(row, Path(out), paths, mobile if mechanism else None)
    return row


def write_analysis(
    row: dict[str, Any], out: Path, paths: Sequence[Trajectory] = (), density_of: str | None = None
) -> list[str]:
    """Write the results of `analyze` to a folder; return the names of the files.

    Figures and the page are left out where matplotlib is not installed.
    """
    plain = dict(row)
    mechanism = plain.pop("mechanism", None)
    for name in _PRODUCTS:  # of an earlier analysis: none may stand beside the numbers of this one
        (out / name).unlink(missing_ok=True)
    write_text(out / "msd.csv", msd_csv(row["msd"]))
    written = ["transport.json", "msd.csv"]
    if mechanism is not None:
        write_json(out / "mechanism.json", mechanism)
        written.append("mechanism.json")
    if density_of is not None and paths and mechanism is not None and mechanism["density"] is not None:
        from .mechanism import ion_density, write_density

        density = ion_density(paths[0], density_of)
        written += [write_density(out / name, density).name for name in ("CHGCAR_density.vasp", "density.cube")]
    from . import report

    try:
        drawn = report.mechanism_figures(mechanism) if mechanism is not None else []
        written.append(report.save(report.curves_figure(row), out / "msd.svg").name)
        written += [report.save(figure, out / f"{name}.svg").name for name, figure, _ in drawn]
        pictures = [(name, report.to_svg(figure, caption), caption) for name, figure, caption in drawn]
        written.append(report.write_analysis_page(row, out, extra_figures=pictures).name)
    except MissingToolError:
        pass
    write_json(out / "transport.json", plain)  # last: where it is, all is
    return written


def _listed(files: Path | str | Sequence[Path | str]) -> list[Path | str]:
    return [files] if isinstance(files, (str, Path)) else list(files)


def _choose_way(
    runs: list[list[Path | str]], reading: dict[str, Any], memory_GB: float | None, screen: Screen | None
) -> tuple[str, bool]:
    """Return the estimate in words, and whether the runs are to be streamed."""
    if memory_GB is not None and not memory_GB > 0.0:
        raise InputError(f"--memory-GB {memory_GB:g}, wanted above zero")
    part = {name: reading[name] for name in ("start", "stop", "stride")}
    estimates = [trajectory.estimate_memory(parts, **part) for parts in runs]
    needed = sum(e.needed_bytes for e in estimates)
    free = estimates[0].available_bytes
    limit = memory_GB * 1e9 if memory_GB is not None else (0.8 * free if free is not None else float("inf"))
    words = estimates[0].words if len(runs) == 1 else f"{len(runs)} runs, the first {estimates[0].words}"
    if needed <= limit:
        return words, False
    if not all(e.streamable for e in estimates):
        raise InputError(
            f"{words}; {limit / 1e9:.3g} GB may be used, and only unpacked LAMMPS dumps and what MDAnalysis reads can "
            "be streamed: take fewer frames (--start, --stop), raise --memory-GB, or convert the files"
        )
    if screen is not None:
        screen.say(f"{words}; the frames are streamed")
    return words, True


def _stream(
    runs: list[list[Path | str]],
    reading: dict[str, Any],
    screen: Screen | None,
    **how: Any,
) -> Accumulated:
    parts = []
    for number, files in enumerate(runs):
        stream = trajectory.open_stream(files, **reading)
        name = "frames" if len(runs) == 1 else f"frames of run {number}"

        def tell(done: int, total: int, name: str = name) -> None:
            if screen is not None:
                screen.news(name, done, total)

        parts.append(transport.accumulate(stream, progress=tell, **how))
    return join(parts)


def _lags(lags: str | Sequence[int]) -> Any:
    if isinstance(lags, str):
        if lags == "auto":
            return None
        if lags == "all":
            return lags
        try:
            return np.unique([int(v) for v in lags.split(",")])
        except (ValueError, OverflowError):
            raise InputError(
                f"--lags '{lags}', wanted 'auto', 'all' or whole numbers of frames, such as 1,2,5,10"
            ) from None
    return np.unique(np.asarray(lags))


def _schemes(
    paths: list[Trajectory],
    unwrap: str,
    settings: TransportSettings,
    threads: int,
    **how: str,
) -> dict[str, Any]:
    """Return D by each scheme of unwrapping, where the cell changes and so they differ."""
    if unwrap not in ("auto", "minimum-image") or not any(path.cell_A.ndim == 3 for path in paths):
        return {}
    window = (settings.fit_ps[0], settings.fit_ps[1]) if len(settings.fit_ps) == 2 else None
    found: dict[str, Any] = {}
    for scheme in _SCHEMES:
        try:
            again = [trajectory.rewrap(path, scheme) for path in paths]
            moved = transport.displacements(again, charge_e=settings.charge_e, **how)
            fit = transport.fit_diffusivity(moved, window, threads)
        except PhysicsError as error:
            found[scheme] = {"D_self_cm2_s": None, "why": str(error)}
            continue
        found[scheme] = {
            "D_self_cm2_s": fit.D_cm2_s.as_dict(),
            "verdict": fit.verdict,
            "framework_msd_A2": _framework_msd(again, how["mobile"]),
        }
    return found


def _framework_msd(paths: list[Trajectory], mobile: str) -> float | None:
    """Return the MSD of all other atoms at half the run in Å²: what tells a good scheme in a solid."""
    others = sorted(set(paths[0].symbols) - {mobile})
    if not others:
        return None
    total, count = 0.0, 0
    for path in paths:
        symbols = np.array(path.symbols)
        still = path.positions_A[:, symbols != mobile]
        still = still - still.mean(axis=1, keepdims=True)
        half = len(still) // 2
        total += float(np.sum((still[half:] - still[: len(still) - half]) ** 2))
        count += (len(still) - half) * still.shape[1]
    return total / count


def _cross(
    paths: list[Trajectory], source: Displacements, element: str, drift: str, threads: int
) -> dict[str, list[float]]:
    if element == source.species[0]:
        raise InputError(f"--cross {element} is the mobile ion itself; name other elements")
    msd = transport.cross_msd(source, _others(paths, source, element, drift), threads=threads)
    return {"lag_ps": msd.lag_ps.tolist(), "A2": msd.value_A2.tolist(), "stderr_A2": msd.stderr_A2.tolist()}


def _others(paths: list[Trajectory], source: Displacements, element: str, drift: str) -> Displacements:
    """Return the paths of another element, referred to what the mobile ion's are."""
    if source.drift in ("none", "all"):
        return transport.displacements(paths, element, drift=source.drift)
    raise InputError(
        f"--cross {element}: the drift was removed against {source.drift}, of which it may be a part; its motion has a "
        "meaning only against the whole: add --drift all"
    )
