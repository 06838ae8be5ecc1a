"""Whether the values of a tensor can be looked at: not of traced, fake, meta or mapped ones."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["is_fake", "is_mapped", "is_traced"]

Array = Any

_PROXIES = torch._C._TorchDispatchModeKey.PROXY  # the mode of make_fx and torch.func.linearize


def is_traced(x: Array) -> bool:
    """Whether values are out of reach: compiling, mapping, or for fake and meta tensors."""
    if torch.compiler.is_compiling() or x.is_meta or is_fake(x) or is_mapped(x):
        return True
    return torch._C._get_dispatch_mode(_PROXIES) is not None


def is_mapped(x: Array) -> bool:
    """Whether `x` has an axis that `torch.func.vmap` maps over."""
    while torch._C._functorch.is_functorch_wrapped_tensor(x):
        if torch._C._functorch.is_batchedtensor(x):
            return True
        x = torch._C._functorch.get_unwrapped(x)
    return False


def is_fake(x: Array) -> bool:
    """Whether `x`, or what `torch.func` wraps in it, has no values at all."""
    from torch._subclasses.fake_tensor import FakeTensor

    while torch._C._functorch.is_functorch_wrapped_tensor(x):
        x = torch._C._functorch.get_unwrapped(x)
    return isinstance(x, FakeTensor)
