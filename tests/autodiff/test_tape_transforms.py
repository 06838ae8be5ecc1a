"""Containers, arguments, errors and the face of a traced array."""

import math
from collections import namedtuple

import array_api_compat
import array_api_compat.numpy as compat
import array_api_strict as strict
import numpy as np
import pytest

from fenchel import backend_of, namespace
from fenchel.autodiff import tape

Pair = namedtuple("Pair", ["a", "b"])
X = np.asarray([1.0, 2.0, 3.0])


def within(check, x=X):
    """Run `check` on a traced array."""
    return tape.vjp(lambda y: (check(y), y)[1], x)


def test_containers_in_and_out():
    params = {"w": np.eye(2), "layers": [np.asarray([1.0, 2.0]), (np.asarray(3.0),)]}

    def f(p, pair):
        y = p["w"] @ p["layers"][0] * p["layers"][1][0]
        return Pair(np.sum(y) * pair.a, {"y": y, "same": pair.b})

    pair = Pair(np.asarray(2.0), np.asarray([1.0]))
    out, pullback = tape.vjp(f, params, pair)
    assert type(out) is Pair and set(out.b) == {"y", "same"}
    gp, gpair = pullback(Pair(np.asarray(1.0), {"y": np.zeros(2), "same": np.asarray([5.0])}))
    np.testing.assert_allclose(gp["layers"][0], [6.0, 6.0])
    np.testing.assert_allclose(gp["layers"][1][0], 6.0)
    assert float(gpair.a) == 9.0 and gpair.b.tolist() == [5.0]
    tangent = tape.jvp(f, (params, pair), (params, pair))[1]
    assert type(tangent) is Pair
    np.testing.assert_allclose(tangent.b["y"], 3.0 * out.b["y"])
    _, push = tape.linearize(f, params, pair)
    np.testing.assert_allclose(push(params, pair).a, tangent.a)


def test_value_and_grad_arguments():
    def f(x, y, *, scale):
        return np.sum(x * y) * scale, {"x": x}

    (value, aux), (gx, gy) = tape.value_and_grad(f, (0, -1), has_aux=True)(X, X + 1, scale=2.0)
    assert float(value) == 40.0
    assert type(aux["x"]) is np.ndarray
    np.testing.assert_allclose(gx, 2 * (X + 1))
    np.testing.assert_allclose(gy, 2 * X)


def test_python_floats_are_scalars():
    value, gradient = tape.value_and_grad(lambda x: x * x)(3.0)
    assert float(value) == 9.0 and float(gradient) == 6.0
    _, tangent = tape.jvp(lambda x, y: x * y, (2.0, X), (1.0, np.zeros(3)))
    np.testing.assert_array_equal(tangent, X)


def test_constant_functions_have_zero_gradients():
    assert tape.value_and_grad(lambda x: 3.0)(X)[1].tolist() == [0.0, 0.0, 0.0]
    assert tape.jvp(lambda x: np.ones(2), (X,), (X,))[1].tolist() == [0.0, 0.0]
    assert tape.linearize(lambda x: np.ones(2), X)[1](X).tolist() == [0.0, 0.0]


def test_integers_have_no_cotangent():
    ids = np.asarray([0, 2])
    _, pullback = tape.vjp(lambda x, i: x[i], X, ids)
    gx, gi = pullback(np.ones(2))
    assert gi is None and gx.tolist() == [1.0, 0.0, 1.0]
    _, tangent = tape.jvp(lambda x, i: (x[i], i), (X, ids), (X, None))
    assert tangent[0].tolist() == [1.0, 3.0] and tangent[1] is None


def test_partly_used_arguments():
    _, pullback = tape.vjp(lambda x, y: x, X, X)
    assert pullback(np.ones(3))[1].tolist() == [0.0, 0.0, 0.0]


def test_cotangents_are_cast_and_none_is_zero():
    x = X.astype(np.float32)
    _, pullback = tape.vjp(lambda y: (2.0 * y, y), x)
    assert pullback((np.ones(3), None))[0].dtype == np.float32


# -- vmap ------------------------------------------------------------------------------------------


def test_vmap_axes():
    f = tape.vmap(
        lambda d, y: {"p": d["x"] * y, "s": np.sum(d["x"])}, ({"x": 1}, None), {"p": 1, "s": 0}
    )
    x = np.arange(6.0).reshape(3, 2)
    out = f({"x": x}, X)
    np.testing.assert_array_equal(out["p"], x * X[:, None])
    np.testing.assert_array_equal(out["s"], x.sum(axis=0))


def test_vmap_of_a_gradient_and_gradient_of_a_vmap():
    def f(x):
        return np.sum(np.sin(x) * x)

    rows = np.arange(6.0).reshape(2, 3)
    per_row = tape.vmap(lambda r: tape.value_and_grad(f)(r)[1])(rows)
    whole = tape.value_and_grad(lambda m: np.sum(tape.vmap(f)(m)))(rows)[1]
    np.testing.assert_allclose(per_row, whole, rtol=1e-15)


def test_vmap_refuses():
    with pytest.raises(ValueError, match="in_axes"):
        tape.vmap(lambda x: x, None)(X)
    with pytest.raises(ValueError, match="one length"):
        tape.vmap(lambda x, y: x)(X, np.ones(2))
    with pytest.raises(ValueError, match="empty"):
        tape.vmap(lambda x: x)(np.zeros((0, 2)))
    with pytest.raises(ValueError, match="entries"):
        tape.vmap(lambda x: x, (0, 0))(X)


# -- errors ----------------------------------------------------------------------------------------


def test_in_place_writes_are_refused():
    def write(x):
        x[0] = 1.0

    with pytest.raises(TypeError, match="in place"):
        within(write)

    def sort(x):
        x.sort()

    with pytest.raises(TypeError, match="in place"):
        within(sort)
    with pytest.raises(TypeError, match="out"):
        within(lambda x: np.sum(x, out=np.zeros(())))
    with pytest.raises(TypeError, match="out"):
        within(lambda x: np.add(x, 1.0, out=np.zeros(3)))


def test_augmented_assignment_rebinds():
    def f(x):
        y = x
        y += 1.0
        y *= x
        return np.sum(y)

    assert tape.value_and_grad(f)(X)[1].tolist() == [3.0, 5.0, 7.0]


LEAVING = {
    "float": lambda x: float(x[0]),
    "complex": lambda x: complex(x[0]),
    "tolist": lambda x: x.tolist(),
    "item": lambda x: x[0].item(),
    "array protocol": lambda x: x.__array__(),
    "math": lambda x: math.sqrt(x[0]),
}


@pytest.mark.parametrize("name", LEAVING)
def test_leaving_the_tape_is_refused(name):
    with pytest.raises(TypeError, match="stop_gradient"):
        within(LEAVING[name])


def test_assignment_into_a_plain_array_is_refused():
    def assign(x):
        y = np.zeros(3)
        y[0] = x[0]

    with pytest.raises((TypeError, ValueError)):  # NumPy wraps our TypeError
        within(assign)


def test_mixed_libraries_are_refused():
    other = strict.asarray(X)
    for f in (
        lambda x: x + other,
        lambda x: np.add(x, other),
        lambda x: array_api_compat.array_namespace(x).stack((x, other)),
        lambda x: array_api_compat.array_namespace(x).matmul(x, other),
    ):
        with pytest.raises(TypeError, match="one library"):
            within(f)
    with pytest.raises(TypeError, match="one library"):
        tape.vjp(lambda x, y: x, X, other)
    with pytest.raises(TypeError, match="one library"):
        within(lambda x: np.sin(x), other)
    with pytest.raises(TypeError, match="one library"):
        within(lambda x: np.sum(x), other)
    with pytest.raises(TypeError, match="one library"):
        tape.vjp(lambda x: tape.vjp(lambda y: x * y, other)[0], X)


def test_objects_that_are_no_arrays_are_refused():
    with pytest.raises(TypeError, match="str"):
        within(lambda x: x + "a")
    with pytest.raises(TypeError, match="list"):
        within(lambda x: x + [1.0, 2.0, 3.0], strict.asarray(X))
    with pytest.raises(TypeError, match="floating"):
        tape.vjp(lambda x: x, np.asarray([1, 2]))
    with pytest.raises(TypeError, match="floating"):
        tape.vjp(lambda x: x, "a")


def test_unknown_functions_are_refused_by_name():
    with pytest.raises(TypeError, match=r"numpy\.histogram2d"):
        within(lambda x: np.histogram2d(x, x))
    with pytest.raises(TypeError, match="spacing"):
        within(np.spacing)
    with pytest.raises(TypeError, match=r"multiply\.at"):
        within(lambda x: np.multiply.at(np.ones(3), [0], x))
    with pytest.raises(AttributeError, match="no attribute"):
        within(lambda x: x.no_such_thing)
    with pytest.raises(AttributeError, match="no attribute"):
        within(lambda x: x.sum(), strict.asarray(X))


def test_values_must_be_scalar_and_real():
    with pytest.raises(TypeError, match="0-d"):
        tape.value_and_grad(lambda x: x)(X)
    with pytest.raises(TypeError, match="real"):
        tape.value_and_grad(lambda x: np.sum(x * 1j))(X)
    with pytest.raises(TypeError, match="0-d"):
        tape.value_and_grad(lambda x: None)(X)
    with pytest.raises(ValueError, match="argnums"):
        tape.value_and_grad(lambda x: x, 1)(X)


def test_shapes_of_tangents_and_cotangents_are_checked():
    with pytest.raises(ValueError, match="shapes"):
        tape.jvp(np.sin, (X,), (np.ones(2),))
    with pytest.raises(ValueError, match="shapes"):
        tape.vjp(np.sin, X)[1](np.ones(2))
    with pytest.raises(ValueError, match="structure"):
        tape.vjp(lambda x: (x, x), X)[1](X)
    with pytest.raises(ValueError, match="structure"):
        tape.jvp(lambda x, y: x, (X, X), (X,))


# -- what a traced array is ------------------------------------------------------------------------


@pytest.mark.parametrize("base", [compat, strict], ids=["numpy", "strict"])
def test_face_of_a_traced_array(base):
    plain = base.reshape(base.asarray(np.arange(6.0)), (2, 3))

    def check(x):
        xp = array_api_compat.array_namespace(x)
        assert xp is array_api_compat.array_namespace(x * x) is namespace(x) is namespace(x, plain)
        assert (x.shape, x.ndim, x.size, x.dtype) == ((2, 3), 2, 6, plain.dtype)
        assert x.device == array_api_compat.device(plain)
        assert x.T.shape == x.mT.shape == (3, 2)
        assert bool(x[0, 1] > 0) and int(x[1, 0]) == 3 and len(x) == 2
        assert "Traced" in repr(x)
        assert x.to_device(x.device) is x
        assert xp.float64 is base.float64 and xp.pi == base.pi
        assert xp.finfo(x.dtype).eps == base.finfo(plain.dtype).eps
        assert "sin" in dir(xp)
        assert int(xp.argmax(x)) == 5 and float(xp.argmax(x)) == 5.0
        assert bool(xp.all(xp.astype(x, base.int64) == xp.astype(plain, base.int64)))
        assert xp.asarray(x) is x and xp.astype(x, x.dtype) is x
        assert backend_of(x).name == backend_of(plain).name
        assert backend_of(x, plain) is backend_of(x) is backend_of(plain, x)

    within(check, plain)


def test_constants_mix_with_traced_arrays_on_both_sides():
    def f(x):
        return np.sum(X * x + x * X + np.float64(2.0) * x + 3 * x + (x > 1) * x)

    np.testing.assert_array_equal(tape.value_and_grad(f)(X)[1], 2 * X + 5 + (X > 1))


def test_lists_of_traced_scalars_become_arrays():
    def f(x):
        xp = array_api_compat.array_namespace(x)
        return np.sum(xp.asarray([x[0] * x[1], 2.0, x[2]]) * X)

    np.testing.assert_array_equal(tape.value_and_grad(f)(X)[1], [2.0, 1.0, 3.0])


def test_creation_from_traced_numbers():
    def f(x):
        xp = array_api_compat.array_namespace(x)
        return np.sum(xp.full((2, 2), x[0]) * 2.0 + xp.full_like(xp.ones((2, 2)), x[1]))

    np.testing.assert_array_equal(tape.value_and_grad(f)(X)[1], [8.0, 4.0, 0.0])


def test_namespace_is_picklable():
    import pickle

    space = tape.namespace_over(compat)
    assert tape.namespace_over(compat) is space
    assert "numpy" in repr(space)
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(space)
