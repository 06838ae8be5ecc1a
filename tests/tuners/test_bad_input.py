"""What is refused, and how: the argument, the requirement, what came."""

import numpy as np
import pytest

from fenchel import namespace
from fenchel.tuners import (
    CDAT,
    Armijo,
    Constant,
    NonMonotone,
    Polyak,
    StrongWolfe,
    cdat_rule,
    compare,
    hessian_trace,
    joint_dynamics,
    sharpness,
    spectral_density,
    warmup_constant,
)

W = np.asarray([1.0, 2.0])
torch = pytest.importorskip("torch")


def square(w):
    xp = namespace(w)
    return xp.sum(xp.multiply(w, w))


def step(params=W, objective=square, tuner=None):
    tuner = tuner or CDAT()
    return tuner.step(objective, params, tuner.init(params))


MODEL = {"x": 1.0, "sharpness": 1.0, "progressive": 0.1, "stabilizing": 0.1}
TYPES = {
    "numbers for parameters": (lambda: step([1.0, 2.0]), r"`params\[0\]` must be a floating array"),
    "integers for parameters": (lambda: step(np.asarray([1, 2])), "`params` must have a real"),
    "integers from the start": (lambda: CDAT().init({"a": np.asarray([1])}), r"`params\['a'\]`"),
    "complex parameters": (lambda: step(W + 1j), "`params` must have a real floating"),
    "two libraries": (
        lambda: step([W, torch.ones(2)], lambda p: square(p[0])),
        "both numpy .* and torch",
    ),
    "no objective": (lambda: step(objective=None), "`objective` must be callable; got NoneType"),
    "no guard": (lambda: CDAT(guard=3), "`guard` must be NonMonotone or None; got int"),
    "every": (lambda: CDAT(every=2.5), "`every` must be an integer; got float"),
    "memory": (lambda: NonMonotone(2.5), "`memory` must be an integer; got float"),
    "backtracks": (lambda: NonMonotone(max_backtracks=True), "`max_backtracks` must be an int"),
    "trials of Armijo": (lambda: Armijo(max_iter=2.5), "`max_iter` must be an integer"),
    "trials of Wolfe": (lambda: StrongWolfe(max_iter="a"), "`max_iter` must be an integer"),
    "lower bound": (lambda: Polyak(f_min="a"), "`f_min` must be a real number; got str"),
    "warm-up": (lambda: warmup_constant(1.0, 2.5), "`warmup` must be an integer"),
    "text for a slope": (lambda: cdat_rule("a", 1.0), "`n` must be a number or an array"),
    "list for a curvature": (lambda: cdat_rule(1.0, [1.0]), "`d` must be a number or an array"),
    "sharpness of integers": (lambda: sharpness(square, np.asarray([1, 2])), "`params` must have"),
    "how many": (lambda: sharpness(square, W, k=1.5), "`k` must be an integer"),
    "how long": (lambda: sharpness(square, W, max_iter=2.5), "`max_iter` must be an integer"),
    "another library": (
        lambda: sharpness(square, W, preconditioner=torch.ones(2)),
        "`preconditioner` must hold arrays of numpy; got one of torch",
    ),
    "samples": (lambda: hessian_trace(square, W, num_samples="a"), "`num_samples` must be an int"),
    "directions": (lambda: spectral_density(square, W, num_samples=1.5), "`num_samples` must be"),
    "steps": (lambda: joint_dynamics("cdat", 2.5, **MODEL), "`steps` must be an integer"),
    "one tuner": (lambda: compare(CDAT(), square, W), "`tuners` must be tuners by name"),
    "no tuner": (lambda: compare([3], square, W), "`tuners` must hold tuners; got int"),
}
VALUES = {
    "a vector": (lambda: step(objective=lambda w: w * w), r"`objective` must return .* got \(2,\)"),
    "vector for a slope": (lambda: cdat_rule(W, 1.0), r"`n` must have the shape \(\); got \(2,\)"),
    "lower bound": (lambda: Polyak(f_min=np.nan), "`f_min` must be a number; got f_min=nan"),
    "start": (lambda: sharpness(square, W, start=np.ones(3)), r"`start` must have .* got \(3,\)"),
    "starts": (lambda: sharpness(square, W, k=2, start=W), r"`start` must have .* for \(2, 2\)"),
}


@pytest.mark.parametrize("name", TYPES)
def test_types(name):
    call, message = TYPES[name]
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    call, message = VALUES[name]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "tuner", [CDAT(), Armijo(), Constant(0.25)], ids=lambda t: type(t).__name__
)
def test_layouts_of_arrays(tuner):
    """Read-only, strided, of the other byte order: the same step, and nothing is written."""
    expected = step(W.copy(), tuner=tuner)[0]
    locked, strided = W.copy(), np.repeat(W, 2)[::2]
    locked.flags.writeable = False
    for params in (locked, strided, W.astype(">f8")):
        np.testing.assert_array_equal(step(params, tuner=tuner)[0], expected)
        np.testing.assert_array_equal(params, W)
