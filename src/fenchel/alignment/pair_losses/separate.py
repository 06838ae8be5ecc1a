"""Losses in which each of the two log-ratios plays its own part."""

from __future__ import annotations

from typing import Any

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


def _reference_point(a: Array, mismatched: Array | None) -> Any:
    """Return max(0, mean of the log-ratios of mismatched responses), a constant."""
    if mismatched is None:
        return 0.0
    backend = backend_of(a, mismatched)
    xp = backend.namespace
    mean = xp.mean(backend.stop_gradient(mismatched))
    return xp.where(mean > 0, mean, 0.0 * mean)


def kto(
    a: Array,
    b: Array,
    beta: Any,
    *,
    mismatched: Array | None = None,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Array:
    """Return w_D (1 - sigma(beta (a - z0))) + w_U (1 - sigma(beta (z0 - b))), arXiv 2402.01306."""
    zero = _reference_point(a, mismatched)
    undesirable = undesirable_weight * expit(beta * (b - zero))
    return desirable_weight * expit(beta * (zero - a)) + undesirable


def kto_slopes(
    a: Array,
    b: Array,
    beta: Any,
    *,
    mismatched: Array | None = None,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Slopes:
    """Return -beta w_D sigma'(beta (a - z0)) and beta w_U sigma'(beta (b - z0))."""
    zero = _reference_point(a, mismatched)
    slope = -desirable_weight * beta * _bump(beta * (a - zero))
    return slope, undesirable_weight * beta * _bump(beta * (b - zero))


def _alone(value: Any, slopes: Any, *aliases: str) -> PairLoss:
    return PairLoss(value, slopes, difference=False, aliases=aliases)


LOSSES = {
    "nca": _alone(nca, nca_slopes, "nca_pair"),
    "bco": _alone(bco, bco_slopes, "bco_pair"),
    "apo_zero": _alone(apo_zero, apo_zero_slopes),
    "apo_down": _alone(apo_down, apo_down_slopes),
    "kto": _alone(kto, kto_slopes, "kto_pair"),
}
