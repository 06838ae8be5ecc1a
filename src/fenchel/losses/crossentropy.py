"""Cross-entropy as PyTorch defines it, on every library."""

from __future__ import annotations

from typing import Any

from ..operators._scores import shifted
from ..special import logsumexp
from ._pieces import bounded, logistic_index_rows, out_of
from ._problem import Problem, open_problem
from ._reduction import class_weights
from .named import logistic

__all__ = ["cross_entropy"]

Array = Any


def cross_entropy(
    scores: Array,
    target: Array,
    /,
    *,
    axis: int = -1,
    where: Array | None = None,
    weight: Array | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Array:
    r"""Return :math:`-\sum_j w_j y_j \log \mathrm{softmax}(\theta)_j`, PyTorch's cross-entropy.

    Unlike the `logistic` loss it keeps no entropy of the target, weighs the terms of a sum instead
    of rows, and takes dense targets that do not sum to one.

    Parameters
    ----------
    scores : array (..., n)
        Scores, real floating.
    target : array
        Classes, integers of the shape of `scores` without `axis`; or floating and shaped like
        `scores`.
    axis : int
        Axis of the classes. (PyTorch's is 1, or 0 of a vector.)
    where : boolean array, optional
        Entries that take part.
    weight : array (n,), optional
        Weights of the classes.
    ignore_index : int
        Rows of this class do not count; of a dense target, the part on this class does not.
    label_smoothing : float
        In [0, 1]: this part of the target is spread evenly over the entries that take part.
    reduction : {"mean", "sum", "none"}
        "mean" divides by the sum of the weights of the classes, or by the number of dense rows;
        over no rows it is 0 (PyTorch: NaN).

    Returns
    -------
    array
        A scalar, or with "none" one loss a row.

    Raises
    ------
    TypeError
        If `scores` is not floating, or another argument not an array of its library.
    ValueError
        If shapes do not match, a class is out of range (where values can be looked at), or an
        option is unknown or out of range.

    Notes
    -----
    Integer targets with smoothing and weights: ``(1 - e) w_k nll_k + e/n sum_j w_j nll_j``, without
    a one-hot array. *Derivatives*: in scores, dense targets and weights, to every order.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import cross_entropy
    >>> scores = np.asarray([[2.0, 0.5, 0.0], [0.5, 0.25, 0.0]])
    >>> round(float(cross_entropy(scores, np.asarray([0, 1]))), 4)
    0.7128
    >>> round(float(cross_entropy(scores, np.asarray([0, 1]), label_smoothing=0.1)), 4)
    0.7712
    """
    if weight is None and label_smoothing == 0.0 and _is_integer(target):
        return logistic(
            scores, target, axis=axis, where=where, ignore_index=ignore_index, reduction=reduction
        )
    problem = open_problem(
        scores,
        target,
        axis=axis,
        where=where,
        weight=weight,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )
    weights = None
    if weight is not None:
        weights = class_weights(problem.backend, weight, problem.x.shape[-1], problem.x.dtype)
    if problem.target.classes is not None:
        return problem.reduce(_index_rows(problem, weights), weigh=False)
    return problem.reduce(_dense_rows(problem, weights, ignore_index), weigh=False)


def _is_integer(target: Array) -> bool:
    kind = str(getattr(target, "dtype", ""))
    return "int" in kind


def _surprise(problem: Problem) -> tuple[Array, Array]:
    """Return -log softmax of the scores, 0 where they are out, and which are out."""
    backend, xp = problem.backend, problem.backend.namespace
    z = shifted(backend, problem.x, 1.0)
    out = out_of(backend, z)
    total = logsumexp(z, axis=-1, keepdims=True)
    total = xp.where(xp.all(out, axis=-1, keepdims=True), xp.zeros_like(total), total)
    return xp.where(out, xp.zeros_like(z), total - z), out


def _index_rows(problem: Problem, weights: Array | None) -> Array:
    xp, smoothing = problem.backend.namespace, problem.smoothing
    nll = logistic_index_rows(problem._replace(smoothing=0.0))
    if problem.weights is not None:  # a class of weight 0 costs nothing
        on = problem.weights != 0
        nll = xp.where(on, nll, xp.zeros_like(nll)) * problem.weights
    if smoothing == 0.0:
        return nll
    surprise, out = _surprise(problem)
    count = xp.sum(xp.astype(~out, nll.dtype), axis=-1, keepdims=True)
    spread = surprise if weights is None else xp.multiply(surprise, weights)
    spread = xp.sum(spread, axis=-1, keepdims=True) / xp.where(count > 0, count, count + 1.0)
    return (1.0 - smoothing) * nll + smoothing * spread


def _dense_rows(problem: Problem, weights: Array | None, ignore_index: int) -> Array:
    xp = problem.backend.namespace
    y = problem.soft_target()
    surprise, out = _surprise(problem)
    terms = surprise * y
    if weights is not None:
        terms = xp.multiply(terms, weights)
    if 0 <= ignore_index < terms.shape[-1]:
        places = xp.arange(terms.shape[-1], device=problem.backend.device_of(terms))
        terms = xp.where(places == ignore_index, xp.zeros_like(terms), terms)
    return bounded(problem, xp.sum(terms, axis=-1, keepdims=True), y, out)
