"""The displacement moments against their definition and against walks whose moments are known."""

import numpy as np
import pytest

from ionstride import _kernels, reference
from ionstride.errors import InputError


def walk(seed, ions=5, frames=1500, offset=0.0):
    """Return a Gaussian random walk with unit steps."""
    return offset + np.cumsum(np.random.default_rng(seed).normal(size=(ions, frames, 3)), axis=1)


@pytest.mark.parametrize("frames", [2, 3, 9, 1023, 1500, 2500])
def test_agrees_with_reference(frames):
    """Prevents an origin lost or counted twice where blocks and vector lanes end."""
    r = walk(1, frames=frames)
    lags = np.unique(np.clip([1, 2, 3, 7, 8, 9, 100, frames // 2, frames - 1], 1, frames - 1)).astype(np.int64)
    tensor, fourth = _kernels.displacement_moments(r, lags)
    want_tensor, want_fourth = reference.displacement_moments(r, lags)
    scale = np.abs(want_tensor[..., :3]).max(axis=-1, keepdims=True)
    np.testing.assert_allclose(tensor / scale, want_tensor / scale, rtol=0, atol=1e-12)
    np.testing.assert_allclose(fourth, want_fourth, rtol=1e-12)


def test_offset_of_300_A():
    """Prevents the negative MSD that float32 codes give for a walk far from the origin."""
    lags = np.array([1, 10, 500])
    near, near4 = _kernels.displacement_moments(walk(2), lags)
    far, far4 = _kernels.displacement_moments(walk(2, offset=300.0), lags)
    np.testing.assert_allclose(far, near, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(far4, near4, rtol=1e-10)


def test_random_walk_moments_are_known():
    """Prevents a wrong order of components or a wrong power: MSD = 3m and <|Δ|⁴> = 15m² for unit Gaussian steps."""
    tensor, fourth = _kernels.displacement_moments(walk(3, ions=200, frames=2000), np.array([1, 4]))
    mean = tensor.mean(axis=0)
    np.testing.assert_allclose(mean[:, :3], [[1, 1, 1], [4, 4, 4]], rtol=0.02)
    np.testing.assert_allclose(mean[:, 3:], 0.0, atol=0.05)
    np.testing.assert_allclose(fourth.mean(axis=0), [15, 15 * 16], rtol=0.02)


def test_order_of_components():
    """Prevents the Voigt order (xx, yy, zz, yz, xz, xy), a common trap."""
    r = np.arange(6.0)[None, :, None] * np.array([1.0, 2.0, 5.0])
    tensor, fourth = _kernels.displacement_moments(np.ascontiguousarray(r), np.array([2]))
    np.testing.assert_allclose(tensor[0, 0], 4 * np.array([1, 4, 25, 2, 5, 10]))
    np.testing.assert_allclose(fourth[0, 0], 16 * 900)


def test_threads_do_not_change_a_bit():
    """Prevents results that depend on the machine's number of cores."""
    r, lags = walk(4, ions=3), np.arange(1, 60)
    one = _kernels.displacement_moments(r, lags, threads=1)
    for threads in (2, 7, 0):
        many = _kernels.displacement_moments(r, lags, threads=threads)
        assert np.array_equal(one[0], many[0])
        assert np.array_equal(one[1], many[1])


def test_empty_sizes():
    """Prevents a crash without ions or lags."""
    assert _kernels.displacement_moments(np.empty((0, 5, 3)), np.array([1]))[0].shape == (0, 1, 6)
    assert _kernels.displacement_moments(np.zeros((2, 5, 3)), np.array([], dtype=np.int64))[1].shape == (2, 0)


R = np.zeros((2, 10, 3))
LAGS = np.array([1, 2])


@pytest.mark.parametrize(
    ("r", "lags", "words"),
    [
        (R, np.array([1, 0]), r"lags\[1\] is 0, wanted 1 to 9"),
        (R, np.array([10]), r"lags\[0\] is 10, wanted 1 to 9"),
        (R, np.array([-(2**63)]), r"lags\[0\] is -9223372036854775808"),
        (R, np.array([1.0]), r"lags has dtype float64, wanted int64"),
        (R, LAGS[None], r"lags has shape \(1, 2\), wanted \(any,\)"),
        (R, np.arange(1, 9)[::2], r"lags is not C-contiguous"),
        (R.astype(np.float32), LAGS, r"r_A has dtype float32"),
        (R.transpose(1, 0, 2), LAGS, r"r_A is not C-contiguous"),
        (R[..., :2], LAGS, r"r_A has shape \(2, 10, 2\), wanted \(any, any, 3\)"),
        (None, LAGS, r"r_A is of type NoneType"),
    ],
)
def test_bad_input_is_named(r, lags, words):
    """Prevents reads out of bounds and messages that do not say which argument is wrong."""
    with pytest.raises(InputError, match=words):
        _kernels.displacement_moments(r, lags)


def test_misaligned_array():
    """Prevents undefined behaviour on arrays made from bytes at an odd offset."""
    raw = np.zeros(8 * 60 + 1, dtype=np.uint8)
    odd = raw[1:].view(np.float64).reshape(2, 10, 3)
    with pytest.raises(InputError, match="aligned"):
        _kernels.displacement_moments(odd, LAGS)
