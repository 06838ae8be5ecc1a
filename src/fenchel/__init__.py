"""Differentiable-programming building blocks over the Python array API standard.

Every name below is imported on first use: `import fenchel` loads no array library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import lazy_names

if TYPE_CHECKING:
    from . import (
        alignment,
        arrays,
        autodiff,
        convex,
        diffusion,
        incontext,
        integrations,
        loops,
        losses,
        operators,
        oracles,
        random,
        regularizers,
        routers,
        special,
        testing,
        trees,
        tuners,
    )
    from .autodiff import grad, hvp, jvp, stop_gradient, value_and_grad, vjp
    from .backend import backend_of, backends, namespace, register_backend
    from .convex import isotonic_regression
    from .kernels import use_kernels
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
    "backend": ("backend_of", "backends", "namespace", "register_backend"),
    "convex": ("isotonic_regression",),
    "kernels": ("use_kernels",),
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
_ROOMS = (
    "alignment",
    "arrays",
    "autodiff",
    "convex",
    "diffusion",
    "incontext",
    "integrations",
    "loops",
    "losses",
    "operators",
    "oracles",
    "random",
    "regularizers",
    "routers",
    "special",
    "testing",
    "trees",
    "tuners",
)

__all__ = [
    "alignment",
    "arrays",
    "autodiff",
    "backend_of",
    "backends",
    "convex",
    "diffusion",
    "entmax",
    "grad",
    "hvp",
    "incontext",
    "integrations",
    "isotonic_regression",
    "jvp",
    "loops",
    "losses",
    "namespace",
    "normmax",
    "operators",
    "oracles",
    "random",
    "register_backend",
    "regularizers",
    "routers",
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
    "tuners",
    "use_kernels",
    "value_and_grad",
    "vjp",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME, _ROOMS)
