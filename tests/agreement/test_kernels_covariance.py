"""The covariance of MSDs against its definition."""

import numpy as np
import pytest

from ionstride import _kernels, reference
from ionstride.errors import InputError


@pytest.mark.parametrize("frames", [13, 40, 101])
def test_agrees_with_reference(frames):
    """Fault: pairs of origins near the ends counted too often, or windows of unlike length shifted."""
    t = np.arange(26.0)
    g = t + 2.0 * (1.0 - np.exp(-t / 3.0))
    lags = np.array([1, 2, 3, 7, 12])
    np.testing.assert_allclose(
        _kernels.msd_covariance(g, lags, frames), reference.msd_covariance(g, lags, frames), rtol=1e-12
    )


def test_scatter_of_walks():
    """Fault: a factor of two in the definition itself: the MSDs of 4000 free walks scatter as it says."""
    frames, lags = 60, np.array([1, 4, 12])
    walks = np.cumsum(np.random.default_rng(5).normal(size=(4000, frames, 3)), axis=1)
    axis = _kernels.displacement_moments(walks, lags)[0][..., 0]
    expected = 2.0 * _kernels.msd_covariance(np.arange(24.0), lags, frames)
    np.testing.assert_allclose(np.cov(axis.T), expected, rtol=0.12)


def test_lag_beyond_the_curve():
    """Fault: reading past the end of the curve."""
    with pytest.raises(InputError, match=r"lags\[0\] is 5, wanted 1 to 4"):
        _kernels.msd_covariance(np.arange(9.0), np.array([5]), 100)
