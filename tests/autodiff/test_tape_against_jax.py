"""Values and derivatives up to the third, against JAX in double precision."""

from functools import cache

import array_api_compat
import array_api_compat.numpy as compat
import array_api_strict as strict
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fenchel.autodiff import tape
from tests.autodiff.tape_functions import BY_NAME, CASES

# Compiling takes most of the time, and these programs run once.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
LIBRARIES = {"numpy": compat, "strict": strict}


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def weights_like(shape):
    n = int(np.prod(shape))
    return np.cos(np.arange(n, dtype=float)).reshape(shape)


def direction_like(x):
    return np.sin(1.0 + np.arange(x.size, dtype=float)).reshape(x.shape)


@cache
def jax_derivatives(name):
    """Value, gradient, and the gradient's first two derivatives along a direction."""
    case = BY_NAME[name]
    out = case.f(jnp, jnp.asarray(case.sample))
    w = weights_like(out.shape)
    v = jnp.asarray(direction_like(case.sample))

    def scalar(x):
        # A nonlinear function of the output, so that linear functions have second derivatives.
        return jnp.sum(w * jnp.sin(case.f(jnp, x)))

    def second(x):
        return jax.jvp(jax.grad(scalar), (x,), (v,))[1]

    def all_of(x):
        return (case.f(jnp, x), jax.grad(scalar)(x), *jax.jvp(second, (x,), (v,)))

    return [
        np.asarray(a) for a in jax.jit(all_of, compiler_options=QUICK)(jnp.asarray(case.sample))
    ]


def tape_derivatives(case, base):
    def host(x):
        return np.from_dlpack(x) if base is strict else np.asarray(x)

    x = base.asarray(case.sample)
    v = base.asarray(direction_like(case.sample))
    w = base.asarray(weights_like(case.f(base, x).shape))

    def scalar(x):
        xp = array_api_compat.array_namespace(x)
        return xp.sum(xp.multiply(w, xp.sin(case.f(xp, x))))

    def second(x):
        return tape.jvp(lambda y: tape.value_and_grad(scalar)(y)[1], (x,), (v,))[1]

    gradient = tape.value_and_grad(scalar)(x)[1]
    return [host(a) for a in (case.f(base, x), gradient, *tape.jvp(second, (x,), (v,)))]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_derivatives_agree_with_jax(case, library):
    expected = jax_derivatives(case.name)
    found = tape_derivatives(case, LIBRARIES[library])
    for order, (a, b) in enumerate(zip(found, expected, strict=True)):
        scale = max(1.0, float(np.max(np.abs(b))))
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * scale, err_msg=f"order {order}")


def test_table_is_varied():
    assert len(CASES) >= 60
