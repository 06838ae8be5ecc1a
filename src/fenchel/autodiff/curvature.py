"""Products with second derivatives, without forming a matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import check_choice
from ..trees import dot
from .forward import jvp
from .jacobian import jacobian
from .numeric import finite_difference
from .reverse import grad, vjp

__all__ = ["ggn_vp", "hvp"]

_MODES = (
    "forward_over_reverse",
    "reverse_over_forward",
    "reverse_over_reverse",
    "forward_over_forward",
    "finite",
)


def hvp(
    f: Callable[[Any], Any], x: Any, tangent: Any, *, mode: str = "forward_over_reverse"
) -> Any:
    """Return the product of the Hessian of a scalar function with a direction.

    Parameters
    ----------
    f
        Function from a container of arrays to an array of shape ().
    x
        Where to differentiate.
    tangent
        Direction, shaped like `x`.
    mode
        "forward_over_reverse" (the derivative of the gradient; cheapest), "reverse_over_forward",
        "reverse_over_reverse", "forward_over_forward" (a sweep for each entry of `x`) or "finite"
        (a central difference of gradients). All but the last give the same numbers.

    Returns
    -------
    container
        Shaped like `x`.

    Raises
    ------
    TypeError
        If a leaf of `x` is not floating, or `f` returns no floating scalar.
    ValueError
        If `mode` is unknown, or `tangent` differs from `x` in structure or shapes.

    Notes
    -----
    *Derivatives*: transformations nest.

    References
    ----------
    B. Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6 (1994).

    Examples
    --------
    >>> import numpy as np
    >>> x, v = np.asarray([1.0, 2.0]), np.asarray([1.0, 1.0])
    >>> hvp(lambda x: np.sum(x**3), x, v).tolist()
    [6.0, 12.0]
    """
    check_choice("mode", mode, _MODES)
    if mode == "forward_over_reverse":
        return jvp(grad(f), (x,), (tangent,))[1]
    if mode == "reverse_over_forward":
        return grad(lambda y: jvp(f, (y,), (tangent,))[1])(x)
    if mode == "reverse_over_reverse":
        return grad(lambda y: dot(grad(f)(y), tangent))(x)
    if mode == "forward_over_forward":
        return jvp(jacobian(f, mode="forward"), (x,), (tangent,))[1]
    return finite_difference(grad(f), x, tangent)


def ggn_vp(
    loss: Callable[[Any], Any], predict: Callable[[Any], Any], params: Any, tangent: Any
) -> Any:
    """Return the product of the generalised Gauss-Newton matrix with a direction.

    J* [H (J tangent)], with J the Jacobian of `predict` at `params` and H the Hessian of `loss` at
    `predict(params)`; positive semidefinite for a convex loss.

    Parameters
    ----------
    loss
        Function from outputs to an array of shape ().
    predict
        Function from parameters to outputs; both are containers of arrays.
    params
        Where to differentiate.
    tangent
        Direction, shaped like `params`.

    Returns
    -------
    container
        Shaped like `params`.

    Raises
    ------
    TypeError
        If a leaf of `params` is not floating, or `loss` returns no floating scalar.
    ValueError
        If `tangent` differs from `params` in structure or shapes.

    Notes
    -----
    One forward sweep, one product with the Hessian of the loss, one reverse sweep.
    *Derivatives*: transformations nest.

    References
    ----------
    N. Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent",
    Neural Computation 14 (2002).

    Examples
    --------
    >>> import numpy as np
    >>> w, v = np.asarray([1.0, 2.0]), np.asarray([1.0, 1.0])
    >>> ggn_vp(lambda z: np.sum(z**2) / 2, lambda w: w**2, w, v).tolist()
    [4.0, 16.0]
    """
    outputs, slope = jvp(predict, (params,), (tangent,))
    curved = hvp(loss, outputs, slope)
    return vjp(predict, params)[1](curved)[0]
