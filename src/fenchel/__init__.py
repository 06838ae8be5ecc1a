"""Differentiable-programming building blocks over the Python array API standard.

Every name below is imported on first use: `import fenchel` loads no array library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import (
        arrays,
        autodiff,
        convex,
        loops,
        operators,
        random,
        regularizers,
        special,
        testing,
        trees,
    )
    from .autodiff import grad, hvp, jvp, stop_gradient, value_and_grad, vjp
    from .backend import backend_of, backends, namespace, register_backend, use_kernels
    from .convex import isotonic_regression
    from .operators import (
        entmax,
        normmax,
        soft_rank,
        soft_sort,
        softmax,
        sparsemax,
        topk,
        topk_mask,
    )

__version__ = "0.1.0"

_HOME = {
    "autodiff": ("grad", "value_and_grad", "vjp", "jvp", "hvp", "stop_gradient"),
    "backend": ("backend_of", "backends", "namespace", "register_backend", "use_kernels"),
    "convex": ("isotonic_regression",),
    "operators": (
        "softmax",
        "sparsemax",
        "entmax",
        "normmax",
        "topk",
        "topk_mask",
        "soft_sort",
        "soft_rank",
    ),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
_ROOMS = (
    "arrays",
    "autodiff",
    "convex",
    "loops",
    "operators",
    "random",
    "regularizers",
    "special",
    "testing",
    "trees",
)

__all__ = [
    "arrays",
    "autodiff",
    "backend_of",
    "backends",
    "convex",
    "entmax",
    "grad",
    "hvp",
    "isotonic_regression",
    "jvp",
    "loops",
    "namespace",
    "normmax",
    "operators",
    "random",
    "register_backend",
    "regularizers",
    "soft_rank",
    "soft_sort",
    "softmax",
    "sparsemax",
    "special",
    "stop_gradient",
    "testing",
    "topk",
    "topk_mask",
    "trees",
    "use_kernels",
    "value_and_grad",
    "vjp",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    elif name in _ROOMS:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
