"""What is refused, and how: the argument, what it must be, what came."""

import numpy as np
import pytest

from fenchel.incontext import (
    ARLeastSquares,
    Context,
    ContextSampler,
    DiagonalMultiHead,
    augmented_population_loss,
    causal_linear_attention,
    causal_softmax_attention,
    companion,
    head_gram,
    minimum_loss,
    optimal_diagonal_heads,
    positional_quadratic,
    positional_weights,
    probe,
    simulate_ar,
)

S = np.random.default_rng(0).normal(size=(5, 3))
STILL = Context("orthogonal", matrix=np.eye(3))
HEADS = np.ones((2, 3))


def attention(**options):
    return causal_linear_attention(S, S, S, **options)


REFUSED = [
    (TypeError, "`chunk` must be an integer; got bool", lambda: attention(chunk=True)),
    (TypeError, "`weights` must be an array of numpy", lambda: attention(weights=[[1.0]])),
    (TypeError, "`initial_state` must be an array", lambda: attention(initial_state=[[1.0]])),
    (
        ValueError,
        r"`scale` must broadcast to the output \(5, 3\); got shape \(4, 5, 3\)",
        lambda: attention(scale=np.ones((4, 5, 3))),
    ),
    (ValueError, "`scale` must", lambda: attention(scale=np.ones(7))),
    (TypeError, "`dim` must be an integer", lambda: ContextSampler("unitary", 2.0)),
    (ValueError, "`dim` must be at least 1; got dim=0", lambda: ContextSampler("unitary", 0)),
    (ValueError, "`radius` must be at most", lambda: ContextSampler("stable", 2, radius=np.inf)),
    (ValueError, "`n` must be at least 0", lambda: ContextSampler("unitary", 2).sample(-1, 0)),
    (
        TypeError,
        "`like` must have a real floating dtype",
        lambda: ContextSampler("unitary", 2).sample(1, 0, like=np.ones(1, dtype=int)),
    ),
    (TypeError, "`context` must be a Context; got int", lambda: simulate_ar(3, 5)),
    (TypeError, "`T` must be an integer; got float", lambda: simulate_ar(STILL, 2.0)),
    (ValueError, "`noise` must be at most", lambda: simulate_ar(STILL, 3, noise=np.inf, rng=0)),
    (
        TypeError,
        "`start` must be real where tokens are; got complex128",
        lambda: simulate_ar(STILL, 3, start=np.ones(3, dtype=complex)),
    ),
    (
        TypeError,
        "`start` must have a floating dtype",
        lambda: simulate_ar(STILL, 3, start=np.ones(3, dtype=int)),
    ),
    (ValueError, r"p > 0; got \(\)", lambda: companion(np.asarray(1.0))),
    (ValueError, r"p > 0; got \(0,\)", lambda: companion(np.zeros(0))),
    (
        TypeError,
        "`length` must be an integer; got float",
        lambda: augmented_population_loss(np.ones(4), np.ones(2), length=2.5, dim=2),
    ),
    (
        ValueError,
        "`length` must hold at least one length",
        lambda: augmented_population_loss(np.ones(4), np.ones(2), length=[], dim=2),
    ),
    (
        ValueError,
        "`heads` must be at least 0; got heads=-1",
        lambda: minimum_loss(kind="unitary", dim=3, heads=-1),
    ),
    (
        TypeError,
        "`length` must be an integer; got list",
        lambda: optimal_diagonal_heads(kind="unitary", dim=3, heads=1, length=[2, 3]),
    ),
    (ValueError, "`T` must be at least 2", lambda: positional_quadratic(1)),
    (ValueError, "`steps` must be at least 1", lambda: ARLeastSquares(method="gd", steps=0)),
    (
        TypeError,
        "`n` must be an integer",
        lambda: ARLeastSquares().rollout(ARLeastSquares().fit(S), 1.5),
    ),
    (
        TypeError,
        "`token` must have a floating dtype",
        lambda: ARLeastSquares().partial_fit(ARLeastSquares().fit(S), np.ones(3, dtype=int)),
    ),
    (ValueError, "`s` must hold a sequence", lambda: probe(lambda s: s, S[None][:0])),
    (TypeError, "`model` must be a function; got int", lambda: probe(3, S)),
    (
        TypeError,
        "`A` must have a real floating dtype",
        lambda: head_gram(HEADS.astype(int), HEADS, np.ones(2)),
    ),
    (ValueError, r"T > 0; got \(0,\)", lambda: head_gram(HEADS, HEADS, np.ones(0))),
    (
        TypeError,
        "`B` must have a floating dtype",
        lambda: DiagonalMultiHead(HEADS, HEADS.astype(int)),
    ),
]


@pytest.mark.parametrize(("error", "match", "call"), REFUSED, ids=[case[1] for case in REFUSED])
def test_refused(error, match, call):
    with pytest.raises(error, match=match):
        call()


def test_integers_of_numpy_are_integers():
    a, b = np.ones(4), np.ones(2)
    found = augmented_population_loss(a, b, length=np.arange(2, 5), dim=np.int64(2))
    assert found == augmented_population_loss(a, b, length=range(2, 5), dim=2)
    assert ContextSampler("unitary", 2).sample(np.int64(3), 0).angles.shape == (3, 2)


def test_nothing_to_attend_to():
    assert causal_softmax_attention(S[:0], S[:0], S[:0]).shape == (0, 3)
    assert positional_weights(S[:0], S[:0]).shape == (0, 0)
    # without coordinates all scores are equal
    means = np.cumsum(S, axis=0) / np.arange(1, 6)[:, None]
    np.testing.assert_allclose(causal_softmax_attention(S[:, :0], S[:, :0], S), means, rtol=1e-13)


@pytest.mark.parametrize("kind", ["unitary", "rotation", "orthogonal", "stable"])
def test_contexts_of_half_precision(kind):
    torch = pytest.importorskip("torch")
    sampler = ContextSampler(kind, 4)
    for like, name in ((np.ones(1, "float16"), "float16"), (torch.ones(1).bfloat16(), "bfloat16")):
        found = sampler.sample(2, 0, like=like)
        assert name in str((found.angles if found.matrix is None else found.matrix).dtype)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_sequences_that_are_not_finite_stay_alone(xp, ridge):
    """NaN for them, and the others of the batch are as they were."""
    both = np.stack([S, S])
    both[0, 2, 1] = np.nan
    estimator = ARLeastSquares(ridge)

    def matrix(s):
        return estimator.fit(s).matrix

    found = xp.numpy(xp.run(matrix, xp.array(both)))
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], estimator.fit(S).matrix, rtol=1e-9, atol=1e-12)
    both[0, 2, 1] = np.inf
    with np.errstate(invalid="ignore"):
        assert np.isnan(xp.numpy(xp.run(matrix, xp.array(both)))[0]).all()
