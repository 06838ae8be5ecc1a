"""Gradient of a simulated path: the exact discrete adjoint, in three sizes of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..arrays import check_choice, check_dtype, check_integer, check_number
from ..autodiff.arguments import as_primals
from ..backend import Backend
from ..trees import find_backend, is_array
from ..trees import leaves as leaves_of
from ._adjoint_path import Path, checkpointed, reconstructed, stored
from ._checks import check_function
from ._replay import replayed

__all__ = ["PathGradient", "sde_adjoint"]

Array = Any
Tree = Any

_MEMORY = {"stored": stored, "checkpoint": checkpointed, "ode": reconstructed}


class PathGradient(NamedTuple):
    """What `sde_adjoint` returns.

    Attributes
    ----------
    value
        Terminal value plus all running costs, of shape ().
    gradient
        Its derivative in the parameters, a container like them.
    final
        The last states.
    """

    value: Array
    gradient: Tree
    final: Array


def sde_adjoint(
    drift: Callable[[Array, Array, Tree], Array],
    params: Tree,
    y0: Array,
    *,
    step_size: float,
    n_steps: int,
    terminal: Callable[[Array], Array],
    running: Callable[[Array, Array, Tree], Array] | None = None,
    rng: Any = None,
    noise: Array | None = None,
    temperature: float = 1.0,
    memory: str = "stored",
) -> PathGradient:
    """Simulate an SDE or ODE by Euler steps, and differentiate what its path costs.

    The path is ``y[k+1] = y[k] + h * drift(y[k], t[k], params) + sqrt(2 h temperature) * xi[k]``
    with ``t[k] = k h``, and the value ``terminal(y[n]) + sum over k of running(y[k], t[k],
    params)``. Going backwards, one pullback a step of ``<h drift(y, t, params), a> + running``
    gives both the next adjoint state a and the part of the gradient that belongs to the step: the
    gradient is that of the unrolled loop, but no graph is kept.

    Parameters
    ----------
    drift
        Function of states, time (an array of shape ()) and parameters, to an array like the states.
    params
        Container of floating arrays.
    y0
        First states, of any shape.
    step_size
        Length h > 0 of a step.
    n_steps
        How many steps, at least 1.
    terminal
        Function of the last states, to a scalar.
    running
        Function of states, time and parameters, to a scalar that is added as it is: a rate has to
        be multiplied by the step size.
    rng
        Seed, `RandomStream`, or generator or key of the library; with neither `rng` nor `noise`
        the path has no noise: an ODE.
    noise
        Standard normal numbers of shape (n_steps, *y0.shape), in place of `rng`.
    temperature
        Scale of the noise, at least 0.
    memory
        "stored" keeps the n_steps states; "checkpoint" keeps every sqrt(n_steps)-th and runs the
        others again with the same noise; "ode" keeps none and solves each step backwards, which
        is for an ODE alone.

    Returns
    -------
    PathGradient
        `value`, `gradient` and `final`.

    Raises
    ------
    TypeError
        If states or parameters are not floating arrays.
    ValueError
        If a number is out of range, the noise has the wrong shape, `terminal` or `running` returns
        no scalar, or "ode" is asked for an SDE.
    FloatingPointError
        If the path is not finite, with the first step at which it is not; or if with "ode" the
        flow contracts so much that its states cannot be found again. Under jit nothing is raised
        and the gradient is NaN.

    Notes
    -----
    The states of an SDE are never reconstructed backwards: a drift that contracts forwards expands
    backwards, and ``x - x^3`` overflows after a total time of 4. Noise is drawn again by its
    counter where it is needed: from a seed or a `RandomStream` it takes no memory at all; other
    generators give the seed of such a stream, JAX keys its number.

    *Derivatives*: `gradient` is exact for the discrete path, to rounding; the results are
    constants for further differentiation. Adjoint states and gradients are accumulated in float32
    where the states are of half precision.

    References
    ----------
    P. Marion et al., "Implicit diffusion: efficient optimization through stochastic sampling",
    arXiv 2402.05468, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> value, gradient, final = sde_adjoint(
    ...     lambda y, t, w: -w * y, np.asarray(1.0), np.ones(3), step_size=0.1, n_steps=2,
    ...     terminal=lambda y: np.sum(y))
    >>> round(float(value), 6), round(float(gradient), 6)
    (2.43, -0.54)
    """
    _check_numbers(y0, step_size, n_steps, temperature, memory)
    for name, f in (("drift", drift), ("terminal", terminal)):
        check_function(name, f)
    if running is not None:
        check_function("running", running)
    for leaf in leaves_of(params):
        if is_array(leaf):
            check_dtype("params", leaf)
    backend, params, y0 = _constants(params, y0)
    source = replayed(backend, rng, noise, y0, n_steps)
    if memory == "ode" and source is not None and temperature > 0:
        raise ValueError(
            "`memory` must be 'stored' or 'checkpoint' for an SDE, whose states cannot be found "
            "again backwards; got memory='ode' with noise"
        )
    leaves, structure = backend.tree_flatten(params)
    path = Path(
        backend=backend,
        drift=drift,
        running=running,
        terminal=terminal,
        leaves=leaves,
        structure=structure,
        step_size=float(step_size),
        scale=(2.0 * step_size * temperature) ** 0.5,
        noise=source,
    )
    value, gradient, final = _MEMORY[memory](path, y0, n_steps)
    _check_finite(path, y0, final, n_steps)
    return PathGradient(value, backend.tree_unflatten(structure, gradient), final)


def _check_numbers(
    y0: Array, step_size: float, n_steps: int, temperature: float, memory: str
) -> None:
    if not is_array(y0):
        raise TypeError(f"`y0` must be an array; got {type(y0).__qualname__}")
    check_dtype("y0", y0)
    check_number("step_size", step_size, above=0.0, maximum=1e300)
    check_number("temperature", temperature, minimum=0.0)
    check_choice("memory", memory, tuple(_MEMORY))
    check_integer("n_steps", n_steps, minimum=1)
    if 0 in tuple(y0.shape):
        raise ValueError(f"`y0` must not be empty; got shape {tuple(y0.shape)}")


def _constants(params: Tree, y0: Array) -> tuple[Backend, Tree, Array]:
    """Return the library, parameters and states, without any level of differentiation."""
    backend, (params, y0) = as_primals((params, y0))
    leaves, structure = backend.tree_flatten(params)
    leaves = [backend.stop_gradient(leaf) for leaf in leaves]
    params, y0 = backend.tree_unflatten(structure, leaves), backend.stop_gradient(y0)
    return find_backend(params, y0) or backend, params, y0


def _check_finite(path: Path, y0: Array, final: Array, n_steps: int) -> None:
    """Raise FloatingPointError with the first step whose states are not finite."""
    xp, backend = path.backend.namespace, path.backend
    if backend.is_traced(final) or bool(xp.all(xp.isfinite(final))):
        return
    y = y0
    for k in range(n_steps):
        y = path.step(y, k)
        if not bool(xp.all(xp.isfinite(y))):
            break
    raise FloatingPointError(
        f"states are not finite after step {k} of {n_steps}: `step_size` must be below 2 / L for a "
        f"drift with Lipschitz constant L; got step_size={path.step_size:g}"
    )
