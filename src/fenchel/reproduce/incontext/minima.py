"""Smallest losses, found by quasi-Newton methods from many starts and compared with the theory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fenchel.incontext import (
    augmented_population_gradient,
    augmented_population_loss,
    minimum_loss,
    optimal_augmented,
    population_gradient,
    population_loss,
)

from ..paper import Claim, Run

__all__ = ["claims"]

LENGTH = 5


def claims(run: Run) -> Iterator[Claim]:
    """Yield the laws of the smallest loss, and the optimal augmented block."""
    dims = (4,) if run.quick else (4, 6)
    for kind in ("unitary", "rotation"):
        worst = 0.0
        for dim in dims:
            for heads in run.progress(range(1, dim + 1), f"{kind}, d = {dim}"):
                wanted = minimum_loss(kind=kind, dim=dim, heads=heads)
                worst = max(worst, abs(_smallest(run, kind, dim, heads) - wanted))
        yield Claim(f"{kind}: distance of the smallest loss from the law", worst, "<=", 1e-4)
    useless, rates = 0.0, 0.0
    for dim, top in ((2, 5), (5, 20)):
        for first in ("zero", "previous"):
            extra, rate = _augmented(run, dim, top, first)
            useless, rates = max(useless, extra), max(rates, rate)
    coarse = 1.0 if "float64" in str(_double(run, [0.0]).dtype) else 100.0  # JAX may have none
    yield Claim("augmented: useless parameters over useful ones", useless, "<=", 1e-5 * coarse)
    yield Claim("augmented: distance of the rate from the theorem", rates, "<=", 1e-6 * coarse)


def _smallest(run: Run, kind: str, dim: int, heads: int) -> float:
    """Return the smallest loss over eight starts."""
    import numpy as np

    rng, count = np.random.default_rng(0), heads * dim

    def split(x: Any) -> tuple[Any, ...]:
        head, tail = x[: 2 * count].reshape(2, heads, dim), x[2 * count :]
        return head[0], head[1], tail

    def both(*params: Any) -> tuple[Any, Any]:
        return population_loss(*params, kind=kind), population_gradient(*params, kind=kind)

    starts = 0.5 * rng.standard_normal((4 if run.quick else 8, 2 * count + LENGTH))
    return min(float(_minimise(run, both, split, start, "L-BFGS-B").fun) for start in starts)


def _augmented(run: Run, dim: int, top: int, first: str) -> tuple[float, float]:
    """Return what a minimiser leaves in useless parameters, and its error in the rate."""
    import numpy as np

    lengths = range(2, top + 1)
    options: dict[str, Any] = {"length": lengths, "dim": dim, "first": first}

    def both(a: Any, b: Any) -> tuple[Any, Any]:
        loss = augmented_population_loss(a, b, **options)
        return loss, augmented_population_gradient(a, b, **options)

    start = np.asarray([0.02, -0.01, 0.05, 0.01, 0.9, 0.1])
    found = _minimise(run, both, lambda x: (x[:4], x[4:]), start, "BFGS").x
    a, b = found[:4], found[4:]
    extra = max(abs(a[0] + a[3]) / abs(a[2]), abs(a[1]) / abs(a[2]), abs(b[1]) / abs(b[0]))
    best, unit, _ = optimal_augmented(dim=dim, lengths=lengths, first=first)
    return float(extra), abs(float(a[2] * b[0] - best[2] * unit[0]))


def _double(run: Run, values: Any) -> Any:
    """Return numbers as an array of float64 where the library has it switched on."""
    import numpy as np

    return run.library.backend.from_host(np.asarray(values, dtype="float64"))


def _minimise(
    run: Run,
    both: Callable[..., tuple[Any, Any]],
    split: Callable[[Any], tuple[Any, ...]],
    start: Any,
    method: str,
) -> Any:
    """Run SciPy's minimiser on a loss and its closed gradient, computed by the library."""
    import numpy as np
    from scipy.optimize import minimize

    library = run.library
    compiled = library.compiled(both)

    def value_and_gradient(x: Any) -> tuple[float, Any]:
        loss, slopes = compiled(*(_double(run, part) for part in split(x)))
        return float(library.numpy(loss)), np.concatenate(
            [library.numpy(slope).reshape(-1) for slope in slopes]
        )

    options = {"maxiter": 3000, "gtol": 1e-10}
    if method == "L-BFGS-B":
        options["ftol"] = 1e-14
    return minimize(value_and_gradient, start, jac=True, method=method, options=options)
