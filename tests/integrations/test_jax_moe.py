"""Mixture-of-experts layers of JAX, and experts spread over devices."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

jax = pytest.importorskip("jax")
jnp = jax.numpy

from fenchel import routers  # noqa: E402
from fenchel.integrations.jax import MoE  # noqa: E402

WIDTH, EXPERTS = 6, 4


def layer_of(method, **options):
    k = 1 if method == "balanced_assignment" else 2
    layer = MoE(WIDTH, EXPERTS, method=method, hidden=5, k=k, slots=2, **options)
    return layer, *layer.init(jax.random.key(0))


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(1), (3, 8, WIDTH))


@pytest.mark.parametrize(
    "method", ["batch_prioritized", "softmax_expert_choice", "bias_balanced", "relu", "soft"]
)
def test_is_the_layer_of_torch(method, x):
    """Values and gradients under jit, against the module of PyTorch with these parameters."""
    torch = pytest.importorskip("torch")
    from fenchel.integrations.torch import MoELayer

    losses = {} if method == "soft" else {"switch": 0.1, "z": 0.2}
    layer, params, state = layer_of(method, losses=losses, capacity_factor=None)
    where = np.ones((3, 8), dtype=bool)
    where[1, 5:] = False

    def objective(params, x):
        result = layer.apply(params, state, x, where=jnp.asarray(where))
        return jnp.sum(result.output**2) + result.loss, result

    both = jax.jit(jax.value_and_grad(objective, argnums=(0, 1), has_aux=True))
    (_, result), (slopes, slope) = both(params, x)
    module = MoELayer(WIDTH, EXPERTS, method=method, hidden=5, k=layer.k, slots=2, losses=losses)
    module.to(torch.tensor(np.asarray(x)).dtype)  # float64 where JAX has it switched on
    module.experts.activation = lambda h: torch.nn.functional.gelu(h, approximate="tanh")
    with torch.no_grad():
        for name, value in params.items():
            home = module if name in ("router", "logit_scale") else module.experts
            getattr(home, name).copy_(torch.tensor(np.asarray(value)))
    xt = torch.tensor(np.asarray(x), requires_grad=True)
    theirs = module(xt, torch.tensor(where))
    (theirs.output.square().sum() + theirs.loss).backward()
    for a, b in zip(result, theirs, strict=True):
        assert_allclose(a, b.detach().numpy(), rtol=1e-4, atol=2e-5)
    assert_array_equal(result.demand, theirs.demand.numpy())
    assert_allclose(slope, xt.grad.numpy(), rtol=1e-3, atol=1e-4)
    for name, value in slopes.items():
        home = module if name in ("router", "logit_scale") else module.experts
        assert_allclose(value, getattr(home, name).grad.numpy(), rtol=1e-3, atol=1e-4)


def test_noise_comes_from_the_key(x):
    layer, params, state = layer_of("softmax_token_choice", noise=1.0, losses={"load": 1.0})
    key = jax.random.key(5)
    apply = jax.jit(layer.apply)
    noisy = apply(params, state, x, key=key)
    noise = jax.random.normal(key, (3, 8, EXPERTS)) / EXPERTS
    logits = x @ params["router"]
    expected = routers.load_loss(logits, k=2, noise=noise, scale=1 / EXPERTS).mean()
    assert_allclose(noisy.loss, expected, rtol=1e-6)
    assert float(apply(params, state, x).loss) == 0.0


@pytest.mark.parametrize("method", ["bias_balanced", "relu"])
def test_update_is_pure(method, x):
    layer, params, state = layer_of(method)
    result = jax.jit(layer.apply)(params, state, x)
    new = jax.jit(layer.update)(state, result)
    assert set(new) == set(state)
    if method == "bias_balanced":
        expected = routers.BiasBalance().step(jnp.zeros(EXPERTS, jnp.float32), result.demand)
        assert_array_equal(new["bias"], expected)
        assert np.all(np.asarray(state["bias"]) == 0)
    else:
        share = result.demand.sum() / (24 * EXPERTS)
        control = routers.SparsityControl(0.5)
        assert_allclose(new["coefficient"], control.step(state["coefficient"], 1 - share))


def test_errors():
    with pytest.raises(ValueError, match="method"):
        MoE(4, 2, method="best")
    with pytest.raises(ValueError, match="`options` must be one of"):
        MoE(4, 2, options={"prioritty": "token"})
    with pytest.raises(ValueError, match="`k`"):
        MoE(4, 2, k=3)


@pytest.mark.parametrize("shape", [(2, 0, WIDTH), (0, 8, WIDTH)])
def test_no_tokens(shape):
    layer, params, state = layer_of("softmax_token_choice", losses={"z": 1.0})

    def total(params, x):
        result = layer.apply(params, state, x)
        return result.output.sum() + result.loss

    value, slopes = jax.jit(jax.value_and_grad(total))(params, jnp.zeros(shape))
    assert value == 0
    assert all(np.all(np.asarray(slope) == 0) for slope in slopes.values())


def test_devices_agree_with_one():
    """Four host devices: values, gradients and state of a single one."""
    script = Path(__file__).with_name("jax_devices.py")
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4 "
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(map(str, (root, root / "src", root / "backends"))),
    }
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agrees" in done.stdout
