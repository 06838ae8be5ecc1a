"""Derivatives of the losses: closed forms, differences, arguments beside the scores."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fenchel
from fenchel import losses

ALPHAS = (1.0, 1.3, 1.5, 2.0)


def total(loss, target, **options):
    return lambda x: loss(x, target, reduction="sum", **options)


def difference(f, x, v, step=1e-5):
    """Central difference of order four along v."""
    near, far = f(x + step * v) - f(x - step * v), f(x + 2 * step * v) - f(x - 2 * step * v)
    return (8 * near - far) / (12 * step)


@pytest.fixture
def point(rng):
    x = rng.normal(size=(3, 5))
    y = rng.dirichlet(np.full(5, 3.0), size=3)
    return x, y, rng.normal(size=x.shape)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_hessians_are_the_closed_jacobians(xp, alpha, point):
    """J = diag(s) - s s'/sum s, with s = 1/phi'' for L and 1/(2 phi'' + (t - y) phi''') for F."""
    x, y, v = point
    live, target, direction = xp.array(x), xp.array(y), xp.array(v)
    fenchel_young = losses.entmax_loss(alpha=alpha)
    fitzpatrick = losses.fitzpatrick_entmax(alpha=alpha)
    p = xp.numpy(fenchel_young.link(live))
    t = xp.numpy(fitzpatrick.value_and_grad(live, target, reduction="sum")[1]) + y
    on, inside = p > 1e-12, t > 1e-12
    s = np.where(on, np.where(on, p, 1) ** (2 - alpha), 0)
    safe = np.where(inside, t, 1)
    w = np.where(inside, safe ** (3 - alpha) / (alpha * safe + (2 - alpha) * y), 0)
    for loss, weights in ((fenchel_young, s), (fitzpatrick, w)):
        found = xp.numpy(fenchel.hvp(total(loss, target), live, direction))
        share = (weights * v).sum(-1, keepdims=True) / weights.sum(-1, keepdims=True)
        assert_allclose(found, weights * (v - share), atol=1e-11)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("make", [losses.entmax_loss, losses.fitzpatrick_entmax])
def test_third_derivatives(alpha, make, point):
    x, y, v = point
    f = total(make(alpha=alpha), y)
    found = fenchel.jvp(lambda x: fenchel.hvp(f, x, v), (x,), (v,))[1]
    wanted = difference(lambda x: fenchel.hvp(f, x, v), x, v, 1e-4)
    assert_allclose(found, wanted, atol=1e-7)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("make", [losses.entmax_loss, losses.fitzpatrick_entmax])
def test_gradient_in_the_target(alpha, make, point):
    """Up to a constant: grad Omega(y) - scores for L, grad Omega(t) - scores for F."""
    x, y, _ = point
    loss = make(alpha=alpha)
    found = fenchel.grad(lambda y: loss(x, y, reduction="sum"))(y)
    base = y if make is losses.entmax_loss else loss.value_and_grad(x, y, reduction="sum")[1] + y
    wanted = np.log(base) if alpha == 1 else base ** (alpha - 1) / (alpha - 1)
    wanted = np.where(base > 1e-9, wanted - x, np.nan)
    gap = found - wanted
    assert np.nanmax(np.abs(gap - np.nanmean(gap, axis=-1, keepdims=True))) < 1e-9
    tangent = np.roll(y, 1, axis=-1) - y
    slope = difference(lambda y: loss(x, y, reduction="sum"), y, tangent, 1e-4)
    assert_allclose((found * tangent).sum(), slope, atol=1e-8)


@pytest.mark.parametrize("alpha", [1.0, 1.2, 1.5, 1.8])
def test_derivative_in_alpha(alpha, point):
    """Partial derivative of Omega at y minus that at p, at alpha = 1 too."""
    x, y, _ = point
    p = fenchel.entmax(x, alpha=alpha)

    def partial(p):
        log_p = np.log(np.where(p > 0, p, 1))
        if alpha == 1:
            return (p * (log_p**2 / 2 - log_p)).sum()
        a, c = alpha, alpha * (alpha - 1)
        powers = np.where(p > 0, p**a, 0)
        return (powers * log_p).sum() / c - (2 * a - 1) * (powers - p).sum() / c**2

    found = fenchel.grad(lambda alpha: losses.entmax_loss(alpha=alpha)(x, y, reduction="sum"))(
        np.asarray([alpha])
    )
    assert_allclose(found, [partial(y) - partial(p)], atol=1e-8)


def test_derivative_of_fitzpatrick_in_alpha(point):
    x, y, _ = point

    def f(alpha):
        return losses.fitzpatrick_entmax(alpha=alpha)(x, y, reduction="sum")

    for alpha in (1.15, 1.5, 1.85):
        wanted = difference(lambda a: f(float(a)), alpha, 1.0)
        assert_allclose(fenchel.grad(f)(np.asarray([alpha])), [wanted], atol=1e-8)


@pytest.mark.parametrize("name", ["kl", "chi2", "jensen_shannon", "squared_hellinger"])
def test_derivative_in_the_reference(name, point, rng):
    """At scores: f*(theta - tau); at the target: f(u) - u f'(u) with u = y/q."""
    x, y, _ = point
    q = rng.uniform(0.2, 1.0, size=5)

    def f(q):
        return losses.f_divergence_loss(divergence=name, reference=q)(x, y, reduction="sum")

    v = rng.normal(size=5)
    assert_allclose((fenchel.grad(f)(q) * v).sum(), difference(f, q, v), rtol=1e-7)


def test_the_reference_measure_shifts_softmax(point, rng):
    x = point[0]
    q = rng.uniform(0.2, 1.0, size=5)
    loss = losses.f_divergence_loss(divergence="kl", reference=q)
    assert_allclose(loss.link(x), fenchel.softmax(x + np.log(q)), atol=1e-13)


def test_gradient_is_finite_where_the_loss_is_not(xp):
    x = xp.array(np.asarray([[-np.inf, 1.0, 0.5]]))
    y = xp.array(np.asarray([[0.5, 0.5, 0.0]]))
    for loss in (losses.logistic, losses.sparsemax_loss, losses.fitzpatrick_logistic):
        value, gradient = fenchel.value_and_grad(lambda x, loss=loss: loss(x, y))(x)
        assert float(value) == np.inf
        assert np.isfinite(xp.numpy(gradient)).all()
