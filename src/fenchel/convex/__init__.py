"""Convex sets, projections and the optimisation problems they rest on."""

from .isotonic import IsotonicInfo, isotonic_regression

__all__ = ["IsotonicInfo", "isotonic_regression"]
