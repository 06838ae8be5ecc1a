"""Traces and densities of Hessians against dense ones."""

import numpy as np
import pytest

from fenchel.tuners import hessian_trace, spectral_density


def matrix(rng, spectrum):
    q = np.linalg.qr(rng.standard_normal((len(spectrum),) * 2))[0]
    return q * spectrum @ q.T


def bowl(w, a):
    return (w @ a @ w) / 2


@pytest.mark.parametrize("method", ["hutchinson", "hutch++"])
def test_the_trace_is_within_its_error_on_every_library(xp, rng, method):
    a = matrix(rng, np.concatenate([rng.uniform(-0.5, 0.5, 17), [3.0, 6.0, 20.0]]))

    def estimate(w, a):
        return tuple(hessian_trace(bowl, w, a, method=method, num_samples=24, rng=0))

    value, error = xp.numpy(xp.run(estimate, xp.array(np.zeros(20)), xp.array(a)))
    assert abs(value - np.trace(a)) < 5 * error
    assert error < (1.0 if method == "hutch++" else 20.0)


def test_hutch_is_exact_at_low_rank(rng):
    a = matrix(rng, np.concatenate([np.zeros(30), [1.0, 2.0, 3.0, 4.0]]))
    estimate = hessian_trace(bowl, np.zeros(34), a, method="hutch++", num_samples=15)
    assert estimate.value == pytest.approx(10.0, abs=1e-10)
    assert estimate.standard_error < 1e-10
    whole = hessian_trace(bowl, np.zeros(34), a, method="hutch++", num_samples=120)
    assert whole.value == pytest.approx(10.0, abs=1e-10)


@pytest.mark.parametrize("num_samples", [6, 7, 20])
def test_hutch_makes_no_more_products_than_it_may(rng, num_samples, monkeypatch):
    from fenchel.tuners._matrix import Matrix

    a, made, apply = matrix(rng, rng.uniform(0.0, 4.0, 30)), [], Matrix.apply
    monkeypatch.setattr(Matrix, "apply", lambda self, v: (made.append(1), apply(self, v))[1])
    hessian_trace(bowl, np.zeros(30), a, method="hutch++", num_samples=num_samples)
    assert len(made) == num_samples


def test_standard_errors_say_how_far_off_estimates_are(rng):
    a = matrix(rng, rng.uniform(0.0, 4.0, 30))
    estimates = [hessian_trace(bowl, np.zeros(30), a, rng=seed) for seed in range(60)]
    scores = [(e.value - np.trace(a)) / e.standard_error for e in estimates]
    assert abs(np.mean(scores)) < 0.5
    assert 0.7 < np.std(scores) < 1.4


def test_a_preconditioned_trace_of_a_diagonal():
    scale, curvatures = np.asarray([1.0, 2.0, 4.0]), np.asarray([3.0, 4.0, 8.0])
    estimate = hessian_trace(
        lambda w: np.sum(curvatures * w**2) / 2, np.zeros(3), preconditioner=scale
    )
    assert estimate.value == pytest.approx(7.0)


def test_the_density_has_the_moments_of_the_spectrum(xp, rng):
    spectrum = np.concatenate([rng.uniform(-1.0, 1.0, 20), np.full(10, 5.0)])
    a = matrix(rng, spectrum)

    def density(w, a):
        return tuple(spectral_density(bowl, w, a, num_samples=8, grid=200, max_iter=8, rng=1))

    grid, values = xp.numpy(xp.run(density, xp.array(np.zeros(30)), xp.array(a)))
    step = grid[1] - grid[0]
    assert np.sum(values) * step == pytest.approx(1.0, abs=1e-3)
    assert np.sum(values * grid) * step == pytest.approx(spectrum.mean(), abs=0.4)
    assert np.sum(values[grid > 3.0]) * step == pytest.approx(1 / 3, abs=0.1)


def test_a_grid_and_a_width_of_ones_own():
    grid = np.linspace(0.0, 4.0, 401)
    found = spectral_density(lambda w: np.sum(w**2), np.zeros(5), grid=grid, width=0.1)
    bell = np.exp(-0.5 * ((grid - 2.0) / 0.1) ** 2) / (0.1 * np.sqrt(2 * np.pi))
    assert found.grid is grid
    assert found.density == pytest.approx(bell, abs=1e-9)


def test_what_is_refused():
    def f(w):
        return np.sum(w**2)

    with pytest.raises(ValueError, match="`num_samples` must be at least 6"):
        hessian_trace(f, np.ones(3), method="hutch++", num_samples=5)
    with pytest.raises(ValueError, match="`method` must be one of hutchinson, hutch"):
        hessian_trace(f, np.ones(3), method="exact")
    with pytest.raises(ValueError, match="`width` must be above 0"):
        spectral_density(f, np.ones(3), width=0.0)
