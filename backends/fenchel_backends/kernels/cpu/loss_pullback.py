"""Pullback of every loss: the gradient of a row times the cotangent of its loss."""

from .jit import Rows, compiled

__all__ = ["loss_rows_vjp"]


@compiled
def loss_rows_vjp(g: Rows, gradient: Rows, gx: Rows) -> None:
    """Scale the rows; a cotangent of 0 gives 0, also where the gradient is not finite."""
    for r in range(g.size):
        factor, source, target = g[r], gradient[r], gx[r]
        if factor == 0.0:
            target[:] = 0.0
            continue
        for i in range(source.size):
            target[i] = factor * source[i]
