"""Every public operator under every transformation of every library."""

from importlib.util import find_spec

import pytest

from fenchel.backend import backend_named
from fenchel.testing import check_operator, operators
from fenchel.testing.rows import transformations
from tests import libraries

# The tape is the same over every library; beside NumPy, what differs are constants and operators.
TAPE = ("eager", "float32", "vjp", "jvp", "vmap", "forward over reverse")
# Of these, and of what is slow to compile, each operator takes one in turn, so that all of them
# meet every kind of operator; with --every-library each takes all.
TAPED = ("strict", "strict-device1", "third-party")

# One operator a family is enough for what compilers do with transformations of transformations.
REPRESENTATIVES = (
    "softmax(where=)",
    "entmax(alpha=1.5)",
    "normmax(alpha=2)",
    "topk_mask(k=array, temperature=array, p=4/3)",
    "topk(magnitude)",
    "isotonic_regression(squared, weights)",
    "soft_rank(quadratic)",
)
COMPILED = ("compile, then backward", "compile(func.grad)")
DEEPLY_COMPILED = ("compile", "compile(func.jvp)", "compile(vmap)", "compile(hessian)")

# JAX compiles every operation for every shape, so that each row costs seconds.
JAX = ("jit(vmap(grad))",)
JAX_IN_TURN = ("eager", "bfloat16", "grad", "jvp of grad", "jit, no transfers")
JAX_DEEP = (
    sorted({*transformations(backend_named("jax"))} - {*JAX, *JAX_IN_TURN})
    if find_spec("jax")
    else []
)

every_operator = pytest.mark.parametrize("operator", operators, ids=str)
representatives = pytest.mark.parametrize("operator", REPRESENTATIVES)


def check(operator, library, **options):
    found = libraries.get(library)
    outcomes = check_operator(operator, found.namespace, device=found.device, **options)
    assert outcomes
    wrong = [f"{o.transformation}: {o.status}, {o.message}" for o in outcomes if not o.ok]
    assert not wrong, "\n".join(wrong)


def chosen(request, library):
    only = request.config.getoption("--library")
    if only and library not in only:
        pytest.skip(f"only {', '.join(only)} asked for")
    if library in ("torch", "jax"):
        pytest.importorskip(library)


ignore_warnings = pytest.mark.filterwarnings("ignore")  # of the libraries about their own internals


@ignore_warnings
@pytest.mark.parametrize("library", ["numpy", "torch"])
@every_operator
def test_transformations(operator, library, request):
    chosen(request, library)
    check(operator, library, compiled=False)


def in_turn(config, choices):
    """Yield each operator with one of the choices, or with all of them."""
    every = config.getoption("--every-library") or config.getoption("--library")
    for turn, operator in enumerate(operators):
        for choice in choices if every else (choices[turn % len(choices)],):
            yield pytest.param(operator, choice, id=f"{operator}-{choice}")


IN_TURN = {
    "test_tape": ("library", TAPED),
    "test_torch_compile": ("transformation", COMPILED),
    "test_jax_in_turn": ("transformation", JAX_IN_TURN),
}


def pytest_generate_tests(metafunc):
    if metafunc.function.__name__ in IN_TURN:
        name, choices = IN_TURN[metafunc.function.__name__]
        metafunc.parametrize(("operator", name), list(in_turn(metafunc.config, choices)))


def test_tape(operator, library, request):
    chosen(request, library)
    check(operator, library, only=TAPE)


@ignore_warnings
def test_torch_compile(operator, transformation, request):
    chosen(request, "torch")
    check(operator, "torch", only=[transformation])


@ignore_warnings
@representatives
@pytest.mark.parametrize("transformation", DEEPLY_COMPILED)
def test_torch_compile_of_transformations(operator, transformation, request):
    chosen(request, "torch")
    check(operator, "torch", only=[transformation])


@ignore_warnings
@pytest.mark.parametrize("operator", ["isotonic_regression(squared)", "topk_mask(p=2)"])
def test_torch_inductor(operator, request):
    chosen(request, "torch")
    check(operator, "torch", only=["compile with inductor"])


@pytest.fixture
def quick_compilation():
    """What XLA's optimizer does is not under test, and takes half of the time."""
    jax = pytest.importorskip("jax")
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@ignore_warnings
@pytest.mark.usefixtures("quick_compilation")
@every_operator
def test_jax(operator, request):
    chosen(request, "jax")
    check(operator, "jax", only=JAX)


@ignore_warnings
@pytest.mark.usefixtures("quick_compilation")
def test_jax_in_turn(operator, transformation, request):
    chosen(request, "jax")
    check(operator, "jax", only=[transformation])


@ignore_warnings
@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("operator", REPRESENTATIVES[1::2])
@pytest.mark.parametrize("transformation", JAX_DEEP)
def test_jax_deep(operator, transformation, request):
    chosen(request, "jax")
    check(operator, "jax", only=[transformation])
