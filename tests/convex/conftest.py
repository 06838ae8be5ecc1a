"""Both routes of every fit: the fast kernels and the reference in array-API calls."""

import pytest
from hypothesis import settings

import fenchel

# The first example of a run compiles a kernel.
settings.register_profile("compiling", deadline=None)
settings.load_profile("compiling")


@pytest.fixture(params=["kernels", "reference"])
def route(request):
    library = request.node.callspec.params.get("xp")
    if request.param == "reference" and library == "jax":
        pytest.skip("eager JAX compiles each loop anew; the jitted library runs the same code")
    with fenchel.use_kernels(request.param == "kernels"):
        yield request.param
