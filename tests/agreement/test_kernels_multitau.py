"""The multiple-tau accumulator against its definition and against the kernel that has all frames in memory."""

import numpy as np
import pytest

from ionstride import _kernels, reference
from ionstride.errors import InputError


def walk(seed, ions=5, frames=700, offset=0.0):
    """Return a Gaussian random walk with unit steps, frame-major."""
    return offset + np.cumsum(np.random.default_rng(seed).normal(size=(frames, ions, 3)), axis=0)


def accumulate(r, cuts=(), threads=1):
    """Feed frames, cut at the given places."""
    tau = _kernels.MultiTau(r.shape[1], len(r))
    for part in np.split(r, cuts):
        tau.add(part, threads)
    return tau.results()


def close(got, want, rtol=1e-12):
    """Compare all sums; components of a tensor relative to its trace."""
    scale = want["tensor_A2"][..., :3].sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(got["tensor_A2"] / scale, want["tensor_A2"] / scale, rtol=0, atol=rtol)
    np.testing.assert_allclose(got["fourth_A4"], want["fourth_A4"], rtol=rtol)
    np.testing.assert_allclose(got["node_sum_A2"], want["node_sum_A2"], rtol=rtol)
    assert np.array_equal(got["node_count"], want["node_count"])
    assert np.array_equal(got["origins"], want["origins"])


@pytest.mark.parametrize("frames", [2, 3, 15, 31, 33, 63, 64, 79, 257, 700])
def test_agrees_with_reference(frames):
    """Fault: an origin lost or counted twice, or given to a wrong block, where levels, blocks and chunks meet."""
    for a, b in zip(_kernels.multitau_lags(frames), reference.multitau_lags(frames), strict=True):
        assert np.array_equal(a, b)
    r = walk(1, frames=frames)
    close(accumulate(r, cuts=sorted([1, frames // 3, frames // 2])), reference.multitau(r))


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_agrees_with_the_kernel_in_memory(offset):
    """Fault: digits lost over many origins, or for ions far from the origin."""
    r = walk(2, ions=9, frames=20000, offset=offset)
    got = accumulate(r, cuts=range(0, 20000, 999))
    lags, steps = _kernels.multitau_lags(20000)
    for step in np.unique(steps):
        mine = np.flatnonzero(steps == step)
        path = np.ascontiguousarray(r.transpose(1, 0, 2)[:, ::step])
        tensor, fourth = _kernels.displacement_moments(path, lags[mine] // step)
        scale = tensor[..., :3].sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(got["tensor_A2"][:, mine] / scale, tensor / scale, rtol=0, atol=1e-12)
        np.testing.assert_allclose(got["fourth_A4"][:, mine], fourth, rtol=1e-12)


def test_chunks_and_threads_do_not_change_a_bit():
    """Fault: results that depend on the memory given or on the number of cores."""
    r = walk(3, ions=21, frames=1500)
    one = accumulate(r)
    for cuts, threads in ((range(1500), 1), ([129, 130, 1400], 2), (range(0, 1500, 64), 7), ([], 0)):
        other = accumulate(r, cuts, threads)
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_rounding_over_many_origins():
    """Fault: sums that drift with the number of frames: a million equal displacements are known exactly."""
    frames = 1_000_000
    velocity = np.array([104857, 209715, 314573]) / 2**20  # so that every position is a whole multiple of 2⁻²⁰ Å
    r = np.arange(frames)[:, None, None] * velocity
    tau = _kernels.MultiTau(1, frames)
    for part in np.array_split(r, 10):
        tau.add(part)
    lags, _ = _kernels.multitau_lags(frames)
    want = (velocity @ velocity) * lags.astype(float) ** 2
    np.testing.assert_allclose(tau.results()["tensor_A2"][0, :, :3].sum(axis=-1), want, rtol=1e-12)


def test_results_so_far():
    """Fault: lags without a pair shown as an MSD of zero."""
    r = walk(4, frames=100)
    tau = _kernels.MultiTau(5, 100)
    tau.add(r[:20])
    some = tau.results()
    assert tau.seen == 20 and some["origins"][0] == 19 and some["origins"][-1] == 0
    assert np.isnan(some["fourth_A4"][:, -1]).all() and np.isfinite(some["fourth_A4"][:, 0]).all()
    tau.add(r[20:])
    close(tau.results(), reference.multitau(r))


@pytest.mark.parametrize(
    ("r", "words"),
    [
        (np.zeros((3, 4, 3)), r"shape \(3, 4, 3\), wanted \(any, 5, 3\)"),
        (np.zeros((3, 5, 3), dtype=np.float32), "float32"),
        (np.zeros((3, 3, 5)).transpose(0, 2, 1), "not C-contiguous"),
        (np.zeros((101, 5, 3)), "announced"),
        (np.where(np.arange(45).reshape(3, 5, 3) == 20, np.inf, 0.0), "frame 1 of the run, series 1"),
    ],
)
def test_bad_input_is_named(r, words):
    """Fault: a read out of bounds, or a NaN that spoils every lag unnoticed."""
    with pytest.raises(InputError, match=words):
        _kernels.MultiTau(5, 100).add(r)


def test_bad_sizes():
    """Fault: a crash for runs without frames."""
    with pytest.raises(InputError, match="n_frames is 1"):
        _kernels.MultiTau(5, 1)
    with pytest.raises(InputError, match="n_series is -1"):
        _kernels.MultiTau(-1, 10)
