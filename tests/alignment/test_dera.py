"""Realigned logits, and what is sampled from them, on models whose responses can be listed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fenchel.alignment import (
    filter_logits,
    realign_log_partition,
    realign_logits,
    realign_sample,
    sweep,
)
from fenchel.special import logsumexp
from fenchel.testing import EnumeratedLanguage
from tests.alignment.programs import whole

LANGUAGE = EnumeratedLanguage(n_tokens=4, max_length=3, end_token=0)
SFT, ALIGNED, THIRD = (LANGUAGE.random_logits(seed) for seed in range(3))
INF = float("inf")
strengths = st.floats(-2, 4)


def log_softmax(x):
    return x - logsumexp(x, keepdims=True)


def probabilities(log_weights):
    return np.exp(log_weights - np.logaddexp.reduce(log_weights))


def mixture_of_sequences(strength, temperature=1.0):
    log_p = (1 - strength) * LANGUAGE.log_probs(SFT) + strength * LANGUAGE.log_probs(ALIGNED)
    return probabilities(log_p / temperature)


def seed_of(xp):
    if xp.name.startswith("jax"):
        import jax

        return jax.random.key(1)
    return 1


# -- logits ------------------------------------------------------------------------------


def test_every_library(xp):
    strength = np.asarray([-0.5, 0.3, 2.0])
    x, y, z = (xp.array(t[:3]) for t in (SFT, ALIGNED, THIRD))

    def all_of(x, y, z, s):
        return (
            realign_logits(x, y, s),
            realign_logits(x, y, s[:, None]),
            realign_logits(x, [y, z], [0.4, s]),
            realign_log_partition(x, y, s),
            filter_logits(x, temperature=0.7, top_k=3, top_p=0.8),
        )

    found = whole(xp, all_of, x, y, z, xp.array(strength))
    s = strength[:, None]
    mixed = (1 - s) * SFT[:3] + s * ALIGNED[:3]
    both = SFT[:3] + 0.4 * (ALIGNED[:3] - SFT[:3]) + s * (THIRD[:3] - SFT[:3])
    p, q = np.exp(log_softmax(SFT[:3])), np.exp(log_softmax(ALIGNED[:3]))
    partition = np.log(np.sum(p ** (1 - s) * q**s, axis=-1))
    for one, other in zip(found[:4], (mixed, mixed, both, partition), strict=True):
        assert_allclose(xp.numpy(one), other, rtol=1e-12, atol=1e-13)
    kept = filter_logits(SFT[:3], temperature=0.7, top_k=3, top_p=0.8)
    assert_allclose(xp.numpy(found[4]), kept, rtol=1e-12)


def test_the_ends_are_the_models():
    assert np.array_equal(realign_logits(SFT, ALIGNED, 0.0), SFT)
    assert np.array_equal(realign_logits(SFT, ALIGNED, 1.0), ALIGNED)


@given(s=strengths, t=strengths, shift=st.floats(-50, 50))
@settings(max_examples=30)
def test_shifts_and_composition(s, t, shift):
    """Shifts of a model change nothing; mixing with a mixture multiplies the strengths."""
    mixed = log_softmax(realign_logits(SFT, ALIGNED, s))
    shifted = log_softmax(realign_logits(SFT + shift, ALIGNED - 2 * shift, s))
    assert_allclose(shifted, mixed, atol=1e-10)
    again = log_softmax(realign_logits(SFT, mixed, t))
    assert_allclose(again, log_softmax(realign_logits(SFT, ALIGNED, s * t)), atol=1e-10)
    one = realign_log_partition(SFT + shift, ALIGNED, s)
    assert_allclose(one, realign_log_partition(SFT, ALIGNED, s), atol=1e-10)


def test_greedy_at_infinity():
    huge = realign_logits(SFT, ALIGNED, 1e9)
    assert np.array_equal(np.argmax(huge, -1), np.argmax(ALIGNED - SFT, -1))


@given(s=strengths)
@settings(max_examples=30)
def test_masked_tokens_are_decided_before_arithmetic(s):
    sft, aligned = SFT.copy(), ALIGNED.copy()
    sft[:, 1], aligned[::2, 2] = -INF, -INF
    for strength in (s, 0.0, 1.0, 2.0):
        mixed = realign_logits(sft, aligned, strength)
        assert not np.isnan(mixed).any()
        assert np.array_equal(mixed == -INF, (sft == -INF) | (aligned == -INF))
        assert np.isfinite(realign_log_partition(sft, aligned, strength)).all()


def test_padding_columns(xp):
    longer = np.concatenate([ALIGNED, ALIGNED[:, :2]], axis=-1)
    mixed = xp.numpy(realign_logits(xp.array(SFT), xp.array(longer), 0.5))
    assert (mixed[:, 4:] == -INF).all()
    assert_allclose(mixed[:, :4], realign_logits(SFT, ALIGNED, 0.5))


def test_errors(xp):
    x, y = xp.array(SFT), xp.array(ALIGNED)
    wide = xp.array(np.zeros((LANGUAGE.n_prefixes, 2000)))
    cases = {
        "nan": (y, float("nan")),
        "one a row": (y, xp.array(np.zeros(5))),
        "strength": ([y, y], [0.1]),
        "vocabulary": (wide, 0.5),
        "batch shape": (xp.array(ALIGNED[:3]), 0.5),
        "leave a token": (xp.array(np.full(SFT.shape, -INF)), 0.5),
        "at least one model": ([], 0.5),
    }
    for message, (aligned, strength) in cases.items():
        with pytest.raises(ValueError, match=message):
            realign_logits(x, aligned, strength)
    with pytest.raises(ValueError, match="nan"):
        realign_logits(x, y, xp.array(np.full(LANGUAGE.n_prefixes, np.nan)))
    with pytest.raises(ValueError, match="leave a token"):
        filter_logits(xp.array(np.full((1, 3), -INF)))
    for name, options in (
        ("top_p", {"top_p": 1.5}),
        ("top_k", {"top_k": -1}),
        ("temperature", {"temperature": -1.0}),
    ):
        with pytest.raises(ValueError, match=name):
            filter_logits(x, **options)
    with pytest.raises(TypeError, match="top_k"):
        filter_logits(x, top_k=1.5)


def test_filters(xp):
    def kept(x, **options):
        return xp.numpy(filter_logits(xp.array(np.asarray(x)), **options)) > -INF

    x = [1.0, 3.0, 2.0, 3.0, -INF]
    assert kept(x, top_k=1).tolist() == [False, True, False, True, False]  # ties stay
    assert kept(x, top_k=3).tolist() == [False, True, True, True, False]
    assert kept(x, top_k=0).tolist() == kept(x, top_k=9).tolist() == [True] * 4 + [False]
    assert kept(x, top_p=0.0).tolist() == [False, True, False, False, False]  # lower index first
    p = np.log([0.5, 0.3, 0.2])
    for top_p, count in ((0.49, 1), (0.51, 2), (0.79, 2), (0.81, 3), (1.0, 3)):
        assert kept(p, top_p=top_p).sum() == count
    assert kept(x, temperature=0.0).tolist() == [False, True, False, True, False]
    rows = xp.array(np.asarray([[1.0, 2.0], [1.0, 2.0]]))
    mixed = filter_logits(rows, temperature=xp.array(np.asarray([[0.0], [2.0]])))
    assert xp.numpy(mixed).tolist() == [[-INF, 0.0], [0.5, 1.0]]


def test_filters_are_those_of_transformers():
    torch, hf = pytest.importorskip("torch"), pytest.importorskip("transformers")
    x = torch.randn(20, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    warpers = (
        hf.TemperatureLogitsWarper(0.7), hf.TopKLogitsWarper(20), hf.TopPLogitsWarper(0.8),
    )  # fmt: skip
    wanted = x
    for warper in warpers:
        wanted = warper(None, wanted)
    found = filter_logits(x, temperature=0.7, top_k=20, top_p=0.8)
    assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-12)


# -- sequences -----------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [-0.5, 0.0, 0.5, 1.0, 2.0])
def test_partitions_turn_tokens_into_sequences(xp, strength):
    """log P_seq = log P_tok + sum log Z_t - log Z, to 1e-12; the sign of log Z_t."""

    def both(x, y):
        token = LANGUAGE.log_probs(realign_logits(x, y, strength))
        log_z = realign_log_partition(x, y, strength)
        spread = log_z[:, None] + 0.0 * x
        return log_z, token + LANGUAGE.token_sums(spread)

    log_z, weighted = map(xp.numpy, whole(xp, both, xp.array(SFT), xp.array(ALIGNED)))
    assert_allclose(probabilities(weighted), mixture_of_sequences(strength), atol=1e-12)
    sign = -1 if 0 <= strength <= 1 else 1
    assert (sign * log_z >= -1e-14).all()
    assert strength not in (0.0, 1.0) or np.abs(log_z).max() < 1e-14


def test_the_mixture_is_the_optimum_at_another_beta():
    """pi_sft e^(r/beta) and its strengths; monotone reward and divergence; the optimal value."""
    rng = np.random.default_rng(0)
    reward, beta = rng.normal(size=LANGUAGE.n_responses), 1.3
    log_sft = LANGUAGE.log_probs(SFT)
    aligned = LANGUAGE.conditional(log_sft + reward / beta)
    rewards, divergences = [], []
    grid = np.asarray([0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0])
    for s in grid:
        log_p = (1 - s) * log_sft + s * LANGUAGE.log_probs(aligned)
        p = probabilities(log_p)
        assert_allclose(p, probabilities(log_sft + s * reward / beta), atol=1e-12)
        rewards.append(p @ reward)
        divergences.append(p @ (np.log(p) - log_sft))
        if s > 0:
            value = rewards[-1] - beta / s * divergences[-1]
            optimum = beta / s * np.logaddexp.reduce(log_sft + s * reward / beta)
            assert value == pytest.approx(optimum, abs=1e-12)
        # Derivatives along lambda, by central differences.
        h, moved = 1e-5, []
        for t in (s - h, s + h):
            q = probabilities(log_sft + t * reward / beta)
            moved.append((q @ reward, q @ (np.log(q) - log_sft)))
        variance = (p @ reward**2 - (p @ reward) ** 2) / beta
        assert (moved[1][0] - moved[0][0]) / (2 * h) == pytest.approx(variance, rel=1e-7)
        slope = s * variance / beta
        assert (moved[1][1] - moved[0][1]) / (2 * h) == pytest.approx(slope, abs=1e-7)
    assert (np.diff(rewards) > 0).all() and (np.diff(divergences) > 0).all()


# Chi-square beyond which one in ten thousand falls, for degrees of freedom d (Wilson-Hilferty).
def critical(d):
    return d * (1 - 2 / (9 * d) + 3.719 * np.sqrt(2 / (9 * d))) ** 3


def chi_square(xp, tokens, expected, share=1.0):
    """Statistic of draws of which only a share is independent, and its bound."""
    numbers = xp.numpy(LANGUAGE.index(tokens)).reshape(-1)
    n = numbers.size
    counts = np.bincount(numbers, minlength=LANGUAGE.n_responses)
    common = n * share * expected > 5
    rest = np.asarray([counts[~common].sum(), n * expected[~common].sum()])
    counts, means = np.append(counts[common], rest[0]), np.append(n * expected[common], rest[1])
    counted = means > 0
    statistic = share * np.sum((counts - means)[counted] ** 2 / means[counted])
    return statistic, critical(counted.sum() - 1)


@pytest.mark.parametrize("correction", [None, "sir", "smc"])
def test_samples_follow_the_exact_distribution(xp, correction):
    n, strength = 6000, 2.5
    models = [LANGUAGE.model(xp.array(t)) for t in (SFT, ALIGNED)]
    prompts = xp.array(np.zeros((n, 0), dtype=int))
    found = realign_sample(
        models, prompts, strength, max_new_tokens=3, end_token=0, correction=correction,
        rng=seed_of(xp),
    )  # fmt: skip
    token = np.exp(LANGUAGE.log_probs(realign_logits(SFT, ALIGNED, strength)))
    sequence = mixture_of_sequences(strength)
    ess = float(found.ess) / n
    wanted, other = (token, sequence) if correction is None else (sequence, token)
    share = 1.0 if correction is None else ess
    statistic, bound = chi_square(xp, found.tokens, wanted, share)
    assert statistic < bound
    statistic, bound = chi_square(xp, found.tokens, other, share)
    assert statistic > 3 * bound  # the test would see the other one
    weights = np.exp(xp.numpy(found.log_weights))
    weights /= weights.sum()
    numbers = xp.numpy(LANGUAGE.index(found.tokens))
    weighted = np.bincount(numbers, weights=weights, minlength=LANGUAGE.n_responses)
    # Three standard deviations of self-normalised importance sampling.
    assert np.abs(weighted - sequence).max() < 3 * np.sqrt(0.25 / (n * ess)) + 1e-3
    if correction is None:
        exact = np.sum(sequence**2 / token)
        assert 1 / ess == pytest.approx(exact, rel=0.1)


def test_the_two_corrections_agree_where_weights_degenerate():
    """At strength 4 importance weights are worth few draws; the filter resamples on the way."""
    n, strength = 20000, 4.0
    models = [LANGUAGE.model(t) for t in (SFT, ALIGNED)]
    prompts = np.zeros((n, 0), dtype=int)
    sequence = mixture_of_sequences(strength)
    distances = {}
    for correction in (None, "sir", "smc"):
        found = realign_sample(
            models, prompts, strength, max_new_tokens=3, end_token=0, correction=correction, rng=0
        )
        counts = np.bincount(LANGUAGE.index(found.tokens), minlength=LANGUAGE.n_responses)
        distances[correction] = np.abs(counts / n - sequence).sum() / 2
    assert distances[None] > 0.3
    assert distances["sir"] < 0.03 and distances["smc"] < 0.03


def test_temperature_and_filters_are_corrected_too():
    """The target is the mixture of sequences to the power 1 / temperature, of what is kept."""
    n, strength, temperature = 20000, 1.8, 0.7
    models = [LANGUAGE.model(t) for t in (SFT, ALIGNED)]
    prompts = np.zeros((n, 0), dtype=int)
    options = {"temperature": temperature, "max_new_tokens": 3, "end_token": 0, "rng": 3}
    found = realign_sample(models, prompts, strength, correction="smc", **options)
    wanted = mixture_of_sequences(strength, temperature)
    statistic, bound = chi_square_numpy(found, wanted)
    assert statistic < bound
    found = realign_sample(models, prompts, strength, correction="sir", top_k=2, **options)
    mixed = filter_logits(realign_logits(SFT, ALIGNED, strength), top_k=2)
    admitted = LANGUAGE.token_sums(np.where(mixed > -INF, 0.0, -INF)) == 0
    kept = np.where(admitted, wanted, 0.0)
    statistic, bound = chi_square_numpy(found, kept / kept.sum())
    assert statistic < bound


def chi_square_numpy(found, expected):
    from tests import libraries

    n = found.tokens.shape[0]
    return chi_square(libraries.get("numpy"), found.tokens, expected, float(found.ess) / n)


def test_populations_and_strengths_in_one_batch():
    """Each population is resampled by itself, with its own strength."""
    n, grid = 8000, np.asarray([0.0, 0.5, 2.0])
    models = [LANGUAGE.model(t) for t in (SFT, ALIGNED)]
    prompts = np.zeros((3, n, 0), dtype=int)
    found = realign_sample(
        models, prompts, grid[:, None], max_new_tokens=3, end_token=0, correction="smc", rng=0
    )
    assert found.tokens.shape == (3, n, 3) and found.ess.shape == (3,)
    for i, strength in enumerate(grid):
        one = found._replace(tokens=found.tokens[i], ess=found.ess[i])
        statistic, bound = chi_square_numpy(one, mixture_of_sequences(strength))
        assert statistic < bound


class Cached:
    """A table as a model that remembers the number of its prefix."""

    def __init__(self, table):
        self.table = table
        self.steps = 0

    def start(self, tokens):
        return self.table[LANGUAGE._prefix_numbers(np, tokens)], {"prefix": tokens}

    def step(self, cache, token):
        self.steps += 1
        prefix = np.concatenate([cache["prefix"], token[:, None]], axis=-1)
        return LANGUAGE.model(self.table)(prefix), {"prefix": prefix}


@pytest.mark.parametrize("correction", [None, "sir", "smc"])
def test_cached_models_say_the_same(correction):
    prompts = np.tile([[2]], (500, 1))
    options = {"max_new_tokens": 2, "end_token": 0, "correction": correction, "rng": 5}
    plain = [LANGUAGE.model(t) for t in (SFT, ALIGNED, THIRD)]
    cached = [Cached(t) for t in (SFT, ALIGNED, THIRD)]
    one = realign_sample(plain, prompts, [3.0, -0.5], **options)
    other = realign_sample(cached, prompts, [3.0, -0.5], **options)
    assert np.array_equal(one.tokens, other.tokens) and one.ess == other.ess
    assert all(model.steps == 1 for model in cached)
    assert (one.tokens[:, 0] == 2).all()
    after_end = one.tokens[:, 1] == 0
    assert (one.tokens[after_end, 2] == 0).all()


def test_rows_that_ended_weigh_nothing_more():
    """log Z_t of a row is counted up to its end token, also where a model is masked after it."""

    def silent_after_end(table):
        model = LANGUAGE.model(table)

        def next_logits(tokens):
            ended = (tokens == 0).any(-1)
            return np.where(ended[:, None], -INF, model(tokens))

        return next_logits

    models = [silent_after_end(t) for t in (SFT, ALIGNED)]
    prompts = np.zeros((300, 0), dtype=int)
    found = realign_sample(models, prompts, 2.0, max_new_tokens=3, end_token=0, rng=0)
    log_z = realign_log_partition(SFT, ALIGNED, 2.0)
    sums = LANGUAGE.token_sums(np.broadcast_to(log_z[:, None], SFT.shape))
    assert_allclose(found.log_weights, sums[LANGUAGE.index(found.tokens)], atol=1e-12)


def test_sampling_errors(xp):
    model = LANGUAGE.model(xp.array(SFT))
    prompts = xp.array(np.zeros((4, 1), dtype=int))
    options = {"max_new_tokens": 2, "rng": 0}
    with pytest.raises(TypeError, match="models"):
        realign_sample(model, prompts, 0.5, **options)
    with pytest.raises(TypeError, match="callable"):
        realign_sample((model, 3), prompts, 0.5, **options)
    with pytest.raises(TypeError, match="prompts"):
        realign_sample((model, model), xp.array(np.zeros((4, 1))), 0.5, **options)
    with pytest.raises(ValueError, match="correction"):
        realign_sample((model, model), prompts, 0.5, correction="bootstrap", **options)
    with pytest.raises(ValueError, match="strength"):
        realign_sample((model, model), prompts, xp.array(np.zeros(3)), **options)
    different = xp.array(np.asarray([[1], [1], [2], [1]]))
    with pytest.raises(ValueError, match=r"prompts.*population"):
        realign_sample((model, model), different, 0.5, correction="sir", **options)
    with pytest.raises(ValueError, match=r"strength.*population"):
        realign_sample(
            (model, model), prompts, xp.array(np.arange(4.0)), correction="sir", **options
        )


def test_models_of_different_vocabularies():
    first, second = Cached(SFT), Cached(ALIGNED)
    first.vocabulary, second.vocabulary = ("a", "b"), ("a", "c")
    with pytest.raises(ValueError, match="vocabulary"):
        realign_sample((first, second), np.zeros((1, 0), dtype=int), 0.5, max_new_tokens=1, rng=0)


# -- sweep ---------------------------------------------------------------------------------


def test_sweep_finds_the_strength_and_its_beta(xp):
    """The exact means of the per-token mixtures, and the best of them."""
    reward = np.random.default_rng(3).normal(size=LANGUAGE.n_responses)
    aligned = LANGUAGE.conditional(LANGUAGE.log_probs(SFT) + reward)
    models = [LANGUAGE.model(xp.array(t)) for t in (SFT, aligned)]
    worth = xp.array(reward)
    score = lambda tokens: xp.namespace.take(worth, LANGUAGE.index(tokens))
    grid = (0.0, 1.0, 2.5)
    found = sweep(
        models, xp.array(np.zeros((2000, 0), dtype=int)), score, strengths=grid, beta=0.2,
        max_new_tokens=3, end_token=0, rng=seed_of(xp),
    )  # fmt: skip
    exact = [np.exp(LANGUAGE.log_probs(realign_logits(SFT, aligned, s))) @ reward for s in grid]
    gap = np.abs(xp.numpy(found.scores) - exact)
    assert (gap < 4 * xp.numpy(found.standard_errors)).all()
    assert found.best_strength == 2.5 and found.best_beta == pytest.approx(0.08)
    assert found.tokens.shape == (3, 2000, 3)


def test_sweep_errors():
    model = LANGUAGE.model(SFT)
    prompts = np.zeros((4, 0), dtype=int)
    options = {"max_new_tokens": 1, "rng": 0}
    with pytest.raises(ValueError, match="beta"):
        sweep((model, model), prompts, len, beta=0.0, **options)
    with pytest.raises(ValueError, match="strengths"):
        sweep((model, model), prompts, len, strengths=(), **options)
    with pytest.raises(ValueError, match="score"):
        sweep((model, model), prompts, lambda tokens: np.zeros(3), **options)
