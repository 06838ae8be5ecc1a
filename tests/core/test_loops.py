"""Loops and branches: the same results and derivatives eagerly and under tracing."""

import numpy as np
import pytest

from fenchel import loops, namespace
from fenchel.autodiff import grad, jvp


def test_while_loop(xp):
    def halve(x):
        return loops.while_loop(lambda c: c[0] > 1.0, lambda c: (c[0] / 2, c[1] + 1), (x, x * 0))

    last, count = xp.run(halve, xp.array(20.0))
    assert float(xp.numpy(last)) == 0.625
    assert float(xp.numpy(count)) == 5.0


def test_forward_derivative_of_a_while_loop(xp):
    def f(x):
        return loops.while_loop(lambda c: c < 50.0, lambda c: c * c, x)

    x = xp.array(3.0)
    value, slope = xp.run(lambda x: jvp(f, (x,), (x / x,)), x)
    assert float(xp.numpy(value)) == 81.0
    np.testing.assert_allclose(xp.numpy(slope), 4 * 3.0**3)


def test_fori_loop(xp):
    def power(x):
        return loops.fori_loop(0, 4, lambda i, c: {"p": c["p"] * x}, {"p": x})["p"]

    x = xp.array([2.0, -1.0])
    np.testing.assert_allclose(xp.numpy(xp.run(power, x)), [32.0, -1.0])
    slope = xp.run(grad(lambda x: namespace(x).sum(power(x))), x)
    np.testing.assert_allclose(xp.numpy(slope), [80.0, 5.0])
    np.testing.assert_array_equal(xp.numpy(loops.fori_loop(3, 3, lambda i, c: 2 * c, x)), [2, -1])


def test_scan(xp):
    xs = xp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    start = xp.array([0.0, 0.0])

    def run(start, xs):
        return loops.scan(lambda c, x: (c + x["v"], (c, x["v"] * 2.0)), start, {"v": xs})

    last, (before, twice) = xp.run(run, start, xs)
    np.testing.assert_allclose(xp.numpy(last), [9.0, 12.0])
    np.testing.assert_allclose(xp.numpy(before), [[0, 0], [1, 2], [4, 6]])
    np.testing.assert_allclose(xp.numpy(twice), 2 * xp.numpy(xs))


def test_gradient_of_a_scan(xp):
    xs = xp.array([0.5, 2.0, 3.0])

    def f(xs):
        return loops.scan(lambda c, x: (x * c, c), namespace(xs).ones_like(xs[0]), xs)[0]

    np.testing.assert_allclose(xp.numpy(xp.run(grad(f), xs)), [6.0, 1.5, 1.0])


def test_scan_by_length(xp):
    last, ys = loops.scan(lambda c, _: (2.0 * c, c), xp.array(1.0), None, length=4)
    assert float(xp.numpy(last)) == 16.0
    np.testing.assert_allclose(xp.numpy(ys), [1.0, 2.0, 4.0, 8.0])
    with pytest.raises(ValueError, match="`length` must be given where `xs` is None"):
        loops.scan(lambda c, _: (c, c), xp.array(1.0))


def test_cond(xp):
    def magnitude(x):
        return loops.cond(x > 0, lambda v: v, lambda v: -v, x)

    for value, slope in ((3.0, 1.0), (-3.0, -1.0)):
        x = xp.array(value)
        assert float(xp.numpy(xp.run(magnitude, x))) == 3.0
        assert float(xp.numpy(xp.run(grad(magnitude), x))) == slope
    assert float(xp.numpy(loops.cond(True, lambda v: v, lambda v: -v, xp.array(2.0)))) == 2.0


def test_without_arrays():
    assert loops.while_loop(lambda c: c < 10, lambda c: 2 * c, 1) == 16
    assert loops.fori_loop(0, 3, lambda i, c: c + i, 0) == 3
    assert loops.cond(False, lambda: 1, lambda: 2) == 2
    with pytest.raises(TypeError, match="at least one leaf must be an array"):
        loops.scan(lambda c, _: (c, c), 1.0, None, length=2)
