"""Row kernels against the peers of each: isotonic fit, soft top-k mask, entmax, soft rank.

Every contender gets fresh rows (a branch predictor learns one small array by heart), and within a
round all of them run on the same ones in turn. Times are processor time of one call, the minimum
over rounds; the ratio is the fastest peer's time over ours (above 1: ours is faster).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from time import process_time_ns
from typing import Any

import numpy as np
from fenchel_backends.kernels.numpy_kernels import fused_rule, numpy_fused, numpy_kernel

__all__ = ["run"]

Call = Callable[[np.ndarray], Any]
Contenders = dict[str, Call]
SHAPES = ((1, 100), (32, 100), (1, 1000), (32, 1000), (256, 1000), (1, 10_000), (32, 10_000))
_FRESH_NUMBERS = 300_000


def _with_pullback(name: str, params: tuple[float, ...]) -> Call:
    rule = fused_rule(name)
    assert rule is not None
    return lambda x: rule.pullback(x, x, params, (), rule.forward(x, params))


def _forward(name: str, params: tuple[float, ...]) -> Call:
    rule = numpy_fused(name)
    assert rule is not None
    return lambda x: rule(None, x, params)


def _isotonic_peers(gradient: bool) -> Contenders:
    peers: Contenders = {}
    if find_spec("scipy") and not gradient:
        from scipy.optimize import isotonic_regression

        peers["scipy"] = lambda x: np.stack([isotonic_regression(row).x for row in x])
    if find_spec("torchisotonic"):
        import torch
        from torchisotonic import isotonic

        def backward(x: np.ndarray) -> Any:
            y = torch.from_numpy(x).requires_grad_()
            torch.autograd.backward(isotonic(y), torch.from_numpy(x))
            return y.grad

        def forward(x: np.ndarray) -> Any:
            return isotonic(torch.from_numpy(x))

        peers["torchisotonic"] = backward if gradient else forward
    return peers


def _isotonic(batch: int, n: int) -> Iterator[tuple[str, Contenders]]:
    ours = _forward("isotonic", (1.0,))
    yield "isotonic", {"fenchel": ours, **_isotonic_peers(False)}
    ours = _with_pullback("isotonic", (1.0,))
    yield "isotonic, value and pullback", {"fenchel": ours, **_isotonic_peers(True)}


def _box_section(n: int, k: float, width: float, gradient: bool) -> Contenders:
    if not find_spec("jaxopt"):
        return {}
    import warnings

    import jax
    import jax.numpy as jnp

    with warnings.catch_warnings():
        # it announces on import that nobody maintains it
        warnings.simplefilter("ignore", DeprecationWarning)
        from jaxopt.projection import projection_box_section

    box = (0.0, 1.0, jnp.ones(n), float(k))
    value = jax.vmap(lambda x: projection_box_section(x / width, box))

    def pulled(x: Any) -> Any:
        return jax.vjp(value, x)[1](x)

    compiled = jax.jit(pulled if gradient else value)
    finished: Call = jax.block_until_ready
    return {"jaxopt": lambda x: finished(compiled(x))}


def _mask(batch: int, n: int) -> Iterator[tuple[str, Contenders]]:
    k, width = max(n // 20, 1), 0.5
    hard: Contenders = {"np.partition": lambda x: np.partition(x, n - k, axis=-1)}
    for p, q in (("2", 2.0), ("4/3", 4.0)):
        params = (float(k), width, q)
        peer = _box_section(n, k, width, False) if q == 2.0 else {}
        yield f"mask p={p}", {"fenchel": _forward("topk_mask", params), **hard, **peer}
        peer = _box_section(n, k, width, True) if q == 2.0 else hard
        ours = _with_pullback("topk_mask", params)
        yield f"mask p={p}, value and pullback", {"fenchel": ours, **peer}


def _on_tensor(peer: Call, wrap: Call, x: np.ndarray) -> Any:
    return peer(wrap(x))


def _entmax(batch: int, n: int) -> Iterator[tuple[str, Contenders]]:
    if not find_spec("entmax"):
        return
    import entmax
    import torch

    for alpha, peer in ((1.5, entmax.entmax15), (2.0, entmax.sparsemax)):
        theirs = partial(_on_tensor, peer, torch.from_numpy)
        yield f"entmax {alpha}", {"fenchel": _forward("entmax", (alpha,)), "entmax": theirs}


def _soft_rank(batch: int, n: int) -> Iterator[tuple[str, Contenders]]:
    rule = numpy_fused("soft_rank")
    assert rule is not None
    contenders: Contenders = {
        "fenchel": lambda x: rule(None, x, (1.0,), np.argsort(x, axis=-1)),
        "np.argsort": lambda x: np.argsort(x, axis=-1),
    }
    if find_spec("torchsort"):
        import torch
        import torchsort

        contenders["torchsort"] = lambda x: torchsort.soft_rank(torch.from_numpy(x))
    yield "soft rank", contenders


def _times(contenders: Contenders, rows: list[np.ndarray], rounds: int) -> dict[str, float]:
    """Least processor time of a call in microseconds, contenders taking turns."""
    best = dict.fromkeys(contenders, float("inf"))
    for call in contenders.values():
        call(rows[0])
    for _ in range(rounds):
        for name, call in contenders.items():
            start = process_time_ns()
            for x in rows:
                call(x)
            best[name] = min(best[name], (process_time_ns() - start) / len(rows) / 1e3)
    return best


def _row(name: str, batch: int, n: int, times: dict[str, float]) -> dict[str, Any]:
    peers = {peer: time for peer, time in times.items() if peer != "fenchel"}
    fastest = min(peers, key=lambda peer: peers[peer]) if peers else None
    return {
        "name": name,
        "batch": batch,
        "n": n,
        "microseconds": {peer: round(time, 2) for peer, time in times.items()},
        "fastest_peer": fastest,
        "ratio": round(peers[fastest] / times["fenchel"], 2) if fastest else None,
    }


def _overhead(rounds: int) -> Iterator[dict[str, Any]]:
    """A call through the binder at n = 8, beside the bare kernel."""
    from fenchel_backends.kernels.compiled import raw_kernel
    from fenchel_backends.kernels.rows import flatten, pack

    rows = list(np.random.default_rng(0).normal(size=(500, 8)))
    bound, raw, tau = numpy_kernel("mask_threshold"), raw_kernel("mask_threshold"), np.empty(1)
    assert bound is not None
    params = pack((2, 0.5, 2.0), (), np.dtype(np.float64))
    contenders: Contenders = {
        "fenchel": lambda x: bound(x, 2, 0.5, 2.0),
        "bare kernel": lambda x: raw(flatten(x), params, tau),
    }
    yield _row("binder", 1, 8, _times(contenders, rows, rounds))


def run(rounds: int = 7, shapes: tuple[tuple[int, int], ...] = SHAPES) -> list[dict[str, Any]]:
    """Return one row a kernel and shape: times in microseconds, fastest peer, ratio to it."""
    table = list(_overhead(rounds))
    for batch, n in shapes:
        count = max(3, _FRESH_NUMBERS // (batch * n))
        drawn = np.random.default_rng(0).normal(size=(count, batch, n)).astype(np.float32)
        for family in (_isotonic, _mask, _entmax, _soft_rank):
            for name, contenders in family(batch, n):
                table.append(_row(name, batch, n, _times(contenders, list(drawn), rounds)))
    return table


if __name__ == "__main__":
    for line in run():
        print(line)
