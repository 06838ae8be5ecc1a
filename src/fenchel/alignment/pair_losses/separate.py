"""Losses in which each of the two log-ratios plays its own part."""

from __future__ import annotations

from typing import Any

from ...arrays import check_number
from ...backend import backend_of
from ...special import expit, softplus
from ._record import PairLoss

__all__ = ["LOSSES"]

Array = Any
Slopes = tuple[Array, Array]


def _bump(x: Array) -> Array:
    """Return the derivative of the logistic function."""
    return expit(x) * expit(-x)


def nca(a: Array, b: Array, beta: Any) -> Array:
    """Return sp(-beta a) + sp(beta a)/2 + sp(beta b)/2, arXiv 2402.05369."""
    own = beta * a
    return softplus(-own) + 0.5 * softplus(own) + 0.5 * softplus(beta * b)


def nca_slopes(a: Array, b: Array, beta: Any) -> Slopes:
    """Return beta (sigma(beta a)/2 - sigma(-beta a)) and beta sigma(beta b)/2."""
    own = beta * a
    return beta * (0.5 * expit(own) - expit(-own)), 0.5 * beta * expit(beta * b)


def bco(a: Array, b: Array, beta: Any) -> Array:
    """Return sp(-beta a) + sp(beta b), arXiv 2404.04656 without its shift."""
    return softplus(-(beta * a)) + softplus(beta * b)


def bco_slopes(a: Array, b: Array, beta: Any) -> Slopes:
    """Return -beta sigma(-beta a) and beta sigma(beta b)."""
    return -beta * expit(-(beta * a)), beta * expit(beta * b)


def apo_zero(a: Array, b: Array, beta: Any) -> Array:
    """Return 1 - sigma(beta a) + sigma(beta b), arXiv 2408.06266."""
    return expit(-(beta * a)) + expit(beta * b)


def apo_zero_slopes(a: Array, b: Array, beta: Any) -> Slopes:
    """Return -beta sigma'(beta a) and beta sigma'(beta b)."""
    return -beta * _bump(beta * a), beta * _bump(beta * b)


def apo_down(a: Array, b: Array, beta: Any) -> Array:
    """Return sigma(beta a) + 1 - sigma(beta (a - b)), arXiv 2408.06266."""
    return expit(beta * a) + expit(beta * (b - a))


def apo_down_slopes(a: Array, b: Array, beta: Any) -> Slopes:
    """Return beta sigma'(beta a) - beta sigma'(z) and beta sigma'(z)."""
    pair = beta * _bump(beta * (a - b))
    return beta * _bump(beta * a) - pair, pair


def kto(a: Array, b: Array, beta: Any, **options: Any) -> Array:
    """Return w_D (1 - sigma(beta (a - z0))) + w_U (1 - sigma(beta (z0 - b))), arXiv 2402.01306."""
    zero, desirable, undesirable = _of_kto(a, **options)
    return desirable * expit(beta * (zero - a)) + undesirable * expit(beta * (b - zero))


def kto_slopes(a: Array, b: Array, beta: Any, **options: Any) -> Slopes:
    """Return -beta w_D sigma'(beta (a - z0)) and beta w_U sigma'(beta (b - z0))."""
    zero, desirable, undesirable = _of_kto(a, **options)
    first, second = (beta * _bump(beta * (x - zero)) for x in (a, b))
    return -desirable * first, undesirable * second


def _of_kto(
    a: Array,
    *,
    mismatched: Array | None = None,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> tuple[Any, float, float]:
    """Return z0 = max(0, mean log-ratio of mismatched responses), a constant, and the weights."""
    weights = (
        check_number("desirable_weight", desirable_weight, minimum=0.0),
        check_number("undesirable_weight", undesirable_weight, minimum=0.0),
    )
    if mismatched is None:
        return 0.0, *weights
    if 0 in mismatched.shape:
        raise ValueError(f"`mismatched` must not be empty; got shape {tuple(mismatched.shape)}")
    backend = backend_of(a, mismatched)
    xp = backend.namespace
    mean = xp.mean(backend.stop_gradient(mismatched))
    return xp.where(mean > 0, mean, 0.0 * mean), *weights


def _alone(value: Any, slopes: Any, *aliases: str, options: tuple[str, ...] = ()) -> PairLoss:
    return PairLoss(value, slopes, difference=False, aliases=aliases, options=options)


_OF_KTO = ("mismatched", "desirable_weight", "undesirable_weight")


LOSSES = {
    "nca": _alone(nca, nca_slopes, "nca_pair"),
    "bco": _alone(bco, bco_slopes, "bco_pair"),
    "apo_zero": _alone(apo_zero, apo_zero_slopes),
    "apo_down": _alone(apo_down, apo_down_slopes),
    "kto": _alone(kto, kto_slopes, "kto_pair", options=_OF_KTO),
}
