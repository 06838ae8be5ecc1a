"""The load loss of noisy routing: probabilities of being chosen, evened out over experts."""

from __future__ import annotations

from math import sqrt

from ..arrays import check_integer, check_number
from ..backend import Array
from ..special import erfc
from ._problem import Problem, noise_like
from ._token_means import mean_over_tokens, open_loss, or_zero, variation

__all__ = ["load_loss"]


def load_loss(
    logits: Array, /, *, k: int, noise: Array, scale: float, where: Array | None = None
) -> Array:
    r"""Return the squared coefficient of variation of the experts' expected load.

    :math:`\ell_e = \frac1n \sum_t \Pr[L_{te} + \varepsilon \ge \theta_t]`: how likely expert e is
    among the k best of token t, were the noise of that one logit drawn again. The bar
    :math:`\theta_t` is the k-th largest of the noisy logits.

    Parameters
    ----------
    logits : array (..., n, m)
        Scores of n tokens for m experts without noise, real floating; leading axes are groups.
    k : int
        Experts a token.
    noise : array
        What was added to the logits, broadcastable to them: the array that `route` was given.
    scale : float
        Standard deviation of the noise, above 0; 1 / m in V-MoE.
    where : boolean array (..., n), optional
        Tokens that take part.

    Returns
    -------
    array (...)
        One value a group, between 0 (balanced) and m - 1; 0 without tokens.

    Raises
    ------
    TypeError
        If an array is not floating or of another library, or `k` no integer.
    ValueError
        If shapes do not match, `k` is not in [0, m], or `scale` not above 0.

    Notes
    -----
    Tails of the normal law keep their relative accuracy. *Derivatives*: in the logits, also
    through the bar, to every order; in the noise too.

    References
    ----------
    C. Riquelme et al., "Scaling vision with sparse mixture of experts", 2021, arXiv 2106.05974.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import load_loss
    >>> logits = np.asarray([[1.0, 0.0], [1.0, 0.0]])
    >>> round(float(load_loss(logits, k=1, noise=np.zeros((2, 2)), scale=0.5)), 4)
    0.8335
    """
    scale = check_number("scale", scale, above=0.0)
    problem = open_loss(logits, where, noise)
    noise = noise_like(problem.backend, noise, problem.logits)
    k = check_integer("k", k, minimum=0, maximum=problem.n_experts)
    xp = problem.backend.namespace
    noise = xp.astype(noise, problem.logits.dtype)
    if 0 in (k, problem.n_tokens):
        return or_zero(problem, 0.0 * xp.sum(problem.softmax(), axis=(-2, -1)))
    out = problem.logits == float("-inf")
    finite = xp.where(out, xp.zeros_like(noise), problem.logits)
    bar = _bar(problem, xp.add(problem.logits, noise), k)
    missing = xp.divide(xp.subtract(bar, finite), scale)
    missing = xp.where(out, xp.full_like(missing, float("inf")), missing)
    load = mean_over_tokens(problem, 0.5 * erfc(missing / sqrt(2.0)))
    return or_zero(problem, variation(problem, load, xp.mean(load, axis=-1, keepdims=True)))


def _bar(problem: Problem, noisy: Array, k: int) -> Array:
    """Return the k-th largest noisy logit of each token, (..., n, 1); 0 for masked tokens."""
    backend = problem.backend
    xp = backend.namespace
    _, order = backend.top_k(backend.stop_gradient(noisy), k)
    places = xp.arange(problem.n_experts, device=backend.device_of(noisy))
    at = places == xp.astype(order[..., k - 1 : k], places.dtype)
    at = xp.logical_and(at, problem.routed[..., None])
    # A sum over one place: the threshold is a logit, and its derivative goes to that one.
    return xp.sum(xp.where(at, noisy, xp.zeros_like(noisy)), axis=-1, keepdims=True)
