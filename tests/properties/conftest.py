"""Property tests run over the eager libraries; JAX, which compiles a shape, meets fixed ones."""

import pytest

from tests import libraries

EAGER = ("numpy", "strict", "torch", "third-party")


def pytest_generate_tests(metafunc):
    if "library" in metafunc.fixturenames:
        only = metafunc.config.getoption("--library") or EAGER
        chosen = [name for name in EAGER if name in only]
        metafunc.parametrize("library", chosen, indirect=True, scope="session")


@pytest.fixture(scope="session")
def library(request):
    """One eager library, for a whole session: hypothesis calls a test many times."""
    return libraries.get(request.param)
