"""What all stages share: the study under way, and what a stage is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..geometry import shortest_distances
from ..records import LabelledFrames, Polyhedron, Structure
from ..runrecord import cores, read_json, tree_hash
from ..settings import Study
from ..store import load_structure
from ..ui import Screen


@dataclass
class Work:
    """A study under way: its settings, its folder and the screen.

    Attributes
    ----------
    study, out, screen : as named.
    inputs : path → SHA-256 of every file of the user's that was read.
    notes : sentences that belong at the top of the report.
    """

    study: Study
    out: Path
    screen: Screen
    inputs: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def folder(self, stage: str) -> Path:
        """Return the folder of a stage."""
        return self.out / stage

    def outputs(self, stage: str) -> dict[str, str]:
        """Return name → SHA-256 of what a finished stage made."""
        record = read_json(self.folder(stage) / "run.json") or {}
        return dict(record.get("outputs", {}))

    def input_hash(self, path: Path) -> str:
        """Return the SHA-256 of a file or folder the user gave, and remember it."""
        if not path.exists():
            raise InputError(f"'{path}' is not there; check the path in the study file")
        if str(path) not in self.inputs:
            self.inputs[str(path)] = tree_hash(path)
        return self.inputs[str(path)]

    @property
    def cores(self) -> int:
        """Cores to use."""
        return min(self.study.cores, cores()) if self.study.cores > 0 else cores()

    @property
    def frame_files(self) -> list[Path]:
        """Files of labelled frames the user gave."""
        return [self.study.path(f) for f in self.study.reference.frames]


@dataclass(frozen=True)
class Stage:
    """A stage: what it depends on, and how it is made.

    Attributes
    ----------
    name : also its folder.
    needs : returns what the outputs depend on; its hash decides whether they are still good.
    make : writes the outputs and returns their names.
    skip : returns why there is nothing to do, or nothing.
    """

    name: str
    needs: Callable[[Work], Any]
    make: Callable[[Work], list[str]]
    skip: Callable[[Work], str]


def read_polyhedra(work: Work) -> list[Polyhedron]:
    """Return the polyhedra the structure stage wrote."""
    return [Polyhedron(*p) for p in read_json(work.folder("structure") / "polyhedra.json") or []]


def read_cell(work: Work) -> Structure:
    """Return the structure the structure stage wrote."""
    return load_structure(work.folder("structure") / "structure.json")


def shortest_in(frames: LabelledFrames, most: int = 400) -> dict[str, float]:
    """Return the shortest distance of each pair of elements ('Li-S') in up to `most` evenly chosen frames."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).astype(int))
    found = shortest_distances(frames.symbols, frames.positions_A[chosen], frames.cell_A[chosen])
    return {f"{a}-{b}": round(distance, 4) for (a, b), distance in found.items()}


def formula(symbols: tuple[str, ...]) -> str:
    """Return a formula such as Li20Ge2P4S24."""
    counts = {s: symbols.count(s) for s in dict.fromkeys(symbols)}
    return "".join(f"{s}{n if n > 1 else ''}" for s, n in counts.items())


def model_given(work: Work) -> str:
    """Return why the stages before the potential are skipped, if they are."""
    return "a ready potential is given" if work.study.potential.model else ""
