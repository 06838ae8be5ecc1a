"""Every public operator under every transformation of PyTorch but compilation."""

from importlib.util import find_spec

from fenchel.backend import backend_named
from fenchel.testing.rows import transformations
from tests.transforms.matrix import check, every_operator, ignore_warnings, in_turn

# What traces an operator call by call takes seconds where it has thousands: each operator takes one
# in turn; with --every-library all.
TRACED = ("linearize", "fake tensors on cuda, jvp")
REST = sorted({*transformations(backend_named("torch"))} - {*TRACED}) if find_spec("torch") else []


def pytest_generate_tests(metafunc):
    if metafunc.function.__name__ == "test_traced":
        in_turn(metafunc, "transformation", TRACED)


@ignore_warnings
@every_operator
def test_transformations(operator, request):
    check(operator, "torch", request, only=REST, compiled=False)


@ignore_warnings
def test_traced(operator, transformation, request):
    check(operator, "torch", request, only=[transformation])
