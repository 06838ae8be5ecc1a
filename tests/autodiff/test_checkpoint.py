"""Chains with few states: the derivatives of the plain chain, and the steps that are promised."""

from itertools import pairwise
from math import ceil, comb, log2

import numpy as np
import pytest

from fenchel import namespace
from fenchel.autodiff import checkpoint_chain, checkpoint_cost, grad, hvp, jvp
from fenchel.autodiff.schedules import SCHEDULES

STATE, WEIGHT = np.asarray([0.3, -0.8, 1.2]), np.asarray([0.5, -1.5, 0.7])


def step(s, k):
    xp = namespace(s["x"])
    return {"x": s["x"] + 0.1 * (k + 1) * xp.sin(s["x"] * s["w"]), "w": s["w"]}


def value(s, n, slots, schedule):
    return namespace(s["x"]).sum(checkpoint_chain(step, s, n, slots=slots, schedule=schedule)["x"])


def plain(s, n):
    for k in range(n):
        s = step(s, k)
    return namespace(s["x"]).sum(s["x"])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("slots", [1, 3])
def test_derivatives_are_those_of_the_plain_chain(xp, schedule, slots):
    s = {"x": xp.array(STATE), "w": xp.array(WEIGHT)}
    found = grad(lambda s: value(s, 7, slots, schedule))(s)
    wanted = grad(lambda s: plain(s, 7))({"x": STATE, "w": WEIGHT})
    for name in ("x", "w"):
        np.testing.assert_allclose(xp.numpy(found[name]), wanted[name], rtol=1e-12, atol=1e-13)


def test_forward_mode_and_second_derivatives(xp):
    s, v = ({"x": xp.array(a), "w": xp.array(b)} for a, b in ((STATE, WEIGHT), (WEIGHT, STATE)))
    here, along = {"x": STATE, "w": WEIGHT}, {"x": WEIGHT, "w": STATE}
    found = jvp(lambda s: value(s, 6, 2, "revolve"), (s,), (v,))[1]
    wanted = jvp(lambda s: plain(s, 6), (here,), (along,))[1]
    np.testing.assert_allclose(xp.numpy(found), wanted, rtol=1e-12)
    second = hvp(lambda s: value(s, 6, 2, "revolve"), s, v)
    exact = hvp(lambda s: plain(s, 6), here, along)
    np.testing.assert_allclose(xp.numpy(second["x"]), exact["x"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("n", "slots"), [(1, 1), (2, 1), (6, 1), (10, 3), (23, 4), (16, 9)])
def test_steps_run_are_those_of_the_cost(schedule, n, slots):
    calls = []

    def counted(s, k):
        calls.append(k)
        return s * 1.5

    grad(lambda s: checkpoint_chain(counted, s, n, slots=slots, schedule=schedule))(np.asarray(1.0))
    # Each step is run once for the value, then as the schedule says, and once to be recorded.
    recorded = len(calls) - n - checkpoint_cost(n, slots, schedule=schedule)[0]
    assert 0 <= recorded <= n
    assert set(calls) == set(range(n))


def test_torch_runs_the_steps_of_the_cost_and_no_more():
    torch = pytest.importorskip("torch")
    calls = []

    def counted(s, k):
        calls.append(k)
        return torch.sin(s)

    x = torch.tensor(0.5, requires_grad=True)
    checkpoint_chain(counted, x, 20, slots=3).backward()
    assert len(calls) <= 20 + checkpoint_cost(20, 3)[0] + 20


def test_arrays_that_a_step_closes_over_are_differentiated(xp):
    def of(w):
        return checkpoint_chain(lambda s, k: namespace(w).multiply(s, w), w, 5, slots=2)

    assert float(grad(of)(xp.array(1.1))) == pytest.approx(6 * 1.1**5, rel=1e-12)


@pytest.mark.parametrize("schedule", ["revolve", "dp"])
def test_least_costs(schedule):
    known = {(10, 3): 15, (100, 5): 316, (100, 10): 222}
    for (n, slots), extra in known.items():
        assert checkpoint_cost(n, slots, schedule=schedule)[0] == extra
    for n in range(2, 40):
        for slots in range(2, 7):
            t = next(t for t in range(1, n) if comb(slots + t, slots) >= n)
            extra, peak = checkpoint_cost(n, slots, schedule=schedule)
            assert extra == t * n - comb(slots + t, t - 1)
            assert peak <= slots


def test_cost_of_a_long_chain():
    assert checkpoint_cost(300, 8) == (980, 8)
    assert checkpoint_cost(0, 3) == (0, 0)
    assert checkpoint_cost(1, 3) == (0, 1)
    assert checkpoint_cost(7, 1) == (21, 1)


@pytest.mark.parametrize("n", [2, 5, 100, 1024])
def test_halving_needs_a_logarithm_of_states(n):
    def halved(n):
        return 0 if n == 1 else n // 2 + halved(n // 2) + halved(n - n // 2)

    assert checkpoint_cost(n, 64, schedule="halving") == (halved(n), 1 + ceil(log2(n)))


def test_online_costs_no_less_than_the_best_and_falls_with_slots():
    for n in (5, 17, 60):
        found = [checkpoint_cost(n, slots, schedule="online") for slots in range(1, 9)]
        best = [checkpoint_cost(n, slots)[0] for slots in range(1, 9)]
        assert all(extra >= least for (extra, _), least in zip(found, best, strict=True))
        assert all(a[0] >= b[0] for a, b in pairwise(found))
        assert all(peak <= slots for slots, (_, peak) in enumerate(found, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": -1}, "`n` must be"),
        ({"slots": 0}, "`slots` must be"),
        ({"schedule": "treeverse"}, "`schedule` must be one of"),
    ],
)
def test_wrong_arguments(options, message):
    given = {"n": 3, "slots": 2, "schedule": "revolve", **options}
    with pytest.raises(ValueError, match=message):
        checkpoint_cost(given["n"], given["slots"], schedule=given["schedule"])
    with pytest.raises(ValueError, match=message):
        checkpoint_chain(
            lambda s, k: s, np.ones(2), given["n"], slots=given["slots"], schedule=given["schedule"]
        )
