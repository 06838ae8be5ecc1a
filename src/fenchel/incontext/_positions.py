"""Diagonal heads and positional weights, checked, with the pieces that the exact losses need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import check_choice, check_dtype, dtype_name
from ..backend import backend_of
from ..parameters import known_to
from ._numbers import identity

__all__ = ["Positions", "check_positions"]

Array = Any

LOSS_KINDS = ("unitary", "rotation")


@dataclass(frozen=True)
class Positions:
    """The arguments of an exact loss, rows of weights first.

    Attributes
    ----------
    xp
        Namespace.
    a, b
        Diagonals (H, d).
    weights
        Rows (r, T), zero where a row is not read.
    read, query_place, end_place
        Booleans (r, T): the prefix, and its last two places.
    eye, swap
        The identity (d, d), and ones at partners; `swap` is None for unitary contexts.
    single
        Whether the weights came as one row.
    """

    xp: Any
    a: Array
    b: Array
    weights: Array
    read: Array
    query_place: Array
    end_place: Array
    eye: Array
    swap: Array | None
    single: bool

    @property
    def product(self) -> Array:
        """C = B^T A."""
        return self.xp.matmul(self.xp.matrix_transpose(self.b), self.a)

    @property
    def row_sums(self) -> Array:
        """C 1."""
        return self.xp.sum(self.product, axis=-1)

    @property
    def partner(self) -> Array | None:
        """C at each coordinate and its partner (d,)."""
        return None if self.swap is None else self.xp.sum(self.product * self.swap, axis=-1)

    @property
    def off_partner(self) -> Array:
        """C without its entries at partners."""
        return self.product if self.swap is None else self.product * (1.0 - self.swap)

    @property
    def at_query(self) -> Array:
        """p_{T-1} of each row."""
        return self._at(self.query_place)

    @property
    def at_end(self) -> Array:
        """p_T of each row."""
        return self._at(self.end_place)

    @property
    def _free(self) -> Array:
        places = self.read & ~self.query_place & ~self.end_place
        return self.xp.where(places, self.weights, self.xp.zeros_like(self.weights))

    @property
    def rest(self) -> Array:
        """Sum of p_t^2 over the places before the last two."""
        return self.xp.sum(self._free * self._free, axis=-1)

    @property
    def others(self) -> Array:
        """Sum of p_t over these."""
        return self.xp.sum(self._free, axis=-1)

    def _at(self, place: Array) -> Array:
        zeros = self.xp.zeros_like(self.weights)
        return self.xp.sum(self.xp.where(place, self.weights, zeros), axis=-1)

    def unrow(self, rows: Array) -> Array:
        """Return rows (r, T) in the shape that the weights came in."""
        if self.single:
            return rows[0, :]
        return self.xp.concat([self.xp.zeros_like(rows[:1, :]), rows], axis=0)


def check_positions(a: Array, b: Array, p: Array, kind: str) -> Positions:
    """Return the checked arguments.

    Raises
    ------
    TypeError
        If the arrays are not real floating, or differ in library or dtype.
    ValueError
        If `kind` is unknown, or shapes do not fit it.
    """
    check_choice("kind", kind, LOSS_KINDS)
    backend = backend_of(a, b, p)
    xp = backend.namespace
    for name, x in (("A", a), ("B", b), ("p", p)):
        check_dtype(name, x)
        if x.dtype != a.dtype:
            raise TypeError(f"`{name}` must have the dtype of `A`; got {dtype_name(x)}")
    if a.ndim != 2 or tuple(a.shape) != tuple(b.shape) or a.shape[-1] == 0:
        raise ValueError(
            f"`A` and `B` must have one shape (heads, dim); got {tuple(a.shape)} and "
            f"{tuple(b.shape)}"
        )
    dim, length = a.shape[-1], p.shape[-1] if p.ndim else 0
    if kind == "rotation" and dim % 2:
        raise ValueError(f"`A` must have an even dimension for rotations; got dim={dim}")
    if p.ndim not in (1, 2) or length < 2 or (p.ndim == 2 and p.shape[0] != length):
        raise ValueError(f"`p` must have shape (T,) or (T, T) with T >= 2; got {tuple(p.shape)}")
    a, b, p = (known_to(backend, x) for x in (a, b, p))
    device = backend.device_of(a)
    places = xp.arange(length, device=device)
    last = places[1:, None] if p.ndim == 2 else places[-1:, None]
    rows = p[1:, :] if p.ndim == 2 else xp.reshape(p, (1, length))
    read = places <= last
    eye, swap = identity(xp, dim, a.dtype, device), None
    if kind == "rotation":
        # i ^ 1 is the partner of i
        rows_of_swap = [[float(j == i ^ 1) for j in range(dim)] for i in range(dim)]
        swap = xp.asarray(rows_of_swap, dtype=a.dtype, device=device)
    return Positions(
        xp, a, b, xp.where(read, rows, xp.zeros_like(rows)), read, places == last - 1,
        places == last, eye, swap, p.ndim == 1,
    )  # fmt: skip
