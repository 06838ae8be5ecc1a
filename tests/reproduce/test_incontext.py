"""The experiments on in-context learning: short forms of them."""

from pathlib import Path

import numpy as np
import pytest

from fenchel.reproduce import Library, Run
from fenchel.reproduce.incontext import descent, layers, minima, positions, words


@pytest.fixture(params=["numpy", "torch"])
def run(request, tmp_path):
    return Run(Library.named(request.param), tmp_path / "out", quick=True)


def test_descent_on_unitary_contexts(run):
    found = descent.Descent(run, "unitary", 10, 0.01, 1500)
    assert found.losses[0] == pytest.approx(190.2, abs=1.0)
    assert found.losses[-1] < 1e-10
    assert np.abs(found.product - np.eye(10)).max() < 1e-4


def test_smallest_losses(tmp_path):
    run = Run(Library.named("numpy"), tmp_path, quick=True)
    assert minima._smallest(run, "rotation", 4, 1) == pytest.approx(2.0, abs=1e-4)
    useless, rate = minima._augmented(run, 2, 5, "previous")
    assert useless < 1e-5 and rate < 1e-6


def test_positions_blur(run):
    claims = list(positions.claims(run))
    assert all(claim.holds for claim in claims)
    assert (run.output / "positions.png").exists()


def test_a_few_steps_of_training(tmp_path):
    run, data = Run(Library.named("numpy"), tmp_path), layers.Data("orthogonal", 5)
    trained = layers.Trained(run, data, steps=51, depth=2)
    assert trained.losses[-1] < trained.losses[0]
    assert np.isfinite(trained.error) and trained.predicted.shape == data.test.shape
    assert data.error(np.zeros_like(data.test)) == pytest.approx(1.0)


def test_dominant_blocks_are_found():
    params = 0.01 * np.ones((2, 1, 9, 9))
    params[0, 0, 6:9, 3:6] = np.eye(3)
    params[1, 0, 0:3, 3:6] = np.eye(3)
    assert layers._dominance(params) == pytest.approx(np.sqrt(3) / 0.03)


def test_windows_and_repetitions():
    windows = np.asarray([[1, 2, 3, 4, 5], [1, 2, 1, 4, 5]])
    assert words._repeats(windows).tolist() == [False, True]
    texts = words._docstrings(Path(__file__))
    assert texts[0][:3] == ["the", "experiments", "on"]
