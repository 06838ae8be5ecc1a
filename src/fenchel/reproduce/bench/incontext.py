"""Causal linear attention on PyTorch: value and gradient, against versions written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fenchel.incontext import causal_linear_attention
from fenchel.reproduce.library import Library

from .case import Case, Contender, installed

__all__ = ["TITLE", "cases"]

TITLE = "Causal linear attention on PyTorch, value and gradient, 2 x 4 heads of 32, float32"
LENGTHS = (256, 1024, 4096)
BATCH, HEADS, DIM, CHUNK = 2, 4, 32, 64


def cases(quick: bool) -> Iterator[Case]:
    """Yield sequences of several lengths."""
    if (torch := installed("torch")) is None:
        return
    for length in LENGTHS[:2] if quick else LENGTHS:
        yield _case(torch, length, plain=length <= 1024)


def _case(torch: Any, length: int, *, plain: bool) -> Case:
    inputs = [_heads(torch, length, seed) for seed in range(3)]

    def contender(name: str, f: Callable[..., Any]) -> Contender:
        def both(arguments: Any) -> Any:
            heads, cotangent = arguments
            return torch.autograd.grad(f(*heads), heads, cotangent)

        return Contender(name, both, inputs)

    peers = [
        contender("chunks at once, by hand", _chunks_at_once(torch, length)),
        contender("chunk by chunk, by hand", _chunk_by_chunk(torch, length)),
    ]
    if plain:
        peers.append(contender("all scores, by hand", lambda q, k, v: torch.tril(q @ k.mT) @ v))
    if (product := installed("fast_transformers.causal_product")) is not None:
        peers.append(contender("fast-transformers", product.causal_dot_product))
    return Case(f"T = {length}", contender("fenchel", causal_linear_attention), tuple(peers))


def _heads(torch: Any, length: int, seed: int) -> tuple[Any, Any]:
    import numpy as np

    rng, carry = np.random.default_rng(seed), Library.named("torch").array
    shape = (BATCH, HEADS, length, DIM)
    heads = tuple(carry(rng.standard_normal(shape)).requires_grad_() for _ in range(3))
    return heads, carry(rng.standard_normal(shape))


def _chunks_at_once(torch: Any, length: int) -> Callable[..., Any]:
    shape = (BATCH, HEADS, length // CHUNK, CHUNK, DIM)

    def attend(q: Any, k: Any, v: Any) -> Any:
        q, k, v = (x.reshape(shape) for x in (q, k, v))
        states = torch.cumsum(k.mT @ v, 2)
        before = torch.cat([torch.zeros_like(states[:, :, :1]), states[:, :, :-1]], 2)
        out = torch.tril(q @ k.mT) @ v + q @ before
        return out.reshape(BATCH, HEADS, length, DIM)

    return attend


def _chunk_by_chunk(torch: Any, length: int) -> Callable[..., Any]:
    mask = torch.tril(torch.ones(CHUNK, CHUNK))

    def attend(q: Any, k: Any, v: Any) -> Any:
        state, out = torch.zeros(BATCH, HEADS, DIM, DIM), []
        for start in range(0, length, CHUNK):
            place = slice(start, start + CHUNK)
            a, b, c = q[:, :, place], k[:, :, place], v[:, :, place]
            out.append(((a @ b.mT) * mask) @ c + a @ state)
            state = state + b.mT @ c
        return torch.cat(out, 2)

    return attend
