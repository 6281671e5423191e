"""The comparison of importers with the text of their sources must itself be able to fail."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from source_text import Step
from sources import Row, compare

RNG = np.random.default_rng(11)
STRESS = RNG.normal(size=(3, 3))
TEXT = [Step(k, -50.0 - k, RNG.normal(size=(8, 3)), STRESS + STRESS.T) for k in range(3)]
TURN = np.linalg.qr(RNG.normal(size=(3, 3)))[0]


def verdict(frames, text=TEXT):
    return compare(Row(Path("x"), "VASP OUTCAR", ""), frames, text).partition(":")[0]


def turned(step):
    return replace(step, force_eV_A=step.force_eV_A @ TURN, stress_kbar=TURN.T @ step.stress_kbar @ TURN)


def test_differences_are_found():
    """Fault: a comparison that calls every file equal."""
    assert verdict(TEXT) == "equal"
    assert verdict([turned(step) for step in TEXT]) == "turned axes"
    spoiled = {
        "energy": [replace(step, energy_eV=step.energy_eV + 1e-4) for step in TEXT],
        "NaN": [replace(step, energy_eV=float("nan")) for step in TEXT],
        "order of atoms": [replace(step, force_eV_A=step.force_eV_A[::-1]) for step in TEXT],
        "sign of the stress": [replace(step, stress_kbar=-step.stress_kbar) for step in TEXT],
        "stress not turned with the forces": [replace(turned(step), stress_kbar=step.stress_kbar) for step in TEXT],
        "no stress": [replace(step, stress_kbar=None) for step in TEXT],
        "order of frames": [replace(step, number=2 - step.number) for step in TEXT],
        "lost frame": TEXT[:2],
    }
    assert {name: verdict(frames) for name, frames in spoiled.items()} == dict.fromkeys(spoiled, "DIFFERS")
    assert verdict(TEXT, [replace(TEXT[0], failed=True), *TEXT[1:]]) == "DIFFERS"
