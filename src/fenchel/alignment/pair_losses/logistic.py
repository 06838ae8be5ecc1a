"""Logistic losses of the difference of the log-ratios, z = beta (a - b)."""

from __future__ import annotations

from math import log
from typing import Any

from ...arrays import check_number
from ...backend import namespace
from ...special import expit, log_expit, softplus
from ._pieces import weighted
from ._record import PairLoss

__all__ = ["LOSSES"]

Array = Any
Slopes = tuple[Array, Array]


def _opposite(slope: Array) -> Slopes:
    return slope, -slope


def dpo(a: Array, b: Array, beta: Any) -> Array:
    """Return sp(-z), arXiv 2305.18290."""
    return softplus(beta * (b - a))


def dpo_slopes(a: Array, b: Array, beta: Any) -> Slopes:
    """Return -beta sigma(-z), and its opposite."""
    return _opposite(-beta * expit(beta * (b - a)))


def _noise(label_smoothing: float) -> float:
    epsilon = check_number("label_smoothing", label_smoothing, minimum=0.0)
    if epsilon >= 0.5:
        raise ValueError(
            f"`label_smoothing` must be below 0.5 for the loss robust; got {epsilon:g}"
        )
    return epsilon


def robust(
    a: Array, b: Array, beta: Any, *, prob: Any = 1.0, label_smoothing: float = 0.0
) -> Array:
    """Return [(1 - e) sp(-z) - e sp(z)] / (1 - 2e), whose mean under noise e is dpo's.

    The weights of both terms are gathered over the labels: the terms alone may be infinite.
    """
    epsilon, z = _noise(label_smoothing), beta * (a - b)
    straight = weighted(prob - epsilon, softplus(-z))
    flipped = weighted(1.0 - prob - epsilon, softplus(z))
    return (straight + flipped) / (1.0 - 2.0 * epsilon)


def robust_slopes(
    a: Array, b: Array, beta: Any, *, prob: Any = 1.0, label_smoothing: float = 0.0
) -> Slopes:
    """Return -beta [(1 - e) sigma(-z) + e sigma(z)] / (1 - 2e), and its opposite."""
    epsilon, z = _noise(label_smoothing), beta * (a - b)
    mixed = (prob - epsilon) * expit(-z) - (1.0 - prob - epsilon) * expit(z)
    return _opposite(-beta * mixed / (1.0 - 2.0 * epsilon))


def simpo(a: Array, b: Array, beta: Any, *, gamma: float = 0.0) -> Array:
    """Return sp(gamma - z): a and b are mean log-probabilities, without a reference."""
    return softplus(beta * (b - a) + gamma)


def simpo_slopes(a: Array, b: Array, beta: Any, *, gamma: float = 0.0) -> Slopes:
    """Return -beta sigma(gamma - z), and its opposite."""
    return _opposite(-beta * expit(beta * (b - a) + gamma))


def _target(label_smoothing: float) -> float:
    epsilon = check_number("label_smoothing", label_smoothing, above=0.0)
    if epsilon >= 1.0:
        raise ValueError(f"`label_smoothing` must be below 1 for the loss exo; got {epsilon:g}")
    return epsilon


def exo(a: Array, b: Array, beta: Any, *, label_smoothing: float = 0.0) -> Array:
    """Return KL((q, 1 - q) | (1 - e, e)) of q = sigma(z): the reverse of dpo's."""
    epsilon, z = _target(label_smoothing), beta * (a - b)
    kept = weighted(expit(z), log_expit(z) - log(1.0 - epsilon))
    return kept + weighted(expit(-z), log_expit(-z) - log(epsilon))


def exo_slopes(a: Array, b: Array, beta: Any, *, label_smoothing: float = 0.0) -> Slopes:
    """Return beta q (1 - q) (z - logit(1 - e)), and its opposite."""
    epsilon, z = _target(label_smoothing), beta * (a - b)
    odds = log(1.0 - epsilon) - log(epsilon)
    return _opposite(beta * weighted(expit(z) * expit(-z), z - odds))


def discopop(a: Array, b: Array, beta: Any, *, temperature: float = 0.05) -> Array:
    """Return (1 - m) sp(-z) + m exp(-z) with m = sigma(z / temperature), arXiv 2406.08414."""
    z = beta * (a - b)
    steepness = 1.0 / check_number("temperature", temperature, above=0.0)
    return weighted(expit(-steepness * z), softplus(-z)) + _tilted(z, steepness)


def discopop_slopes(a: Array, b: Array, beta: Any, *, temperature: float = 0.05) -> Slopes:
    """Return beta [m' (exp(-z) - sp(-z)) - (1 - m) sigma(-z) - m exp(-z)], and its opposite."""
    z = beta * (a - b)
    steepness = 1.0 / check_number("temperature", temperature, above=0.0)
    m, rest = expit(steepness * z), expit(-steepness * z)
    left = weighted(steepness * m * rest, softplus(-z)) + rest * expit(-z)
    return _opposite(beta * (_tilted(z, steepness) * (steepness * rest - 1.0) - left))


def _tilted(z: Array, steepness: float) -> Array:
    """Return sigma(steepness z) exp(-z), finite for z << 0 too, where exp(-z) is not."""
    xp = namespace(z)
    left, zero = z < 0, xp.zeros_like(z)
    below, above = xp.where(left, z, zero), xp.where(left, zero, z)
    excess = (steepness - 1.0) * below if steepness != 1.0 else zero
    right = log_expit(steepness * above) - above
    return xp.exp(xp.where(left, excess - softplus(steepness * below), right))


LOSSES = {
    "dpo": PairLoss(dpo, dpo_slopes, aliases=("sigmoid",)),
    "sigmoid_norm": PairLoss(dpo, dpo_slopes, lengths=True),
    "robust": PairLoss(robust, robust_slopes, labels=True, noise=True),
    "simpo": PairLoss(simpo, simpo_slopes, options=("gamma",)),
    "exo": PairLoss(exo, exo_slopes, noise=True, aliases=("exo_pair",)),
    "discopop": PairLoss(discopop, discopop_slopes, options=("temperature",)),
}
