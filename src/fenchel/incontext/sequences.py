"""Autoregressive sequences of a context: exact in phase without noise, a recurrence with it."""

from __future__ import annotations

from math import sqrt
from typing import Any

from ..arrays import check_choice, check_integer, check_number, dtype_name, float_info
from ..backend import backend_of
from ..contract import compiled
from ..parameters import check_array, known_to
from ..random import sampler
from ._numbers import as_dtype, check_numbers, identity, is_complex, real_dtype
from ._rotations import phase_cos_sin, rotate_pairs
from .contexts import Context, as_complex

__all__ = ["simulate_ar"]

Array = Any


def simulate_ar(
    context: Context, T: int, *, start: Any = "ones", noise: float = 0.0, rng: Any = None
) -> Array:
    r"""Return sequences :math:`s_{t+1} = W s_t + \text{noise}\,\varepsilon_t` of T tokens.

    Parameters
    ----------
    context
        The matrices W.
    T
        Number of tokens, at least 1.
    start
        First token: an array that broadcasts to (..., d), ``"ones"`` (all ones, divided by sqrt(d)
        where W is a general matrix), or ``"random"`` (uniform on the sphere of the same radius;
        for a unitary context random phases).
    noise
        Standard deviation of each coordinate of the noise, of unit variance per complex number.
    rng
        Seed, stream, generator or key, where noise or a random start asks for one.

    Returns
    -------
    array
        Tokens (..., T, d): complex for a unitary context, real for rotations.

    Raises
    ------
    TypeError
        If `start` is of another library, not floating, or complex for real tokens; if `context` is
        no `Context`, or a number none.
    ValueError
        If `T` is below 1, `start` is unknown or does not fit, `noise` is negative, or `rng` is
        missing.

    Notes
    -----
    Without noise nothing is multiplied T times: angles give phases t a, with both halves of
    the product kept, and general matrices give blocks by repeated squaring. For orthogonal ones
    the rounding of each square is mended by a step of Newton and Schulz, so that norms stay.

    *Derivatives*: smooth in angles, matrix, start and noise; that step
    counts as a constant.

    Examples
    --------
    >>> import numpy as np
    >>> quarter = Context("rotation", angles=np.asarray([np.pi / 2]))
    >>> simulate_ar(quarter, 3, start=np.asarray([1.0, 0.0])).round(12) + 0.0
    array([[ 1.,  0.],
           [ 0.,  1.],
           [-1.,  0.]])
    """
    T = check_integer("T", T, minimum=1)
    if not isinstance(context, Context):
        raise TypeError(f"`context` must be a Context; got {type(context).__qualname__}")
    scale = check_number("noise", noise, minimum=0.0, maximum=1e300)
    given = context.matrix if context.angles is None else context.angles
    arrays = (given,) if isinstance(start, str) else (given, start)
    backend = backend_of(*arrays)
    xp, given = backend.namespace, known_to(backend, given)
    needs = scale > 0 or (isinstance(start, str) and start == "random")
    if needs and rng is None:
        raise ValueError("`rng` must be given where noise or a random start asks for one; got None")
    draw = sampler(rng, _real_part(xp, given)) if needs else None
    dtype = as_complex(xp, given[..., :0]).dtype if context.kind == "unitary" else given.dtype
    first = _first(backend, context, start, dtype, draw)
    if scale == 0.0 or T == 1:
        return _noiseless(backend, context, given, T, first)
    drift = scale * _complex_or_real(xp, draw, (T - 1, *context.batch, context.dim), dtype)
    return _with_noise(backend, context, first, drift)


def _real_part(xp: Any, x: Array) -> Array:
    return x if real_dtype(xp, x.dtype) == x.dtype else xp.real(x)


def _first(backend: Any, context: Context, start: Any, dtype: Any, draw: Any) -> Array:
    """Return the first token (..., d), with the batch axes of the context."""
    xp, shape = backend.namespace, (*context.batch, context.dim)
    given = context.matrix[..., 0] if context.angles is None else context.angles
    size = sqrt(context.dim) if context.angles is None else 1.0
    if not isinstance(start, str):
        check_array("start", start, backend)
        check_numbers("start", start)
        if is_complex(start) and real_dtype(xp, dtype) == dtype:
            raise TypeError(f"`start` must be real where tokens are; got {dtype_name(start)}")
        start = as_dtype(xp, known_to(backend, start), dtype)
        if start.ndim == 0 or start.shape[-1] != context.dim:
            raise ValueError(
                f"`start` must have shape (..., {context.dim}); got {tuple(start.shape)}"
            )
        return start
    check_choice("start", start, ("ones", "random"))
    if start == "ones":
        device = backend.device_of(given)
        return xp.ones(shape, dtype=dtype, device=device) / size
    drawn = _complex_or_real(xp, draw, shape, dtype)
    if context.kind == "unitary":
        return drawn / as_dtype(xp, xp.abs(drawn), dtype)
    square = xp.sum(drawn * drawn, axis=-1, keepdims=True)
    return drawn * (sqrt(context.dim) / size) / xp.sqrt(square)


def _complex_or_real(xp: Any, draw: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return standard normal numbers; complex ones of unit variance."""
    if real_dtype(xp, dtype) == dtype:
        return draw.normal(shape)
    real, imaginary = as_complex(xp, draw.normal(shape)), as_complex(xp, draw.normal(shape))
    return (real + 1j * imaginary) * sqrt(0.5)


def _noiseless(backend: Any, context: Context, given: Array, count: int, first: Array) -> Array:
    xp = backend.namespace
    if context.angles is None:
        return _powers(backend, given, first, count=count, orthogonal=context.kind == "orthogonal")
    steps = xp.arange(count, device=backend.device_of(given))
    cos, sin = phase_cos_sin(backend, given, steps)
    if context.kind == "rotation":
        return rotate_pairs(xp, cos, sin, first)
    unit = as_complex(xp, cos) + 1j * as_complex(xp, sin)
    return unit * xp.expand_dims(first, axis=-2)


@compiled("count", "orthogonal")
def _powers(backend: Any, w: Array, first: Array, *, count: int, orthogonal: bool) -> Array:
    """Return W^t s for t below `count`, doubling the length each time."""
    xp, dtype = backend.namespace, first.dtype
    wide = _widest(backend, dtype)
    power = xp.matrix_transpose(as_dtype(xp, w, wide))
    tokens = xp.expand_dims(as_dtype(xp, first, wide), axis=-2)
    eye = identity(xp, w.shape[-1], wide, backend.device_of(w))
    # beside the tokens, so that they broadcast against the batch of the matrices from the start
    tokens = tokens + xp.zeros_like(power[..., :1, :])
    norm = None
    if orthogonal:
        info = float_info(w.dtype)
        eps = info.eps if info is not None else 2.0**-52
        norm = _radius(xp, backend.stop_gradient(power), 8.0 * eps)
    if norm is not None:
        power = power + _to_orthogonal(xp, backend.stop_gradient(power), norm, eye)
    while tokens.shape[-2] < count:
        tokens = xp.concat([tokens, xp.matmul(tokens, power)], axis=-2)
        power = xp.matmul(power, power)
        if norm is not None:
            norm = norm * norm
            power = power + _to_orthogonal(xp, backend.stop_gradient(power), norm, eye)
    return as_dtype(xp, tokens[..., :count, :], dtype)


def _widest(backend: Any, dtype: Any) -> Any:
    """Return float64 where the library has it switched on, for a real narrower dtype."""
    xp = backend.namespace
    if real_dtype(xp, dtype) != dtype:
        return dtype
    info = getattr(xp, "__array_namespace_info__", None)
    found = info().dtypes(kind="real floating") if info is not None else {}
    return xp.float64 if "float64" in found else dtype


def _radius(xp: Any, w: Array, tolerance: float) -> Array:
    """Return rho of W = rho times an orthogonal matrix, from its Frobenius norm.

    What rounding alone keeps from 1 is 1: it would grow with every step.
    """
    square = xp.sum(w * w, axis=(-2, -1), keepdims=True) / w.shape[-1]
    return xp.sqrt(xp.where(xp.abs(square - 1.0) < tolerance, xp.ones_like(square), square))


def _to_orthogonal(xp: Any, w: Array, norm: Array, eye: Array) -> Array:
    """Return what a step of Newton and Schulz adds to W: W (I - W^T W) / 2 at radius 1.

    It mends rounding; what is far from orthogonal was not meant to be, and stays.
    """
    unit = w / norm
    defect = eye - xp.matmul(xp.matrix_transpose(unit), unit)
    near = xp.max(xp.abs(defect), axis=(-2, -1), keepdims=True) < 1e-3
    step = 0.5 * norm * xp.matmul(unit, defect)
    return xp.where(near, step, xp.zeros_like(step))


def _with_noise(backend: Any, context: Context, first: Array, drift: Array) -> Array:
    xp = backend.namespace
    w = as_dtype(xp, known_to(backend, context.as_matrix()), first.dtype)
    first = first + xp.zeros_like(drift[0, ...])  # the batch of both

    def step(token: Array, noise: Array) -> tuple[Array, Array]:
        moved = xp.matmul(w, xp.expand_dims(token, axis=-1))[..., 0] + noise
        return moved, moved

    _, tokens = backend.scan(step, first, drift)
    tokens = xp.permute_dims(tokens, (*range(1, tokens.ndim - 1), 0, tokens.ndim - 1))
    return xp.concat([xp.expand_dims(first, axis=-2), tokens], axis=-2)
