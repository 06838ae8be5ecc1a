"""Containers of arrays as vectors: map, dot, norm, axpy.

A container is any nesting of tuples, lists, dicts, named tuples and registered dataclasses; an
array alone is a container too. Containers of JAX arrays are flattened by JAX itself, so that its
registered node types are known here as well.
"""

from .algebra import add, axpy, dot, norm, scale, sub, zeros_like
from .dataclass import follow_dataclasses, register_dataclass
from .structure import (
    backend_of_tree,
    find_backend,
    flatten,
    is_array,
    leaves,
    map,
    size,
    unflatten,
)

__all__ = [
    "add",
    "axpy",
    "backend_of_tree",
    "dot",
    "find_backend",
    "flatten",
    "follow_dataclasses",
    "is_array",
    "leaves",
    "map",
    "norm",
    "register_dataclass",
    "scale",
    "size",
    "sub",
    "unflatten",
    "zeros_like",
]
