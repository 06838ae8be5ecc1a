"""Primal = dual to 1e-10, for every loss and shape class, from the definitions of both."""

import numpy as np
import pytest

from fenchel import losses
from fenchel.oracles import GaussNewton, ProxLinear
from tests.oracles.dense import CLASSES, EVERY, NONSMOOTH, OTHERS, problem

# m, k, hidden units: more parameters than outputs, one sample, one output, as many, fewer.
SHAPES = {"p > mk": (4, 3, 2), "m = 1": (1, 3, 1), "k = 1": (5, 1, 2), "p < mk": (9, 3, 1)}
CASES = [(name, kind) for name in EVERY for kind in SHAPES]


def posed(name, kind):
    """Return the problem; one of classes has two of them in the place of one output."""
    m, k, hidden = SHAPES[kind]
    _, targets = OTHERS.get(name, (None, name))
    several = targets in (*CLASSES, "hinge")
    return problem(name, m, max(k, 2) if several else k, 2, hidden)


def test_no_loss_is_left_out():
    objects = {name: getattr(losses, name) for name in losses.__all__}
    given = {
        name
        for name, loss in objects.items()
        if hasattr(loss, "conjugate_prox") and not isinstance(loss, type)
    }
    named = {"f_divergence_loss" if name == "jensen_shannon" else name for name in EVERY}
    assert given <= named


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_prox_linear(name, kind):
    case = posed(name, kind)
    for gamma in (0.2, 5.0):
        oracle = ProxLinear(case.loss, case.predict, gamma=gamma, rtol=0.0, max_iter=500)
        d, info = oracle.direction(case.w, case.x, case.y)
        primal, dual, exact = case.primal_and_dual(d, info.dual, gamma)
        assert abs(primal - dual) <= 1e-10 * max(1.0, abs(primal))
        assert float(info.value) == pytest.approx(primal, rel=1e-12)
        np.testing.assert_allclose(d, exact, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("name", "kind"), [c for c in CASES if c[0] not in NONSMOOTH])
def test_gauss_newton(name, kind):
    case = posed(name, kind)
    b, g, start = case.system()
    _, jac = case.jacobian()
    for gamma in (0.2, 5.0):
        exact = np.linalg.solve(b + np.eye(len(g)) / gamma, -g)
        room = 1e-10 * max(1.0, np.abs(exact).max())
        for solver in ("dual_cg", "dual_direct", "primal_cg"):
            oracle = GaussNewton(
                case.loss, case.predict, gamma=gamma, solver=solver, rtol=0.0, max_iter=60
            )
            d, info = oracle.direction(case.w, case.x, case.y)
            np.testing.assert_allclose(d, exact, rtol=0, atol=room)
            pulled = jac.T @ info.dual.ravel() / len(case.y)
            np.testing.assert_allclose(-gamma * pulled, exact, rtol=0, atol=room)
            model = start + 0.5 * g @ exact
            assert abs(float(info.value) - model) <= 1e-10 * max(1.0, abs(model))
            assert 0.0 <= float(info.gap) <= 1e-10
