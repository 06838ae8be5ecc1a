"""Projections on simple sets: normal points, all contenders compiled by JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fenchel.convex import project_box_section, project_knapsack, project_l1_ball
from fenchel.reproduce.library import Library

from .case import Case, Contender, carried, fresh_rows, installed

__all__ = ["TITLE", "cases"]

TITLE = "Projections on sets, normal points, float32, all under jax.jit"
SHAPES = ((32, 10), (256, 100), (256, 1000))


def cases(quick: bool) -> Iterator[Case]:
    """Yield sections of a box and knapsacks against jaxopt, and the ball of the l1 norm."""
    if installed("jax") is None or (peer := installed("jaxopt.projection")) is None:
        return
    for batch, n in SHAPES[:2] if quick else SHAPES:
        yield _section(batch, n, peer)
        yield _knapsack(batch, n, peer)
        yield _l1_ball(batch, n, peer)


def _weights(n: int) -> tuple[Any, float]:
    """Return weights in [0.2, 1] and a total that binds."""
    weights = Library.named("jax").array([0.2 + 0.8 * (i * 0.618 % 1) for i in range(n)])
    return weights, 0.2 * n


def _section(batch: int, n: int, peer: Any) -> Case:
    weights, total = _weights(n)
    bounds = Library.named("jax").array([0.0] * n), Library.named("jax").array([1.0] * n)

    def theirs(x: Any) -> Any:
        parameters = (*bounds, weights, total)
        return peer.projection_box_section(x, parameters, check_feasible=False)

    ours = _compiled("fenchel", lambda x: project_box_section(x, *bounds, weights, total), batch, n)
    return Case(f"box section, {batch} x {n}", ours, (_by_row("jaxopt", theirs, batch, n),))


def _knapsack(batch: int, n: int, peer: Any) -> Case:
    """The peer has the section alone: the budget of this case binds, so that the two agree."""
    weights, _ = _weights(n)
    bounds = Library.named("jax").array([0.0] * n), Library.named("jax").array([1.0] * n)

    def theirs(x: Any) -> Any:
        parameters = (*bounds, weights, 0.05 * n)
        return peer.projection_box_section(x, parameters, check_feasible=False)

    ours = _compiled("fenchel", lambda x: project_knapsack(x, weights, 0.05 * n), batch, n)
    return Case(f"knapsack, {batch} x {n}", ours, (_by_row("jaxopt", theirs, batch, n),))


def _l1_ball(batch: int, n: int, peer: Any) -> Case:
    peers = [_by_row("jaxopt", lambda x: peer.projection_l1_ball(x, 1.0), batch, n)]
    if (optax := installed("optax.projections")) is not None:
        peers.append(_by_row("optax", lambda x: optax.projection_l1_ball(x, 1.0), batch, n))
    ours = _compiled("fenchel", lambda x: project_l1_ball(x, 1.0), batch, n)
    return Case(f"l1 ball, {batch} x {n}", ours, tuple(peers))


def _by_row(name: str, f: Callable[[Any], Any], batch: int, n: int) -> Contender:
    """Map a function of one row, as its users must."""
    return _compiled(name, Library.named("jax").backend.vmap(f), batch, n)


def _compiled(name: str, f: Callable[[Any], Any], batch: int, n: int) -> Contender:
    jax = Library.named("jax")
    rows = carried(jax, fresh_rows(batch, n)[:100])
    compiled = jax.backend.jit(f)
    return Contender(name, lambda x: compiled(x).block_until_ready(), rows)
