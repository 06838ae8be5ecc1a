"""Gradients, pullbacks and pushforwards of every library behind one set of functions."""

from collections import namedtuple

import numpy as np
import pytest

from fenchel import namespace
from fenchel.autodiff import grad, jvp, linearize, stop_gradient, value_and_grad, vjp

Pair = namedtuple("Pair", "weight bias")


def total(x):
    return namespace(x).sum(x)


def cubic(x):
    return total(x**3)


def test_gradient_of_a_cubic(xp):
    x = xp.array([1.0, -2.0, 0.5])
    value, slope = xp.run(value_and_grad(cubic), x)
    np.testing.assert_allclose(xp.numpy(value), -6.875, rtol=1e-14)
    np.testing.assert_allclose(xp.numpy(slope), [3.0, 12.0, 0.75], rtol=1e-14)
    np.testing.assert_allclose(xp.numpy(xp.run(grad(cubic), x)), [3.0, 12.0, 0.75], rtol=1e-14)


def test_gradient_keeps_dtype_and_shape(xp):
    x = xp.array([[1.0, 2.0]], dtype="float32")
    slope = grad(cubic)(x)
    assert slope.dtype == x.dtype
    assert tuple(slope.shape) == (1, 2)


CONTAINERS = {
    "dict": lambda a, b: {"w": a, "b": b},
    "list": lambda a, b: [b, a],
    "tuple": lambda a, b: (b, a),
    "namedtuple": lambda a, b: Pair(weight=a, bias=b),
    "nested": lambda a, b: {"layer": (Pair(weight=a, bias=[b]), None)},
}
READERS = {
    "dict": lambda c: (c["w"], c["b"]),
    "list": lambda c: (c[1], c[0]),
    "tuple": lambda c: (c[1], c[0]),
    "namedtuple": lambda c: (c.weight, c.bias),
    "nested": lambda c: (c["layer"][0].weight, c["layer"][0].bias[0]),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_containers_go_in_and_come_out(xp, kind):
    build, read = CONTAINERS[kind], READERS[kind]
    a, b = np.asarray([1.0, 2.0]), np.asarray(3.0)
    params = build(xp.array(a), xp.array(b))

    def f(params):
        w, bias = read(params)
        return total(w**2) * bias

    w, bias = read(xp.run(grad(f), params))
    np.testing.assert_allclose(xp.numpy(w), 2 * a * b)
    np.testing.assert_allclose(xp.numpy(bias), 5.0)
    pulled = vjp(f, params)[1](xp.array(2.0))
    assert isinstance(pulled, tuple)
    np.testing.assert_allclose(xp.numpy(read(pulled[0])[0]), 4 * a * b)
    pushed = jvp(f, (params,), (params,))[1]
    np.testing.assert_allclose(xp.numpy(pushed), 3 * 15.0)
    np.testing.assert_allclose(xp.numpy(linearize(f, params)[1](params)), 3 * 15.0)


def test_argnums(xp):
    x, y = xp.array([1.0, 2.0]), xp.array([3.0, 4.0])

    def f(x, y, power):
        return total(namespace(x, y).multiply(x, y**power))

    np.testing.assert_allclose(xp.numpy(grad(f)(x, y, 2)), [9.0, 16.0])
    np.testing.assert_allclose(xp.numpy(grad(f, 1)(x, y, 2)), [6.0, 16.0])
    np.testing.assert_allclose(xp.numpy(grad(f, -2)(x, y, 2)), [6.0, 16.0])
    both = grad(f, (1, 0))(x, y, power=2)
    assert isinstance(both, tuple)
    np.testing.assert_allclose(xp.numpy(both[0]), [6.0, 16.0])
    np.testing.assert_allclose(xp.numpy(both[1]), [9.0, 16.0])
    (single,) = grad(f, (0,))(x, y, 2)
    np.testing.assert_allclose(xp.numpy(single), [9.0, 16.0])


def test_arguments_that_are_not_differentiated_may_be_anything(xp):
    def f(options, x, name, *, shift=None):
        assert name == "n" and options["k"] == 2
        return total(x ** options["k"]) + (0.0 if shift is None else shift)

    slope = grad(f, 1)({"k": 2, "s": "text"}, xp.array([1.0, 3.0]), "n", shift=1.0)
    np.testing.assert_allclose(xp.numpy(slope), [2.0, 6.0])


def test_auxiliary_results(xp):
    x = xp.array([1.0, 2.0])

    def f(x):
        return total(x**2), {"twice": 2 * x, "name": 3}

    (value, aux), slope = value_and_grad(f, has_aux=True)(x)
    np.testing.assert_allclose(xp.numpy(value), 5.0)
    np.testing.assert_allclose(xp.numpy(aux["twice"]), [2.0, 4.0])
    assert type(aux["twice"]) is type(x)
    slope_again, aux = grad(f, has_aux=True)(x)
    np.testing.assert_allclose(xp.numpy(slope), xp.numpy(slope_again))
    assert int(aux["name"]) == 3


def test_python_floats_are_differentiated_next_to_an_array(xp):
    x = xp.array([1.0, 2.0], dtype="float32")

    def f(x, scale):
        return scale**2 * total(x)

    slope = grad(f, 1)(x, 3.0)
    assert slope.dtype == x.dtype
    assert tuple(slope.shape) == ()
    np.testing.assert_allclose(xp.numpy(slope), 18.0)
    slopes = grad(f, (0, 1))(x, 3.0)
    np.testing.assert_allclose(xp.numpy(slopes[0]), [9.0, 9.0])
    in_container = grad(lambda p: p["s"] * total(p["x"]))({"x": x, "s": 2.0})
    np.testing.assert_allclose(xp.numpy(in_container["s"]), 3.0)


def test_constant_functions_have_zero_gradients(xp):
    x = xp.array([1.0, 2.0])
    np.testing.assert_array_equal(xp.numpy(grad(lambda x: 2.0)(x)), [0.0, 0.0])
    constant = xp.array(1.5)
    np.testing.assert_array_equal(xp.numpy(grad(lambda x: constant)(x)), [0.0, 0.0])
    np.testing.assert_array_equal(xp.numpy(grad(lambda x: total(stop_gradient(x)))(x)), [0.0, 0.0])
    zero = grad(lambda p: total(p["used"]))({"used": x, "unused": x})["unused"]
    np.testing.assert_array_equal(xp.numpy(zero), [0.0, 0.0])


def test_stop_gradient_of_containers(xp):
    x = xp.array([2.0, 3.0])

    def f(x):
        held = stop_gradient({"x": x, "n": 3})
        return total(x * held["x"]) * held["n"]

    np.testing.assert_allclose(xp.numpy(grad(f)(x)), [6.0, 9.0])
    slope = grad(lambda y: total(y * grad(lambda z: total(z**2 * stop_gradient(y)))(y)))(x)
    np.testing.assert_allclose(xp.numpy(slope), [16.0, 36.0])  # of 2 c y^2, at c = y


@pytest.mark.parametrize("nesting", ["grad-grad", "grad-vjp", "vjp-jvp", "jvp-grad", "deep"])
def test_nested_derivatives(xp, nesting):
    x = xp.array([0.5, 1.5, -1.0])
    v = xp.array([1.0, -2.0, 0.5])
    a, b = np.asarray([0.5, 1.5, -1.0]), np.asarray([1.0, -2.0, 0.5])

    def f(x):
        xp_ = namespace(x)
        return xp_.sum(xp_.sin(x) * x)

    second = 2 * np.cos(a) - a * np.sin(a)
    third = -3 * np.sin(a) - a * np.cos(a)
    if nesting == "grad-grad":
        found, expected = grad(lambda y: total(grad(f)(y)))(x), second
    elif nesting == "grad-vjp":
        one = namespace(x).ones_like(x[0])
        found, expected = grad(lambda y: total(vjp(f, y)[1](one)[0] * v))(x), second * b
    elif nesting == "vjp-jvp":
        out, pullback = vjp(lambda y: jvp(f, (y,), (v,))[1], x)
        found, expected = pullback(namespace(x).ones_like(out))[0], second * b
    elif nesting == "jvp-grad":
        found, expected = jvp(grad(f), (x,), (v,))[1], second * b
    else:

        def along(y):
            return total(jvp(grad(f), (y,), (v,))[1] * v)

        found, expected = grad(along)(x), third * b**2
    np.testing.assert_allclose(xp.numpy(found), expected, rtol=1e-12)


def test_levels_are_not_mixed_up(xp):
    x = xp.array(2.0)
    # d/dx x * d/dy (x + y) at y = 1: the inner derivative is 1, not 2.
    slope = grad(lambda x: x * grad(lambda y: x + y)(namespace(x).ones_like(x)))(x)
    np.testing.assert_allclose(xp.numpy(slope), 1.0)


def test_pullback_of_a_linear_map_is_its_transpose(xp):
    matrix = np.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    a = xp.array(matrix)
    _, pullback = vjp(lambda x: namespace(x).matmul(a, x), xp.array([0.0, 0.0, 0.0]))
    np.testing.assert_allclose(xp.numpy(pullback(xp.array([1.0, 10.0]))[0]), matrix.T @ [1, 10])


def test_several_primals(xp):
    x, y = xp.array([1.0, 2.0]), xp.array(3.0)
    out, pullback = vjp(lambda x, y: {"p": x * y, "q": y**2}, x, y)
    gx, gy = pullback({"p": xp.array([1.0, 1.0]), "q": 2.0})
    np.testing.assert_allclose(xp.numpy(gx), [3.0, 3.0])
    np.testing.assert_allclose(xp.numpy(gy), 3.0 + 12.0)
    out, tangent = jvp(lambda x, y: x * y, (x, y), (x, 1.0))
    np.testing.assert_allclose(xp.numpy(out), [3.0, 6.0])
    np.testing.assert_allclose(xp.numpy(tangent), [4.0, 8.0])


def test_empty_arrays(xp):
    x = xp.array(np.zeros((0, 3)))
    assert tuple(grad(cubic)(x).shape) == (0, 3)
    assert tuple(vjp(lambda x: x**2, x)[1](x)[0].shape) == (0, 3)


# -- errors ------------------------------------------------------------------------------------


def test_integer_leaves_are_named(xp):
    x = xp.array([1.0, 2.0])
    n = xp.array([1, 2], dtype="int64")
    with pytest.raises(TypeError, match=r"`args\[1\]\['n'\]` must have a floating dtype"):
        grad(lambda x, p: total(x), 1)(x, {"n": n, "x": x})
    with pytest.raises(TypeError, match=r"`args\[0\]` must have a floating dtype"):
        grad(total)(n)
    with pytest.raises(TypeError, match=r"`args\[1\]\[0\]` .* got int"):
        vjp(lambda x, k: x, x, [3])
    with pytest.raises(TypeError, match="floating"):
        jvp(lambda n: n, (n,), (n,))


def test_outputs_of_scalar_functions(xp):
    x = xp.array([1.0, 2.0])
    with pytest.raises(ValueError, match=r"scalar of shape \(\); got \(2,\)"):
        grad(lambda x: x)(x)
    with pytest.raises(TypeError, match="must return a scalar; got list"):
        grad(lambda x: [total(x)])(x)
    with pytest.raises(TypeError, match="real floating scalar"):
        grad(lambda x: namespace(x).sum(namespace(x).astype(x, namespace(x).int32)))(x)
    with pytest.raises(TypeError, match=r"\(value, aux\)"):
        grad(total, has_aux=True)(x)


@pytest.mark.parametrize("argnums", [2, -3, (0, 5)])
def test_argnums_out_of_range(xp, argnums):
    x = xp.array([1.0])
    with pytest.raises(ValueError, match=r"`argnums` must be in \[-2, 2\)"):
        grad(lambda x, y: total(x), argnums)(x, x)


def test_argnums_twice(xp):
    with pytest.raises(ValueError, match="once"):
        grad(lambda x: total(x), (0, -1))(xp.array([1.0]))


def test_cotangents_and_tangents_that_do_not_fit(xp):
    x = xp.array([1.0, 2.0])
    _, pullback = vjp(lambda x: {"a": x, "b": total(x)}, x)
    with pytest.raises(ValueError, match="`cotangent` must have the structure"):
        pullback([x, x])
    with pytest.raises(ValueError, match=r"`cotangent` must have the shape \(2,\); got \(\)"):
        pullback({"a": x[0], "b": x[0]})
    with pytest.raises(ValueError, match="`tangents` must have the structure"):
        jvp(total, (x,), (x, x))
    with pytest.raises(ValueError, match="`tangents` must have the shape"):
        jvp(total, (x,), (x[0],))
    with pytest.raises(TypeError, match="`primals` must be a tuple"):
        jvp(total, x, x)
    with pytest.raises(ValueError, match="`tangents`"):
        linearize(total, x)[1](x, x)


def test_no_array_at_all():
    with pytest.raises(TypeError, match="at least one argument must hold an array"):
        grad(lambda x: x**2)(3.0)


def test_errors_of_the_function_pass_through(xp):
    def f(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        grad(f)(xp.array([1.0]))
