"""Token choice against loops over tokens, on every library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fenchel.routers import route
from tests.routers import by_hand

N, M, K, C = 11, 4, 2, 3


@pytest.fixture
def logits(rng):
    # few different values: ties everywhere
    return np.round(2 * rng.normal(size=(3, N, M)), 1).round()


def routed(xp, logits, **options):
    return xp.run(lambda z: route(z, **options), xp.array(logits))


@pytest.mark.parametrize("priority", ["choice", "token"])
def test_choices_and_slots_are_those_of_a_loop(xp, logits, priority):
    routing = routed(xp, logits, k=K, capacity=C, priority=priority)
    for g in range(3):
        choices, slot, token, asked = by_hand.token_choice(
            logits[g], logits[g], K, C, priority=priority
        )
        assert_array_equal(xp.numpy(routing.expert_index)[g], choices)
        assert_array_equal(xp.numpy(routing.slot)[g], slot)
        assert_array_equal(xp.numpy(routing.token_index)[g], token)
        assert_array_equal(xp.numpy(routing.stats().demand)[g], asked)
    for index in (routing.expert_index, routing.slot, routing.token_index):
        assert str(index.dtype).endswith("int32")


@pytest.mark.parametrize("priority", ["choice", "token"])
def test_batch_priority_sorts_tokens_by_their_largest_probability(xp, rng, priority):
    logits = rng.normal(size=(2, N, M))
    routing = routed(xp, logits, method="batch_prioritized", k=K, capacity=C, priority=priority)
    for g in range(2):
        order = np.argsort(-by_hand.softmax(logits[g]).max(-1), kind="stable")
        _, slot, token, _ = by_hand.token_choice(
            logits[g], logits[g], K, C, priority=priority, order=order
        )
        assert_array_equal(xp.numpy(routing.slot)[g], slot)
        assert_array_equal(xp.numpy(routing.token_index)[g], token)


def test_buffers_hold_the_rows_of_their_tokens_and_sums_are_weighted(xp, rng, logits):
    x, y = rng.normal(size=(3, N, 5)), rng.normal(size=(3, M, C, 5))
    routing = routed(xp, logits, k=K, capacity=C)
    buffers, out = routing.dispatch(xp.array(x)), routing.combine(xp.array(y))
    weight = by_hand.softmax(logits)
    for g in range(3):
        choices, slot, token, _ = by_hand.token_choice(logits[g], logits[g], K, C)
        assert_array_equal(xp.numpy(buffers)[g], by_hand.dispatch(token, x[g]))
        weights = np.take_along_axis(weight[g], choices, -1)
        assert_allclose(xp.numpy(out)[g], by_hand.combine(choices, slot, weights, y[g]), rtol=1e-12)


def test_masked_tokens_take_no_place_and_get_nothing(xp, rng):
    logits, mask = rng.normal(size=(3, N, M)), rng.random((3, N)) < 0.6
    mask[2] = False
    routing = xp.run(
        lambda z, w: route(z, k=K, capacity=C, where=w), xp.array(logits), xp.array(mask)
    )
    for g in range(3):
        _, slot, token, asked = by_hand.token_choice(logits[g], logits[g], K, C, mask=mask[g])
        assert_array_equal(xp.numpy(routing.slot)[g], slot)
        assert_array_equal(xp.numpy(routing.token_index)[g], token)
        assert_array_equal(xp.numpy(routing.stats().demand)[g], asked)
    stats = routing.stats()
    kept = np.sum(xp.numpy(routing.slot) >= 0, axis=(1, 2))
    assert_array_equal(kept + xp.numpy(stats.dropped), K * mask.sum(-1))
    alone = np.all(xp.numpy(routing.slot) < 0, axis=-1) & mask
    assert_array_equal(xp.numpy(stats.unrouted), alone.sum(-1))
    p = by_hand.softmax(logits)
    entropy = np.where(mask, -np.sum(p * np.log(p), axis=-1), 0).sum(-1)
    assert_allclose(xp.numpy(stats.entropy), entropy / np.maximum(mask.sum(-1), 1), rtol=1e-12)
    y = np.full((3, M, C, 2), np.nan)
    y[xp.numpy(routing.token_index) < N] = 1.0
    out = xp.numpy(routing.combine(xp.array(y)))
    assert np.all(out[~mask] == 0)
    assert np.all(np.isfinite(out))


def test_without_capacity_nothing_drops(xp, logits):
    routing = routed(xp, logits, k=K)
    assert np.all(xp.numpy(routing.slot) >= 0)
    most = int(np.max(xp.numpy(routing.demand)))
    tight = routed(xp, logits, k=K, capacity=most)
    assert_array_equal(xp.numpy(routing.slot), xp.numpy(tight.slot))
    assert_array_equal(xp.numpy(routing.token_index)[..., :most], xp.numpy(tight.token_index))
    assert np.all(xp.numpy(routing.token_index)[..., most:] == N)


def test_segments_are_the_assignments_sorted_by_expert(xp, rng, logits):
    x = rng.normal(size=(3, N, 5))
    routing = routed(xp, logits, k=K, capacity=C)
    segments = routing.segments()
    tokens, offsets = xp.numpy(segments.token_index), xp.numpy(segments.offsets)
    for g in range(3):
        for e in range(M):
            buffer = xp.numpy(routing.token_index)[g, e]
            assert_array_equal(tokens[g, offsets[g, e] : offsets[g, e + 1]], buffer[buffer < N])
        assert np.all(tokens[g, offsets[g, M] :] == N)
    once = segments.combine(segments.dispatch(xp.array(x)))
    assert_allclose(
        xp.numpy(once), xp.numpy(routing.combine(routing.dispatch(xp.array(x)))), rtol=1e-12
    )


sizes = st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(0, 4), st.integers(0, 2**31))


@given(sizes)
def test_properties_of_buffers(size):
    n, m, capacity, seed = size
    rng = np.random.default_rng(seed)
    k = int(rng.integers(0, m + 1))
    logits, mask = rng.normal(size=(n, m)), rng.random(n) < 0.8
    same = []
    for method, priority in [
        ("softmax_token_choice", "choice"),
        ("softmax_token_choice", "token"),
        ("batch_prioritized", "choice"),
    ]:
        routing = route(
            logits, method=method, k=k, capacity=capacity, priority=priority, where=mask
        )
        dispatch, _ = routing.dense()
        stats = routing.stats()
        assert np.all(dispatch.sum(axis=2) <= 1)
        assert np.all(dispatch.sum(axis=(1, 2)) <= k)
        assert np.all(dispatch.sum(axis=0) <= 1)
        assert_array_equal(stats.load, np.minimum(stats.demand, capacity))
        assert np.sum(stats.load) + stats.dropped == k * mask.sum()
        same.append(stats.dropped)
    assert len({int(value) for value in same}) == 1


@given(st.integers(0, 2**31))
def test_symmetries(seed):
    rng = np.random.default_rng(seed)
    logits, x = rng.normal(size=(7, 4)), rng.normal(size=(7, 3))
    options = {"k": 2, "capacity": 3}
    routing = route(logits, **options)
    shifted = route(logits + rng.normal(size=(7, 1)), **options)
    assert_array_equal(routing.slot, shifted.slot)
    assert_allclose(routing.weight, shifted.weight, rtol=1e-12)
    order = rng.permutation(4)
    moved = route(logits[:, order], **options)
    assert_array_equal(routing.token_index[order], moved.token_index)
    # the surest first: tokens may come in any order
    turn = rng.permutation(7)
    first = route(logits, method="batch_prioritized", **options)
    turned = route(logits[turn], method="batch_prioritized", **options)
    y = rng.normal(size=(4, 3))
    out = first.combine(first.dispatch(x) * y[:, None])
    assert_allclose(out[turn], turned.combine(turned.dispatch(x[turn]) * y[:, None]), atol=1e-12)


def test_identity_experts_give_the_tokens_back(xp, logits, rng):
    x = rng.normal(size=(3, N, 5))
    routing = routed(xp, logits, k=K, weights="renormalized")
    assert_allclose(
        xp.numpy(routing.combine(routing.dispatch(xp.array(x)))), x, rtol=1e-12, atol=1e-12
    )
