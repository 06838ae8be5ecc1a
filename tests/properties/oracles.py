"""Independent routes to the same numbers: enumeration of supports, bisection, plain definitions."""

from itertools import product

import numpy as np
from scipy.optimize import brentq


def mask_by_supports(x, k, strength):
    """Return the p = 2 mask by trying every split into off, free and saturated entries.

    On a split the solution is (x - tau)/l with tau from the budget; the best feasible one wins.
    """
    best, answer = -np.inf, None
    for split in product((0, 1, 2), repeat=len(x)):
        free, full = np.equal(split, 1), np.equal(split, 2)
        y = full.astype(float)
        if free.any():
            tau = (x[free].sum() - strength * (k - full.sum())) / free.sum()
            y[free] = (x[free] - tau) / strength
        feasible = abs(y.sum() - k) < 1e-9 and (y > -1e-9).all() and (y < 1 + 1e-9).all()
        value = x @ y - strength / 2 * (y**2).sum()
        if feasible and value > best:
            best, answer = value, y
    return answer


def mask_by_bisection(x, k, strength, p):
    """Return the mask of one finite row, 0 < k < n, by a bracketing root finder."""
    q = p / (p - 1)

    def share(tau):
        return np.clip((x - tau) / strength, 0, 1) ** (q - 1)

    tau = brentq(
        lambda t: share(t).sum() - k, x.min() - 2 * strength, x.max() + strength, xtol=1e-14
    )
    return share(tau)


def magnitude_objective(u, x, k, strength, p):
    """R*(x - u) plus half the sum of the k largest squares of u: least at the dual point."""
    q = p / (p - 1)
    penalty = (np.abs(x - u) ** q).sum() / (q * strength ** (q - 1))
    return penalty + (np.sort(u**2)[::-1][:k]).sum() / 2


def entmax_by_bisection(x, alpha):
    """Return entmax of one finite row by a bracketing root finder on its threshold."""
    if alpha == 1:
        weights = np.exp(x - x.max())
        return weights / weights.sum()
    z = (alpha - 1) * x

    def power(tau):
        return np.maximum(z - tau, 0) ** (1 / (alpha - 1))

    tau = brentq(lambda t: power(t).sum() - 1, z.max() - 1, z.max(), xtol=1e-15)
    return power(tau)


def normmax_by_bisection(x, alpha):
    """Return normmax of one finite row by a bracketing root finder on its threshold."""

    def root(tau):
        return np.maximum(x - tau, 0) ** (1 / (alpha - 1))

    tau = brentq(lambda t: (root(t) ** alpha).sum() - 1, x.max() - 1, x.max(), xtol=1e-15)
    return root(tau) / root(tau).sum()


def tsallis(p, alpha):
    """Tsallis' negative entropy of a probability vector."""
    if alpha == 1:
        return float(np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0)))
    return float(((p**alpha).sum() - p.sum()) / (alpha * (alpha - 1)))
