"""Dataclasses as containers of their fields."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import optree

__all__ = ["follow_dataclasses", "register_dataclass"]

_Class = TypeVar("_Class", bound=type)
_Node = Callable[[type, tuple[str, ...], tuple[str, ...]], None]

# Nodes registered here are seen by every optree call, with or without a namespace.
_GLOBAL: Any = optree.registry.__GLOBAL_NAMESPACE
_LOCK = threading.Lock()
_REGISTERED: list[tuple[type, tuple[str, ...], tuple[str, ...]]] = []
_FOLLOWERS: list[_Node] = []


def register_dataclass(*, static: tuple[str, ...] = ()) -> Callable[[_Class], _Class]:
    """Class decorator: make a dataclass a container of its fields.

    Parameters
    ----------
    static
        Names of the fields that belong to the structure; the others hold arrays or containers.

    Returns
    -------
    callable
        The decorator; it returns the class.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @register_dataclass(static=("name",))
    ... @dataclass(frozen=True)
    ... class Point:
    ...     x: float
    ...     name: str
    >>> from fenchel import trees
    >>> trees.scale(2.0, Point(1.5, "p"))
    Point(x=3.0, name='p')
    """

    def register(cls: _Class) -> _Class:
        data = tuple(f.name for f in dataclasses.fields(cls) if f.name not in static)
        _register_with_optree(cls, data, static)
        with _LOCK:
            _REGISTERED.append((cls, data, static))
            followers = tuple(_FOLLOWERS)
        for follower in followers:
            follower(cls, data, static)
        return cls

    return register


def follow_dataclasses(follower: _Node) -> None:
    """Have `follower(cls, data, static)` told of every registered dataclass, past and future.

    Adapters of libraries with their own containers call this once.
    """
    with _LOCK:
        _FOLLOWERS.append(follower)
        known = tuple(_REGISTERED)
    for entry in known:
        follower(*entry)


def _register_with_optree(cls: type, data: tuple[str, ...], static: tuple[str, ...]) -> None:
    def flatten_node(node: Any) -> tuple[tuple[Any, ...], Any, tuple[str, ...]]:
        children = tuple(getattr(node, name) for name in data)
        return children, tuple(getattr(node, name) for name in static), data

    def unflatten_node(constants: Any, children: Any) -> Any:
        # Leaves may be placeholders, so the checks of __init__ are passed by.
        node: Any = object.__new__(cls)
        for name, value in zip((*data, *static), (*children, *constants), strict=True):
            object.__setattr__(node, name, value)
        return node

    register: Any = optree.register_pytree_node
    register(cls, flatten_node, unflatten_node, namespace=_GLOBAL)
