"""What a model does in context: compared with algorithms, and looked at inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..arrays import check_dtype
from ..autodiff import jvp
from ..backend import backend_of
from ._numbers import as_dtype, check_length, check_numbers, conj, is_complex, reduce_last
from .estimators import ARLeastSquares

__all__ = ["Comparison", "head_gram", "implied_matrix", "positional_profile", "probe"]

Array = Any


class Comparison(NamedTuple):
    """Predictions of a model against those of algorithms, by the name of the algorithm.

    Attributes
    ----------
    cosine
        Cosine of all predictions taken as one vector, arrays of shape ().
    distance
        Root of the mean squared distance of two predictions, arrays of shape ().
    """

    cosine: dict[str, Array]
    distance: dict[str, Array]


def probe(
    model: Callable[[Array], Array],
    s: Array,
    *,
    steps: int = 1,
    step_size: Any = None,
    ridge: float = 0.1,
) -> Comparison:
    """Compare the predictions of a model with those of algorithms on the same sequences.

    Parameters
    ----------
    model
        Function of the sequences that returns predictions for every prefix (..., T, d), or for
        the whole sequence alone (..., d).
    s
        Tokens (..., T, d), T at least 2.
    steps, step_size
        Of gradient descent, see `ARLeastSquares`.
    ridge
        Of ridge regression.

    Returns
    -------
    Comparison
        `cosine` and `distance`, each with ``"gd"``, ``"ridge"``, ``"lstsq"`` and ``"last_token"``.

    Raises
    ------
    TypeError
        If `s` is not floating, or `model` no function.
    ValueError
        If `s` has no sequence or fewer than two tokens, or the predictions another shape.

    Notes
    -----
    *Derivatives*: those of model and algorithms; the cosine is 0 where either prediction is.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.incontext import AugmentedBlock, ContextSampler, simulate_ar
    >>> s = simulate_ar(ContextSampler("orthogonal", 3).sample(5, 0), 6)
    >>> block = AugmentedBlock(np.asarray([0.0, 0.0, 0.2, 0.0]), np.asarray([1.0, 0.0]))
    >>> cosine, distance = probe(block, s, step_size=0.2)
    >>> round(float(cosine["gd"]), 12), float(distance["gd"]) < 1e-12
    (1.0, True)
    """
    xp = check_numbers("s", s).backend.namespace
    check_length("s", s, 2)
    if 0 in tuple(s.shape):
        raise ValueError(f"`s` must hold a sequence; got shape {tuple(s.shape)}")
    if not callable(model):
        raise TypeError(f"`model` must be a function; got {type(model).__qualname__}")
    found = model(s)
    if found.ndim == s.ndim:
        found = found[..., -1, :]
    if tuple(found.shape) != (*s.shape[:-2], s.shape[-1]):
        raise ValueError(f"`model` must predict tokens like those of `s`; got {tuple(found.shape)}")
    algorithms = {
        "gd": ARLeastSquares(method="gd", steps=steps, step_size=step_size),
        "ridge": ARLeastSquares(ridge=ridge),
        "lstsq": ARLeastSquares(),
    }
    known = {name: method.predict(method.fit(s)) for name, method in algorithms.items()}
    known["last_token"] = s[..., -1, :]
    cosine = {name: _cosine(xp, found, other) for name, other in known.items()}
    distance = {name: _distance(xp, found, other) for name, other in known.items()}
    return Comparison(cosine, distance)


def _cosine(xp: Any, x: Array, y: Array) -> Array:
    product = conj(xp, x) * y
    inner = xp.sum(xp.real(product) if is_complex(product) else product)
    square = xp.sum(reduce_last(xp, x)) * xp.sum(reduce_last(xp, y))
    positive = square > 0
    root = xp.sqrt(xp.where(positive, square, xp.ones_like(square)))
    return xp.where(positive, inner / root, xp.zeros_like(inner))


def _distance(xp: Any, x: Array, y: Array) -> Array:
    square = xp.mean(reduce_last(xp, x - y))
    positive = square > 0
    root = xp.sqrt(xp.where(positive, square, xp.ones_like(square)))
    return xp.where(positive, root, square)


def implied_matrix(model: Callable[[Array], Array], s: Array, /) -> Array:
    """Return the Jacobian of the last prediction in the last token: the W that a model implies.

    Parameters
    ----------
    model
        As for `probe`; it treats sequences one by one.
    s
        Tokens (..., T, d). Complex ones are moved in real directions, which gives the Jacobian
        where the prediction is holomorphic in the last token.

    Returns
    -------
    array
        Jacobians (..., d, d).

    Raises
    ------
    TypeError
        If `s` is not floating.
    ValueError
        If `s` has no token.

    Notes
    -----
    One forward derivative a coordinate, for all sequences at once. *Derivatives*: those of the
    model, one order less.

    Examples
    --------
    >>> import numpy as np
    >>> implied_matrix(lambda s: 2.0 * s, np.ones((3, 2))).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    numbers = check_numbers("s", s)
    check_length("s", s, 1)
    xp, dim = numbers.backend.namespace, s.shape[-1]
    eye = xp.eye(dim, dtype=s.dtype, device=numbers.backend.device_of(s))

    def predicted(last: Array) -> Array:
        joined = backend_of(s, last).namespace.concat([s[..., :-1, :], last], axis=-2)
        found = model(joined)
        return found[..., -1, :] if found.ndim == s.ndim else found

    last = s[..., -1:, :]
    columns = [
        jvp(predicted, (last,), (xp.broadcast_to(eye[i, :], tuple(last.shape)),))[1]
        for i in range(dim)
    ]
    return xp.stack(columns, axis=-1)


def head_gram(A: Array, B: Array, p: Array) -> Array:
    r"""Return :math:`p_T A B^\top`, the identity at optimal heads that are no more than d.

    Parameters
    ----------
    A, B
        Diagonals of the heads (H, d).
    p
        Positional weights (T,), or (T, T), whose last row is taken.

    Returns
    -------
    array
        Shape (H, H).

    Raises
    ------
    TypeError
        If the arrays are not real floating, or of several libraries.
    ValueError
        If A and B differ in shape, or p is empty.

    Notes
    -----
    *Derivatives*: polynomial.

    Examples
    --------
    >>> import numpy as np
    >>> head_gram(2 * np.eye(2), np.eye(2), np.asarray([0.0, 0.5])).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    backend = backend_of(A, B, p)
    xp = backend.namespace
    for name, x in (("A", A), ("B", B), ("p", p)):
        check_dtype(name, x)
    if A.ndim != 2 or tuple(A.shape) != tuple(B.shape):
        raise ValueError(
            f"`A` and `B` must have one shape (heads, dim); got {tuple(A.shape)}, {tuple(B.shape)}"
        )
    if p.ndim not in (1, 2) or 0 in tuple(p.shape):
        raise ValueError(f"`p` must have shape (T,) or (T, T), T > 0; got {tuple(p.shape)}")
    last = p[-1] if p.ndim == 1 else p[-1, -1]
    return xp.matmul(A, xp.matrix_transpose(B)) * as_dtype(xp, last, A.dtype)


def positional_profile(P: Array) -> Array:
    """Return the mean weight at each lag: entry k is the mean of P[t, t - k] over t.

    Parameters
    ----------
    P
        Positional weights (..., T, T).

    Returns
    -------
    array
        Profile (..., T).

    Raises
    ------
    TypeError
        If `P` is not floating.
    ValueError
        If `P` is not square.

    Notes
    -----
    *Derivatives*: linear.

    Examples
    --------
    >>> import numpy as np
    >>> positional_profile(np.asarray([[1.0, 0.0], [-0.5, 1.0]])).tolist()
    [1.0, -0.5]
    """
    xp = check_numbers("P", P).backend.namespace
    if P.ndim < 2 or P.shape[-1] != P.shape[-2] or P.shape[-1] == 0:
        raise ValueError(f"`P` must have shape (..., T, T); got {tuple(P.shape)}")
    diagonals = [xp.linalg.diagonal(P, offset=-lag) for lag in range(P.shape[-1])]
    return xp.stack([xp.mean(d, axis=-1) for d in diagonals], axis=-1)
