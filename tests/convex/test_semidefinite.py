"""The cone of positive semi-definite matrices, repeated eigenvalues above all."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fenchel
from fenchel import convex
from tests import libraries
from tests.convex import oracles
from tests.derivatives import hessian_product, jvp_matrix, vjp_matrix

SPECTRA = {
    "distinct": [2.0, 0.5, -0.3, -1.5],
    "repeated": [1.0, 1.0, -1.0, -1.0],
    "one value": [2.0, 2.0, 2.0, 2.0],
    "all negative": [-1.0, -1.0, -2.0, -0.5],
    "nearly equal": [1.0, 1.0 + 1e-9, -0.5, -0.5 - 1e-12],
}


@pytest.fixture
def basis():
    return np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]


@pytest.fixture(params=SPECTRA)
def matrix(request, basis):
    return basis * np.array(SPECTRA[request.param]) @ basis.T


def clipped(x):
    values, vectors = np.linalg.eigh((x + x.T) / 2)
    return vectors * np.maximum(values, 0) @ vectors.T


def derivative(x, direction):
    """Daleckii and Krein: divided differences of max(., 0) in the basis of the eigenvectors."""
    values, u = np.linalg.eigh(x)
    kept = np.maximum(values, 0)
    gap = values[:, None] - values[None, :]
    same = np.abs(gap) < 1e-6
    slope = np.where(same, values[:, None] > 0, (kept[:, None] - kept) / np.where(same, 1, gap))
    symmetric = (direction + direction.T) / 2
    return u @ (slope * (u.T @ symmetric @ u)) @ u.T


def test_value(xp, matrix, rng):
    x = np.stack([matrix, rng.normal(size=(4, 4))])
    found = convex.PSDCone()
    y = xp.run(found.project, xp.array(x))
    assert_allclose(xp.numpy(y), np.stack([clipped(x[0]), clipped(x[1])]), atol=1e-12)
    assert xp.numpy(found.contains(y)).all()
    assert not xp.numpy(found.contains(xp.array(-np.eye(3)))).any()
    assert not xp.numpy(found.contains(xp.array(np.array([[1.0, 0.5], [0.0, 1.0]])))).any()


@pytest.mark.parametrize("mode", [vjp_matrix, jvp_matrix])
def test_derivative_at_any_multiplicity(xp, matrix, mode):
    got = mode(xp, convex.project_psd, matrix)
    wanted = [derivative(matrix, e.reshape(4, 4)).ravel() for e in np.eye(16)]
    assert_allclose(got, np.stack(wanted, axis=-1), atol=1e-8)


def test_second_derivative(xp, matrix, rng):
    """Differences of the closed first derivative, whose eigenvalues are off 0 and off each other.

    Where they agree, differences of the projection itself serve: they do not see multiplicity.
    """
    direction, weights = rng.normal(size=(2, 4, 4))

    def value(x):
        space = fenchel.namespace(x)
        return space.sum(space.multiply(convex.project_psd(x), _plain(xp, weights)))

    got = hessian_product(xp, value, matrix, direction)

    def numeric(x):
        return clipped(x.reshape(4, 4)).ravel()

    step = 5e-3
    columns = [
        (
            oracles.difference(numeric, matrix.ravel() + step * e, direction.ravel(), step=5e-3)
            - oracles.difference(numeric, matrix.ravel() - step * e, direction.ravel(), step=5e-3)
        )
        @ weights.ravel()
        / (2 * step)
        for e in np.eye(16)
    ]
    assert_allclose(got.ravel(), columns, atol=2e-3)


def _plain(xp, values):
    return xp.array(values)


def test_third_derivative_along_a_line():
    """The root of a 2 x 2 matrix S is (S + sqrt(det S)) / sqrt(tr S + 2 sqrt(det S))."""
    jax = pytest.importorskip("jax")
    jnp = libraries.get("jax").namespace  # in float64
    x0, d = jnp.asarray([[1.0, 0.2], [0.2, -0.7]]), jnp.asarray([[0.3, 1.0], [1.0, -0.4]])

    def closed(t):
        x = x0 + t * d
        square, root = x @ x, jnp.sqrt(jnp.linalg.det(x) ** 2)
        size = (square + root * jnp.eye(2)) / jnp.sqrt(jnp.trace(square) + 2 * root)
        return (x + size) / 2

    def ours(t):
        return convex.project_psd(x0 + t * d)

    for _ in range(3):
        ours, closed = jax.jacfwd(ours), jax.jacfwd(closed)
        assert_allclose(ours(0.0), closed(0.0), atol=1e-9)


def test_zero_matrix_is_finite(xp):
    got = vjp_matrix(xp, convex.project_psd, np.zeros((3, 3)))
    half = np.array([(e.reshape(3, 3) + e.reshape(3, 3).T).ravel() / 2 for e in np.eye(9)])
    assert_allclose(got, half, atol=1e-12)


def test_rank_deficient_matrices_stay_finite(xp):
    v = np.array([[1.0, 2.0, -1.0]])
    got = vjp_matrix(xp, convex.project_psd, v.T @ v)
    assert np.isfinite(got).all()
    assert np.linalg.norm(got, 2) <= 1 + 1e-9


def test_matrices_that_are_not_finite(xp):
    x = np.stack([np.eye(2), np.full((2, 2), np.nan), np.diag([1.0, np.inf])])
    got = xp.numpy(xp.run(convex.project_psd, xp.array(x)))
    assert_allclose(got[0], np.eye(2))
    assert np.isnan(got[1:]).all()
    found = convex.PSDCone()
    assert_array_equal(xp.numpy(found.contains(xp.array(x))), [True, False, False])
    assert np.isnan(xp.numpy(found.linear_argmax(xp.array(x)))[1:]).all()


def test_linear_argmax(xp, basis):
    negative = xp.array(-(basis @ basis.T))
    assert_array_equal(xp.numpy(convex.PSDCone().linear_argmax(negative)), 0)
    x = np.diag([1.0, -2.0])
    got = xp.numpy(convex.PSDCone().linear_argmax(xp.array(x)))
    assert_array_equal(got, [[np.inf, 0.0], [0.0, 0.0]])


def test_shapes_and_types(xp):
    assert tuple(convex.project_psd(xp.array(np.zeros((0, 3, 3)))).shape) == (0, 3, 3)
    assert_allclose(xp.numpy(convex.project_psd(xp.array(np.array([[-2.0]])))), [[0.0]])
    if xp.name == "numpy":
        x = np.array([[2.0, 0.0], [0.0, -1.0]], dtype=np.float16)
        assert convex.project_psd(x).dtype == np.float16
