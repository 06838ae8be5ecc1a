"""Layers against their sums written out, and probes of what a model does."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel import namespace, trees
from fenchel.autodiff import grad
from fenchel.incontext import (
    ARLeastSquares,
    AugmentedBlock,
    ContextSampler,
    DiagonalMultiHead,
    LinearAttentionLayer,
    LinearTransformer,
    augment_tokens,
    head_gram,
    implied_matrix,
    positional_profile,
    probe,
    simulate_ar,
)


def layer_of(rng, xp, *, weights=None, scores="linear"):
    arrays = (rng.standard_normal(shape) for shape in ((2, 3, 4), (2, 3, 4), (2, 4, 4)))
    weights = None if weights is None else xp.array(weights)
    return LinearAttentionLayer(*(xp.array(x) for x in arrays), weights=weights, scores=scores)


def layer_by_loops(q, k, v, e, weights=None):
    out = e.copy()
    for h in range(q.shape[0]):
        for i in range(e.shape[-2]):
            for j in range(i + 1):
                score = np.sum((e[..., i, :] @ q[h].T) * (e[..., j, :] @ k[h].T), axis=-1)
                score = score if weights is None else score * weights[i, j]
                out[..., i, :] += score[..., None] * (e[..., j, :] @ v[h].T)
    return out


@pytest.mark.parametrize("weighted", [False, True])
def test_layer_is_its_sum(xp, rng, weighted):
    weights = rng.standard_normal((5, 5)) if weighted else None
    layer, e = layer_of(rng, xp, weights=weights), rng.standard_normal((2, 5, 4))
    plain = [xp.numpy(x) for x in (layer.query, layer.key, layer.value)]
    assert_allclose(
        xp.numpy(xp.run(lambda e: layer(e), xp.array(e))), layer_by_loops(*plain, e, weights)
    )
    two = LinearTransformer((layer, layer))
    assert_allclose(xp.numpy(two(xp.array(e))), xp.numpy(layer(layer(xp.array(e)))))


def test_layers_are_containers_of_their_parameters(xp, rng):
    model = LinearTransformer((layer_of(rng, xp), layer_of(rng, xp, scores="softmax")))
    e = xp.array(rng.standard_normal((2, 5, 4)))

    def loss(model):
        out = model(e)
        return namespace(out).mean(out**2)

    gradient = grad(loss)(model)
    assert isinstance(gradient, LinearTransformer) and len(trees.leaves(gradient)) == 6
    direction = trees.map(lambda x: xp.array(rng.standard_normal(tuple(x.shape))), model)
    step = 1e-5
    sides = [xp.numpy(loss(trees.axpy(t, direction, model))) for t in (step, -step)]
    slope = xp.numpy(trees.dot(gradient, direction))
    assert_allclose(slope, (sides[0] - sides[1]) / (2 * step), rtol=1e-6)


def test_order_of_heads_and_padding(rng):
    layer, e = layer_of(rng, _NumPy), rng.standard_normal((2, 5, 4))
    swapped = LinearAttentionLayer(layer.query[::-1], layer.key[::-1], layer.value[::-1])
    assert_allclose(swapped(e), layer(e), atol=1e-12)
    mask = np.asarray([[1, 1, 0, 1, 0]] * 2, bool)
    assert_allclose(layer(e, mask=mask)[:, mask[0]], layer(e[:, mask[0]]), atol=1e-12)


class _NumPy:
    array = staticmethod(np.asarray)


def test_read_out_of_augmented_tokens(xp, rng):
    """The block-scalar layer as a full one: the first d coordinates are the block's prediction."""
    s, d = rng.standard_normal((2, 6, 2)), 2
    a, b = rng.standard_normal(4), rng.standard_normal(2)
    scores, values = np.zeros((6, 6)), np.zeros((6, 6))
    scores[2:, 2:] = np.kron(a.reshape(2, 2), np.eye(d))
    values[:2, 2:] = np.kron(b, np.eye(d))
    layer = LinearAttentionLayer(*(xp.array(x[None]) for x in (scores, np.eye(6), values)))
    for first in ("zero", "previous"):
        block = AugmentedBlock(xp.array(a), xp.array(b), first=first)
        found = xp.numpy(LinearTransformer((layer,)).predict(xp.array(s), first=first))
        wanted = xp.numpy(block(xp.array(s)))
        assert_allclose(found, wanted[:, -found.shape[1] :], atol=1e-12)
        tokens = xp.numpy(layer(augment_tokens(xp.array(s), first)))
        assert_allclose(tokens[..., 2:], xp.numpy(augment_tokens(xp.array(s), first))[..., 2:])


def test_diagonal_heads_are_their_sum(xp, rng):
    s = rng.standard_normal((3, 5, 2)) + 1j * rng.standard_normal((3, 5, 2))
    A, B, P = (rng.standard_normal(shape) for shape in ((3, 2), (3, 2), (6, 6)))
    wanted = np.zeros_like(s)
    for n in range(1, 5):
        for t in range(n + 1):
            score = (s[:, t] * np.conj(s[:, n - 1])) @ (B.T @ A).T
            wanted[:, n] += P[n, t] * s[:, t] * score
    model = DiagonalMultiHead(*(xp.array(x) for x in (A, B, P)))
    assert_allclose(xp.numpy(xp.run(lambda s: model(s), xp.array(s))), wanted, atol=1e-12)


def test_masked_block_is_the_block_of_what_is_left(rng):
    s, mask = rng.standard_normal((2, 6, 3)), np.asarray([[1, 1, 1, 1, 0, 0]] * 2, bool)
    for first in ("zero", "previous"):
        block = AugmentedBlock(rng.standard_normal(4), rng.standard_normal(2), first=first)
        found = block(np.where(mask[..., None], s, np.nan), mask=mask)
        assert_allclose(found[:, :4], block(s[:, :4]), atol=1e-12)
        assert np.all(found[:, 4:] == 0)


def test_probe_names_the_algorithm(xp):
    s = xp.array(simulate_ar(ContextSampler("orthogonal", 4).sample(60, 0), 12, noise=0.1, rng=1))
    models = {
        "gd": AugmentedBlock(xp.array([0.0, 0.0, 0.07, 0.0]), xp.array([1.0, 0.0])),
        "ridge": ARLeastSquares(ridge=0.5).prefix_predictions,
        "lstsq": lambda s: ARLeastSquares().predict(ARLeastSquares().fit(s)),
        "last_token": lambda s: s,
    }
    for name, model in models.items():
        cosine, distance = probe(model, s, step_size=0.07, ridge=0.5)
        assert set(cosine) == set(distance) == set(models)
        assert abs(float(xp.numpy(cosine[name])) - 1) < 1e-12
        assert float(xp.numpy(distance[name])) < 1e-12
        others = [xp.numpy(cosine[other]) for other in models if other != name]
        assert max(others) < 1 - 1e-4


def test_probe_of_complex_sequences(xp):
    s = simulate_ar(ContextSampler("unitary", 3).sample(5, 0), 8)
    model = ARLeastSquares(method="gd", step_size=0.1, steps=1).prefix_predictions
    cosine, distance = probe(model, xp.array(s, dtype="complex128"), step_size=0.1)
    assert abs(float(xp.numpy(cosine["gd"])) - 1) < 1e-12
    assert float(xp.numpy(distance["gd"])) < 1e-12


def test_implied_matrix_of_least_squares_is_its_estimate(xp):
    s = xp.array(simulate_ar(ContextSampler("orthogonal", 3).sample(4, 0), 7))
    state = ARLeastSquares().fit(s)

    def model(tokens):  # the estimate from all pairs, held fixed
        ns = namespace(tokens)
        w = ns.expand_dims(state.matrix, axis=1)
        return ns.sum(ns.multiply(w, ns.expand_dims(tokens, axis=-2)), axis=-1)

    found = xp.numpy(implied_matrix(model, s))
    assert_allclose(found, xp.numpy(state.matrix), atol=1e-12)


def test_looks_inside(xp, rng):
    A, B, p = rng.standard_normal((2, 3)), rng.standard_normal((2, 3)), rng.standard_normal(4)
    assert_allclose(xp.numpy(head_gram(*(xp.array(x) for x in (A, B, p)))), p[-1] * A @ B.T)
    P = np.asarray([[1.0, 9, 9], [2.0, 3, 9], [4.0, 6, 5]])
    assert_allclose(xp.numpy(positional_profile(xp.array(P))), [3.0, 4.0, 4.0])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: AugmentedBlock(np.ones(3), np.ones(2)), ValueError, "`a` must have shape"),
        (
            lambda: AugmentedBlock(np.ones(4), np.ones(2), first="one"),
            ValueError,
            "`first` must be one of",
        ),
        (
            lambda: AugmentedBlock(np.ones(4), np.ones(2))(np.ones((1, 3))),
            ValueError,
            "`s` must have at least 2 tokens; got T=1",
        ),
        (
            lambda: DiagonalMultiHead(*[np.ones((2, 3))] * 2)(np.ones((1, 3))),
            ValueError,
            "at least 2 tokens",
        ),
        (
            lambda: DiagonalMultiHead(*[np.ones((2, 3))] * 2, np.eye(3))(np.ones((4, 3))),
            ValueError,
            "`P` must be at least 4 x 4",
        ),
        (
            lambda: LinearAttentionLayer(*[np.ones((1, 2, 3))] * 3),
            ValueError,
            "`key` and `value` must fit",
        ),
        (lambda: LinearTransformer(()), ValueError, "`layers` must be a non-empty"),
        (
            lambda: AugmentedBlock(np.ones(4) * 1j, np.ones(2))(np.ones((3, 2))),
            TypeError,
            "parameters must be real",
        ),
        (lambda: probe(lambda s: s[..., :1], np.ones((3, 2))), ValueError, "`model` must predict"),
        (lambda: positional_profile(np.ones((2, 3))), ValueError, "`P` must have shape"),
        (lambda: head_gram(np.ones(2), np.ones(2), np.ones(2)), ValueError, "`A` and `B`"),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
