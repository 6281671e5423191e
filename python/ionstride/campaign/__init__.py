"""Run decks: here, on MPI ranks and threads chosen for the machine."""

from .local import (
    Job,
    Layout,
    Options,
    Outcome,
    check_lammps,
    choose_layout,
    last_restart,
    ranks_work,
    run_jobs,
    write_deck,
)
from .watch import THERMO_COLUMNS, Watch, read_thermo

__all__ = [
    "THERMO_COLUMNS",
    "Job",
    "Layout",
    "Options",
    "Outcome",
    "Watch",
    "check_lammps",
    "choose_layout",
    "last_restart",
    "ranks_work",
    "read_thermo",
    "run_jobs",
    "write_deck",
]
