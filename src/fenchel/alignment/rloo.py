"""The policy-gradient baseline that online feedback is compared with."""

from __future__ import annotations

from typing import Any

from ..arrays import check_dtype, narrow, widen
from ..backend import backend_of
from ..parameters import check_array
from ._values import same_dtype

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
        If the returns are not floating arrays of one library and dtype.
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
    check_array("return_second", return_second, backend_of(return_first))
    backend = backend_of(return_first, return_second)
    info, xp = check_dtype("return_first", return_first), backend.namespace
    same_dtype("return_second", return_second, return_first)
    if tuple(return_first.shape) != tuple(return_second.shape):
        raise ValueError(
            f"`return_second` must have the shape {tuple(return_first.shape)}; "
            f"got {tuple(return_second.shape)}"
        )
    first, second = (
        widen(xp, backend.stop_gradient(x), info) for x in (return_first, return_second)
    )
    weight = narrow(xp, 0.5 * (first - second), info, return_first.dtype)
    return weight, -weight
