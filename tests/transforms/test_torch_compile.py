"""Every public operator compiled by PyTorch, with derivatives inside and outside."""

import pytest

from tests.transforms.matrix import REPRESENTATIVES, check, ignore_warnings, in_turn

# Slow to compile: each operator takes one in turn; with --every-library each takes both.
COMPILED = ("compile, then backward", "compile(func.grad)")
DEEPLY_COMPILED = ("compile", "compile(func.jvp)", "compile(vmap)", "compile(hessian)")


def pytest_generate_tests(metafunc):
    if metafunc.function.__name__ == "test_compile":
        in_turn(metafunc, "transformation", COMPILED)


@ignore_warnings
def test_compile(operator, transformation, request):
    check(operator, "torch", request, only=[transformation])


@ignore_warnings
@pytest.mark.parametrize("operator", REPRESENTATIVES)
@pytest.mark.parametrize("transformation", DEEPLY_COMPILED)
def test_compile_of_transformations(operator, transformation, request):
    check(operator, "torch", request, only=[transformation])


@ignore_warnings
@pytest.mark.parametrize("operator", ["isotonic_regression(squared)", "topk_mask(p=2)"])
def test_inductor(operator, request):
    check(operator, "torch", request, only=["compile with inductor"])
