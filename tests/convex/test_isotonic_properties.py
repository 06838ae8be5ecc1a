"""Properties that hold for every input, over random rows."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from fenchel.convex import (
    isotonic_regression,
    project_capped_simplex,
    project_order_simplex,
    project_permutahedron,
    project_simplex,
)

# Multiples of 1/8 make ties and exact sums likely.
entries = st.integers(-80, 80).map(lambda i: i / 8)
sizes = st.integers(1, 24)
vectors = sizes.flatmap(lambda n: arrays(np.float64, n, elements=entries))
weights = st.integers(1, 40).map(lambda i: i / 8)
pairs = sizes.flatmap(
    lambda n: st.tuples(
        arrays(np.float64, n, elements=entries), arrays(np.float64, n, elements=weights)
    )
)
losses = st.sampled_from([{"loss": "squared"}, {"loss": "kl"}, {"loss": "pnorm", "p": 3.0}])


@given(pairs, losses, st.booleans())
@settings(max_examples=60)
def test_monotone_idempotent_and_within_range(pair, options, increasing):
    y, w = pair
    fit = isotonic_regression(y, weights=w, increasing=increasing, **options)
    steps = np.diff(fit) if increasing else -np.diff(fit)
    assert np.all(steps >= -1e-12)
    if options["loss"] != "kl":
        assert np.all((fit >= y.min() - 1e-12) & (fit <= y.max() + 1e-12))
        again = isotonic_regression(fit, weights=w, increasing=increasing, **options)
        assert_allclose(again, fit, atol=1e-12)


@given(pairs, losses)
@settings(max_examples=60)
def test_reversing_the_row_reverses_the_order(pair, options):
    y, w = pair
    turned = isotonic_regression(y[::-1], weights=w[::-1], increasing=False, **options)[::-1]
    assert_allclose(turned, isotonic_regression(y, weights=w, **options), atol=1e-12)


@given(pairs)
def test_optimality_conditions(pair):
    """The partial sums of w (y - v) are >= 0, 0 at the end of each block, and 0 in total."""
    y, w = pair
    fit, info = isotonic_regression(y, weights=w, return_info=True)
    sums = np.cumsum(w * (y - fit))
    assert np.all(sums >= -1e-9)
    ends = np.append(np.flatnonzero(np.diff(info.blocks)), len(y) - 1)
    assert_allclose(sums[ends], 0, atol=1e-9)
    assert np.ptp(info.blocks) < len(y)
    assert_array_equal(info.blocks, info.blocks[info.blocks])


@given(vectors, vectors)
def test_projection_is_firmly_non_expansive(x, y):
    n = min(len(x), len(y))
    x, y = x[:n], y[:n]
    for project in (
        isotonic_regression,
        project_simplex,
        project_order_simplex,
        lambda z: project_capped_simplex(z, n / 2),
        lambda z: project_permutahedron(z, np.arange(float(n))),
    ):
        step = project(x) - project(y)
        assert step @ (x - y) >= step @ step - 1e-9


@given(vectors, st.integers(-1000, 1000))
def test_shift_and_scale(y, c):
    fit = isotonic_regression(y)
    assert_allclose(isotonic_regression(y + c), fit + c, atol=1e-9)
    assert_allclose(isotonic_regression(4 * y), 4 * fit, atol=1e-12)
    kl = isotonic_regression(y, loss="kl")
    assert_allclose(isotonic_regression(y + c, loss="kl"), kl + c, atol=1e-9)


@given(pairs)
@settings(max_examples=40)
def test_dykstra_agrees_when_it_says_so(pair):
    """Weights are kept within a factor of five: convergence slows in proportion."""
    y, w = pair
    w = 1 + w
    fit, info = isotonic_regression(y, weights=w, solver="dykstra", return_info=True)
    assert info.converged
    assert_allclose(fit, isotonic_regression(y, weights=w), atol=1e-10)


@given(vectors)
def test_capped_simplex_is_feasible_and_keeps_the_order(x):
    k = len(x) / 3
    y = project_capped_simplex(x, k)
    assert np.all((y >= 0) & (y <= 1))
    assert_allclose(y.sum(), k, atol=1e-12)
    order = np.argsort(x)
    assert np.all(np.diff(y[order]) >= -1e-15)
