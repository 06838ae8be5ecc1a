"""Every kind of index, against the derivative of a product with a selection matrix."""

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices, integer_array_indices

from fenchel.autodiff import tape

SHAPE = (3, 4, 2)
X = np.random.default_rng(5).standard_normal(SHAPE)


def selection(key, shape=SHAPE):
    """Flat positions that an index reads, by NumPy itself."""
    return np.arange(np.prod(shape)).reshape(shape)[key]


def expected_pullback(key, u, shape=SHAPE):
    total = np.zeros(int(np.prod(shape)))
    for place, value in zip(np.ravel(selection(key, shape)), np.ravel(u), strict=True):
        total[place] += value
    return total.reshape(shape)


KEYS = {
    "integer": 1,
    "negative integer": (-1, 2),
    "numpy integer": np.int64(2),
    "slice": slice(None, None, -1),
    "slices": (slice(1, None), slice(None, 3, 2)),
    "ellipsis": (Ellipsis, 0),
    "new axes": (None, 1, Ellipsis, None),
    "only a new axis": None,
    "mask": X > 0,
    "mask of rows": np.array([True, False, True]),
    "mask and slice": (slice(None), np.array([True, False, True, True])),
    "nothing": np.zeros(SHAPE, dtype=bool),
    "list": [0, 0, 2],
    "integer array": np.array([[0, 2], [1, 1]]),
    "integer arrays": (np.array([0, 1, 1]), np.array([2, 2, 2])),
    "array and slice": (slice(None), np.array([3, 3, 0])),
    "array, slice, array": (np.array([0, 1]), slice(None), np.array([1, 1])),
    "array and integer": (np.array([0, 2, 2]), 1),
    "empty tuple": (),
}


@pytest.mark.parametrize("name", KEYS)
def test_index_over_numpy(name):
    key = KEYS[name]
    out, pullback = tape.vjp(lambda x: x[key], X)
    np.testing.assert_array_equal(out, X[key])
    u = np.cos(np.arange(np.size(out))).reshape(np.shape(out))
    np.testing.assert_allclose(pullback(u)[0], expected_pullback(key, u), atol=1e-15)
    _, tangent = tape.jvp(lambda x: x[key], (X,), (X * X,))
    np.testing.assert_array_equal(tangent, (X * X)[key])


@settings(max_examples=60, deadline=None)
@given(st.data(), array_shapes(min_dims=1, max_dims=3, max_side=4))
def test_any_index_over_numpy(data, shape):
    key = data.draw(basic_indices(shape, allow_newaxis=True) | integer_array_indices(shape))
    x = np.random.default_rng(0).standard_normal(shape)
    out, pullback = tape.vjp(lambda y: y[key] * y[key], x)
    u = np.cos(np.arange(np.size(out))).reshape(np.shape(out))
    expected = expected_pullback(key, 2.0 * u * x[key], shape)
    np.testing.assert_allclose(pullback(u)[0], expected, atol=1e-14)


@pytest.mark.parametrize("size", [3, 200])
def test_repeated_places_add_up_without_a_scatter(size):
    """The strict library has no scatter: short and long runs of equal places take two routes."""
    places = np.random.default_rng(1).integers(0, 3, size)
    indices = strict.asarray(places)
    x = strict.asarray([1.0, 2.0, 4.0, 8.0])
    _, pullback = tape.vjp(lambda y: strict_take(y, indices), x)
    (g,) = pullback(strict.ones(size, dtype=strict.float64))
    np.testing.assert_array_equal(np.from_dlpack(g), np.bincount(places, minlength=4))


def strict_take(y, indices):
    return y.__array_namespace__().take(y, indices)


def test_scatter_of_complex_cotangents():
    z = np.asarray([1.0 + 1.0j, 2.0])
    _, pullback = tape.vjp(lambda y: y[np.array([0, 0, 1])], z)
    np.testing.assert_array_equal(pullback(np.asarray([1j, 2.0, 3.0]))[0], [2.0 + 1j, 3.0])


def test_length_and_iteration():
    def f(x):
        assert len(x) == 3
        rows = list(x)
        assert rows[0].shape == (4, 2)
        first, _, third = x
        return np.sum(rows[1]) + np.sum(first * third)

    _, g = tape.value_and_grad(f)(X)
    np.testing.assert_allclose(g[0], X[2])
    np.testing.assert_array_equal(g[1], np.ones((4, 2)))


def test_a_traced_integer_value_indexes():
    """A place found from traced values is plain."""

    def f(x):
        return x[int(np.argmax(x))] + x[np.argsort(x)[0]]

    _, g = tape.value_and_grad(f)(np.asarray([1.0, 3.0, 2.0]))
    np.testing.assert_array_equal(g, [1.0, 1.0, 0.0])


def test_scatter_is_differentiable_twice():
    def f(x):
        return np.sum(x[[0, 0, 1]] ** 3)

    x = np.asarray([0.5, 2.0, 7.0])
    _, hv = tape.jvp(lambda y: tape.value_and_grad(f)(y)[1], (x,), (np.ones(3),))
    np.testing.assert_allclose(hv, [6.0, 12.0, 0.0])
