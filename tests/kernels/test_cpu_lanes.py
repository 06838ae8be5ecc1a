"""Explicit vectors of the loss kernels against NumPy, at every length around their width."""

import numpy as np
import pytest

pytest.importorskip("numba")
pytestmark = pytest.mark.kernels

from fenchel_backends.kernels.cpu.lanes import count_above, peak, places_above  # noqa: E402

LENGTHS = [1, 2, 7, 8, 9, 15, 16, 63, 64, 65, 100, 127, 128, 129, 300]
lengths = pytest.mark.parametrize("n", LENGTHS)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@lengths
@dtypes
def test_largest_entry(n, dtype, rng):
    x = rng.normal(size=n).astype(dtype)
    for place in {0, n // 2, n - 1}:
        row = x.copy()
        row[place] = 9.0
        assert peak(row) == 9.0
        row[place] = np.nan
        assert np.isnan(peak(row))
        row[:] = -np.inf
        row[place] = np.inf if n % 2 else -np.inf
        assert peak(row) == row[place]


@lengths
@dtypes
def test_entries_above_a_bound(n, dtype, rng):
    x = rng.normal(size=n).astype(dtype)
    places = np.empty(n, np.int64)
    for floor in (-9.0, 0.25, 1.5, 9.0, float(x[n // 2])):
        want = np.flatnonzero(x > floor)
        assert count_above(x, floor) == want.size
        assert places_above(x, floor, places) == want.size
        np.testing.assert_array_equal(places[: want.size], want)
