"""The fixture that runs a test over every library, and what tests need to handle its arrays."""

import os

import numpy as np
import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")

LIBRARIES = ("numpy", "strict", "strict-device1", "torch", "jax", "jax-jit", "third-party")


def pytest_addoption(parser):
    parser.addoption("--library", action="append", help="run only these libraries (repeatable)")
    parser.addoption("--device", default="cpu", help="cuda runs torch and CuPy there")


def pytest_generate_tests(metafunc):
    if "xp" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--library") or LIBRARIES
        metafunc.parametrize("xp", chosen, indirect=True)


@pytest.fixture
def xp(request):
    """One library, with what tests need to build arrays of it and to read them back."""
    return _library(request.param)


def _library(name):
    from tests import libraries

    return libraries.get(name)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
