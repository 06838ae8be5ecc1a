"""What is sampled from realigned models, against distributions that can be listed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel.alignment import (
    filter_logits,
    realign_log_partition,
    realign_logits,
    realign_sample,
    sweep,
)
from tests.alignment.mixtures import (
    ALIGNED,
    INF,
    LANGUAGE,
    SFT,
    THIRD,
    mixture_of_sequences,
    seed_of,
)


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


def test_the_filter_resamples_on_the_way():
    """A first token that weighs much: what follows it is drawn anew for each, not copied."""
    size, n = 40, 400
    late = np.arange(size) >= size // 2

    def model(spread):
        def logits(tokens):
            rows = np.zeros((len(tokens), size))
            if tokens.shape[1]:
                heavy = (tokens[:, :1] == 0) & ~late
                rows = np.where(heavy, spread, rows)
            return rows

        return logits

    prompts, distinct = np.zeros((n, 0), dtype=int), {}
    for correction in ("sir", "smc"):
        # After token 0 the reference says almost nothing of what the aligned model says.
        found = realign_sample(
            (model(12.0), model(-12.0)), prompts, 2.0, max_new_tokens=3, correction=correction,
            rng=0,
        )  # fmt: skip
        assert (found.tokens[:, 0] == 0).mean() > 0.99
        distinct[correction] = len({tuple(row) for row in found.tokens.tolist()})
        assert found.ess < n / 2
    assert distinct["sir"] < 40 and distinct["smc"] > 200
