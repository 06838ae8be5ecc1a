"""Layers of linear attention whose parameters are plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..arrays import check_choice, check_number
from ..parameters import known_to
from ..trees import register_dataclass
from ._numbers import Numbers, as_dtype, check_length, check_numbers, conj, is_complex, real_dtype
from .attention import causal_linear_attention, causal_softmax_attention
from .tokens import FIRST, augment_tokens

__all__ = ["AugmentedBlock", "DiagonalMultiHead", "LinearAttentionLayer", "LinearTransformer"]

Array = Any


@register_dataclass(static=("scale", "scores", "residual"))
@dataclass(frozen=True)
class LinearAttentionLayer:
    r"""Tokens plus what the heads attend to.

    .. math:: e_T \leftarrow e_T + \text{scale} \sum_h \sum_{t \le T} P_{Tt}
       \langle Q_h e_T, K_h e_t \rangle \, V_h e_t

    Parameters
    ----------
    query, key
        Factors Q and K (H, r, D) of each head.
    value
        Matrices V (H, D, D).
    weights
        Positional weights P (T, T) or (H, T, T); all ones if absent.
    scale
        Factor of the scores; 1/sqrt(r) if absent and the scores are a softmax.
    scores
        ``"linear"``, or ``"softmax"`` of the past (without `weights`).
    residual
        Whether the tokens themselves are added.

    Raises
    ------
    ValueError
        If shapes do not fit, or `scores` is unknown.

    Notes
    -----
    *Derivatives*: smooth in tokens and parameters, of every order.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones((1, 1, 1))
    >>> LinearAttentionLayer(one, one, one)(np.asarray([[1.0], [2.0]]))[:, 0].tolist()
    [2.0, 12.0]
    """

    query: Any
    key: Any
    value: Any
    weights: Any = None
    scale: float | None = None
    scores: str = "linear"
    residual: bool = True

    def __post_init__(self) -> None:
        """Check shapes and choices."""
        check_choice("scores", self.scores, ("linear", "softmax"))
        for name, x in (("query", self.query), ("key", self.key), ("value", self.value)):
            check_numbers(name, x)
            if x.ndim != 3:
                raise ValueError(f"`{name}` must have three axes, heads first; got {x.shape}")
        shapes = tuple(tuple(x.shape) for x in (self.query, self.key, self.value))
        heads, _, dim = shapes[0]
        if shapes[1] != shapes[0] or shapes[2] != (heads, dim, dim):
            raise ValueError(f"`key` and `value` must fit `query`; got shapes {shapes}")
        if self.scores == "softmax" and self.weights is not None:
            raise ValueError("`weights` must be None with softmax scores; got both")

    def __call__(self, tokens: Array, /, *, mask: Array | None = None) -> Array:
        """Return the tokens (..., T, D) after the layer; `mask` (..., T) is False at padding."""
        numbers = check_numbers("tokens", tokens, self.query, self.key, self.value)
        check_length("tokens", tokens, 1)
        if tokens.shape[-1] != self.query.shape[-1]:
            raise ValueError(
                f"`tokens` must have dimension {self.query.shape[-1]}; got {tuple(tokens.shape)}"
            )
        backend, xp = numbers.backend, numbers.backend.namespace
        tokens = known_to(backend, tokens)
        heads = xp.expand_dims(tokens, axis=-3)
        q, k, v = (
            xp.matmul(heads, xp.matrix_transpose(_like(numbers, x)))
            for x in (self.query, self.key, self.value)
        )
        seen = None if mask is None else xp.expand_dims(mask, axis=-2)
        if self.scores == "softmax":
            out = causal_softmax_attention(q, k, v, scale=self.scale, mask=seen)
        else:
            factor = 1.0 if self.scale is None else check_number("scale", self.scale)
            out = causal_linear_attention(q, k, v, weights=self.weights, scale=factor, mask=seen)
        out = xp.sum(out, axis=-3, dtype=tokens.dtype)
        return tokens + out if self.residual else out


@register_dataclass()
@dataclass(frozen=True)
class DiagonalMultiHead:
    r"""Heads with diagonal matrices on plain tokens, and positional weights.

    .. math:: \hat s_{T+1} = \sum_h \sum_{t \le T} P_{Tt}\,
       \langle s_{T-1}, A_h \circ s_t \rangle \; B_h \circ s_t

    The query is the token before the last.

    Parameters
    ----------
    A, B
        Diagonals (H, d).
    P
        Positional weights (T, T), at least as large as the sequences; all ones if absent.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Notes
    -----
    *Derivatives*: smooth in tokens and parameters, of every order.

    References
    ----------
    Sander et al., arXiv 2402.05787, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.incontext import Context, simulate_ar
    >>> s = simulate_ar(Context("unitary", angles=np.asarray([1.0, 2.0])), 4)
    >>> predicted = DiagonalMultiHead(np.eye(2), np.eye(2), np.eye(4))(s)
    >>> bool(np.allclose(predicted[1:3], s[2:]))
    True
    """

    A: Any
    B: Any
    P: Any = None

    def __post_init__(self) -> None:
        """Check the shapes."""
        for name, x in (("A", self.A), ("B", self.B)):
            check_numbers(name, x)
        shapes = tuple(self.A.shape), tuple(self.B.shape)
        if len(shapes[0]) != 2 or shapes[0] != shapes[1]:
            raise ValueError(f"`A` and `B` must have one shape (heads, dim); got {shapes}")
        if self.P is not None and (self.P.ndim != 2 or self.P.shape[0] != self.P.shape[1]):
            raise ValueError(f"`P` must have shape (T, T); got {tuple(self.P.shape)}")

    def __call__(self, s: Array, /, *, mask: Array | None = None) -> Array:
        """Return predictions (..., T, d): row t is for the token after `s[..., t, :]`.

        The first row, which has no query, is 0. At least two tokens are needed.
        """
        given = tuple(x for x in (self.A, self.B, self.P) if x is not None)
        numbers = check_numbers("s", s, *given)
        check_length("s", s, 2)
        length = s.shape[-2]
        if s.shape[-1] != self.A.shape[-1]:
            raise ValueError(f"`s` must have dimension {self.A.shape[-1]}; got {tuple(s.shape)}")
        xp, s = numbers.backend.namespace, known_to(numbers.backend, s)
        weights = self.P
        if weights is not None:
            if weights.shape[-1] < length:
                raise ValueError(f"`P` must be at least {length} x {length}; got {weights.shape}")
            weights = weights[:length, :length]
        before = xp.concat([xp.zeros_like(s[..., :1, :]), s[..., :-1, :]], axis=-2)
        tokens = xp.expand_dims(s, axis=-3)
        k, v = (tokens * xp.expand_dims(_like(numbers, x), axis=-2) for x in (self.A, self.B))
        seen = None if mask is None else xp.expand_dims(mask, axis=-2)
        query = xp.expand_dims(before, axis=-3)
        out = causal_linear_attention(query, k, v, weights=weights, mask=seen)
        return xp.sum(out, axis=-3, dtype=s.dtype)


@register_dataclass(static=("first",))
@dataclass(frozen=True)
class AugmentedBlock:
    r"""One layer of linear attention on augmented tokens, with a number for each block.

    .. math:: \hat s_{T+1} = \sum_{t \le T} \left[ a_1 \langle s_t, s_T \rangle
       + a_2 \langle s_t, s_{T-1} \rangle + a_3 \langle s_{t-1}, s_T \rangle
       + a_4 \langle s_{t-1}, s_{T-1} \rangle \right] (b_1 s_t + b_2 s_{t-1})

    With all but :math:`a_3` and :math:`b_1` zero it is one step of gradient descent from 0 on half
    the squared errors of the context, at the rate :math:`a_3 b_1`, whatever the context.

    Parameters
    ----------
    a
        Factors of the scores (4,).
    b
        Factors of the values (2,).
    first
        ``"zero"`` or ``"previous"``, see `augment_tokens`.

    Raises
    ------
    ValueError
        If shapes do not fit, or `first` is unknown.

    Notes
    -----
    *Derivatives*: smooth in tokens and parameters, of every order.

    References
    ----------
    Sander et al., arXiv 2402.05787, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> block = AugmentedBlock(np.asarray([0.0, 0.0, 0.5, 0.0]), np.asarray([1.0, 0.0]))
    >>> block(np.asarray([[1.0], [1.0], [1.0]]))[:, 0].tolist()
    [0.0, 0.5, 1.0]
    """

    a: Any
    b: Any
    first: str = field(default="zero", kw_only=True)

    def __post_init__(self) -> None:
        """Check the shapes."""
        check_choice("first", self.first, FIRST)
        for name, x, count in (("a", self.a, 4), ("b", self.b, 2)):
            check_numbers(name, x)
            if tuple(x.shape) != (count,):
                raise ValueError(f"`{name}` must have shape ({count},); got {tuple(x.shape)}")

    def __call__(self, s: Array, /, *, mask: Array | None = None) -> Array:
        """Return predictions (..., T, d): row t is for the token after `s[..., t, :]`.

        With ``first="previous"`` the first row is 0, as `s[..., 0, :]` stands before the sequence.
        At least two tokens are needed.
        """
        numbers = check_numbers("s", s, self.a, self.b)
        check_length("s", s, 2)
        xp, s = numbers.backend.namespace, known_to(numbers.backend, s)
        dim = s.shape[-1]
        if mask is not None:  # a padded token is no token before another
            s = xp.where(xp.expand_dims(mask, axis=-1), s, xp.zeros_like(s))
            mask = mask if self.first == "zero" else mask[..., 1:]
        tokens = augment_tokens(s, self.first)
        now, before = tokens[..., dim : 2 * dim], tokens[..., 2 * dim :]
        a, b = (_like(numbers, x) for x in (self.a, self.b))
        query = xp.concat([a[0] * now + a[1] * before, a[2] * now + a[3] * before], axis=-1)
        # <s_t, s_T> conjugates the key, the attention the query
        out = causal_linear_attention(
            conj(xp, query),
            conj(xp, tokens[..., dim:]),
            b[0] * now + b[1] * before,
            mask=mask,
        )
        if self.first == "zero":
            return out
        return xp.concat([xp.zeros_like(out[..., :1, :]), out], axis=-2)


@register_dataclass()
@dataclass(frozen=True)
class LinearTransformer:
    """Layers one after the other.

    Parameters
    ----------
    layers
        Sequence of callables from tokens (..., T, D) to tokens, `LinearAttentionLayer` say.

    Raises
    ------
    ValueError
        If there is no layer.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones((1, 1, 1))
    >>> model = LinearTransformer((LinearAttentionLayer(one, one, one),) * 2)
    >>> model(np.asarray([[1.0]])).tolist()
    [[10.0]]
    """

    layers: Any

    def __post_init__(self) -> None:
        """Check that there are layers."""
        if not isinstance(self.layers, list | tuple) or not self.layers:
            raise ValueError(f"`layers` must be a non-empty list or tuple; got {self.layers!r}")

    def __call__(self, tokens: Array, /, *, mask: Array | None = None) -> Array:
        """Return the tokens after all layers."""
        for layer in self.layers:
            tokens = layer(tokens, mask=mask)
        return tokens

    def predict(self, s: Array, /, *, first: str = "zero", mask: Array | None = None) -> Array:
        """Return predictions (..., T, d) of tokens from sequences, by augmented tokens.

        The read-out is the first d coordinates, which are zero at the start. With
        ``first="previous"`` there is no row for `s[..., 0, :]`.

        Parameters
        ----------
        s
            Tokens (..., T, d); the layers have D = 3 d.
        first, mask
            As for `augment_tokens`, and for the layers.

        Returns
        -------
        array
            Row t is for the token after token t.

        Raises
        ------
        ValueError
            If shapes do not fit.
        """
        tokens = augment_tokens(s, first)
        if mask is not None and first == "previous":
            mask = mask[..., 1:]
        return self(tokens, mask=mask)[..., : s.shape[-1]]


def _like(numbers: Numbers, x: Array) -> Array:
    """Return a parameter in the dtype of the tokens; a complex one stays complex."""
    xp = numbers.backend.namespace
    x = known_to(numbers.backend, x)
    if is_complex(x) and real_dtype(xp, numbers.dtype) == numbers.dtype:
        raise TypeError("parameters must be real where the tokens are; got complex ones")
    return as_dtype(xp, x, numbers.dtype)
