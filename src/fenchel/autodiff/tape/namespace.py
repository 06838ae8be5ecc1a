"""The tape's array namespace over a base namespace, and the plain one that rules use."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import array_api_compat

from .fitting import like_tuple
from .levels import ConstantLevel
from .traced import Array, Traced, strip

__all__ = ["TapeNamespace", "is_array", "namespace_over", "space_of"]

_SPACES: dict[Any, TapeNamespace] = {}
_SPACE_OF_TYPE: dict[type, TapeNamespace] = {}
_LOCK = Lock()


def namespace_over(base: Any) -> TapeNamespace:
    """Return the tape namespace over an array namespace, one for each base."""
    found = _SPACES.get(base)
    if found is None:
        with _LOCK:
            found = _SPACES.setdefault(base, TapeNamespace(base))
    return found


def space_of(x: Array) -> TapeNamespace:
    """Return the tape namespace for an array, traced or plain."""
    if type(x) is Traced:
        return x._level.space  # type: ignore[no-any-return]
    found = _SPACE_OF_TYPE.get(type(x))
    if found is not None:
        return found
    try:
        found = namespace_over(array_api_compat.array_namespace(x))
    except TypeError:
        raise TypeError(
            "differentiation needs floating arrays of a library with an array namespace; "
            f"got {type(x).__qualname__}"
        ) from None
    _SPACE_OF_TYPE[type(x)] = found
    return found


def is_array(x: Any) -> bool:
    """Whether `x` is an array, traced or plain."""
    return (
        type(x) is Traced or type(x) in _SPACE_OF_TYPE or bool(array_api_compat.is_array_api_obj(x))
    )


class PlainNamespace:
    """The base namespace with what rules need beyond the standard (gather, scatter, ...)."""

    def __init__(self, space: TapeNamespace, base: Any) -> None:
        self.space = space
        self.base = base

    def __getattr__(self, name: str) -> Any:
        from .table import EXTRAS

        extra = EXTRAS.get(name)
        value = extra(self) if extra is not None else getattr(self.base, name)
        self.__dict__[name] = value
        return value

    def device(self, x: Array) -> Any:
        """Device of an array."""
        return array_api_compat.device(x)


class TapeNamespace:
    """The array API over traced arrays of one base namespace.

    Functions are bound to their rules when they are first asked for; what has no rule (data types,
    constants, `finfo`) is the base namespace's own.
    """

    def __init__(self, base: Any) -> None:
        self.base = base
        self.space = self
        self.plain = PlainNamespace(self, base)
        self.numpy_like = array_api_compat.is_numpy_namespace(
            base
        ) or array_api_compat.is_cupy_namespace(base)
        self.constant = ConstantLevel(self)
        self.accepted: set[type] = {bool, int, float, complex, type(None)}

    def __getattr__(self, name: str) -> Any:
        from .table import EXTENSIONS

        if name in EXTENSIONS:
            value: Any = _Extension(self, name)
        else:
            value = bind(self, name, self.plain)
        self.__dict__[name] = value
        return value

    def __dir__(self) -> list[str]:
        return sorted(name for name in dir(self.base) if not name.startswith("_"))

    def __repr__(self) -> str:
        return f"<tape namespace over {getattr(self.base, '__name__', self.base)!r}>"

    def __reduce__(self) -> Any:
        return namespace_over, (self.base,)

    def device(self, x: Array) -> Any:
        """Device of an array, traced or plain."""
        return array_api_compat.device(strip(x))

    # -- constants ---------------------------------------------------------------------------------

    def constant_of(self, x: Any) -> Any:
        """Return what a trace sees of a constant (see `ConstantLevel`): plain over NumPy."""
        if self.numpy_like or type(x) is Traced:
            return x
        if isinstance(x, tuple):
            return like_tuple(x, map(self.constant_of, x))
        return Traced(x, self.constant, None) if is_array(x) else x

    # -- one library only ----------------------------------------------------------------------

    def accept(self, x: Any) -> Any:
        """Return `x` if it is traced here, an array of the base library or a number."""
        if type(x) is Traced:
            self.check_same(x)
        elif type(x) not in self.accepted:
            if array_api_compat.is_array_api_obj(x):
                self.refuse_foreign(x)
                self.accepted.add(type(x))
            elif self.numpy_like and isinstance(x, list | tuple):
                return self.asarray(x)
            else:
                raise TypeError(
                    f"expected an array of {self.library} or a number; got {type(x).__qualname__}"
                )
        return x

    def as_array(self, x: Any) -> Array:
        """Return `x` as an array: arrays as they are, numbers and lists converted."""
        return x if hasattr(x, "shape") else self.asarray(x)

    def refuse_foreign(self, x: Any) -> None:
        """Raise TypeError if `x` is an array of another library; NumPy's data types are none."""
        if not isinstance(x, type) and array_api_compat.is_array_api_obj(x):
            base = array_api_compat.array_namespace(x)
            if base is not self.base and not isinstance(base, TapeNamespace):
                raise TypeError(
                    "arrays must belong to one library; "
                    f"got both {self.library} and {type(x).__module__}.{type(x).__qualname__}"
                )

    def check_same(self, x: Traced) -> None:
        """Raise TypeError if the traced `x` wraps an array of another library."""
        if x._level.space is not self:
            raise TypeError(
                "arrays must belong to one library; "
                f"got traced arrays of both {self.library} and {x._level.space.library}"
            )

    @property
    def library(self) -> str:
        """Name of the base library."""
        name = str(getattr(self.base, "__name__", type(self.base).__name__))
        return name.removeprefix("array_api_compat.")


class _Extension:
    """The `linalg` or `fft` part of a tape namespace."""

    def __init__(self, space: TapeNamespace, name: str) -> None:
        self.space = space
        self.prefix = f"{name}."
        self.plain = getattr(space.base, name)

    def __getattr__(self, name: str) -> Any:
        value = bind(self.space, self.prefix + name, self.plain)
        self.__dict__[name] = value
        return value


def bind(space: TapeNamespace, full_name: str, plain: Any) -> Callable[..., Any]:
    """Return the operation of a rule, or what the base has under that name."""
    from .table import find_rule

    name = full_name.rpartition(".")[2]
    rule = find_rule(full_name)
    if rule is None:
        return getattr(plain, name)  # type: ignore[no-any-return]
    if not rule.name:
        rule.name = full_name
    return rule.bind(space, getattr(plain, name))
