"""Mapping over an axis equals a loop."""

import numpy as np
import pytest

from fenchel import namespace
from fenchel.autodiff import grad, hvp, jacobian, jvp, vmap

X = np.asarray([[0.3, 1.2, -0.5], [2.0, -1.0, 0.7]])


def loss(w):
    xp = namespace(w)
    return xp.sum(xp.sin(w) * w) + xp.max(w) ** 2


def test_values(xp):
    found = xp.run(vmap(loss), xp.array(X))
    np.testing.assert_allclose(xp.numpy(found), [loss(row) for row in X], rtol=1e-14)


def test_gradients_of_each_row(xp):
    found = xp.run(vmap(grad(loss)), xp.array(X))
    np.testing.assert_allclose(xp.numpy(found), [grad(loss)(row) for row in X], rtol=1e-13)


def test_second_order_of_each_row(xp):
    found = xp.run(vmap(lambda w: hvp(loss, w, w)), xp.array(X))
    expected = [hvp(loss, row, row) for row in X]
    np.testing.assert_allclose(xp.numpy(found), expected, rtol=1e-12)


def test_derivative_of_a_map(xp):
    x = xp.array(X)
    found = grad(lambda x: namespace(x).sum(vmap(loss)(x) ** 2))(x)
    expected = [2 * loss(row) * grad(loss)(row) for row in X]
    np.testing.assert_allclose(xp.numpy(found), expected, rtol=1e-12)


def test_axes_and_shared_arguments(xp):
    x, w = xp.array(X), xp.array([1.0, 2.0])

    def f(column, w):
        return column * w

    found = vmap(f, in_axes=(1, None), out_axes=1)(x, w)
    np.testing.assert_allclose(xp.numpy(found), X * np.asarray([[1.0], [2.0]]))
    np.testing.assert_allclose(xp.numpy(vmap(f, (1, None))(x, w)), (X.T * [1.0, 2.0]))


def test_containers(xp):
    x = xp.array(X)
    found = vmap(lambda p: {"s": p["a"] + p["b"], "t": (p["a"],)})({"a": x, "b": 2.0 * x})
    np.testing.assert_allclose(xp.numpy(found["s"]), 3 * X)
    np.testing.assert_allclose(xp.numpy(found["t"][0]), X)


def test_nested_maps(xp):
    x = xp.array(X)
    found = vmap(lambda row: vmap(lambda a: vmap(lambda b: a * b)(row))(row))(x)
    expected = X[:, :, None] * X[:, None, :]
    np.testing.assert_allclose(xp.numpy(found), expected, rtol=1e-14)


def test_jacobian_of_each_row(xp):
    found = vmap(jacobian(lambda w: w**2))(xp.array(X))
    np.testing.assert_allclose(xp.numpy(found), [np.diag(2 * row) for row in X], rtol=1e-14)


def test_forward_mode_of_each_row(xp):
    x = xp.array(X)
    found = vmap(lambda w, v: jvp(loss, (w,), (v,))[1])(x, x)
    expected = [jvp(loss, (row,), (row,))[1] for row in X]
    np.testing.assert_allclose(xp.numpy(found), expected, rtol=1e-13)


def test_keyword_arguments_are_shared(xp):
    found = vmap(lambda w, *, power: w**power)(xp.array(X), power=2)
    np.testing.assert_allclose(xp.numpy(found), X**2)


def test_nothing_to_map():
    with pytest.raises(TypeError, match="at least one leaf must be an array"):
        vmap(lambda x: x)(2.0)


def test_lengths_that_differ(xp):
    with pytest.raises(ValueError):
        vmap(lambda a, b: a + b)(xp.array([1.0, 2.0]), xp.array([1.0, 2.0, 3.0]))
