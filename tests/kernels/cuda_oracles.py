"""References for the CUDA kernels that share no code and no algorithm with them."""

import numpy as np
from scipy.special import logsumexp


def bisect(f, low, high, steps=200):
    """Root of a decreasing function, by halving alone."""
    for _ in range(steps):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if f(middle) > 0 else (low, middle)
    return 0.5 * (low + high)


def mask(x, tau, width, q):
    """Soft top-k mask at a threshold."""
    if tau == np.inf:
        return np.zeros(x.shape)
    return np.clip((x.astype(np.float64) - tau) / width, 0, 1) ** (q - 1)


def mask_at_k(x, k, width, q):
    """Soft top-k mask, its threshold found by halving."""
    finite = x[np.isfinite(x)].astype(np.float64)
    tau = bisect(lambda t: mask(x, t, width, q).sum() - k, finite.min() - width, finite.max())
    return mask(x, tau, width, q)


def magnitude_share(s, theta, width, p):
    """Share of the budget that each magnitude takes at a dual threshold theta > 0."""
    q = p / (p - 1)
    u = np.maximum(s.astype(np.float64) - theta, 0) / width
    return np.minimum(1, u ** (q - 1) / theta)


def magnitude_theta(s, k, width, p):
    """Dual threshold by halving on the logarithmic scale; 0 < k < number of nonzeros.

    Hard rows are known in closed form, where halving would stop a root of the rounding too early.
    """
    order = np.sort(s.astype(np.float64))[::-1]
    if k == int(k) and order[k - 1] >= order[k] + width * order[k] ** (p - 1):
        return order[k]
    f = lambda log: magnitude_share(s, np.exp(log), width, p).sum() - k
    return np.exp(bisect(f, -60.0, np.log(s.max())))


def magnitude(x, theta, width, p, debias):
    """Soft top-k in magnitude at a dual threshold."""
    q, s = p / (p - 1), np.abs(x.astype(np.float64))
    if theta == np.inf:
        return np.zeros(x.shape)
    v = np.array([saturated(value, width, p) for value in s])
    v = np.where(s >= theta + width * theta ** (p - 1), v, np.minimum(s, theta))
    y = (np.maximum(s - v, 0) / width) ** (q - 1)
    return np.sign(x) * np.where(y > 0, y + (s - v if debias else 0), 0)


def saturated(s, width, p):
    """The v with ((s - v) / width)^(q - 1) = v, by halving."""
    return bisect(lambda v: (s - v) / width - v ** (p - 1), 0.0, s)


def exp_alpha(z, alpha):
    """Deformed exponential."""
    if alpha == 1:
        return np.exp(z)
    return np.maximum(0, 1 + (alpha - 1) * z) ** (1 / (alpha - 1))


def entmax_t(x, alpha):
    """Threshold of alpha-entmax by halving."""
    x = x.astype(np.float64)
    if alpha == 1:
        return logsumexp(x)
    high = x.max() + 1 / (alpha - 1)
    return bisect(lambda t: exp_alpha(x - t, alpha).sum() - 1, x.max() - 1e-9, high)


def normmax_tau(x, alpha):
    """Threshold of normmax by halving."""
    x, e = x.astype(np.float64), alpha / (alpha - 1)
    return bisect(lambda t: (np.maximum(x - t, 0) ** e).sum() - 1, x.max() - 1, x.max())


def min_max_fit(n, value, increasing=True):
    """Isotonic fit from the values of all ranges: v_i = max over a<=i of min over b>=i."""
    table = np.full((n, n), np.nan)
    for a in range(n):
        for b in range(a, n):
            table[a, b] = value(a, b)
    inner, outer = (np.min, np.max) if increasing else (np.max, np.min)
    return np.array([outer([inner(table[a, i:]) for a in range(i + 1)]) for i in range(n)])


def pnorm_value(y, weights, p):
    """Minimiser of sum weights |y - v|^p, by halving."""
    f = lambda v: (weights * np.sign(y - v) * np.abs(y - v) ** (p - 1)).sum()
    return bisect(f, y.min(), y.max())


def block_mean(values, blocks):
    """Each entry replaced by the mean of the entries with its block id."""
    out = np.empty(values.shape)
    for r, row in enumerate(blocks):
        for name in np.unique(row):
            out[r, row == name] = values[r, row == name].astype(np.float64).mean()
    return out


def well_formed(blocks):
    """Each id is the first index of a run, and every entry of the run carries it."""
    places = np.arange(blocks.shape[-1])
    opens = np.concatenate([np.ones((*blocks.shape[:-1], 1), bool), np.diff(blocks) != 0], -1)
    return np.array_equal(blocks, np.maximum.accumulate(np.where(opens, places, 0), -1))


def numerical_vjp(f, x, g, step=1e-6):
    """Pullback of a function of one row by central differences."""
    out = np.empty(x.shape)
    for i in range(x.size):
        d = np.zeros(x.shape)
        d[i] = step
        out[i] = g @ (f(x + d) - f(x - d)) / (2 * step)
    return out
