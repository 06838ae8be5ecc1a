"""Values of the losses against 60 digits, near the optimum too."""

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel import losses
from tests.losses import oracles

ALPHAS = (1.0, 1.25, 1.5, 1.9, 2.0)


def soft(rng, *shape):
    y = rng.dirichlet(np.ones(shape[-1]), size=shape[:-1])
    y[..., 0] = 0.0
    return y / y.sum(axis=-1, keepdims=True)


def fenchel_young(alpha):
    named = {1.0: losses.logistic, 2.0: losses.sparsemax_loss}
    return named[alpha] if alpha in named else losses.entmax_loss(alpha=alpha)


def fitzpatrick(alpha):
    named = {1.0: losses.fitzpatrick_logistic, 2.0: losses.fitzpatrick_sparsemax}
    return named[alpha] if alpha in named else losses.fitzpatrick_entmax(alpha=alpha)


FAMILIES = {
    "fenchel_young": (fenchel_young, oracles.fenchel_young),
    "fitzpatrick": (fitzpatrick, oracles.fitzpatrick),
}


def both_routes(loss, x, target):
    """The loss by its call and by the fused route, with kernels and without."""
    import fenchel

    options = {"reduction": "none"}
    found = [loss(x, target, **options), loss.value_and_grad(x, target, **options)[0]]
    with fenchel.use_kernels(False):
        found += [loss(x, target, **options), loss.value_and_grad(x, target, **options)[0]]
    return found


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_entropies_in_sixty_digits(family, alpha, scale, rng):
    make, oracle = FAMILIES[family]
    loss, x, classes = make(alpha), scale * rng.normal(size=(3, 4)), np.asarray([0, 1, 3])
    for target, dense in ((classes, np.eye(4)[classes]), (None, np.eye(4)[classes]), (None, None)):
        y = soft(rng, 3, 4) if dense is None else dense
        wanted = [float(oracle(a, b, alpha)) for a, b in zip(x, y, strict=True)]
        for found in both_routes(loss, x, y if target is None else target):
            assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-6])
def test_near_the_optimum(family, alpha, distance, rng):
    """The error is what the rounding of the scores makes of a loss of this size, and no more."""
    make, oracle = FAMILIES[family]
    loss = make(alpha)
    x = rng.normal(size=(3, 4))
    y = loss.link(x)
    x = x + distance * rng.normal(size=x.shape)
    wanted = np.asarray([float(oracle(a, b, alpha)) for a, b in zip(x, y, strict=True)])
    # A target that is rounded does not sum to 1: the textbook value moves by that times a score.
    for found in both_routes(loss, x, y):
        assert (found >= 0).all()
        error = np.abs(found - wanted)
        assert (error <= 1e-12 * wanted + 8e-16 * (np.sqrt(wanted) + 1)).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_confident_classes_keep_relative_accuracy(family):
    """A logistic loss of 1e-8, or 1e-300, is right to 1e-12 of itself."""
    loss = FAMILIES[family][0](1.0)
    for gap in (5.0, 20.0, 60.0, 600.0):
        x = np.asarray([gap, 0.25, -0.5])
        for target in (np.asarray(0), np.asarray([1.0, 0.0, 0.0])):
            wanted = float(_closed(family, x))
            for found in both_routes(loss, x, target):
                assert_allclose(found, wanted, rtol=1e-12)


def _closed(family, x):
    """softplus(s) or omega(s - 1) in many digits."""
    mpmath.mp.dps = 330
    s = mpmath.log(sum(mpmath.exp(mpmath.mpf(float(v))) for v in x[1:])) - mpmath.mpf(float(x[0]))
    if family == "fenchel_young":
        return mpmath.log1p(mpmath.exp(s))
    return mpmath.lambertw(mpmath.exp(s - 1)).real


@pytest.mark.parametrize("y", [0.0, 1e-3, 0.3, 0.5, 0.9, 1.0])
def test_binary_losses_in_sixty_digits(y, rng):
    x = np.concatenate([rng.normal(size=2) * 3, [0.0, -0.99, 12.0, -12.0]])
    cases = (
        (losses.binary_logistic, oracles.binary_fenchel_young, 1.0, 1.0),
        (losses.binary_sparse, oracles.binary_fenchel_young, 2.0, 1.0),
        (losses.fitzpatrick_binary_logistic, _binary_fitzpatrick, 1.0, 1.0),
    )
    for loss, oracle, alpha, factor in cases:
        wanted = [factor * float(oracle(v, y, alpha)) for v in x]
        for found in both_routes(loss, x, np.full(x.shape, y)):
            assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)
        if y in (0.0, 1.0):
            found = loss(x, np.full(x.shape, int(y)), reduction="none")
            assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)


def _binary_fitzpatrick(x, y, alpha):
    return oracles.fitzpatrick([x, 0.0], [y, 1 - y], alpha)


@pytest.mark.parametrize("name", sorted(oracles.GENERATORS))
def test_f_divergences_in_sixty_digits(name, rng):
    q = rng.uniform(0.1, 1.0, size=4)
    x, y = rng.normal(size=(4, 4)), rng.dirichlet(np.ones(4), size=4)
    loss = losses.f_divergence_loss(divergence=name, reference=q)
    wanted = [float(oracles.f_divergence(a, b, q, name)) for a, b in zip(x, y, strict=True)]
    assert_allclose(loss(x, y, reduction="none"), wanted, rtol=1e-11, atol=1e-14)


def test_every_library(xp, rng):
    """The named losses give NumPy's numbers on every library."""
    x, classes = rng.normal(size=(3, 5)), np.asarray([4, 0, 2])
    y, labels = soft(rng, 3, 5), rng.uniform(size=(3, 5))
    q = rng.uniform(0.2, 1.0, size=5)

    def all_of(x, y, classes, labels, q):
        none = {"reduction": "none"}
        on_classes = [losses.logistic, losses.sparsemax_loss, losses.entmax_loss(alpha=1.5)]
        on_classes += [losses.fitzpatrick_logistic, losses.fitzpatrick_sparsemax]
        on_classes += [losses.fitzpatrick_entmax(alpha=1.5), losses.fitzpatrick_entmax(alpha=1.2)]
        on_classes += [losses.perceptron, losses.hinge, losses.entmax_loss(alpha=1.2)]
        on_classes += [losses.f_divergence_loss(divergence="kl", reference=q)]
        entries = [losses.binary_logistic, losses.binary_sparse, losses.fitzpatrick_binary_logistic]
        sums = [losses.squared, losses.cube, losses.fitzpatrick_squared, losses.huber(delta=0.5)]
        sums += [losses.absolute, losses.squared_hinge]
        values = [loss(x, t, **none) for loss in on_classes for t in (classes, y)]
        values += [loss(x, labels, **none) for loss in (*entries, *sums)]
        values += [loss.value_and_grad(x, y, **none)[1] for loss in on_classes]
        return [*values, losses.cross_entropy(x, classes, label_smoothing=0.2)]

    arrays = [x, y, classes, labels, q]
    found = xp.run(all_of, *[xp.array(a) for a in arrays])
    for one, other in zip(found, all_of(*arrays), strict=True):
        assert_allclose(xp.numpy(one), other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("family", FAMILIES)
def test_infinite_scores(family, alpha):
    """Entries of +inf come first and share; those below are out, on every route."""
    import fenchel

    loss = FAMILIES[family][0](alpha)
    x = np.asarray([[np.inf, 0.0, np.inf], [np.inf, 0.0, 1.0], [-np.inf, np.inf, 1.0]])
    pair = loss.value_and_grad(np.zeros((1, 2)), np.asarray([0]), reduction="none")
    share = -pair[1][0, 0]
    wanted = [[-share, 0.0, share], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    for target in (np.asarray([0, 0, 2]), np.eye(3)[[0, 0, 2]]):
        for enabled in (True, False):
            with fenchel.use_kernels(enabled):
                value, gradient = loss.value_and_grad(x, target, reduction="none")
            assert_allclose(value, [pair[0][0], 0.0, np.inf], rtol=1e-12, atol=1e-300)
            assert_allclose(gradient, wanted, atol=1e-12)
