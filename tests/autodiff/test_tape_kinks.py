"""The declared choice at every kink, exactly at the kink, the same on every library."""

import array_api_compat
import array_api_compat.numpy as compat
import array_api_strict as strict
import numpy as np
import pytest

from fenchel.autodiff import tape

BASES = {"numpy": compat, "strict": strict}


@pytest.fixture(params=BASES)
def base(request):
    return BASES[request.param]


def slopes(base, f, *args):
    """Forward and reverse derivative of the sum of f in its first argument, which must agree."""
    arrays = [base.asarray(np.asarray(a, dtype=float)) for a in args]

    def total(x):
        xp = array_api_compat.array_namespace(x)
        return xp.sum(f(xp, x, *arrays[1:]))

    _, reverse = tape.value_and_grad(total)(arrays[0])
    basis = np.eye(arrays[0].size).reshape(-1, *arrays[0].shape)
    columns = [tape.jvp(total, (arrays[0],), (base.asarray(v),))[1] for v in basis]
    reverse = [float(reverse[i]) for i in range(arrays[0].shape[0])]
    assert reverse == [float(c) for c in columns]
    return reverse


KINKS = {
    "abs": (lambda xp, x: xp.abs(x), [0.0, -1.0, 2.0], [0.0, -1.0, 1.0]),
    "sign": (lambda xp, x: xp.multiply(xp.sign(x), x), [0.0, -1.0, 2.0], [0.0, -1.0, 1.0]),
    "maximum": (lambda xp, x: xp.maximum(x, 1.0), [1.0, 0.0, 2.0], [0.5, 0.0, 1.0]),
    "minimum": (lambda xp, x: xp.minimum(1.0, x), [1.0, 0.0, 2.0], [0.5, 1.0, 0.0]),
    "clip": (lambda xp, x: xp.clip(x, 0.0, 1.0), [0.0, 1.0, -0.1, 1.1], [1.0, 1.0, 0.0, 0.0]),
    "max": (lambda xp, x: xp.max(x), [3.0, 1.0, 3.0, 3.0], [1 / 3, 0.0, 1 / 3, 1 / 3]),
    "min": (lambda xp, x: xp.min(x), [1.0, 1.0, 2.0], [0.5, 0.5, 0.0]),
    "norm": (lambda xp, x: xp.linalg.vector_norm(x), [0.0, 0.0], [0.0, 0.0]),
    "norm of order 3": (lambda xp, x: xp.linalg.vector_norm(x, ord=3), [0.0, 0.0], [0.0, 0.0]),
    "norm of order 1": (lambda xp, x: xp.linalg.vector_norm(x, ord=1), [0.0, 2.0], [0.0, 1.0]),
    "std of equal entries": (lambda xp, x: xp.std(x), [2.0, 2.0], [0.0, 0.0]),
    "hypot": (lambda xp, x: xp.hypot(x, 0.0 * x), [0.0, 2.0], [0.0, 1.0]),
    "power 0": (lambda xp, x: x**0, [0.0, 2.0], [0.0, 0.0]),
    "power 1": (lambda xp, x: x**1, [0.0, 2.0], [1.0, 1.0]),
    "power 2": (lambda xp, x: x**2, [0.0, 2.0], [0.0, 4.0]),
    "comparison": (
        lambda xp, x: xp.multiply(xp.astype(x > 1.0, x.dtype), x),
        [1.0, 2.0],
        [0.0, 1.0],
    ),
    "prod with a zero": (lambda xp, x: xp.prod(x), [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
    "prod with two zeros": (lambda xp, x: xp.prod(x), [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
    "cumulative_prod": (
        lambda xp, x: xp.cumulative_prod(x),
        [0.0, 2.0, 3.0],
        [1.0 + 2.0 + 6.0, 0.0, 0.0],
    ),
    "floor": (lambda xp, x: xp.multiply(xp.floor(x), x), [1.0, 2.5], [1.0, 2.0]),
    "where": (lambda xp, x: xp.where(x > 0.0, x, 3.0 * x), [0.0, 1.0], [3.0, 1.0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_declared_choice(base, name):
    f, x, expected = KINKS[name]
    assert slopes(base, f, x) == pytest.approx(expected, rel=1e-15, abs=0)


def test_power_with_an_array_exponent_of_zero(base):
    assert slopes(base, lambda xp, x, y: xp.pow(x, y), [0.0, 0.0, 2.0], [0.0, 1.0, 3.0]) == [
        0.0,
        1.0,
        12.0,
    ]
    # In the exponent: log(0) is not met, because 0**y does not change there.
    assert slopes(base, lambda xp, y, x: xp.pow(x, y), [2.0, 1.0], [0.0, 1.0]) == [0.0, 0.0]


def test_logaddexp_of_minus_infinities(base):
    low = -np.inf
    found = slopes(base, lambda xp, x, y: xp.logaddexp(x, y), [low, low, 1.0], [low, 0.0, low])
    assert found == [0.0, 0.0, 1.0]


def test_sqrt_at_zero_is_infinite_as_in_jax():
    with np.errstate(divide="ignore"):
        _, gradient = tape.value_and_grad(lambda x: np.sum(np.sqrt(x)))(np.asarray([0.0, 4.0]))
    assert gradient.tolist() == [np.inf, 0.25]


def test_ties_of_maximum_are_shared_by_both_sides(base):
    x = base.asarray(2.0)
    _, pullback = tape.vjp(lambda a, b: array_api_compat.array_namespace(a).maximum(a, b), x, x)
    assert [float(g) for g in pullback(base.asarray(1.0))] == [0.5, 0.5]


def test_bounds_of_clip_have_derivatives(base):
    x, low, high = (base.asarray(v) for v in ([-1.0, 0.5, 3.0], 0.0, 1.0))

    def f(low, high):
        xp = array_api_compat.array_namespace(low)
        return xp.sum(xp.clip(x, low, high))

    _, gradient = tape.value_and_grad(f, argnums=(0, 1))(low, high)
    assert [float(g) for g in gradient] == [1.0, 1.0]


NAN = {
    "max": (np.max, [0.0, 1.0]),  # the entry that is the maximum has the derivative
    "sum of squares": (lambda x: np.sum(x * x), [2.0, np.nan]),
    "product": (lambda x: np.prod(x), [np.nan, 1.0]),
    "norm": (np.linalg.norm, [np.nan, np.nan]),
    "softmax": (lambda x: np.sum(np.exp(x) / np.sum(np.exp(x))), [np.nan, np.nan]),
}


@pytest.mark.parametrize("name", NAN)
def test_nan_in_is_nan_out(name):
    f, expected = NAN[name]
    value, gradient = tape.value_and_grad(f)(np.asarray([1.0, np.nan]))
    assert np.isnan(value)
    np.testing.assert_array_equal(gradient, expected)


def test_second_derivatives_stay_finite_where_branches_are_masked(base):
    def f(x):
        xp = array_api_compat.array_namespace(x)
        return xp.sum(xp.linalg.vector_norm(x, axis=1)) + xp.sum(xp.prod(x, axis=1))

    x = base.asarray([[0.0, 0.0], [3.0, 4.0]])
    v = base.asarray([[1.0, 0.0], [1.0, 0.0]])
    _, hv = tape.jvp(lambda y: tape.value_and_grad(f)(y)[1], (x,), (v,))
    expected = [[0.0, 1.0], [16.0 / 125.0, -12.0 / 125.0 + 1.0]]
    found = [[float(hv[i, j]) for j in range(2)] for i in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)


def test_equal_eigenvalues_do_not_harm_functions_of_eigenvalues():
    x = np.eye(3)
    _, gradient = tape.value_and_grad(lambda a: np.sum(np.linalg.eigvalsh(a) ** 2))(x)
    np.testing.assert_allclose(gradient, 2.0 * np.eye(3), atol=1e-14)
    _, gradient = tape.value_and_grad(lambda a: np.sum(np.linalg.svdvals(a)))(x)
    np.testing.assert_allclose(gradient, np.eye(3), atol=1e-14)
