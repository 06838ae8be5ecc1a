"""Finite differences, the complex step and the stencils behind them."""

import math

import numpy as np
import pytest

from fenchel import namespace
from fenchel.autodiff import check_grads, complex_step, fd_weights, finite_difference, stop_gradient
from fenchel.special import expit, logsumexp, softplus

# -- the book's experiment: softplus at 1 ------------------------------------------------------

SLOPE = 1 / (1 + math.exp(-1.0))


def error(found):
    return abs(float(found) - SLOPE)


def sweep(scheme):
    """Errors of a difference over steps from 1e-14 to 1."""
    one = np.asarray(1.0)
    steps = np.logspace(-14, 0, 57)
    found = [finite_difference(softplus, one, one, scheme=scheme, step=float(h)) for h in steps]
    return steps, np.asarray([error(f) for f in found])


def test_forward_differences_trade_truncation_for_rounding():
    steps, errors = sweep("forward")
    # Single steps can be lucky: the trade-off shows in the median over half a decade.
    smooth = np.asarray([np.median(errors[max(i - 2, 0) : i + 3]) for i in range(len(steps))])
    best = steps[np.argmin(smooth)]
    assert 1e-9 < best < 1e-7
    assert 1e-10 < smooth.min() < 1e-7
    assert errors[0] > 1e-3 and errors[-1] > 1e-2


def test_central_differences_are_better_at_a_longer_step():
    steps, errors = sweep("central")
    assert errors.min() < 1e-10
    near = (steps > 2e-6) & (steps < 2e-5)
    assert np.median(errors[near]) < 1e-10


def test_complex_step_has_no_trade_off():
    one = np.asarray(1.0)
    for h in [1e-8 / 2, 1e-12, 1e-20, 1e-100, 1e-200]:
        assert error(complex_step(softplus, one, one, step=h)) < 3e-16


def test_default_steps():
    one = np.asarray(1.0)
    assert error(finite_difference(softplus, one, one)) < 1e-10
    assert error(finite_difference(softplus, one, one, scheme="forward")) < 3e-8
    assert error(finite_difference(softplus, one, one, scheme="backward")) < 3e-8
    curvature = SLOPE * (1 - SLOPE)
    found = finite_difference(softplus, one, one, order=2)
    assert abs(float(found) - curvature) < 1e-7
    single = np.asarray(1.0, dtype="float32")
    found = finite_difference(softplus, single, single)
    assert found.dtype == np.float32
    assert error(found) < 5e-5


# -- over every library ------------------------------------------------------------------------


def swirl(p):
    xp = namespace(p["a"])
    return {"s": xp.sin(p["a"]) * p["b"], "t": (p["b"] ** 3,)}


A, B = np.asarray([0.3, -1.2, 2.0]), np.asarray(0.7)
DA, DB = np.asarray([1.0, 0.5, -2.0]), np.asarray(0.3)


def exact():
    return np.cos(A) * DA * B + np.sin(A) * DB, 3 * B**2 * DB


@pytest.mark.parametrize(
    ("scheme", "tolerance"), [("central", 1e-9), ("forward", 1e-6), ("backward", 1e-6)]
)
def test_differences_of_containers(xp, scheme, tolerance):
    x, v = ({"a": xp.array(a), "b": xp.array(b)} for a, b in ((A, B), (DA, DB)))
    found = xp.run(lambda x, v: finite_difference(swirl, x, v, scheme=scheme), x, v)
    for got, wanted in zip((found["s"], found["t"][0]), exact(), strict=True):
        np.testing.assert_allclose(xp.numpy(got), wanted, atol=tolerance)


def test_complex_steps_of_containers(xp):
    x, v = ({"a": xp.array(a), "b": xp.array(b)} for a, b in ((A, B), (DA, DB)))
    found = xp.run(lambda x, v: complex_step(swirl, x, v), x, v)
    for got, wanted in zip((found["s"], found["t"][0]), exact(), strict=True):
        np.testing.assert_allclose(xp.numpy(got), wanted, rtol=1e-14)


@pytest.mark.parametrize("f", [softplus, expit, logsumexp])
def test_special_functions_take_the_complex_step(xp, f):
    a, v = np.asarray([-3.0, 0.0, 0.5, 40.0]), np.asarray([1.0, -2.0, 0.3, 1.0])
    expected = {
        softplus: v / (1 + np.exp(-a)),
        expit: v / (np.exp(a / 2) + np.exp(-a / 2)) ** 2,
        logsumexp: np.sum(v * np.exp(a - 40)) / np.sum(np.exp(a - 40)),
    }[f]
    found = complex_step(f, xp.array(a), xp.array(v))
    np.testing.assert_allclose(xp.numpy(found), expected, rtol=1e-14)


def test_dtype_is_kept(xp):
    x = xp.array(A, dtype="float32")
    for found in (finite_difference(lambda x: x**2, x, x), complex_step(lambda x: x**2, x, x)):
        assert found.dtype == x.dtype
        np.testing.assert_allclose(xp.numpy(found), 2 * A**2, rtol=1e-4)


def test_a_zero_direction(xp):
    x = xp.array(A)
    zero = namespace(x).zeros_like(x)
    np.testing.assert_array_equal(xp.numpy(finite_difference(lambda x: x**2, x, zero)), 0.0)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_higher_orders(order):
    x = np.asarray(0.5)
    for scheme in ("central", "forward", "backward"):
        found = finite_difference(np.exp, x, np.asarray(1.0), order=order, scheme=scheme, step=1e-2)
        tolerance = 1e-3 if scheme == "central" else 0.1
        assert abs(float(found) / math.exp(0.5) - 1) < tolerance


def test_complex_step_notices_that_the_imaginary_part_is_dropped(xp):
    x = xp.array(A)
    with pytest.raises(TypeError, match="must keep complex numbers complex"):
        complex_step(lambda x: namespace(x).abs(x), x, x)


def test_errors(xp):
    x = xp.array(A)
    with pytest.raises(ValueError, match="`scheme` must be one of central"):
        finite_difference(lambda x: x, x, x, scheme="best")
    with pytest.raises(ValueError, match="`order` must be an integer of at least 1; got 0"):
        finite_difference(lambda x: x, x, x, order=0)
    with pytest.raises(ValueError, match="`step` must be above 0"):
        finite_difference(lambda x: x, x, x, step=-1.0)
    with pytest.raises(ValueError, match="`step` must be above 0"):
        complex_step(lambda x: x, x, x, step=0.0)
    with pytest.raises(ValueError, match="`tangent` must have the shape"):
        complex_step(lambda x: x, x, x[:2])
    with pytest.raises(TypeError, match="floating"):
        finite_difference(lambda x: x, xp.array([1, 2], dtype="int64"), x)


# -- stencils ----------------------------------------------------------------------------------


def test_textbook_weights():
    np.testing.assert_allclose(
        fd_weights((-2, -1, 0, 1, 2), 1), np.asarray([1, -8, 0, 8, -1]) / 12, rtol=1e-16
    )
    np.testing.assert_allclose(
        fd_weights((-2, -1, 0, 1, 2), 2), np.asarray([-1, 16, -30, 16, -1]) / 12, rtol=1e-16
    )
    assert fd_weights((0, 1, 2), 1) == (-1.5, 2.0, -0.5)
    assert fd_weights((3.5,), 0) == (1.0,)


@pytest.mark.parametrize("offsets", [(-1, 0.5, 2), (0, 1, 3, 7), (2, -3, 0.25, 5, -1)])
def test_weights_are_exact_for_polynomials(offsets):
    for order in range(len(offsets)):
        weights = fd_weights(offsets, order)
        for power in range(len(offsets)):
            found = sum(w * o**power for w, o in zip(weights, offsets, strict=True))
            expected = math.factorial(order) if power == order else 0.0
            assert abs(found - expected) < 1e-9 * max(abs(w) for w in weights) * 7**power


def test_weights_that_do_not_exist():
    with pytest.raises(ValueError, match="`offsets` must be distinct"):
        fd_weights((0, 1, 1), 1)
    with pytest.raises(ValueError, match=r"`order` must be in \[0, 2\) for 2 offsets; got order=2"):
        fd_weights((0, 1), 2)


# -- the checker -------------------------------------------------------------------------------


def test_right_derivatives_pass(xp):
    check_grads(swirl, ({"a": xp.array(A), "b": xp.array(B)},))
    check_grads(swirl, ({"a": xp.array(A, "float32"), "b": xp.array(B, "float32")},))


@pytest.mark.parametrize(("mode", "where"), [("jvp", r"output\[1\]"), ("vjp", r"args\[0\]\[1\]")])
def test_a_wrong_derivative_is_named(xp, mode, where):
    last = xp.array([0.0, 1.0, 0.0])

    def f(x):  # the derivative of the second entry is half of what it should be
        return x * x * (1.0 - last) + x * stop_gradient(x) * last

    with pytest.raises(AssertionError, match=f"{mode} is off at {where}"):
        check_grads(f, (xp.array([0.3, 1.7, -0.4]),), (mode,))


def test_a_wrong_second_derivative_is_found(xp):
    def f(x):  # value and slope of x^3 / 3, but no curvature
        return x * stop_gradient(x) ** 2 - stop_gradient(x) ** 3 * (2.0 / 3.0)

    check_grads(f, (xp.array([0.8, 1.7]),), ())
    with pytest.raises(AssertionError, match="hvp is off at args"):
        check_grads(f, (xp.array([0.8, 1.7]),), ("hvp",))


def test_a_kink_is_named(xp):
    with pytest.raises(AssertionError, match=r"has a kink .* derivative at \[1\]"):
        check_grads(lambda x: namespace(x).abs(x), (xp.array([0.5, 0.0]),), ("jvp",))


def test_checker_errors(xp):
    x = xp.array(A)
    with pytest.raises(TypeError, match="`args` must be a tuple"):
        check_grads(lambda x: x, x)
    with pytest.raises(ValueError, match="`modes` must be one of jvp"):
        check_grads(lambda x: x, (x,), ("up",))
    half = xp.array([1.0], dtype="float16") if xp.name in ("numpy", "torch") else None
    if half is not None:
        with pytest.raises(TypeError, match=r"`args\[0\]` must be float32 or float64"):
            check_grads(lambda x: x, (half,))
