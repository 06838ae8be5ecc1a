"""Entropic plans: the sweeps, the limit, the marginals, what is masked."""

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp

from fenchel.convex import sinkhorn
from tests.libraries import get

INF = np.inf


def sweeps(scores, a, b, temperature, count):
    """The loop of the specification: columns first, rows last."""
    f = np.zeros(len(a))
    with np.errstate(divide="ignore"):
        log_a, log_b = np.log(a), np.log(b)
    for _ in range(count):
        g = temperature * (log_b - logsumexp((scores + f[:, None]) / temperature, axis=0))
        f = temperature * (log_a - logsumexp((scores + g) / temperature, axis=1))
    return np.exp((scores + f[:, None] + g) / temperature)


@pytest.fixture
def problem(rng):
    a, b = rng.uniform(0.5, 1.5, 5), rng.uniform(0.5, 1.5, 4)
    return rng.normal(size=(5, 4)), a, b * a.sum() / b.sum()


@pytest.mark.parametrize("gradient", ["implicit", "unrolled", "none"])
@pytest.mark.parametrize("count", [1, 2, 20])
def test_exactly_that_many_sweeps(xp, problem, count, gradient):
    options = {"temperature": 0.3, "max_iter": count, "tol": 0.0, "gradient": gradient}
    got = xp.run(lambda *p: sinkhorn(*p, **options), *map(xp.array, problem))
    assert_allclose(xp.numpy(got), sweeps(*problem, 0.3, count), rtol=1e-13)


def test_default_marginals(xp, problem):
    got = xp.run(lambda s: sinkhorn(s, max_iter=20, tol=0.0), xp.array(problem[0]))
    assert_allclose(xp.numpy(got), sweeps(problem[0], np.ones(5), np.full(4, 1.25), 1.0, 20))


def test_against_many_digits(problem):
    scores, a, b = problem
    with mpmath.workdps(40):
        kernel = mpmath.matrix(scores / 0.4).apply(mpmath.exp)
        u = mpmath.matrix([1] * 5)
        for _ in range(400):
            v = [b[j] / mpmath.fsum(kernel[i, j] * u[i] for i in range(5)) for j in range(4)]
            u = [a[i] / mpmath.fsum(kernel[i, j] * v[j] for j in range(4)) for i in range(5)]
        expected = [[float(u[i] * kernel[i, j] * v[j]) for j in range(4)] for i in range(5)]
    got = sinkhorn(scores, a, b, temperature=0.4, tol=1e-15)
    assert_allclose(got, expected, rtol=1e-12)


def test_marginals(xp, problem):
    got = xp.numpy(xp.run(sinkhorn, *map(xp.array, problem)))
    assert_allclose(got.sum(axis=-1), problem[1], rtol=1e-14)
    assert_allclose(got.sum(axis=-2), problem[2], rtol=1e-9)


def test_batch_is_a_loop_over_problems(xp, rng):
    scores, a = rng.normal(size=(2, 3, 4, 5)), rng.uniform(0.5, 1.0, (3, 4))
    got = xp.run(lambda s, a: sinkhorn(s, a, tol=1e-14), xp.array(scores), xp.array(a))
    each = [[sinkhorn(s, w, tol=1e-14) for s, w in zip(x, a, strict=True)] for x in scores]
    assert_allclose(xp.numpy(got), each, atol=1e-12)


def test_invariant_to_shifts_of_rows_and_columns(xp, problem, rng):
    scores, a, b = problem
    moved = scores + 1e3 * rng.normal(size=(5, 1)) + 1e3 * rng.normal(size=4)
    one, two = (sinkhorn(*map(xp.array, (s, a, b)), tol=1e-14) for s in (scores, moved))
    assert_allclose(xp.numpy(one), xp.numpy(two), atol=1e-11)


def test_temperature_per_problem(xp, rng):
    scores, t = rng.normal(size=(2, 3, 3)), np.array([[[0.5]], [[2.0]]])
    got = xp.run(lambda s, t: sinkhorn(s, temperature=t), xp.array(scores), xp.array(t))
    each = [sinkhorn(s, temperature=float(v)) for s, v in zip(scores, t.ravel(), strict=True)]
    assert_allclose(xp.numpy(got), each, atol=1e-10)
    scalar = sinkhorn(xp.array(scores), temperature=xp.array(np.array(0.5)))
    assert_allclose(xp.numpy(scalar)[0], each[0], atol=1e-10)


def test_small_temperature_is_the_assignment(xp, rng):
    scores = rng.normal(size=(6, 6))
    expected = np.zeros((6, 6))
    expected[linear_sum_assignment(scores, maximize=True)] = 1
    # The last sweeps converge like 1 over their number: the best two permutations are 0.09 apart.
    got = sinkhorn(xp.array(scores), temperature=3e-3, max_iter=500)
    assert_allclose(xp.numpy(got), expected, atol=2e-2)
    assert_array_equal(xp.numpy(sinkhorn(xp.array(scores), temperature=0)), expected)


def test_masked_rows_and_disabled_columns(xp, rng):
    scores = rng.normal(size=(5, 4))
    scores[2], scores[:, 1], scores[0, 0] = -INF, -INF, -INF
    got = xp.numpy(xp.run(sinkhorn, xp.array(scores)))
    assert_array_equal(got[2], 0)
    assert_array_equal(got[:, 1], 0)
    assert got[0, 0] == 0
    assert_allclose(got.sum(axis=-1), [1, 1, 0, 1, 1], rtol=1e-14)
    assert_allclose(got.sum(axis=-2), [4 / 3, 0, 4 / 3, 4 / 3], rtol=1e-9)


def test_row_without_mass_takes_no_part(xp, rng):
    scores, a = rng.normal(size=(5, 4)), np.array([1.0, 0.0, 1.0, 1.0, 1.0])
    scores[1, 0] = 50.0
    got = xp.numpy(xp.run(sinkhorn, xp.array(scores), xp.array(a)))
    rest = [0, 2, 3, 4]
    assert_array_equal(got[1], 0)
    assert_allclose(got[rest], sinkhorn(scores[rest]), atol=1e-9)


def test_column_sums_alone(xp, rng):
    scores, b = rng.normal(size=(4, 3)), np.array([1.0, 0.0, 3.0])
    got = xp.numpy(xp.run(lambda s, b: sinkhorn(s, b=b), xp.array(scores), xp.array(b)))
    assert_allclose(got.sum(axis=-1), 1.0, rtol=1e-14)
    assert_allclose(got.sum(axis=-2), b, atol=1e-9)


def test_blocks_of_their_own(xp, rng):
    """-inf cuts the problem in two: each block is solved as if alone."""
    scores = np.full((6, 5), -INF)
    scores[:3, :2], scores[3:, 2:] = rng.normal(size=(3, 2)), rng.normal(size=(3, 3))
    b = np.array([1.5, 1.5, 1.0, 1.0, 1.0])
    got = xp.numpy(xp.run(lambda s, b: sinkhorn(s, b=b), xp.array(scores), xp.array(b)))
    assert_allclose(got[:3, :2], sinkhorn(scores[:3, :2]), atol=1e-9)
    assert_allclose(got[3:, 2:], sinkhorn(scores[3:, 2:]), atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1)])
def test_smallest_problems(xp, rng, shape):
    got = xp.run(sinkhorn, xp.array(rng.normal(size=shape)))
    assert_allclose(xp.numpy(got), np.full(shape, 1 / shape[1]), rtol=1e-14)


def test_empty_batch(xp):
    got = xp.run(sinkhorn, xp.array(np.zeros((0, 3, 2))))
    assert xp.numpy(got).shape == (0, 3, 2)


def test_everything_masked(xp):
    assert_array_equal(xp.numpy(xp.run(sinkhorn, xp.array(np.full((2, 3), -INF)))), 0)


def test_huge_scores(xp, rng):
    scores = 1e4 * rng.normal(size=(5, 5))
    got = xp.numpy(xp.run(lambda s: sinkhorn(s, max_iter=200), xp.array(scores)))
    assert np.isfinite(got).all()
    assert_allclose(got.sum(axis=-1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("bad", [np.nan, INF])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_nan_stays_in_its_problem(xp, rng, bad):
    scores = rng.normal(size=(3, 4, 4))
    expected = sinkhorn(scores)
    scores[1, 2, 0] = bad
    got = xp.numpy(xp.run(sinkhorn, xp.array(scores)))
    assert np.isnan(got[1]).any()
    assert_allclose(got[[0, 2]], expected[[0, 2]], atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_lower_precision(xp, rng, dtype):
    if dtype == "float16" and xp.name.startswith("strict"):
        pytest.skip("the strict library has no half precision")
    scores = rng.normal(size=(5, 4)).astype(dtype)
    got = xp.numpy(xp.run(sinkhorn, xp.array(scores, dtype=dtype)))
    assert got.dtype == dtype
    tolerance = {"float32": 1e-5, "float16": 2e-3}[dtype]
    assert_allclose(got, sinkhorn(scores.astype(float)), atol=tolerance)


def test_totals_that_are_not_known_to_differ():
    """Under jit the columns share the mass of the rows in the proportions of b."""
    xp = get("jax-jit")
    scores = np.arange(6.0).reshape(2, 3)
    a, b = np.ones(2), np.array([1.0, 2.0, 5.0])
    got = xp.numpy(xp.run(sinkhorn, *map(xp.array, (scores, a, b))))
    assert_allclose(got, sinkhorn(scores, a, b / 4), atol=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: sinkhorn(s, np.ones(2), np.ones(3)), ValueError, "same total"),
        (lambda s: sinkhorn(s, np.array([2.0, -1.0])), ValueError, "`a` must not be negative"),
        (lambda s: sinkhorn(s, np.ones(4)), ValueError, "`a` must broadcast"),
        (lambda s: sinkhorn(s, b=np.ones((2, 3))), ValueError, "`b` must broadcast"),
        (lambda s: sinkhorn(s, [1.0, 1.0]), TypeError, "list"),
        (lambda s: sinkhorn(s, np.array([1, 1])), TypeError, "`a` must have a real floating"),
        (lambda s: sinkhorn(s[0]), ValueError, "matrices on its last two axes"),
        (lambda s: sinkhorn(s[:, :0]), ValueError, "non-empty"),
        (lambda s: sinkhorn(s.astype(int)), TypeError, "`scores` must have a real floating"),
        (lambda s: sinkhorn(s, max_iter=0), ValueError, "`max_iter` must be at least 1"),
        (lambda s: sinkhorn(s, max_iter=2.0), TypeError, "`max_iter` must be an integer"),
        (lambda s: sinkhorn(s, tol=-1.0), ValueError, "`tol` must be at least 0"),
        (lambda s: sinkhorn(s, temperature=-1.0), ValueError, "`temperature` must be at least"),
        (lambda s: sinkhorn(s, temperature=np.ones(2)), ValueError, "`temperature` must broad"),
        (lambda s: sinkhorn(s, gradient="auto"), ValueError, "`gradient` must be one of"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(np.zeros((2, 3)))


def test_mapped_problems_stop_one_by_one(rng):
    """Under vmap of torch a loop goes on while any problem does."""
    torch = pytest.importorskip("torch")
    scores = rng.normal(size=(3, 4, 4)) * np.array([0.1, 1.0, 20.0])[:, None, None]
    got = torch.func.vmap(sinkhorn)(torch.asarray(scores))
    assert_allclose(got, sinkhorn(scores), atol=1e-9)


def test_loops_of_torch_are_mapped():
    torch = pytest.importorskip("torch")
    from fenchel.loops import while_loop

    def halvings(x):
        return while_loop(lambda c: c[0] > 1, lambda c: (c[0] / 2, c[1] + 1), (x, torch.zeros(())))

    left, count = torch.func.vmap(halvings)(torch.tensor([8.0, 0.5, 3.0]))
    assert left.tolist() == [1.0, 0.5, 0.75]
    assert count.tolist() == [3.0, 0.0, 2.0]
