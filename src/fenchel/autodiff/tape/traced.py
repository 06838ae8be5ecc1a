"""The traced array: an array of any library, at one differentiation level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

__all__ = ["Array", "Traced", "settle", "strip", "strip_level"]

Array = Any


class Traced:
    """An array that records what is done to it.

    A traced array wraps an array of a base library, or a traced array of an outer level, and
    belongs to one `level`. At a reverse level its slot is the index of the node that made it; at a
    forward level the slot is its tangent. Functions of a level see arrays of lower levels as
    constants: that is what keeps nested derivatives apart.

    Comparisons give plain boolean arrays, so that Python's `if` works on traced values. Writing
    in place and leaving the level (`float(x)`, `numpy.asarray(x)`) are refused: both would lose
    the derivative without a word.
    """

    __slots__ = ("_level", "_slot", "_value")

    # NumPy defers to the operators of types with a higher priority that it does not know.
    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: Array, level: Any, slot: Any) -> None:
        self._value = value
        self._level = level
        self._slot = slot

    # -- what an array is ------------------------------------------------------------------

    @property
    def dtype(self) -> Any:
        """Data type."""
        return self._value.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape."""
        return self._value.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._value.shape)

    @property
    def size(self) -> int:
        """Number of entries."""
        total = 1
        for n in self._value.shape:
            total *= n
        return total

    @property
    def device(self) -> Any:
        """Device of the data."""
        return self._level.space.device(strip(self))

    @property
    def T(self) -> Traced:
        """Transpose of a matrix; over NumPy all axes reversed."""
        axes = tuple(reversed(range(self.ndim)))
        if self.ndim == 2 or self._level.space.numpy_like:
            return self._level.space.permute_dims(self, axes)  # type: ignore[no-any-return]
        raise ValueError(f"`x` must have 2 axes for x.T; got {self.ndim}")

    @property
    def mT(self) -> Traced:
        """Transpose of the last two axes."""
        return self._level.space.matrix_transpose(self)  # type: ignore[no-any-return]

    def to_device(self, device: Any, /, *, stream: Any = None) -> Traced:
        """Return the array itself, which must lie on `device` already."""
        if device != self.device:
            raise ValueError(
                f"`device` must be {self.device} (the tape moves no data); got {device}"
            )
        return self

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        return self._level.space

    def __fenchel_backend__(self) -> Any:
        from .backend import tape_backend

        return tape_backend(strip(self))

    # -- the methods of NumPy arrays; NumPy's protocols are installed by `numpy_protocol` ---------

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and self._level.space.numpy_like:
            from .numpy_methods import bind_method

            return bind_method(self, name)
        raise AttributeError(f"traced array has no attribute {name!r}")

    # -- what would lose the derivative -------------------------------------------------------

    def _refuse(self, what: str) -> NoReturn:
        raise TypeError(
            f"{what} of a traced array would lose its derivative; "
            "apply `stop_gradient` first if a constant is meant"
        )

    def __float__(self) -> float:
        if self._level.depth > 0:
            self._refuse("float()")
        return float(self._value)

    def __complex__(self) -> complex:
        if self._level.depth > 0:
            self._refuse("complex()")
        return complex(self._value)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        self._refuse("conversion to a NumPy array")

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise TypeError(
            "traced arrays cannot be written in place; build a new array "
            "(`where`, `concat`, `stack`) instead of assigning to `x[...]`"
        )

    # -- what has derivative zero: plain values ------------------------------------------------

    def __bool__(self) -> bool:
        return bool(strip(self))

    def __int__(self) -> int:
        return int(strip(self))

    def __index__(self) -> int:
        return strip(self).__index__()  # type: ignore[no-any-return]

    def __len__(self) -> int:
        if not self._value.shape:
            raise TypeError("len() of a 0-d array")
        return self._value.shape[0]  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[Traced]:
        if not self._value.shape:
            raise TypeError("iteration over a 0-d array")
        rest = (Ellipsis,) if len(self._value.shape) > 1 else ()
        return (self[(i, *rest)] for i in range(self._value.shape[0]))

    def __repr__(self) -> str:
        return f"Traced({self._value!r}, level={self._level.depth})"

    def __format__(self, spec: str) -> str:
        return format(strip(self), spec)

    def __getitem__(self, key: Any) -> Any:
        return self._level.space.getitem(self, key)


def strip(x: Any) -> Any:
    """Return the plain array under every level of `x`; other objects as they are."""
    while type(x) is Traced:
        x = x._value
    return x


def settle(x: Any) -> Any:
    """Return a constant of the tape (see `levels.ConstantLevel`) plain, all else as it is."""
    return x._value if type(x) is Traced and x._level.depth == 0 else x


def strip_level(x: Any, level: Any) -> Any:
    """Return `x` without `level`, which must be the highest one that it carries."""
    return x._value if type(x) is Traced and x._level is level else x


def _binary(name: str) -> tuple[Any, Any]:
    def forward(self: Traced, other: Any) -> Any:
        return getattr(self._level.space, name)(self, other)

    def reflected(self: Traced, other: Any) -> Any:
        return getattr(self._level.space, name)(other, self)

    return forward, reflected


# The four rules of arithmetic are the hot path: written out, they save a `getattr` by string.
def _add(self: Traced, other: Any) -> Any:
    return self._level.space.add(self, other)


def _radd(self: Traced, other: Any) -> Any:
    return self._level.space.add(other, self)


def _mul(self: Traced, other: Any) -> Any:
    return self._level.space.multiply(self, other)


def _rmul(self: Traced, other: Any) -> Any:
    return self._level.space.multiply(other, self)


def _sub(self: Traced, other: Any) -> Any:
    return self._level.space.subtract(self, other)


def _rsub(self: Traced, other: Any) -> Any:
    return self._level.space.subtract(other, self)


def _truediv(self: Traced, other: Any) -> Any:
    return self._level.space.divide(self, other)


def _rtruediv(self: Traced, other: Any) -> Any:
    return self._level.space.divide(other, self)


def _divmod(self: Traced, other: Any) -> Any:
    space = self._level.space
    return space.floor_divide(self, other), space.remainder(self, other)


_OPERATORS = {
    "pow": "pow",
    "matmul": "matmul",
    "mod": "remainder",
    "floordiv": "floor_divide",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}
_COMPARISONS = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}
_UNARY = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}


def _install_operators() -> None:
    written = {
        "add": (_add, _radd),
        "mul": (_mul, _rmul),
        "sub": (_sub, _rsub),
        "truediv": (_truediv, _rtruediv),
    }
    for stem, pair in {**written, **{s: _binary(n) for s, n in _OPERATORS.items()}}.items():
        setattr(Traced, f"__{stem}__", pair[0])
        setattr(Traced, f"__r{stem}__", pair[1])
    for stem, name in _COMPARISONS.items():
        setattr(Traced, f"__{stem}__", _binary(name)[0])
    for stem, name in _UNARY.items():
        setattr(Traced, f"__{stem}__", _unary(name))
    setattr(Traced, "__divmod__", _divmod)  # noqa: B010  (mypy reads it as the operator)


def _unary(name: str) -> Any:
    def operator(self: Traced) -> Any:
        return getattr(self._level.space, name)(self)

    return operator


_install_operators()
