"""NumPy's reductions, running sums and elementwise helpers, over the tape's namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .axes import normalize
from .traced import Array, strip

__all__ = ["FUNCTIONS"]

_DEFAULT = object()


def _masked(xp: Any, x: Array, where: Any, neutral: float) -> Array:
    if where is _DEFAULT or where is True:
        return x
    return xp.where(xp.base.asarray(strip(where)), x, xp.full_like(x, neutral))


def _keep(keepdims: Any) -> bool:
    return bool(keepdims) and type(keepdims).__name__ != "_NoValueType"


def _sum(
    xp: Any,
    a: Array,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = None,
    where: Any = _DEFAULT,
) -> Array:
    total = xp.sum(_masked(xp, a, where, 0.0), axis=axis, dtype=dtype, keepdims=_keep(keepdims))
    return total if initial is None else xp.add(total, initial)


def _prod(
    xp: Any,
    a: Array,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = None,
    where: Any = _DEFAULT,
) -> Array:
    total = xp.prod(_masked(xp, a, where, 1.0), axis=axis, dtype=dtype, keepdims=_keep(keepdims))
    return total if initial is None else xp.multiply(total, initial)


def _mean(
    xp: Any,
    a: Array,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    *,
    where: Any = _DEFAULT,
) -> Array:
    if where is not _DEFAULT and where is not True:
        count = xp.base.sum(
            xp.base.broadcast_to(strip(where), a.shape), axis=axis, keepdims=_keep(keepdims)
        )
        return xp.divide(_sum(xp, a, axis, keepdims=keepdims, where=where), count)
    return xp.mean(a if dtype is None else xp.astype(a, dtype), axis=axis, keepdims=_keep(keepdims))


def _extremum(name: str, neutral: float) -> Callable[..., Array]:
    def extremum(
        xp: Any,
        a: Array,
        axis: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = None,
        where: Any = _DEFAULT,
    ) -> Array:
        a = _masked(xp, a, where, neutral)
        found = getattr(xp, name)(a, axis=axis, keepdims=_keep(keepdims))
        if initial is None:
            return found
        return getattr(xp, f"{name}imum")(found, initial)

    return extremum


def _spread(name: str) -> Callable[..., Array]:
    def deviation(
        xp: Any,
        a: Array,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        ddof: float = 0,
        keepdims: Any = False,
        *,
        correction: float | None = None,
        **options: Any,
    ) -> Array:
        lost = ddof if correction is None else correction
        return getattr(xp, name)(a, axis=axis, correction=lost, keepdims=_keep(keepdims))

    return deviation


def _ptp(xp: Any, a: Array, axis: Any = None, out: Any = None, keepdims: Any = False) -> Array:
    options = {"axis": axis, "keepdims": _keep(keepdims)}
    return xp.subtract(xp.max(a, **options), xp.min(a, **options))


def _running(name: str) -> Callable[..., Array]:
    def running(
        xp: Any, a: Array, axis: int | None = None, dtype: Any = None, out: Any = None
    ) -> Array:
        if axis is None:
            a, axis = xp.reshape(a, (-1,)), 0
        return getattr(xp, name)(a, axis=axis, dtype=dtype)

    return running


def _ignoring_nan(function: Callable[..., Array], neutral: float) -> Callable[..., Array]:
    def reduce(xp: Any, a: Array, *args: Any, **options: Any) -> Array:
        return function(xp, _masked(xp, a, ~xp.isnan(a), neutral), *args, **options)

    return reduce


def _nanmean(
    xp: Any, a: Array, axis: Any = None, *, keepdims: Any = False, **options: Any
) -> Array:
    return _mean(xp, a, axis, keepdims=keepdims, where=~xp.isnan(a))


def _average(
    xp: Any,
    a: Array,
    axis: Any = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: Any = False,
) -> Any:
    if weights is None:
        out = xp.mean(a, axis=axis, keepdims=_keep(keepdims))
        return (out, xp.ones_like(out) * (a.size / max(out.size, 1))) if returned else out
    weights = xp.as_array(weights)
    if len(weights.shape) == 1 and len(a.shape) > 1:
        shape = [1] * len(a.shape)
        shape[normalize(axis, len(a.shape))] = weights.shape[0]
        weights = xp.reshape(weights, tuple(shape))
    options = {"axis": axis, "keepdims": _keep(keepdims)}
    scale = xp.sum(xp.broadcast_to(weights, a.shape), **options)
    out = xp.divide(xp.sum(xp.multiply(a, weights), **options), scale)
    return (out, scale) if returned else out


def _quantile(
    xp: Any,
    a: Array,
    q: Any,
    axis: Any = None,
    *args: Any,
    method: str = "linear",
    keepdims: Any = False,
    **options: Any,
) -> Array:
    if method != "linear" or _keep(keepdims) or isinstance(axis, tuple):
        raise TypeError("numpy.quantile of traced arrays has method 'linear' along one axis only")
    if axis is None:
        a, axis = xp.reshape(a, (-1,)), 0
    rows = xp.sort(xp.moveaxis(a, axis, -1), axis=-1)
    place = xp.multiply(xp.as_array(q), float(rows.shape[-1] - 1))
    low = xp.base.astype(xp.base.floor(strip(place)), xp.base.int64)
    high = xp.base.minimum(low + 1, rows.shape[-1] - 1)
    fraction = xp.subtract(place, xp.base.astype(low, xp.base.float64))
    below, above = rows[..., low], rows[..., high]
    out = xp.add(below, xp.multiply(xp.subtract(above, below), fraction))
    return xp.moveaxis(out, -1, 0) if len(low.shape) else out


def _percentile(xp: Any, a: Array, q: Any, axis: Any = None, *args: Any, **options: Any) -> Array:
    return _quantile(xp, a, xp.divide(xp.as_array(q), 100.0), axis, *args, **options)


def _median(
    xp: Any,
    a: Array,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    keepdims: Any = False,
) -> Array:
    if axis is None:
        shape: tuple[int, ...] = (1,) * len(a.shape)
        a, axis = xp.reshape(a, (-1,)), 0
    else:
        place = normalize(axis, len(a.shape))
        shape = tuple(1 if i == place else n for i, n in enumerate(a.shape))
    middle = _quantile(xp, a, 0.5, axis)
    return xp.reshape(middle, shape) if _keep(keepdims) else middle


def _diff(
    xp: Any, a: Array, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None
) -> Array:
    ends = {"prepend": prepend, "append": append}
    given = {
        k: xp.as_array(v)
        for k, v in ends.items()
        if v is not None and type(v).__name__ != "_NoValueType"
    }
    return xp.diff(a, n=n, axis=axis, **given)


def _trapezoid(xp: Any, y: Array, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Array:
    y = xp.moveaxis(xp.as_array(y), axis, -1)
    if x is not None:
        x = xp.as_array(x)
        dx = xp.diff(x if len(x.shape) == 1 else xp.moveaxis(x, axis, -1))
    pairs = xp.add(y[..., 1:], y[..., :-1])
    return xp.multiply(xp.sum(xp.multiply(pairs, dx), axis=-1), 0.5)


def _nan_to_num(
    xp: Any, x: Array, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Array:
    plain = xp.base.nan_to_num(strip(x), nan=nan, posinf=posinf, neginf=neginf)
    return xp.where(xp.isfinite(x), x, plain)


def _sinc(xp: Any, x: Array) -> Array:
    # Near 0 the quotient has no derivative: the series is exact to rounding there.
    z = xp.multiply(x, xp.base.pi)
    near = xp.less(xp.abs(z), 1e-2)
    square = xp.multiply(z, z)
    series = xp.ones_like(z)
    for factor in (110.0, 72.0, 42.0, 20.0, 6.0):
        series = xp.subtract(1.0, xp.multiply(xp.divide(square, factor), series))
    safe = xp.where(near, xp.ones_like(z), z)
    return xp.where(near, series, xp.divide(xp.sin(safe), safe))


def _real_if_close(xp: Any, a: Array, tol: float = 100) -> Array:
    return a


def _angle(xp: Any, z: Array, deg: bool = False) -> Array:
    angle = xp.atan2(xp.imag(z), xp.real(z)) if _is_complex(xp, z) else xp.atan2(0.0 * z, z)
    return xp.multiply(angle, 180.0 / xp.base.pi) if deg else angle


def _is_complex(xp: Any, z: Array) -> bool:
    return bool(xp.isdtype(z.dtype, "complex floating"))


def _imag(xp: Any, val: Array) -> Array:
    return xp.imag(val) if _is_complex(xp, val) else xp.zeros_like(val)


def _real(xp: Any, val: Array) -> Array:
    return xp.real(val) if _is_complex(xp, val) else val


def _interp(xp: Any, x: Array, xp_: Any = None, fp: Any = None, **options: Any) -> Array:
    grid, values = options.pop("xp", xp_), xp.as_array(fp)
    plain = xp.base.asarray(strip(grid))
    x = xp.as_array(x)
    right = xp.base.clip(xp.base.searchsorted(plain, strip(x)), 1, plain.shape[0] - 1)
    low, high = xp.as_array(grid)[right - 1], xp.as_array(grid)[right]
    weight = xp.clip(xp.divide(xp.subtract(x, low), xp.subtract(high, low)), 0.0, 1.0)
    below = values[right - 1]
    return xp.add(below, xp.multiply(weight, xp.subtract(values[right], below)))


_MAX, _MIN = _extremum("max", float("-inf")), _extremum("min", float("inf"))

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": _sum,
    "prod": _prod,
    "mean": _mean,
    "max": _MAX,
    "amax": _MAX,
    "min": _MIN,
    "amin": _MIN,
    "std": _spread("std"),
    "var": _spread("var"),
    "ptp": _ptp,
    "cumsum": _running("cumulative_sum"),
    "cumprod": _running("cumulative_prod"),
    "cumulative_sum": lambda xp, x, **options: xp.cumulative_sum(x, **options),
    "cumulative_prod": lambda xp, x, **options: xp.cumulative_prod(x, **options),
    "nansum": _ignoring_nan(_sum, 0.0),
    "nanprod": _ignoring_nan(_prod, 1.0),
    "nanmax": _ignoring_nan(_MAX, float("-inf")),
    "nanmin": _ignoring_nan(_MIN, float("inf")),
    "nanmean": _nanmean,
    "average": _average,
    "median": _median,
    "quantile": _quantile,
    "percentile": _percentile,
    "diff": _diff,
    "trapezoid": _trapezoid,
    "nan_to_num": _nan_to_num,
    "sinc": _sinc,
    "real": _real,
    "imag": _imag,
    "angle": _angle,
    "real_if_close": _real_if_close,
    "interp": _interp,
}
