"""Losses of class indices, value and gradient, against entmax, optax and torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fenchel.losses import (
    entmax_loss,
    fitzpatrick_logistic,
    fitzpatrick_sparsemax,
    logistic,
    sparsemax_loss,
)
from fenchel.reproduce.library import Library

from .case import Case, Contender, carried, fresh_rows, installed

__all__ = ["TITLE", "cases"]

TITLE = "Loss and gradient, class indices, float32"
SHAPES = ((32, 10), (256, 100), (256, 1000), (256, 32_000))
KEPT = {"sparsemax": 32, "entmax15": 100}  # what entmax's partial sorts keep
LOSSES = {
    "sparsemax": sparsemax_loss,
    "entmax15": entmax_loss(alpha=1.5),
    "entmax, alpha = 1.3": entmax_loss(alpha=1.3),
    "logistic": logistic,
    "Fitzpatrick logistic": fitzpatrick_logistic,
    "Fitzpatrick sparsemax": fitzpatrick_sparsemax,
}


def cases(quick: bool) -> Iterator[Case]:
    """Yield every loss on every shape, on NumPy in one call and on torch by `backward`."""
    for batch, n in SHAPES[:2] if quick else SHAPES:
        rows, labels = _data(batch, n)
        for name in LOSSES:
            yield _case(name, batch, n, rows, labels)


def _data(batch: int, n: int) -> tuple[list[Any], Any]:
    import numpy as np

    return fresh_rows(batch, n), np.random.default_rng(1).integers(n, size=batch)


def _case(name: str, batch: int, n: int, rows: list[Any], labels: Any) -> Case:
    loss = LOSSES[name]
    ours = Contender("fenchel", lambda x: loss.value_and_grad(x, labels), rows)
    peers = []
    if (torch := installed("torch")) is not None:
        library = Library.named("torch")
        tensors = [x.requires_grad_(True) for x in carried(library, rows)]
        target = torch.asarray(labels)
        for peer, f in _torch_peers(name, n, torch).items():
            peers.append(Contender(peer, _backward(f, target), tensors))
    if (optax := installed("optax")) is not None:
        theirs = _optax_loss(name, optax)
        if theirs is not None:
            peers.append(_compiled(theirs, rows, labels))
    if name.startswith("Fitzpatrick"):
        plain = logistic if "logistic" in name else sparsemax_loss
        peers.append(Contender("Fenchel-Young", lambda x: plain.value_and_grad(x, labels), rows))
    return Case(f"{name}, {batch} x {n}", ours, tuple(peers))


def _torch_peers(name: str, n: int, torch: Any) -> dict[str, Callable[[Any, Any], Any]]:
    """Our loss on tensors first, then the peers'."""
    peers: dict[str, Callable[[Any, Any], Any]] = {"fenchel on torch": LOSSES[name]}
    if name == "logistic":
        peers["torch"] = torch.nn.functional.cross_entropy
    entmax = installed("entmax")
    if entmax is None:
        return peers
    if name in KEPT:
        theirs = getattr(entmax, f"{name}_loss")
        peers["entmax"] = lambda x, y: theirs(x, y).mean()
        if n >= 1000:
            peers["entmax, k"] = lambda x, y: theirs(x, y, k=KEPT[name]).mean()
    if name.startswith("entmax,"):
        peers["entmax"] = lambda x, y: entmax.entmax_bisect_loss(x, y, 1.3).mean()
    return peers


def _backward(f: Callable[[Any, Any], Any], target: Any) -> Callable[[Any], Any]:
    def value_and_gradient(x: Any) -> Any:
        x.grad = None
        f(x, target).backward()
        return x.grad

    return value_and_gradient


def _optax_loss(name: str, optax: Any) -> Callable[[Any, Any], Any] | None:
    if name == "logistic":
        return lambda x, y: optax.softmax_cross_entropy_with_integer_labels(x, y).mean()
    if name == "sparsemax":
        return lambda x, y: optax.losses.multiclass_sparsemax_loss(x, y).mean()
    return None


def _compiled(f: Callable[[Any, Any], Any], rows: list[Any], labels: Any) -> Contender:
    library = Library.named("jax")
    backend = library.backend
    target = library.integers(labels)
    compiled = backend.jit(backend.value_and_grad(lambda x: f(x, target)))
    arrays = carried(library, rows)
    return Contender("optax", lambda x: compiled(x)[1].block_until_ready(), arrays)
