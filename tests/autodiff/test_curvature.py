"""Products with Hessians and Gauss-Newton matrices: every mode gives the same numbers."""

import numpy as np
import pytest

from fenchel import namespace
from fenchel.autodiff import fisher_vp, ggn_vp, grad, hessian, hvp, jacobian

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


class Categorical:
    def log_partition(self, scores):
        xp = namespace(scores)
        return xp.log(xp.sum(xp.exp(scores), axis=-1))


class Normal:
    """Natural parameters m / v and -1 / (2 v)."""

    def log_partition(self, natural):
        first, second = natural
        return -(first**2) / (4 * second) - namespace(first).log(-2 * second) / 2


def test_fisher_product_is_the_covariance_of_the_scores(xp):
    rng = np.random.default_rng(0)
    x, w, v = rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    inputs = xp.array(x)
    found = fisher_vp(
        Categorical(), lambda w: namespace(w).matmul(inputs, w), xp.array(w), xp.array(v)
    )
    scores = x @ w
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    wanted = np.zeros_like(w)  # sum over samples and labels of p(label) s <s, v>
    for row, share in zip(x, p, strict=True):
        for label in range(5):
            slope = np.outer(row, np.eye(5)[label] - share)
            wanted += share[label] * slope * np.sum(slope * v)
    np.testing.assert_allclose(xp.numpy(found), wanted, rtol=1e-10, atol=1e-12)


def test_fisher_product_of_two_natural_parameters(xp):
    def natural(p):  # mean and variance
        return p[0] / p[1], -0.5 / p[1]

    mean, variance = 0.7, 2.5
    found = fisher_vp(Normal(), natural, xp.array([mean, variance]), xp.array([1.0, 1.0]))
    wanted = [1 / variance, 1 / (2 * variance**2)]  # the known information of a normal law
    np.testing.assert_allclose(xp.numpy(found), wanted, rtol=1e-10)


def test_fisher_product_needs_a_family():
    with pytest.raises(TypeError, match="`family` must have a method `log_partition`"):
        fisher_vp(object(), lambda w: w, W, W)
