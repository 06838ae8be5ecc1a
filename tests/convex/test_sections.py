"""Box sections and the knapsack, against general solvers and the closed derivative."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linprog, minimize

import fenchel
from fenchel import convex
from tests import libraries
from tests.derivatives import hessian_product, vjp_matrix


def brute_section(x, lower, upper, w, c):
    """Try every assignment of entries to {lower, free, upper}; keep the nearest feasible point."""
    best, distance = None, np.inf
    for state in product((-1, 0, 1), repeat=len(x)):
        state = np.array(state)
        free = state == 0
        y = np.where(state < 0, lower, np.where(state > 0, upper, x))
        square = np.sum(w[free] ** 2)
        gap = np.sum(w * y) - c
        if square > 0:
            y = np.where(free, x - gap / square * w, y)
        feasible = abs(np.sum(w * y) - c) < 1e-9
        inside = np.all((y >= lower - 1e-12) & (y <= upper + 1e-12))
        if feasible and inside and np.sum((y - x) ** 2) < distance:
            best, distance = y, np.sum((y - x) ** 2)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_section_against_every_assignment(seed):
    rng = np.random.default_rng(seed)
    x, w = 2 * rng.normal(size=5), rng.normal(size=5) * rng.choice([1.0, 0.0], 5, p=[0.8, 0.2])
    lower = -rng.uniform(0, 1, 5)
    upper = lower + rng.uniform(0, 2, 5)
    c = w @ (lower + rng.uniform(0, 1, 5) * (upper - lower))
    got = convex.project_box_section(x, lower, upper, w, c)
    assert_allclose(got, brute_section(x, lower, upper, w, c), atol=1e-10)


@pytest.mark.parametrize("seed", range(6))
def test_knapsack_against_slsqp(seed):
    rng = np.random.default_rng(seed)
    x, w, c = rng.normal(size=6) + 0.5, rng.uniform(0, 1, 6), rng.uniform(0.1, 2)
    solved = minimize(
        lambda y: np.sum((y - x) ** 2) / 2,
        np.zeros(6),
        jac=lambda y: y - x,
        bounds=[(0, 1)] * 6,
        constraints={"type": "ineq", "fun": lambda y: c - w @ y, "jac": lambda y: -w},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert_allclose(convex.project_knapsack(x, w, c), solved.x, atol=1e-6)
    assert_allclose(
        convex.project_knapsack(x, 0.7, c), convex.project_knapsack(x, np.full(6, 0.7), c)
    )


def test_against_jaxopt():
    jax, peer = pytest.importorskip("jax"), pytest.importorskip("jaxopt.projection")
    jnp = libraries.get("jax").namespace  # in float64
    rng = np.random.default_rng(0)
    x, w = 2 * rng.normal(size=(4, 5)), rng.uniform(0.2, 1, 5)
    box, hyperplane = (jnp.zeros(5), jnp.ones(5), jnp.asarray(w), 1.3), jnp.asarray(w[None])

    def theirs(x):
        return (
            peer.projection_box_section(x, box, check_feasible=False),
            peer.projection_l1_ball(x, 0.8),
            peer.projection_l2_ball(x, 0.8),
            peer.projection_linf_ball(x, 0.8),
            peer.projection_affine_set(x, (hyperplane, jnp.asarray([1.3]))),
        )

    section, *others = jax.jit(jax.vmap(theirs))(jnp.asarray(x))
    got = convex.project_box_section(x, 0.0, 1.0, w, 1.3)
    assert_allclose(got @ w, 1.3, atol=1e-14)
    # Theirs bisects until the total is met up to 1e-5; an entry is off by that over its weight.
    assert_allclose(got, section, rtol=0, atol=1e-5 / w.min())
    affine = convex.project_affine(x, w[None], np.array([1.3]))
    balls = convex.project_l1_ball, convex.project_l2_ball, convex.project_linf_ball
    ours = [*(project(x, 0.8) for project in balls), affine]
    for one, other in zip(ours, others, strict=True):
        assert_allclose(one, other, atol=1e-10)


def test_unit_weights_give_the_capped_simplex(xp, rng):
    x = rng.normal(size=(5, 7)) * 3
    k = np.array([[0.0], [0.3], [2.0], [5.5], [7.0]])
    got = xp.run(
        lambda x, k: convex.project_box_section(x, 0.0, 1.0, 1.0, k), xp.array(x), xp.array(k)
    )
    assert_allclose(xp.numpy(got), convex.project_capped_simplex(x, k), atol=1e-12)


def closed_vjp(y, w, tight):
    """Section 2.5: v - w_A (w_A . v)/|w_A|^2 on the free set A; the identity there if slack."""
    free = (y > 0) & (y < 1)
    w = np.where(free, w, 0.0)
    square = np.sum(w**2)
    return np.diag(free.astype(float)) - (np.outer(w, w) / square if tight and square else 0.0)


@pytest.mark.parametrize("capacity", [0.8, 9.0])
def test_closed_derivative_of_the_knapsack(xp, capacity):
    x = np.array([0.7, -0.2, 0.45, 0.3, 1.1])
    w = np.array([0.5, 1.0, 0.25, 2.0, 0.3])
    got = vjp_matrix(xp, lambda x: convex.project_knapsack(x, _plain(xp, w), capacity), x)
    y = convex.project_knapsack(x, w, capacity)
    assert_allclose(got, closed_vjp(y, w, tight=capacity < 1), atol=1e-12)


def _plain(xp, w):
    return xp.array(w)


def test_second_derivatives(xp):
    """On a piece the map is linear in x, so that the square of its norm has the Hessian 2 J'J."""
    x, d = np.array([0.7, -0.2, 0.45, 0.3, 1.1]), np.array([1.0, 2.0, -1.0, 0.5, 3.0])
    w = np.array([0.5, 1.0, 0.25, 2.0, 0.3])

    def value(x):
        y = convex.project_knapsack(x, _plain(xp, w), 0.8)
        space = fenchel.namespace(y)
        return space.sum(space.multiply(y, y))

    jacobian = closed_vjp(convex.project_knapsack(x, w, 0.8), w, True)
    assert_allclose(hessian_product(xp, value, x, d), 2 * jacobian.T @ jacobian @ d, atol=1e-11)


@pytest.mark.parametrize("k", [0.0, 2.0, 5.0])
def test_no_free_entry_has_no_derivative(xp, k):
    """k = 0, k = d, and a gap above 1 between the k-th entry and the next, over an open set."""
    x = np.array([4.0, 3.0, 0.5, 0.25, -1.0])
    for project in (
        lambda x: convex.project_box_section(x, 0.0, 1.0, 1.0, k),
        lambda x: convex.project_box_section(x, 0.0, 1.0, _plain(xp, np.ones(5)), k),
    ):
        assert_array_equal(xp.numpy(xp.run(project, xp.array(x))), (np.arange(5) < k) * 1.0)
        assert_array_equal(vjp_matrix(xp, project, x), 0)


@pytest.mark.parametrize("project", [convex.project_knapsack, convex.project_kl_knapsack])
def test_capacity_zero(xp, project):
    x = np.array([0.5, -1.0, 2.0])
    for w in (1.0, _plain(xp, np.array([1.0, 2.0, 0.5]))):
        got = xp.run(lambda x, w=w: project(x, w, 0.0), xp.array(x))
        assert_array_equal(xp.numpy(got), 0)
        assert_array_equal(vjp_matrix(xp, lambda x, w=w: project(x, w, 0.0), x), 0)


def test_weights_zero_are_no_constraint(xp):
    x, zero = np.array([0.5, -1.0, 2.0]), xp.array(np.zeros(3))
    got = convex.project_knapsack(xp.array(x), zero, 0.0)
    assert_array_equal(xp.numpy(got), [0.5, 0.0, 1.0])
    got = convex.project_kl_knapsack(xp.array(x), zero, 0.0)
    assert_allclose(xp.numpy(got), np.minimum(np.exp(x), 1))
    got = convex.project_box_section(xp.array(x), -0.5, 1.0, zero, 0.0)
    assert_array_equal(xp.numpy(got), [0.5, -0.5, 1.0])


def test_empty_sets_are_nan_rows(xp):
    x = xp.array(np.array([[0.5, 1.0], [0.2, 0.1]]))
    total = xp.array(np.array([[1.0], [2.5]]))
    got = xp.numpy(xp.run(lambda x: convex.project_box_section(x, 0.0, 1.0, 1.0, total), x))
    assert_allclose(got[0], [0.25, 0.75])
    assert np.isnan(got[1]).all()
    lower = xp.array(np.array([[0.0, 0.0], [0.0, 2.0]]))
    got = xp.numpy(convex.project_box_section(x, lower, 1.0, 1.0, 1.0))
    assert_array_equal(np.isnan(got), [[False, False], [True, True]])
    capacity = xp.array(np.array([[1.0], [-0.1]]))
    got = xp.numpy(convex.project_knapsack(x, 1.0, capacity))
    assert_array_equal(np.isnan(got), [[False, False], [True, True]])
    got = xp.numpy(convex.project_knapsack(x, xp.array(np.ones(2)), capacity))
    assert_array_equal(np.isnan(got), [[False, False], [True, True]])
    got = xp.numpy(convex.project_kl_knapsack(x, 1.0, capacity))
    assert_array_equal(np.isnan(got), [[False, False], [True, True]])


def test_infinite_bounds_and_entries(xp):
    """Without bounds the section is a hyperplane; an infinite entry goes to its bound."""
    infinity = float("inf")
    x, w = np.array([[0.5, -1.0, 2.0]]), np.array([1.0, -2.0, 0.5])
    got = convex.project_box_section(xp.array(x), -infinity, infinity, xp.array(w), 0.3)
    assert_allclose(xp.numpy(got), convex.project_affine(x, w[None], np.array([0.3])), atol=1e-12)
    x = xp.array(np.array([[-np.inf, 0.5, 1.0], [np.inf, 0.2, 0.3]]))
    got = xp.numpy(convex.project_box_section(x, 0.0, 1.0, 1.0, 1.25))
    assert_allclose(got, [[0.0, 0.375, 0.875], [1.0, 0.075, 0.175]], atol=1e-12)
    got = xp.numpy(convex.project_box_section(x, -infinity, 1.0, 1.0, 1.25))
    assert_array_equal(np.isnan(got), [[True] * 3, [False] * 3])
    got = xp.numpy(convex.BoxSection(0.0, infinity, 1.0, 1.0).linear_argmax(x))
    assert np.isnan(got).all()


def test_offsets_cost_no_accuracy():
    """float32 entries around 1e6: the total still holds to rounding."""
    x = np.array([0.75, 0.5, -0.25, 0.125], dtype=np.float32) + np.float32(2**20)
    got = convex.project_box_section(x, 0.0, 1.0, np.ones(4, np.float32), 1.5)
    assert got.dtype == np.float32
    assert_allclose(got, convex.project_capped_simplex(x - np.float32(2**20), 1.5), atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_linear_argmax_against_linprog(xp, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=6), rng.normal(size=6) * rng.choice([1.0, 0.0], 6, p=[0.8, 0.2])
    lower, upper = -rng.uniform(0, 1, 6), rng.uniform(0, 1, 6)
    c = w @ (lower + rng.uniform(0, 1, 6) * (upper - lower))
    found = convex.BoxSection(*map(xp.array, (lower, upper, w)), float(c))
    got = xp.numpy(xp.run(found.linear_argmax, xp.array(x)))
    solved = linprog(-x, A_eq=w[None], b_eq=[c], bounds=list(zip(lower, upper, strict=True)))
    assert_allclose(got @ x, -solved.fun, rtol=1e-9)
    assert_allclose(got @ w, c, atol=1e-12)
    capacity = max(0.2, np.minimum(w, 0).sum() + 0.2)
    got = xp.numpy(convex.Knapsack(xp.array(w), float(capacity)).linear_argmax(xp.array(x)))
    solved = linprog(-x, A_ub=w[None], b_ub=[capacity], bounds=[(0, 1)] * 6)
    assert_allclose(got @ x, -solved.fun, rtol=1e-9)
    assert got @ w <= capacity + 1e-12


def test_ties_share(xp):
    got = convex.Knapsack(1.0, 1.5).linear_argmax(xp.array(np.array([1.0, 3.0, 1.0, -1.0])))
    assert_allclose(xp.numpy(got), [0.25, 1.0, 0.25, 0.0])


numbers = st.floats(-3, 3, allow_nan=False).map(lambda v: round(v, 3))


@settings(max_examples=60)
@given(
    st.integers(1, 7).flatmap(
        lambda n: st.tuples(*[st.lists(numbers, min_size=n, max_size=n)] * 3)
    ),
    st.floats(0, 1),
)
def test_optimality(data, share):
    """Feasible, and for one multiplier every entry is where its sign sends it."""
    x, w, low = map(np.array, data)
    high = low + 1.5
    c = float(np.sum(w * (low + share * (high - low))))
    y = convex.project_box_section(x, low, high, w, c)
    assert np.all((y >= low) & (y <= high))
    assert_allclose(w @ y, c, atol=1e-9)
    inside = (y > low + 1e-9) & (y < high - 1e-9)
    active = inside & (np.abs(w) > 1e-3)
    if active.any():
        tau = ((x - y)[active] / w[active])[0]
        assert_allclose(y, np.clip(x - tau * w, low, high), atol=1e-6)
