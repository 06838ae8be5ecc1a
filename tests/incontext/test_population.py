"""Exact losses: against averages over contexts, their gradients, minima and invariances."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fenchel.autodiff import grad
from fenchel.incontext import (
    AugmentedBlock,
    Context,
    ContextSampler,
    DiagonalMultiHead,
    augmented_population_gradient,
    augmented_population_loss,
    head_gram,
    minimum_loss,
    optimal_augmented,
    optimal_diagonal_heads,
    population_gradient,
    population_loss,
    positional_quadratic,
    simulate_ar,
)

KINDS = ("unitary", "rotation")


def parameters(rng, heads, dim, length):
    shapes = (heads, dim), (heads, dim), (length, length)
    return tuple(rng.standard_normal(shape) for shape in shapes)


def every_root(count, dim):
    """All combinations of `count`-th roots of unity: they average as uniform angles do."""
    return np.asarray(list(product(2 * np.pi * np.arange(count) / count, repeat=dim)))


def losses(model, context, length):
    """Squared error at the token after `length`, by context."""
    s = simulate_ar(context, length + 1)
    return np.sum(np.abs(model(s[:, :-1])[:, -1] - s[:, -1]) ** 2, axis=-1)


@pytest.mark.parametrize(("kind", "dim", "free"), [("unitary", 2, 2), ("rotation", 4, 2)])
@pytest.mark.parametrize("length", [2, 3, 5])
def test_loss_is_the_average_over_roots_of_unity(kind, dim, free, length, rng):
    A, B, P = parameters(rng, 3, dim, length)
    # exponents of one eigenvalue differ by at most 2 (length + 1) times its multiplicity
    angles = every_root(8 * length + 9, free)
    context = Context(kind, angles=angles).diagonal()
    average = losses(DiagonalMultiHead(A, B, P), context, length).mean()
    assert_allclose(population_loss(A, B, P[-1], kind=kind), average, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_is_the_mean_over_samples(kind, rng):
    A, B, P = parameters(rng, 3, 4, 6)
    context = ContextSampler(kind, 4).sample(20000, 0).diagonal()
    found = losses(DiagonalMultiHead(A, B, P), context, 6)
    wanted = population_loss(A, B, P[-1], kind=kind)
    assert abs(found.mean() - wanted) < 5 * found.std() / np.sqrt(20000)


@pytest.mark.parametrize("first", ["zero", "previous"])
@pytest.mark.parametrize("length", [2, 4])
def test_augmented_loss_is_the_average_over_roots_of_unity(first, length, rng):
    a, b = rng.standard_normal(4), rng.standard_normal(2)
    context = Context("unitary", angles=every_root(4 * length + 5, 2))
    prefix = length + (first == "previous")  # the token before the first one is among them
    average = losses(AugmentedBlock(a, b, first=first), context, prefix).mean()
    found = augmented_population_loss(a, b, length=length, dim=2, first=first)
    assert_allclose(found, average, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("single", [True, False])
def test_closed_gradients_are_those_of_every_library(xp, kind, single, rng):
    A, B, P = parameters(rng, 3, 4, 5)
    arrays = [xp.array(x) for x in (A, B, P[-1] if single else P)]

    def loss(A, B, p):
        return population_loss(A, B, p, kind=kind)

    found = xp.run(lambda *args: population_gradient(*args, kind=kind), *arrays)
    for closed, by_library in zip(found, grad(loss, argnums=(0, 1, 2))(*arrays), strict=True):
        assert_allclose(xp.numpy(closed), xp.numpy(by_library), atol=1e-11)
    if not single:
        rows = sum(population_loss(A, B, P[t, : t + 1], kind=kind) for t in range(1, 5))
        assert_allclose(xp.numpy(loss(*arrays)), rows)


@pytest.mark.parametrize("first", ["zero", "previous"])
def test_closed_gradients_of_the_augmented_loss(xp, first, rng):
    a, b = xp.array(rng.standard_normal(4)), xp.array(rng.standard_normal(2))
    options = {"length": (2, 5), "dim": 3, "first": first}

    def loss(a, b):
        return augmented_population_loss(a, b, **options)

    found = augmented_population_gradient(a, b, **options)
    for closed, by_library in zip(found, grad(loss, argnums=(0, 1))(a, b), strict=True):
        assert_allclose(xp.numpy(closed), xp.numpy(by_library), rtol=1e-12, atol=1e-11)


@settings(max_examples=30)
@given(st.sampled_from(KINDS), st.integers(1, 3), st.integers(1, 7), st.integers(2, 5),
       st.integers(0, 999))  # fmt: skip
def test_no_parameters_do_better_than_the_minimum(kind, half, heads, length, seed):
    rng, dim = np.random.default_rng(seed), 2 * half
    A, B, P = parameters(rng, heads, dim, length)
    least = minimum_loss(kind=kind, dim=dim, heads=heads)
    assert population_loss(A, B, P[-1], kind=kind) >= least - 1e-9
    best = optimal_diagonal_heads(kind=kind, dim=dim, heads=heads, length=length)
    assert_allclose(population_loss(*best, kind=kind), least, atol=1e-12)
    near = [x + 0.01 * rng.standard_normal(x.shape) for x in best]
    assert population_loss(*near, kind=kind) >= least - 1e-9


@settings(max_examples=15)
@given(st.sampled_from(KINDS), st.integers(0, 999))
def test_invariances_of_the_losses(kind, seed):
    rng = np.random.default_rng(seed)
    A, B, P = parameters(rng, 3, 4, 4)
    wanted = population_loss(A, B, P, kind=kind)
    g = rng.standard_normal((3, 3)) + 3 * np.eye(3)
    assert_allclose(population_loss(g @ A, np.linalg.inv(g).T @ B, P, kind=kind), wanted)
    order = rng.permutation(3)
    assert_allclose(population_loss(A[order], B[order], P, kind=kind), wanted)
    a, b, kappa = rng.standard_normal(4), rng.standard_normal(2), rng.uniform(0.5, 2)
    options = {"length": 4, "dim": 3}
    assert_allclose(
        augmented_population_loss(kappa * a, b / kappa, **options),
        augmented_population_loss(a, b, **options),
    )


def test_optimal_product_of_heads_is_a_projector(rng):
    A, B, p = optimal_diagonal_heads(kind="unitary", dim=6, heads=4, length=5)
    product = p[-1] * B.T @ A
    assert_allclose(product @ product, product)
    assert_allclose(product, product.T) and np.isclose(np.trace(product), 4)
    assert_allclose(head_gram(A, B, p), np.eye(4))
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0][:4]  # any other projector does as well
    assert_allclose(population_loss(turn, turn, p), 2.0)


@pytest.mark.parametrize(
    ("dim", "top", "first", "rate", "loss"),
    [
        (2, 5, "zero", 1 / 4, 3.0),
        (2, 5, "previous", 7 / 34, 2.2352941176),
        (5, 20, "zero", 0.0588235294, 39.1176470588),
        (5, 20, "previous", 0.0564102564, 36.0512820513),
    ],
)
def test_optimal_augmented_block(dim, top, first, rate, loss):
    a, b, found = optimal_augmented(dim=dim, lengths=range(2, top + 1), first=first)
    assert_allclose((a[2] * b[0], found), (rate, loss), rtol=1e-9)
    options = {"length": range(2, top + 1), "dim": dim, "first": first}
    for by in augmented_population_gradient(a, b, **options):
        assert_allclose(by, 0.0, atol=1e-9)


def test_optimal_rate_falls_with_dimension_and_length():
    def rate(dim, lengths):
        return optimal_augmented(dim=dim, lengths=lengths)[0][2]

    assert np.all(np.diff([rate(d, range(2, 11)) for d in range(1, 8)]) < 0)
    assert np.all(np.diff([rate(5, range(2, top)) for top in range(3, 20)]) < 0)
    assert_allclose(rate(5, 8), 1 / (7 + 4))
    assert_allclose(optimal_augmented(dim=5, lengths=8, first="previous")[0][2], 1 / (8 + 4))


@pytest.mark.parametrize("concentration", [1.0, 50.0])
def test_positional_quadratic_is_an_integral(concentration):
    gram, rhs = positional_quadratic(5, concentration=concentration)
    phi = (np.arange(20000) + 0.5) / 20000 * 2 * np.pi / concentration
    lags = 2 * (np.arange(5)[:, None] - np.arange(5))
    assert_allclose(gram, np.cos(lags[..., None] * phi).mean(-1), atol=1e-8)
    assert_allclose(rhs, gram[:, -1])
    end = np.eye(5)[-1]
    assert_allclose(end @ gram @ end - 2 * rhs @ end + 1, 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: population_loss(*[np.ones((2, 3))] * 2, np.ones(1)), "`p` must have shape"),
        (
            lambda: population_loss(*[np.ones((2, 3))] * 2, np.ones(3), kind="rotation"),
            "`A` must have an even dimension",
        ),
        (lambda: population_loss(np.ones((2, 3)), np.ones((3, 3)), np.ones(3)), "`A` and `B`"),
        (
            lambda: population_loss(*[np.ones((2, 3))] * 2, np.ones(3), kind="stable"),
            "`kind` must be one of",
        ),
        (lambda: minimum_loss(kind="rotation", dim=3, heads=1), "`dim` must be even"),
        (lambda: minimum_loss(kind="unitary", dim=3, heads=-1), "`heads` must be"),
        (
            lambda: optimal_diagonal_heads(kind="unitary", dim=3, heads=1, length=1),
            "`length` must be at least 2",
        ),
        (lambda: optimal_augmented(dim=2, lengths=()), "`length` must hold"),
        (lambda: optimal_augmented(dim=0, lengths=3), "`dim` must be"),
        (
            lambda: augmented_population_loss(np.ones(3), np.ones(2), length=3, dim=2),
            "`a` must have shape",
        ),
        (lambda: positional_quadratic(1), "`T` must be"),
        (lambda: positional_quadratic(4, concentration=0.1), "`concentration` must be"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_integer_parameters_are_a_type_error():
    with pytest.raises(TypeError, match="`A` must have a real floating dtype"):
        population_loss(np.ones((2, 3), int), np.ones((2, 3)), np.ones(3))
