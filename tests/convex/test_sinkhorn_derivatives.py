"""Implicit derivatives of plans: those of the unrolled sweeps, where they have converged."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fenchel
from fenchel.autodiff import check_grads, hessian
from fenchel.convex import sinkhorn
from tests.convex import oracles
from tests.derivatives import jvp_matrix, vjp_matrix

INF = np.inf
MODES = ("implicit", "unrolled")


def blocks(rng):
    scores = np.full((5, 4), -INF)
    scores[:3, :2], scores[3:, 2:] = rng.normal(size=(3, 2)), rng.normal(size=(2, 2))
    return scores, np.ones(5), np.array([1.5, 1.5, 1.2, 0.8])


def masked(rng):
    scores = rng.normal(size=(4, 4))
    scores[0, 1], scores[3, :2] = -INF, -INF
    return scores, np.array([1.0, 0.0, 2.0, 1.0]), np.array([1.0, 1.0, 0.5, 1.5])


def full(n, m):
    def draw(rng):
        a, b = rng.uniform(0.5, 1.5, n), rng.uniform(0.5, 1.5, m)
        return rng.normal(size=(n, m)), a, b * a.sum() / b.sum()

    return draw


PROBLEMS = {
    "tall": full(5, 3),
    "wide": full(3, 5),
    "one row": full(1, 3),
    "one column": full(3, 1),
    "blocks": blocks,
    "masked": masked,
    "totals that differ a little": lambda rng: (
        rng.normal(size=(2, 3)),
        np.ones(2),
        np.ones(3) * 0.67,
    ),
}


@pytest.fixture(params=PROBLEMS)
def problem(request, rng):
    return (*PROBLEMS[request.param](rng), np.array([[0.6]]))


def plan(mode, sweeps=300):
    def f(scores, a, b, t):
        return sinkhorn(scores, a, b, temperature=t, gradient=mode, max_iter=sweeps, tol=0.0)

    return f


def objective(mode, weights):
    def f(arguments):
        p = plan(mode)(*arguments)
        xp = fenchel.namespace(p)
        return xp.sum(xp.multiply(p * p * p, weights))

    return f


@pytest.mark.parametrize("argument", range(4))
def test_equals_the_unrolled_sweeps(problem, argument):
    implicit, unrolled = (
        jvp_matrix(NUMPY, plan(mode), *problem, argument=argument) for mode in MODES
    )
    assert_allclose(implicit, unrolled, atol=1e-10)


def test_second_order_equals_the_unrolled_sweeps(problem, rng):
    weights = rng.normal(size=problem[0].shape)
    tangents = tuple(0.3 * rng.normal(size=x.shape) * (x != 0) for x in problem)
    implicit, unrolled = (
        fenchel.hvp(objective(mode, weights), problem, tangents) for mode in MODES
    )
    for one, two in zip(implicit, unrolled, strict=True):
        assert_allclose(one, two, atol=1e-10)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_jacobian_of_the_specification(xp, rng, mode):
    """VJP by the bordered system of the specification, solved by least squares."""
    scores, a, b = full(4, 3)(rng)
    p = sinkhorn(scores, a, b, temperature=0.7, tol=1e-15)
    system = np.block([[np.diag(p.sum(1)), p], [p.T, np.diag(p.sum(0))]])
    rows = []
    for g in np.eye(12).reshape(12, 4, 3):
        h = g * p
        w = np.linalg.lstsq(system, np.concatenate([h.sum(1), h.sum(0)]), rcond=None)[0]
        rows.append(((h - p * (w[:4, None] + w[4:])) / 0.7).ravel())
    matrix = {"reverse": vjp_matrix, "forward": jvp_matrix}[mode]
    found = matrix(
        xp, lambda *x: sinkhorn(*x, temperature=0.7, tol=1e-15), scores, a, b, argument=0
    )
    assert_allclose(found, rows, atol=1e-10)


def test_differences(rng):
    scores, a, b = full(3, 4)(rng)
    check_grads(lambda s: sinkhorn(s, a, b, tol=1e-15), (scores,))
    check_grads(lambda s, a: sinkhorn(s, a, tol=1e-15), (scores, a))


def test_third_order(rng):
    """Along a line the third derivative is a difference of second ones."""
    scores, a, b = full(3, 4)(rng)
    weights, direction = rng.normal(size=(2, 3, 4))

    def along(t):
        xp = fenchel.namespace(t)
        moved = xp.add(xp.multiply(t, direction), scores)
        p = sinkhorn(moved, a, b, temperature=0.7, tol=1e-15)
        return xp.sum(xp.multiply(p, weights))

    third = fenchel.grad(fenchel.grad(fenchel.grad(along)))(np.asarray(0.0))
    second = fenchel.grad(fenchel.grad(along))
    expected = oracles.difference(second, np.asarray(0.0), np.asarray(1.0))
    assert_allclose(third, expected, rtol=1e-7)


def test_stopped_early_is_exact_for_the_columns_reached(rng):
    """After two sweeps the plan solves another problem: that one is differentiated."""
    scores, a, b = full(4, 3)(rng)
    short = {"temperature": 0.2, "max_iter": 2, "tol": 0.0}
    reached = sinkhorn(scores, a, b, **short).sum(axis=0)
    assert np.abs(reached - b).max() > 1e-3
    found = jvp_matrix(NUMPY, lambda s: sinkhorn(s, a, b, **short), scores)
    solved = jvp_matrix(
        NUMPY, lambda s: sinkhorn(s, a, reached, temperature=0.2, tol=1e-15), scores
    )
    assert_allclose(found, solved, atol=1e-10)


def test_none_is_a_constant(xp, rng):
    scores = rng.normal(size=(3, 3))
    found = vjp_matrix(xp, lambda s: sinkhorn(s, gradient="none"), scores)
    assert_allclose(found, 0.0, atol=0)


def test_batched_problems_do_not_mix(rng):
    scores = rng.normal(size=(2, 3, 3))
    found = jvp_matrix(NUMPY, sinkhorn, scores).reshape(2, 9, 2, 9)
    assert_allclose(found[0, :, 1], 0.0, atol=0)
    assert_allclose(found[1, :, 1], jvp_matrix(NUMPY, sinkhorn, scores[1]), atol=1e-8)


def test_low_temperature_has_finite_derivatives(rng):
    scores = rng.normal(size=(5, 5))
    found = jvp_matrix(NUMPY, lambda s: sinkhorn(s, temperature=1e-3, max_iter=100), scores)
    assert np.isfinite(found).all()


def test_everything_masked_has_derivative_zero(xp):
    found = vjp_matrix(xp, sinkhorn, np.full((2, 3), -INF))
    assert_allclose(found, 0.0, atol=0)


def test_hessian_on_jax_and_torch(rng):
    jax, torch = pytest.importorskip("jax"), pytest.importorskip("torch")
    jax.config.update("jax_enable_x64", True)
    scores, weights = rng.normal(size=(2, 3, 3))

    def f(s):
        xp = fenchel.namespace(s)
        return xp.sum(sinkhorn(s, tol=1e-14) ** 2 * xp.asarray(weights))

    expected = hessian(f)(scores)
    by_jax = jax.jit(jax.hessian(f))(jax.numpy.asarray(scores))
    by_torch = torch.func.hessian(f)(torch.asarray(scores))
    assert_allclose(by_jax, expected, atol=1e-10)
    assert_allclose(by_torch, expected, atol=1e-10)


class NUMPY:
    """The face of `tests.libraries` that derivative matrices use."""

    array = staticmethod(np.asarray)
    numpy = staticmethod(np.asarray)
