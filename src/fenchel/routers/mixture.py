"""A mixture of experts in one call: dispatch, apply, combine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..backend import Array, backend_of

__all__ = ["apply_experts", "moe"]

Experts = Callable[[Array], Array] | Sequence[Callable[[Array], Array]]


def moe(x: Array, routing: Any, experts: Experts) -> Array:
    """Return the answers of the experts to the tokens that a router sent them.

    Parameters
    ----------
    x : array (..., n, d)
        Tokens.
    routing : Routing or SoftRouting
        Of `route` or `soft_route`, for these tokens.
    experts : callable or sequence of callables
        One function of all buffers, (..., m, C, d) to (..., m, C, d'); or m functions, one an
        expert, each (..., C, d) to (..., C, d').

    Returns
    -------
    array (..., n, d')
        Sums of the answers with the weights of the routing; 0 for tokens that no expert saw.

    Raises
    ------
    TypeError
        If `experts` is neither.
    ValueError
        If shapes, or the number of experts, do not match.

    Notes
    -----
    Experts also see empty rows, which are 0; what they answer there goes nowhere. *Derivatives*:
    in the tokens, in the weights of the routing, and in what the experts depend on.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import moe, route
    >>> logits = np.asarray([[9.0, 0.0], [0.0, 9.0]])
    >>> doubling_or_not = [lambda rows: 2.0 * rows, lambda rows: rows]
    >>> moe(np.ones((2, 1)), route(logits, k=1), doubling_or_not).round(2).tolist()
    [[2.0], [1.0]]
    """
    return routing.combine(apply_experts(experts, routing.dispatch(x)))


def apply_experts(experts: Experts, buffers: Array) -> Array:
    """Apply one function to all buffers (..., m, C, d), or each of m functions to its own."""
    if callable(experts):
        return experts(buffers)
    if not isinstance(experts, Sequence):
        raise TypeError(
            f"`experts` must be a function or a sequence of them; got {type(experts).__qualname__}"
        )
    if len(experts) != buffers.shape[-3]:
        raise ValueError(
            f"`experts` must be one function or {buffers.shape[-3]}; got {len(experts)}"
        )
    answers = [expert(buffers[..., e, :, :]) for e, expert in enumerate(experts)]
    return backend_of(*answers).namespace.stack(answers, axis=-3)
