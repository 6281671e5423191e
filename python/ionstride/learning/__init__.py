"""Concurrent learning: rounds of train, explore, label."""

from .rounds import Learned, LearningWork, explore_temperatures, read_rounds, run_rounds, type_map_of

__all__ = ["Learned", "LearningWork", "explore_temperatures", "read_rounds", "run_rounds", "type_map_of"]
