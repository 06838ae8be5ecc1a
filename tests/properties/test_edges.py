"""Edge cases of the argmax-like operators, the same on every library."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fenchel
from fenchel.operators import entmax, normmax, softmax, sparsemax, topk, topk_mask
from tests import libraries

INF, NAN = float("inf"), float("nan")

ARGMAX = {
    "softmax": softmax,
    "sparsemax": sparsemax,
    "entmax": entmax,
    "entmax 3": lambda x, **o: entmax(x, alpha=3.0, **o),
    "normmax": normmax,
}
MASKS = {
    "mask": lambda x, **o: topk_mask(x, 2, **o),
    "mask 4/3": lambda x, **o: topk_mask(x, 2, p=4 / 3, **o),
}
KEPT = {
    "topk": lambda x, **o: topk(x, 2, **o),
    "topk raw 4/3": lambda x, **o: topk(x, 2, p=4 / 3, debias=False, **o),
    "gated": lambda x, **o: topk(x, 2, kind="gated", **o),
}
EVERY = ARGMAX | MASKS | KEPT


def of(table):
    return pytest.mark.parametrize("name", table)


def run(xp, f, *arrays):
    return xp.numpy(xp.run(f, *(xp.array(a) for a in arrays)))


@of(EVERY)
def test_row_with_a_nan_is_nan_and_the_others_are_not_touched(xp, name):
    rows = np.asarray([[0.3, -1.0, NAN, 2.0], [0.3, -1.0, 0.7, 2.0]])
    y = run(xp, EVERY[name], rows)
    assert np.isnan(y[0]).all()
    assert_array_equal(y[1:], run(xp, EVERY[name], rows[1:]))


@of(ARGMAX | MASKS)
def test_minus_infinity_is_out(xp, name):
    f = EVERY[name]
    y = run(xp, f, [0.3, -INF, 0.7, 2.0, -INF])
    assert_array_equal(y[[1, 4]], 0)
    assert_allclose(y[[0, 2, 3]], run(xp, f, [0.3, 0.7, 2.0]), atol=1e-12)


@of(ARGMAX | MASKS)
def test_minus_infinity_has_no_gradient(xp, name):
    def slope(x, g):
        return fenchel.vjp(EVERY[name], x)[1](g)[0]

    x, g = [0.3, -INF, 0.7, 2.0], [1.0, -2.0, 0.5, 3.0]
    found = run(xp, slope, x, g)
    assert found[1] == 0
    kept = [0, 2, 3]
    assert_allclose(found[kept], run(xp, slope, np.take(x, kept), np.take(g, kept)), atol=1e-10)


@of(ARGMAX)
def test_row_without_entries_is_zero(xp, name):
    assert_array_equal(run(xp, ARGMAX[name], [[-INF, -INF], [1.0, -INF]]), [[0, 0], [1, 0]])


@of(ARGMAX)
def test_plus_infinity_takes_all(xp, name):
    y = run(xp, ARGMAX[name], [[1.0, INF, 0.0], [INF, INF, 0.0]])
    assert_allclose(y, [[0, 1, 0], [0.5, 0.5, 0]], atol=1e-12)


def test_plus_infinity_in_the_mask(xp):
    y = run(xp, lambda x: topk_mask(x, 2), [[1.0, INF, 0.0, -3.0], [INF, INF, INF, 0.0]])
    assert_allclose(y, [[0.5 + 0.5, 1, 0, 0], [2 / 3, 2 / 3, 2 / 3, 0]], atol=1e-12)


@of(EVERY)
def test_where_removes_entries(xp, name):
    x, keep = np.asarray([0.3, 5.0, -0.7, 2.0]), np.asarray([True, False, True, True])
    y = xp.numpy(xp.run(lambda x, keep: EVERY[name](x, where=keep), xp.array(x), xp.array(keep)))
    assert y[1] == 0
    assert_allclose(y[keep], run(xp, EVERY[name], x[keep]), atol=1e-12)


def test_budget_is_clamped_to_the_entries_that_take_part(xp):
    keep = xp.array(np.asarray([True, False, False, True]))
    y = xp.run(lambda x, keep: topk_mask(x, 3, where=keep), xp.array([0.3, 5.0, 0.7, 2.0]), keep)
    assert_array_equal(xp.numpy(y), [1, 0, 0, 1])


@pytest.mark.parametrize("kind", ["magnitude", "positive", "gated"])
def test_no_budget_and_full_budget(xp, kind):
    x = [3.0, 1.0, 0.5, 2.0]
    assert_array_equal(run(xp, lambda x: topk(x, 0, kind=kind), x), np.zeros(4))
    assert_array_equal(run(xp, lambda x: topk(x, 4, kind=kind), x), x)
    assert_array_equal(run(xp, lambda x: topk_mask(x, 0), x), np.zeros(4))
    assert_array_equal(run(xp, lambda x: topk_mask(x, 4), x), np.ones(4))


def test_real_budget(xp):
    y = run(xp, lambda x: topk_mask(x, 1.5, temperature=0.1), [3.0, 1.0, 0.5, 2.0])
    assert_allclose(y, [1, 0, 0, 0.5], atol=1e-12)


def test_budget_and_temperature_for_each_row(xp):
    x = np.asarray([[3.0, 1.0, 0.5, 2.0], [0.1, 0.9, 0.4, 0.2]])
    y = run(xp, lambda x, k, t: topk_mask(x, k, temperature=t), x, [[1.0], [2.5]], [[0.5], [2.0]])
    for row, (k, temperature) in enumerate([(1, 0.5), (2.5, 2.0)]):
        wanted = topk_mask(x[row], k, temperature=temperature)
        assert_allclose(y[row], wanted, atol=1e-12)


@of(EVERY)
def test_temperature_zero_is_the_hard_operator(xp, name):
    x = [3.0, 1.0, -0.5, 2.0]
    y = run(xp, lambda x: EVERY[name](x, temperature=0.0), x)
    rows = run(xp, lambda x, t: EVERY[name](x, temperature=t), [x, x], [[0.0], [0.0]])
    chosen = {"argmax": [1, 0, 0, 0], "mask": [1, 0, 0, 1], "kept": [3, 0, 0, 2]}
    kind = "argmax" if name in ARGMAX else "mask" if name in MASKS else "kept"
    assert_array_equal(y, chosen[kind])
    assert_array_equal(rows, [chosen[kind]] * 2)


@of(EVERY)
def test_batch_may_be_empty(xp, name):
    y = xp.run(EVERY[name], xp.array(np.zeros((0, 3, 4))))
    assert tuple(y.shape) == (0, 3, 4)


@of(EVERY)
def test_axis_may_not_be_empty(xp, name):
    with pytest.raises(ValueError, match="must not be empty along `axis`"):
        EVERY[name](xp.array(np.zeros((3, 0))))


@of(ARGMAX)
def test_one_entry_gets_all(xp, name):
    assert_array_equal(run(xp, ARGMAX[name], [[-7.0], [1e30]]), [[1], [1]])


@of(EVERY)
@pytest.mark.parametrize("axis", [0, 1, -2])
def test_axis(xp, name, axis):
    x = np.random.default_rng(0).normal(size=(4, 5, 3))
    y = run(xp, lambda x: EVERY[name](x, axis=axis), x)
    wanted = np.moveaxis(run(xp, EVERY[name], np.moveaxis(x, axis, -1)), -1, axis)
    assert_allclose(y, wanted, atol=1e-12)


@of(EVERY)
def test_integers_are_a_type_error(xp, name):
    with pytest.raises(TypeError, match="`x` must have a real floating dtype; got int"):
        EVERY[name](xp.array(np.asarray([3, 1, 2])))


@pytest.mark.parametrize("value", [[1.0, 2.0], (1.0, 2.0), 1.5, "text", None])
@of(EVERY)
def test_what_is_no_array_is_a_type_error(name, value):
    with pytest.raises(TypeError, match=type(value).__name__):
        EVERY[name](value)


@of(EVERY)
def test_mixed_libraries_are_a_type_error(name):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="torch"):
        EVERY[name](np.ones(3), where=torch.ones(3, dtype=torch.bool))
    with pytest.raises(TypeError, match="torch"):
        EVERY[name](np.ones((2, 3)), temperature=torch.ones((2, 1)))


@of(EVERY)
def test_negative_temperature_is_a_value_error(xp, name):
    with pytest.raises(ValueError, match="`temperature` must be at least 0; got temperature=-1"):
        EVERY[name](xp.array([1.0, 2.0, 3.0]), temperature=-1)


@pytest.mark.parametrize("f", [topk, topk_mask])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 5}, r"`k` must be in \[0, n\]; got k=5 with n=3"),
        ({"k": -1}, r"`k` must be in \[0, n\]; got k=-1 with n=3"),
        ({"k": 1, "p": 1.0}, "`p` must be above 1"),
        ({"k": 1, "p": 0.5}, "`p` must be above 1"),
        ({"k": 1, "p": 2.5}, "`p` must be at most 2"),
        ({"k": 1, "axis": 1}, "`axis` must be in"),
        ({"k": 1, "solver": "magic"}, "`solver` must be one of"),
        ({"k": 1, "solver": "dykstra", "p": 1.5}, "needs p=2"),
        ({"k": 1, "temperature": NAN}, "`temperature`"),
        ({"k": NAN}, "`k`"),
    ],
)
def test_numbers_out_of_range_are_value_errors(xp, f, options, message):
    with pytest.raises(ValueError, match=message):
        f(xp.array([1.0, 2.0, 3.0]), **options)


@pytest.mark.parametrize("alpha", [0.5, 0.99, -1.0, NAN])
def test_alpha_out_of_range_is_a_value_error(xp, alpha):
    with pytest.raises(ValueError, match="`alpha`"):
        entmax(xp.array([1.0, 2.0]), alpha=alpha)
    with pytest.raises(ValueError, match="`alpha`"):
        normmax(xp.array([1.0, 2.0]), alpha=alpha)


@of(EVERY)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("half_library", ["torch", "jax"])
def test_half_precision_is_computed_in_float32(name, dtype, half_library):
    pytest.importorskip(half_library)
    found = libraries.get(half_library)
    xp = found.namespace
    x = xp.astype(found.array([3.0, 1.0, -0.5, 2.0]), getattr(xp, dtype))
    y = EVERY[name](x, temperature=1.7)
    assert y.dtype == x.dtype
    wanted = xp.astype(EVERY[name](xp.astype(x, xp.float32), temperature=1.7), y.dtype)
    assert bool(xp.all(y == wanted))


@of(EVERY)
def test_float16_of_numpy(name):
    x = np.asarray([3.0, 1.0, -0.5, 2.0], dtype=np.float16)
    y = EVERY[name](x)
    assert y.dtype == np.float16
    assert_array_equal(y, EVERY[name](x.astype(np.float32)).astype(np.float16))


@of(EVERY)
def test_non_contiguous_rows(name):
    x = np.asfortranarray(np.random.default_rng(0).normal(size=(4, 6)))
    assert_array_equal(EVERY[name](x[::-1, ::2]), EVERY[name](x[::-1, ::2].copy()))
