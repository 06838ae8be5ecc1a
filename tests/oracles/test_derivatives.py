"""Derivatives of directions, against central differences of exact solves."""

import numpy as np
import pytest

import fenchel
from fenchel.oracles import GaussNewton, ProxLinear
from tests import libraries
from tests.oracles.dense import problem

KINDS = (GaussNewton, ProxLinear)


def setting(kind, convert):
    case = problem("logistic", m=3, k=2)
    tangent = np.random.default_rng(1).normal(size=case.w.shape)

    def along(w, gamma, weights):
        oracle = kind(case.loss, case.predict, gamma=gamma, rtol=0.0, max_iter=60)
        d, _ = oracle.direction(w, convert(case.x), convert(case.y), weights)
        return fenchel.namespace(d).sum(d * convert(tangent))

    return along, (case.w, np.asarray(1.5), np.asarray([1.0, 0.5, 2.0]))


def slope(kind, place, tangent, step=1e-5):
    f, arguments = setting(kind, np.asarray)
    values = []
    for sign in (1, -1):
        moved = list(arguments)
        moved[place] = moved[place] + sign * step * tangent
        values.append(float(f(*moved)))
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize("kind", KINDS)
def test_reverse_mode(xp, kind):
    if xp.name == "jax":
        pytest.skip("the jitted twin runs")
    f, arguments = setting(kind, xp.array)
    arrays = [xp.array(a) for a in arguments]
    gradients = xp.run(fenchel.grad(f, (0, 1, 2)), *arrays)
    for place, gradient in enumerate(gradients):
        tangent = np.random.default_rng(place).normal(size=arguments[place].shape)
        expected = slope(kind, place, tangent)
        found = np.sum(xp.numpy(gradient) * tangent)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_forward_mode(xp, kind):
    if xp.name == "jax":
        pytest.skip("the jitted twin runs")
    f, arguments = setting(kind, xp.array)
    arrays = tuple(xp.array(a) for a in arguments)
    ones = tuple(xp.array(np.ones_like(a)) for a in arguments)
    value, found = xp.run(lambda *a: fenchel.jvp(f, a, ones), *arrays)
    expected = sum(slope(kind, i, np.ones_like(a)) for i, a in enumerate(arguments))
    assert float(found) == pytest.approx(expected, rel=1e-6, abs=1e-8)
    assert float(value) == pytest.approx(float(xp.run(f, *arrays)), rel=1e-12)


def test_autograd_of_torch_and_no_graph_without_it():
    torch = pytest.importorskip("torch")
    f, arguments = setting(GaussNewton, torch.asarray)
    w, gamma, weights = (torch.asarray(a) for a in arguments)
    assert not f(w, gamma, weights).requires_grad
    gamma.requires_grad_()
    f(w, gamma, weights).backward()
    assert float(gamma.grad) == pytest.approx(slope(GaussNewton, 1, np.ones(())), rel=1e-6)
    with torch.no_grad():
        assert not f(w, gamma, weights).requires_grad


def test_oracles_are_containers_for_jax():
    jax = pytest.importorskip("jax")
    libraries.get("jax")  # in double precision
    case = problem("logistic", m=3, k=2)
    oracle = GaussNewton(case.loss, case.predict, gamma=jax.numpy.asarray(1.5))
    arrays = [jax.numpy.asarray(v) for v in (case.w, case.x, case.y)]
    found = jax.jit(lambda o, *a: o.direction(*a)[0])(oracle, *arrays)
    plain, _ = GaussNewton(case.loss, case.predict, gamma=1.5).direction(case.w, case.x, case.y)
    np.testing.assert_allclose(np.asarray(found), plain, atol=1e-12)
