"""Spearman's rank correlation as a loss, with soft ranks of the scores."""

from __future__ import annotations

import math

from ..arrays import check_choice, check_dtype, narrow
from ..backend import Array, backend_of
from ..parameters import check_array, known_to
from ._arguments import prepare, temperature_of
from ._ordering import check_regularization
from .soft_rank import plain_rank

__all__ = ["spearman_loss"]


def spearman_loss(
    scores: Array,
    target: Array,
    /,
    *,
    temperature: Array | float = 1.0,
    regularization: str = "quadratic",
    axis: int = -1,
    reduction: str = "mean",
) -> Array:
    r"""One minus Spearman's rank correlation, with soft ranks of the scores.

    .. math:: \frac{6}{n (n^2 - 1)} \sum_i (r_i(\text{scores}) - r_i(\text{target}))^2

    with soft ranks of the scores and hard ranks of the target, whose ties share the mean of their
    places. At temperature 0 and without ties it is exactly one minus the correlation.

    Parameters
    ----------
    scores
        Predictions, real floating of shape (..., n).
    target
        What is to be ranked alike: relevances, or ranks (the largest is n). Like `scores`, and not
        differentiated.
    temperature
        Temperature of the soft ranks, at least 0, in units of `scores`: a number or an array with
        one value a row (size 1 along `axis`).
    regularization
        "quadratic" or "entropic".
    axis
        Axis that is ranked.
    reduction
        "mean" or "sum" over the batch, or "none".

    Returns
    -------
    array
        Loss in [0, 2]: a scalar, or with "none" the shape of `scores` without `axis`. A row of one
        entry has loss 0, and so has an empty batch.

    Raises
    ------
    TypeError
        If `scores` or `target` is no array with a real floating dtype, or they mix libraries.
    ValueError
        If the shapes differ, `temperature` is negative, an option unknown, or `axis` empty or out
        of range.

    Notes
    -----
    *Derivatives*: in `scores` and an array `temperature`, those of `soft_rank`.

    References
    ----------
    Blondel, Teboul, Berthet and Djolonga (2020), "Fast differentiable sorting and ranking",
    arXiv:2002.08871, section 6.3.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.operators import spearman_loss
    >>> scores, target = np.asarray([0.2, 1.5, -1.0]), np.asarray([2.0, 1.0, 0.0])
    >>> float(spearman_loss(scores, target, temperature=0.5))
    0.5
    """
    check_regularization(regularization)
    check_choice("reduction", reduction, ("mean", "sum", "none"))
    backend = backend_of(scores)
    check_dtype("scores", scores)
    check_array("target", target, backend)
    check_dtype("target", target)
    if tuple(target.shape) != tuple(scores.shape):
        raise ValueError(
            f"`target` must have the shape {tuple(scores.shape)} of `scores`; "
            f"got shape {tuple(target.shape)}"
        )
    ready, wanted = prepare(scores, axis, None, (target, temperature)), prepare(target, axis)
    backend = ready.backend
    temperature = temperature_of(backend, temperature, scores, ready.axis)
    soft = plain_rank(backend, ready.x, temperature, regularization)
    hard = backend.stop_gradient(plain_rank(backend, known_to(backend, wanted.x), 0.0, "quadratic"))
    xp, n = backend.namespace, ready.x.shape[-1]
    distance = xp.sum((soft - xp.astype(hard, soft.dtype)) ** 2, axis=-1)
    loss = 6.0 / max(n * (n * n - 1), 1) * distance
    if reduction != "none":
        rows = math.prod(loss.shape) if reduction == "mean" else 1
        loss = xp.sum(loss) / max(rows, 1)
    return narrow(xp, loss, ready.info, ready.dtype)
