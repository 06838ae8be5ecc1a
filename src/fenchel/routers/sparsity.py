"""The penalty of ReLU routing: the active weights, heavier where an expert is overloaded."""

from __future__ import annotations

from ..arrays import check_integer
from ..backend import Array
from ._token_means import mean_over_tokens, open_loss, or_zero

__all__ = ["sparsity_loss"]


def sparsity_loss(logits: Array, /, *, k: int | None = None, where: Array | None = None) -> Array:
    r"""Return the mean over tokens of :math:`\sum_e f_e \max(L_{te}, 0)`.

    :math:`f_e = \frac{m}{k n} \#\{t : L_{te} > 0\}`, a constant: the load of an expert in units of
    what k experts a token would give it.

    Parameters
    ----------
    logits : array (..., n, m)
        Scores of n tokens for m experts, real floating; leading axes are groups.
    k : int, optional
        Experts a token that are aimed at, in [1, m]; None leaves the factors out.
    where : boolean array (..., n), optional
        Tokens that take part.

    Returns
    -------
    array (...)
        One value a group; 0 without tokens.

    Raises
    ------
    TypeError
        If `logits` is not floating, `where` not boolean, or `k` no integer.
    ValueError
        If shapes do not match, or `k` is out of range.

    Notes
    -----
    Its coefficient is the state of a `SparsityControl`. *Derivatives*: in the logits; 0 at 0.

    References
    ----------
    Z. Wang et al., "ReMoE: fully differentiable mixture-of-experts with ReLU routing", 2024,
    arXiv 2412.14711.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import sparsity_loss
    >>> logits = np.asarray([[1.0, -1.0], [3.0, -2.0]])
    >>> float(sparsity_loss(logits)), float(sparsity_loss(logits, k=1))
    (2.0, 4.0)
    """
    problem = open_loss(logits, where)
    if k is not None:
        k = check_integer("k", k, minimum=1, maximum=problem.n_experts)
    backend = problem.backend
    xp = backend.namespace
    off = problem.logits <= 0  # not of NaN
    weight = xp.where(off, xp.zeros_like(problem.logits), problem.logits)
    mean = mean_over_tokens(problem, weight)
    if k is not None:
        share = mean_over_tokens(problem, xp.astype(xp.logical_not(off), weight.dtype))
        mean = xp.multiply(backend.stop_gradient(share) * (problem.n_experts / k), mean)
    return or_zero(problem, xp.sum(mean, axis=-1))
