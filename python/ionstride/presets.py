"""Presets of ``[potential]``: nets and schedules that were measured together.

What each costs and how wrong it is stands in docs/potentials.md; a preset is no more than a set of values that the
study file may give itself.
"""

from typing import Any

FAST: dict[str, Any] = {
    "backend": "tensorflow",
    "descriptor": "se_e2_a",
    "rcut_A": 6.0,
    "rcut_smth_A": 0.5,
    "near_rcut_A": 4.0,
    "neuron": [16, 32, 64],
    "near_neuron": [4, 8, 16],
    "axis_neuron": 12,
    "type_one_side": True,
    "attention_layers": 0,
    "fitting": [100, 100, 100],
    "precision": "float32",
    "steps": 20000,
    "batch_size": 1,
    "start_lr": 3e-3,
    "stop_lr": 1e-5,
    "schedule": "exp",
    "start_pref_e": 0.02,
    "limit_pref_e": 1.0,
    "start_pref_f": 1000.0,
    "limit_pref_f": 100.0,
    "checkpoint_steps": 5000,
}
STANDARD: dict[str, Any] = FAST | {"descriptor": "se_e2_a+se_e3", "steps": 40000, "checkpoint_steps": 2000}
ACCURATE: dict[str, Any] = FAST | {
    "backend": "pytorch",
    "descriptor": "dpa4",
    "rcut_A": 4.5,
    "fitting": [64],
    "steps": 36000,
    "stop_lr": 1e-6,
    "schedule": "wsd",
    "start_pref_e": 0.2,
    "limit_pref_e": 20.0,
    "start_pref_f": 100.0,
    "limit_pref_f": 60.0,
    "checkpoint_steps": 6000,
}
PRESETS: dict[str, dict[str, Any]] = {"fast": FAST, "standard": STANDARD, "accurate": ACCURATE}
DEFAULT_PRESET = "standard"
ROUNDS_PRESET = "fast"
"""Of the potentials that explore, and of the many trainings of a learning curve or a sweep."""
