"""Regularizers as objects: values, conjugates, divergences, and the row protocol of losses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from fenchel import backend_of, entmax, grad, normmax, regularizers, softmax, sparsemax, topk_mask
from fenchel.autodiff import hessian, jacobian
from fenchel.convex import Birkhoff, CappedSimplex, Cube, Permutahedron, Simplex
from fenchel.operators import f_argmax
from fenchel.testing.strategies import scores
from tests.regularizers import oracles
from tests.regularizers.samples import ALL, SIMPLEX, Q, total

RNG = np.random.default_rng(3)
X, Z = RNG.normal(size=(2, 3, 5)) * 2
every = pytest.mark.parametrize("name", ALL)
on_simplex = pytest.mark.parametrize("name", SIMPLEX)
few = settings(max_examples=15, deadline=None)


def plain(omega, x, t=1.0):
    """Prepared scores, as losses hand them over."""
    return omega._scaled(backend_of(x), x, t)


def summed(f):
    return lambda x: backend_of(x).namespace.sum(f(x))


@every
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_gradient_of_max_is_argmax(name, temperature):
    omega = ALL[name]
    found = grad(summed(lambda x: omega.max(x, temperature=temperature)))(X)
    assert_allclose(found, omega.argmax(X, temperature=temperature), atol=1e-12)


@pytest.mark.parametrize("name", ["Tsallis rows", "NormEntropy 3", "jensen_shannon, reference"])
def test_hessian_of_max_is_the_jacobian_of_argmax(name):
    omega = ALL[name]
    found = hessian(summed(omega.max))(X).reshape(15, 15)
    assert_allclose(found, jacobian(omega.argmax)(X).reshape(15, 15), atol=1e-10)


@every
def test_fenchel_young_inequality(name):
    omega = ALL[name]
    y = omega.argmax(Z)
    loss = omega.max(X) + omega.value(y) - total(omega, X * y)
    assert (loss >= -1e-12).all()
    own = omega.argmax(X)
    equal = omega.max(X) + omega.value(own) - total(omega, X * own)
    assert_allclose(equal, 0, atol=2e-12)


@every
def test_bregman_and_slack_add_up_to_the_loss(name):
    omega, backend = ALL[name], backend_of(X)
    point, slack = omega._link(backend, plain(omega, X))
    y = omega.argmax(Z)
    loss = omega.max(X) + omega.value(y) - total(omega, X * y)
    held = total(omega, slack * (y - point))
    assert (held >= -1e-12).all()
    if omega.simplex:
        assert (slack >= 0).all()
        assert_array_equal(slack[point > 0], 0)
    rows = omega._bregman(backend, y, point)
    assert (rows >= 0).all()
    assert_allclose(rows + held, loss, rtol=1e-11, atol=1e-12)


@every
def test_bregman_is_what_it_is_defined_as(name):
    omega = ALL[name]
    p, y = omega.argmax(X / 8), omega.argmax(Z / 8)
    slope = omega._slope(backend_of(X), p)
    wanted = omega.value(y) - omega.value(p) - total(omega, slope * (y - p))
    assert_allclose(omega.bregman(y, p), wanted, atol=1e-12)
    derivative = grad(summed(omega.value))(p)
    if omega.simplex:  # up to a constant
        slope, derivative = (a - a[:, :1] for a in (slope, derivative))
    assert_allclose(slope, derivative, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["Shannon", "Tsallis 1.5", "reverse_kl, reference", "neyman_chi2", "jensen_shannon"]
)
def test_bregman_keeps_its_digits_near_zero(name):
    """The divergence of close points is half the squared distance in the metric of phi''."""
    omega, p = ALL[name], np.asarray([[0.2, 0.3, 0.1, 0.15, 0.25]] * 3)
    e = 1e-7 * np.asarray([1.0, -1.0, 0.5, -0.25, -0.25])
    metric = omega._curvature(backend_of(p), p)
    wanted = (metric * e**2).sum(axis=-1) / 2
    assert_allclose(omega.bregman(p + e, p), wanted, rtol=1e-5)


@every
def test_temperature_zero_is_hard(name):
    omega = ALL[name]
    if name in ("space", "entropic orthant", "power on the orthant", "power"):
        return  # unbounded
    hard = omega.argmax(X, temperature=0)
    assert_allclose(omega.max(X, temperature=0.0), total(omega, X * hard), atol=1e-13)
    assert (total(omega, X * hard) >= total(omega, X * omega.argmax(X)) - 1e-12).all()
    rows = np.asarray([[0.0], [0.7], [1e-3]])
    assert_array_equal(omega.argmax(X, temperature=rows)[0], hard[0])
    assert_allclose(omega.max(X, temperature=rows)[0], omega.max(X, temperature=0.0)[0])


@on_simplex
@few
@given(x=scores(shape=(3, 5)), shift=st.integers(-64, 64))
def test_shift(name, x, shift):
    omega = ALL[name]
    assert_allclose(omega.max(x + shift), omega.max(x) + shift, atol=1e-9)
    assert_allclose(omega.argmax(x + shift), omega.argmax(x), atol=1e-8)


@on_simplex
@few
@given(x=scores(shape=(3, 5)), seed=st.integers(0, 99))
def test_argmax_maximises(name, x, seed):
    omega = ALL[name]
    best = omega.max(x)
    for y in np.random.default_rng(seed).dirichlet(np.full(5, 0.7), size=(6, 3)):
        assert ((x * y).sum(axis=-1) - omega.value(y) <= best + 1e-9).all()


@pytest.mark.parametrize(
    "name", ["Tsallis 1.5", "NormEntropy 3", "jensen_shannon, reference", "alpha 1.5", "Gini"]
)
def test_argmax_equals_a_general_solver(name):
    omega, x = ALL[name], X[:1, :3]
    if getattr(omega, "reference", None) is not None:
        measure = np.atleast_2d(omega.reference)[:1, :3]
        omega = regularizers.FDivergence(omega.divergence, measure, omega.alpha)

    def objective(y):
        return float(omega.value(y[None])[0] - x[0] @ y)

    found = minimize(
        objective,
        np.full(3, 1 / 3),
        method="SLSQP",
        bounds=[(1e-9, 1)] * 3,
        constraints={"type": "eq", "fun": lambda y: y.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert_allclose(omega.argmax(x)[0], found.x, atol=2e-5)
    assert_allclose(omega.max(x)[0], -found.fun, atol=1e-8)


def test_values_are_those_of_their_definitions():
    p = np.asarray([[0.5, 0.2, 0.3, 0.0], [1.0, 0.0, 0.0, 0.0]])
    shannon = regularizers.Shannon().value(p)
    assert_allclose(shannon, [0.5 * np.log(0.5) + 0.2 * np.log(0.2) + 0.3 * np.log(0.3), 0])
    assert_allclose(regularizers.Gini().value(p), ((p**2).sum(-1) - 1) / 2, atol=1e-16)
    for alpha in (1.2, 1.5, 3.0):
        wanted = ((p**alpha).sum(-1) - p.sum(-1)) / (alpha * (alpha - 1))
        assert_allclose(regularizers.Tsallis(alpha).value(p), wanted, rtol=1e-13, atol=1e-15)
        norm = (p**alpha).sum(-1) ** (1 / alpha)
        assert_allclose(regularizers.NormEntropy(alpha).value(p), norm, rtol=1e-14)
    assert_allclose(regularizers.Tsallis(1.0).value(p), shannon)
    assert_array_equal(regularizers.NormEntropy(float("inf")).value(p), [0.5, 1.0])
    power = regularizers.PNorm(CappedSimplex(1), 1.5).value(p)
    assert_allclose(power, (p**1.5).sum(-1) / 1.5)


@pytest.mark.parametrize("name", oracles.DIVERGENCES)
def test_divergences_in_60_digits(name):
    p, q = np.asarray([0.5, 0.2, 0.299, 0.001]), np.asarray([1e-3, 0.3, 0.3, 0.9])
    omega = regularizers.FDivergence(name, q)
    assert_allclose(omega.value(p), oracles.divergence(p, name, q), rtol=1e-13)
    near = q * (1 + 1e-6 * np.asarray([1.0, -1.0, 0.5, 0.25]))
    assert_allclose(omega.value(near), oracles.divergence(near, name, q), rtol=1e-8)


@pytest.mark.parametrize("alpha", [-1.3, 0.2, 0.49, 0.51, 0.99, 1.01, 1.7, 3.2])
def test_alpha_divergences_in_60_digits(alpha):
    p, q = np.asarray([0.5, 0.2, 0.299, 0.001]), np.asarray([1e-3, 0.3, 0.3, 0.9])
    omega = regularizers.FDivergence("alpha", q, alpha)
    assert_allclose(omega.value(p), oracles.divergence(p, "alpha", q, alpha), rtol=1e-12)


def test_zeros_of_points():
    p, y = np.asarray([0.5, 0.5, 0.0]), np.asarray([0.5, 0.25, 0.25])
    inf = float("inf")
    f_at_zero = {"kl": 1, "chi2": 0.5, "jensen_shannon": np.log(2), "squared_hellinger": 1}
    for name in oracles.DIVERGENCES:
        omega = regularizers.FDivergence(name)
        inside = omega.value(p[:2])
        assert_allclose(omega.value(p), inside + f_at_zero.get(name, inf))
        mask = np.asarray([True, True, False])
        assert_allclose(omega.value(p, where=mask), inside)
        found = omega.bregman(y, p)
        assert found > 0
        assert np.isinf(found) == (name != "chi2")
    assert regularizers.Shannon().bregman(y, p) == inf
    assert np.isfinite(regularizers.Tsallis(1.5).bregman(y, p))
    assert regularizers.FDivergence("kl", np.asarray([0.5, 0.5, 0.0])).value(y) == inf


@pytest.mark.parametrize("name", oracles.DIVERGENCES)
def test_derivative_of_max_in_the_reference(name):
    """It is f*(theta_i - tau)."""
    q = Q[0]
    found = grad(
        lambda q: regularizers.FDivergence(name, q).max(backend_of(q).namespace.asarray(X[0]))
    )(q)
    p, tau = oracles.f_argmax(X[0], name, q)
    u, f = p / q, oracles.generator(name)
    v = X[0] - tau
    wanted = [a * b - float(f(a)) for a, b in zip(u, v, strict=True)]
    assert_allclose(found, wanted, atol=1e-12)


def test_equal_what_they_are_named_after():
    assert_array_equal(regularizers.Shannon().argmax(X), softmax(X))
    assert_array_equal(regularizers.Gini().argmax(X), sparsemax(X))
    assert_allclose(regularizers.Tsallis(1.3).argmax(X), entmax(X, alpha=1.3), atol=1e-15)
    assert_allclose(regularizers.NormEntropy(2.0).argmax(X), normmax(X), atol=1e-15)
    mask = regularizers.PNorm(CappedSimplex(2), 1.5).argmax(X, temperature=0.7)
    assert_allclose(mask, topk_mask(X, 2, p=1.5, temperature=0.7), atol=1e-15)
    omega = regularizers.FDivergence("jensen_shannon", Q)
    wanted = f_argmax(X, divergence="jensen_shannon", reference=Q)
    assert_allclose(omega.argmax(X), wanted, atol=1e-15)
    power = regularizers.PNorm(Simplex(), 3.0).argmax(X)
    assert_allclose(power, regularizers.Tsallis(3.0).argmax(X / 2), atol=1e-15)


def test_underflowed_points_keep_their_loss():
    z, y = np.asarray([0.0, -800.0, -2000.0]), np.asarray([0.5, 0.25, 0.25])
    omega, backend = regularizers.Shannon(), backend_of(np.ones(1))
    point, slack = omega._link(backend, z)
    found = omega._bregman(backend, y, point) + (slack * y).sum()
    assert_allclose(found, (y * np.log(y)).sum() + 700.0, rtol=1e-14)


@on_simplex
def test_edges(name):
    omega, inf = ALL[name], float("inf")
    x = np.asarray([[0.5, -inf, 1.0, 0.2, 0.1], [-inf] * 5, [np.nan, 0.0, 1.0, 2.0, 3.0]])
    p = omega.argmax(x)
    assert p[0, 1] == 0
    assert_array_equal(p[1], 0)
    assert np.isnan(p[2]).all()
    largest = omega.max(x)
    assert np.isfinite(largest[0])
    assert largest[1] == -inf
    assert np.isnan(largest[2])
    slope = grad(summed(lambda x: omega.max(x)[:2]))(x)
    assert_allclose(slope[:2], p[:2], atol=1e-12)
    mask = np.asarray([True, False, True, True, True])
    assert_allclose(omega.max(np.where(mask, x, 7.0), where=mask)[0], largest[0])


@every
def test_axis_dtype_and_batch(name):
    omega = ALL[name]
    if name.endswith("rows") or getattr(omega, "reference", None) is not None:
        return  # per-row arrays have a test of their own
    stacked = np.stack([X, Z])
    assert_allclose(omega.max(stacked)[1], omega.max(Z))
    if not omega.elementwise:
        assert_allclose(omega.max(X.T, axis=0), omega.max(X), atol=1e-14)
        assert_allclose(omega.argmax(X.T, axis=0).T, omega.argmax(X), atol=1e-14)
        p = omega.argmax(Z)
        assert_allclose(omega.value(p.T, axis=0), omega.value(p), atol=1e-14)
        assert omega.max(np.zeros((0, 5))).shape == (0,)
    small = omega.argmax(X.astype(np.float32))
    assert small.dtype == np.float32
    assert_allclose(small, omega.argmax(X), rtol=1e-6, atol=2e-5)
    assert omega.max(X.astype(np.float16)).dtype == np.float16


def test_rows_of_parameters_along_another_axis():
    for name in ("Tsallis rows", "NormEntropy rows", "alpha rows"):
        omega = ALL[name]
        fields = {"alpha": omega.alpha.T}
        if name == "alpha rows":
            fields |= {"divergence": "alpha", "reference": omega.reference.T}
        turned = type(omega)(**fields)
        assert_allclose(turned.max(X.T, axis=0), omega.max(X), atol=1e-14)
        assert_allclose(turned.argmax(X.T, axis=0).T, omega.argmax(X), atol=1e-14)
        p, y = omega.argmax(X), omega.argmax(Z)
        assert_allclose(turned.bregman(y.T, p.T, axis=0), omega.bregman(y, p), atol=1e-14)


def test_every_library(xp):
    def all_of(x, y, q):
        space = backend_of(x).namespace
        f = regularizers.FDivergence("squared_hellinger", q)
        objects = [regularizers.Shannon(), regularizers.Tsallis(1.5), f]
        rows = [value for o in objects for value in (o.max(x), o.value(y), o.bregman(y, q))]
        return space.stack(rows)

    y = regularizers.Shannon().argmax(Z)
    found = xp.numpy(xp.run(all_of, xp.array(X), xp.array(y), xp.array(Q)))
    assert_allclose(found, all_of(X, y, Q), atol=1e-12)


def test_one_bit_takes_scalars_and_ignores_axis():
    omega = regularizers.BinaryShannon()
    assert omega.argmax(np.asarray(0.0)) == 0.5
    assert omega.max(np.zeros((0,))).shape == (0,)
    assert_array_equal(omega.max(X, axis=0), omega.max(X))
    assert omega.bregman(np.asarray(1.0), np.asarray(0.0)) == float("inf")
    large, backend = np.asarray([50.0, -900.0]), backend_of(X)
    link = omega._link(backend, large)
    y = np.asarray([0.0, 1.0])
    found = omega._bregman(backend, y, link.point) + link.slack * (y - link.point)
    assert_allclose(found, [50.0, 900.0], rtol=1e-13)


def test_matrices():
    omega, x = regularizers.SquaredNorm(Birkhoff()), RNG.normal(size=(2, 3, 3))
    p = omega.argmax(x)
    assert_allclose(p.sum(axis=-1), 1, atol=1e-6)
    assert omega.value(p).shape == (2,)
    assert_allclose(omega.value(p), (p**2).sum(axis=(-2, -1)) / 2)
    assert_allclose(omega.max(x), (p * x).sum(axis=(-2, -1)) - omega.value(p), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: regularizers.Tsallis(0.5), ValueError, "`alpha` must be at least 1"),
        (lambda: regularizers.Tsallis("1.5"), TypeError, "`alpha` must be a real number; got str"),
        (lambda: regularizers.Tsallis([1.5]), TypeError, "`alpha` must be a real number; got list"),
        (lambda: regularizers.NormEntropy(None), TypeError, "`alpha` must be a real number"),
        (lambda: regularizers.NormEntropy(1.0), ValueError, "`alpha` must be above 1"),
        (lambda: regularizers.SquaredNorm(3), TypeError, "`set` must have `project`; got int"),
        (lambda: regularizers.FDivergence("tv"), ValueError, "`divergence` must be one of"),
        (lambda: regularizers.PNorm(CappedSimplex(2), 3.0), ValueError, "`p` must be at most 2"),
        (lambda: regularizers.PNorm(Permutahedron(X[0]), 1.5), TypeError, "`set` must be one of"),
        (lambda: regularizers.PNorm(Simplex(2.0), 1.5), ValueError, "`set` must have radius 1"),
        (lambda: regularizers.Entropic(object()), TypeError, "`set` must have `project_kl`"),
        (lambda: regularizers.Gini().max(np.ones(3, int)), TypeError, "`x` must have a real"),
        (lambda: regularizers.Gini().value(np.ones(3, int)), TypeError, "`p` must have a real"),
        (lambda: regularizers.Gini().bregman(X, X[0]), ValueError, "`p` must have the shape"),
        (lambda: regularizers.Gini().max(X, temperature=-1), ValueError, "`temperature` must be"),
        (
            lambda: regularizers.SquaredNorm(Permutahedron(X[0])).max(X, where=X > 0),
            ValueError,
            "`where` must be None on Permutahedron",
        ),
    ],
)
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_are_containers_of_their_arrays():
    from fenchel import trees

    omega = trees.map(lambda a: 2 * a, regularizers.FDivergence("kl", Q))
    assert omega.divergence == "kl"
    assert_array_equal(omega.reference, 2 * Q)
    assert hash(regularizers.Shannon()) == hash(regularizers.Shannon())
    assert isinstance(regularizers.SquaredNorm(Cube()).domain, Cube)
