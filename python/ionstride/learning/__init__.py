"""Concurrent learning: rounds of train, explore, label."""

from .rounds import Learned, explore_temperatures, read_rounds, run_rounds, type_map_of

__all__ = ["Learned", "explore_temperatures", "read_rounds", "run_rounds", "type_map_of"]
