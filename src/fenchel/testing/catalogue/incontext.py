"""Causal linear attention, least squares of sequences, and the exact losses."""

from __future__ import annotations

from typing import Any

from ..operator import Operator
from ..samples import normal, sample

__all__ = ["ENTRIES", "last_prediction"]


def last_prediction(s: Any, *, method: str, ridge: float = 0.0) -> Any:
    """Return the token after a sequence, by least squares.

    Parameters
    ----------
    s
        Tokens (..., T, d).
    method, ridge
        Of `ARLeastSquares`.

    Returns
    -------
    array
        Prediction (..., d).

    Examples
    --------
    >>> import numpy as np
    >>> last_prediction(np.asarray([[1.0], [2.0], [4.0]]), method="lstsq").round(12)
    array([8.])
    """
    from ...incontext import ARLeastSquares

    estimator = ARLeastSquares(ridge=ridge, method=method, steps=3)
    return estimator.predict(estimator.fit(s))


def _attention(variant: str, weighted: bool = False, **options: Any) -> Operator:
    draws = (normal(2, 5, 3), normal(2, 5, 3), normal(2, 5, 2))
    extra = (normal(5, 5),) if weighted else ()
    return Operator(
        f"causal_linear_attention({variant})",
        "fenchel.incontext:causal_linear_attention",
        sample(*draws, *extra),
        keywords=("weights",) if weighted else (),
        options=options,
        differentiable=tuple(range(len(draws) + len(extra))),
        tolerance=10.0,
    )


def _estimator(variant: str, **options: Any) -> Operator:
    return Operator(
        f"ARLeastSquares({variant})",
        f"{__name__}:last_prediction",
        sample(normal(2, 6, 3)),
        options=options,
        tolerance=100.0,
    )


ENTRIES = (
    _attention("chunked", method="chunked", chunk=2),
    _attention("weights", weighted=True),
    _estimator("lstsq", method="lstsq"),
    Operator(
        "population_loss(rotation)",
        "fenchel.incontext:population_loss",
        sample(normal(3, 4), normal(3, 4), normal(4, 4)),
        options={"kind": "rotation"},
        differentiable=(0, 1, 2),
        tolerance=10.0,
    ),
)
