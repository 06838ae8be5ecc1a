"""Training with directions of oracles: the same on every library, and held to its claims."""

from importlib.util import find_spec

import pytest

from fenchel.losses import squared
from fenchel.oracles import GaussNewton
from fenchel.reproduce import Library
from fenchel.reproduce.oracles.network import adam, predict, sgd, train, unit_steps

LIBRARIES = [name for name in ("numpy", "array_api_strict", "torch", "jax") if find_spec(name)]


def short(name, maker, steps=4):
    library = Library.named(name)
    step, state = maker(library)
    return train(library, "squared", step, state, size=32, steps=steps, seed=0)


def direction(library):
    return unit_steps(GaussNewton(squared, predict, gamma=10.0, max_iter=5, rtol=0.0))


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_few_steps_are_the_same_everywhere(name):
    for maker in (lambda lib: sgd(lib, "squared", 0.1), lambda lib: adam(lib, "squared", 0.01)):
        assert short(name, maker).loss == pytest.approx(short("numpy", maker).loss, rel=1e-4)
    outcome = short(name, direction)
    assert outcome.loss == pytest.approx(short("numpy", direction).loss, rel=1e-3)
    assert outcome.slope < 0


def test_directions_beat_gradients():
    gradient = short("numpy", lambda lib: sgd(lib, "squared", 0.3), 80).loss
    assert short("numpy", direction, 80).loss < 0.9 * gradient
