"""What peers get wrong, kept as tests; and the first figure of the paper, exactly."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fenchel
from fenchel.operators import entmax, topk, topk_mask

ENDS = (0.4, 1.6, 3.4, 4.6)


def in_float32(xp, x):
    return xp.namespace.astype(xp.array(x), xp.namespace.float32)


@pytest.mark.parametrize("p", [2.0, 4 / 3])
def test_mask_never_exceeds_one_in_float32(xp, p):
    """The published code reaches 1.021 at l = 1e-3 and |x| about 100."""
    rng = np.random.default_rng(0)
    x = in_float32(xp, 100 + 1e-3 * rng.normal(size=(50, 8)))
    y = xp.numpy(xp.run(lambda x: topk_mask(x, 3, temperature=1e-3, p=p), x))
    assert y.min() >= 0 and y.max() <= 1


@pytest.mark.parametrize("debias", [True, False])
def test_gradient_of_the_magnitude_is_finite_off_the_support(xp, debias):
    """The published vector-Jacobian product for p = 4/3 is NaN there."""

    def slope(x, g):
        return fenchel.vjp(lambda x: topk(x, 2, temperature=0.5, p=4 / 3, debias=debias), x)[1](g)[
            0
        ]

    x, g = xp.array([3.0, 1.0, 0.9, 0.1, 0.0]), xp.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = xp.numpy(xp.run(slope, x, g))
    assert np.isfinite(found).all()
    assert (found[3:] == 0).all() and (found[:3] != 0).all()


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5, 1e6])
@pytest.mark.parametrize("p", [2.0, 4 / 3])
def test_large_offsets_do_not_matter(xp, offset, p):
    """x = (0, .5, 1, 1.5) + c, p = 4/3, float32: published error 8e-5 at c = 1e3, .46 at 1e5."""
    x = np.asarray([0.0, 0.5, 1.0, 1.5])
    wanted = topk_mask(x, 2, p=p)
    y = xp.run(lambda x: topk_mask(x, 2, p=p), in_float32(xp, x + offset))
    assert_allclose(xp.numpy(y), wanted, atol=2e-6)
    y = xp.run(lambda x: entmax(x), in_float32(xp, x + offset))
    assert_allclose(xp.numpy(y), entmax(x), atol=2e-6)


def test_unconverged_dykstra_says_so():
    """250 cycles are too few for a block of 517 entries: error .45, reported by the residual."""
    x = np.random.default_rng(0).normal(size=2000)
    y, info = topk_mask(x, 200, temperature=2.0, solver="dykstra", max_iter=3, return_info=True)
    wanted = topk_mask(x, 200, temperature=2.0)
    assert np.abs(y - wanted).max() > 1e-3
    assert not info.converged
    assert info.residual > 1e-6


def test_second_derivative_of_entmax_is_not_zero(xp):
    """The entmax package treats the probabilities as constants in its backward pass."""
    x, v = xp.array([0.3, 1.0, -0.2]), xp.array([1.0, 0.0, 0.0])

    def gradient(x):
        def f(x):
            y = entmax(x)
            return fenchel.namespace(y).sum(y * y)

        return fenchel.grad(f)(x)

    found = xp.numpy(xp.run(lambda v: fenchel.jvp(gradient, (x,), (v,))[1], v))
    step = 1e-5
    host = np.asarray([0.3, 1.0, -0.2])
    unit = np.asarray([step, 0.0, 0.0])

    def slope(x):
        return fenchel.grad(lambda x: np.sum(entmax(x) ** 2))(x)

    wanted = (slope(host + unit) - slope(host - unit)) / (2 * step)
    assert np.abs(wanted).max() > 0.1
    assert_allclose(found, wanted, atol=1e-7)


def test_entmax_at_alpha_ten_is_accurate(xp):
    """Bisection on the threshold loses 1e-2 here: (x - t) is far below its resolution."""
    x = np.asarray([0.5, 0.45, 0.3, 0.1, -0.4])
    y = xp.numpy(xp.run(lambda x: entmax(x, alpha=10.0), xp.array(x)))
    assert_allclose(y.sum(), 1, atol=1e-12)
    # Optimality: x_i - y_i^9 / 9 ... is the same number on the support, and not below it off it.
    marginal = x - y**9.0 / 9.0
    assert_allclose(marginal[y > 0], marginal[0], atol=1e-12)
    assert (marginal[y == 0] <= marginal[0] + 1e-12).all()


def figure(xp, s, p, temperature=0.6):
    """y_2 + y_3 of the mask of (3, 1, s - 1, s) for k = 2, hard at temperature 0."""
    rows = np.stack([np.full_like(s, 3.0), np.ones_like(s), s - 1, s], axis=-1)
    y = xp.run(lambda x: topk_mask(x, 2, temperature=temperature, p=p), xp.array(rows))
    return xp.numpy(y)[:, 1:3].sum(axis=-1)


@pytest.mark.parametrize("p", [2.0, 4 / 3])
def test_first_figure(xp, p):
    s = np.linspace(0, 5, 500)
    soft, hard = figure(xp, s, p), figure(xp, s, p, temperature=0.0)
    settled = (s <= ENDS[0]) | ((s >= ENDS[1]) & (s <= ENDS[2])) | (s >= ENDS[3])
    assert_allclose(soft[settled], hard[settled], atol=1e-12)
    assert (soft[(s >= ENDS[1]) & (s <= ENDS[2])] == 0).all()
    assert not np.isclose(soft[~settled], hard[~settled], atol=1e-9).all()
    assert_allclose(figure(xp, np.asarray([1.0, 4.0]), p), 0.5, atol=1e-12)
    at = figure(xp, np.asarray([0.7]), p)
    assert_allclose(at, 0.75 if p == 2.0 else 0.8993, atol=1e-12 if p == 2.0 else 5e-5)
