"""The fused linear layer and loss: what the plain composition gives, in less memory."""

import tracemalloc

import numpy as np
import pytest

import fenchel
from fenchel.losses import (
    _linear_classes,
    _linear_parts,
    binary_logistic,
    entmax_loss,
    fitzpatrick_logistic,
    fitzpatrick_sparsemax,
    linear_loss,
    logistic,
    perceptron,
    sparsemax_loss,
)

LOSSES = {
    "logistic": logistic,
    "sparsemax": sparsemax_loss,
    "entmax15": entmax_loss(alpha=1.5),
    "entmax": entmax_loss(alpha=1.3),
    "fitzpatrick_logistic": fitzpatrick_logistic,
    "fitzpatrick_sparsemax": fitzpatrick_sparsemax,
    "perceptron": perceptron,
}
OPTIONS = [
    {},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"label_smoothing": 0.1},
    {"ignore_index": 3},
    {"ignore_index": -100, "weight": True},
]
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
options = pytest.mark.parametrize("options", OPTIONS, ids=str)


def plain(loss, features, weights, target, **options):
    xp = fenchel.namespace(features, weights)
    return loss(xp.matmul(features, weights), target, **options)


def data(xp, rng, n=7, d=4, classes=30):
    features, weights = 3 * rng.normal(size=(n, d)), rng.normal(size=(d, classes))
    target = rng.integers(classes, size=n)
    target[:2] = 3
    return xp.array(features), xp.array(weights), xp.array(target)


def settled(xp, options, rng, target, classes=30):
    """Options with a weight of each class, and targets that are ignored."""
    options = dict(options)
    if options.get("weight"):
        options["weight"] = xp.array(rng.random(classes) + 0.5)
        host = xp.numpy(target).copy()
        host[2] = -100
        target = xp.array(host)
    return options, target


@losses
@options
def test_value_and_gradients_are_those_of_the_composition(loss, options, xp, rng):
    features, weights, target = data(xp, rng)
    if xp.name.startswith("strict") and xp.dtype == "float32":
        pytest.skip("the comparison is in float64")
    if xp.name.startswith("jax") and loss not in (logistic, sparsemax_loss):
        pytest.skip("two losses stand for the others on JAX, which makes all scores at once")
    options, target = settled(xp, options, rng, target)

    def total(f, weighing):
        def value(features, weights):
            out = f(loss, features, weights, target, **weighing, **options)
            return fenchel.namespace(out).sum(out)

        return value

    def both(f, weighing):
        run = fenchel.value_and_grad(total(f, weighing), argnums=(0, 1))
        return xp.run(run, features, weights)

    value, gradients = both(plain, {})
    for block in ({}, {"block_size": 7}):
        found, slopes = both(linear_loss, block)
        np.testing.assert_allclose(xp.numpy(found), xp.numpy(value), rtol=1e-12, atol=1e-14)
        for got, want in zip(slopes, gradients, strict=True):
            np.testing.assert_allclose(xp.numpy(got), xp.numpy(want), atol=1e-12)
        if xp.eager:
            bare = linear_loss(loss, features, weights, target, **block, **options)
            total_of = fenchel.namespace(bare).sum(bare)
            np.testing.assert_allclose(xp.numpy(total_of), xp.numpy(value), rtol=1e-12, atol=1e-14)


@losses
def test_label_proportions(loss, rng):
    features, weights = rng.normal(size=(5, 4)), rng.normal(size=(4, 6))
    target = rng.dirichlet(np.ones(6), size=5)
    got = fenchel.value_and_grad(
        lambda f, w: linear_loss(loss, f, w, target, block_size=2), argnums=(0, 1)
    )(features, weights)
    want = fenchel.value_and_grad(lambda f, w: plain(loss, f, w, target), argnums=(0, 1))(
        features, weights
    )
    np.testing.assert_allclose(got[0], want[0], rtol=1e-12)
    for a, b in zip(got[1], want[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13)


@losses
def test_second_derivatives_are_those_of_the_formula(loss, rng):
    features, weights = rng.normal(size=(3, 4)), rng.normal(size=(4, 6))
    target, direction = np.array([0, 5, 2]), rng.normal(size=(4, 6))

    def along(f):
        return fenchel.hvp(lambda w: f(loss, features, w, target), weights, direction)

    np.testing.assert_allclose(along(linear_loss), along(plain), atol=1e-12)


@losses
def test_torch_autograd_to_second_order(loss, rng):
    torch = pytest.importorskip("torch")
    features = torch.asarray(rng.normal(size=(4, 3)), requires_grad=True)
    weights = torch.nn.Parameter(torch.asarray(rng.normal(size=(3, 5))))
    target = torch.asarray([0, 4, 2, 2])

    def derivatives(f):
        value = f(loss, features, weights, target)
        first = torch.autograd.grad(value, (features, weights), create_graph=True)
        bent = sum((g**2).sum() for g in first)
        second = torch.autograd.grad(bent, (features, weights), allow_unused=True)
        return [*first, *second]

    for got, want in zip(derivatives(linear_loss), derivatives(plain), strict=True):
        if want is not None:
            np.testing.assert_allclose(got.detach(), want.detach(), atol=1e-12)

    def of_weights(f):
        return torch.func.grad(lambda w: f(loss, features.detach(), w, target))(weights.detach())

    np.testing.assert_allclose(of_weights(linear_loss), of_weights(plain), atol=1e-12)


def test_one_differentiated_argument_and_a_live_target(rng):
    features, weights = rng.normal(size=(3, 4)), rng.normal(size=(4, 6))
    target = rng.dirichlet(np.ones(6), size=3)
    for loss in (logistic, sparsemax_loss):
        for i in range(3):
            arguments = [features, weights, target]

            def only(x, f, i=i, arguments=arguments, loss=loss):
                return f(loss, *arguments[:i], x, *arguments[i + 1 :])

            got = fenchel.grad(lambda x, only=only: only(x, linear_loss))(arguments[i])
            want = fenchel.grad(lambda x, only=only: only(x, plain))(arguments[i])
            np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize(
    ("loss", "share"), [(logistic, 0.1), (fitzpatrick_logistic, 0.1), (sparsemax_loss, 0.15)]
)
def test_rows_of_scores_never_exist_as_a_whole(loss, share, rng):
    n, d, classes = 512, 2, 20_000
    features, weights = rng.normal(size=(n, d)), 3.0 * rng.normal(size=(d, classes))
    target = rng.integers(classes, size=n)
    f = fenchel.value_and_grad(lambda w: linear_loss(loss, features, w, target, block_size=256))
    f(weights)
    tracemalloc.start()
    f(weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < share * n * classes * 8


@losses
def test_rows_by_the_tile(loss, rng, monkeypatch):
    """Tiles that do not divide the rows, and parts of them; classes weighed and ignored."""
    monkeypatch.setattr(_linear_classes, "TILE", 4)
    monkeypatch.setattr(_linear_classes, "_DENSE_ENTRIES", 120)
    monkeypatch.setattr(_linear_parts, "_SCATTERED", 60)
    features, weights = rng.normal(size=(10, 3)), rng.normal(size=(3, 40))
    target, factors = rng.integers(40, size=10), rng.uniform(size=10)
    target[3] = 7
    options = {"weight": rng.uniform(size=40), "ignore_index": 7, "reduction": "none"}

    def total(f, **block):
        def value(features, weights):
            return (f(loss, features, weights, target, **block, **options) * factors).sum()

        return fenchel.value_and_grad(value, argnums=(0, 1))(features, weights)

    value, slopes = total(linear_loss, block_size=9)
    want, gradients = total(plain)
    np.testing.assert_allclose(value, want, rtol=1e-12)
    for got, wanted in zip(slopes, gradients, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-13)


@losses
def test_scores_that_need_whole_rows(loss, rng):
    """NaN and infinite features, the former ignored; ties of all classes."""
    features, weights = rng.normal(size=(4, 3)), np.abs(rng.normal(size=(3, 24)))
    target = np.asarray([1, 2, 3, 4])
    for spoilt, ignored in ((np.nan, 2), (np.inf, -1), (-np.inf, -1), (0.0, -1)):
        features[1] = spoilt
        options = {"reduction": "none", "ignore_index": ignored}
        with np.errstate(invalid="ignore"):  # of the product, in BLAS
            got = linear_loss(loss, features, weights, target, block_size=5, **options)
            want = plain(loss, features, weights, target, **options)
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_nothing_to_average_is_zero():
    features, weights = np.ones((2, 3)), np.ones((3, 4))
    target = np.array([1, 1])
    for rows in (slice(0, 0), slice(0, 2)):
        value, gradient = fenchel.value_and_grad(
            lambda w, rows=rows: linear_loss(
                logistic, features[rows], w, target[rows], ignore_index=1
            )
        )(weights)
        assert value == 0
        np.testing.assert_array_equal(gradient, 0)


def test_half_precision(rng):
    torch = pytest.importorskip("torch")
    features = torch.asarray(rng.normal(size=(4, 3)), dtype=torch.bfloat16)
    weights = torch.asarray(rng.normal(size=(3, 5)), dtype=torch.bfloat16, requires_grad=True)
    target = torch.asarray([0, 4, 2, 2])
    value = linear_loss(sparsemax_loss, features, weights, target)
    value.backward()
    assert value.dtype == weights.grad.dtype == torch.bfloat16
    exact = plain(sparsemax_loss, features.double(), weights.detach().double(), target)
    assert abs(value.item() - exact.item()) < 0.05
    blocks = linear_loss(sparsemax_loss, features, weights, target, block_size=2)
    assert blocks.dtype == torch.bfloat16
    assert abs(blocks.item() - exact.item()) < 0.05
    flat = torch.zeros((601, 1), dtype=torch.bfloat16)  # 601 is no bfloat16
    even = linear_loss(logistic, flat, weights[:1], torch.zeros(601, dtype=torch.int64))
    assert even.item() == pytest.approx(np.log(5), rel=2**-9)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"loss": "logistic"}, TypeError, "`loss` must be a loss"),
        ({"loss": binary_logistic}, TypeError, "`loss` must be a loss"),
        ({"features": np.ones((2, 3), int)}, TypeError, "`features` must have a real floating"),
        ({"features": np.ones(3)}, ValueError, "`features` must have two axes"),
        ({"weights": np.ones((2, 4))}, ValueError, "`weights` must have a row for each feature"),
        ({"weights": np.ones((3, 0))}, ValueError, "`weights` must have a class"),
        ({"target": np.zeros(3, int)}, ValueError, "`target` must have one entry or row"),
        ({"target": np.array([0, 4])}, ValueError, r"`target` must be in \[0, 4\)"),
        ({"block_size": 0}, ValueError, "`block_size` must be at least 1"),
        ({"reduction": "max"}, ValueError, "`reduction` must be one of"),
        ({"target": np.ones((2, 4)), "ignore_index": 0}, ValueError, "`ignore_index` must be None"),
    ],
)
def test_errors(change, error, message):
    arguments = {
        "loss": logistic,
        "features": np.ones((2, 3)),
        "weights": np.ones((3, 4)),
        "target": np.zeros(2, int),
    }
    arguments |= change
    first = [arguments.pop(name) for name in ("loss", "features", "weights", "target")]
    with pytest.raises(error, match=message):
        linear_loss(*first, **arguments)
