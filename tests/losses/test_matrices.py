"""Losses whose targets are matrices: one number an event, against the definition."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from fenchel.autodiff import grad
from fenchel.convex import Birkhoff, PSDCone
from fenchel.losses import FenchelYoung, Fitzpatrick
from fenchel.regularizers import Entropic, SquaredNorm


@pytest.fixture
def rankings(rng):
    scores = rng.standard_normal((4, 3, 3))
    return scores, np.stack([np.eye(3)[rng.permutation(3)] for _ in range(4)])


def test_squared_norm_on_the_birkhoff_polytope(xp, rankings):
    scores, target = (xp.array(a) for a in rankings)
    rows = xp.numpy(FenchelYoung(SquaredNorm(Birkhoff()))(scores, target, reduction="none"))
    x, y = rankings
    p = np.stack([Birkhoff().project(one) for one in x])
    best = (p * x - p**2 / 2).sum((1, 2))
    assert rows == pytest.approx(best + (y**2 / 2 - x * y).sum((1, 2)), abs=1e-5)


def test_fitzpatrick_lies_below(rankings):
    omega = SquaredNorm(Birkhoff())
    young, fitzpatrick = (
        make(omega)(*rankings, reduction="none") for make in (FenchelYoung, Fitzpatrick)
    )
    assert young.shape == fitzpatrick.shape == (4,)
    assert np.all(fitzpatrick <= young + 1e-12)


@pytest.mark.parametrize("make", [SquaredNorm, Entropic])
def test_the_mean_is_over_events(rankings, make):
    loss = FenchelYoung(make(Birkhoff()))
    value, slope = loss.value_and_grad(*rankings)
    assert value == pytest.approx(loss(*rankings, reduction="none").mean())
    assert slope == pytest.approx((loss.link(rankings[0]) - rankings[1]) / 4, abs=1e-8)
    assert grad(lambda x: loss(x, rankings[1]))(rankings[0]) == pytest.approx(slope, abs=1e-8)


def test_large_scores_make_the_assignment_loss(rankings):
    """Far from the regularizer's scale the loss is the regret of the best permutation."""
    scores, target = 1e4 * rankings[0], rankings[1]
    regrets = []
    for x, y in zip(scores, target, strict=True):
        rows, columns = linear_sum_assignment(-x)
        regrets.append(x[rows, columns].sum() - (x * y).sum())
    loss = FenchelYoung(SquaredNorm(Birkhoff()))(scores, target, reduction="none")
    assert loss == pytest.approx(np.array(regrets), rel=1e-6, abs=1e-6)


def test_a_projection_has_no_loss(rng):
    x = rng.standard_normal((2, 3, 3))
    x = x + x.swapaxes(1, 2)
    loss = FenchelYoung(SquaredNorm(PSDCone()))
    assert loss(x, PSDCone().project(x), reduction="none") == pytest.approx(np.zeros(2), abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": 0}, "`axis` must be -1"),
        ({"weight": np.ones(3)}, "must be left out"),
        ({"ignore_index": 0}, "must be left out"),
        ({"label_smoothing": 0.1}, "must be left out"),
    ],
)
def test_options_of_classes_are_refused(rankings, options, message):
    with pytest.raises(ValueError, match=message):
        FenchelYoung(SquaredNorm(Birkhoff()))(*rankings, **options)


def test_classes_are_refused(rankings):
    with pytest.raises(ValueError, match="`target` must be dense matrices"):
        FenchelYoung(SquaredNorm(Birkhoff()))(rankings[0], np.zeros((4, 3), dtype=int))
