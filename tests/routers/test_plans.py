"""Routers that select from transport plans."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fenchel.autodiff import grad
from fenchel.routers import route
from tests.routers import by_hand


def sweeps(logits, count, temperature=1.0):
    """Sinkhorn's iteration as it is written, on the kernel."""
    n, m = logits.shape
    kernel, u = np.exp(logits / temperature), np.ones(n)
    for _ in range(count):
        v = (n / m) / (kernel.T @ u)
        u = 1 / (kernel @ v)
    return u[:, None] * kernel * v


def test_sinkhorn_selects_from_the_plan_and_weighs_by_probabilities(xp, rng):
    logits = rng.normal(size=(2, 12, 4))
    routing = xp.run(
        lambda z: route(z, method="sinkhorn_token_choice", k=2, capacity=6), xp.array(logits)
    )
    for g in range(2):
        plan = sweeps(logits[g], 20)
        choices, slot, *_ = by_hand.token_choice(plan, logits[g], 2, 6)
        assert_array_equal(xp.numpy(routing.expert_index)[g], choices)
        assert_array_equal(xp.numpy(routing.slot)[g], slot)
        weight = np.take_along_axis(by_hand.softmax(logits[g]), choices, -1)
        assert_allclose(xp.numpy(routing.weight)[g], np.where(slot >= 0, weight, 0), rtol=1e-12)
        assert_allclose(xp.numpy(routing.plan)[g], plan, rtol=1e-10)
        off = np.abs(plan.sum(0) - 3).max()
        assert xp.numpy(routing.marginal_error)[g] == pytest.approx(off, abs=1e-12)
    assert_allclose(xp.numpy(routing.plan).sum(-1), np.ones((2, 12)), rtol=1e-13)


def test_columns_get_better_with_sweeps(rng):
    logits = 3 * rng.normal(size=(30, 5))
    errors = [
        float(route(logits, method="sinkhorn_token_choice", max_iter=i).marginal_error)
        for i in (1, 3, 9, 27, 81)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-4


def test_sinkhorn_expert_choice(xp, rng):
    logits = rng.normal(size=(12, 4))
    routing = xp.run(
        lambda z: route(z, method="sinkhorn_expert_choice", capacity=4, weights="plan"),
        xp.array(logits),
    )
    plan = sweeps(logits, 20)
    tokens = by_hand.expert_choice(plan, 4)
    assert_array_equal(xp.numpy(routing.token_index), tokens)
    weight = np.take_along_axis(plan.T, tokens, -1)
    assert_allclose(xp.numpy(routing.weight), weight, rtol=1e-10)


def test_implicit_and_unrolled_gradients_agree_at_convergence(rng):
    logits, x = rng.normal(size=(10, 3)), rng.normal(size=(10, 4))

    def loss(z, gradient):
        routing = route(
            z,
            method="sinkhorn_token_choice",
            k=2,
            weights="plan",
            max_iter=300,
            gradient=gradient,
        )
        return np.sum(np.sin(routing.combine(routing.dispatch(x))))

    implicit = grad(lambda z: loss(z, "implicit"))(logits)
    unrolled = grad(lambda z: loss(z, "unrolled"))(logits)
    assert_allclose(implicit, unrolled, rtol=0, atol=1e-10)
    assert np.abs(implicit).max() > 1e-3
    assert_array_equal(grad(lambda z: loss(z, "none"))(logits), np.zeros_like(logits))


@pytest.mark.parametrize(("n", "m", "capacity"), [(196, 32, 7), (64, 8, 8)])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_sparse_plan_leaves_few_tokens_alone(n, m, capacity, solver):
    alone = {"softmax_expert_choice": 0, "sparse_expert_choice": 0}
    for seed in range(3):
        logits = np.random.default_rng(seed).normal(size=(n, m))
        for method in alone:
            routing = route(logits, method=method, capacity=capacity, solver=solver, max_iter=40)
            alone[method] += int(routing.stats().unrouted)
    assert alone["sparse_expert_choice"] <= 0.5 * alone["softmax_expert_choice"]


def test_the_sparse_router_reports_how_good_its_plan_is(rng):
    routing = route(rng.normal(size=(8, 2)), method="sparse_expert_choice", solver="lbfgs")
    assert routing.capacity == 4
    assert_allclose(routing.plan.sum(0), [4, 4])
    assert routing.gap < 1e-6
    assert routing.marginal_error < 1e-6
    assert_array_equal(routing.stats().unrouted, 0)


def test_the_error_of_columns_is_the_largest_either_way():
    signs = set()
    for seed in range(9):
        logits = 2 * np.random.default_rng(seed).normal(size=(9, 3))
        routing = route(logits, method="sinkhorn_token_choice", max_iter=1)
        off = routing.plan.sum(0) - 3
        assert_allclose(routing.marginal_error, np.abs(off).max(), rtol=1e-12)
        signs.add(np.sign(off[np.argmax(np.abs(off))]))
    assert signs == {-1, 1}


def test_weights_of_the_sparse_plan_are_constants_unless_asked_for(rng):
    logits, y = rng.normal(size=(9, 3)), rng.normal(size=(3, 6, 2))

    def loss(z, gradient):
        options = {"weights": "plan", "capacity": 6, "temperature": 5.0, "gradient": gradient}
        routing = route(z, method="sparse_expert_choice", **options)
        return np.sum(np.sin(routing.combine(y)))

    assert_array_equal(grad(lambda z: loss(z, "none"))(logits), np.zeros_like(logits))
    assert np.abs(grad(lambda z: loss(z, "implicit"))(logits)).max() > 1e-4
