"""Chains of invertible steps, whose states are found again from the last one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import check_integer, check_number
from ..backend import Backend
from ..trees import add, norm, scale, sub
from .arguments import as_primals, match
from .checkpoint import checkpoint_chain
from .reverse import vjp

__all__ = ["reversible_chain"]

Step = Callable[..., Any]


def reversible_chain(
    forward: Step, inverse: Step, n: int, *, tolerance: float = 1e-3
) -> Callable[..., tuple[Any, Callable[[Any], tuple[Any, ...]]]]:
    """Return a chain of invertible steps with its pullback, which keeps one state.

    Parameters
    ----------
    forward
        Function `forward(s, k, *params)` of a state, the number k of the step, a Python integer,
        and parameters, to the next state.
    inverse
        Its inverse in the state: `inverse(forward(s, k, *params), k, *params)` is `s`.
    n
        Number of steps.
    tolerance
        How far from the first state, relative to its norm (or 1 where that is smaller), the state
        that the inverses lead back to may be.

    Returns
    -------
    callable
        Function of `s0` and the parameters, containers of arrays, that returns the last state and
        the pullback: a function of a cotangent of that state that returns a tuple, the cotangents
        of `s0` and of each of the parameters.

    Raises
    ------
    TypeError
        If a leaf of `s0` or of the parameters is not floating.
    ValueError
        If `n` is negative, `tolerance` not positive, or a cotangent not like the last state.

    Notes
    -----
    The memory is that of one step, whatever n; the time that of three evaluations and one pullback
    a step. If the inverses do not lead back to the first state, the gradient is that of
    `checkpoint_chain`; where values are not known, under a compiler, it is NaN.
    *Derivatives*: the pullback is linear; it is not made to be differentiated itself.

    References
    ----------
    A. Gomez, M. Ren, R. Urtasun, R. Grosse, "The Reversible Residual Network", arXiv 1707.04585.

    Examples
    --------
    >>> import numpy as np
    >>> def forward(s, k, w):
    ...     x, y = s
    ...     x = x + np.tanh(w * y)
    ...     return x, y + np.tanh(w * x)
    >>> def inverse(s, k, w):
    ...     x, y = s
    ...     y = y - np.tanh(w * x)
    ...     return x - np.tanh(w * y), y
    >>> chain = reversible_chain(forward, inverse, 10)
    >>> s0, w = (np.asarray(0.5), np.asarray(-0.25)), np.asarray(0.1)
    >>> last, pullback = chain(s0, w)
    >>> state_slope, slope = pullback((np.asarray(1.0), np.asarray(0.0)))
    >>> float(slope.round(6))
    1.343396
    """
    count = check_integer("n", n, minimum=0)
    check_number("tolerance", tolerance, above=0.0)

    def chain(s0: Any, *params: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        backend, (start, *rest) = as_primals((s0, *params))
        s = start
        for k in range(count):
            s = forward(s, k, *rest)

        def pullback(cotangent: Any) -> tuple[Any, ...]:
            g = match(backend, "cotangent", cotangent, s)
            found, slopes = _reverse(forward, inverse, count, s, tuple(rest), g)
            return _checked(backend, start, found, tolerance, slopes, again=lambda: again(g))

        def again(g: Any) -> tuple[Any, ...]:
            return _recomputed(forward, count, start, tuple(rest), g)

        return s, pullback

    return chain


def _reverse(
    forward: Step, inverse: Step, n: int, s: Any, params: tuple[Any, ...], g: Any
) -> tuple[Any, tuple[Any, ...]]:
    """Return the first state by inversion, and the cotangents of it and of the parameters."""
    totals: list[Any] | None = None
    for k in range(n - 1, -1, -1):
        s = inverse(s, k, *params)

        def one(s: Any, *params: Any, k: int = k) -> Any:
            return forward(s, k, *params)

        g, *slopes = vjp(one, s, *params)[1](g)
        totals = (
            slopes if totals is None else [add(a, b) for a, b in zip(totals, slopes, strict=True)]
        )
    if totals is None:
        totals = [scale(0.0, p) for p in params]
    return s, (g, *totals)


def _recomputed(forward: Step, n: int, s0: Any, params: tuple[Any, ...], g: Any) -> tuple[Any, ...]:
    """Return the same cotangents, with as many states as n has binary digits."""

    def run(s0: Any, *params: Any) -> Any:
        def step(s: Any, k: int) -> Any:
            return forward(s[0], k, *s[1:]), *s[1:]

        return checkpoint_chain(step, (s0, *params), n, slots=n.bit_length() + 1)[0]

    return vjp(run, s0, *params)[1](g)


def _checked(
    backend: Backend,
    start: Any,
    found: Any,
    tolerance: float,
    slopes: tuple[Any, ...],
    again: Callable[[], tuple[Any, ...]],
) -> tuple[Any, ...]:
    """Return the cotangents if the chain was found again, else those of `again`."""
    xp = backend.namespace
    size = norm(start)
    close = norm(sub(found, start)) <= tolerance * xp.where(size > 1.0, size, 1.0 + 0.0 * size)
    if not backend.is_traced(close):
        return slopes if bool(close) else again()
    poison = xp.where(close, 0.0 * size + 1.0, 0.0 * size + float("nan"))
    return tuple(scale(poison, slope) for slope in slopes)
