"""Doubly stochastic matrices: normal scores, all contenders compiled by JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fenchel.convex import project_birkhoff, sinkhorn
from fenchel.reproduce.library import Library

from .case import Case, Contender, carried, fresh_rows, installed

__all__ = ["TITLE", "cases"]

TITLE = "Projections on the Birkhoff polytope, normal scores, float32, all under jax.jit"
SIZES = (10, 50, 100)
# The peer's own tolerance is 1e-3; with this one its columns are about as exact as ours.
SHARP = {"maxiter": 5000, "tol": 1e-6}


def cases(quick: bool) -> Iterator[Case]:
    """Yield Euclidean and entropic cases, and gradients, against jaxopt at two tolerances."""
    if installed("jax") is None or (peer := installed("jaxopt.projection")) is None:
        return
    for n in SIZES[:2] if quick else SIZES:
        yield _euclidean(n, peer)
        yield _entropic(n, peer)
    for n in SIZES[:2]:
        yield _gradient(n)


def _euclidean(n: int, peer: Any) -> Case:
    peers = _at_two_tolerances(peer.projection_transport, n)
    return Case(f"Euclidean, {n} x {n}", _compiled("fenchel", project_birkhoff, n), peers)


def _entropic(n: int, peer: Any) -> Case:
    peers = _at_two_tolerances(peer.kl_projection_transport, n)
    return Case(f"entropic, {n} x {n}", _compiled("fenchel", _plan, n), peers)


def _at_two_tolerances(project: Callable[..., Any], n: int) -> tuple[Contender, ...]:
    ones = Library.named("jax").array([1.0] * n)
    lbfgs: Any = installed("jaxopt").LBFGS  # type: ignore[union-attr]

    def sharp(x: Any) -> Any:
        return project(x, (ones, ones), make_solver=lambda f: lbfgs(f, **SHARP))

    loose = _compiled("jaxopt, tol 1e-3", lambda x: project(x, (ones, ones)), n)
    if n > 50:  # its line search takes seconds there
        return (loose,)
    return loose, _compiled("jaxopt, tol 1e-6", sharp, n)


def _gradient(n: int) -> Case:
    """The implicit gradient against that of the same number of sweeps."""
    ours = _compiled("fenchel, implicit", _gradient_of("implicit"), n)
    unrolled = _compiled("fenchel, unrolled", _gradient_of("unrolled"), n)
    return Case(f"gradient after 100 sweeps, {n} x {n}", ours, (unrolled,))


def _plan(x: Any) -> Any:
    return sinkhorn(x, tol=1e-6)


def _gradient_of(mode: str) -> Callable[[Any], Any]:
    value_and_grad = Library.named("jax").backend.value_and_grad

    def total(x: Any) -> Any:
        return (sinkhorn(x, max_iter=100, tol=0.0, gradient=mode) ** 2).sum()

    return lambda x: value_and_grad(total)(x)[1]


def _compiled(name: str, f: Callable[[Any], Any], n: int) -> Contender:
    jax = Library.named("jax")
    matrices = carried(jax, fresh_rows(n, n)[:100])
    compiled = jax.backend.jit(f)
    return Contender(name, lambda x: compiled(x).block_until_ready(), matrices)
