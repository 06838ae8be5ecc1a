"""Causal linear attention: one sum in every form, length, chunk, library and derivative."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fenchel import backend_of, namespace
from fenchel.autodiff import grad, hvp, jvp, vmap
from fenchel.incontext import (
    causal_linear_attention,
    causal_softmax_attention,
    positional_weights,
)

METHODS = ("parallel", "recurrent", "chunked")
LOOPED = ("recurrent", "chunked")  # the third form is a few products


def heads(rng, length, *, batch=(2,), d=3, m=2, complex_=False):
    arrays = [rng.standard_normal((*batch, length, n)) for n in (d, d, m)]
    if complex_:
        arrays = [x + 1j * rng.standard_normal(x.shape) for x in arrays]
    return arrays


def sum_of_products(q, k, v, weights=None):
    """The definition, by loops over rows."""
    out = np.zeros((*np.broadcast_shapes(q.shape[:-1], v.shape[:-1]), v.shape[-1]), v.dtype)
    for i in range(q.shape[-2]):
        for j in range(i + 1):
            score = np.sum(np.conj(q[..., i, :]) * k[..., j, :], axis=-1)
            score = score if weights is None else score * weights[..., i, j]
            out[..., i, :] += score[..., None] * v[..., j, :]
    return out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("complex_", [False, True])
def test_methods_give_the_sum(xp, rng, method, complex_):
    for length, chunk in ((5, 2), (4, 64)):
        q, k, v = heads(rng, length, complex_=complex_)
        p = rng.standard_normal((length, length))
        arrays = [xp.array(x) for x in (q, k, v, p)]

        def plain(q, k, v, chunk=chunk):
            return causal_linear_attention(q, k, v, scale=0.5, method=method, chunk=chunk)

        def weighted(q, k, v, p, chunk=chunk):
            return causal_linear_attention(q, k, v, weights=p, method=method, chunk=chunk)

        assert_allclose(
            xp.numpy(xp.run(plain, *arrays[:3])), 0.5 * sum_of_products(q, k, v), atol=1e-12
        )
        assert_allclose(
            xp.numpy(xp.run(weighted, *arrays)), sum_of_products(q, k, v, p), atol=1e-12
        )


@settings(max_examples=25)
@given(st.integers(1, 20), st.integers(1, 24), st.integers(0, 20), st.integers(0, 99))
def test_streaming_in_two_pieces(length, chunk, split, seed):
    q, k, v = heads(np.random.default_rng(seed), length)
    split = min(split, length)
    whole, state = causal_linear_attention(q, k, v, output_final_state=True, chunk=chunk)
    for method in METHODS:
        options = {"method": method, "chunk": chunk, "output_final_state": True}
        parts, passed = [], None
        for piece in (slice(0, split), slice(split, length)):
            out, passed = causal_linear_attention(
                q[:, piece], k[:, piece], v[:, piece], initial_state=passed, **options
            )
            parts.append(out)
        assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-11)
        assert_allclose(passed, state, atol=1e-11)
        assert passed.shape == (2, 3, 2)  # whatever the length


@settings(max_examples=15)
@given(st.sampled_from(METHODS), st.integers(1, 12), st.integers(1, 9), st.integers(0, 99))
def test_the_future_does_not_show(method, length, chunk, seed):
    rng = np.random.default_rng(seed)
    q, k, v = heads(rng, length)
    at = rng.integers(length)
    changed = [x.copy() for x in (q, k, v)]
    for x in changed:
        x[:, at] = 1e3 * rng.standard_normal(x[:, at].shape)
    before = causal_linear_attention(q, k, v, method=method, chunk=chunk)
    after = causal_linear_attention(*changed, method=method, chunk=chunk)
    assert_array_equal(before[:, :at], after[:, :at])


@settings(max_examples=10)
@given(st.integers(1, 9), st.integers(0, 99))
def test_linear_in_values_bilinear_in_scores_and_blind_to_the_order_of_heads(length, seed):
    rng = np.random.default_rng(seed)
    q, k, v = heads(rng, length, batch=(3,))
    q2, k2, v2 = heads(rng, length, batch=(3,))

    def f(*arrays):
        return causal_linear_attention(*arrays, chunk=4)

    assert_allclose(f(q, k, 2 * v + v2), 2 * f(q, k, v) + f(q, k, v2), atol=1e-11)
    assert_allclose(f(2 * q + q2, k, v), 2 * f(q, k, v) + f(q2, k, v), atol=1e-11)
    assert_allclose(f(q, 2 * k + k2, v), 2 * f(q, k, v) + f(q, k2, v), atol=1e-11)
    order = rng.permutation(3)
    assert_array_equal(f(q[order], k[order], v[order]), f(q, k, v)[order])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weighted", [False, True])
def test_pullback_is_the_closed_one(xp, rng, method, weighted):
    q, k, v = heads(rng, 7, batch=())
    g = rng.standard_normal((7, 2))
    p = np.tril(rng.standard_normal((7, 7))) if weighted else np.tril(np.ones((7, 7)))
    arrays = [xp.array(x) for x in (q, k, v, p)]

    def f(q, k, v, p):
        options = {"weights": p} if weighted else {}
        return causal_linear_attention(q, k, v, method=method, chunk=3, **options)

    _, pullback = backend_of(arrays[0]).vjp(f, *arrays)
    by_q, by_k, by_v, by_p = (xp.numpy(x) for x in pullback(xp.array(g)))
    gv, qk = g @ v.T, q @ k.T
    assert_allclose(by_q, (p * gv) @ k, atol=1e-12)
    assert_allclose(by_k, (p * gv).T @ q, atol=1e-12)
    assert_allclose(by_v, (p * qk).T @ g, atol=1e-12)
    if weighted:
        assert_allclose(by_p, np.tril(qk * gv), atol=1e-12)


@pytest.mark.parametrize("method", LOOPED)
def test_complex_derivatives_are_those_of_the_real_embedding(xp, rng, method):
    q, k, v = heads(rng, 5, batch=(), complex_=True)

    def real_loss(flat):
        parts = flat[:, :8] + 1j * flat[:, 8:]
        out = sum_of_products(parts[:, :3], parts[:, 3:6], parts[:, 6:])
        return np.sum(np.abs(out - 1.0) ** 2)

    def loss(q, k, v):
        out = causal_linear_attention(q, k, v, method=method, chunk=2) - 1.0
        ns = namespace(out)
        return ns.sum(ns.real(out) ** 2 + ns.imag(out) ** 2)

    joined = np.concatenate([q, k, v], axis=-1)
    flat, numeric = np.concatenate([joined.real, joined.imag], axis=-1), np.zeros((5, 16))
    for place in np.ndindex(5, 16):
        unit = np.zeros((5, 16))
        unit[place] = 1e-5
        numeric[place] = (real_loss(flat + unit) - real_loss(flat - unit)) / 2e-5
    found = grad(loss, argnums=(0, 1, 2))(*(xp.array(x) for x in (q, k, v)))
    found = np.concatenate([xp.numpy(x) for x in found], axis=-1)
    sign = (
        1.0 if xp.name == "torch" else -1.0
    )  # torch conjugates gradients, JAX and the tape do not
    assert_allclose(found.real, numeric[:, :8], rtol=1e-6, atol=1e-5)
    assert_allclose(sign * found.imag, numeric[:, 8:], rtol=1e-6, atol=1e-5)
    direction = xp.array(np.conj(q))
    _, tangent = jvp(lambda q: loss(q, xp.array(k), xp.array(v)), (xp.array(q),), (direction,))
    along = np.sum(numeric[:, :3] * q.real - numeric[:, 8:11] * q.imag)
    assert_allclose(xp.numpy(tangent), along, rtol=1e-6)


@pytest.mark.parametrize("method", LOOPED)
def test_second_derivatives_and_vmap(xp, rng, method):
    q, k, v = heads(rng, 5, batch=())
    w = rng.standard_normal((5, 2))

    def loss(q):
        out = causal_linear_attention(q, q * xp.array(k), xp.array(v), method=method, chunk=2)
        ns = namespace(out)
        return ns.sum(ns.sin(out) * xp.array(w))

    def step(t, direction):
        return xp.numpy(grad(loss)(xp.array(q + t * direction)))

    direction = rng.standard_normal(q.shape)
    product = xp.numpy(hvp(loss, xp.array(q), xp.array(direction)))
    assert_allclose(product, (step(1e-5, direction) - step(-1e-5, direction)) / 2e-5, rtol=1e-5,
                    atol=1e-6)  # fmt: skip
    stacked = xp.array(rng.standard_normal((3, 5, 3)))

    def mapped(x):
        return vmap(lambda q: causal_linear_attention(q, q, q, method=method, chunk=2))(x)

    assert_allclose(xp.numpy(xp.run(mapped, stacked)),
                    sum_of_products(*[xp.numpy(stacked)] * 3), atol=1e-12)  # fmt: skip


@pytest.mark.parametrize("method", LOOPED)
def test_padding_is_not_seen_whatever_it_holds(xp, rng, method):
    q, k, v = heads(rng, 6)
    mask = np.asarray([[1, 1, 1, 1, 0, 0], [0, 1, 1, 0, 1, 1]], dtype=bool)
    expected = np.zeros_like(sum_of_products(q, k, v))
    for row, seen in enumerate(mask):
        expected[row, seen] = sum_of_products(*(x[row, seen] for x in (q, k, v)))
    for x in (q, k, v):
        x[~mask] = np.asarray([np.inf, np.nan, -np.inf])[: x.shape[-1]]

    def masked(q, k, v, mask):
        return causal_linear_attention(q, k, v, mask=mask, method=method, chunk=4)

    arrays = [xp.array(x) for x in (q, k, v, mask)]
    assert_allclose(xp.numpy(xp.run(masked, *arrays)), expected, atol=1e-12)

    def total(q):
        return namespace(q).sum(masked(q, *arrays[1:]))

    gradient = xp.numpy(grad(total)(arrays[0]))
    assert np.all(gradient[~mask] == 0) and np.all(np.isfinite(gradient))


def test_heads_and_weights_broadcast(xp, rng):
    q, k, v = heads(rng, 4, batch=(2, 3))
    p = rng.standard_normal((3, 4, 4))
    shared = causal_linear_attention(
        *(xp.array(x) for x in (q, k[:, :1], v[:1])), weights=xp.array(p), method="chunked"
    )
    expected = sum_of_products(q, k[:, :1], v[:1] + np.zeros_like(v), p)
    assert_allclose(xp.numpy(shared), expected, atol=1e-12)


def test_half_types_are_summed_in_float32(rng):
    torch = pytest.importorskip("torch")
    q, k, v = (torch.as_tensor(x).to(torch.bfloat16) for x in heads(rng, 300))
    out, state = causal_linear_attention(q, k, v, output_final_state=True)
    exact = causal_linear_attention(q.double(), k.double(), v.double())
    assert out.dtype == torch.bfloat16 and state.dtype == torch.float32
    assert float((out.double() - exact).abs().max() / exact.abs().max()) < 2**-8


def test_forms_agree_in_float32_over_long_sequences(rng):
    q, k, v = (x.astype(np.float32) for x in heads(rng, 1000, batch=()))
    exact = causal_linear_attention(*(x.astype(np.float64) for x in (q, k, v)))
    for method in METHODS:
        found = causal_linear_attention(q, k, v, method=method)
        assert found.dtype == np.float32
        assert np.max(np.abs(found - exact)) < 1e-6 * np.max(np.abs(exact))


@pytest.mark.filterwarnings("ignore:Dynamo detected a call")  # array-api-compat caches look-ups
def test_compiled_by_torch(rng):
    torch = pytest.importorskip("torch")
    arrays = [torch.as_tensor(x) for x in heads(rng, 9)]

    def loss(q, k, v):
        return torch.sum(torch.sin(causal_linear_attention(q, k, v, chunk=4)))

    compiled = torch.compile(torch.func.grad(loss), fullgraph=True, backend="aot_eager")
    assert_allclose(compiled(*arrays).numpy(), torch.func.grad(loss)(*arrays).numpy(), atol=1e-12)


def test_softmax_over_the_past(xp, rng):
    q, k, v = heads(rng, 5)
    mask = np.asarray([[0, 0, 1, 1, 1], [1, 1, 1, 1, 0]], dtype=bool)
    scores = np.where(np.tril(mask[:, None, :] & mask[:, :, None]),
                      q @ k.swapaxes(-1, -2) / np.sqrt(3), -np.inf)  # fmt: skip
    share = np.exp(scores)
    share = share / np.maximum(share.sum(-1, keepdims=True), 1e-300)
    found = causal_softmax_attention(*(xp.array(x) for x in (q, k, v)), mask=xp.array(mask))
    assert_allclose(xp.numpy(found), share @ v, atol=1e-12)
    assert np.all(xp.numpy(found)[0, :2] == 0)
    p = xp.numpy(positional_weights(xp.array(q), xp.array(k)))
    assert_allclose(p.sum(-1), 1.0) and np.all(np.triu(p, 1) == 0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"method": "fast"}, ValueError, "`method` must be one of"),
        ({"chunk": 0}, ValueError, "`chunk` must be at least 1"),
        ({"k": np.zeros((2, 4, 3), np.float32)}, TypeError, "`k` must have the dtype"),
        ({"k": np.zeros((2, 4, 5))}, ValueError, "`k` must have the dimension"),
        ({"v": np.zeros((2, 5, 3))}, ValueError, "`v` must have shape"),
        ({"v": np.zeros((3, 4, 3))}, ValueError, "`v` must have batch axes"),
        ({"q": np.zeros((2, 4, 3), int)}, TypeError, "`q` must have a floating dtype"),
        ({"q": [1.0]}, TypeError, "array of a known library"),
        ({"weights": np.zeros((3, 4))}, ValueError, "`weights` must have shape"),
        ({"initial_state": np.zeros((3, 4))}, ValueError, "`initial_state` must have shape"),
        ({"mask": np.zeros((2, 4))}, TypeError, "`mask` must be boolean"),
        ({"mask": np.zeros((2, 3), bool)}, ValueError, "`mask` must broadcast"),
        ({"scale": "big"}, TypeError, "`scale` must be a real number"),
        (
            {"weights": np.zeros((4, 4)), "output_final_state": True},
            ValueError,
            "`weights` must be",
        ),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arrays = {name: np.zeros((2, 4, 3)) for name in "qkv"}
    arrays.update((name, change.pop(name)) for name in "qkv" if name in change)
    with pytest.raises(error, match=message):
        causal_linear_attention(*arrays.values(), **change)
