"""Optimal parameters and smallest losses, and the quadratic of positional weights alone."""

from __future__ import annotations

from collections.abc import Iterable
from math import pi
from typing import Any

from ..arrays import check_choice, check_integer, check_number
from ._positions import LOSS_KINDS
from ._sizes import check_dim, check_lengths
from .population import augmented_population_loss
from .tokens import FIRST

__all__ = [
    "minimum_loss",
    "optimal_augmented",
    "optimal_diagonal_heads",
    "positional_quadratic",
]

Array = Any


def optimal_augmented(
    *, dim: int, lengths: int | Iterable[int], first: str = "zero"
) -> tuple[Array, Array, float]:
    r"""Return parameters of an augmented block that minimise the loss on unitary contexts.

    A block is optimal iff :math:`a_1 + a_4 = a_2 = b_2 = 0` and

    .. math:: a_3 b_1 = \frac{\sum_T N_T}{\sum_T N_T^2 + (d - 1) N_T} ,

    with N_T = T - 1 pairs where the token before the first is zero, T where it is there. It takes
    one step of gradient descent on the squared errors of the context, at this rate.

    Parameters
    ----------
    dim
        Dimension d of the tokens.
    lengths
        Lengths T of the prefixes that the loss is summed over, each at least 2.
    first
        ``"zero"`` or ``"previous"``, see `augment_tokens`.

    Returns
    -------
    tuple
        a (4,) and b (2,) as NumPy arrays, with b_1 = 1, and the loss as a float.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Sander et al., arXiv 2402.05787, section 3.

    Examples
    --------
    >>> a, b, loss = optimal_augmented(dim=2, lengths=range(2, 6))
    >>> float(a[2] * b[0]), round(loss, 12)
    (0.25, 3.0)
    """
    import numpy as np

    check_choice("first", first, FIRST)
    check_dim(dim)
    prefixes = check_lengths(lengths)
    pairs = [t - (first == "zero") for t in prefixes]
    rate = sum(pairs) / sum(n * n + (dim - 1) * n for n in pairs)
    a, b = np.asarray([0.0, 0.0, rate, 0.0]), np.asarray([1.0, 0.0])
    loss = augmented_population_loss(a, b, length=prefixes, dim=dim, first=first)
    return a, b, float(loss)


def minimum_loss(*, kind: str, dim: int, heads: int) -> float:
    """Return the smallest `population_loss` of one prefix: max(d - H, 0), or max(d - 2 H, 0).

    Parameters
    ----------
    kind
        ``"unitary"`` or ``"rotation"``.
    dim
        Dimension d; even for rotations.
    heads
        Number of heads H, at least 0.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> minimum_loss(kind="unitary", dim=6, heads=4), minimum_loss(kind="rotation", dim=6, heads=2)
    (2.0, 2.0)
    """
    check_choice("kind", kind, LOSS_KINDS)
    check_dim(dim, even=kind == "rotation")
    heads = check_integer("heads", heads, minimum=0)
    return float(max(dim - (heads if kind == "unitary" else 2 * heads), 0))


def optimal_diagonal_heads(
    *, kind: str, dim: int, heads: int, length: int
) -> tuple[Array, Array, Array]:
    r"""Return diagonal heads and positional weights of smallest `population_loss`.

    For unitary contexts each head takes a coordinate, and the last token has all the weight. For
    rotations and fewer heads than coordinates each takes a plane, by the identity
    :math:`2 \cos\theta\, R_\theta = R_{2\theta} + I`: weight 1 on the last token, -1/2 on the one
    before.

    Parameters
    ----------
    kind
        ``"unitary"`` or ``"rotation"``.
    dim
        Dimension d; even for rotations.
    heads
        Number of heads, at least 1; those that are not needed are zero.
    length
        Length T of the prefix, at least 2.

    Returns
    -------
    tuple of array
        A and B (H, d) and p (T,), NumPy arrays: one minimiser of many.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> A, B, p = optimal_diagonal_heads(kind="rotation", dim=4, heads=1, length=3)
    >>> A.tolist(), p.tolist()
    ([[1.0, 1.0, 0.0, 0.0]], [0.0, -0.5, 1.0])
    """
    import numpy as np

    check_choice("kind", kind, LOSS_KINDS)
    check_dim(dim, even=kind == "rotation")
    heads, length = (
        check_integer("heads", heads, minimum=1),
        check_integer("length", length, minimum=2),
    )
    rows, p = np.zeros((heads, dim)), np.zeros(length)
    p[-1] = 1.0
    if kind == "unitary" or heads >= dim:
        rows[: min(heads, dim)] = np.eye(dim)[:heads]
    else:
        p[-2] = -0.5
        planes = np.repeat(np.eye(dim // 2), 2, axis=-1)  # ones on a pair of coordinates
        rows[: min(heads, dim // 2)] = planes[:heads]
    return rows, rows.copy(), p


def positional_quadratic(T: int, *, concentration: float = 1.0) -> tuple[Array, Array]:
    r"""Return G and b of the loss of positional weights alone, :math:`p^\top G p - 2 b^\top p + 1`.

    With one coordinate, :math:`\lambda = e^{i \varphi}` and :math:`\varphi` uniform on
    (0, 2 pi / concentration): :math:`G_{tu} = E \cos 2 (t - u) \varphi` and
    :math:`b_t = E \cos 2 (T - t) \varphi`. The more concentrated, the lower the numerical rank of
    G, and the more p of gradient descent spreads over positions.

    Parameters
    ----------
    T
        Number of positions, at least 2.
    concentration
        At least 1.

    Returns
    -------
    tuple of array
        G (T, T) and b (T,), NumPy arrays; b is the last column of G.

    Raises
    ------
    TypeError
        If `concentration` is no number.
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> gram, rhs = positional_quadratic(4)
    >>> gram.round(12).tolist() == [[float(i == j) for j in range(4)] for i in range(4)]
    True
    """
    import numpy as np

    T = check_integer("T", T, minimum=2)
    width = 2.0 * pi / check_number("concentration", concentration, minimum=1.0, maximum=1e300)
    lags = np.arange(T)[:, None] - np.arange(T)
    # E cos(k phi) = sin(k w) / (k w); NumPy's sinc has the pi inside
    gram = np.sinc(2.0 * lags * width / pi)
    return gram, gram[:, -1].copy()
