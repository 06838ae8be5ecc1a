"""Isotonic regression: rows of noise and of noise with a trend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fenchel.convex import isotonic_regression
from fenchel.reproduce.library import Library

from .case import Case, Contender, carried, fresh_rows, installed

__all__ = ["TITLE", "cases"]

TITLE = "Isotonic regression, least squares, float32"
SHAPES = ((1, 100), (32, 100), (256, 100), (1, 1000), (32, 1000), (1, 10_000), (32, 10_000))


def cases(quick: bool) -> Iterator[Case]:
    """Yield forward cases against SciPy and scikit-learn, and gradients against torchisotonic."""
    for batch, n in SHAPES[:4] if quick else SHAPES:
        yield _forward(batch, n)
    torch_peer = installed("torchisotonic")
    if torch_peer is not None:
        for batch, n in SHAPES[:4] if quick else SHAPES:
            yield _gradient(batch, n, torch_peer)


def _forward(batch: int, n: int) -> Case:
    rows = fresh_rows(batch, n)
    ours = Contender("fenchel", isotonic_regression, rows)
    peers = []
    if (scipy := installed("scipy.optimize")) is not None:
        peers.append(Contender("scipy", _by_row(lambda y: scipy.isotonic_regression(y).x), rows))
    if (sklearn := installed("sklearn.isotonic")) is not None:
        peers.append(Contender("scikit-learn", _by_row(sklearn.isotonic_regression), rows))
    if (peer := installed("torchisotonic")) is not None:
        tensors = carried(Library.named("torch"), rows)
        peers.append(Contender("torchisotonic", peer.isotonic, tensors))
    return Case(f"{batch} x {n}", ours, tuple(peers))


def _gradient(batch: int, n: int, peer: Any) -> Case:
    tensors = [
        x.requires_grad_(True) for x in carried(Library.named("torch"), fresh_rows(batch, n))
    ]
    ours = Contender("fenchel", _backward(isotonic_regression), tensors)
    return Case(
        f"{batch} x {n}, value and gradient",
        ours,
        (Contender("torchisotonic", _backward(peer.isotonic), tensors),),
    )


def _by_row(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Call a function of one row on every row, as its users must."""
    return lambda rows: [f(row) for row in rows]


def _backward(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def value_and_gradient(x: Any) -> Any:
        x.grad = None
        y = f(x)
        y.backward(y.detach())
        return x.grad

    return value_and_gradient
