"""Checks of dimensions, lengths and numbers of heads."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral

from ..arrays import check_integer

__all__ = ["check_dim", "check_lengths"]


def check_lengths(length: int | Iterable[int]) -> tuple[int, ...]:
    """Return lengths of prefixes as a tuple; each must be at least 2.

    Raises
    ------
    TypeError
        If one is no integer.
    ValueError
        If one is below 2, or there is none.
    """
    several = not isinstance(length, Integral) and isinstance(length, Iterable)
    lengths = tuple(length) if several else (length,)  # type: ignore[arg-type]
    if not lengths:
        raise ValueError("`length` must hold at least one length; got none")
    return tuple(check_integer("length", t, minimum=2) for t in lengths)


def check_dim(dim: int, *, even: bool = False) -> None:
    """Raise unless `dim` is a positive integer, even where that is asked for."""
    check_integer("dim", dim, minimum=1)
    if even and dim % 2:
        raise ValueError(f"`dim` must be even for rotations; got dim={dim}")
