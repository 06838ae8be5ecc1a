"""Who goes where: the result of a router, in index form."""

from __future__ import annotations

from dataclasses import dataclass

from ..backend import Array
from ..trees import register_dataclass
from .dense import dense_tensors
from .dispatch import combine_rows, dispatch_rows
from .segments import Segments, segments_of
from .stats import RoutingStats, routing_stats

__all__ = ["Routing"]


@register_dataclass(static=("n_tokens", "n_experts", "capacity"))
@dataclass(frozen=True, eq=False)
class Routing:
    """Assignments of n tokens to buffers of m experts with C rows each, for each group.

    Indices are int32 and constants for derivatives; the router learns through `weight`.

    Parameters
    ----------
    expert_index
        Token choice: the experts of each token, of shape (..., n, k); None for expert choice.
    slot
        Token choice: the buffer row of each choice, of shape (..., n, k); -1 where it is dropped or
        masked. None for expert choice.
    weight
        Combine weights, of shape (..., n, k), or (..., m, C) for expert choice; 0 where nothing is
        routed.
    token_index
        The token in each buffer row, of shape (..., m, C); n where the row is empty.
    choice_index
        The column of `expert_index` that each buffer row comes from, of shape (..., m, C), 0 where
        it is empty; None for expert choice.
    demand
        Assignments that each expert was asked for, dropped ones included, of shape (..., m).
    probabilities
        Softmax of the logits, of shape (..., n, m); rows of masked tokens are 0.
    routed
        Which tokens take part, boolean of shape (..., n): not masked, not all -inf.
    n_tokens, n_experts, capacity
        The numbers n, m and C.
    plan
        Transport plan that was selected from, of shape (..., n, m); None without one.
    value, gap, marginal_error
        Of a sparsity-constrained plan: the value of the dual, the duality gap and the largest error
        of a row sum, of shape (...,); of a Sinkhorn plan the error of the columns alone. None where
        they do not exist.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import route
    >>> logits = np.asarray([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> routing = route(logits, k=1, capacity=1)
    >>> routing.token_index.tolist(), routing.slot.tolist()
    ([[0], [2]], [[0], [-1], [0]])
    >>> buffers = routing.dispatch(np.asarray([[1.0], [2.0], [3.0]]))
    >>> routing.combine(buffers).round(2).tolist()
    [[0.88], [0.0], [2.19]]
    """

    expert_index: Array | None
    slot: Array | None
    weight: Array
    token_index: Array
    choice_index: Array | None
    demand: Array
    probabilities: Array
    routed: Array
    n_tokens: int
    n_experts: int
    capacity: int
    plan: Array | None = None
    value: Array | None = None
    gap: Array | None = None
    marginal_error: Array | None = None

    def dispatch(self, x: Array, /) -> Array:
        """Return the buffers of the experts: rows of `x`, zeros where a buffer row is empty.

        Parameters
        ----------
        x
            Tokens, of shape (..., n, d).

        Returns
        -------
        array
            Of shape (..., m, C, d), like `x`.

        Raises
        ------
        ValueError
            If the leading axes or n of `x` are not those of the routing.

        Notes
        -----
        *Derivatives*: linear in `x`; the transpose gathers rows too, nothing is scattered.
        """
        return dispatch_rows(self, x)

    def combine(self, y: Array, /) -> Array:
        """Return for each token the weighted sum of the buffer rows it sits in.

        Parameters
        ----------
        y
            Outputs of the experts, of shape (..., m, C, d).

        Returns
        -------
        array
            Of shape (..., n, d), like `y`; exactly 0 for tokens that sit nowhere.

        Raises
        ------
        ValueError
            If `y` has not the shape of the buffers.

        Notes
        -----
        *Derivatives*: bilinear in `y` and `weight`; nothing is scattered.
        """
        return combine_rows(self, y)

    def dense(self) -> tuple[Array, Array]:
        """Return the dispatch and combine tensors, of shape (..., n, m, C): for tests and for eyes.

        The first is 0/1, the second holds the weights.
        """
        return dense_tensors(self)

    def segments(self) -> Segments:
        """Return the assignments sorted by expert, without padding (token choice)."""
        return segments_of(self)

    def stats(self) -> RoutingStats:
        """Return demand, load, dropped, unrouted and entropy, masked tokens in none of them."""
        return routing_stats(self)
