"""Fake CUDA tensors where torch is built without CUDA.

Every operator works on them but Python's own indexing and inversion, which ask for a guard of the
real device. They are done here by the operators that they stand for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

__all__ = ["fake_tensors"]


@contextmanager
def fake_tensors() -> Iterator[None]:
    """Make new tensors fake: they have shape, dtype and device, but no data."""
    with FakeTensorMode(), _Indexing():
        yield


class _Indexing(TorchFunctionMode):
    """Replace indexing by slices, selections, new axes and fills, and ~ by its operator."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is torch.Tensor.__getitem__:
            return _indexed(*args)
        if function is torch.Tensor.__invert__:
            return torch.bitwise_not(*args)
        if function is torch.Tensor.__setitem__ and isinstance(args[1], torch.Tensor):
            return args[0].masked_fill_(args[1], args[2])
        return function(*args, **(kwargs or {}))


def _indexed(x: Any, key: Any) -> Any:
    keys = list(key) if isinstance(key, tuple) else [key]
    taken = sum(item is not None and item is not Ellipsis for item in keys)
    if Ellipsis not in keys:
        keys.append(Ellipsis)
    place = keys.index(Ellipsis)
    keys[place : place + 1] = [slice(None)] * (x.ndim - taken)
    axis = 0
    for item in keys:
        x, axis = _step(x, axis, item)
    return x


def _step(x: Any, axis: int, item: Any) -> tuple[Any, int]:
    """Apply one part of an index; return the axis that the next one is about."""
    aten: Any = torch.ops.aten
    if item is None:
        return aten.unsqueeze(x, axis), axis + 1
    if isinstance(item, int):
        return aten.select(x, axis, item), axis
    if isinstance(item, slice):
        return (
            aten.slice(x, axis, item.start, item.stop, item.step or 1),
            axis + 1,
        )
    raise TypeError(f"fake tensors are indexed by slices, integers and None; got {item!r}")
