"""Derivatives of any function of arrays, whatever the library.

The library's own derivatives are used where it has them, the tape (`fenchel.autodiff.tape`)
elsewhere; `method=` overrides. Every function takes containers of arrays.
"""

from .check import check_grads
from .checkpoint import checkpoint_chain
from .coloring import Coloring
from .curvature import fisher_vp, ggn_vp, hvp
from .estimators import Estimate, forward_gradient, hutchinson_diagonal, hutchinson_trace
from .forward import jvp, linearize
from .inverse import inverse_hvp
from .jacobian import hessian, jacobian
from .numeric import complex_step, finite_difference
from .reverse import grad, value_and_grad, vjp
from .reversible import reversible_chain
from .schedules import checkpoint_cost
from .sparse import sparse_jacobian
from .stencils import fd_weights
from .transforms import stop_gradient, vmap

__all__ = [
    "Coloring",
    "Estimate",
    "check_grads",
    "checkpoint_chain",
    "checkpoint_cost",
    "complex_step",
    "fd_weights",
    "finite_difference",
    "fisher_vp",
    "forward_gradient",
    "ggn_vp",
    "grad",
    "hessian",
    "hutchinson_diagonal",
    "hutchinson_trace",
    "hvp",
    "inverse_hvp",
    "jacobian",
    "jvp",
    "linearize",
    "reversible_chain",
    "sparse_jacobian",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]
