"""The unwrap kernel against its definition and against paths that are known."""

import numpy as np
import pytest

from ionstride import _kernels, reference
from ionstride.errors import InputError

TRICLINIC = np.array([[11.0, 0.0, 0.0], [4.0, 9.0, 0.0], [-3.0, 2.0, 8.0]])


def wrapped_walk(seed, frames=400, atoms=37, step=0.03, box_noise=0.0):
    """Return wrapped positions, the cells, and the true fractional path of a random walk."""
    g = np.random.default_rng(seed)
    path = g.random((1, atoms, 3)) + np.cumsum(g.normal(scale=step, size=(frames, atoms, 3)), axis=0)
    cells = TRICLINIC * (1 + box_noise * g.normal(size=(frames, 1, 1)))
    return (path - np.floor(path)) @ cells, cells, path


@pytest.mark.parametrize("box_noise", [0.0, 0.003])
def test_agrees_with_reference(box_noise):
    """Prevents a kernel that drifts from its definition, in fixed and in fluctuating triclinic cells."""
    wrapped, cells, _ = wrapped_walk(1, box_noise=box_noise)
    got, got_step = _kernels.unwrap(wrapped, cells)
    want, want_step = reference.unwrap(wrapped, cells)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-11)
    assert got_step == pytest.approx(want_step, rel=1e-12)


def test_recovers_the_true_path():
    """Prevents a kernel and a reference that are wrong together (transposed cell, sign of an image)."""
    wrapped, _, path = wrapped_walk(2)
    got, _ = _kernels.unwrap(wrapped, TRICLINIC)
    np.testing.assert_allclose(got - got[0], (path - path[0]) @ TRICLINIC, atol=1e-10)
    np.testing.assert_allclose(got[0], wrapped[0], atol=1e-12)


def test_fixed_cell_given_once_or_per_frame():
    """Prevents two meanings of (3, 3) and (T, 3, 3)."""
    wrapped, cells, _ = wrapped_walk(3)
    once, _ = _kernels.unwrap(wrapped, TRICLINIC)
    each, _ = _kernels.unwrap(wrapped, np.ascontiguousarray(cells))
    np.testing.assert_allclose(once, each, atol=1e-12)


def test_framework_does_not_diffuse_under_npt():
    """Prevents the trap of liquid unwrapping: vibration across a boundary plus box noise looks like diffusion."""
    g = np.random.default_rng(4)
    frames, atoms, length, sigma = 20000, 20, 25.0, 0.0866
    fractional = sigma / length * g.normal(size=(frames, atoms, 3))  # about the corner of the cell
    cells = np.eye(3) * (length * (1 + 0.003 * g.normal(size=(frames, 1, 1))))
    wrapped = (fractional - np.floor(fractional)) @ cells
    got, largest = _kernels.unwrap(wrapped, cells)
    true_msd = 6 * sigma**2
    msd = [np.mean(np.sum((got[lag:] - got[:-lag]) ** 2, axis=-1)) for lag in (10, 1000, 10000)]
    np.testing.assert_allclose(msd, true_msd, rtol=0.05)
    assert largest < 0.05


def test_offset_of_300_A_keeps_displacements():
    """Prevents the loss of digits far from the origin that float32 codes show."""
    wrapped, _, path = wrapped_walk(5)
    got, _ = _kernels.unwrap(wrapped + 300.0, TRICLINIC)
    np.testing.assert_allclose(got - got[0], (path - path[0]) @ TRICLINIC, atol=1e-9)


def test_unwrapped_input_is_kept():
    """Prevents damage to positions that the MD code has unwrapped already."""
    _, _, path = wrapped_walk(6)
    got, _ = _kernels.unwrap(path @ TRICLINIC, TRICLINIC)
    np.testing.assert_allclose(got, path @ TRICLINIC, atol=1e-10)


def test_threads_do_not_change_a_bit():
    """Prevents results that depend on the machine's number of cores."""
    wrapped, cells, _ = wrapped_walk(7, atoms=700, frames=50, box_noise=0.003)
    one, step_one = _kernels.unwrap(wrapped, cells, threads=1)
    for threads in (2, 5, 0):
        many, step_many = _kernels.unwrap(wrapped, cells, threads=threads)
        assert np.array_equal(one, many)
        assert step_one == step_many


def test_largest_step_shows_frames_too_coarse():
    """Prevents a silent wrong turn where an ion moves half a cell between frames."""
    wrapped = np.array([[[1.0, 1.0, 1.0]], [[5.5, 1.0, 1.0]]])
    _, largest = _kernels.unwrap(wrapped, np.eye(3) * 10.0)
    assert largest == pytest.approx(0.45)


def test_single_atom_and_single_frame():
    """Prevents a crash at the smallest sizes."""
    got, largest = _kernels.unwrap(np.full((1, 1, 3), 2.0), np.eye(3) * 5.0)
    np.testing.assert_allclose(got, 2.0, rtol=1e-15)
    assert largest == 0.0
    assert _kernels.unwrap(np.empty((3, 0, 3)), np.eye(3))[0].shape == (3, 0, 3)


POSITIONS = np.ones((4, 2, 3))
CELL = np.eye(3)


@pytest.mark.parametrize(
    ("positions", "cell", "words"),
    [
        (POSITIONS.astype(np.float32), CELL, r"positions_A has dtype float32, wanted float64"),
        (POSITIONS[0], CELL, r"positions_A has shape \(2, 3\), wanted \(any, any, 3\)"),
        (POSITIONS[::2], CELL, r"positions_A is not C-contiguous"),
        (POSITIONS.tolist(), CELL, r"positions_A is of type list, wanted a numpy array of float64"),
        (POSITIONS.astype(">f8"), CELL, r"positions_A has dtype >f8"),
        (POSITIONS, CELL[:2], r"cell_A has shape \(2, 3\), wanted \(3, 3\)"),
        (POSITIONS, np.ones((3, 3, 3)), r"cell_A has shape \(3, 3, 3\), wanted \(4, 3, 3\)"),
        (POSITIONS, np.zeros((3, 3)), r"cell_A of frame 0 has determinant"),
        (POSITIONS, np.full((3, 3), np.nan), r"cell_A of frame 0 has determinant nan"),
        (np.where(np.arange(24).reshape(4, 2, 3) == 16, np.nan, 1.0), CELL, r"not finite at frame 2, atom 1"),
        (np.full((4, 2, 3), np.inf), CELL, r"not finite at frame 0, atom 0"),
    ],
)
def test_bad_input_is_named(positions, cell, words):
    """Prevents a crash, a silent cast or a message that does not say which argument is wrong."""
    with pytest.raises(InputError, match=words):
        _kernels.unwrap(positions, cell)


def test_negative_threads():
    """Prevents a negative number that turns into billions of threads."""
    with pytest.raises(InputError, match="threads is -2"):
        _kernels.unwrap(POSITIONS, CELL, threads=-2)
