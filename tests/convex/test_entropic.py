"""Entropic projections: against general solvers, high precision and each other."""

from itertools import permutations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

import fenchel
from fenchel import convex
from tests.convex import oracles
from tests.derivatives import hessian_product, jvp_matrix, vjp_matrix

W = np.array([1.0, 2.0, 0.5, 0.3, 1.5])
SETS = {
    "non-negative": (lambda a: convex.NonNegative(), []),
    "cube": (lambda a: convex.Cube(), []),
    "simplex": (lambda a: convex.Simplex(2.0), []),
    "capped simplex": (lambda a: convex.CappedSimplex(2.5), []),
    "knapsack": (lambda a: convex.Knapsack(a(W), 1.4), []),
    "slack knapsack": (lambda a: convex.Knapsack(a(W), 9.0), []),
    "equal weights": (lambda a: convex.Knapsack(0.5, 0.9), []),
    "order simplex": (lambda a: convex.OrderSimplex(), []),
    "permutahedron": (lambda a: convex.Permutahedron(a(W)), []),
}
X = np.array([0.7, -0.9, 0.45, -1.3, 0.2])


@pytest.fixture(params=SETS)
def build(request):
    return SETS[request.param][0]


def objective(y, x):
    """y log y - y - x y summed, and its gradient; y > 0."""
    y = np.maximum(y, 1e-300)
    return np.sum(y * np.log(y) - y - x * y), np.log(y) - x


def constraints_of(name):
    """What SciPy needs to know of a set: bounds and constraints."""
    one = np.ones(5)
    upper = None if name in ("non-negative", "simplex", "permutahedron") else 1.0
    found = []
    if name == "simplex":
        found.append({"type": "eq", "fun": lambda y: y.sum() - 2.0})
    if name == "capped simplex":
        found.append({"type": "eq", "fun": lambda y: y.sum() - 2.5})
    if "knapsack" in name:
        capacity = 9.0 if "slack" in name else 1.4
        found.append({"type": "ineq", "fun": lambda y: capacity - W @ y})
    if name == "equal weights":
        found.append({"type": "ineq", "fun": lambda y: 0.9 - 0.5 * one @ y})
    if name == "order simplex":
        found.append({"type": "ineq", "fun": lambda y: y[:-1] - y[1:]})
    if name == "permutahedron":
        found.append({"type": "eq", "fun": lambda y: y.sum() - W.sum()})
        subsets = [np.array(s, dtype=bool) for s in np.ndindex(*[2] * 5) if 0 < sum(s) < 5]
        limits = {size: np.sort(W)[::-1][:size].sum() for size in range(1, 5)}
        found += [
            {"type": "ineq", "fun": lambda y, s=s: limits[s.sum()] - y[s].sum()} for s in subsets
        ]
    return [(1e-9, upper)] * 5, found


@pytest.mark.parametrize("name", SETS)
def test_against_slsqp(name):
    bounds, constraints = constraints_of(name)
    start = np.full(5, W.mean()) if name == "permutahedron" else np.full(5, 0.15)
    solved = minimize(
        objective,
        start,
        args=(X,),
        jac=True,
        bounds=bounds,
        constraints=constraints,
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    got = SETS[name][0](np.asarray).project_kl(X)
    assert_allclose(got, solved.x, atol=2e-6)
    assert objective(got, X)[0] <= solved.fun + 1e-9


def test_every_library_agrees(xp, build):
    x = np.stack([X, 3 * X[::-1], X + 100.0])
    found = build(xp.array)
    if isinstance(found, convex.NonNegative):
        x = x[:2]
    got = xp.numpy(xp.run(found.project_kl, xp.array(x)))
    assert_allclose(got, build(np.asarray).project_kl(x), rtol=1e-12)
    turned = xp.numpy(found.project_kl(xp.array(x.T.copy()), axis=0))
    assert_allclose(turned, got.T, rtol=1e-12)


@pytest.mark.parametrize("matrix", [vjp_matrix, jvp_matrix])
def test_jacobian(xp, build, matrix):
    got = matrix(xp, build(xp.array).project_kl, X)
    assert_allclose(got, oracles.jacobian(build(np.asarray).project_kl, X, step=1e-3), atol=1e-9)
    assert_allclose(got, got.T, atol=1e-12)


def test_hessian_product(xp, build):
    direction, weights = np.array([1.0, 2.0, -1.0, 0.5, 3.0]), np.array([1.0, -1.0, 0.5, 2.0, 1.5])

    def value(x):
        space = fenchel.namespace(x)
        return space.sum(space.multiply(build(xp.array).project_kl(x), xp.array(weights)))

    def numeric(x):
        return vjp_matrix(_numpy(), build(np.asarray).project_kl, x).T @ weights

    got = hessian_product(xp, value, X, direction)
    assert_allclose(got, oracles.difference(numeric, X, direction, step=1e-3), atol=1e-8)


def _numpy():
    from tests import libraries

    return libraries.get("numpy")


def test_slack_budget_is_the_cube(xp):
    """The published code scales up to the capacity although the cube's point is within it."""
    x = np.array([-1.0, -2.0, -0.5])
    for w in (1.0, xp.array(np.ones(3))):
        got = xp.run(lambda x, w=w: convex.project_kl_knapsack(x, w, 2.0), xp.array(x))
        assert_allclose(xp.numpy(got), np.exp(x))
    equality = convex.project_kl_capped_simplex(x, 2.0)
    assert equality.sum() == pytest.approx(2.0)
    assert np.all(equality > np.exp(x))


def test_equal_weights_agree_with_the_general_route(xp, rng):
    x = rng.normal(size=(6, 5)) * np.array([[0.1], [1.0], [3.0], [10.0], [30.0], [300.0]])
    capacity = np.array([[0.2], [1.0], [0.7], [2.0], [1.1], [0.5]])
    general = convex.project_kl_knapsack(xp.array(x), xp.array(np.full(5, 0.5)), xp.array(capacity))
    equal = convex.project_kl_knapsack(xp.array(x), 0.5, xp.array(capacity))
    assert_allclose(xp.numpy(general), xp.numpy(equal), atol=1e-11)


def precise(x, w, c):
    """Bisection in 60 digits of sum w min(exp(x - tau w), 1) = c."""
    with mpmath.workdps(60):
        x, w = [mpmath.mpf(v) for v in x], [mpmath.mpf(v) for v in w]

        def total(tau):
            pairs = zip(x, w, strict=True)
            return sum(b * min(mpmath.exp(a - tau * b), mpmath.mpf(1)) for a, b in pairs)

        low, high = mpmath.mpf(-(10**6)), mpmath.mpf(10**6)
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if total(middle) > c else (low, middle)
        pairs = zip(x, w, strict=True)
        return np.array([float(min(mpmath.exp(a - low * b), mpmath.mpf(1))) for a, b in pairs])


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0, 1000.0])
def test_any_scale_against_sixty_digits(scale, rng):
    x, w = scale * rng.normal(size=7), rng.uniform(0.1, 3, 7)
    for c in (1e-6, 0.5, 2.0, w.sum() - 1e-3):
        got = convex.project_kl_knapsack(x + 10 * scale, w, c)
        assert_allclose(got, precise(x + 10 * scale, w, c), rtol=1e-10 * (1 + scale), atol=1e-14)
    for k in (0.5, 3.0, 6.5):
        got = convex.project_kl_capped_simplex(x, k)
        assert_allclose(got, precise(x, np.ones(7), k), rtol=1e-10 * (1 + scale), atol=1e-14)


@pytest.mark.parametrize("seed", range(12))
def test_weights_over_six_decades_against_sixty_digits(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=8) * 10 ** rng.uniform(-2, 2.5)
    w = 10 ** rng.uniform(-3, 3, 8)
    c = np.minimum(np.exp(x), 1) @ w * 10 ** rng.uniform(-6, -0.01)
    got = convex.project_kl_knapsack(x, w, c)
    assert_allclose(got @ w, c, rtol=1e-11)
    assert_allclose(got, precise(x, w, c), atol=1e-11)


@pytest.mark.parametrize("k", [0.0, 4.0])
def test_ends_have_no_derivative(xp, k):
    """At k = 0 nothing moves, and at k = n nothing does, ties included."""
    for x in (X[:4], np.zeros(4)):
        project = lambda x: convex.project_kl_capped_simplex(x, k)
        assert_array_equal(xp.numpy(xp.run(project, xp.array(x))), k / 4)
        assert_array_equal(vjp_matrix(xp, project, x), 0)


def test_masked_entries_stay_out(xp):
    x = np.array([[0.5, -np.inf, 1.0], [-np.inf, -np.inf, 0.3], [-np.inf, -np.inf, -np.inf]])
    got = xp.numpy(xp.run(lambda x: convex.project_kl_capped_simplex(x, 1.5), xp.array(x)))
    share = 1.5 / (1 + np.exp(0.5))
    # The budget is clamped to the number of entries that take part.
    wanted = [[share, 0.0, 1.5 - share], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    assert_allclose(got, wanted, atol=1e-12)
    got = xp.numpy(xp.run(convex.project_kl_simplex, xp.array(x)))
    assert_allclose(got.sum(axis=-1), [1.0, 1.0, 0.0])
    got = xp.numpy(xp.run(lambda x: convex.project_kl_knapsack(x, 1.0, 1.0), xp.array(x)))
    assert_allclose(got.sum(axis=-1), [1.0, 1.0, 0.0])
    finite = np.array([0.5, -np.inf, 1.0])
    for project in (
        convex.project_kl_simplex,
        convex.project_kl_cube,
        lambda x: convex.project_kl_capped_simplex(x, 1.3),
        lambda x: convex.project_kl_knapsack(x, xp.array(W[:3]), 0.7),
    ):
        assert np.isfinite(vjp_matrix(xp, project, finite)).all()


def test_infinite_entries(xp):
    x = xp.array(np.array([np.inf, 0.0, np.inf, -np.inf]))
    assert_allclose(xp.numpy(convex.project_kl_simplex(x)), [0.5, 0, 0.5, 0])
    assert_allclose(xp.numpy(convex.project_kl_capped_simplex(x, 1)), [0.5, 0, 0.5, 0])
    assert_allclose(xp.numpy(convex.project_kl_capped_simplex(x, 2.5)), [1, 0.5, 1, 0])
    w = xp.array(np.array([1.0, 2.0, 4.0, 3.0]))
    assert_allclose(xp.numpy(convex.project_kl_permutahedron(x, w)), [3.5, 2.0, 3.5, 1.0])


def test_large_scores_do_not_overflow(xp):
    x = xp.array(np.array([1e5, 0.0, -1e5]))
    assert_array_equal(xp.numpy(convex.project_kl_cube(x)), [1, 1, 0])
    assert np.isfinite(vjp_matrix(xp, convex.project_kl_cube, np.array([1e5, 0.0, -1e5]))).all()
    got = xp.numpy(convex.project_kl_capped_simplex(x, 1.5))
    assert_allclose(got, [1, 0.5, 0], atol=1e-12)


def test_permutahedron_keeps_sums_and_majorizes(rng):
    x = rng.normal(size=(20, 5)) * 3
    y = convex.Permutahedron(W).project_kl(x)
    assert_allclose(y.sum(axis=-1), W.sum())
    assert convex.Permutahedron(W).contains(y).all()
    far = np.array([40.0, 0.0, 80.0, -40.0, 120.0])
    assert_allclose(convex.Permutahedron(W).project_kl(far), [1.0, 0.5, 1.5, 0.3, 2.0])


def test_permutahedron_is_the_entropic_soft_rank(xp):
    """With w = (1, ..., n) it is what soft ranks with entropic regularization are."""
    x = np.array([0.3, -1.0, 2.0, 0.5])
    got = xp.run(
        lambda x: convex.project_kl_permutahedron(x, xp.array(np.arange(1.0, 5.0))), xp.array(x)
    )
    wanted = fenchel.soft_rank(x, regularization="entropic")
    assert_allclose(xp.numpy(got), wanted, rtol=1e-12)


def test_weights_of_a_permutahedron_are_positive(xp):
    x = xp.array(np.zeros((2, 3)))
    w = xp.array(np.array([[1.0, 2.0, 3.0], [1.0, 0.0, 3.0]]))
    got = xp.numpy(convex.project_kl_permutahedron(x, w))
    assert_allclose(got[0], 2.0)
    assert np.isnan(got[1]).all()


def test_half_precision_and_empty_batches(xp, build):
    found = build(xp.array)
    assert tuple(found.project_kl(xp.array(np.zeros((0, 5)))).shape) == (0, 5)
    if xp.name == "numpy":
        half = X.astype(np.float16)
        got = build(lambda a: a.astype(np.float16)).project_kl(half)
        assert got.dtype == np.float16
        assert_allclose(got, build(np.asarray).project_kl(half.astype(float)), rtol=3e-3)


def test_nan_stays_in_its_row(xp, build):
    x = np.stack([X, X, X])
    x[1, 2] = np.nan
    got = xp.numpy(xp.run(build(xp.array).project_kl, xp.array(x)))
    assert np.isnan(got[1]).any()
    assert np.isfinite(got[[0, 2]]).all()


scores = st.floats(-6, 6).map(lambda v: round(v, 2))


@settings(max_examples=60)
@given(st.lists(scores, min_size=1, max_size=6), st.floats(0, 1))
def test_order_and_sum(values, share):
    x = np.array(values)
    k = share * len(x)
    y = convex.project_kl_capped_simplex(x, k)
    assert np.all((y >= 0) & (y <= 1))
    assert_allclose(y.sum(), k, atol=1e-12 * len(x))
    order = np.argsort(x, kind="stable")
    assert np.all(np.diff(y[order]) >= -1e-12)


@settings(max_examples=40)
@given(st.lists(scores, min_size=3, max_size=3))
def test_no_vertex_mixture_is_better(values):
    """The objective at the projection is at least that of mixtures of vertices."""
    x, w = np.array(values), np.array([0.5, 1.0, 2.0])
    y = convex.project_kl_permutahedron(x, w)
    rng = np.random.default_rng(0)
    mixtures = rng.dirichlet(np.ones(6), size=50) @ np.array(list(permutations(w)))
    best = objective(y, x)[0]
    assert all(objective(m, x)[0] >= best - 1e-10 for m in mixtures)
