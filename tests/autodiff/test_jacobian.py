"""Dense Jacobians and Hessians, against closed forms and against JAX."""

import numpy as np
import pytest

from fenchel import namespace
from fenchel.autodiff import grad, hessian, jacobian

MODES = (None, "forward", "reverse")


def wave(x):
    xp = namespace(x)
    return xp.sin(x[:, None] * xp.ones_like(x)[None, :2]) * x[:, None] ** 2


@pytest.mark.parametrize("mode", MODES)
def test_shapes_and_values(xp, mode):
    a = np.asarray([0.3, -1.0, 2.0])
    found = xp.numpy(xp.run(jacobian(wave, mode=mode), xp.array(a)))
    assert found.shape == (3, 2, 3)
    slope = np.cos(a) * a**2 + 2 * a * np.sin(a)
    expected = np.zeros((3, 2, 3))
    for i in range(3):
        expected[i, :, i] = slope[i]
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("mode", MODES)
def test_containers(xp, mode):
    x = {"m": xp.array([[1.0, 2.0], [3.0, 4.0]]), "s": xp.array(2.0)}

    def f(x):
        return namespace(x["m"]).sum(x["m"], axis=0) * x["s"], [x["s"] ** 3], "constant"

    (total, (cube,), text) = jacobian(f, mode=mode)(x)
    assert text == "constant"
    assert xp.numpy(total["m"]).shape == (2, 2, 2)
    np.testing.assert_allclose(xp.numpy(total["m"])[0], [[2.0, 0.0], [2.0, 0.0]])
    np.testing.assert_allclose(xp.numpy(total["s"]), [4.0, 6.0])
    np.testing.assert_allclose(xp.numpy(cube["s"]), 12.0)
    np.testing.assert_allclose(xp.numpy(cube["m"]), np.zeros((2, 2)))


@pytest.mark.parametrize("mode", MODES)
def test_argnums(xp, mode):
    x, y = xp.array([1.0, 2.0]), xp.array([3.0])

    def f(x, y):
        return y * x**2

    to_y, to_x = jacobian(f, (1, 0), mode)(x, y)
    np.testing.assert_allclose(xp.numpy(to_y), [[1.0], [4.0]])
    np.testing.assert_allclose(xp.numpy(to_x), [[6.0, 0.0], [0.0, 12.0]])
    np.testing.assert_allclose(xp.numpy(jacobian(f, 1, mode)(x, y)), [[1.0], [4.0]])


@pytest.mark.parametrize("mode", MODES)
def test_empty_inputs_and_outputs(xp, mode):
    empty, full = xp.array(np.zeros((0,))), xp.array([1.0, 2.0])
    ones = namespace(full).ones_like(full)
    into = jacobian(lambda x: namespace(x).sum(x) * ones, mode=mode)(empty)
    assert tuple(into.shape) == (2, 0)
    assert tuple(jacobian(lambda x: x[:0] ** 2, mode=mode)(full).shape) == (0, 2)


def rosenbrock(x):
    return namespace(x).sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def test_hessian_against_jax(xp):
    jax = pytest.importorskip("jax")
    a = np.asarray([0.5, -0.3, 1.2, 0.9])
    expected = jax.hessian(rosenbrock)(jax.numpy.asarray(a))
    found = xp.numpy(xp.run(hessian(rosenbrock), xp.array(a)))
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(found, found.T, rtol=1e-14)


def test_hessian_of_a_container_has_every_block(xp):
    x = {"a": xp.array([1.0, 2.0]), "b": xp.array([[3.0]])}
    blocks = hessian(lambda x: namespace(x["a"]).sum(x["a"] ** 2 * x["b"] ** 2))(x)
    np.testing.assert_allclose(xp.numpy(blocks["a"]["a"]), np.diag([18.0, 18.0]))
    assert xp.numpy(blocks["a"]["b"]).shape == (2, 1, 1)
    np.testing.assert_allclose(xp.numpy(blocks["a"]["b"])[:, 0, 0], [12.0, 24.0])
    np.testing.assert_allclose(xp.numpy(blocks["b"]["a"])[0, 0], [12.0, 24.0])
    np.testing.assert_allclose(xp.numpy(blocks["b"]["b"])[0, 0, 0, 0], 10.0)


def test_third_derivatives(xp):
    x = xp.array([0.5, 1.5])
    found = xp.numpy(jacobian(hessian(lambda x: namespace(x).sum(x**4)))(x))
    expected = np.zeros((2, 2, 2))
    expected[0, 0, 0], expected[1, 1, 1] = 12.0, 36.0
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_gradient_is_the_jacobian_of_a_scalar(xp):
    x = xp.array([0.2, 0.7])
    for mode in MODES:
        found = jacobian(rosenbrock, mode=mode)(x)
        np.testing.assert_allclose(xp.numpy(found), xp.numpy(grad(rosenbrock)(x)), rtol=1e-13)


def test_unknown_mode(xp):
    with pytest.raises(ValueError, match="`mode` must be one of forward, reverse; got 'sideways'"):
        jacobian(rosenbrock, mode="sideways")


@pytest.mark.parametrize("method", ["tape", "complex", "finite"])
def test_methods(method):
    x = np.asarray([0.3, -1.0, 2.0])
    expected = jacobian(wave)(x)
    tolerance = 1e-7 if method == "finite" else 1e-13
    found = jacobian(wave, method=method)(x)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
