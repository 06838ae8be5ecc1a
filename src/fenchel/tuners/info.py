"""What a step of a tuner reports beside the parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Flags", "Info"]

Scalar = Any


class Flags(NamedTuple):
    """What was out of the ordinary in a step; booleans and one count, as scalars.

    Parameters
    ----------
    ascent
        The direction points uphill: <gradient, direction> > 0.
    flat
        The ratio that gives the learning rate has no finite value: no curvature, or none to speak
        of, along a direction of descent.
    capped
        A bound changed the learning rate: the largest, the smallest, or the growth allowed.
    non_finite
        A number the learning rate is made of, or the value of the objective, was NaN or infinite.
    skipped
        The parameters were left as they were: no trial was accepted, or the gradient or the
        direction was not finite. The state of the base is then kept in the second case.
    backtracks
        How many trial learning rates were refused.

    Examples
    --------
    >>> Flags(False, True, False, False, False, 3).backtracks
    3
    """

    ascent: Scalar
    flat: Scalar
    capped: Scalar
    non_finite: Scalar
    skipped: Scalar
    backtracks: Scalar


class Info(NamedTuple):
    """Scalars of one step, arrays of shape () of the library of the parameters.

    Parameters
    ----------
    value, grad_norm
        Objective and norm of its gradient at the incoming parameters.
    learning_rate
        Of the step that was taken; 0 where it was skipped.
    numerator, denominator
        n = max(-<gradient, direction>, 0), and what it is divided by (the curvature along the
        direction for CDAT), before any averaging; NaN for a tuner without that number.
    flags
        See `Flags`.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.tuners import CDAT
    >>> tuner, w = CDAT(1.0), np.asarray([3.0])
    >>> w, state, info = tuner.step(lambda w: np.sum(w**2), w, tuner.init(w))
    >>> float(info.value), float(info.learning_rate), float(info.denominator)
    (9.0, 0.5, 72.0)
    """

    value: Scalar
    grad_norm: Scalar
    learning_rate: Scalar
    numerator: Scalar
    denominator: Scalar
    flags: Flags
