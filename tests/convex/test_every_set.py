"""What every set must do: nearest points, best points, membership, axes, types, derivatives."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fenchel import backend_of, convex, trees
from tests.convex import oracles
from tests.convex.sets_catalogue import LOWER, MATRIX, NORMAL, OFFSET, SETS, SIGNED, UPPER, WEIGHTS
from tests.derivatives import jvp_matrix, vjp_matrix


@pytest.fixture(params=SETS)
def name(request):
    return request.param


@pytest.fixture
def points(rng):
    return rng.normal(size=(4, 5)) * np.array([[0.1], [1.0], [3.0], [30.0]])


def test_projection_is_the_nearest_point(xp, name, points, rng):
    """<x - y, c - y> <= 0 for every point c of the set, with y in it, is what nearest means."""
    found = SETS[name].build(xp.array)
    y = xp.run(found.project, xp.array(points))
    assert xp.numpy(found.contains(y)).all()
    others = SETS[name].draw(rng, 200)
    y = xp.numpy(y)
    for x_row, y_row in zip(points, y, strict=True):
        worst = np.max((others - y_row) @ (x_row - y_row))
        assert worst <= 1e-9 * (1 + np.abs(x_row).max()) ** 2


def test_points_of_the_set_stay(xp, name, rng):
    found, inside = SETS[name].build(xp.array), SETS[name].draw(rng, 8)
    assert_allclose(xp.numpy(xp.run(found.project, xp.array(inside))), inside, atol=1e-10)
    assert xp.numpy(found.contains(xp.array(inside))).all()


def test_outside_is_outside(xp, name):
    if SETS[name].outside is None:
        pytest.skip("the set is everything")
    outside = xp.array(np.array([SETS[name].outside]))
    assert not xp.numpy(SETS[name].build(xp.array).contains(outside)).any()


def test_linear_argmax_of_bounded_sets(xp, name, points, rng):
    if not SETS[name].bounded:
        pytest.skip("the maximum is infinite")
    found = SETS[name].build(xp.array)
    y = xp.run(found.linear_argmax, xp.array(points))
    assert xp.numpy(found.contains(y)).all()
    y, others = xp.numpy(y), SETS[name].draw(rng, 300)
    best = np.max(points @ others.T, axis=-1)
    assert np.all(np.sum(points * y, axis=-1) >= best - 1e-10 * np.abs(best))


def test_linear_argmax_of_unbounded_sets(xp, name, points):
    """It is infinite along the limit of the projections of x t, divided by t."""
    if SETS[name].bounded:
        pytest.skip("the maximum is finite")
    found = SETS[name].build(xp.array)
    y = xp.numpy(xp.run(found.linear_argmax, xp.array(points)))
    limit = SETS[name].build(np.asarray).project(1e9 * points) / 1e9
    limit = np.where(np.abs(limit) < 1e-6, 0.0, limit)
    moves = np.any(limit != 0, axis=-1)
    assert_array_equal(np.isinf(y[moves]), limit[moves] != 0)
    assert_array_equal(np.sign(y[moves]), np.sign(limit[moves]))
    assert np.isfinite(y[~moves]).all()


def test_bounded_directions_of_unbounded_sets(xp):
    across = xp.array(np.stack([2 * NORMAL, 0 * NORMAL]))
    y = convex.Halfspace(xp.array(NORMAL), 0.7).linear_argmax(across)
    assert_allclose(xp.numpy(y) @ NORMAL, [0.7, 0.0], atol=1e-12)
    y = convex.Affine(xp.array(MATRIX), xp.array(OFFSET)).linear_argmax(
        xp.array(np.array([1.0, -2.0]) @ MATRIX)
    )
    assert_allclose(MATRIX @ xp.numpy(y), OFFSET, atol=1e-12)
    polar = xp.array(np.array([0.3, 0.0, 0.0, 0.4, -1.0]))
    assert_array_equal(xp.numpy(convex.SecondOrderCone().linear_argmax(polar)), 0)


def test_axis(xp, name, points):
    found = SETS[name].build(xp.array)
    turned = xp.array(points.T.copy())
    for method in ("project", "linear_argmax"):
        expected = xp.numpy(getattr(found, method)(xp.array(points))).T
        assert_allclose(xp.numpy(getattr(found, method)(turned, axis=0)), expected)
    expected = xp.numpy(found.contains(xp.array(points)))
    assert_array_equal(xp.numpy(found.contains(turned, axis=0)), expected)


def test_nan_stays_in_its_row(xp, name, points):
    points[1, 2] = np.nan
    found = SETS[name].build(xp.array)
    for method in (found.project, found.linear_argmax):
        got = xp.numpy(xp.run(method, xp.array(points)))
        assert np.isnan(got[1]).any()
        assert not np.isnan(got[[0, 2, 3]]).any()
    assert not xp.numpy(found.contains(xp.array(points)))[1]


@pytest.mark.parametrize("of_norm", [convex.L2Ball(), convex.SecondOrderCone()], ids=repr)
def test_a_norm_that_is_nan_is_nan_in_every_entry(xp, of_norm):
    got = xp.numpy(of_norm.project(xp.array([[np.nan, 1.0, 2.0], [0.0, 1.0, 2.0]])))
    assert np.isnan(got[0]).all() and not np.isnan(got[1]).any()


@pytest.mark.filterwarnings("error")
def test_cone_of_huge_entries():
    x = 1e300 * np.asarray([[1.0, 2.0, 9.0], [3.0, 4.0, 0.0], [1.0, 1.0, -9.0]])
    expected = 1e300 * np.asarray([[1.0, 2.0, 9.0], [1.5, 2.0, 2.5], [0.0, 0.0, 0.0]])
    assert_allclose(convex.SecondOrderCone().project(x), expected, rtol=1e-12)


def test_empty_batch(xp, name):
    x = xp.array(np.zeros((0, 5)))
    found = SETS[name].build(xp.array)
    for method in (found.project, found.linear_argmax):
        assert tuple(xp.run(method, x).shape) == (0, 5)
    assert tuple(found.contains(x).shape) == (0,)


def test_half_precision(name, points):
    found = SETS[name].build(lambda a: a.astype(np.float16))
    got = found.project(points[:3].astype(np.float16))
    assert got.dtype == np.float16
    exact = SETS[name].build(np.asarray).project(points[:3].astype(np.float16).astype(float))
    assert_allclose(got, exact, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("matrix", [vjp_matrix, jvp_matrix])
@pytest.mark.parametrize("scale", [0.2, 1.0])
def test_jacobian(xp, name, matrix, scale):
    x = scale * np.array([0.7, -0.2, 0.45, 0.3, 1.1])
    got = matrix(xp, SETS[name].build(xp.array).project, x)
    numeric = SETS[name].build(np.asarray).project
    assert_allclose(got, oracles.jacobian(numeric, x, step=1e-4), atol=1e-9)
    assert_allclose(got, got.T, atol=1e-12)
    spectrum = np.linalg.eigvalsh(got)
    assert np.all((spectrum >= -1e-12) & (spectrum <= 1 + 1e-12))


X = np.array([[0.7, -0.2, 0.45, 0.3, 1.1], [1.7, -0.3, 0.4, 0.2, 0.0]])
RADII = np.array([[0.8], [1.1]])
PARAMETERS = {
    "l1": (convex.project_l1_ball, RADII),
    "l2": (convex.project_l2_ball, RADII),
    "linf": (convex.project_linf_ball, np.array([[0.35], [0.25]])),
    "normal": (lambda x, a: convex.project_halfspace(x, a, -0.7), NORMAL),
    "offset": (lambda x, b: convex.project_halfspace(x, _as(x, NORMAL), b), -RADII),
    "matrix": (lambda x, a: convex.project_affine(x, a, _as(x, OFFSET)), MATRIX),
    "affine offset": (lambda x, b: convex.project_affine(x, _as(x, MATRIX), b), OFFSET),
    "lower": (lambda x, a: convex.project_box_section(x, a, 1.0, 1.0, 0.4), LOWER),
    "upper": (lambda x, a: convex.project_box_section(x, -2.0, a, 1.0, 0.1), UPPER),
    "section weights": (lambda x, w: convex.project_box_section(x, -1.0, 1.0, w, 0.3), SIGNED),
    "total": (lambda x, c: convex.project_box_section(x, -1.0, 1.0, _as(x, SIGNED), c), RADII),
    "weights": (lambda x, w: convex.project_knapsack(x, w, 0.85), WEIGHTS),
    "capacity": (lambda x, c: convex.project_knapsack(x, _as(x, WEIGHTS), c), RADII),
    "budget": (lambda x, c: convex.project_knapsack(x, 1.0, c), RADII),
    "kl weights": (lambda x, w: convex.project_kl_knapsack(x, w, 0.85), WEIGHTS + 0.2),
    "kl capacity": (lambda x, c: convex.project_kl_knapsack(x, _as(x, WEIGHTS), c), RADII),
    "kl k": (convex.project_kl_capped_simplex, np.array([[1.6], [2.3]])),
    "kl w": (convex.project_kl_permutahedron, UPPER + 0.3),
}


def _as(x, constant):
    """The constant as an array of the library of `x`, which may be traced."""
    backend = backend_of(x)
    base = getattr(backend, "base", None) or backend
    while getattr(base, "base", None) is not None:
        base = base.base
    return base.from_host(constant)


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_parameters_are_differentiated(xp, parameter):
    if xp.name == "strict-device1":
        pytest.skip("constants of the cases live on the default device")
    project, value = PARAMETERS[parameter]
    got = vjp_matrix(xp, project, X, value, argument=1)

    def numeric(p):
        return project(X, p.reshape(value.shape)).ravel()

    assert_allclose(got, oracles.jacobian(numeric, value.ravel(), step=1e-4), atol=1e-8)


def test_sets_are_containers(xp):
    """Fields that may be arrays are leaves."""
    weights = xp.array(WEIGHTS)
    leaves = trees.leaves(convex.Knapsack(weights, 1.2))
    assert any(leaf is weights for leaf in leaves)
    assert len(leaves) == 2
    assert trees.leaves(convex.PSDCone()) == []
    assert hash(convex.SecondOrderCone()) == hash(convex.SecondOrderCone())


def test_set_as_an_argument_of_jit():
    jax = pytest.importorskip("jax")
    x = jax.numpy.asarray([0.5, 9.0, 0.75])
    backend_of(x)  # the adapter tells JAX of the sets when it is loaded
    value = jax.jit(lambda found, x: jax.numpy.sum(found.project(x)))
    assert_allclose(value(convex.L1Ball(2.0), x), 2.0)
    gradient = jax.grad(value, allow_int=True)(convex.L1Ball(jax.numpy.asarray([2.0])), x)
    assert_allclose(gradient.radius, [1.0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: convex.L1Ball(-1.0), ValueError, "`radius` must be at least 0"),
        (lambda x: convex.project_l2_ball(x, -1.0), ValueError, "`radius` must be at least 0"),
        (lambda x: convex.LInfBall(float("nan")), ValueError, "`radius`"),
        (lambda x: convex.project_l1_ball(x, np.ones(2)), ValueError, "`radius` must broadcast"),
        (lambda x: convex.project_halfspace(x, np.ones(2), 0.0), ValueError, "`normal` must"),
        (lambda x: convex.project_affine(x, np.ones((1, 2)), x[0, :1]), ValueError, "`matrix`"),
        (lambda x: convex.project_affine(x, np.ones((2, 3)), x[0]), ValueError, "`offset`"),
        (lambda x: convex.project_affine(x, [[1.0]], x), TypeError, "list"),
        (lambda x: convex.project_psd(x), ValueError, "square"),
        (lambda x: convex.project_psd(x[:1, :1].astype(int)), TypeError, "real floating"),
        (lambda x: convex.project_box_section(x, 1.0, 0.0, 1.0, 1.0), ValueError, "`lower`"),
        (lambda x: convex.project_box_section(x, 0.0, 1.0, 1.0, 4.0), ValueError, "`total`"),
        (lambda x: convex.project_box_section(x, 0.0, 1.0, 0.0, 1.0), ValueError, "`total`"),
        (lambda x: convex.project_knapsack(x, 1.0, -1.0), ValueError, "`capacity` must be at"),
        (lambda x: convex.project_kl_knapsack(x, -1.0, 1.0), ValueError, "`weights` must be at"),
        (lambda x: convex.project_knapsack(x, np.ones(2), 1.0), ValueError, "`weights` must"),
        (lambda x: convex.project_knapsack(x, np.ones(3, int), 1.0), TypeError, "`weights`"),
        (lambda x: convex.project_kl_capped_simplex(x, 4), ValueError, "`k` must be at most 3"),
        (lambda x: convex.project_kl_simplex(x, radius=-1), ValueError, "`radius` must be"),
        (lambda x: convex.project_second_order_cone(x[:, :0]), ValueError, "must not be empty"),
        (lambda x: convex.project_nonnegative([1.0]), TypeError, "list"),
        (lambda x: convex.Reals().project(x, axis=2), ValueError, "`axis`"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(np.ones((2, 3)))
