"""Plans with few entries a column, against enumeration of the supports and against SciPy."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from fenchel import namespace
from fenchel.autodiff import grad
from fenchel.convex import project_transport, sparse_plan
from fenchel.routers import route
from tests.routers.by_hand import softmax

INF = np.inf


def objective(scores, plan, temperature=1.0):
    return np.sum(scores * plan) - temperature / 2 * np.sum(plan**2)


def column(u, count, mass):
    """The best column: the projection of its largest entries on a simplex, by bisection."""
    kept = np.sort(u)[::-1][:count]
    low, high = kept.min() - mass, kept.max()
    for _ in range(200):
        tau = (low + high) / 2
        low, high = (tau, high) if np.maximum(kept - tau, 0).sum() > mass else (low, tau)
    y = np.maximum(u - tau, 0)
    y[np.argsort(-u, kind="stable")[count:]] = 0
    return y


def semidual(alpha, scores, count):
    n, m = scores.shape
    y = np.stack([column(alpha + scores[:, e], count, n / m) for e in range(m)], axis=1)
    value = np.sum(y * (alpha[:, None] + scores)) - np.sum(y**2) / 2 - alpha.sum()
    return value, y.sum(1) - 1, y


def best_by_enumeration(scores, count):
    """The maximum over all supports: the projection on the plans of each."""
    n, m = scores.shape
    best = -INF
    supports = list(itertools.combinations(range(n), count))
    for chosen in itertools.product(supports, repeat=m):
        table = np.full((n, m), -INF)
        for e, rows in enumerate(chosen):
            table[list(rows), e] = scores[list(rows), e]
        if np.any(np.all(table == -INF, axis=1)):
            continue
        plan = project_transport(table, np.ones(n), np.full(m, n / m))
        if max(abs(plan.sum(0) - n / m).max(), abs(plan.sum(1) - 1).max()) < 1e-6:
            best = max(best, objective(scores, plan))
    return best


@pytest.mark.parametrize(("n", "m", "count"), [(4, 2, 3), (3, 3, 2), (4, 2, 2), (6, 3, 2)])
def test_the_dual_value_bounds_the_maximum_and_meets_it_where_the_gap_is_0(rng, n, m, count):
    met = 0
    for _ in range(3):
        scores = softmax(rng.normal(size=(n, m)))
        plan, gap, error = sparse_plan(scores, count)
        best = best_by_enumeration(scores, count)
        assert objective(scores, plan) + gap >= best - 1e-9
        if gap < 1e-6 and error < 1e-6:
            assert objective(scores, plan) == pytest.approx(best, abs=1e-6)
            met += 1
    if count * m == n:  # the balanced assignment
        assert met == 3


def test_potentials_minimise_the_semidual_of_scipy(rng):
    logits = rng.normal(size=(6, 3))
    scores = softmax(logits)
    by_scipy = min(
        minimize(lambda a: semidual(a, scores, 3)[0], np.zeros(6), method=method).fun
        for method in ("Powell", "Nelder-Mead")
    )
    routing = route(logits, method="sparse_expert_choice", capacity=3, solver="lbfgs", max_iter=100)
    assignment = route(logits, method="balanced_assignment").dense()[0].sum(-1)
    assert -routing.value <= by_scipy + 1e-6  # which stops at a kink now and then
    assert -routing.value >= objective(scores, assignment) - 1e-9
    assert routing.gap == pytest.approx(
        abs(objective(scores, routing.plan) + routing.value), abs=1e-9
    )
    rows = np.abs(routing.plan.sum(1) - 1).max()
    assert routing.marginal_error == pytest.approx(rows)


def test_adam_takes_the_steps_of_the_paper(xp, rng):
    scores = softmax(rng.normal(size=(12, 3)))
    alpha, mean, square = np.zeros(12), np.zeros(12), np.zeros(12)
    for t in range(1, 21):
        _, g, _ = semidual(alpha, scores, 5)
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
        step = (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
        alpha = alpha - 1e-2 * step
    value, g, plan = semidual(alpha, scores, 5)
    found = xp.run(lambda s: tuple(sparse_plan(s, 5, solver="adam")), xp.array(scores))
    assert_allclose(xp.numpy(found[0]), plan, atol=1e-9)
    assert_allclose(xp.numpy(found[1]), abs(alpha @ g), atol=1e-9)
    assert_allclose(xp.numpy(found[2]), abs(g).max(), atol=1e-9)
    assert value - objective(scores, plan) == pytest.approx(alpha @ g)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 2**31))
def test_columns_are_exact_and_sparse(n, m, seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, n + 1))
    scores = rng.normal(size=(2, n, m))
    for solver in ("adam", "lbfgs"):
        plan, gap, error = sparse_plan(scores, count, solver=solver, max_iter=7)
        assert_allclose(plan.sum(-2), np.full((2, m), n / m), rtol=1e-12)
        assert np.all((plan > 0).sum(-2) <= count)
        assert np.all(plan >= 0)
        assert np.all(gap >= 0)
        assert_allclose(error, np.abs(plan.sum(-1) - 1).max(-1), atol=1e-12)


def test_temperature_scales_the_problem(rng):
    scores = rng.normal(size=(8, 2))
    plan, gap, _ = sparse_plan(scores, 5, temperature=0.5, max_iter=9)
    same, same_gap, _ = sparse_plan(2 * scores, 5, max_iter=9)
    assert_allclose(plan, same, rtol=1e-12)
    assert gap == pytest.approx(0.5 * same_gap)


def test_rows_and_columns_of_minus_infinity_get_nothing(xp, rng):
    scores = rng.normal(size=(2, 7, 3))
    scores[0, 2] = -INF
    scores[1, :, 1] = -INF
    plan = xp.numpy(xp.run(lambda s: sparse_plan(s, 4, max_iter=9).plan, xp.array(scores)))
    assert np.all(plan[scores == -INF] == 0)
    assert_allclose(plan[0].sum(0), [2, 2, 2])
    assert_allclose(plan[1].sum(0), [3.5, 0, 3.5])
    alone = sparse_plan(np.delete(scores[0], 2, axis=0), 4, max_iter=9).plan
    assert_allclose(np.delete(plan[0], 2, axis=0), alone, atol=1e-6)


def test_derivatives_are_those_of_the_plan_on_its_support(xp, rng):
    scores, weights = rng.normal(size=(8, 2)), rng.normal(size=(8, 2))
    plan = sparse_plan(scores, 5, max_iter=30).plan
    table = np.where(plan > 0, scores, -INF)

    def on_support(s):
        masked = np.where(plan > 0, s, -INF)
        return np.sum(weights * project_transport(masked, plan.sum(1), plan.sum(0)))

    assert_allclose(project_transport(table, plan.sum(1), plan.sum(0)), plan, atol=1e-9)
    w = xp.array(weights)

    def loss(s):
        space = namespace(s)
        return space.sum(space.multiply(sparse_plan(s, 5, max_iter=30).plan, w))

    found = grad(loss)(xp.array(scores))
    assert_allclose(xp.numpy(found), grad(on_support)(scores), atol=1e-8)


def test_errors():
    scores = np.zeros((4, 2))
    for count in (0, 5):
        with pytest.raises(ValueError, match=rf"`max_nonzeros` must be at (least|most) .*={count}"):
            sparse_plan(scores, count)
    with pytest.raises(TypeError, match="`max_nonzeros` must be an integer"):
        sparse_plan(scores, 2.0)
    with pytest.raises(ValueError, match="`solver` must be one of"):
        sparse_plan(scores, 2, solver="newton")
    with pytest.raises(ValueError, match="`temperature` must be above 0"):
        sparse_plan(scores, 2, temperature=0.0)
    with pytest.raises(ValueError, match="`max_iter` must be at least 1"):
        sparse_plan(scores, 2, max_iter=0)
    assert_array_equal(sparse_plan(np.zeros((1, 1)), 1).plan, [[1.0]])
