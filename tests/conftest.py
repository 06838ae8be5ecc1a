"""The fixture that runs a test over every library, and what tests need to handle its arrays."""

import os
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

# The same examples in every run, and no deadline: the first example of a run compiles a kernel.
settings.register_profile(
    "fenchel", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fenchel")
# It tries constants of the modules imported so far, which differ from worker to worker.
if hasattr(providers, "_get_local_constants"):
    _NO_CONSTANTS = providers.Constants()
    providers._get_local_constants = lambda: _NO_CONSTANTS

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_ENABLE_X64"] = "1"  # from the first test on, whichever that is
# Tests compile much and run little.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
)
# What one worker has compiled serves the other, and the next run.
_CACHE = Path(__file__).parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

LIBRARIES = ("numpy", "strict", "torch", "jax")
# Each test takes one of these besides, always the same one; with --every-library all of them.
VARIANTS = ("strict-device1", "jax-jit", "third-party")


def pytest_addoption(parser):
    parser.addoption("--library", action="append", help="run only these libraries (repeatable)")
    parser.addoption("--every-library", action="store_true", help="every variant in every test")
    parser.addoption("--device", default="cpu", help="cuda runs torch and CuPy there")


def pytest_generate_tests(metafunc):
    if "xp" in metafunc.fixturenames:
        metafunc.parametrize("xp", _chosen(metafunc), indirect=True)


def _chosen(metafunc):
    """Return the libraries of a test."""
    if named := metafunc.config.getoption("--library"):
        return named
    if metafunc.config.getoption("--every-library"):
        return LIBRARIES + VARIANTS
    turn = zlib.crc32(metafunc.function.__qualname__.encode()) % len(VARIANTS)
    return (*LIBRARIES, VARIANTS[turn])


@pytest.fixture
def xp(request):
    """One library, with what tests need to build arrays of it and to read them back."""
    return _library(request.param)


def _library(name):
    from tests import libraries

    return libraries.get(name)


@pytest.fixture(autouse=True, scope="module")
def forget_compiled():
    """Drop what the compilers keep: a run of the whole suite would need gigabytes for it."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    if "torch._dynamo" in sys.modules:
        sys.modules["torch._dynamo"].reset()


@pytest.fixture
def rng():
    return np.random.default_rng(0)
