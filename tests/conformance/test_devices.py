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


@pytest.fixture
def shapes_known():
    """Refuse what gives data-dependent shapes, which compilers cannot have."""
    xp = pytest.importorskip("array_api_strict")
    with xp.ArrayAPIStrictFlags(boolean_indexing=False, data_dependent_shapes=False):
        yield xp


def test_shapes_that_depend_on_data_are_refused(shapes_known):
    x = shapes_known.asarray([1.0, 0.0])
    with pytest.raises(RuntimeError, match="boolean_indexing"):
        x[x > 0]
    with pytest.raises(RuntimeError, match="data_dependent_shapes"):
        shapes_known.nonzero(x)


@every_operator
def test_strict_device_is_kept_and_shapes_are_known(operator, shapes_known):
    xp = shapes_known
    device = xp.Device("device1")
    probe = probe_of(operator, resolve(xp), device, "float64")
    y, pullback = probe.backend.vjp(probe.f, *probe.primals)
    assert y.device == device
    assert all(slope.device == device for slope in pullback(probe.cotangent))


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
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    code = TWO_DEVICES.format(names=NAMES)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"XLA_FLAGS": flags},
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
