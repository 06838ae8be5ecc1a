"""Losses built from oracles."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fenchel
from fenchel import losses
from fenchel.regularizers import Tsallis
from fenchel.special import logsumexp


def squares(p):
    return 0.5 * fenchel.namespace(p).sum(p * p, axis=-1)


def test_from_max_is_the_loss_of_the_conjugate(xp, rng):
    x, y, classes = (
        rng.normal(size=(3, 4)),
        rng.dirichlet(np.ones(4), size=3),
        np.asarray([0, 3, 1]),
    )
    loss = losses.fenchel_young_from_max(logsumexp)
    for target in (y, classes):
        found = loss(xp.array(x), xp.array(target), reduction="none")
        assert_allclose(xp.numpy(found), losses.logistic(x, target, reduction="none"), atol=1e-10)
    gradient = fenchel.grad(lambda x: loss(x, xp.array(y), reduction="sum"))(xp.array(x))
    assert_allclose(xp.numpy(gradient), fenchel.softmax(x) - y, atol=1e-12)
    assert_allclose(xp.numpy(loss.link(xp.array(x))), fenchel.softmax(x), atol=1e-12)
    at_best = loss(xp.array(x), loss.link(xp.array(x)))
    assert_allclose(float(at_best), 0, atol=1e-12)


def test_from_max_of_a_quadratic_with_its_conjugate_given(rng):
    x, y = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    for omega in (None, squares):
        loss = losses.fenchel_young_from_max(squares, omega)
        assert_allclose(loss(x, y), losses.squared(x, y), atol=1e-12)
        gradient = fenchel.grad(lambda y, loss=loss: loss(x, y, reduction="sum"))(y)
        assert_allclose(gradient, y - x, atol=1e-10)


def test_from_argmax(xp, rng):
    x, y = rng.normal(size=(3, 4)), rng.dirichlet(np.ones(4), size=3)
    omega = Tsallis(1.5)
    loss = losses.fenchel_young_from_argmax(omega.argmax, omega.value)
    known = losses.entmax_loss(alpha=1.5)
    live, target, v = xp.array(x), xp.array(y), xp.array(rng.normal(size=x.shape))
    assert_allclose(
        xp.numpy(loss(live, target, reduction="none")), known(x, y, reduction="none"), atol=1e-12
    )
    for derivative in (
        lambda f: fenchel.grad(f)(live),
        lambda f: fenchel.hvp(f, live, v),
    ):
        found, wanted = (
            xp.numpy(derivative(lambda x, one=one: one(x, target))) for one in (loss, known)
        )
        assert_allclose(found, wanted, atol=1e-10)
    assert_allclose(float(loss(live, loss.link(live))), 0, atol=1e-15)


def test_builders_take_functions():
    with pytest.raises(TypeError, match="`max_fn` must be callable"):
        losses.fenchel_young_from_max(None)
    with pytest.raises(TypeError, match="`omega` must be callable"):
        losses.fenchel_young_from_max(fenchel.softmax, 1.0)
    with pytest.raises(TypeError, match="`omega` must be callable"):
        losses.fenchel_young_from_argmax(fenchel.softmax, 1.0)
