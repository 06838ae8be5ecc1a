"""Fenchel-Young losses of every other regularizer are their textbook formula."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fenchel
from fenchel import convex, regularizers
from fenchel.losses import FenchelYoung, Fitzpatrick

CASES = {
    "norm entropy": (regularizers.NormEntropy(2.0), 1.0),
    "norm entropy 1.5": (regularizers.NormEntropy(1.5), 1.0),
    "entropic cube": (regularizers.Entropic(convex.Cube()), 1.0),
    "p-norm on the capped simplex": (regularizers.PNorm(convex.CappedSimplex(2), 1.5), 2.0),
    "p-norm on the cube": (regularizers.PNorm(convex.Cube(), 1.5), 1.0),
    "capped simplex": (regularizers.SquaredNorm(convex.CappedSimplex(2)), 2.0),
    "knapsack": (regularizers.SquaredNorm(convex.Knapsack(np.ones(5), 2.0)), 1.0),
    "permutahedron": (regularizers.SquaredNorm(convex.Permutahedron(np.arange(5.0))), 10.0),
    "order simplex": (regularizers.SquaredNorm(convex.OrderSimplex()), 1.0),
}


def target_of(name, total, rng):
    y = rng.dirichlet(np.full(5, 5.0), size=3)
    if name == "order simplex":
        return np.sort(y)[:, ::-1].copy()
    return np.full((3, 5), 2.0) if name == "permutahedron" else total * y


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient(name, rng):
    own, total = CASES[name]
    loss, x, y = FenchelYoung(own), rng.normal(size=(3, 5)), target_of(name, total, rng)
    value, gradient = loss.value_and_grad(x, y, reduction="none")
    assert_allclose(value, own.max(x) + own.value(y) - (x * y).sum(-1), atol=1e-12)
    assert_allclose(gradient, own.argmax(x) - y, atol=1e-14)
    traced = fenchel.grad(lambda x: loss(x, y, reduction="sum"))(x)
    assert_allclose(traced, gradient, atol=1e-12)
    assert_allclose(loss(x, loss.link(x)), 0, atol=1e-14)


@pytest.mark.parametrize("name", ["capped simplex", "knapsack", "permutahedron", "order simplex"])
def test_fitzpatrick_of_quadratic_sets(name, rng):
    own, total = CASES[name]
    x, y = rng.normal(size=(3, 5)), target_of(name, total, rng)
    tight = Fitzpatrick(own)(x, y, reduction="none")
    assert (tight <= FenchelYoung(own)(x, y, reduction="none") + 1e-14).all()
    best = own.argmax(0.5 * (x + y))
    # the maximiser t of <t - y, x - t>
    assert_allclose(tight, ((best - y) * (x - best)).sum(-1), atol=1e-12)
    traced = fenchel.grad(lambda x: Fitzpatrick(own)(x, y, reduction="sum"))(x)
    assert_allclose(traced, best - y, atol=1e-12)


def test_losses_are_containers_of_their_arrays():
    """The reference measure of a loss is a leaf: it is differentiated through the loss."""
    q = np.asarray([0.5, 0.3, 0.2])
    loss = FenchelYoung(regularizers.FDivergence("kl", reference=q))
    leaves, structure = fenchel.backend_of(q).tree_flatten(loss)
    assert any(leaf is q for leaf in leaves)
    again = fenchel.backend_of(q).tree_unflatten(structure, leaves)
    x = np.asarray([[0.1, 0.2, 0.3]])
    assert again(x, np.asarray([1])) == loss(x, np.asarray([1]))
