"""Routers: experiments are the same on every library, and balance comes as published."""

from importlib.util import find_spec

import numpy as np
import pytest

from fenchel.reproduce import Library, Run
from fenchel.reproduce.routers import balance
from fenchel.reproduce.routers.clusters import ROUTERS, Clusters, train

LIBRARIES = [name for name in ("numpy", "torch", "jax") if find_spec(name)]


def run_on(name, tmp_path):
    return Run(Library.named(name), tmp_path, quick=True)


@pytest.mark.parametrize("router", ["batch-prioritized", "softmax expert choice", "soft"])
@pytest.mark.parametrize("name", LIBRARIES)
def test_a_few_steps_are_the_same_everywhere(name, router, tmp_path):
    error, left = train(run_on(name, tmp_path), ROUTERS[router], range(2), 3, router)
    reference, share = train(run_on("numpy", tmp_path), ROUTERS[router], range(2), 3, router)
    assert np.allclose(error, reference, rtol=1e-3)
    assert left == pytest.approx(share, abs=2e-3)


def test_targets_are_the_map_of_the_cluster():
    """Tokens of one cluster determine its map: the least squares of targets leave nothing."""
    task = Clusters(range(1))
    x, y = (v.reshape(-1, v.shape[-1]) for v in task.draw(200))
    centres = task._centres[0]
    cluster = ((x[:, None] - centres) ** 2).sum(-1).argmin(-1)
    assert np.all(np.diff(np.bincount(cluster, minlength=8)[[0, 2, 7]]) < 0)
    own = x[cluster == 0], y[cluster == 0]
    solution, *_ = np.linalg.lstsq(*own, rcond=None)
    assert np.abs(own[0] @ solution - own[1]).max() < 1e-3


def test_training_lowers_the_error(tmp_path):
    run = run_on("numpy", tmp_path)
    before, _ = train(run, ROUTERS["softmax expert choice"], range(1), 0, "start")
    after, _ = train(run, ROUTERS["softmax expert choice"], range(1), 60, "end")
    assert after < 0.6 * before


def test_bias_follows_the_published_course(tmp_path):
    """3.65 at the start, 2.54 after 100 steps."""
    ratios, demands, _ = balance.bias_trace(run_on("numpy", tmp_path), 100)
    assert ratios[0] == pytest.approx(3.65, abs=0.02)
    assert ratios[100] == pytest.approx(2.54, abs=0.05)
    assert np.all(demands.sum(-1) == balance.TOKENS * balance.K)


def test_plans_leave_out_half_as_many(tmp_path):
    for claim in balance.plan_claims(run_on("numpy", tmp_path)):
        assert claim.holds, str(claim)
