"""Sets: projections, linear maxima and membership."""

from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

import fenchel
from fenchel import convex, trees
from tests import libraries
from tests.convex import oracles
from tests.derivatives import jvp_matrix, vjp_matrix

W = np.array([0.5, -1.0, 2.0, 1.0, 3.0])
SETS = {
    "simplex": convex.Simplex(),
    "simplex of radius 3": convex.Simplex(3),
    "capped simplex": convex.CappedSimplex(2),
    "capped simplex, real k": convex.CappedSimplex(2.5),
    "cube": convex.Cube(),
    "box": convex.Box(-0.5, 1.5),
    "order simplex": convex.OrderSimplex(),
    "permutahedron": convex.Permutahedron(W),
}


@pytest.fixture(params=SETS)
def name(request):
    return request.param


def of_library(xp, found):
    """Return the set with its arrays in the library."""
    if isinstance(found, convex.Permutahedron):
        return convex.Permutahedron(xp.array(found.w))
    return found


def corners(name):
    """Extreme points of the set in five dimensions."""
    cube = np.array(np.meshgrid(*[[0.0, 1.0]] * 5)).reshape(5, -1).T
    if name.startswith("simplex"):
        return np.eye(5) * (3 if "3" in name else 1)
    if name == "capped simplex":
        return cube[cube.sum(axis=-1) == 2]
    if name == "capped simplex, real k":
        return np.array(sorted(set(permutations([1, 1, 0.5, 0, 0]))))
    if name == "cube":
        return cube
    if name == "box":
        return cube * 2 - 0.5
    if name == "order simplex":
        return np.tril(np.ones((6, 5)), -1)
    return np.array(list(permutations(W)))


@pytest.fixture
def points(rng):
    return rng.normal(size=(4, 5)) * np.array([[0.1], [1.0], [3.0], [30.0]])


def test_projection_is_the_nearest_point(xp, name, points):
    """<x - y, c - y> <= 0 at every corner c, with y in the set, is what nearest means."""
    found = of_library(xp, SETS[name])
    y = xp.run(found.project, xp.array(points))
    assert xp.numpy(found.contains(y)).all()
    y = xp.numpy(y)
    for x_row, y_row in zip(points, y, strict=True):
        assert np.max((corners(name) - y_row) @ (x_row - y_row)) <= 1e-10


def test_points_of_the_set_stay(xp, name, rng):
    found = of_library(xp, SETS[name])
    inside = rng.dirichlet(np.ones(len(corners(name))), size=3) @ corners(name)
    assert_allclose(xp.numpy(xp.run(found.project, xp.array(inside))), inside, atol=1e-12)
    assert xp.numpy(found.contains(xp.array(inside))).all()


def test_outside_is_outside(xp, name):
    found = of_library(xp, SETS[name])
    outside = np.array([[9.0, 0, 0, 0, 0], [-9.0, 9.0, 0, 0, 0]])
    assert not xp.numpy(found.contains(xp.array(outside))).any()


def test_linear_argmax_is_the_best_corner(xp, name, points):
    found = of_library(xp, SETS[name])
    y = xp.run(found.linear_argmax, xp.array(points))
    assert xp.numpy(found.contains(y)).all()
    best = np.max(points @ corners(name).T, axis=-1)
    assert_allclose(np.sum(points * xp.numpy(y), axis=-1), best, rtol=1e-12)


def test_axis(xp, name, points):
    found = of_library(xp, SETS[name])
    turned = xp.array(points.T.copy())
    for method in ("project", "linear_argmax"):
        expected = xp.numpy(getattr(found, method)(xp.array(points))).T
        assert_allclose(xp.numpy(getattr(found, method)(turned, axis=0)), expected)
    expected = xp.numpy(found.contains(xp.array(points)))
    assert_array_equal(xp.numpy(found.contains(turned, axis=0)), expected)


def test_nan_stays_in_its_row(xp, name, points):
    points[1, 2] = np.nan
    got = xp.numpy(xp.run(of_library(xp, SETS[name]).project, xp.array(points)))
    assert np.isnan(got[1]).any()
    assert np.isfinite(got[[0, 2, 3]]).all()


@pytest.mark.parametrize("matrix", [vjp_matrix, jvp_matrix])
def test_jacobian(xp, name, matrix):
    x = np.array([0.7, -0.2, 0.45, 0.3, 1.1])
    found = of_library(xp, SETS[name])

    def numeric(x):
        return SETS[name].project(x)

    # Piecewise linear: differences within a piece are exact.
    got = matrix(xp, found.project, x)
    assert_allclose(got, oracles.jacobian(numeric, x, step=1e-4), atol=1e-9)
    assert_allclose(got, got.T, atol=1e-12)
    spectrum = np.linalg.eigvalsh(got)
    assert np.all((spectrum >= -1e-12) & (spectrum <= 1 + 1e-12))


def test_parameters_are_differentiated(xp):
    x = np.array([[0.7, -0.2, 0.45, 0.3, 1.1], [1.7, -0.3, 0.4, 0.2, 0.0]])
    cases = [
        (lambda x, r: convex.project_simplex(x, radius=r), np.array([[0.8], [1.5]])),
        (convex.project_capped_simplex, np.array([[1.8], [2.2]])),
        (convex.project_permutahedron, np.array([0.5, -1.0, 2.0, 1.0, 3.0])),
        (lambda x, low: convex.project_box(x, low, 0.6), np.array([[-0.1], [0.1]])),
    ]
    for project, parameter in cases:
        got = vjp_matrix(xp, project, x, parameter, argument=1)
        flat = parameter.ravel()

        def numeric(p, project=project, shape=parameter.shape):
            return project(x, p.reshape(shape)).ravel()

        assert_allclose(got, oracles.jacobian(numeric, flat, step=1e-4), atol=1e-9)


def test_permutahedron_against_a_general_solver(rng):
    """The majorization constraints, given to SciPy one by one."""
    x, w = 2 * rng.normal(size=4), np.array([3.0, 1.0, 0.0, -2.0])
    subsets = [np.array(s, dtype=bool) for s in np.ndindex(2, 2, 2, 2) if 0 < sum(s) < 4]
    bounds = {s.sum(): np.sort(w)[::-1][: s.sum()].sum() for s in subsets}
    constraints = [
        {"type": "ineq", "fun": lambda y, s=s: bounds[s.sum()] - y[s].sum()} for s in subsets
    ]
    constraints.append({"type": "eq", "fun": lambda y: y.sum() - w.sum()})
    solved = minimize(
        lambda y: np.sum((y - x) ** 2), np.full(4, w.mean()), constraints=constraints, tol=1e-12
    )
    assert_allclose(convex.project_permutahedron(x, w), solved.x, atol=1e-5)


def test_equal_weights_make_one_point(xp, points):
    w = xp.array(np.full(5, 0.25))
    got = convex.project_permutahedron(xp.array(points), w)
    assert_allclose(xp.numpy(got), 0.25, atol=1e-13)


def test_masked_entries_stay_out(xp):
    x = xp.array(np.array([0.5, -np.inf, 1.0]))
    assert_allclose(xp.numpy(convex.project_simplex(x)), [0.25, 0, 0.75])


def test_radius_zero(xp):
    x = xp.array(np.array([[1.0, 2.0], [3.0, 0.0]]))
    radius = xp.array(np.array([[0.0], [1.0]]))
    assert_array_equal(xp.numpy(convex.project_simplex(x, radius=0)), 0)
    assert_allclose(xp.numpy(convex.project_simplex(x, radius=radius)), [[0, 0], [1, 0]])


def test_sets_are_containers(xp):
    """Array fields are leaves; numbers that say which set it is are static and hashable."""
    assert trees.leaves(convex.Simplex(2)) == []
    assert trees.leaves(convex.CappedSimplex(2)) == []
    w = xp.array(W)
    (leaf,) = trees.leaves(convex.Permutahedron(w))
    assert leaf is w
    assert hash(convex.Simplex(2)) == hash(convex.Simplex(2.0))


def test_set_under_jit_and_grad():
    jax = pytest.importorskip("jax")
    jnp = libraries.get("jax").namespace  # in float64
    x, w = jnp.asarray([0.5, 9.0, 0.75]), jnp.asarray([1.0, 2.0, 3.0])
    fenchel.backend_of(x)  # the adapter tells JAX of the sets when it is loaded

    @jax.jit
    def value(found, x):
        return jnp.sum(found.project(x) ** 2)

    gradient = jax.grad(value)(convex.Permutahedron(w), x).w
    numeric = oracles.jacobian(
        lambda w: np.sum(convex.project_permutahedron(np.asarray(x), w) ** 2, keepdims=True),
        np.asarray(w),
        step=1e-4,
    )
    assert_allclose(gradient, numeric[0], atol=1e-9)
    assert value(convex.Simplex(), x) == 1.0


def test_float16_keeps_its_dtype():
    x = np.array([[0.5, 1.0, -1.0]], dtype=np.float16)
    for found in (convex.Simplex(), convex.CappedSimplex(1), convex.Cube(), convex.OrderSimplex()):
        assert found.project(x).dtype == np.float16
    assert fenchel.convex.project_permutahedron(x, np.float16([1, 2, 3])).dtype == np.float16


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: convex.Simplex(-1.0), ValueError, "`radius` must be at least 0"),
        (lambda x: convex.CappedSimplex(-1.0), ValueError, "`k` must be at least 0"),
        (lambda x: convex.CappedSimplex(4).project(x), ValueError, "`k` must be at most 3"),
        (lambda x: convex.CappedSimplex(4).linear_argmax(x), ValueError, "`k` must be at most 3"),
        (lambda x: convex.Box(1.0, 0.0), ValueError, "`lower` must be at most `upper`"),
        (lambda x: convex.project_box(x, 1.0, 0.0), ValueError, "`lower` must be at most"),
        (lambda x: convex.project_permutahedron(x, np.ones(2)), ValueError, "`w` must broadcast"),
        (lambda x: convex.project_permutahedron(x, np.array([1, 2, 3])), TypeError, "`w` must"),
        (lambda x: convex.project_simplex(x[:, :0]), ValueError, "must not be empty"),
        (lambda x: convex.project_simplex([1.0]), TypeError, "list"),
        (lambda x: convex.Cube().project(x.astype(int)), TypeError, "real floating"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(np.ones((2, 3)))
