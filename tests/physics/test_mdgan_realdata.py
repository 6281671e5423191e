"""MD-GAN's data and baselines on lithium in LiZr2(PO4)3 at 1773 K: facts that hold whoever measures them."""

import os
from pathlib import Path

import numpy as np
import pytest

from ionstride.mdgan import advice, baselines
from ionstride.mdgan import series_statistics as series
from ionstride.mdgan.data import read_runs
from ionstride.mdgan.surrogate import fit_gaussian
from ionstride.mdgan.windows import windows

FOLDER = os.environ.get("IONSTRIDE_REALDATA")
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not FOLDER, reason="IONSTRIDE_REALDATA does not name the folder of reference data"),
]


@pytest.fixture(scope="module")
def lzp():
    return read_runs([Path(FOLDER or "") / f"lzp_md_1773K/train_{k}.npz" for k in (1, 2, 3)], mobile="Li")


def test_the_published_shape_of_the_data(lzp):
    """Fault: overlapping windows counted as samples; the honest number of 128 records at stride 2 is 39 x 36."""
    cut = windows(lzp, 128, 2)
    assert cut.n_independent == 39 * 36
    assert cut.n_overlapping == 36 * (10001 - 256)
    assert lzp.temperature_K == pytest.approx(1773.0)


def test_plateau_of_D_K(lzp):
    """Fault: a stride recommended where D_K has no plateau, or none where it is 0.45 to 0.5 Å²/ps."""
    found = advice.inspect(lzp, strides=(1, 2, 10))
    rows = {row["stride"]: row for row in found["strides"]}
    assert not rows[1]["plateau"] and rows[2]["plateau"] and rows[10]["plateau"]
    assert 0.42 < np.mean(rows[10]["D_K_A2_ps"][64:]) < 0.54
    assert rows[1]["cancellation"] < rows[2]["cancellation"] < rows[10]["cancellation"]
    assert rows[10]["cancellation"] == pytest.approx(6.4, rel=0.1)


def test_surrogate_and_bootstrap_on_real_ions(lzp):
    """Fault: believing an MSD.  Noise has it with α₂ = 0; stitched windows are a fifth too high with α₂ right."""
    cut = windows(lzp, 128, 10)
    plan = series.make_plan(lzp, lzp, 128, 10)
    at, rng = list(plan.lags).index(128), np.random.default_rng(1)
    data = series.sums_of_data(lzp, plan, 10)
    assert series.alpha2(data)[at] == pytest.approx(1.3, abs=0.3)
    gaussian = series.sums_of_source(fit_gaussian(cut), plan, ions=1024, records=640, rng=rng)
    assert (series.msd(gaussian) / series.msd(data))[at, 3] == pytest.approx(1.0, abs=0.06)
    assert abs(series.alpha2(gaussian)[at]) < 0.1
    stitched = series.sums_of_source(baselines.window_bootstrap(cut), plan, ions=1024, records=640, rng=rng)
    assert 1.08 < (series.msd(stitched) / series.msd(data))[at, 3] < 1.30
