r"""Rows of tokens into buffers and back, by gathering alone.

    dispatch   X[e, c] = x[token(e, c)],                combine   Y[t] = sum of w[e, c] y[e, c]

over the buffer rows (e, c) that token t sits in. Without the weights the two are transposes of each
other, and both are gathers: `token` gives the token of a row, and `places` the rows of a token. So
no derivative, of any order, scatters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..arrays import check_dtype, narrow, widen
from ..backend import Array, Backend, backend_of
from ..kernels import linear_map
from ..parameters import known_to
from ._indices import as_index
from .places import row_weights, token_places

if TYPE_CHECKING:
    from .routing import Routing

__all__ = ["combine_rows", "dispatch_rows", "spread_rows", "sum_rows"]


def dispatch_rows(routing: Routing, x: Array) -> Array:
    """Return the buffers (..., m, C, d) of tokens (..., n, d); see `Routing.dispatch`."""
    backend = backend_of(x, routing.weight)
    x = known_to(backend, x)
    check_dtype("x", x)
    shape = tuple(routing.token_index.shape)
    wanted = (*shape[:-2], routing.n_tokens)
    if tuple(x.shape[:-1]) != wanted:
        raise ValueError(f"`x` must have the shape {wanted} + (d,); got {tuple(x.shape)}")
    xp = backend.namespace
    token, places = _maps(backend, routing)
    rows = linear_map(backend, spread_rows, sum_rows, x, token, places)
    return xp.reshape(rows, (*shape, x.shape[-1]))


def combine_rows(routing: Routing, y: Array) -> Array:
    """Return the tokens (..., n, d) of buffers (..., m, C, d); see `Routing.combine`."""
    backend = backend_of(y, routing.weight)
    xp = backend.namespace
    info = check_dtype("y", y)
    shape = tuple(routing.token_index.shape)
    if tuple(y.shape[:-1]) != shape:
        raise ValueError(f"`y` must have the shape {shape} + (d,); got {tuple(y.shape)}")
    wide = widen(xp, known_to(backend, y), info)
    token, places = _maps(backend, routing)
    weight = xp.astype(row_weights(backend, routing), wide.dtype)
    # what stands in empty rows is nobody's: it must not spoil a sum, were it NaN
    filled = xp.reshape(routing.token_index < routing.n_tokens, (*shape, 1))
    weighted = xp.where(filled, xp.multiply(weight[..., None], wide), xp.zeros_like(wide))
    rows = xp.reshape(weighted, (*shape[:-2], shape[-2] * shape[-1], y.shape[-1]))
    total = linear_map(backend, sum_rows, spread_rows, rows, token, places)
    return narrow(xp, total, info, y.dtype)


def _maps(backend: Backend, routing: Routing) -> tuple[Array, Array]:
    """Return the token of each flat row, n if empty, and the rows of each token, m C if none."""
    xp = backend.namespace
    shape = tuple(routing.token_index.shape)
    token = xp.reshape(routing.token_index, (*shape[:-2], shape[-2] * shape[-1]))
    return backend.stop_gradient(token), backend.stop_gradient(token_places(backend, routing))


def spread_rows(backend: Backend, x: Array, token: Array, places: Array) -> Array:
    """Return rows of x (..., n, d) at `token` (..., R), zeros where it is n."""
    return _take_rows(backend, _padded(backend, x), token)


def sum_rows(backend: Backend, rows: Array, token: Array, places: Array) -> Array:
    """Return the sums of rows (..., R, d) at `places` (..., n, q), where R stands for none."""
    padded = _padded(backend, rows)
    total = None
    for j in range(places.shape[-1]):
        part = _take_rows(backend, padded, places[..., j])
        total = part if total is None else total + part
    if total is None:
        shape = (*places.shape[:-1], rows.shape[-1])
        return backend.namespace.zeros(shape, dtype=rows.dtype)
    return total


def _padded(backend: Backend, x: Array) -> Array:
    """Return x (..., R, d) with a row of zeros at the end."""
    xp = backend.namespace
    zero = xp.zeros((*x.shape[:-2], 1, x.shape[-1]), dtype=x.dtype, device=backend.device_of(x))
    return xp.concat((x, zero), axis=-2)


def _take_rows(backend: Backend, x: Array, index: Array) -> Array:
    """Return the rows of x (..., R, d) at `index` (..., S)."""
    xp: Any = backend.namespace
    index = as_index(xp, index)
    if x.ndim == 2:
        return xp.take(x, index, axis=0)
    groups, (rows, width) = tuple(x.shape[:-2]), x.shape[-2:]
    count = 1
    for size in groups:
        count *= size
    start = xp.arange(count, dtype=index.dtype, device=backend.device_of(index)) * rows
    flat = xp.reshape(index, (count, index.shape[-1])) + start[:, None]
    found = xp.take(xp.reshape(x, (count * rows, width)), xp.reshape(flat, (-1,)), axis=0)
    return xp.reshape(found, (*groups, index.shape[-1], width))
