"""The adapter of traced arrays: what the standard lacks, loops, kernels and fused rules."""

from types import SimpleNamespace

import array_api_compat
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel import backend_of
from fenchel.autodiff import tape
from fenchel.autodiff.tape.traced import Traced, strip
from fenchel.backend import Backend
from tests import libraries

LIBRARIES = ("numpy", "strict", "strict-device1", "third-party")
X = np.asarray([[0.3, 2.0, 0.3, -1.0], [5.0, 0.1, 0.2, 0.4]])


@pytest.fixture(params=LIBRARIES)
def library(request):
    return libraries.get(request.param)


def pullback_of(library, f, x, u):
    """Pullback of `f(backend, x)` at arrays of the library, read back."""
    out, pullback = tape.vjp(lambda y: f(backend_of(y), y), library.array(x))
    return library.numpy(out), library.numpy(pullback(library.array(u))[0])


def test_backend_follows_the_contract(library):
    def check(x):
        backend = backend_of(x)
        assert isinstance(backend, tape.TapeBackend) and isinstance(backend, Backend)
        plain = library.array(X)
        base = backend_of(plain)
        assert backend.base is base and backend.name == base.name
        assert backend.namespace is array_api_compat.array_namespace(x)
        assert not backend.is_traced(x) and not backend.native_autodiff
        assert backend.device_of(x) == base.device_of(plain)
        assert type(strip(backend.stop_gradient(x))) is type(plain)
        assert backend.jit(check) is check
        host = backend.to_host(x)
        assert type(host) is np.ndarray and type(backend.from_host(host)) is type(plain)
        return x

    tape.vjp(check, library.array(X))


def test_segment_sum(library):
    ids = np.asarray([[0, 2, 0, 1], [1, 1, 1, 1]])

    def f(backend, x):
        return backend.segment_sum(x, library.array(ids), 4)

    u = np.cos(np.arange(8.0)).reshape(2, 4)
    out, g = pullback_of(library, f, X, u)
    np.testing.assert_allclose(out, [[0.6, -1.0, 2.0, 0.0], [0.0, 5.7, 0.0, 0.0]])
    np.testing.assert_allclose(g, np.take_along_axis(u, ids, axis=1))


def test_segment_sum_is_differentiable_twice(library):
    ids = library.array(np.asarray([[0, 2, 0, 1], [1, 1, 1, 1]]))

    def f(x):
        xp = array_api_compat.array_namespace(x)
        return xp.sum(xp.exp(backend_of(x).segment_sum(x, ids, 4)))

    x, v = library.array(X), library.array(np.ones_like(X))
    _, hv = tape.jvp(lambda y: tape.value_and_grad(f)(y)[1], (x,), (v,))
    expected = np.exp([[0.6, 2.0, 0.6, -1.0], [5.7] * 4]) * [[2.0, 1.0, 2.0, 1.0], [4.0] * 4]
    np.testing.assert_allclose(library.numpy(hv), expected, rtol=1e-14)


def test_scatter_add(library):
    places = np.asarray([[3, 3], [0, 1]])
    updates = np.asarray([[1.0, 2.0], [3.0, 4.0]])

    def f(x, w):
        return backend_of(x).scatter_add(x, library.array(places), w)

    out, pullback = tape.vjp(f, library.array(X), library.array(updates))
    np.testing.assert_allclose(library.numpy(out), X + [[0, 0, 0, 3], [3, 4, 0, 0]])
    u = np.arange(8.0).reshape(2, 4)
    gx, gw = pullback(library.array(u))
    np.testing.assert_array_equal(library.numpy(gx), u)
    np.testing.assert_array_equal(library.numpy(gw), np.take_along_axis(u, places, axis=1))


def test_top_k_has_plain_places(library):
    def f(backend, x):
        values, places = backend.top_k(x, 2)
        assert type(strip(places)) is type(library.array(X))
        return values

    out, g = pullback_of(library, f, X, np.asarray([[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(out, [[2.0, 0.3], [5.0, 0.4]])
    np.testing.assert_array_equal(g, [[2.0, 1.0, 0.0, 0.0], [3.0, 0.0, 0.0, 4.0]])


def test_loops_follow_traced_values(library):
    """x <- x * x while x < 100, by the value: 2 -> 4 -> 16 -> 256, so x^8."""

    def whiled(backend, x):
        return backend.while_loop(lambda c: c[0] < 100.0, lambda c: (c[0] * c[0],), (x,))[0]

    out, g = pullback_of(library, whiled, np.asarray(2.0), np.asarray(1.0))
    assert (float(out), float(g)) == (256.0, 8 * 2.0**7)

    def counted(backend, x):
        return backend.fori_loop(1, 4, lambda i, c: c * x * float(i), x)

    out, g = pullback_of(library, counted, np.asarray(2.0), np.asarray(1.0))
    assert (float(out), float(g)) == (6 * 16.0, 6 * 4 * 8.0)

    def branched(backend, x):
        return backend.cond(x > 1.0, lambda y: y * y, lambda y: y, x)

    out, g = pullback_of(library, branched, np.asarray(2.0), np.asarray(1.0))
    assert (float(out), float(g)) == (4.0, 4.0)


def test_scan_stacks_traced_rows(library):
    def f(backend, x):
        carry, rows = backend.scan(lambda c, row: (c * row[0], c + row), x[0, 0], x)
        return backend.namespace.concat((rows, backend.namespace.reshape(carry, (1, 1))), axis=None)

    u = np.ones(9)
    out, g = pullback_of(library, f, X, u)
    c = [0.3, 0.3 * 0.3]
    np.testing.assert_allclose(out, [*(c[0] + X[0]), *(c[1] + X[1]), c[1] * 5.0])
    # d/dx00: 4 rows of x00, one entry, 4 of x00^2, and x00^2 x10.
    assert g[0, 0] == pytest.approx(4 + 1 + 8 * 0.3 + 2 * 0.3 * 5.0)
    assert g[1, 0] == pytest.approx(1.0 + 0.09)


def test_scan_without_rows(library):
    carry, rows = None, None

    def f(x):
        nonlocal carry, rows
        carry, rows = backend_of(x).scan(lambda c, _: (c + x, None), x, None, length=3)
        return carry

    _, g = tape.vjp(f, library.array(np.asarray(1.0)))
    assert float(g(library.array(np.asarray(1.0)))[0]) == 4.0


def test_checkpoint_keeps_arguments_only(library):
    """The block runs once forward and once more backward, and adds two nodes to the tape."""
    runs, nodes = [], []

    def block(pair, n):
        runs.append(n)
        x, y = pair
        for _ in range(n):
            x = x * y + x
        return {"x": x, "n": n}

    def f(x, y, checkpointed):
        out = (backend_of(x).checkpoint(block) if checkpointed else block)((x, y), 5)
        nodes.append(len(out["x"]._level.nodes))
        assert out["n"] == 5
        return array_api_compat.array_namespace(x).sum(out["x"])

    x, y = library.array(X), library.array(X * 0.1)
    v = library.array(np.ones_like(X))
    results = []
    for checkpointed in (False, True):
        gradient = tape.value_and_grad(lambda a, b, c=checkpointed: f(a, b, c), (0, 1))
        value, (gx, gy) = gradient(x, y)
        hv = tape.jvp(lambda a, g=gradient: g(a, y)[1], (x,), (v,))[1]
        results.append([library.numpy(a) for a in (value, gx, gy, *hv)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)
    assert nodes[0] == 2 + 10 and nodes[2] == 2 + 2
    assert len(runs) == 2 + 4


def test_checkpoint_gives_way_to_traced_closures():
    def f(x):
        return np.sum(backend_of(x).checkpoint(lambda y: y * x)(x))

    np.testing.assert_allclose(tape.value_and_grad(f)(X)[1], 2 * X)
    _, tangent = tape.jvp(lambda x: backend_of(x).checkpoint(np.sin)(x), (X,), (X,))
    np.testing.assert_allclose(tangent, np.cos(X) * X)


def test_checkpoint_linearizes():
    _, push = tape.linearize(lambda x: backend_of(x).checkpoint(np.sin)(x) * 2.0, X)
    np.testing.assert_allclose(push(X), 2.0 * np.cos(X) * X)


def test_host_calls_and_draws_are_constants():
    def f(x):
        backend = backend_of(x)
        y = backend.host_call(np.sin, x, x)
        assert type(y) is np.ndarray
        return np.sum(x * y)

    np.testing.assert_allclose(tape.value_and_grad(f)(X)[1], np.sin(X))


def test_special_functions_have_rules():
    def f(x):
        backend = backend_of(x)
        assert backend.special("no_such_function") is None
        return np.sum(backend.special("erf")(x))

    _, g = tape.value_and_grad(f)(X)
    np.testing.assert_allclose(g, 2.0 / np.sqrt(np.pi) * np.exp(-(X**2)), rtol=1e-14)


# -- kernels and fused rules, with stand-ins for the compiled ones --------------------------------


def base_with(**members):
    """The adapter of NumPy with some members replaced."""
    base = backend_of(X)
    names = [name for name in dir(base) if not name.startswith("_")]
    return SimpleNamespace(**{**{name: getattr(base, name) for name in names}, **members})


def test_structure_kernels_see_plain_values():
    seen = []

    def order(x):
        seen.append(type(x))
        return np.argsort(x, axis=-1)

    backend = tape.TapeBackend(base_with(kernel=lambda name, dtype, device: order))

    def f(x):
        places = backend.kernel("order", x.dtype, x.device)(x)
        return np.sum(np.take_along_axis(x, places, axis=-1) * np.arange(4.0))

    def gradient(x):
        return tape.value_and_grad(f)(x)[1]

    _, tangent = tape.jvp(gradient, (X,), (X,))
    assert set(seen) == {np.ndarray}
    np.testing.assert_array_equal(gradient(X), np.argsort(np.argsort(X, axis=1), axis=1))
    np.testing.assert_array_equal(tangent, np.zeros_like(X))
    missing = tape.TapeBackend(base_with(kernel=lambda name, dtype, device: None))
    assert missing.kernel("order", None, None) is None


class SoftmaxRule:
    """A fused rule that counts its calls."""

    def __init__(self):
        self.forwards, self.reverses = 0, 0

    def forward(self, x, params, *constants):
        self.forwards += 1
        assert type(x) is np.ndarray
        e = np.exp(x / params[0])
        return e / e.sum(axis=-1, keepdims=True), x.shape

    def pullback(self, g, x, params, constants, outputs):
        self.reverses += 1
        p, shape = outputs
        assert type(g) is np.ndarray and shape == x.shape
        return p * (g - np.sum(g * p, axis=-1, keepdims=True)) / params[0]


def softmax_by(backend, x, temperature=2.0):
    def formula(x):
        e = np.exp(x / temperature)
        return e / np.sum(e, axis=-1, keepdims=True)

    apply = backend.fused("softmax", x)
    return formula(x) if apply is None else apply(formula, x, (temperature,))


@pytest.fixture
def fused():
    rule = SoftmaxRule()
    base = base_with(fused=lambda name, x: object(), fused_rule=lambda name: rule)
    return tape.TapeBackend(base), rule


def weighted(f):
    return lambda x: np.sum(f(x) * np.cos(np.arange(8.0)).reshape(2, 4))


def test_fused_rule_serves_one_reverse_level(fused):
    backend, rule = fused
    ours = tape.value_and_grad(weighted(lambda x: softmax_by(backend, x)))(X)
    assert (rule.forwards, rule.reverses) == (1, 1)
    plain = base_with(fused=lambda name, x: None)
    formula = tape.value_and_grad(weighted(lambda x: softmax_by(tape.TapeBackend(plain), x)))(X)
    np.testing.assert_allclose(ours[0], formula[0], rtol=1e-14)
    np.testing.assert_allclose(ours[1], formula[1], rtol=1e-13)


def test_fused_rule_gives_way_to_the_formula(fused):
    backend, rule = fused

    def gradient(x):
        return tape.value_and_grad(weighted(lambda y: softmax_by(backend, y) ** 2))(x)[1]

    none = tape.TapeBackend(base_with(fused=lambda name, x: None))

    def by_formula(x):
        return tape.value_and_grad(weighted(lambda y: softmax_by(none, y) ** 2))(x)[1]

    v = np.sin(np.arange(8.0)).reshape(2, 4)
    _, hv = tape.jvp(gradient, (X,), (v,))  # two levels: the formula from the start
    assert (rule.forwards, rule.reverses) == (0, 0)
    np.testing.assert_allclose(hv, tape.jvp(by_formula, (X,), (v,))[1], rtol=1e-12, atol=1e-15)

    _, pullback = tape.vjp(lambda x: softmax_by(backend, x), X)
    assert rule.forwards == 1
    # A traced cotangent: the pullback is linear in it, with the same values.
    _, moved = tape.jvp(lambda u: pullback(u)[0], (v,), (v,))
    np.testing.assert_allclose(moved, pullback(v)[0], rtol=1e-13, atol=1e-16)
    assert rule.reverses == 1

    _, push = tape.linearize(lambda x: softmax_by(backend, x), X)
    _, expected = tape.jvp(lambda x: softmax_by(none, x), (X,), (v,))
    np.testing.assert_allclose(push(v), expected, rtol=1e-13, atol=1e-16)


def test_fused_rule_gives_way_to_traced_parameters(fused):
    backend, rule = fused

    def f(x, t):
        return np.sum(softmax_by(backend, x, t)[:, 0])

    _, (_, gt) = tape.value_and_grad(f, (0, 1))(X, np.asarray(2.0))
    assert rule.forwards == 0 and gt != 0.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_levels_never_leak_out(seed):
    """Whatever the nesting, results are plain arrays of the base library."""
    x = np.random.default_rng(seed).standard_normal(3)
    value, gradient = tape.value_and_grad(lambda y: np.sum(np.sin(y)))(x)
    out, tangent = tape.jvp(lambda y: tape.value_and_grad(lambda z: np.sum(z**3))(y), (x,), (x,))
    for array in (value, gradient, *out, *tangent):
        assert type(array) is not Traced
