"""Derivatives of the isotonic fits against differences of the min-max formula."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel import namespace
from fenchel.convex import isotonic_regression
from tests import libraries
from tests.convex import oracles
from tests.derivatives import hessian_product, jvp_matrix, vjp_matrix

CASES = {
    "squared": ({"loss": "squared"}, oracles.mean),
    "kl": ({"loss": "kl"}, oracles.log_ratio),
    "p=1.5": ({"loss": "pnorm", "p": 1.5}, oracles.pnorm_centre(1.5)),
    "p=3": ({"loss": "pnorm", "p": 3.0}, oracles.pnorm_centre(3.0)),
}
# Two blocks of several entries and single ones, with gaps wide enough for differences.
Y = np.array([0.5, 0.1, -0.6, 0.9, 1.6, 1.1, 2.4])
W = np.array([0.5, 1.2, 0.8, 1.0, 0.7, 1.9, 0.6])


@pytest.fixture(params=CASES)
def case(request):
    options, value = CASES[request.param]
    return options, value


def fitted(options):
    def fit(y, w):
        return isotonic_regression(y, weights=w, **options)

    return fit


@pytest.mark.parametrize("argument", [0, 1], ids=["y", "weights"])
@pytest.mark.parametrize("matrix", [vjp_matrix, jvp_matrix])
def test_jacobian(xp, case, matrix, argument):
    options, value = case
    arrays = [Y, W]

    def oracle(x):
        changed = [x if i == argument else a for i, a in enumerate(arrays)]
        return oracles.isotonic(*changed, value)

    got = matrix(xp, fitted(options), Y, W, argument=argument)
    # The oracle's roots are good to 1e-15: at this step their differences are to 1e-10.
    assert_allclose(got, oracles.jacobian(oracle, arrays[argument]), atol=1e-9)


def test_hessian(xp, case):
    options, _ = case
    direction = np.linspace(-1, 1, 7)

    def scalar(y):
        return namespace(y).sum(isotonic_regression(y, weights=xp.array(W), **options) ** 3)

    def gradient(y):
        v = isotonic_regression(y, weights=W, **options)
        return 3 * v**2 @ vjp_matrix(libraries.get("numpy"), fitted(options), y, W)

    expected = oracles.difference(gradient, Y, direction)
    assert_allclose(hessian_product(xp, scalar, Y, direction), expected, atol=1e-8)


def test_jacobian_of_the_mean_is_the_block_average(xp):
    blocks = np.array([0, 0, 0, 1, 2, 2, 3])
    expected = (blocks[:, None] == blocks) / np.bincount(blocks)[blocks]
    assert_allclose(vjp_matrix(xp, isotonic_regression, Y), expected, atol=1e-15)
    assert_allclose(jvp_matrix(xp, isotonic_regression, Y), expected, atol=1e-15)


def test_decreasing_is_increasing_turned(xp):
    def decreasing(y):
        return isotonic_regression(y, increasing=False)

    got = vjp_matrix(xp, decreasing, Y[::-1].copy())
    assert_allclose(got, vjp_matrix(xp, isotonic_regression, Y)[::-1, ::-1], atol=1e-15)


def test_bounds_are_differentiated(xp):
    y = np.array([[-2.0, 0.1, 0.4, 3.0], [0.5, 0.2, 0.3, 0.9]])
    bounds = np.array([[-1.0], [0.0]]), np.array([[1.0], [0.8]])

    def fit(y, lower, upper):
        return isotonic_regression(y, lower=lower, upper=upper)

    below = np.array([[1, 0, 0, 0], [0, 0, 0, 0]])
    above = np.array([[0, 0, 0, 1], [0, 0, 0, 1]])
    for argument, hit in ((1, below), (2, above)):
        got = vjp_matrix(xp, fit, y, *bounds, argument=argument).reshape(2, 4, 2)
        for row in range(2):
            assert_allclose(got[row, :, row], hit[row])
            assert_allclose(got[row, :, 1 - row], 0)
    inside = vjp_matrix(xp, fit, y, *bounds).sum(axis=-1).reshape(2, 4)
    assert_allclose(inside, 1 - below - above, atol=1e-15)


def test_ties_between_blocks_stay_apart(xp):
    """Equal neighbours do not violate the order: the derivative is the identity."""
    assert_allclose(vjp_matrix(xp, isotonic_regression, np.ones(3)), np.eye(3))


@pytest.mark.parametrize("p", [1.5, 3.0])
def test_entry_at_the_value_of_its_block(xp, p):
    """y_2 is the block's value: for p < 2 it alone leads, for p > 2 it has no part."""

    def fit(y):
        return isotonic_regression(y, loss="pnorm", p=p)

    got = vjp_matrix(xp, fit, np.array([2.0, 1.0, 0.0]))
    row = [0, 1, 0] if p < 2 else [0.5, 0, 0.5]
    assert_allclose(got, np.tile(row, (3, 1)), atol=1e-6)


def test_row_of_equal_entries_in_the_pnorm(xp):
    def fit(y):
        return isotonic_regression(y, loss="pnorm", p=1.5, increasing=False)

    assert_allclose(vjp_matrix(xp, fit, np.full(3, 0.7)), np.eye(3), atol=1e-12)


def test_zero_weight_gets_no_derivative(xp):
    y, w = np.array([1.0, 5.0, 3.0, 2.0]), np.array([1.0, 0.0, 2.0, 2.0])

    def fit(y, w):
        return isotonic_regression(y, weights=w)

    got = vjp_matrix(xp, fit, y, w)
    assert_allclose(got[:, 1], 0)
    assert_allclose(got.sum(axis=-1), 1)


def test_fused_and_formula_routes_agree(rng):
    torch = pytest.importorskip("torch")
    y = torch.tensor(rng.normal(size=(5, 30)), requires_grad=True)
    g = torch.tensor(rng.normal(size=(5, 30)))
    (fused,) = torch.autograd.grad(isotonic_regression(y), y, g)
    fit, _ = isotonic_regression(y, return_info=True)
    (formula,) = torch.autograd.grad(fit, y, g)
    assert_allclose(fused.numpy(), formula.numpy(), atol=1e-14)
