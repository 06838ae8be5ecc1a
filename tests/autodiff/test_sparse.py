"""Coloured Jacobians and Hessians against dense ones; numbers of colours that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel import namespace
from fenchel.autodiff import Coloring, grad, hessian, jacobian, sparse_jacobian


def band(n, width):
    return np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= width


def arrow(n):
    found = np.eye(n, dtype=bool)
    found[0], found[:, 0] = True, True
    return found


def grid(height, width):
    places = [(i, j) for i in range(height) for j in range(width)]
    near = [[abs(a - c) + abs(b - d) <= 1 for c, d in places] for a, b in places]
    return np.asarray(near)


@pytest.mark.parametrize(
    ("pattern", "colors"),
    [(band(12, 0), 1), (band(12, 1), 3), (band(12, 2), 5), (arrow(12), 12), (grid(3, 4), 5)],
    ids=["diagonal", "tridiagonal", "pentadiagonal", "arrow", "grid"],
)
@pytest.mark.parametrize("mode", ["column", "row"])
def test_known_numbers_of_colors(pattern, colors, mode):
    assert Coloring(pattern, mode).num_colors == colors


def test_stars_take_fewer_colors():
    assert Coloring(arrow(12), "star").num_colors == 2
    assert Coloring(band(12, 1), "star").num_colors == 3


PATTERNS = st.integers(0, 2**31).map(
    lambda seed: np.random.default_rng(seed).random((9, 7)) < np.random.default_rng(seed).random()
)


@given(PATTERNS, st.sampled_from(["column", "row"]))
@settings(max_examples=40, deadline=None)
def test_lines_of_one_color_never_meet(pattern, mode):
    coloring = Coloring(pattern, mode)
    lines = pattern if mode == "row" else pattern.T
    colors = np.asarray(coloring.colors)
    for color in range(coloring.num_colors):
        assert lines[colors == color].sum(axis=0).max(initial=0) <= 1
    assert coloring.num_colors >= max(lines.sum(axis=0).max(), 1)


@given(PATTERNS)
@settings(max_examples=40, deadline=None)
def test_a_symmetric_matrix_is_found_from_its_stars(pattern):
    square = pattern[:7] | pattern[:7].T
    numbers = np.where(square, np.arange(1.0, 50.0).reshape(7, 7), 0.0)
    matrix = numbers + numbers.T
    coloring = Coloring(matrix, "star")
    rows, columns, values = sparse_jacobian(lambda x: matrix @ x, coloring=coloring)(np.zeros(7))
    dense = np.zeros((7, 7))
    dense[rows, columns] = values
    np.testing.assert_array_equal(dense, matrix)


def function(x):
    """Each entry is made of its neighbours on a line."""
    xp = namespace(x)
    return xp.sin(x[1:]) * x[:-1] ** 2


def energy(x):
    xp = namespace(x)
    return xp.sum(xp.cos(x[1:] * x[:-1])) + xp.sum(x**4)


X = np.asarray([0.3, -1.2, 0.8, 2.0, -0.5])


@pytest.mark.parametrize("mode", ["column", "row"])
def test_jacobian_is_the_dense_one(xp, mode):
    pattern = band(5, 1)[:4] & np.triu(np.ones((4, 5), dtype=bool))
    coloring = Coloring(pattern, mode)
    found = sparse_jacobian(function, coloring=coloring)(xp.array(X))
    rows, columns, values = map(xp.numpy, found)
    dense = np.zeros((4, 5))
    dense[rows, columns] = values
    np.testing.assert_allclose(dense, jacobian(function)(X), rtol=1e-12, atol=1e-14)
    assert coloring.num_colors == 2


def test_hessian_is_the_dense_one(xp):
    coloring = Coloring(band(5, 1), "star")
    rows, columns, values = map(
        xp.numpy, sparse_jacobian(grad(energy), coloring=coloring)(xp.array(X))
    )
    dense = np.zeros((5, 5))
    dense[rows, columns] = values
    np.testing.assert_allclose(dense, hessian(energy)(X), rtol=1e-10, atol=1e-12)


def test_values_are_differentiated(xp):
    coloring = Coloring(np.eye(5, dtype=bool))

    def total(x):
        values = sparse_jacobian(lambda x: x**3, coloring=coloring)(x)[2]
        return namespace(values).sum(values)

    np.testing.assert_allclose(xp.numpy(grad(total)(xp.array(X))), 6 * X, rtol=1e-12)


def test_shapes_other_than_vectors_and_empty_patterns():
    coloring = Coloring(np.eye(4, dtype=bool))
    rows, _, values = sparse_jacobian(lambda x: x**2, coloring=coloring)(np.ones((2, 2)))
    assert rows.tolist() == [0, 1, 2, 3] and values.tolist() == [2.0] * 4
    nothing = sparse_jacobian(np.zeros_like, coloring=Coloring(np.zeros((3, 3))))(np.ones(3))
    assert [part.shape for part in nothing] == [(0,)] * 3


def test_a_sparse_matrix_of_scipy_is_a_pattern():
    scipy = pytest.importorskip("scipy.sparse")
    assert Coloring(scipy.csr_array(np.eye(3))) == Coloring(np.eye(3))


def test_a_large_pattern_takes_as_many_colors_as_a_row_has_entries():
    scipy = pytest.importorskip("scipy.sparse")
    pattern = scipy.diags_array([np.ones(2000)] * 3, offsets=[-1, 0, 1], shape=(2000, 2000))
    assert [Coloring(pattern, mode).num_colors for mode in ("column", "row", "star")] == [3] * 3


def test_colorings_are_hashable():
    assert len({Coloring(np.eye(3)), Coloring(np.eye(3)), Coloring(np.ones((3, 3)))}) == 2


def test_wrong_arguments():
    with pytest.raises(ValueError, match="`mode` must be one of"):
        Coloring(np.eye(3), "acyclic")
    with pytest.raises(ValueError, match="`pattern` must be symmetric"):
        Coloring(np.triu(np.ones((3, 3))), "star")
    with pytest.raises(TypeError, match="`pattern` must be a matrix"):
        Coloring(np.ones(3))
    with pytest.raises(TypeError, match="`coloring` must be a Coloring"):
        sparse_jacobian(function, coloring=np.eye(3))
    with pytest.raises(ValueError, match=r"must have the shape \(5, 5\)"):
        sparse_jacobian(lambda x: x, coloring=Coloring(np.eye(4)))(X)
