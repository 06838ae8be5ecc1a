"""Logistic losses of the difference of the log-ratios, z = beta (a - b)."""

from __future__ import annotations

from math import log
from typing import Any

from ...arrays import check_number
from ...backend import namespace
from ...special import expit, log_expit, softplus
from ._pieces import weighted
from .registry import PairLoss

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


def robust(a: Array, b: Array, beta: Any, *, label_smoothing: float = 0.0) -> Array:
    """Return [(1 - e) sp(-z) - e sp(z)] / (1 - 2e), whose mean under noise e is dpo's."""
    epsilon, xp, z = _noise(label_smoothing), namespace(a), beta * (a - b)
    straight, flipped = softplus(-z), weighted(xp, epsilon, softplus(z))
    return ((1.0 - epsilon) * straight - flipped) / (1.0 - 2.0 * epsilon)


def robust_slopes(a: Array, b: Array, beta: Any, *, label_smoothing: float = 0.0) -> Slopes:
    """Return -beta [(1 - e) sigma(-z) + e sigma(z)] / (1 - 2e), and its opposite."""
    epsilon, z = _noise(label_smoothing), beta * (a - b)
    mixed = (1.0 - epsilon) * expit(-z) + epsilon * expit(z)
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
    epsilon, xp, z = _target(label_smoothing), namespace(a), beta * (a - b)
    q, rest = expit(z), expit(-z)
    kept = weighted(xp, q, log_expit(z) - log(1.0 - epsilon))
    return kept + weighted(xp, rest, log_expit(-z) - log(epsilon))


def exo_slopes(a: Array, b: Array, beta: Any, *, label_smoothing: float = 0.0) -> Slopes:
    """Return beta q (1 - q) (z - logit(1 - e)), and its opposite."""
    epsilon, xp, z = _target(label_smoothing), namespace(a), beta * (a - b)
    odds = log(1.0 - epsilon) - log(epsilon)
    return _opposite(beta * weighted(xp, expit(z) * expit(-z), z - odds))


def discopop(a: Array, b: Array, beta: Any, *, temperature: float = 0.05) -> Array:
    """Return (1 - m) sp(-z) + m exp(-z) with m = sigma(z / temperature), arXiv 2406.08414."""
    xp, z = namespace(a), beta * (a - b)
    share, steepness = z / check_number("temperature", temperature, above=0.0), 1.0 / temperature
    left, zero = z < 0, xp.zeros_like(z)
    # m exp(-z) is finite for z << 0, where exp(-z) alone is not.
    below, above = xp.where(left, z, zero), xp.where(left, zero, z)
    excess = (steepness - 1.0) * below if steepness != 1.0 else zero
    power = xp.where(left, excess - softplus(steepness * below), log_expit(share) - above)
    return weighted(xp, expit(-share), softplus(-z)) + xp.exp(power)


LOSSES = {
    "dpo": PairLoss(dpo, dpo_slopes, aliases=("sigmoid",)),
    "sigmoid_norm": PairLoss(dpo, dpo_slopes, lengths=True),
    "robust": PairLoss(robust, robust_slopes, noise=True),
    "simpo": PairLoss(simpo, simpo_slopes),
    "exo": PairLoss(exo, exo_slopes, noise=True, aliases=("exo_pair",)),
    "discopop": PairLoss(discopop),
}
