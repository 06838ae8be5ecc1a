"""Implicit diffusion in its short forms, held to its claims."""

from importlib.util import find_spec

import numpy as np
import pytest

from fenchel import trees
from fenchel.diffusion import DenoisingSampler, PathKL, RandomStream, Reward
from fenchel.reproduce import Library, Run, paper
from fenchel.reproduce.diffusion import gaussian, memory, queue, rivals, score, sheets

LIBRARIES = [name for name in ("numpy", "torch", "jax") if find_spec(name)]


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_center_of_a_gaussian(name, tmp_path):
    run = Run(Library.named(name), tmp_path, quick=True)
    found = list(gaussian.claims(run))
    assert found and all(claim.holds for claim in found), [str(claim) for claim in found]


def test_queues(tmp_path):
    run = Run(Library.named("numpy"), tmp_path, quick=True)
    found = list(queue.claims(run))
    assert len(found) == 2 and all(claim.holds for claim in found), [str(c) for c in found]


def test_rivals_of_the_adjoint():
    """Through all steps it is the adjoint; the likelihood ratio has its direction on average."""
    run = Run(Library.named("numpy"), None, quick=True)
    params = score.pretrained(run, 50, batch=16)
    first = trees.map(lambda w: 1.01 * w, params)
    sampler = DenoisingSampler(score.score, score.HORIZON, score.STEPS, shape=(sheets.BATCH, 64))
    near = PathKL(lambda y, t: score.score(y, t, first))
    ways = {
        "adjoint": lambda stream: adjoint(
            sampler, -Reward(sheets.brightness) + 0.01 * near, stream
        ),
        "by chance": lambda stream: rivals.likelihood_ratio(first, 100.0)(params, stream),
    }

    def adjoint(sampler, objective, stream):
        state, states = sampler.init(stream, params), []
        for _ in range(score.STEPS):
            states.append(state.x)
            state = sampler.step(state, params)
        return sampler.gradient(objective, params, np.stack([*states, state.x]))[1]

    streams = RandomStream(0).split(8)
    exact, by_chance = (
        [np.concatenate([np.ravel(leaf) for leaf in trees.leaves(way(s))]) for s in streams]
        for way in ways.values()
    )
    through = trees.leaves(rivals.truncated(first, 100.0, score.STEPS)(params, streams[0]))
    flat = np.concatenate([np.ravel(leaf) for leaf in through])
    np.testing.assert_allclose(flat, exact[0], rtol=1e-9, atol=1e-9 * np.abs(flat).max())
    assert np.corrcoef(np.sum(exact, axis=0), np.sum(by_chance, axis=0))[0, 1] > 0.2


def test_sizes_below_the_noise_count_as_noise():
    assert memory._over(0.05, 0.02) == 1.0
    assert memory._over(2.0, 0.5) == 4.0
    assert memory._over(None, 1.0) == 0.1


def test_the_paper_is_registered():
    assert "2402.05468" in paper("diffusion").reference
