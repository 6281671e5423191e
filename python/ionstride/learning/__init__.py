"""Concurrent learning: rounds of train, explore, select, label."""

from .explore import explore_temperatures, type_map_of
from .rounds import Learned, prove, run_rounds
from .work import LearningWork

__all__ = ["Learned", "LearningWork", "explore_temperatures", "prove", "run_rounds", "type_map_of"]
