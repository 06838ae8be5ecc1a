"""Reversible chains: the derivatives of the plain chain, and what is done when inverses fail."""

import numpy as np
import pytest

from fenchel import namespace
from fenchel.autodiff import reversible_chain, vjp

X, Y, W = np.asarray([0.5, -1.0]), np.asarray([0.25, 2.0]), np.asarray([0.3, -0.7])
G = (np.asarray([1.0, -2.0]), np.asarray([0.5, 0.25]))


def forward(s, k, w):
    xp, (x, y) = namespace(w), s
    x = x + xp.tanh(w * y) / (k + 1)
    return x, y + xp.sin(w * x)


def inverse(s, k, w):
    xp, (x, y) = namespace(w), s
    y = y - xp.sin(w * x)
    return x - xp.tanh(w * y) / (k + 1), y


def wanted(n):
    def plain(s, w):
        for k in range(n):
            s = forward(s, k, w)
        return s

    out, pullback = vjp(plain, (X, Y), W)
    return out, pullback(G)


def assert_close(xp, found, known, **tolerance):
    for a, b in zip((*found[0], found[1]), (*known[0], known[1]), strict=True):
        np.testing.assert_allclose(xp.numpy(a), b, **tolerance)


@pytest.mark.parametrize("n", [0, 1, 6])
def test_derivatives_are_those_of_the_plain_chain(xp, n):
    chain = reversible_chain(forward, inverse, n)
    out, pullback = chain((xp.array(X), xp.array(Y)), xp.array(W))
    last, slopes = wanted(n)
    for a, b in zip(out, last, strict=True):
        np.testing.assert_allclose(xp.numpy(a), b, rtol=1e-12)
    found = pullback((xp.array(G[0]), xp.array(G[1])))
    assert_close(xp, found, slopes, rtol=1e-9, atol=1e-11)


def test_states_are_found_by_inversion():
    seen = []

    def watched(s, k, w):
        seen.append(k)
        return inverse(s, k, w)

    _, pullback = reversible_chain(forward, watched, 4)((X, Y), W)
    pullback(G)
    assert seen == [3, 2, 1, 0]


def test_a_wrong_inverse_falls_back_to_recomputation(xp):
    chain = reversible_chain(forward, lambda s, k, w: s, 6)
    _, pullback = chain((xp.array(X), xp.array(Y)), xp.array(W))
    found = pullback((xp.array(G[0]), xp.array(G[1])))
    assert_close(xp, found, wanted(6)[1], rtol=1e-10, atol=1e-12)


def test_a_wrong_inverse_gives_nan_under_a_compiler():
    jax = pytest.importorskip("jax")

    def slopes(x, y, w, back):
        _, pullback = reversible_chain(forward, back, 3)((x, y), w)
        return pullback((x, y))[1]

    arrays = tuple(jax.numpy.asarray(a) for a in (X, Y, W))
    good = jax.jit(lambda *a: slopes(*a, inverse))(*arrays)
    bad = jax.jit(lambda *a: slopes(*a, lambda s, k, w: s))(*arrays)
    assert np.isfinite(np.asarray(good)).all() and np.isnan(np.asarray(bad)).all()


def test_wrong_arguments():
    with pytest.raises(ValueError, match="`n` must be"):
        reversible_chain(forward, inverse, -1)
    with pytest.raises(ValueError, match="`tolerance` must be"):
        reversible_chain(forward, inverse, 2, tolerance=0.0)
    _, pullback = reversible_chain(forward, inverse, 2)((X, Y), W)
    with pytest.raises(ValueError, match="cotangent"):
        pullback(X)
