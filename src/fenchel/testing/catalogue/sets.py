"""Projections on balls, half-spaces, cones, sections, and the entropic ones."""

from __future__ import annotations

from typing import Any

from ..operator import Operator
from ..samples import Draw, normal, rows, sample, share, uniform

__all__ = ["ENTRIES"]


def _of(
    function: str,
    variant: str,
    *more: Draw,
    x: Draw | None = None,
    keywords: tuple[str, ...] = (),
    seeds: tuple[int, int] = (0, 1),
    tolerance: float = 1.0,
    order: int = 3,
    **options: Any,
) -> Operator:
    draws = (normal(2, 6) if x is None else x, *more)
    return Operator(
        f"{function}({variant})" if variant else function,
        f"fenchel.convex:{function}",
        sample(*draws),
        keywords=keywords,
        options=options,
        seeds=seeds,
        tolerance=tolerance,
        order=order,
        differentiable=tuple(range(len(draws))),
    )


def _repeated(rng: Any) -> Any:
    """Symmetric matrices with eigenvalues 1, 1, -1, -1 and 2, 2, 2, -1, in random bases."""
    import numpy as np

    bases = np.linalg.qr(rng.standard_normal((2, 4, 4)))[0]
    values = np.asarray([[1.0, 1.0, -1.0, -1.0], [2.0, 2.0, 2.0, -1.0]])
    return bases * values[:, None, :] @ np.swapaxes(bases, -1, -2)


ENTRIES = (
    _of("project_nonnegative", ""),
    _of("project_l1_ball", "radius=array", rows(0.6, 2.0)),
    _of("project_l2_ball", "radius=array", rows(0.6, 9.0)),
    _of("project_linf_ball", "radius=array", rows(0.6, 0.3), seeds=(1, 2)),
    _of("project_halfspace", "offset=array", normal(6), rows(-9.0, 0.3)),
    _of("project_affine", "", normal(2, 6), normal(2)),
    _of("project_affine", "axis=0", normal(1, 2), normal(1), axis=0),
    _of("project_second_order_cone", ""),
    _of("project_psd", "", x=normal(2, 3, 3)),
    _of("project_psd", "equal eigenvalues", x=_repeated),
    _of(
        "project_box_section",
        "",
        uniform(-0.6, -0.3, 2, 6),
        uniform(0.3, 0.6, 2, 6),
        normal(6),
        rows(0.2, -0.1),
    ),
    _of("project_knapsack", "", uniform(0.2, 1.0, 6), rows(0.5, 9.0)),
    _of("project_kl_nonnegative", ""),
    _of("project_kl_cube", ""),
    _of("project_kl_simplex", "radius=array", rows(0.6, 2.0), keywords=("radius",)),
    _of("project_kl_capped_simplex", "k=array", rows(1.6, 2.3)),
    _of("project_kl_knapsack", "", uniform(0.2, 1.0, 6), rows(0.5, 9.0)),
    _of("project_kl_order_simplex", ""),
    _of("project_kl_permutahedron", "", share(6, total=4.0)),
)
