"""Nested derivatives: no level sees the tangents of another."""

import array_api_compat
import array_api_compat.numpy as compat
import array_api_strict as strict
import numpy as np
import pytest

from fenchel.autodiff import tape

LIBRARIES = {"numpy": compat, "strict": strict}


def derivative(f):
    return lambda x: tape.jvp(f, (x,), (array_api_compat.array_namespace(x).ones_like(x),))[1]


def gradient(f):
    return lambda x: tape.value_and_grad(f)(x)[1]


MODES = {"forward": derivative, "reverse": gradient}


@pytest.fixture(params=LIBRARIES)
def base(request):
    return LIBRARIES[request.param]


@pytest.mark.parametrize("outer", MODES)
@pytest.mark.parametrize("inner", MODES)
def test_perturbation_confusion(base, outer, inner):
    """d/dx [x * d/dy (x + y)] is 1; a tape that mixes up its levels gives 2."""
    d_out, d_in = MODES[outer], MODES[inner]
    found = d_out(lambda x: x * d_in(lambda y: x + y)(base.asarray(1.0)))(base.asarray(1.0))
    assert float(found) == 1.0


@pytest.mark.parametrize("outer", MODES)
@pytest.mark.parametrize("inner", MODES)
def test_inner_derivative_depends_on_the_outer_variable(base, outer, inner):
    """d/dx [d/dy (x^2 y^3) at y = x] = d/dx 3 x^4 = 12 x^3."""
    d_out, d_in = MODES[outer], MODES[inner]
    found = d_out(lambda x: d_in(lambda y: x * x * y**3)(x))(base.asarray(2.0))
    assert float(found) == pytest.approx(96.0, rel=1e-15)


@pytest.mark.parametrize("first", MODES)
@pytest.mark.parametrize("second", MODES)
@pytest.mark.parametrize("third", MODES)
def test_towers_of_three(base, first, second, third):
    def f(x):
        ns = array_api_compat.array_namespace(x)
        return ns.sin(x) * ns.exp(2.0 * x)

    found = MODES[first](MODES[second](MODES[third](f)))(base.asarray(0.3))
    # f = Im exp((2 + i) x), so the third derivative is Im (2 + i)^3 exp((2 + i) x).
    expected = ((2 + 1j) ** 3 * np.exp((2 + 1j) * 0.3)).imag
    assert float(found) == pytest.approx(expected, rel=1e-13)


def test_sixth_derivative_in_alternating_modes():
    f = np.exp
    for mode in ("forward", "reverse") * 3:
        f = MODES[mode](f)
    assert float(f(np.asarray(0.5))) == pytest.approx(np.exp(0.5), rel=1e-14)


def test_every_order_of_hessian_agrees():
    def f(x):
        return np.sum(np.exp(x[:-1]) * np.sin(x[1:])) + np.prod(x)

    x, v = np.asarray([0.3, -0.5, 0.8]), np.asarray([1.0, 2.0, -1.0])
    forward_over_reverse = tape.jvp(gradient(f), (x,), (v,))[1]
    reverse_over_forward = gradient(lambda y: tape.jvp(f, (y,), (v,))[1])(x)
    reverse_over_reverse = gradient(lambda y: np.sum(gradient(f)(y) * v))(x)
    np.testing.assert_allclose(reverse_over_forward, forward_over_reverse, rtol=1e-14)
    np.testing.assert_allclose(reverse_over_reverse, forward_over_reverse, rtol=1e-14)


def test_pullback_can_be_differentiated_in_its_cotangent():
    _, pullback = tape.vjp(lambda x: np.sin(x) * x, np.asarray([0.2, 0.7]))
    u, v = np.asarray([1.0, -2.0]), np.asarray([0.3, 0.4])
    _, tangent = tape.jvp(lambda u: pullback(u)[0], (u,), (v,))
    np.testing.assert_allclose(tangent, pullback(v)[0], rtol=1e-15)


def test_pushforward_can_be_differentiated_in_its_tangent():
    _, push = tape.linearize(lambda x: np.cumsum(x * x), np.asarray([0.2, 0.7]))
    u, v = np.asarray([1.0, -2.0]), np.asarray([0.3, 0.4])
    (back,) = tape.vjp(push, v)[1](u)
    assert np.sum(back * v) == pytest.approx(np.sum(u * push(v)), rel=1e-14)


def test_linearize_within_an_outer_level():
    def f(x):
        _, push = tape.linearize(lambda y: np.sin(y) * x, x)
        return np.sum(push(np.ones(2)))  # sum of x cos(x)

    x = np.asarray([0.4, 1.1])
    np.testing.assert_allclose(gradient(f)(x), np.cos(x) - x * np.sin(x), rtol=1e-14)


def test_constants_of_an_outer_level_reach_the_outer_derivative():
    def f(a):
        return gradient(lambda x: np.sum(a * x**2 + np.sin(a) * x))(np.asarray([1.0, 2.0]))[1]

    a = np.asarray(0.7)
    assert float(gradient(f)(a)) == pytest.approx(4.0 + np.cos(0.7), rel=1e-15)


def test_stop_gradient_stops_every_level():
    def f(x):
        return x * tape.stop_gradient(x) ** 2

    x = np.asarray(3.0)
    assert float(gradient(f)(x)) == 9.0
    assert float(derivative(gradient(f))(x)) == 0.0
    kept = tape.stop_gradient({"a": x, "b": (x, 1)})
    assert kept["a"] is x


def test_a_tape_can_be_pulled_back_many_times():
    _, pullback = tape.vjp(lambda x: np.outer(x, x), np.asarray([1.0, 2.0]))
    first = pullback(np.eye(2))[0]
    pullback(np.ones((2, 2)))
    np.testing.assert_array_equal(pullback(np.eye(2))[0], first)


def test_threads_do_not_share_levels():
    from concurrent.futures import ThreadPoolExecutor

    def work(seed):
        x = np.random.default_rng(seed).standard_normal(4)
        h = tape.jvp(gradient(lambda y: np.sum(np.sin(y) * y)), (x,), (np.ones(4),))[1]
        return np.max(np.abs(h - (2.0 * np.cos(x) - x * np.sin(x))))

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(work, range(40))) < 1e-13


@pytest.mark.parametrize("base", [compat, strict], ids=["numpy", "strict"])
def test_constants_of_a_trace_mix_on_the_left(base):
    """What is made from a traced array without a derivative works to the left of an operator."""

    def f(x):
        xp = array_api_compat.array_namespace(x)
        made = xp.ones_like(x) * x + xp.arange(3, dtype=x.dtype) * x + xp.zeros(3) * x
        masks = xp.astype((x > 1) & ~(x > 2), x.dtype) * x + tape.stop_gradient(x) * x
        return xp.sum(made + masks + xp.full_like(x, 2.0) * x)

    x = base.asarray([0.5, 1.5, 2.5])
    value, gradient = tape.value_and_grad(f)(x)
    assert type(value) is type(base.sum(x)) and type(gradient) is type(x)
    assert [float(gradient[i]) for i in range(3)] == [3.5, 6.5, 7.5]
    _, (curvature,) = tape.jvp(lambda x: (tape.value_and_grad(f)(x)[1],), (x,), (x,))
    assert type(curvature) is type(x) and not bool(base.any(curvature != 0))
