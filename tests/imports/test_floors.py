"""The three rules of imports: lower floors, applications apart, no framework in the library."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "fenchel"

# From the ground up; rooms on one line are one floor and their order is the order of use.
FLOORS = (
    ("_lazy", "arrays", "contract"),
    ("backend", "kernels"),
    ("parameters", "trees", "random", "loops", "special"),
    ("eager",),
    ("autodiff",),
    ("convex",),
    ("operators",),
    ("regularizers",),
    ("losses",),
    ("smoothing", "families", "structured", "stochastic", "implicit", "ode", "optimize"),
    ("tuners", "oracles", "routers", "diffusion", "alignment", "incontext"),
    ("testing", "integrations", "reproduce", "cli"),
)
APPLICATIONS = FLOORS[-2]
RANK = {room: rank for rank, room in enumerate(room for floor in FLOORS for room in floor)}
FRAMEWORKS = {
    "torch",
    "jax",
    "jaxlib",
    "cupy",
    "numba",
    "tensorflow",
    "optax",
    "flax",
    "transformers",
}


# The registry (`fenchel.backend`) is the one place that loads adapters, each named by a string.


def imported_modules(code: str, package: str) -> Iterator[str]:
    """Yield the full name of everything that `code`, a module of `package`, imports."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level]
            stem = [*(base if node.level else []), *([node.module] if node.module else [])]
            yield from (".".join([*stem, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("import_module", "__import__")
        ):
            yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant))


def room_of(module: str) -> str | None:
    """Return the room that a module of `fenchel` stands in, None outside of the rooms."""
    parts = module.split(".")
    return parts[1] if parts[0] == "fenchel" and len(parts) > 1 and parts[1] in RANK else None


def offences(code: str, module: str, package: str) -> list[str]:
    """Return what `code` imports against the three rules."""
    room, found = room_of(module), []
    for name in imported_modules(code, package):
        top, other = name.split(".")[0], room_of(name)
        if top == "fenchel_backends" and module != "fenchel.backend":
            found.append(f"{module} imports {name}: adapters are reached through the registry")
        elif top in FRAMEWORKS and room != "integrations":
            found.append(f"{module} imports the framework {top}")
        elif top == "fenchel" and other is None and room not in (None, *FLOORS[-1]):
            found.append(f"{module} imports {name} through the lazy names of the package")
        elif other is not None and other != room and room is not None:
            if room in APPLICATIONS and other in APPLICATIONS:
                found.append(f"{module} imports {name}: applications never import each other")
            elif RANK[other] > RANK[room]:
                found.append(f"{module} imports {name}, which stands on a higher floor")
    return found


def python_files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_file_imports_from_lower_floors_only(path):
    parts = ("fenchel", *path.relative_to(SOURCE).with_suffix("").parts)
    package = ".".join(parts[:-1])
    module = package if parts[-1] == "__init__" else ".".join(parts)
    assert offences(path.read_text(encoding="utf-8"), module, package) == []


def test_every_room_has_a_floor():
    rooms = {path.stem for path in SOURCE.glob("*.py")} | {
        path.name for path in SOURCE.iterdir() if path.is_dir() and any(path.glob("*.py"))
    }
    assert rooms - set(RANK) <= {"__init__", "__main__"}


@pytest.mark.parametrize(
    ("module", "code", "count"),
    [
        ("fenchel.convex.prox", "from fenchel.autodiff import grad", 0),
        ("fenchel.convex.prox", "from fenchel import losses", 1),
        ("fenchel.convex.prox", "def f():\n    from ..operators.topk import topk", 1),
        ("fenchel.convex.prox", "from .projections import simplex", 0),
        ("fenchel.tuners.cdat", "import fenchel.oracles", 1),
        ("fenchel.tuners.cdat", "import torch.nn", 1),
        ("fenchel.integrations.torch", "import torch", 0),
        ("fenchel.integrations.torch", "import fenchel_backends.torch", 1),
        ("fenchel.backend", "importlib.import_module('jax.numpy')", 1),
        ("fenchel.ode.solvers", "from fenchel.optimize import lbfgs", 1),
        ("fenchel.optimize.newton", "from fenchel.implicit import solve", 0),
        ("fenchel.ode.solvers", "from fenchel import grad", 1),
        ("fenchel.cli.info", "from fenchel import backends", 0),
        ("fenchel.backend", "importlib.import_module('fenchel_backends.generic')", 0),
        ("fenchel.arrays", "importlib.import_module('fenchel_backends.generic')", 1),
        ("fenchel", "from fenchel.losses import logistic", 0),
    ],
)
def test_the_check_sees_what_it_should(module, code, count):
    assert len(offences(code, module, module.rpartition(".")[0])) == count
