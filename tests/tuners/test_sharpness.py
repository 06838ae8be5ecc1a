"""Eigenvalues of Hessians against dense ones, over every library and method."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel.autodiff import grad, hessian
from fenchel.tuners import sharpness

METHODS = ("lanczos", "power", "lobpcg")


def symmetric(rng, n):
    """A random matrix with its three largest eigenvalues apart, as networks have them."""
    spectrum = np.concatenate([rng.uniform(-4.0, 3.0, n - 3), [5.0, 7.0, 10.0]])
    q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return q * spectrum @ q.T


def bowl(w, a):
    return (w @ a @ w) / 2


@pytest.mark.parametrize("method", METHODS)
def test_the_largest_eigenvalue_on_every_library(xp, rng, method):
    a = symmetric(rng, 12)
    exact = np.linalg.eigvalsh(a)[-1]

    def measured(w, a):
        found = sharpness(bowl, w, a, method=method, max_iter=150, tol=1e-9)
        return found.value, found.vector, found.residual

    value, vector, residual = xp.numpy(xp.run(measured, xp.array(np.zeros(12)), xp.array(a)))
    assert value <= exact + 1e-12
    assert value == pytest.approx(exact, abs=residual + 1e-12)
    assert residual < 1e-6
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-12)
    assert np.linalg.norm(a @ vector - value * vector) == pytest.approx(residual, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_several_eigenvalues_come_in_order(xp, rng, method):
    a = symmetric(rng, 10)

    def measured(w, a):
        found = sharpness(bowl, w, a, method=method, k=3, max_iter=300, tol=1e-9)
        return found.value, found.vector, found.residual

    value, vector, residual = xp.numpy(xp.run(measured, xp.array(np.zeros(10)), xp.array(a)))
    exact = np.linalg.eigvalsh(a)[::-1][:3]
    assert value.shape == (3,) and vector.shape == (3, 10)
    assert np.all(np.abs(value - exact) <= residual + 1e-9)
    assert vector @ vector.T == pytest.approx(np.eye(3), abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_algebraic_and_not_in_magnitude(method):
    curvatures = np.asarray([-5.0, 3.0, 1.0])
    found = sharpness(lambda w: np.sum(curvatures * w**2) / 2, np.ones(3), method=method)
    assert found.value == pytest.approx(3.0, abs=1e-6)
    negative = sharpness(lambda w: -np.sum(w**2 * [1.0, 2.0, 7.0]), np.ones(3), method=method)
    assert negative.value == pytest.approx(-2.0, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_all_copies_of_a_multiple_eigenvalue(method):
    curvatures = np.asarray([3.0, 3.0, 1.0, 0.0])
    found = sharpness(
        lambda w: np.sum(curvatures * w**2) / 2, np.ones(4), method=method, k=2, max_iter=100
    )
    assert found.value == pytest.approx([3.0, 3.0], abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_flat_objective_and_one_of_nan(method):
    flat = sharpness(lambda w: np.sum(w) * 2.0, np.ones(5), method=method)
    assert (flat.value, flat.residual) == (0.0, 0.0)
    broken = sharpness(lambda w: np.nan * np.sum(w**2), np.ones(5), method=method)
    assert np.isnan(broken.value)
    assert broken.matvecs <= 5


matrices = st.tuples(st.integers(4, 20), st.integers(0, 10_000))
few = settings(max_examples=10)


def drawn(case):
    n, seed = case
    rng = np.random.default_rng(seed)
    return n, symmetric(rng, n), rng


@few
@given(case=matrices)
def test_more_steps_never_lower_the_value(case):
    n, a, _ = drawn(case)
    values = [sharpness(bowl, np.zeros(n), a, max_iter=m, tol=0.0).value for m in (1, 2, 4, 8, n)]
    assert np.all(np.diff(values[:-1]) >= -1e-12)
    assert values[-1] == pytest.approx(np.linalg.eigvalsh(a)[-1], abs=1e-9)


@few
@given(case=matrices, steps=st.integers(1, 6))
def test_the_certificate_holds_long_before_convergence(case, steps):
    n, a, _ = drawn(case)
    spectrum = np.linalg.eigvalsh(a)
    found = sharpness(bowl, np.zeros(n), a, max_iter=steps, tol=0.0)
    assert found.value <= spectrum[-1] + 1e-12
    assert np.min(np.abs(spectrum - found.value)) <= found.residual + 1e-12
    assert found.matvecs <= steps + 1


@few
@given(case=matrices, ridge=st.floats(-5.0, 5.0))
def test_a_ridge_adds_to_it_and_rotations_leave_it(case, ridge):
    n, a, rng = drawn(case)
    q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    plain = sharpness(bowl, np.ones(n), a, tol=1e-12).value
    lifted = sharpness(lambda w: bowl(w, a) + ridge * np.sum(w**2) / 2, np.ones(n), tol=1e-12)
    turned = sharpness(lambda w: bowl(q @ w, a), np.ones(n), tol=1e-12).value
    assert lifted.value == pytest.approx(plain + ridge, abs=1e-9)
    assert turned == pytest.approx(plain, abs=1e-9)


class Network:
    """A tanh layer with squared loss, in the parts that the Gauss-Newton matrix needs."""

    def predict(self, params, inputs):
        return np.tanh(inputs @ params["w"]) @ params["v"]

    def loss(self, outputs, targets):
        return np.sum((outputs - targets) ** 2) / 2

    def __call__(self, params, inputs, targets):
        return self.loss(self.predict(params, inputs), targets)


@pytest.fixture
def problem(rng):
    params = {"w": rng.standard_normal((3, 4)), "v": rng.standard_normal(4)}
    return Network(), params, rng.standard_normal((7, 3)), rng.standard_normal(7)


def dense(objective, params, inputs, targets):
    shapes = [params["v"].shape, params["w"].shape]

    def flat(x):
        return objective({"v": x[:4], "w": x[4:].reshape(3, 4)}, inputs, targets)

    assert shapes == [(4,), (3, 4)]
    return hessian(flat)(np.concatenate([params["v"], params["w"].ravel()]))


def test_a_network_in_a_container(problem):
    network, params, inputs, targets = problem
    exact = np.linalg.eigvalsh(dense(*problem))[-1]
    found = sharpness(network, params, inputs, targets, tol=1e-10)
    assert found.value == pytest.approx(exact, rel=1e-9)
    assert {name: leaf.shape for name, leaf in found.vector.items()} == {"w": (3, 4), "v": (4,)}
    differences = sharpness(network, params, inputs, targets, curvature="grad_difference")
    assert differences.value == pytest.approx(exact, rel=1e-6)


def test_the_gauss_newton_matrix(problem):
    network, params, inputs, targets = problem
    # At targets that the network meets the residuals vanish, and with them what the matrices
    # differ by.
    exact = network.predict(params, inputs)
    hess = sharpness(network, params, inputs, exact, tol=1e-10).value
    ggn = sharpness(network, params, inputs, exact, curvature="ggn", tol=1e-10).value
    assert ggn == pytest.approx(hess, rel=1e-9)
    with pytest.raises(TypeError, match="`objective` must have attributes"):
        sharpness(bowl, params, inputs, targets, curvature="ggn")


def test_a_preconditioner_scales_both_sides(problem):
    network, params, inputs, targets = problem
    scale = {"w": np.full((3, 4), 4.0), "v": np.full(4, 0.25)}
    root = np.sqrt(np.concatenate([scale["v"], scale["w"].ravel()]))
    exact = np.linalg.eigvalsh(dense(*problem) / root[:, None] / root)[-1]
    found = sharpness(network, params, inputs, targets, preconditioner=scale, tol=1e-10)
    assert found.value == pytest.approx(exact, rel=1e-9)
    with pytest.raises(ValueError, match="`preconditioner` must have the shapes"):
        sharpness(network, params, inputs, targets, preconditioner={"w": scale["v"], "v": 1.0})


def test_a_warm_start_saves_products_and_is_left_for_a_larger_eigenvalue(rng):
    spectrum = np.linspace(0.0, 9.0, 200)
    q = np.linalg.qr(rng.standard_normal((200, 200)))[0]
    a = q * spectrum @ q.T
    cold = sharpness(bowl, np.zeros(200), a, tol=1e-4, max_iter=200)
    warm = sharpness(bowl, np.zeros(200), a, tol=1e-4, max_iter=200, start=cold.vector)
    assert warm.matvecs < cold.matvecs
    second = sharpness(bowl, np.zeros(200), a, start=q[:, -2], max_iter=200)
    assert second.value == pytest.approx(9.0, abs=1e-9)


def test_its_derivative_is_that_of_the_eigenvalue(problem):
    network, params, inputs, targets = problem

    def largest(params):
        return sharpness(network, params, inputs, targets, tol=1e-12).value

    slope = grad(largest)(params)["v"]
    for i in range(4):
        step = 1e-5 * np.eye(4)[i]
        up, down = ({**params, "v": params["v"] + s} for s in (step, -step))
        numeric = (largest(up) - largest(down)) / 2e-5
        assert slope[i] == pytest.approx(numeric, rel=1e-5, abs=1e-6)


def test_float32_and_half_parameters(rng):
    a = symmetric(rng, 20).astype(np.float32)
    exact = np.linalg.eigvalsh(a.astype(np.float64))[-1]
    found = sharpness(bowl, np.zeros(20, np.float32), a)
    assert found.value.dtype == np.float32
    assert found.value == pytest.approx(exact, rel=1e-5)
    half = sharpness(lambda w: np.sum(w * w * np.float16(1.5)), np.ones(4, np.float16))
    assert half.value.dtype == np.float32
    # The products are rounded to the dtype of the parameters.
    assert half.value == pytest.approx(3.0, rel=2.0**-10)


def test_batches_under_vmap_and_jit_equal_a_loop(rng):
    jax = pytest.importorskip("jax")
    points = jax.numpy.asarray(rng.standard_normal((3, 5)))

    def objective(w):
        return jax.numpy.sum(jax.numpy.cos(w) * w[0]) + w[1] ** 4

    def largest(w):
        return sharpness(objective, w, tol=1e-6).value

    mapped = jax.jit(jax.vmap(largest))(points)
    assert np.asarray(mapped) == pytest.approx([float(largest(w)) for w in points], rel=1e-4)


def test_batches_under_vmap_of_torch(rng):
    torch = pytest.importorskip("torch")
    points = torch.asarray(rng.standard_normal((3, 5)))

    def largest(w):
        return sharpness(lambda w: torch.sum(torch.cos(w) * w[0]) + w[1] ** 4, w).value

    mapped = torch.vmap(largest, randomness="same")(points)
    assert mapped.numpy() == pytest.approx([float(largest(w)) for w in points], rel=1e-9)


def test_what_is_refused():
    w = np.ones(3)
    with pytest.raises(ValueError, match="`method` must be one of lanczos, power, lobpcg"):
        sharpness(lambda w: np.sum(w), w, method="arnoldi")
    with pytest.raises(ValueError, match="`curvature` must be one of"):
        sharpness(lambda w: np.sum(w), w, curvature="fisher")
    with pytest.raises(ValueError, match=r"`k` must be in \[1, number of parameters = 3\]"):
        sharpness(lambda w: np.sum(w), w, k=4)
    with pytest.raises(ValueError, match="`max_iter` must be at least k=2"):
        sharpness(lambda w: np.sum(w), w, k=2, max_iter=1)
    with pytest.raises(ValueError, match="`params` must hold at least one entry"):
        sharpness(lambda w: np.sum(w), np.ones(0))
