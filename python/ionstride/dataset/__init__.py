"""Sets of labelled frames looked at and split: what is in them, and parts that do not leak."""

from .inspection import inspect_set, write_inspection
from .splitting import split_set

__all__ = ["inspect_set", "split_set", "write_inspection"]
