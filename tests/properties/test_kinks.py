"""At a kink that floats represent exactly, every route takes the declared side: the hard one."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fenchel
from fenchel.operators import topk, topk_mask

# Each is just hard: the k-th entry clears the next by the width of the relaxation, exactly.
MAGNITUDE = [
    ([0.0, 0.0, 0.0, 0.0, 1.0, 2.0], 1, 1.0, 1.5),
    ([0.0, 1.0, 2.0], 1, 1.0, 4 / 3),
    ([0.0, -2.0, 3.0], 1, 0.5, 2.0),
    ([2.0, 4.0, 8.0, -9.0], 2, 2.0, 1.5),
    ([-0.25, -0.5], 1, 1.0, 2.0),
    ([1.0, 1.0, 5.0], 1, 4.0, 4 / 3),
]
MASK = [
    ([0.0, 1.0, 2.0], 1, 1.0, 2.0),
    ([-1.0, 3.0, 3.5, 9.0], 2, 0.5, 1.5),
    ([3.0, 3.0, 7.0], 1, 4.0, 4 / 3),
    ([0.25, 0.5], 1, 0.25, 2.0),
]


def jacobians(xp, f, x, route):
    """Jacobian by pullbacks and by pushforwards, with fast kernels or without."""

    def columns(x):
        basis = [fenchel.namespace(x).asarray(row) for row in rows]
        pull = fenchel.vjp(f, x)[1]
        return [pull(e)[0] for e in basis] + [fenchel.jvp(f, (x,), (e,))[1] for e in basis]

    rows = [xp.array(row) for row in np.eye(len(x))]
    with fenchel.use_kernels(route == "kernels"):
        found = [xp.numpy(column) for column in xp.run(columns, xp.array(x))]
    return np.stack(found[: len(x)]), np.stack(found[len(x) :], axis=1)


@pytest.mark.parametrize("route", ["kernels", "reference"])
@pytest.mark.parametrize(("x", "k", "temperature", "p"), MAGNITUDE)
def test_magnitude_just_hard(xp, x, k, temperature, p, route):
    def f(x):
        return topk(x, k, temperature=temperature, p=p)

    kept = np.argsort(np.argsort(np.abs(x))) >= len(x) - k
    for jacobian in jacobians(xp, f, x, route):
        assert_allclose(jacobian, np.diag(kept.astype(float)), atol=1e-14)


@pytest.mark.parametrize("route", ["kernels", "reference"])
@pytest.mark.parametrize(("x", "k", "temperature", "p"), MASK)
def test_mask_just_hard(xp, x, k, temperature, p, route):
    def f(x):
        return topk_mask(x, k, temperature=temperature, p=p)

    for jacobian in jacobians(xp, f, x, route):
        assert_allclose(jacobian, 0, atol=1e-14)


@pytest.mark.parametrize("f", [topk, topk_mask])
def test_values_agree_one_rounding_from_a_kink(f):
    """Just before the kink the solution is free by a rounding: sides may differ, values may not."""
    x = np.asarray([0.0, 0.0, 1.0, 2.0])
    for temperature in (np.nextafter(1.0, 0.0), np.nextafter(1.0, 2.0)):
        with fenchel.use_kernels(True):
            fast = f(x, 1, temperature=temperature, p=1.5)
        with fenchel.use_kernels(False):
            slow = f(x, 1, temperature=temperature, p=1.5)
        assert_allclose(fast, slow, atol=1e-14)
