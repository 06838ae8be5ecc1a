"""Tuners side by side: courses against what the tuners do by themselves, and the figure."""

import numpy as np
import pytest

from fenchel.autodiff import hessian
from fenchel.tuners import CDAT, Adam, Constant, Momentum, RMSProp, compare

CURVATURES = np.asarray([1.0, 4.0, 10.0])


def bowl(w):
    return np.sum(CURVATURES * w**2) / 2


def test_courses_are_those_of_the_tuners():
    tuner, w = CDAT(1.5), np.ones(3)
    found = compare({"cdat": tuner}, bowl, w, steps=12, every=5, draw=False)
    trace, state = found.traces["cdat"], tuner.init(w)
    assert trace.step.tolist() == [0, 5, 10]
    assert trace.sharpness == pytest.approx(np.full(3, 10.0))
    for t in range(12):
        w, state, info = tuner.step(bowl, w, state)
        assert trace.value[t] == info.value
        assert trace.learning_rate[t] == info.learning_rate
    assert found.params["cdat"].tolist() == w.tolist()
    assert trace.product == pytest.approx(10.0 * trace.learning_rate[[0, 5, 10]])
    assert found.figure is None


def test_the_figure_has_four_panels_and_the_edges():
    pytest.importorskip("matplotlib")
    tuners = [Constant(0.05), Constant(0.1, base=Momentum(0.5))]
    found = compare(tuners, bowl, np.ones(3), steps=4, every=2)
    assert list(found.traces) == ["Constant 1", "Constant 2"]
    axes = found.figure.axes
    assert len(axes) == 4
    assert [len(axis.lines) for axis in axes] == [2, 2, 2, 4]
    assert sorted(line.get_ydata()[0] for line in axes[3].lines[2:]) == [2.0, 3.0]


@pytest.mark.parametrize("base", [Adam(0.9, 0.99, eps=1e-3), RMSProp(0.9, eps=1e-3)])
def test_the_sharpness_of_adaptive_bases_is_preconditioned(base):
    w, adam = np.asarray([1.0, -2.0, 0.5]), isinstance(base, Adam)
    found = compare([Constant(0.01, base=base)], bowl, w, steps=1, every=1, draw=False)
    (trace,) = found.traces.values()
    # In the first step the mean is the gradient itself, so that the direction shows the divisor.
    gradient = CURVATURES * w
    divisor = -gradient / base.update(gradient, base.init(w), w)[0] * (0.1 if adam else 1.0)
    assert trace.sharpness[0] == pytest.approx(np.max(np.diag(hessian(bowl)(w)) / divisor))
    assert trace.edge == pytest.approx(38.0 if adam else 2.0)


def test_compiled_courses_are_the_same():
    jax = pytest.importorskip("jax")
    w = jax.numpy.ones(3)

    def objective(w):
        return jax.numpy.sum(jax.numpy.asarray(CURVATURES) * w**2) / 2

    tuners = {"cdat": CDAT(1.5)}
    eager = compare(tuners, bowl, np.ones(3), steps=6, every=3, draw=False).traces["cdat"]
    jitted = compare(tuners, objective, w, steps=6, every=3, draw=False, jit=True).traces["cdat"]
    assert jitted.value == pytest.approx(eager.value, rel=1e-4)
    assert jitted.sharpness == pytest.approx(eager.sharpness, rel=1e-4)


def test_what_is_refused():
    with pytest.raises(ValueError, match="`tuners` must hold at least one"):
        compare([], bowl, np.ones(3))
    with pytest.raises(ValueError, match="`every` must be at least 1"):
        compare([CDAT()], bowl, np.ones(3), every=0)
