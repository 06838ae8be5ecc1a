"""Softmax: the argmax smoothed by Shannon's entropy."""

from __future__ import annotations

from typing import Any

from ..backend import compiled
from ._arguments import finish, prepare, temperature_of, with_temperature
from ._scores import hard_argmax, shifted

__all__ = ["softmax", "softmax_formula"]

Array = Any


def softmax(
    x: Array, /, *, temperature: Any = 1.0, axis: int = -1, where: Array | None = None
) -> Array:
    r"""Softmax: :math:`y_i = e^{x_i/\tau} / \sum_j e^{x_j/\tau}` with temperature :math:`\tau`.

    The maximiser of :math:`\langle p, x \rangle - \tau \sum_i p_i \log p_i` over the simplex
    (softargmax, for those who keep "softmax" for log-sum-exp).

    Parameters
    ----------
    x : array (..., n)
        Scores of a real floating dtype; -inf entries get 0.
    temperature : number or array (..., 1)
        At least 0; 0 is the hard argmax, ties sharing equally.
    axis : int
        Axis of the entries.
    where : boolean array, optional
        Entries that take part; a row with none is all 0.

    Returns
    -------
    array (..., n)
        Probabilities, of the dtype of `x`.

    Raises
    ------
    TypeError
        If `x` is not a floating array.
    ValueError
        If `temperature` is negative, or the axis is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and `temperature`, to every order.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel import softmax
    >>> softmax(np.asarray([1.0, 2.0, 3.0])).round(3)
    array([0.09 , 0.245, 0.665])
    """
    ready = prepare(x, axis, where, (temperature,))
    backend, scores = ready.backend, ready.x
    temperature = temperature_of(backend, temperature, x, ready.axis)
    return finish(
        ready,
        with_temperature(
            backend,
            temperature,
            lambda positive: softmax_formula(backend, scores, positive),
            lambda: hard_argmax(backend, scores),
        ),
    )


@compiled()
def softmax_formula(backend: Any, x: Array, temperature: Any) -> Array:
    """Softmax of prepared scores; rows without any finite score are 0."""
    xp = backend.namespace
    weights = xp.exp(shifted(backend, x, temperature))
    total = xp.sum(weights, axis=-1, keepdims=True)
    return weights / xp.where(total == 0, xp.ones_like(total), total)
