"""What dispatch and combine cost, by index and by one-hot products."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from fenchel.routers import expert_capacity, route

from ..paper import Claim, Run

__all__ = ["claims"]

WIDTH, EXPERTS, K = 256, 8, 2


def claims(run: Run) -> Iterator[Claim]:
    """Yield how many times longer one-hot products take than gathering."""
    import numpy as np

    # The one-hot tensors grow with the square of the tokens, and so does the ratio.
    tokens, bound = (1024, 3.0) if run.quick else (4096, 30.0)
    rng, library = np.random.default_rng(0), run.library
    x = library.array(rng.standard_normal((tokens, WIDTH)))
    logits = library.array(rng.standard_normal((tokens, EXPERTS)))
    rows = expert_capacity(tokens, EXPERTS, K, 1.25)

    routing = route(logits, k=K, capacity=rows)
    masks = [library.namespace.reshape(mask, (tokens, -1)) for mask in routing.dense()]

    def by_index(x: Any) -> Any:
        return routing.combine(routing.dispatch(x))

    def by_products(x: Any) -> Any:
        xp = library.namespace
        dispatch, combine = masks
        return xp.matmul(combine, xp.matmul(xp.matrix_transpose(dispatch), x))

    functions = [library.compiled(f) for f in (by_index, by_products)]
    answers = [library.numpy(f(x)) for f in functions]
    error = float(np.abs(answers[0] - answers[1]).max())
    yield Claim("cost: difference of the two results", error, "<=", 1e-4)
    index, products = _seconds(run, functions, x)
    yield Claim(f"cost: time of products over that of indices, {tokens} tokens",
                products / index, ">=", bound)  # fmt: skip


def _seconds(run: Run, functions: list[Callable[..., Any]], *arguments: Any) -> list[float]:
    """Return the median time of each function, taken in turn."""
    found: list[list[float]] = [[] for _ in functions]
    for _ in range(3):
        for times, f in zip(found, functions, strict=True):
            start = time.perf_counter()
            run.library.numpy(f(*arguments))
            times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in found]
