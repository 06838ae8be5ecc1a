"""Soft routing against sums written out, and its properties."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel import namespace
from fenchel.autodiff import grad
from fenchel.routers import soft_route


def reference(x, slots, scale=1.0, mask=None):
    """Dispatch and combine tensors of one group, by the formulas of the paper."""
    unit = lambda v, axis: v / np.sqrt((v * v).sum(axis, keepdims=True) + 1e-6)
    logits = scale * np.einsum("td,dep->tep", unit(x, -1), unit(slots, 0))
    e = np.exp(logits)
    if mask is not None:
        e = e * mask[:, None, None]
    dispatch = e / np.maximum(e.sum(0), 1e-300)
    return dispatch, e / np.maximum(e.sum((1, 2), keepdims=True), 1e-300)


@pytest.fixture
def data(rng):
    return rng.standard_normal((5, 3)), rng.standard_normal((3, 4, 2))


def layer(x, slots, scale, **options):
    routing = soft_route(x, slots, logit_scale=scale, **options)
    return routing.combine(namespace(x).tanh(routing.dispatch(x)))


def test_values(xp, data):
    x, slots = data
    mask = np.array([True, False, True, True, True])
    for where in (None, mask):
        w = None if where is None else xp.array(where)
        d, b = xp.run(lambda x, s, w=w: soft_route(x, s, logit_scale=2.0, where=w).dense(),
                      xp.array(x), xp.array(slots))  # fmt: skip
        expected = reference(x, slots, 2.0, where)
        assert_allclose(xp.numpy(d), expected[0], rtol=1e-10, atol=1e-15)
        assert_allclose(xp.numpy(b), expected[1], rtol=1e-10, atol=1e-15)
        buffers, y = xp.run(
            lambda x, s, w=w: (
                soft_route(x, s, logit_scale=2.0, where=w).dispatch(x),
                layer(x, s, 2.0, where=w),
            ),
            xp.array(x),
            xp.array(slots),
        )
        rows = np.einsum("tep,td->epd", expected[0], x)
        assert_allclose(xp.numpy(buffers), rows, rtol=1e-10)
        answer = np.einsum("tep,epd->td", expected[1], np.tanh(rows))
        assert_allclose(xp.numpy(y), answer, rtol=1e-9, atol=1e-14)


def test_gradients_are_the_closed_form(xp, data, rng):
    """Of <G, Y> with linear experts, through dispatch, combine and the two normalisations."""
    x, slots = data
    cotangent, scale = rng.standard_normal(x.shape), 1.5
    g = xp.array(cotangent)

    def total(x, slots, scale):
        routing = soft_route(x, slots, logit_scale=scale)
        ns = namespace(x)
        return ns.sum(routing.combine(3.0 * routing.dispatch(x)) * g)

    d, b = (t.reshape(5, 8) for t in reference(x, slots, scale))
    rows = d.T @ x
    to_b = cotangent @ (3 * rows).T
    to_rows = 3 * b.T @ cotangent
    to_d = x @ to_rows.T
    to_z = d * (to_d - (d * to_d).sum(0)) + b * (to_b - (b * to_b).sum(1, keepdims=True))
    flat = slots.reshape(3, 8)
    rx, rs = (x * x).sum(-1, keepdims=True) + 1e-6, (flat * flat).sum(0) + 1e-6
    xh, sh = x / np.sqrt(rx), flat / np.sqrt(rs)
    to_xh, to_sh = scale * to_z @ sh.T, scale * xh.T @ to_z
    dx = d @ to_rows + (to_xh - xh * (xh * to_xh).sum(-1, keepdims=True)) / np.sqrt(rx)
    ds = (to_sh - sh * (sh * to_sh).sum(0)) / np.sqrt(rs)
    arguments = (xp.array(x), xp.array(slots), xp.array(np.asarray(scale)))
    got = xp.run(grad(total, argnums=(0, 1, 2)), *arguments)
    assert_allclose(xp.numpy(got[0]), dx, rtol=1e-9, atol=1e-12)
    assert_allclose(xp.numpy(got[1]), ds.reshape(slots.shape), rtol=1e-9, atol=1e-12)
    assert_allclose(float(got[2]), (to_z * (xh @ sh)).sum(), rtol=1e-9)


def test_weights_sum_to_one(data):
    d, b = soft_route(*data, logit_scale=5.0).dense()
    assert_allclose(d.sum(0), 1.0)
    assert_allclose(b.sum((1, 2)), 1.0)


def test_scale_zero_gives_means(data):
    x, slots = data
    rows = soft_route(x, slots, logit_scale=0.0).dispatch(x)
    assert_allclose(rows, np.broadcast_to(x.mean(0), rows.shape))


def test_identical_tokens_have_identical_answers(data):
    x = np.repeat(data[0][:1], 4, axis=0)
    y = layer(x, data[1], 3.0)
    assert_allclose(y, np.broadcast_to(y[0], y.shape))


def test_padding_has_no_influence(xp, data):
    x, slots = data
    mask = np.array([True, True, False, True, False])
    wild = np.where(mask[:, None], x, np.nan)
    where = xp.array(mask)
    f = lambda x, s: layer(x, s, 2.0, where=where)
    y = xp.numpy(xp.run(f, xp.array(wild), xp.array(slots)))
    assert np.all(y[~mask] == 0)
    assert_allclose(y[mask], layer(x[mask], slots, 2.0), rtol=1e-10)
    total = lambda x, s: namespace(x).sum(f(x, s) ** 2)
    dx, ds = xp.run(grad(total, argnums=(0, 1)), xp.array(wild), xp.array(slots))
    alone = lambda x, s: namespace(x).sum(layer(x, s, 2.0) ** 2)
    ex, es = grad(alone, argnums=(0, 1))(x[mask], slots)
    assert np.all(xp.numpy(dx)[~mask] == 0)
    assert_allclose(xp.numpy(dx)[mask], ex, rtol=1e-9, atol=1e-12)
    assert_allclose(xp.numpy(ds), es, rtol=1e-9, atol=1e-12)


def test_all_masked_is_zero(xp, data):
    x, slots = data
    where = xp.array(np.zeros(5, dtype=bool))
    routing = soft_route(xp.array(x), xp.array(slots), where=where)
    assert all(np.all(xp.numpy(t) == 0) for t in routing.dense())
    assert np.all(xp.numpy(routing.combine(routing.dispatch(xp.array(x)))) == 0)


def test_groups(xp, rng, data):
    x, slots = rng.standard_normal((2, 3, 5, 3)), data[1]
    mask = rng.random((2, 3, 5)) < 0.7
    where = xp.array(mask)
    y = xp.numpy(xp.run(lambda x, s: layer(x, s, 2.0, where=where), xp.array(x), xp.array(slots)))
    for i in np.ndindex(2, 3):
        assert_allclose(y[i], layer(x[i], slots, 2.0, where=mask[i]), rtol=1e-10, atol=1e-14)


def test_slots_of_each_group(data, rng):
    x, slots = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 3, 4, 2))
    y = layer(x, slots, 1.0)
    assert_allclose(y, np.stack([layer(a, b, 1.0) for a, b in zip(x, slots, strict=True)]))


def test_noise_is_added_to_the_logits(data, rng):
    x, slots = data
    noise = rng.standard_normal((5, 4, 2))
    d, _ = soft_route(x, slots, noise=noise).dense()
    e = np.exp(np.log(reference(x, slots)[0]) + noise)
    assert_allclose(d, e / e.sum(0), rtol=1e-9)


def test_empty(xp):
    for n, p in ((0, 2), (3, 0)):
        x, slots = xp.array(np.zeros((n, 2))), xp.array(np.ones((2, 4, p)))
        routing = soft_route(x, slots)
        assert tuple(routing.dispatch(x).shape) == (4, p, 2)
        y = xp.numpy(routing.combine(routing.dispatch(x)))
        assert y.shape == (n, 2) and np.all(y == 0)


def test_half_precision(data):
    torch = pytest.importorskip("torch")
    x, slots = (torch.tensor(a, dtype=torch.float32) for a in data)
    y = layer(x.half(), slots.half(), 2.0)
    assert y.dtype == torch.float16
    assert torch.allclose(y.float(), layer(x, slots, 2.0), atol=3e-3)


def test_errors(xp, data):
    x, slots = (xp.array(a) for a in data)
    with pytest.raises(ValueError, match="`slots`"):
        soft_route(x, slots[:2, ...])
    with pytest.raises(ValueError, match="`x`"):
        soft_route(x[0, ...], slots)
    with pytest.raises(ValueError, match="`noise`"):
        soft_route(x, slots, noise=slots)
    with pytest.raises(TypeError, match="`x`"):
        soft_route(xp.array(np.ones((5, 3), dtype=int)), slots)
    with pytest.raises(ValueError, match="`y`"):
        soft_route(x, slots).combine(x)
    with pytest.raises(ValueError, match="`x`"):
        soft_route(x, slots).dispatch(x[:2, ...])
