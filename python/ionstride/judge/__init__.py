"""A potential judged for diffusion: errors, structure, D and barriers beside the reference's own.

`subject` (what is judged), `accuracy`, `geometries`, `structure`, `fresh`, `diffusion`, `hops` and `barrier`,
`ensemble`, `nve`, `judgement` (all of them together), `verdicts` (in words).
"""

from .fresh import Fresh, fresh_of, pick
from .judgement import How, judge
from .subject import Subject, from_files, from_study, reference_given

__all__ = ["Fresh", "How", "Subject", "fresh_of", "from_files", "from_study", "judge", "pick", "reference_given"]
