"""The prefilter of long rows: it keeps what matters, and thresholds do not feel it."""

import numpy as np
import pytest

import fenchel
from fenchel.operators import entmax, sparsemax
from fenchel.operators._candidates import candidates


@pytest.mark.parametrize("shape", [(3, 1000), (2, 3, 1024), (1500,), (0, 1000)])
def test_every_entry_above_the_floor_is_kept(shape, rng):
    x = rng.normal(size=shape)
    floor = np.full((*shape[:-1], 1), 2.0)
    kept = candidates(fenchel.backend_of(x), x, floor)
    if x.size == 0:
        assert kept is x
        return
    assert kept.shape[:-1] == x.shape[:-1]
    assert kept.shape[-1] < 0.25 * x.shape[-1]
    for row, few in zip(x.reshape(-1, shape[-1]), kept.reshape(-1, kept.shape[-1]), strict=True):
        np.testing.assert_array_equal(np.sort(few[few > 2.0]), np.sort(row[row > 2.0]))


def test_rows_that_are_full_stay_as_they_are(rng):
    x = rng.normal(size=(2, 700))
    assert candidates(fenchel.backend_of(x), x, np.full((2, 1), -9.0)).shape[-1] >= 700
    short = x[:, :100].copy()
    assert candidates(fenchel.backend_of(x), short, np.zeros((2, 1))) is short


@pytest.mark.parametrize("alpha", [1.0, 1.01, 1.5, 2.0])
def test_reference_route_of_long_rows(alpha, rng):
    x = 2 * rng.normal(size=(4, 3000)) + 100
    x[0, :5] = -np.inf
    x[1] = 1.0  # every entry is in the support
    x[2, 7] = np.nan
    with fenchel.use_kernels(False):
        y = entmax(x, alpha=alpha)
    assert np.isnan(y[2]).all()
    np.testing.assert_allclose(y, entmax(x, alpha=alpha), atol=1e-12)
    rows = np.array([[alpha], [1.3], [2.0], [1.7]])
    with fenchel.use_kernels(False):
        mixed = entmax(x, alpha=rows)
    np.testing.assert_allclose(mixed, entmax(x, alpha=rows), atol=1e-12)


def test_strict_arrays_of_many_classes(rng):
    strict = pytest.importorskip("array_api_strict")
    x = rng.normal(size=(8, 32_000))
    y = sparsemax(strict.asarray(x))
    np.testing.assert_allclose(np.from_dlpack(y), sparsemax(x), atol=1e-12)
