"""The recurrences of learning rate and sharpness: closed forms, the loss they descend, numbers."""

import numpy as np
import pytest

from fenchel import grad
from fenchel.tuners import SharpeningLoss, joint_dynamics, sharpness

CDAT = {
    "x": 0.1,
    "sharpness": 5.0,
    "progressive": 0.01,
    "stabilizing": 0.1,
    "bulk_gradient": 0.02,
    "bulk_curvature": 4.0,
}
CONSTANT = {
    "x": 0.1,
    "sharpness": 9.5,
    "progressive": 0.02,
    "stabilizing": 0.2,
    "learning_rate": 0.2,
}


def test_undershooting_follows_its_closed_forms():
    steps, margin, growth = 20000, 0.1, 1.0
    course = joint_dynamics(
        "undershoot",
        steps,
        x=0.1,
        sharpness=5.0,
        progressive=growth,
        stabilizing=0.1,
        margin=margin,
    )
    t = np.arange(steps + 1)
    law = np.sqrt(25.0 + 4 * (1 - margin) * growth * t)
    assert law[-1] == pytest.approx(268.375, abs=1e-3)
    assert course.sharpness[-2:] == pytest.approx([268.381, 268.388], abs=1e-3)
    assert course.sharpness[100:] == pytest.approx(law[100:], rel=0.02)
    assert np.abs(course.x[:100]) == pytest.approx(0.1 * (1 - 2 * margin) ** t[:100])
    assert course.learning_rate * course.sharpness[:-1] - 2.0 == pytest.approx(
        np.full(steps, -2 * margin)
    )


def test_a_constant_rate_oscillates_around_the_edge():
    seen = joint_dynamics("constant", 1000, **CONSTANT).sharpness[500:]
    assert seen.mean() == pytest.approx(10.003, abs=2e-3)
    assert (seen.min(), seen.max()) == pytest.approx((9.2, 10.7), abs=0.05)


@pytest.mark.parametrize(
    "scaling, expected",
    [(2.0, (5.23, 5.03, 4.08, 4.25)), (1.95, (5.36, 7.90, 14.7, 28.4))],
)
def test_cdat_at_the_edge_and_below(scaling, expected):
    course = joint_dynamics("cdat", 20000, scaling=scaling, **CDAT)
    found = course.sharpness[[100, 1000, 5000, 20000]]
    assert found == pytest.approx(expected, rel=2.5e-3)
    excess = course.learning_rate[-10000:] * course.sharpness[-10001:-1] - 2.0
    assert abs(excess.mean()) < 5e-3


def test_cdat_above_the_edge_diverges():
    course = joint_dynamics("cdat", 2000, scaling=2.02, **CDAT)
    assert np.max(np.abs(course.sharpness)) > 1e6


def test_gradient_descent_on_the_loss_is_the_recurrence():
    loss = SharpeningLoss(9.5, progressive=0.02, stabilizing=0.2)
    params = {"x": np.asarray(0.1), "z": np.asarray(0.0)}
    course = joint_dynamics("constant", 200, **CONSTANT)
    for t in range(200):
        assert params["x"] == pytest.approx(course.x[t], rel=1e-6)
        assert loss.sharpness_at(params) == pytest.approx(course.sharpness[t], rel=1e-9)
        slope = grad(loss)(params)
        params = {name: params[name] - 0.2 * slope[name] for name in params}


def test_the_sharpness_of_the_loss():
    loss = SharpeningLoss(7.0, progressive=0.02, stabilizing=0.2)
    params = {"x": np.asarray(0.0), "z": np.asarray(1.5)}
    assert sharpness(loss, params).value == pytest.approx(loss.sharpness_at(params))


@pytest.mark.parametrize("tuner", ["constant", "undershoot", "cdat"])
def test_arrays_of_every_library_equal_floats(xp, tuner):
    options = {"constant": {"learning_rate": 0.2}, "undershoot": {"margin": 0.1}}.get(tuner, {})
    starts = np.asarray([0.1, 0.3])
    fixed = {"sharpness": 9.5, "progressive": 0.02, "stabilizing": 0.2, **options}

    def course(x):
        return tuple(joint_dynamics(tuner, 30, x=x, **fixed))

    found = xp.numpy(xp.run(course, xp.array(starts)))
    for i, start in enumerate(starts):
        alone = joint_dynamics(tuner, 30, x=start, **fixed)
        for batch, single in zip(found, alone, strict=True):
            assert batch[:, i] == pytest.approx(single, rel=1e-9)


def test_no_steps_and_what_is_refused():
    course = joint_dynamics("cdat", 0, **CDAT)
    assert [part.shape for part in course] == [(1,), (1,), (0,)]
    arrays = joint_dynamics("cdat", 0, **{**CDAT, "x": np.asarray(0.1)})
    assert [part.shape for part in arrays] == [(1,), (1,), (0,)]
    with pytest.raises(ValueError, match="`learning_rate` must be given for tuner='constant'"):
        joint_dynamics("constant", 3, **CDAT)
    with pytest.raises(ValueError, match="`tuner` must be one of constant, undershoot, cdat"):
        joint_dynamics("newton", 3, **CDAT)
    with pytest.raises(ValueError, match="`stabilizing` must be above 0"):
        SharpeningLoss(1.0, progressive=0.1, stabilizing=0.0)
