"""Random estimates are unbiased, of the right variance; solves end where they should."""

from itertools import product

import numpy as np
import pytest

from fenchel import namespace
from fenchel.autodiff import (
    forward_gradient,
    grad,
    hutchinson_diagonal,
    hutchinson_trace,
    hvp,
    inverse_hvp,
)
from fenchel.random import RandomStream

A = np.asarray([[4.0, 1.0, -0.5], [1.0, 3.0, 0.2], [-0.5, 0.2, 2.0]])
B = np.asarray([1.0, -2.0, 0.5])


def quadratic(matrix):
    return lambda x: 0.5 * namespace(x).sum(x * namespace(x).matmul(matrix, x))


def test_all_signs_give_the_gradient_exactly(xp):
    x, signs = xp.array(B), xp.array(list(product([-1.0, 1.0], repeat=3)))
    f = quadratic(xp.array(A))
    found = forward_gradient(f, x, noise=signs)
    np.testing.assert_allclose(xp.numpy(found), A @ B, rtol=1e-13)
    np.testing.assert_allclose(xp.numpy(grad(f)(x)), A @ B, rtol=1e-13)


@pytest.mark.parametrize(("law", "factor"), [("normal", 5), ("rademacher", 3)])
def test_size_of_forward_gradients(law, factor, rng):
    f, slope = quadratic(A), A @ B
    draws = np.stack([forward_gradient(f, B, rng=rng, law=law) for _ in range(3000)])
    error = np.std(draws, axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(axis=0) - slope) < 4 * error)
    mean_square = np.mean(np.sum(draws**2, axis=1))  # (P + 2) or P times the squared gradient
    assert abs(mean_square / (factor * slope @ slope) - 1) < 0.12


def test_traces_and_diagonals(xp):
    x, matrix = xp.array(B), xp.array(A)
    signs = xp.array(list(product([-1.0, 1.0], repeat=3)))

    def matvec(v):
        return namespace(v).matmul(matrix, v)

    exact = hutchinson_trace(matvec, x, noise=signs)
    np.testing.assert_allclose(xp.numpy(exact.value), 9.0, rtol=1e-14)
    variance = 2 * (np.sum(A**2) - np.sum(np.diag(A) ** 2))
    np.testing.assert_allclose(xp.numpy(exact.standard_error) ** 2, variance / 7, rtol=1e-12)
    diagonal = hutchinson_diagonal(matvec, x, noise=signs)
    np.testing.assert_allclose(xp.numpy(diagonal.value), [4.0, 3.0, 2.0], rtol=1e-14)
    drawn = hutchinson_trace(matvec, x, rng=RandomStream(0), num_samples=400)
    error = float(xp.numpy(drawn.standard_error))
    assert abs(float(xp.numpy(drawn.value)) - 9.0) < 4 * error
    assert abs(error**2 * 400 / variance - 1) < 0.3


def test_containers_and_single_draws(xp):
    x = {"a": xp.array([1.0, 2.0]), "b": xp.array(3.0)}
    one = hutchinson_diagonal(lambda v: v, x, rng=0, num_samples=1)
    np.testing.assert_array_equal(xp.numpy(one.value["a"]), [1.0, 1.0])
    assert np.isnan(xp.numpy(one.standard_error["b"]))


def test_sources_of_noise(xp):
    x = xp.array(B)
    with pytest.raises(ValueError, match="exactly one of `rng` and `noise`"):
        hutchinson_trace(lambda v: v, x)
    with pytest.raises(ValueError, match="`law` must be one of rademacher, normal; got 'cauchy'"):
        forward_gradient(quadratic(x), x, rng=0, law="cauchy")
    with pytest.raises(ValueError, match="`num_samples` must be at least 1"):
        forward_gradient(quadratic(x), x, rng=0, num_samples=0)


def test_inverse_products(xp):
    f, x, b = quadratic(xp.array(A)), xp.array(B), xp.array([1.0, 2.0, 3.0])
    v, info = inverse_hvp(f, x, b, return_info=True, rtol=1e-12)
    np.testing.assert_allclose(xp.numpy(v), np.linalg.solve(A, [1, 2, 3]), rtol=1e-10)
    assert int(xp.numpy(info.iterations)) == 3  # as many as there are unknowns
    assert not bool(xp.numpy(info.indefinite))
    back = hvp(f, x, v)
    np.testing.assert_allclose(xp.numpy(back), [1, 2, 3], rtol=1e-10)
    damped = inverse_hvp(f, x, b, damping=0.5, rtol=1e-12)
    np.testing.assert_allclose(
        xp.numpy(damped), np.linalg.solve(A + 0.5 * np.eye(3), [1, 2, 3]), rtol=1e-10
    )


def test_inverse_products_stop_at_bad_curvature_and_nan(xp):
    x, b = xp.array([1.0, 1.0]), xp.array([0.0, 1.0])
    signs = xp.array([1.0, -1.0])
    f = quadratic(xp.array(np.diag([1.0, -1.0])))
    v, info = inverse_hvp(f, x, b, return_info=True)
    assert bool(xp.numpy(info.indefinite))
    np.testing.assert_array_equal(xp.numpy(v), [0.0, 0.0])
    v, info = inverse_hvp(f, x, xp.array([np.nan, 1.0]), return_info=True)
    assert int(xp.numpy(info.iterations)) == 0
    zero = inverse_hvp(quadratic(xp.array(A[:2, :2])), x, 0.0 * signs)
    np.testing.assert_array_equal(xp.numpy(zero), [0.0, 0.0])
