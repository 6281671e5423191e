"""Sources of any kind → one checked set: frames by composition, each source a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, InputError
from ..records import IntArray, LabelledFrames
from ..runrecord import read_json, tree_hash
from .files import check_part, formula, one_order, read_numbers, stacked
from .formats import Part
from .kinds import SET_FILE, folder_of_set, sources_in
from .sound import check_net_force, repeated_frames
from .sources import read_source
from .unitcheck import check_units

REPEATED = "repeat another frame"


@dataclass(frozen=True)
class Source:
    """One run as it came.

    Attributes
    ----------
    path, kind, sha256 : of the file or folder.
    method : what it says of itself, or nothing.
    n_read, dropped : frames read, and reason → frames left out.
    frame_ps, temperature_K : as it says, or as given.
    notes : sentences.
    """

    path: str
    kind: str
    sha256: str
    method: str
    n_read: int
    dropped: dict[str, int]
    frame_ps: float | None
    temperature_K: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gathered:
    """A checked set.

    Attributes
    ----------
    compositions : formula → its frames; `group` is the number of the source.
    sources : by number of group.
    method : of all frames.
    checks : formula → what `check_units` and the other checks found.
    notes : sentences that concern the whole.
    """

    compositions: dict[str, LabelledFrames]
    sources: tuple[Source, ...]
    method: str
    checks: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    @property
    def dropped(self) -> dict[str, int]:
        """Reason → frames left out, over all sources."""
        total: dict[str, int] = {}
        for source in self.sources:
            for reason, count in source.dropped.items():
                total[reason] = total.get(reason, 0) + count
        return total


def gather(
    files: Sequence[Path],
    *,
    method: str = "",
    frame_number: Path | None = None,
    frame_ps: float | None = None,
    temperature_K: float | None = None,
) -> Gathered:
    """Read sources of any known kind, check them and sort them by composition.

    Left out and counted are steps whose electronic part did not converge, cut last frames and repeated frames.
    Everything else that is wrong is refused.

    Parameters
    ----------
    files : files or folders, see `sources_in`; each is a run of its own.
    method : code and functional, for sources that do not say it.
    frame_number : .npy with the number of each frame in its run, for one source.
    frame_ps : time between frame numbers, for sources that do not say it.
    temperature_K : temperature of the runs, for sources that do not say it.

    Raises
    ------
    InputError
        If nothing is given, methods differ or are unknown for some, units are wrong, or the same geometry has two
        energies.
    FormatError
        If a file does not hold what its format promises.
    """
    for option, value in (("--frame-ps", frame_ps), ("--temperature", temperature_K)):
        if value is not None and not 0.0 < value < float("inf"):
            raise InputError(f"{option} {value:g}, wanted a number above zero")
    if not files:
        raise InputError("no files of labelled frames were given")
    paths = list(dict.fromkeys(place for file in files for place in sources_in(Path(file))))
    if frame_number is not None and len(paths) > 1:
        raise InputError(f"--frame-number {frame_number} can be given for one source of frames, not for {len(paths)}")
    sources: list[Source] = []
    parts: list[tuple[int, Part]] = []
    in_set: dict[str, int] = {}
    for path in paths:
        kind, found = read_source(path)
        for part in found:
            check_part(part)
        known = _from_set(path)
        if known:
            found = [replace(part, method=known["method"]) for part in found]
        if frame_number is not None:
            found = _numbered(found, frame_number)
        place = str(known.get("run", path))
        group = in_set.get(place, len(sources)) if known else len(sources)
        parts += [(group, part) for part in found]
        n_read = sum(len(part) + sum(part.dropped.values()) for part in found)
        if group < len(sources):  # the frames of one run with and without virials are two systems of a set
            sources[group] = replace(sources[group], n_read=sources[group].n_read + n_read)
            continue
        in_set[place] = group
        sources.append(_source(path, kind, found, known, frame_ps=frame_ps, temperature_K=temperature_K))
    return gather_parts(sources, parts, method)


def gather_parts(sources: Sequence[Source], parts: Sequence[tuple[int, Part]], method: str = "") -> Gathered:
    """Check frames that are already read and sort them by composition.

    Parameters
    ----------
    sources : the runs.
    parts : (number of the run, frames).
    method : code and functional, for sources that do not say it.

    Raises
    ------
    InputError
        If methods differ or are unknown for some, units are wrong, or the same geometry has two energies.
    """
    sources, whole_method, notes = _one_method(list(sources), method)
    compositions: dict[str, LabelledFrames] = {}
    checks: dict[str, Any] = {}
    for name in sorted({formula(part.symbols) for _, part in parts}):
        here = [(group, part) for group, part in parts if formula(part.symbols) == name]
        frames = _together(here, whole_method)
        frames, sources, said = _without_repeats(frames, sources)
        names = {k: Path(source.path).name for k, source in enumerate(sources)}
        net, more = check_net_force(frames)
        units = check_units(frames, names)
        compositions[name] = frames
        checks[name] = {**units, "largest_net_force_eV_A_atom": net, "notes": [*said, *more]}
    return Gathered(compositions, tuple(sources), whole_method, checks, tuple(notes))


def _source(path: Path, kind: str, found: list[Part], known: Mapping[str, Any], **given: float | None) -> Source:
    methods = list(dict.fromkeys(part.method for part in found if part.method))
    if len(methods) > 1:
        raise InputError(f"{path} holds frames of different methods ({', '.join(methods)}); give those of one")
    dropped: dict[str, int] = {}
    for part in found:
        for reason, count in part.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    said = {
        "frame_ps": next((p.frame_ps for p in found if p.frame_ps), None),
        "temperature_K": next((p.temperature_K for p in found if p.temperature_K), None),
    }
    told = {name: known.get(name) or said[name] or given[name] for name in said}
    return Source(
        path=str(path),
        kind=known.get("kind", kind),
        sha256=tree_hash(path),
        method=methods[0] if methods else "",
        n_read=sum(len(part) + sum(part.dropped.values()) for part in found),
        dropped=dropped,
        frame_ps=told["frame_ps"],
        temperature_K=told["temperature_K"],
        notes=tuple(note for part in found for note in part.notes),
    )


def _from_set(path: Path) -> dict[str, Any]:
    """Return what the set says that a system is part of: method, run, kind, frame_ps, temperature_K; or nothing."""
    folder = folder_of_set(path) if path.is_dir() else None
    about = read_json(folder / SET_FILE) if folder else None
    if folder is None or not about:
        return {}
    inside = str(path.absolute().relative_to(folder.absolute()))
    system = next((s for s in about["systems"] if s["folder"] == inside), None)
    if system is None:
        raise FormatError(path, f"is not listed in {folder / SET_FILE}; import it by itself, outside the set")
    source = about["sources"][system["group"]]
    return {
        "method": about["method"],
        "run": f"{folder.absolute()}#{system['group']}",
        "kind": source["kind"],
        "frame_ps": source["frame_ps"],
        "temperature_K": source["temperature_K"],
    }


def _numbered(found: list[Part], file: Path) -> list[Part]:
    if len(found) > 1:
        raise InputError(f"--frame-number {file}: the file holds {len(found)} orders of atoms, wanted one")
    number = read_numbers(file, len(found[0]))
    return [replace(found[0], frame_number=number)]


def _one_method(sources: list[Source], given: str) -> tuple[list[Source], str, list[str]]:
    """Return the sources, the method of all, and a note where nobody says it."""
    named: dict[str, str] = {}
    for source in sources:
        if source.method:
            named.setdefault(source.method, source.path)
    if len(named) > 1:
        listed = "; ".join(f"{name} in {path}" for name, path in named.items())
        raise InputError(f"the frames were made by different methods ({listed}); make a set of each")
    unnamed = [source.path for source in sources if not source.method]
    if named:
        (name, path), *_ = named.items()
        if given and given.lower() not in name.lower():
            raise InputError(f"--method '{given}', but {path} says '{name}'; make a set of each")
        if unnamed and not given:
            raise InputError(
                f"{unnamed[0]} does not say its method while {path} says '{name}'; if it is the same, say so with "
                f"--method '{name}'"
            )
        return sources, name, []
    if given:
        return sources, given, []
    return sources, "", ["no source says its method; give --method, so that it can never be mixed with another"]


def _together(here: list[tuple[int, Part]], method: str) -> LabelledFrames:
    """Return frames of one composition in one order of atoms, by source and frame number."""
    symbols, ordered = one_order([part for _, part in here])
    groups, numbers = [], []
    begun: dict[int, int] = {}
    for (group, _), part in zip(here, ordered, strict=True):
        groups.append(np.full(len(part), group, dtype=np.int64))
        start = begun.get(group, 0)
        numbers.append(np.arange(start, start + len(part)) if part.frame_number is None else part.frame_number)
        begun[group] = start + len(part)
    group_of, number = np.concatenate(groups), np.concatenate(numbers)
    return stacked(symbols, ordered, group_of, number, method)


def _without_repeats(frames: LabelledFrames, sources: list[Source]) -> tuple[LabelledFrames, list[Source], list[str]]:
    names = [Path(sources[g].path).name for g in frames.group]
    repeated, said = repeated_frames(frames, names)
    if not len(repeated):
        return frames, sources, said
    keep = np.ones(len(frames), dtype=np.bool_)
    keep[repeated] = False
    again: IntArray = np.bincount(frames.group[repeated], minlength=len(sources))
    counted = [
        replace(source, dropped={**source.dropped, REPEATED: source.dropped.get(REPEATED, 0) + int(n)}) if n else source
        for source, n in zip(sources, again, strict=True)
    ]
    return frames.take(keep), counted, said
