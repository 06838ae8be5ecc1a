"""Weights of the libraries that are ported from, and the other choices of experts."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fenchel.routers import route
from tests.routers import by_hand

N, M = 9, 8


@pytest.fixture
def logits(rng):
    return 2 * rng.normal(size=(2, N, M))


def chosen(values, routing, xp):
    return np.take_along_axis(values, xp.numpy(routing.expert_index).astype(int), -1)


def test_vmoe_takes_the_probabilities(xp, logits):
    routing = xp.run(lambda z: route(z, k=2), xp.array(logits))
    weight = chosen(by_hand.softmax(logits), routing, xp)
    assert_allclose(xp.numpy(routing.weight), weight, rtol=1e-12)


def test_mixtral_and_megatron_are_the_same_numbers(xp, logits):
    routing = xp.run(lambda z: route(z, k=3, weights="renormalized"), xp.array(logits))
    top = np.sort(logits, axis=-1)[..., ::-1][..., :3]
    after = np.exp(top) / np.exp(top).sum(-1, keepdims=True)  # Megatron, post-softmax
    p = np.sort(by_hand.softmax(logits), axis=-1)[..., ::-1][..., :3]
    assert_allclose(xp.numpy(routing.weight), p / p.sum(-1, keepdims=True), rtol=1e-12)
    assert_allclose(xp.numpy(routing.weight), after, rtol=1e-12)


def deepseek(logits, bias, k, n_group, topk_group, scale):
    """The gate of DeepSeek-V3, one token."""
    s = by_hand.sigmoid(logits)
    choice = s + bias
    size = len(choice) // n_group
    worth = [np.sort(choice[g * size : (g + 1) * size])[-2:].sum() for g in range(n_group)]
    kept = by_hand.best(worth, topk_group)
    open_ = np.isin(np.arange(len(choice)) // size, kept)
    index = by_hand.best(np.where(open_, choice, -np.inf), k)
    return index, s[index] / (s[index].sum() + 1e-20) * scale


@pytest.mark.parametrize(("n_group", "topk_group"), [(4, 2), (2, 1)])
def test_deepseek_limits_experts_to_the_best_groups(xp, rng, logits, n_group, topk_group):
    # negative enough that zeros in place of -inf would be chosen
    bias = 0.1 * rng.normal(size=M) - 2
    routing = xp.run(
        lambda z, b: route(
            z,
            method="bias_balanced",
            k=3,
            bias=b,
            n_group=n_group,
            topk_group=topk_group,
            weight_scale=2.5,
        ),
        xp.array(logits),
        xp.array(bias),
    )
    for place in np.ndindex(2, N):
        index, weight = deepseek(logits[place], bias, 3, n_group, topk_group, 2.5)
        assert_array_equal(xp.numpy(routing.expert_index)[place], index)
        assert_allclose(xp.numpy(routing.weight)[place], weight, rtol=1e-12)


def test_a_constant_bias_changes_nothing(logits):
    plain = route(logits, method="bias_balanced", k=3)
    biased = route(logits, method="bias_balanced", k=3, bias=np.full(M, 0.25))
    assert_array_equal(plain.expert_index, biased.expert_index)
    assert_allclose(plain.weight, biased.weight)


def test_relu_takes_positive_logits_as_weights(xp, logits):
    routing = xp.run(lambda z: route(z, method="relu"), xp.array(logits))
    _, combine = routing.dense()
    assert_allclose(xp.numpy(combine).sum(-1), np.maximum(logits, 0), rtol=1e-12)
    assert_array_equal(xp.numpy(routing.stats().load), (logits > 0).sum(axis=1))


def test_sparse_topk_weighs_probabilities_by_the_relaxed_mask(xp, logits):
    routing = xp.run(
        lambda z: route(z, method="sparse_topk", k=2, temperature=1.5), xp.array(logits)
    )
    mask = np.zeros_like(logits)
    for place in np.ndindex(2, N):
        z = logits[place] / 1.5
        low, high = z.min() - 1, z.max()
        for _ in range(200):
            tau = (low + high) / 2
            low, high = (tau, high) if np.clip(z - tau, 0, 1).sum() > 2 else (low, tau)
        mask[place] = np.clip(z - tau, 0, 1)
    _, combine = routing.dense()
    assert_allclose(xp.numpy(combine).sum(-1), mask * by_hand.softmax(logits), atol=1e-9)
    assert np.all((xp.numpy(combine).sum(-1) > 0).sum(-1) >= 2)


def test_expert_choice_takes_the_best_tokens_of_each_expert(xp, logits):
    logits = np.round(logits)
    routing = xp.run(
        lambda z: route(z, method="softmax_expert_choice", capacity=4), xp.array(logits)
    )
    p = by_hand.softmax(logits)
    for g in range(2):
        tokens = by_hand.expert_choice(p[g], 4)
        assert_array_equal(xp.numpy(routing.token_index)[g], tokens)
        assert_allclose(
            xp.numpy(routing.weight)[g], np.take_along_axis(p[g].T, tokens, -1), rtol=1e-12
        )
    assert_array_equal(xp.numpy(routing.stats().load), np.full((2, M), 4))


def test_expert_choice_combines_what_every_expert_says(xp, rng, logits):
    y = rng.normal(size=(2, M, 4, 3))
    routing = xp.run(
        lambda z: route(z, method="softmax_expert_choice", capacity=4), xp.array(logits)
    )
    out = np.zeros((2, N, 3))
    tokens, weight = xp.numpy(routing.token_index), xp.numpy(routing.weight)
    for g, e, c in np.ndindex(2, M, 4):
        out[g, tokens[g, e, c]] += weight[g, e, c] * y[g, e, c]
    assert_allclose(xp.numpy(routing.combine(xp.array(y))), out, rtol=1e-12, atol=1e-14)


def test_balanced_assignment_weighs_by_the_sigmoid(xp, logits):
    routing = xp.run(lambda z: route(z[..., :3], method="balanced_assignment"), xp.array(logits))
    assert_array_equal(xp.numpy(routing.stats().load), np.full((2, 3), 3))
    assert routing.capacity == 3
    weight = chosen(by_hand.sigmoid(logits), routing, xp)
    assert_allclose(xp.numpy(routing.weight), weight, rtol=1e-12)


def test_noise_is_added_to_the_logits(xp, rng, logits):
    noise = rng.normal(size=(2, N, M))
    noisy = xp.run(lambda z, e: route(z, k=2, noise=e), xp.array(logits), xp.array(noise))
    plain = route(logits + noise, k=2)
    assert_array_equal(xp.numpy(noisy.token_index), plain.token_index)
    assert_allclose(xp.numpy(noisy.weight), plain.weight, rtol=1e-12)


def test_drawn_noise_has_standard_deviation_one_by_m():
    logits = np.zeros((4000, 5))
    p = route(logits, k=5, rng=0).probabilities
    spread = np.log(p) - np.log(p).mean(-1, keepdims=True)
    assert np.std(spread) == pytest.approx(0.2 * np.sqrt(0.8), rel=0.02)


@pytest.mark.parametrize("weights", [None, "renormalized"])
def test_the_temperature_of_the_softmax(xp, logits, weights):
    routing = xp.run(lambda z: route(z, k=2, weights=weights, temperature=0.3), xp.array(logits))
    expected = chosen(by_hand.softmax(logits / 0.3), routing, xp)
    if weights == "renormalized":
        expected = expected / expected.sum(-1, keepdims=True)
    assert_allclose(xp.numpy(routing.weight), expected, rtol=1e-12)


@pytest.mark.parametrize("method", ["sinkhorn_token_choice", "sinkhorn_expert_choice"])
def test_the_temperature_of_a_plan_leaves_the_weights_alone(logits, method):
    plain, sharp = (route(logits, method=method, temperature=t) for t in (1.0, 0.3))
    assert not np.allclose(plain.plan, sharp.plan)
    assert_allclose(plain.probabilities, by_hand.softmax(logits), rtol=1e-12)
    assert_allclose(sharp.probabilities, plain.probabilities, rtol=1e-12)
    _, combine = sharp.dense()
    given = combine.sum(-1)
    assert_allclose(given, np.where(given > 0, by_hand.softmax(logits), 0), rtol=1e-12)


def test_experts_take_their_share_of_the_choices_rounded_up(logits):
    for k in (1, 2, 3):
        routing = route(logits, method="softmax_expert_choice", k=k)
        assert routing.capacity == -(-N * k // M)


def test_an_expert_without_a_score_is_not_chosen(xp, logits):
    bias = np.zeros(M)
    bias[2] = np.nan
    routing = xp.run(
        lambda z, b: route(z, method="bias_balanced", k=3, bias=b), xp.array(logits), xp.array(bias)
    )
    demand = xp.numpy(routing.demand)
    assert np.all(demand[:, 2] == 0) and np.all(demand.sum(-1) == 3 * N)
