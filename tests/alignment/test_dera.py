"""Realigned logits, their filters and identities, on models whose responses can be listed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fenchel.alignment import filter_logits, realign_log_partition, realign_logits
from tests.alignment.mixtures import (
    ALIGNED,
    INF,
    LANGUAGE,
    SFT,
    THIRD,
    log_softmax,
    mixture_of_sequences,
    probabilities,
)
from tests.alignment.programs import whole

strengths = st.floats(-2, 4)


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
