"""Learning-rate tuners and direction oracles as transformations of gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from fenchel import tuners
from fenchel.trees import leaves, scale, sub

__all__ = ["TunedState", "cdat", "oracle_gradients", "scale_by_tuner", "tuned"]

Tree = Any


class TunedState(NamedTuple):
    """State of `tuned` and of `scale_by_tuner`; a container of arrays.

    Parameters
    ----------
    tuner
        State of the tuner.
    learning_rate
        Of the last step; 0 before the first.
    info
        `fenchel.tuners.Info` of the last step.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float(cdat().init(jnp.ones(2)).learning_rate)
    0.0
    """

    tuner: Any
    learning_rate: Any
    info: Any


def tuned(tuner: Any) -> optax.GradientTransformationExtraArgs:
    """Return a tuner with its own base as an optimiser.

    Parameters
    ----------
    tuner
        A tuner of `fenchel.tuners`.

    Returns
    -------
    optax.GradientTransformationExtraArgs
        ``update(grads, state, params, *, value_fn, data=(), **extra_args)``: the objective is
        ``value_fn(params, *data)``, with those of the extra arguments that it takes by name; all
        others are left to the rest of a chain.

    Raises
    ------
    TypeError
        If `tuner` is no tuner; by `update`, if it gets no `params` or no `value_fn`.

    Notes
    -----
    The gradient is taken again inside; under jit the compiler merges it with that of the caller.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import optax
    >>> from fenchel.tuners import CDAT
    >>> def objective(w):
    ...     return jnp.sum(w**2)
    >>> w, optimizer = jnp.asarray([3.0, -1.0]), tuned(CDAT(1.0))
    >>> state = optimizer.init(w)
    >>> updates, state = optimizer.update(2 * w, state, w, value_fn=objective)
    >>> optax.apply_updates(w, updates).tolist(), float(state.learning_rate)
    ([0.0, 0.0], 0.5)
    """
    _check(tuner)

    def update(
        updates: Tree,
        state: TunedState,
        params: Tree | None = None,
        *,
        value_fn: Callable[..., Any] | None = None,
        data: tuple[Any, ...] = (),
        **extra_args: Any,
    ) -> tuple[Tree, TunedState]:
        del updates
        objective = _objective(params, value_fn, extra_args)
        new, inner, info = tuner.step(objective, params, state.tuner, *data)
        return sub(new, params), TunedState(inner, info.learning_rate, info)

    return optax.GradientTransformationExtraArgs(partial(_init, tuner), update)


def scale_by_tuner(tuner: Any) -> optax.GradientTransformationExtraArgs:
    """Return a transformation that scales directions by the learning rate of a tuner.

    For the end of a chain whose updates are directions, with their sign: what would be added at
    learning rate 1.

    Parameters
    ----------
    tuner
        A tuner of `fenchel.tuners`; its base is not used.

    Returns
    -------
    optax.GradientTransformationExtraArgs
        As for `tuned`, with the directions in place of gradients.

    Raises
    ------
    TypeError
        As for `tuned`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import optax
    >>> from fenchel.tuners import CDAT
    >>> optimizer = optax.chain(optax.scale_by_adam(), optax.scale(-1.0), scale_by_tuner(CDAT(1.0)))
    >>> w = jnp.asarray([3.0, -3.0])
    >>> updates, state = optimizer.update(
    ...     2 * w, optimizer.init(w), w, value_fn=lambda w: jnp.sum(w**2)
    ... )
    >>> bool(jnp.allclose(updates, -w, rtol=1e-4)), round(float(state[-1].learning_rate), 3)
    (True, 3.0)
    """
    _check(tuner)
    bare = replace(tuner, base=_Given(None))

    def update(
        updates: Tree,
        state: TunedState,
        params: Tree | None = None,
        *,
        value_fn: Callable[..., Any] | None = None,
        data: tuple[Any, ...] = (),
        **extra_args: Any,
    ) -> tuple[Tree, TunedState]:
        objective = _objective(params, value_fn, extra_args)
        course = replace(tuner, base=_Given(updates))
        _, inner, info = course.step(objective, params, state.tuner, *data)
        return scale(info.learning_rate, updates), TunedState(inner, info.learning_rate, info)

    return optax.GradientTransformationExtraArgs(partial(_init, bare), update)


def cdat(scaling: float = 2.0, **options: Any) -> optax.GradientTransformationExtraArgs:
    """Return `fenchel.tuners.CDAT` as an optimiser: no learning rate to set.

    Parameters
    ----------
    scaling
        2 is the edge of stability; smaller for small batches.
    **options
        As for `fenchel.tuners.CDAT`: base, ema, curvature, guard, every, ...

    Returns
    -------
    optax.GradientTransformationExtraArgs
        As `tuned` says.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> w, optimizer = jnp.asarray([2.0]), cdat(1.0)
    >>> updates, _ = optimizer.update(
    ...     2 * w, optimizer.init(w), w, value_fn=lambda w: jnp.sum(w**2)
    ... )
    >>> updates.tolist()
    [-2.0]
    """
    return tuned(tuners.CDAT(scaling, **options))


def oracle_gradients(oracle: Any) -> optax.GradientTransformationExtraArgs:
    """Return a transformation that puts the direction of an oracle in the place of gradients.

    For the start of a chain: any optimiser then follows -direction / gamma.

    Parameters
    ----------
    oracle
        Of `fenchel.oracles`, such as `GaussNewton`.

    Returns
    -------
    optax.GradientTransformationExtraArgs
        ``update(grads, state, params, *, inputs, targets, weights=None, **extra_args)``.

    Raises
    ------
    TypeError
        If `oracle` gives no directions; by `update`, if it gets no `params`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import optax
    >>> from fenchel.losses import squared
    >>> from fenchel.oracles import GaussNewton
    >>> oracle = GaussNewton(squared, lambda w, x: x @ w, gamma=1e4, max_iter=20, rtol=0.0)
    >>> optimizer = optax.chain(oracle_gradients(oracle), optax.sgd(1e4))
    >>> x, y, w = jnp.asarray([[1.0, 0.0], [1.0, 1.0]]), jnp.asarray([1.0, 3.0]), jnp.zeros(2)
    >>> updates, _ = optimizer.update(w, optimizer.init(w), w, inputs=x, targets=y)
    >>> bool(jnp.allclose(updates, jnp.asarray([1.0, 2.0]), atol=1e-2))
    True
    """
    if not (hasattr(oracle, "direction") and hasattr(oracle, "gamma")):
        raise TypeError(
            f"`oracle` must be an oracle of fenchel.oracles; got {type(oracle).__qualname__}"
        )

    def update(
        updates: Tree,
        state: Any,
        params: Tree | None = None,
        *,
        inputs: Tree,
        targets: Any,
        weights: Any = None,
        **extra_args: Any,
    ) -> tuple[Tree, Any]:
        del updates, extra_args
        if params is None:
            raise TypeError("`params` must be given to `update`; got None")
        direction, _ = oracle.direction(params, inputs, targets, weights)
        return scale(-1.0 / oracle.gamma, direction), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)


class _Given:
    """A base that points where it is told to."""

    def __init__(self, updates: Tree) -> None:
        self._updates = updates

    def direction(self, params: Tree, *data: Any) -> tuple[Tree, None]:
        """Return the direction."""
        return self._updates, None


def _check(tuner: Any) -> None:
    if not (hasattr(tuner, "step") and hasattr(tuner, "base")):
        raise TypeError(
            f"`tuner` must be a tuner of fenchel.tuners; got {type(tuner).__qualname__}"
        )


def _init(tuner: Any, params: Tree) -> TunedState:
    wide = any(leaf.dtype == jnp.float64 for leaf in leaves(params))
    zero = jnp.zeros((), dtype=jnp.float64 if wide else jnp.float32)
    no = jnp.asarray(False)
    flags = tuners.Flags(no, no, no, no, no, jnp.asarray(0, dtype=jnp.int32))
    return TunedState(tuner.init(params), zero, tuners.Info(zero, zero, zero, zero, zero, flags))


def _objective(
    params: Tree | None, value_fn: Callable[..., Any] | None, extra_args: dict[str, Any]
) -> Callable[..., Any]:
    if params is None:
        raise TypeError("`params` must be given to `update`; got None")
    if value_fn is None:
        raise TypeError("`value_fn` must be given to `update`: the objective; got None")
    if not extra_args:
        return value_fn
    taken = inspect.signature(value_fn).parameters
    own = {name: value for name, value in extra_args.items() if name in taken}
    return partial(value_fn, **own) if own else value_fn
