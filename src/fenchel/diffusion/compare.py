"""Gradients of one problem by several methods: bias, variance, time and memory side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..arrays import check_choice, check_integer
from ..autodiff import stop_gradient
from ..backend import backend_of
from ..trees import backend_of_tree, leaves
from ._estimators import ESTIMATORS, estimator
from .objectives import Objective

__all__ = ["GradientReport", "compare_gradients"]

Array = Any
Tree = Any


class GradientReport(NamedTuple):
    """What is known of a method after some repetitions, as Python numbers and NumPy arrays.

    Parameters
    ----------
    mean
        Mean gradient, flattened.
    bias
        Norm of its difference to the reference; NaN without a reference.
    standard_error
        Of the mean: a bias below about twice this is none that was seen.
    variance
        Of one gradient, summed over its entries.
    seconds
        Median time of one gradient, the first left out.
    memory
        Numbers kept for the backward pass, of one gradient: a count from the method, not measured.

    Examples
    --------
    >>> GradientReport([1.0], 0.0, 0.1, 0.2, 0.01, 100).variance
    0.2
    """

    mean: Any
    bias: float
    standard_error: float
    variance: float
    seconds: float
    memory: int


def compare_gradients(
    sampler: Any,
    objective: Objective,
    params: Tree,
    *,
    steps: int | None = None,
    methods: Sequence[str] | None = None,
    repeats: int = 16,
    truncate: int = 1,
    reference: Tree | None = None,
    rng: Any = 0,
    jit: bool | None = None,
) -> dict[str, GradientReport]:
    """Estimate one gradient by several methods, again and again, and report on each.

    Each repetition runs the sampler from the start, with a stream of its own that all methods
    share.

    Parameters
    ----------
    sampler
        A `LangevinSampler` or a `DenoisingSampler`.
    objective
        An `Objective`; "unrolled", "truncated" and "adjoint" differentiate the functions of its
        rewards.
    params
        Where the gradient is taken: a container of floating arrays.
    steps
        How many steps of the sampler; None for its `n_steps`.
    methods
        Some of "unrolled" (backpropagation through all steps), "truncated" (through the last
        `truncate`), "reinforce" (score function of the path, mean reward as baseline), "implicit"
        (covariance; needs an energy) and "adjoint" (the same number as "unrolled", from stored
        states). None for all that the sampler and the objective allow.
    repeats
        How many gradients each method gives, at least 2.
    truncate
        How many steps "truncated" goes back.
    reference
        The true gradient, where it is known.
    rng
        Seed, or `RandomStream`.
    jit
        Whether each method is compiled by the library; None for where that is needed (JAX).

    Returns
    -------
    dict
        A `GradientReport` for each method.

    Raises
    ------
    TypeError
        If a method that is named cannot be used for the sampler and the objective.
    ValueError
        If a method is unknown, or a number is out of range.

    Notes
    -----
    *Derivatives*: none; results are numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.diffusion import Energy, LangevinSampler, Reward
    >>> energy = Energy(lambda x, center: np.sum((x - center) ** 2, axis=-1) / 2)
    >>> sampler = LangevinSampler(energy, step_size=0.5, shape=(500, 1))
    >>> reports = compare_gradients(
    ...     sampler, Reward(lambda x: x[..., 0]), np.zeros(1), steps=20, repeats=4,
    ...     methods=("unrolled", "implicit"), reference=np.ones(1))
    >>> reports["unrolled"].bias < 1e-5, reports["unrolled"].variance < 1e-12
    (True, True)
    >>> reports["implicit"].memory < reports["unrolled"].memory
    True
    """
    if not isinstance(objective, Objective):
        raise TypeError(f"`objective` must be an Objective; got {type(objective).__qualname__}")
    count = sampler.n_steps if steps is None else steps
    if count is None:
        raise ValueError("`steps` must be given for a sampler without `n_steps`; got None")
    count = check_integer("steps", count, minimum=1)
    check_integer("repeats", repeats, minimum=2)
    check_integer("truncate", truncate, minimum=1, maximum=count)
    if isinstance(methods, str):
        raise TypeError(f"`methods` must be a sequence of names; got {methods!r}")
    for method in methods or ():
        check_choice("methods", method, ESTIMATORS)
    chosen = methods if methods is not None else _possible(sampler, objective)
    target = None if reference is None else _flat(reference)
    if target is not None and target.shape != _flat(params).shape:
        raise ValueError(
            f"`reference` must have as many entries as `params`, {_flat(params).size}; "
            f"got {target.size}"
        )
    backend, reports = backend_of_tree(params), {}
    jit = backend.name == "jax" if jit is None else jit
    for method in chosen:
        estimate, kept = estimator(method, sampler, objective, params, count, truncate)
        compiled = backend.jit(estimate) if jit else estimate
        reports[method] = _report(compiled, params, repeats, rng, target, kept)
    return reports


def _possible(sampler: Any, objective: Objective) -> tuple[str, ...]:
    """Return the methods that a sampler and an objective allow."""
    names = {type(term).__name__ for _, term in objective.terms}
    found = []
    if names == {"Reward"}:
        found += ["unrolled", "truncated"]
        if not getattr(sampler, "adjust", False) and getattr(sampler, "kind", "sde") == "sde":
            found.append("reinforce")
    if getattr(sampler, "energy", None) is not None and "PathKL" not in names:
        found.append("implicit")
    if hasattr(sampler, "gradient") or (names == {"Reward"} and not sampler.adjust):
        found.append("adjoint")
    return tuple(found)


def _report(
    estimate: Callable[[Tree, Any], Tree],
    params: Tree,
    repeats: int,
    rng: Any,
    target: Any,
    kept: int,
) -> GradientReport:
    import numpy as np

    from ._draws import as_stream, begun

    like = leaves(params)[0]
    streams = begun(as_stream(rng, like), like).split(repeats)
    found, times = [], []
    for stream in streams:
        began = time.perf_counter()
        # Reading the numbers waits for the library to be done.
        found.append(_flat(estimate(params, stream)))
        times.append(time.perf_counter() - began)
    rows = np.stack(found)
    mean, variance = rows.mean(axis=0), float(rows.var(axis=0, ddof=1).sum())
    bias = float("nan") if target is None else float(np.linalg.norm(mean - target))
    error, seconds = (variance / repeats) ** 0.5, float(np.median(times[1:]))
    return GradientReport(mean, bias, error, variance, seconds, kept)


def _flat(tree: Tree) -> Any:
    import numpy as np

    parts = []
    for leaf in leaves(tree):
        plain = stop_gradient(leaf)
        parts.append(np.ravel(np.asarray(backend_of(plain).to_host(plain), dtype="float64")))
    return np.concatenate(parts)
