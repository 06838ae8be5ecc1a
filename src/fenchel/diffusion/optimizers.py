"""From a gradient to an update of the parameters: one protocol for every library's optimisers.

An optimiser has ``init(params) -> state`` and ``update(gradient, state, params) -> (update,
state)``, and the update is added: so have optax's, and the bases of `fenchel.tuners` (which are
directions at learning rate 1, to be scaled by `Descent`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..arrays import check_dtype, check_number, widen
from ..trees import backend_of_tree, leaves, scale

__all__ = ["Descent", "as_optimizer"]

Array = Any
Tree = Any


@dataclass(frozen=True)
class Descent:
    """A learning rate, or a schedule of them, times a direction.

    Parameters
    ----------
    learning_rate
        Number, or function of the step 0, 1, ..., a floating array.
    base
        Where directions come from: an object with ``init(params)`` and ``update(gradient, state,
        params) -> (direction, state)``, such as `fenchel.tuners.Adam()`. None: minus the gradient.

    Raises
    ------
    TypeError
        If the learning rate is neither a number nor a function.
    ValueError
        If it is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.asarray([1.0])
    >>> rule = Descent(lambda step: 0.5 / (step + 1))
    >>> update, state = rule.update(np.asarray([2.0]), rule.init(w), w)
    >>> update.tolist(), rule.update(np.asarray([2.0]), state, w)[0].tolist()
    ([-1.0], [-0.5])
    """

    learning_rate: float | Callable[[Array], Any]
    base: Any = None

    def __post_init__(self) -> None:
        """Check the learning rate."""
        if not callable(self.learning_rate):
            largest = 1.79e308
            check_number("learning_rate", self.learning_rate, minimum=-largest, maximum=largest)

    def init(self, params: Tree) -> tuple[Array, Any]:
        """Return the count of steps, and the state of the base."""
        backend = backend_of_tree(params)
        xp, device = backend.namespace, backend.device_of(leaves(params)[0])
        count = xp.asarray(0, dtype=xp.int32, device=device)
        return count, () if self.base is None else self.base.init(params)

    def update(
        self, gradient: Tree, state: tuple[Array, Any], params: Tree
    ) -> tuple[Tree, tuple[Array, Any]]:
        """Return what to add to the parameters, and the new state."""
        count, inner = state
        rate = self.learning_rate
        if callable(rate):
            xp, first = backend_of_tree(params).namespace, leaves(params)[0]
            rate = rate(widen(xp, xp.astype(count, first.dtype), check_dtype("params", first)))
        if self.base is None:
            return scale(-rate, gradient), (count + 1, inner)
        direction, inner = self.base.update(gradient, inner, params)
        return scale(rate, direction), (count + 1, inner)


def as_optimizer(given: Any) -> Any:
    """Return an optimiser: itself, or `Descent` for a number or a schedule.

    Raises
    ------
    TypeError
        If it is none of these.
    """
    if isinstance(given, int | float) and not isinstance(given, bool):
        return Descent(float(given))
    if hasattr(given, "init") and hasattr(given, "update"):
        return given
    if callable(given):
        return Descent(given)
    raise TypeError(
        "`optimizer` must be a learning rate, a schedule, or an object with `init` and `update`; "
        f"got {type(given).__qualname__}"
    )
