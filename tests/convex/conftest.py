"""Both routes of every fit: the fast kernels and the reference in array-API calls."""

import pytest

import fenchel


@pytest.fixture(params=["kernels", "reference"])
def route(request):
    with fenchel.use_kernels(request.param == "kernels"):
        yield request.param
