"""What every rule owes: adjoint pairs, linearity, symmetry, composition, batches, precisions."""

import array_api_compat
import array_api_compat.numpy as compat
import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel.autodiff import tape
from tests import third_party
from tests.autodiff.tape_functions import BY_NAME, CASES

NAMES = sorted(BY_NAME)
SEEDS = st.integers(0, 2**32 - 1)
CHECKS = settings(max_examples=60, deadline=None)


def over(case):
    return lambda x: case.f(array_api_compat.array_namespace(x), x)


def close(a, b, scale=1.0, tolerance=1e-10):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, scale))


def draws(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


@CHECKS
@given(st.sampled_from(NAMES), SEEDS)
def test_pullback_is_the_transpose_of_the_tangent_map(name, seed):
    case = BY_NAME[name]
    out, pullback = tape.vjp(over(case), case.sample)
    v, u = draws(seed, case.sample.shape, np.shape(out))
    _, tangent = tape.jvp(over(case), (case.sample,), (v,))
    (cotangent,) = pullback(u)
    close(np.sum(u * tangent), np.sum(cotangent * v), np.abs(u * tangent).sum())


@CHECKS
@given(st.sampled_from(NAMES), SEEDS)
def test_linearize_is_jvp_and_is_linear(name, seed):
    case = BY_NAME[name]
    out, push = tape.linearize(over(case), case.sample)
    v, w = draws(seed, case.sample.shape, case.sample.shape)
    value, tangent = tape.jvp(over(case), (case.sample,), (v,))
    size = float(np.max(np.abs(tangent), initial=0.0))
    close(out, value)
    close(push(v), tangent, size)
    close(push(2.0 * v - w), 2.0 * tangent - push(w), size + float(np.max(np.abs(push(w)))))


@CHECKS
@given(st.sampled_from(NAMES), SEEDS)
def test_second_derivatives_are_symmetric(name, seed):
    case = BY_NAME[name]
    weights = np.cos(np.arange(np.size(over(case)(case.sample))))
    v, w = draws(seed, case.sample.shape, case.sample.shape)

    def gradient(x):
        def scalar(y):
            out = over(case)(y)
            return np.sum(weights.reshape(out.shape) * np.sin(out))

        return tape.value_and_grad(scalar)(x)[1]

    hv = tape.jvp(gradient, (case.sample,), (v,))[1]
    hw = tape.vjp(gradient, case.sample)[1](w)[0]  # reverse over reverse, for the other one
    close(np.sum(w * hv), np.sum(v * hw), np.abs(w * hv).sum() + np.abs(v * hw).sum())


ELEMENTARY = ("sin", "cos", "tanh", "exp", "atan", "square", "asinh", "negative", "expm1")


@CHECKS
@given(st.lists(st.sampled_from(ELEMENTARY), min_size=1, max_size=5), SEEDS)
def test_chain_rule_on_random_compositions(names, seed):
    x = np.random.default_rng(seed).uniform(-0.6, 0.6, 5)
    functions = [getattr(np, name) for name in names]

    def composed(x):
        for f in functions:
            x = np.tanh(f(x))  # keeps towers of exponentials small
        return x

    (found,) = tape.vjp(composed, x)[1](np.ones(5))
    expected, y = np.ones(5), x
    for f in functions:
        expected = expected * tape.vjp(lambda z, f=f: np.tanh(f(z)), y)[1](np.ones(5))[0]
        y = np.tanh(f(y))
    close(found, expected, tolerance=1e-13)


@CHECKS
@given(st.sampled_from(NAMES), SEEDS)
def test_cotangents_are_linear(name, seed):
    case = BY_NAME[name]
    out, pullback = tape.vjp(over(case), case.sample)
    u, w = draws(seed, np.shape(out), np.shape(out))
    separate = 3.0 * pullback(u)[0] - pullback(w)[0]
    close(pullback(3.0 * u - w)[0], separate, float(np.max(np.abs(separate), initial=0.0)), 1e-9)


@pytest.mark.parametrize("case", CASES[::3], ids=lambda case: case.name.replace(" ", "-"))
def test_float32_stays_and_agrees(case):
    def gradient(x):
        def scalar(y):
            xp = array_api_compat.array_namespace(y)
            return xp.sum(over(case)(y))

        return tape.value_and_grad(scalar)(x)

    x = compat.asarray(case.sample, dtype=compat.float32)
    value, single = gradient(x)
    _, double = gradient(case.sample)
    assert value.dtype == over(case)(x).dtype  # some samples hold float64 constants
    assert single.dtype == compat.float32
    scale = max(1.0, float(np.max(np.abs(double))))
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("case", CASES[1::4], ids=lambda case: case.name.replace(" ", "-"))
def test_loop_over_rows_is_the_batch(case):
    """`vmap` of a gradient is the gradient of the sum over the batch."""
    batch = np.stack([case.sample, case.sample * 0.99])

    def scalar(x):
        return np.sum(np.cos(over(case)(x)))

    rows = tape.vmap(lambda x: tape.value_and_grad(scalar)(x)[1])(batch)
    whole = tape.value_and_grad(lambda x: np.sum(tape.vmap(scalar)(x)))(batch)[1]
    close(rows, whole, float(np.max(np.abs(rows))), 1e-13)


UNBOXED = ("slice", "mask", "take", "softmax", "matmul", "sort", "max", "where", "prod", "tile")


@pytest.mark.parametrize("name", UNBOXED)
def test_a_library_nobody_registered(name):
    """A third-party array with `__array_namespace__` and nothing else gives NumPy's gradient."""
    case = BY_NAME[name]

    def gradient(x):
        def scalar(y):
            xp = array_api_compat.array_namespace(y)
            return xp.sum(xp.sin(over(case)(y)))

        return tape.value_and_grad(scalar)(x)[1]

    found = gradient(third_party.Array(case.sample))
    assert type(found) is third_party.Array
    close(found.value, gradient(case.sample), tolerance=1e-14)


@pytest.mark.parametrize("name", UNBOXED)
def test_another_device(name):
    """Rules create what they need on the device of their arrays."""
    case, device = BY_NAME[name], strict.Device("device1")
    if name == "mask":
        pytest.skip("the sample function makes its mask on the default device")
    x = strict.asarray(case.sample, device=device)

    def on_device(xp, y):
        out = case.f(_Located(xp, device), y)
        return xp.sum(xp.sin(out))

    def scalar(y):
        return on_device(array_api_compat.array_namespace(y), y)

    found = tape.jvp(lambda y: tape.value_and_grad(scalar)(y)[1], (x,), (strict.ones_like(x),))
    assert all(array_api_compat.device(g) == device for g in found)


class _Located:
    """A namespace whose creation functions have a default device."""

    def __init__(self, xp, device):
        self._xp, self._device = xp, device

    def __getattr__(self, name):
        function = getattr(self._xp, name)
        if name in ("asarray", "eye", "arange", "linspace"):
            return lambda *args, **options: function(*args, device=self._device, **options)
        return function


def test_inputs_are_never_written():
    for case in CASES:
        x = case.sample.copy()
        x.flags.writeable = False
        w = np.cos(np.arange(np.size(over(case)(x)))).reshape(np.shape(over(case)(x)))
        w.flags.writeable = False
        (g,) = tape.vjp(over(case), x)[1](w)
        assert g.shape == x.shape


EMPTY = {
    "elementwise": (np.sin, (0, 3)),
    "sum of empty rows": (lambda x: np.sum(x, axis=1), (3, 0)),
    "matmul over an empty axis": (lambda x: x @ x.T, (3, 0)),
    "concat": (lambda x: np.concatenate([x, np.ones((1, 3))]), (0, 3)),
    "slice": (lambda x: x[:, 1:], (0, 3)),
    "sort": (lambda x: np.sort(x, axis=1), (0, 3)),
    "prod": (lambda x: np.prod(x, axis=1), (3, 0)),
    "max of no rows": (lambda x: np.max(x, axis=1), (0, 3)),
    "reshape": (lambda x: np.reshape(x, (3, 0)), (0, 3)),
    "norm": (lambda x: np.linalg.norm(x, axis=1), (3, 0)),
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_axes(name):
    f, shape = EMPTY[name]
    x = np.zeros(shape)
    out, pullback = tape.vjp(f, x)
    assert pullback(np.ones_like(out))[0].shape == shape
    value, tangent = tape.jvp(f, (x,), (x,))
    assert value.shape == tangent.shape == out.shape
