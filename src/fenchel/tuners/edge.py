"""The edge of stability: how large learning rate times sharpness may be."""

from __future__ import annotations

from typing import Any

from ..backend import backend_of
from ..trees import is_array, map
from .bases import Adam, GradientDescent, Momentum, RMSProp

__all__ = ["edge_of_stability", "edge_ratio", "preconditioner_of"]

Scalar = Any


def edge_of_stability(base: Any) -> float:
    """Return the largest product of learning rate and sharpness that is stable on a quadratic.

    Parameters
    ----------
    base
        `GradientDescent`, `Momentum`, `Adam` or `RMSProp`.

    Returns
    -------
    float
        2 for gradient descent; for momentum beta 2 + 2 beta ("heavy_ball"), 2 (1 + beta) /
        (1 - beta) ("ema") and (2 + 2 beta) / (1 + 2 beta) ("nesterov"). For `Adam` and `RMSProp`
        those of "ema" and of gradient descent, which apply to the sharpness with the
        preconditioner sqrt(v_hat) + eps, as if it did not move; a decay of the weights is left
        out.

    Raises
    ------
    TypeError
        If the threshold of such a base is not known.

    Notes
    -----
    Along an eigenvector of curvature s a step with learning rate r is linear in the current and
    the last point; the threshold is where an eigenvalue of its companion matrix leaves the unit
    circle, at -1.

    References
    ----------
    J. Cohen et al., "Adaptive Gradient Methods at the Edge of Stability", arXiv 2207.14484.

    Examples
    --------
    >>> edge_of_stability(GradientDescent()), edge_of_stability(Momentum(0.9))
    (2.0, 3.8)
    >>> round(edge_of_stability(Adam()), 9)
    38.0
    """
    if isinstance(base, GradientDescent | RMSProp):
        return 2.0
    if isinstance(base, Adam):
        return _averaged(base.beta1)
    if not isinstance(base, Momentum):
        raise TypeError(
            "`base` must be GradientDescent, Momentum, Adam or RMSProp; "
            f"got {type(base).__qualname__}"
        )
    if base.kind == "ema":
        return _averaged(base.beta)
    if base.kind == "nesterov":
        return (2.0 + 2.0 * base.beta) / (1.0 + 2.0 * base.beta)
    return 2.0 + 2.0 * base.beta


def _averaged(beta: float) -> float:
    return 2.0 * (1.0 + beta) / (1.0 - beta)


def edge_ratio(learning_rate: Scalar, sharpness: Scalar, base: Any) -> Scalar:
    """Return learning rate times sharpness over its threshold: 1 at the edge of stability.

    Parameters
    ----------
    learning_rate, sharpness
        Numbers or arrays.
    base
        As for `edge_of_stability`.

    Returns
    -------
    number or array
        Below 1 a quadratic of this sharpness is stable.

    Raises
    ------
    TypeError
        If the threshold of such a base is not known.

    Examples
    --------
    >>> edge_ratio(0.5, 3.0, GradientDescent())
    0.75
    """
    return learning_rate * sharpness / edge_of_stability(base)


def preconditioner_of(base: Any, state: Any) -> Any:
    """Return what a base divides by, in the container of the parameters; None for no division.

    Parameters
    ----------
    base
        `GradientDescent`, `Momentum`, `Adam` or `RMSProp`, or any other base.
    state
        Its state after the step that is looked at.

    Returns
    -------
    container or None
        For `sharpness(..., preconditioner=...)`: sqrt(v) + eps, with the corrections of bias of
        `Adam` folded in; None for other bases.

    Examples
    --------
    >>> import numpy as np
    >>> base, w = RMSProp(decay=0.75, eps=0.5), np.asarray([1.0])
    >>> preconditioner_of(base, base.update(np.asarray([2.0]), base.init(w), w)[1])
    array([1.5])
    """
    if isinstance(base, RMSProp):
        return map(lambda v: _root(v) + base.eps, state)
    if not isinstance(base, Adam):
        return None
    first, second = (1.0 - beta ** int(state.count) for beta in (base.beta1, base.beta2))
    return map(lambda v: first * (_root(v / second) + base.eps), state.square)


def _root(v: Any) -> Any:
    return backend_of(v).namespace.sqrt(v) if is_array(v) else v**0.5
