"""Expected losses of attention on random contexts, exactly, and their gradients in closed form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..arrays import check_choice, check_dtype
from ..backend import backend_of
from ..parameters import known_to
from ._monomials import residual_map
from ._positions import Positions, check_positions
from ._sizes import check_dim, check_lengths
from .tokens import FIRST

__all__ = [
    "augmented_population_gradient",
    "augmented_population_loss",
    "population_gradient",
    "population_loss",
]

Array = Any


def population_loss(A: Array, B: Array, p: Array, *, kind: str = "unitary") -> Array:
    r"""Return the expected loss of diagonal heads on random contexts with commuting matrices.

    The prediction of the token T + 1 from the first T is, with :math:`C = B^\top A`,

    .. math:: \hat s_i = \sum_{t \le T} p_t\, s_{t,i} \sum_j C_{ij}\, s_{t,j}\, \bar s_{T-1,j} ,

    and the loss the expectation of :math:`|\hat s - s_{T+1}|^2` over uniform angles:

    .. math:: \sum_{t \ne T-1} p_t^2 \|C\|_F^2 + p_{T-1}^2 |C 1|^2 - 2 p_T \operatorname{tr} C + d

    for unitary contexts; for rotations, eigenvalues in conjugate pairs, see section 2.5 there.

    Parameters
    ----------
    A, B
        Diagonals of the heads (H, d).
    p
        Positional weights of the last row (T,), T at least 2, or a matrix (T, T) of which each row
        from the second on is the p of a prefix: the losses of those are summed.
    kind
        ``"unitary"``, or ``"rotation"`` with d even and partners (2 i, 2 i + 1).

    Returns
    -------
    array
        Loss of shape ().

    Raises
    ------
    TypeError
        If the arrays are not real floating, or of several libraries.
    ValueError
        If shapes do not fit, T is below 2, or d is odd for rotations.

    Notes
    -----
    Evaluated as a sum of squares: no digits are lost near 0. *Derivatives*: polynomial, every
    order; the first ones are also in `population_gradient`.

    References
    ----------
    Sander et al., arXiv 2402.05787, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> eye, p = np.eye(3), np.asarray([0.0, 0.0, 1.0])
    >>> float(population_loss(eye, eye, p)), float(population_loss(eye[:2], eye[:2], p))
    (0.0, 1.0)
    """
    point = check_positions(A, B, p, kind)
    xp = point.xp
    c, sums = point.product, point.row_sums
    loss = point.rest * _squares(xp, c if point.partner is None else point.off_partner)
    if point.partner is None:
        loss = loss + point.at_query**2 * _squares(xp, sums)
        return xp.sum(loss + _misfit(point, c))
    paired = point.at_query[:, None] * sums + (point.others + point.at_end)[:, None] * point.partner
    return xp.sum(loss + xp.sum(paired * paired, axis=-1) + _misfit(point, point.off_partner))


def _squares(xp: Any, x: Array) -> Array:
    return xp.sum(x * x)


def _misfit(point: Positions, c: Array) -> Array:
    """Return |p_T C - I|^2 for each p_T."""
    gap = point.at_end[:, None, None] * c - point.eye
    return point.xp.sum(gap * gap, axis=(-2, -1))


def population_gradient(
    A: Array, B: Array, p: Array, *, kind: str = "unitary"
) -> tuple[Array, Array, Array]:
    r"""Return the gradient of `population_loss` in A, B and p, in closed form.

    For unitary contexts and one row,
    :math:`\partial C = 2 r C + 2 p_{T-1}^2 (C 1) 1^\top - 2 p_T I` with
    :math:`r = \sum_{t \ne T-1} p_t^2`, :math:`\partial A = B\, \partial C`,
    :math:`\partial B = A\, (\partial C)^\top`, :math:`\partial p_t = 2 p_t \|C\|^2`,
    :math:`\partial p_{T-1} = 2 p_{T-1} |C 1|^2`, :math:`\partial p_T` less
    :math:`2 \operatorname{tr} C`.

    Parameters
    ----------
    A, B, p, kind
        As for `population_loss`.

    Returns
    -------
    tuple of array
        Like A, B and p; what of a matrix p is not read has gradient 0.

    Raises
    ------
    TypeError, ValueError
        As for `population_loss`.

    Notes
    -----
    *Derivatives*: polynomial, every order.

    Examples
    --------
    >>> import numpy as np
    >>> eye, p = np.eye(2), np.asarray([0.0, 0.0, 1.0])
    >>> all(not np.any(g) for g in population_gradient(eye, eye, p))
    True
    """
    point = check_positions(A, B, p, kind)
    xp, c, sums = point.xp, point.product, point.row_sums
    end, query, others = point.at_end, point.at_query, point.others
    trace = xp.sum(c * point.eye)
    squares = xp.sum(end * end + point.rest)
    if point.partner is None:
        size = _squares(xp, c)
        by_c = 2.0 * squares * c + 2.0 * xp.sum(query**2) * sums[:, None]
        by_weight = 2.0 * point.weights * size
        by_query = 2.0 * query * _squares(xp, sums)
    else:
        loose, partner = point.off_partner, point.partner
        level = others + end
        pull = query[:, None] * sums + level[:, None] * partner  # (rows, d)
        by_c = 2.0 * squares * loose + 2.0 * xp.sum(query[:, None] * pull, axis=0)[:, None]
        by_c = by_c + 2.0 * xp.sum(level[:, None] * pull, axis=0)[:, None] * point.swap
        by_pull = 2.0 * xp.sum(pull * partner, axis=-1)
        by_weight = 2.0 * point.weights * _squares(xp, loose) + by_pull[:, None]
        by_query = 2.0 * xp.sum(pull * sums, axis=-1)
    by_c = by_c - 2.0 * xp.sum(end) * point.eye
    by_rows = xp.where(point.query_place, by_query[:, None], by_weight)
    by_rows = by_rows - xp.where(point.end_place, 2.0 * trace, 0.0)
    by_p = point.unrow(xp.where(point.read, by_rows, xp.zeros_like(by_rows)))
    return xp.matmul(point.b, by_c), xp.matmul(point.a, xp.matrix_transpose(by_c)), by_p


def augmented_population_loss(
    a: Array, b: Array, *, length: int | Iterable[int], dim: int, first: str = "zero"
) -> Array:
    r"""Return the expected loss of an augmented block on random unitary contexts.

    Parameters
    ----------
    a
        Factors of the four scores (4,), see `AugmentedBlock`.
    b
        Factors of the two values (2,).
    length
        Length T of the prefix, at least 2, or several, whose losses are summed.
    dim
        Dimension d of the tokens.
    first
        ``"zero"`` or ``"previous"``, see `augment_tokens`: whether :math:`s_0` is there. The
        prefix has T tokens beside it.

    Returns
    -------
    array
        Expectation of :math:`|\hat s - s_{T+1}|^2`, of shape ().

    Raises
    ------
    TypeError
        If the arrays are not real floating.
    ValueError
        If shapes or numbers do not fit.

    Notes
    -----
    The prediction is a polynomial in the eigenvalues, whose monomials are orthogonal; the loss is a
    sum of squares of coefficients. *Derivatives*: polynomial, every order; the first ones are also
    in `augmented_population_gradient`.

    Examples
    --------
    >>> import numpy as np
    >>> a, b = np.asarray([0.0, 0.0, 0.25, 0.0]), np.asarray([1.0, 0.0])
    >>> float(augmented_population_loss(a, b, length=range(2, 6), dim=2))
    3.0
    """
    xp, a, b, maps = _augmented(a, b, length, dim, first)
    total = xp.sum(a) * 0.0
    for matrix, target in maps:
        total = total + dim * _squares(xp, _residual(xp, a, b, matrix, target))
    return total


def augmented_population_gradient(
    a: Array, b: Array, *, length: int | Iterable[int], dim: int, first: str = "zero"
) -> tuple[Array, Array]:
    """Return the gradient of `augmented_population_loss` in a and b, in closed form.

    Parameters
    ----------
    a, b, length, dim, first
        As for `augmented_population_loss`.

    Returns
    -------
    tuple of array
        Shapes (4,) and (2,).

    Raises
    ------
    TypeError, ValueError
        As for `augmented_population_loss`.

    Notes
    -----
    *Derivatives*: polynomial, every order.

    Examples
    --------
    >>> import numpy as np
    >>> a, b = np.asarray([0.0, 0.0, 0.25, 0.0]), np.asarray([1.0, 0.0])
    >>> by_a, _ = augmented_population_gradient(a, b, length=range(2, 6), dim=2)
    >>> bool(np.all(np.abs(by_a) < 1e-12))
    True
    """
    xp, a, b, maps = _augmented(a, b, length, dim, first)
    by_u = xp.zeros_like(a[:, None] * b)
    for matrix, target in maps:
        residual = _residual(xp, a, b, matrix, target)
        pulled = xp.matmul(xp.matrix_transpose(matrix), residual)
        by_u = by_u + 2.0 * dim * xp.reshape(pulled, (4, 2))
    return xp.matmul(by_u, b), xp.matmul(xp.matrix_transpose(by_u), a)


def _residual(xp: Any, a: Array, b: Array, matrix: Array, target: Array) -> Array:
    return xp.matmul(matrix, xp.reshape(a[:, None] * b, (8,))) - target


def _augmented(
    a: Array, b: Array, length: int | Iterable[int], dim: int, first: str
) -> tuple[Any, Array, Array, list[tuple[Array, Array]]]:
    """Return the checked factors, and for each length the map to the residual."""
    backend = backend_of(a, b)
    xp = backend.namespace
    for name, x, count in (("a", a, 4), ("b", b, 2)):
        check_dtype(name, x)
        if tuple(x.shape) != (count,):
            raise ValueError(f"`{name}` must have shape ({count},); got {tuple(x.shape)}")
    check_choice("first", first, FIRST)
    lengths = check_lengths(length)
    check_dim(dim)
    dtype, device = a.dtype, backend.device_of(a)

    def carried(x: Any) -> Array:
        return xp.asarray(x.tolist(), dtype=dtype, device=device)

    maps = [tuple(map(carried, residual_map(t, dim, first))) for t in lengths]
    return xp, known_to(backend, a), known_to(backend, b), maps
