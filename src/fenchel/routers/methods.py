"""Routers: from logits to assignments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import check_choice, dtype_name
from ..backend import Array, backend_of
from ..parameters import known_to
from ..random import normal
from ._options import Options, check_options
from ._problem import Problem, check_logits, noise_like, open_problem
from .balanced_assignment import balanced_assignment
from .bias_balanced import bias_balanced
from .expert_choice import softmax_expert_choice
from .plans import sinkhorn_expert_choice, sinkhorn_token_choice, sparse_expert_choice
from .relu import relu
from .routing import Routing
from .sparse_topk import sparse_topk
from .token_choice import batch_prioritized, softmax_token_choice

__all__ = ["route"]

_METHODS: dict[str, Callable[[Problem, Options], Routing]] = {
    "softmax_token_choice": softmax_token_choice,
    "sinkhorn_token_choice": sinkhorn_token_choice,
    "softmax_expert_choice": softmax_expert_choice,
    "sinkhorn_expert_choice": sinkhorn_expert_choice,
    "sparse_expert_choice": sparse_expert_choice,
    "sparse_topk": sparse_topk,
    "bias_balanced": bias_balanced,
    "relu": relu,
    "balanced_assignment": balanced_assignment,
    "batch_prioritized": batch_prioritized,
}


def route(
    logits: Array,
    /,
    *,
    method: str = "softmax_token_choice",
    k: int = 1,
    capacity: int | None = None,
    priority: str = "choice",
    weights: str | None = None,
    where: Array | None = None,
    rng: Any = None,
    noise: Array | None = None,
    temperature: Any = 1.0,
    max_iter: int = 20,
    solver: str = "adam",
    gradient: str = "none",
    bias: Array | None = None,
    n_group: int | None = None,
    topk_group: int | None = None,
    weight_scale: float = 1.0,
) -> Routing:
    """Route the tokens of each group to experts.

    Parameters
    ----------
    logits
        Real floating array of shape (..., n, m): n tokens, m experts, any leading axes of groups,
        which do not interact. Logits of -inf, and NaN, are never chosen; a token of only such
        logits counts as masked. Half precision is computed in float32.
    method
        Token choice (each token asks for experts, buffers fill up): "softmax_token_choice",
        "sinkhorn_token_choice", "batch_prioritized" (the surest tokens first), "bias_balanced"
        (largest sigmoid + bias), "sparse_topk" (support of the relaxed top-k mask), "relu"
        (positive logits), "balanced_assignment" (n / m tokens an expert, the best such assignment).
        Expert choice (each expert takes tokens): "softmax_expert_choice", "sinkhorn_expert_choice",
        "sparse_expert_choice" (the sparsity-constrained plan).
    k
        Experts of a token, in [0, m]. "relu" does not look at it; "balanced_assignment" takes 1.
    capacity
        Rows of a buffer, C. By default no choice is dropped: C = n, and n / m rounded up for
        "balanced_assignment". For expert choice the tokens an expert takes, at most n; by default
        n k / m rounded up.
    priority
        Who fills buffers first: "choice", the first choices of all tokens, then the second ones;
        or "token", all choices of a token before those of the next.
    weights
        Combine weights: "softmax" (probabilities), "renormalized" (divided by their sum over the
        chosen experts), "plan" (of the transport plan, or the relaxed mask), "sigmoid" (of the
        logits). By default softmax; for "bias_balanced" sigmoids divided by their sum; for "relu"
        the positive logits; for "balanced_assignment" sigmoid; for "sparse_topk" the relaxed mask
        times softmax.
    where
        Boolean mask of tokens, broadcastable to (..., n). Tokens left out take no place, have
        weight 0 and outputs of 0, and are in no statistic.
    rng
        Seed, generator or key: noise of standard deviation 1 / m is added to the logits.
    noise
        The noise itself, an array that broadcasts to the logits; not together with `rng`.
    temperature
        Strength of the method's regularizer: that of the softmax, of the entropy of Sinkhorn's
        plan, of the quadratic term of the sparse plan, or of the relaxed mask.
    max_iter
        Sweeps of Sinkhorn's iteration, or iterations of the sparse plan's solver.
    solver
        Of the sparse plan: "adam" or "lbfgs".
    gradient
        Derivatives of a plan that gives the weights: "none", "implicit", or "unrolled" (Sinkhorn).
    bias
        Of "bias_balanced": floating array (m,) or (..., m), added to the sigmoids for the choice
        alone. A constant for derivatives.
    n_group, topk_group
        Of "bias_balanced": experts are split in that many groups of neighbours, and a token may
        choose in its `topk_group` best ones only. A group counts as much as its two largest scores.
    weight_scale
        Factor on all weights.

    Returns
    -------
    Routing
        The assignments, with `dispatch`, `combine`, `dense`, `segments` and `stats`.

    Raises
    ------
    TypeError
        If an argument is no array of one library of the right kind.
    ValueError
        If `k` is above m, `capacity` above n for expert choice, an option is out of range, or
        weights are renormalized with k = 1, when the router would get no gradient.

    Notes
    -----
    Ties go to the lower index, on every library. Expert choice and "batch_prioritized" look at the
    whole group: for tokens of a sequence they are not causal, as are transport plans.

    With k = 1 the weights that "bias_balanced" takes by default are the constant 1.

    *Derivatives*: of the weights in `logits` and `noise`; indices are constants. Of the plans only
    where they give the weights, by `gradient`.

    References
    ----------
    Liu, Blondel, Riquelme and Puigcerver (2024), arXiv:2401.15969; Riquelme et al. (2021),
    arXiv:2106.05974; Zhou et al. (2022), arXiv:2202.09368; Liu, Puigcerver and Blondel (2023),
    arXiv:2209.15466; Wang et al. (2024), arXiv:2408.15664; DeepSeek-AI (2024), arXiv:2412.19437;
    Wang, Zhu and Chen (2024), arXiv:2412.14711; Lewis et al. (2021), arXiv:2103.16716; Sander et
    al. (2023), arXiv:2302.01425.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import route
    >>> logits = np.asarray([[2.0, 0.0, 1.0], [1.5, 1.0, 0.0], [1.0, 0.0, 2.0]])
    >>> routing = route(logits, k=2, capacity=2)
    >>> routing.expert_index.tolist()
    [[0, 2], [0, 1], [2, 0]]
    >>> routing.slot.tolist()
    [[0, 1], [1, 0], [0, -1]]
    >>> routing.stats().load.tolist()
    [2, 1, 2]
    >>> route(logits, method="softmax_expert_choice", capacity=1).token_index.tolist()
    [[0], [1], [2]]
    """
    check_choice("method", method, tuple(_METHODS))
    options = check_options(
        Options(
            k,
            capacity,
            priority,
            weights,
            temperature,
            max_iter,
            solver,
            gradient,
            bias,
            n_group,
            topk_group,
            weight_scale,
        )
    )
    if method != "bias_balanced":
        _none_of(method, bias=bias, n_group=n_group, topk_group=topk_group)
    problem = open_problem(_noisy(logits, rng, noise), where, bias)
    if options.k > problem.n_experts:
        raise ValueError(f"`k` must be in [0, m]; got k={options.k} with m={problem.n_experts}")
    return _METHODS[method](problem, options)


def _none_of(method: str, **options: Any) -> None:
    """Raise if one of the options is given, which another method alone looks at."""
    for name, value in options.items():
        if value is not None:
            raise ValueError(f'`{name}` needs method="bias_balanced"; got method="{method}"')


def _noisy(logits: Array, rng: Any, noise: Array | None) -> Array:
    """Return the logits with noise."""
    if noise is None and rng is None:
        return logits
    if noise is not None and rng is not None:
        raise ValueError("`noise` and `rng` must not be given together; got both")
    backend = backend_of(logits, *([noise] if hasattr(noise, "dtype") else []))
    check_logits(logits)
    if noise is None:
        noise = normal(rng, tuple(logits.shape), like=logits) / logits.shape[-1]
    noise = noise_like(backend, noise, logits)
    if noise.dtype != logits.dtype:
        raise TypeError(
            f"`noise` must have the dtype {dtype_name(logits)} of `logits`; got {dtype_name(noise)}"
        )
    return backend.namespace.add(known_to(backend, logits), noise)
