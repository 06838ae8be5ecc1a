"""Estimates of the matrix that drives a sequence, from its prefix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..arrays import check_choice, check_integer, check_number, dtype_name
from ..backend import backend_of
from ..parameters import check_array, known_to
from ..trees import register_dataclass
from ._gram import descend, newton_schulz, products
from ._numbers import Numbers, adjoint, as_dtype, check_length, check_numbers, identity, split_time
from ._pseudo_inverse import pseudo_inverse
from ._recursion import Recursion, update

__all__ = ["METHODS", "ARLeastSquares", "ARState"]

Array = Any

METHODS = ("lstsq", "rls", "gd", "newton_schulz")


@register_dataclass()
@dataclass(frozen=True)
class ARState:
    """What is known of a sequence after a prefix; its size does not depend on the length.

    Attributes
    ----------
    matrix
        The estimate W (..., d, d).
    token
        Last token (..., d).
    inverse
        Inverse of the Gram matrix, of ``"lstsq"`` and ``"rls"``.
    null
        Projection on what no token has touched, of ``"lstsq"`` without ridge.
    gram, cross
        Sums of s_t s_t^H and of s_{t+1} s_t^H, of the other methods.
    """

    matrix: Any
    token: Any
    inverse: Any = None
    null: Any = None
    gram: Any = None
    cross: Any = None


@dataclass(frozen=True)
class ARLeastSquares:
    r"""Least squares for :math:`s_{t+1} = W s_t`.

    .. math:: \hat W = \arg\min_W \sum_{t<T} |s_{t+1} - W s_t|^2 + \text{ridge}\, |W|_F^2 ,

    the one of least norm where several are.

    Parameters
    ----------
    ridge
        At least 0.
    method
        ``"lstsq"`` goes by singular values; ``"rls"`` token by token (needs a ridge); ``"gd"``
        takes `steps` of gradient descent on half the sum from W = 0; ``"newton_schulz"`` inverts
        the Gram matrix by `steps` products.
    steps
        Of the last two.
    step_size
        Of gradient descent: number, or array that broadcasts to (..., d, d); 1 over the Frobenius
        norm of the Gram matrix if absent. It converges below 2 over the largest eigenvalue.

    Raises
    ------
    TypeError
        If a number is none.
    ValueError
        If `method` is unknown, a number is out of range, or ``"rls"`` has no ridge.

    Notes
    -----
    *Derivatives*: smooth in the tokens, of every order in the iterative methods and with a ridge.
    Those of ``"lstsq"`` hold up to the third order as long as the rank of the prefix stays; they
    are finite at zero sequences and repeated eigenvalues.

    Examples
    --------
    >>> import numpy as np
    >>> s = np.asarray([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> estimator = ARLeastSquares()
    >>> state = estimator.fit(s)
    >>> (estimator.predict(state).round(12) + 0.0).tolist()
    [0.0, -1.0]
    """

    ridge: float = 0.0
    method: str = "lstsq"
    steps: int = 20
    step_size: Any = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        ridge = check_number("ridge", self.ridge, minimum=0.0)
        check_choice("method", self.method, METHODS)
        if self.method == "rls" and ridge == 0.0:
            raise ValueError("`ridge` must be above 0 for the method rls; got ridge=0")
        check_integer("steps", self.steps, minimum=1)
        if self.step_size is not None and not hasattr(self.step_size, "dtype"):
            check_number("step_size", self.step_size, above=0.0)

    def fit(self, s: Array, /, *, mask: Array | None = None) -> ARState:
        """Return the estimate from sequences.

        Parameters
        ----------
        s
            Tokens (..., T, d), T at least 2, real or complex.
        mask
            Booleans (..., T): False tokens are padding; a pair counts if both of it do.

        Returns
        -------
        ARState
            With `.matrix` (..., d, d); `.token` is the last one that is no padding.

        Raises
        ------
        TypeError
            If `s` is not floating, or `mask` not boolean.
        ValueError
            If T is below 2, or the mask does not fit.
        """
        numbers, s, mask = self._arguments(s, mask, least=2)
        xp = numbers.backend.namespace
        x, y = s[..., :-1, :], s[..., 1:, :]
        token = s[..., -1, :]
        if mask is not None:
            pairs = xp.expand_dims(mask[..., :-1] & mask[..., 1:], axis=-1)
            x, y = (xp.where(pairs, part, xp.zeros_like(part)) for part in (x, y))
            token = _last(xp, s, mask)
        return self._state(numbers, x, y, numbers.narrow(token))

    def partial_fit(self, state: ARState, token: Array, /) -> ARState:
        """Return the estimate after one more token (..., d), in O(d^2) for the recursive methods.

        Parameters
        ----------
        state
            What `fit` or `partial_fit` returned.
        token
            The next token.

        Returns
        -------
        ARState
            The new state.

        Raises
        ------
        TypeError
            If `token` is of another library, or not floating.
        ValueError
            If its dimension differs.
        """
        backend = backend_of(state.matrix, token)
        check_numbers("token", token)
        if token.ndim == 0 or token.shape[-1] != state.matrix.shape[-1]:
            raise ValueError(
                f"`token` must have shape (..., {state.matrix.shape[-1]}); got {tuple(token.shape)}"
            )
        xp, token = backend.namespace, known_to(backend, token)
        inner = state.matrix.dtype
        before, after = (as_dtype(xp, part, inner) for part in (state.token, token))
        if state.gram is not None:
            gram, cross = products(xp, before, after)
            gram, cross = state.gram + gram, state.cross + cross
            return replace(
                state, matrix=self._solve(backend, gram, cross), token=token, gram=gram, cross=cross
            )
        columns = (xp.expand_dims(part, axis=-1) for part in (before, after))
        moved = update(backend, Recursion(state.matrix, state.inverse, state.null), *columns)
        return ARState(moved.matrix, token, moved.inverse, moved.null)

    def predict(self, state: ARState, /) -> Array:
        """Return the next token W s_T (..., d)."""
        xp, token = backend_of(state.matrix).namespace, state.token
        found = _times(xp, state.matrix, as_dtype(xp, token, state.matrix.dtype))
        return as_dtype(xp, found, token.dtype)

    def rollout(self, state: ARState, n: int, /) -> Array:
        """Return the next `n` tokens (..., n, d), each predicted from the one before.

        Raises
        ------
        TypeError
            If `n` is no integer.
        ValueError
            If `n` is below 1.
        """
        n = check_integer("n", n, minimum=1)
        backend = backend_of(state.matrix)
        xp = backend.namespace

        def step(token: Array, _: Any) -> tuple[Array, Array]:
            moved = _times(xp, state.matrix, token)
            return moved, moved

        _, tokens = backend.scan(step, as_dtype(xp, state.token, state.matrix.dtype), None, n)
        tokens = xp.permute_dims(tokens, (*range(1, tokens.ndim - 1), 0, tokens.ndim - 1))
        return as_dtype(xp, tokens, state.token.dtype)

    def prefix_predictions(self, s: Array, /, *, mask: Array | None = None) -> Array:
        """Return the prediction of the next token from every prefix.

        Parameters
        ----------
        s
            Tokens (..., T, d), real or complex.
        mask
            Booleans (..., T): False tokens are padding, whose rows are 0.

        Returns
        -------
        array
            Predictions (..., T, d): row t is for the token after `s[..., t, :]`. The first row,
            which has no pair to learn from, is 0.

        Raises
        ------
        TypeError
            If `s` is not floating, or `mask` not boolean.
        ValueError
            If T is 0, or the mask does not fit.
        """
        numbers, s, mask = self._arguments(s, mask, least=1)
        backend, xp = numbers.backend, numbers.backend.namespace
        before = xp.concat([xp.zeros_like(s[..., :1, :]), s[..., :-1, :]], axis=-2)
        after = xp.concat([xp.zeros_like(s[..., :1, :]), s[..., 1:, :]], axis=-2)
        if mask is not None:
            seen = xp.concat([mask[..., :1] & ~mask[..., :1], mask[..., :-1]], axis=-1) & mask
            seen = xp.expand_dims(seen, axis=-1)
            before, after = (xp.where(seen, part, xp.zeros_like(part)) for part in (before, after))
        found = self._prefixes(backend, s, before, after)
        if mask is not None:
            found = xp.where(xp.expand_dims(mask, axis=-1), found, xp.zeros_like(found))
        return numbers.narrow(found)

    # -- inside ------------------------------------------------------------------------------

    def _arguments(
        self, s: Array, mask: Array | None, *, least: int
    ) -> tuple[Numbers, Array, Array | None]:
        others = tuple(x for x in (self.step_size,) if hasattr(x, "dtype"))
        numbers = check_numbers("s", s, *others)
        check_length("s", s, least)
        xp = numbers.backend.namespace
        s = numbers.widen(known_to(numbers.backend, s))
        if mask is None:
            return numbers, s, None
        check_array("mask", mask, numbers.backend)
        if not xp.isdtype(mask.dtype, "bool"):
            raise TypeError(f"`mask` must be boolean; got {dtype_name(mask)}")
        if tuple(mask.shape) != tuple(s.shape[:-1]):
            raise ValueError(
                f"`mask` must have shape {tuple(s.shape[:-1])}; got {tuple(mask.shape)}"
            )
        return numbers, xp.where(xp.expand_dims(mask, axis=-1), s, xp.zeros_like(s)), mask

    def _state(self, numbers: Numbers, x: Array, y: Array, token: Array) -> ARState:
        backend, xp = numbers.backend, numbers.backend.namespace
        if self.method == "lstsq":
            return self._by_rows(backend, x, y, token)
        if self.method == "rls":
            start = self._start(backend, x)
            columns = tuple(split_time(xp, xp.expand_dims(part, axis=-1), -3) for part in (x, y))
            end, _ = backend.scan(
                lambda state, pair: (update(backend, state, *pair), None), start, columns
            )
            return ARState(end.matrix, token, end.inverse)
        rows = adjoint(xp, x)
        gram = xp.matrix_transpose(xp.matmul(rows, x))
        cross = xp.matrix_transpose(xp.matmul(rows, y))
        return ARState(self._solve(backend, gram, cross), token, gram=gram, cross=cross)

    def _by_rows(self, backend: Any, x: Array, y: Array, token: Array) -> ARState:
        xp, eye = backend.namespace, _eye(backend, x)
        matrix, inverse = self._least_squares(backend, x, y, eye)
        null = None
        if self.ridge == 0.0:
            null = eye - xp.matrix_transpose(xp.matmul(inverse, x))
        gram = xp.matrix_transpose(xp.matmul(inverse, adjoint(xp, inverse)))
        return ARState(matrix, token, gram, null)

    def _least_squares(self, backend: Any, x: Array, y: Array, eye: Array) -> tuple[Array, Array]:
        """Return W, and the pseudo-inverse of the rows x with those of the ridge below."""
        xp = backend.namespace
        if self.ridge > 0.0:
            below = self.ridge**0.5 * eye + xp.zeros_like(x[..., :1, :])
            x, y = xp.concat([x, below], axis=-2), xp.concat([y, xp.zeros_like(below)], axis=-2)
        inverse = pseudo_inverse(backend, x)
        return xp.matrix_transpose(xp.matmul(inverse, y)), inverse

    def _start(self, backend: Any, x: Array) -> Recursion:
        """No pair seen: P = I / ridge."""
        xp = backend.namespace
        zeros = xp.zeros_like(xp.expand_dims(x[..., 0, :], axis=-1) * x[..., :1, :])
        return Recursion(zeros, zeros + _eye(backend, x) / self.ridge, None)

    def _solve(self, backend: Any, gram: Array, cross: Array) -> Array:
        if self.ridge > 0.0:
            gram = gram + self.ridge * _eye(backend, gram)
        if self.method == "gd":
            return descend(backend, gram, cross, self.steps, self.step_size)
        return newton_schulz(backend, gram, cross, self.steps)

    def _prefixes(self, backend: Any, s: Array, before: Array, after: Array) -> Array:
        """Return W s_t for each t, with W from the pairs up to row t."""
        xp = backend.namespace
        if self.method in ("gd", "newton_schulz"):
            sums = (xp.cumulative_sum(p, axis=-3) for p in products(xp, before, after))
            return _times(xp, self._solve(backend, *sums), s)
        by_time = split_time(xp, s, -2)
        if self.method == "rls":
            pairs = tuple(
                split_time(xp, xp.expand_dims(part, axis=-1), -3) for part in (before, after)
            )

            def follow(state: Recursion, row: Any) -> tuple[Recursion, Array]:
                state = update(backend, state, *row[:2])
                return state, _times(xp, state.matrix, row[2])

            _, found = backend.scan(follow, self._start(backend, s), (*pairs, by_time))
        else:
            eye, places = _eye(backend, s), xp.arange(s.shape[-2], device=backend.device_of(s))

            def refit(carry: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
                seen = (places <= row[0])[:, None]
                x, y = (xp.where(seen, part, xp.zeros_like(part)) for part in (before, after))
                return carry, _times(xp, self._least_squares(backend, x, y, eye)[0], row[1])

            _, found = backend.scan(refit, s[..., 0, 0], (places, by_time))
        return xp.permute_dims(found, (*range(1, found.ndim - 1), 0, found.ndim - 1))


def _times(xp: Any, matrix: Array, token: Array) -> Array:
    return xp.matmul(matrix, xp.expand_dims(token, axis=-1))[..., 0]


def _eye(backend: Any, like: Array) -> Array:
    xp = backend.namespace
    return identity(xp, like.shape[-1], like.dtype, backend.device_of(like))


def _last(xp: Any, s: Array, mask: Array) -> Array:
    """Return the last token of each sequence that is no padding."""
    count = xp.cumulative_sum(xp.astype(mask, xp.int32), axis=-1)
    last = mask & (count == count[..., -1:])
    return xp.sum(xp.where(xp.expand_dims(last, axis=-1), s, xp.zeros_like(s)), axis=-2)
