"""Directions and sharpness inside code that torch.compile traces: run as they are."""

import numpy as np
import pytest

import fenchel
from fenchel.losses import logistic
from fenchel.oracles import ArmijoStep, GaussNewton
from fenchel.trees import leaves
from fenchel.tuners import sharpness

torch = pytest.importorskip("torch")


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    params = {
        "a": torch.tensor(rng.normal(size=(3, 4))),
        "b": torch.tensor(rng.normal(size=(4, 2))),
    }
    return params, torch.tensor(rng.normal(size=(6, 3))), torch.tensor(rng.integers(0, 2, 6))


def predict(params, x):
    xp = fenchel.namespace(x)
    return xp.matmul(xp.tanh(xp.matmul(x, params["a"])), params["b"])


def objective(params, x, y):
    return logistic(predict(params, x), y)


def stepped(params, x, y):
    oracle, update = GaussNewton(logistic, predict, gamma=2.0), ArmijoStep()
    return update.step(oracle, params, update.init(params), x, y)


CASES = {
    "dual": lambda p, x, y: GaussNewton(logistic, predict).direction(p, x, y),
    "Armijo": stepped,
    "sharpness": lambda p, x, y: sharpness(objective, p, x, y, max_iter=6),
}


@pytest.mark.parametrize("name", CASES)
def test_compiled_code_gives_the_same_numbers(problem, name):
    # What comes before and after is compiled: the scaling here.
    def scaled(params, x, y):
        found = CASES[name]({k: 2.0 * v for k, v in params.items()}, x, y)
        return found, leaves(found)[0] * 3.0

    compiled = torch.compile(scaled, backend="eager")
    for got, expected in zip(leaves(compiled(*problem)), leaves(scaled(*problem)), strict=True):
        np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=1e-12)


def test_derivatives_through_compiled_code(problem):
    params, x, y = problem
    gradients = []
    for transform in (lambda f: f, lambda f: torch.compile(f, backend="eager")):
        scale = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)

        def size(gamma):
            oracle = GaussNewton(logistic, predict, gamma=gamma, rtol=0.0, max_iter=20)
            return (oracle.direction(params, x, y)[0]["b"] ** 2).sum() * 2.0

        transform(size)(scale).backward()
        gradients.append(float(scale.grad))
    assert gradients[0] != 0.0 and gradients[1] == pytest.approx(gradients[0], rel=1e-12)
