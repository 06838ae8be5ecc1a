"""Which strength is best: all of them in one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

from ..arrays import check_number
from ..backend import backend_of
from ..parameters import check_array
from ._logits import constant_like
from ._values import refuse_wrong
from .generate import realign_sample

__all__ = ["Sweep", "sweep"]

Array = Any

GRID = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)


class Sweep(NamedTuple):
    """What a sweep over strengths found.

    Attributes
    ----------
    strengths
        The strengths, Python floats.
    scores
        Mean score (S,) of each.
    standard_errors
        Of the means, (S,); NaN for a single prompt.
    best_strength
        The strength of the highest mean score.
    best_beta
        The regularization that it stands for, beta / best_strength: what to retrain with, once.
        None if no beta was given, inf at strength 0.
    tokens
        The sequences (S, N, T + max_new_tokens).
    ess
        Effective sample sizes (S,) of the weights.
    """

    strengths: tuple[float, ...]
    scores: Array
    standard_errors: Array
    best_strength: float
    best_beta: float | None
    tokens: Array
    ess: Array


def sweep(
    models: Any,
    prompts: Array,
    score: Callable[[Array], Array],
    *,
    strengths: Sequence[float] = GRID,
    beta: float | None = None,
    max_new_tokens: int,
    rng: Any,
    **options: Any,
) -> Sweep:
    """Generate with every strength from the same prompts, score, and find the best one.

    Parameters
    ----------
    models : tuple
        As for `realign_sample`.
    prompts : integer array (N, T)
        Validation prompts; all strengths run as one batch of S N rows.
    score : callable
        Of sequences (R, T + max_new_tokens), prompts included; returns scores (R,), higher ones
        better.
    strengths : sequence of numbers
        The grid.
    beta : float, optional
        Regularization that the aligned model was trained with, above 0.
    max_new_tokens, rng, **options
        As for `realign_sample`; a `correction` needs equal prompts.

    Returns
    -------
    Sweep
        Scores by strength, the best strength and its beta.

    Raises
    ------
    TypeError
        If `score` returns no array of the library of the prompts.
    ValueError
        If there are no strengths or prompts, one is NaN, `beta` is not positive, or `score` returns
        another shape, or NaN.

    Notes
    -----
    *Derivatives*: none. Source: arXiv 2402.02992.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import sweep
    >>> sft = lambda tokens: np.zeros((len(tokens), 3))
    >>> aligned = lambda tokens: np.tile([0.0, 1.0, 0.5], (len(tokens), 1))
    >>> ones = lambda tokens: np.mean(tokens == 1, axis=-1)
    >>> found = sweep((sft, aligned), np.zeros((2000, 0), dtype=int), ones, beta=0.1,
    ...               max_new_tokens=3, rng=0)
    >>> found.best_strength, round(found.best_beta, 4), found.scores.round(1).tolist()
    (3.0, 0.0333, [0.3, 0.4, 0.4, 0.5, 0.6, 0.7, 0.8])
    """
    grid = tuple(check_number("strengths", value) for value in strengths)
    if not grid:
        raise ValueError("`strengths` must hold at least one number; got none")
    if beta is not None:
        beta = check_number("beta", beta, above=0.0)
    xp = backend_of(prompts).namespace
    if prompts.ndim != 2 or prompts.shape[0] == 0:
        raise ValueError(f"`prompts` must have shape (N, T), N > 0; got {tuple(prompts.shape)}")
    rows = xp.broadcast_to(prompts[None, ...], (len(grid), *prompts.shape))
    column = _column(prompts, grid)
    found = realign_sample(models, rows, column, max_new_tokens=max_new_tokens, rng=rng, **options)
    flat = xp.reshape(found.tokens, (prod(found.tokens.shape[:-1]), found.tokens.shape[-1]))
    scores = score(flat)
    check_array("score", scores, backend_of(prompts))
    if tuple(scores.shape) != (flat.shape[0],):
        raise ValueError(f"`score` must return shape ({flat.shape[0]},); got {tuple(scores.shape)}")
    scores = xp.reshape(scores, (len(grid), prompts.shape[0]))
    if not xp.isdtype(scores.dtype, "real floating"):
        scores = xp.astype(scores, found.log_weights.dtype)
    count = prompts.shape[0]
    means = xp.mean(scores, axis=-1)
    squares = xp.sum((scores - means[:, None]) ** 2, axis=-1)
    if count > 1:
        errors = xp.sqrt(squares / (count * (count - 1)))
    else:
        errors = xp.full_like(means, float("nan"))
    refuse_wrong("score", means, ~xp.isnan(means), "must return numbers")
    best = grid[int(xp.argmax(means))]
    stands_for = None if beta is None else _beta_of(beta, best)
    return Sweep(grid, means, errors, best, stands_for, found.tokens, found.ess)


def _column(prompts: Array, grid: tuple[float, ...]) -> Array:
    """Return the strengths (S, 1) as an array, in double precision where the library has it."""
    import numpy as np

    return constant_like(prompts, np.asarray(grid)[:, None])


def _beta_of(beta: float, strength: float) -> float:
    return beta / strength if strength != 0.0 else float("inf")
