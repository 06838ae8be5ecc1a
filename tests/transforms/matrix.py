"""What the files of the matrix share: every public operator under every transformation."""

import pytest

from fenchel.testing import check_operator, operators
from tests import libraries

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

every_operator = pytest.mark.parametrize("operator", operators, ids=str)
ignore_warnings = pytest.mark.filterwarnings("ignore")  # of the libraries about their own internals


def check(operator, library, request, **options):
    only = request.config.getoption("--library")
    if only and library not in only:
        pytest.skip(f"only {', '.join(only)} asked for")
    if library in ("torch", "jax"):
        pytest.importorskip(library)
    found = libraries.get(library)
    outcomes = check_operator(operator, found.namespace, device=found.device, **options)
    assert outcomes
    wrong = [f"{o.transformation}: {o.status}, {o.message}" for o in outcomes if not o.ok]
    assert not wrong, "\n".join(wrong)


def in_turn(metafunc, name, choices):
    """Run each operator with one of the choices of `name`, or with all of them."""
    config = metafunc.config
    every = config.getoption("--every-library") or config.getoption("--library")
    metafunc.parametrize(
        ("operator", name),
        [
            pytest.param(operator, choice, id=f"{operator}-{choice}")
            for turn, operator in enumerate(operators)
            for choice in (choices if every else (choices[turn % len(choices)],))
        ],
    )
