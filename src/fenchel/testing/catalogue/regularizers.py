"""Methods of regularizers, and the argmax of f-divergences."""

from __future__ import annotations

from typing import Any

from ..operator import Operator
from ..samples import Draw, mask, normal, rows, sample, share, uniform

__all__ = ["ENTRIES", "regularized"]

_HERE = "fenchel.testing.catalogue.regularizers:regularized"
SCORES, POINTS, OTHERS = normal(2, 6), share(2, 6), share(2, 6)
MEASURE = uniform(0.1, 0.6, 2, 6)


def regularized(
    *arguments: Any,
    kind: str,
    method: str,
    on: tuple[Any, ...] = (),
    temperature: Any = None,
    where: Any = None,
    **fields: Any,
) -> Any:
    """Apply a method of a regularizer that is described by names and fields.

    Parameters
    ----------
    *arguments
        Scores or points.
    kind, method
        Names of the class and of the method.
    on
        Name of its set, and the arguments of that.
    temperature, where
        Of the method, if not None.
    **fields
        Of the regularizer.

    Returns
    -------
    array
        What the method returns.

    Examples
    --------
    >>> import numpy as np
    >>> regularized(np.asarray([1.0, 1.5, 0.0]), kind="Gini", method="argmax")
    array([0.25, 0.75, 0.  ])
    """
    from ... import convex, regularizers

    place = (getattr(convex, on[0])(*on[1:]),) if on else ()
    omega = getattr(regularizers, kind)(*place, **fields)
    options = {"temperature": temperature, "where": where}
    return getattr(omega, method)(
        *arguments, **{name: value for name, value in options.items() if value is not None}
    )


def _f(variant: str, *more: Draw, keywords: tuple[str, ...] = (), **options: Any) -> Operator:
    differentiable = tuple(i for i in range(1 + len(more)) if i == 0 or keywords[i - 1] != "where")
    return Operator(
        f"f_argmax({variant})",
        "fenchel.operators:f_argmax",
        sample(SCORES, *more),
        keywords=keywords,
        options=options,
        differentiable=differentiable,
    )


def _of(
    kind: str,
    method: str,
    variant: str = "",
    *more: Draw,
    keywords: tuple[str, ...] = (),
    seeds: tuple[int, int] = (0, 1),
    **options: Any,
) -> Operator:
    draws = {"value": (POINTS,), "bregman": (POINTS, OTHERS)}.get(method, (SCORES,)) + more
    return Operator(
        f"{kind}.{method}({variant})" if variant else f"{kind}.{method}",
        _HERE,
        sample(*draws),
        keywords=keywords,
        options={"kind": kind, "method": method, **options},
        differentiable=tuple(range(len(draws))),
        seeds=seeds,
    )


_Q, _A, _QA = ("reference",), ("alpha",), ("reference", "alpha")

ENTRIES = (
    _f("kl, reference", MEASURE, keywords=_Q),
    _f("reverse_kl, reference", MEASURE, keywords=_Q, divergence="reverse_kl"),
    _f("jensen_shannon, reference", MEASURE, keywords=_Q, divergence="jensen_shannon"),
    _f("chi2, reference", MEASURE, keywords=_Q, divergence="chi2"),
    _f("squared_hellinger, where=", mask(2, 6, keep=5), keywords=("where",),
       divergence="squared_hellinger"),
    _f("alpha=1.5, reference", MEASURE, keywords=_Q, divergence="alpha", alpha=1.5),
    _f("alpha=3, reference", MEASURE, keywords=_Q, divergence="alpha", alpha=3.0),
    _f("alpha=array, reference", MEASURE, rows(0.4, 1.6), keywords=_QA, divergence="alpha"),
    _of("Shannon", "max"),
    _of("Gini", "max"),
    _of("Tsallis", "max", "alpha=array", rows(1.0, 1.6), keywords=_A),
    _of("Tsallis", "value", "alpha=array", rows(1.0, 1.6), keywords=_A),
    _of("Tsallis", "bregman", "alpha=array", rows(1.0, 1.6), keywords=_A),
    _of("NormEntropy", "max", "alpha=array", rows(1.4, 2.2), keywords=_A),
    _of("FDivergence", "max", "jensen_shannon, reference", MEASURE, keywords=_Q,
        divergence="jensen_shannon"),
    _of("FDivergence", "value", "alpha=array, reference", MEASURE, rows(0.4, 1.6), keywords=_QA,
        divergence="alpha"),
    _of("FDivergence", "bregman", "jensen_shannon, reference", MEASURE, keywords=_Q,
        divergence="jensen_shannon"),
    _of("SquaredNorm", "max", "cube", on=("Cube",)),
    _of("Entropic", "max", "capped simplex, temperature=array", rows(0.7, 1.6),
        keywords=("temperature",), on=("CappedSimplex", 2.3)),
    _of("PNorm", "max", "capped simplex, p=4/3", on=("CappedSimplex", 2.3), p=4 / 3),
    _of("PNorm", "argmax", "cube, p=1.5", on=("Cube",), p=1.5),
    _of("BinaryShannon", "bregman"),
    _of("BinaryGini", "max"),
)  # fmt: skip
