"""Softmax, sparsemax, entmax and normmax: properties, and independent routes to their values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fenchel
from fenchel.operators import entmax, normmax, softmax, sparsemax, topk_mask
from fenchel.testing.strategies import scores, temperatures
from tests.properties import oracles

ALPHAS = st.sampled_from([1.0, 1.01, 1.25, 1.5, 1.75, 2.0, 3.0])
ABOVE_ONE = st.sampled_from([1.25, 1.5, 2.0, 3.0, 5.0])
ROWS = scores(shape=(3, 6))
few = settings(max_examples=40, deadline=None)
OPERATORS = st.sampled_from(
    [
        softmax,
        sparsemax,
        lambda x, **o: entmax(x, alpha=1.3, **o),
        entmax,
        lambda x, **o: entmax(x, alpha=3.0, **o),
        normmax,
        lambda x, **o: normmax(x, alpha=4.0, **o),
    ]
)


def apply(library, operator, x, **options):
    return library.numpy(operator(library.array(x), **options))


@few
@given(operator=OPERATORS, x=ROWS, temperature=temperatures(low=0.05), shift=st.integers(-64, 64))
def test_on_the_simplex_in_order_and_shift_invariant(library, operator, x, temperature, shift):
    y = apply(library, operator, x, temperature=temperature)
    assert (y >= 0).all()
    assert_allclose(y.sum(axis=-1), 1, atol=1e-10)
    order = np.argsort(x, axis=-1, kind="stable")
    assert (np.diff(np.take_along_axis(y, order, axis=-1), axis=-1) >= -1e-15).all()
    moved = apply(library, operator, x + shift, temperature=temperature)
    assert_allclose(moved, y, atol=1e-9 / min(1, temperature))


@few
@given(operator=OPERATORS, x=ROWS, temperature=temperatures(low=0.05))
def test_temperature_divides_the_scores(library, operator, x, temperature):
    y = apply(library, operator, x, temperature=temperature)
    assert_allclose(apply(library, operator, x / temperature), y, atol=1e-9)


@few
@given(operator=OPERATORS, x=scores(shape=(4,), ties=False))
def test_tends_to_the_argmax(library, operator, x):
    hard = (x == x.max()) / (x == x.max()).sum()
    assert_array_equal(apply(library, operator, x, temperature=0.0), hard)
    assert_allclose(apply(library, operator, x, temperature=1e-6), hard, atol=1e-9)


@few
@given(x=scores(shape=(6,)), alpha=ALPHAS)
def test_entmax_equals_bisection(library, x, alpha):
    found = apply(library, entmax, x, alpha=alpha)
    # Above alpha = 2 the link is not Lipschitz: the oracle's own rounding is amplified.
    assert_allclose(found, oracles.entmax_by_bisection(x, alpha), atol=1e-6 if alpha > 2 else 1e-10)


@few
@given(x=scores(shape=(6,)), alpha=ABOVE_ONE)
def test_normmax_equals_bisection(library, x, alpha):
    found = apply(library, normmax, x, alpha=alpha)
    assert_allclose(found, oracles.normmax_by_bisection(x, alpha), atol=1e-5 if alpha > 2 else 1e-9)


@few
@given(x=scores(shape=(6,)), alpha=ALPHAS, seed=st.integers(0, 99))
def test_entmax_maximises_its_objective(library, x, alpha, seed):
    y = apply(library, entmax, x, alpha=alpha)
    best = x @ y - oracles.tsallis(y, alpha)
    for other in np.random.default_rng(seed).dirichlet(np.full(6, 0.5), size=20):
        assert x @ other - oracles.tsallis(other, alpha) <= best + 1e-9


@few
@given(x=ROWS, alpha=st.sampled_from([1.25, 1.5, 2.0]))
def test_entmax_is_the_mask_of_one(library, x, alpha):
    y = apply(library, entmax, x, alpha=alpha)
    options = {"temperature": 1 / (alpha - 1), "p": alpha}
    assert_allclose(library.numpy(topk_mask(library.array(x), 1, **options)), y, atol=1e-10)


@few
@given(x=ROWS, other=ROWS, alpha=st.sampled_from([1.0, 1.25, 1.5, 1.75, 2.0]))
def test_entmax_is_lipschitz(library, x, other, alpha):
    moved = apply(library, entmax, x, alpha=alpha) - apply(library, entmax, other, alpha=alpha)
    bound = 2 ** (alpha - 2) * np.linalg.norm(x - other, axis=-1)
    assert (np.linalg.norm(moved, axis=-1) <= bound + 1e-9).all()


@few
@given(x=ROWS, alpha=ABOVE_ONE, name=st.sampled_from(["entmax", "normmax"]))
def test_margin(library, x, alpha, name):
    """One-hot exactly from a margin of 1/(alpha - 1) on for entmax, of 1 for normmax."""
    operator, margin = (entmax, 1 / (alpha - 1)) if name == "entmax" else (normmax, 1.0)
    ordered = np.sort(x, axis=-1)
    gap = ordered[:, -1] - ordered[:, -2]
    top = apply(library, operator, x, alpha=alpha).max(axis=-1)
    assert_allclose(top[gap >= margin], 1, atol=1e-12)
    if alpha <= 2:  # beyond, an entry that leaves the support is too small to be seen
        assert (top[gap < margin * (1 - 1e-3)] < 1).all()


@few
@given(x=scores(shape=(5,)), alpha=st.sampled_from([1.0, 1.5, 2.0]))
def test_jacobian_is_the_closed_formula(library, x, alpha):
    y = apply(library, entmax, x, alpha=alpha)
    if ((y > 0) & (y < 1e-6)).any():
        return  # the edge of the support is not determined to rounding
    ordered = np.sort(x)
    if abs(ordered[-1] - ordered[-2] - 1 / max(alpha - 1, 1e-9)) < 1e-6:
        return
    found = fenchel.autodiff.jacobian(lambda x: entmax(x, alpha=alpha))(library.array(x))
    s = np.where(y > 0, np.where(y > 0, y, 1) ** (2 - alpha), 0)
    on_edge = np.isclose(np.sort(oracles.entmax_by_bisection(x, alpha)), 0, atol=1e-9).any()
    if on_edge and alpha == 2 and _touches(x, y):
        return
    assert_allclose(library.numpy(found), np.diag(s) - np.outer(s, s) / s.sum(), atol=1e-7)


def _touches(x, y):
    """Whether an entry lies at the threshold of sparsemax, where there is a kink."""
    tau = (x[y > 0] - y[y > 0]).mean()
    return (np.abs(x[y == 0] - tau) < 1e-9).any()


def test_normmax_tends_to_uniform_on_the_support_of_sparsemax(xp):
    x = xp.array([1.0, 0.7, 0.5, -0.5, -3.0])
    support = xp.numpy(sparsemax(x)) > 0
    y = xp.run(lambda x: normmax(x, alpha=float("inf")), x)
    assert_allclose(xp.numpy(y), support / support.sum(), atol=1e-12)
    near = xp.numpy(xp.run(lambda x: normmax(x, alpha=200.0), x))
    assert_allclose(near, support / support.sum(), atol=0.05)


def test_derivative_in_alpha_at_one(xp):
    """dp/dalpha tends to -p ((log p)^2 - sum p (log p)^2)/2."""
    x = np.asarray([0.3, 1.0, -0.7, 0.2])

    def f(alpha):
        return entmax(xp.array(x), alpha=alpha)

    at = xp.array([1.0])
    y, slope = xp.run(lambda v: fenchel.jvp(f, (at,), (v,)), xp.array([1.0]))
    p = np.exp(x) / np.exp(x).sum()
    squares = np.log(p) ** 2
    assert_allclose(xp.numpy(y), p, atol=1e-12)
    assert_allclose(xp.numpy(slope), -0.5 * p * (squares - p @ squares), atol=1e-6)


@pytest.mark.parametrize("alpha", [1.1, 1.5, 1.9])
def test_derivative_in_alpha(xp, alpha):
    """dp/dalpha = (p - q)/(alpha-1)^2 - (S - q sum S)/(alpha-1), with S = p log p."""
    x = np.asarray([0.3, 1.0, -0.7, 0.2])

    def f(alpha):
        return entmax(xp.array(x), alpha=alpha)

    at = xp.array([alpha])
    y, slope = xp.run(lambda v: fenchel.jvp(f, (at,), (v,)), xp.array([1.0]))
    p = xp.numpy(y)
    on = p > 0
    q = np.where(on, p ** (2 - alpha), 0)
    q = q / q.sum()
    entropy = np.where(on, p * np.log(np.where(on, p, 1)), 0)
    wanted = (p - q) / (alpha - 1) ** 2 - (entropy - q * entropy.sum()) / (alpha - 1)
    assert_allclose(xp.numpy(slope), wanted, atol=1e-8)


def test_agrees_with_the_entmax_package():
    peer = pytest.importorskip("entmax")
    torch = pytest.importorskip("torch")
    x = torch.randn(20, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert_allclose(sparsemax(x), peer.sparsemax(x), atol=1e-12)
    assert_allclose(entmax(x), peer.entmax15(x), atol=1e-12)
    assert_allclose(entmax(x, alpha=1.3), peer.entmax_bisect(x, alpha=1.3), atol=1e-9)
    assert_allclose(normmax(x, alpha=2.0), peer.normmax_bisect(x, alpha=2), atol=1e-9)
