"""Products with second derivatives, without forming a matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import check_choice
from ..backend import namespace
from ..trees import dot
from .forward import jvp
from .jacobian import jacobian
from .numeric import finite_difference
from .reverse import grad, vjp

__all__ = ["fisher_vp", "ggn_vp", "hvp"]

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


def fisher_vp(family: Any, predict: Callable[[Any], Any], params: Any, tangent: Any) -> Any:
    """Return the product of the Fisher information matrix with a direction.

    J* [H (J tangent)], with J the Jacobian of `predict`, which gives natural parameters, and H the
    Hessian of the log-partition function there, which is the covariance of the statistics. This is
    E[grad log p grad log p^T] under the model itself; no label takes part.

    Parameters
    ----------
    family
        Exponential family: an object whose method `log_partition(natural)` returns one number for
        each distribution.
    predict
        Function from parameters to natural parameters: one array, or a container such as a tuple
        where the family has several. Leading axes are independent samples, and are summed over.
    params
        Where to differentiate: a container of arrays.
    tangent
        Direction, shaped like `params`.

    Returns
    -------
    container
        Shaped like `params`.

    Raises
    ------
    TypeError
        If a leaf of `params` is not floating, or `family` has no `log_partition`.
    ValueError
        If `tangent` differs from `params` in structure or shapes.

    Notes
    -----
    The generalised Gauss-Newton product of the negative log-likelihood: positive semidefinite, and
    the same for every label. *Derivatives*: transformations nest.

    References
    ----------
    J. Martens, "New insights and perspectives on the natural gradient method", Journal of Machine
    Learning Research 21 (2020), arXiv 1412.1193.

    Examples
    --------
    >>> import numpy as np
    >>> class Bernoulli:
    ...     def log_partition(self, logit):
    ...         return np.logaddexp(0.0, logit)
    >>> x, w, v = np.asarray([[1.0, 2.0], [0.0, 1.0]]), np.zeros(2), np.asarray([1.0, 0.0])
    >>> fisher_vp(Bernoulli(), lambda w: x @ w, w, v).tolist()  # x^T diag(1/4) x v
    [0.25, 0.5]
    """
    log_partition = getattr(family, "log_partition", None)
    if not callable(log_partition):
        raise TypeError(
            "`family` must have a method `log_partition` of natural parameters; "
            f"got {type(family).__qualname__}"
        )

    def total(natural: Any) -> Any:
        value = log_partition(natural)
        return namespace(value).sum(value)

    return ggn_vp(total, predict, params, tangent)
