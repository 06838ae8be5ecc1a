"""Counting sort of assignments and balanced assignment, by every kernel, against other routes."""

import numpy as np
import pytest
from fenchel_backends.kernels.compiled import numba_found
from fenchel_backends.kernels.numpy_kernels import numpy_kernel
from scipy.optimize import linear_sum_assignment

import fenchel
from fenchel.routers._assignment import balanced_owners
from fenchel.routers.buffers import reference_sort
from tests.kernels.cuda_shim import kernel as shim_kernel
from tests.kernels.cuda_shim import matrix_kernel, needs_compiler

pytestmark = pytest.mark.kernels

without_numba = pytest.mark.skipif(not numba_found(), reason="numba is not installed")


def routes(numba, shim, reference):
    def threads(*arguments):
        return shim(*arguments, mode="threads", block=8, in_memory=True)

    return pytest.mark.parametrize(
        "kernel",
        [
            pytest.param(numba, id="numba", marks=without_numba),
            pytest.param(shim, id="cuda", marks=needs_compiler),
            pytest.param(threads, id="cuda threads", marks=needs_compiler),
            pytest.param(reference, id="reference"),
        ],
    )


def of_plain(kernel, *arguments):
    return kernel(fenchel.backend_of(arguments[0]), *arguments)


sorts = routes(
    lambda x, m: numpy_kernel("sorted_by_expert")(x, m),
    lambda x, m, **launch: shim_kernel("sorted_by_expert", [x], [[m]], **launch),
    lambda x, m: of_plain(reference_sort, x, m),
)
owners = routes(
    lambda x, tokens, m: numpy_kernel("balanced_owners")(x, tokens, m),
    lambda x, tokens, m, **launch: matrix_kernel("balanced_owners", [x, tokens], [[m]], **launch),
    lambda x, tokens, m: of_plain(balanced_owners, x, tokens)[0],
)


@sorts
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_sort_is_stable_and_ranks_count_earlier_equals(rng, kernel, dtype):
    experts = rng.integers(0, 6, size=(3, 41))
    order, position = kernel(experts.astype(dtype), 6)
    np.testing.assert_array_equal(order, np.argsort(experts, axis=-1, kind="stable"))
    earlier = [[np.sum(row[:i] == row[i]) for i in range(row.size)] for row in experts]
    np.testing.assert_array_equal(position, earlier)
    assert order.dtype == position.dtype == np.int32


@without_numba
def test_the_sort_counts_what_is_out_of_range_as_the_nearest(rng):
    experts = rng.integers(-3, 9, size=(3, 41)).astype(np.float64)
    sort = numpy_kernel("sorted_by_expert")
    for found, expected in zip(sort(experts, 6), sort(np.clip(experts, 0, 5), 6), strict=True):
        np.testing.assert_array_equal(found, expected)


def best_total(scores):
    """The optimum by SciPy: slots of each expert, extra slots that dummies may take too."""
    n, m = scores.shape
    floor, extra = divmod(n, m)
    table = np.zeros((n + m - extra, m * floor + m))
    table[:n] = np.concatenate([np.repeat(scores, floor, axis=1), scores], axis=1)
    table[n:, : m * floor] = -1e6
    return table[linear_sum_assignment(table, maximize=True)].sum()


@owners
@pytest.mark.parametrize(("n", "m"), [(6, 2), (7, 3), (3, 5), (20, 4), (31, 7), (5, 1)])
def test_the_assignment_is_balanced_and_the_best(rng, kernel, n, m):
    scores = rng.normal(size=(3, n, m))
    found = np.asarray(kernel(scores.reshape(3, n * m), np.ones((3, n)), m)).astype(int)
    for table, owner in zip(scores, found, strict=True):
        counts = np.bincount(owner, minlength=m)
        assert counts.min() >= n // m
        assert counts.max() <= -(-n // m)
        assert table[np.arange(n), owner].sum() == pytest.approx(best_total(table))


@owners
def test_tokens_left_out_have_no_expert(rng, kernel):
    scores, tokens = rng.normal(size=(2, 9, 3)), np.ones((2, 9))
    tokens[0, [1, 4]] = 0
    tokens[1] = 0
    found = np.asarray(kernel(scores.reshape(2, 27), tokens, 3)).astype(int)
    assert np.all((found == 3) == (tokens == 0))
    kept = found[0][tokens[0] > 0]
    assert sorted(np.bincount(kept, minlength=3)) == [2, 2, 3]
    total = scores[0][tokens[0] > 0][np.arange(7), kept].sum()
    assert total == pytest.approx(best_total(scores[0][tokens[0] > 0]))


@owners
def test_leaving_tokens_out_moves_no_others(rng, kernel):
    scores, tokens = rng.normal(size=(4, 13, 10)), rng.random((4, 13)) < 0.8
    found = np.asarray(kernel(scores.reshape(4, 130), tokens.astype(float), 10)).astype(int)
    for table, part, owner in zip(scores, tokens, found, strict=True):
        total = table[part][np.arange(part.sum()), owner[part]].sum()
        assert total == pytest.approx(best_total(table[part]))


@owners
def test_ties_and_single_precision(kernel):
    scores = np.zeros((1, 12), np.float32)
    found = np.asarray(kernel(scores, np.ones((1, 4), np.float32), 3)).astype(int)
    assert sorted(np.bincount(found[0], minlength=3)) == [1, 1, 2]
