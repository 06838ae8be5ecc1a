"""The Fenchel-Young loss of the top-k mask, and the temperature for a wanted support."""

import numpy as np
import pytest

import fenchel
from fenchel.operators import topk_loss, topk_mask, topk_temperature


def direct_loss(x, t, k, strength, p):
    """f_R(x) + R(t) - <x, t> with the mask by bisection in float64."""
    q = p / (p - 1)
    low, high = x.min() - strength - 1, x.max() + 1
    for _ in range(200):
        tau = (low + high) / 2
        share = np.clip((x - tau) / strength, 0, 1) ** (q - 1)
        low, high = (tau, high) if share.sum() >= k else (low, tau)
    y = np.clip((x - low) / strength, 0, 1) ** (q - 1)
    value = x @ y - strength / p * (y**p).sum()
    return value + strength / p * (t**p).sum() - x @ t


@pytest.mark.parametrize("p", [2.0, 1.5, 4 / 3])
@pytest.mark.parametrize("strength", [0.3, 1.0, 5.0])
def test_loss_is_the_fenchel_young_loss(xp, rng, p, strength):
    x = rng.normal(size=(5, 7))
    t = np.zeros((5, 7))
    for row in t:
        row[rng.permutation(7)[:3]] = 1.0
    t[0] = 3 / 7
    found = xp.run(
        lambda x, t: topk_loss(x, t, 3, temperature=strength, p=p, reduction="none"),
        xp.array(x),
        xp.array(t),
    )
    expected = [direct_loss(a, b, 3, strength, p) for a, b in zip(x, t, strict=True)]
    np.testing.assert_allclose(xp.numpy(found), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("p", [2.0, 4 / 3])
def test_gradient_is_mask_minus_target(xp, rng, p):
    x, t = rng.normal(size=(4, 6)), np.eye(6)[:4] + np.eye(6)[1:5]
    grad = xp.run(
        fenchel.grad(lambda x: topk_loss(x, xp.array(t), 2, temperature=0.8, p=p, reduction="sum")),
        xp.array(x),
    )
    mask = xp.numpy(topk_mask(xp.array(x), 2, temperature=0.8, p=p))
    np.testing.assert_allclose(xp.numpy(grad), mask - t, atol=1e-12)


def test_zero_at_the_prediction_and_never_negative(xp, rng):
    x = xp.array(rng.normal(size=(200, 5)) * 3)
    y = topk_mask(x, 2, temperature=1.7)
    at_best = xp.numpy(topk_loss(x, y, 2, temperature=1.7, reduction="none"))
    np.testing.assert_allclose(at_best, 0, atol=1e-14)
    elsewhere = xp.numpy(
        topk_loss(x, xp.array(np.roll(xp.numpy(y), 1, -1)), 2, temperature=1.7, reduction="none")
    )
    assert elsewhere.min() >= 0


def test_boolean_targets_masks_and_reductions(xp):
    x = xp.array([[3.0, 1.0, 0.5, 2.0], [1.0, 2.0, 3.0, 4.0]])
    t = xp.array(np.asarray([[True, False, False, True], [False, False, True, True]]))
    where = xp.array(np.asarray([[True, True, False, True], [True, True, True, True]]))
    rows = xp.numpy(topk_loss(x, t, 2, temperature=2.0, where=where, reduction="none"))
    total = float(xp.numpy(topk_loss(x, t, 2, temperature=2.0, where=where, reduction="sum")))
    mean = float(xp.numpy(topk_loss(x, t, 2, temperature=2.0, where=where)))
    first = direct_loss(np.asarray([3.0, 1.0, 2.0]), np.asarray([1.0, 0.0, 1.0]), 2, 2.0, 2.0)
    np.testing.assert_allclose(rows[0], first, rtol=1e-9)
    np.testing.assert_allclose([total, mean], [rows.sum(), rows.mean()], rtol=1e-12)


def test_a_masked_target_is_impossible(xp):
    x, t = xp.array([1.0, 2.0, 3.0]), xp.array([1.0, 0.0, 0.0])
    where = xp.array(np.asarray([False, True, True]))
    assert float(xp.numpy(topk_loss(x, t, 1, where=where))) == float("inf")


def test_empty_batch_gives_zero(xp):
    x = xp.array(np.zeros((0, 4)))
    assert float(xp.numpy(topk_loss(x, x, 2))) == 0.0


def test_loss_errors_name_the_argument(xp):
    x = xp.array([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"`target`.*shape"):
        topk_loss(x, xp.array([1.0, 0.0]), 1)
    with pytest.raises(TypeError, match=r"`target`.*floating"):
        topk_loss(x, xp.array(np.asarray([1, 0, 0])), 1)
    with pytest.raises(ValueError, match="`reduction`"):
        topk_loss(x, x, 1, reduction="median")
    with pytest.raises(ValueError, match="`temperature` must be above 0"):
        topk_loss(x, x, 1, temperature=0.0)


@pytest.mark.parametrize("p", [2.0, 1.5, 4 / 3])
@pytest.mark.parametrize(("k", "active"), [(1, 1), (2, 2), (2, 4), (1, 5), (2.5, 3)])
def test_temperature_gives_the_wanted_support(xp, rng, p, k, active):
    x = xp.array(rng.normal(size=(6, 8)))
    strength = xp.run(lambda x: topk_temperature(x, k, active=active, p=p), x)
    for factor, compare in ((1 - 1e-6, "at most"), (1 + 1e-4, "above")):
        scaled = xp.array(xp.numpy(strength) * factor)
        size = (xp.numpy(topk_mask(x, k, temperature=scaled, p=p)) > 0).sum(-1)
        assert (size <= active).all() if compare == "at most" else (size > active).all()


def test_temperature_is_infinite_when_all_may_be_active(xp):
    x = xp.array([3.0, 1.0, 2.0])
    assert xp.numpy(topk_temperature(x, 1, active=3)).tolist() == [float("inf")]


def test_temperature_derivative(xp):
    # p = 2, k = 1, two active: (x1 + x2 - 2 x3) / l = 1.
    x = xp.array([3.0, 0.5, 2.5])
    grad = fenchel.grad(_total_temperature)(x)
    np.testing.assert_allclose(xp.numpy(grad), [1.0, -2.0, 1.0], atol=1e-12)


def test_temperature_errors(xp):
    x = xp.array([3.0, 1.0, 2.0])
    with pytest.raises(ValueError, match="`active`"):
        topk_temperature(x, 2, active=1)
    with pytest.raises(TypeError, match="`active`"):
        topk_temperature(x, 2, active=2.5)


def _total_temperature(x):
    strength = topk_temperature(x, 1, active=2)
    return fenchel.namespace(strength).sum(strength)
