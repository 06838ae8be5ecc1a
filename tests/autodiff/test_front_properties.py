"""Properties that every derivative has, on random compositions of smooth functions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel import namespace
from fenchel.autodiff import grad, hessian, hvp, jacobian, jvp, linearize, vjp, vmap
from fenchel.special import logsumexp, softplus

STEPS = {
    "sin": lambda xp, x: xp.sin(x),
    "tanh": lambda xp, x: xp.tanh(x),
    "softplus": lambda xp, x: softplus(x),
    "square": lambda xp, x: x * x / 4,
    "roll": lambda xp, x: x + xp.roll(x, 1, axis=-1) / 2,
    "centre": lambda xp, x: x - xp.mean(x, axis=-1, keepdims=True),
    "scale": lambda xp, x: x * xp.exp(-(x**2) / 4),
    "normalise": lambda xp, x: x - logsumexp(x, keepdims=True),
    "broadcast": lambda xp, x: xp.sum(x[..., None, :] * x[..., :, None], axis=-1) / 3,
}
compositions = st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4)
seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=40, deadline=None, derandomize=True)


def compose(names):
    def f(x):
        for name in names:
            x = STEPS[name](namespace(x), x)
        return x

    return f


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


@quick
@given(compositions, seeds)
def test_forward_and_reverse_mode_are_transposes(names, seed):
    f = compose(names)
    x, v, u = draw(seed, (2, 3), (2, 3), (2, 3))
    pushed = jvp(f, (x,), (v,))[1]
    (pulled,) = vjp(f, x)[1](u)
    scale = np.linalg.norm(pushed) * np.linalg.norm(u) + 1e-300
    assert abs(np.sum(u * pushed) - np.sum(pulled * v)) < 1e-12 * scale


@quick
@given(compositions, seeds, st.floats(-3, 3), st.floats(-3, 3))
def test_derivatives_are_linear_in_the_direction(names, seed, a, b):
    f = compose(names)
    x, v, w = draw(seed, (3,), (3,), (3,))
    push = linearize(f, x)[1]
    np.testing.assert_allclose(
        push(a * v + b * w), a * push(v) + b * push(w), rtol=1e-11, atol=1e-12
    )


@quick
@given(compositions, compositions, seeds)
def test_chain_rule(first, second, seed):
    f, g = compose(first), compose(second)
    (x,) = draw(seed, (3,))
    whole = jacobian(lambda x: g(f(x)))(x)
    np.testing.assert_allclose(whole, jacobian(g)(f(x)) @ jacobian(f)(x), rtol=1e-10, atol=1e-12)


@quick
@given(compositions, seeds)
def test_second_derivatives_are_symmetric(names, seed):
    f = compose(names)
    (x, v) = draw(seed, (3,), (3,))

    def scalar(x):
        return namespace(x).sum(f(x) ** 2)

    h = hessian(scalar)(x)
    np.testing.assert_allclose(h, h.T, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(hvp(scalar, x, v), h @ v, rtol=1e-10, atol=1e-10)


@quick
@given(compositions, seeds)
def test_a_batch_is_a_loop(names, seed):
    f = compose(names)
    (x,) = draw(seed, (4, 3))
    np.testing.assert_allclose(vmap(f)(x), np.stack([f(row) for row in x]), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(
        vmap(jacobian(f))(x), np.stack([jacobian(f)(row) for row in x]), rtol=1e-12, atol=1e-13
    )


@quick
@given(compositions, seeds)
def test_pushing_a_pullback_of_a_linear_map_gives_the_map(names, seed):
    x, v, u = draw(seed, (3,), (3,), (3,))
    push = linearize(compose(names), x)[1]
    pull = vjp(push, v)[1]
    again = jvp(pull, (u,), (u,))[1][0]
    np.testing.assert_allclose(again, pull(u)[0], rtol=1e-12, atol=1e-13)


@quick
@given(compositions, seeds)
def test_single_precision_follows_double(names, seed):
    f = compose(names)
    (x,) = draw(seed, (3,))

    def scalar(x):
        return namespace(x).sum(f(x))

    single, double = grad(scalar)(x.astype("float32")), grad(scalar)(x)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-5 * (1 + np.abs(double).max()))


@quick
@given(compositions, seeds)
def test_engines_agree(names, seed):
    f = compose(names)
    x, v = draw(seed, (3,), (3,))
    exact = jvp(f, (x,), (v,))[1]
    scale = 1 + np.abs(exact).max()
    stepped = jvp(f, (x,), (v,), method="complex")[1]
    np.testing.assert_allclose(stepped, exact, rtol=1e-12, atol=1e-13 * scale)
    differenced = jvp(f, (x,), (v,), method="finite")[1]
    np.testing.assert_allclose(differenced, exact, rtol=1e-7, atol=1e-8 * scale)
