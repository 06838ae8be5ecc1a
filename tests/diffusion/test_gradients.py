"""The covariance oracle: its invariances, quadrature, weights, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fenchel
from fenchel.diffusion import (
    Energy,
    GaussianMixture,
    MLPEnergy,
    implicit_expectation,
    implicit_gradient,
)
from tests import libraries
from tests.diffusion.laws import HEXAGON, bumpy, draws, flat, half_square, hexagon, well


def oracle(xp, energy, params, x, values, **options):
    if "weights" in options:
        options["weights"] = xp.array(options["weights"])

    def run(p, x, f):
        return implicit_gradient(energy, p, x, f, **options)

    return flat(xp, xp.run(run, params, xp.array(x), xp.array(values)))


def quartic_params(xp):
    return {"a": xp.array([1.0, 2.0]), "b": xp.array(0.3)}


def covariance(xp, x, f, ddof=1):
    """Minus the covariance with the gradients of the quartic energy, entry by entry."""
    slopes = np.stack([x[:, 0] ** 4 / 4, x[:, 1] ** 4 / 4, x.sum(axis=1)])
    off = f - f.mean()
    return -(slopes - slopes.mean(axis=1, keepdims=True)) @ off / (len(f) - ddof)


@pytest.mark.parametrize("ddof", [0, 1])
def test_it_is_the_covariance(xp, ddof):
    x, f = draws(0, 7, 2), draws(1, 7)
    found = oracle(xp, bumpy, quartic_params(xp), x, f, ddof=ddof)
    np.testing.assert_allclose(found, covariance(xp, x, f, ddof), rtol=1e-12, atol=1e-14)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.floats(-1e3, 1e3), st.floats(0.1, 5.0))
def test_shift_linearity_temperature_and_order(seed, shift, temperature):
    xp = libraries.get("numpy")
    x, f, g = draws(seed, 9, 2), draws(seed + 1, 9), draws(seed + 2, 9)
    params = quartic_params(xp)

    def gamma(values, **options):
        return oracle(xp, bumpy, params, x, values, **options)

    base = gamma(f)
    np.testing.assert_allclose(gamma(f + shift), base, rtol=1e-7, atol=1e-9)
    mixed = gamma(shift * f - 2.0 * g)
    np.testing.assert_allclose(mixed, shift * base - 2.0 * gamma(g), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(gamma(np.full(9, shift)), 0.0)
    cooled = Energy(lambda x, p: bumpy(x, p) / temperature)
    np.testing.assert_allclose(
        gamma(f, temperature=temperature), oracle(xp, cooled, params, x, f), rtol=1e-12
    )
    order = np.random.default_rng(seed).permutation(9)
    np.testing.assert_allclose(
        oracle(xp, bumpy, params, x[order], f[order]), base, rtol=1e-10, atol=1e-12
    )
    once, twice = gamma(f, ddof=0), np.concatenate([f, f])
    np.testing.assert_allclose(
        oracle(xp, bumpy, params, np.concatenate([x, x]), twice, ddof=0), once, rtol=1e-10
    )


def test_constants_give_exact_zeros(xp):
    x = draws(0, 11, 2)
    found = oracle(xp, bumpy, quartic_params(xp), x, np.full(11, 0.1))
    np.testing.assert_array_equal(found, 0.0)
    weighted = oracle(xp, bumpy, quartic_params(xp), x, np.full(11, 0.1), weights=np.ones(11))
    np.testing.assert_array_equal(weighted, 0.0)


def test_a_normaliser_does_not_count(xp):
    x, f = draws(0, 8, 2), draws(1, 8)
    center = xp.array([0.5, -1.0])

    def moved(x, p):
        names = fenchel.namespace(x, p)
        return half_square(x, p) + names.exp(names.sum(p**2))

    base = oracle(xp, well, center, x, f)
    np.testing.assert_allclose(oracle(xp, Energy(moved), center, x, f), base, rtol=1e-12)


def test_softmax_weights_have_gradients_that_sum_to_zero(xp):
    logits = xp.array([1.5, 0.0, 1.5, 0.0, 1.5, 0.0])
    found = oracle(xp, hexagon(xp), logits, 3 * draws(0, 20, 2), draws(1, 20))
    assert abs(found.sum()) < 1e-14
    assert np.abs(found).max() > 1e-3


def test_integer_weights_are_repeated_particles(xp):
    x, f = draws(0, 4, 2), draws(1, 4)
    times = [1, 3, 2, 0]
    repeated = np.repeat(x, times, axis=0), np.repeat(f, times)
    found = oracle(xp, bumpy, quartic_params(xp), x, f, weights=np.asarray(times, dtype=float))
    expected = oracle(xp, bumpy, quartic_params(xp), *repeated, ddof=0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_quadrature_nodes_give_the_exact_gradient(xp):
    """E of cos X under exp(-a x^4 / 4 - b x), by the trapezoidal rule and its derivative."""
    x = np.linspace(-6.0, 6.0, 601)
    a, b = 1.0, 0.3

    def expected(a, b):
        density = np.exp(-a * x**4 / 4 - b * x)
        return (density * np.cos(x)).sum() / density.sum()

    density = np.exp(-a * x**4 / 4 - b * x)
    step = 1e-5
    slopes = [
        (expected(a + step, b) - expected(a - step, b)) / (2 * step),
        (expected(a, b + step) - expected(a, b - step)) / (2 * step),
    ]
    params = {"a": xp.array([a]), "b": xp.array(b)}
    found = oracle(xp, bumpy, params, x[:, None], np.cos(x), weights=density)
    np.testing.assert_allclose(found, slopes, atol=1e-8)


def test_problems_side_by_side(xp):
    x, f, centers = draws(0, 3, 6, 2), draws(1, 3, 6), draws(2, 3, 2)
    side = Energy(lambda x, c: half_square(x, c[:, None, :]))
    found = oracle(xp, side, xp.array(centers), x, f)
    each = [oracle(xp, well, xp.array(c), x[i], f[i]) for i, c in enumerate(centers)]
    np.testing.assert_allclose(found, np.concatenate(each), rtol=1e-12)


def test_particles_of_weight_zero_may_hold_anything(xp):
    x, f = draws(0, 5, 2), draws(1, 5)
    kept = [True, False, True, True, False]
    x[1], f[4] = np.inf, np.nan
    masked = oracle(xp, bumpy, quartic_params(xp), x, f, weights=np.asarray(kept, dtype=float))
    expected = oracle(xp, bumpy, quartic_params(xp), x[kept], f[kept], ddof=0)
    np.testing.assert_allclose(masked, expected, rtol=1e-12)


def test_values_that_are_not_finite(xp):
    x, f = draws(0, 6, 2), draws(1, 6)
    f[2] = np.nan
    params = quartic_params(xp)
    if xp.eager:
        with pytest.raises(ValueError, match="`values` must be finite; got 1 of 6"):
            oracle(xp, bumpy, params, x, f)
    kept = np.arange(6) != 2
    dropped = oracle(xp, bumpy, params, x, f, nan_policy="drop")
    expected = oracle(xp, bumpy, params, x[kept], f[kept], ddof=0)
    np.testing.assert_allclose(dropped, expected, rtol=1e-12)
    assert np.isnan(oracle(xp, bumpy, params, x, f, nan_policy="propagate")).all()


def test_energies_that_are_not_finite():
    x, f = draws(0, 6, 1), draws(1, 6)
    walled = Energy(lambda x, p: np.where(x[:, 0] > 10.0, np.inf, p * x[:, 0] ** 2))
    x[3] = 20.0
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="must be finite; got 1"):
        implicit_gradient(walled, np.asarray(1.0), x, f)
    kept = np.arange(6) != 3
    found = implicit_gradient(walled, np.asarray(1.0), x, f, nan_policy="drop")
    expected = implicit_gradient(walled, np.asarray(1.0), x[kept], f[kept], ddof=0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_optimal_baseline_has_less_variance():
    """Unbiased for a normalised energy, and never worse than the mean."""
    center, size = np.zeros(4), 64
    found = {"mean": [], "optimal": []}
    for seed in range(150):
        x = draws(seed, size, 4)
        f = -0.5 * (x**2).sum(axis=1) + x[:, 0]
        for baseline, kept in found.items():
            kept.append(implicit_gradient(well, center, x, f, baseline=baseline))
    spread = {name: np.var(rows, axis=0).sum() for name, rows in found.items()}
    assert spread["optimal"] < spread["mean"]
    for rows in found.values():
        error = np.std(rows, axis=0) / np.sqrt(150)
        assert np.all(np.abs(np.mean(rows, axis=0) - [1, 0, 0, 0]) < 4 * error + 2 / size)


def test_the_optimal_baseline_on_every_library(xp):
    x, f = draws(0, 9, 2), draws(1, 9)
    slopes = np.asarray([0.4, -0.2]) - x
    sizes = (slopes**2).sum(axis=1)
    best = (sizes * f).sum() / sizes.sum()
    found = oracle(xp, well, xp.array([0.4, -0.2]), x, f, baseline="optimal")
    np.testing.assert_allclose(found, -((f - best)[:, None] * slopes).mean(axis=0), rtol=1e-12)


def test_large_offsets_and_half_types(xp):
    x, f = draws(0, 50, 1).astype("float32"), draws(1, 50).astype("float32")
    center, far = xp.array([0.0], dtype="float32"), (f + np.float32(1e4)).astype("float32")
    exact = oracle(libraries.get("numpy"), well, np.zeros(1), x.astype(float), far.astype(float))
    found = xp.run(
        lambda p, x, f: implicit_gradient(well, p, x, f), center, xp.array(x, "float32"),
        xp.array(far, "float32"),
    )  # fmt: skip
    np.testing.assert_allclose(xp.numpy(found), exact, rtol=1e-4)


def test_errors(xp):
    center = xp.array([0.0, 0.0])
    with pytest.raises(ValueError, match="`particles` must be more than `ddof`=1; got n=1"):
        oracle(xp, well, center, draws(0, 1, 2), draws(1, 1))
    with pytest.raises(ValueError, match="`particles` must not be empty"):
        oracle(xp, well, center, np.zeros((0, 2)), np.zeros(0))
    with pytest.raises(ValueError, match="`values` must have one number a particle"):
        oracle(xp, well, center, draws(0, 3, 2), draws(1, 4))
    with pytest.raises(ValueError, match="`temperature` must be above 0"):
        oracle(xp, well, center, draws(0, 3, 2), draws(1, 3), temperature=0.0)
    with pytest.raises(ValueError, match="`baseline` must be one of mean, optimal"):
        oracle(xp, well, center, draws(0, 3, 2), draws(1, 3), baseline="best")
    with pytest.raises(ValueError, match="`nan_policy` must be one of"):
        oracle(xp, well, center, draws(0, 3, 2), draws(1, 3), nan_policy="omit")
    with pytest.raises(TypeError, match="floating"):
        oracle(xp, well, xp.array([0, 0], dtype="int32"), draws(0, 3, 2), draws(1, 3))
    if xp.eager:
        with pytest.raises(ValueError, match="`weights` must be finite and at least 0; got 1 of 3"):
            oracle(xp, well, center, draws(0, 3, 2), draws(1, 3), weights=[1.0, -1.0, 1.0])
        with pytest.raises(ValueError, match="`weights` must not all be 0"):
            oracle(xp, well, center, draws(0, 3, 2), draws(1, 3), weights=[0.0, 0.0, 0.0])


def test_expectations_in_both_modes(xp):
    x = draws(0, 9, 2)
    params = quartic_params(xp)
    points = xp.array(x)
    vector = implicit_expectation(lambda x: x, bumpy, points)
    value = xp.run(vector, params)
    np.testing.assert_allclose(xp.numpy(value), x.mean(axis=0), rtol=1e-13)
    cotangent = np.asarray([2.0, -1.0])
    weight = xp.array(cotangent)

    def pulled(p):
        return fenchel.vjp(vector, p)[1](weight)[0]

    expected = covariance(xp, x, x @ cotangent)
    np.testing.assert_allclose(flat(xp, xp.run(pulled, params)), expected, rtol=1e-11)
    tangent = {"a": xp.array([0.3, -0.4]), "b": xp.array(2.0)}
    pushed = xp.run(lambda p, t: fenchel.jvp(vector, (p,), (t,))[1], params, tangent)
    along = [covariance(xp, x, x[:, i]) @ [0.3, -0.4, 2.0] for i in range(2)]
    np.testing.assert_allclose(xp.numpy(pushed), along, rtol=1e-11)


def test_expectations_with_weights_and_their_second_derivative():
    """By quadrature: value, gradient and Hessian of the mean are exact."""
    nodes = np.linspace(-9.0, 9.0, 2001)
    center = np.asarray([0.7])
    density = np.exp(-((nodes - center) ** 2) / 2)
    mean = implicit_expectation(lambda x: x[:, 0] ** 2, well, nodes[:, None], weights=density)
    assert abs(float(mean(center)) - 1.49) < 1e-9
    assert abs(float(fenchel.grad(mean)(center)[0]) - 1.4) < 1e-9
    assert abs(float(fenchel.autodiff.hessian(mean)(center)[0, 0]) - 2.0) < 1e-8
    with pytest.raises(ValueError, match="must be more than `ddof`=1"):
        implicit_expectation(lambda x: x, well, np.zeros((1, 1)))(center)


def test_mixtures_far_from_their_means(xp):
    x = xp.array([[100.0, 0.0], [0.0, 0.0]], dtype="float32")
    energy = hexagon(xp, "float32")
    logits = xp.array(np.zeros(6), dtype="float32")
    values = xp.numpy(xp.run(energy, x, logits))
    np.testing.assert_allclose(values, [4609.7918, 8.0], rtol=1e-6)
    slope = xp.numpy(xp.run(energy.grad_x, x, logits))
    np.testing.assert_allclose(slope, [[96.0, 0.0], [0.0, 0.0]], atol=1e-4)


def test_closed_gradients_are_the_derivatives(xp):
    x, logits = xp.array(3 * draws(0, 5, 2)), xp.array(draws(1, 6))
    energy = hexagon(xp)
    by_hand = xp.numpy(xp.run(energy.grad_x, x, logits))
    derived = xp.numpy(xp.run(Energy(energy).grad_x, x, logits))
    np.testing.assert_allclose(by_hand, derived, rtol=1e-10, atol=1e-12)
    share = xp.numpy(energy.responsibilities(x, logits))
    np.testing.assert_allclose(share.sum(axis=-1), 1.0)


def test_energies_of_networks(xp):
    energy = MLPEnergy((5, 4))
    params = energy.init(3, 2, like=xp.array([0.0]))
    x = draws(0, 4, 2)
    (w1, b1), (w2, b2), (w3, b3) = [(xp.numpy(w), xp.numpy(b)) for w, b in params]
    y = np.tanh(np.tanh(x @ w1 + b1) @ w2 + b2) @ w3 + b3
    expected = y[:, 0] + (x**2).sum(axis=1) / 2
    np.testing.assert_allclose(xp.numpy(energy(xp.array(x), params)), expected, rtol=1e-12)


def test_exact_draws_of_a_mixture(xp):
    logits = np.log([0.3, 0.05, 0.25, 0.05, 0.3, 0.05])
    x = xp.numpy(hexagon(xp).sample(1, xp.array(logits), 4000))
    nearest = np.argmin(((x[:, None, :] - HEXAGON) ** 2).sum(axis=-1), axis=1)
    share = np.bincount(nearest, minlength=6) / 4000
    np.testing.assert_allclose(share, np.exp(logits), atol=0.04)


def test_energies_are_checked():
    with pytest.raises(ValueError, match=r"`means` must have shape \(k, d\)"):
        GaussianMixture(np.zeros(3))
    with pytest.raises(ValueError, match="`scale` must be above 0"):
        GaussianMixture(np.zeros((2, 1)), scale=0.0)
    with pytest.raises(ValueError, match="`hidden` must be at least 1"):
        MLPEnergy((0,))
    with pytest.raises(ValueError, match="`energy` must return one number a particle"):
        Energy(lambda x, p: np.sum(x))(np.zeros((3, 2)), np.zeros(1))
