"""Derivatives of expectations under exp(-V / temperature), from particles alone.

For a functional with first variation f, grad F(pi) = -Cov(f(X), grad V(X)) / temperature: values of
f suffice, and one pullback through V (arXiv 2402.05468, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from ..arrays import check_choice, check_dtype, check_integer, check_number, widen
from ..autodiff import grad, stop_gradient, value_and_grad, vmap
from ..backend import Backend, backend_of
from ..parameters import known_to
from ..trees import backend_of_tree, is_array, leaves
from ..trees import map as map_leaves
from ._checks import check_function, check_shapes, check_weights
from .state import SamplerState

__all__ = ["implicit_expectation", "implicit_gradient"]

Array = Any
Tree = Any
Pull = tuple[Array, Array]  # points, and what their energies are multiplied by


def implicit_gradient(
    energy: Any,
    params: Tree,
    particles: Array,
    values: Array,
    *,
    weights: Array | None = None,
    ddof: int = 1,
    temperature: float = 1.0,
    baseline: str = "mean",
    nan_policy: str = "raise",
) -> Tree:
    """Return the gradient of E[values] in the parameters of the law exp(-V / temperature).

    Parameters
    ----------
    energy
        An `Energy`, or any function of particles and parameters with one number a particle.
    params
        Container of floating arrays.
    particles
        Floating array of shape (..., n, *event); leading axes are independent problems, which the
        energy must take.
    values
        Floating array of shape (..., n): any numbers, also of a function that has no derivative.
    weights
        Of the particles, of shape (n,) or (..., n), not negative; they are divided by their sum.
        A particle of weight 0 does not count, whatever it holds.
    ddof
        Without weights the covariance has the divisor n - ddof: 1 is unbiased for independent
        particles. With weights they are taken as they are.
    temperature
        Of the law, above 0.
    baseline
        "mean": the covariance. "optimal": the values minus the number of least variance,
        E[values |grad V|^2] / E[|grad V|^2], times the gradients: right where the integral of
        exp(-V / temperature) does not depend on the parameters; ddof has no meaning there.
    nan_policy
        "raise": values and energies must be finite. "drop": particles that have others do not
        count. "propagate": no look at the numbers. Inside jit "raise" propagates.

    Returns
    -------
    container
        Like `params`.

    Raises
    ------
    TypeError
        If a leaf of the parameters or the values are not floating.
    ValueError
        If shapes do not fit, n is not above `ddof`, there is no particle, an option is unknown, or
        a number is not finite under "raise".

    Notes
    -----
    Exactly 0 for constant values. The same for V + h(params), for any h, with the mean as baseline.
    *Derivatives*: in the parameters, at fixed particles; particles, values and weights are
    constants.

    References
    ----------
    P. Marion et al., "Implicit diffusion", arXiv 2402.05468.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.diffusion import Energy
    >>> energy = Energy(lambda x, center: np.sum((x - center) ** 2, axis=-1) / 2)
    >>> x = np.asarray([[-1.0], [0.0], [1.0]])
    >>> implicit_gradient(energy, np.zeros(1), x, x[:, 0]).tolist()
    [1.0]
    """
    check_choice("baseline", baseline, ("mean", "optimal"))
    check_choice("nan_policy", nan_policy, ("raise", "drop", "propagate"))
    check_number("temperature", temperature, above=0.0)
    ddof = check_integer("ddof", ddof, minimum=0)
    check_function("energy", energy)
    x, f = stop_gradient(particles), stop_gradient(values)
    backend = backend_of(x, f)
    check_dtype("particles", x)
    check_dtype("values", f)
    check_shapes(x, f)
    if weights is not None:
        check_weights(backend, weights, tuple(f.shape))
        weights = stop_gradient(weights)
    if nan_policy == "drop":
        weights = _usable(energy, params, x, f, weights)
    elif nan_policy == "raise":
        require_finite("values", f, weights)
    if baseline == "optimal":
        x, coefficients = _against_optimal(energy, params, x, f, weights, temperature)
        pulls: tuple[Pull, ...] = ((x, coefficients),)
    else:
        pulls = (covariance_pull(x, f, weights, ddof, temperature),)
    return pulled(energy, params, pulls, strict=nan_policy == "raise")[1]


def covariance_pull(
    x: Array, values: Array, weights: Array | None, ddof: int, temperature: float
) -> Pull:
    """Return particles and factors c for which -Cov(values, grad V) / temperature = grad <c, V>."""
    backend = backend_of(x, values)
    xp = backend.namespace
    f = widen(xp, values, check_dtype("values", values))
    check_shapes(x, f)
    count = f.shape[-1]
    if weights is None:
        if not count > ddof:
            raise ValueError(f"`particles` must be more than `ddof`={ddof}; got n={count}")
        # The largest value first: constants leave exact zeros, and large offsets no rounding.
        centered = f - xp.max(f, axis=-1, keepdims=True)
        centered = centered - xp.mean(centered, axis=-1, keepdims=True)
        return x, centered * (-1.0 / (temperature * (count - ddof)))
    shares, counted = _shares(backend, weights, f)
    low = xp.where(counted, f, xp.full_like(f, -float("inf")))
    pivot = xp.max(low, axis=-1, keepdims=True)
    centered = xp.where(counted, f - pivot, xp.zeros_like(f))
    centered = centered - xp.sum(shares * centered, axis=-1, keepdims=True)
    return _masked(backend, x, counted), shares * centered * (-1.0 / temperature)


def _shares(backend: Backend, weights: Array, f: Array) -> tuple[Array, Array]:
    """Return weights that sum to 1, and which particles count."""
    check_weights(backend, weights, tuple(f.shape))
    xp = backend.namespace
    wide = widen(xp, weights, check_dtype("weights", weights))
    wide = wide if wide.dtype == f.dtype else xp.astype(wide, f.dtype)
    wide = xp.broadcast_to(wide, tuple(f.shape))
    return wide / xp.sum(wide, axis=-1, keepdims=True), wide > 0


def _masked(backend: Backend, x: Array, counted: Array) -> Array:
    """Return particles with those that do not count at the place of the first that does.

    A factor 0 alone would not do: 0 times an infinite slope is NaN.
    """
    xp = backend.namespace
    axis = counted.ndim - 1
    event = (1,) * (x.ndim - counted.ndim)
    places = xp.arange(counted.shape[-1], device=backend.device_of(x))
    first = xp.argmax(xp.astype(counted, xp.int32), axis=-1, keepdims=True) == places
    first = xp.reshape(first, (*counted.shape, *event))
    stand_in = xp.sum(xp.where(first, x, xp.zeros_like(x)), axis=axis, keepdims=True)
    return xp.where(xp.reshape(counted, (*counted.shape, *event)), x, stand_in)


def _usable(energy: Any, params: Tree, x: Array, f: Array, weights: Array | None) -> Array:
    """Return the weights with 0 for particles whose value or energy is not finite."""
    backend = backend_of(x, f)
    xp = backend.namespace
    v = stop_gradient(energy(x, stop_gradient(params)))
    sound = xp.logical_and(xp.isfinite(f), xp.isfinite(v))
    wide = widen(xp, f, check_dtype("values", f))
    ones = xp.ones_like(wide) if weights is None else xp.broadcast_to(weights, tuple(f.shape))
    return xp.where(sound, ones, xp.zeros_like(ones))


def require_finite(name: str, values: Array, weights: Array | None = None) -> None:
    """Raise ValueError if a value that counts is known and not finite."""
    backend = backend_of(values)
    xp = backend.namespace
    bad = ~xp.isfinite(values)
    if weights is not None:
        bad = xp.logical_and(bad, weights > 0)
    if not backend.is_traced(bad) and bool(xp.any(bad)):
        count = int(xp.sum(xp.astype(bad, xp.int32)))
        raise ValueError(
            f"`{name}` must be finite; got {count} of {prod(bad.shape)} that are not "
            "(nan_policy='drop' leaves their particles out)"
        )


def pulled(
    energy: Any, params: Tree, pulls: tuple[Pull, ...], *, strict: bool = False
) -> tuple[Array, Tree]:
    """Return the sum of <c, V> over some points with factors, and its gradient in the parameters.

    Raises
    ------
    ValueError
        With `strict`, if an energy is known and not finite.
    """
    check_function("energy", energy)
    if not any(is_array(leaf) for leaf in leaves(params)):
        raise TypeError("`params` must hold an array; got none")

    def total(p: Tree) -> tuple[Array, list[Array]]:
        found, kept = None, []
        for points, coefficients in pulls:
            v = energy(points, p)
            backend = backend_of(v)
            kept.append(backend.stop_gradient(v))
            xp = backend.namespace
            v = widen(xp, v, check_dtype("energy(x, params)", v))
            c = known_to(backend, coefficients)
            if tuple(v.shape) != tuple(c.shape):
                raise ValueError(
                    "`energy` must return one number a particle, of shape "
                    f"{tuple(c.shape)}; got {tuple(v.shape)}"
                )
            c = c if c.dtype == v.dtype else xp.astype(c, v.dtype)
            part = xp.sum(c * v)
            found = part if found is None else found + part
        return found, kept

    (value, energies), slopes = value_and_grad(total, has_aux=True)(params)
    if strict:
        for v in energies:
            require_finite("energy(particles, params)", v)
    return value, slopes


def _against_optimal(
    energy: Any,
    params: Tree,
    x: Array,
    values: Array,
    weights: Array | None,
    temperature: float,
) -> Pull:
    """Return particles and factors with the baseline of least variance instead of the mean."""
    backend = backend_of(x, values)
    xp = backend.namespace
    f = widen(xp, values, check_dtype("values", values))
    if f.ndim != 1:
        raise ValueError(f"`values` must have shape (n,) for baseline='optimal'; got {f.shape}")
    given = xp.ones_like(f) if weights is None else weights
    shares, counted = _shares(backend, given, f)
    x, f = _masked(backend, x, counted), xp.where(counted, f, xp.zeros_like(f))
    sizes = shares * stop_gradient(_square_norms(energy, stop_gradient(params), x))
    total = xp.sum(sizes)
    usable = total > 0
    best = xp.sum(sizes * f) / xp.where(usable, total, xp.ones_like(total))
    return x, shares * (f - best) * (-1.0 / temperature)


def _square_norms(energy: Any, params: Tree, x: Array) -> Array:
    """Return |grad V|^2 in the parameters, one a particle."""

    def single(row: Array) -> Array:
        def one(p: Tree) -> Array:
            names = backend_of(row).namespace
            return energy(names.expand_dims(row, axis=0), p)[0]

        slopes = leaves(grad(one)(params))
        names = backend_of(*slopes).namespace
        total = names.sum(slopes[0] * slopes[0])
        for slope in slopes[1:]:
            total = total + names.sum(slope * slope)
        return total

    return vmap(single)(x)


def implicit_expectation(
    g: Callable[[Array], Any],
    energy: Any,
    state: Any,
    *,
    weights: Array | None = None,
    ddof: int = 1,
    temperature: float = 1.0,
) -> Callable[[Tree], Any]:
    """Return params -> E[g(X)] under exp(-V / temperature), from particles of that law.

    Parameters
    ----------
    g
        Function of particles (n, *event) to an array (n, ...) or a container of such; it need not
        be differentiable.
    energy
        An `Energy`.
    state
        A `SamplerState`, or the particles, of shape (n, *event).
    weights, ddof, temperature
        As for `implicit_gradient`.

    Returns
    -------
    callable
        Function of the parameters that the particles were made with; its value is the mean of g.

    Raises
    ------
    ValueError
        By the function, if shapes do not fit or n is not above `ddof`.

    Notes
    -----
    *Derivatives*: forward and reverse, -Cov(g, <grad V, v>) / temperature, by every library's own
    means; second derivatives are those of the particles' own estimate. The value is written as a
    mean with weights exp(-(V(params) - V) / temperature), which are all 1 where they are taken.

    Examples
    --------
    >>> import numpy as np
    >>> import fenchel
    >>> from fenchel.diffusion import Energy
    >>> energy = Energy(lambda x, center: np.sum((x - center) ** 2, axis=-1) / 2)
    >>> mean = implicit_expectation(lambda x: x[:, 0], energy, np.asarray([[-1.0], [0.0], [1.0]]))
    >>> float(mean(np.zeros(1))), fenchel.grad(mean)(np.zeros(1)).tolist()
    (0.0, [1.0])
    """
    check_number("temperature", temperature, above=0.0)
    ddof = check_integer("ddof", ddof, minimum=0)
    check_function("g", g)
    check_function("energy", energy)
    x = stop_gradient(state.x if isinstance(state, SamplerState) else state)
    if not is_array(x):
        raise TypeError(f"`state` must be a SamplerState or an array; got {type(x).__qualname__}")
    check_dtype("state", x)
    if weights is not None:
        check_weights(backend_of(x), weights, tuple(x.shape[:1]))
    values = stop_gradient(g(x))

    def expectation(params: Tree) -> Any:
        backend = backend_of_tree((x, params))
        count = x.shape[0]
        if weights is None and not count > ddof:
            raise ValueError(f"`particles` must be more than `ddof`={ddof}; got n={count}")
        points = x
        if weights is not None:
            points = _masked(backend_of(x), x, weights > 0)
        v = energy(points, params)
        xp = backend_of(v).namespace
        v = widen(xp, v, check_dtype("energy(x, params)", v))
        check_shapes(x, v)
        tilted = xp.exp((known_to(backend_of(v), backend.stop_gradient(v)) - v) / temperature)
        if weights is not None:
            tilted = tilted * known_to(backend_of(v), weights)
        shares = tilted / xp.sum(tilted)
        factor = count / (count - ddof) if weights is None else 1.0
        return map_leaves(lambda leaf: _tilted_mean(leaf, shares, factor), values)

    return expectation


def _tilted_mean(values: Array, shares: Array, factor: float) -> Array:
    """Return the mean, with derivatives `factor` times those of the weighted mean."""
    backend = backend_of(shares, values)
    xp = backend.namespace
    wide = widen(xp, known_to(backend, values), check_dtype("g(x)", values))
    check_shapes(wide, shares)
    pivot = known_to(backend, wide[:1, ...])
    column = xp.reshape(shares, (shares.shape[0],) + (1,) * (wide.ndim - 1))
    off = xp.sum(xp.astype(column, wide.dtype) * (wide - pivot), axis=0)
    mean = pivot[0, ...] + off
    still = known_to(backend, backend.stop_gradient(off))
    return mean + (factor - 1.0) * (off - still) if factor != 1.0 else mean
