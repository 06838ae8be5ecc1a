"""Soft ranks: values, exactness, derivatives and edge cases."""

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import rankdata

from fenchel import namespace, vjp
from fenchel.operators import soft_rank
from tests.convex import oracles
from tests.derivatives import hessian_product, jvp_matrix, vjp_matrix

REGULARIZATIONS = ("quadratic", "entropic")
X = np.array([0.4, 2.0, -0.3, 0.7, 3.1, 0.55])


def reference(x, t, regularization="quadratic"):
    """P(x / t) from the definition, with the min-max formula for the fit."""
    order = np.argsort(x, kind="stable")[::-1]
    s, rho = x[order] / t, np.arange(len(x), 0, -1.0)
    if regularization == "quadratic":
        z = s - oracles.isotonic(s - rho, increasing=False)
    else:
        z = np.exp(s - oracles.isotonic(s, np.log(rho), oracles.log_ratio, increasing=False))
    out = np.empty_like(z)
    out[order] = z
    return out


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
@pytest.mark.usefixtures("route")
def test_definition(xp, rng, regularization):
    x = rng.normal(size=(2, 3, 6))
    for t in (0.1, 0.5, 2.0):
        got = xp.run(
            lambda x, t=t: soft_rank(x, temperature=t, regularization=regularization), xp.array(x)
        )
        expected = oracles.rows(lambda x, t=t: reference(x, t, regularization), x)
        assert_allclose(xp.numpy(got), expected, atol=1e-12)


@pytest.mark.parametrize("t", [0.3, 1.0, 4.0])
def test_projection_on_the_permutahedron(rng, t):
    """Against a non-negative least squares over all 120 permutations."""
    x = rng.normal(size=5)
    expected = oracles.hull_projection(x / t, np.arange(1.0, 6.0))
    assert_allclose(soft_rank(x, temperature=t), expected, atol=1e-5)


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
@pytest.mark.usefixtures("route")
def test_temperature_zero_is_the_hard_rank(xp, regularization):
    x = np.array([[1.0, 1.0, 0.0, 5.0], [-np.inf, 2.0, np.inf, 0.0]])
    for zero in (0, 0.0, xp.array(np.zeros((2, 1)))):
        got = xp.run(
            lambda x, t=zero: soft_rank(x, temperature=t, regularization=regularization),
            xp.array(x),
        )
        assert_allclose(xp.numpy(got), rankdata(x, axis=-1), atol=1e-15)


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
def test_hard_rank_has_zero_derivative(xp, regularization):
    def hard(x):
        return soft_rank(x, temperature=0, regularization=regularization)

    assert_array_equal(vjp_matrix(xp, hard, np.array([1.0, 1.0, 0.0])), np.zeros((3, 3)))


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
@pytest.mark.parametrize("matrix", [vjp_matrix, jvp_matrix])
def test_jacobian(xp, regularization, matrix):
    def rank(x):
        return soft_rank(x, temperature=0.6, regularization=regularization)

    expected = oracles.jacobian(lambda x: reference(x, 0.6, regularization), X)
    assert_allclose(matrix(xp, rank, X), expected, atol=1e-9)


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
def test_temperature_is_differentiated(xp, regularization):
    x = np.stack([X, X[::-1] ** 2])
    t = np.array([[0.6], [0.9]])

    def rank(x, t):
        return soft_rank(x, temperature=t, regularization=regularization)

    got = vjp_matrix(xp, rank, x, t, argument=1).reshape(2, 6, 2)
    for row in range(2):
        expected = oracles.difference(
            lambda t, row=row: reference(x[row], t, regularization), t[row, 0], 1.0
        )
        assert_allclose(got[row, :, row], expected, atol=1e-9)
        assert_array_equal(got[row, :, 1 - row], 0)


DIRECTION = np.linspace(-1, 1, 6)


@cache
def differences_of_gradient(regularization):
    """Hessian of the sum of cubed ranks, times DIRECTION, by differences of differences."""

    def one(x):
        return reference(x, 0.6, regularization)

    def gradient(x):
        return 3 * one(x) ** 2 @ oracles.jacobian(one, x)

    return oracles.difference(gradient, X, DIRECTION)


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
def test_hessian(xp, regularization):
    def scalar(x):
        rank = soft_rank(x, temperature=0.6, regularization=regularization)
        return namespace(x).sum(rank**3)

    expected = differences_of_gradient(regularization)
    assert_allclose(hessian_product(xp, scalar, X, DIRECTION), expected, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -3])
def test_axis(xp, rng, axis):
    x = rng.normal(size=(4, 3, 2))
    got = xp.run(lambda x: soft_rank(x, axis=axis), xp.array(x))
    expected = np.apply_along_axis(lambda x: reference(x, 1.0), axis, x)
    assert_allclose(xp.numpy(got), expected, atol=1e-12)


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
@pytest.mark.usefixtures("route")
def test_nan_stays_in_its_row(xp, regularization):
    x = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 4.0]])
    got = xp.numpy(xp.run(lambda x: soft_rank(x, regularization=regularization), xp.array(x)))
    assert np.isnan(got[0]).all()
    assert_allclose(got[1], reference(x[1], 1.0, regularization), atol=1e-14)


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
@pytest.mark.usefixtures("route")
def test_infinite_scores_rank_first_and_last(xp, regularization):
    x = np.array([[1.0, -np.inf, np.inf, 1.5], [-np.inf, 0.0, 0.5, 1.0]])
    got = xp.numpy(
        xp.run(lambda x: soft_rank(x, temperature=2.0, regularization=regularization), xp.array(x))
    )
    assert_allclose(got[0, 1:3], [1, 4])
    assert_allclose(got[1, 0], 1)
    assert_allclose(got.sum(axis=-1), 10)
    assert_allclose(got[0, [0, 3]] - 1, reference(x[0, [0, 3]], 2.0, "quadratic"), atol=0.2)


@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 3)])
def test_empty_batch(xp, shape):
    for regularization in REGULARIZATIONS:
        got = soft_rank(xp.array(np.zeros(shape)), regularization=regularization)
        assert tuple(got.shape) == shape


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_large_offsets(xp, rng, regularization, offset):
    x = np.float32(np.float32(rng.normal(size=20)) + np.float32(offset))
    got = xp.run(
        lambda x: soft_rank(x, temperature=0.5, regularization=regularization),
        xp.array(x, dtype="float32"),
    )
    expected = reference(x.astype(float), 0.5, regularization)
    assert_allclose(xp.numpy(got), expected, atol=3e-5)


def test_errors(xp):
    x = xp.array(np.ones((2, 3)))
    with pytest.raises(ValueError, match="`temperature` must be at least 0"):
        soft_rank(x, temperature=-1.0)
    with pytest.raises(ValueError, match="`temperature` must broadcast"):
        soft_rank(x, temperature=xp.array(np.ones((2, 3))))
    with pytest.raises(ValueError, match="`regularization` must be one of quadratic, entropic"):
        soft_rank(x, regularization="kl")
    with pytest.raises(ValueError, match="must not be empty"):
        soft_rank(xp.array(np.ones((2, 0))))
    with pytest.raises(TypeError, match="real floating"):
        soft_rank(xp.array(np.array([1, 2])))
    with pytest.raises(TypeError):
        soft_rank([1.0, 2.0])


@pytest.mark.parametrize("regularization", ["quadratic", "entropic"])
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_equal_infinities_share_their_places(xp, regularization, temperature):
    inf = float("inf")

    def rank(x):
        return soft_rank(x, temperature=temperature, regularization=regularization)

    x = np.array([[inf, 1.0, -inf, inf, -inf, 9.0], [inf, inf, inf, -inf, -inf, -inf]])
    wanted = [[5.5, 3, 1.5, 5.5, 1.5, 4], [5, 5, 5, 2, 2, 2]]
    found = xp.numpy(xp.run(rank, xp.array(x)))
    # The entropic ranks of 1 and 9 are hard up to e^-16.
    assert_allclose(found, wanted, rtol=1e-6)
    g = xp.array(np.ones(x.shape))
    slopes = xp.numpy(xp.run(lambda x, g: vjp(rank, x)[1](g)[0], xp.array(x), g))
    assert_array_equal(slopes[np.isinf(x)], 0)
