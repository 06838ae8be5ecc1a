"""Log-probabilities, divergences, the leave-one-out baseline: by loops, and by full enumeration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fenchel import backend_of, grad
from fenchel.alignment import (
    kl_estimate,
    kl_exact,
    realign_log_partition,
    rloo_gradient,
    sequence_logprob,
    shift_labels,
)
from fenchel.testing import EnumeratedLanguage, EnumeratedPolicy
from tests import libraries
from tests.alignment.programs import whole
from tests.derivatives import vjp_matrix

LANGUAGE = EnumeratedLanguage(n_tokens=4, max_length=3, end_token=2)
LABELS = np.asarray([[1, 0, 3], [2, 2, 1]])
MASK = np.asarray([[True, True, False], [True, True, True]])


@pytest.fixture
def logits(rng):
    return rng.normal(size=(2, 3, 4))


def by_loops(logits, labels, mask):
    total = np.zeros(labels.shape[0])
    for i, t in zip(*np.nonzero(mask), strict=True):
        p = np.exp(logits[i, t]) / np.exp(logits[i, t]).sum()
        total[i] += np.log(p[labels[i, t]])
    return total


def test_sequence_logprob(xp, logits):
    arrays = xp.array(logits), xp.array(LABELS), xp.array(MASK)
    wanted = by_loops(logits, LABELS, MASK)
    assert_allclose(xp.numpy(xp.run(sequence_logprob, *arrays)), wanted, rtol=1e-12)
    numbers = xp.array(MASK.astype(int))
    assert_allclose(xp.numpy(sequence_logprob(*arrays[:2], numbers)), wanted, rtol=1e-12)
    mean = sequence_logprob(*arrays, reduction="mean")
    assert_allclose(xp.numpy(mean), wanted / MASK.sum(-1), rtol=1e-12)
    each = xp.numpy(sequence_logprob(*arrays, reduction="none"))
    assert_allclose(each.sum(-1), wanted, rtol=1e-12)
    assert each.shape == (2, 3) and each[0, 2] == 0


def test_its_derivative_is_one_hot_minus_softmax(xp, logits):
    f = lambda x: sequence_logprob(x, xp.array(LABELS), xp.array(MASK))
    found = vjp_matrix(xp, f, logits).reshape(2, 2, 3, 4)
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = (np.eye(4)[LABELS] - softmax) * MASK[..., None]
    for i in range(2):
        assert_allclose(found[i, i], wanted[i], atol=1e-12)
        assert_allclose(found[i, 1 - i], 0, atol=0)


def test_what_is_masked_is_never_looked_at(xp, logits):
    """Neither NaN logits nor labels of -100 change a value or a derivative."""
    spoilt, labels = logits.copy(), LABELS.copy()
    spoilt[0, 2], labels[0, 2] = np.nan, -100
    f = lambda x, y: sequence_logprob(x, xp.array(y), xp.array(MASK))
    one, other = f(xp.array(spoilt), labels), f(xp.array(logits), LABELS)
    assert_allclose(xp.numpy(one), xp.numpy(other), rtol=0)

    def total(x):
        found = f(x, labels)
        return backend_of(found).namespace.sum(found)

    assert np.isfinite(xp.numpy(grad(total)(xp.array(spoilt)))).all()


def test_empty_masks(xp, logits):
    none = xp.array(np.zeros((2, 3), dtype=bool))
    for reduction in ("sum", "mean"):
        found = sequence_logprob(xp.array(logits), xp.array(LABELS), none, reduction)
        assert (xp.numpy(found) == 0).all()


def test_shift_labels(xp, logits):
    """A causal model's logits at t predict the token at t + 1."""
    arrays = xp.array(logits), xp.array(LABELS), xp.array(MASK)
    shifted = shift_labels(*arrays)
    wanted = by_loops(logits[:, :-1], LABELS[:, 1:], MASK[:, 1:])
    assert_allclose(xp.numpy(sequence_logprob(*shifted)), wanted, rtol=1e-12)
    with pytest.raises(ValueError, match="tokens"):
        shift_labels(arrays[0], arrays[1][:, :2], arrays[2])


def test_logprob_errors(xp, logits):
    x, y, m = xp.array(logits), xp.array(LABELS), xp.array(MASK)
    with pytest.raises(ValueError, match="labels"):
        sequence_logprob(x, xp.array(LABELS + 4), m)
    with pytest.raises(ValueError, match="mask"):
        sequence_logprob(x, y, m[:, :2])
    with pytest.raises(TypeError, match="integer"):
        sequence_logprob(x, xp.array(LABELS * 1.0), m)
    with pytest.raises(ValueError, match="reduction"):
        sequence_logprob(x, y, m, "max")


def test_half_logits_are_summed_in_float32():
    torch = pytest.importorskip("torch")
    n = 4000
    logits = torch.randn(1, n, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(1, n, dtype=torch.int64)
    mask = torch.ones(1, n, dtype=torch.bool)
    half = logits.bfloat16()
    found = sequence_logprob(half, labels, mask)
    wanted = half.double().log_softmax(-1)[..., 0].sum()
    assert found.dtype == torch.bfloat16 and abs(float(found) / float(wanted) - 1) < 2**-8


@given(d=st.floats(-20, 20))
def test_k3_is_never_negative(d):
    tiny = np.asarray([d, d * 1e-16, d * 1e-8])
    found = kl_estimate(tiny, np.zeros(3), kind="k3")
    assert (found >= 0).all()
    assert found[0] == pytest.approx(np.exp(-d) - 1 + d, rel=1e-9, abs=1e-12)


def test_estimators_over_all_responses(xp):
    """E k1 = E k3 = E exact = KL to 1e-12; k2 is off; the variances are in the known order."""
    rng = np.random.default_rng(5)
    tables = LANGUAGE.random_logits(rng), LANGUAGE.random_logits(rng)
    log_p, log_q = (LANGUAGE.log_probs(t) for t in tables)
    p, kl = np.exp(log_p), float(np.sum(np.exp(log_p) * (log_p - log_q)))
    k1, k2, k3 = (
        xp.numpy(kl_estimate(xp.array(log_p), xp.array(log_q), kind=k)) for k in ("k1", "k2", "k3")
    )
    assert_allclose([p @ k1, p @ k3], kl, atol=1e-12)
    assert_allclose(p @ k2, p @ (log_p - log_q) ** 2 / 2, rtol=1e-13)
    assert abs(p @ k2 - kl) > 0.01
    rows = LANGUAGE.places // LANGUAGE.n_tokens
    paths = [xp.array(t[rows]) for t in tables]
    exact = xp.numpy(kl_exact(*paths, xp.array(LANGUAGE.mask)))
    assert_allclose(p @ exact, kl, atol=1e-12)
    assert p @ exact**2 < p @ k1**2


def test_masked_estimates(xp, rng):
    logp, ref = rng.normal(size=(2, 2, 3))
    spoilt = np.where(MASK, logp, np.nan)
    for kind in ("k1", "k2", "k3"):
        found = kl_estimate(xp.array(spoilt), xp.array(ref), xp.array(MASK), kind=kind)
        each = xp.numpy(kl_estimate(xp.array(logp), xp.array(ref), kind=kind))
        assert_allclose(xp.numpy(found), (each * MASK).sum(-1), rtol=1e-12)


def test_kl_exact_edges(xp, logits):
    other = logits[:, ::-1].copy()
    spoilt = np.where(MASK[..., None], logits, np.nan)
    found = kl_exact(xp.array(spoilt), xp.array(other), xp.array(MASK))
    wanted = kl_exact(logits * MASK[..., None], other * MASK[..., None])
    assert_allclose(xp.numpy(found), wanted, rtol=1e-12)
    barred = logits.copy()
    barred[..., 0] = -np.inf
    assert np.isfinite(xp.numpy(kl_exact(xp.array(barred), xp.array(other)))).all()
    assert (xp.numpy(kl_exact(xp.array(other), xp.array(barred))) == np.inf).all()
    with pytest.raises(ValueError, match="kind"):
        kl_estimate(xp.array(logits), xp.array(logits), kind="k4")
    with pytest.raises(ValueError, match="logits_ref"):
        kl_exact(xp.array(logits), xp.array(logits[:1]))


def test_rloo_is_the_gradient_of_regularised_reward(xp):
    """The expectation over all pairs is the gradient of E r - beta KL, to 1e-12."""
    rng = np.random.default_rng(0)
    table, reference = LANGUAGE.random_logits(rng), LANGUAGE.random_logits(rng)
    reward, beta = rng.normal(size=LANGUAGE.n_responses), 0.7

    def objective(t):
        log_p = LANGUAGE.log_probs(t)
        xp_ = backend_of(log_p).namespace
        fixed = xp.array(reward + beta * LANGUAGE.log_probs(reference))
        return xp_.sum(xp_.exp(log_p) * (-beta * log_p + fixed))

    wanted = xp.numpy(whole(xp, grad(objective), xp.array(table)))
    log_p = LANGUAGE.log_probs(table)
    returns = reward - beta * (log_p - LANGUAGE.log_probs(reference))
    n = LANGUAGE.n_responses
    pairs = np.repeat(returns, n), np.tile(returns, n)
    first, second = (xp.numpy(w) for w in rloo_gradient(*map(xp.array, pairs)))
    scores = vjp_matrix(libraries.get("numpy"), LANGUAGE.log_probs, table)
    p = np.exp(log_p)
    weights = np.repeat(p, n) * np.tile(p, n)
    found = (weights * first) @ np.repeat(scores, n, 0) + (weights * second) @ np.tile(
        scores, (n, 1)
    )
    assert_allclose(found.reshape(wanted.shape), wanted, atol=1e-12)


def test_enumerated_language(xp):
    """Probabilities sum to one, `conditional` inverts `log_probs`, numbers name responses."""
    rng = np.random.default_rng(3)
    for end in (0, 2, 3):
        language = EnumeratedLanguage(4, 3, end)
        table = xp.array(language.random_logits(rng, batch=(2,)))
        found = xp.numpy(whole(xp, language.log_probs, table))
        assert_allclose(np.exp(found).sum(-1), 1, rtol=1e-13)
        weights = rng.normal(size=language.n_responses)
        back = lambda w, language=language: language.log_probs(language.conditional(w))
        again = xp.numpy(whole(xp, back, xp.array(weights)))
        assert_allclose(again, weights - np.log(np.exp(weights).sum()), atol=1e-12)
        numbers = xp.numpy(whole(xp, language.index, xp.array(language.responses)))
        assert (numbers == np.arange(language.n_responses)).all()
        assert len({tuple(row) for row in language.responses}) == language.n_responses
    for n, length, end in ((1, 3, 0), (3, 0, 0), (3, 3, 3)):
        with pytest.raises(ValueError, match="must be"):
            EnumeratedLanguage(n, length, end)


def test_enumerated_policy_draws_what_it_says(xp):
    language = EnumeratedLanguage(3, 2, 1)
    tables = language.random_logits(1, batch=(2,))
    policy, n = EnumeratedPolicy(language), 4000
    params, prompts = xp.array(tables), xp.array(np.repeat([0, 1], n))
    rng = 0
    if xp.name.startswith("jax"):
        import jax

        rng = jax.random.key(0)

    def speak(params, prompts):
        said = policy.sample(params, prompts, rng, 1.0)
        return (
            language.index(said),
            policy.logprob(params, prompts, said),
            policy.lengths(said),
        )

    number, logprob, lengths = whole(xp, speak, params, prompts)
    number = xp.numpy(number).reshape(2, n)
    log_probs = language.log_probs(tables)
    for i in range(2):
        counts = np.bincount(number[i], minlength=language.n_responses)
        expected = n * np.exp(log_probs[i])
        assert np.sum((counts - expected) ** 2 / expected) < 22.5  # 6 degrees: one in a thousand
    found = xp.numpy(logprob).reshape(2, n)
    assert_allclose(found, np.take_along_axis(log_probs, number, -1), rtol=1e-12)
    assert (xp.numpy(lengths) == language.lengths[number.ravel()]).all()


def test_partition_is_a_divergence_of_renyi():
    rng = np.random.default_rng(0)
    sft, aligned = rng.dirichlet(np.ones(5), size=2)
    for s in (-1.0, 0.3, 2.5):
        renyi = np.log(np.sum(aligned**s * sft ** (1 - s))) / (s - 1)
        found = realign_log_partition(np.log(sft), np.log(aligned), s)
        assert found == pytest.approx((s - 1) * renyi, abs=1e-13)
