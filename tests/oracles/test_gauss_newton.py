"""Gauss-Newton directions against dense primal solves, on every library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fenchel
from fenchel import losses
from fenchel.oracles import GaussNewton
from tests.oracles.dense import SMOOTH, compiled_only, problem

SOLVERS = ("dual_cg", "dual_direct", "primal_cg")
# The solvers share their products: two losses tell.
CASES = [(name, "dual_cg") for name in SMOOTH] + [
    (name, solver) for name in ("logistic", "huber") for solver in SOLVERS[1:]
]


def solve(xp, case, weights=None, dual=None, **options):
    oracle = GaussNewton(case.loss, case.predict, **{"rtol": 0.0, "max_iter": 60, **options})
    arrays = [xp.array(case.w), xp.array(case.x), xp.array(case.y)]
    arrays += [] if weights is None else [xp.array(weights)]
    direction, info = xp.run(lambda *a: oracle.direction(*a), *arrays)
    return xp.numpy(direction), type(info)(
        *(xp.numpy(v) if hasattr(v, "dtype") else v for v in info)
    )


@pytest.mark.parametrize(("name", "solver"), CASES)
def test_dual_is_the_dense_primal_solve(xp, name, solver):
    case = problem(name)
    b, g, start = case.system()
    exact = np.linalg.solve(b + np.eye(b.shape[0]) / 1.7, -g)
    direction, info = solve(xp, case, gamma=1.7, solver=solver)
    np.testing.assert_allclose(direction, exact, rtol=0, atol=1e-10 * max(1, np.abs(exact).max()))
    model = start + g @ exact + 0.5 * exact @ b @ exact + exact @ exact / 3.4
    assert float(info.value) == pytest.approx(model, rel=1e-10)
    assert float(info.model_decrease) == pytest.approx(start - model, rel=1e-9)
    assert float(info.slope) == pytest.approx(g @ exact, rel=1e-9)
    assert 0 <= float(info.gap) < 1e-12
    assert bool(info.certified_descent)


def _numpy():
    from tests import libraries

    return libraries.get("numpy")


def test_outputs_without_a_last_axis(xp):
    case = problem("binary_logistic", m=6, k=1)
    b, g, _ = case.system()
    exact = np.linalg.solve(b + np.eye(b.shape[0]) / 0.8, -g)
    oracle = GaussNewton(
        case.loss, lambda w, x: case.predict(w, x)[:, 0], gamma=0.8, rtol=0.0, max_iter=40
    )
    direction, info = xp.run(
        lambda *a: oracle.direction(*a), xp.array(case.w), xp.array(case.x), xp.array(case.y[:, 0])
    )
    np.testing.assert_allclose(xp.numpy(direction), exact, atol=1e-11)
    assert tuple(info.dual.shape) == (6,)


@given(
    name=st.sampled_from(sorted(SMOOTH)),
    m=st.integers(1, 5),
    k=st.integers(1, 4),
    hidden=st.integers(1, 3),
    seed=st.integers(0, 1000),
    log_gamma=st.floats(-3, 3),
    solver=st.sampled_from(SOLVERS[::2]),
)
def test_truncated_directions(name, m, k, hidden, seed, log_gamma, solver):
    """Slopes are negative and monotone, gaps bound the distance, the model never increases."""
    case, gamma, xp = problem(name, m, k, 2, hidden, seed=seed), 10.0**log_gamma, _numpy()
    b, g, start = case.system()
    a = b + np.eye(b.shape[0]) / gamma
    exact = np.linalg.solve(a, -g)
    best = start + 0.5 * g @ exact
    size = np.linalg.norm(g) + 1e-300
    slopes = []
    for count in range(6):
        plain, info = solve(xp, case, gamma=gamma, max_iter=count, solver=solver, model_step=False)
        slopes.append(g @ plain)
        model = start + g @ plain + 0.5 * plain @ a @ plain
        scale = abs(start) + abs(model) + gamma * size**2
        assert float(info.value) == pytest.approx(model, rel=1e-9, abs=1e-12 * scale)
        # weak duality, and strong convexity
        assert model - info.gap <= best + 1e-11 * scale
        room = 1e-10 * np.sum(exact**2) + 1e-18
        assert np.sum((plain - exact) ** 2) <= 2 * gamma * info.gap + room
        lower = model - float(info.gap)  # the dual value, whatever becomes of the direction
        scaled, info = solve(xp, case, gamma=gamma, max_iter=count, solver=solver)
        after = start + g @ scaled + 0.5 * scaled @ a @ scaled
        assert float(info.gap) == pytest.approx(after - lower, rel=1e-6, abs=1e-10 * scale)
        assert after <= min(model, start) + 1e-12 * scale
        assert info.model_decrease >= 0
        if size > 1e-8:
            assert slopes[-1] < 0
            assert info.certified_descent
            assert np.linalg.norm(plain) <= gamma * size * (1 + 1e-9) or solver == "primal_cg"
    if solver == "dual_cg":
        assert np.all(np.diff(slopes) >= -1e-9 * gamma * size**2)


@pytest.mark.parametrize("gamma", [1.0, 10.0, 100.0, 1000.0])
@pytest.mark.parametrize("steps", [0, 1, 5, 20])
def test_every_gamma_and_number_of_steps_is_finite(gamma, steps):
    direction, info = solve(_numpy(), problem("logistic", m=5), gamma=gamma, max_iter=steps)
    assert np.all(np.isfinite(direction)) and info.certified_descent


def test_weights(xp):
    """Weights are normalised, a zero drops the sample with its NaN, twins change nothing."""
    compiled_only(xp)
    case, rng = problem("logistic", m=5), np.random.default_rng(1)
    weights = rng.uniform(0.5, 2.0, 5)
    b, g, _ = case.system(weights)
    exact = np.linalg.solve(b + np.eye(b.shape[0]), -g)
    np.testing.assert_allclose(solve(xp, case, weights)[0], exact, atol=1e-11)
    np.testing.assert_allclose(solve(xp, case, 7.0 * weights)[0], exact, atol=1e-11)
    plain = solve(xp, case)[0]
    case.x = np.concatenate([case.x, np.full((2, 2), np.nan)])
    case.y = np.concatenate([case.y, case.y[:2]])
    dropped, info = solve(xp, case, np.asarray([1.0, 1, 1, 1, 1, 0, 0]))
    np.testing.assert_allclose(dropped, plain, atol=1e-12)
    assert np.isfinite(info.value)
    twins = problem("logistic", m=5)
    twins.x, twins.y = np.repeat(twins.x, 2, axis=0), np.repeat(twins.y, 2)
    np.testing.assert_allclose(solve(xp, twins)[0], plain, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_metric_and_weight_decay(xp, solver):
    compiled_only(xp)
    case = problem("sparsemax_loss")
    rng = np.random.default_rng(2)
    metric = rng.uniform(0.5, 2.0, case.w.shape)
    b, g, start = case.system(decay=0.3)
    exact = np.linalg.solve(b + np.diag(metric) / 2.0, -g)
    direction, info = solve(
        xp, case, gamma=2.0, metric=xp.array(metric), weight_decay=0.3, solver=solver
    )
    np.testing.assert_allclose(direction, exact, atol=1e-11)
    value = start + g @ exact + 0.5 * exact @ (b + np.diag(metric) / 2.0) @ exact
    assert float(info.value) == pytest.approx(value)


@pytest.mark.parametrize("rtol", [0.3, 1e-2, 1e-4])
def test_the_first_step_whose_gap_is_small_enough_is_the_last(rtol):
    case = problem("logistic", m=6)
    options = {"gamma": 20.0, "model_step": False}
    _, last = solve(_numpy(), case, rtol=rtol, **options)
    count = int(last.iterations)
    assert 0 < count < 18
    _, before = solve(_numpy(), case, max_iter=count - 1, **options)
    assert last.gap <= rtol * (last.gap + last.model_decrease)
    assert before.gap > rtol * (before.gap + before.model_decrease)


def test_warm_starts():
    case = problem("logistic", m=6)
    arrays = case.w, case.x, case.y
    oracle = GaussNewton(case.loss, case.predict, rtol=1e-12, max_iter=60)
    direction, cold = oracle.direction(*arrays)
    again, warm = oracle.direction(*arrays, dual=cold.dual)
    np.testing.assert_allclose(again, direction, rtol=1e-5)
    assert warm.iterations < cold.iterations
    far = 1e3 * np.random.default_rng(0).normal(size=(6, 3))
    for count in range(5):
        short = GaussNewton(case.loss, case.predict, max_iter=count)
        _, info = short.direction(*arrays, dual=far)
        assert info.slope < 0 and info.model_decrease >= 0


def test_saturated_samples_give_the_gradient(xp):
    """No curvature, no NaN."""
    compiled_only(xp)
    predict = lambda w, x: fenchel.namespace(w).matmul(x, w)
    x, w = np.eye(2), 1e6 * np.asarray([[1.0, 0.0], [0.0, 1.0]])
    for y in ([0, 1], [1, 0]):
        case = problem("logistic", m=2, k=2)
        case.predict, case.w, case.x, case.y = predict, w, x, np.asarray(y)
        direction, info = solve(xp, case, gamma=3.0)
        slopes = np.eye(2) - np.eye(2)[y]
        np.testing.assert_allclose(direction, -1.5 * x.T @ slopes, atol=1e-12)
        assert int(info.iterations) == 0


@pytest.mark.parametrize("solver", SOLVERS)
def test_float32_never_divides_by_nothing(solver):
    case = problem("logistic", m=3, k=3)
    arrays = [np.float32(case.w), np.float32(case.x), case.y]
    for gamma in (1.0, 1e2):
        oracle = GaussNewton(
            case.loss, case.predict, gamma=gamma, rtol=0.0, max_iter=200, solver=solver
        )
        direction, info = oracle.direction(*arrays)
        b, g, _ = case.system()
        exact = np.linalg.solve(b + np.eye(b.shape[0]) / gamma, -g)
        assert direction.dtype == np.float32
        np.testing.assert_allclose(direction, exact, rtol=0, atol=2e-3 * np.abs(exact).max())
        assert np.isfinite(info.value)


def test_containers_and_errors():
    case = problem("squared")
    oracle = GaussNewton(case.loss, lambda p, x: case.predict(p["w"][0], x), rtol=0.0, max_iter=60)
    direction, _ = oracle.direction({"w": (case.w,)}, case.x, case.y)
    flat = GaussNewton(case.loss, case.predict, rtol=0.0, max_iter=60)
    np.testing.assert_allclose(direction["w"][0], flat.direction(case.w, case.x, case.y)[0])
    with pytest.raises(ValueError, match="m >= 1"):
        flat.direction(case.w, case.x[:0], case.y[:0])
    with pytest.raises(TypeError, match="curvature"):
        GaussNewton(losses.hinge, case.predict)
    with pytest.raises(ValueError, match="gamma"):
        GaussNewton(losses.squared, case.predict, gamma=0.0)
    with pytest.raises(ValueError, match="weights"):
        flat.direction(case.w, case.x, case.y, np.ones(3))
    with pytest.raises(ValueError, match="metric"):
        GaussNewton(case.loss, case.predict, metric=np.ones(2)).direction(case.w, case.x, case.y)
    with pytest.raises(ValueError, match="dual"):
        flat.direction(case.w, case.x, case.y, dual=np.ones(3))
