"""Logits of the cosine router, against the formula in NumPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel import namespace
from fenchel.autodiff import grad
from fenchel.routers import cosine_logits, route


def expected(x, w, e, tau):
    unit = lambda v, axis: v / np.linalg.norm(v, axis=axis, keepdims=True)
    return np.exp(min(tau, np.log(100))) * unit(x @ w, -1) @ unit(e, 0)


@pytest.mark.parametrize("tau", [np.log(2.0), 3.0, 9.0])
def test_values(xp, rng, tau):
    x, w, e = (rng.standard_normal(s) for s in ((2, 5, 4), (4, 3), (3, 6)))
    arrays = tuple(map(xp.array, (x, w, e)))
    f = lambda *a: cosine_logits(*a, log_scale=tau)
    assert_allclose(xp.numpy(xp.run(f, *arrays)), expected(x, w, e, tau), rtol=1e-12)
    g = lambda t, *a: cosine_logits(*a, log_scale=t)
    got = xp.run(g, xp.array(np.asarray(tau)), *arrays)
    assert_allclose(xp.numpy(got), expected(x, w, e, tau), rtol=1e-12)


def test_scale_is_learnt_up_to_its_bound(xp, rng):
    x, w, e = (xp.array(rng.standard_normal(s)) for s in ((5, 4), (4, 3), (3, 6)))
    total = lambda t: namespace(t).sum(cosine_logits(x, w, e, log_scale=t))
    inside = xp.array(np.asarray(1.0))
    assert_allclose(xp.numpy(xp.run(grad(total), inside)), float(total(inside)), rtol=1e-9)
    assert float(xp.run(grad(total), xp.array(np.asarray(5.0)))) == 0.0


def test_a_token_of_zeros_is_harmless(xp):
    x, w = xp.array(np.zeros((2, 3))), xp.array(np.eye(3))
    assert np.all(xp.numpy(cosine_logits(x, w, w)) == 0)
    slope = xp.run(grad(lambda v: namespace(v).sum(cosine_logits(v, w, w))), x)
    assert np.all(xp.numpy(slope) == 0)


def test_length_of_a_token_does_not_matter(rng):
    x, w, e = (rng.standard_normal(s) for s in ((5, 4), (4, 3), (3, 6)))
    a, b = (route(cosine_logits(v, w, e), k=2) for v in (x, 9.0 * x))
    assert np.array_equal(a.token_index, b.token_index)
    assert_allclose(a.weight, b.weight)


def test_errors(xp):
    x, w = xp.array(np.ones((2, 3))), xp.array(np.eye(3))
    with pytest.raises(ValueError, match="`projection`"):
        cosine_logits(x, w[:2, ...], w)
    with pytest.raises(ValueError, match="`embeddings`"):
        cosine_logits(x, w, w[:2, ...])
