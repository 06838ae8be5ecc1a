"""Convex sets, projections and the optimisation problems they rest on."""

from .boxes import Box, Cube, project_box, project_cube
from .isotonic import IsotonicInfo, isotonic_regression
from .ordered import OrderSimplex, Permutahedron, project_order_simplex, project_permutahedron
from .simplex import CappedSimplex, Simplex, project_capped_simplex, project_simplex

__all__ = [
    "Box",
    "CappedSimplex",
    "Cube",
    "IsotonicInfo",
    "OrderSimplex",
    "Permutahedron",
    "Simplex",
    "isotonic_regression",
    "project_box",
    "project_capped_simplex",
    "project_cube",
    "project_order_simplex",
    "project_permutahedron",
    "project_simplex",
]
