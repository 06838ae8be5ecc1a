"""Conjugates and their proximal points, the half of a loss that dual oracles use."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel import losses

SMOOTH = {
    "logistic": losses.logistic,
    "sparsemax": losses.sparsemax_loss,
    "entmax": losses.entmax_loss(alpha=1.5),
    "entmax 1.2": losses.entmax_loss(alpha=1.2),
    "squared": losses.squared,
    "cube": losses.cube,
    "kl": losses.f_divergence_loss(divergence="kl", reference=np.asarray([0.4, 0.3, 0.2, 0.1])),
    "jensen_shannon": losses.f_divergence_loss(divergence="jensen_shannon"),
    "binary_logistic": losses.binary_logistic,
    "binary_sparse": losses.binary_sparse,
    "huber": losses.huber(delta=0.8),
    "squared_hinge": losses.squared_hinge,
    "fitzpatrick_logistic": losses.fitzpatrick_logistic,
    "fitzpatrick_sparsemax": losses.fitzpatrick_sparsemax,
    "fitzpatrick_entmax": losses.fitzpatrick_entmax(alpha=1.5),
    "fitzpatrick_squared": losses.fitzpatrick_squared,
    "fitzpatrick_binary_logistic": losses.fitzpatrick_binary_logistic,
}
KINKED = {"perceptron": losses.perceptron, "hinge": losses.hinge, "absolute": losses.absolute}


def target_of(name, rng):
    if name in ("huber", "squared", "absolute", "fitzpatrick_squared"):
        return rng.normal(size=(4, 4))
    if name == "squared_hinge":
        return rng.choice([-1.0, 1.0], size=(4, 4))
    if "binary" in name or name == "cube":
        return rng.uniform(size=(4, 4))
    return rng.dirichlet(np.ones(4), size=4)


def product(name, a, b):
    return a * b if "binary" in name else (a * b).sum(-1)


@pytest.mark.parametrize("name", [*SMOOTH, *KINKED])
def test_fenchel_equality_at_the_gradient(xp, name, rng):
    loss, x, y = (SMOOTH | KINKED)[name], rng.normal(size=(4, 4)) * 1.5, target_of(name, rng)
    if name == "kl" and xp.name != "numpy":
        pytest.skip("its reference is an array of NumPy")
    scores, target = xp.array(x), xp.array(y)
    value, dual = loss.value_and_grad(scores, target, reduction="none")
    found = xp.numpy(loss.conjugate(dual, target))
    assert_allclose(found, product(name, x, xp.numpy(dual)) - xp.numpy(value), atol=1e-11)
    inside = loss.dual_set.contains(loss.dual_point(dual, target), 1e-9)
    assert xp.numpy(inside).all()
    back = loss.dual_vector(loss.dual_point(dual, target), target)
    assert_allclose(xp.numpy(back), xp.numpy(dual), atol=1e-14)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("tau", [1e-3, 0.7, 50.0])
def test_proximal_points_solve_their_equation(name, tau, rng):
    """a = grad h(scores + tau (center - a))."""
    loss, x, y = SMOOTH[name], rng.normal(size=(4, 4)), target_of(name, rng)
    center = rng.normal(size=(4, 4)) * 0.3
    a = loss.conjugate_prox(x, center, y, tau=tau)
    gradient = loss.value_and_grad(x + tau * (center - a), y, reduction="none")[1]
    assert_allclose(a, gradient, atol=1e-7 * max(1.0, tau))


@pytest.mark.parametrize("name", KINKED)
@pytest.mark.parametrize("tau", [0.05, 0.7, 50.0])
def test_proximal_points_minimise(name, tau, rng):
    loss, x, y = KINKED[name], rng.normal(size=(4, 4)), target_of(name, rng)
    center = rng.normal(size=(4, 4)) * 0.3
    a = loss.conjugate_prox(x, center, y, tau=tau)

    def objective(a):
        rest = (tau / 2 * (a - center) ** 2 - x * a).sum(-1)
        return loss.conjugate(a, y) + rest

    best = objective(a)
    for _ in range(200):
        other = loss.value_and_grad(x + rng.normal(size=x.shape) * 2, y, reduction="none")[1]
        for share in (1e-3, 0.1, 1.0):
            assert (objective(a + share * (other - a)) >= best - 1e-9).all()


def test_proximal_points_on_every_library(xp, rng):
    x, c, y = (rng.normal(size=(2, 4)), rng.normal(size=(2, 4)), rng.dirichlet(np.ones(4), size=2))
    for name in ("logistic", "sparsemax", "entmax", "binary_logistic", "fitzpatrick_entmax"):
        loss = SMOOTH[name]
        found = xp.run(
            lambda x, c, y, loss=loss: loss.conjugate_prox(x, c, y, tau=0.5),
            *map(xp.array, (x, c, y)),
        )
        assert_allclose(xp.numpy(found), loss.conjugate_prox(x, c, y, tau=0.5), atol=1e-10)


def test_conjugates_are_infinite_off_the_dual_set():
    y = np.asarray([1.0, 0.0, 0.0])
    outside = np.asarray([0.5, 0.0, 0.0])
    for loss in (losses.logistic, losses.sparsemax_loss, losses.hinge, losses.cube):
        assert loss.conjugate(outside, y) == np.inf
    assert losses.huber(delta=0.4).conjugate(outside, y) == np.inf
    assert losses.absolute.conjugate(4 * outside, y) == np.inf
    assert losses.squared_hinge.conjugate(outside, np.ones(3)) == np.inf


def test_class_indices(rng):
    x, c = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    classes = np.asarray([1, 0, 3])
    for loss in (losses.logistic, losses.hinge):
        one_hot = np.eye(4)[classes]
        assert_allclose(
            loss.conjugate_prox(x, c, classes, tau=0.3), loss.conjugate_prox(x, c, one_hot, tau=0.3)
        )


def test_errors():
    x = np.zeros((2, 3))
    with pytest.raises(ValueError, match="`tau`"):
        losses.logistic.conjugate_prox(x, x, np.asarray([0, 1]), tau=0.0)
    with pytest.raises(ValueError, match="`center`"):
        losses.logistic.conjugate_prox(x, x[:1], np.asarray([0, 1]), tau=1.0)
