"""What every regularizer is made of: the row protocol behind the public methods.

Inside, arrays are prepared: the event axis is last, the dtype float32 or float64, scores divided by
the temperature; on the simplex they are also shifted by their maximum, and -inf means out
(`operators._scores.shifted`). For a regularizer Omega = Psi + indicator of `domain`:

- `_link(backend, z)`: `Link(point, slack)` with point = argmax_p <p, z> - Omega(p) and
  slack = grad Psi(point) - z + const, the negative of a normal vector of the domain. Hence
  <slack, y - point> >= 0 for every y of the domain, and the Fenchel-Young loss of a row is

      `_bregman(y, point) + sum(slack * (y - point))`,

  two non-negative terms in which nothing cancels. On the simplex slack_i =
  tau + phi'(0) - z_i >= 0 where point_i = 0, and 0 elsewhere and at entries that are out.
- `_value(backend, p)`, `_max(backend, z)`, `_bregman(backend, y, p)`: one number a row (...,);
  `_max` of a row that is all out is 0. `_value` may be told which entries are `inside`: the others
  are 0 for all the same, but where Omega(p) does not see a 0 as nothing they must not count.
- `_slope(backend, p)` = grad Psi(p) and `_curvature(backend, p)` = phi''(p), entry by entry.

Where phi'(0) or phi''(0) is infinite, an entry below the smallest normal number counts as that
number in `_slope`, `_curvature` and `_bregman`; the slack makes up for the difference, so that the
loss above is right although the point has underflowed. All are differentiable formulas of live
arrays, array fields of the regularizer included. Where these are laid out along another axis than
the last, call the methods of `_oriented(ndim, axis)`; pass `_parameters()` to
`operators._arguments.prepare`.

Where `elementwise`, every entry is an event: "one number a row" is one an entry. Where `matrix`,
the event is a matrix, and its number is the sum of those of its rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from ..arrays import FloatInfo, check_dtype, narrow
from ..backend import backend_of
from ..operators._arguments import Prepared, finish, prepare, temperature_of, with_temperature
from ..operators._scores import hard_argmax, shifted
from ..parameters import check_array, check_mask, known_to

__all__ = ["Link", "Regularizer"]

Array = Any


class Link(NamedTuple):
    """The maximiser of each row, and its slack (see above)."""

    point: Array
    slack: Array


class _Rows(NamedTuple):
    """What `operators._arguments.prepare` returns, and the array that it prepared."""

    backend: Any
    x: Array
    axis: int
    info: FloatInfo
    dtype: Any
    source: Array


class Regularizer(ABC):
    """A convex function Omega on a convex set, with its conjugate and its Bregman divergence.

    The public methods are here; a regularizer gives the private formulas.
    """

    domain: Any
    simplex: bool = False
    elementwise: bool = False

    @property
    def matrix(self) -> bool:
        """Whether a point is a matrix."""
        return False

    def value(self, p: Array, /, *, axis: int = -1, where: Array | None = None) -> Array:
        """Return Omega(p) of each row.

        Parameters
        ----------
        p : array (..., n)
            Points of the domain, real floating; that they are in it is not checked.
        axis : int
            Axis of the entries.
        where : boolean array, optional
            Entries that take part; the others count as 0.

        Returns
        -------
        array (...)
            Without `axis`.

        Raises
        ------
        TypeError
            If `p` is not a floating array.
        ValueError
            If the axis is empty or out of range.
        """
        check_dtype("p", p)
        ready, mask, own = self._open(p, axis, where, (), 0.0)
        inside = None
        if mask is not None:
            inside = check_mask(ready.backend, mask, ready.source, ready.axis)
        return self._close(ready, own._value(ready.backend, ready.x, inside))

    def argmax(
        self,
        x: Array,
        /,
        *,
        temperature: Any = 1.0,
        axis: int = -1,
        where: Array | None = None,
    ) -> Array:
        """Return the maximiser of <p, x> - temperature * Omega(p): the regularised argmax.

        Parameters
        ----------
        x : array (..., n)
            Scores, real floating; on sets whose entries can be 0, entries of -inf get 0.
        temperature : number or array (..., 1)
            At least 0; 0 is the hard argmax.
        axis : int
            Axis of the entries.
        where : boolean array, optional
            Entries that take part; the others get 0.

        Returns
        -------
        array (..., n)
            Like `x`.

        Raises
        ------
        TypeError
            If `x` is not a floating array.
        ValueError
            If `temperature` is negative, or the axis is empty or out of range.
        """
        ready, _, own = self._open(x, axis, where, (temperature,), self._masked())
        backend = ready.backend
        temperature = self._temperature(ready, temperature)
        y = with_temperature(
            backend,
            temperature,
            lambda positive: own._argmax(backend, own._scaled(backend, ready.x, positive)),
            lambda: own._hard(backend, ready.x),
        )
        y = finish(Prepared(*ready[:5]), y)
        return y[..., 0] if self.elementwise else y

    def max(
        self,
        x: Array,
        /,
        *,
        temperature: Any = 1.0,
        axis: int = -1,
        where: Array | None = None,
    ) -> Array:
        """Return the maximum of <p, x> - temperature * Omega(p): the regularised maximum.

        With temperature 1 this is the conjugate of Omega; its gradient in `x` is `argmax`, at
        every temperature.

        Parameters
        ----------
        x : array (..., n)
            Scores, real floating; on sets whose entries can be 0, entries of -inf are out.
        temperature : number or array (..., 1)
            At least 0; 0 is the maximum of a linear function, on the simplex that of the entries.
        axis : int
            Axis of the entries.
        where : boolean array, optional
            Entries that take part.

        Returns
        -------
        array (...)
            Without `axis`; on the simplex -inf where no entry takes part.

        Raises
        ------
        TypeError
            If `x` is not a floating array.
        ValueError
            If `temperature` is negative, or the axis is empty or out of range.
        """
        ready, _, own = self._open(x, axis, where, (temperature,), self._masked())
        backend = ready.backend
        y = with_temperature(
            backend,
            self._temperature(ready, temperature),
            lambda positive: own._soft_maximum(backend, ready.x, positive),
            lambda: own._hard_maximum(backend, ready.x),
        )
        return self._close(ready, y if self.elementwise else y[..., 0])

    def bregman(
        self, y: Array, p: Array, /, *, axis: int = -1, where: Array | None = None
    ) -> Array:
        """Return the Bregman divergence Omega(y) - Omega(p) - <grad Omega(p), y - p> of each row.

        Parameters
        ----------
        y, p : array (..., n)
            Points of the domain, real floating, of one shape.
        axis : int
            Axis of the entries.
        where : boolean array, optional
            Entries that take part; the others count as 0.

        Returns
        -------
        array (...)
            Without `axis`; at least 0, and without cancellation where `y` is close to `p`.

        Raises
        ------
        TypeError
            If `y` or `p` is not a floating array, or they are of two libraries.
        ValueError
            If their shapes differ, or the axis is empty or out of range.
        """
        check_dtype("y", y)
        ready, _, own = self._open(y, axis, where, (p,), 0.0)
        check_array("p", p, ready.backend)
        check_dtype("p", p)
        if tuple(p.shape) != tuple(y.shape):
            raise ValueError(f"`p` must have the shape {tuple(y.shape)}; got {tuple(p.shape)}")
        if p.dtype != y.dtype:
            p = ready.backend.namespace.astype(p, y.dtype)
        p = known_to(ready.backend, p)
        base = self._open(p, axis, where, (y,), 0.0)[0]
        return self._close(ready, own._divergence(ready.backend, ready.x, base.x))

    @abstractmethod
    def _argmax(self, backend: Any, z: Array) -> Array:
        """Return the maximisers of prepared scores."""

    @abstractmethod
    def _slack(self, backend: Any, z: Array, point: Array) -> Array:
        """Return the slack of maximisers."""

    @abstractmethod
    def _value(self, backend: Any, p: Array, inside: Array | None = None) -> Array:
        """Return Omega of each row."""

    @abstractmethod
    def _max(self, backend: Any, z: Array) -> Array:
        """Return the conjugate of each row."""

    @abstractmethod
    def _bregman(self, backend: Any, y: Array, p: Array) -> Array:
        """Return the Bregman divergence of each row."""

    @abstractmethod
    def _slope(self, backend: Any, p: Array) -> Array:
        """Return the gradient of Psi."""

    @abstractmethod
    def _curvature(self, backend: Any, p: Array) -> Array:
        """Return the diagonal of the Hessian of Psi."""

    def _link(self, backend: Any, z: Array) -> Link:
        point = self._argmax(backend, z)
        return Link(point, self._slack(backend, z, point))

    def _parameters(self) -> tuple[Any, ...]:
        """Return the fields that may be differentiated arrays."""
        return ()

    def _oriented(self, ndim: int, axis: int) -> Regularizer:
        """Return the regularizer with its array fields laid out for rows moved from `axis`."""
        return self

    def _masked(self) -> float:
        """Return the score of an entry that takes no part."""
        return float("-inf")

    def _takes_mask(self) -> bool:
        """Return whether entries can be left out."""
        return True

    def _divergence(self, backend: Any, y: Array, p: Array) -> Array:
        """Return the Bregman divergence, infinite where a zero of p makes it so."""
        return self._bregman(backend, y, p)

    def _open(
        self, x: Array, axis: int, where: Array | None, options: tuple[Any, ...], masked: float
    ) -> tuple[_Rows, Array | None, Regularizer]:
        """Check and prepare an argument; return its rows, its mask, and who works on them."""
        if self.elementwise:
            x, where, axis = _one_entry(x), None if where is None else _one_entry(where), -1
        if self.matrix and axis not in (-1, x.ndim - 1):
            raise ValueError(f"`axis` must be -1 for a set of matrices; got axis={axis}")
        if where is not None and not self._takes_mask():
            raise ValueError(
                f"`where` must be None on {type(self.domain).__name__}: no entry can be left out"
            )
        ready = prepare(x, axis, where, (*options, *self._parameters()), masked=masked)
        rows = _Rows(*ready, x)
        return rows, where, self._oriented(ready.x.ndim, ready.axis)

    def _temperature(self, ready: _Rows, value: Any) -> Any:
        """Return the temperature as a number or an array (..., 1)."""
        if self.elementwise and getattr(value, "ndim", 0) > 0:
            value = _one_entry(value)
        return temperature_of(ready.backend, value, ready.source, ready.axis)

    def _close(self, ready: _Rows, rows: Array) -> Array:
        """Return one number an event in the caller's dtype."""
        xp = ready.backend.namespace
        if self.elementwise:
            rows = rows[..., 0]
        elif self.matrix:
            rows = xp.sum(rows, axis=-1)
        return narrow(xp, rows, ready.info, ready.dtype)

    def _scaled(self, backend: Any, x: Array, temperature: Any) -> Array:
        """Return x / temperature, on the simplex shifted."""
        if self.simplex:
            return shifted(backend, x, temperature)
        out = backend.stop_gradient(x) == float("-inf")  # an infinity over inf would be NaN
        return backend.namespace.where(out, x, x / temperature)

    def _hard(self, backend: Any, x: Array) -> Array:
        """Return a maximiser of <p, x> over the domain."""
        return hard_argmax(backend, x) if self.simplex else self.domain.linear_argmax(x)

    def _soft_maximum(self, backend: Any, x: Array, temperature: Any) -> Array:
        """Return the maximum (..., 1) at a positive temperature."""
        xp = backend.namespace
        z = self._scaled(backend, x, temperature)
        if self.elementwise:
            return temperature * self._max(backend, z)
        y = temperature * self._max(backend, z)[..., None]
        if not self.simplex:
            return y
        top = xp.max(backend.stop_gradient(x), axis=-1, keepdims=True)
        finite = xp.isfinite(top)
        return xp.where(finite, y + xp.where(finite, top, xp.zeros_like(top)), top)

    def _hard_maximum(self, backend: Any, x: Array) -> Array:
        """Return the maximum (..., 1) of <p, x> over the domain."""
        xp = backend.namespace
        p = self._hard(backend, x)
        y = xp.sum(xp.where(p == 0, xp.zeros_like(x), p * x), axis=-1, keepdims=True)
        if not self.simplex:
            return y
        nothing = xp.all(backend.stop_gradient(x) == float("-inf"), axis=-1, keepdims=True)
        return xp.where(nothing, xp.full_like(y, float("-inf")), y)


def _one_entry(x: Array) -> Array:
    """Return x with every entry a row of its own."""
    return backend_of(x).namespace.expand_dims(x, axis=-1)
