"""Long rows without kernels: the few entries that count give what all of them give."""

import numpy as np
import pytest

import fenchel
from fenchel.losses import entmax_loss, fitzpatrick_sparsemax, sparsemax_loss
from fenchel.losses._few import few_entries, highest

strict = pytest.importorskip("array_api_strict")

LOSSES = {
    "sparsemax": sparsemax_loss,
    "entmax15": entmax_loss(alpha=1.5),
    "entmax13": entmax_loss(alpha=1.3),
    "fitzpatrick": fitzpatrick_sparsemax,
}
N = 4000


def rows(rng):
    """Rows with ties, masked entries, a far offset, few and many candidates."""
    x = 2.0 * rng.normal(size=(8, N))
    x[0, ::2] = -np.inf
    x[1] += 1e6
    x[2, :7] = x[2].max() + 0.25
    x[3] = -3.0
    x[3, 5] = 40.0
    return x


def both(loss, x, target, **options):
    with fenchel.use_kernels(False):
        return loss.value_and_grad(x, target, **options)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_values_and_gradients_are_those_of_the_kernels(name, reduction, rng):
    x, loss = rows(rng), LOSSES[name]
    target = np.asarray([1, 5, 3, 5, N - 1, 0, int(np.argmax(x[6])), 17])
    value, gradient = both(loss, x, target, reduction=reduction)
    exact, slopes = loss.value_and_grad(x, target, reduction=reduction)
    np.testing.assert_allclose(value, exact, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient, slopes, atol=1e-9)  # the second row stands at 1e6
    values = loss(strict.asarray(x), strict.asarray(target), reduction=reduction)
    np.testing.assert_allclose(np.from_dlpack(values), exact, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_options(name, rng):
    x, loss = np.moveaxis(rows(rng)[2:], -1, 0), LOSSES[name]
    target = np.asarray([1, -100, 3, 4, 5, 6])
    options = {
        "axis": 0,
        "ignore_index": -100,
        "weight": rng.uniform(size=N),
        "where": rng.uniform(size=x.shape) < 0.9,
    }
    options["where"][target[[0, 2, 3, 4, 5]], [0, 2, 3, 4, 5]] = True
    value, gradient = both(loss, x, target, **options)
    exact, slopes = loss.value_and_grad(x, target, **options)
    np.testing.assert_allclose(value, exact, rtol=1e-12)
    np.testing.assert_allclose(gradient, slopes, atol=1e-13)
    assert not gradient[:, 1].any()


@pytest.mark.parametrize("name", LOSSES)
def test_rows_that_are_not_for_it(name, rng):
    """NaN and infinite scores, and rows whose support is wide, take the formulas of all entries."""
    loss, target = LOSSES[name], np.asarray([0, 1])
    for spoilt in (np.nan, np.inf):
        x = rng.normal(size=(2, N))
        x[0, 3] = spoilt
        value, gradient = both(loss, x, target, reduction="none")
        exact, slopes = loss.value_and_grad(x, target, reduction="none")
        np.testing.assert_allclose(value, exact, rtol=1e-12)
        np.testing.assert_allclose(gradient[1], slopes[1], atol=1e-12)
        assert np.isnan(spoilt) == np.isnan(gradient[0]).all()
    level = np.zeros((2, N))
    value, gradient = both(loss, level, target, reduction="none")
    np.testing.assert_allclose(value, loss(level, target, reduction="none"), rtol=1e-9)
    np.testing.assert_allclose(gradient.sum(axis=-1), 0.0, atol=1e-12)


def test_half_precision(rng):
    x, target = rng.normal(size=(3, N)).astype(np.float16), np.asarray([1, 2, 3])
    value, gradient = both(sparsemax_loss, x, target)
    assert value.dtype == gradient.dtype == np.float16
    exact, slopes = sparsemax_loss.value_and_grad(x, target)
    np.testing.assert_allclose(value, exact, rtol=1e-3)
    np.testing.assert_allclose(gradient, slopes, atol=1e-3)


def test_few_are_left(rng):
    x, target = rng.normal(size=(4, N)), np.asarray([0, 1, 2, 3])
    problem = sparsemax_loss._open(x, target)
    few = few_entries(problem, sparsemax_loss._floor(problem, highest(problem)))
    assert few.problem.x.shape[-1] < 0.02 * N
    assert highest(sparsemax_loss._open(x[:, :100], target)) is None
    assert highest(sparsemax_loss._open(x, np.full_like(x, 1 / N))) is None
