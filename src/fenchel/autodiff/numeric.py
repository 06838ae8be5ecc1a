"""Numerical derivatives along a direction: finite differences and the complex step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..arrays import check_choice
from ..backend import Backend
from ..trees import axpy, is_array, norm
from ..trees import map as map_leaves
from .arguments import as_primals, match
from .stencils import fd_weights
from .transforms import stop_gradient

__all__ = ["complex_step", "finite_difference"]

# Spacing at 1 of what is stored; the half types count with their own, not with float32's.
_EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}


def finite_difference(
    f: Callable[[Any], Any],
    x: Any,
    tangent: Any,
    *,
    scheme: str = "central",
    order: int = 1,
    step: float | None = None,
) -> Any:
    """Return the derivative of a function along a direction, by differences of its values.

    Parameters
    ----------
    f
        Function from a container of arrays to a container of arrays.
    x
        Where to differentiate: container of real floating arrays.
    tangent
        Direction, shaped like `x`.
    scheme
        "central" (error of order step^2), "forward" or "backward" (order step).
    order
        Order of the derivative, at least 1.
    step
        Step length along `tangent`. None balances truncation and rounding:
        eps^(1 / (p + order)) max(1, ||x||) / ||tangent|| with p the accuracy of the scheme, rounded
        to a power of two so that x + step - x is the step exactly.

    Returns
    -------
    container
        The derivative, shaped like `f(x)`.

    Raises
    ------
    TypeError
        If a leaf of `x` is not floating.
    ValueError
        If scheme, order or step is out of range, or `tangent` differs from `x` in structure.

    Notes
    -----
    *Derivatives*: those of the difference formula. The function is called order + 1 times, one
    time less where the central formula leaves the middle out. Central first differences have a
    relative error of about 1e-11 in float64 and 1e-5 in float32.

    Examples
    --------
    >>> import numpy as np
    >>> slope = finite_difference(np.exp, np.asarray(0.0), np.asarray(1.0))
    >>> bool(abs(slope - 1.0) < 1e-9)
    True
    """
    check_choice("scheme", scheme, ("central", "forward", "backward"))
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"`order` must be an integer of at least 1; got {order!r}")
    if step is not None and not step > 0:
        raise ValueError(f"`step` must be above 0; got step={step}")
    backend, (x,) = as_primals((x,))
    tangent = match(backend, "tangent", tangent, x)
    offsets = _offsets(scheme, order)
    accuracy = 2 if scheme == "central" else 1
    h = _step(backend, x, tangent, accuracy + order) if step is None else step
    terms = [
        (weight, f(axpy(offset * h, tangent, x)))
        for offset, weight in zip(offsets, fd_weights(offsets, order), strict=True)
        if weight
    ]
    weights = [weight for weight, _ in terms]

    def combine(*values: Any) -> Any:
        total = weights[0] * values[0]
        for weight, value in zip(weights[1:], values[1:], strict=True):
            total = total + weight * value
        return total / _cast(backend, h, total) ** order

    return map_leaves(combine, *(value for _, value in terms))


def _offsets(scheme: str, order: int) -> tuple[int, ...]:
    if scheme == "central":
        reach = (order + 1) // 2
        return tuple(range(-reach, reach + 1))
    return tuple(range(order + 1)) if scheme == "forward" else tuple(range(-order, 1))


def _cast(backend: Backend, h: Any, value: Any) -> Any:
    """Return the step in the dtype of a value, so that it does not widen the value."""
    return backend.namespace.astype(h, value.dtype) if is_array(h) else h


def _step(backend: Backend, x: Any, tangent: Any, power: int) -> Any:
    eps = max(_eps(leaf) for leaf in backend.tree_flatten(x)[0])
    size_x, size_t = norm(stop_gradient(x)), norm(stop_gradient(tangent))
    if is_array(size_x) and backend.is_traced(size_x):
        xp = backend.namespace
        safe = xp.where(size_t > 0, size_t, xp.ones_like(size_t))
        return eps ** (1 / power) * xp.maximum(size_x, xp.ones_like(size_x)) / safe
    ratio = max(1.0, float(size_x)) / (float(size_t) or 1.0)
    if not math.isfinite(ratio):
        ratio = 1.0  # the function will be NaN or infinite; the step must not be
    return 2.0 ** round(math.log2(eps ** (1 / power) * ratio))


def _eps(leaf: Any) -> float:
    name = str(getattr(leaf.dtype, "name", leaf.dtype)).rpartition(".")[2]
    if name not in _EPS:
        raise TypeError(f"`x` must have real floating dtypes; got {name}")
    return _EPS[name]


def complex_step(f: Callable[[Any], Any], x: Any, tangent: Any, *, step: float = 1e-20) -> Any:
    """Return the derivative of a function along a direction, exact to rounding.

    Im f(x + i step tangent) / step: no difference is taken, so that the step can be tiny.

    Parameters
    ----------
    f
        Function from a container of arrays to a container of arrays, analytic on each branch that
        it takes by the real part: no abs, conj or angle of a complex number inside. The functions
        of this library comply where their docstrings do not say otherwise.
    x
        Where to differentiate: container of real floating arrays.
    tangent
        Direction, shaped like `x`.
    step
        Any positive number small against the scale of `x`.

    Returns
    -------
    container
        The derivative, real, shaped like `f(x)`.

    Raises
    ------
    TypeError
        If a leaf of `x` is not real floating, or if `f` returns a real array: it dropped the
        imaginary part and with it the derivative.
    ValueError
        If `step` is not positive, or `tangent` differs from `x` in structure.

    Notes
    -----
    *Derivatives*: those of the formula. Half types are computed in complex64.

    References
    ----------
    W. Squire, G. Trapp, "Using complex variables to estimate derivatives of real functions",
    SIAM Review 40 (1998).

    Examples
    --------
    >>> import numpy as np
    >>> float(complex_step(lambda x: x**3, np.asarray(2.0), np.asarray(1.0)))
    12.0
    """
    if not step > 0:
        raise ValueError(f"`step` must be above 0; got step={step}")
    backend, (x,) = as_primals((x,))
    tangent = match(backend, "tangent", tangent, x)
    out = f(map_leaves(lambda a, b: _complex(backend, a, step * b), x, tangent))
    return map_leaves(lambda y: _imaginary(backend, y, step), out)


def _complex(backend: Backend, real: Any, imaginary: Any) -> Any:
    xp = backend.namespace
    if not xp.isdtype(real.dtype, "real floating"):
        raise TypeError(f"`x` must have real floating dtypes; got {real.dtype}")
    dtype = xp.complex128 if real.dtype == xp.float64 else xp.complex64
    return xp.astype(real, dtype) + 1j * xp.astype(imaginary, dtype)


def _imaginary(backend: Backend, y: Any, step: float) -> Any:
    xp = backend.namespace
    if not is_array(y) or not xp.isdtype(y.dtype, "complex floating"):
        raise TypeError(
            "`f` must keep complex numbers complex; it returned "
            f"{y.dtype if is_array(y) else type(y).__qualname__} (does it take abs, real or conj?)"
        )
    return xp.imag(y) / step
