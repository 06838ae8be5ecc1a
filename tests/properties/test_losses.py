"""Properties of Fenchel-Young and Fitzpatrick losses that hold at every point."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import fenchel
from fenchel import losses
from fenchel.convex import Cube, Simplex
from fenchel.regularizers import SquaredNorm
from fenchel.testing.strategies import scores, temperatures

ALPHAS = st.sampled_from([1.0, 1.25, 1.5, 1.75, 2.0])
# Rows in large batches: for libraries that are slow, the calls count.
ROWS = scores(shape=(8, 5))
SEEDS = st.integers(0, 2**16)
few = settings(max_examples=10, deadline=None)
NONE = {"reduction": "none"}


def pair(alpha):
    return losses.entmax_loss(alpha=alpha), losses.fitzpatrick_entmax(alpha=alpha)


def targets(seed, shape=(8, 5), sharp=0.5):
    return np.random.default_rng(seed).dirichlet(np.full(shape[-1], sharp), size=shape[:-1])


def rows(library, loss, x, y):
    return library.numpy(loss(library.array(x), library.array(y), **NONE))


def gradients(library, loss, x, y):
    return library.numpy(loss.value_and_grad(library.array(x), library.array(y), **NONE)[1])


@few
@given(x=ROWS, seed=SEEDS, alpha=ALPHAS)
def test_fitzpatrick_lies_between_a_share_of_fenchel_young_and_all_of_it(library, x, seed, alpha):
    least = 1 / math.e if alpha == 1 else alpha ** (-1 / (alpha - 1))
    for y in (targets(seed), np.eye(5)[np.random.default_rng(seed).integers(0, 5, 8)]):
        whole, tight = (rows(library, loss, x, y) for loss in pair(alpha))
        assert (tight >= 0).all()
        assert (tight <= whole * (1 + 1e-9) + 1e-13).all()
        assert (tight >= least * whole * (1 - 1e-9) - 1e-13).all()


@few
@given(x=ROWS, alpha=ALPHAS)
def test_zero_at_the_prediction_alone(library, x, alpha):
    for loss in pair(alpha):
        y = library.numpy(loss.link(library.array(x)))
        assert_allclose(rows(library, loss, x, y), 0, atol=1e-13)
        moved = np.roll(y, 1, axis=-1)
        far = np.abs(moved - y).max(axis=-1) > 1e-3
        assert (rows(library, loss, x, moved)[far] > 0).all()


@few
@given(x=ROWS, other=ROWS, seed=SEEDS, alpha=ALPHAS, share=st.floats(0.05, 0.95))
def test_convex_in_scores_and_in_the_target(library, x, other, seed, alpha, share):
    y, z = targets(seed), targets(seed + 1)
    for loss in pair(alpha):
        ends = share * rows(library, loss, x, y) + (1 - share) * rows(library, loss, other, y)
        between = rows(library, loss, share * x + (1 - share) * other, y)
        assert (between <= ends + 1e-10 * (1 + ends)).all()
        ends = share * rows(library, loss, x, y) + (1 - share) * rows(library, loss, x, z)
        between = rows(library, loss, x, share * y + (1 - share) * z)
        assert (between <= ends + 1e-10 * (1 + ends)).all()


@few
@given(x=ROWS, seed=SEEDS, alpha=ALPHAS, shift=st.integers(-64, 64))
def test_shifts_and_permutations(library, x, seed, alpha, shift):
    y = targets(seed)
    order = np.random.default_rng(seed).permutation(5)
    for loss in pair(alpha):
        value, gradient = rows(library, loss, x, y), gradients(library, loss, x, y)
        assert_allclose(rows(library, loss, x + shift, y), value, atol=1e-11, rtol=1e-9)
        moved = rows(library, loss, x[:, order], y[:, order])
        assert_allclose(moved, value, atol=1e-13, rtol=1e-10)
        permuted = gradients(library, loss, x[:, order], y[:, order])
        assert_allclose(permuted, gradient[:, order], atol=1e-10)
        assert_allclose(gradient.sum(axis=-1), 0, atol=1e-10)
        assert (np.abs(gradient) <= 1 + 1e-12).all()


@settings(max_examples=25, deadline=None)
@given(x=scores(shape=(4,)), alpha=st.sampled_from([1.25, 1.5, 1.75, 2.0]))
def test_margins(library, x, alpha):
    """Zero exactly from a margin of 1/(alpha - 1) on."""
    k = int(np.argmax(x))
    gap = x[k] - np.delete(x, k).max()
    for loss in pair(alpha):
        value = float(rows(library, loss, x, np.eye(4)[k]))
        if gap >= 1 / (alpha - 1):
            assert value == 0
        elif gap < (1 - 1e-3) / (alpha - 1):
            assert value > 0


@few
@given(x=ROWS, other=ROWS, seed=SEEDS, alpha=ALPHAS)
def test_gradients_are_lipschitz(library, x, other, seed, alpha):
    """With 2^(alpha - 2) for L; with 1/2 for the Fitzpatrick losses of softmax and sparsemax."""
    y = targets(seed)
    distance = np.linalg.norm(x - other, axis=-1)
    for loss, bound in zip(pair(alpha), (2 ** (alpha - 2), 0.5), strict=True):
        if bound == 0.5 and alpha not in (1.0, 2.0):
            continue
        change = gradients(library, loss, x, y) - gradients(library, loss, other, y)
        assert (np.linalg.norm(change, axis=-1) <= bound * distance + 1e-9).all()


@few
@given(x=ROWS, seed=SEEDS)
def test_strong_convexity_of_the_regularizers(library, x, seed):
    y = targets(seed)
    p = library.numpy(losses.sparsemax_loss.link(library.array(x)))
    sparse = rows(library, losses.sparsemax_loss, x, y)
    assert (sparse >= 0.5 * ((y - p) ** 2).sum(-1) - 1e-12).all()
    p = library.numpy(losses.logistic.link(library.array(x)))
    pinsker = 0.5 * np.abs(y - p).sum(-1) ** 2
    assert (rows(library, losses.logistic, x, y) >= pinsker - 1e-12).all()


@few
@given(x=ROWS, seed=SEEDS, gamma=st.floats(0.05, 20.0))
def test_carlier_bound(library, x, seed, gamma):
    """F >= |y - prox_{gamma Omega}(y + gamma theta)|^2 / gamma."""
    y = targets(seed)
    zeros = np.zeros_like(x)
    for loss, tight in (
        (losses.logistic, losses.fitzpatrick_logistic),
        (losses.sparsemax_loss, losses.fitzpatrick_sparsemax),
    ):
        # argmin Omega(m) - <theta, m> + |m - y|^2 / (2 gamma) = a + y with a around 0
        a = loss.conjugate_prox(
            library.array(x), library.array(zeros), library.array(y), tau=1 / gamma
        )
        bound = (library.numpy(a) ** 2).sum(-1) / gamma
        assert (rows(library, tight, x, y) >= bound * (1 - 1e-7) - 1e-12).all()


@few
@given(x=ROWS, seed=SEEDS)
def test_smaller_sets_have_smaller_losses(library, x, seed):
    y = targets(seed)
    simplex = losses.FenchelYoung(SquaredNorm(Simplex()))
    values = [rows(library, loss, x, y) for loss in (simplex, losses.cube, losses.squared)]
    assert (values[0] <= values[1] + 1e-12).all()
    assert (values[1] <= values[2] + 1e-12).all()
    assert_allclose(rows(library, losses.sparsemax_loss, x, y), values[0], atol=1e-12)


@few
@given(x=ROWS, seed=SEEDS)
def test_quadratic_fitzpatrick_losses(library, x, seed):
    y = targets(seed)
    half = rows(library, losses.fitzpatrick_squared, x, y)
    assert_allclose(half, 0.5 * rows(library, losses.squared, x, y), rtol=1e-12)
    for domain in (Simplex(), Cube()):
        own = SquaredNorm(domain)
        found = rows(library, losses.Fitzpatrick(own), x, y)
        twice = 2 * rows(library, losses.FenchelYoung(own), 0.5 * (x + y), y)
        assert_allclose(found, twice, rtol=1e-12, atol=1e-15)


@few
@given(x=scores(shape=(4, 2)), seed=SEEDS)
def test_two_classes_are_binary(library, x, seed):
    y = targets(seed, (4, 2))
    pairs = (
        (losses.logistic, losses.binary_logistic),
        (losses.sparsemax_loss, losses.binary_sparse),
        (losses.fitzpatrick_logistic, losses.fitzpatrick_binary_logistic),
    )
    for two, binary in pairs:
        margin = rows(library, binary, x[:, 0] - x[:, 1], y[:, 0])
        assert_allclose(rows(library, two, x, y), margin, atol=1e-11, rtol=1e-9)


@few
@given(x=ROWS, seed=SEEDS, temperature=temperatures(low=0.05))
def test_temperature_and_its_limit(library, x, seed, temperature):
    """t L(x/t, y) is the loss of t Omega; it tends to the perceptron's."""
    y = targets(seed)
    p = library.numpy(fenchel.entmax(library.array(x), temperature=temperature))

    def omega(p):
        return temperature * ((p**1.5).sum(-1) - p.sum(-1)) / 0.75

    direct = (p * x).sum(-1) - omega(p) + omega(y) - (x * y).sum(-1)
    loss = losses.entmax_loss(alpha=1.5)
    assert_allclose(temperature * rows(library, loss, x / temperature, y), direct, atol=1e-9)
    cold = 1e-7 * rows(library, loss, x / 1e-7, y)
    assert_allclose(cold, rows(library, losses.perceptron, x, y), atol=1e-6)


@few
@given(x=ROWS, seed=SEEDS, alpha=st.sampled_from([1.25, 1.5, 1.75]))
def test_alpha_divergences_of_ones_are_entmax(library, x, seed, alpha):
    y = targets(seed)
    for name, options, known in (
        ("kl", {}, losses.logistic),
        ("chi2", {}, losses.sparsemax_loss),
        ("alpha", {"alpha": alpha}, losses.entmax_loss(alpha=alpha)),
    ):
        loss = losses.f_divergence_loss(divergence=name, **options)
        assert_allclose(rows(library, loss, x, y), rows(library, known, x, y), atol=1e-10)


@pytest.mark.parametrize("gap", [30.0, 300.0, 3000.0])
def test_large_violations_grow_like_the_margin_less_its_logarithm(library, gap):
    """F = s - log s - 1 + o(1), with s = gap + log(d - 1); F/L tends to 1."""
    x = np.asarray([0.0, gap, gap])
    value = float(rows(library, losses.fitzpatrick_logistic, x, np.eye(3)[0]))
    s = gap + math.log(2)
    assert abs(value - (s - math.log(s) - 1)) < 2 * math.log(s) / s


def test_ratio_of_a_half_where_two_classes_overlap(library):
    """Scores (s, 0, ...), first class: F = L/2 on [0, 1), and (1 - s)^2/8 on [-3, 1) for d = 2."""
    for d, low in ((5, 0.0), (2, -1.0)):
        x = np.zeros((50, d))
        x[:, 0] = np.linspace(low, 0.999, 50)
        y = np.tile(np.eye(d)[0], (50, 1))
        tight = rows(library, losses.fitzpatrick_sparsemax, x, y)
        assert_allclose(tight, rows(library, losses.sparsemax_loss, x, y) / 2, rtol=1e-12)
    x = np.zeros((50, 2))
    x[:, 0] = np.linspace(-3, 0.999, 50)
    tight = rows(library, losses.fitzpatrick_sparsemax, x, np.tile([1.0, 0.0], (50, 1)))
    assert_allclose(tight, (1 - x[:, 0]) ** 2 / 8, rtol=1e-12)


def test_no_negative_loss_in_a_million_rows(rng):
    """Targets at the prediction, near it and far from it, in both precisions."""
    for dtype in (np.float64, np.float32):
        for alpha, count in ((1.0, 80_000), (1.5, 80_000), (2.0, 80_000), (1.3, 12_500)):
            x = rng.normal(size=(count, 4)).astype(dtype) * dtype(3)
            for loss in pair(alpha):
                y = loss.link(x)
                assert (loss(x, y, **NONE) >= 0).all()
                near = loss.link((x + 1e-4 * rng.normal(size=x.shape)).astype(dtype))
                assert (loss(x, near, **NONE) >= 0).all()
