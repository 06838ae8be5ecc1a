"""Soft quantiles."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel.operators import soft_quantile, soft_sort
from tests.convex import oracles
from tests.derivatives import vjp_matrix

X = np.array([[0.4, 2.0, -0.3, 0.7, 3.1], [1.0, 0.0, 0.2, -1.5, 0.6]])


@pytest.mark.parametrize("q", [0, 0.1, 0.25, 0.5, 0.77, 1.0])
def test_temperature_zero_is_numpys_quantile(xp, q):
    got = xp.run(lambda x: soft_quantile(x, q, temperature=0), xp.array(X))
    assert_allclose(xp.numpy(got), np.quantile(X, q, axis=-1), atol=1e-15)


@pytest.mark.parametrize("axis", [0, -1])
def test_array_of_levels_comes_first(xp, axis):
    q = np.array([[0.0, 0.3, 0.5], [0.6, 0.8, 1.0]])
    got = xp.run(
        lambda x, q: soft_quantile(x, q, temperature=0, axis=axis), xp.array(X), xp.array(q)
    )
    assert_allclose(xp.numpy(got), np.quantile(X, q, axis=axis), atol=1e-15)


def test_number_and_array_agree(xp):
    levels = np.array([0.0, 0.2, 0.5, 0.9, 1.0])
    x = xp.array(X)
    together = xp.numpy(soft_quantile(x, xp.array(levels), temperature=0.8))
    for level, row in zip(levels, together, strict=True):
        one = soft_quantile(x, float(level), temperature=0.8)
        assert_allclose(xp.numpy(one), row, atol=1e-15)


@pytest.mark.parametrize("regularization", ["quadratic", "entropic"])
def test_median_is_the_middle_of_the_soft_sort(xp, regularization):
    options = {"temperature": 0.8, "regularization": regularization}
    x = xp.array(X)
    middle = xp.numpy(soft_sort(x, **options))[:, 2]
    assert_allclose(xp.numpy(soft_quantile(x, 0.5, **options)), middle)


@pytest.mark.parametrize("argument", [0, 1, 2])
def test_derivatives(xp, argument):
    arrays = [X, np.array([0.15, 0.6]), np.array([[0.7], [1.1]])]

    def quantile(x, q, t):
        return soft_quantile(x, q, temperature=t)

    def numeric(flat):
        changed = list(arrays)
        changed[argument] = flat.reshape(arrays[argument].shape)
        return quantile(*changed).ravel()

    got = vjp_matrix(xp, quantile, *arrays, argument=argument)
    expected = oracles.jacobian(numeric, arrays[argument].ravel(), step=1e-3)
    assert_allclose(got, expected, atol=1e-9)


def test_levels_out_of_range():
    got = soft_quantile(X, np.array([-0.1, 0.5, 1.1, np.nan]))
    assert np.isnan(got[[0, 2, 3]]).all()
    assert np.isfinite(got[1]).all()


def test_single_entry_and_empty_batch(xp):
    assert_allclose(xp.numpy(soft_quantile(xp.array(np.array([[3.0]])), 0.3)), [3.0])
    assert tuple(soft_quantile(xp.array(np.zeros((0, 3))), 0.3).shape) == (0,)
    levels = xp.array(np.array([0.1, 0.9]))
    assert tuple(soft_quantile(xp.array(np.zeros((0, 3))), levels).shape) == (2, 0)
    one = soft_quantile(xp.array(np.array([[3.0]])), levels)
    assert_allclose(xp.numpy(one), [[3.0], [3.0]])


def test_errors(xp):
    x = xp.array(X)
    with pytest.raises(ValueError, match="`q` must be at most 1"):
        soft_quantile(x, 1.5)
    with pytest.raises(ValueError, match="`q` must be at least 0"):
        soft_quantile(x, -0.5)
    with pytest.raises(TypeError):
        soft_quantile(x, [0.5])
    with pytest.raises(ValueError, match="`temperature`"):
        soft_quantile(x, 0.5, temperature=-1)
