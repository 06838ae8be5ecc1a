"""The policy-gradient baseline that online feedback is compared with."""

from __future__ import annotations

from typing import Any

from ..arrays import check_dtype
from ..backend import backend_of
from ..parameters import check_array

__all__ = ["rloo_gradient"]

Array = Any


def rloo_gradient(return_first: Array, return_second: Array, /) -> tuple[Array, Array]:
    r"""Return the factors of the two score functions in the leave-one-out estimator.

    Of two responses to a prompt each is the baseline of the other:
    :math:`\frac12 (R_1 - R_2)(\nabla \log \pi(y_1) - \nabla \log \pi(y_2))` is an unbiased estimate
    of :math:`\nabla E[R]`. With the returns
    :math:`R = r(y) - \beta (\log \pi(y) - \log \pi_{ref}(y))`, log-ratios detached, it is one of
    the gradient of :math:`E[r] - \beta KL`.

    Parameters
    ----------
    return_first, return_second : array (...)
        Returns of two independent responses to each prompt.

    Returns
    -------
    tuple of arrays (...)
        Factors of the gradients of log pi(y1) and log pi(y2), to *ascend*; constants.

    Raises
    ------
    TypeError
        If the returns are not floating arrays of one library.
    ValueError
        If their shapes differ.

    Notes
    -----
    *Derivatives*: none; the factors are constants. Source: arXiv 2402.14740.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import rloo_gradient
    >>> rloo_gradient(np.asarray([3.0]), np.asarray([1.0]))
    (array([1.]), array([-1.]))
    """
    backend = backend_of(return_first, return_second)
    for name, x in (("return_first", return_first), ("return_second", return_second)):
        check_array(name, x, backend)
        check_dtype(name, x)
    if tuple(return_first.shape) != tuple(return_second.shape):
        raise ValueError(
            f"`return_second` must have the shape {tuple(return_first.shape)}; "
            f"got {tuple(return_second.shape)}"
        )
    weight = 0.5 * (backend.stop_gradient(return_first) - backend.stop_gradient(return_second))
    return weight, -weight
