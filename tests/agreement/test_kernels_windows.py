"""The window gather against its definition."""

import numpy as np
import pytest

from ionstride import _kernels, reference
from ionstride.errors import InputError

R = 300.0 + np.cumsum(np.random.default_rng(1).normal(size=(6, 400, 3)), axis=1)


@pytest.mark.parametrize(("length", "stride"), [(1, 1), (32, 1), (20, 7), (399, 1), (1, 399)])
def test_agrees_with_reference(length, stride):
    """Prevents a window shifted by a frame, and differences taken after the cast to float32."""
    g = np.random.default_rng(2)
    ion = g.integers(0, 6, 200)
    start = g.integers(0, 400 - length * stride, 200)
    got = _kernels.gather_windows(R, ion, start, length, stride)
    assert got.dtype == np.float32
    assert np.array_equal(got, reference.gather_windows(R, ion, start, length, stride))
    assert np.array_equal(got, _kernels.gather_windows(R, ion, start, length, stride, threads=1))


def test_increments_add_up_to_the_displacement():
    """Prevents a first or last increment that is left out."""
    got = _kernels.gather_windows(R, np.array([3]), np.array([5]), 50, 4)
    np.testing.assert_allclose(got[0].astype(float).sum(axis=0), R[3, 205] - R[3, 5], atol=1e-4)


def test_no_windows():
    """Prevents a crash on an empty batch."""
    none = np.array([], dtype=np.int64)
    assert _kernels.gather_windows(R, none, none, 8, 2).shape == (0, 8, 3)


I = np.array([0, 5])  # noqa: E741
S = np.array([0, 10])


@pytest.mark.parametrize(
    ("ion", "start", "length", "stride", "words"),
    [
        (np.array([0, 6]), S, 4, 1, r"ion\[1\] is 6, wanted 0 to 5"),
        (np.array([-1, 0]), S, 4, 1, r"ion\[0\] is -1"),
        (I, np.array([0, 396]), 4, 1, r"start\[1\] is 396, wanted 0 to 395"),
        (I, np.array([0, -1]), 4, 1, r"start\[1\] is -1"),
        (I, np.array([0]), 4, 1, r"start has shape \(1,\), wanted \(2,\)"),
        (I, S.astype(np.int32), 4, 1, r"start has dtype int32, wanted int64"),
        (I, S, 0, 1, r"length is 0 and stride 1"),
        (I, S, 4, 0, r"stride 0"),
        (I, S, 400, 1, r"needs more frames than the 400"),
        (I, S, 2**62, 2**62, r"needs more frames"),
    ],
)
def test_bad_input_is_named(ion, start, length, stride, words):
    """Prevents reads out of bounds, and products of sizes that overflow."""
    with pytest.raises(InputError, match=words):
        _kernels.gather_windows(R, ion, start, length, stride)
