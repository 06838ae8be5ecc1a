"""From probabilities to labels, and what a step reports."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fenchel.alignment.online.draw import Answers
from fenchel.alignment.online.labels import LABELS, TIES, decide
from fenchel.alignment.online.metrics import Feedback, measure

PROB = np.array([0.9, 0.1, 0.5, 0.55, np.nan])
VALID = np.array([True, True, True, True, False])
UNIFORM = np.array([0.95, 0.05, 0.3, 0.7, 0.1])


def decided(**options):
    given = {"labels": "hard", "ties": "drop", "tie_margin": 0.0, **options}
    return decide(PROB, VALID, UNIFORM, **given)


def test_hard():
    decision = decided()
    assert_array_equal(decision.target, [1.0, 0.0, 0.5, 1.0, 0.5])
    assert_array_equal(decision.weight, [1.0, 1.0, 0.0, 1.0, 0.0])
    assert_array_equal(decision.tie, [False, False, True, False, False])


def test_a_margin_makes_ties():
    decision = decided(tie_margin=0.06)
    assert_array_equal(decision.weight, [1.0, 1.0, 0.0, 0.0, 0.0])
    assert decision.tie.sum() == 2


@pytest.mark.parametrize(("ties", "target"), [("soft", 0.55), ("random", 0.0)])
def test_ties_that_count(ties, target):
    decision = decided(ties=ties, tie_margin=0.06)
    assert_array_equal(decision.weight, [1.0, 1.0, 1.0, 1.0, 0.0])
    assert_array_equal(decision.target[:2], [1.0, 0.0])
    assert decision.target[3] == target


def test_soft_keeps_probabilities_and_ties():
    assert_array_equal(decided(labels="soft").target, [0.9, 0.1, 0.5, 0.55, 0.5])
    assert_array_equal(decided(labels="soft").weight, [1.0, 1.0, 1.0, 1.0, 0.0])


def test_sample_is_bernoulli():
    assert_array_equal(decided(labels="sample").target[:4], [0.0, 1.0, 1.0, 0.0])
    rng = np.random.default_rng(0)
    p = np.full(20_000, 0.3)
    drawn = decide(p, p > 0, rng.random(p.size), labels="sample", ties="drop", tie_margin=0.0)
    assert_allclose(drawn.target.mean(), 0.3, atol=0.02)


@given(
    prob=st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=1, max_size=8),
    labels=st.sampled_from(LABELS),
    ties=st.sampled_from(TIES),
    margin=st.sampled_from([0.0, 0.2]),
)
def test_what_has_no_answer_never_has_a_winner(prob, labels, ties, margin):
    p = np.array(prob)
    valid = np.arange(p.size) % 2 == 0
    decision = decide(p, valid, p * 0.0, labels=labels, ties=ties, tie_margin=margin)
    lost = ~valid | np.isnan(p)
    assert (decision.weight[lost] == 0).all()
    assert (decision.target[lost] == 0.5).all()
    assert not decision.tie[lost].any()


def report(first, second, prob, identical=None):
    prob = np.asarray(prob, dtype=float)
    known = ~np.isnan(prob)
    identical = np.zeros(prob.size, dtype=bool) if identical is None else np.asarray(identical)
    decision = decide(prob, known, prob * 0, labels="hard", ties="drop", tie_margin=0.0)
    ratios = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    answers = Answers(prob, known, identical, prob * np.nan)
    lengths = [np.array([1.0, 0.0]), np.array([4.0, 0.0])]
    feedback = Feedback(None, ratios, (), lengths, answers, decision)
    return measure(feedback, loss=0.0, grad_norm=0.0, updates=1)


def test_counts_of_a_step():
    metrics = report([1.0, 0, 0, 2], [0.0, 0, 0, 1], [1.0, 0.5, np.nan, 0.0], [0, 0, 0, 0])
    assert (metrics.pairs, metrics.ties, metrics.invalid, metrics.used) == (4, 1, 1, 2)
    assert metrics.accuracy == 0.5
    # Equal log-ratios say nothing: neither right nor wrong.
    assert report([1.0, 0.0], [0.0, 0.0], [1.0, 1.0]).accuracy == 1.0
    same = report([0.0, 1.0], [0.0, 1.0], [np.nan, np.nan], [True, True])
    assert (same.identical, same.invalid, same.used, same.win_rate) == (2, 0, 0, 0.5)


def test_divergence_estimates():
    metrics = report([1.0, -0.5], [0.25, 0.0], [1.0, 0.0])
    d = np.array([1.0, -0.5, 0.25, 0.0])
    assert_allclose(metrics.kl, d.mean())
    assert_allclose(metrics.kl_k3, np.mean(np.exp(-d) - 1 + d))
    assert report([-1e4], [0.0], [1.0]).kl_k3 == np.inf
    assert np.isnan(metrics.kl_exact) and (metrics.lengths, metrics.empty) == (1.25, 2)


def test_win_rate_by_weights_is_the_expected_one():
    rng = np.random.default_rng(0)
    policy, reference = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    beats = np.array([[0.5, 0.8, 0.9], [0.2, 0.5, 0.6], [0.1, 0.4, 0.5]])
    a, b = rng.choice(3, size=(2, 100_000), p=policy)
    ratio = np.log(policy / reference)
    metrics = report(ratio[a], ratio[b], beats[a, b])
    assert_allclose(metrics.win_rate, policy @ beats @ reference, atol=0.01)
    assert 0.3 < metrics.win_rate_ess < 1.0


def test_a_win_rate_of_far_policies_is_a_number():
    metrics = report([800.0, 900.0], [850.0, 1000.0], [1.0, 0.0])
    assert 0.0 <= metrics.win_rate <= 1.0
    assert_allclose(metrics.win_rate_ess, 0.25)
