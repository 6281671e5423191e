"""What all rounds of learning share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..records import LabelledFrames, Polyhedron, Structure
from ..settings import Study

Label = Callable[[list[Structure], int, str], LabelledFrames]
News = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class LearningWork:
    """What all rounds share.

    Attributes
    ----------
    study : settings.
    structure : the cell that is explored.
    polyhedra : what must stay whole.
    folder : everything is kept here; finished pieces are not redone.
    lmp : the LAMMPS program, already looked at.
    cores : cores to use.
    news : called with (what, done, of, line of news).
    shortest : gives the shortest distance of each pair in a set of frames.
    """

    study: Study
    structure: Structure
    polyhedra: list[Polyhedron]
    folder: Path
    lmp: str
    cores: int
    news: News
    shortest: Callable[[LabelledFrames], dict[str, float]]
