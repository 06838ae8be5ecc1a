"""Directions of the common optimisers at learning rate 1.

A base has ``init(params) -> state`` and ``update(grad, state, params) -> (direction, state)``; the
direction has its sign, so that a step adds ``learning_rate * direction``. States are containers of
arrays. One with `split`, like `update` but with the decay of the weights apart, has that part left
out of what a tuner measures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

from ..arrays import check_choice, check_number
from ..backend import backend_of
from ..trees import add, find_backend, flatten, is_array, leaves, map, scale, unflatten, zeros_like

__all__ = ["Adam", "AdamState", "GradientDescent", "Momentum", "RMSProp"]

Tree = Any
Array = Any


@dataclass(frozen=True)
class GradientDescent:
    """The direction of steepest descent: minus the gradient.

    Examples
    --------
    >>> GradientDescent().update([3.0], (), [1.0])
    ([-3.0], ())
    """

    def init(self, params: Tree) -> tuple[()]:
        """Return the empty state."""
        return ()

    def update(self, grad: Tree, state: Any, params: Tree) -> tuple[Tree, Any]:
        """Return minus the gradient, and the state."""
        return scale(-1.0, grad), state


@dataclass(frozen=True)
class Momentum:
    """Directions with a memory.

    Parameters
    ----------
    beta
        Weight of the past, in [0, 1).
    kind
        "heavy_ball": v = beta v - g, direction v. "nesterov": the same v, direction beta v - g.
        "ema": m = beta m + (1 - beta) g, direction -m.

    Raises
    ------
    ValueError
        If an argument lies outside its range.

    Examples
    --------
    >>> base = Momentum(0.5)
    >>> direction, state = base.update([2.0], base.init([0.0]), [0.0])
    >>> base.update([2.0], state, [0.0])[0]
    [-3.0]
    """

    beta: float = 0.9
    _: KW_ONLY
    kind: str = "heavy_ball"

    def __post_init__(self) -> None:
        check_number("beta", self.beta, minimum=0.0, maximum=1.0 - 2.0**-52)
        check_choice("kind", self.kind, ("heavy_ball", "ema", "nesterov"))

    def init(self, params: Tree) -> Tree:
        """Return a velocity of 0."""
        return zeros_like(params)

    def update(self, grad: Tree, state: Tree, params: Tree) -> tuple[Tree, Tree]:
        """Return the direction and the new velocity."""
        beta, share = self.beta, 1.0 - self.beta if self.kind == "ema" else 1.0
        velocity = map(lambda v, g: beta * v - share * g, state, grad)
        if self.kind == "nesterov":
            return map(lambda v, g: beta * v - g, velocity, grad), velocity
        return velocity, velocity


class AdamState(NamedTuple):
    """Averages of the gradient and of its square, and how many went into them."""

    mean: Tree
    square: Tree
    count: Array


@dataclass(frozen=True)
class Adam:
    """Adam's direction, -m_hat / (sqrt(v_hat) + eps); with a decay of the weights, AdamW's.

    Parameters
    ----------
    beta1, beta2
        Weights of the past in the averages, in [0, 1).
    eps
        Added to the root. Where an entry had no gradient yet its direction is 0, also for eps = 0.
    weight_decay
        The direction of a step has -weight_decay * params added; tuners leave this out of n and d.

    Raises
    ------
    ValueError
        If an argument lies outside its range.

    References
    ----------
    D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, arXiv 1412.6980.

    Examples
    --------
    >>> import numpy as np
    >>> base, w = Adam(eps=0.0), np.asarray([1.0, 5.0])
    >>> base.update(np.asarray([2.0, -0.1]), base.init(w), w)[0].round(12)
    array([-1.,  1.])
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_number("beta1", self.beta1, minimum=0.0, maximum=1.0 - 2.0**-52)
        check_number("beta2", self.beta2, minimum=0.0, maximum=1.0 - 2.0**-52)
        check_number("eps", self.eps, minimum=0.0)
        check_number("weight_decay", self.weight_decay, minimum=0.0)

    def init(self, params: Tree) -> AdamState:
        """Return averages of 0."""
        return AdamState(zeros_like(params), zeros_like(params), _zero_count(params))

    def update(self, grad: Tree, state: AdamState, params: Tree) -> tuple[Tree, AdamState]:
        """Return the direction, decay included, and the new averages."""
        direction, decay, state = self.split(grad, state, params)
        return direction if decay is None else add(direction, decay), state

    def split(
        self, grad: Tree, state: AdamState, params: Tree
    ) -> tuple[Tree, Tree | None, AdamState]:
        """Return the direction, the decay (None without one) and the new averages."""
        count = state.count + 1
        first = 1.0 - _power(self.beta1, count, grad)
        second = 1.0 - _power(self.beta2, count, grad)

        def entry(g: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
            m = self.beta1 * m + (1.0 - self.beta1) * g
            v = self.beta2 * v + (1.0 - self.beta2) * g * g
            slope, root = m / _like(first, m), _root(v / _like(second, v))
            return -_quotient(slope, root, self.eps), m, v

        direction, mean, square = _map_three(entry, grad, state.mean, state.square)
        decay = scale(-self.weight_decay, params) if self.weight_decay else None
        return direction, decay, AdamState(mean, square, count)


@dataclass(frozen=True)
class RMSProp:
    """Minus the gradient over the root of an average of its squares, -g / (sqrt(v) + eps).

    Parameters
    ----------
    decay
        Weight of the past, in [0, 1).
    eps
        Added to the root.

    Raises
    ------
    ValueError
        If an argument lies outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> base, w = RMSProp(decay=0.75, eps=0.0), np.asarray([1.0, 5.0])
    >>> base.update(np.asarray([2.0, -0.1]), base.init(w), w)[0]
    array([-2.,  2.])
    """

    decay: float = 0.9
    eps: float = 1e-8

    def __post_init__(self) -> None:
        check_number("decay", self.decay, minimum=0.0, maximum=1.0 - 2.0**-52)
        check_number("eps", self.eps, minimum=0.0)

    def init(self, params: Tree) -> Tree:
        """Return an average of 0."""
        return zeros_like(params)

    def update(self, grad: Tree, state: Tree, params: Tree) -> tuple[Tree, Tree]:
        """Return the direction and the new average."""
        square = map(lambda g, v: self.decay * v + (1.0 - self.decay) * g * g, grad, state)
        return map(lambda g, v: -_quotient(g, _root(v), self.eps), grad, square), square


def _zero_count(params: Tree) -> Array:
    backend = find_backend(params)
    if backend is None:
        return 0
    xp = backend.namespace
    return xp.asarray(0, dtype=xp.int32, device=backend.device_of(leaves(params)[0]))


def _power(beta: float, count: Array, grad: Tree) -> Array:
    """Return beta**count: as a float where the count is known, else in a wide dtype."""
    if not is_array(count):
        return beta**count
    backend = backend_of(count)
    if not backend.is_traced(count):
        return beta ** int(count)
    xp = backend.namespace
    wide = any(is_array(g) and g.dtype == xp.float64 for g in leaves(grad))
    dtype = xp.float64 if wide else xp.float32
    return xp.asarray(beta, dtype=dtype) ** xp.astype(count, dtype)


def _like(factor: Any, leaf: Any) -> Any:
    if is_array(factor) and is_array(leaf) and factor.dtype != leaf.dtype:
        return backend_of(factor).namespace.astype(factor, leaf.dtype)
    return factor


def _root(v: Any) -> Any:
    return backend_of(v).namespace.sqrt(v) if is_array(v) else v**0.5


def _quotient(a: Any, root: Any, eps: float) -> Any:
    """Return a / (root + eps), 0 where both are 0."""
    below = root + eps
    if eps > 0 and not _is_half(below):
        return a / below
    if not is_array(below):
        return a / below if below > 0 else 0.0 * a
    xp = backend_of(below).namespace
    positive = below > 0
    return xp.where(positive, a, xp.zeros_like(a)) / xp.where(positive, below, xp.ones_like(below))


def _is_half(x: Any) -> bool:
    """Whether a number added to `x` may vanish: 1e-8 is 0 in float16."""
    return is_array(x) and str(x.dtype).endswith("float16")


def _map_three(f: Callable[..., tuple[Any, Any, Any]], tree: Tree, *rest: Tree) -> Any:
    """Apply a function with three results leaf by leaf, and return three containers."""
    first, structure = flatten(tree)
    columns = [first, *(leaves(other) for other in rest)]
    rows = [f(*row) for row in zip(*columns, strict=True)]
    parts = zip(*rows, strict=True) if rows else ((), (), ())
    return tuple(unflatten(structure, list(part)) for part in parts)
