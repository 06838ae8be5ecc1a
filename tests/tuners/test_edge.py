"""Thresholds of stability against the spectral radius of companion matrices."""

import numpy as np
import pytest

from fenchel.tuners import (
    Adam,
    GradientDescent,
    Momentum,
    RMSProp,
    edge_of_stability,
    edge_ratio,
    preconditioner_of,
)


def radius(base, product):
    """The spectral radius of a step on the quadratic of curvature `product`, rate 1.

    The matrix is that of the step as a linear map on (w, velocity), by two steps of the base.
    """
    columns = []
    for w, v in ((1.0, 0.0), (0.0, 1.0)):
        direction, velocity = base.update([product * w], [v], [w])
        columns.append([w + direction[0], velocity[0]])
    return np.max(np.abs(np.linalg.eigvals(np.asarray(columns).T)))


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["heavy_ball", "ema", "nesterov"])
def test_momentum_against_its_companion_matrix(kind, beta):
    base = Momentum(beta, kind=kind)
    edge = edge_of_stability(base)
    assert radius(base, 0.999 * edge) <= 1.0
    assert radius(base, 1.001 * edge) > 1.0


def test_the_other_bases():
    assert edge_of_stability(GradientDescent()) == edge_of_stability(RMSProp()) == 2.0
    assert edge_of_stability(Adam(0.9)) == pytest.approx(38.0)
    assert edge_of_stability(Adam(0.7)) == edge_of_stability(Momentum(0.7, kind="ema"))
    with pytest.raises(TypeError, match="`base` must be GradientDescent, Momentum, Adam or RMSP"):
        edge_of_stability(lambda g: g)


def test_the_ratio_is_one_at_the_edge():
    assert edge_ratio(np.asarray([0.5, 1.0]), 4.0, GradientDescent()) == pytest.approx([1.0, 2.0])


@pytest.mark.parametrize("factor, diverges", [(0.99, False), (1.02, True)])
def test_adam_with_a_frozen_preconditioner(factor, diverges):
    # beta2 = 1 in effect: v_hat is that of the first gradient while the steps stay small.
    base, curvature, w = Momentum(0.9, kind="ema"), 3.0, 1.0
    rate, velocity = factor * edge_of_stability(Adam()) / curvature, [0.0]
    for _ in range(2000):
        direction, velocity = base.update([curvature * w], velocity, [w])
        w = w + rate * direction[0]
    assert (abs(w) > 1.0) is diverges


def test_the_preconditioner_of_adam_holds_both_corrections():
    """A step adds rate m / P: P = (1 - beta1^t) (sqrt(v / (1 - beta2^t)) + eps)."""
    base, w = Adam(beta1=0.8, beta2=0.9, eps=0.5), np.zeros(2)
    state = base.init(w)
    for t in (1, 2, 3):
        gradient = np.asarray([2.0, -3.0]) * t
        direction, state = base.update(gradient, state, w)
        scale = preconditioner_of(base, state)
        np.testing.assert_allclose(direction, -state.mean / scale, rtol=1e-12)
        square = np.sqrt(state.square / (1.0 - 0.9**t)) + 0.5
        np.testing.assert_allclose(scale, (1.0 - 0.8**t) * square, rtol=1e-12)
