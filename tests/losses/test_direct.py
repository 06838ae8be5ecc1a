"""The short way of plain calls against the formulas, and what it leaves to the long way."""

import numpy as np
import pytest

import fenchel
from fenchel.losses import (
    entmax_loss,
    fitzpatrick_logistic,
    fitzpatrick_sparsemax,
    logistic,
    sparsemax_loss,
)

pytest.importorskip("numba")

LOSSES = {
    "logistic": logistic,
    "sparsemax": sparsemax_loss,
    "entmax15": entmax_loss(alpha=1.5),
    "entmax": entmax_loss(alpha=1.3),
    "fitzpatrick_logistic": fitzpatrick_logistic,
    "fitzpatrick_sparsemax": fitzpatrick_sparsemax,
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


@every_loss
@reductions
@pytest.mark.parametrize("shape", [(4,), (6, 5), (2, 3, 70), (0, 3)])
def test_the_formulas_give_the_same(loss, reduction, shape, rng):
    x, k = rng.normal(size=shape), np.asarray(rng.integers(shape[-1], size=shape[:-1]))
    value, gradient = loss.value_and_grad(x, k, reduction=reduction)
    with fenchel.use_kernels(False):
        want, slope = loss.value_and_grad(x, k, reduction=reduction)
    np.testing.assert_allclose(value, want, rtol=1e-12)
    np.testing.assert_allclose(gradient, slope, atol=1e-14)
    np.testing.assert_array_equal(loss(x, k, reduction=reduction), value)
    assert gradient.shape == x.shape
    assert np.shape(value) == np.shape(want)


@every_loss
@pytest.mark.parametrize("bad", [-1, 5])
def test_a_class_out_of_range_is_found_all_the_same(loss, bad, rng):
    x, k = rng.normal(size=(3, 5)), np.asarray([0, bad, 1])
    for call in (loss, loss.value_and_grad):
        with pytest.raises(ValueError, match=r"`target` must be in \[0, 5\)"):
            call(x, k, reduction="none")


def test_a_score_that_is_nan_is_no_error(rng):
    x = rng.normal(size=(3, 5))
    x[1, 2] = np.nan
    value, gradient = sparsemax_loss.value_and_grad(x, np.asarray([0, 1, 2]), reduction="none")
    np.testing.assert_array_equal(np.isnan(value), [False, True, False])
    np.testing.assert_array_equal(np.isnan(gradient).any(-1), [False, True, False])


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_torch_derivatives(loss, reduction, rng):
    torch = pytest.importorskip("torch")
    x = torch.asarray(rng.normal(size=(6, 5)), requires_grad=True)
    k, along = torch.asarray(rng.integers(5, size=6)), torch.asarray(rng.normal(size=(6, 5)))
    grad = torch.autograd.grad
    with fenchel.use_kernels(False):
        (want,) = grad(loss(x, k, reduction=reduction), x, create_graph=True)
    value = loss(x, k, reduction=reduction)
    for factor in (1.0, 3.0, 0.0):  # the gradient is given away: a second time it is made anew
        (slope,) = grad(factor * value, x, retain_graph=True)
        torch.testing.assert_close(slope, factor * want.detach(), rtol=0, atol=1e-12)
    (slope,) = grad(value, x, create_graph=True)
    second = grad((slope * along).sum(), x)[0], grad((want * along).sum(), x)[0]
    torch.testing.assert_close(*second, rtol=0, atol=1e-10)
    assert not loss.value_and_grad(x, k, reduction=reduction)[1].requires_grad


def test_torch_notices_scores_that_were_overwritten(rng):
    torch = pytest.importorskip("torch")
    leaf = torch.asarray(rng.normal(size=(6, 5)), requires_grad=True)
    x = leaf * 1.0
    value = sparsemax_loss(x, torch.zeros(6, dtype=torch.int64))
    with torch.no_grad():
        x.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()
