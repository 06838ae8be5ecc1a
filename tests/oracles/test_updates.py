"""Updates, the gradient oracle, operators of SciPy, linearisations of one's own."""

import numpy as np
import pytest
from scipy.sparse.linalg import eigsh

import fenchel
from fenchel import losses
from fenchel.oracles import (
    ArmijoStep,
    GammaSearch,
    GaussNewton,
    LevenbergMarquardt,
    ProxLinear,
    UnitStep,
    as_gradient,
    check_linearization,
    gradient_oracle,
    linear_operators,
)
from tests.oracles.dense import SMOOTH, compiled_only, problem


def value(case, w):
    z = case.predict(w, case.x)
    return case.loss(z, case.y, reduction="none").reshape(len(z), -1).sum(axis=1).mean()


@pytest.mark.parametrize("update", [UnitStep(), ArmijoStep(), LevenbergMarquardt(), GammaSearch()])
def test_updates_fit_the_batch(xp, update):
    compiled_only(xp)
    case = problem("logistic", m=5, hidden=4)
    oracle = ProxLinear(case.loss, case.predict, gamma=4.0, max_iter=5, rtol=1e-3)
    x, y, w = xp.array(case.x), xp.array(case.y), xp.array(case.w)
    state = update.init(w)
    step = lambda w, s: update.step(oracle, w, s, x, y)
    before = value(case, case.w)
    if xp.jitted:
        import jax

        step = jax.jit(step)
    for _ in range(3):
        new, state, info = step(w, state)
        assert float(info.value) == pytest.approx(value(case, xp.numpy(w)), rel=1e-9)
        if not isinstance(update, UnitStep):
            assert float(info.new_value) == pytest.approx(value(case, xp.numpy(new)), rel=1e-9)
        w = new
    assert value(case, xp.numpy(w)) < 0.6 * before


@pytest.mark.parametrize("update", [ArmijoStep(), LevenbergMarquardt(), GammaSearch()])
def test_values_have_the_weights_and_the_decay(update):
    case, weights = problem("logistic", m=5, hidden=4), np.asarray([1.0, 2.0, 0.0, 0.5, 3.0])
    oracle = GaussNewton(case.loss, case.predict, gamma=0.5, weight_decay=0.3)

    def objective(w):
        values = case.loss(case.predict(w, case.x), case.y, reduction="none")
        return weights @ values / weights.sum() + 0.15 * w @ w

    new, _, info = update.step(oracle, case.w, update.init(case.w), case.x, case.y, weights)
    assert info.accepted
    assert float(info.value) == pytest.approx(objective(case.w), rel=1e-12)
    assert float(info.new_value) == pytest.approx(objective(new), rel=1e-12)


def test_armijo_halves_and_marquardt_rejects():
    """The quadratic model of a fitted sample lies about long steps."""
    case = problem("logistic", m=6, scale=3.0, seed=5)
    oracle = GaussNewton(case.loss, case.predict, gamma=1e4, max_iter=40, rtol=1e-6)
    direction, report = oracle.direction(case.w, case.x, case.y)
    far = value(case, case.w + direction)
    assert far > value(case, case.w)
    new, _, info = ArmijoStep().step(oracle, case.w, (), case.x, case.y)
    t = float(info.step_size)
    assert 0 < t < 1
    assert value(case, new) <= value(case, case.w) + 1e-4 * t * report.slope
    update = LevenbergMarquardt()
    kept, state, info = update.step(oracle, case.w, update.init(case.w), case.x, case.y)
    np.testing.assert_array_equal(kept, case.w)
    assert not info.accepted and float(state.factor) == 0.5


def test_how_updates_decide():
    """The thresholds of each, where the numbers are known."""
    x, y, w = np.eye(2), np.asarray([1.0, 2.0]), np.zeros(2)
    exact = GaussNewton(losses.squared, lambda w, x: x @ w, gamma=1e8, rtol=0.0)
    # Along a Newton step of a quadratic the decrease at t is (t - t^2/2) of the slope.
    _, _, info = ArmijoStep(c1=0.9).step(exact, w, (), x, y)
    assert float(info.step_size) == 0.125
    for upper, factor in ((0.99, 1.5), (1.01, 1.0)):
        update = LevenbergMarquardt(upper=upper)
        _, state, info = update.step(exact, w, update.init(w), x, y)
        assert float(info.ratio) == pytest.approx(1.0) and float(state.factor) == factor
    case = problem("logistic", m=6, scale=3.0, seed=5)
    lying = GaussNewton(case.loss, case.predict, gamma=1e4, max_iter=40, rtol=1e-6)
    update = GammaSearch(factors=(0.5, 2.0))
    kept, state, info = update.step(lying, case.w, update.init(case.w), case.x, case.y)
    assert not info.accepted and float(state.factor) == 0.5
    np.testing.assert_array_equal(kept, case.w)


@pytest.mark.parametrize("solver", ["dual_direct", "dual_cg"])
def test_path_is_one_direction_a_gamma(xp, solver):
    compiled_only(xp)
    case = problem("logistic")
    arrays = xp.array(case.w), xp.array(case.x), xp.array(case.y)
    metric = np.random.default_rng(0).uniform(0.5, 2.0, case.w.shape)
    for own, decay in ((None, 0.0), (None, 0.2), (metric, 0.0), (metric, 0.2)):
        oracle = GaussNewton(
            case.loss, case.predict, gamma=0.7, solver=solver, rtol=0.0, max_iter=60,
            metric=None if own is None else xp.array(own), weight_decay=decay,
        )  # fmt: skip
        gammas = (0.1, 0.7, 20.0)
        b, g, _ = case.system(decay=decay)
        for gamma, (direction, info) in zip(gammas, oracle.path(*arrays, gammas), strict=True):
            diagonal = (np.ones_like(case.w) if own is None else own) / gamma
            exact = np.linalg.solve(b + np.diag(diagonal), -g)
            np.testing.assert_allclose(xp.numpy(direction), exact, atol=1e-10)
            assert float(info.gap) < 1e-12


@pytest.mark.parametrize("name", ["logistic", "hinge", "squared_hinge"])
def test_gradient_oracle(xp, name):
    compiled_only(xp)
    case = problem(name)
    arrays = xp.array(case.w), xp.array(case.x), xp.array(case.y)
    oracle = gradient_oracle(case.loss, case.predict, gamma=0.3)
    direction, info = xp.run(lambda *a: oracle.direction(*a), *arrays)
    f, jac = case.jacobian()
    g = jac.T @ case.loss.value_and_grad(f, case.y, reduction="none")[1].ravel() / len(f)
    np.testing.assert_allclose(xp.numpy(direction), -0.3 * g, atol=1e-13)
    np.testing.assert_allclose(xp.numpy(as_gradient(direction, 0.3)), g, atol=1e-12)
    assert float(info.model_decrease) == pytest.approx(0.15 * g @ g)
    if name in SMOOTH:
        first = GaussNewton(case.loss, case.predict, gamma=0.3, max_iter=0, model_step=False)
        np.testing.assert_allclose(xp.numpy(first.direction(*arrays)[0]), -0.3 * g, atol=1e-13)


def test_operators_of_scipy(xp):
    compiled_only(xp)
    case = problem("sparsemax_loss")
    weights = np.asarray([1.0, 2.0, 0.5, 1.5])
    arrays = (xp.array(v) for v in (case.w, case.x, case.y, weights))
    gram, ggn, jacobian = linear_operators(case.loss, case.predict, *arrays)
    _, jac = case.jacobian()
    b, _, _ = case.system(weights)
    np.testing.assert_allclose(jacobian @ np.eye(jac.shape[1]), jac, atol=1e-12)
    np.testing.assert_allclose(jacobian.T @ np.eye(jac.shape[0]), jac.T, atol=1e-12)
    np.testing.assert_allclose(gram @ np.eye(jac.shape[0]), jac @ jac.T, atol=1e-12)
    np.testing.assert_allclose(ggn @ np.eye(b.shape[0]), b, atol=1e-12)
    largest = eigsh(ggn, k=1, v0=np.ones(b.shape[0]))[0]
    assert float(largest[0]) == pytest.approx(np.linalg.eigvalsh(b)[-1])


class Linear:
    """A network with products of its own, the backward one maybe wrong."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, w, x):
        return fenchel.namespace(w).matmul(x, w)

    def linearize(self, w, x):
        xp = fenchel.namespace(w)
        pull = lambda u: self.factor * xp.matmul(xp.matrix_transpose(x), u)
        return self(w, x), lambda d: xp.matmul(x, d), pull


def test_products_of_ones_own(xp):
    compiled_only(xp)
    rng = np.random.default_rng(0)
    x, w = xp.array(rng.normal(size=(5, 3))), xp.array(rng.normal(size=(3, 2)))
    y = xp.array(np.asarray([0, 1, 1, 0, 1]))
    found = [
        xp.numpy(GaussNewton(losses.logistic, predict).direction(w, x, y)[0])
        for predict in (Linear(1.0), lambda w, x: fenchel.namespace(w).matmul(x, w))
    ]
    np.testing.assert_allclose(*found, atol=1e-14)
    check_linearization(Linear(1.0), w, x)
    with pytest.raises(ValueError, match="adjoint"):
        check_linearization(Linear(1.1), w, x)


def test_unit_step_with_gradient_is_gradient_descent():
    case = problem("squared")
    oracle = gradient_oracle(case.loss, case.predict, gamma=0.1)
    new, state, info = UnitStep().step(oracle, case.w, (), case.x, case.y)
    np.testing.assert_allclose(new, case.w + oracle.direction(case.w, case.x, case.y)[0])
    assert state == () and bool(info.accepted)
