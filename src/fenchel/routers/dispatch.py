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
from ._problem import constant
from ._row_rules import CombineRule, DispatchRule, in_one_pass
from .places import row_weights, token_places

if TYPE_CHECKING:
    from .routing import Routing

__all__ = [
    "check_tokens",
    "combine_rows",
    "dispatch_rows",
    "gather_sums",
    "spread",
    "spread_rows",
    "sum_rows",
]


def dispatch_rows(routing: Routing, x: Array) -> Array:
    """Return the buffers (..., m, C, d) of tokens (..., n, d); see `Routing.dispatch`."""
    shape = tuple(routing.token_index.shape)
    backend = backend_of(x, routing.weight)
    check_tokens(x, (*shape[:-2], routing.n_tokens))
    rows = spread(backend, x, *_maps(backend, routing))
    return backend.namespace.reshape(rows, (*shape, x.shape[-1]))


def combine_rows(routing: Routing, y: Array) -> Array:
    """Return the tokens (..., n, d) of buffers (..., m, C, d); see `Routing.combine`."""
    backend = backend_of(y, routing.weight)
    xp = backend.namespace
    shape = tuple(routing.token_index.shape)
    if tuple(y.shape[:-1]) != shape:
        raise ValueError(f"`y` must have the shape {shape} + (d,); got {tuple(y.shape)}")
    flat = (*shape[:-2], shape[-2] * shape[-1])
    weight = xp.reshape(row_weights(backend, routing), flat)
    rows = xp.reshape(known_to(backend, y), (*flat, y.shape[-1]))
    return gather_sums(backend, rows, weight, *_maps(backend, routing))


def check_tokens(x: Array, wanted: tuple[int, ...]) -> None:
    """Raise unless `x` is a floating array of shape `wanted` + (d,)."""
    check_dtype("x", x)
    if tuple(x.shape[:-1]) != wanted or x.ndim != len(wanted) + 1:
        raise ValueError(f"`x` must have the shape {wanted} + (d,); got {tuple(x.shape)}")


def spread(backend: Backend, x: Array, token: Array, places: Array) -> Array:
    """Return the rows (..., R, d) of tokens (..., n, d): token (..., R) and places (..., n, q)."""

    def formula(x: Array) -> Array:
        live = backend_of(x)
        return linear_map(live, spread_rows, sum_rows, x, token, places)

    def rule(rows: Any) -> DispatchRule:
        plain = backend_of(token)
        ones = plain.namespace.ones_like(token, dtype=x.dtype)
        return DispatchRule(rows, token, places, ones)

    x = known_to(backend, x)
    found = in_one_pass(backend, rule, formula, x)
    return formula(x) if found is None else found


def gather_sums(backend: Backend, rows: Array, weight: Array, token: Array, places: Array) -> Array:
    """Return for each token the sum of its rows (..., R, d) times their weights (..., R).

    What stands in empty rows is nobody's, and spoils no sum, were it NaN.
    """
    xp = backend.namespace
    info = check_dtype("y", rows)
    dtype, rows = rows.dtype, widen(xp, rows, info)
    weight = xp.astype(weight, rows.dtype)

    def formula(rows: Array, weight: Array) -> Array:
        return _weighted_sums(backend_of(rows, weight), rows, weight, token, places)

    found = in_one_pass(backend, lambda run: CombineRule(run, token, places), formula, rows, weight)
    total = formula(rows, weight) if found is None else found
    return narrow(xp, total, info, dtype)


def _weighted_sums(
    backend: Backend, rows: Array, weight: Array, token: Array, places: Array
) -> Array:
    xp = backend.namespace
    filled = (token < places.shape[-2])[..., None]
    weighted = xp.multiply(weight[..., None], rows)
    weighted = xp.where(filled, weighted, xp.zeros_like(weighted))
    return linear_map(backend, sum_rows, spread_rows, weighted, token, places)


def _maps(backend: Backend, routing: Routing) -> tuple[Array, Array]:
    """Return the token of each flat row, n if empty, and the rows of each token, m C if none."""
    xp = backend.namespace
    shape = tuple(routing.token_index.shape)
    token = xp.reshape(routing.token_index, (*shape[:-2], shape[-2] * shape[-1]))
    return constant(backend, token), constant(backend, token_places(backend, routing))


def spread_rows(backend: Backend, x: Array, token: Array, places: Array) -> Array:
    """Return rows of x (..., n, d) at `token` (..., R), zeros where it is n."""
    return _take_rows(backend, _padded(backend, x), token)


# Up to this many rows a token are added one after the other without looking.
_FEW = 8


def sum_rows(backend: Backend, rows: Array, token: Array, places: Array) -> Array:
    """Return the sums of rows (..., R, d) at `places` (..., n, q), where R stands for none."""
    xp, q = backend.namespace, places.shape[-1]
    padded = _padded(backend, rows)
    if q == 0:
        return xp.zeros((*places.shape[:-1], rows.shape[-1]), dtype=rows.dtype)
    first = _take_rows(backend, padded, places[..., 0])
    opaque = getattr(backend, "linear_maps_opaque", False)
    if q > _FEW and (opaque or not backend.is_traced(places)):
        return _sum_of_used(backend, first, padded, places)
    for j in range(1, q):
        first = first + _take_rows(backend, padded, places[..., j])
    return first


def _sum_of_used(backend: Backend, total: Array, padded: Array, places: Array) -> Array:
    """Go on with a sum as far as there are columns in use."""
    xp, q = backend.namespace, places.shape[-1]
    one = xp.ones((1,), dtype=xp.arange(0).dtype, device=backend.device_of(places))
    column = xp.arange(1, q + 1, dtype=one.dtype, device=backend.device_of(places))
    used = xp.where(places < padded.shape[-2] - 1, column, xp.zeros_like(column))
    last = xp.max(used) if 0 not in places.shape else 0

    def going(carry: tuple[Array, Array]) -> Array:
        return xp.all(carry[0] < last)

    def add(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        index = xp.take(places, carry[0], axis=-1)[..., 0]
        return carry[0] + 1, carry[1] + _take_rows(backend, padded, index)

    return backend.while_loop(going, add, (one, total))[1]


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
