"""Queries, keys and values of one length: checked, masked, and in the dtype of the computation."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...arrays import dtype_name
from ...parameters import check_array, known_to
from .._numbers import Numbers, as_dtype, check_numbers, is_complex, real_dtype

__all__ = ["Heads", "broadcast_shapes", "check_heads", "check_state", "check_weights"]

Array = Any
Shape = tuple[int, ...]


class Heads(NamedTuple):
    """Checked arguments of an attention.

    Attributes
    ----------
    numbers
        Library and dtypes.
    q, k, v
        Queries and keys (..., T, d), values (..., T, m), padded tokens zero.
    mask
        None, or booleans that broadcast to (..., T).
    batch
        What the batch axes broadcast to.
    """

    numbers: Numbers
    q: Array
    k: Array
    v: Array
    mask: Array | None
    batch: Shape


def check_heads(q: Array, k: Array, v: Array, mask: Array | None, *others: Array) -> Heads:
    """Return the arguments of an attention, checked; `others` are of the same library.

    Raises
    ------
    TypeError
        If the arrays differ in library or dtype, or are not floating; if `mask` is not boolean.
    ValueError
        If the shapes do not fit.
    """
    numbers = check_numbers("q", q, k, v, *others)
    for name, x in (("k", k), ("v", v)):
        if x.dtype != q.dtype:
            raise TypeError(
                f"`{name}` must have the dtype of `q`, {dtype_name(q)}; got {dtype_name(x)}"
            )
    for name, x in (("q", q), ("k", k), ("v", v)):
        if x.ndim < 2 or x.shape[-2] != q.shape[-2]:
            raise ValueError(
                f"`{name}` must have shape (..., T, d) with the T of `q`; got {tuple(x.shape)} "
                f"with q of shape {tuple(q.shape)}"
            )
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(
            f"`k` must have the dimension of `q`, {q.shape[-1]}; got shape {tuple(k.shape)}"
        )
    batch = broadcast_shapes("v", *(tuple(x.shape[:-2]) for x in (q, k, v)))
    q, k, v = (numbers.widen(known_to(numbers.backend, x)) for x in (q, k, v))
    if mask is not None:
        mask = _check_mask(numbers, mask, (*batch, q.shape[-2]))
        q, k, v = (_hidden(numbers, x, mask) for x in (q, k, v))
    return Heads(numbers, q, k, v, mask, batch)


def broadcast_shapes(name: str, *shapes: Shape) -> Shape:
    """Return what shapes broadcast to.

    Raises
    ------
    ValueError
        If they do not; `name` is blamed.
    """
    width = max(len(shape) for shape in shapes)
    padded = [(1,) * (width - len(shape)) + shape for shape in shapes]
    found = []
    for sizes in zip(*padded, strict=True):
        real = {size for size in sizes if size != 1}
        if len(real) > 1:
            raise ValueError(
                f"`{name}` must have batch axes that broadcast with the others; got {shapes}"
            )
        found.append(real.pop() if real else 1)
    return tuple(found)


def check_weights(heads: Heads, weights: Array) -> Array:
    """Return positional weights (..., T, T) in the precision of the computation.

    Raises
    ------
    TypeError
        If they are not real floating, nor of the dtype of `q`.
    ValueError
        If their shape does not fit.
    """
    length = heads.q.shape[-2]
    weights = _companion("weights", heads.numbers, weights, (length, length))
    given = tuple(weights.shape)
    if broadcast_shapes("weights", given[:-2], heads.batch) != heads.batch:
        raise ValueError(f"`weights` must broadcast over the batch {heads.batch}; got {given}")
    return weights


def check_state(heads: Heads, state: Array) -> Array:
    """Return a state (..., d, m) in the dtype of the computation.

    Raises
    ------
    TypeError
        If it is not real floating, nor of the dtype of `q`.
    ValueError
        If its shape does not fit.
    """
    wanted = (heads.q.shape[-1], heads.v.shape[-1])
    state = _companion("initial_state", heads.numbers, state, wanted)
    broadcast_shapes("initial_state", tuple(state.shape[:-2]), heads.batch)
    return as_dtype(heads.numbers.backend.namespace, state, heads.numbers.inner)


def _companion(name: str, numbers: Numbers, x: Array, last: Shape) -> Array:
    """Matrices beside the heads: real, or complex like them; in their precision."""
    xp = numbers.backend.namespace
    check_array(name, x, numbers.backend)
    if tuple(x.shape[-2:]) != last:
        sizes = ", ".join(map(str, last))
        raise ValueError(f"`{name}` must have shape (..., {sizes}); got {tuple(x.shape)}")
    check_numbers(name, x)
    if is_complex(x) and x.dtype != numbers.dtype:
        raise TypeError(f"`{name}` must be real, or of the dtype of `q`; got {dtype_name(x)}")
    x = known_to(numbers.backend, x)
    return x if is_complex(x) else as_dtype(xp, x, real_dtype(xp, numbers.inner))


def _check_mask(numbers: Numbers, mask: Array, shape: Shape) -> Array:
    xp = numbers.backend.namespace
    check_array("mask", mask, numbers.backend)
    if not xp.isdtype(mask.dtype, "bool"):
        raise TypeError(f"`mask` must be boolean; got {dtype_name(mask)}")
    given = tuple(mask.shape)
    fits = len(given) >= 1 and given[-1] == shape[-1] and len(given) <= len(shape)
    if not fits or broadcast_shapes("mask", given, shape) != shape:
        raise ValueError(f"`mask` must broadcast to (..., T) = {shape}; got shape {given}")
    return mask


def _hidden(numbers: Numbers, x: Array, mask: Array) -> Array:
    """Padded tokens as zeros: whatever they hold, infinities too, is out of value and gradient."""
    xp = numbers.backend.namespace
    return xp.where(xp.expand_dims(mask, axis=-1), x, xp.zeros_like(x))
