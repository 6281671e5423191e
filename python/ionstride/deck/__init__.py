"""LAMMPS decks: pure text, made from settings, a structure and the templates of lammps_inputs/."""

from .render import (
    Phase,
    cell_phases,
    check_md,
    deviation_name,
    dump_name,
    explore_phases,
    lmp_command,
    production_phases,
    render_deck,
    template_folder,
)

__all__ = [
    "Phase",
    "cell_phases",
    "check_md",
    "deviation_name",
    "dump_name",
    "explore_phases",
    "lmp_command",
    "production_phases",
    "render_deck",
    "template_folder",
]
