"""Soft sort: values, exactness, derivatives and edge cases."""

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fenchel import namespace
from fenchel.operators import soft_sort
from tests.convex import oracles
from tests.derivatives import hessian_product, jvp_matrix, vjp_matrix

REGULARIZATIONS = ("quadratic", "entropic")
X = np.array([0.4, 2.0, -0.3, 0.7, 3.1, 0.55])


def reference(x, t, regularization="quadratic", descending=True):
    """P(rho / t, x) from the definition, with the min-max formula for the fit."""
    if not descending:
        return -reference(-x, t, regularization)
    z, w = np.arange(len(x), 0, -1.0) / t, np.sort(x)[::-1]
    if regularization == "quadratic":
        return z - oracles.isotonic(z - w, increasing=False)
    return z - oracles.isotonic(z, w, oracles.log_ratio, increasing=False)


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.usefixtures("route")
def test_definition(xp, rng, regularization, descending):
    x = rng.normal(size=(2, 3, 6))
    for t in (0.2, 1.0, 5.0):
        got = xp.run(
            lambda x, t=t: soft_sort(
                x, temperature=t, regularization=regularization, descending=descending
            ),
            xp.array(x),
        )
        expected = oracles.rows(lambda x, t=t: reference(x, t, regularization, descending), x)
        assert_allclose(xp.numpy(got), expected, atol=1e-12)


@pytest.mark.parametrize("t", [0.3, 1.0, 4.0])
def test_projection_on_the_permutahedron(rng, t):
    x = rng.normal(size=5)
    expected = oracles.hull_projection(np.arange(1.0, 6.0) / t, x)
    assert_allclose(soft_sort(x, temperature=t), expected, atol=1e-5)


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
@pytest.mark.usefixtures("route")
def test_temperature_zero_is_the_hard_sort(xp, regularization):
    x = np.array([[1.0, 1.0, 0.0, 5.0], [-np.inf, 2.0, np.inf, 0.0]])
    for zero in (0, 0.0, xp.array(np.zeros((2, 1)))):
        got = xp.run(
            lambda x, t=zero: soft_sort(x, temperature=t, regularization=regularization),
            xp.array(x),
        )
        assert_array_equal(xp.numpy(got), np.sort(x, axis=-1))


def test_hard_sort_permutes_the_cotangent(xp):
    def hard(x):
        return soft_sort(x, temperature=0)

    assert_array_equal(vjp_matrix(xp, hard, X), np.eye(6)[np.argsort(X)])


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("matrix", [vjp_matrix, jvp_matrix])
def test_jacobian(xp, regularization, descending, matrix):
    """The entropic one is where fast-soft-sort's VJP uses the wrong vector (error 0.12)."""

    def sort(x):
        return soft_sort(x, temperature=1.3, regularization=regularization, descending=descending)

    expected = oracles.jacobian(lambda x: reference(x, 1.3, regularization, descending), X)
    assert_allclose(matrix(xp, sort, X), expected, atol=1e-9)


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
def test_temperature_is_differentiated(xp, regularization):
    x = np.stack([X, X[::-1] ** 2])
    t = np.array([[1.3], [0.9]])

    def sort(x, t):
        return soft_sort(x, temperature=t, regularization=regularization, descending=True)

    got = vjp_matrix(xp, sort, x, t, argument=1).reshape(2, 6, 2)
    for row in range(2):
        expected = oracles.difference(
            lambda t, row=row: reference(x[row], t, regularization), t[row, 0], 1.0
        )
        assert_allclose(got[row, :, row], expected, atol=1e-9)
        assert_array_equal(got[row, :, 1 - row], 0)


DIRECTION = np.linspace(-1, 1, 6)


@cache
def differences_of_gradient():
    """Hessian of the sum of cubed entries, times DIRECTION, by differences of differences."""

    def one(x):
        return reference(x, 1.3, "entropic", descending=False)

    def gradient(x):
        return 3 * one(x) ** 2 @ oracles.jacobian(one, x)

    return oracles.difference(gradient, X, DIRECTION)


def test_hessian_of_the_entropic_sort(xp):
    def scalar(x):
        return namespace(x).sum(soft_sort(x, temperature=1.3, regularization="entropic") ** 3)

    expected = differences_of_gradient()
    assert_allclose(hessian_product(xp, scalar, X, DIRECTION), expected, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -3])
def test_axis(xp, rng, axis):
    x = rng.normal(size=(4, 3, 2))
    got = xp.run(lambda x: soft_sort(x, axis=axis), xp.array(x))
    expected = np.apply_along_axis(lambda x: reference(x, 1.0, descending=False), axis, x)
    assert_allclose(xp.numpy(got), expected, atol=1e-12)


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
@pytest.mark.usefixtures("route")
def test_nan_stays_in_its_row(xp, regularization):
    x = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 4.0]])
    got = xp.numpy(xp.run(lambda x: soft_sort(x, regularization=regularization), xp.array(x)))
    assert np.isnan(got[0]).all()
    assert_allclose(got[1], reference(x[1], 1.0, regularization, False), atol=1e-14)


@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 3)])
def test_empty_batch(xp, shape):
    for regularization in REGULARIZATIONS:
        got = soft_sort(xp.array(np.zeros(shape)), regularization=regularization)
        assert tuple(got.shape) == shape


def test_entropic_sort_at_scales_where_exp_overflows(xp):
    x = np.array([900.0, -900.0, 899.0, 0.0])
    for t in (1e-6, 1.0, 1e3):

        def sort(x, t=t):
            return soft_sort(x, temperature=t, regularization="entropic", descending=True)

        got = xp.numpy(xp.run(sort, xp.array(x)))
        assert np.isfinite(got).all()
        assert np.all(np.diff(got) <= 0)
        jacobian = vjp_matrix(xp, sort, x)
        assert np.isfinite(jacobian).all()
        assert_allclose(jacobian.sum(axis=-1), 1)


def test_large_offsets(xp, rng):
    x = np.float32(np.float32(rng.normal(size=20)) + np.float32(1e6))
    got = xp.run(lambda x: soft_sort(x, temperature=3.0), xp.array(x, dtype="float32"))
    assert_allclose(xp.numpy(got), reference(x.astype(float), 3.0, descending=False), rtol=1e-7)


def test_errors(xp):
    x = xp.array(np.ones((2, 3)))
    with pytest.raises(ValueError, match="`temperature` must be at least 0"):
        soft_sort(x, temperature=-1.0)
    with pytest.raises(ValueError, match="`regularization` must be one of quadratic, entropic"):
        soft_sort(x, regularization="l2")
    with pytest.raises(ValueError, match="must not be empty"):
        soft_sort(xp.array(np.ones((2, 0))))
    with pytest.raises(TypeError, match="real floating"):
        soft_sort(xp.array(np.array([1, 2])))
