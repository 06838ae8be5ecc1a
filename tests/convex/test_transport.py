"""Plans with given marginals: Euclidean and entropic projections, vertices, membership."""

from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linprog, minimize

from fenchel import convex, trees
from fenchel.autodiff import hessian
from tests.convex import oracles
from tests.derivatives import jvp_matrix, vjp_matrix

INF = np.inf
A, B = np.array([1.0, 0.7, 1.3, 0.5]), np.array([1.2, 0.9, 1.4])


def constraints(n, m):
    rows = np.kron(np.eye(n), np.ones((1, m)))
    return np.vstack([rows, np.kron(np.ones((1, n)), np.eye(m))])


def best_value(x, a, b):
    """Maximum of <P, x>, by a linear program of its own."""
    n, m = x.shape
    solved = linprog(-x.ravel(), A_eq=constraints(n, m), b_eq=np.concatenate([a, b]))
    return -solved.fun


def assert_nearest(x, plan, a, b):
    """<x - P, V - P> <= 0 for every plan V, with P one: that is what nearest means."""
    size = max(1.0, np.abs(x).max())
    assert_allclose(plan.sum(axis=1), a, atol=1e-13 * size)
    assert_allclose(plan.sum(axis=0), b, atol=1e-13 * size)
    assert plan.min() >= 0
    assert best_value(x - plan, a, b) - np.sum((x - plan) * plan) <= 1e-10 * size


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 1e4])
def test_projection_is_the_nearest_plan(xp, rng, scale):
    x = scale * rng.normal(size=(2, 4, 3))
    got = xp.run(convex.project_transport, *map(xp.array, (x, A, B)))
    assert xp.numpy(convex.Transport(xp.array(A), xp.array(B)).contains(got, 1e-9)).all()
    for point, plan in zip(x, xp.numpy(got), strict=True):
        assert_nearest(point, plan, A, B)


@pytest.mark.parametrize("n", [1, 2, 5, 12])
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_nearest_doubly_stochastic_matrix(rng, n, scale):
    x = scale * rng.normal(size=(n, n))
    assert_nearest(x, convex.project_birkhoff(x), np.ones(n), np.ones(n))


def test_wide_is_tall_transposed(xp, rng):
    x = rng.normal(size=(3, 4))
    got = xp.run(convex.project_transport, *map(xp.array, (x, B, A)))
    expected = convex.project_transport(x.T.copy(), A, B).T
    assert_allclose(xp.numpy(got), expected, atol=1e-14)


def test_against_a_general_solver(rng):
    x = rng.normal(size=(4, 3))
    # One of the constraints follows from the others, which confuses the solver.
    matrix, sums = constraints(4, 3)[:-1], np.concatenate([A, B])[:-1]
    equal = {"type": "eq", "fun": lambda p: matrix @ p - sums, "jac": lambda p: matrix}
    start = np.outer(A, B).ravel() / A.sum()
    solved = minimize(
        lambda p: np.sum((p - x.ravel()) ** 2) / 2,
        start,
        jac=lambda p: p - x.ravel(),
        bounds=[(0, None)] * 12,
        constraints=[equal],
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert_allclose(convex.project_transport(x, A, B).ravel(), solved.x, atol=1e-6)


def test_against_jaxopt(rng):
    """The peer solves the same dual, up to the tolerance of its L-BFGS."""
    jaxopt = pytest.importorskip("jaxopt.projection", exc_type=ImportError)
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    x = rng.normal(size=(4, 3))
    peer = jaxopt.projection_transport(jax.numpy.asarray(x), (A, B))
    assert_allclose(convex.project_transport(x, A, B), peer, atol=1e-2)


def test_plans_stay(xp, rng):
    weights = rng.dirichlet(np.ones(24))
    hull = sum(w * np.eye(4)[list(p)] for w, p in zip(weights, permutations(range(4)), strict=True))
    got = xp.run(convex.project_birkhoff, xp.array(hull))
    assert_allclose(xp.numpy(got), hull, atol=1e-12)
    assert xp.numpy(convex.Birkhoff().contains(xp.array(hull))).all()


def test_outside_is_outside(xp):
    outside = np.array([np.eye(3) * 2, np.ones((3, 3)), np.eye(3) - 0.1 * np.ones((3, 3))])
    outside[2, 0] = [1.2, -0.2, 0.0]
    assert not xp.numpy(convex.Birkhoff().contains(xp.array(outside))).any()


def test_linear_argmax_is_the_best_plan(xp, rng):
    x = rng.normal(size=(2, 4, 3))
    found = convex.Transport(xp.array(A), xp.array(B))
    got = xp.run(found.linear_argmax, xp.array(x))
    assert xp.numpy(found.contains(got, 1e-12)).all()
    for point, plan in zip(x, xp.numpy(got), strict=True):
        assert_allclose(np.sum(plan * point), best_value(point, A, B), rtol=1e-10)


def test_linear_argmax_is_the_best_permutation(xp, rng):
    x = rng.normal(size=(3, 5, 5))
    got = xp.numpy(xp.run(convex.Birkhoff().linear_argmax, xp.array(x)))
    for point, plan in zip(x, got, strict=True):
        best = max(sum(point[range(5), p]) for p in permutations(range(5)))
        assert_allclose(np.sum(plan * point), best, rtol=1e-12)
        assert set(plan.ravel()) == {0.0, 1.0}


@pytest.mark.parametrize("method", ["project", "project_kl", "linear_argmax"])
def test_masked_entries_stay_out(xp, rng, method):
    x = rng.normal(size=(4, 4))
    x[0, :2], x[1, 2] = -INF, -INF
    got = xp.run(getattr(convex.Birkhoff(), method), xp.array(x))
    assert xp.numpy(convex.Birkhoff().contains(got, 1e-8))
    assert_array_equal(xp.numpy(got)[~np.isfinite(x)], 0)


@pytest.mark.parametrize("method", ["project", "project_kl", "linear_argmax"])
def test_rows_and_columns_without_mass(xp, rng, method):
    a, b = np.array([1.0, 0.0, 2.0]), np.array([0.0, 2.0, 1.0, 0.0])
    found = convex.Transport(xp.array(a), xp.array(b))
    got = xp.run(getattr(found, method), xp.array(rng.normal(size=(3, 4))))
    assert xp.numpy(found.contains(got, 1e-8))
    assert_array_equal(xp.numpy(got)[1], 0)
    assert_array_equal(xp.numpy(got)[:, [0, 3]], 0)


@pytest.mark.parametrize("matrix", [vjp_matrix, jvp_matrix])
def test_jacobian(xp, rng, matrix):
    x = rng.normal(size=(4, 3))
    numeric = oracles.jacobian(
        lambda x: convex.project_transport(x.reshape(4, 3), A, B).ravel(), x.ravel(), step=1e-4
    )
    got = matrix(xp, convex.project_transport, x, A, B, argument=0)
    assert_allclose(got, numeric, atol=1e-9)
    assert_allclose(got, got.T, atol=1e-12)  # an orthogonal projection of its tangents
    assert_allclose(got @ got, got, atol=1e-12)


def test_marginals_are_differentiated(xp, rng):
    """Along directions that keep the totals equal."""
    x, turn = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    turn -= turn.mean(axis=1, keepdims=True)

    def moved(t):
        return convex.project_transport(x, A, B + t @ turn).ravel()

    got = vjp_matrix(xp, convex.project_transport, x, A, B, argument=2) @ turn.T
    assert_allclose(got, oracles.jacobian(moved, np.zeros(3), step=1e-4), atol=1e-9)


def test_second_derivatives_of_an_affine_piece_vanish(rng):
    weights = rng.normal(size=(4, 4))
    found = hessian(lambda x: (convex.project_birkhoff(x) * weights).sum())(weights)
    assert_allclose(found, 0.0, atol=1e-10)


def test_support_in_two_parts(rng):
    """A permutation and its neighbours: the graph of the support is not connected."""
    x = np.full((5, 5), -3.0)
    x[:2, :2], x[2:, 2:] = rng.normal(size=(2, 2)) / 4, rng.normal(size=(3, 3)) / 4
    got = jvp_matrix(_NumPy, convex.project_birkhoff, x)
    numeric = oracles.jacobian(
        lambda x: convex.project_birkhoff(x.reshape(5, 5)).ravel(), x.ravel(), step=1e-4
    )
    assert_allclose(got, numeric, atol=1e-9)
    assert np.linalg.matrix_rank(got) == 1 + 4


def test_entropic_projection_is_the_maximiser(xp, rng):
    """Its potentials: log P - x / temperature is a sum of a row and a column."""
    x = rng.normal(size=(4, 3))
    found = convex.Transport(xp.array(A), xp.array(B))
    got = xp.run(lambda x: found.project_kl(x, temperature=0.5), xp.array(x))
    rest = np.log(xp.numpy(got)) - x / 0.5
    assert_allclose(rest - rest[:1] - rest[:, :1] + rest[0, 0], 0.0, atol=1e-9)
    assert xp.numpy(found.contains(got, 1e-9))


def test_entropic_projection_at_temperature_zero(xp, rng):
    x = xp.array(rng.normal(size=(4, 4)))
    got = convex.project_kl_birkhoff(x, temperature=0.0)
    assert_array_equal(xp.numpy(got), xp.numpy(convex.Birkhoff().linear_argmax(x)))


@pytest.mark.parametrize("method", ["project", "project_kl", "linear_argmax"])
def test_nan_stays_in_its_matrix(xp, rng, method):
    x = rng.normal(size=(2, 3, 3))
    x[0, 1, 1] = np.nan
    got = xp.numpy(xp.run(getattr(convex.Birkhoff(), method), xp.array(x)))
    assert np.isnan(got[0]).any()
    assert np.isfinite(got[1]).all()


@pytest.mark.parametrize("method", ["project", "project_kl", "linear_argmax"])
def test_empty_batch_and_half_precision(xp, method):
    apply = getattr(convex.Birkhoff(), method)
    assert xp.numpy(xp.run(apply, xp.array(np.zeros((0, 3, 3))))).shape == (0, 3, 3)
    dtype = "float32" if xp.name.startswith("strict") else "float16"
    half = xp.run(apply, xp.array(np.array([[1, 2], [3, 4.5]]), dtype=dtype))
    assert xp.numpy(half).dtype == dtype
    assert_allclose(xp.numpy(half).astype(float).sum(axis=0), 1.0, atol=2e-3)


def test_sets_are_containers(xp):
    a, b = xp.array(A), xp.array(B)
    assert trees.leaves(convex.Birkhoff()) == []
    assert [leaf is x for leaf, x in zip(trees.leaves(convex.Transport(a, b)), (a, b), strict=True)]
    assert hash(convex.Birkhoff()) == hash(convex.Birkhoff())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: convex.project_birkhoff(x), ValueError, "`x` must be square"),
        (lambda x: convex.Birkhoff().linear_argmax(x[0]), ValueError, "matrices on its last two"),
        (lambda x: convex.project_transport(x, B, B), ValueError, "`a` must broadcast"),
        (lambda x: convex.project_transport(x, A, 2 * B), ValueError, "same total"),
        (lambda x: convex.Transport(A, -B).project(x), ValueError, "`b` must not be negative"),
        (lambda x: convex.project_transport(x, A, [1.0]), TypeError, "list"),
        (lambda x: convex.project_kl_birkhoff(x[:3], temperature=-1), ValueError, "`temperature`"),
        (lambda x: convex.project_birkhoff(x.astype(int)), TypeError, "real floating"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(np.zeros((4, 3)))


class _NumPy:
    array = staticmethod(np.asarray)
    numpy = staticmethod(np.asarray)
