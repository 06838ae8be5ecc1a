"""Mixtures of experts against sums over tokens and experts."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel import namespace
from fenchel.autodiff import grad
from fenchel.routers import moe, route, soft_route


def matrices(w):
    """All experts in one product."""
    return lambda buffers: namespace(buffers, w).matmul(buffers, w)


def test_is_the_sum_over_experts(xp, rng):
    x, logits, w = (rng.standard_normal(s) for s in ((6, 3), (6, 4), (4, 3, 2)))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    chosen = np.argsort(-logits, axis=-1)[:, :2]
    expected = np.stack([sum(p[t, e] * x[t] @ w[e] for e in chosen[t]) for t in range(6)])

    def layer(x, logits, w):
        return moe(x, route(logits, k=2), matrices(w))

    arguments = tuple(map(xp.array, (x, logits, w)))
    assert_allclose(xp.numpy(xp.run(layer, *arguments)), expected, rtol=1e-10)
    total = lambda *a: namespace(*a).sum(layer(*a))
    dx, dl, dw = xp.run(grad(total, argnums=(0, 1, 2)), *arguments)
    mask = np.zeros_like(p)
    np.put_along_axis(mask, chosen, 1.0, axis=-1)
    c = mask * np.einsum("td,edf->te", x, w)
    assert_allclose(xp.numpy(dl), p * (c - (p * c).sum(-1, keepdims=True)), rtol=1e-9, atol=1e-12)
    assert_allclose(xp.numpy(dx), np.einsum("te,edf->td", p * mask, w), rtol=1e-9, atol=1e-12)
    expected = np.repeat(np.einsum("te,td->ed", p * mask, x)[..., None], 2, axis=-1)
    assert_allclose(xp.numpy(dw), expected, rtol=1e-9, atol=1e-12)


def test_a_function_an_expert(xp, rng):
    x, logits, w = (rng.standard_normal(s) for s in ((2, 6, 3), (2, 6, 4), (4, 3, 2)))
    routing = route(xp.array(logits), k=2, capacity=3)
    w = xp.array(w)
    one = moe(xp.array(x), routing, matrices(w))
    single = lambda e: lambda rows: namespace(rows).matmul(rows, w[e, ...])
    many = moe(xp.array(x), routing, [single(e) for e in range(4)])
    assert_allclose(xp.numpy(one), xp.numpy(many), rtol=1e-12)


def test_soft(rng):
    x = rng.standard_normal((5, 3))
    routing = soft_route(x, rng.standard_normal((3, 2, 2)))
    d, b = routing.dense()
    expected = np.einsum("tep,sep,sd->td", b, d, x)
    assert_allclose(moe(x, routing, lambda rows: rows), expected, rtol=1e-10)


def test_identity_experts_without_drops(rng):
    x, logits = rng.standard_normal((7, 3)), rng.standard_normal((7, 4))
    y = moe(x, route(logits, k=2, weights="renormalized"), lambda rows: rows)
    assert_allclose(y, x, rtol=1e-12)


def test_errors():
    x, routing = np.ones((2, 1)), route(np.zeros((2, 3)))
    with pytest.raises(TypeError, match="`experts`"):
        moe(x, routing, 3)
    with pytest.raises(ValueError, match="`experts`"):
        moe(x, routing, [lambda rows: rows])
