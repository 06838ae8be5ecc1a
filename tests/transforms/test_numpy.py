"""Every public operator under every transformation of NumPy, and of the tape over others."""

from tests.transforms.matrix import check, every_operator, ignore_warnings, in_turn

# The tape is the same over every library; beside NumPy, what differs are constants and operators.
TAPE = ("eager", "float32", "vjp", "jvp", "vmap", "forward over reverse")
# Of these each operator takes one in turn, so that all of them meet every kind of operator; with
# --every-library each takes all.
TAPED = ("strict", "strict-device1", "third-party")


def pytest_generate_tests(metafunc):
    if metafunc.function.__name__ == "test_tape":
        in_turn(metafunc, "library", TAPED)


@ignore_warnings
@every_operator
def test_transformations(operator, request):
    check(operator, "numpy", request, compiled=False)


def test_tape(operator, library, request):
    check(operator, library, request, only=TAPE)
