"""Long rows without kernels: a few entries, or rows a block at a time, give what all of them do."""

import numpy as np
import pytest

import fenchel
from fenchel.losses import (
    _long_rows,
    entmax_loss,
    f_divergence_loss,
    fitzpatrick_logistic,
    fitzpatrick_sparsemax,
    logistic,
    sparsemax_loss,
)
from fenchel.losses._few import few_entries

strict = pytest.importorskip("array_api_strict")

LOSSES = {
    "sparsemax": sparsemax_loss,
    "entmax15": entmax_loss(alpha=1.5),
    "entmax13": entmax_loss(alpha=1.3),
    "fitzpatrick": fitzpatrick_sparsemax,
    "logistic": logistic,
    "fitzpatrick_logistic": fitzpatrick_logistic,
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


def host(x):
    return x if isinstance(x, np.ndarray | np.generic) else np.from_dlpack(x)


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


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_by_the_tape(name, rng):
    """One node of the tape, also where rows weigh nothing; a second derivative by the formula."""
    x, loss = rows(rng)[2:], LOSSES[name]
    target, factors = np.asarray([3, 5, N - 1, 0, 7, 17]), rng.uniform(size=6)
    factors[1] = 0.0
    x[1, 9] = np.nan

    def total(x, function=loss):
        return (function(x, target, reduction="none") * factors)[factors > 0].sum()

    def curvature(x):
        return fenchel.hvp(lambda x: loss(x, target[:2]), x, direction)

    exact, slopes = fenchel.value_and_grad(total)(x)
    direction = rng.normal(size=(2, N))
    with fenchel.use_kernels(False):
        value, gradient = fenchel.value_and_grad(total)(x)
        bent = curvature(x[2:4])
    np.testing.assert_allclose(value, exact, rtol=1e-12)
    np.testing.assert_allclose(gradient, slopes, atol=1e-13)
    np.testing.assert_allclose(bent, curvature(x[2:4]), atol=1e-12)


OPTIONS = [
    {},
    {"reduction": "none", "target_term": False},
    {"weight": True, "ignore_index": 2},
    {"label_smoothing": 0.2, "reduction": "sum"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("library", [np, strict])
def test_rows_in_blocks(options, dense, library, rng, monkeypatch):
    """Blocks that do not divide the rows, leading axes, another axis, masks, rows that are out."""
    n, options = 12, dict(options)
    x = rng.normal(size=(5, n, 3)) * np.asarray([1.0, 1e3, 30.0])
    x[0, :, 1], x[1, 3, 0] = -np.inf, np.inf
    target = rng.integers(n, size=(5, 3))
    if dense:
        target = np.moveaxis(rng.dirichlet(np.ones(n), size=(5, 3)), -1, 1)
    if options.get("weight"):
        options["weight"] = library.asarray(rng.uniform(size=n))
    options |= {"axis": 1, "where": library.asarray(rng.uniform(size=x.shape) < 0.9)}
    x, target = library.asarray(x), library.asarray(target)
    divergence = f_divergence_loss(divergence="jensen_shannon")
    for loss in (logistic, fitzpatrick_logistic, sparsemax_loss, divergence):
        want = both(loss, x, target, **options)
        with monkeypatch.context() as patch:
            patch.setattr(_long_rows, "_LONG", n)
            patch.setattr(_long_rows, "_BLOCK_ENTRIES", 4 * n)
            found = both(loss, x, target, **options)
            with fenchel.use_kernels(False):
                alone = loss(x, target, **options)
        for got, wanted in zip((*found, alone), (*want, want[0]), strict=True):
            np.testing.assert_allclose(host(got), host(wanted), rtol=1e-12, atol=1e-14)


def test_few_are_left(rng):
    x, target = rng.normal(size=(4, N)), np.asarray([0, 1, 2, 3])
    few = few_entries(sparsemax_loss._open(x, target), 2.0, 1.0)
    assert few.problem.x.shape[-1] < 0.01 * N
    wide = few_entries(sparsemax_loss._open(x, target), 1.5, 1.0)
    assert few.problem.x.shape[-1] < wide.problem.x.shape[-1] < 0.05 * N
    assert few_entries(sparsemax_loss._open(x[:, :100], target), 2.0, 1.0) is None
    assert few_entries(sparsemax_loss._open(x, np.full_like(x, 1 / N)), 2.0, 1.0) is None


@pytest.mark.parametrize("name", ["logistic", "fitzpatrick_logistic"])
def test_digits_near_the_optimum(name, rng):
    x, target, loss = rng.normal(size=(2, N)), np.asarray([5, 7]), LOSSES[name]
    x[:, 5] = 45.0
    x[:, 7] = 10.0, 65.0
    value, gradient = both(loss, x, target, reduction="none")
    exact, slopes = loss.value_and_grad(x, target, reduction="none")
    np.testing.assert_allclose(value, exact, rtol=1e-12)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-11)
    assert value[1] < 1e-6
