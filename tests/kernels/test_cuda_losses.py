"""The loss kernels of the CUDA sources, on the host: against definitions, and at the edges."""

import numpy as np
import pytest

from tests.kernels.cuda_fake import FakeArray, FakeCuPy
from tests.kernels.cuda_shim import loss, needs_compiler
from tests.kernels.loss_oracles import exact

pytestmark = needs_compiler

FAMILIES = [
    ("logistic", ()),
    ("sparsemax", ()),
    ("entmax15", ()),
    ("entmax", (1.25,)),
    ("entmax", (1.01,)),
    ("fitzpatrick_logistic", ()),
    ("fitzpatrick_sparsemax", ()),
]
families = pytest.mark.parametrize(("name", "params"), FAMILIES)
kinds = pytest.mark.parametrize("kind", ["index", "dense"])
modes = pytest.mark.parametrize(
    "launch", [{"mode": "serial"}, {"mode": "threads", "block": 8}], ids=["serial", "threads"]
)


def target_of(kind, labels, n, dtype=np.float64):
    return labels[:, None] if kind == "index" else np.eye(n, dtype=dtype)[labels]


def dyadic(y):
    """Proportions that sum to 1 without rounding."""
    y = np.round(y / y.sum() * 2**40) / 2**40
    y[np.argmax(y)] += 1.0 - y.sum()
    return y


@families
@kinds
@modes
def test_classes(rng, name, params, kind, launch):
    x, labels = 2 * rng.normal(size=(4, 7)), rng.integers(7, size=4)
    value, gradient = loss(f"loss_{name}_{kind}", x, target_of(kind, labels, 7), params, **launch)
    for r in range(4):
        want, slope = exact(name, x[r], np.eye(7)[labels[r]], *params)
        np.testing.assert_allclose(value[r], want, rtol=1e-12)
        np.testing.assert_allclose(gradient[r], slope, atol=1e-14)


@families
@modes
def test_proportions(rng, name, params, launch):
    x = rng.normal(size=(3, 6))
    y = rng.dirichlet(np.ones(6), size=3)
    y[1, :2] = 0.0
    y = np.stack([dyadic(row) for row in y])
    value, gradient = loss(f"loss_{name}_dense", x, y, params, **launch)
    for r in range(3):
        want, slope = exact(name, x[r], y[r], *params)
        np.testing.assert_allclose(value[r], want, rtol=1e-12)
        np.testing.assert_allclose(gradient[r], slope, atol=1e-14)


@families
@kinds
def test_single_precision_and_long_rows(rng, name, params, kind):
    """Rows whose candidates do not fit in shared memory are read again at every pass."""
    for scale in (0.01, 3.0):
        x = (scale * rng.normal(size=(2, 400))).astype(np.float32)
        labels = rng.integers(400, size=2)
        name_of = f"loss_{name}_{kind}"
        value, gradient = loss(name_of, x, target_of(kind, labels, 400, np.float32), params)
        rounded = tuple(float(np.float32(p)) for p in params)
        want, slope = loss(name_of, x.astype(float), target_of(kind, labels, 400), rounded)
        assert value.dtype == gradient.dtype == np.float32
        np.testing.assert_allclose(value, want, rtol=1e-6)
        np.testing.assert_allclose(gradient, slope, atol=1e-7)


@families
@pytest.mark.parametrize("gap", [1e-2, 1e-4])
def test_digits_near_the_optimum(name, params, gap, rng):
    margin = {"sparsemax": 1.0, "entmax15": 2.0, "fitzpatrick_sparsemax": 1.0}.get(name, 4.0)
    x = (-margin + gap * rng.random((1, 5))).astype(np.float32).astype(float)
    x[0, 2] = 0.0
    value, gradient = loss(f"loss_{name}_index", x, np.array([[2]]), params)
    want, slope = exact(name, x[0], np.eye(5)[2], *params)
    np.testing.assert_allclose(value, want, rtol=1e-10)
    np.testing.assert_allclose(gradient[0], slope, rtol=1e-10, atol=1e-300)


@families
@kinds
@modes
def test_edges(name, params, kind, launch):
    inf, nan = np.inf, np.nan
    x = np.array(
        [
            [1.0, -inf, 0.5],
            [-inf, -inf, -inf],
            [nan, 0.0, 1.0],
            [-inf, 0.3, 0.2],
            [inf, 0.0, inf],
            [0.0, inf, 1.0],
        ]
    )
    name = f"loss_{name}_{kind}"
    value, gradient = loss(name, x, target_of(kind, np.zeros(6, int), 3), params, **launch)
    two = target_of(kind, np.zeros(2, int), 2)
    want, slope = loss(name, np.array([[1.0, 0.5], [0.0, 0.0]]), two, params)
    np.testing.assert_allclose(value[[0, 4]], want, rtol=1e-13)
    np.testing.assert_allclose(gradient[[0, 4]][:, ::2], slope, atol=1e-15)
    assert not gradient[[0, 4], 1].any()
    np.testing.assert_array_equal(value[[1, 2, 3, 5]], [0, nan, inf, inf])
    np.testing.assert_array_equal(gradient[1:3], [[0, 0, 0], [nan, nan, nan]])
    assert np.isfinite(gradient[3]).all()
    assert gradient[3, 0] == 0


@families
def test_labels_out_of_range_and_unknown_proportions(name, params):
    value, gradient = loss(
        f"loss_{name}_index", np.zeros((3, 2)), np.array([[-1], [2], [1]]), params
    )
    np.testing.assert_array_equal(np.isnan(value), [True, True, False])
    np.testing.assert_array_equal(np.isnan(gradient).all(-1), [True, True, False])
    value, gradient = loss(f"loss_{name}_dense", np.zeros((1, 2)), np.array([[np.nan, 1]]), params)
    assert np.isnan(value).all()
    assert np.isnan(gradient).all()


@kinds
def test_alpha_of_each_row(rng, kind):
    x, labels = rng.normal(size=(3, 6)), rng.integers(6, size=3)
    target = target_of(kind, labels, 6)
    outputs = [np.empty(3), np.empty((3, 6))]
    from tests.kernels.cuda_shim import run

    run(f"loss_entmax_{kind}", [[1.0], [1.5], [2.0]], x, np.ascontiguousarray(target), *outputs)
    for r, name in enumerate(("logistic", "entmax15", "sparsemax")):
        want = loss(f"loss_{name}_{kind}", x[r : r + 1], target[r : r + 1])
        np.testing.assert_allclose(outputs[0][r], want[0][0], rtol=1e-13)
        np.testing.assert_allclose(outputs[1][r], want[1][0], atol=1e-15)


@families
@kinds
def test_launcher_and_rule(rng, monkeypatch, name, params, kind):
    from fenchel_backends.kernels.cuda import loader

    loader._module.cache_clear()
    loader.function_of.cache_clear()
    fake = FakeCuPy()
    monkeypatch.setattr(loader, "cupy_found", lambda: True)
    monkeypatch.setattr(loader, "imported_cupy", lambda: fake)
    x, labels = rng.normal(size=(2, 3, 5)), rng.integers(5, size=6)
    target = target_of(kind, labels, 5)
    want = loss(f"loss_{name}_{kind}", x.reshape(6, 5), target, params)
    device_x = x.view(FakeArray)
    device_target = target.reshape(2, 3, -1).astype(np.int32 if kind == "index" else float)
    rule = loader._loss_rule(f"loss_{name}_{kind}")
    outputs = rule.forward(device_x, params, device_target.view(FakeArray))
    np.testing.assert_array_equal(outputs[0].ravel(), want[0])
    np.testing.assert_array_equal(outputs[1].reshape(6, 5), want[1])
    g = rng.normal(size=(2, 3, 1)).view(FakeArray)
    gx = rule.pullback(g, device_x, params, (device_target,), outputs)
    np.testing.assert_allclose(gx, g * outputs[1])
    loader._module.cache_clear()
    loader.function_of.cache_clear()
