"""Realignment against training: the same on every library, and held to its claims."""

from importlib.util import find_spec

import pytest

from fenchel.reproduce import Library, Run, paper
from fenchel.reproduce.alignment import enumerated, realignment

LIBRARIES = [name for name in ("numpy", "array_api_strict", "torch", "jax") if find_spec(name)]


@pytest.mark.parametrize("name", LIBRARIES)
def test_identities_hold_on_every_library(name, tmp_path):
    found = list(enumerated.claims(Run(Library.named(name), tmp_path)))
    assert len(found) == 5 and all(claim.holds for claim in found)


def test_verdicts_can_fail():
    rewards = [1.0, 2.0, 3.0]
    good = realignment.Outcome((0.5, 1.0, 2.0), rewards, rewards, rewards, [1.0, 1.0, 0.9])
    assert all(claim.holds for claim in realignment.verdicts(good))
    off = realignment.Outcome((0.5, 1.0, 2.0), rewards, rewards, [1.0, 2.2, 3.0], [1.0, 1.0, 0.2])
    assert [claim.holds for claim in realignment.verdicts(off)] == [False, False, True, False]


def test_the_paper_is_registered():
    assert paper("dera").reference == "ICML 2024, arXiv 2402.02992"
