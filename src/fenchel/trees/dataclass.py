"""Dataclasses as containers of their fields."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import optree

from ..backend import load_imported

__all__ = ["follow_dataclasses", "register_dataclass"]

_Class = TypeVar("_Class", bound=type)
# Told of a class, of node -> (children, constants), and of (constants, children) -> node.
_Follower = Callable[[type, Callable[[Any], Any], Callable[[Any, Any], Any]], Any]

# Nodes registered here are seen by every optree call, with or without a namespace.
_GLOBAL: Any = optree.registry.__GLOBAL_NAMESPACE
_LOCK = threading.Lock()
_REGISTERED: list[tuple[Any, ...]] = []
_FOLLOWERS: list[_Follower] = []


def register_dataclass(*, static: tuple[str, ...] = ()) -> Callable[[_Class], _Class]:
    """Class decorator: make a dataclass a container of its fields, in every library.

    Parameters
    ----------
    static
        Names of the fields that belong to the structure; the others hold arrays or containers.

    Returns
    -------
    callable
        The decorator; it returns the class.

    Notes
    -----
    A container is rebuilt without `__init__` and its checks, as its leaves may be placeholders.
    A library with containers of its own knows those of `fenchel` from the first that is made after
    its import, or the first of its arrays that `fenchel` sees.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from fenchel import trees
    >>> @register_dataclass(static=("name",))
    ... @dataclass(frozen=True)
    ... class Point:
    ...     x: float
    ...     name: str
    >>> trees.scale(2.0, Point(1.5, "p"))
    Point(x=3.0, name='p')
    """

    def register(cls: _Class) -> _Class:
        data = tuple(f.name for f in dataclasses.fields(cls) if f.name not in static)

        def flatten(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
            children = tuple(getattr(node, name) for name in data)
            return children, tuple(getattr(node, name) for name in static)

        def unflatten(constants: Any, children: Any) -> Any:
            node: Any = object.__new__(cls)
            for name, value in zip((*data, *static), (*children, *constants), strict=True):
                object.__setattr__(node, name, value)
            return node

        register_node: Any = optree.register_pytree_node
        register_node(cls, lambda node: (*flatten(node), data), unflatten, namespace=_GLOBAL)
        with _LOCK:
            _REGISTERED.append((cls, flatten, unflatten))
            followers = tuple(_FOLLOWERS)
        for follower in followers:
            follower(cls, flatten, unflatten)
        _tell_when_made(cls)
        return cls

    return register


def _tell_when_made(cls: type) -> None:
    """Have the libraries that are imported know of the containers before one can be given."""
    made: Any = cls.__init__  # type: ignore[misc]

    @wraps(made)
    def __init__(self: Any, *args: Any, **options: Any) -> None:
        load_imported()
        made(self, *args, **options)

    setattr(cls, "__init__", __init__)  # noqa: B010 - mypy forbids to assign a method


def follow_dataclasses(follower: _Follower) -> None:
    """Have a function told of every registered dataclass, past and future.

    Parameters
    ----------
    follower
        Function of the class, of `node -> (children, constants)` and of
        `(constants, children) -> node`. Adapters of libraries with containers of their own give
        one, once.

    Examples
    --------
    >>> seen = []
    >>> follow_dataclasses(lambda cls, flatten, unflatten, seen=seen: seen.append(cls))
    """
    with _LOCK:
        _FOLLOWERS.append(follower)
        known = tuple(_REGISTERED)
    for entry in known:
        follower(*entry)
