"""Products with Hessians and Gauss-Newton matrices: every mode gives the same numbers."""

import numpy as np
import pytest

from fenchel import namespace
from fenchel.autodiff import ggn_vp, grad, hessian, hvp, jacobian

EXACT = ("forward_over_reverse", "reverse_over_forward", "reverse_over_reverse")
MODES = (*EXACT, "forward_over_forward", "finite")


def energy(p):
    xp = namespace(p["w"])
    hidden = xp.tanh(xp.sum(p["w"] * p["b"], axis=-1))
    return xp.sum(hidden**2) + xp.sum(xp.exp(p["b"] * 0.5))


W = np.asarray([[0.3, -0.2], [0.5, 0.1], [-0.4, 0.8]])
B = np.asarray([0.7, -1.1])
DW = np.asarray([[1.0, 0.5], [-0.3, 0.2], [0.6, -1.0]])
DB = np.asarray([0.4, 2.0])


def dense_product():
    blocks = hessian(energy)({"w": W, "b": B})
    w = np.tensordot(blocks["w"]["w"], DW, 2) + np.tensordot(blocks["w"]["b"], DB, 1)
    b = np.tensordot(blocks["b"]["w"], DW, 2) + np.tensordot(blocks["b"]["b"], DB, 1)
    return w, b


@pytest.mark.parametrize("mode", MODES)
def test_modes_agree_with_the_dense_hessian(xp, mode):
    params = {"w": xp.array(W), "b": xp.array(B)}
    tangent = {"w": xp.array(DW), "b": xp.array(DB)}
    found = hvp(energy, params, tangent, mode=mode)
    w, b = dense_product()
    tolerance = 1e-8 if mode == "finite" else 1e-10
    np.testing.assert_allclose(xp.numpy(found["w"]), w, atol=tolerance, rtol=0)
    np.testing.assert_allclose(xp.numpy(found["b"]), b, atol=tolerance, rtol=0)


@pytest.mark.parametrize("mode", EXACT)
def test_products_are_differentiable(xp, mode):
    x, v = xp.array([0.5, 1.5]), xp.array([1.0, -2.0])

    def f(x):
        return namespace(x).sum(x**4)

    def form(x):
        return namespace(x).sum(hvp(f, x, v, mode=mode) * v)

    expected = 24 * np.asarray([0.5, 1.5]) * np.asarray([1.0, 4.0])
    np.testing.assert_allclose(xp.numpy(grad(form)(x)), expected, rtol=1e-12)


def test_under_jit(xp):
    x, v = xp.array([0.5, 1.5]), xp.array([1.0, -2.0])
    found = xp.run(lambda x, v: hvp(lambda y: namespace(y).sum(y**3), x, v), x, v)
    np.testing.assert_allclose(xp.numpy(found), [3.0, -18.0], rtol=1e-13)


def test_unknown_mode(xp):
    with pytest.raises(ValueError, match="`mode` must be one of forward_over_reverse"):
        hvp(lambda x: x, xp.array(1.0), xp.array(1.0), mode="fast")


X = np.asarray([[1.0, 2.0], [0.5, -1.0], [2.0, 0.3]])


def predict(x):
    return lambda w: namespace(w).tanh(namespace(w).matmul(x, w))


def test_gauss_newton_of_the_squared_loss_is_jacobian_squared(xp):
    w, v = xp.array([0.2, -0.4]), xp.array([1.0, 0.5])
    model = predict(xp.array(X))
    found = ggn_vp(lambda z: 0.5 * namespace(z).sum(z**2), model, w, v)
    j = xp.numpy(jacobian(model)(w))
    np.testing.assert_allclose(xp.numpy(found), j.T @ (j @ [1.0, 0.5]), rtol=1e-12)


def test_gauss_newton_of_a_linear_model_is_the_hessian(xp):
    x, w, v = xp.array(X), xp.array([0.2, -0.4]), xp.array([1.0, 0.5])

    def model(w):
        return namespace(w).matmul(x, w)

    def loss(z):
        return namespace(z).sum(namespace(z).log(1.0 + namespace(z).exp(z)))

    found = ggn_vp(loss, model, w, v)
    expected = hvp(lambda w: loss(model(w)), w, v)
    np.testing.assert_allclose(xp.numpy(found), xp.numpy(expected), rtol=1e-12)


def test_gauss_newton_is_positive_for_a_convex_loss(rng):
    def loss(z):
        return np.log(np.sum(np.exp(z)))

    for _ in range(10):
        w, v = rng.normal(size=2), rng.normal(size=2)
        assert v @ ggn_vp(loss, predict(X), w, v) >= 0
