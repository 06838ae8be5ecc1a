"""Auxiliary losses against loops over tokens, and their gradients against the closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import erfc, log_ndtr, logsumexp, ndtr

from fenchel import namespace
from fenchel.autodiff import grad, hvp
from fenchel.routers import (
    gshard_loss,
    importance_loss,
    load_loss,
    sequence_balance_loss,
    sparsity_loss,
    switch_loss,
    z_loss,
)


def zeros_like(x):
    return namespace(x).zeros_like(x)


SHARED = {
    "importance": importance_loss,
    "gshard": gshard_loss,
    "switch": lambda x, **o: switch_loss(x, k=2, **o),
    "switch, per token": lambda x, **o: switch_loss(x, k=2, normalize="token", **o),
    "sequence": lambda x, **o: sequence_balance_loss(x, k=2, **o),
    "z": z_loss,
    "sparsity": lambda x, **o: sparsity_loss(x, k=2, **o),
    "load": lambda x, **o: load_loss(x, k=2, noise=zeros_like(x), scale=0.25, **o),
}
every_loss = pytest.mark.parametrize("loss", SHARED.values(), ids=SHARED)


def softmax(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def shares(logits, k):
    """Share of the assignments of each expert, lower indices first."""
    n, m = logits.shape
    chosen = [sorted(range(m), key=lambda e, row=row: (-row[e], e))[:k] for row in logits]
    return np.bincount(np.ravel(chosen), minlength=m) / (n * k)


def check_value_and_gradient(xp, f, logits, value, gradient, rtol=1e-9):
    x = xp.array(logits)
    assert_allclose(xp.numpy(xp.run(f, x)), value, rtol=rtol)
    assert_allclose(xp.numpy(xp.run(grad(f), x)), gradient, rtol=rtol, atol=1e-12)


def test_importance(xp, rng):
    logits = rng.standard_normal((9, 4))
    p, (n, m) = softmax(logits), logits.shape
    importance = p.sum(0)
    value = importance.var() / importance.mean() ** 2
    q = 2 / m * (importance - n / m) / (n / m) ** 2
    gradient = p * (q - (p * q).sum(-1, keepdims=True))
    check_value_and_gradient(xp, importance_loss, logits, value, gradient)


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("normalize", ["assignment", "token"])
def test_switch(xp, rng, k, normalize):
    logits = rng.standard_normal((9, 4))
    logits[3] = 0.5  # ties: the lower index first
    p, f, (n, m) = softmax(logits), shares(logits, k), logits.shape
    scale = k if normalize == "token" else 1
    value = scale * m * (f * p.mean(0)).sum()
    gradient = scale * m / n * p * (f - p @ f[:, None])
    check_value_and_gradient(
        xp, lambda x: switch_loss(x, k=k, normalize=normalize), logits, value, gradient
    )
    if k == 1:
        check_value_and_gradient(xp, gshard_loss, logits, value, gradient)


def test_sequence_balance(xp, rng):
    """The formula of DeepSeek-V3, with sigmoids over their sum for probabilities."""
    logits = 2 * rng.standard_normal((9, 4))
    s, f, (n, m), k = 1 / (1 + np.exp(-logits)), shares(logits, 2), logits.shape, 2
    p = s / s.sum(-1, keepdims=True)
    value = m * (f * p.mean(0)).sum()
    gradient = m / n * p * (f - p @ f[:, None]) * (1 - s)
    check_value_and_gradient(xp, lambda x: sequence_balance_loss(x, k=k), logits, value, gradient)
    low = sequence_balance_loss(np.full((3, 4), -900.0), k=2)  # where sigmoids are 0
    assert float(low) == pytest.approx(1)


def test_z(xp, rng):
    logits = rng.standard_normal((9, 4))
    lse = logsumexp(logits, axis=-1)
    gradient = 2 / 9 * lse[:, None] * softmax(logits)
    check_value_and_gradient(xp, z_loss, logits, np.mean(lse**2), gradient)


def test_load(xp, rng):
    """The closed form, with what flows through the bar to the logit that sets it."""
    (n, m), k, scale = (7, 4), 2, 0.3
    logits, noise = rng.standard_normal((n, m)), scale * rng.standard_normal((n, m))
    order = np.argsort(-(logits + noise), axis=-1)
    bar = np.take_along_axis(logits + noise, order[:, k - 1 : k], axis=-1)
    u = (bar - logits) / scale
    load = ndtr(-u).mean(0)
    value = load.var() / load.mean() ** 2
    to_load = 2 / m * (load - load.mean()) / load.mean() ** 2
    to_load -= 2 * value / load.mean() / m
    density = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi) / (scale * n)
    gradient = to_load * density
    gradient[np.arange(n), order[:, k - 1]] -= gradient.sum(-1)
    eps = xp.array(noise)
    check_value_and_gradient(
        xp, lambda x: load_loss(x, k=k, noise=eps, scale=scale), logits, value, gradient
    )


def test_load_keeps_its_tail(xp):
    logits = np.array([[0.0, 9.0]])
    f = lambda x: load_loss(x, k=1, noise=zeros_like(x), scale=1.0)
    small, large = 0.5 * erfc(9 / np.sqrt(2)), 0.5
    assert small == pytest.approx(np.exp(log_ndtr(-9.0)))
    mean = (small + large) / 2
    assert_allclose(float(xp.run(f, xp.array(logits))), ((large - mean) / mean) ** 2, rtol=1e-12)
    slope = 4 * large * small / mean**2 / 4
    assert slope > 0
    gradient = xp.numpy(xp.run(grad(f), xp.array(logits)))
    assert 0 < gradient[0, 1] < 1e-15


def test_sparsity(xp, rng):
    logits = rng.standard_normal((9, 4))
    n, m = logits.shape
    w, active = np.maximum(logits, 0), logits > 0
    check_value_and_gradient(xp, sparsity_loss, logits, w.sum() / n, active / n)
    f = m / (2 * n) * active.sum(0)
    check_value_and_gradient(xp, SHARED["sparsity"], logits, (w * f).sum() / n, active * f / n)


@every_loss
def test_masked_tokens_do_not_count(loss, xp, rng):
    logits, mask = rng.standard_normal((8, 4)), rng.random(8) < 0.6
    logits[~mask] *= 100.0
    expected = loss(np.array(logits[mask]))
    where = xp.array(mask)
    assert_allclose(
        float(xp.run(lambda x: loss(x, where=where), xp.array(logits))), expected, rtol=1e-12
    )
    slope = xp.numpy(xp.run(grad(lambda x: loss(x, where=where)), xp.array(logits)))
    assert np.all(slope[~mask] == 0)
    assert_allclose(slope[mask], grad(loss)(np.array(logits[mask])), rtol=1e-9, atol=1e-12)


@every_loss
def test_second_derivatives(loss, rng):
    logits, along, step = rng.standard_normal((5, 3)), rng.standard_normal((5, 3)), 1e-5
    ahead, behind = (grad(loss)(logits + s * along) for s in (step, -step))
    assert_allclose(hvp(loss, logits, along), (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8)


@every_loss
def test_rows_of_minus_infinity_are_masked(loss, xp, rng):
    logits = rng.standard_normal((5, 3))
    out = np.concatenate([logits, np.full((2, 3), -np.inf)])
    value = xp.run(loss, xp.array(out))
    assert_allclose(float(value), loss(logits), rtol=1e-12)
    assert np.all(np.isfinite(xp.numpy(xp.run(grad(loss), xp.array(out)))))


@every_loss
def test_groups_are_independent(loss, xp, rng):
    logits, mask = rng.standard_normal((2, 3, 5, 4)), rng.random((2, 3, 5)) < 0.7
    mask[1, 1] = False
    where = xp.array(mask)
    got = xp.numpy(xp.run(lambda x: loss(x, where=where), xp.array(logits)))
    expected = [
        [loss(g, where=w) for g, w in zip(*pair, strict=True)]
        for pair in zip(logits, mask, strict=True)
    ]
    assert got.shape == (2, 3) and got[1, 1] == 0
    assert_allclose(got, np.array(expected), rtol=1e-12)


@every_loss
def test_no_tokens(loss, xp):
    for empty in (np.zeros((0, 3)), np.zeros((2, 0, 3))):
        assert np.all(xp.numpy(xp.run(loss, xp.array(empty))) == 0)
    none = xp.array(np.zeros(4, dtype=bool))
    f = lambda x: loss(x, where=none)
    x = xp.array(np.zeros((4, 3)))
    assert float(xp.run(f, x)) == 0
    assert np.all(xp.numpy(xp.run(grad(f), x)) == 0)


@pytest.mark.parametrize("name", ["importance", "gshard", "switch", "sequence", "z", "load"])
def test_a_disabled_expert_is_of_no_consequence_to_slopes(name, xp, rng):
    logits = rng.standard_normal((5, 4))
    logits[:, 1] = -np.inf
    slope = xp.numpy(xp.run(grad(SHARED[name]), xp.array(logits)))
    assert np.all(np.isfinite(slope)) and np.all(slope[:, 1] == 0)


def test_one_expert(xp, rng):
    logits = rng.standard_normal((5, 1))
    ones = {"gshard": gshard_loss, "switch": lambda x: switch_loss(x, k=1)}
    zeros = {
        "importance": importance_loss,
        "load": lambda x: load_loss(x, k=1, noise=zeros_like(x), scale=1.0),
    }
    for losses, value in ((ones, 1), (zeros, 0)):
        for loss in losses.values():
            check_value_and_gradient(xp, loss, logits, value, 0.0)


def test_gshard_is_not_bounded_by_one():
    p = np.array([[0.34, 0.33, 0.33]] * 9 + [[1e-300, 0.51, 0.49]])
    assert float(gshard_loss(np.log(p))) == pytest.approx(0.9306, abs=1e-4)


def test_normalisations_are_those_of_the_peers(rng):
    """Balanced routing gives 1 an assignment, and k a token."""
    logits = 1e-9 * np.stack([np.roll(np.arange(4.0), i) for i in range(4)])
    for k in (1, 2, 3):
        assert float(switch_loss(logits, k=k)) == pytest.approx(1)
        assert float(switch_loss(logits, k=k, normalize="token")) == pytest.approx(k)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 5), st.floats(-3, 3))
def test_shifts_of_tokens_change_nothing_but_z(seed, n, m, shift):
    logits = 2 * np.random.default_rng(seed).standard_normal((n, m))
    moved = logits + shift * np.arange(1, n + 1)[:, None]
    k = 1 + seed % m
    for loss in (
        importance_loss,
        gshard_loss,
        lambda x: switch_loss(x, k=k),
        lambda x: load_loss(x, k=k, noise=zeros_like(x), scale=1 / m),
    ):
        assert_allclose(loss(moved), loss(logits), rtol=1e-7, atol=1e-10)
    assert 0 <= importance_loss(logits) <= m - 1 + 1e-9
    assert 0 <= load_loss(logits, k=k, noise=0.0 * logits, scale=1 / m) <= m - 1 + 1e-9
    assert_allclose(z_loss(moved), np.mean(logsumexp(moved, axis=-1) ** 2), rtol=1e-9)


@given(st.integers(0, 10_000))
def test_order_of_experts_and_tokens_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((6, 4))
    tokens, experts = rng.permutation(6), rng.permutation(4)
    for loss in SHARED.values():
        assert_allclose(loss(logits[tokens][:, experts]), loss(logits), rtol=1e-9)


def test_half_precision_computes_wide():
    torch = pytest.importorskip("torch")
    logits = torch.tensor([[6e4, -6e4, 0.0]] * 3, dtype=torch.float16)
    assert float(importance_loss(logits)) == 2.0
    assert importance_loss(logits).dtype == torch.float16
    assert float(switch_loss(logits, k=1)) == 3.0


@pytest.mark.parametrize("bad", [{"k": 4}, {"k": -1}, {"normalize": "both"}])
def test_switch_says_what_is_wrong(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        switch_loss(np.zeros((2, 3)), **bad)


def test_errors(xp):
    x = xp.array(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="scale"):
        load_loss(x, k=1, noise=x, scale=0.0)
    with pytest.raises(ValueError, match="noise"):
        load_loss(x, k=1, noise=x[..., :2], scale=1.0)
    with pytest.raises(ValueError, match="`k`"):
        sparsity_loss(x, k=0)
    with pytest.raises(ValueError, match="`logits`"):
        z_loss(x[0, ...])
    with pytest.raises(TypeError, match="`where`"):
        z_loss(x, where=x[..., 0])
    with pytest.raises(ValueError, match="`where`"):
        z_loss(x, where=xp.array(np.ones(3, dtype=bool)))
    with pytest.raises(TypeError, match="`k`"):
        switch_loss(x, k=1.5)
    with pytest.raises(TypeError, match="floating"):
        importance_loss(xp.array(np.zeros((2, 3), dtype=int)))


def test_nan_stays(xp):
    x = np.zeros((3, 2))
    x[1, 0] = np.nan
    where = xp.array(np.array([True, False, True]))
    for name, loss in SHARED.items():
        assert np.isnan(float(xp.run(loss, xp.array(x)))), name
        masked = xp.run(lambda x, f=loss: f(x, where=where), xp.array(x))
        assert float(masked) == float(loss(np.zeros((2, 2)))), name
