"""Derivatives for array libraries that have none: an array namespace that wraps any other.

`vjp`, `jvp`, `linearize` and `value_and_grad` run a function on traced arrays. A traced array
behaves like an array of its library: `array_api_compat.array_namespace` finds the tape's namespace
by it, its operators record, and over NumPy unmodified NumPy code differentiates. Levels nest to any
order. This is the engine; users call `fenchel.autodiff`, which picks the library's own
derivatives where it has them.
"""

from . import numpy_protocol
from .backend import TapeBackend
from .batching import vmap
from .namespace import TapeNamespace, namespace_over
from .recompute import checkpoint
from .traced import Traced
from .transforms import jvp, linearize, stop_gradient, value_and_grad, vjp

__all__ = [
    "TapeBackend",
    "TapeNamespace",
    "Traced",
    "checkpoint",
    "jvp",
    "linearize",
    "namespace_over",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]

numpy_protocol.install()
