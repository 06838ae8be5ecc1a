r"""Soft routing: every buffer row is an average of tokens, every answer an average of rows.

With normalised tokens and slots, :math:`Z_{tec} = s \langle \hat x_t, \hat\Phi_{ec} \rangle`;
dispatch is its softmax over the tokens, combine that over all rows (e, c).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..arrays import check_dtype, dtype_name, narrow, widen
from ..backend import Array, Backend, backend_of
from ..operators.softmax import softmax_formula
from ..parameters import check_array, known_to
from ._problem import token_mask

__all__ = ["SoftRouting", "soft_route"]

_EPS = 1e-6  # under the square root of the norms, as in the paper's code


class SoftRouting(NamedTuple):
    """Dense weights of a soft router.

    Parameters
    ----------
    dispatch_weight
        What each token is of each buffer row, (..., n, m, p): sums to 1 over the tokens.
    combine_weight
        What each row is of each token's answer, (..., n, m, p): sums to 1 over all rows.
    routed
        Tokens that take part, boolean (..., n); the others have weight 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import soft_route
    >>> routing = soft_route(np.eye(2), np.ones((2, 3, 1)))
    >>> routing.combine_weight[0, :, 0].round(3)
    array([0.333, 0.333, 0.333])
    """

    dispatch_weight: Array
    combine_weight: Array
    routed: Array

    @property
    def n_tokens(self) -> int:
        """Tokens of a group."""
        return int(self.dispatch_weight.shape[-3])

    @property
    def n_experts(self) -> int:
        """Number of experts."""
        return int(self.dispatch_weight.shape[-2])

    @property
    def capacity(self) -> int:
        """Rows of an expert's buffer."""
        return int(self.dispatch_weight.shape[-1])

    def dispatch(self, x: Array, /) -> Array:
        """Return the buffers of the experts.

        Parameters
        ----------
        x
            Tokens, (..., n, d).

        Returns
        -------
        array (..., m, p, d)
            Averages of the tokens that take part; what the others hold does not matter.
        """
        backend, weight = self._ready("x", x, self.dispatch_weight)
        xp, x = backend.namespace, known_to(backend, x)
        self._check("x", x, (*weight.shape[:-3], self.n_tokens))
        safe = xp.where(known_to(backend, self.routed)[..., None], x, xp.zeros_like(x))
        rows = xp.matmul(xp.matrix_transpose(_flat(xp, weight)), safe)
        return xp.reshape(rows, (*weight.shape[:-3], *weight.shape[-2:], x.shape[-1]))

    def combine(self, y: Array, /) -> Array:
        """Return what the experts answer each token.

        Parameters
        ----------
        y
            Answers to the buffer rows, (..., m, p, d).

        Returns
        -------
        array (..., n, d)
            Averages of the answers; 0 for tokens that take no part.
        """
        backend, weight = self._ready("y", y, self.combine_weight)
        xp, y = backend.namespace, known_to(backend, y)
        self._check("y", y, (*weight.shape[:-3], *weight.shape[-2:]))
        shape = (*weight.shape[:-3], self.n_experts * self.capacity, y.shape[-1])
        return xp.matmul(_flat(xp, weight), xp.reshape(y, shape))

    def dense(self) -> tuple[Array, Array]:
        """Return the dispatch and the combine tensor, (..., n, m, p)."""
        return self.dispatch_weight, self.combine_weight

    def _ready(self, name: str, values: Array, weight: Array) -> tuple[Backend, Array]:
        backend = backend_of(values, weight)
        check_dtype(name, values)
        weight = known_to(backend, weight)
        if weight.dtype != values.dtype:
            weight = backend.namespace.astype(weight, values.dtype)
        return backend, weight

    def _check(self, name: str, values: Array, shape: tuple[int, ...]) -> None:
        if tuple(values.shape[:-1]) != shape:
            raise ValueError(
                f"`{name}` must have the shape {(*shape, 'd')}; got {tuple(values.shape)}"
            )


def soft_route(
    x: Array,
    slots: Array,
    /,
    *,
    logit_scale: Any = 1.0,
    where: Array | None = None,
    noise: Array | None = None,
) -> SoftRouting:
    """Route softly: no token is dropped, and everything is differentiable.

    Parameters
    ----------
    x : array (..., n, d)
        Tokens, real floating; leading axes are groups.
    slots : array (d, m, p)
        Directions of p slots for each of m experts; leading axes, if any, are those of `x`.
    logit_scale : number or array
        Factor s of the logits, a scalar or broadcastable to them.
    where : boolean array (..., n), optional
        Tokens that take part: the others are in no slot, and their answers are 0.
    noise : array (..., n, m, p), optional
        Added to the logits.

    Returns
    -------
    SoftRouting
        Both tensors of weights, with `dispatch`, `combine` and `dense`.

    Raises
    ------
    TypeError
        If an array is not floating (boolean for `where`) or of another library.
    ValueError
        If shapes do not match.

    Notes
    -----
    Buffers are averages of the tokens as they are; only the logits see normalised ones. A slot to
    which no token is let is 0. Cost O(n m p d); a token sees later ones, so that a causal model
    must not use it. *Derivatives*: in tokens, slots, scale and noise, to every order.

    References
    ----------
    J. Puigcerver et al., "From sparse to soft mixtures of experts", 2023, arXiv 2308.00951.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import soft_route
    >>> x = np.asarray([[1.0, 0.0], [0.0, 2.0]])
    >>> routing = soft_route(x, np.eye(2)[..., None], logit_scale=100.0)
    >>> routing.dispatch(x).round(3).tolist()
    [[[1.0, 0.0]], [[0.0, 2.0]]]
    >>> routing.combine(routing.dispatch(x)).round(3).tolist()
    [[1.0, 0.0], [0.0, 2.0]]
    """
    others = [v for v in (slots, logit_scale, where, noise) if hasattr(v, "dtype")]
    backend = backend_of(x, *others)
    xp = backend.namespace
    info = check_dtype("x", x)
    _check_shapes(backend, x, slots)
    dtype, shape = x.dtype, tuple(x.shape[:-1])
    x = widen(xp, known_to(backend, x), info)
    slots = xp.astype(known_to(backend, slots), x.dtype)
    routed = xp.ones(shape, dtype=xp.bool, device=backend.device_of(x))
    if where is not None:
        routed = token_mask(backend, where, shape)
        x = xp.where(routed[..., None], x, xp.zeros_like(x))
    tail, logits = tuple(slots.shape[-2:]), _logits(backend, x, slots)
    if hasattr(logit_scale, "dtype"):
        check_array("logit_scale", logit_scale, backend)
        logit_scale = xp.astype(known_to(backend, logit_scale), x.dtype)
    logits = xp.multiply(xp.reshape(logits, (*shape, *tail)), logit_scale)
    if noise is not None:
        check_array("noise", noise, backend)
        check_dtype("noise", noise)
        if tuple(noise.shape) != tuple(logits.shape):
            raise ValueError(
                f"`noise` must have the shape {tuple(logits.shape)}; got {tuple(noise.shape)}"
            )
        logits = xp.add(logits, xp.astype(known_to(backend, noise), x.dtype))
    both = _weights(backend, _flat(xp, logits), routed)
    dispatch, combine = (
        narrow(xp, xp.reshape(weight, (*shape, *tail)), info, dtype) for weight in both
    )
    return SoftRouting(dispatch, combine, routed)


def _check_shapes(backend: Backend, x: Array, slots: Array) -> None:
    check_array("slots", slots, backend)
    if not backend.namespace.isdtype(slots.dtype, "real floating"):
        raise TypeError(f"`slots` must have a real floating dtype; got {dtype_name(slots)}")
    if x.ndim < 2:
        raise ValueError(f"`x` must have the shape (..., n, d); got {tuple(x.shape)}")
    given = tuple(slots.shape)
    leading = given[:-3] in ((), tuple(x.shape[:-2]))
    if len(given) < 3 or given[-3] != x.shape[-1] or not leading or 0 in given[-2:-1]:
        raise ValueError(f"`slots` must have the shape ({x.shape[-1]}, m, p); got {given}")


def _logits(backend: Backend, x: Array, slots: Array) -> Array:
    """Return cosines of tokens and slots, (..., n, m p)."""
    xp = backend.namespace
    directions = _flat(xp, slots)
    if slots.ndim == 3 and x.ndim > 2:
        directions = xp.reshape(directions, (1,) * (x.ndim - 2) + tuple(directions.shape))
    return xp.matmul(_unit(xp, x, -1), _unit(xp, directions, -2))


def _unit(xp: Any, v: Array, axis: int) -> Array:
    return v / xp.sqrt(xp.sum(v * v, axis=axis, keepdims=True) + _EPS)


def _weights(backend: Backend, logits: Array, routed: Array) -> tuple[Array, Array]:
    """Return the softmax over tokens and that over slots, both (..., n, m p)."""
    xp = backend.namespace
    if 0 in logits.shape:
        return logits, logits
    logits = xp.where(routed[..., None], logits, xp.full_like(logits, float("-inf")))
    columns = softmax_formula(backend, xp.matrix_transpose(logits), 1.0)
    return xp.matrix_transpose(columns), softmax_formula(backend, logits, 1.0)


def _flat(xp: Any, weight: Array) -> Array:
    """Return (..., m, p) as (..., m p)."""
    return xp.reshape(weight, (*weight.shape[:-2], weight.shape[-2] * weight.shape[-1]))
