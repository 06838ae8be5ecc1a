"""Forward mode: derivatives along a tangent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .arguments import as_primals, match
from .engines import Method, flat_engine_of

__all__ = ["jvp", "linearize"]


def jvp(
    f: Callable[..., Any],
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    *,
    method: Method | None = None,
) -> tuple[Any, Any]:
    """Return the value of a function and its derivative along tangents.

    Parameters
    ----------
    f
        Function from containers of arrays to a container of arrays.
    primals
        Tuple (or list) of its arguments, all differentiated.
    tangents
        Directions, one for each primal and shaped like it.
    method
        None for the library's own derivative where it has one and the tape elsewhere; "native",
        "tape", "complex" (complex step) or "finite" (central differences) to choose.

    Returns
    -------
    tuple
        `f(*primals)` and its derivative, containers of one structure.

    Raises
    ------
    TypeError
        If a leaf of a primal is not floating, or the primals are no tuple.
    ValueError
        If the tangents differ from the primals in structure or shapes.

    Notes
    -----
    *Derivatives*: linear in the tangents; transformations nest.

    Examples
    --------
    >>> import numpy as np
    >>> value, slope = jvp(lambda x: x**3, (np.asarray(2.0),), (np.asarray(1.0),))
    >>> float(value), float(slope)
    (8.0, 12.0)
    """
    _check_tuple("primals", primals)
    _check_tuple("tangents", tangents)
    backend, arguments = as_primals(tuple(primals))
    directions = match(backend, "tangents", tuple(tangents), arguments)
    return flat_engine_of(method, backend).jvp(f, arguments, directions)


def _check_tuple(name: str, value: Any) -> None:
    if not isinstance(value, tuple | list):
        raise TypeError(
            f"`{name}` must be a tuple with one entry an argument; got {type(value).__qualname__}"
        )


def linearize(
    f: Callable[..., Any], /, *primals: Any, method: Method | None = None
) -> tuple[Any, Callable[..., Any]]:
    """Return the value of a function and its derivative as a linear function.

    Parameters
    ----------
    f
        Function from containers of arrays to a container of arrays.
    *primals
        Its arguments, all differentiated.
    method
        As for `jvp`.

    Returns
    -------
    tuple
        `f(*primals)`, and a function from one tangent for each primal to the derivative, which
        does not evaluate `f` again where the library can avoid it.

    Raises
    ------
    TypeError
        If a leaf of a primal is not floating.
    ValueError
        By the pushforward, if the tangents differ from the primals in structure or shapes.

    Notes
    -----
    *Derivatives*: linear in the tangents.

    Examples
    --------
    >>> import numpy as np
    >>> value, pushforward = linearize(lambda x: x**3, np.asarray(2.0))
    >>> float(pushforward(np.asarray(0.5)))
    6.0
    """
    backend, arguments = as_primals(primals)
    value, push = flat_engine_of(method, backend).linearize(f, arguments)

    def pushforward(*tangents: Any) -> Any:
        return push(match(backend, "tangents", tangents, arguments))

    return value, pushforward
