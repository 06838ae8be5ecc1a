"""The discrete adjoint against derivatives of the unrolled loop, and what it refuses."""

import numpy as np
import pytest

import fenchel
from fenchel.diffusion.adjoint import sde_adjoint
from fenchel.random import RandomStream
from tests.diffusion.routes import run

STEPS, H = 11, 0.1


def linear(y, t, p):
    return fenchel.namespace(y, p["a"]).matmul(y, p["a"]) + t * p["b"]


def tanh(y, t, p):
    xp = fenchel.namespace(y, p["a"])
    return xp.tanh(xp.matmul(y, p["a"]) + t * p["b"]) - y


def cubic(y, t, p):
    return p["b"] * y - y**3


def terminal(y):
    xp = fenchel.namespace(y)
    return xp.sum(xp.sin(y))


def running(y, t, p):
    xp = fenchel.namespace(y, p["a"])
    return H * (1.0 + t) * xp.sum(xp.matmul(y * y, p["a"]) * p["b"])


@pytest.fixture
def setting(xp):
    rng = np.random.default_rng(0)
    params = {"a": xp.array(0.5 * rng.normal(size=(2, 2))), "b": xp.array(rng.normal(size=2))}
    noise = xp.array(rng.normal(size=(STEPS, 5, 2)))
    return params, xp.array(0.5 * rng.normal(size=(5, 2))), noise


def unrolled(drift, cost, noise, params, y0):
    """Value and gradient of the loop, by the derivatives of the library."""

    def value(params, y):
        total = 0.0 * terminal(y)
        for k in range(STEPS):
            if cost is not None:
                total = total + cost(y, k * H, params)
            y = y + H * drift(y, k * H, params)
            if noise is not None:
                y = y + (2 * H) ** 0.5 * noise[k, ...]
        return total + terminal(y)

    # The states are differentiated too, for libraries that do not mix traced and plain arrays.
    value, (gradient, _) = fenchel.value_and_grad(value, (0, 1))(params, y0)
    return value, gradient


def close(xp, found, expected, rtol=1e-10):
    assert float(found.value) == pytest.approx(float(expected[0]), rel=rtol)
    for name, slope in expected[1].items():
        scale = 1e-3 + np.max(np.abs(xp.numpy(slope)))
        np.testing.assert_allclose(
            xp.numpy(found.gradient[name]) / scale, xp.numpy(slope) / scale, rtol=rtol, atol=rtol
        )


@pytest.mark.parametrize(
    ("drift", "cost", "memory"),
    [
        (linear, None, "stored"),
        (linear, running, "checkpoint"),
        (tanh, None, "checkpoint"),
        (tanh, running, "stored"),
        (cubic, None, "stored"),
        (cubic, running, "checkpoint"),
    ],
)
def test_gradient_is_that_of_the_unrolled_loop(xp, setting, drift, cost, memory):
    params, y0, noise = setting

    def adjoint(params, y0, noise):
        return sde_adjoint(
            drift, params, y0, step_size=H, n_steps=STEPS, terminal=terminal, running=cost,
            noise=noise, memory=memory,
        )  # fmt: skip

    found = run(xp, adjoint, params, y0, noise)
    expected = run(xp, lambda p, y, e: unrolled(drift, cost, e, p, y), params, y0, noise)
    close(xp, found, expected)


@pytest.mark.parametrize("memory", ["stored", "checkpoint", "ode"])
def test_without_noise_it_is_an_ode(xp, setting, memory):
    params, y0, _ = setting

    def adjoint(params, y0):
        return sde_adjoint(
            tanh, params, y0, step_size=H, n_steps=STEPS, terminal=terminal, memory=memory
        )

    expected = run(xp, lambda p, y: unrolled(tanh, None, None, p, y), params, y0)
    close(xp, run(xp, adjoint, params, y0), expected)


@pytest.mark.parametrize("n_steps", [1, 10])
def test_noise_is_replayed_whatever_the_memory(xp, setting, n_steps):
    params, y0, _ = setting

    def adjoint(memory, rng):
        def both(params, y0):
            return sde_adjoint(
                tanh, params, y0, step_size=H, n_steps=n_steps, terminal=terminal,
                running=running, rng=rng, memory=memory,
            )  # fmt: skip

        return run(xp, both, params, y0)

    for rng in (RandomStream(3, step=7), 5)[: 1 if xp.name.startswith("jax") else 2]:
        kept, again = adjoint("stored", rng), adjoint("checkpoint", rng)
        close(xp, again, (kept.value, kept.gradient), 1e-12)
        np.testing.assert_allclose(xp.numpy(kept.final), xp.numpy(again.final), rtol=1e-12)


def test_the_stream_numbers_its_steps(setting):
    drift = lambda y, t, w: 0.0 * w * y
    stream, y0 = RandomStream(3), np.zeros((4, 2))
    final = sde_adjoint(
        drift, np.asarray(1.0), y0, step_size=0.5, n_steps=2, terminal=np.sum, rng=stream
    ).final
    expected = stream.normal((4, 2), like=y0) + stream.next().normal((4, 2), like=y0)
    np.testing.assert_allclose(final, expected, rtol=1e-12)


def test_generators_and_keys_are_taken():
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    cases = [
        (np.ones(3), lambda: np.random.default_rng(0)),
        (torch.ones(3), lambda: torch.Generator().manual_seed(0)),
        (jax.numpy.ones(3), lambda: jax.random.key(0)),
    ]

    def gradient(memory, y0, rng):
        weight = fenchel.namespace(y0).asarray(0.5)
        return sde_adjoint(
            lambda y, t, w: -w * y, weight, y0, step_size=0.1, n_steps=5,
            terminal=lambda y: (y * y).sum(), rng=rng, memory=memory,
        ).gradient  # fmt: skip

    for y0, rng in cases:
        kept, again = gradient("stored", y0, rng()), gradient("checkpoint", y0, rng())
        assert float(kept) == pytest.approx(float(again))

    def traced(key):
        return sde_adjoint(
            lambda y, t, w: -w * y, jax.numpy.asarray(0.5), jax.numpy.ones(3), step_size=0.1,
            n_steps=5, terminal=lambda y: (y * y).sum(), rng=key, memory="checkpoint",
        ).gradient  # fmt: skip

    assert np.isfinite(jax.jit(traced)(jax.random.key(0)))


def test_half_precision_accumulates_in_single():
    torch = pytest.importorskip("torch")
    y0 = torch.full((64,), 0.5, dtype=torch.bfloat16)
    weight = torch.asarray(0.01, dtype=torch.float32)
    found = sde_adjoint(
        lambda y, t, w: w * torch.ones_like(y), weight, y0, step_size=0.125, n_steps=512,
        terminal=lambda y: y.to(torch.float32).sum(),
    )  # fmt: skip
    # In bfloat16 the sum of 512 equal parts would stop growing at 256 of them.
    assert float(found.gradient) == pytest.approx(64 * 512 * 0.125, rel=1e-6)
    assert found.final.dtype == torch.bfloat16


def test_an_sde_is_never_solved_backwards():
    y0 = np.ones(3)
    options = {"step_size": 0.1, "n_steps": 4, "terminal": np.sum, "memory": "ode"}
    with pytest.raises(ValueError, match="`memory` must be 'stored' or 'checkpoint' for an SDE"):
        sde_adjoint(lambda y, t, w: w * y, np.asarray(1.0), y0, rng=0, **options)
    with pytest.raises(ValueError, match="for an SDE"):
        noise = np.zeros((4, 3))
        sde_adjoint(lambda y, t, w: w * y, np.asarray(1.0), y0, noise=noise, **options)


def test_an_ode_that_contracts_too_much_is_refused():
    drift = lambda y, t, w: w * (y - y**3)
    options = {"step_size": 0.1, "n_steps": 400, "terminal": np.sum}
    y0 = np.linspace(-2.0, 2.0, 8)
    with pytest.raises(FloatingPointError, match="contracts too much"):
        sde_adjoint(drift, np.asarray(1.0), y0, memory="ode", **options)
    kept = sde_adjoint(drift, np.asarray(1.0), y0, **options)
    again = sde_adjoint(drift, np.asarray(1.0), y0, memory="checkpoint", **options)
    assert float(kept.gradient) == pytest.approx(float(again.gradient), abs=1e-12)


def test_a_contracting_ode_gives_nan_under_jit():
    jax = pytest.importorskip("jax")
    drift = lambda y, t, w: w * (y - y**3)
    y0 = jax.numpy.linspace(-2.0, 2.0, 8)
    gradient = jax.jit(
        lambda w: (
            sde_adjoint(
                drift, w, y0, step_size=0.1, n_steps=400, terminal=jax.numpy.sum, memory="ode"
            ).gradient
        )
    )(1.0 * y0[0])
    assert np.isnan(gradient)


def test_divergence_names_the_step():
    # 4, -60, 2e5, 1e16, 1e48, 1e143, and its cube is too large.
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=r"after step 5 of 20"):
        sde_adjoint(
            lambda y, t, w: -w * y**3, np.asarray(1.0), np.full(3, 4.0), step_size=1.0,
            n_steps=20, terminal=np.sum,
        )  # fmt: skip


def test_bad_arguments():
    good = {"step_size": 0.1, "n_steps": 3, "terminal": np.sum}
    drift = lambda y, t, w: w * y
    w, y0 = np.asarray(1.0), np.ones(3)

    def refused(error, match, drift=drift, w=w, y0=y0, **changes):
        with pytest.raises(error, match=match):
            sde_adjoint(drift, w, y0, **{**good, **changes})

    refused(ValueError, "`n_steps` must be at least 1; got n_steps=0", n_steps=0)
    refused(TypeError, "`n_steps` must be an integer", n_steps=2.0)
    refused(ValueError, "`step_size` must be above 0", step_size=0.0)
    refused(ValueError, "`temperature` must be at least 0", temperature=-1.0)
    refused(ValueError, "`memory` must be one of stored, checkpoint, ode", memory="backsolve")
    refused(ValueError, "only one of `rng` and `noise`", rng=0, noise=np.zeros((3, 3)))
    refused(ValueError, r"`noise` must have shape \(3, 3\)", noise=np.zeros((2, 3)))
    refused(ValueError, r"`y0` must not be empty; got shape \(0, 2\)", y0=np.ones((0, 2)))
    refused(TypeError, "`y0` must have a real floating dtype", y0=np.ones(3, dtype=np.int64))
    refused(TypeError, "`params` must have a real floating dtype", w=np.asarray(1))
    refused(ValueError, "`terminal` must return a scalar", terminal=lambda y: y)
    refused(ValueError, "`running` must return a scalar", running=lambda y, t, w: y)
    refused(ValueError, "`drift` must return an array of shape", drift=lambda y, t, w: w * y[:2])
