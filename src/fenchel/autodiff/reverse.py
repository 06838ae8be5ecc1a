"""Reverse mode: gradients of scalar functions and pullbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import float_info
from ..backend import Backend
from ..trees import is_array
from .arguments import as_primals, like, match, select
from .engines import Method, flat_engine_of

__all__ = ["grad", "value_and_grad", "vjp"]


def grad(
    f: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    method: Method | None = None,
) -> Callable[..., Any]:
    """Return the gradient of a scalar function as a function of the same arguments.

    Parameters
    ----------
    f
        Function that returns an array of shape (), or that and auxiliary results.
    argnums
        Which arguments to differentiate; a tuple gives a tuple of gradients. Each is a container
        of floating arrays; Python floats are differentiated where another argument is an array.
    has_aux
        Whether `f` returns `(value, aux)`.
    method
        None for the library's own derivative where it has one and the tape elsewhere; "native",
        "tape", "complex" (complex step) or "finite" (central differences) to choose.

    Returns
    -------
    callable
        Function giving containers shaped like the arguments, or `(gradient, aux)`.

    Raises
    ------
    TypeError
        If a differentiated leaf is not floating, or `f` returns no floating scalar.
    ValueError
        If `argnums` is out of range, or the value is not of shape ().

    Notes
    -----
    *Derivatives*: transformations nest, to every order that the engine has.

    Examples
    --------
    >>> import numpy as np
    >>> grad(lambda w: np.sum(w**2))(np.asarray([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """
    both = value_and_grad(f, argnums, has_aux, method=method)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, slopes = both(*args, **kwargs)
        return (slopes, value[1]) if has_aux else slopes

    return gradient


def value_and_grad(
    f: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    method: Method | None = None,
) -> Callable[..., Any]:
    """Return a function that gives the value of a scalar function and its gradient.

    Parameters
    ----------
    f, argnums, has_aux, method
        As for `grad`.

    Returns
    -------
    callable
        Function giving `(value, gradient)`, or `((value, aux), gradient)`.

    Raises
    ------
    TypeError
        If a differentiated leaf is not floating, or `f` returns no floating scalar.
    ValueError
        If `argnums` is out of range, or the value is not of shape ().

    Notes
    -----
    *Derivatives*: transformations nest, to every order that the engine has.

    Examples
    --------
    >>> import numpy as np
    >>> value, slope = value_and_grad(np.sin)(np.asarray(0.0))
    >>> float(value), float(slope)
    (0.0, 1.0)
    """

    def evaluate(*args: Any, **kwargs: Any) -> Any:
        chosen = select(f, args, kwargs, argnums)
        scalar = _scalar(chosen.function, chosen.backend, has_aux, method == "complex")
        engine = flat_engine_of(method, chosen.backend)
        value, slopes = engine.value_and_grad(scalar, chosen.primals, has_aux)
        return value, slopes[0] if chosen.single else slopes

    return evaluate


def _scalar(
    f: Callable[..., Any], backend: Backend, has_aux: bool, allow_complex: bool
) -> Callable[..., Any]:
    """Return `f` with a check of what it returns."""

    def checked(*primals: Any) -> Any:
        result = f(*primals)
        if has_aux:
            if not isinstance(result, tuple) or len(result) != 2:
                raise TypeError(
                    "`f` must return (value, aux) with has_aux=True; "
                    f"got {type(result).__qualname__}"
                )
            value, aux = result
        else:
            value, aux = result, None
        if not is_array(value):
            if not isinstance(value, int | float):
                raise TypeError(f"`f` must return a scalar; got {type(value).__qualname__}")
            # The model is an argument of the library: a constant function is differentiable.
            value = like(backend, float(value), backend.tree_flatten(primals)[0][0])
        elif tuple(value.shape) != ():
            raise ValueError(f"`f` must return a scalar of shape (); got {tuple(value.shape)}")
        elif float_info(value.dtype) is None and not (
            allow_complex and backend.namespace.isdtype(value.dtype, "complex floating")
        ):
            raise TypeError(f"`f` must return a real floating scalar; got {value.dtype}")
        return (value, aux) if has_aux else value

    return checked


def vjp(
    f: Callable[..., Any], /, *primals: Any, method: Method | None = None
) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Return the value of a function and its pullback, cotangent to J* cotangent.

    Parameters
    ----------
    f
        Function from containers of arrays to a container of arrays.
    *primals
        Its arguments, all differentiated.
    method
        As for `grad`.

    Returns
    -------
    tuple
        `f(*primals)`, and a function from a cotangent shaped like it to a tuple with one entry
        for each primal.

    Raises
    ------
    TypeError
        If a leaf of a primal is not floating.
    ValueError
        By the pullback, if structure or shapes differ from those of the value.

    Notes
    -----
    *Derivatives*: the pullback is linear, and differentiable in primals and cotangent.

    Examples
    --------
    >>> import numpy as np
    >>> y, pullback = vjp(lambda x: x**2, np.asarray([1.0, 3.0]))
    >>> pullback(np.asarray([1.0, 10.0]))[0].tolist()
    [2.0, 60.0]
    """
    backend, arguments = as_primals(primals)
    out, pull = flat_engine_of(method, backend).vjp(f, arguments)

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        return tuple(pull(match(backend, "cotangent", cotangent, out)))

    return out, pullback
