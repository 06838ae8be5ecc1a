"""Devices and dtypes: results stay where the inputs are, and no float64 is smuggled in."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fenchel.testing import check_operator, operators
from fenchel.testing.check import probe_of, resolve

every_operator = pytest.mark.parametrize("operator", operators, ids=str)


@every_operator
def test_strict_device_without_float64(operator):
    xp = pytest.importorskip("array_api_strict")
    device = xp.Device("no_float64")
    (outcome,) = check_operator(operator, xp, device=device, only=["float32"])
    assert outcome.ok, outcome.message


@every_operator
def test_strict_device_is_kept(operator):
    xp = pytest.importorskip("array_api_strict")
    device = xp.Device("device1")
    probe = probe_of(operator, resolve(xp), device, "float64")
    y, pullback = probe.backend.vjp(probe.f, *probe.primals)
    assert y.device == device
    assert all(slope.device == device for slope in pullback(probe.cotangent))


@pytest.mark.parametrize("flag", ["boolean_indexing", "data_dependent_shapes"])
def test_strict_flags_are_off(flag):
    """Operators need no data-dependent shape, which compilers cannot have."""
    code = (
        "import array_api_strict as xp\n"
        f"xp.set_array_api_strict_flags({flag}=False)\n"
        "from fenchel.testing import check_operator, operators\n"
        "bad = [o for e in operators for o in check_operator(e, xp, only=['eager', 'vjp'])\n"
        "       if not o.ok]\n"
        "assert not bad, bad[:5]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


TWO_DEVICES = """
import jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
from fenchel.testing import operators
from fenchel.testing.check import probe_of, resolve
backend, device = resolve("jax"), jax.devices()[1]
for name in {names}:
    probe = probe_of(operators[name], backend, device, "float64")
    for result in (probe.f(*probe.primals), *jax.grad(probe.scalar, probe.places)(*probe.primals)):
        assert result.devices() == {{device}}, (name, result.devices())
"""
NAMES = (
    "softmax",
    "entmax(alpha=1.5)",
    "topk_mask(p=2)",
    "topk(magnitude)",
    "isotonic_regression(squared)",
    "soft_rank(quadratic)",
    "spearman_loss(quadratic)",
)


def test_second_jax_device_is_kept():
    pytest.importorskip("jax")
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    code = TWO_DEVICES.format(names=NAMES)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | flags
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_default_dtype_and_x64_are_left_alone():
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    check_operator("entmax(alpha=1.5)", "torch", compiled=False)
    assert torch.get_default_dtype() == before


@every_operator
def test_inputs_are_not_written(operator):
    """NumPy inputs are read-only, and a copy tells of writes behind the flag."""
    inputs = operator.inputs(np.random.default_rng(operator.seeds[0]))
    copies = [x.copy() for x in inputs]
    for x in inputs:
        x.flags.writeable = False
    operator(*inputs)
    assert all(np.array_equal(a, b) for a, b in zip(inputs, copies, strict=True))
