"""Loss kernels against textbook formulas in 130 digits, and what they do at the edges."""

import numpy as np
import pytest

import fenchel

pytest.importorskip("numba")
pytestmark = pytest.mark.kernels

from fenchel_backends.kernels.numpy_kernels import fused_rule, numpy_fused, numpy_kernel  # noqa: E402
from fenchel_backends.kernels.table import LOSSES, row_integers  # noqa: E402

from tests.kernels.loss_oracles import exact  # noqa: E402

FAMILIES = [
    ("logistic", ()),
    ("sparsemax", ()),
    ("entmax15", ()),
    ("entmax", (1.2,)),
    ("entmax", (1.01,)),
    ("entmax", (1.75,)),
    ("fitzpatrick_logistic", ()),
    ("fitzpatrick_sparsemax", ()),
]
MARGINS = {"sparsemax": 1.0, "entmax15": 2.0, "fitzpatrick_sparsemax": 1.0}
families = pytest.mark.parametrize(("name", "params"), FAMILIES)
kinds = pytest.mark.parametrize("kind", ["index", "dense"])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def assert_same(found, wanted):
    """The kernels let the compiler add in any order: another entry point may differ in a bit."""
    np.testing.assert_allclose(found, wanted, rtol=1e-15, atol=1e-16)


def run(name, kind, x, target, params=()):
    return numpy_kernel(f"loss_{name}_{kind}")(x, target, *params)


def target_of(kind, labels, n, dtype=np.float64):
    """The same classes as indices or as one-hot rows."""
    return labels[..., None] if kind == "index" else np.eye(n, dtype=dtype)[labels]


def near_optimum(name, params, n, k, gap, rng):
    """A row whose target is ahead of the others by the margin of the loss, less about `gap`."""
    margin = MARGINS.get(name, min(25.0, 1 / (params[0] - 1)) if params else 25.0)
    x = -margin + gap * rng.random(n)
    x[k] = 0.0
    return x


def dyadic(y):
    """Proportions that sum to 1 without rounding: the definition of a loss feels 1e-16 there."""
    y = np.round(y / y.sum() * 2**40) / 2**40
    y[np.argmax(y)] += 1.0 - y.sum()
    return y


@families
def test_classes_in_full_precision(name, params, rng):
    for scale in (0.01, 1.0, 10.0):
        x, k = scale * rng.normal(size=6), int(rng.integers(6))
        loss, gradient = run(name, "index", x, np.array([k]), params)
        want, slope = exact(name, x, np.eye(6)[k], *params)
        np.testing.assert_allclose(loss, want, rtol=1e-13)
        np.testing.assert_allclose(gradient, slope, rtol=0, atol=1e-15)


@families
@kinds
@pytest.mark.parametrize("gap", [1e-2, 1e-5, 1e-9])
def test_all_digits_near_the_optimum(name, params, kind, gap, rng):
    x, k = near_optimum(name, params, 5, 2, gap, rng), np.array(2)
    loss, gradient = run(name, kind, x, target_of(kind, k, 5), params)
    want, slope = exact(name, x, np.eye(5)[2], *params)
    # the midpoint of scores and proportions is itself rounded
    rounded = name == "fitzpatrick_sparsemax" and kind == "dense"
    tolerance = 1e-12 if not rounded else 1e-15 / gap
    np.testing.assert_allclose(loss, want, rtol=tolerance)
    np.testing.assert_allclose(gradient, slope, rtol=tolerance, atol=1e-300)
    assert want > 0


@families
def test_proportions_in_full_precision(name, params, rng):
    for zeros in (0, 2):
        x, y = rng.normal(size=6), rng.dirichlet(np.ones(6))
        y[:zeros] = 0.0
        y = dyadic(y)
        loss, gradient = run(name, "dense", x, y, params)
        want, slope = exact(name, x, y, *params)
        np.testing.assert_allclose(loss, want, rtol=1e-12)
        np.testing.assert_allclose(gradient, slope, rtol=0, atol=1e-14)


@families
def test_proportions_close_to_the_prediction(name, params, rng):
    x = rng.normal(size=5)
    p = np.zeros(5) + run(name, "dense", x, np.zeros(5), params)[1]
    if "fitzpatrick" in name:
        kind = name.removeprefix("fitzpatrick_")
        p = run(kind, "dense", x, np.zeros(5), params)[1]
    y = dyadic(p * (1 + 1e-4 * rng.normal(size=5)))
    want, _ = exact(name, x, y, *params)
    np.testing.assert_allclose(run(name, "dense", x, y, params)[0], want, rtol=1e-10)
    assert 0 < want < 1e-7


@families
@kinds
@pytest.mark.parametrize("n", [3, 64, 65, 1500])
def test_single_precision(name, params, kind, n, rng):
    x, labels = 3 * rng.normal(size=(4, n)).astype(np.float32), rng.integers(n, size=4)
    loss, gradient = run(name, kind, x, target_of(kind, labels, n, np.float32), params)
    params = tuple(float(np.float32(value)) for value in params)
    double = x.astype(np.float64)
    want, slope = run(name, kind, double, target_of(kind, labels, n), params)
    assert loss.dtype == gradient.dtype == np.float32
    np.testing.assert_allclose(loss, want, rtol=1e-6)
    np.testing.assert_allclose(gradient, slope, atol=3e-7)


@families
@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 200, 1029])
def test_classes_and_one_hot_rows_agree(name, params, n, rng):
    x, labels = 4 * rng.normal(size=(3, n)), rng.integers(n, size=3)
    loss, gradient = run(name, "index", x, target_of("index", labels, n), params)
    again = run(name, "dense", x, target_of("dense", labels, n), params)
    np.testing.assert_allclose(loss, again[0], rtol=1e-11, atol=1e-300)
    np.testing.assert_allclose(gradient, again[1], atol=1e-14)
    np.testing.assert_allclose(gradient.sum(-1), 0, atol=1e-13)
    assert (loss >= 0).all()


@families
@kinds
def test_a_common_offset_changes_nothing(name, params, kind, rng):
    x = np.round(rng.normal(size=(3, 40)) * 2**20) / 2**20
    target = target_of(kind, rng.integers(40, size=3), 40)
    here, there = (run(name, kind, x + offset, target, params) for offset in (0.0, 2.0**30))
    # the midpoint of Fitzpatrick's proportions is rounded at the size of the scores
    moved = name == "fitzpatrick_sparsemax" and kind == "dense"
    np.testing.assert_allclose(there[0], here[0], rtol=1e-6 if moved else 1e-13)
    np.testing.assert_allclose(there[1], here[1], atol=1e-6 if moved else 1e-14)


@families
@kinds
@dtypes
def test_edges(name, params, kind, dtype):
    inf, nan = np.inf, np.nan
    x = np.array(
        [
            [1.0, -inf, 0.5],  # one out
            [-inf, -inf, -inf],  # all out
            [nan, 0.0, 1.0],
            [0.0, -nan, 1.0],
            [-inf, 0.3, 0.2],  # the target is out
            [inf, 0.0, inf],  # the first place is shared
            [0.0, inf, 1.0],  # the target loses to infinity
        ],
        dtype,
    )
    labels = np.zeros(7, int)
    loss, gradient = run(name, kind, x, target_of(kind, labels, 3, dtype), params)
    want = run(name, kind, x[:1, ::2].copy(), target_of(kind, labels[:1], 2, dtype), params)
    np.testing.assert_allclose(loss[0], want[0][0], rtol=1e-6)
    np.testing.assert_allclose(gradient[0], [want[1][0, 0], 0, want[1][0, 1]], atol=1e-7)
    np.testing.assert_array_equal(loss[1:5, 0], [0, nan, nan, inf])
    np.testing.assert_array_equal(gradient[1], 0)
    assert np.isnan(gradient[2:4]).all()
    assert np.isfinite(gradient[4]).all()
    assert gradient[4, 0] == 0
    shared = run(name, kind, np.zeros((1, 2), dtype), target_of(kind, labels[:1], 2, dtype), params)
    np.testing.assert_allclose(loss[5], shared[0][0], rtol=1e-6)
    np.testing.assert_allclose(gradient[5, ::2], shared[1][0], atol=1e-7)
    assert gradient[5, 1] == 0
    assert loss[6, 0] == inf


@families
@kinds
def test_one_class_has_no_loss(name, params, kind):
    x, label = np.array([[3.0], [-2.0]]), np.zeros(2, int)
    loss, gradient = run(name, kind, x, target_of(kind, label, 1), params)
    assert not loss.any()
    assert not gradient.any()


@pytest.mark.parametrize("label", [-1, 4, 2**40])
@families
def test_a_label_out_of_range_is_nan_and_reads_no_memory(name, params, label):
    loss, gradient = run(name, "index", np.zeros((2, 4)), np.array([[label], [1]]), params)
    assert np.isnan(loss[0]).all()
    assert np.isnan(gradient[0]).all()
    assert np.isfinite(gradient[1]).all()


@families
@kinds
@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 3), (5,), (2, 3, 4)])
def test_shapes(name, params, kind, shape, rng):
    x, labels = rng.normal(size=shape), rng.integers(shape[-1], size=shape[:-1])
    target = target_of(kind, np.asarray(labels), shape[-1])
    loss, gradient = run(name, kind, x, target, params)
    assert loss.shape == (*shape[:-1], 1)
    assert gradient.shape == shape


@families
@kinds
def test_read_only_and_strided_inputs_are_left_alone(name, params, kind, rng):
    x, labels = rng.normal(size=(5, 8)), rng.integers(4, size=5)
    target = target_of(kind, labels, 4)
    want = run(name, kind, x[:, ::2].copy(), target, params)
    before = x.copy()
    x.setflags(write=False)
    target.setflags(write=False)
    got = run(name, kind, x[:, ::2], target, params)
    assert_same(got[0], want[0])
    assert_same(got[1], want[1])
    np.testing.assert_array_equal(x, before)


@kinds
def test_alpha_of_each_row_and_alpha_one(kind, rng):
    x, labels = rng.normal(size=(3, 6)), rng.integers(6, size=3)
    target = target_of(kind, labels, 6)
    alpha = np.array([[1.0], [1.5], [2.0]])
    loss, gradient = run("entmax", kind, x, target, (alpha,))
    for r, name in enumerate(("logistic", "entmax15", "sparsemax")):
        want = run(name, kind, x[r], target[r])
        np.testing.assert_allclose(loss[r], want[0], rtol=1e-13)
        np.testing.assert_allclose(gradient[r], want[1], atol=1e-15)
    assert np.isnan(run("entmax", kind, x, target, (0.5,))[0]).all()


@pytest.mark.parametrize("name", LOSSES)
def test_fused_rule_on_the_tape(name, rng):
    spec = LOSSES[name]
    x, labels = rng.normal(size=(4, 6)), rng.integers(6, size=4)
    target = target_of("index" if row_integers(spec.inputs[1]) else "dense", labels, 6)
    params = (1.3,) if spec.params else ()
    weight = np.array([[1.0], [0.0], [2.0], [-1.0]])

    def total(x):
        apply = fenchel.backend_of(x).fused(name, x)
        return fenchel.namespace(x).sum(apply(None, x, params, target) * weight)

    _, gradient = numpy_kernel(name)(x, target, *params)
    assert_same(fenchel.grad(total)(x), weight * gradient)
    value = numpy_fused(name)(None, x, params, target)
    assert_same(value, numpy_kernel(name)(x, target, *params)[0])


def test_a_row_of_no_weight_gives_no_gradient_whatever_it_holds():
    x = np.array([[np.nan, 1.0], [0.0, 1.0]])
    rule, target = fused_rule("loss_logistic_index"), np.array([[0], [1]])
    outputs = rule.forward(x, (), target)
    gx = rule.pullback(np.array([[0.0], [1.0]]), x, (), (target,), outputs)
    np.testing.assert_array_equal(gx[0], 0)
    np.testing.assert_array_equal(gx[1], outputs[1][1])
    rule.pullback(np.array([[5.0], [5.0]]), x, (), (target,), outputs)  # a second time
    np.testing.assert_array_equal(gx[1], outputs[1][1])


@pytest.mark.parametrize("name", LOSSES)
def test_fused_rule_on_torch(name, rng):
    torch = pytest.importorskip("torch")
    spec = LOSSES[name]
    x = torch.asarray(rng.normal(size=(3, 5)), requires_grad=True)
    labels = rng.integers(5, size=3)
    kind = "index" if row_integers(spec.inputs[1]) else "dense"
    target = torch.asarray(target_of(kind, labels, 5))
    params = (1.3,) if spec.params else ()
    backend = fenchel.backend_of(x)
    want = numpy_kernel(name)(x.detach().numpy(), target.numpy(), *params)

    def formula(x):  # stands for the loss: its second derivative is what must come out
        return torch.sum(x**3, dim=-1, keepdim=True)

    loss = backend.fused(name, x)(formula, x, params, target)
    assert_same(loss.detach().numpy(), want[0])
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    assert_same(gradient.numpy(), want[1])
    loss = backend.fused(name, x)(formula, x, params, target)
    (gradient,) = torch.autograd.grad(loss.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), x)
    np.testing.assert_allclose(second.numpy(), 6 * x.detach().numpy())
    registered = backend.kernel(name, x.dtype, x.device)(x, target, *params)
    assert_same(registered[1].numpy(), want[1])


def test_elementary_functions():
    from fenchel_backends.kernels.cpu.elementary import LOWEST32, LOWEST64, exp32, exp64, log64

    x = np.linspace(LOWEST64, 700, 2001)
    want = np.exp(x.astype(np.longdouble))
    assert max(abs(exp64(v) / w - 1) for v, w in zip(x, want, strict=True)) < 4e-16
    x = np.linspace(float(LOWEST32), 88, 2001).astype(np.float32)
    want = np.exp(x.astype(np.float64))
    assert max(abs(exp32(v) / w - 1) for v, w in zip(x, want, strict=True)) < 1.5e-7
    x = np.concatenate([np.exp(np.linspace(-700, 700, 1501)), 1 + np.linspace(-0.4, 1, 1000)])
    want = np.log(x.astype(np.longdouble))
    errors = [abs(log64(v) - w) / abs(w) for v, w in zip(x, want, strict=True) if w]
    assert max(errors) < 5e-16
