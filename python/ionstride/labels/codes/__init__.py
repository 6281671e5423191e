"""Codes of first principles: their settings, their ASE calculators, and how one sees that an SCF did not converge."""

from .identity import check_code, code_identity, code_note, code_version, find_code
from .settings import CODES, code_defaults_text, read_code_settings

__all__ = [
    "CODES",
    "check_code",
    "code_defaults_text",
    "code_identity",
    "code_note",
    "code_version",
    "find_code",
    "read_code_settings",
]
