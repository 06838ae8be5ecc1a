"""Learning-rate tuners, and the sharpness that they live with.

A tuner is a frozen dataclass with ``init(params) -> state`` and
``step(objective, params, state, *data) -> (params, state, info)``: pure, and the same eagerly, in
jit and under vmap, on every library. Every name is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .armijo import Armijo
    from .bases import Adam, GradientDescent, Momentum, RMSProp
    from .cdat import CDAT
    from .comparison import compare
    from .constant import Constant
    from .density import spectral_density
    from .dynamics import SharpeningLoss, joint_dynamics
    from .edge import edge_of_stability, edge_ratio, preconditioner_of
    from .eigenvalue import sharpness
    from .greedy import QuadraticGreedy
    from .guard import NonMonotone
    from .hypergradient import Hypergradient
    from .info import Flags, Info
    from .polyak import Polyak
    from .rule import Averages, cdat_rule
    from .schedules import inverse_sqrt, warmup_constant, warmup_cosine, warmup_stable_decay
    from .trace import hessian_trace
    from .wolfe import StrongWolfe

_HOME = {
    "armijo": ("Armijo",),
    "bases": ("Adam", "GradientDescent", "Momentum", "RMSProp"),
    "cdat": ("CDAT",),
    "comparison": ("compare",),
    "constant": ("Constant",),
    "density": ("spectral_density",),
    "dynamics": ("SharpeningLoss", "joint_dynamics"),
    "edge": ("edge_of_stability", "edge_ratio", "preconditioner_of"),
    "eigenvalue": ("sharpness",),
    "greedy": ("QuadraticGreedy",),
    "guard": ("NonMonotone",),
    "hypergradient": ("Hypergradient",),
    "info": ("Flags", "Info"),
    "polyak": ("Polyak",),
    "rule": ("Averages", "cdat_rule"),
    "schedules": ("inverse_sqrt", "warmup_constant", "warmup_cosine", "warmup_stable_decay"),
    "trace": ("hessian_trace",),
    "wolfe": ("StrongWolfe",),
}

__all__ = [
    "CDAT",
    "Adam",
    "Armijo",
    "Averages",
    "Constant",
    "Flags",
    "GradientDescent",
    "Hypergradient",
    "Info",
    "Momentum",
    "NonMonotone",
    "Polyak",
    "QuadraticGreedy",
    "RMSProp",
    "SharpeningLoss",
    "StrongWolfe",
    "cdat_rule",
    "compare",
    "edge_of_stability",
    "edge_ratio",
    "hessian_trace",
    "inverse_sqrt",
    "joint_dynamics",
    "preconditioner_of",
    "sharpness",
    "spectral_density",
    "warmup_constant",
    "warmup_cosine",
    "warmup_stable_decay",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
