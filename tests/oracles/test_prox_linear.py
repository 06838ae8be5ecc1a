"""Prox-linear directions: certificates from scratch, other optimisers, every library."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from fenchel import losses
from fenchel.oracles import GaussNewton, ProxLinear
from tests import libraries
from tests.oracles.dense import NONSMOOTH, SMOOTH, compiled_only, problem

SOLVERS = ("newton_cg", "fista", "sdca", "frank_wolfe")
# The conjugate of entmax has its proximal point by nested bisection, half a second a batch.
CASES = [
    (name, solver)
    for name in (*SMOOTH, *NONSMOOTH)
    for solver in SOLVERS[name in NONSMOOTH : 1 if name == "entmax_loss" else 3]
]


def solve(xp, case, **options):
    oracle = ProxLinear(case.loss, case.predict, **{"rtol": 0.0, "max_iter": 300, **options})
    direction, info = xp.run(
        lambda *a: oracle.direction(*a), xp.array(case.w), xp.array(case.x), xp.array(case.y)
    )
    report = (xp.numpy(v) if hasattr(v, "dtype") else v for v in info)
    return xp.numpy(direction), type(info)(*report)


@pytest.mark.parametrize(("name", "solver"), CASES)
def test_certificate(name, solver):
    """Equal primal and dual values prove the solution; the direction is that of the dual."""
    for gamma, decay, shape in (
        (1.3, 0.0, (5, 3, 2)),
        (8.0, 0.1, (2, 2, 4)),
        (0.2, 0.0, (1, 1, 2)),
    ):
        if name in ("logistic", "sparsemax_loss", "entmax_loss", "hinge") and shape[1] == 1:
            continue
        m, k, hidden = shape
        case = problem(name, m, k, 2, hidden)
        d, info = solve(
            libraries.get("numpy"), case, gamma=gamma, weight_decay=decay, solver=solver
        )
        primal, dual, exact = case.primal_and_dual(d, info.dual, gamma, decay)
        assert abs(primal - dual) <= 1e-10 * max(1.0, abs(primal))
        assert float(info.value) == pytest.approx(primal, abs=1e-12, rel=1e-12)
        assert -1e-12 <= float(info.gap) <= 1e-10
        np.testing.assert_allclose(d, exact, rtol=0, atol=1e-10)
        if name in ("logistic", "sparsemax_loss", "hinge"):
            np.testing.assert_allclose(info.dual.sum(axis=1), 0.0, atol=1e-12)


@pytest.mark.parametrize("name", ["logistic", "sparsemax_loss", "huber", "hinge", "absolute"])
def test_every_library(xp, name):
    compiled_only(xp)
    case = problem(name, m=3)
    plain, _ = solve(libraries.get("numpy"), case, solver="fista")
    # The strict library checks every operation: a solver is enough there.
    for solver in (None,) if xp.name.startswith("strict") else (None, "sdca"):
        d, info = solve(xp, case, solver=solver)
        np.testing.assert_allclose(d, plain, atol=1e-10)
        assert bool(info.certified_descent)


@pytest.mark.parametrize("name", ["logistic", "entmax_loss", "huber"])
def test_against_another_optimiser(name):
    case = problem(name)
    f, jac = case.jacobian()

    def objective(d):
        z = f + (jac @ d).reshape(f.shape)
        value, slopes = case.loss.value_and_grad(z, case.y, reduction="none")
        mean = value.reshape(len(f), -1).sum(axis=1).mean()
        return mean + d @ d / 2, jac.T @ slopes.ravel() / len(f) + d

    best = minimize(objective, 0 * case.w, jac=True, method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(solve(libraries.get("numpy"), case)[0], best.x, atol=1e-7)


def test_hinge_against_a_quadratic_program():
    case = problem("hinge", m=3, k=3)
    f, jac = case.jacobian()
    m, k = f.shape
    margins = 1.0 - np.eye(k)[case.y]

    def room(v):
        z = f + (jac @ v[:-m]).reshape(m, k)
        return (v[-m:, None] - margins - z + z[np.arange(m), case.y][:, None]).ravel()

    best = minimize(
        lambda v: v[-m:].mean() + v[:-m] @ v[:-m] / 2,
        np.concatenate([0 * case.w, np.full(m, 10.0)]),
        constraints={"type": "ineq", "fun": room},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    for solver in SOLVERS[1:]:
        d, info = solve(libraries.get("numpy"), case, solver=solver)
        # Frank and Wolfe's method is slow; its gap says how far it has come
        assert np.sum((d - best.x[:-m]) ** 2) <= 2.0 * info.gap + 1e-12


def test_entmax_by_its_dual():
    case, xp = problem("entmax_loss", m=3), libraries.get("numpy")
    exact, _ = solve(xp, case, gamma=0.1)
    d, info = solve(xp, case, gamma=0.1, solver="fista", max_iter=4)
    assert np.sum((d - exact) ** 2) <= 0.2 * info.gap + 1e-15
    np.testing.assert_allclose(d, exact, atol=1e-3)


def test_squared_loss_is_gauss_newton(xp):
    compiled_only(xp)
    case = problem("squared")
    oracle = GaussNewton(case.loss, case.predict, gamma=2.0, rtol=0.0, max_iter=60)
    exact, _ = oracle.direction(case.w, case.x, case.y)
    for solver in SOLVERS[:3]:
        d, _ = solve(xp, case, gamma=2.0, solver=solver)
        np.testing.assert_allclose(d, exact, atol=1e-10)


@settings(max_examples=40)
@given(
    name=st.sampled_from([*SMOOTH, *NONSMOOTH]),
    m=st.integers(1, 4),
    k=st.integers(2, 3),
    seed=st.integers(0, 1000),
    log_gamma=st.floats(-2, 2),
    count=st.integers(0, 4),
    solver=st.sampled_from(SOLVERS),
)
def test_solves_cut_short(name, m, k, seed, log_gamma, count, solver):
    """The model never increases, the gap bounds the distance, descent is certified."""
    if solver == "newton_cg" and name in NONSMOOTH:
        solver = "fista"
    if name == "entmax_loss":
        solver = "newton_cg"
    case, xp, gamma = problem(name, m, k, seed=seed), libraries.get("numpy"), 10.0**log_gamma
    d, info = solve(xp, case, gamma=gamma, max_iter=count, solver=solver)
    primal, dual, _ = case.primal_and_dual(d, info.dual, gamma)
    scale = 1.0 + abs(primal) + abs(dual)
    assert np.all(np.isfinite(d))
    assert info.model_decrease >= 0
    assert float(info.value) == pytest.approx(primal, rel=1e-10)
    assert float(info.gap) == pytest.approx(max(primal - dual, 0.0), abs=1e-10 * scale)
    best, _ = solve(xp, case, gamma=gamma, max_iter=500, solver=None)
    assert np.sum((d - best) ** 2) <= 2.1 * gamma * (info.gap + 1e-7 * scale)
    if info.certified_descent:
        f, jac = case.jacobian()
        slopes = case.loss.value_and_grad(f, case.y, reduction="none")[1]
        slope = jac.T @ slopes.ravel() / m @ d
        assert slope == pytest.approx(float(info.slope), rel=1e-8, abs=1e-14)
        assert slope <= -d @ d / (2 * gamma) + 1e-12 * scale


def test_errors():
    case = problem("absolute")
    with pytest.raises(TypeError, match="curvature"):
        ProxLinear(losses.absolute, case.predict, solver="newton_cg")
    with pytest.raises(ValueError, match="solver"):
        ProxLinear(losses.absolute, case.predict, solver="simplex")
    with pytest.raises(TypeError, match="loss"):
        ProxLinear(lambda z, y: z, case.predict)
