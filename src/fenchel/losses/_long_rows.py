"""Long rows without kernels, some at a time: what the formulas make in passing stays in the cache.

Each pass of a formula over a whole batch of thousands of classes goes to memory, and its result to
pages that are new. A block of a few rows costs several times less.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..arrays import axis_back, check_dtype
from ._problem import Problem, is_plain
from ._targets import Target

__all__ = ["Others", "in_blocks", "is_long", "others", "plain_rows", "with_class"]

Array = Any
Both = Callable[[Problem], tuple[Array, Array | None]]

_LONG = 2048  # shorter rows are not worth it
_BLOCK_ENTRIES = 2**18


def is_long(problem: Problem) -> bool:
    """Whether rows are long, their values known, and nothing compiles the formulas."""
    backend, x = problem.backend, problem.x
    return (
        x.shape[-1] >= _LONG
        and 0 not in x.shape
        and problem.target.invalid is None
        and not backend.native_autodiff
        and is_plain(backend)
        and not backend.is_traced(x)
        and hasattr(type(x), "__setitem__")
    )


def plain_rows(problem: Problem, backend: Any, x: Array) -> Problem:
    """Return the problem of constant scores `x`, whose rows are neither weighed nor reduced."""
    stop = problem.backend.stop_gradient
    return problem._replace(
        backend=backend,
        x=x,
        target=Target(*(None if part is None else stop(part) for part in problem.target)),
        weights=None,
        kept=None,
        reduction="none",
        axis=x.ndim - 1,
        info=check_dtype("scores", x),
        dtype=x.dtype,
    )


def in_blocks(problem: Problem, both: Both) -> tuple[Array, Array | None]:
    """Return the rows of a long problem on the simplex, and the gradient of their reduction.

    `both` gives the rows of some of it and their gradients, or None if those are not asked for.
    """
    backend, xp = problem.backend, problem.backend.namespace
    batch, n = problem.x.shape[:-1], problem.x.shape[-1]
    whole = _matrix(problem)
    count = whole.count(whole.x[:, :1])
    rows = xp.empty((whole.x.shape[0], 1), dtype=whole.x.dtype, device=backend.device_of(whole.x))
    gradient: Any = None
    step = max(1, _BLOCK_ENTRIES // n)
    for start in range(0, whole.x.shape[0], step):
        part = slice(start, min(whole.x.shape[0], start + step))
        block = _part(whole, part)
        rows[part, :], slopes = both(block)
        if slopes is None:
            continue
        slopes = block.reduce_gradient(slopes, count)
        if gradient is None:
            gradient = xp.empty(whole.x.shape, dtype=slopes.dtype, device=backend.device_of(rows))
        gradient[part, :] = slopes
    if gradient is not None:
        gradient = axis_back(xp, xp.reshape(gradient, (*batch, n)), problem.axis)
    return xp.reshape(rows, (*batch, 1)), gradient


def _matrix(problem: Problem) -> Problem:
    """Return the problem with its rows along one axis; what is masked is -inf in them already."""
    xp = problem.backend.namespace

    def flat(x: Array | None) -> Array | None:
        return None if x is None else xp.reshape(x, (-1, x.shape[-1]))

    return problem._replace(
        x=flat(problem.x),
        target=Target(*map(flat, problem.target)),
        mask=None,
        weights=flat(problem.weights),
        kept=flat(problem.kept),
        axis=1,
    )


def _part(problem: Problem, rows: slice) -> Problem:
    """Return some rows of a problem."""

    def cut(x: Array | None) -> Array | None:
        return None if x is None else x[rows, :]

    return problem._replace(
        x=problem.x[rows, :],
        target=Target(*map(cut, problem.target)),
        weights=cut(problem.weights),
        kept=cut(problem.kept),
    )


class Others(NamedTuple):
    """What softmax is made of: `own` = x_k - max x, `parts` = exp(x - max x), 0 at k, `total`."""

    own: Array
    parts: Array
    total: Array


def others(problem: Problem) -> Others | None:
    """Return the exponentials of the classes other than that of each row of a block.

    Their sum loses nothing where the class has nearly all of the probability. None where a largest
    score is not finite.
    """
    xp = problem.backend.namespace
    top = xp.max(problem.x, axis=-1, keepdims=True)
    if not bool(xp.all(xp.isfinite(top))):
        return None
    z = problem.x - top
    own = xp.take_along_axis(z, problem.classes, axis=-1)
    parts = xp.exp(with_class(problem, z, xp.full_like(own, float("-inf"))))
    return Others(own, parts, xp.sum(parts, axis=-1, keepdims=True))


def with_class(problem: Problem, entries: Array, own: Array) -> Array:
    """Write `own` (..., 1) at the class of each row of a block, and return the entries."""
    classes: Any = problem.classes
    for row in range(entries.shape[0]):
        entries[row, int(classes[row, 0])] = own[row, 0]
    return entries
