"""Weights of finite-difference formulas."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

__all__ = ["fd_weights"]


def fd_weights(offsets: Sequence[float], order: int) -> tuple[float, ...]:
    """Return the weights of the difference formula for a derivative at 0.

    The derivative of order m is approximately sum_i weights_i f(offsets_i h) / h^m, exactly so for
    polynomials of degree below the number of offsets.

    Parameters
    ----------
    offsets
        Distinct points, in units of the step.
    order
        Order of the derivative, from 0 to the number of offsets less one.

    Returns
    -------
    tuple of float
        One weight for each offset, computed in rational arithmetic and rounded once.

    Raises
    ------
    ValueError
        If the offsets are not distinct, or too few for the order.

    Notes
    -----
    *Derivatives*: none; the weights are Python floats. The recursion is O(n^2 order).

    References
    ----------
    B. Fornberg, "Generation of finite difference formulas on arbitrarily spaced grids",
    Mathematics of Computation 51 (1988).

    Examples
    --------
    >>> fd_weights((-1, 0, 1), 2)
    (1.0, -2.0, 1.0)
    >>> fd_weights((0, 1, 2), 1)
    (-1.5, 2.0, -0.5)
    """
    points = [Fraction(offset) for offset in offsets]
    if len(set(points)) < len(points):
        raise ValueError(f"`offsets` must be distinct; got {tuple(offsets)}")
    if not 0 <= order < len(points):
        raise ValueError(
            f"`order` must be in [0, {len(points)}) for {len(points)} offsets; got order={order}"
        )
    return tuple(float(row[order]) for row in _recursion(points, order))


def _recursion(points: list[Fraction], order: int) -> list[list[Fraction]]:
    """Weights of all derivatives up to `order`; row i belongs to point i."""
    weights = [[Fraction(0)] * (order + 1) for _ in points]
    weights[0][0] = Fraction(1)
    previous_product = Fraction(1)
    for n in range(1, len(points)):
        product = Fraction(1)
        for i in range(n):
            gap = points[n] - points[i]
            product *= gap
            if i == n - 1:
                weights[n] = _new_row(weights[n - 1], previous_product / product, points[n - 1])
            old = weights[i]
            weights[i] = [
                (points[n] * old[m] - (m * old[m - 1] if m else 0)) / gap for m in range(order + 1)
            ]
        previous_product = product
    return weights


def _new_row(last: list[Fraction], ratio: Fraction, point: Fraction) -> list[Fraction]:
    return [ratio * ((m * last[m - 1] if m else 0) - point * last[m]) for m in range(len(last))]
