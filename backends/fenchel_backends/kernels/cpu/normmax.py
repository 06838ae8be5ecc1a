"""Normmax threshold: root tau of ``||(x - tau)_+||_c = 1`` with ``c = alpha / (alpha - 1)``.

With ``r_i = (x_i - tau)_+^(1/(alpha-1))`` the operator is ``r / sum r``, where ``sum r^alpha = 1``.
The norm is convex and falling in tau, so that Newton from ``max x - 1`` rises to the root.
"""

import numpy as np

from .entmax import norm_root
from .extrema import extrema
from .jit import Rows, compiled, own
from .survivors import survivors

__all__ = ["normmax_threshold"]


@compiled
def _row_threshold(x: Rows, alpha: float) -> float:
    low, high = extrema(x)
    if np.isnan(low) or np.isnan(high) or np.isnan(alpha):
        return np.nan
    if high == -np.inf or high == np.inf:
        return -high
    if alpha <= 1.0:
        # c is infinite: the largest entry alone has norm 1
        return high - 1.0
    c = 1.0 if alpha == np.inf else alpha / (alpha - 1.0)
    return high + norm_root(survivors(x, high, 1.0), c)


@compiled
def normmax_threshold(x: Rows, params: Rows, threshold: Rows) -> None:
    """Threshold of each row; params: alpha."""
    for r in range(x.shape[0]):
        threshold[r] = _row_threshold(x[r], own(params, r, 0))
