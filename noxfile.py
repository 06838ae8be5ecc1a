"""Every check of the project: `nox -s tests`, `nox -s lint types docs`, ..."""

import re
import shutil
import tomllib
from pathlib import Path

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_external_run = True
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests", "lint", "types"]

# Installed before everything else: asked for by itself, this exact version resolves to the build
# without CUDA where one is at hand; an open requirement would pull gigabytes of CUDA libraries.
TORCH = "torch==2.13.0"

# pytest-xdist already fills the cores: a pool of threads in each worker only makes them wait.
THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)

# Each file runs whole and in order on one worker: what it compiles is compiled once.
PARALLEL = ("-n", "auto", "--dist", "loadfile")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the whole suite on NumPy, strict, PyTorch and JAX."""
    session.install(TORCH)
    session.install(".[test,torch,jax]")
    session.run("pytest", *PARALLEL, *session.posargs, env=THREADS)


@nox.session
def strict(session: nox.Session) -> None:
    """Run the suite with no library but the strict one, on each device that it simulates."""
    session.install(TORCH)
    session.install(".[test,torch,jax]")
    only = ("--library", "strict", "--library", "strict-device1")
    session.run("pytest", *PARALLEL, *only, *session.posargs, env=THREADS)


@nox.session
def min_versions(session: nox.Session) -> None:
    """Run the suite with the oldest versions that `pyproject.toml` allows."""
    session.install(TORCH)
    session.install(".[test,torch,jax]", *_floors("numba", "jax", "tour", "alignment"))
    session.run("pytest", *PARALLEL, *session.posargs, env=THREADS)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style and the layout of the code."""
    session.install("ruff>=0.12")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the annotations."""
    session.install(TORCH)
    session.install(".[test,torch,jax]", "mypy>=1.18")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, warnings being errors."""
    session.install(TORCH)
    session.install(".[docs,torch,jax]")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def doctest(session: nox.Session) -> None:
    """Run the examples of the docstrings and of the documentation."""
    session.install(TORCH)
    session.install(".[test,torch,jax]")
    packages = (
        "--pyargs",
        "fenchel",
        "fenchel_backends",
        "--ignore-glob=*/fenchel_backends/cupy.py",
    )
    session.run("pytest", *PARALLEL, "--doctest-modules", *packages, env=THREADS)
    session.run("pytest", "tests/docs", env=THREADS)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure ours against the installed peers; the results go to `benchmarks/results`."""
    session.install(TORCH)
    session.install(".[bench,torch]")
    session.run("fenchel", "bench", "--output", "benchmarks/results", *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """Build wheel and sdist, check them, and import the installed wheel."""
    session.install("build", "twine")
    room = Path(session.create_tmp()).resolve()
    dist, venv = room / "dist", room / "venv"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist))
    artefacts = sorted(map(str, dist.iterdir()))
    session.run("twine", "check", "--strict", *artefacts)
    wheel = next(name for name in artefacts if name.endswith(".whl"))
    session.run("python", "-m", "venv", "--clear", str(venv))
    python = str(venv / "bin" / "python")
    session.run(python, "-m", "pip", "install", wheel, external=True)
    with session.chdir(room):  # away from the checkout: what is imported is the wheel
        session.run(python, "-m", "fenchel", "info", external=True)


def _floors(*extras: str) -> list[str]:
    """Return the requirements of the project with each lower bound turned into a pin."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return [re.sub(r">=([\d.]+)", r"==\1.*", requirement) for requirement in wanted]
