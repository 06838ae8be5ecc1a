"""Experts spread over four host devices against one; run by the tests as a script."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec

from fenchel.integrations.jax import MoE

jax.config.update("jax_enable_x64", True)
WIDTH, EXPERTS, DEVICES = 6, 8, 4
CASES = (
    {"method": "softmax_token_choice", "k": 2, "capacity_factor": 1.0},
    {"method": "softmax_expert_choice", "k": 2},
    {"method": "bias_balanced", "k": 2},
    {"method": "soft", "slots": 2},
)


def check(options):
    layer = MoE(WIDTH, EXPERTS, hidden=5, **options)
    params, state = layer.init(jax.random.key(0), jnp.float64)
    x = jax.random.normal(jax.random.key(1), (2 * DEVICES, 8, WIDTH), jnp.float64)
    where = jax.random.uniform(jax.random.key(2), x.shape[:-1]) < 0.8
    mesh = jax.make_mesh((DEVICES,), ("experts",), (AxisType.Auto,))
    whole, split = PartitionSpec(), PartitionSpec("experts")
    shared = ("router", "logit_scale")
    specs = {name: whole if name in shared else split for name in params}

    def spread(params, x, where):
        result = layer.apply(params, state, x, where=where, axis_name="experts")
        new = layer.update(state, result, axis_name="experts")
        return result.output, new

    spread = jax.shard_map(
        spread, mesh=mesh, in_specs=(specs, split, split), out_specs=(split, whole)
    )

    def alone(params, x, where):
        result = layer.apply(params, state, x, where=where)
        return result.output, layer.update(state, result)

    def objective(f):
        def total(params, x):
            output, new = f(params, x, where)
            return jnp.sum(jnp.sin(output)), (output, new)

        return jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))

    for a, b in zip(
        jax.tree.leaves(objective(spread)(params, x)),
        jax.tree.leaves(objective(alone)(params, x)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def main():
    assert jax.device_count() == DEVICES
    for options in CASES:
        check(options)
    print("agrees")


if __name__ == "__main__":
    main()
