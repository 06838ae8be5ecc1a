"""Convex sets, projections and the optimisation problems they rest on."""

from .balls import (
    L1Ball,
    L2Ball,
    LInfBall,
    project_l1_ball,
    project_l2_ball,
    project_linf_ball,
)
from .birkhoff import (
    Birkhoff,
    project_birkhoff,
    project_kl_birkhoff,
)
from .box_section import (
    BoxSection,
    project_box_section,
)
from .boxes import (
    Box,
    Cube,
    project_box,
    project_cube,
)
from .cones import (
    SecondOrderCone,
    project_second_order_cone,
)
from .entropic import (
    project_kl_capped_simplex,
    project_kl_cube,
    project_kl_nonnegative,
    project_kl_order_simplex,
    project_kl_permutahedron,
    project_kl_simplex,
)
from .halfspaces import (
    Affine,
    Halfspace,
    project_affine,
    project_halfspace,
)
from .isotonic import (
    IsotonicInfo,
    isotonic_regression,
)
from .knapsack import (
    Knapsack,
    project_kl_knapsack,
    project_knapsack,
)
from .ordered import (
    OrderSimplex,
    Permutahedron,
    project_order_simplex,
    project_permutahedron,
)
from .orthants import (
    NonNegative,
    Reals,
    project_nonnegative,
)
from .plans import sinkhorn
from .semidefinite import (
    PSDCone,
    project_psd,
)
from .simplex import (
    CappedSimplex,
    Simplex,
    project_capped_simplex,
    project_simplex,
)
from .sparse_plan import SparsePlan, sparse_plan
from .transport import (
    Transport,
    project_kl_transport,
    project_transport,
)

__all__ = [
    "Affine",
    "Birkhoff",
    "Box",
    "BoxSection",
    "CappedSimplex",
    "Cube",
    "Halfspace",
    "IsotonicInfo",
    "Knapsack",
    "L1Ball",
    "L2Ball",
    "LInfBall",
    "NonNegative",
    "OrderSimplex",
    "PSDCone",
    "Permutahedron",
    "Reals",
    "SecondOrderCone",
    "Simplex",
    "SparsePlan",
    "Transport",
    "isotonic_regression",
    "project_affine",
    "project_birkhoff",
    "project_box",
    "project_box_section",
    "project_capped_simplex",
    "project_cube",
    "project_halfspace",
    "project_kl_birkhoff",
    "project_kl_capped_simplex",
    "project_kl_cube",
    "project_kl_knapsack",
    "project_kl_nonnegative",
    "project_kl_order_simplex",
    "project_kl_permutahedron",
    "project_kl_simplex",
    "project_kl_transport",
    "project_knapsack",
    "project_l1_ball",
    "project_l2_ball",
    "project_linf_ball",
    "project_nonnegative",
    "project_order_simplex",
    "project_permutahedron",
    "project_psd",
    "project_second_order_cone",
    "project_simplex",
    "project_transport",
    "sinkhorn",
    "sparse_plan",
]
