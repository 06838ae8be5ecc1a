"""Implicit diffusion in its short forms, held to its claims."""

from importlib.util import find_spec

import pytest

from fenchel.reproduce import Library, Run, paper
from fenchel.reproduce.diffusion import gaussian, memory, queue

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


def test_sizes_below_the_noise_count_as_noise():
    assert memory._over(0.05, 0.02) == 1.0
    assert memory._over(2.0, 0.5) == 4.0
    assert memory._over(None, 1.0) == 0.1


def test_the_paper_is_registered():
    assert "2402.05468" in paper("diffusion").reference
