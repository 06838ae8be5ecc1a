"""Spearman loss."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import rankdata, spearmanr

from fenchel.operators import soft_rank, spearman_loss
from tests.convex import oracles
from tests.derivatives import vjp_matrix


def test_temperature_zero_is_one_minus_the_correlation(xp, rng):
    x, y = rng.normal(size=(2, 4, 9))
    got = xp.run(
        lambda x, y: spearman_loss(x, y, temperature=0, reduction="none"), xp.array(x), xp.array(y)
    )
    expected = [1 - spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    assert_allclose(xp.numpy(got), expected, atol=1e-14)


@pytest.mark.parametrize("regularization", ["quadratic", "entropic"])
def test_formula(xp, rng, regularization):
    x, y = rng.normal(size=(2, 3, 6))
    options = {"temperature": 0.7, "regularization": regularization}
    distance = np.sum((soft_rank(x, **options) - rankdata(y, axis=-1)) ** 2, axis=-1)
    rows = 6 * distance / (6 * 35)
    for reduction, expected in (("none", rows), ("sum", rows.sum()), ("mean", rows.mean())):
        got = spearman_loss(xp.array(x), xp.array(y), reduction=reduction, **options)
        assert_allclose(xp.numpy(got), expected, rtol=1e-12)


def test_ranks_are_targets_too(rng):
    x, y = rng.normal(size=(2, 7))
    assert_allclose(spearman_loss(x, rankdata(y)), spearman_loss(x, y))


def test_axis(rng):
    x, y = rng.normal(size=(2, 5, 3))
    assert_allclose(
        spearman_loss(x, y, axis=0, reduction="none"),
        spearman_loss(x.T, y.T, reduction="none"),
    )


def test_gradient(xp, rng):
    x, y = rng.normal(size=(2, 6))

    def loss(x):
        return spearman_loss(x, xp.array(y), temperature=0.7)

    def numeric(x):
        return np.atleast_1d(spearman_loss(x, y, temperature=0.7))

    assert_allclose(vjp_matrix(xp, loss, x), oracles.jacobian(numeric, x, step=1e-5), atol=1e-8)


def test_target_gets_no_gradient():
    torch = pytest.importorskip("torch")
    x = torch.tensor([0.3, 0.1, 0.7], requires_grad=True)
    y = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    spearman_loss(x, y).backward()
    assert x.grad.abs().sum() > 0
    assert y.grad is None


def test_descent_sorts(rng):
    """Gradient steps on the loss bring the scores into the order of the target."""
    torch = pytest.importorskip("torch")
    y = torch.tensor(rng.normal(size=10))
    x = torch.tensor(rng.normal(size=10), requires_grad=True)
    for _ in range(200):
        (step,) = torch.autograd.grad(spearman_loss(x, y, temperature=1.0), x)
        x = (x - 2 * step).detach().requires_grad_()
    assert torch.equal(torch.argsort(x), torch.argsort(y))


def test_small_and_empty(xp):
    one = xp.array(np.array([[3.0]]))
    assert_array_equal(xp.numpy(spearman_loss(one, one)), 0)
    none = xp.array(np.zeros((0, 3)))
    assert_array_equal(xp.numpy(spearman_loss(none, none)), 0)
    assert tuple(spearman_loss(none, none, reduction="none").shape) == (0,)


def test_nan_stays_in_its_row(xp):
    x = xp.array(np.array([[1.0, np.nan, 0.0], [1.0, 2.0, 0.0]]))
    y = xp.array(np.array([[1.0, 2.0, 0.0], [1.0, 2.0, 0.0]]))
    for pair in ((x, y), (y, x)):
        got = xp.numpy(spearman_loss(*pair, reduction="none", temperature=0.5))
        assert np.isnan(got[0])
        assert np.isfinite(got[1])


def test_errors(xp):
    x = xp.array(np.ones((2, 3)))
    with pytest.raises(ValueError, match="`target` must have the shape"):
        spearman_loss(x, xp.array(np.ones(3)))
    with pytest.raises(TypeError, match="`target` must have a real floating dtype"):
        spearman_loss(x, xp.array(np.ones((2, 3), dtype=int)))
    with pytest.raises(ValueError, match="`reduction` must be one of mean, sum, none"):
        spearman_loss(x, x, reduction="max")
    with pytest.raises(ValueError, match="`regularization`"):
        spearman_loss(x, x, regularization="l2")
