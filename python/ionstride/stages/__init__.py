"""The stages of a study: each reads what came before from its folder and writes its own."""

from . import learning, md, potential, reference, structure, transport
from .work import Stage, Work, formula, model_given, read_cell, read_polyhedra

STAGE_LIST = (
    Stage("structure", structure.needs, structure.make, lambda work: ""),
    Stage("reference", reference.needs, reference.make, model_given),
    Stage("learning", learning.needs, learning.make, learning.skip),
    Stage("potential", potential.needs, potential.make, lambda work: ""),
    Stage("md", md.needs, md.make, lambda work: ""),
    Stage("transport", transport.needs, transport.make, lambda work: ""),
)
"""All stages but the report, which is always made."""

__all__ = ["STAGE_LIST", "Stage", "Work", "formula", "read_cell", "read_polyhedra"]
