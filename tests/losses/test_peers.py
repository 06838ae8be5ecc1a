"""Agreement with other packages where they are right, and their defects as regression tests."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fenchel
from fenchel import losses

torch = pytest.importorskip("torch")


@pytest.fixture
def scores(rng):
    return torch.tensor(rng.normal(size=(8, 6)) * 2)


@pytest.fixture
def classes():
    return torch.tensor([0, 1, 2, 3, 4, 5, 0, 3])


def test_agrees_with_the_entmax_package(scores, classes):
    peer = pytest.importorskip("entmax")
    live = scores.clone().requires_grad_()
    pairs = (
        (losses.sparsemax_loss, peer.sparsemax_loss),
        (losses.entmax_loss(alpha=1.5), peer.entmax15_loss),
        (losses.entmax_loss(alpha=1.3), lambda x, t: peer.entmax_bisect_loss(x, t, 1.3)),
    )
    for ours, theirs in pairs:
        wanted = theirs(live, classes)
        assert_allclose(ours(scores, classes, reduction="none"), wanted.detach(), atol=1e-9)
        (gradient,) = torch.autograd.grad(wanted.sum(), live)
        assert_allclose(
            ours.value_and_grad(scores, classes, reduction="sum")[1], gradient, atol=1e-9
        )


def test_second_derivatives_that_the_entmax_package_lacks(scores, classes):
    peer = pytest.importorskip("entmax")
    v = torch.ones_like(scores) * torch.arange(6.0)

    def product(loss):
        live = scores.clone().requires_grad_()
        (g,) = torch.autograd.grad(loss(live, classes).sum(), live, create_graph=True)
        if not g.requires_grad:
            return torch.zeros_like(scores)
        (h,) = torch.autograd.grad((g * v).sum(), live, allow_unused=True)
        return torch.zeros_like(scores) if h is None else h

    assert (product(peer.entmax15_loss) == 0).all()
    ours = product(lambda x, t: losses.entmax_loss(alpha=1.5)(x, t, reduction="none"))
    s = fenchel.entmax(scores).sqrt()
    wanted = s * v - s * (s * v).sum(-1, keepdim=True) / s.sum(-1, keepdim=True)
    assert_allclose(ours, wanted, atol=1e-9)


def test_masked_scores_that_the_entmax_package_makes_nan(scores, classes):
    peer = pytest.importorskip("entmax")
    scores[:, 5] = -torch.inf
    classes = classes % 5
    assert torch.isnan(peer.sparsemax_loss(scores, classes)).any()
    found = losses.sparsemax_loss(scores, classes, reduction="none")
    assert_allclose(found, losses.sparsemax_loss(scores[:, :5], classes, reduction="none"))
    rows = torch.full((1, 6), -torch.inf, dtype=torch.float64)
    assert losses.sparsemax_loss(rows, classes[:1]) == 0


def test_alpha_one_and_offsets(rng):
    """Bisection gives the uniform distribution at alpha = 1, and loses digits to an offset."""
    x, classes = rng.normal(size=(4, 5)), np.asarray([0, 1, 2, 3])
    at_one = losses.entmax_loss(alpha=1.0)(x, classes)
    assert_allclose(at_one, losses.logistic(x, classes), rtol=1e-12)
    moved = losses.entmax_loss(alpha=1.5)(x + 2.0**26, classes)
    assert_allclose(moved, losses.entmax_loss(alpha=1.5)(x, classes), rtol=1e-6)
    exact = np.round(x * 2**10) / 2**10
    shifted = losses.entmax_loss(alpha=1.5)(exact + 2.0**26, classes)
    assert_allclose(shifted, losses.entmax_loss(alpha=1.5)(exact, classes), rtol=1e-13)


def test_agrees_with_optax(rng):
    optax = pytest.importorskip("optax")
    jnp = pytest.importorskip("jax.numpy")
    x, classes = jnp.asarray(rng.normal(size=(5, 4))), jnp.asarray([0, 1, 2, 3, 0])
    found = losses.sparsemax_loss(x, classes, reduction="none")
    assert_allclose(found, optax.losses.multiclass_sparsemax_loss(x, classes), atol=1e-6)
    found = losses.logistic(x, classes, reduction="none")
    wanted = optax.losses.softmax_cross_entropy_with_integer_labels(x, classes)
    assert_allclose(found, wanted, atol=1e-6)


def test_the_target_term_that_optax_omits():
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    x = jax.numpy.asarray([1.0, 2.0, 0.5])
    y = jax.nn.softmax(x)
    theirs = optax.losses.make_fenchel_young_loss(jax.scipy.special.logsumexp)
    assert theirs(x, y) > 0.9
    ours = losses.fenchel_young_from_max(fenchel.special.logsumexp)
    assert abs(ours(x, y)) < 1e-6
    assert abs(losses.logistic(x, y)) < 1e-6


def test_labels_that_optax_accepts_silently():
    jnp = pytest.importorskip("jax.numpy")
    with pytest.raises(ValueError, match="`target`"):
        losses.logistic(jnp.zeros((2, 3)), jnp.asarray([0, -1]))
