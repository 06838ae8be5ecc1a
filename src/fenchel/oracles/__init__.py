"""Direction oracles: Gauss-Newton and prox-linear steps, solved in the dual, for any convex loss.

An oracle has ``direction(params, inputs, targets, weights=None) -> (direction, info)`` and is the
same on every library, eagerly and under jit. Every name is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from ._info import OracleInfo
    from ._linearization import check_linearization
    from .gauss_newton import GaussNewton
    from .gradient import GradientOracle, as_gradient, gradient_oracle
    from .operators import linear_operators
    from .prox_linear import ProxLinear
    from .updates import ArmijoStep, GammaSearch, LevenbergMarquardt, UnitStep, UpdateInfo

_HOME = {
    "_info": ("OracleInfo",),
    "_linearization": ("check_linearization",),
    "gauss_newton": ("GaussNewton",),
    "gradient": ("GradientOracle", "as_gradient", "gradient_oracle"),
    "operators": ("linear_operators",),
    "prox_linear": ("ProxLinear",),
    "updates": ("ArmijoStep", "GammaSearch", "LevenbergMarquardt", "UnitStep", "UpdateInfo"),
}

__all__ = [
    "ArmijoStep",
    "GammaSearch",
    "GaussNewton",
    "GradientOracle",
    "LevenbergMarquardt",
    "OracleInfo",
    "ProxLinear",
    "UnitStep",
    "UpdateInfo",
    "as_gradient",
    "check_linearization",
    "gradient_oracle",
    "linear_operators",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
