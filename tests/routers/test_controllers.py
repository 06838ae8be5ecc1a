"""Controllers as pure transitions, and the capacities of the peers."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fenchel.routers import BiasBalance, SparsityControl, expert_capacity


def test_bias_moves_against_the_load(xp):
    bias, counts = np.array([0.1, -0.2, 0.3, 0.0]), np.array([9, 1, 5, 5])
    for values in (counts, counts.astype(float)):
        new = xp.run(BiasBalance(rate=0.25).step, xp.array(bias), xp.array(values))
        assert_allclose(xp.numpy(new), bias + 0.25 * np.array([-1, 1, 0, 0]))


def test_bias_stays_where_loads_are_equal(xp):
    """Also where a sum of the counts would round in float32."""
    counts = np.full(7, 16_777_217)
    bias = xp.array(np.zeros(7), dtype="float32")
    assert np.all(xp.numpy(xp.run(BiasBalance().step, bias, xp.array(counts))) == 0)


def test_centred_update_keeps_the_mean(xp):
    bias = xp.array(np.array([0.5, 0.5, -0.1]))
    new = xp.run(BiasBalance(0.3, center=True).step, bias, xp.array(np.array([8, 1, 1])))
    assert_allclose(xp.numpy(new), np.array([0.5, 0.5, -0.1]) + [-0.4, 0.2, 0.2])


def test_bias_of_batches(xp, rng):
    bias, counts = rng.standard_normal((2, 4)), rng.integers(0, 9, (2, 4))
    new = xp.numpy(BiasBalance(0.1).step(xp.array(bias), xp.array(counts)))
    for row in range(2):
        assert_allclose(new[row], BiasBalance(0.1).step(bias[row], counts[row]))


def test_bias_carries_no_gradient():
    torch = pytest.importorskip("torch")
    bias = torch.zeros(3, requires_grad=True)
    assert not BiasBalance().step(bias, torch.tensor([1, 2, 3])).requires_grad


@pytest.mark.parametrize(("sparsity", "power"), [(0.5, 1), (0.75, 0), (0.9, -1)])
def test_sparsity_control(xp, sparsity, power):
    control = SparsityControl(0.75, factor=1.2)
    assert control.step(1e-8, sparsity) == pytest.approx(1e-8 * 1.2**power, rel=1e-15)
    coefficient, measured = xp.array(np.asarray(1e-8)), xp.array(np.asarray(sparsity))
    expected = 1e-8 * 1.2**power
    assert_allclose(float(xp.run(control.step, coefficient, measured)), expected, rtol=1e-12)
    assert_allclose(float(control.step(coefficient, sparsity)), expected, rtol=1e-12)
    assert_allclose(float(control.step(1e-8, measured)), expected, rtol=1e-12)


def test_controllers_are_values():
    for control in (BiasBalance(0.1, center=True), SparsityControl(0.5)):
        assert pickle.loads(pickle.dumps(control)) == control
        assert hash(control) == hash(pickle.loads(pickle.dumps(control)))


def test_controllers_check_their_numbers():
    with pytest.raises(ValueError, match="rate"):
        BiasBalance(-1.0)
    with pytest.raises(ValueError, match="target"):
        SparsityControl(1.5)
    with pytest.raises(ValueError, match="factor"):
        SparsityControl(0.5, factor=0.5)


@pytest.mark.parametrize(
    ("preset", "multiple_of", "rows"),
    [
        ("vmoe", None, 16),
        ("vmoe", 1, 13),
        ("megatron", None, 13),
        ("megablocks", None, 12),
        ("tutel", None, 14),
        ("flaxformer", None, 6),
        ("expert_choice", 1, 7),
        ("expert_choice", None, 8),
    ],
)
def test_capacities_of_the_peers(preset, multiple_of, rows):
    assert expert_capacity(196, 32, 2, 1.05, preset=preset, multiple_of=multiple_of) == rows


def test_dropless_capacities():
    for preset in ("megablocks", "tutel"):
        assert expert_capacity(100, 4, 2, 0.0, preset=preset) is None
    assert expert_capacity(100, 4, 2, -1.25, preset="tutel") == 2 * 31
    assert expert_capacity(100, 4, 2, 0.0) == 0


@given(st.integers(0, 500), st.integers(1, 64), st.integers(1, 8), st.floats(1.0, 4.0))
def test_factor_one_has_room_for_balance(n, m, k, factor):
    k = min(k, m)
    assert expert_capacity(n, m, k, factor) * m >= n * k
    assert expert_capacity(n, m, k, factor) % 4 == 0


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((-1, 4, 1, 1.0), "n_tokens"),
        ((8, 0, 1, 1.0), "n_experts"),
        ((8, 4, 5, 1.0), "`k`"),
        ((8, 4, 1, -1.0), "factor"),
        ((8, 4, 1, float("nan")), "factor"),
    ],
)
def test_capacity_says_what_is_wrong(arguments, name):
    with pytest.raises(ValueError, match=name):
        expert_capacity(*arguments)
    with pytest.raises(ValueError, match="preset"):
        expert_capacity(8, 4, 1, 1.0, preset="none")


def test_same_bits_everywhere(xp):
    """The transition is the same on every library."""
    bias, counts = np.linspace(-1, 1, 5), np.array([3, 1, 4, 1, 5])
    new = xp.run(BiasBalance(1e-3).step, xp.array(bias), xp.array(counts))
    assert_array_equal(xp.numpy(new), BiasBalance(1e-3).step(bias, counts))
