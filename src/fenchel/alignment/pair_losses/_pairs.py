"""Checked arguments of the losses of pairs."""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

from ...arrays import FloatInfo, check_dtype, check_number, dtype_name, widen
from ...backend import backend_of, namespace
from ...parameters import broadcasts, check_array, known_to
from .._values import held
from ._record import PairLoss

__all__ = ["Pairs", "read_pairs", "refuse_same_infinity"]

Array = Any

_INF = float("inf")
_RATIOS_AND_LENGTHS = ("rho_rejected", "len_chosen", "len_rejected")


class Pairs(NamedTuple):
    """Checked pairs, in the dtype that is computed in."""

    backend: Any
    info: FloatInfo
    dtype: Any
    traced: bool  # whether values are out of reach
    chosen: Array
    rejected: Array
    lengths: tuple[Any, Any]  # None, or constants of at least 1
    beta: Any
    prob: Any  # number or array: that the chosen response is the better one
    options: dict[str, Any]
    fixed: bool  # whether nothing but the log-ratios can be differentiated


def read_pairs(
    name: str,
    loss: PairLoss,
    a: Array,
    b: Array,
    *,
    beta: Any,
    prob: Any,
    label_smoothing: float,
    len_chosen: Any,
    len_rejected: Any,
    options: dict[str, Any],
) -> Pairs:
    """Check the arguments of the public functions."""
    others = _arrays(
        rho_rejected=b, beta=beta, prob=prob, len_chosen=len_chosen, len_rejected=len_rejected
    )
    others |= _of_options(name, loss, options)
    backend = backend_of(a)
    for label, value in others.items():
        check_array(label, value, backend)
    backend = backend_of(a, *others.values())
    a, b, info, dtype = _ratios(backend, a, b)
    plain = backend.stop_gradient(a), backend.stop_gradient(b)
    traced = any(map(backend.is_traced, plain))
    prob = 1.0 if prob is None else _probability(prob, a)
    if loss.noise:
        options = {**options, "label_smoothing": label_smoothing}
    else:
        noise = check_number("label_smoothing", label_smoothing, minimum=0.0, maximum=1.0)
        prob = prob if noise == 0.0 else prob * (1.0 - noise) + (1.0 - prob) * noise
    constants = {k: known_to(backend, v) for k, v in options.items() if k in others}
    lengths = _lengths(name, loss, (len_chosen, len_rejected), a)
    return Pairs(
        backend, info, dtype, traced, a, b, lengths, _positive(beta, a), prob,
        {**options, **constants}, _fixed(others),
    )  # fmt: skip


def refuse_same_infinity(pairs: Pairs) -> Pairs:
    """Raise ValueError if both log-ratios of a pair are the same infinity.

    Where values are out of reach such a pair becomes NaN.
    """
    backend, a, b = pairs.backend, pairs.chosen, pairs.rejected
    xp = backend.namespace
    if not pairs.traced and bool(xp.all(xp.isfinite(backend.stop_gradient(a)))):
        return pairs
    differ = (a != b) | (xp.abs(a) != _INF)
    message = "must differ from `rho_rejected` where it is infinite"
    return pairs._replace(chosen=held("rho_chosen", a, differ, message))


def _arrays(**arguments: Any) -> dict[str, Any]:
    """Return those that are given, and no numbers."""
    return {k: v for k, v in arguments.items() if v is not None and not isinstance(v, Real)}


def _fixed(others: dict[str, Any]) -> bool:
    """Whether the labels, where they are an array, are a constant, and all else are numbers."""
    free = {k: v for k, v in others.items() if k not in _RATIOS_AND_LENGTHS}
    prob = free.pop("prob", None)
    traced = prob is not None and getattr(backend_of(prob), "base", None) is not None
    return not (free or traced or getattr(prob, "requires_grad", False))


def _of_options(name: str, loss: PairLoss, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are arrays, and complain of those that are no options."""
    for key, value in options.items():
        if loss.options is None:
            continue
        if key not in loss.options:
            known = ", ".join(loss.options) or "none"
            raise TypeError(f"`{key}` must be an option of the loss {name} ({known})")
        if isinstance(value, Real):
            check_number(key, value)
    return {k: v for k, v in _arrays(**options).items() if loss.options or hasattr(v, "shape")}


def _ratios(backend: Any, a: Array, b: Array) -> tuple[Array, Array, FloatInfo, Any]:
    """Return both log-ratios in the dtype that is computed in, and the one that they came in."""
    info, xp = check_dtype("rho_chosen", a), backend.namespace
    check_dtype("rho_rejected", b)
    if tuple(a.shape) != tuple(b.shape):
        raise ValueError(
            f"`rho_rejected` must have the shape {tuple(a.shape)} of `rho_chosen`; "
            f"got {tuple(b.shape)}"
        )
    if a.dtype != b.dtype:
        raise TypeError(f"`rho_rejected` must have the dtype {a.dtype}; got {b.dtype}")
    first, second = (widen(xp, known_to(backend, v), info) for v in (a, b))
    return first, second, info, a.dtype


def _positive(beta: Any, a: Array) -> Any:
    if beta is None or isinstance(beta, Real):
        number = check_number("beta", beta, above=0.0)
        if number == _INF:
            raise ValueError("`beta` must be finite; got beta=inf")
        return number
    beta = _like("beta", beta, a)
    return held("beta", beta, (beta > 0) & (beta < _INF), "must be above 0 and finite")


def _probability(prob: Any, a: Array) -> Any:
    if isinstance(prob, Real):
        return check_number("prob", prob, minimum=0.0, maximum=1.0)
    prob = _like("prob", prob, a)
    return held("prob", prob, (prob >= 0) & (prob <= 1), "must be in [0, 1]")


def _lengths(name: str, loss: PairLoss, lengths: tuple[Any, Any], a: Array) -> tuple[Any, Any]:
    given = [length is not None for length in lengths]
    if any(given) and not all(given):
        raise ValueError("`len_chosen` and `len_rejected` must be given together; got one of them")
    if not any(given):
        if loss.lengths:
            raise ValueError(f"`len_chosen` must be given for the loss {name}; got None")
        return None, None
    read = []
    for label, length in zip(("len_chosen", "len_rejected"), lengths, strict=True):
        if isinstance(length, Real):
            read.append(max(check_number(label, length, minimum=0.0), 1.0))
            continue
        value = backend_of(length).stop_gradient(_like(label, length, a))
        value, xp = held(label, value, value >= 0, "must be at least 0"), namespace(value)
        read.append(xp.where(value < 1, xp.ones_like(value), value))
    return read[0], read[1]


def _like(name: str, value: Array, a: Array) -> Array:
    """Return an array that broadcasts to the shape of `a`, in its dtype; no trace knows it yet."""
    xp = backend_of(value).namespace
    if xp.isdtype(value.dtype, ("bool", "complex floating")):
        raise TypeError(f"`{name}` must be a real number or array; got {dtype_name(value)}")
    if not broadcasts(tuple(value.shape), tuple(a.shape)):
        raise ValueError(
            f"`{name}` must broadcast to the shape {tuple(a.shape)}; got {tuple(value.shape)}"
        )
    return value if value.dtype == a.dtype else xp.astype(value, a.dtype)
