"""Both routes of every fit: the fast kernels and the reference in array-API calls."""

import pytest

import fenchel

ROUTES = {
    "numpy": ("kernels", "reference"),
    "torch": ("kernels", "reference"),
    # Eager, JAX compiles each loop of the reference anew; jitted, it runs the same code.
    "jax": ("kernels",),
    "jax-jit": ("kernels", "reference"),
}


@pytest.fixture(params=["kernels", "reference"])
def route(request):
    library = request.node.callspec.params.get("xp", "numpy")
    if request.param not in ROUTES.get(library, ("reference",)):
        pytest.skip("the library has no kernels, or its jitted variant covers the reference")
    with fenchel.use_kernels(request.param == "kernels"):
        yield request.param
