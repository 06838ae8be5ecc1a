"""Estimators of the matrix: one solution by every method, prefix by prefix, with derivatives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fenchel import namespace
from fenchel.autodiff import grad, hvp
from fenchel.incontext import ARLeastSquares, AugmentedBlock, ContextSampler, simulate_ar

EVERY = {
    "lstsq": ARLeastSquares(),
    "ridge": ARLeastSquares(ridge=0.3),
    "rls": ARLeastSquares(ridge=0.3, method="rls"),
    "gd": ARLeastSquares(method="gd", steps=3),
    "newton_schulz": ARLeastSquares(ridge=0.3, method="newton_schulz", steps=25),
}


def tokens(rng, *shape, complex_=False):
    s = rng.standard_normal(shape)
    return s + 1j * rng.standard_normal(shape) if complex_ else s


def solution(s, ridge=0.0):
    """W by NumPy's own solver, rows of the ridge below; of least norm."""
    d = s.shape[-1]
    x = np.concatenate([s[:-1], np.sqrt(ridge) * np.eye(d)])
    y = np.concatenate([s[1:], np.zeros((d, d))])
    return np.linalg.lstsq(x, y, rcond=1e-12)[0].T


@pytest.mark.parametrize("name", EVERY)
def test_prefixes_pieces_and_the_whole_agree(xp, rng, name):
    estimator = EVERY[name]
    s = tokens(rng, 2, 6, 3, complex_=name in ("lstsq", "rls", "gd"))
    whole = xp.numpy(xp.run(estimator.prefix_predictions, xp.array(s)))
    assert whole.shape == s.shape and np.all(whole[:, 0] == 0)

    def stream(s):
        state, found = estimator.fit(s[:, :2, :]), []
        for t in range(2, 6):
            found.append(estimator.predict(state))
            state = estimator.partial_fit(state, s[:, t, :])
        return namespace(s).stack([*found, estimator.predict(state)], axis=1)

    assert_allclose(xp.numpy(xp.run(stream, xp.array(s))), whole[:, 1:], atol=1e-10)
    if name != "gd":
        for row in range(2):
            for t in range(1, 6):
                w = solution(s[row, : t + 1], estimator.ridge)
                assert_allclose(whole[row, t], w @ s[row, t], atol=1e-9)


@settings(max_examples=15)
@given(st.integers(2, 9), st.integers(1, 4), st.floats(0.01, 3.0), st.integers(0, 99))
def test_recursive_least_squares_is_ridge_regression(length, d, ridge, seed):
    s = np.random.default_rng(seed).standard_normal((length, d))
    by_rows = ARLeastSquares(ridge=ridge).fit(s).matrix
    recursive = ARLeastSquares(ridge=ridge, method="rls").fit(s).matrix
    x, y = s[:-1], s[1:]
    closed = y.T @ x @ np.linalg.inv(x.T @ x + ridge * np.eye(d))
    assert_allclose(recursive, closed, atol=1e-12 / min(1.0, ridge))
    assert_allclose(by_rows, closed, atol=1e-12 / min(1.0, ridge))


def test_ridge_tends_to_least_squares_and_descent_to_least_norm(rng):
    full, short = rng.standard_normal((9, 4)), rng.standard_normal((3, 4))
    for s in (full, short):
        wanted = ARLeastSquares().fit(s).matrix
        near = ARLeastSquares(ridge=1e-9).fit(s).matrix
        assert_allclose(near, wanted, atol=1e-6)
        top = np.linalg.eigvalsh(s[:-1].T @ s[:-1])[-1]
        descent = ARLeastSquares(method="gd", steps=6000, step_size=1.9 / top).fit(s).matrix
        assert_allclose(descent, wanted, atol=1e-8)


@settings(max_examples=10)
@given(st.sampled_from(sorted(EVERY)), st.integers(2, 6), st.integers(0, 99))
def test_predictions_turn_with_the_tokens(name, length, seed):
    rng = np.random.default_rng(seed)
    s = tokens(rng, length, 3, complex_=True)
    u = np.linalg.qr(tokens(rng, 3, 3, complex_=True))[0]
    turned = EVERY[name].prefix_predictions(s @ u.T)
    assert_allclose(turned, EVERY[name].prefix_predictions(s) @ u.T, atol=1e-9)


def test_law_of_haar_contexts():
    """E |error|^2 is 1 - (T - 1)/d up to T - 1 = d, and exactly 0 from there."""
    d, n = 5, 4000
    s = simulate_ar(ContextSampler("orthogonal", d).sample(n, 0), 9)
    errors = np.sum((ARLeastSquares().prefix_predictions(s)[:, :-1] - s[:, 1:]) ** 2, axis=-1)
    for t in range(8):
        wanted = max(1 - t / d, 0.0)
        slack = 5 * np.std(errors[:, t]) / np.sqrt(n) + 1e-10
        assert abs(errors[:, t].mean() - wanted) <= slack
    assert errors[:, 5:].max() <= 1e-10


@pytest.mark.parametrize("first", ["zero", "previous"])
@pytest.mark.parametrize("complex_", [False, True])
def test_augmented_block_is_one_step_of_descent(xp, rng, first, complex_):
    s = xp.array(tokens(rng, 4, 7, 3, complex_=complex_))
    block = AugmentedBlock(xp.array([0.0, 0.0, 0.6, 0.0]), xp.array([0.5, 0.0]), first=first)
    step = ARLeastSquares(method="gd", steps=1, step_size=0.3)
    difference = xp.numpy(xp.run(block, s)) - xp.numpy(step.prefix_predictions(s))
    assert np.max(np.abs(difference)) < 1e-12


@pytest.mark.parametrize("length", [3, 8])
def test_derivatives_of_least_squares_at_every_rank(xp, rng, length):
    """Fewer pairs than dimensions, and more; second derivatives too."""
    s, d = rng.standard_normal((length, 4)), rng.standard_normal((length, 4))

    def loss(s):
        w = ARLeastSquares().fit(s).matrix
        return namespace(w).sum(w**2)

    def plain(t):
        return np.sum(solution(s + t * d) ** 2)

    gradient = grad(loss)
    slope = np.sum(xp.numpy(gradient(xp.array(s))) * d)
    assert_allclose(slope, (plain(1e-6) - plain(-1e-6)) / 2e-6, rtol=1e-5)
    product = xp.numpy(hvp(loss, xp.array(s), xp.array(d)))
    sides = [xp.numpy(gradient(xp.array(s + t * d))) for t in (1e-5, -1e-5)]
    wanted = (sides[0] - sides[1]) / 2e-5
    assert_allclose(product, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("name", ["lstsq", "gd"])
def test_zero_and_repeated_sequences_have_finite_gradients(xp, name):
    estimator = EVERY[name]

    def loss(s):
        predicted = estimator.predict(estimator.fit(s))
        return namespace(predicted).sum(predicted**2)

    zeros = np.zeros((5, 3))
    assert np.all(xp.numpy(estimator.fit(xp.array(zeros)).matrix) == 0)
    for s in (zeros, np.ones((5, 3))):
        assert np.all(np.isfinite(xp.numpy(grad(loss)(xp.array(s)))))


@pytest.mark.parametrize("name", EVERY)
def test_padding_counts_for_nothing(rng, name):
    estimator = EVERY[name]
    s = rng.standard_normal((2, 6, 3))
    mask = np.asarray([[1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1]], bool)
    padded = np.where(mask[..., None], s, np.nan)
    state = estimator.fit(padded, mask=mask)
    found = estimator.prefix_predictions(padded, mask=mask)
    for row, seen in enumerate(mask):
        alone = estimator.fit(s[row, seen])
        assert_allclose(state.matrix[row], alone.matrix, atol=1e-10)
        assert_allclose(state.token[row], alone.token)
        assert_allclose(found[row, seen], estimator.prefix_predictions(s[row, seen]), atol=1e-10)
        assert np.all(found[row, ~seen] == 0)


def test_padding_on_every_library(xp, rng):
    s = rng.standard_normal((2, 6, 3))
    mask = np.asarray([[1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1]], bool)
    estimator = EVERY["gd"]
    arrays = xp.array(np.where(mask[..., None], s, np.nan)), xp.array(mask)
    found = estimator.prefix_predictions(arrays[0], mask=arrays[1])
    assert_allclose(xp.numpy(found), estimator.prefix_predictions(s, mask=mask), atol=1e-12)
    state = estimator.fit(arrays[0], mask=arrays[1])
    assert_allclose(xp.numpy(state.matrix), estimator.fit(s, mask=mask).matrix, atol=1e-12)


def test_rollout_follows_the_sequence(xp):
    s = simulate_ar(ContextSampler("orthogonal", 3).sample(2, 0), 9)
    estimator = ARLeastSquares()
    found = estimator.rollout(estimator.fit(xp.array(s[:, :5])), 4)
    assert_allclose(xp.numpy(found), s[:, 5:], atol=1e-9)


def test_state_does_not_grow(rng):
    for estimator in EVERY.values():
        state = estimator.fit(rng.standard_normal((3, 2)))
        size = sum(np.size(x) for x in vars(state).values() if x is not None)
        for _ in range(50):
            state = estimator.partial_fit(state, rng.standard_normal(2))
        assert sum(np.size(x) for x in vars(state).values() if x is not None) == size


def test_recursion_stays_symmetric_in_float32(rng):
    s = rng.standard_normal((3000, 4)).astype(np.float32)
    state = ARLeastSquares(ridge=1.0, method="rls").fit(s)
    assert state.matrix.dtype == np.float32
    assert_allclose(state.matrix, solution(s.astype(float), 1.0), atol=2e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ARLeastSquares(method="rls"), "`ridge` must be above 0"),
        (lambda: ARLeastSquares(ridge=-1.0), "`ridge` must be at least 0"),
        (lambda: ARLeastSquares(method="adam"), "`method` must be one of"),
        (lambda: ARLeastSquares(method="gd", steps=0), "`steps` must be"),
        (lambda: ARLeastSquares(step_size=0.0), "`step_size` must be above 0"),
        (lambda: ARLeastSquares().fit(np.ones((1, 3))), "`s` must have at least 2 tokens; got T=1"),
        (lambda: ARLeastSquares().fit(np.ones(3)), "`s` must have shape"),
        (lambda: ARLeastSquares().fit(np.ones((3, 2)), mask=np.ones(2, bool)), "`mask` must have"),
        (lambda: ARLeastSquares().rollout(ARLeastSquares().fit(np.ones((2, 2))), 0), "`n` must be"),
        (
            lambda: ARLeastSquares().partial_fit(ARLeastSquares().fit(np.ones((2, 2))), np.ones(3)),
            "`token` must have shape",
        ),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
