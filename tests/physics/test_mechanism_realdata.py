"""Mechanism of published trajectories: what crystal chemistry says of them."""

import os
from pathlib import Path

import numpy as np
import pytest

from ionstride import _kernels
from ionstride.mechanism import (
    assign_sites,
    attempt_frequency,
    find_jumps,
    ion_density,
    percolation,
    radial_distribution,
    sites_from_density,
    vibrational_spectrum,
)
from ionstride.records import Trajectory
from ionstride.trajectory import read_trajectory
from ionstride.transport import displacements

FOLDER = os.environ.get("IONSTRIDE_REALDATA")
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not FOLDER, reason="IONSTRIDE_REALDATA does not name the folder of reference data"),
]


def data(name):
    return Path(FOLDER or "") / name


def test_ordered_argyrodite_keeps_its_ions_in_cages():
    """Fault: sites split by noise, or vibration taken for jumps: ordered Li6PS5Cl has 24 Li sites (24g) a unit cell,
    PS4 tetrahedra, and no path from cage to cage.
    """
    parts = [data(f"argyrodite_aimd_500K/run{k}/XDATCAR.gz") for k in range(1, 6)]
    run = read_trajectory(parts, temperature_K=500.0, frame_ps=0.1)
    shell = radial_distribution(run, "P", "S", stride=20)
    assert shell.coordination_number.value == 4.0 and shell.first_peak_A == pytest.approx(2.06, abs=0.04)
    density = ion_density(run, "Li")
    assert density.density_A3.mean() * density.volume_A3 == pytest.approx(192.0)
    sites = sites_from_density(density)
    assert len(sites) == pytest.approx(192, abs=2)
    history = assign_sites(run, sites)
    assert history.occupancy.sum() == pytest.approx(192.0, rel=0.01)
    jumps = find_jumps(history)
    assert len(jumps) > 1000
    assert percolation(jumps).along == (False, False, False)


def test_glass_ceramic_has_pyrophosphate_and_conducts():
    """Fault: uneven frames refused; two of three P of Li7P3S11 belong to P2S7, and Li moves through the crystal."""
    archive = np.load(data("lips_aimd_520K/frames.npz"))
    number = np.load(data("lips_aimd_520K/time_index.npy"))
    order = np.argsort(number)
    path, _ = _kernels.unwrap(np.ascontiguousarray(archive["pos"][order], dtype=float), archive["cell"])
    names = {3: "Li", 15: "P", 16: "S"}
    symbols = tuple(names[int(z)] for z in archive["atomic_numbers"])
    run = Trajectory(symbols, path, archive["cell"], 0.002 * number[order], 520.0)
    assert radial_distribution(run, "P", "S").coordination_number.value == 4.0
    assert radial_distribution(run, "P", "P").coordination_number.value == pytest.approx(2.0 / 3.0)
    jumps = find_jumps(assign_sites(run, sites_from_density(ion_density(run, "Li"))))
    assert percolation(jumps).dimension == 3


def test_attempt_frequency_is_the_same_in_three_runs():
    """Fault: a spectrum that depends on the run: three runs of one crystal must agree within a few per cent."""
    found = []
    for k in (1, 2, 3):
        run = read_trajectory([data(f"lzp_md_1773K/train_{k}.npz")], temperature_K=1773.0, mobile="Li")
        found.append(attempt_frequency(vibrational_spectrum(displacements([run], "Li"))).value)
    assert np.ptp(found) < 0.05 * np.mean(found)
    assert 5.0 < np.mean(found) < 12.0
