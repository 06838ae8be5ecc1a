"""The tape against HIPS autograd: value and gradient of small functions, in one process.

Each row is the median over rounds of the time of one call; within a round the two libraries
alternate, and the ratio is that of the medians (above 1: the tape is faster). Both run unmodified
NumPy code: autograd needs its own `autograd.numpy`.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from fenchel.autodiff import tape

__all__ = ["run"]

Function = Callable[[Any, Any], Any]


def _elementwise(xp: Any, x: Any) -> Any:
    for _ in range(10):
        x = xp.tanh(x * 1.1 + 0.1)
        x = x * xp.sin(x) - xp.exp(-x)
    return xp.sum(x)


def _operators(xp: Any, x: Any) -> Any:
    y = x
    for _ in range(20):
        y = y * x + 0.5 * y
    return xp.sum(y)


def _logsumexp(xp: Any, x: Any) -> Any:
    for _ in range(5):
        top = xp.max(x)
        x = x - (top + xp.log(xp.sum(xp.exp(x - top))))
    return xp.sum(x)


def _network(xp: Any, x: Any) -> Any:
    w = np.linspace(-0.3, 0.4, x.shape[0] ** 2).reshape(x.shape[0], x.shape[0])
    for _ in range(4):
        x = xp.tanh(xp.dot(w, x) + 0.1)
    return xp.sum(x * x)


def _recurrence(xp: Any, x: Any) -> Any:
    state = x[0]
    for i in range(1, 8):
        state = xp.sin(state) * x[i] + state
    return state


def _shapes(xp: Any, x: Any) -> Any:
    for _ in range(4):
        y = xp.reshape(x, (2, -1))
        x = xp.concatenate([y[0] * y[1], xp.mean(y, axis=0)])
    return xp.sum(x)


def _product_with_hessian(xp: Any, x: Any) -> Any:
    return xp.sum(xp.exp(xp.sin(x) * x) + x**3)


FUNCTIONS: dict[str, Function] = {
    "elementwise chain": _elementwise,
    "operator chain": _operators,
    "logsumexp": _logsumexp,
    "network": _network,
    "recurrence": _recurrence,
    "shapes": _shapes,
}
SIZES = (8, 32, 100)


def run(rounds: int = 25, repeats: int = 20) -> list[dict[str, Any]]:
    """Return one row a function and size: `name, ours_us, peer, peer_us, ratio`."""
    import autograd
    import autograd.numpy as anp

    rows = []
    for name, f in FUNCTIONS.items():
        for n in SIZES:
            x = np.linspace(0.2, 0.9, n)
            ours = tape.value_and_grad(lambda x, f=f: f(np, x))
            peer = autograd.value_and_grad(lambda x, f=f: f(anp, x))
            rows.append(_compare(f"gradient of {name}, n={n}", ours, peer, x, rounds, repeats))
    x = np.linspace(0.2, 0.9, 32)
    rows.append(_compare(*_hessian_products(autograd, anp), x, rounds, repeats))
    return rows


def _hessian_products(autograd: Any, anp: Any) -> tuple[str, Any, Any]:
    v = np.ones(32)
    ours_gradient = tape.value_and_grad(lambda x: _product_with_hessian(np, x))
    peer_product = autograd.hessian_vector_product(lambda x: _product_with_hessian(anp, x))

    def ours(x: Any) -> Any:
        return tape.jvp(lambda y: ours_gradient(y)[1], (x,), (v,))[1]

    return "Hessian product, n=32", ours, lambda x: peer_product(x, v)


def _compare(name: str, ours: Any, peer: Any, x: Any, rounds: int, repeats: int) -> dict[str, Any]:
    _check(ours(x), peer(x), name)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, kept in zip((ours, peer), times, strict=True):
            start = perf_counter()
            for _ in range(repeats):
                call(x)
            kept.append((perf_counter() - start) / repeats * 1e6)
    ours_us, peer_us = map(median, times)
    return {
        "name": name,
        "ours_us": ours_us,
        "peer": "autograd",
        "peer_us": peer_us,
        "ratio": peer_us / ours_us,
    }


def _check(ours: Any, theirs: Any, name: str) -> None:
    """A fast wrong answer is no answer."""
    pairs = zip(ours, theirs, strict=True) if isinstance(ours, tuple) else [(ours, theirs)]
    if not all(np.allclose(a, b, rtol=1e-10) for a, b in pairs):
        raise AssertionError(f"{name}: the two libraries disagree")


if __name__ == "__main__":
    for row in run():
        print(f"{row['name']:36} {row['ours_us']:9.1f} {row['peer_us']:9.1f} {row['ratio']:6.2f}")
