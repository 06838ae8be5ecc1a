"""Linear programs over plans: assignments and transport, solved on the host by SciPy."""

from __future__ import annotations

from typing import Any

from ..backend import Array
from .matrices import Matrices

__all__ = ["transport_vertex"]


def transport_vertex(given: Matrices, a: Array, b: Array) -> Array:
    """Return a plan that maximises <P, x>, as a constant; entries of -inf are used last.

    Equal marginals of one size make it an assignment problem, other ones a linear program.
    """
    backend = given.backend
    arrays = [backend.stop_gradient(value) for value in (given.x, a, b)]
    return backend.host_call(_vertices, arrays[0], *arrays)


def _vertices(x: Any, a: Any, b: Any) -> Any:
    """Solve each problem of a batch of NumPy arrays."""
    import numpy as np

    plans = np.zeros_like(x)
    for place in np.ndindex(x.shape[:-2]):
        plans[place] = _vertex(x[place], a[place], b[place])
    return plans


def _vertex(x: Any, a: Any, b: Any) -> Any:
    import numpy as np

    if np.isnan(x).any() or np.isposinf(x).any() or not np.isfinite([a.sum(), b.sum()]).all():
        return np.full_like(x, np.nan)
    out = np.isneginf(x)
    x, a, b = _penalised(x.astype(np.float64), out), np.float64(a), np.float64(b)
    total = b.sum()
    if total == 0 or a.sum() == 0:
        return np.zeros_like(x)
    b = b * (a.sum() / total)
    if len(a) == len(b) and np.all(a == a[0]) and np.all(b == a[0]):
        plan = a[0] * _assignment(x)
    else:
        plan = _linear_program(x, a, b)
    return np.where(out, 0.0, plan)


def _penalised(x: Any, out: Any) -> Any:
    """Return x with entries that are out so low that no other set of entries makes up for one."""
    import numpy as np

    inside = x[~out]
    if not inside.size:
        return np.zeros_like(x)
    spread = np.ptp(inside) + 1.0
    return np.where(out, inside.min() - sum(x.shape) * spread, x) - inside.max()


def _assignment(x: Any) -> Any:
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    plan = np.zeros_like(x)
    plan[linear_sum_assignment(x, maximize=True)] = 1.0
    return plan


def _linear_program(x: Any, a: Any, b: Any) -> Any:
    import numpy as np
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, kron, vstack

    n, m = x.shape
    rows = kron(eye_array(n), np.ones((1, m)))
    columns = kron(np.ones((1, n)), eye_array(m))
    # Mass is scaled to 1 and scores to 1: the tolerances of the solver are absolute. The last
    # column is what is left by the others.
    mass, size = a.sum(), max(np.abs(x).max(), 1e-300)
    solved = linprog(
        -x.ravel() / size,
        A_eq=vstack([rows, columns.tocsr()[:-1]]).tocsc(),
        b_eq=np.concatenate([a, b[:-1]]) / mass,
        method="highs-ds",
    )
    return _snapped(mass * np.where(solved.x > 1e-9, solved.x, 0.0).reshape(n, m), a, b)


def _snapped(plan: Any, a: Any, b: Any) -> Any:
    """Return the vertex with the support of a plan, its masses to the last digit.

    The support of a vertex is a forest: from its leaves inwards, each mass is what is left.
    """
    import numpy as np

    a, b = a.copy(), b.copy()
    open_edges, exact = plan > 0, np.zeros_like(plan)
    while open_edges.any():
        row_leaves, column_leaves = open_edges.sum(axis=1) == 1, open_edges.sum(axis=0) == 1
        leaves = np.argwhere(open_edges & (row_leaves[:, None] | column_leaves[None, :]))
        if not len(leaves):  # no forest, as rounding would have it: keep what the solver gave
            return plan
        i, j = leaves[0]
        exact[i, j] = max(a[i] if row_leaves[i] else b[j], 0.0)
        a[i], b[j], open_edges[i, j] = a[i] - exact[i, j], b[j] - exact[i, j], False
    return exact
