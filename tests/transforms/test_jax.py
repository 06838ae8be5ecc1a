"""Every public operator under the transformations of JAX."""

from importlib.util import find_spec

import pytest

from fenchel.backend import backend_named
from fenchel.testing.rows import transformations
from tests.transforms.matrix import (
    REPRESENTATIVES,
    check,
    every_operator,
    ignore_warnings,
    in_turn,
)

# JAX compiles every operation for every shape, so that each row costs seconds: each operator takes
# one of the second kind in turn; with --every-library all.
ALL = ("jit(vmap(grad))",)
IN_TURN = ("eager", "bfloat16", "grad", "jvp of grad", "jit, no transfers")
DEEP = (
    sorted({*transformations(backend_named("jax"))} - {*ALL, *IN_TURN}) if find_spec("jax") else []
)


def pytest_generate_tests(metafunc):
    if metafunc.function.__name__ == "test_in_turn":
        in_turn(metafunc, "transformation", IN_TURN)


@pytest.fixture(autouse=True)
def quick_compilation():
    """What XLA's optimizer does is not under test, and takes half of the time."""
    jax = pytest.importorskip("jax")
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@ignore_warnings
@every_operator
def test_transformations(operator, request):
    check(operator, "jax", request, only=ALL)


@ignore_warnings
def test_in_turn(operator, transformation, request):
    check(operator, "jax", request, only=[transformation])


@ignore_warnings
@pytest.mark.parametrize("operator", REPRESENTATIVES[1::2])
@pytest.mark.parametrize("transformation", DEEP)
def test_deep(operator, transformation, request):
    check(operator, "jax", request, only=[transformation])
