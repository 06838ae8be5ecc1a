"""Dykstra's algorithm: the same fit when it converges, and an honest status when not."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fenchel.convex import isotonic_regression
from tests.convex import oracles
from tests.derivatives import vjp_matrix


def solve(xp, y, weights=None, **options):
    def run(y, *weights):
        w = weights[0] if weights else None
        return isotonic_regression(y, weights=w, solver="dykstra", return_info=True, **options)

    arrays = [y] if weights is None else [y, weights]
    fit, info = xp.run(run, *map(xp.array, arrays))
    return xp.numpy(fit), type(info)(*map(xp.numpy, info))


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("increasing", [True, False])
def test_converged_rows_are_exact(xp, rng, increasing):
    y, w = rng.normal(size=(2, 3, 5)), rng.uniform(0.5, 2, size=(2, 3, 5))
    got, info = solve(xp, y, w, increasing=increasing)
    expected = oracles.rows(lambda y, w: oracles.isotonic(y, w, increasing=increasing), y, w)
    assert info.converged.all()
    assert_allclose(got, expected, atol=1e-13)
    _, pooled = isotonic_regression(y, weights=w, increasing=increasing, return_info=True)
    assert_array_equal(info.blocks, pooled.blocks)


@pytest.mark.usefixtures("route")
def test_too_few_cycles_are_reported(xp):
    y = np.stack([np.linspace(1, 0, 30), np.linspace(0, 1, 30)])
    got, info = solve(xp, y, max_iter=20)
    assert_array_equal(info.converged, [False, True])
    assert_array_equal(info.iterations, [20, 0])
    assert info.residual[0] > 1e-3
    # The published 250 cycles leave such a block unsolved too, without a word.
    assert np.ptp(got[0]) > 0.1
    assert_allclose(got[0].sum(), y[0].sum())
    assert_allclose(got[1], y[1])


@pytest.mark.parametrize("m", [8, 32, 64])
def test_default_is_enough_for_one_block(m):
    got, info = isotonic_regression(np.linspace(1.0, 0.0, m), solver="dykstra", return_info=True)
    assert info.converged
    assert_allclose(got, 0.5, atol=1e-14)
    # Diffusive: about (m / pi)^2 log(1 / tol) cycles.
    assert info.iterations < 2 * (m / np.pi) ** 2 * np.log(1e12)


def test_unconverged_derivative_is_that_of_the_active_pairs(xp):
    y = np.linspace(1, 0, 6)

    def fit(y):
        return isotonic_regression(y, solver="dykstra", max_iter=3)

    assert_allclose(vjp_matrix(xp, fit, y), np.full((6, 6), 1 / 6), atol=1e-15)


def test_converged_derivative(xp, rng):
    y = rng.normal(size=6)

    def fit(y):
        return isotonic_regression(y, solver="dykstra")

    assert_allclose(vjp_matrix(xp, fit, y), vjp_matrix(xp, isotonic_regression, y), atol=1e-15)


def test_neighbours_that_happen_to_be_close_are_not_pooled():
    """An absolute tie test pooled 2400 unrelated neighbours at n = 1e4."""
    y = np.linspace(0, 1, 10_000)
    _, info = isotonic_regression(y, solver="dykstra", return_info=True)
    assert_array_equal(info.blocks, np.arange(10_000))


def test_offset_does_not_hide_convergence(rng):
    y = np.float32(rng.normal(size=12)) + np.float32(1e5)
    got, info = isotonic_regression(y, solver="dykstra", return_info=True)
    assert info.converged
    assert_allclose(got, oracles.isotonic(y.astype(float)), rtol=1e-7)


def test_tolerance_and_constant_rows():
    y = np.zeros((2, 5))
    _, info = isotonic_regression(y, solver="dykstra", return_info=True)
    assert_array_equal(info.iterations, 0)
    _, loose = isotonic_regression(
        np.linspace(1, 0, 20), solver="dykstra", tol=1e-2, return_info=True
    )
    _, tight = isotonic_regression(
        np.linspace(1, 0, 20), solver="dykstra", tol=1e-8, return_info=True
    )
    assert loose.iterations < tight.iterations
